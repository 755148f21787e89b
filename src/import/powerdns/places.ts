/**
 * What the placeholders of PowerDNS's geoip backend become for clients of each place. Its names are made of them
 * (`%cc.%cn.service.example.com`), Meridian's rules are made of places: so all places that matter are tried.
 */
import { countriesOf, mayBeSubdivision } from '../../geo/codes.ts'
import { continentOf, CONTINENTS, MAXMIND } from '../continents.ts'

/** A place of clients, as the database tells it; '' = unknown. */
export interface ClientPlace {
  /** Meridian's code: `EU`, `EU-DE`, `NA-US-CA`; '' for clients of which nothing is known. */
  readonly geo: string
  /** MaxMind's. */
  readonly continent: string
  readonly country: string
  readonly region: string
}

export const NOWHERE: ClientPlace = { geo: '', continent: '', country: '', region: '' }

const lowerOf = (code: string): string => (code === '' ? 'unknown' : code.toLowerCase())

/** Placeholders that say where a client is, and nothing else. */
const PLACED = /%(?:%|cc|co|cn|re|mp)/g
/** What may stand behind a percent sign. */
const PLACEHOLDER = /%(?:%|cc|co|cn|re|mp|na|as|ci|loc|lat|lon|af|yy|mos|mo|wds|wd|dd|hh|ip4|ip6|ip)/g

/** Whether a text has a placeholder. */
export const hasPlaceholder = (text: string): boolean => (text.match(PLACEHOLDER) ?? []).some((one) => one !== '%%')

/** The placeholders of a text that do not say where a client is. */
export const foreignPlaceholders = (text: string): readonly string[] =>
  (text.match(PLACEHOLDER) ?? []).filter((one) => !['%%', '%cc', '%co', '%cn', '%re', '%mp'].includes(one))

/** What `%mp` is looked up by. */
export interface Mapping {
  readonly formats: readonly string[]
  readonly values: ReadonlyMap<string, string>
}

/** A text for clients of a place, in lower case, as names are. */
export function expand(text: string, place: ClientPlace, mapping: Mapping): string {
  return text.replaceAll(PLACED, (found) => {
    switch (found) {
      case '%cc':
      case '%co':
        return lowerOf(place.country)
      case '%cn':
        return lowerOf(place.continent)
      case '%re':
        return lowerOf(place.region)
      case '%mp': {
        const keys = mapping.formats.map((format) => expand(format.replaceAll('%mp', ''), place, mapping))
        const key = keys.find((one) => mapping.values.has(one))
        return key === undefined ? 'unknown' : mapping.values.get(key)!
      }
      default:
        return '%'
    }
  })
}

/**
 * The places that may matter, the smallest first: subdivisions whose codes are among `words`, all countries, continents,
 * and the unknown.
 */
export function placesFor(words: ReadonlySet<string>, hasRegions: boolean): readonly ClientPlace[] {
  const regions = hasRegions
    ? [...words].filter((word) => /^[a-z0-9]{1,3}$/.test(word)).map((word) => word.toUpperCase())
    : []
  const countries = CONTINENTS.flatMap(countriesOf).map((country): ClientPlace => {
    const own = continentOf(country)!
    return { geo: `${own}-${country}`, continent: MAXMIND[country] ?? own, country, region: '' }
  })
  const subdivisions = countries.flatMap((place) =>
    words.has(place.country.toLowerCase())
      ? regions
          .filter((region) => mayBeSubdivision(place.country, region))
          .map((region) => ({ ...place, geo: `${place.geo}-${region}`, region }))
      : [],
  )
  const continents = CONTINENTS.map((continent) => ({ geo: continent, continent, country: '', region: '' }))
  return [...subdivisions, ...countries, ...continents, NOWHERE]
}
