/**
 * The verdict of a member, from the quorums of its targets and its history. Pure: members.ts keeps the history and
 * calls judge() whenever an input has changed.
 *
 *   quorum per target ─▶ all up: up · any down: down · else: unchanged ─▶ never seen up: unproven
 *
 * A check that has never passed cannot take a member down that was seen up: a mistyped path would otherwise take down
 * every site at once (FIELD). When a member's checks change, the former ones decide until all new ones have decided,
 * and `why` says so.
 */
import type { Dissent } from './dissent.ts'
import { type Ballot, type Outcome, type RosterEntry, verdict } from './quorum.ts'
import { median } from './share.ts'
import type { MemberSpec } from './target.ts'
import type { Verdict, VoteValue } from './vote.ts'

/** What outlives a member's votes, its checks and the process. */
export interface MemberHistory {
  /** undefined: never seen up. */
  readonly verdict: Verdict | undefined
  /** Targets that were seen up; only their DOWN counts against a member that was up. */
  readonly proven: ReadonlySet<string>
  /** Targets whose votes made the verdict: the former ones while the new ones have not all decided. */
  readonly deciding: readonly string[]
  /** Last quorum verdict by target; not kept over a restart. */
  readonly decided: ReadonlyMap<string, Verdict>
}

/** The history of a member that was never seen. */
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

/** A member's verdict and the evidence for it; it is the history of the next judgement. */
export interface Judgement extends MemberHistory {
  /** The votes there are don't decide: the last known good stands. */
  readonly held: boolean
  /** The verdict stands for lack of votes alone: all that there are say otherwise. */
  readonly dissent: Dissent | undefined
  /** The checks in the zones have not all decided yet: the former ones decide. */
  readonly former: boolean
  /** The track of at least one voter is changing. */
  readonly moving: boolean
  /**
   * Share in ‰ that agents ask for: the minimum over the targets of the median of UP votes; undefined: no agent asks.
   */
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

/** Judges a member by the live votes on its targets. Votes may include abstentions. */
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
  const dissent = dissentOf(deciding, next)
  const stands =
    dissent === undefined ? why : `HELD ${next!.toUpperCase()} for lack of votes (${dissent.lack}): ${bare(why)}`
  const known = former ? [...wanted, ...deciding] : wanted
  const shares = wanted.flatMap(({ share }) => (share === undefined ? [] : [share]))
  return {
    verdict: next,
    held,
    former,
    moving: known.some(({ moving }) => moving),
    share: shares.length === 0 ? undefined : Math.min(...shares),
    dissent,
    why: former ? `${stands}; by the former check, as the new one ${lackOf(wanted)}` : stands,
    ...historyOf(known, before),
    deciding: former ? before.deciding : spec.targets,
  }
}

/** `check: none`: always up. Proven targets stay proven in case the check returns. */
const unchecked = ({ proven }: MemberHistory): Judgement => ({
  verdict: 'up',
  proven,
  deciding: [],
  decided: NO_HISTORY.decided,
  held: false,
  dissent: undefined,
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
  const reason = reasonOf(votes, outcome.unanimous?.says ?? outcome.verdict)
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

/** True unless the check has no verdict, or has only ever failed. */
const hasDecided = ({ verdict: decision, proven }: TargetOutcome): boolean =>
  decision === 'up' || (decision === 'down' && proven)

const isOther = (before: readonly string[], now: readonly string[]): boolean =>
  before.length > 0 && (before.length !== now.length || before.some((target) => !now.includes(target)))

function lackOf(wanted: readonly TargetOutcome[]): string {
  const lacking = wanted.find((outcome) => !hasDecided(outcome))!
  return lacking.verdict === undefined ? 'has not decided yet' : `has never passed: ${lacking.why}`
}

/** Proven and decided targets. Returns the same objects when nothing changed: there are up to 65,536 members. */
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
    const stands = before === undefined ? 'not yet decided' : 'held, no new verdict yet'
    return { next: before, held: true, why: `${stands}: ${undecided.why}` }
  }
  const held = outcomes.find((o) => o.held)
  return {
    next: 'up' as const,
    held: held !== undefined,
    why: held === undefined ? outcomes[0]!.why : `held: ${held.why}`,
  }
}

/** What all votes say against the verdict that stands. A check that has never passed has no say. */
function dissentOf(outcomes: readonly TargetOutcome[], stands: Verdict | undefined): Dissent | undefined {
  if (stands === 'up') {
    return outcomes.find((o) => o.proven && o.verdict !== 'down' && o.unanimous?.says === 'down')?.unanimous
  }
  if (stands === undefined) return undefined
  const against = outcomes.filter((o) => o.verdict !== 'up')
  return against.every((o) => o.unanimous?.says === 'up') ? against[0]?.unanimous : undefined
}

const bare = (why: string): string => why.replace(/^held(?:, no new verdict yet)?: /, '')

/** The reason of a voter for the outcome; of any voter when none voted for it. */
const reasonOf = (votes: readonly LiveVote[], outcome: Verdict | undefined): string =>
  (votes.find(({ value }) => value === outcome) ?? votes[0])?.reason ?? ''
