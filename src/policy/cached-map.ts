/**
 * Client maps by way of the disk cache: read from it, or compiled and written to it, so that a restart compiles
 * nothing. Called by the builder (world/build.ts).
 */
import type { Cache } from '../geo/cache.ts'
import type { Allocate } from '../geo/memory.ts'
import type { Places } from '../geo/place.ts'
import { compileMap, type MapDefinition, usesAsns } from './compile.ts'
import type { ClientMap } from './map.ts'

/**
 * One more whenever the compiler makes other maps of the same definition and places: old cache files are then ignored.
 */
const FORMAT = 'map-4'

/**
 * The key of a map, in memory and in the cache: equal keys mean equal maps. A map with `asns` depends on the ASN
 * database.
 */
export const mapKey = (definition: MapDefinition, places: Places): string =>
  `${FORMAT} ${definition.key} | ${places.id}${usesAsns(definition) ? ` | ${places.asns?.id ?? 'no ASNs'}` : ''}`

/** The map of a definition over these places, from the cache or compiled; its arrays are made by `allocate`. */
export function loadMap(definition: MapDefinition, places: Places, cache: Cache, allocate: Allocate): ClientMap {
  const key = mapKey(definition, places)
  const [v4, v6, classes, groups] = cache.read(key, allocate) ?? []
  if (v4 && v6 && classes && groups) return { v4, v6, classes, groups }
  const map = compileMap(definition, places, allocate)
  cache.write(key, [map.v4, map.v6, map.classes, map.groups])
  return map
}
