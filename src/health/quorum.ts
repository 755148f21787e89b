/**
 * The quorum: one verdict from the votes on one target. Called by judgement.ts. Pure and deterministic, so nodes with
 * the same votes reach the same verdict. Too little evidence leaves the previous verdict unchanged.
 */
import type { Dissent } from './dissent.ts'
import type { Verdict, VoteValue } from './vote.ts'

/** A live prober's vote on one target. */
export interface Ballot {
  readonly region: string
  readonly value: VoteValue
}

/** A prober seen in the last 24 h, live or not. */
export interface RosterEntry {
  readonly region: string
}

/** How many probers and regions a service asks for. */
export interface QuorumRules {
  /** Number of probers that check a target; fewer when the roster is smaller. */
  readonly probers: number
  /** Number of distinct regions that must see DOWN; fewer when the roster has fewer. */
  readonly regions: number
}

/** Votes needed for a verdict on a target. */
export interface Quorum {
  /** Number of probers asked: n. */
  readonly asked: number
  /** Votes that it takes for either. */
  readonly downNeeds: number
  readonly upNeeds: number
}

/** The verdict on a target, and how it came about. */
export interface Outcome {
  /** undefined: never decided so far. */
  readonly verdict: Verdict | undefined
  /** The votes do not decide: the previous verdict stands. */
  readonly held: boolean
  /** What all votes say that there are, where it is held; undefined: there are none, or they disagree. */
  readonly unanimous: Dissent | undefined
  /** In words. */
  readonly why: string
}

/** Votes needed for UP and DOWN. `fresh`: number of UP and DOWN votes present. */
export function quorumOf(roster: readonly RosterEntry[], { probers }: QuorumRules, fresh: number): Quorum {
  const asked = Math.min(probers, roster.length)
  return { asked, downNeeds: Math.floor(Math.max(asked, fresh) / 2) + 1, upNeeds: Math.max(1, Math.min(2, asked)) }
}

/**
 * The verdict from the votes. With n = min(probers, roster): DOWN needs DOWN votes from more than half of max(n, fresh
 * votes), in enough regions; UP needs more UP than DOWN votes, and at least min(2, n). Otherwise the previous verdict
 * stands. Abstentions do not count.
 */
export function verdict(
  ballots: readonly Ballot[],
  roster: readonly RosterEntry[],
  previous: Verdict | undefined,
  rules: QuorumRules,
): Outcome {
  let up = 0
  let down = 0
  for (const { value } of ballots) {
    if (value === 'up') up++
    else if (value === 'down') down++
  }
  const abstained = ballots.length - up - down
  const { asked, downNeeds, upNeeds } = quorumOf(roster, rules, up + down)
  const regions = regionsOf(ballots, rules, 'down')
  const regionsNeeded = Math.min(rules.regions, regionsOf(roster, rules))
  const tally = `${up} up, ${down} down${abstained > 0 ? `, ${abstained} abstaining` : ''} of ${asked} ${asked === 1 ? 'prober' : 'probers'}`
  if (down >= downNeeds && regions >= regionsNeeded)
    return { verdict: 'down', held: false, unanimous: undefined, why: tally }
  if (up > down && up >= upNeeds) return { verdict: 'up', held: false, unanimous: undefined, why: tally }
  const isFar = down >= downNeeds
  const missing = isFar ? `in ${regions} of ${regionsNeeded} regions` : `${down} of ${downNeeds} needed`
  const unanimous: Dissent | undefined =
    down > 0 && up === 0
      ? { says: 'down', lack: missing }
      : up > 0 && down === 0
        ? { says: 'up', lack: `${up} of ${upNeeds} needed` }
        : undefined
  const lack =
    ballots.length === 0
      ? 'no live prober has voted'
      : isFar
        ? `${tally}, down seen in ${regions} of ${regionsNeeded} regions`
        : tally
  return { verdict: previous, held: true, unanimous, why: lack }
}

/** Number of distinct regions among entries with the given vote; 1 where one region is enough, as nearly everywhere. */
function regionsOf(
  all: readonly (RosterEntry & Partial<Ballot>)[],
  { regions }: QuorumRules,
  said?: VoteValue,
): number {
  if (regions === 1) return 1
  return new Set(all.filter(({ value }) => value === said).map(({ region }) => region)).size
}
