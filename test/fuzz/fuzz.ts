/**
 * `npm run fuzz`: packets of all kinds through respond() until the time is up or something breaks.
 *
 *   --seconds N     how long; 300
 *   --seed S        the same seed, the same packets; from the clock without
 *   --udp HOST:PORT instead sends them to a running server (loopback only) and checks that it stays alive and answers
 *   --names A,B     names that it serves, for --udp; demo.example and www.demo.example
 *   --rate N        packets a second at most, for --udp; 2000
 */
import { parseArgs } from 'node:util'
import { makeNode } from '../answer/fixture.ts'
import { NAMES, ZONES } from '../rfc/zones.ts'
import { check, disturb } from './check.ts'
import { makePackets, makeRandom } from './packets.ts'
import { fuzzUdp } from './udp.ts'

export interface Fuzzed {
  readonly packets: number
  /** Packets that came with a promise to be answered. */
  readonly wellFormed: number
  readonly findings: readonly string[]
}

/** Fuzzes in memory until `done`; gives up at the tenth finding. */
export async function fuzz(seed: number, done: (packets: number) => boolean): Promise<Fuzzed> {
  const node = await makeNode(ZONES)
  const random = makeRandom(seed)
  const next = makePackets(random, NAMES)
  const findings: string[] = []
  let wellFormed = 0
  let packets = 0
  for (; !done(packets) && findings.length < 10; packets++) {
    if (random(50) === 0) disturb(node, random)
    const packet = next()
    if (packet.wellFormed) wellFormed++
    const finding = check(node, packet, random)
    if (finding !== undefined) findings.push(`packet ${packets} of seed ${seed}: ${finding}`)
  }
  return { packets, wellFormed, findings }
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      seconds: { type: 'string', default: '300' },
      seed: { type: 'string', default: String(Date.now() % 1_000_000_007) },
      udp: { type: 'string' },
      names: { type: 'string', default: 'demo.example,www.demo.example' },
      rate: { type: 'string', default: '2000' },
    },
  })
  const seed = Number(values.seed)
  const until = performance.now() + Number(values.seconds) * 1000
  console.log(`seed ${seed}, ${values.seconds} s`)
  const started = performance.now()
  const done = (): boolean => performance.now() > until
  const { packets, wellFormed, findings } =
    values.udp === undefined
      ? await fuzz(seed, done)
      : await fuzzUdp(values.udp, values.names.split(','), Number(values.rate), seed, done)
  const seconds = (performance.now() - started) / 1000
  for (const finding of findings) console.log(finding)
  const rate = Math.round(packets / seconds)
  console.log(`${packets} packets, ${wellFormed} of them well-formed, ${rate} a second, ${findings.length} findings`)
  process.exitCode = findings.length === 0 ? 0 : 1
}

if (import.meta.main) await main()
