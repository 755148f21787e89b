/** The table of neighbours against a naive reference, and what it is made of against what Node says. */
import { networkInterfaces } from 'node:os'
import { describe, expect, test } from 'vitest'
import { formatAddress, parseAddress } from '../../src/dns/address.ts'
import { type Linux, linux } from '../../src/linux/calls.ts'
import { Netlink, type Neighbour } from '../../src/linux/netlink.ts'
import { makeNeighbourTables, Neighbours, NeighbourWatch, writeNeighbours } from '../../src/server/neighbours.ts'
import { makeRandom } from '../bench/peers/scene.ts'

const calls = 'missing' in linux ? undefined : linux

const isInside = (address: Uint8Array, net: Uint8Array, bits: number): boolean =>
  Array.from({ length: bits }, (_, i) => ((address[i >> 3]! ^ net[i >> 3]!) >> (7 - (i & 7))) & 1).every(
    (bit) => bit === 0,
  )

const isUnresolved = (table: Neighbours, address: Uint8Array): boolean => {
  const ints = new Int32Array(6)
  new Uint8Array(ints.buffer).set(address, 4)
  return table.isUnresolved(ints, 1)
}

/** An address of 10.0.0.0/8, or of 0a00::/8. */
const numbered = (length: number, n: number): Uint8Array =>
  new Uint8Array(length)
    .fill(10, 0, 1)
    .with(length - 2, n >> 8)
    .with(length - 1, n & 255)

describe.each([4, 6] as const)('IPv%i', (family) => {
  const length = family === 4 ? 4 : 16

  test('unresolved are those on a link whose link address is not known', () => {
    const random = makeRandom(7)
    const below = (n: number): number => Math.floor(random() * n)
    // few values a byte, so that addresses meet; none is all zeros, which is nobody's
    const someAddress = (): Uint8Array => Uint8Array.from({ length }, () => 1 + below(3))
    const some = (most: number): Uint8Array[] => Array.from({ length: below(most) }, someAddress)
    const tables = makeNeighbourTables()
    const table = new Neighbours(tables, family)
    for (let round = 0; round < 60; round++) {
      const addresses = some(4).map((address) => ({
        address,
        bits: 1 + below(length * 8),
        resolves: below(4) > 0,
      }))
      const resolved = some(200)
      const waiting = some(20)
      const neighbours: Neighbour[] = [
        ...resolved.map((address) => ({ address, state: 'resolved' }) as const),
        ...waiting.map((address) => ({ address, state: 'waiting' }) as const),
      ]
      writeNeighbours(tables, family, { addresses, neighbours, room: round })
      expect(table.room()).toBe(round)
      const known = new Set([...resolved, ...addresses.map(({ address }) => address)].map(String))
      const links = [
        ...addresses.filter(({ resolves, bits }) => resolves && bits < length * 8),
        ...waiting.map((address) => ({ address, bits: family === 4 ? 24 : 64 })),
      ]
      for (const address of [...resolved, ...waiting, ...some(50)]) {
        const onLink = links.some((link) => isInside(address, link.address, link.bits))
        expect(isUnresolved(table, address)).toBe(onLink && !known.has(String(address)))
      }
    }
  })

  test('in an empty table nobody is unresolved', () => {
    const table = new Neighbours(makeNeighbourTables(), family)
    for (const last of [0, 1]) expect(isUnresolved(table, new Uint8Array(length).fill(last))).toBe(false)
  })

  test('more neighbours, and links, than fit do no harm', () => {
    const tables = makeNeighbourTables()
    const neighbours = Array.from(
      { length: 20_000 },
      (_, n) => ({ address: numbered(length, n), state: 'resolved' }) as const,
    )
    const addresses = Array.from({ length: 300 }, (_, n) => ({
      address: numbered(length, n).with(1, n & 255),
      bits: length * 8 - 8,
      resolves: true,
    }))
    writeNeighbours(tables, family, { addresses, neighbours, room: 1 })
    const table = new Neighbours(tables, family)
    expect(isUnresolved(table, numbered(length, 5))).toBe(false)
    expect(isUnresolved(table, numbered(length, 5).with(0, 99))).toBe(false)
  })
})

describe.skipIf(calls === undefined)('netlink', () => {
  test('tells the addresses of the machine with their prefixes; the loopback resolves nothing', () => {
    const netlink = new Netlink(calls!)
    const seen = netlink
      .addresses()
      .map(({ address, bits, resolves }) => `${formatAddress(address)}/${bits} ${String(resolves)}`)
    netlink.neighbours()
    netlink.close()
    const known = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? [])
    expect(known.length).toBeGreaterThan(0)
    for (const { cidr, internal } of known) {
      const [address, bits] = cidr!.split('/')
      const found = seen.filter((text) => text.startsWith(`${formatAddress(parseAddress(address!)!)}/${bits} `))
      expect(found).not.toEqual([])
      if (internal) expect(found[0]).toMatch(/ false$/)
    }
  })

  test('where the kernel gives no netlink socket: one warning, and nobody is unresolved', () => {
    const logged: string[] = []
    const sandboxed: Linux = { ...calls!, socket: () => -1, errno: () => 97 }
    const watch = new NeighbourWatch(sandboxed, { 4: 1, 6: 1 }, (level, message) => logged.push(`${level} ${message}`))
    watch.stop()
    expect(logged).toEqual([expect.stringMatching(/^warn the kernel does not tell its neighbours/)])
    expect(isUnresolved(new Neighbours(watch.tables, 4), new Uint8Array([10, 0, 0, 1]))).toBe(false)
  })
})
