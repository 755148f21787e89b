/**
 * Whether there is memory to decode databases in, before it begins: a process that the kernel kills for memory is started
 * again, and killed again, and answers nothing meanwhile.
 */
import { memoryLimit } from '../linux/memory.ts'
import type { Report } from '../problem.ts'
import type { Database } from './database.ts'

/** The tree as the file has it, and the trie it becomes, twice: as it grows, and shared. */
const NODE_BYTES = 24
/** What becomes of a node in the end. */
const KEPT_NODE_BYTES = 8
/** Places, tables, and what is not collected yet. */
const BESIDE_BYTES = 48 << 20

/** Bytes that decoding takes at its peak, the files themselves not counted; measured: docs/performance.md. */
export function decodingBytes(databases: readonly Pick<Database, 'nodeCount'>[]): number {
  const nodes = databases.map(({ nodeCount }) => nodeCount).toSorted((a, b) => b - a)
  const [largest = 0, ...others] = nodes
  return NODE_BYTES * largest + others.reduce((sum, count) => sum + KEPT_NODE_BYTES * count, 0) + BESIDE_BYTES
}

const mb = (bytes: number): number => Math.ceil(bytes / (1 << 20))

/** False when decoding would not fit below the limit: that has been reported. */
export function hasRoom(
  databases: readonly Pick<Database, 'path' | 'nodeCount'>[],
  report: Report,
  limit = memoryLimit(),
  used = process.memoryUsage.rss(),
): boolean {
  const need = decodingBytes(databases)
  if (databases.length === 0 || limit === undefined || used + need <= limit) return true
  const left = mb(Math.max(0, limit - used))
  const message = `decoding it takes ${mb(need)} MB, and of the ${mb(limit)} MB that the control group may have ${left} are left: it is not used`
  const hint = `Raise the memory limit to ${mb(used + need)} MB or more, take a smaller database (Country), or copy the cache of another node's state folder`
  const file = databases.map(({ path }) => path).join(', ')
  report({ code: 'geo-memory', severity: 'error', file, line: 0, column: 0, message, hint })
  return false
}
