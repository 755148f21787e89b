/**
 * The memory limit of this process: the lowest of its control groups, v2 (`memory.max` of its group and all above it)
 * or v1 (`hierarchical_memory_limit`). Used before databases are decoded (geo/room.ts).
 * https://docs.kernel.org/admin-guide/cgroup-v2.html#memory-interface-files
 */
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** v1 writes “no limit” as the largest whole page below 2^63. */
const NO_LIMIT = 2 ** 60

/** The limit in bytes; undefined if no control group has one, or none can be read. */
export function memoryLimit(groups = '/sys/fs/cgroup', own = '/proc/self/cgroup'): number | undefined {
  const limits: number[] = []
  // proc(5): hierarchy:controllers:path
  for (const line of (read(own) ?? '').split('\n')) {
    const [, controllers, path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? []
    if (controllers === undefined || path === undefined) continue
    if (controllers === '') {
      for (let at = path; ; at = dirname(at)) {
        limits.push(Number(read(join(groups, at, 'memory.max'))?.trim()))
        if (at === dirname(at)) break
      }
    } else if (controllers.split(',').includes('memory')) {
      // in a container the path may be the host's: then the container's own group is mounted at the top
      const stat = read(join(groups, 'memory', path, 'memory.stat')) ?? read(join(groups, 'memory/memory.stat'))
      limits.push(Number(/^hierarchical_memory_limit (\d+)$/m.exec(stat ?? '')?.[1]))
    }
  }
  const least = Math.min(...limits.filter((limit) => limit > 0 && limit < NO_LIMIT))
  return Number.isFinite(least) ? least : undefined
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}
