/**
 * The HealthTable: one Int32 a member, in shared memory, written by the main thread with one Atomics.store, read plainly
 * by every answering thread. All zero bits mean "unproven, full share, not calm": missing data never means down.
 *
 *   bits 0–2 state · bit 3 calm · bits 4–13 1000 − share
 */
export const UNPROVEN = 0
export const UP = 1
export const DOWN = 2
/** Drained by an override or by its file, and up. */
export const DRAINED = 3
/** Forced down by an override: answers only if nothing else exists. */
export const FORCED_DOWN = 4

export type HealthState = typeof UNPROVEN | typeof UP | typeof DOWN | typeof DRAINED | typeof FORCED_DOWN

export const HEALTH_SLOTS = 65_536

export const stateOf = (word: number): number => word & 7
export const isCalm = (word: number): boolean => (word & 8) !== 0
/** 0–1000. */
export const shareOf = (word: number): number => 1000 - ((word >>> 4) & 1023)

export const healthWord = (state: HealthState, share: number, calm: boolean): number =>
  state | (calm ? 8 : 0) | ((1000 - share) << 4)

/** Shared by all threads of the process, over all Worlds. */
export type HealthTable = Int32Array

export const makeHealthTable = (): HealthTable =>
  new Int32Array(new SharedArrayBuffer(HEALTH_SLOTS * Int32Array.BYTES_PER_ELEMENT))
