/**
 * How the run before this one ended. A process that the kernel kills (out of memory, a crash in native code, `kill -9`) writes no
 * last line; so each run keeps a file in the state folder while it lives, and the next one finds it and says so.
 */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { type FileKind, isAlive, isTime, readState, Saver } from '../state.ts'

const FILE: FileKind = { what: 'run', format: 'meridian run 1' }

export interface RunRecord {
  /** Says what the last run left, if it left anything: one line, for the log. */
  readonly lastRunCrash: string | undefined
  /** This run ends in order. */
  end(): Promise<void>
}

/**
 * Begins this run's record in the state folder, and looks at the one that is there. Where a living process has one, this one is
 * its successor (`takeover`), or is about to be refused and leaves it alone.
 */
export function recordRun(state: string, takeover: boolean): RunRecord {
  const file = join(state, 'run.json')
  const last = readRun(file)
  const isLiving = last !== undefined && last.pid !== process.pid && isAlive(last.pid)
  if (isLiving && !takeover) return { lastRunCrash: undefined, end: async () => {} }

  const startedMs = Date.now()
  const collect = (): Run => ({
    pid: process.pid,
    startedMs,
    aliveMs: Date.now(),
    residentBytes: process.memoryUsage.rss(),
  })
  // what can't be saved here can't be saved elsewhere in the folder either, and is told there
  const saver = new Saver({ file, kind: FILE, collect, onTrouble: () => {} })
  saver.start()
  void saver.save() // now, not in a second: it may not live so long
  return {
    lastRunCrash: last === undefined || isLiving ? undefined : lineOf(last),
    async end() {
      await saver.close()
      if (readRun(file)?.pid === process.pid) await rm(file, { force: true }).catch(() => {})
    },
  }
}

interface Run {
  readonly pid: number
  readonly startedMs: number
  /** When it last wrote this: it does so once a minute. */
  readonly aliveMs: number
  readonly residentBytes: number
}

/** undefined also for what can't be read: it is no more than a hint. */
function readRun(file: string): Run | undefined {
  const { pid, startedMs, aliveMs, residentBytes } = readState(file, FILE).state ?? {}
  const isWhole = isTime(pid) && isTime(startedMs) && isTime(aliveMs) && isTime(residentBytes)
  return isWhole ? { pid, startedMs, aliveMs, residentBytes } : undefined
}

const lineOf = ({ startedMs, aliveMs, residentBytes }: Run): string =>
  `the last run (since ${new Date(startedMs).toISOString()}, last seen ${new Date(aliveMs).toISOString()} with ${Math.round(
    residentBytes / (1 << 20),
  )} MB) ended without a word: it was killed or it crashed. Did the kernel kill it for memory? See journalctl -k or dmesg`
