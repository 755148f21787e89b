/**
 * The last known good of health, as a node keeps it on disk (`state/health.json`: the roster and each member's verdict), so
 * that a restart forgets nothing. A file that cannot be used is trouble to be shown; it never means down.
 *
 * Times in the file are of this host's wall clock; it is compared with nothing but itself.
 */
import { damaged, type FileKind, isRecord, isTime, readState } from '../state.ts'
import { DAY_MS } from '../units.ts'
import type { Verdict } from './vote.ts'

/** Older saved state, members that have left, and probers that are silent for longer are forgotten. */
export const MEMORY_MS = DAY_MS

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

export const HEALTH_FILE: FileKind = { what: 'health', format: 'meridian health 1' }

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

const isRecordOf = <T>(value: unknown, is: (item: unknown) => item is T): value is Record<string, T> =>
  isRecord(value) && Object.values(value).every(is)

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
