/** Bounds on time, on machines that do other things too. */
import { readdirSync, readFileSync } from 'node:fs'

/**
 * From now on: milliseconds for which threads of the processes were ready to run and had no CPU, all of them together. By so
 * much what they do may be late through no fault of theirs. 0 without Linux's /proc.
 * https://docs.kernel.org/scheduler/sched-stats.html
 */
export function countWaits(pids: () => readonly number[] = () => [process.pid]): () => number {
  const waitedNs = new Map<string, number>() // by thread; of those that have ended, too
  const look = (): number => {
    for (const pid of pids()) {
      for (const thread of read(() => readdirSync(`/proc/${pid}/task`)) ?? []) {
        const stat = read(() => readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8'))
        if (stat !== undefined) waitedNs.set(thread, Number(stat.split(' ')[1]))
      }
    }
    return [...waitedNs.values()].reduce((sum, ns) => sum + ns, 0) / 1e6
  }
  const before = look()
  return () => look() - before
}

/** The CPU time that a process has used so far, with those of its children that have ended, in s; 0: there is none. */
export function cpuSeconds(pid: number): number {
  const stat = read(() => readFileSync(`/proc/${pid}/stat`, 'utf8'))
  const fields = stat?.slice(stat.lastIndexOf(')') + 2).split(' ') ?? []
  const ticks = fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0)
  return ticks / 100 // USER_HZ
}

function read<T>(from: () => T): T | undefined {
  try {
    return from()
  } catch {
    return undefined // it has ended
  }
}
