/**
 * What one answer costs without sockets: respond() over 1,000 steered names and a client map of many prefixes, the user
 * time that docs/performance.md bounds. `npm run bench -- respond`
 */
import { respond } from '../../src/answer/answer.ts'
import { makeLimits } from '../../src/answer/abuse/limits.ts'
import { PLAIN_PROTOCOL } from '../../src/answer/protocol.ts'
import { makeRequest, makeResponder, type Responder } from '../../src/answer/responder.ts'
import { makeCounters } from '../../src/counters.ts'
import { encodeQuery } from '../../src/dns/message.ts'
import { parseName } from '../../src/dns/name.ts'
import { isFault } from '../../src/dns/name.ts'
import { encodeRdata } from '../../src/dns/rdata.ts'
import { TYPE } from '../../src/dns/types.ts'
import { allocateShared } from '../../src/geo/memory.ts'
import { HEALTH_SLOTS, healthWord, makeHealthTable, UP } from '../../src/health/table.ts'
import { layOutService } from '../../src/policy/service.ts'
import { inlineMore } from '../../src/server/inline.ts'
import { NO_COPIES } from '../../src/zone/copies.ts'
import { buildImage } from '../../src/zone/link.ts'
import { Packer } from '../../src/zone/pack.ts'
import { mapOf, service, site } from '../policy/fixture.ts'

const at = { file: 'bench', line: 1, column: 1 }
const NAMES = 1000
const ROUNDS = 40
const QUERIES = 8192

const wire = (text: string): Uint8Array => {
  const name = parseName(text)
  if (isFault(name)) throw new Error(name.fault)
  return name
}
const rdata = (type: number, value: Parameters<typeof encodeRdata>[1]): Uint8Array => {
  const bytes = encodeRdata(type, value)
  if (isFault(bytes)) throw new Error(bytes.fault)
  return bytes
}

export function run(): void {
  inlineMore()
  const packer = new Packer()
  packer.begin(wire('example.com.'))
  packer.add(TYPE.NS, 3600, [rdata(TYPE.NS, 'ns1.example.net.')], at)
  for (let i = 0; i < NAMES; i++) {
    packer.begin(wire(`www${i}.example.com.`))
    packer.addSteered('web', 3, 0, at)
    packer.begin(wire(`static${i}.example.com.`))
    packer.add(TYPE.A, 300, [rdata(TYPE.A, '192.0.2.1')], at)
  }
  const soa = { mname: 'ns1.example.net.', rname: 'hostmaster.example.com.', serial: '1', refresh: '3600' }
  const zone = {
    apex: wire('example.com.'),
    ...packer.finish(),
    soa: {
      rdata: rdata(TYPE.SOA, { ...soa, retry: '600', expire: '604800', minimum: '60' }),
      ttlSeconds: 3600,
      negativeTtlSeconds: 60,
    },
    at,
  }
  const names = ['ams', 'fra', 'iad', 'sin']
  const sites = new Map(names.map((name) => [name, site(name)]))
  const web = service(names.map((name, i) => ({ site: name, vips: [`192.0.2.${i}`, `2001:db8::${i}`] })))
  const laid = layOutService(web, sites, 0)
  laid.slot.set(laid.slot.map((_, vip) => vip))
  laid.word = HEALTH_SLOTS
  const map = mapOf([{ groups: [[0, 1], [2], [3]] }, { groups: [[1], [0], [2], [3]] }, { groups: [[3], [2], [1]] }])
  const trie = new Int32Array(65_536).map((_, i) => ~(((i % 3) << 8) | 16))
  const world = {
    generation: 1,
    image: buildImage([zone], new Map([['web', 0]]), allocateShared),
    maps: [{ ...map, v4: trie, v6: trie }],
    services: [laid],
    copies: NO_COPIES,
  }
  const health = makeHealthTable().fill(healthWord(UP, 1000, true))
  const limits = makeLimits({ perSecond: [1000, 1000, 1000, 1000], unproven: 0, slip: 1, threads: 1, exempt: [] }, 7)
  const tight = makeLimits({ perSecond: [1, 1, 1, 1], unproven: 0, slip: 1, threads: 1, exempt: [] }, 7)
  const [free, watched, limited] = [null, limits, tight].map((given) =>
    makeResponder(world, health, makeCounters(), { ...PLAIN_PROTOCOL, limits: given }),
  )
  const kinds: readonly [string, (i: number) => Uint8Array][] = [
    ['steered A, EDNS+ECS', (i) => query(`www${i % NAMES}.example.com.`, `${1 + (i % 200)}.${i % 251}.3.0/24`)],
    ['steered A, plain', (i) => query(`www${i % NAMES}.example.com.`)],
    ['static A, EDNS', (i) => query(`static${i % NAMES}.example.com.`, '')],
    ['NXDOMAIN, EDNS', (i) => query(`no${i}.example.com.`, '')],
  ]
  console.log('ns a query, median (least): without rate limits, with them, over the limit')
  for (const [kind, make] of kinds) {
    const packets = Array.from({ length: QUERIES }, (_, i) => make(i))
    // in turns, so that a change of the machine's speed meets all alike
    const rounds: number[][] = [[], [], []]
    for (let round = 0; round < ROUNDS; round++) {
      for (const [i, responder] of [free!, watched!, limited!].entries()) {
        measure(responder, packets) // what the others left in the caches goes
        rounds[i]!.push(measure(responder, packets))
      }
    }
    const figures = rounds.map((times) => {
      const sorted = times.slice(ROUNDS / 2).toSorted((x, y) => x - y)
      return `${sorted[sorted.length >> 1]!.toFixed(0)} (${sorted[0]!.toFixed(0)})`
    })
    console.log(`${kind}: ${figures.join(', ')}`)
  }
}

/** The networks that queries come from: as many as the resolvers of a busy server. */
const NETWORKS = 4096

/** Nanoseconds that one answer takes. */
function measure(responder: Responder, packets: readonly Uint8Array[]): number {
  const slots = new Uint8Array(QUERIES * 512)
  const clients = new Uint8Array(QUERIES * 4)
  for (const [i, packet] of packets.entries()) {
    slots.set(packet, i * 512)
    const network = Math.imul(i % NETWORKS, 0x9e3779b1) >>> 8
    clients.set([10 + (network >>> 18), network >>> 8, network, 1], i * 4)
  }
  const sizes = Int32Array.from(packets, ({ length }) => length)
  const out = new Uint8Array(4096)
  const request = makeRequest({ input: slots, client: clients, output: out })
  const from = process.hrtime.bigint()
  responder.nowMs = Date.now()
  for (let i = 0; i < QUERIES; i++) {
    responder.chance = Math.imul(responder.chance + 1, 0x9e3779b1)
    request.at = i * 512
    request.clientAt = i * 4
    request.length = sizes[i]!
    const size = respond(responder, request)
    if (size < 12) throw new Error('no answer')
  }
  return Number(process.hrtime.bigint() - from) / QUERIES
}

const query = (name: string, ecs?: string): Uint8Array =>
  encodeQuery({
    name,
    type: 'A',
    ...(ecs === undefined ? {} : { edns: { payload: 1232, ...(ecs === '' ? {} : { ecs }) } }),
  })
