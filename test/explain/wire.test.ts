/**
 * What explain says is what the wire says, whatever client, health and overrides: 10,000 seeded cases against a server over
 * UDP; and what it claims of why holds against facts from elsewhere (facts.ts).
 */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { respond } from '../../src/answer/answer.ts'
import { makeRequest, makeResponder } from '../../src/answer/responder.ts'
import { makeCounters } from '../../src/counters.ts'
import { formatAddress, maskAddress, parseAddress, parsePrefix } from '../../src/dns/address.ts'
import { decodeMessage, encodeQuery, formatRr, type Message } from '../../src/dns/message.ts'
import { isFault } from '../../src/dns/name.ts'
import { explain, type Explanation } from '../../src/explain/explain.ts'
import { type HealthState, healthWord, isCalm, shareOf, stateOf } from '../../src/health/table.ts'
import { seeded } from '../answer/fixture.ts'
import { vote } from '../support/specs.ts'
import { type Case, type Network, wrongIn } from './facts.ts'
import { CLIENTS, NAMES, NETWORKS, OTHER_NAMES, RESOLVERS, type Rig, SERVICES, SITES, startRig } from './rig.ts'

const BATCH = 20
const STATES = ['unproven', 'up', 'down', 'drained', 'forced down', 'recovered']

let written: Rig
let real: Rig
beforeAll(async () => {
  written = await startRig({ real: false, nodeSite: 'gru' })
  real = await startRig({ real: true })
})
afterAll(() => Promise.all([written, real].map((rig) => rig.stop())))

type Random = () => number

const pick = <T>(random: Random, list: readonly T[]): T => list[random() % list.length]!

/** An address in the prefix, any of them. */
function addressIn(random: Random, prefix: string): Uint8Array {
  const { bytes, bits } = parsePrefix(prefix)!
  const noise = bytes.map(() => random() & 255)
  const kept = maskAddress(noise, bits)
  return bytes.map((byte, i) => byte | (noise[i]! ^ kept[i]!))
}

const RULE_SUBNETS = Object.values(SERVICES).flatMap(({ rules = [] }) => rules.flatMap(({ subnets = [] }) => subnets))
const PREFIXES = NETWORKS.map(({ prefix }) => prefix).filter((prefix) => !prefix.startsWith('127.'))
const V4_PREFIXES = PREFIXES.filter((prefix) => prefix.includes('.'))

/** The IPv4 address within an IPv6 one, as each kind has it. */
function fold(kind: NonNullable<Network['fold']>, v4: Uint8Array, random: Random): Uint8Array {
  const bytes = new Uint8Array(16)
  const rest = Uint8Array.from({ length: 10 }, () => random() & 255)
  switch (kind) {
    case 'IPv4-mapped':
      bytes.set([0xff, 0xff, ...v4], 10)
      return bytes
    case 'NAT64':
      bytes.set([0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0, ...v4])
      return bytes
    case '6to4':
      bytes.set([0x20, 2, ...v4, ...rest])
      return bytes
    case 'Teredo':
      bytes.set([0x20, 1, 0, 0, ...rest.subarray(0, 8), ...v4.map((byte) => byte ^ 255)])
      return bytes
    default: {
      const never: never = kind
      throw new Error(String(never))
    }
  }
}

const FOLDS = ['IPv4-mapped', 'NAT64', '6to4', 'Teredo'] as const

/** Placed, unplaced, in a rule's subnet, folded with enough bits and too few, opted out, not told at all. */
function makeClient(random: Random): Network | undefined {
  const kind = random() % 20
  if (kind === 0) return undefined
  if (kind === 1) return { text: '0.0.0.0', bits: 0 }
  if (kind === 2) return { text: pick(random, [CLIENTS.nowhere.v4, CLIENTS.nowhere.v6, '10.1.2.3']), bits: 24 }
  if (kind < 8) {
    const folded = pick(random, FOLDS)
    const v4 = addressIn(random, pick(random, random() % 4 === 0 ? ['24.90.0.0/15', '82.64.0.0/16'] : V4_PREFIXES))
    const bytes = fold(folded, v4, random)
    const offset = folded === '6to4' ? 16 : 96
    const bits = pick(random, [128, offset + 24, offset + (random() % 33), offset - 4, 128])
    return { text: formatAddress(bytes), bits, fold: folded }
  }
  const bytes = addressIn(random, pick(random, kind < 11 ? RULE_SUBNETS : PREFIXES))
  const most = bytes.length * 8
  const bits = pick(random, most === 32 ? [24, 32, 1 + (random() % 32)] : [56, 128, 1 + (random() % 128), 48])
  const isFolded = bytes[0] === 0x20 && bytes[1] === 2
  return { text: formatAddress(bytes), bits, ...(isFolded && { fold: '6to4' as const }) }
}

interface Asked extends Case {
  readonly payload: number
  readonly from: number
}

function makeCase(random: Random, rig: Rig, words: Case['words']): Asked {
  const name = random() % 10 < 8 ? pick(random, Object.keys(NAMES)) : pick(random, OTHER_NAMES)
  const type = name in NAMES ? pick(random, ['A', 'A', 'AAAA']) : pick(random, ['A', 'TXT', 'MX', 'ANY', 'NS', 'DS'])
  const from = random() % RESOLVERS.length
  const payload = pick(random, [512, 1232, 4096])
  const client = makeClient(random)
  return { name, type, client, from, resolver: RESOLVERS[from]!, nodeSite: rig.nodeSite, words, payload }
}

const subnetOf = ({ text, bits }: Network): string => `${text}/${bits}`

function queryOf({ name, type, client, payload }: Asked, id: number): Uint8Array {
  const full = name === '' ? 'example.com.' : `${name}.example.com.`
  return encodeQuery({ id, name: full, type, edns: { payload, ...(client && { ecs: subnetOf(client) }) } })
}

function explained(rig: Rig, { name, type, client, resolver, payload }: Asked, chance = 0): Explanation {
  const full = name === '' ? 'example.com' : `${name}.example.com`
  const who = client === undefined ? { client: resolver, ecs: false } : { client: subnetOf(client) }
  const question = { name: full, type, ...who, resolver, down: [], payload, chance }
  const { world, context } = rig.made
  const told = explain(world, rig.table, context, question, (service) => rig.health?.service(service))
  if (typeof told === 'string') throw new Error(told)
  return told
}

function decoded(bytes: Uint8Array): Message {
  const message = decodeMessage(bytes)
  if (isFault(message)) throw new Error(message.fault)
  return message
}

/** As the table has them now. */
function wordsOf(rig: Rig): Case['words'] {
  return new Map(
    [...rig.slots].map(([member, slot]) => {
      const word = rig.table[slot]!
      return [member, { state: STATES[stateOf(word)]!, share: shareOf(word), calm: isCalm(word) }] as const
    }),
  )
}

/** Asks the server, then explain; time may have changed a word in between, and then asks again. */
async function compare(rig: Rig, random: Random, words: () => Case['words']): Promise<readonly Explanation[]> {
  for (;;) {
    const before = rig.table.slice(0, rig.slots.size)
    const held = words()
    const cases = Array.from({ length: BATCH }, () => makeCase(random, rig, held))
    const replies = await rig.ask(cases.map((one, i) => ({ query: queryOf(one, i + 1), from: one.from })))
    const told = cases.map((one) => explained(rig, one))
    if (Buffer.compare(Buffer.from(before.buffer), Buffer.from(rig.table.slice(0, rig.slots.size).buffer)) !== 0)
      continue
    for (const [i, one] of cases.entries()) {
      const wrong = wrongIn(told[i]!, one, decoded(replies[i]!))
      const asked = { name: one.name, type: one.type, client: one.client, resolver: one.resolver, payload: one.payload }
      expect(wrong, JSON.stringify(asked)).toEqual([])
    }
    return told
  }
}

/** What must have come up for a run to have shown anything. */
function coverage(told: readonly Explanation[]): ReadonlyMap<string, number> {
  const seen = new Map<string, number>()
  const count = (what: string): void => void seen.set(what, (seen.get(what) ?? 0) + 1)
  for (const { outcome, wire, steering, ttl } of told) {
    count(outcome)
    if (wire.truncated) count('truncated')
    if (steering === undefined) continue
    count(`of ${steering.place.of}`)
    count(`ttl ${ttl?.from}`)
    if (steering.place.folded !== null) count(steering.place.folded.from)
    if (steering.matched !== null) count(`by ${steering.matched.by}`)
    if (steering.fence) count('fence')
    if (steering.values) count('values')
    if (steering.lastResort) count('last resort')
    if (steering.hashed) count('hashed')
    count(`stage ${steering.stage}`)
    const rivals = steering.walk.filter(({ stage, score }) => stage === steering.stage && score !== undefined)
    if (new Set(rivals.map(({ group }) => group)).size > 1) count('spilled')
    count(steering.pickBy)
  }
  return seen
}

const OUTCOMES = ['steered', 'records', 'cname', 'nodata', 'nxdomain', 'delegation', 'any', 'truncated']
const EVERYWHERE = [
  ...OUTCOMES,
  ...FOLDS,
  'of client',
  'of resolver',
  'by subnet',
  'by asn',
  'by geo',
  'fence',
  'hashed',
  'random',
  'spilled',
]
const LATE_STAGES = [
  'up, shares ignored',
  'up, weight 0',
  'up, below minVips',
  'recovered',
  'unproven',
  'drained',
  'last resort',
]

test('6,000 cases over every state and share: rcode, answer, TTL, scope, truncation, and the reasons', async () => {
  const random = seeded(41)
  const told: Explanation[] = []
  for (let i = 0; i < 300; i++) {
    const words = new Map<string, { state: string; share: number; calm: boolean }>()
    const mostly = pick(random, [1, 1, 1, 2, 3, 0, 4, 5])
    for (const [member, slot] of written.slots) {
      const state = random() % 3 > 0 ? mostly : random() % 6
      const share = random() % 4 === 0 ? random() % 1001 : 1000
      const calm = random() % 4 > 0
      words.set(member, { state: STATES[state]!, share, calm })
      const known: HealthState = ([0, 1, 2, 3, 4, 5] as const)[state]!
      Atomics.store(written.table, slot, healthWord(known, share, calm))
    }
    told.push(...(await compare(written, random, () => words)))
  }
  const seen = coverage(told)
  const wanted = [...EVERYWHERE, 'of node.site', 'values', 'ttl max', 'ttl min', 'ttl cap']
  const lacking = [...wanted, ...LATE_STAGES.map((stage) => `stage ${stage}`)].filter(
    (what) => (seen.get(what) ?? 0) < 5,
  )
  expect(lacking).toEqual([])
})

test('4,000 cases with votes, drains and forces through NodeHealth', async () => {
  const random = seeded(43)
  const health = real.health!
  const { targets } = real.made.plan
  const probers = ['eu-1', 'us-1', 'ap-1'].map((name) => {
    const region = name.slice(0, 2)
    return { name, writer: real.store.proberWriter({ name, region, bootId: name }), said: new Map<string, string>() }
  })
  const patterns = [...Object.keys(SITES), 'fra/near', 'lhr/near/192.0.2.40', 'iad/ruled', 'sin/listed']
  for (const { writer, said } of probers) {
    await writer.replace(targets.map(({ id }) => vote(id, 'up')))
    for (const { id } of targets) said.set(id, 'up')
  }
  const told: Explanation[] = []
  for (let i = 0; i < 200; i++) {
    for (const { writer, said } of probers) {
      for (let votes = random() % 4; votes > 0; votes--) {
        const { id } = pick(random, targets)
        const value = pick(random, ['up', 'up', 'down', 'abstain'] as const)
        said.set(id, value)
        await writer.change(vote(id, value, { moving: random() % 8 === 0 }))
      }
    }
    const action = pick(random, ['drain', 'up', 'down', 'undone', 'undone', 'undone'] as const)
    health.override({ pattern: pick(random, patterns), action, forMs: undefined, who: 'kim', why: 'test', yes: true })
    told.push(...(await compare(real, random, () => wordsOf(real))))
    for (const { steering } of told.slice(-BATCH)) {
      const snapshot = new Map(health.snapshot().members.map((member) => [member.member, member]))
      for (const vip of steering?.sites.flatMap(({ vips }) => vips) ?? []) {
        const { state, share, calm, override, verdict } = snapshot.get(vip.member)!
        expect([vip.state, vip.share, vip.calm]).toEqual([state === 'forced' ? 'forced down' : state, share, calm])
        expect([vip.health!.override?.version, vip.health!.verdict]).toEqual([override?.version, verdict])
        for (const { target, votes, quorum } of vip.health!.targets) {
          const cast = new Map(probers.map(({ name, said }) => [name, said.get(target.id)]))
          expect(new Map(votes.map(({ prober, value }) => [prober, value]))).toEqual(cast)
          const most = vip.member.includes('/spread/') ? 2 : 3
          expect(quorum.asked).toBe(most)
          const fresh = votes.filter(({ value }) => value !== 'abstain').length
          expect(quorum.downNeeds).toBe(Math.max(most, fresh) < 4 ? 2 : 3)
        }
      }
    }
  }
  const seen = coverage(told)
  expect(EVERYWHERE.filter((what) => (seen.get(what) ?? 0) < 5)).toEqual([])
  expect([...seen.keys()]).toEqual(expect.arrayContaining(['ttl min', 'ttl max', 'stage drained', 'of nobody']))
})

test('random picks too, with the same chance', () => {
  const random = seeded(47)
  const { world } = written.made
  const responder = makeResponder(world, written.table, makeCounters())
  const out = new Uint8Array(4096)
  for (let i = 0; i < 500; i++) {
    for (const slot of written.slots.values()) {
      written.table[slot] = healthWord(random() % 4 === 0 ? 2 : 1, random() % 3 === 0 ? random() % 1001 : 1000, true)
    }
    const asked = { ...makeCase(random, written, new Map()), name: 'random', type: 'A' }
    const chance = random()
    responder.chance = chance
    const query = queryOf(asked, 1)
    const size = respond(
      responder,
      makeRequest({ input: query, client: parseAddress(asked.resolver)!, output: out, room: 4096 }),
    )
    const reply = decoded(out.subarray(0, size))
    const told = explained(written, asked, chance)
    expect(told.answer).toEqual(reply.answer.map(formatRr))
    expect(told.scope).toBe(reply.edns?.ecs?.scope ?? null)
    expect(told.steering?.pickBy).toBe('random')
  }
})

test('everybody in the prefix that the walk found has the class, and not everybody in one that is a bit wider', () => {
  const random = seeded(53)
  for (const slot of written.slots.values()) written.table[slot] = healthWord(1, 1000, true)
  let wider = 0
  for (let i = 0; i < 300; i++) {
    const prefix = pick(random, PREFIXES)
    const bytes = addressIn(random, prefix)
    const name = ['near', 'ruled', 'listed'][i % 3]!
    const of = (address: Uint8Array): Explanation =>
      explained(written, {
        ...makeCase(seeded(i + 1), written, new Map()),
        name,
        type: 'A',
        client: { text: formatAddress(address), bits: address.length * 8 },
      })
    const { scope, class: number } = of(bytes).steering!
    const network = maskAddress(bytes, scope!.walkBits)
    const noise = bytes.map(() => random() & 255)
    const other = network.map(
      (byte, at) => byte | (noise[at]! & (255 >> Math.min(8, Math.max(0, scope!.walkBits - at * 8)))),
    )
    expect(of(other).steering!.class).toBe(number)
    if (scope!.walkBits === 0) continue
    const last = scope!.walkBits - 1
    const across = bytes.map((byte, at) => (at === last >> 3 ? byte ^ (128 >> (last & 7)) : byte))
    const beyond = maskAddress(across, scope!.walkBits)
    const differs = [beyond, ...PREFIXES.map((one) => parsePrefix(one)!.bytes)]
      .filter((one) => one.length === bytes.length)
      .filter((one) => Buffer.compare(maskAddress(one, scope!.walkBits), maskAddress(across, scope!.walkBits)) === 0)
      .some((one) => of(one).steering!.class !== number)
    if (differs) wider++
  }
  expect(wider).toBeGreaterThan(200)
})
