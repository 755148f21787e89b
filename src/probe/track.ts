/**
 * The track of one target at one prober: what a series of passes and failures means. Pure, with time as an argument;
 * the prober keeps one per target and votes its state.
 *
 *   none ─ a pass ─▶ up ─ `fall` failures in a row ─▶ down ─ `rise` passes in a row ─▶ up, held down for a while?
 *     └──── `fall` failures in a row ───────────────────▲
 *
 * Hold-down: the first outage ends with `rise`. Each further one, until a steady UP has worn it off, doubles the wait
 * before UP, so that a flapping site moves its clients less and less. It delays UP only.
 */

/** State of one target's checks. */
export interface Track {
  readonly state: 'none' | 'up' | 'down'
  /** Consecutive results that contradict the state. */
  readonly against: number
  /** The last result set the state; the next one confirms it or not. */
  readonly fresh: boolean
  /** Turns to DOWN that a steady UP has not worn off yet. */
  readonly flaps: number
  /** When it was or will be reported UP; −Infinity before the first. */
  readonly upMs: number
  /** UP, but held down: still reported as DOWN. */
  readonly held: boolean
}

/** The check's settings that a track needs. */
export interface TrackRules {
  readonly fall: number
  readonly rise: number
  /** Interval of the check, which is the shortest hold-down. */
  readonly intervalMs: number
}

/** Longest hold-down. */
export const HOLD_MAX_MS = 600_000
/** A steady UP of this length wears off one turn to DOWN. */
export const WEAR_MS = 600_000

/** The track before the first result. */
export const NEW_TRACK: Track = { state: 'none', against: 0, fresh: false, flaps: 0, upMs: -Infinity, held: false }

/** The track after one more result. */
export function advance(before: Track, passed: boolean, rules: TrackRules, nowMs: number): Track {
  const track = release(before, nowMs)
  const speaksFor = track.state === 'none' ? passed : passed === (track.state === 'up')
  if (speaksFor) {
    const first = track.state === 'none'
    const after = { ...track, against: 0, fresh: first || track.held !== before.held }
    return release(first ? { ...after, state: 'up', upMs: nowMs } : after, nowMs)
  }
  const against = track.against + 1
  if (against < (passed ? rules.rise : rules.fall)) return { ...track, against, fresh: false }
  if (!passed)
    return { ...track, state: 'down', against: 0, fresh: true, held: false, flaps: flapsAfter(track, rules, nowMs) }
  const holdMs = holdOf(track.flaps, rules.intervalMs)
  return { ...track, state: 'up', against: 0, fresh: true, held: holdMs > 0, upMs: nowMs + holdMs }
}

/** The track when only time has passed: a hold-down that is over ends, unless the last result contradicts UP. */
export const release = (track: Track, nowMs: number): Track =>
  track.held && track.against === 0 && nowMs >= track.upMs ? { ...track, held: false, fresh: true } : track

/** The state to report: DOWN during a hold-down. */
export const reportedState = (track: Track): Track['state'] => (track.held ? 'down' : track.state)

/** How long its UP will still wait if it goes on passing; 0: it is not held down. */
export const heldDownMs = (track: Track, nowMs: number): number => (track.held ? Math.max(1, track.upMs - nowMs) : 0)

/** Hold-down after so many turns to DOWN: 0, 0, one interval, two, four …, at most HOLD_MAX_MS. */
const holdOf = (flaps: number, intervalMs: number): number =>
  flaps < 2 ? 0 : Math.min(HOLD_MAX_MS, intervalMs * 2 ** (flaps - 2))

/** One more, less what the preceding UP has worn off; never more than the longest hold-down needs. */
function flapsAfter({ flaps, upMs }: Track, { intervalMs }: TrackRules, nowMs: number): number {
  const worn = Math.floor(Math.max(0, nowMs - upMs) / WEAR_MS)
  const left = Math.max(0, flaps - worn)
  return flaps >= 2 && left === flaps && holdOf(flaps, intervalMs) === HOLD_MAX_MS ? flaps : left + 1
}

/** It may be about to change, or has just changed: its vote says so, and TTLs go short. */
export const isMoving = (track: Track): boolean => track.against > 0 || track.fresh || track.held

/** The next check should come soon: a change has begun. */
export const isUndecided = (track: Track): boolean => track.against > 0
