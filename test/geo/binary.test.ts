import fc from 'fast-check'
import { expect, test } from 'vitest'
import { maskAddress } from '../../src/dns/address.ts'
import { descend, layOut, leafTrie, merge, type PrefixValue, trieOf } from '../../src/geo/binary.ts'
import { allocateShared } from '../../src/geo/memory.ts'
import { leafDepth, leafValue, walk } from '../../src/geo/trie.ts'

const NONE = 9

/** Few distinct bytes and values, so that prefixes nest, touch and repeat. */
const prefixes = (size: 4 | 16): fc.Arbitrary<PrefixValue[]> =>
  fc.array(
    fc
      .tuple(
        fc.array(fc.constantFrom(0, 1, 128, 255), { minLength: size, maxLength: size }),
        fc.oneof(
          fc.integer({ min: 0, max: size * 8 }),
          fc.integer({ min: 12, max: 33 }).map((bits) => Math.min(bits, size * 8)),
        ),
        fc.integer({ min: 0, max: 3 }),
      )
      .map(([bytes, bits, value]) => ({ bytes: maskAddress(Uint8Array.from(bytes), bits), bits, value })),
    { maxLength: 12 },
  )

const toInteger = (bytes: Uint8Array): bigint => bytes.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n)

function toBytes(address: bigint, size: number): Uint8Array {
  return Uint8Array.from({ length: size }, (_, i) => Number((address >> BigInt(8 * (size - 1 - i))) & 255n))
}

/** The reference: longest prefix by looking at all, the first of equals. */
function naive(list: readonly PrefixValue[], bytes: Uint8Array): number {
  let best: PrefixValue | undefined
  for (const prefix of list) {
    const inside = Buffer.compare(maskAddress(bytes, prefix.bits), prefix.bytes) === 0
    if (inside && (best === undefined || prefix.bits > best.bits)) best = prefix
  }
  return best?.value ?? NONE
}

/** Every address at which a value can change: the starts of prefixes and what comes behind them. */
function edges(list: readonly PrefixValue[], size: number): bigint[] {
  const all = 1n << BigInt(size * 8)
  const found = list.flatMap(({ bytes, bits }) => {
    const start = toInteger(bytes)
    return [start, start + (1n << BigInt(size * 8 - bits))]
  })
  return [0n, ...found.filter((address) => address < all)]
}

/** Whether all of bytes/bits has one value: it does if its start and every edge inside agree. */
function isUniform(
  at: readonly bigint[],
  valueOf: (bytes: Uint8Array) => number,
  bytes: Uint8Array,
  bits: number,
): boolean {
  const start = toInteger(maskAddress(bytes, bits))
  const end = start + (1n << BigInt(bytes.length * 8 - bits))
  const value = valueOf(toBytes(start, bytes.length))
  return at.every((edge) => edge < start || edge >= end || valueOf(toBytes(edge, bytes.length)) === value)
}

test.each([4, 16] as const)(
  '%d bytes: value and depth of the binary and the laid out form equal the reference',
  (size) => {
    fc.assert(
      fc.property(prefixes(size), (list) => {
        const binary = trieOf(list, NONE)
        const trie = layOut(binary, allocateShared, (value) => value)
        const at = edges(list, size)
        for (const edge of at) {
          const bytes = toBytes(edge, size)
          const found = walk(trie, bytes, 0)
          expect(found).toBe(descend(binary, bytes))
          expect(leafValue(found)).toBe(naive(list, bytes))
          const depth = leafDepth(found)
          expect(isUniform(at, (one) => naive(list, one), bytes, depth)).toBe(true)
          if (depth > 0) expect(isUniform(at, (one) => naive(list, one), bytes, depth - 1)).toBe(false)
        }
      }),
      { numRuns: 200 },
    )
  },
)

test.each([4, 16] as const)('%d bytes: a merge is the combination at every address, as wide as can be', (size) => {
  fc.assert(
    fc.property(prefixes(size), prefixes(size), (a, b) => {
      const valueOf = (bytes: Uint8Array): number => Math.max(naive(a, bytes) % 4, naive(b, bytes) % 3)
      const merged = merge(trieOf(a, NONE), trieOf(b, NONE), (x, y) => Math.max(x % 4, y % 3))
      const at = [...edges(a, size), ...edges(b, size)]
      for (const edge of at) {
        const bytes = toBytes(edge, size)
        const found = descend(merged, bytes)
        expect(leafValue(found)).toBe(valueOf(bytes))
        expect(isUniform(at, valueOf, bytes, leafDepth(found))).toBe(true)
        if (leafDepth(found) > 0) expect(isUniform(at, valueOf, bytes, leafDepth(found) - 1)).toBe(false)
      }
      for (let n = 0; n < merged.nodes.length; n++) expect(merged.nodes[n]!).toBeLessThan(n >> 1) // post-order
    }),
    { numRuns: 200 },
  )
})

test('one leaf is found everywhere at depth 0', () => {
  const trie = layOut(leafTrie(5), allocateShared, (value) => value + 1)
  expect([
    leafValue(walk(trie, Uint8Array.of(255, 255, 255, 255), 0)),
    leafDepth(walk(trie, new Uint8Array(16), 0)),
  ]).toEqual([6, 0])
})

test('host routes at full depth, read from the middle of an array', () => {
  const bytes = Uint8Array.of(7, 7, 192, 0, 2, 1)
  const trie = layOut(
    trieOf([{ bytes: bytes.slice(2), bits: 32, value: 2 ** 23 - 1 }], 0),
    allocateShared,
    (value) => value,
  )
  expect([leafValue(walk(trie, bytes, 2)), leafDepth(walk(trie, bytes, 2))]).toEqual([2 ** 23 - 1, 32])
  const v6 = layOut(
    trieOf([{ bytes: new Uint8Array(16).fill(255), bits: 128, value: 3 }], 0),
    allocateShared,
    (value) => value,
  )
  expect([
    leafValue(walk(v6, new Uint8Array(16).fill(255), 0)),
    leafDepth(walk(v6, new Uint8Array(16).fill(255), 0)),
  ]).toEqual([3, 128])
})

function dirty(bytes: number): SharedArrayBuffer {
  const buffer = new SharedArrayBuffer(bytes + 4096)
  new Int32Array(buffer).fill(12_345)
  return buffer
}

test('a layout in memory that is longer and dirty', () => {
  const binary = trieOf([{ bytes: Uint8Array.of(10, 0, 0, 0), bits: 21, value: 1 }], 0)
  expect(layOut(binary, dirty, (value) => value)).toEqual(layOut(binary, allocateShared, (value) => value))
})
