/**
 * Which probers check which target: rendezvous (highest random weight; Thaler and Ravishankar, 1998), taken in turn over
 * the regions. Pure, and by names alone, so that probers that know of each other agree without a word. A prober that
 * leaves moves its own targets only; one that joins takes its share, and nothing else moves.
 *
 *   target ─▶ regions in its own order ─▶ the best prober of each ─▶ the second best of each ─▶ … until there are `probers`
 */
import { hash } from 'node:crypto'

export interface Assignee {
  readonly name: string
  readonly region: string
}

/** Names of the probers of a target, the first choice first. */
export type Assign = (target: string, probers: number) => readonly string[]

/** For many targets: what depends on the probers alone is worked out once. Their order doesn't matter. */
export function makeAssignment(probers: readonly Assignee[]): Assign {
  const byRegion = new Map<string, Ranked[]>()
  for (const { name, region } of probers.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    const members = byRegion.get(region) ?? []
    members.push({ name, key: keyOf(`prober ${name}`), weight: 0 })
    byRegion.set(region, members)
  }
  const regions = [...byRegion]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, members]) => ({ name, key: keyOf(`region ${name}`), weight: 0, members }))
  return (target, wanted) => {
    const key = keyOf(target)
    const ranked = rank(regions, key).map(({ members }) => rank(members, key))
    const names: string[] = []
    for (let turn = 0; names.length < Math.min(wanted, probers.length); turn++)
      for (const members of ranked) {
        const member = members[turn]
        if (member !== undefined && names.length < wanted) names.push(member.name)
      }
    return names
  }
}

/** min(`wanted`, probers) distinct names, from as many regions as there can be. */
export const assign = (target: string, wanted: number, probers: readonly Assignee[]): readonly string[] =>
  makeAssignment(probers)(target, wanted)

interface Ranked {
  readonly name: string
  readonly key: number
  weight: number
}

/** Heaviest first; equal weights, of which there is one in 2^32, by name. */
function rank<T extends Ranked>(entries: T[], key: number): readonly T[] {
  for (const entry of entries) entry.weight = mix(entry.key ^ key)
  return entries.toSorted((a, b) => b.weight - a.weight || (a.name < b.name ? -1 : 1))
}

const keyOf = (text: string): number => hash('sha256', text, 'buffer').readInt32LE(0)

/** Every bit of the word moves every other (the finalizer of MurmurHash3, public domain by A. Appleby). */
function mix(word: number): number {
  let h = word
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return h ^ (h >>> 16)
}
