/** Large lists of prefixes: who gets an address, and in how wide a network everybody gets the same, against a plain look-up. */
import { expect, test } from 'vitest'
import { formatAddress, maskAddress } from '../../src/dns/address.ts'
import { type BinaryTrie, descend, trieOfRuns } from '../../src/geo/binary.ts'
import { type PackedPrefixes, PrefixTableBuilder } from '../../src/geo/prefixes.ts'
import { seeded } from '../answer/fixture.ts'

const LISTS = 3
const EACH = 20_000
const PROBES = 4000
const random = seeded(31)
const below = (most: number): number => random() % most

/** Few first bytes and all lengths, so that thousands nest in each other and adjoin. */
function address(size: 4 | 16): Uint8Array {
  const bytes = Uint8Array.from({ length: size }, () => below(256))
  bytes[0] = size === 4 ? 10 + below(4) : 0x24 + below(2)
  if (size === 16) bytes.fill(0, 2, 4)
  return bytes
}

/** By length and text of the network: the first list that has it. */
type Naive = ReadonlyMap<string, number>
const keyOf = (bytes: Uint8Array, bits: number): string => `${formatAddress(maskAddress(bytes, bits))}/${bits}`

function naive(known: Naive, bytes: Uint8Array): number {
  for (let bits = 8 * bytes.length; bits >= 0; bits--) {
    const list = known.get(keyOf(bytes, bits))
    if (list !== undefined) return list
  }
  return 0
}

function make(size: 4 | 16): { readonly trie: BinaryTrie; readonly known: Naive; readonly edges: readonly number[] } {
  const known = new Map<string, number>()
  const edges = new Set([0])
  const runs: (PackedPrefixes & { value: number })[] = []
  for (let list = 1; list <= LISTS; list++) {
    const builder = new PrefixTableBuilder()
    for (let i = 0; i < EACH; i++) {
      const bits = size === 4 ? 8 + below(25) : 12 + below(60)
      const bytes = maskAddress(address(size), bits)
      builder.add({ family: size === 4 ? 4 : 6, bytes, bits })
      const key = keyOf(bytes, bits)
      if (!known.has(key)) known.set(key, list)
      const start = Buffer.from(bytes).readUInt32BE()
      edges.add(start).add(start + 2 ** (32 - Math.min(bits, 32)))
    }
    const table = builder.done()
    runs.push({ ...(size === 4 ? table.v4 : table.v6), value: list })
  }
  return { trie: trieOfRuns(runs, 0), known, edges: [...edges].toSorted((a, b) => a - b) }
}

const made = { 4: make(4), 16: make(16) }

test.each([4, 16] as const)(
  'of 60,000 prefixes of %i bytes the longest wins, of equal ones the first list’s',
  (size) => {
    const { trie, known } = made[size]
    for (let i = 0; i < PROBES; i++) {
      const bytes = address(size)
      const found = Math.floor(descend(trie, bytes) / 256)
      expect([formatAddress(bytes), found]).toEqual([formatAddress(bytes), naive(known, bytes)])
    }
  },
)

function valueAt(at: number): number {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(at)
  return naive(made[4].known, bytes)
}

/** Whether all IPv4 addresses from `start` to before `end` have one value. */
function isUniform(start: number, end: number): boolean {
  const value = valueAt(start)
  return made[4].edges.every((edge) => edge <= start || edge >= end || valueAt(edge) === value)
}

test('the depth is that of the widest network with one value, and no wider', () => {
  for (let i = 0; i < PROBES / 20; i++) {
    const bytes = address(4)
    const depth = descend(made[4].trie, bytes) % 256
    const uniform = [depth, depth - 1].map((bits) => {
      const start = Buffer.from(maskAddress(bytes, bits)).readUInt32BE()
      return isUniform(start, start + 2 ** (32 - bits))
    })
    expect([formatAddress(bytes), depth, ...uniform]).toEqual([formatAddress(bytes), depth, true, false])
  }
})
