/**
 * Tells whether the last run crashed. A process that is killed (out of memory, a crash in native code, `kill -9`) can't
 * log its end. So each run keeps a file in the state folder while it lives, and deletes it at an orderly end; a run
 * that finds the file of a dead process logs that. Called by run.ts.
 */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { type FileKind, isAlive, isTime, readState, Saver } from '../state.ts'

const FILE: FileKind = { what: 'run', format: 'meridian run 1' }

/** The record of this run. */
export interface RunRecord {
  /** One line for the log if the last run was killed or crashed; else undefined. */
  readonly lastRunCrash: string | undefined
  /** Deletes the record, because this run ends in order. */
  end(): Promise<void>
}

/**
 * Reads the record of the last run, and begins that of this run. The record of a living process is replaced only by its
 * successor (`takeover`): any other process is about to be refused.
 */
export function recordRun(state: string, takeover: boolean): RunRecord {
  const file = fileIn(state)
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
  // a folder that can't be written is reported by the other state files
  const saver = new Saver({ file, kind: FILE, collect, onTrouble: () => {} })
  saver.start()
  void saver.save() // at once: the process may not live for a second
  return {
    lastRunCrash: last === undefined || isLiving ? undefined : lineOf(last),
    async end() {
      await saver.close()
      if (readRun(file)?.pid === process.pid) await rm(file, { force: true }).catch(() => {})
    },
  }
}

/** The id of the living process that has this state folder; undefined: none is known. */
export function runningPid(state: string): number | undefined {
  const run = readRun(fileIn(state))
  return run !== undefined && isAlive(run.pid) ? run.pid : undefined
}

const fileIn = (state: string): string => join(state, 'run.json')

interface Run {
  readonly pid: number
  readonly startedMs: number
  /** When it last wrote this record, Unix time in ms; once a minute. */
  readonly aliveMs: number
  readonly residentBytes: number
}

/** The record in the file; undefined if there is none, or none that can be read: it is only a hint. */
function readRun(file: string): Run | undefined {
  const { pid, startedMs, aliveMs, residentBytes } = readState(file, FILE).state ?? {}
  const isWhole = isTime(pid) && isTime(startedMs) && isTime(aliveMs) && isTime(residentBytes)
  return isWhole ? { pid, startedMs, aliveMs, residentBytes } : undefined
}

const lineOf = ({ startedMs, aliveMs, residentBytes }: Run): string =>
  `the last run (since ${new Date(startedMs).toISOString()}, last seen ${new Date(aliveMs).toISOString()} with ${Math.round(
    residentBytes / (1 << 20),
  )} MB) did not end in order: it was killed or it crashed. Did the kernel kill it for memory? See journalctl -k or dmesg`
