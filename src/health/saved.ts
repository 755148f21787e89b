/**
 * What a node keeps on disk: the last known good (`state/health.json`: the roster and each member's verdict), so that a
 * restart forgets nothing, and the overrides (overrides.ts). Written whole beside its place and renamed over it, soon after
 * a change and at a bounded rate. A file that can't be read or written is trouble to be shown; it never stops the node and
 * never means down.
 *
 * Times in the file are of this host's wall clock; it is compared with nothing but itself.
 */
import { readFileSync } from 'node:fs'
import { mkdir, open, rename } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Verdict } from './quorum.ts'

/** Older saved state, members that have left, and probers that are silent for longer are forgotten. */
export const MEMORY_MS = 24 * 3_600_000

export interface SavedMember {
  readonly verdict: Verdict
  /** Since when. */
  readonly sinceMs: number
  /** When the member was last part of the plan. */
  readonly plannedMs: number
  /** Targets that were seen up. */
  readonly proven: readonly string[]
  /** The targets whose votes decided last. */
  readonly deciding?: readonly string[]
  /** Since when it ramps up. */
  readonly rampSinceMs?: number
}

export interface SavedProber {
  readonly region: string
  readonly heardMs: number
}

export interface SavedHealth {
  readonly savedMs: number
  /** By name. */
  readonly roster: Readonly<Record<string, SavedProber>>
  readonly members: Readonly<Record<string, SavedMember>>
}

/** A kind of file: its name in words, and what its first key says. */
export interface FileKind {
  readonly what: string
  readonly format: string
}

export const HEALTH_FILE: FileKind = { what: 'health', format: 'meridian health 1' }

/** The object in a file of this kind; nothing where there is no file; `trouble` in words when it can't be used. */
export function readState(
  file: string,
  { what, format }: FileKind,
): { readonly state?: Readonly<Record<string, unknown>>; readonly trouble?: string } {
  let text
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return {}
    return { trouble: `saved ${what} ${file} can't be read: ${messageOf(error)}` }
  }
  const state = parse(text)
  return isRecord(state) && state['format'] === format ? { state } : { trouble: damaged(file, what) }
}

export const damaged = (file: string, what: string): string =>
  `saved ${what} ${file} is damaged or foreign and was not used`

/** What was saved, if it is younger than MEMORY_MS; `trouble` in words when there is a file that can't be used. */
export function readSaved(file: string, nowMs: number): { readonly saved?: SavedHealth; readonly trouble?: string } {
  const { state, trouble } = readState(file, HEALTH_FILE)
  if (state === undefined) return trouble === undefined ? {} : { trouble }
  const { savedMs, roster, members } = state
  if (!isTime(savedMs) || !isRecordOf(roster, isProber) || !isRecordOf(members, isMember))
    return { trouble: damaged(file, HEALTH_FILE.what) }
  const ageMs = nowMs - savedMs
  if (Math.abs(ageMs) <= MEMORY_MS) return { saved: { savedMs, roster, members } }
  return { trouble: `saved health ${file} was not used: its time is ${Math.round(ageMs / 3_600_000)} h from now` }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const isRecordOf = <T>(value: unknown, is: (item: unknown) => item is T): value is Record<string, T> =>
  isRecord(value) && Object.values(value).every(is)

export const isTime = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value)

const isProber = (value: unknown): value is SavedProber =>
  isRecord(value) && typeof value['region'] === 'string' && isTime(value['heardMs'])

const isMember = (value: unknown): value is SavedMember =>
  isRecord(value) &&
  (value['verdict'] === 'up' || value['verdict'] === 'down') &&
  isTime(value['sinceMs']) &&
  isTime(value['plannedMs']) &&
  isNames(value['proven']) &&
  (value['deciding'] === undefined || isNames(value['deciding'])) &&
  (value['rampSinceMs'] === undefined || isTime(value['rampSinceMs']))

const isNames = (value: unknown): value is string[] =>
  Array.isArray(value) && value.every((target) => typeof target === 'string')

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

export interface SaverSettings {
  readonly file: string
  readonly kind: FileKind
  readonly collect: () => object
  /** Words when saving begins to fail, undefined when it works again. */
  readonly onTrouble: (trouble: string | undefined) => void
  /** At most one save in this time. */
  readonly everyMs?: number
}

/** Saves soon after touch(), and at the latest once a minute, so that the saved state of a quiet node stays young. */
export class Saver {
  readonly #settings: Required<SaverSettings>
  #timer: NodeJS.Timeout | undefined
  #idle: NodeJS.Timeout | undefined
  #writing: Promise<void> = Promise.resolve()
  #failing = false

  constructor(settings: SaverSettings) {
    this.#settings = { everyMs: 1000, ...settings }
  }

  start(): void {
    this.#idle = setInterval(() => this.touch(), 60_000).unref()
    this.touch()
  }

  touch(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined
      void this.save()
    }, this.#settings.everyMs).unref()
  }

  /** Saves now, after whatever save is under way. Never rejects. */
  save(): Promise<void> {
    this.#writing = this.#writing.then(() => this.#write())
    return this.#writing
  }

  /** Ends with a last save. */
  async stop(): Promise<void> {
    await this.save()
    await this.close()
  }

  /** Ends when what is under way is written. */
  async close(): Promise<void> {
    await this.#writing
    clearTimeout(this.#timer)
    clearInterval(this.#idle)
  }

  async #write(): Promise<void> {
    const { file, kind, collect, onTrouble } = this.#settings
    // of this process alone: a successor may share the folder
    const aside = `${file}.${process.pid}.new`
    try {
      await mkdir(dirname(file), { recursive: true })
      const handle = await open(aside, 'w', 0o600)
      try {
        await handle.writeFile(JSON.stringify({ format: kind.format, ...collect() }))
        await handle.sync()
      } finally {
        await handle.close()
      }
      await rename(aside, file)
      if (this.#failing) onTrouble(undefined)
      this.#failing = false
    } catch (error) {
      if (!this.#failing) onTrouble(`${kind.what} can't be saved to ${file}: ${messageOf(error)}`)
      this.#failing = true
      this.touch()
    }
  }
}
