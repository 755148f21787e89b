/**
 * What the quorums of a member's targets and what is remembered of it add up to: its verdict; and with what operators say,
 * its state. Pure: node-health.ts keeps the memory and calls judge() whenever something it depends on has changed.
 *
 *   quorum per target ─▶ all up: up · any down: down · else: as before ─▶ never seen up: unproven ─▶ force > drain > brake
 *
 * FIELD's lesson about checks that never worked: a member that was seen up doesn't go down by a check that has never
 * passed (a mistyped path would take every site at once). When a member's checks change, the former ones go on deciding
 * until all new ones have decided, and `why` says so.
 */
import { type Ballot, type Outcome, type RosterEntry, verdict } from './quorum.ts'
import { median } from './share.ts'
import type { MemberSpec } from './target.ts'
import type { Verdict, VoteValue } from './vote.ts'

/** What of a member outlives its votes, its checks and the process. */
export interface MemberHistory {
  /** undefined: never seen up. */
  readonly verdict: Verdict | undefined
  /** Targets that were seen up: only their DOWN counts against a member that was. */
  readonly proven: ReadonlySet<string>
  /** The targets whose votes made the verdict: former ones, while those of the plan haven't all decided. */
  readonly deciding: readonly string[]
  /** What the quorum of each target said last; not kept over a restart. */
  readonly decided: ReadonlyMap<string, Verdict>
}

export const NO_HISTORY: MemberHistory = {
  verdict: undefined,
  proven: new Set(),
  deciding: [],
  decided: new Map(),
}

/** A live prober's vote on a target. */
export interface LiveVote {
  readonly region: string
  readonly value: VoteValue
  readonly moving: boolean
  readonly reason: string
  readonly share: number
}

export interface Judgement extends MemberHistory {
  /** The votes there are don't decide: the last known good stands. */
  readonly held: boolean
  /** The checks of the plan haven't all decided yet: former ones decide. */
  readonly former: boolean
  /** A voter's track is moving. */
  readonly moving: boolean
  /** What agents ask for: the least over the targets of the median of UP votes; undefined: nobody says. */
  readonly share: number | undefined
  readonly why: string
}

interface TargetOutcome extends Outcome {
  readonly target: string
  /** Seen up, now or before. */
  readonly proven: boolean
  readonly moving: boolean
  readonly share: number | undefined
}

/** Judges a member by what live probers say of its targets now; `heard` may hold the votes of abstainers. */
export function judge(
  spec: MemberSpec,
  before: MemberHistory,
  votesOn: (target: string) => readonly LiveVote[],
  roster: readonly RosterEntry[],
): Judgement {
  if (spec.targets.length === 0) return unchecked(before)
  const outcomeOf = (target: string): TargetOutcome => judgeTarget(target, spec, before, votesOn(target), roster)
  const wanted = spec.targets.map(outcomeOf)
  const former = before.verdict !== undefined && isOther(before.deciding, spec.targets) && !wanted.every(hasDecided)
  const deciding = former ? before.deciding.map(outcomeOf) : wanted
  const { next, held, why } = combine(deciding, before.verdict)
  const known = former ? [...wanted, ...deciding] : wanted
  const shares = wanted.flatMap(({ share }) => (share === undefined ? [] : [share]))
  return {
    verdict: next,
    held,
    former,
    moving: known.some(({ moving }) => moving),
    share: shares.length === 0 ? undefined : Math.min(...shares),
    why: former ? `${why}; by the former check, as the new one ${lackOf(wanted)}` : why,
    ...historyOf(known, before),
    deciding: former ? before.deciding : spec.targets,
  }
}

/** `check: none`: up because its file says so; what was proven stays so, for the day a check comes back. */
const unchecked = ({ proven }: MemberHistory): Judgement => ({
  verdict: 'up',
  proven,
  deciding: [],
  decided: NO_HISTORY.decided,
  held: false,
  former: false,
  moving: false,
  share: undefined,
  why: 'no check',
})

function judgeTarget(
  target: string,
  spec: MemberSpec,
  before: MemberHistory,
  votes: readonly LiveVote[],
  roster: readonly RosterEntry[],
): TargetOutcome {
  const ballots: readonly Ballot[] = votes
  const outcome = verdict(ballots, roster, before.decided.get(target), spec)
  const reason = reasonOf(votes, outcome.verdict)
  return {
    ...outcome,
    target,
    proven: outcome.verdict === 'up' || before.proven.has(target),
    moving: votes.some(({ moving }) => moving),
    share: askedOf(votes),
    why: reason === '' ? outcome.why : `${reason} (${outcome.why})`,
  }
}

/** The median of UP votes; nearly always all ask for all. */
function askedOf(votes: readonly LiveVote[]): number | undefined {
  const ups = votes.filter(({ value }) => value === 'up')
  return ups.length > 0 && ups.every(({ share }) => share === 1000) ? 1000 : median(ups.map(({ share }) => share))
}

/** A check that only ever failed has decided nothing. */
const hasDecided = ({ verdict: decision, proven }: TargetOutcome): boolean =>
  decision === 'up' || (decision === 'down' && proven)

const isOther = (before: readonly string[], now: readonly string[]): boolean =>
  before.length > 0 && (before.length !== now.length || before.some((target) => !now.includes(target)))

function lackOf(wanted: readonly TargetOutcome[]): string {
  const lacking = wanted.find((outcome) => !hasDecided(outcome))!
  return lacking.verdict === undefined ? 'has not decided yet' : `has never passed: ${lacking.why}`
}

/** Equal to what there was: the same objects, as there is one for each of up to 65,536 members. */
function historyOf(
  outcomes: readonly TargetOutcome[],
  before: MemberHistory,
): Pick<MemberHistory, 'proven' | 'decided'> {
  const proven = outcomes.filter((o) => o.proven).map((o) => o.target)
  const decided = outcomes.filter((o) => o.verdict !== undefined)
  const sameProven = new Set(proven).size === before.proven.size && proven.every((target) => before.proven.has(target))
  const sameDecided =
    new Set(decided.map((o) => o.target)).size === before.decided.size &&
    decided.every((o) => before.decided.get(o.target) === o.verdict)
  return {
    proven: sameProven ? before.proven : new Set(proven),
    decided: sameDecided ? before.decided : new Map(decided.map((o) => [o.target, o.verdict!])),
  }
}

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
const reasonOf = (votes: readonly LiveVote[], outcome: Verdict | undefined): string =>
  (votes.find(({ value }) => value === outcome) ?? votes[0])?.reason ?? ''
