/**
 * Divides a prober's targets among its threads by a hash of the id, so that a reload moves none. Each thread judges by
 * its own targets whether the prober is cut off (trust.ts), so fewer threads are used when a part would show too few
 * networks.
 */
import { familyOf } from '../dns/address.ts'
import { hashText } from '../hash.ts'
import type { Target } from '../health/target.ts'
import { networkOf, UNRELATED } from './trust.ts'

/** Networks that a part should contain, with a margin for some that fail for their own reasons. */
const ENOUGH = 2 * UNRELATED

/** One part per thread; the last ones are empty when fewer are used. */
export function divide(targets: readonly Target[], threads: number): readonly (readonly Target[])[] {
  const all = countNetworks(targets)
  for (let used = threads; ; used = used >> 1) {
    const parts = Array.from({ length: threads }, (): Target[] => [])
    for (const target of targets) parts[(hashText(target.id) >>> 0) % used]!.push(target)
    const seen = parts.slice(0, used).map(countNetworks)
    if (used === 1 || seen.every((one) => ([4, 6] as const).every((v) => one[v] >= Math.min(ENOUGH, all[v]))))
      return parts
  }
}

function countNetworks(targets: readonly Target[]): Readonly<Record<4 | 6, number>> {
  const networks = { 4: new Set<string>(), 6: new Set<string>() }
  for (const { address } of targets) networks[familyOf(address)].add(networkOf(address))
  return { 4: telling(networks[4].size), 6: telling(networks[6].size) }
}

/** The count, or 0 when it is too low to tell a prober that is cut off from sites that are down. */
const telling = (count: number): number => (count < UNRELATED ? 0 : count)
