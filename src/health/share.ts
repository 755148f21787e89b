/**
 * The share of its traffic that a member takes, in ‰ (0–1000): the minimum of its ramp-up (`rampUp`: a member that
 * comes back starts small), of what its agents ask for, and of what an operator's partial drain leaves it (a Shift).
 * Pure; member-state.ts keeps the state between calls.
 */

/** What a member that comes back starts with. */
const RAMP_START = 100
const RAMP_STEP = 10
const RAMP_STEPS = (1000 - RAMP_START) / RAMP_STEP
/** Words are rewritten at most this often for a ramp. */
const RAMP_EVERY_MS = 1000

/** Linear from a tenth to all, in steps of 1 %. */
export function rampShare(sinceMs: number, nowMs: number, rampUpMs: number): number {
  const elapsedMs = Math.max(0, nowMs - sinceMs)
  if (elapsedMs >= rampUpMs) return 1000
  return RAMP_START + RAMP_STEP * Math.floor((RAMP_STEPS * elapsedMs) / rampUpMs)
}

/** When the share will have grown. */
export function rampNextMs(sinceMs: number, nowMs: number, rampUpMs: number): number {
  const steps = Math.floor((RAMP_STEPS * Math.max(0, nowMs - sinceMs)) / rampUpMs) + 1
  return Math.max(sinceMs + Math.ceil((steps * rampUpMs) / RAMP_STEPS), nowMs + RAMP_EVERY_MS)
}

/** The median, rounded; undefined of nothing. */
export function median(shares: readonly number[]): number | undefined {
  if (shares.length === 0) return undefined
  const sorted = shares.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : Math.round((sorted[middle - 1]! + sorted[middle]!) / 2)
}

/** What agents are granted, and since when. */
export interface AgentShare {
  readonly share: number
  readonly sinceMs: number
}

/** Smaller changes of what agents ask for are ignored: steering by a measure oscillates (FIELD 12). */
const DEAD_BAND = 50

/**
 * What is granted of what agents ask: the first value and 0 (a drain) at once; changes of at least 5 %, and to all, in
 * steps that are two of the longest TTLs apart, so that the effect of one is seen before the next. `nextMs`: when a
 * step that has to wait is due; Infinity without.
 */
export function damp(
  granted: AgentShare | undefined,
  asked: number | undefined,
  nowMs: number,
  ttlMaxSeconds: number,
): { readonly agent: AgentShare | undefined; readonly nextMs: number } {
  const stays = { agent: granted, nextMs: Infinity }
  if (asked === undefined || asked === granted?.share) return stays
  const atOnce = { agent: { share: asked, sinceMs: nowMs }, nextMs: Infinity }
  if (granted === undefined || asked === 0) return atOnce
  if (Math.abs(asked - granted.share) < DEAD_BAND && asked !== 1000) return stays
  const dueMs = granted.sinceMs + 2000 * ttlMaxSeconds
  return nowMs >= dueMs ? atOnce : { agent: granted, nextMs: dueMs }
}

/** A share that moves from one value to another in steps, and stays there: a partial drain, or its end. */
export interface Shift {
  /** In ‰, 0–1000. */
  readonly from: number
  readonly to: number
  /** How long it takes; 0: it is there at once. */
  readonly overMs: number
}

/**
 * The steps of a shift are at least 1 % wide, and at least so far apart. Nodes learn the age of an override with an error
 * below a second (docs/redis.md), so at any time they are at the same step, or at two that follow each other.
 */
const SHIFT_STEP = 10
const SHIFT_EVERY_MS = 5000

/** How many steps a shift takes. */
const stepsOf = ({ from, to, overMs }: Shift): number =>
  Math.max(1, Math.min(Math.ceil(Math.abs(to - from) / SHIFT_STEP), Math.floor(overMs / SHIFT_EVERY_MS)))

/** The share of a shift that began so long ago: monotone, and exactly `to` from `overMs` on. */
export function shiftedShare(shift: Shift, ageMs: number): number {
  const { from, to, overMs } = shift
  if (ageMs >= overMs) return to
  const steps = stepsOf(shift)
  return from + Math.round(((to - from) * Math.floor((Math.max(0, ageMs) * steps) / overMs)) / steps)
}

/** At which age a shift takes its next step; Infinity: it has taken all. */
export function nextStepMs(shift: Shift, ageMs: number): number {
  const { overMs } = shift
  if (ageMs >= overMs) return Infinity
  const steps = stepsOf(shift)
  return Math.ceil(((Math.floor((Math.max(0, ageMs) * steps) / overMs) + 1) * overMs) / steps)
}
