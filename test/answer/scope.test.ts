/**
 * RFC 7871 §7.2.1 as a property: whatever scope an answer has, every client inside it gets the same answer section, at
 * the same health. And two nodes that were told the same in another order answer alike to the byte.
 */
import { beforeAll, expect, test } from 'vitest'
import { respond } from '../../src/answer/answer.ts'
import { makeRequest } from '../../src/answer/responder.ts'
import { parsePrefix } from '../../src/dns/address.ts'
import { decodeMessage, encodeQuery } from '../../src/dns/message.ts'
import { isFault } from '../../src/dns/name.ts'
import { DOWN, DRAINED, healthWord, UNPROVEN, UP, type HealthState } from '../../src/health/table.ts'
import { FIXTURE } from '../support/mmdb.ts'
import { makeNode, seeded, type TestNode } from './fixture.ts'

const DEFAULTS = 'soa: {mname: ns1.example.net., rname: hostmaster.example.net., serial: 7, minimum: 60}\n'
const SITES: Readonly<Record<string, string>> = {
  ams: '{location: [52.31, 4.76], region: eu, capacity: 100}',
  fra: '{location: [50.11, 8.68], region: eu, capacity: 300}',
  iad: '{location: [38.95, -77.45], region: us, capacity: 200}',
  lax: '{location: [33.94, -118.41], region: us, capacity: 100}',
  nrt: '{location: [35.77, 140.39], region: ap, capacity: 100}',
  sin: '{location: [1.36, 103.99], region: ap, capacity: 200}',
}
const NAMES = Object.keys(SITES)

/** Sites of a service, each with IPv4 VIPs and all but one with IPv6 ones; the block gives them their addresses. */
const sitesOf = (block: number, vips: number): string =>
  NAMES.map((name, s) => {
    const four = Array.from({ length: vips }, (_, v) => `192.0.${block}.${s * 10 + v}`)
    const six = name === 'lax' ? [] : [`"2001:db8:${block}:${s}::1"`]
    return `    ${name}: {vips: [${[...four, ...six].join(', ')}], weight: ${50 + 40 * s}}\n`
  }).join('')

const SERVICES: Readonly<Record<string, string>> = {
  near: `  sites:\n${sitesOf(1, 1)}  order: nearest\n  check: none\n`,
  spread: `  sites:\n${sitesOf(2, 3)}  order: nearest\n  spread: 1500km\n  answers: 2\n  check: none\n`,
  ruled: `  sites:\n${sitesOf(3, 1)}  order: nearest
  check: none
  rules:
    - {subnets: [82.0.0.0/8], order: [sin, iad]}
    - {subnets: [82.64.0.0/12, "2a01:e00::/28"], order: [[nrt, sin]]}
    - {subnets: [82.64.1.0/24], order: [iad, fra], only: true}
    - {asns: [64501, AS64502], order: [[nrt, sin]], pick: random}
    - {geos: [NA-US-CA], asns: [4200000000], order: [[lax, iad], fra]}
    - {geos: [AS], order: [sin]}
`,
  drawn: `  sites:\n${sitesOf(5, 2)}  order: [[ams, fra], iad]
  pick: random
  answers: 1
  spill: 3
  check: none
  rules: [{asns: [64500], geos: [AF], order: [[ams, fra, nrt]], pick: hash}]
`,
  tailed: `  sites:\n${sitesOf(4, 2)}  order: nearest\n  candidates: 2\n  minVips: 2\n  check: none\n`,
}

const file = (entries: Readonly<Record<string, string>>, names: readonly string[]): string =>
  names.map((name) => `${name}:${entries[name]!.startsWith(' ') ? '\n' : ' '}${entries[name]!}\n`).join('')

const steeredNames = (names: readonly string[]): string =>
  names.map((name) => `${name}: {type: GSLB, service: ${name}}\n`).join('')

const APEX = '"": {type: NS, values: [ns1.example.net., ns2.example.net.]}\n'
const STATIC = 'static: {type: A, values: [192.0.2.80, 192.0.2.81]}\nalias: {type: CNAME, value: static.example.com.}\n'

const plain = {
  'defaults.yaml': DEFAULTS,
  'sites.yaml': file(SITES, NAMES),
  'services.yaml': file(SERVICES, Object.keys(SERVICES)),
  'example.com.yaml': APEX + steeredNames(Object.keys(SERVICES)) + STATIC,
}
/** The same, told in another order and in other files. */
const shuffled = {
  'services/b.yaml': file(SERVICES, ['tailed', 'near', 'drawn']),
  'services/a.yaml': file(SERVICES, ['spread', 'ruled']),
  'example.com.yaml': STATIC + steeredNames(Object.keys(SERVICES).toReversed()) + APEX,
  'sites.yaml': file(SITES, NAMES.toReversed()),
  'defaults.yaml': DEFAULTS,
}

let node: TestNode
let other: TestNode

beforeAll(async () => {
  node = await makeNode(plain)
  other = await makeNode(shuffled, 3)
})

const out = new Uint8Array(4096)
const resolver = Uint8Array.of(126, 1, 1, 1)

/** The whole response to one ECS query, in a copy. */
function answer(from: TestNode, name: string, type: string, ecs: string, chance: number): Uint8Array {
  const query = encodeQuery({ name: `${name}.example.com.`, type, id: 1, edns: { payload: 1232, ecs } })
  from.responder.chance = chance
  const size = respond(from.responder, makeRequest({ input: query, client: resolver, output: out }))
  return out.slice(0, size)
}

function read(bytes: Uint8Array): { readonly records: string; readonly scope: number; readonly count: number } {
  const message = decodeMessage(bytes)
  if (isFault(message)) throw new Error(message.fault)
  const records = JSON.stringify([message.rcode, message.answer, message.authority])
  return { records, scope: message.edns!.ecs!.scope, count: message.answer.length }
}

const STATES: readonly HealthState[] = [UP, UP, UP, UP, DOWN, UNPROVEN, DRAINED]

/** The same random health on both nodes. */
function shake(random: () => number, shares: boolean): void {
  for (const member of node.slots.keys()) {
    const share = shares && random() % 3 === 0 ? (random() % 10) * 100 : 1000
    const word = healthWord(STATES[random() % STATES.length]!, share, random() % 2 === 0)
    node.set(member, word)
    other.set(member, word)
  }
}

const toText = (bytes: readonly number[]): string =>
  bytes.length === 4
    ? bytes.join('.')
    : Array.from({ length: 8 }, (_, i) => ((bytes[2 * i]! << 8) | bytes[2 * i + 1]!).toString(16)).join(':')

/** `keep` bits of the address, the others by chance. */
function within(address: readonly number[], keep: number, random: () => number): number[] {
  return address.map((byte, i) => {
    const kept = Math.max(0, Math.min(8, keep - 8 * i))
    const mask = 255 >>> kept
    return (byte & ~mask) | (random() & mask)
  })
}

/** A client near the edges of the database's networks, or anywhere, or behind an address that embeds IPv4. */
function client(random: () => number): number[] {
  const network = parsePrefix(FIXTURE[random() % FIXTURE.length]!.prefix)!
  const kind = random() % 8
  if (kind === 0) return Array.from({ length: network.family === 4 ? 4 : 16 }, () => random() & 255)
  const address = within([...network.bytes], network.bits, random)
  if (network.family === 6 || kind > 3) return address
  if (kind === 1) return [0x20, 2, ...address, ...Array.from({ length: 10 }, () => 0)]
  return [...Array.from({ length: 10 }, () => 0), 255, 255, ...address]
}

test('every client inside the scope gets the same answer', () => {
  const random = seeded(20_261_123)
  const scopes = new Set<number>()
  for (let round = 0; round < 40; round++) {
    shake(random, round % 2 === 1)
    for (let i = 0; i < 60; i++) {
      const name = Object.keys(SERVICES)[random() % 4]!
      const type = random() % 3 === 0 ? 'AAAA' : 'A'
      const address = client(random)
      const bits = address.length * 8
      const chance = random()
      const one = read(answer(node, name, type, `${toText(address)}/${bits}`, chance))
      scopes.add(one.scope)
      expect(one.scope).toBeLessThanOrEqual(bits)
      for (let n = 0; n < 6; n++) {
        const neighbour = toText(within(address, one.scope, random))
        const got = read(answer(node, name, type, `${neighbour}/${bits}`, chance))
        expect({ neighbour, ...got }).toEqual({ neighbour, ...one })
      }
    }
  }
  expect(scopes.size).toBeGreaterThan(12)
})

test('two nodes told the same in another order answer 10,000 queries alike to the byte', () => {
  const random = seeded(42)
  let filled = 0
  const names = [...Object.keys(SERVICES), 'static', 'alias', 'nothing']
  for (let i = 0; i < 10_000; i++) {
    if (i % 500 === 0) shake(random, i % 1000 === 0)
    const address = client(random)
    const bits = 1 + (random() % (address.length * 8))
    const prefix = `${toText(within(address, bits, () => 0))}/${bits}`
    const name = names[random() % names.length]!
    const type = ['A', 'AAAA', 'TXT'][random() % 3]!
    const chance = random()
    const one = answer(node, name, type, prefix, chance)
    expect(Buffer.compare(one, answer(other, name, type, prefix, chance))).toBe(0)
    if (read(one).count > 0) filled++
  }
  expect(filled).toBeGreaterThan(4000)
})

test('types at a name never depend on the client: an IPv4-only site gives IPv6 clients the next site’s addresses', () => {
  const random = seeded(7)
  for (const member of node.slots.keys()) node.set(member, healthWord(UP, 1000, true))
  for (let i = 0; i < 500; i++) {
    const address = client(random)
    for (const type of ['A', 'AAAA']) {
      const got = read(answer(node, 'near', type, `${toText(address)}/${address.length * 8}`, i))
      expect(got.count).toBe(1)
    }
  }
})

test.each([
  ['2002::/16', 24],
  ['2002:5240::/23', 24],
  ['::ffff:0.0.0.0/96', 104],
  ['64:ff9b::/100', 104],
  ['2001::/56', 104],
])('%s says too little to fold, and its answer is not for those who fold', (ecs, least) => {
  expect(read(answer(node, 'near', 'A', ecs, 1)).scope).toBeGreaterThanOrEqual(least)
})
