/** Client maps from the disk cache where it has them, else compiled and put there: a restart compiles nothing. */
import type { Cache } from '../geo/cache.ts'
import type { Allocate } from '../geo/memory.ts'
import type { Places } from '../geo/place.ts'
import { compileMap, type MapDefinition, usesAsns } from './compile.ts'
import type { ClientMap } from './map.ts'

/** Counted up whenever equal definitions over equal places come to other maps. */
const FORMAT = 'map-4'

/** Maps with the same key are the same, in memory and in the cache. A new ASN database changes those that look at it. */
export const mapKey = (definition: MapDefinition, places: Places): string =>
  `${FORMAT} ${definition.key} | ${places.id}${usesAsns(definition) ? ` | ${places.asns?.id ?? 'no ASNs'}` : ''}`

export function loadMap(definition: MapDefinition, places: Places, cache: Cache, allocate: Allocate): ClientMap {
  const key = mapKey(definition, places)
  const [v4, v6, classes, groups] = cache.read(key, allocate) ?? []
  if (v4 && v6 && classes && groups) return { v4, v6, classes, groups }
  const map = compileMap(definition, places, allocate)
  cache.write(key, [map.v4, map.v6, map.classes, map.groups])
  return map
}
