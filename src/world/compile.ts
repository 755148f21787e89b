/**
 * The last stage of a build: from checked zones and the places of clients to a World. Nothing is read from the zones' files
 * or the databases any more, and nothing an operator wrote can be wrong any more.
 *
 *   services, places ─▶ compileMaps ─▶ client maps ─┐
 *   services ─────────▶ layOutService ─▶ services ──┼▶ World
 *   zones ────────────▶ buildImage ────▶ Image ─────┘
 */
import { hash } from 'node:crypto'
import type { World } from '../answer/world.ts'
import type { Cache } from '../geo/cache.ts'
import type { Allocate } from '../geo/memory.ts'
import type { Places } from '../geo/place.ts'
import { isNewerSerial, serialOf, withSerial } from '../load/soa.ts'
import { loadMap, mapKey } from '../policy/cached-map.ts'
import { mapDefinition } from '../policy/compile.ts'
import type { ClientMap } from '../policy/map.ts'
import { layOutService } from '../policy/service.ts'
import type { Report } from '../problem.ts'
import { buildImage } from '../zone/image.ts'
import type { Model } from '../zone/model.ts'

/** What maps are compiled with. */
export interface MapSettings {
  readonly places: Places
  /** Site whose place clients have that nobody can place. */
  readonly nodeSite: string | undefined
  /** Maps in use by their keys: they are used again while their places stand. */
  readonly before: ReadonlyMap<string, ClientMap>
  readonly cache: Cache
  readonly allocate: Allocate
}

export interface ServiceMaps {
  /** One for each distinct definition. */
  readonly byKey: ReadonlyMap<string, ClientMap>
  /** By service, in the model's order: the number of its map. */
  readonly numbers: readonly number[]
}

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

/** Generation 0; slots and counters all 0. `zones`: as they are served, see serveSerial(). */
export function compileWorld(
  { services: models, sites }: Model,
  zones: Model['zones'],
  { byKey, numbers }: ServiceMaps,
  allocate: Allocate,
): World {
  const services = models.map((service, i) => layOutService(service, sites, numbers[i]!))
  const index = new Map(models.map(({ name }, i) => [name, i]))
  return { generation: 0, image: buildImage(zones, index, allocate), maps: [...byKey.values()], services }
}

/** Changes with the meaning of a World: nodes whose builders differ have different views. */
const FORMAT = 'meridian-world-2'

/** Of all that answers depend on but health. `zones`: hash of the model. */
export function viewOf(zones: string, { services }: Model, { id, asns }: Places): string {
  // nobody's answers depend on numbers that no rule has
  const looksAtAsns = asns !== undefined && services.some(({ rules }) => rules.some((rule) => rule.asns.length > 0))
  const parts = [FORMAT, zones, id, ...(looksAtAsns ? [asns.id] : [])]
  return hash('sha256', JSON.stringify(parts), 'hex').slice(0, 16)
}

/**
 * The zones as they are served: never with a serial below the one before. Not part of the view: nodes that load the same
 * files have the same, whatever each of them has served before.
 */
export function serveSerial(
  { zones }: Model,
  floor: number | undefined,
  file: string,
  report: Report,
): { readonly serial: number; readonly zones: Model['zones'] } {
  const serial = zones[0] === undefined ? 0 : serialOf(zones[0].soa)
  if (floor === undefined || serial === floor || isNewerSerial(serial, floor)) return { serial, zones }
  const message = `the serial ${serial} is below ${floor}, which was served: ${floor} stays`
  const hint =
    'An older commit, or a folder that git does not know any more, needs nothing; else write a higher `serial` in defaults.yaml'
  report({ code: 'serial-backwards', severity: 'warning', file, line: 0, column: 0, message, hint })
  return { serial: floor, zones: withSerial(zones, floor) }
}
