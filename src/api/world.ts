/** The body of GET /api/world: where the clients of each country go now. Made by RunningNode. */
import type { World } from '../answer/world.ts'
import type { Places } from '../geo/place.ts'
import type { HealthTable } from '../health/table.ts'
import { didYouMean } from '../problem.ts'
import type { Census } from '../traffic/census.ts'
import { type WorldShares, worldShares } from '../traffic/countries.ts'
import { STEERS_A, STEERS_AAAA } from '../zone/pack.ts'

/** The body. Plain JSON. */
export interface WorldView extends WorldShares {
  readonly service: string
  /** What clients are counted in: IPv4 addresses, or IPv6 networks. */
  readonly clients: 'ipv4' | 'ipv6'
}

/**
 * Where clients of a service go; undefined: of the first. A string says that there is none of this name; undefined: there
 * is no service, or `world` was replaced before all was counted.
 */
export async function viewOfWorld(
  { services, maps }: World,
  places: Places,
  health: HealthTable,
  census: Census,
  name: string | undefined,
  clients: 'ipv4' | 'ipv6',
  inUse: () => boolean,
): Promise<WorldView | string | undefined> {
  const names = services.map((service) => service.name)
  const service = name === undefined ? services[0] : services[names.indexOf(name)]
  if (service === undefined)
    return name === undefined ? undefined : `there is no service “${name}”. ${didYouMean(name, names) ?? ''}`.trim()
  const map = maps[service.map]!
  const flows = await census.of(map, places, inUse)
  if (flows === undefined) return undefined
  const type = (service.types & STEERS_A) !== 0 ? STEERS_A : STEERS_AAAA
  return { service: service.name, clients, ...worldShares(service, map, health, type, flows, clients) }
}
