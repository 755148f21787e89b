/**
 * Coverage: of how much of the address space the databases tell something. Read by world/, which compares it with what
 * the zones need.
 */
import type { BinaryTrie } from './binary.ts'
import { PLACE_FOLDED, PLACE_UNKNOWN, type Places } from './place.ts'
import type { FamilyTries } from './tree.ts'

/** What databases tell of networks. A country or a continent counts as `countries`. */
export type Fact = 'coordinates' | 'countries' | 'asns'

/**
 * The share (0–1) of a family's addresses of which a fact is known: of all IPv4 addresses; of IPv6's global unicast
 * addresses, 2000::/3 (RFC 4291 §2.4), most of which nobody has been given.
 */
export function coverageOf(places: Places, fact: Fact, family: 4 | 6): number {
  const key = `${fact} ${family}`
  let known = computed.get(places)
  if (known === undefined) computed.set(places, (known = new Map()))
  let share = known.get(key)
  if (share === undefined) known.set(key, (share = compute(places, fact, family)))
  return share
}

/** Each takes up to 0.3 s for databases of the whole world, and places are asked at every load. */
const computed = new WeakMap<Places, Map<string, number>>()

function compute(places: Places, fact: Fact, family: 4 | 6): number {
  const tries: FamilyTries | undefined = fact === 'asns' ? places.asns : places
  if (tries === undefined) return 0
  const told = leavesTelling(places, fact)
  return family === 4 ? shareOf(tries.v4, tries.v4.root, told) : shareOf(tries.v6, below2000(tries.v6), told)
}

/** Per leaf: 1 if it tells the fact, else 0. */
function leavesTelling({ coordinates, codes, asns }: Places, fact: Fact): Uint8Array {
  if (fact === 'asns') return Uint8Array.from(asns?.numbers ?? [], (number) => (number > 0 ? 1 : 0))
  return Uint8Array.from({ length: codes.length / 3 }, (_, place) => {
    if (place === PLACE_UNKNOWN || place === PLACE_FOLDED) return 0
    if (fact === 'coordinates') return Number.isNaN(coordinates[2 * place]!) ? 0 : 1
    return codes[3 * place] !== 0 || codes[3 * place + 1] !== 0 ? 1 : 0
  })
}

/** The entry of 2000::/3. */
function below2000({ nodes, root }: BinaryTrie): number {
  let entry = root
  for (const bit of [0, 0, 1]) if (entry >= 0) entry = nodes[2 * entry + bit]!
  return entry
}

function shareOf({ nodes }: BinaryTrie, root: number, told: Uint8Array): number {
  const below = (entry: number): number =>
    entry < 0 ? told[~entry]! : (below(nodes[2 * entry]!) + below(nodes[2 * entry + 1]!)) / 2
  return below(root)
}
