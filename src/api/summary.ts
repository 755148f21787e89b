/**
 * What a node shows of itself at /api/summary: the status at a glance, one screen of a terminal. Members are counted by
 * site and by service, and no votes are in it: 10,000 members cost the main thread some milliseconds. Called by
 * RunningNode. All of it is plain JSON, with units in the names.
 */
import type { HealthOverview, MemberStanding, ServiceHealth } from '../health/node-health.ts'
import { type Wound, woundOf, WOUNDS } from '../health/wound.ts'
import type { ProberCounts, ProberThread } from '../probe/thread.ts'
import { certificateTroubles } from './probing.ts'
import type { Rates } from './rates.ts'
import type { RecentChange } from './recent.ts'
import { type NodeState, type Status, statusOf } from './status.ts'

/** The members of a site that have the same wound. */
export interface SiteWound {
  readonly wound: Wound
  /** Services with such a member at the site, and (whole) those whose members there are all so. */
  readonly services: number
  readonly whole: number
  /** Some of these services, in alphabetical order. */
  readonly named: readonly string[]
  /** For how long half of the members have been so. */
  readonly ageMs: number
  /** The commonest reason, and how many different ones there are. */
  readonly why: string
  readonly reasons: number
}

/** A site, and what is wrong there. */
export interface SiteSummary {
  readonly site: string
  readonly services: number
  readonly members: number
  /** In the order of WOUNDS; empty: all is well. */
  readonly wounds: readonly SiteWound[]
}

/** A service with something wrong. */
export interface ServiceSummary extends Omit<ServiceHealth, 'braked'> {
  /** The sites with such members, by wound. */
  readonly wounds: readonly { readonly wound: Wound; readonly sites: readonly string[] }[]
}

/** This node's own prober, as far as it is known without asking its threads, which may hang. */
export interface ProbingSummary extends ProberCounts {
  /** Number of targets whose check is late. */
  readonly overdue: number
  /** How often a thread died or stalled, and was replaced. */
  readonly restarts: number
}

/** The body of GET /api/summary of a node. Plain JSON. */
export interface Summary extends Omit<Status, 'services' | 'probing'> {
  /** null: it does not probe. */
  readonly probing: ProbingSummary | null
  /** Of the services only the MOST_SERVICES busiest. */
  readonly rates: Rates
  /** In all. */
  readonly services: number
  readonly members: number
  /** Services with something wrong: how many, how many of them without a usable member, and the worst of them. */
  readonly hurt: {
    readonly services: number
    readonly lastResorts: number
    readonly worst: readonly ServiceSummary[]
  }
  /** The worst first. */
  readonly sites: readonly SiteSummary[]
  /** The latest first. */
  readonly changes: readonly RecentChange[]
}

const MOST_SERVICES = 50
const MOST_NAMED = 5

/** The state of a node that a summary is made from. */
export interface SummaryState extends Omit<NodeState, 'health' | 'probing'> {
  readonly health: HealthOverview
  readonly prober: Pick<ProberThread, 'counts' | 'certificates' | 'lastHeartbeat' | 'restarts'> | undefined
}

/** The summary of a node. */
export function summaryOf(state: SummaryState, changes: readonly RecentChange[]): Summary {
  const { health, prober } = state
  const rates = state.rates()
  const rest = statusOf({ ...state, probing: undefined, health: { ...health, members: [], services: [] } })
  const hurt = hurtServices(health)
  return {
    ...rest,
    troubles: [...rest.troubles, ...certificateTroubles(prober?.certificates ?? [])],
    probing:
      prober === undefined
        ? null
        : { ...prober.counts, overdue: prober.lastHeartbeat?.overdue ?? 0, restarts: prober.restarts },
    rates: { ...rates, services: rates.services.slice(0, MOST_SERVICES) },
    services: health.services.length,
    members: health.members.length,
    hurt: {
      services: hurt.length,
      lastResorts: hurt.filter(({ lastResort }) => lastResort).length,
      worst: hurt.slice(0, MOST_SERVICES),
    },
    sites: sitesOf(health.members),
    changes,
  }
}

function sitesOf(members: readonly MemberStanding[]): SiteSummary[] {
  const sites = [...Map.groupBy(members, ({ site }) => site)].map(([site, at]) => summaryOfSite(site, at))
  const weight = ({ wounds }: SiteSummary): readonly number[] =>
    WOUNDS.map((wound) => wounds.find((one) => one.wound === wound)?.services ?? 0)
  return sites.toSorted((a, b) => compare(weight(b), weight(a)) || (a.site < b.site ? -1 : 1))
}

function summaryOfSite(site: string, members: readonly MemberStanding[]): SiteSummary {
  const byService = Map.groupBy(members, ({ service }) => service)
  const byWound = Map.groupBy(members, woundOf)
  const wounds = WOUNDS.flatMap((wound): SiteWound[] => {
    const those = byWound.get(wound)
    if (those === undefined) return []
    const services = Map.groupBy(those, ({ service }) => service)
    const reasons = [...Map.groupBy(those, ({ why }) => why)].toSorted(([, a], [, b]) => b.length - a.length)
    const ages = those
      .map(({ ageMs, dissent }) => (wound === 'dissent' ? dissent!.ageMs : ageMs))
      .toSorted((a, b) => a - b)
    return [
      {
        wound,
        services: services.size,
        whole: [...services].filter(([service, hurt]) => hurt.length === byService.get(service)!.length).length,
        named: [...services.keys()].toSorted().slice(0, MOST_NAMED),
        ageMs: ages[Math.floor(ages.length / 2)]!,
        why: reasons[0]![0],
        reasons: reasons.length,
      },
    ]
  })
  return { site, services: byService.size, members: members.length, wounds }
}

/** Services without a usable member first, then those without one for a type, then by what is left of them. */
function hurtServices({ services, members }: HealthOverview): ServiceSummary[] {
  const woundsOf = new Map<string, Map<Wound, Set<string>>>()
  for (const member of members) {
    const wound = woundOf(member)
    if (wound === undefined) continue
    const { service, site } = member
    if (!woundsOf.has(service)) woundsOf.set(service, new Map())
    const wounds = woundsOf.get(service)!
    wounds.set(wound, (wounds.get(wound) ?? new Set()).add(site))
  }
  return services
    .filter(({ service, lastResort }) => lastResort || woundsOf.has(service))
    .toSorted(
      (a, b) =>
        Number(b.lastResort) - Number(a.lastResort) ||
        b.unanswered.length - a.unanswered.length ||
        a.leftPercent - b.leftPercent,
    )
    .map(({ braked: _members, ...service }) => ({
      ...service,
      wounds: WOUNDS.flatMap((wound) => {
        const sites = woundsOf.get(service.service)?.get(wound)
        return sites === undefined ? [] : [{ wound, sites: [...sites].toSorted() }]
      }),
    }))
}

/** The sign of the first difference. */
const compare = (a: readonly number[], b: readonly number[]): number =>
  a.map((value, i) => value - b[i]!).find((difference) => difference !== 0) ?? 0
