/**
 * Assigns targets to probers by rendezvous hashing (highest random weight; Thaler and Ravishankar, 1998), taking
 * regions in turn. Pure, and by names alone, so probers that know each other agree without communicating. When a prober
 * leaves, only its own targets move; when one joins, it takes its share and nothing else moves.
 *
 *   target ─▶ regions in its own order ─▶ the best prober of each ─▶ the second best of each ─▶ … until `probers`
 */
import { hash } from 'node:crypto'
import { mix } from '../hash.ts'

/** A prober that can be assigned targets. */
export interface Assignee {
  readonly name: string
  readonly region: string
}

/** Names of the probers of a target, the first choice first. */
export type Assign = (target: string, probers: number) => readonly string[]

/**
 * An assignment for many targets, which computes once what depends on the probers alone. Their order does not matter.
 */
export function makeAssignment(probers: readonly Assignee[]): Assign {
  const byRegion = new Map<string, string[]>()
  for (const { name, region } of probers) {
    const members = byRegion.get(region)
    if (members === undefined) byRegion.set(region, [name])
    else members.push(name)
  }
  const regions = candidatesOf('region', [...byRegion.keys()])
  const members = regions.names.map((region) => candidatesOf('prober', byRegion.get(region)!))
  return (target, wanted) => {
    const key = keyOf(target)
    // no more regions than are wanted have a turn, nor more members of each
    const chosen = heaviest(regions, key, wanted).map((region) => {
      const { names: all } = members[region]!
      return heaviest(members[region]!, key, wanted).map((member) => all[member]!)
    })
    const names: string[] = []
    for (let turn = 0; names.length < Math.min(wanted, probers.length); turn++)
      for (const best of chosen) {
        const name = best[turn]
        if (name !== undefined && names.length < wanted) names.push(name)
      }
    return names
  }
}

/** min(`wanted`, probers) distinct names, from as many regions as possible. */
export const assign = (target: string, wanted: number, probers: readonly Assignee[]): readonly string[] =>
  makeAssignment(probers)(target, wanted)

interface Candidates {
  /** Sorted, so that the first wins between equal weights (one in 2^32). */
  readonly names: readonly string[]
  readonly keys: Int32Array
}

function candidatesOf(what: 'region' | 'prober', names: readonly string[]): Candidates {
  const sorted = names.toSorted((a, b) => (a < b ? -1 : 1))
  return { names: sorted, keys: Int32Array.from(sorted, (name) => keyOf(`${what} ${name}`)) }
}

/**
 * Indexes of the `most` heaviest candidates, the heaviest first. Linear in the candidates: forged probers must not stop
 * a real one.
 */
function heaviest({ keys }: Candidates, key: number, most: number): readonly number[] {
  const places: number[] = []
  const weights: number[] = []
  for (let place = 0; place < keys.length; place++) {
    const weight = mix(keys[place]! ^ key)
    let at = places.length
    while (at > 0 && weight > weights[at - 1]!) at--
    if (at === most) continue
    places.splice(at, 0, place)
    weights.splice(at, 0, weight)
    places.length = weights.length = Math.min(most, places.length)
  }
  return places
}

const keyOf = (text: string): number => hash('sha256', text, 'buffer').readInt32LE(0)
