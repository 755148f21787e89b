/**
 * The saved health state of a node (`state/health.json`: the roster and each member's verdict), so that a restart
 * forgets nothing. A file that cannot be used is reported as trouble; it never means down.
 * Times in the file are this host's wall clock and are only compared with it.
 */
import { damaged, type FileKind, isRecord, isTime, readState } from '../state.ts'
import { DAY_MS } from '../units.ts'
import type { Verdict } from './vote.ts'

/** Saved state, absent members and silent probers older than this (24 h) are dropped. */
export const MEMORY_MS = DAY_MS

/** A member in the file. */
export interface SavedMember {
  readonly verdict: Verdict
  /** Since when. */
  readonly sinceMs: number
  /** When the zones last had the member. */
  readonly plannedMs: number
  /** Targets that were seen up. */
  readonly proven: readonly string[]
  /** The targets whose votes decided last. */
  readonly deciding?: readonly string[]
  /** Since when it ramps up. */
  readonly rampSinceMs?: number
}

/** A prober in the file. */
export interface SavedProber {
  readonly region: string
  readonly heardMs: number
}

/** The content of the file. */
export interface SavedHealth {
  readonly savedMs: number
  /** By name. */
  readonly roster: Readonly<Record<string, SavedProber>>
  readonly members: Readonly<Record<string, SavedMember>>
}

/** Kind of the state file. */
export const HEALTH_FILE: FileKind = { what: 'health', format: 'meridian health 1' }

/** The saved state if it is younger than MEMORY_MS; `trouble` in words if there is a file that cannot be used. */
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
