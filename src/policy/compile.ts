/**
 * Compiles the steering of a service (rules, order, spread, candidates, biases, sites) into its ClientMap. Runs in the
 * compile thread, by way of cached-map.ts:
 *
 *   place ──rank──▶ groups ──intern──▶ class     one for each place of the databases, and one more under each rule
 *   ASN trie ──▶ the rules' AS numbers ──▶ overlaid by the rules' subnets ──▶ rule trie ┐
 *   place trie ────────────────────────────────────────────────────────────▶ merge ┴─▶ class trie ──▶ lookup form
 *
 * The two are merged once more for resolvers: where a rule matches, into the class of the place without it.
 *
 * Sites are ranked by the chord between points on the unit sphere: it grows with the great circle and needs no
 * haversine.
 */
import { createHash } from 'node:crypto'
import { formatPrefix, type Prefix } from '../dns/address.ts'
import type { Asns } from '../geo/asn.ts'
import { type BinaryTrie, layOut, leafTrie, merge } from '../geo/binary.ts'
import { isTerritory, packCode } from '../geo/codes.ts'
import { EARTH_RADIUS_KM } from '../geo/distance.ts'
import { Interner } from '../geo/intern.ts'
import { type Allocate, copyInts } from '../geo/memory.ts'
import { PLACE_FOLDED, PLACE_UNKNOWN, type Places } from '../geo/place.ts'
import type { PrefixTable } from '../geo/prefixes.ts'
import type { Trie } from '../geo/trie.ts'
import type { Geo, Groups, ServiceModel, SiteModel } from '../zone/model.ts'
import { subnetTrie } from '../zone/rules.ts'
import { CLASS_UNPLACED, type ClientMap, FENCE, PICK_HASH, PICK_RANDOM } from './map.ts'

/** All that a map depends on besides the places. Services with the same key share one map. */
export interface MapDefinition {
  readonly key: string
  /** By site number: sorted by name. */
  readonly sites: readonly MapSite[]
  /** Site numbers in the order of the file: the order for clients without a place. */
  readonly listed: readonly number[]
  /** `order: listed`; null = nearest. */
  readonly groups: SiteGroups | null
  /** Clients that no rule matches get the sites in `groups` and no others. */
  readonly closed?: true
  readonly spreadKm: number
  readonly candidates: number
  readonly rules: readonly MapRule[]
  /** The assumed location of clients without a place (node.site); null = none. */
  readonly home: Location | null
}

interface Location {
  /** Degrees. */
  readonly latitude: number
  readonly longitude: number
}

interface MapSite extends Location {
  readonly bias: number
}

type SiteGroups = readonly (readonly number[])[]

interface MapRule {
  readonly subnets: readonly Prefix[]
  readonly subnetFiles: readonly PrefixTable[]
  readonly asns: readonly number[]
  readonly geos: readonly Geo[]
  readonly groups: SiteGroups
  /** FENCE, PICK_*. */
  readonly flags: number
}

/** Whether any rule has `asns`, so that the map depends on the ASN database. */
export const usesAsns = ({ rules }: Pick<MapDefinition, 'rules'>): boolean => rules.some(({ asns }) => asns.length > 0)

/** Site names in the order of their numbers: sorted by UTF-16 units, the same on every node. */
export const siteNames = (service: ServiceModel): readonly string[] => service.sites.map(({ site }) => site).toSorted()

/**
 * The MapDefinition of a service. `sites` must have all its sites; `nodeSite`: the site at which clients without a
 * place are assumed to be (setting node.site).
 */
export function mapDefinition(
  service: ServiceModel,
  sites: ReadonlyMap<string, SiteModel>,
  nodeSite?: SiteModel,
): MapDefinition {
  const numbers = new Map(siteNames(service).map((name, number) => [name, number]))
  const number = (name: string): number => numbers.get(name)!
  const groupsOf = (order: Groups): SiteGroups => order.map((group) => group.map(number).toSorted((a, b) => a - b))
  const nearest = service.order.kind === 'nearest'
  const definition = {
    sites: service.sites
      .toSorted((a, b) => number(a.site) - number(b.site))
      .map(({ site, bias }) => {
        const { latitude, longitude } = sites.get(site)!
        // a listed order looks at no place, so its services share a map wherever their sites are
        return nearest ? { latitude, longitude, bias } : { latitude: 0, longitude: 0, bias: 0 }
      }),
    listed: service.sites.map(({ site }) => number(site)),
    groups: service.order.kind === 'listed' ? groupsOf(service.order.groups) : null,
    ...(service.order.kind === 'listed' && service.order.only === true && { closed: true as const }),
    spreadKm: nearest ? service.spreadKm : 0,
    candidates: nearest ? Math.min(service.candidates, service.sites.length) : 0,
    rules: service.rules.map(({ subnets, subnetFiles = [], asns, geos, order, only, pick }) => ({
      subnets,
      subnetFiles,
      asns,
      geos,
      groups: groupsOf(order),
      flags: (only ? FENCE : 0) | (pick === undefined ? 0 : pick === 'hash' ? PICK_HASH : PICK_RANDOM),
    })),
    home: nearest && nodeSite ? { latitude: nodeSite.latitude, longitude: nodeSite.longitude } : null,
  }
  const rules = definition.rules.map((rule) => ({
    ...rule,
    subnets: rule.subnets.map(formatPrefix),
    subnetFiles: rule.subnetFiles.map(({ hash }) => hash),
  }))
  const key = createHash('sha256').update(JSON.stringify({ ...definition, rules }))
  return { key: key.digest('hex').slice(0, 32), ...definition }
}

/** Marks the class of a carved-out IPv6 network while the trie is compiled, so that it merges with no neighbour. */
const CARVED = 1 << 22

/** Compiles a map over the places of the databases. Its arrays are made by `allocate`. */
export function compileMap(definition: MapDefinition, places: Places, allocate: Allocate): ClientMap {
  const classes = new ClassTable(definition, places)
  const classOf = classes.ofPlaces()
  const compile = (family: 4 | 6): { readonly own: Trie; readonly borrowed: Trie | null } => {
    const ofPlaces = family === 4 ? places.v4 : places.v6
    const rules = ruleTrie(definition, places.asns, family)
    const own = merge(ofPlaces, rules, (place, rule) =>
      rule === 0 ? classOf[place]! : classes.underRule(rule - 1, place),
    )
    return {
      own: layOut(own, allocate, (value) => value & ~CARVED),
      borrowed: rules.root === NO_RULE ? null : layOut(withoutRules(ofPlaces, rules), allocate, (value) => value),
    }
  }
  const withoutRules = (ofPlaces: BinaryTrie, rules: BinaryTrie): BinaryTrie =>
    merge(ofPlaces, rules, (place, rule) => (rule === 0 ? 0 : 1 + (classOf[place]! & ~CARVED)))
  const v4 = compile(4)
  const v6 = compile(6)
  return { v4: v4.own, v6: v6.own, borrowedV4: v4.borrowed, borrowedV6: v6.borrowed, ...classes.done(allocate) }
}

/** The root of a trie of rules in which no rule matches anywhere. */
const NO_RULE = ~0

/** The trie of rules: leaves are 1 + the index of the rule that matches by subnet, else by AS number; 0 = none. */
function ruleTrie({ rules }: MapDefinition, asns: Asns | undefined, family: 4 | 6): BinaryTrie {
  const bySubnet = subnetTrie(rules, family)
  if (asns === undefined || !usesAsns({ rules })) return bySubnet
  const ruleOf = new Map<number, number>()
  for (const [index, rule] of rules.entries()) {
    for (const asn of rule.asns) if (!ruleOf.has(asn)) ruleOf.set(asn, index + 1)
  }
  const ruleOfIndex = Int32Array.from(asns.numbers, (asn) => ruleOf.get(asn) ?? 0)
  // reduces the trie of all AS numbers to those that the rules name
  const byAsn = merge(family === 4 ? asns.v4 : asns.v6, leafTrie(0), (index) => ruleOfIndex[index]!)
  return merge(byAsn, bySubnet, (asn, subnet) => (subnet === 0 ? asn : subnet))
}

/** First int of class 0 while classes are interned: no equal class may become class 0. */
const RESERVED = -1

/** Numbers the distinct classes. Class 0 is that of clients without a place. */
class ClassTable {
  readonly #interner = new Interner()
  readonly #definition: MapDefinition
  readonly #matcher: GeoMatcher
  readonly #ranker: Ranker
  readonly #places: Places
  /** The class that is being made, in the form of ClientMap.groups, and which sites it has already. */
  readonly #entry: Int32Array
  #length = 0
  readonly #taken: Uint8Array
  readonly #rankings = new Interner()
  /** Class by ranking. */
  readonly #ofRanking: number[] = []
  /** Per rule: class by place, for the pairs that were needed so far. */
  readonly #underRule: Map<number, number>[]

  constructor(definition: MapDefinition, places: Places) {
    this.#definition = definition
    this.#matcher = new GeoMatcher(definition.rules)
    this.#ranker = new Ranker(definition)
    this.#places = places
    this.#entry = new Int32Array(4 + 2 * definition.sites.length)
    this.#taken = new Uint8Array(definition.sites.length)
    this.#underRule = definition.rules.map(() => new Map<number, number>())
    this.#begin(RESERVED, this.#ownFlags())
    this.#putOrder(this.#standAt(PLACE_UNKNOWN))
    this.#intern()
  }

  /** Per place: the class of its networks that no rule matches by subnet or AS number. */
  ofPlaces(): Int32Array {
    const { codes } = this.#places
    const classOf = new Int32Array(codes.length / 3)
    for (let place = 0; place < classOf.length; place++) classOf[place] = this.#ofPlace(place)
    classOf[PLACE_FOLDED] = CARVED | CLASS_UNPLACED
    return classOf
  }

  #ofPlace(place: number): number {
    const { codes, coordinates } = this.#places
    const { groups, spreadKm, candidates, rules } = this.#definition
    const rule = this.#matcher.match(codes, 3 * place)
    if (rule >= 0) return this.#ruleClass(rule, place)
    const located = !Number.isNaN(coordinates[2 * place]!)
    const known = located || codes[3 * place] !== 0 || codes[3 * place + 1] !== 0
    // In class 0 the client's resolver decides. A client that the database knows must not get the rule of its resolver,
    // so it needs a class of its own where there are rules. Without rules only coordinates matter, and for a listed
    // order nothing
    const apart = rules.length > 0 ? known : located && groups === null
    if (!apart) return CLASS_UNPLACED
    const standing = this.#standAt(place)
    if (!standing || spreadKm > 0) return this.#ownClass(standing)
    // the order of the candidates decides the whole class, and most places find their class made already
    const ranking = this.#rankings.add(this.#ranker.first(candidates), candidates)
    return (this.#ofRanking[ranking] ??= this.#ownClass(true))
  }

  /** The class without a rule. `placed`: the ranker is at the clients' location. */
  #ownClass(placed: boolean): number {
    this.#begin(0, this.#ownFlags())
    this.#putOrder(placed)
    return this.#intern()
  }

  #ownFlags(): number {
    return this.#definition.closed === true ? FENCE : 0
  }

  /** The class of a place's networks that a rule matches by subnet or AS number. */
  underRule(rule: number, place: number): number {
    const known = this.#underRule[rule]!
    let found = known.get(place)
    if (found === undefined) {
      found = this.#ruleClass(rule, place) | (place === PLACE_FOLDED ? CARVED : 0)
      known.set(place, found)
    }
    return found
  }

  done(allocate: Allocate): Pick<ClientMap, 'classes' | 'groups'> {
    const { ints, starts, count } = this.#interner
    const groups = copyInts(allocate, ints, starts[count])
    groups[0] = 0 // was RESERVED
    return { classes: copyInts(allocate, starts, count), groups }
  }

  #ruleClass(index: number, place: number): number {
    const { rules, groups, candidates } = this.#definition
    const rule = rules[index]!
    this.#begin(index + 1, rule.flags)
    for (const group of rule.groups) this.#put(group)
    if ((rule.flags & FENCE) !== 0) return this.#intern()
    if (groups === null && this.#standAt(place)) {
      for (let i = 0; i < candidates; i++) {
        const next = this.#ranker.nearest(this.#taken)
        if (next >= 0) this.#putSite(next)
      }
    }
    for (const group of groups ?? []) for (const site of group) this.#putSite(site)
    for (const site of this.#definition.listed) this.#putSite(site)
    return this.#intern()
  }

  /** Puts the service's own order. `placed`: the ranker is at the clients' location. */
  #putOrder(placed: boolean): void {
    const { groups, listed, closed } = this.#definition
    if (groups === null && placed) {
      this.#putNearest()
      return
    }
    for (const group of groups ?? []) this.#put(group)
    if (closed !== true) for (const site of listed) this.#putSite(site)
  }

  /**
   * Puts groups until `candidates` sites are ranked, then all others as the tail. A group: the nearest site, and all
   * within the spread.
   */
  #putNearest(): void {
    const { candidates, spreadKm } = this.#definition
    const entry = this.#entry
    const taken = this.#taken
    // without a spread each site is a group of its own, even two at the same location
    let ranked = 0
    if (spreadKm === 0) {
      const first = this.#ranker.first(candidates)
      while (ranked < candidates) this.#putSite(first[ranked++]!)
    }
    while (ranked < candidates) {
      const reach = this.#ranker.distance[this.#ranker.nearest(taken)]! + spreadKm
      const size = this.#length++
      for (let site = 0; site < taken.length; site++) {
        if (taken[site] === 1 || this.#ranker.distance[site]! > reach) continue
        taken[site] = 1
        entry[this.#length++] = site
      }
      entry[size] = this.#length - size - 1
      entry[2]!++
      ranked += this.#length - size - 1
    }
    const tail = this.#length++
    for (let site = 0; site < taken.length; site++) if (taken[site] === 0) entry[this.#length++] = site
    entry[tail] = tail + 1 - this.#length
    if (entry[tail] === 0) this.#length = tail
    else entry[2]!++
  }

  #begin(rule: number, flags: number): void {
    this.#taken.fill(0)
    this.#entry[0] = rule
    this.#entry[1] = flags
    this.#entry[2] = 0
    this.#length = 3
  }

  #put(group: readonly number[]): void {
    this.#entry[2]!++
    this.#entry[this.#length++] = group.length
    for (const site of group) {
      this.#entry[this.#length++] = site
      this.#taken[site] = 1
    }
  }

  /** Puts a site as a group of its own, unless the class has it already. */
  #putSite(site: number): void {
    if (this.#taken[site] === 1) return
    this.#taken[site] = 1
    this.#entry[2]!++
    this.#entry[this.#length++] = 1
    this.#entry[this.#length++] = site
  }

  #intern(): number {
    return this.#interner.add(this.#entry, this.#length)
  }

  /** Moves the ranker to the place, or to `home` if the place has no coordinates; false if there is neither. */
  #standAt(place: number): boolean {
    const { home, groups } = this.#definition
    if (groups !== null) return false
    const latitude = this.#places.coordinates[2 * place]!
    if (!Number.isNaN(latitude)) this.#ranker.standAt(latitude, this.#places.coordinates[2 * place + 1]!)
    else if (home !== null) this.#ranker.standAt(home.latitude, home.longitude)
    else return false
    return true
  }
}

/**
 * Ranks sites by their biased distance from one point; of equal distances the lower number, so the lower name, is
 * first.
 */
class Ranker {
  /** Points on the unit sphere, x y z. */
  readonly #points: Float64Array
  readonly #factor: Float64Array
  /** Distances are only compared with each other, so squared chords are enough. */
  readonly #plain: boolean
  /** Per site: biased kilometres, or with #plain the squared chord. */
  readonly distance: Float64Array
  readonly #first: Int32Array

  constructor({ sites, spreadKm }: MapDefinition) {
    this.#points = new Float64Array(3 * sites.length)
    for (const [i, site] of sites.entries()) putPoint(this.#points, 3 * i, site.latitude, site.longitude)
    this.#factor = Float64Array.from(sites, ({ bias }) => 1 - bias / 100)
    this.#plain = spreadKm === 0 && sites.every(({ bias }) => bias === sites[0]!.bias)
    this.distance = new Float64Array(sites.length)
    this.#first = new Int32Array(sites.length)
  }

  standAt(latitude: number, longitude: number): void {
    putPoint(here, 0, latitude, longitude)
    const x = here[0]!
    const y = here[1]!
    const z = here[2]!
    for (let site = 0; site < this.distance.length; site++) {
      const dx = this.#points[3 * site]! - x
      const dy = this.#points[3 * site + 1]! - y
      const dz = this.#points[3 * site + 2]! - z
      const chord2 = dx * dx + dy * dy + dz * dz
      this.distance[site] = this.#plain
        ? chord2
        : 2 * EARTH_RADIUS_KM * Math.asin(Math.min(1, Math.sqrt(chord2) / 2)) * this.#factor[site]!
    }
  }

  /** Site numbers, of which the first `most` are the nearest sites in order; valid until the next call. */
  first(most: number): Int32Array {
    const distance = this.distance
    const first = this.#first
    let count = 0
    for (let site = 0; site < distance.length; site++) {
      const far = distance[site]!
      if (count === most && far >= distance[first[count - 1]!]!) continue
      let i = count < most ? count++ : count - 1
      for (; i > 0 && distance[first[i - 1]!]! > far; i--) first[i] = first[i - 1]!
      first[i] = site
    }
    return first
  }

  /** The nearest site that is not taken; −1 when all are. */
  nearest(taken: Uint8Array): number {
    let best = -1
    for (let site = 0; site < taken.length; site++) {
      if (taken[site] === 0 && (best < 0 || this.distance[site]! < this.distance[best]!)) best = site
    }
    return best
  }
}

const here = new Float64Array(3)

function putPoint(points: Float64Array, at: number, latitude: number, longitude: number): void {
  const phi = (latitude * Math.PI) / 180
  const lambda = (longitude * Math.PI) / 180
  points[at] = Math.cos(phi) * Math.cos(lambda)
  points[at + 1] = Math.cos(phi) * Math.sin(lambda)
  points[at + 2] = Math.sin(phi)
}

/**
 * Finds the first rule with a geo that contains a place. A country is compared without its continent: sources differ.
 */
class GeoMatcher {
  /** Four ints for each geo: rule, continent, country, subdivision; 0 = any. */
  readonly #geos: Int32Array

  constructor(rules: readonly MapRule[]) {
    const geos = rules.flatMap((rule, index) =>
      rule.geos.flatMap((geo) => codesOf(geo).map((codes) => [index, ...codes])),
    )
    this.#geos = Int32Array.from(geos.flat())
  }

  /** The rule's index; −1 = none. `codes[at…]`: continent, country, subdivision. */
  match(codes: Int32Array, at: number): number {
    for (let i = 0; i < this.#geos.length; i += 4) {
      if (this.#fits(i + 1, codes[at]!) && this.#fits(i + 2, codes[at + 1]!) && this.#fits(i + 3, codes[at + 2]!)) {
        return this.#geos[i]!
      }
    }
    return -1
  }

  #fits(i: number, code: number): boolean {
    return this.#geos[i] === 0 || this.#geos[i] === code
  }
}

/** The codes that a place must have for a geo, 0 = any. A US territory is also matched as a country of its own. */
function codesOf({ continent, country, subdivision }: Geo): readonly (readonly number[])[] {
  const codes = [country === undefined ? packCode(continent) : 0, packCode(country), packCode(subdivision)]
  return isTerritory(country, subdivision) ? [codes, [0, packCode(subdivision), 0]] : [codes]
}
