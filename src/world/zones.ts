/**
 * The first two stages of every build: the folder of zones is read, and what it says is checked against the settings. Where
 * there is an error, the zones that were served last stand in. A prober's build needs no more: the zones name its targets.
 *
 *   zones/*.yaml ─▶ read ─▶ check ─┬─ no error ─▶ these zones
 *                                  └─ an error ─▶ the last good ones, in a process that goes on
 */
import { join } from 'node:path'
import type { Progress } from '../load/load.ts'
import type { Problem, Report } from '../problem.ts'
import type { Model } from '../zone/model.ts'
import { Folder, type FolderRead, type LockWait } from './folder.ts'
import { LastGood, type ValidZones, validZones } from './last-good.ts'
import { checkProbe, checkRoom, type ProbeSettings } from './settings-check.ts'

/** All that a prober's build goes by. */
export interface ZoneSettings {
  /** Folder of the YAML files. */
  readonly zones: string
  /** The state folder of a process that goes on: whatever is wrong on disk, it has the last good zones and databases. */
  readonly state?: string
  /**
   * For a process that goes on, so that it never gets what is half written: waits for git while that is at work, and until
   * the files have been at rest for a moment; tells the revision. Without it they are read at once.
   */
  readonly follows?: LockWait
  /** What this node's prober has; undefined: it has none, or nobody asks. */
  readonly probe?: ProbeSettings
  /** Of who waits for it. */
  readonly onProgress?: (progress: Progress) => void
}

/** What is on disk. */
export interface ZoneReading {
  /** undefined: nothing on disk was looked at. */
  readonly read: FolderRead | undefined
  /** undefined where the files have errors. */
  readonly zones: ValidZones | undefined
}

/** What is built. */
export interface ZoneChoice {
  /** undefined: what is on disk has errors, and nothing good is known. */
  readonly zones: ValidZones | undefined
  /** They stand in for what is on disk. */
  readonly areLastGood: boolean
}

/** What a build was of. */
export interface BuildInput {
  /** Equal for builds that come to the same. */
  readonly key: string
  readonly zones: ValidZones
}

/** Stage 2: all that is wrong with the zones, in themselves and for this process. */
export function checkZones({ zones: file, probe }: ZoneSettings, { read, zones }: ZoneReading): readonly Problem[] {
  const problems = [...(read?.problems ?? [])]
  const report: Report = (problem) => void problems.push(problem)
  if (zones !== undefined) checkRoom(file, zones.plan, report)
  if (zones !== undefined && probe !== undefined) checkProbe(file, probe, zones.plan, report)
  return problems
}

/** The zones of one builder, with what it has parsed and built last. */
export class ZoneSource {
  readonly #folder: Folder
  readonly #lastGood: LastGood | undefined
  #model: Model | undefined
  #last: BuildInput | undefined

  constructor({ zones, state, follows, onProgress }: ZoneSettings) {
    this.#folder = new Folder(zones, follows, onProgress)
    this.#lastGood = state === undefined ? undefined : new LastGood(join(state, 'last-good'), zones, this.#folder)
  }

  /** What the folder said last, where it had no errors. */
  get model(): Model | undefined {
    return this.#model
  }

  /** Stage 1. `onWait`: what is waited for, in words. */
  async read(onWait: (news: string) => void): Promise<ZoneReading> {
    const read = await this.#folder.read(onWait)
    const zones = validZones(read.loaded, read.revision)
    this.#model = zones?.model
    return { read, zones }
  }

  /** In place of stage 1, where what is on disk ended the compile thread. */
  skip(): ZoneReading {
    this.#model = undefined
    return { read: undefined, zones: undefined }
  }

  /** `sound`: nothing that was checked has an error. `inUse`: see BuildRequest. */
  async choose({ read, zones }: ZoneReading, sound: boolean, inUse: boolean, report: Report): Promise<ZoneChoice> {
    if (sound && read !== undefined && zones !== undefined) {
      this.#lastGood?.note(read)
      return { zones, areLastGood: false }
    }
    const before = this.#last?.zones
    const lastGood = this.#lastGood && (before ?? (inUse ? undefined : await this.#lastGood.recall(report)))
    return { zones: lastGood, areLastGood: lastGood !== undefined }
  }

  /** This is built now. Returns what was built last. */
  replace(input: BuildInput): BuildInput | undefined {
    const last = this.#last
    this.#last = input
    return last
  }

  /** See Builder. */
  saveLastGood(): string | undefined {
    return this.#lastGood?.save()
  }
}
