/**
 * The last stage of a build: checked zones and the places of clients become a World. Called by the builder. It reads no
 * zone file and no database, and finds no more faults in what an operator wrote.
 *
 *   services, places ─▶ compileMaps ─▶ client maps ─┐
 *   services ─────────▶ layOutService ─▶ services ──┼▶ World
 *   zones ────────────▶ buildImage ────▶ Image ─────┘
 */
import type { World } from '../answer/world.ts'
import { isNewerSerial } from '../dns/serial.ts'
import type { Cache } from '../geo/cache.ts'
import type { Allocate } from '../geo/memory.ts'
import type { Places } from '../geo/place.ts'
import { serialOf, withSerial } from '../load/soa.ts'
import { loadMap, mapKey } from '../policy/cached-map.ts'
import { mapDefinition } from '../policy/compile.ts'
import type { ClientMap } from '../policy/map.ts'
import { layOutService, type SteeredService } from '../policy/service.ts'
import type { Report } from '../problem.ts'
import { makeCopies } from '../zone/copies.ts'
import type { History } from '../zone/differences.ts'
import { buildImage } from '../zone/link.ts'
import type { Model } from '../zone/model.ts'

/** What the compilation of client maps needs. */
export interface MapSettings {
  readonly places: Places
  /** Clients without a place of their own get the place of this site. */
  readonly nodeSite: string | undefined
  /** Maps in use, by key: a map whose key is unchanged is used again. */
  readonly before: ReadonlyMap<string, ClientMap>
  readonly cache: Cache
  readonly allocate: Allocate
}

/** The client maps of all services. Services with the same definition share one. */
export interface ServiceMaps {
  /** Each map once, in the order of their numbers. */
  readonly byKey: ReadonlyMap<string, ClientMap>
  /** The number of each service's map, in the order of the model's services. */
  readonly numbers: readonly number[]
}

/** Compiles the client maps of all services, or takes them from `before` or the cache. */
export function compileMaps({ services, sites }: Model, settings: MapSettings): ServiceMaps {
  const { places, before, cache, allocate } = settings
  const byKey = new Map<string, ClientMap>()
  const numberOf = new Map<string, number>()
  const nodeSite = settings.nodeSite === undefined ? undefined : sites.get(settings.nodeSite)
  const numbers = services.map((service) => {
    const definition = mapDefinition(service, sites, nodeSite)
    const key = mapKey(definition, places)
    const known = numberOf.get(key)
    if (known !== undefined) return known
    byKey.set(key, before.get(key) ?? loadMap(definition, places, cache, allocate))
    numberOf.set(key, numberOf.size)
    return numberOf.size - 1
  })
  return { byKey, numbers }
}

/** The tables of all services, in the order of the model. */
export const layOutServices = ({ services, sites }: Model, { numbers }: ServiceMaps): readonly SteeredService[] =>
  services.map((service, i) => layOutService(service, sites, numbers[i]!))

/** Makes the World, with generation, slots and counters 0. `history`: of the Worlds before; this one is added to it. */
export function compileWorld(
  model: Model,
  { serial, zones }: ServedZones,
  maps: ServiceMaps,
  history: History,
  allocate: Allocate,
): World {
  const services = layOutServices(model, maps)
  const index = new Map(model.services.map(({ name }, i) => [name, i]))
  const image = buildImage(zones, index, allocate)
  const copies = makeCopies(zones, model.services, serial, history, allocate)
  return { generation: 0, image, maps: [...maps.byKey.values()], services, copies }
}

/** Zones with the serial to serve. */
export interface ServedZones {
  readonly serial: number
  readonly zones: Model['zones']
}

/**
 * The zones with the SOA serial to serve: never one below `floor`, the last one served. The serial is not part of the
 * view, so nodes that load the same files have the same view whatever they served before.
 */
export function serveSerial({ zones }: Model, floor: number | undefined, file: string, report: Report): ServedZones {
  const serial = zones[0] === undefined ? 0 : serialOf(zones[0].soa)
  if (floor === undefined || serial === floor || isNewerSerial(serial, floor)) return { serial, zones }
  const message = `the serial ${serial} is below ${floor}, which was served: ${floor} stays`
  const hint =
    'After going back to an older commit, or out of git, there is nothing to do; else write a higher `serial` in defaults.yaml'
  report({ code: 'serial-backwards', severity: 'warning', file, line: 0, column: 0, message, hint })
  return { serial: floor, zones: withSerial(zones, floor) }
}
