/**
 * What may be wrong with a member, in one word: for the summary, the board and the page. Imports nothing when it runs, so
 * that the page can take it as it is.
 */
import type { MemberStanding } from './node-health.ts'

/** What may be wrong with a member, the worst first. */
export const WOUNDS = [
  'down',
  'dissent',
  'forced',
  'braked',
  'frozen',
  'held',
  'recovered',
  'unproven',
  'drained',
] as const
/**
 * One of WOUNDS: its state, or that the brake or a lack of votes keeps it where it is. `dissent`: it is up, though all
 * votes that there are say down. `frozen`: a freeze keeps it against its verdict.
 */
export type Wound = (typeof WOUNDS)[number]

/** What is wrong with a member; undefined: nothing. */
export function woundOf({
  state,
  braked,
  frozen,
  held,
  dissent,
}: Pick<MemberStanding, 'state' | 'braked' | 'frozen' | 'held' | 'dissent'>): Wound | undefined {
  if (braked) return 'braked'
  if (frozen && state !== 'drained') return 'frozen'
  if (state !== 'up') return state
  return dissent !== undefined ? 'dissent' : held ? 'held' : undefined
}
