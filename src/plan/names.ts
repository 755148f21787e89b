/**
 * Counts, for `plan`, the names by the service that steers them before and after a change, while the zones are
 * compared. Only counts and a few names are kept, never a list of all names.
 */
import { isRedirecting, lookUp } from '../answer/lookup.ts'
import { entryFor } from '../answer/steer.ts'
import type { World } from '../answer/world.ts'
import { makeQuery, setName } from '../dns/query.ts'
import { TYPE } from '../dns/types.ts'
import { findRRset, N_CUT, N_STEERED, NODE_INTS, S_SERVICE, S_TTL, STEERED_INTS } from '../zone/image.ts'
import { STEERS_A, STEERS_AAAA, STEERS_NAME, Z_AT, Z_SIZE } from '../zone/pack.ts'
import { type Comparison, isSteered, ownerKey, ownerOf, type SetAt } from './records.ts'

/** Some names: how many, and a few examples. */
export interface Names {
  readonly count: number
  readonly some: readonly string[]
}

const SOME_NAMES = 5

/** The service of a steered set. */
export const serviceOf = ({ zone, set }: SetAt): string => zone.services[zone.sets[set + Z_AT]!]!
/** The own TTL of a steered name, in seconds; 0 = none. */
export const ttlOf = ({ zone, set }: SetAt): number => zone.sets[set + Z_SIZE]!

/** Names of one type with the same services before and after; null: the name is static there. */
export interface NameCount {
  readonly before: string | null
  readonly after: string | null
  readonly type: number
  count: number
  readonly some: string[]
}

/** The same, with the same own TTLs before and after; in seconds, 0 = none. */
export interface CapCount extends NameCount {
  readonly capBefore: number
  readonly capAfter: number
}

/** The answer to a name and type: a service, with the name's own TTL; null = static records. */
type Answer = { readonly service: string; readonly capSeconds: number } | null

/** One side of the comparison, for lookups of names that are only written on the other side. */
export type Answering = Pick<World, 'image' | 'services'>

/** Counts names while zones are compared. Call resolveSingles() before counts() and caps(). */
export class NameTally implements Comparison {
  readonly #caps = new Map<string, CapCount>()
  readonly #counts = new Map<string, NameCount>()
  /** Sets that only one side has. */
  readonly #single: SetAt[] = []

  steered(before: SetAt, after: SetAt): void {
    this.#countSteered(answerAt(before), answerAt(after), after)
  }

  differs(before: SetAt | undefined, after: SetAt | undefined): void {
    if (before === undefined || after === undefined) {
      const here = after ?? before!
      if (isSteered(here) || ADDRESSED.has(here.type)) this.#single.push(here)
    } else if (isSteered(before) || isSteered(after)) {
      this.#count(isSteered(before) ? serviceOf(before) : null, isSteered(after) ? serviceOf(after) : null, after)
    }
  }

  /** Looks up on both sides the names that only one writes. A name without an answer on one side is not counted. */
  resolveSingles(before: Answering, after: Answering): void {
    const settled = new Set<string>()
    for (const here of this.#single) {
      // an alias stands for both types
      for (const type of here.type === TYPE.CNAME ? [TYPE.A, TYPE.AAAA] : [here.type]) {
        const key = `${type} ${ownerKey(here)}`
        if (settled.has(key)) continue
        settled.add(key)
        const owner = Buffer.from(ownerKey(here), 'latin1')
        const [old, now] = [answerOf(before, owner, type), answerOf(after, owner, type)]
        if (old === undefined || now === undefined || (old === null && now === null)) continue
        if (old !== null && now !== null) this.#countSteered(old, now, { ...here, type })
        else this.#count(old?.service ?? null, now?.service ?? null, { ...here, type })
      }
    }
  }

  counts(): readonly NameCount[] {
    return [...this.#counts.values()]
  }

  caps(): readonly CapCount[] {
    return [...this.#caps.values()]
  }

  #countSteered(old: NonNullable<Answer>, now: NonNullable<Answer>, here: SetAt): void {
    const [capBefore, capAfter] = [old.capSeconds, now.capSeconds]
    const key = `${old.service} ${now.service} ${capBefore} ${capAfter} ${here.type}`
    let nameCount = this.#caps.get(key)
    if (nameCount === undefined) {
      nameCount = { before: old.service, after: now.service, type: here.type, count: 0, some: [], capBefore, capAfter }
      this.#caps.set(key, nameCount)
    }
    count(nameCount, here)
    this.#count(old.service, now.service, here)
  }

  #count(before: string | null, after: string | null, here: SetAt): void {
    const key = `${before ?? ''} ${after ?? ''} ${here.type}`
    let nameCount = this.#counts.get(key)
    if (nameCount === undefined)
      this.#counts.set(key, (nameCount = { before, after, type: here.type, count: 0, some: [] }))
    count(nameCount, here)
  }
}

/** The static types that matter to clients who ask for an address. */
const ADDRESSED: ReadonlySet<number> = new Set([TYPE.A, TYPE.AAAA, TYPE.CNAME])

const answerAt = (here: SetAt): NonNullable<Answer> => ({ service: serviceOf(here), capSeconds: ttlOf(here) })

const query = makeQuery()
const found = { encloser: -1 }

/** What respond() finds for a name: itself, or the wildcard at its closest encloser. */
function answerOf(side: Answering, owner: Uint8Array, type: number): Answer | undefined {
  const { image, services } = side
  setName(query, owner, image.seed)
  const node = lookUp(image, query, found)
  if (node < 0 && isRedirecting(image, found.encloser)) return null
  if (node < 0 || image.nodes[node * NODE_INTS + N_CUT]! >= 0) return undefined
  const first = image.nodes[node * NODE_INTS + N_STEERED]!
  const entry = entryFor(side, first, (type === TYPE.A ? STEERS_A : STEERS_AAAA) | STEERS_NAME)
  if (entry >= 0) {
    const at = entry * STEERED_INTS
    return { service: services[image.steered[at + S_SERVICE]!]!.name, capSeconds: image.steered[at + S_TTL]! }
  }
  return findRRset(image, node, type) >= 0 || findRRset(image, node, TYPE.CNAME) >= 0 ? null : undefined
}

function count(nameCount: NameCount, here: SetAt): void {
  if (nameCount.count++ < SOME_NAMES) nameCount.some.push(ownerOf(here))
}
