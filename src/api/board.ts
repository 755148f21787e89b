/**
 * What the page shows (GET /api/board): the summary, and beside it each service by site, the votes counted by site and
 * prober, and where the sites are. Everything is of one moment. 10,000 members cost the main thread some ten milliseconds,
 * so shared-body.ts keeps it. Called by RunningNode. All of it is plain JSON, with units in the names.
 */
import type { HealthOverview, MemberStanding, ServiceHealth, VoteTable } from '../health/node-health.ts'
import { type Wound, woundOf, WOUNDS } from '../health/wound.ts'
import type { SteeredService } from '../policy/service.ts'
import type { SiteModel } from '../zone/model.ts'
import type { HoursBefore } from './answer-history.ts'
import type { Rates, StageRate } from './rates.ts'
import type { Summary } from './summary.ts'

/** The body of GET /api/board. */
export interface Board {
  /** Unix time in ms by the clock of the node. */
  readonly atMs: number
  /** For how long no member has changed its state; null: there are no members. */
  readonly unchangedMs: number | null
  readonly summary: Summary
  /** In alphabetical order, those without members included. */
  readonly sites: readonly SitePlace[]
  /** In the order of the zones. */
  readonly services: readonly ServiceRow[]
  readonly votes: VoteTable
  /** Another number when GET /api/events has something new. */
  readonly events: number
}

/** A site, and where it is. */
export interface SitePlace {
  readonly site: string
  readonly region: string
  /** Degrees; null: the zones don't say. */
  readonly latitude: number | null
  readonly longitude: number | null
}

/** A service, site by site. */
export interface ServiceRow extends Omit<ServiceHealth, 'braked'> {
  /** How many members the brake keeps in the answers. */
  readonly braked: number
  /** Over how many sites the clients of a dead site are divided. */
  readonly spill: number
  /** In alphabetical order. */
  readonly sites: readonly ServiceSite[]
}

/** The members of a service at a site. */
export interface ServiceSite {
  readonly site: string
  /** Relative to other sites, 100 unless written; weight: within its group of sites. */
  readonly capacity: number
  readonly weight: number
  readonly members: number
  /** How many of them nothing is wrong with. */
  readonly well: number
  /** The worst that is wrong with any of them; null: nothing. And for how long, in ms: the first of those. */
  readonly wound: Wound | null
  readonly woundMs: number | null
  /** Why, of one of those; empty: nothing is wrong. */
  readonly why: string
  /** Share of their traffic that they take now, in ‰ (0–1000), on average. */
  readonly share: number
  readonly answersPerSecond: number
  /** The same by the stage that found the site, the commonest first; what is 0 is left out. */
  readonly stages: readonly StageRate[]
  /** Answers a second in the same hour of the day before, and a week before, on average. */
  readonly before: HoursBefore
}

/** What a board is made from. */
export interface BoardState {
  readonly summary: Summary
  readonly health: HealthOverview
  readonly votes: VoteTable
  readonly services: readonly SteeredService[]
  readonly sites: ReadonlyMap<string, SiteModel>
  readonly rates: Pick<Rates, 'services'>
  /** AnswerRates.before(). */
  readonly before: (cell: number) => HoursBefore
  /** Events.clock. */
  readonly events: number
}

/** The board of a node. */
export function boardOf({ summary, health, votes, services, sites, rates, before, events }: BoardState): Board {
  const byService = Map.groupBy(health.members, ({ service }) => service)
  const tables = new Map(services.map((service) => [service.name, service]))
  const rateOf = new Map(rates.services.map((service) => [service.service, service.sites]))
  const youngest = health.members.reduce((least, { ageMs }) => Math.min(least, ageMs), Infinity)
  return {
    atMs: Date.now(),
    unchangedMs: youngest === Infinity ? null : youngest,
    summary,
    sites: [...sites.values()].map(placeOf).toSorted((a, b) => (a.site < b.site ? -1 : 1)),
    services: health.services.map(({ braked, ...service }) => {
      const table = tables.get(service.service)
      const answered = rateOf.get(service.service) ?? []
      const bySite = Map.groupBy(byService.get(service.service) ?? [], ({ site }) => site)
      return {
        ...service,
        braked: braked.length,
        spill: table?.spill ?? 1,
        sites: [...bySite]
          .map(([site, members]) => {
            const rate = answered.find((one) => one.site === site)
            const cell = valueAt(table, 'counter', site, undefined)
            return {
              ...siteOf(site, members),
              capacity: valueAt(table, 'capacity', site, 100),
              weight: valueAt(table, 'weight', site, 1),
              answersPerSecond: rate?.answersPerSecond ?? 0,
              stages: rate?.stages ?? [],
              before: cell === undefined ? UNKNOWN : before(cell),
            }
          })
          .toSorted((a, b) => (a.site < b.site ? -1 : 1)),
      }
    }),
    votes,
    events,
  }
}

const UNKNOWN: HoursBefore = { day: null, week: null }

/** `otherwise`: the World that has the site is not in use yet. */
function valueAt<T>(
  table: SteeredService | undefined,
  key: 'capacity' | 'weight' | 'counter',
  site: string,
  otherwise: T,
): number | T {
  return table?.[key][table.siteNames.indexOf(site)] ?? otherwise
}

function siteOf(site: string, members: readonly MemberStanding[]) {
  let worst: Wound | null = null
  let woundMs: number | null = null
  let why = ''
  let well = 0
  let share = 0
  for (const member of members) {
    share += member.share
    const wound = woundOf(member)
    if (wound === undefined) {
      well++
      continue
    }
    const rank = worst === null ? 1 : Math.sign(WOUNDS.indexOf(worst) - WOUNDS.indexOf(wound))
    if (rank < 0) continue
    const ageMs = wound === 'dissent' ? member.dissent!.ageMs : member.ageMs
    if (rank > 0 || ageMs > woundMs!) {
      worst = wound
      woundMs = ageMs
      why = member.why
    }
  }
  return { site, members: members.length, well, wound: worst, woundMs, why, share: Math.round(share / members.length) }
}

const placeOf = ({ name, region, latitude, longitude }: SiteModel): SitePlace => ({
  site: name,
  region,
  latitude: Number.isNaN(latitude) ? null : latitude,
  longitude: Number.isNaN(longitude) ? null : longitude,
})
