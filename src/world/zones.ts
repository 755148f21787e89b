/**
 * The first two stages of every build: read the folder of zones, and check it against the settings. If there is an
 * error, the last good zones stand in for it. Called by the builders; a prober's build ends here, for the zones name
 * its targets.
 *
 *   zones/*.yaml ─▶ read ─▶ check ─┬─ no error ─▶ these zones
 *                                  └─ an error ─▶ the last good ones, in a running process
 */
import { join } from 'node:path'
import type { Progress } from '../load/load.ts'
import type { Problem, Report } from '../problem.ts'
import type { Model } from '../zone/model.ts'
import { Folder, type FolderRead, type LockWait } from './folder.ts'
import { LastGood, type ValidZones, validZones } from './last-good.ts'
import { checkDrills, checkProbe, checkRoom, checkTransferKeys, type ProbeSettings } from './settings-check.ts'
import type { ZoneDecision } from './zone-hold.ts'

/** The settings that a prober's build depends on; a node's build has more. */
export interface ZoneSettings {
  /** Folder of the YAML files. */
  readonly zones: string
  /** The state folder of a running process, for the last good zones and databases. Commands have none. */
  readonly state?: string
  /**
   * For a running process: wait while git holds its lock and until the files are at rest, and tell the revision.
   * Without it the files are read at once.
   */
  readonly follows?: LockWait
  /** This node's prober; undefined: it has none, or the zones are not checked against it. */
  readonly probe?: ProbeSettings
  /** Names of the keys of the setting `tsig.keys`; undefined: the zones are not checked against them. */
  readonly tsigKeys?: readonly string[]
  /** The setting `overrides.maxFor`, in ms; undefined: overrides may last for ever, or it is not known. */
  readonly maxForMs?: number | undefined
  /** Called while files are parsed, for a progress bar. */
  readonly onProgress?: (progress: Progress) => void
}

/** The result of reading the folder. */
export interface ZoneReading {
  /** undefined: the disk was not read. */
  readonly read: FolderRead | undefined
  /** undefined: the files have errors, or were not read. */
  readonly zones: ValidZones | undefined
}

/** The zones to build from. */
export interface ZoneChoice {
  /** undefined: the files have errors, and there are no last good zones. */
  readonly zones: ValidZones | undefined
  /** The last good zones stand in for the files on disk. */
  readonly areLastGood: boolean
  /** The zones on disk are held back, and those before stay in use; undefined: they are not. */
  readonly hold?: ZoneDecision
}

/** What a build was made from. */
export interface BuildInput {
  /** Equal for builds with the same result. */
  readonly key: string
  readonly zones: ValidZones
}

/** Stage 2: all problems of the zones, in themselves and with the settings of this process. */
export function checkZones(
  { zones: file, probe, tsigKeys, maxForMs }: ZoneSettings,
  { read, zones }: ZoneReading,
): readonly Problem[] {
  const problems = [...(read?.problems ?? [])]
  const report: Report = (problem) => void problems.push(problem)
  if (zones !== undefined) checkRoom(file, zones.plan, report)
  if (zones !== undefined && probe !== undefined) checkProbe(file, probe, zones.plan, report)
  if (zones !== undefined && tsigKeys !== undefined) checkTransferKeys(tsigKeys, zones.model, report)
  if (zones !== undefined && maxForMs !== undefined) checkDrills(maxForMs, zones.model, report)
  return problems
}

/** The zones of one builder, with what it parsed and built last. */
export class ZoneSource {
  readonly #folder: Folder
  readonly #lastGood: LastGood | undefined
  #model: Model | undefined
  #last: BuildInput | undefined

  constructor({ zones, state, follows, onProgress }: ZoneSettings) {
    this.#folder = new Folder(zones, follows, onProgress)
    this.#lastGood = state === undefined ? undefined : new LastGood(join(state, 'last-good'), zones, this.#folder)
  }

  /** The model of the last reading; undefined if that had errors. */
  get model(): Model | undefined {
    return this.#model
  }

  /** Stage 1: reads the folder. `onWait`: called with what the reading waits for, in words. */
  async read(onWait: (news: string) => void): Promise<ZoneReading> {
    const read = await this.#folder.read(onWait)
    const zones = validZones(read.loaded, read.revision)
    this.#model = zones?.model
    return { read, zones }
  }

  /** Replaces stage 1 if the files on disk crashed the compile thread: nothing is read. */
  skip(): ZoneReading {
    this.#model = undefined
    return { read: undefined, zones: undefined }
  }

  /**
   * Chooses between the zones on disk, those before and the last good ones. `sound`: no check found an error. `inUse`:
   * see BuildRequest. `holdOf`: whether the zones on disk are held back, against those in use; absent: none ever are.
   */
  async choose(
    { read, zones }: ZoneReading,
    sound: boolean,
    inUse: boolean,
    report: Report,
    holdOf?: (before: ValidZones, onDisk: ValidZones) => ZoneDecision | undefined,
  ): Promise<ZoneChoice> {
    if (sound && read !== undefined && zones !== undefined) {
      const used = holdOf && (this.#last?.zones ?? (await this.#lastGood?.recallUnless(zones.hash, report)))
      const hold = used && holdOf(used, zones)
      if (hold !== undefined) return { zones: used, areLastGood: false, hold }
      this.#lastGood?.note(read)
      return { zones, areLastGood: false }
    }
    const before = this.#last?.zones
    const lastGood = this.#lastGood && (before ?? (inUse ? undefined : await this.#lastGood.recall(report)))
    return { zones: lastGood, areLastGood: lastGood !== undefined }
  }

  /** Notes what is built now. Returns what was built last. */
  replace(input: BuildInput): BuildInput | undefined {
    const last = this.#last
    this.#last = input
    return last
  }

  /** See Builder.saveLastGood(). */
  saveLastGood(): string | undefined {
    return this.#lastGood?.save()
  }
}
