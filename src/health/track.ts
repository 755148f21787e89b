/**
 * The track of one target at one prober: what a run of passes and failures means. Pure; the prober (probe/prober.ts) keeps
 * one for each target and votes what it says.
 *
 *   none ─ a pass ─▶ up ─ `fall` failures in a row ─▶ down ─ `rise` passes in a row ─▶ up
 *     └──── `fall` failures in a row ───────────────────▲
 */

export interface Track {
  readonly state: 'none' | 'up' | 'down'
  /** Results in a row that speak against the state. */
  readonly against: number
  /** The last result made the state; the next one will confirm it or not. */
  readonly fresh: boolean
}

export interface TrackRules {
  readonly fall: number
  readonly rise: number
}

export const NEW_TRACK: Track = { state: 'none', against: 0, fresh: false }

/** The track after one more result. */
export function advance(track: Track, passed: boolean, rules: TrackRules): Track {
  const speaksFor = track.state === 'none' ? passed : passed === (track.state === 'up')
  if (speaksFor) return { state: passed ? 'up' : 'down', against: 0, fresh: track.state === 'none' }
  const against = track.against + 1
  if (against < (passed ? rules.rise : rules.fall)) return { state: track.state, against, fresh: false }
  return { state: passed ? 'up' : 'down', against: 0, fresh: true }
}

/** It may be about to change, or has just changed: its vote says so, and TTLs go short. */
export const isMoving = (track: Track): boolean => track.against > 0 || track.fresh

/** The next check has to come fast: a change has begun that further results decide. */
export const isUndecided = (track: Track): boolean => track.against > 0
