/**
 * `npm run fuzz`: packets of all kinds through respond() until the time is up or something breaks.
 * `npm run fuzz -- redis`: texts of hostile boards in Redis through a node and a prober, in the same way (board.ts).
 *
 *   --count N       as many packets or texts instead of a time
 *   --seconds N     how long; 300
 *   --seed S        the same seed, the same packets; from the clock without
 *   --udp HOST:PORT instead sends them to a running server (loopback only) and checks that it stays alive and answers
 *   --names A,B     names that it serves, for --udp; demo.example and www.demo.example
 *   --packet HEX    only this packet, as a finding printed it, from a thousand clients in rooms of all sizes
 *   --rate N        packets a second at most, for --udp; 2000
 */
import { parseArgs } from 'node:util'
import { PLAIN_PROTOCOL, type Protocol } from '../../src/answer/protocol.ts'
import { C_ANSWERS } from '../../src/counters.ts'
import { Q_OK, makeQuery, parseQuery } from '../../src/dns/query.ts'
import { sipKey } from '../../src/dns/siphash.ts'
import { makeNode } from '../answer/fixture.ts'
import { NAMES, ZONES } from '../rfc/zones.ts'
import { type BoardFuzzed, fuzzBoard } from './board.ts'
import { check, disturb } from './check.ts'
import { type Packet, makePackets, makeRandom } from './packets.ts'
import { fuzzUdp } from './udp.ts'

export interface Fuzzed {
  readonly packets: number
  /** Packets that came with a promise to be answered. */
  readonly wellFormed: number
  readonly findings: readonly string[]
}

/** Beside the zones of the RFCs' tests: names with two services, pools, spill, and every type of record. */
const MORE: Readonly<Record<string, string>> = {
  'services/spill.yaml': `spill:
  sites:
    fra: {vips: [192.0.2.110, 192.0.2.111, "2001:db8::110"]}
    iad: {vips: [192.0.2.120]}
    sin: {vips: [192.0.2.130, "2001:db8::130"], weight: 0}
  spill: 3
  answers: 1
  rules: [{geos: [EU], order: [fra, iad], pick: random}]
  check: none
`,
  'pools.example.yaml': `"": {type: NS, values: [ns1.example.net., ns2.example.net.]}
both:
  - type: A
    ttl: 60
    values: [192.0.2.200, 192.0.2.201]
    dynamic:
      pools:
        eu: {fallback: us, values: [{value: 192.0.2.1, weight: 2}, {value: 192.0.2.2}]}
        us: {values: [{value: 192.0.2.3}, {value: 192.0.2.4, status: down}]}
      rules: [{geos: [EU], pool: eu}, {pool: us}]
  - {type: GSLB, service: spill, types: [AAAA]}
half:
  - {type: GSLB, service: spill, types: [A]}
  - {type: AAAA, value: "2001:db8::1"}
"*.pool": {type: A, values: [192.0.2.202], dynamic: {pools: {one: {values: [{value: 192.0.2.5}]}}, rules: [{pool: one}]}}
records:
  - {type: HTTPS, value: {svcpriority: 1, targetname: ., svcparams: {alpn: [h2], port: 8443}}}
  - {type: TLSA, value: {certificate_usage: 3, selector: 1, matching_type: 0, certificate_association_data: 00ff}}
  - {type: NAPTR, value: {order: 1, preference: 1, flags: U, service: S, regexp: "!a!b!", replacement: .}}
  - {type: LOC, value: {lat_degrees: 1, lat_minutes: 2, lat_seconds: 3, lat_direction: N, long_degrees: 1, long_minutes: 2, long_seconds: 3, long_direction: E, altitude: 4, size: 5, precision_horz: 6, precision_vert: 7}}
cut:
  - {type: NS, value: ns1.example.net.}
  - {type: DS, value: {key_tag: 1, algorithm: 13, digest_type: 2, digest: ${'ab'.repeat(32)}}}
`,
}
const MORE_NAMES = ['both', 'half', 'x.pool', 'records', 'cut', 'below.cut', 'none', ''].map((name) =>
  name === '' ? 'pools.example' : `${name}.pools.example`,
)

/** Everything on. */
const PROTOCOL: Protocol = {
  ...PLAIN_PROTOCOL,
  nsid: Uint8Array.of(1, 2, 3),
  identity: Uint8Array.of(1, 65),
  reportChannel: Uint8Array.of(1, 97, 0),
  keepaliveMs: 10_000,
  cookies: [sipKey(new Uint8Array(16))],
  unprovenBytes: 600,
  badCookie: false,
}

/** Fuzzes in memory until `done`; gives up at the tenth finding. */
export async function fuzz(seed: number, done: (packets: number) => boolean, only?: Packet): Promise<Fuzzed> {
  const node = await makeNode({ ...ZONES, ...MORE })
  for (const { counter } of node.made.world.services) counter.fill(C_ANSWERS)
  const random = makeRandom(seed)
  node.responder.protocol = PROTOCOL
  const next = makePackets(random, [...NAMES, ...MORE_NAMES])
  const findings: string[] = []
  let wellFormed = 0
  let packets = 0
  for (; !done(packets) && findings.length < 10; packets++) {
    if (random(50) === 0) disturb(node, random)
    const packet = only ?? next()
    if (packet.wellFormed) wellFormed++
    const finding = check(node, packet, random)
    if (finding !== undefined) findings.push(`packet ${packets} of seed ${seed}: ${finding}`)
  }
  return { packets, wellFormed, findings }
}

const hexPacket = (hex: string): Packet => {
  const bytes = new Uint8Array(Buffer.from(hex, 'hex'))
  return { bytes, wellFormed: parseQuery(bytes, 0, bytes.length, makeQuery(), 1) === Q_OK }
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      count: { type: 'string' },
      seconds: { type: 'string', default: '300' },
      seed: { type: 'string', default: String(Date.now() % 1_000_000_007) },
      udp: { type: 'string' },
      packet: { type: 'string' },
      names: { type: 'string', default: 'demo.example,www.demo.example' },
      rate: { type: 'string', default: '2000' },
    },
  })
  const seed = Number(values.seed)
  const until = performance.now() + Number(values.seconds) * 1000
  console.log(`seed ${seed}, ${values.count ?? `${values.seconds} s`}`)
  const started = performance.now()
  const done = (count: number): boolean =>
    values.count === undefined ? performance.now() > until : count >= Number(values.count)
  if (positionals[0] === 'redis') return tellBoard(await fuzzBoard(seed, done), started)
  const { packets, wellFormed, findings } =
    values.packet !== undefined
      ? await fuzz(seed, (count) => count === 1000, hexPacket(values.packet))
      : values.udp === undefined
        ? await fuzz(seed, done)
        : await fuzzUdp(values.udp, values.names.split(','), Number(values.rate), seed, () => done(0))
  const seconds = (performance.now() - started) / 1000
  for (const finding of findings) console.log(finding)
  const rate = Math.round(packets / seconds)
  console.log(`${packets} packets, ${wellFormed} of them well-formed, ${rate} a second, ${findings.length} findings`)
  process.exitCode = findings.length === 0 ? 0 : 1
}

function tellBoard({ items, refused, findings }: BoardFuzzed, started: number): void {
  for (const finding of findings) console.log(finding)
  const rate = Math.round((items * 1000) / (performance.now() - started))
  console.log(`${items} texts, ${refused} refusals, ${rate} a second, ${findings.length} findings`)
  process.exitCode = findings.length === 0 ? 0 : 1
}

if (import.meta.main) await main()
