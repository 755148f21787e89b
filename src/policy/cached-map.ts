/**
 * Client maps by way of the disk cache: read from it, or compiled and written to it, so that a restart compiles
 * nothing. Called by the builder (world/build.ts).
 */
import type { Cache } from '../geo/cache.ts'
import type { Allocate } from '../geo/memory.ts'
import type { Places } from '../geo/place.ts'
import type { Trie } from '../geo/trie.ts'
import { compileMap, type MapDefinition, usesAsns } from './compile.ts'
import type { ClientMap } from './map.ts'

/**
 * One more whenever the compiler makes other maps of the same definition and places: old cache files are then ignored.
 */
const FORMAT = 'map-5'

/**
 * The key of a map, in memory and in the cache: equal keys mean equal maps. A map with `asns` depends on the ASN
 * database.
 */
export const mapKey = (definition: MapDefinition, places: Places): string =>
  `${FORMAT} ${definition.key} | ${places.id}${usesAsns(definition) ? ` | ${places.asns?.id ?? 'no ASNs'}` : ''}`

/** The map of a definition over these places, from the cache or compiled; its arrays are made by `allocate`. */
export function loadMap(definition: MapDefinition, places: Places, cache: Cache, allocate: Allocate): ClientMap {
  const key = mapKey(definition, places)
  const [v4, v6, classes, groups, borrowedV4, borrowedV6] = cache.read(key, allocate) ?? []
  if (v4 && v6 && classes && groups && borrowedV4 && borrowedV6) {
    return { v4, v6, borrowedV4: orNull(borrowedV4), borrowedV6: orNull(borrowedV6), classes, groups }
  }
  const map = compileMap(definition, places, allocate)
  cache.write(key, [map.v4, map.v6, map.classes, map.groups, map.borrowedV4 ?? NONE, map.borrowedV6 ?? NONE])
  return map
}

/** In the cache, in place of a trie that the map does not have. */
const NONE = new Int32Array(0)

const orNull = (trie: Trie): Trie | null => (trie.length === 0 ? null : trie)
