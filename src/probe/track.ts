/**
 * The track of one target at one prober: what a run of passes and failures means. Pure, time is an argument; the prober
 * (probe/prober.ts) keeps one for each target and votes what it says.
 *
 *   none ─ a pass ─▶ up ─ `fall` failures in a row ─▶ down ─ `rise` passes in a row ─▶ up, held down for a while?
 *     └──── `fall` failures in a row ───────────────────▲
 *
 * Hold-down: the first outage ends with `rise`. Each further one within the time that a steady UP needs to wear it off
 * doubles how long the UP waits, so that a site that flaps drags its clients to and fro less and less. It delays UP alone.
 */

export interface Track {
  readonly state: 'none' | 'up' | 'down'
  /** Results in a row that speak against the state. */
  readonly against: number
  /** The last result made the state; the next one will confirm it or not. */
  readonly fresh: boolean
  /** Turns DOWN that a steady UP has not worn off yet. */
  readonly flaps: number
  /** Since when it is UP for others to see, or will be; −Infinity before the first. */
  readonly upMs: number
  /** UP, but held down: still to be told DOWN. */
  readonly held: boolean
}

export interface TrackRules {
  readonly fall: number
  readonly rise: number
  /** Of the check: the shortest hold-down. */
  readonly intervalMs: number
}

export const HOLD_MAX_MS = 600_000
/** So long a steady UP wears off one turn DOWN. */
export const WEAR_MS = 600_000

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

/** The track when only time has passed: a hold-down that is over ends, unless the last result speaks against it. */
export const release = (track: Track, nowMs: number): Track =>
  track.held && track.against === 0 && nowMs >= track.upMs ? { ...track, held: false, fresh: true } : track

/** What is to be told of it: DOWN while it is held down. */
export const reportedState = (track: Track): Track['state'] => (track.held ? 'down' : track.state)

/** How long its UP will still wait, if it goes on passing; 0 = it isn't held down. */
export const heldDownMs = (track: Track, nowMs: number): number => (track.held ? Math.max(1, track.upMs - nowMs) : 0)

/** How long the UP waits after so many turns DOWN: 0, 0, one interval, two, four …, at the most HOLD_MAX_MS. */
const holdOf = (flaps: number, intervalMs: number): number =>
  flaps < 2 ? 0 : Math.min(HOLD_MAX_MS, intervalMs * 2 ** (flaps - 2))

/** One more, less what the UP before it has worn off; no more than make the longest hold-down. */
function flapsAfter({ flaps, upMs }: Track, { intervalMs }: TrackRules, nowMs: number): number {
  const worn = Math.floor(Math.max(0, nowMs - upMs) / WEAR_MS)
  const left = Math.max(0, flaps - worn)
  return flaps >= 2 && left === flaps && holdOf(flaps, intervalMs) === HOLD_MAX_MS ? flaps : left + 1
}

/** It may be about to change, or has just changed: its vote says so, and TTLs go short. */
export const isMoving = (track: Track): boolean => track.against > 0 || track.fresh || track.held

/** The next check has to come fast: a change has begun that further results decide. */
export const isUndecided = (track: Track): boolean => track.against > 0
