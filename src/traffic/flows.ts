/**
 * CLIENTS BEFORE AND AFTER A CHANGE: the address space, or counted clients, summed up by (area, class before, class
 * after). The place tries of both sides and the class tries of both maps are walked together, so every network is
 * visited exactly once, where the deepest of the four ends. Nothing is sampled. Used by `plan` and by the check of new
 * databases.
 *
 *   places before ─┐
 *   places after  ─┼─▶ a network in which all four say one thing ─▶ cells[place, class, class] += its size
 *   map before    ─┤
 *   map after     ─┘
 *
 * IPv4 is counted in addresses. For IPv6 that makes no sense: DB-IP's Lite database places all unassigned space at the
 * seats of the registries, which is four fifths of the space it places. So IPv6 is counted in networks of /48, the size
 * a customer gets (RFC 6177), and a network that the databases have as a whole counts as one at most.
 */
import type { Prefix } from '../dns/address.ts'
import { type BinaryTrie, leafTrie } from '../geo/binary.ts'
import { unpackCode } from '../geo/codes.ts'
import { foldPrefix } from '../geo/fold.ts'
import { PLACE_FOLDED, PLACE_UNKNOWN, type Places } from '../geo/place.ts'
import type { Trie } from '../geo/trie.ts'
import type { ClientMap } from '../policy/map.ts'

/** Where clients are, as reports show it. */
export interface ClientArea {
  /** Codes; empty = unknown. */
  readonly continent: string
  readonly country: string
}

/** The index of the area of clients without a place. */
export const UNPLACED = 0

/** A number of clients with the same area and the same classes. */
export interface Flow {
  /** Index into Flows.areas. */
  readonly area: number
  /** Classes before and after. */
  readonly before: number
  readonly after: number
  readonly weight: number
}

/** All clients, in each measure. */
export interface Flows {
  readonly areas: readonly ClientArea[]
  /** `ipv4`: addresses; `ipv6`: networks (see above); `clients`: as they were counted. */
  readonly measures: readonly { readonly clients: Measure; readonly flows: readonly Flow[] }[]
}

/** What clients are counted in. */
export type Measure = 'ipv4' | 'ipv6' | 'clients'

/** The places and the client map before or after a change. Without a map all clients have class 0. */
export interface FlowSide {
  readonly places: Places
  readonly map: ClientMap | null
}

/** Counted clients: prefixes with counts. Prefixes may overlap; each counts by itself. Each takes some 26 bytes. */
export class ClientCounts {
  length = 0
  #counts = new Float64Array(1024)
  /** 4 for IPv4, and for IPv6 prefixes that fold. */
  #families = new Uint8Array(1024)
  #bits = new Uint8Array(1024)
  /** Addresses, 16 bytes each. */
  #bytes = new Uint8Array(16 * 1024)

  add(prefix: Prefix, count: number): void {
    const { family, bytes, bits } = foldPrefix(prefix)
    if (this.length === this.#counts.length) {
      this.#counts = grown(this.#counts, Float64Array)
      this.#families = grown(this.#families, Uint8Array)
      this.#bits = grown(this.#bits, Uint8Array)
      this.#bytes = grown(this.#bytes, Uint8Array)
    }
    this.#counts[this.length] = count
    this.#families[this.length] = family
    this.#bits[this.length] = bits
    this.#bytes.set(bytes, 16 * this.length++)
  }

  /** Calls `hear` for each prefix of a family: `bytes[at…]` is its address, `bits` its length. */
  each(family: 4 | 6, hear: (bytes: Uint8Array, at: number, bits: number, count: number) => void): void {
    for (let i = 0; i < this.length; i++) {
      if (this.#families[i] === family) hear(this.#bytes, 16 * i, this.#bits[i]!, this.#counts[i]!)
    }
  }
}

function grown<T extends Float64Array | Uint8Array>(array: T, Kind: new (length: number) => T): T {
  const longer = new Kind(2 * array.length)
  longer.set(array)
  return longer
}

const CUSTOMER_BITS_V6 = 48

/** The flows of the whole address space, each family by itself. */
export function spaceFlows(before: FlowSide, after: FlowSide): Flows {
  const walker = new Walker(before, after)
  const v4 = walker.family(4, (walk) => walk.all(2 ** 32, Infinity))
  const v6 = walker.family(6, (walk) => walk.all(2 ** CUSTOMER_BITS_V6, 1))
  return {
    areas: walker.areas,
    measures: [
      { clients: 'ipv4', flows: v4 },
      { clients: 'ipv6', flows: v6 },
    ],
  }
}

/**
 * The clients of one map by area and class, each family by itself, as flows that stay (`after` is 0). In steps of a few
 * milliseconds each, over a City database: the main thread makes it, and has other things to do in between.
 */
export function* spaceInSteps(side: FlowSide): Generator<void, Flows> {
  const walker = new Walker(side, { places: side.places, map: null })
  const v4 = yield* walker.familyInSteps(4, (walk) => walk.allInSteps(2 ** 32, Infinity, 8))
  const v6 = yield* walker.familyInSteps(6, (walk) => walk.allInSteps(2 ** CUSTOMER_BITS_V6, 1, 20))
  return {
    areas: walker.areas,
    measures: [
      { clients: 'ipv4', flows: v4 },
      { clients: 'ipv6', flows: v6 },
    ],
  }
}

/** The flows of counted clients. The count of a prefix with several places or classes is divided by address space. */
export function clientFlows(before: FlowSide, after: FlowSide, counts: ClientCounts): Flows {
  const walker = new Walker(before, after)
  const flows = ([4, 6] as const).flatMap((family) =>
    walker.family(family, (walk) =>
      counts.each(family, (bytes, at, bits, count) => walk.prefix(bytes, at, bits, count)),
    ),
  )
  return { areas: walker.areas, measures: [{ clients: 'clients', flows }] }
}

class Walker {
  readonly areas: ClientArea[] = [{ continent: '', country: '' }]
  readonly #numbers = new Map<number, number>()
  readonly #before: FlowSide
  readonly #after: FlowSide
  readonly #areaBefore: Int32Array
  readonly #areaAfter: Int32Array

  constructor(before: FlowSide, after: FlowSide) {
    this.#before = before
    this.#after = after
    this.#areaBefore = this.#areasOf(before.places)
    this.#areaAfter = before.places === after.places ? this.#areaBefore : this.#areasOf(after.places)
  }

  family(family: 4 | 6, walk: (of: FamilyWalk) => void): readonly Flow[] {
    const of = this.#walkOf(family)
    walk(of)
    return of.flows()
  }

  *familyInSteps(family: 4 | 6, walk: (of: FamilyWalk) => Generator<void>): Generator<void, readonly Flow[]> {
    const of = this.#walkOf(family)
    yield* walk(of)
    return of.flows()
  }

  #walkOf(family: 4 | 6): FamilyWalk {
    const key = family === 4 ? 'v4' : 'v6'
    const same = this.#before.places === this.#after.places
    const sideOf = ({ places }: FlowSide, area: Int32Array): PlaceSide => ({
      trie: places[key],
      area,
    })
    return new FamilyWalk(
      sideOf(this.#before, this.#areaBefore),
      // if both sides have the same places, one trie is enough
      same ? ONE_PLACE : sideOf(this.#after, this.#areaAfter),
      { trie: this.#before.map?.[key] ?? ONE_CLASS, classes: this.#before.map?.classes.length ?? 1 },
      { trie: this.#after.map?.[key] ?? ONE_CLASS, classes: this.#after.map?.classes.length ?? 1 },
    )
  }

  /** Per place its number among `wheres`. */
  #areasOf({ codes, coordinates }: Places): Int32Array {
    return Int32Array.from({ length: codes.length / 3 }, (_, place) => {
      if (place === PLACE_UNKNOWN || place === PLACE_FOLDED) return UNPLACED
      const continent = codes[3 * place]!
      const country = codes[3 * place + 1]!
      if (continent === 0 && country === 0 && Number.isNaN(coordinates[2 * place]!)) return UNPLACED
      const key = continent * 2 ** 24 + country
      let number = this.#numbers.get(key)
      if (number === undefined) {
        number = this.areas.push({ continent: unpackCode(continent), country: unpackCode(country) }) - 1
        this.#numbers.set(key, number)
      }
      return number
    })
  }
}

interface PlaceSide {
  readonly trie: BinaryTrie
  readonly area: Int32Array
}

const ONE_PLACE: PlaceSide = { trie: leafTrie(PLACE_UNKNOWN), area: new Int32Array(2) }
/** A class trie with one leaf, class 0: only its first entry is ever read. */
const ONE_CLASS: Trie = Int32Array.of(~0)

/**
 * The walk over one family. A cursor into a class trie (geo/trie.ts) is the index of the first entry that the current
 * prefix covers, or ~class once the whole prefix has one class.
 */
class FamilyWalk {
  readonly #before: PlaceSide
  readonly #after: PlaceSide
  readonly #mapBefore: Trie
  readonly #mapAfter: Trie
  readonly #classesBefore: number
  readonly #classesAfter: number
  readonly #cells = new Map<number, number>()
  #spaceOnly = false
  /** The most that a network counts which the databases have as a whole. */
  #most = Infinity
  // networks come in the order of their addresses, and neighbours are often in the same cell
  #last = -1
  #sum = 0

  constructor(
    before: PlaceSide,
    after: PlaceSide,
    mapBefore: { readonly trie: Trie; readonly classes: number },
    mapAfter: { readonly trie: Trie; readonly classes: number },
  ) {
    this.#before = before
    this.#after = after
    this.#mapBefore = mapBefore.trie
    this.#mapAfter = mapAfter.trie
    this.#classesBefore = mapBefore.classes
    this.#classesAfter = mapAfter.classes
  }

  /** Adds all addresses. `weight`: of all together; `most`: of a network that the databases have as a whole. */
  all(weight: number, most: number): void {
    this.#spaceOnly = true
    this.#most = most
    this.#visit(
      this.#before.trie.root,
      this.#after.trie.root,
      cursorAt(this.#mapBefore, 0, 0),
      cursorAt(this.#mapAfter, 0, 0),
      0,
      weight,
    )
  }

  /** As all(), a prefix of so many bits at a time. */
  *allInSteps(weight: number, most: number, bits: number): Generator<void> {
    this.#spaceOnly = true
    this.#most = most
    const { root: p } = this.#before.trie
    const { root: q } = this.#after.trie
    yield* this.#steps(p, q, cursorAt(this.#mapBefore, 0, 0), cursorAt(this.#mapAfter, 0, 0), 0, weight, bits)
  }

  *#steps(p: number, q: number, m: number, n: number, depth: number, space: number, bits: number): Generator<void> {
    if (depth === bits || (p < 0 && q < 0 && m < 0 && n < 0)) {
      this.#visit(p, q, m, n, depth, space)
      yield
      return
    }
    const weight = this.#weightOf(p, q, space)
    const step = half(depth)
    for (const bit of [0, 1]) {
      yield* this.#steps(
        p < 0 ? p : this.#before.trie.nodes[2 * p + bit]!,
        q < 0 ? q : this.#after.trie.nodes[2 * q + bit]!,
        m < 0 ? m : cursorAt(this.#mapBefore, m + bit * step, depth + 1),
        n < 0 ? n : cursorAt(this.#mapAfter, n + bit * step, depth + 1),
        depth + 1,
        weight / 2,
        bits,
      )
    }
  }

  /** The weight of a prefix: that of its space, unless the databases have it as a part of one network. */
  #weightOf(p: number, q: number, space: number): number {
    const isTold = p < 0 && q < 0
    return isTold && space > this.#most && this.#areaOf(~p, ~q) !== UNPLACED ? this.#most : space
  }

  /** Adds the prefix at bytes[at…]; `weight`: of all its clients together. */
  prefix(bytes: Uint8Array, at: number, bits: number, weight: number): void {
    let p = this.#before.trie.root
    let q = this.#after.trie.root
    let m = cursorAt(this.#mapBefore, 0, 0)
    let n = cursorAt(this.#mapAfter, 0, 0)
    for (let depth = 0; depth < bits && (p >= 0 || q >= 0 || m >= 0 || n >= 0); depth++) {
      const bit = (bytes[at + (depth >> 3)]! >> (7 - (depth & 7))) & 1
      const step = bit * half(depth)
      if (p >= 0) p = this.#before.trie.nodes[2 * p + bit]!
      if (q >= 0) q = this.#after.trie.nodes[2 * q + bit]!
      if (m >= 0) m = cursorAt(this.#mapBefore, m + step, depth + 1)
      if (n >= 0) n = cursorAt(this.#mapAfter, n + step, depth + 1)
    }
    this.#visit(p, q, m, n, bits, weight)
  }

  #visit(p: number, q: number, m: number, n: number, depth: number, space: number): void {
    const weight = this.#weightOf(p, q, space)
    if (p < 0 && q < 0 && m < 0 && n < 0) return this.#add(~p, ~q, ~m, ~n, weight)
    const step = half(depth)
    const places = this.#before.trie.nodes
    const others = this.#after.trie.nodes
    this.#visit(
      p < 0 ? p : places[2 * p]!,
      q < 0 ? q : others[2 * q]!,
      m < 0 ? m : cursorAt(this.#mapBefore, m, depth + 1),
      n < 0 ? n : cursorAt(this.#mapAfter, n, depth + 1),
      depth + 1,
      weight / 2,
    )
    this.#visit(
      p < 0 ? p : places[2 * p + 1]!,
      q < 0 ? q : others[2 * q + 1]!,
      m < 0 ? m : cursorAt(this.#mapBefore, m + step, depth + 1),
      n < 0 ? n : cursorAt(this.#mapAfter, n + step, depth + 1),
      depth + 1,
      weight / 2,
    )
  }

  #areaOf(p: number, q: number): number {
    return this.#before.area[p]! || this.#after.area[q]!
  }

  #add(p: number, q: number, m: number, n: number, weight: number): void {
    // clients in such networks are looked up by their IPv4 addresses, so their space is counted once, as IPv4
    if (this.#spaceOnly && (p === PLACE_FOLDED || q === PLACE_FOLDED)) return
    const area = this.#areaOf(p, q)
    const cell = (area * this.#classesBefore + m) * this.#classesAfter + n
    if (cell === this.#last) {
      this.#sum += weight
      return
    }
    this.#flush()
    this.#last = cell
    this.#sum = weight
  }

  #flush(): void {
    if (this.#last >= 0) this.#cells.set(this.#last, (this.#cells.get(this.#last) ?? 0) + this.#sum)
  }

  flows(): readonly Flow[] {
    this.#flush()
    return [...this.#cells].map(([cell, weight]) => {
      const rest = Math.floor(cell / this.#classesAfter)
      return {
        area: Math.floor(rest / this.#classesBefore),
        before: rest % this.#classesBefore,
        after: cell % this.#classesAfter,
        weight,
      }
    })
  }
}

const TABLE_BITS = 16
const NODE_BITS = 4

/** How many entries of a class trie's node the first half of a prefix of this depth covers. */
const half = (depth: number): number =>
  depth < TABLE_BITS ? 1 << (TABLE_BITS - 1 - depth) : 1 << (NODE_BITS - 1 - (depth & (NODE_BITS - 1)))

/**
 * The cursor of a prefix of this depth whose first entry is trie[at]: ~class, the next node's entry, or `at` itself.
 */
function cursorAt(trie: Trie, at: number, depth: number): number {
  const entry = trie[at]!
  if (entry < 0) return (~entry & 255) <= depth ? ~(~entry >>> 8) : at
  return depth >= TABLE_BITS && (depth & (NODE_BITS - 1)) === 0 ? entry : at
}

/**
 * The same flows weighted by country: each country has its weight in `weights` (by code), divided over its networks by
 * space. Other countries have weight 0.
 */
export function weighCountries({ areas, measures }: Flows, weights: ReadonlyMap<string, number>): Flows {
  return {
    areas,
    measures: measures.map(({ clients, flows }) => {
      const space = new Map<string, number>()
      for (const { area, weight } of flows) {
        const { country } = areas[area]!
        space.set(country, (space.get(country) ?? 0) + weight)
      }
      const weighed = flows.map((flow) => {
        if (flow.area === UNPLACED) return flow
        const { country } = areas[flow.area]!
        return { ...flow, weight: (flow.weight / space.get(country)!) * (weights.get(country) ?? 0) }
      })
      return { clients, flows: weighed.filter(({ weight }) => weight > 0) }
    }),
  }
}
