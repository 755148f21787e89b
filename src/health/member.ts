/**
 * What the quorums of a member's targets, its plan and what is remembered of it add up to. Pure: node.ts keeps the memory
 * and calls judge() whenever something it depends on has changed.
 *
 *   quorum per target ─▶ all up: up · any down: down · else: as before ─▶ never seen up: unproven ─▶ drained by plan
 *
 * FIELD's lesson about checks that never worked: a member that was seen up doesn't go down by a check that has never
 * passed (a mistyped path would take every site at once). It is held, and `why` says so.
 */
import { type Ballot, type Outcome, type RosterEntry, type Verdict, verdict } from './quorum.ts'
import type { Vote } from './store.ts'
import { DOWN, DRAINED, type HealthState, UNPROVEN, UP } from './table.ts'
import type { MemberPlan } from './target.ts'

export type MemberState = 'unproven' | 'up' | 'down' | 'drained'

/** What of a member outlives its votes, its checks and the process. */
export interface Remembered {
  /** undefined: never seen up. */
  readonly verdict: Verdict | undefined
  /** Targets that were seen up: only their DOWN counts against a member that was. */
  readonly proven: ReadonlySet<string>
  /** What the quorum of each target said last; not kept over a restart. */
  readonly decided: ReadonlyMap<string, Verdict>
}

export const NOTHING_REMEMBERED: Remembered = { verdict: undefined, proven: new Set(), decided: new Map() }

export interface Heard {
  readonly region: string
  readonly vote: Vote
}

export interface Judgement extends Remembered {
  readonly state: MemberState
  /** The votes there are don't decide: the last known good stands. */
  readonly held: boolean
  /** A voter's track is moving. */
  readonly moving: boolean
  readonly why: string
}

interface TargetOutcome extends Outcome {
  readonly target: string
  /** Seen up, now or before. */
  readonly proven: boolean
}

/** Judges a member by what live probers say of its targets now; `heard` may hold the votes of abstainers. */
export function judge(
  plan: MemberPlan,
  before: Remembered,
  heard: (target: string) => readonly Heard[],
  roster: readonly RosterEntry[],
): Judgement {
  if (plan.targets.length === 0) {
    const state = plan.drained ? 'drained' : 'up'
    return { ...NOTHING_REMEMBERED, state, held: false, moving: false, why: plan.drained ? DRAINED_WHY : 'no check' }
  }
  const outcomes: TargetOutcome[] = []
  let moving = false
  for (const target of plan.targets) {
    const votes = heard(target)
    const ballots: Ballot[] = votes.map(({ region, vote }) => ({ region, value: vote.value }))
    const outcome = verdict(ballots, roster, before.decided.get(target), plan)
    const reason = reasonOf(votes, outcome.verdict)
    const proven = outcome.verdict === 'up' || before.proven.has(target)
    outcomes.push({ ...outcome, target, proven, why: reason === '' ? outcome.why : `${reason} (${outcome.why})` })
    moving ||= votes.some(({ vote }) => vote.moving)
  }
  const { next, held, why } = combine(outcomes, before.verdict)
  const state = next === 'down' ? 'down' : plan.drained ? 'drained' : (next ?? 'unproven')
  const decided = outcomes.flatMap((o) => (o.verdict === undefined ? [] : [[o.target, o.verdict] as const]))
  return {
    state,
    verdict: next,
    held,
    moving,
    why: state === 'drained' ? `${DRAINED_WHY}; ${why}` : why,
    proven: new Set(outcomes.filter((o) => o.proven).map((o) => o.target)),
    decided: new Map(decided),
  }
}

const DRAINED_WHY = 'drained by its file'

function combine(outcomes: readonly TargetOutcome[], before: Verdict | undefined) {
  const downs = outcomes.filter((o) => o.verdict === 'down')
  const counted = before === undefined ? downs : downs.filter((o) => o.proven)
  if (counted.length > 0) {
    const why = counted[0]!.why
    const held = counted.every((o) => o.held)
    return before === undefined
      ? { next: undefined, held, why: `never seen up: ${why}` }
      : { next: 'down' as const, held, why: held ? `held: ${why}` : why }
  }
  if (downs.length > 0) {
    const why = `held: this check has never passed, so its failing does not count: ${downs[0]!.why}`
    return { next: before, held: true, why }
  }
  const undecided = outcomes.find((o) => o.verdict === undefined)
  if (undecided !== undefined) {
    const stands = before === undefined ? 'not yet decided' : 'held, not yet decided anew'
    return { next: before, held: true, why: `${stands}: ${undecided.why}` }
  }
  const held = outcomes.find((o) => o.held)
  return {
    next: 'up' as const,
    held: held !== undefined,
    why: held === undefined ? outcomes[0]!.why : `held: ${held.why}`,
  }
}

/** What a voter for the outcome saw; of any other voter when there is none. */
const reasonOf = (votes: readonly Heard[], outcome: Verdict | undefined): string =>
  (votes.find(({ vote }) => vote.value === outcome) ?? votes[0])?.vote.reason ?? ''

export const STATE_BITS: Readonly<Record<MemberState, HealthState>> = {
  unproven: UNPROVEN,
  up: UP,
  down: DOWN,
  drained: DRAINED,
}
