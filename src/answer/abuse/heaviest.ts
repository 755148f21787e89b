/**
 * Which networks are limited most: a sketch in the counters of each answering thread (space saving: Metwally, Agrawal,
 * El Abbadi 2005). A network that is not in it takes the place of the one with the least count, and may have had as many
 * responses as that before: its `error`. The main thread reads it once a minute and empties it; what a thread counts in
 * that very moment may be lost.
 */
import { C_HEAVIEST, HEAVIEST, HEAVIEST_CELLS } from '../../counters.ts'
import { formatAddress } from '../../dns/address.ts'

const COUNT = 0
const ERROR = 1
// the network's first 4 bytes (IPv4: 3, and 0), and the 3 after them (IPv4: −1)
const HIGH = 2
const LOW = 3

/** Counts limited responses to the network of the client at client[at…]. */
export function addHeaviest(
  counters: Float64Array,
  family: 4 | 6,
  client: Uint8Array,
  at: number,
  responses: number,
): void {
  const high =
    ((client[at]! << 24) | (client[at + 1]! << 16) | (client[at + 2]! << 8) | (family === 6 ? client[at + 3]! : 0)) >>>
    0
  const low = family === 6 ? (client[at + 4]! << 16) | (client[at + 5]! << 8) | client[at + 6]! : -1
  let least = C_HEAVIEST
  for (let i = C_HEAVIEST; i < C_HEAVIEST + HEAVIEST * HEAVIEST_CELLS; i += HEAVIEST_CELLS) {
    if (counters[i + HIGH] === high && counters[i + LOW] === low && counters[i]! > 0) {
      counters[i]! += responses
      return
    }
    if (counters[i]! < counters[least]!) least = i
  }
  counters[least + ERROR] = counters[least]!
  counters[least]! += responses
  counters[least + HIGH] = high
  counters[least + LOW] = low
}

/** A network that was limited: its prefix, and how many responses at least. */
export interface LimitedNetwork {
  readonly network: string
  readonly count: number
}

/** Reads the sketches of all threads and empties them. The heaviest network comes first. */
export function takeHeaviest(threads: readonly Float64Array[]): readonly LimitedNetwork[] {
  const counts = new Map<string, number>()
  for (const counters of threads) {
    for (let i = C_HEAVIEST; i < C_HEAVIEST + HEAVIEST * HEAVIEST_CELLS; i += HEAVIEST_CELLS) {
      const sure = counters[i + COUNT]! - counters[i + ERROR]!
      if (sure > 0) {
        const network = textOf(counters[i + HIGH]!, counters[i + LOW]!)
        counts.set(network, (counts.get(network) ?? 0) + sure)
      }
    }
    counters.fill(0, C_HEAVIEST, C_HEAVIEST + HEAVIEST * HEAVIEST_CELLS)
  }
  return [...counts].map(([network, count]) => ({ network, count })).toSorted((a, b) => b.count - a.count)
}

function textOf(high: number, low: number): string {
  const bytes = new Uint8Array(low < 0 ? 4 : 16)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, high)
  if (low >= 0) view.setUint32(4, low * 256)
  return `${formatAddress(bytes)}/${low < 0 ? 24 : 56}`
}
