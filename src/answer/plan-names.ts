/** Which names are steered by what, before and after: counted while the zones are compared, for `plan`. */
import { TYPE } from '../dns/types.ts'
import { type Comparison, isSteered, ownerKey, ownerOf, type SetAt } from '../zone/compare.ts'
import { Z_AT, Z_SIZE } from '../zone/pack.ts'

export interface Names {
  readonly count: number
  /** A few of them. */
  readonly some: readonly string[]
}

const SOME_NAMES = 5

/** Of a steered set. */
export const serviceOf = ({ zone, set }: SetAt): string => zone.services[zone.sets[set + Z_AT]!]!
export const ttlOf = ({ zone, set }: SetAt): number => zone.sets[set + Z_SIZE]!

/** Names that are steered alike on both sides. */
export interface Unit {
  readonly before: string | null
  readonly after: string | null
  readonly type: number
  count: number
  readonly some: string[]
}

/** The same, apart by their own TTLs. */
export interface CapUnit extends Unit {
  readonly capBefore: number
  readonly capAfter: number
}

/** Who was steered by what, and is now: counts, a few names, and no list of all. */
export class NameTally implements Comparison {
  readonly #caps = new Map<string, CapUnit>()
  readonly #units = new Map<string, Unit>()
  // what only one side has, by type and owner: a name may have left one zone for another, or a CNAME for a service
  readonly #gone = new Map<string, SetAt>()
  readonly #come = new Map<string, SetAt>()

  steered(before: SetAt, after: SetAt): void {
    const [old, now, capBefore, capAfter] = [serviceOf(before), serviceOf(after), ttlOf(before), ttlOf(after)]
    const key = `${old} ${now} ${capBefore} ${capAfter} ${after.type}`
    let unit = this.#caps.get(key)
    if (unit === undefined) {
      unit = { before: old, after: now, type: after.type, count: 0, some: [], capBefore, capAfter }
      this.#caps.set(key, unit)
    }
    count(unit, after)
    this.#count(old, now, after)
  }

  differs(before: SetAt | undefined, after: SetAt | undefined): void {
    if (before !== undefined && after !== undefined) {
      if (isSteered(before) || isSteered(after)) this.#count(steeredBy(before), steeredBy(after), after)
      return
    }
    const here = after ?? before!
    if (!isSteered(here) && !STATIC_TYPES.has(here.type)) return
    const side = before === undefined ? this.#come : this.#gone
    side.set(keyOf(here, here.type), here)
  }

  /** What was only on one side, brought together; what then is alone has no clients before, or none after. */
  settle(): void {
    for (const now of this.#come.values()) {
      if (!isSteered(now)) continue
      const old = this.#gone.get(keyOf(now, now.type)) ?? this.#gone.get(keyOf(now, TYPE.CNAME))
      if (old !== undefined && isSteered(old)) this.steered(old, now)
      else if (old !== undefined) this.#count(null, serviceOf(now), now)
    }
    for (const old of this.#gone.values()) {
      if (!isSteered(old) || isSteeredIn(this.#come, old)) continue
      const now = this.#come.get(keyOf(old, old.type)) ?? this.#come.get(keyOf(old, TYPE.CNAME))
      if (now !== undefined) this.#count(serviceOf(old), null, old)
    }
  }

  units(): readonly Unit[] {
    return [...this.#units.values()]
  }

  caps(): readonly CapUnit[] {
    return [...this.#caps.values()]
  }

  #count(before: string | null, after: string | null, here: SetAt): void {
    const key = `${before ?? ''} ${after ?? ''} ${here.type}`
    let unit = this.#units.get(key)
    if (unit === undefined) this.#units.set(key, (unit = { before, after, type: here.type, count: 0, some: [] }))
    count(unit, here)
  }
}

/** What a name may have had, or have, in place of being steered. */
const STATIC_TYPES: ReadonlySet<number> = new Set([TYPE.A, TYPE.AAAA, TYPE.CNAME])

const keyOf = (here: SetAt, type: number): string => `${type} ${ownerKey(here)}`
const steeredBy = (here: SetAt): string | null => (isSteered(here) ? serviceOf(here) : null)

function isSteeredIn(side: ReadonlyMap<string, SetAt>, here: SetAt): boolean {
  const found = side.get(keyOf(here, here.type))
  return found !== undefined && isSteered(found)
}

function count(unit: Unit, here: SetAt): void {
  if (unit.count++ < SOME_NAMES) unit.some.push(ownerOf(here))
}
