/**
 * What one answer costs without sockets: respond() over 1,000 steered names and a client map of many prefixes, the user
 * time that docs/performance.md bounds. `npm run bench -- respond`
 *
 *   --baseline FOLDER (a checkout of Meridian: its respond() in turn with ours)
 *   --baseline-first (what is loaded later may have the better memory: compare in both orders)   --rounds N (40)
 */
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import type { Request, Responder } from '../../src/answer/responder.ts'
import { encodeQuery } from '../../src/dns/message.ts'
import { inlineMore } from '../../src/server/inline.ts'
import { median } from './median.ts'

const at = { file: 'bench', line: 1, column: 1 }
const NAMES = 1000
const QUERIES = 4096
/** The main thread of a node starts as many samples of clients. */
const SAMPLE_MS = 250

export async function run(args: string[]): Promise<void> {
  const { values: options } = parseArgs({
    args,
    options: {
      baseline: { type: 'string' },
      'baseline-first': { type: 'boolean', default: false },
      rounds: { type: 'string', default: '40' },
    },
  })
  inlineMore()
  const rounds = Number(options.rounds)
  const own = resolve(import.meta.dirname, '../..')
  if (options.baseline === undefined) return compareLimits(await makeSubject(own), rounds)
  const roots = [own, resolve(options.baseline)]
  if (options['baseline-first']) roots.reverse()
  const subjects = new Map<string, Subject>()
  for (const root of roots) subjects.set(root, await makeSubject(root))
  compareVersions(subjects.get(own)!, subjects.get(resolve(options.baseline))!, rounds)
}

/** One version of Meridian, and the responders of its World. */
interface Subject {
  readonly measure: (responder: Responder, packets: readonly Uint8Array[]) => number
  /** Without rate limits, within them, beyond them. */
  readonly responders: readonly Responder[]
}

/** Loads a version from its folder. The types are ours. */
async function makeSubject(root: string): Promise<Subject> {
  const load = (file: string) => import(join(root, file))
  const { respond }: typeof import('../../src/answer/answer.ts') = await load('src/answer/answer.ts')
  const { makeLimits }: typeof import('../../src/answer/abuse/limits.ts') = await load('src/answer/abuse/limits.ts')
  const { PLAIN_PROTOCOL }: typeof import('../../src/answer/protocol.ts') = await load('src/answer/protocol.ts')
  const { makeRequest, makeResponder }: typeof import('../../src/answer/responder.ts') =
    await load('src/answer/responder.ts')
  const counted: typeof import('../../src/counters.ts') = await load('src/counters.ts')
  const { isFault, parseName }: typeof import('../../src/dns/name.ts') = await load('src/dns/name.ts')
  const { encodeRdata }: typeof import('../../src/dns/rdata.ts') = await load('src/dns/rdata.ts')
  const { TYPE }: typeof import('../../src/dns/types.ts') = await load('src/dns/types.ts')
  const { allocateShared }: typeof import('../../src/geo/memory.ts') = await load('src/geo/memory.ts')
  const { HEALTH_SLOTS, healthWord, makeHealthTable, UP }: typeof import('../../src/health/table.ts') =
    await load('src/health/table.ts')
  const { layOutService }: typeof import('../../src/policy/service.ts') = await load('src/policy/service.ts')
  const { NO_COPIES }: typeof import('../../src/zone/copies.ts') = await load('src/zone/copies.ts')
  const { buildImage }: typeof import('../../src/zone/link.ts') = await load('src/zone/link.ts')
  const { Packer }: typeof import('../../src/zone/pack.ts') = await load('src/zone/pack.ts')
  const { mapOf, service, site }: typeof import('../policy/fixture.ts') = await load('test/policy/fixture.ts')

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
  const cells = new counted.AnswerCells()
  laid.counter.forEach((_, i) => (laid.counter[i] = cells.cellOf('web', names[i] ?? '')))
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
  const responders = [null, limits, tight].map((given) =>
    makeResponder(world, health, counted.makeCounters(), { ...PLAIN_PROTOCOL, limits: given }),
  )
  const measureWith = makeMeasure(respond, makeRequest)
  let sample = 0
  let sampledMs = 0
  const measure = (responder: Responder, packets: readonly Uint8Array[]): number => {
    // a version that samples clients does so as in a node with databases
    if ('C_SAMPLE' in counted && performance.now() - sampledMs > SAMPLE_MS) {
      sampledMs = performance.now()
      sample++
      for (const { counters } of responders) counters[counted.C_SAMPLE] = sample
    }
    return measureWith(responder, packets)
  }
  return { measure, responders }
}

const KINDS: readonly [string, (i: number) => Uint8Array][] = [
  ['steered A, EDNS+ECS', (i) => query(`www${i % NAMES}.example.com.`, `${1 + (i % 200)}.${i % 251}.3.0/24`)],
  ['steered A, plain', (i) => query(`www${i % NAMES}.example.com.`)],
  ['static A, EDNS', (i) => query(`static${i % NAMES}.example.com.`, '')],
  ['NXDOMAIN, EDNS', (i) => query(`no${i}.example.com.`, '')],
]
const packetsOf = (make: (i: number) => Uint8Array): Uint8Array[] => Array.from({ length: QUERIES }, (_, i) => make(i))

function compareLimits({ measure, responders }: Subject, rounds: number): void {
  console.log('ns a query, median (least): without rate limits, with them, over the limit')
  for (const [kind, make] of KINDS) {
    const packets = packetsOf(make)
    // in turns, so that a change of the machine's speed meets all alike
    const times: number[][] = responders.map(() => [])
    for (let round = 0; round < rounds; round++) {
      for (const [i, responder] of responders.entries()) {
        measure(responder, packets) // what the others left in the caches goes
        times[i]!.push(measure(responder, packets))
      }
    }
    const figures = times.map((those) => {
      const late = those.slice(rounds / 2)
      return `${median(late).toFixed(0)} (${Math.min(...late).toFixed(0)})`
    })
    console.log(`${kind}: ${figures.join(', ')}`)
  }
}

function compareVersions(ours: Subject, before: Subject, rounds: number): void {
  console.log(
    'ns a query without rate limits, ours and the baseline’s: the tenth percentile of all rounds, and the ratio',
  )
  for (const [kind, make] of KINDS) {
    const packets = packetsOf(make)
    const times: [number[], number[]] = [[], []]
    for (let round = 0; round < 2 * rounds; round++) {
      for (const which of round % 2 === 0 ? ([0, 1] as const) : ([1, 0] as const)) {
        const { measure, responders } = [ours, before][which]!
        measure(responders[0]!, packets) // what the other left in the caches goes
        const time = measure(responders[0]!, packets)
        if (round >= rounds) times[which].push(time)
      }
    }
    // what other work of the machine takes only adds to a round
    const [own, other] = times.map((those) => those.toSorted((a, b) => a - b)[Math.floor(those.length / 10)]!)
    console.log(`${kind}: ${own!.toFixed(0)}, ${other!.toFixed(0)}, ${(own! / other!).toFixed(3)} ×`)
  }
}

/** The networks that queries come from: as many as the resolvers of a busy server. */
const NETWORKS = 4096

type Respond = (responder: Responder, request: Request) => number

/** Makes a function that gives the nanoseconds that one answer takes. Each version has its own, compiled for it alone. */
const makeMeasure =
  (respond: Respond, makeRequest: (parts: Pick<Request, 'input' | 'client' | 'output'>) => Request) =>
  (responder: Responder, packets: readonly Uint8Array[]): number => {
    const slots = new Uint8Array(QUERIES * 512)
    const clients = new Uint8Array(QUERIES * 4)
    for (const [i, packet] of packets.entries()) {
      slots.set(packet, i * 512)
      const network = Math.imul(i % NETWORKS, 0x9e3779b1) >>> 8
      clients.set([10 + (network >>> 18), network >>> 8, network, 1], i * 4)
    }
    const sizes = Int32Array.from(packets, ({ length }) => length)
    const request = makeRequest({ input: slots, client: clients, output: new Uint8Array(4096) })
    const from = process.hrtime.bigint()
    responder.nowMs = Date.now()
    for (let i = 0; i < QUERIES; i++) {
      responder.chance = Math.imul(responder.chance + 1, 0x9e3779b1)
      request.at = i * 512
      request.clientAt = i * 4
      request.length = sizes[i]!
      if (respond(responder, request) < 12) throw new Error('no answer')
    }
    return Number(process.hrtime.bigint() - from) / QUERIES
  }

const query = (name: string, ecs?: string): Uint8Array =>
  encodeQuery({
    name,
    type: 'A',
    ...(ecs === undefined ? {} : { edns: { payload: 1232, ...(ecs === '' ? {} : { ecs }) } }),
  })
