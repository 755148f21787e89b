/**
 * The continents of MaxMind's databases, by which gdnsd, PowerDNS and Route 53 place clients, and octoDNS's, by which
 * Meridian's rules do: they differ over a few countries.
 */
import { isCountryOf } from '../geo/codes.ts'

export const CONTINENTS: readonly string[] = ['AF', 'AN', 'AS', 'EU', 'NA', 'OC', 'SA']

/** Where MaxMind has countries that octoDNS has on another continent. */
export const MAXMIND: Readonly<Record<string, string>> = { CY: 'EU', GS: 'AN', TL: 'OC' }

/** octoDNS's continent of a country; undefined if it knows none. */
export const continentOf = (country: string): string | undefined => CONTINENTS.find((one) => isCountryOf(one, country))
