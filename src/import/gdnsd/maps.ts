/**
 * A map of gdnsd's geoip plugin → an order for everybody, and rules for some. A map is a tree of places (continent, country,
 * subdivisions, city), each with a list of datacenters or `auto`, which is by distance; `nets` go before all places.
 *
 * gdnsd takes a country's continent from the database, Meridian from octoDNS's table. The two differ over a few countries,
 * which get rules of their own.
 */
import { countriesOf } from '../../geo/codes.ts'
import { continentOf, CONTINENTS, MAXMIND } from '../continents.ts'
import type { Notes, Place } from '../notes.ts'
import { isTrue } from './resources.ts'
import { textIn } from './checks.ts'
import { find, textsOf, type Vscf, type VscfHash } from './vscf.ts'

/** Datacenters in their order, or by distance. */
export type DcList = readonly string[] | 'auto'

export interface MapRule {
  readonly subnets: readonly string[]
  readonly geos: readonly string[]
  readonly list: readonly string[]
  readonly at: Place
}

export interface GeoMap {
  readonly datacenters: readonly string[]
  readonly coordinates: ReadonlyMap<string, readonly [number, number]>
  /** How many datacenters an automatic list has; 0: all. */
  readonly limit: number
  /** Of clients without a place that the database knows. */
  readonly unplaced: readonly string[]
  readonly usual: DcList
  readonly rules: readonly MapRule[]
  readonly at: Place
}

/** Reads a map; `nets` in a file are read by `include`. */
export function readMap(
  name: string,
  map: VscfHash,
  notes: Notes,
  include: (file: string, at: Place) => Vscf | undefined,
): GeoMap {
  const datacenters = textsOf(find(map, 'datacenters') ?? { ...map, kind: 'list', items: [] }) ?? []
  if (datacenters.length === 0) notes.error(map, `map ${name} has no datacenters`)
  const coordinates = new Map<string, readonly [number, number]>()
  const auto = find(map, 'auto_dc_coords')
  for (const [dc, { value }] of auto?.kind === 'hash' ? auto.entries : []) {
    const [latitude = NaN, longitude = NaN] = (textsOf(value) ?? []).map(Number)
    if (Math.abs(latitude) <= 90 && Math.abs(longitude) <= 180) coordinates.set(dc, [latitude, longitude])
    else notes.error(value, `“${dc}” is not at [LATITUDE, LONGITUDE]`)
  }
  const tree = find(map, 'map')
  const top = tree?.kind === 'hash' ? find(tree, 'default') : undefined
  const reader = new TreeReader(datacenters, auto !== undefined, notes)
  const usual = (top && reader.list(top)) ?? (auto === undefined ? datacenters : 'auto')
  if (isTrue(textIn(map, 'ignore_ecs'))) {
    notes.warn(
      map.entries.get('ignore_ecs')!,
      `map ${name}: ignore_ecs is left out: Meridian goes by ECS wherever a resolver sends it`,
    )
  }
  // a list for everybody, with automatic places: then the places are the rule, and all others the exceptions
  const base = tree !== undefined && namesAuto(tree, 0) ? 'auto' : usual
  const nets = find(map, 'nets')
  const read = nets?.kind === 'text' ? include(nets.text, nets) : nets
  return {
    datacenters,
    coordinates,
    limit: Number(textIn(map, 'auto_dc_limit') ?? 3),
    unplaced: usual === 'auto' ? datacenters : usual,
    usual: base,
    rules: [
      ...(read?.kind === 'hash' ? netRules(read, reader) : []),
      ...(tree?.kind === 'hash' ? reader.rules(tree, usual, base) : []),
    ],
    at: map,
  }
}

const namesAuto = (value: Vscf, depth: number): boolean =>
  value.kind === 'text'
    ? value.text === 'auto'
    : value.kind === 'hash' &&
      depth < 4 &&
      [...value.entries.values()].some((entry) => namesAuto(entry.value, depth + 1))

/** A rule for each list of datacenters: the longest prefix wins, here as there. */
function netRules(nets: VscfHash, reader: TreeReader): readonly MapRule[] {
  const rules = new Map<string, { readonly subnets: string[]; readonly list: readonly string[]; readonly at: Place }>()
  for (const [net, { value, file, line, column }] of nets.entries) {
    const list = reader.list(value)
    if (list === undefined || list === 'auto') continue
    const key = list.join(' ')
    const rule = rules.get(key) ?? { subnets: [], list, at: { file, line, column } }
    rule.subnets.push(ipv4Of(net))
    rules.set(key, rule)
  }
  return [...rules.values()].map((rule) => ({ ...rule, geos: [] }))
}

/** An IPv4 network, also from its form in IPv6, `::C000:0200/120`. */
function ipv4Of(net: string): string {
  const [, high, low, bits = ''] = /^::([0-9a-f]{1,4}):([0-9a-f]{1,4})\/(\d{2,3})$/i.exec(net) ?? []
  if (high === undefined || Number(bits) < 96 || Number(bits) > 128) return net
  const bytes = [high, low!].flatMap((group) => [parseInt(group, 16) >> 8, parseInt(group, 16) & 255])
  return `${bytes.join('.')}/${Number(bits) - 96}`
}

class TreeReader {
  readonly #datacenters: readonly string[]
  readonly #hasAuto: boolean
  readonly #notes: Notes

  constructor(datacenters: readonly string[], hasAuto: boolean, notes: Notes) {
    this.#datacenters = datacenters
    this.#hasAuto = hasAuto
    this.#notes = notes
  }

  /** A list of datacenters; undefined if it is none, or cannot be taken over. */
  list(value: Vscf): DcList | undefined {
    const texts = textsOf(value)
    if (texts === undefined) return undefined
    if (value.kind === 'text' && value.text === 'auto' && this.#hasAuto) return 'auto'
    const unknown = texts.find((dc) => !this.#datacenters.includes(dc))
    if (unknown !== undefined) this.#notes.error(value, `there is no datacenter “${unknown}” in this map`)
    else if (texts.length === 0)
      this.#notes.warn(value, 'an empty list, no answer for these clients, is left out: they get what others do')
    else return [...new Set(texts)]
    return undefined
  }

  /**
   * The rules of the tree: those of a place before those of what is around it. `usual`: the list of places that are not in
   * it; `base`: what clients get whom no rule matches.
   */
  rules(tree: VscfHash, usual: DcList, base: DcList): readonly MapRule[] {
    const { entries } = tree
    const unknown = [...entries.keys()].filter((key) => key !== 'default' && !CONTINENTS.includes(key))
    for (const key of unknown)
      this.#notes.error(entries.get(key)!, `“${key}” is no continent of MaxMind's: ${CONTINENTS.join(', ')}`)
    const lists = new Map<string, DcList>()
    for (const code of CONTINENTS) {
      const value = entries.get(code)?.value
      lists.set(code, (value && this.#own(value)) ?? usual)
    }
    const places: Places = { lists, rules: [], apart: new Map(CONTINENTS.map((code) => [code, []])) }
    for (const continent of CONTINENTS) {
      const value = entries.get(continent)?.value
      const countries = value?.kind === 'hash' ? [...value.entries].filter(([key]) => key !== 'default') : []
      for (const [code, entry] of countries) this.#country(places, continent, code, entry.value)
      for (const code of Object.keys(MAXMIND)) {
        if (MAXMIND[code] !== continent || countries.some(([key]) => key === code)) continue
        this.#add(places, code, lists.get(continent)!, value ?? tree)
      }
    }
    const around = CONTINENTS.flatMap((continent): readonly MapRule[] => {
      const list = lists.get(continent)!
      const at = entries.get(continent)?.value ?? tree
      if (list === 'auto' || String(list) === String(base)) return []
      const apart = places.apart.get(continent)!
      const left = countriesOf(continent).filter((code) => !apart.includes(code))
      const geos = apart.length === 0 ? [continent] : left.map((code) => `${continent}-${code}`)
      return [{ subnets: [], geos, list, at }]
    })
    return [...places.rules, ...around]
  }

  /** The list of a place itself, not of what is below it. */
  #own(value: Vscf): DcList | undefined {
    const own = value.kind === 'hash' ? find(value, 'default') : value
    return own && this.list(own)
  }

  /** Rules of a country and its subdivisions. */
  #country(places: Places, continent: string, code: string, value: Vscf): void {
    const own = continentOf(code)
    if (own === undefined) return this.#notes.warn(value, `left out: Meridian knows no country “${code}”`)
    const theirs = MAXMIND[code] ?? own
    if (theirs !== continent)
      return this.#notes.warn(value, `left out: MaxMind has ${code} in ${theirs}, and so never here`)
    const list = this.#own(value) ?? places.lists.get(continent)!
    for (const [key, { value: inner, file, line, column }] of value.kind === 'hash' ? value.entries : []) {
      if (key === 'default') continue
      if (!/^[A-Z0-9]{1,3}$/.test(key)) {
        const message = `left out: ${key} is a city, and Meridian's rules have countries and their subdivisions`
        this.#notes.warn({ file, line, column }, message)
        continue
      }
      for (const [deep, entry] of inner.kind === 'hash' ? inner.entries : []) {
        if (deep === 'default') continue
        this.#notes.warn(entry, `left out: ${deep} is below the subdivision ${key}, where Meridian's rules end`)
      }
      const lower = this.#own(inner) ?? list
      if (String(lower) === String(list)) continue
      if (lower === 'auto') this.#notes.warn(inner, `left out: ${key} cannot be “auto” within a country that is not`)
      else places.rules.push({ subnets: [], geos: [`${own}-${code}-${key}`], list: lower, at: inner })
    }
    this.#add(places, code, list, value)
  }

  /** A rule for a country whose list is not that of its continent; the continent's rule leaves out one by distance. */
  #add({ lists, rules, apart }: Places, code: string, list: DcList, at: Place): void {
    const own = continentOf(code)!
    if (String(list) === String(lists.get(own))) return
    if (list === 'auto') apart.get(own)!.push(code)
    else rules.push({ subnets: [], geos: [`${own}-${code}`], list, at })
  }
}

/** What the countries of a map add up to, by continents as octoDNS has them. */
interface Places {
  readonly lists: ReadonlyMap<string, DcList>
  readonly rules: MapRule[]
  /** Countries that the rule of their continent must leave out. */
  readonly apart: ReadonlyMap<string, string[]>
}
