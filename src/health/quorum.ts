/**
 * The quorum: what the votes on one target add up to. Pure and deterministic, so that nodes that have heard the same say
 * the same. It decides only on evidence: whatever is too little to decide leaves the previous verdict as it was.
 */
import type { Verdict, VoteValue } from './vote.ts'

/** A live prober's vote on one target. */
export interface Ballot {
  readonly region: string
  readonly value: VoteValue
}

/** A prober seen in the last 24 h, whether it lives or not. */
export interface RosterEntry {
  readonly region: string
}

export interface QuorumRules {
  /** How many probers are asked; fewer where the roster has fewer. */
  readonly probers: number
  /** In how many distinct regions DOWN must be seen; fewer where the roster has fewer. */
  readonly regions: number
}

/** What the votes on a target have to come to. */
export interface Quorum {
  /** Probers that are asked: n. */
  readonly asked: number
  /** Votes that it takes for either. */
  readonly downNeeds: number
  readonly upNeeds: number
}

export interface Outcome {
  /** undefined: never decided so far. */
  readonly verdict: Verdict | undefined
  /** The votes don't decide: the previous verdict stands. */
  readonly held: boolean
  /** In words. */
  readonly why: string
}

/** `fresh`: votes up or down that there are. */
export function quorumOf(roster: readonly RosterEntry[], { probers }: QuorumRules, fresh: number): Quorum {
  const asked = Math.min(probers, roster.length)
  return { asked, downNeeds: Math.floor(Math.max(asked, fresh) / 2) + 1, upNeeds: Math.max(1, Math.min(2, asked)) }
}

/**
 * With n = min(probers, roster): DOWN needs more DOWN votes than half of max(n, fresh votes), in enough regions; UP needs
 * more UP than DOWN votes, and min(2, n) of them; anything else holds. Abstentions are no votes.
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
  const tally = `${up} up, ${down} down${abstained > 0 ? `, ${abstained} abstaining` : ''} of ${asked} asked`
  if (down >= downNeeds && regions >= regionsNeeded) return { verdict: 'down', held: false, why: tally }
  if (up > down && up >= upNeeds) return { verdict: 'up', held: false, why: tally }
  const lack =
    ballots.length === 0
      ? 'no prober is heard'
      : down >= downNeeds
        ? `${tally}, down seen in ${regions} of ${regionsNeeded} regions`
        : tally
  return { verdict: previous, held: true, why: lack }
}

/** Distinct regions of those who say so; one is enough to know where one is asked for, and that is nearly everywhere. */
function regionsOf(
  all: readonly (RosterEntry & Partial<Ballot>)[],
  { regions }: QuorumRules,
  said?: VoteValue,
): number {
  if (regions === 1) return 1
  return new Set(all.filter(({ value }) => value === said).map(({ region }) => region)).size
}
