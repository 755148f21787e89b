/**
 * Compiles what a service says about whom to name into its ClientMap.
 */
import type { Places } from '../geo/place.ts'
import type { Allocate } from '../geo/memory.ts'
import type { ServiceModel, SiteModel } from '../zone/model.ts'
import type { ClientMap } from './map.ts'

/** What a map depends on besides the places; services with the same key share one map. */
export interface MapDefinition {
  readonly key: string
}

/** `nodeSite`: the site whose place clients have that nobody can place. Every site of the service is in `sites`. */
export declare function mapDefinition(
  service: ServiceModel,
  sites: ReadonlyMap<string, SiteModel>,
  nodeSite?: SiteModel,
): MapDefinition

export declare function compileMap(definition: MapDefinition, places: Places, allocate: Allocate): ClientMap
