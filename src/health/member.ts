/**
 * A member and a service with what is known of them, as members.ts keeps them, and what status, API and log show of them.
 */
import { type Availability, largestSitePercent, leftPercent } from './brake.ts'
import type { Dissent, DissentStatus } from './dissent.ts'
import type { Freeze } from './freeze.ts'
import type { Judgement } from './judgement.ts'
import type { MemberState, Condition } from './member-state.ts'
import type { Override, OverrideView } from './override.ts'
import type { Quorum } from './quorum.ts'
import type { VoteStatus } from './roster.ts'
import type { AddressType, MemberSpec, ServiceSpec, Target } from './target.ts'
import type { Verdict } from './vote.ts'

/** A member, as Members keeps it. */
export interface Member {
  readonly site: string
  spec: MemberSpec
  slot: number
  service: Service
  judgement: Judgement
  /** When the dissent on it began; undefined: there is none. */
  dissentMs: number | undefined
  /** The judgement that was last published to other nodes. */
  published: Judgement | undefined
  override: Override | undefined
  /** By which it goes: that of the judgement, or what a freeze says. */
  verdict: Verdict | undefined
  /** Why its service has failed over from its site; undefined: it has not, or failback is not manual. */
  away: string | undefined
  /** The share of its traffic that overrides leave it, in ‰. */
  allowed: number
  availability: Availability
  /** The state as it would be without the brake. */
  unbraked: MemberState
  condition: Condition
}

/** A service, as Members keeps it. */
export interface Service {
  readonly spec: ServiceSpec
  readonly members: Member[]
  /** The freeze by which it goes; undefined: by its verdicts. */
  freeze: Freeze | undefined
  /** Sites with `failback: manual` that had clients when they were last looked at; a dead one until others have them. */
  readonly serving: Set<string>
  /** Slot of the service's own word; undefined: it has none. */
  readonly word: number | undefined
  /** Sites that the brake keeps in the answers. */
  braked: ReadonlySet<string>
  lastResort: boolean
  unanswered: readonly AddressType[]
}

/** A change of a member's state or brake: one log line, one step of a metric. */
export interface Change {
  readonly member: string
  readonly site: string
  readonly service: string
  readonly before: MemberState
  /** Equal to `before` when only the brake has changed. */
  readonly after: MemberState
  /** The verdict is DOWN, but the brake keeps the member in the answers. */
  readonly braked: boolean
  readonly wasBraked: boolean
  /** How long state and brake were as they were before. */
  readonly beforeAgeMs: number
  /** The votes of live probers on its targets. */
  readonly votes: readonly VoteStatus[]
  readonly why: string
}

/** A member's reason has changed, and neither its state nor its brake. */
export interface ReasonChange extends Pick<Change, 'member' | 'braked' | 'why'> {
  readonly state: MemberState
  readonly whyBefore: string
}

/** A member as status and API show it. */
export interface MemberStatus {
  readonly member: string
  readonly site: string
  readonly service: string
  readonly address: string
  readonly state: MemberState
  /** undefined: never seen up. */
  readonly verdict: Verdict | undefined
  /** The votes do not decide: the last verdict stands. */
  readonly held: boolean
  /** The verdict, which decides the state, stands for lack of votes alone: what all votes say that there are. */
  readonly dissent: DissentStatus | undefined
  /** Nothing has changed for the service's `settle`: answers may take the long TTL. */
  readonly calm: boolean
  /** Why it is not, in words; empty when it is. */
  readonly unrest: string
  /** Time until it is calm if nothing else happens; null: it is calm, or time alone does not make it so. */
  readonly calmInMs: number | null
  readonly why: string
  /** Share of its traffic that it takes now, in ‰ (0–1000); shareWhy says in words why less than all. */
  readonly share: number
  readonly shareWhy: string
  /** The verdict is DOWN, but less than `keep` of the service would be left without the member. */
  readonly braked: boolean
  /** A freeze keeps its state against its verdict. */
  readonly frozen: boolean
  /** The override that decides its state now. */
  readonly override: OverrideView | undefined
  /** Age of the state. */
  readonly ageMs: number
  /** Targets of the zones, then former ones that still decide. */
  readonly targets: readonly TargetVotes[]
}

/** Where a member stands, without the votes that led there: cheap to make. */
export type MemberStanding = Pick<
  MemberStatus,
  'member' | 'site' | 'service' | 'state' | 'held' | 'dissent' | 'braked' | 'frozen' | 'why' | 'share' | 'ageMs'
>

/** The votes on one target, and how many a verdict takes. */
export interface TargetVotes {
  readonly target: Target
  readonly votes: readonly VoteStatus[]
  /** What they have to come to. */
  readonly quorum: Quorum
}

/** A service as status and API show it. */
export interface ServiceHealth {
  readonly service: string
  /** Percent of the service's capacity that is up and takes clients. */
  readonly leftPercent: number
  /** Percent of it that the largest site has. */
  readonly largestSitePercent: number
  readonly keepPercent: number
  /** Members whose verdict is DOWN and that the brake keeps in the answers. */
  readonly braked: readonly string[]
  /** Sites from which it has failed over, and which are passed over until they are returned (`failback: manual`). */
  readonly failedOver: readonly FailedOver[]
  /** It goes by its verdicts in spite of a freeze: all that this would name is DOWN, and others are up. */
  readonly yields: boolean
  /** No member is usable: `lastResort` of the service decides the answers. */
  readonly lastResort: boolean
  /** Types of which no member is usable while one of the other type is: their answers have no address. */
  readonly unanswered: readonly AddressType[]
}

/** A site from which a service has failed over. */
export interface FailedOver {
  readonly site: string
  /** Enough of its VIPs are up: a return has effect at once. */
  readonly well: boolean
  /** Of the failover. */
  readonly why: string
}

/** Where a member stands. */
export function standingOf(member: Member, nowMs: number): MemberStanding {
  const { spec, judgement, condition, dissentMs = nowMs } = member
  const dissent = dissentOn(member)
  return {
    member: spec.name,
    site: spec.site,
    service: spec.service,
    state: condition.state,
    held: judgement.held,
    dissent: dissent && { ...dissent, ageMs: nowMs - dissentMs },
    braked: condition.braked,
    frozen: condition.frozen,
    why: condition.why,
    share: condition.share,
    ageMs: nowMs - condition.sinceMs,
  }
}

/** The dissent on a member; undefined also where an operator decides its state. */
export const dissentOn = ({ spec, judgement, override, allowed }: Member): Dissent | undefined =>
  (override === undefined || (override.action === 'shift' && allowed > 0)) && !spec.drained
    ? judgement.dissent
    : undefined

/** A service as status shows it. */
export const healthOf = ({ spec, members, lastResort, unanswered }: Service, yielding: boolean): ServiceHealth => ({
  service: spec.name,
  leftPercent: leftPercent(members, spec),
  largestSitePercent: largestSitePercent(members, spec),
  keepPercent: spec.keepPercent,
  braked: members.filter(({ condition }) => condition.braked).map((member) => member.spec.name),
  failedOver: failedOverOf(members, spec.minVips),
  yields: yielding,
  lastResort,
  unanswered,
})

function failedOverOf(members: readonly Member[], minVips: number): readonly FailedOver[] {
  const away = members.filter((member) => member.away !== undefined)
  if (away.length === 0) return NOWHERE
  return [...Map.groupBy(away, ({ site }) => site)].map(([site, there]) => {
    const up = there.filter(({ judgement }) => judgement.verdict === 'up').length
    return { site, well: up >= minVips, why: there[0]!.away! }
  })
}

const NOWHERE: readonly FailedOver[] = []
