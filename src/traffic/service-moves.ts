/**
 * THE SERVICES WHOSE CLIENTS MOVE when one World replaces another, all members assumed up except those that the files
 * drain. Only services whose map or tables differ are compared, and each pair of maps is walked once: a change of static
 * records costs nothing. Called by the builder, in the compile thread.
 */
import type { World } from '../answer/world.ts'
import type { Places } from '../geo/place.ts'
import type { HealthSpec } from '../health/target.ts'
import { allUp, type SteeredService } from '../policy/service.ts'
import { STEERS_A, STEERS_AAAA } from '../zone/pack.ts'
import { spaceFlows } from './flows.ts'
import { isSameSteering, measureMoves, type MeasuredMoves } from './moves.ts'

/** What of a World decides who gets which site. */
export interface Steering {
  readonly world: Pick<World, 'services' | 'maps'>
  readonly places: Places
  readonly plan: HealthSpec
}

/** Names that have another service after a change: names of services. */
export interface ServiceSwitch {
  readonly before: string
  readonly after: string
}

/** The clients of a service, or of the names that change their service, that move. Plain JSON. */
export interface ServiceMoves extends Pick<MeasuredMoves, 'clients' | 'moved' | 'moves' | 'continents'> {
  readonly service: string
  /** The service before. It is another one for names that change their service. */
  readonly before: string
}

/** The clients that a change moves. Plain JSON. */
export interface WorldMoves {
  /** The services whose clients move; those with the largest share of moving clients first. */
  readonly services: readonly ServiceMoves[]
  /** The number of services that differ and were not compared, because the time was up. */
  readonly uncounted: number
}

/**
 * The services of both sides whose clients move, and the names that change their service (`switches`). Of types and
 * families the one with the largest share is reported. After `mostMs` milliseconds no other pair of maps is walked: a
 * walk over a City database takes half a second, and a reload must not wait for hundreds of them.
 */
export function serviceMoves(
  before: Steering,
  after: Steering,
  switches: readonly ServiceSwitch[],
  mostMs: number,
): WorldMoves {
  const [old, now] = [statesOf(before), statesOf(after)]
  const same = [...now.keys()].map((name) => ({ before: name, after: name }))
  const pairs = [...same, ...switches].flatMap((names) => {
    const [a, b] = [old.get(names.before), now.get(names.after)]
    return a === undefined || b === undefined || isSameSteering(a, b) ? [] : [{ names, a, b }]
  })
  const byMaps = Map.groupBy(pairs, ({ a, b }) => `${a.service.map} ${b.service.map}`)
  const groups = [...byMaps.values()].toSorted((x, y) => y.length - x.length)
  const beganMs = performance.now()
  const found: ServiceMoves[] = []
  let uncounted = 0
  for (const those of groups) {
    if (performance.now() - beganMs > mostMs) {
      uncounted += those.length
      continue
    }
    const { a: first, b: second } = those[0]!
    const flows = spaceFlows({ places: before.places, map: first.map }, { places: after.places, map: second.map })
    for (const { names, a, b } of those) {
      const types = [STEERS_A, STEERS_AAAA].filter((type) => (a.service.types & b.service.types & type) !== 0)
      const worst = types
        .flatMap((type) => measureMoves(a, b, type, flows))
        .reduce<MeasuredMoves | undefined>((most, own) => (own.moved > (most?.moved ?? 0) ? own : most), undefined)
      if (worst === undefined) continue
      const { clients, moved, moves, continents } = worst
      found.push({ service: names.after, before: names.before, clients, moved, moves, continents })
    }
  }
  const services = found.toSorted((x, y) => y.moved - x.moved || (x.service < y.service ? -1 : 1))
  return { services, uncounted }
}

/** The largest share of the clients of any service that moves, 0–1. */
export const mostMoved = (moves: WorldMoves | null): number => moves?.services[0]?.moved ?? 0

function statesOf({ world: { services, maps }, plan }: Steering) {
  const health = allUp(services, plan)
  const stateOf = (service: SteeredService) => ({ service, map: maps[service.map]!, health })
  return new Map(services.map((service) => [service.name, stateOf(service)]))
}
