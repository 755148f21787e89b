/**
 * The plan of a change: compares two loaded states of zones, databases and health. It gives the records that differ,
 * the changes of services and sites, and for each steered name the shares of its clients that move from one site to
 * another. The numbers are exact; see traffic/flows.ts and traffic/shares.ts. Called by `meridian plan`.
 */
import { formatName } from '../dns/name.ts'
import { TYPE, typeName } from '../dns/types.ts'
import { type Assumptions, assume } from '../explain/what-if.ts'
import type { HealthTable } from '../health/table.ts'
import { allUp, type SteeredService } from '../policy/service.ts'
import {
  type ClientCounts,
  clientFlows,
  type Flows,
  type FlowSide,
  spaceFlows,
  weighCountries,
} from '../traffic/flows.ts'
import { isSameSteering, measureMoves, type MeasuredMoves, type SteeringState } from '../traffic/moves.ts'
import type { WorldBuild } from '../world/build.ts'
import { buildOf } from '../world/geo-hold.ts'
import { compareDrills, compareServices, compareSites, type NamedChange } from '../world/services.ts'
import { failoverBudget } from '../zone/budget.ts'
import type { Model } from '../zone/model.ts'
import { STEERS_A, STEERS_AAAA } from '../zone/pack.ts'
import { type CapCount, NameTally, type Names, serviceOf, ttlOf, type NameCount } from './names.ts'
import { apexKey, compareZones, inWords, ownerOf, type SetAt, type SetInWords } from './records.ts'

/** One side of a plan, loaded and built. */
export interface PlanSide {
  /** The side as the operator named it. */
  readonly name: string
  readonly made: WorldBuild
  readonly model: Model
}

/** What a plan assumes. */
export interface PlanOptions {
  readonly weighing: ClientWeights
  /** Sites that are down, and drained, on the new side. */
  readonly down: readonly string[]
  readonly drain: readonly string[]
}

/** What clients are counted by: the address space, the population of countries, or counts of an operator. */
export type ClientWeights =
  | { readonly by: 'addresses' }
  /** By country code. */
  | { readonly by: 'population'; readonly weights: ReadonlyMap<string, number> }
  | { readonly by: 'clients'; readonly counts: ClientCounts }

/** A plan: plain JSON. Shares are 0–1. */
export interface Plan {
  readonly before: SideSummary
  readonly after: SideSummary
  /** Sites assumed down, and drained, on the new side only. */
  readonly down: readonly string[]
  readonly drain: readonly string[]
  /** Sites of `down` that stay in answers, because the brake of a service keeps them (`keep`). */
  readonly braked: readonly { readonly service: string; readonly sites: readonly string[] }[]
  /** Services without any member up, because of `down`: their last resort answers. */
  readonly dead: readonly string[]
  readonly weighing: ClientWeights['by']
  /** Neither records nor services nor clients differ. */
  readonly quiet: boolean
  /** The largest share of clients that moves of any steered name. */
  readonly most: number
  readonly zones: { readonly added: readonly string[]; readonly removed: readonly string[] }
  readonly records: RecordChanges
  readonly sites: readonly NamedChange[]
  readonly services: readonly NamedChange[]
  /** Scheduled drills. */
  readonly drills: readonly NamedChange[]
  /** Those with the largest share of moving clients first. */
  readonly moves: readonly NameMoves[]
  readonly budgets: readonly BudgetChange[]
}

/** A side of a plan, in words. */
export interface SideSummary {
  readonly name: string
  readonly view: string
  /** Builds of the databases. */
  readonly databases: string
}

/** How many RRsets differ, and which. */
export interface RecordChanges {
  readonly added: number
  readonly removed: number
  readonly changed: number
  /** The first MOST_RECORDS of them. */
  readonly list: readonly RecordChange[]
  readonly leftOut: number
}

/** An RRset that differs. */
export interface RecordChange {
  readonly zone: string
  readonly name: string
  readonly type: string
  /** null: it does not exist on that side. */
  readonly before: SetInWords | null
  readonly after: SetInWords | null
}

/** Steered names whose clients move in the same way. */
export interface NameMoves {
  /** Services; null = static. */
  readonly before: string | null
  readonly after: string | null
  readonly types: readonly string[]
  readonly names: Names
  /** The share of clients that moves: the largest of all measures. */
  readonly moved: number
  /**
   * Sites are picked at random on both sides: `moved` is the least change of shares, for no client keeps its site
   * anyway.
   */
  readonly random: boolean
  readonly measures: readonly MeasuredMoves[]
}

/** Steered names whose failover budget changes. */
export interface BudgetChange {
  readonly service: string
  readonly names: Names
  /**
   * The longest that a failover takes, from a site's death to the last client's new answer; null: there is no check.
   */
  readonly beforeMs: number | null
  readonly afterMs: number | null
}

/** The most records in a plan's list; all are counted. */
export const MOST_RECORDS = 100_000

/** Compares two sides. Throws when `down` or `drain` names an unknown site, which the command checks before. */
export function makePlan(before: PlanSide, after: PlanSide, options: PlanOptions): Plan {
  const records = new RecordTally()
  const names = new NameTally()
  compareZones(before.model.zones, after.model.zones, {
    differs(old, now) {
      records.add(old, now)
      names.differs(old, now)
    },
    steered(old, now) {
      if (serviceOf(old) !== serviceOf(now) || ttlOf(old) !== ttlOf(now)) records.add(old, now)
      names.steered(old, now)
    },
  })
  names.resolveSingles(before.made.world, after.made.world)

  const assumed = assumptionsOf(after, options)
  const moves = movesOf(before, after, names.counts(), options, assumed)
  const plan = {
    before: sideOf(before),
    after: sideOf(after),
    down: options.down,
    drain: options.drain,
    braked: brakedOf(after, assumed),
    dead: deadOf(after, assumed),
    weighing: options.weighing.by,
    most: moves.reduce((most, { moved }) => Math.max(most, moved), 0),
    zones: zonesOf(before.model, after.model),
    records: records.summary(),
    sites: compareSites(before.model, after.model),
    services: compareServices(before.model, after.model),
    drills: compareDrills(before.model, after.model),
    moves,
    budgets: budgetsOf(before.model, after.model, names.caps()),
  }
  const { zones, sites, services, drills, budgets, braked, dead } = plan
  const found = [
    zones.added,
    zones.removed,
    records.summary().list,
    sites,
    services,
    drills,
    moves,
    budgets,
    braked,
    dead,
  ]
  return { ...plan, quiet: found.every(({ length }) => length === 0) }
}

const sideOf = ({ name, made }: PlanSide): SideSummary => ({
  name,
  view: made.view,
  databases: buildOf(made.context.places),
})

const zonesOf = (before: Model, after: Model): Plan['zones'] => ({
  added: zonesLacking(after, before),
  removed: zonesLacking(before, after),
})

function zonesLacking({ zones }: Model, others: Model): readonly string[] {
  const known = new Set(others.zones.map(apexKey))
  return zones.filter((zone) => !known.has(apexKey(zone))).map(({ apex }) => formatName(apex))
}

class RecordTally {
  #added = 0
  #removed = 0
  #changed = 0
  readonly #list: RecordChange[] = []

  add(before: SetAt | undefined, after: SetAt | undefined): void {
    if (before === undefined) this.#added++
    else if (after === undefined) this.#removed++
    else this.#changed++
    if (this.#list.length >= MOST_RECORDS) return
    const here = after ?? before!
    this.#list.push({
      zone: formatName(here.zone.apex),
      name: ownerOf(here),
      type: typeName(here.type),
      before: before === undefined ? null : inWords(before),
      after: after === undefined ? null : inWords(after),
    })
  }

  summary(): RecordChanges {
    const [added, removed, changed] = [this.#added, this.#removed, this.#changed]
    return { added, removed, changed, list: this.#list, leftOut: added + removed + changed - this.#list.length }
  }
}

/** The moves of all steered names. Each pair of client maps is walked once. */
function movesOf(
  before: PlanSide,
  after: PlanSide,
  counts: readonly NameCount[],
  { weighing }: PlanOptions,
  assumed: Assumptions,
): readonly NameMoves[] {
  const old = new SteeredServices(before.made, allUp(before.made.world.services, before.made.plan))
  const now = new SteeredServices(after.made, assumed.health)
  const differing = counts.flatMap((nameCount) => {
    const pair = { nameCount, old: old.of(nameCount.before), now: now.of(nameCount.after) }
    return isSameSteering(pair.old, pair.now) ? [] : [pair]
  })
  const byMaps = Map.groupBy(differing, ({ old: a, now: b }) => `${a?.service.map ?? -1} ${b?.service.map ?? -1}`)
  const moves = [...byMaps.values()].flatMap((pairs) => {
    const [first] = pairs
    const flows = flowsOf(
      { places: before.made.context.places, map: first!.old?.map ?? null },
      { places: after.made.context.places, map: first!.now?.map ?? null },
      weighing,
    )
    return pairs.flatMap(({ nameCount, old: a, now: b }) => {
      const measures = measureMoves(a, b, nameCount.type === TYPE.AAAA ? STEERS_AAAA : STEERS_A, flows)
      return measures.some(matters) ? [nameMovesOf(nameCount, a, b, measures)] : []
    })
  })
  return mergeTypes(moves).toSorted((a, b) => b.moved - a.moved || (titleOf(a) < titleOf(b) ? -1 : 1))
}

const titleOf = ({ before, after, types }: NameMoves): string => `${before ?? ''} ${after ?? ''} ${types.join(' ')}`

/** The flows of clients between two sides, weighted as `weighing` says. */
export function flowsOf(before: FlowSide, after: FlowSide, weighing: ClientWeights): Flows {
  switch (weighing.by) {
    case 'addresses':
      return spaceFlows(before, after)
    case 'population':
      return weighCountries(spaceFlows(before, after), weighing.weights)
    case 'clients':
      return clientFlows(before, after, weighing.counts)
    default:
      return weighing satisfies never
  }
}

const ROUNDING = 1e-9

/** Whether clients move, or a site's share of the capacity changes. */
const matters = ({ moved, unplaced, sites }: MeasuredMoves): boolean =>
  moved > 0 ||
  (unplaced?.moved ?? 0) > 0 ||
  sites.some(
    ({ capacityBefore, capacityAfter }) =>
      capacityBefore !== null && capacityAfter !== null && Math.abs(capacityBefore - capacityAfter) > ROUNDING,
  )

const nameMovesOf = (
  { before, after, type, count: names, some }: NameCount,
  old: SteeringState | null,
  now: SteeringState | null,
  measures: readonly MeasuredMoves[],
): NameMoves => ({
  before,
  after,
  types: [typeName(type)],
  names: { count: names, some },
  moved: Math.max(...measures.map(({ moved }) => moved)),
  random: old?.service.random === true && now?.service.random === true,
  measures,
})

/** Joins A and AAAA whose moves are equal. */
function mergeTypes(moves: readonly NameMoves[]): readonly NameMoves[] {
  const alike = Map.groupBy(moves, (move) => JSON.stringify({ ...move, types: [] }))
  return [...alike.values()].map((those) => ({ ...those[0]!, types: those.flatMap(({ types }) => types).toSorted() }))
}

/** The new side's HealthTable under the options; the brake applies as in a node. */
function assumptionsOf({ made: { world, plan, context } }: PlanSide, options: PlanOptions): Assumptions {
  const found = assume(world, allUp(world.services, plan), context, options)
  if (typeof found === 'string') throw new Error(found) // the command knows the sites
  return found
}

/** The sites that the brake keeps in answers, by service. */
function brakedOf({ made: { plan } }: PlanSide, { of }: Assumptions): Plan['braked'] {
  const kept = plan.members.filter(({ name }) => of.get(name) === 'braked')
  return [...Map.groupBy(kept, ({ service }) => service)].map(([service, members]) => ({
    service,
    sites: [...new Set(members.map(({ site }) => site))],
  }))
}

function deadOf({ made: { plan } }: PlanSide, { of }: Assumptions): Plan['dead'] {
  const services = Map.groupBy(plan.members, ({ service }) => service)
  return [...services].flatMap(([name, own]) => (own.every((member) => of.get(member.name) === 'down') ? [name] : []))
}

class SteeredServices {
  readonly #made: WorldBuild
  readonly #health: HealthTable
  readonly #byName: ReadonlyMap<string, SteeredService>

  constructor(made: WorldBuild, health: HealthTable) {
    this.#made = made
    this.#health = health
    this.#byName = new Map(made.world.services.map((service) => [service.name, service]))
  }

  of(name: string | null): SteeringState | null {
    if (name === null) return null
    const service = this.#byName.get(name)!
    return { service, map: this.#made.world.maps[service.map]!, health: this.#health }
  }
}

function budgetsOf(before: Model, after: Model, caps: readonly CapCount[]): readonly BudgetChange[] {
  const old = new Map(before.services.map((service) => [service.name, service]))
  const now = new Map(after.services.map((service) => [service.name, service]))
  const changes = caps.flatMap((nameCount): BudgetChange[] => {
    const beforeMs = failoverBudget(old.get(nameCount.before!)!, nameCount.capBefore).totalMs
    const afterMs = failoverBudget(now.get(nameCount.after!)!, nameCount.capAfter).totalMs
    const { count: names, some } = nameCount
    return beforeMs === afterMs ? [] : [{ service: nameCount.after!, names: { count: names, some }, beforeMs, afterMs }]
  })
  // the A and the AAAA of a name are one name
  const distinct = new Map(changes.map((change) => [JSON.stringify(change), change]))
  return [...distinct.values()].toSorted((a, b) => (a.service < b.service ? -1 : 1))
}
