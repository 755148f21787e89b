/**
 * Checks, before databases are decoded, that there is enough memory for it. Otherwise the kernel would kill the
 * process, again after every restart, and nothing would be answered.
 */
import { memoryLimit } from '../linux/memory.ts'
import type { Report } from '../problem.ts'
import type { Database } from './database.ts'

/**
 * Bytes for each node of the search tree while it is decoded: the tree, the trie while it grows, and its shared copy.
 */
const NODE_BYTES = 24
/** Bytes that stay for each node. */
const KEPT_NODE_BYTES = 8
/** For places, tables, and garbage that is not collected yet. */
const BESIDE_BYTES = 48 << 20

/** Peak memory of decoding, in bytes, without the files themselves; measured, see docs/performance.md. */
export function decodingBytes(databases: readonly Pick<Database, 'nodeCount'>[]): number {
  const nodes = databases.map(({ nodeCount }) => nodeCount).toSorted((a, b) => b - a)
  const [largest = 0, ...others] = nodes
  return NODE_BYTES * largest + others.reduce((sum, count) => sum + KEPT_NODE_BYTES * count, 0) + BESIDE_BYTES
}

const mb = (bytes: number): number => Math.ceil(bytes / (1 << 20))

/** Whether decoding fits below the memory limit; if not, it is reported. `limit`, `used`: bytes. */
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
