/**
 * `npm run fuzz`: packets of all kinds through respond() until the time is up or something breaks.
 * `npm run fuzz -- packets`: structure-aware packets, with cookies, signatures and PROXY headers, each reply judged by an oracle that
 * reads messages by itself (memory.ts, oracle.ts); half of them over UDP, TCP, TLS and HTTPS to a process of its own (sockets.ts).
 * Ctrl-C ends it with a report.
 * `npm run fuzz -- redis`: texts of hostile boards in Redis through a node and a prober, in the same way (board.ts).
 *
 *   --count N       as many packets or texts instead of a time
 *   --seconds N     how long; 300
 *   --seed S        the same seed, the same packets; from the clock without
 *   --udp HOST:PORT instead sends them to a running server (loopback only) and checks that it stays alive and answers
 *   --over memory   of `packets`, only those in memory; --over sockets: only the others
 *   --names A,B     names that it serves, for --udp; demo.example and www.demo.example
 *   --packet HEX    only this packet, as a finding printed it, from a thousand clients in rooms of all sizes
 *   --rate N        packets a second at most, for --udp; 2000
 */
import { setImmediate } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { C_ANSWERS } from '../../src/counters.ts'
import { Q_OK, makeQuery, parseQuery } from '../../src/dns/query.ts'
import { makeNode } from '../answer/fixture.ts'
import { type BoardFuzzed, fuzzBoard } from './board.ts'
import { check, disturb } from './check.ts'
import { fuzzMemory, makeSubject } from './memory.ts'
import { type Packet, makePackets, makeRandom } from './packets.ts'
import { Served } from './served.ts'
import { fuzzTransport, KINDS, type TransportFuzzed } from './sockets.ts'
import { fuzzUdp } from './udp.ts'
import { ALL_NAMES, FILES, PROTOCOL } from './zones.ts'

export interface Fuzzed {
  readonly packets: number
  /** Packets that came with a promise to be answered. */
  readonly wellFormed: number
  readonly findings: readonly string[]
}

/** Fuzzes in memory until `done`; gives up at the tenth finding. */
export async function fuzz(seed: number, done: (packets: number) => boolean, only?: Packet): Promise<Fuzzed> {
  const node = await makeNode(FILES)
  for (const { counter } of node.made.world.services) counter.fill(C_ANSWERS)
  const random = makeRandom(seed)
  node.responder.protocol = PROTOCOL
  const next = makePackets(random, ALL_NAMES)
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
      over: { type: 'string' },
    },
  })
  const seed = Number(values.seed)
  const until = performance.now() + Number(values.seconds) * 1000
  console.log(`seed ${seed}, ${values.count ?? `${values.seconds} s`}`)
  const started = performance.now()
  const done = (count: number): boolean =>
    values.count === undefined ? performance.now() > until : count >= Number(values.count)
  if (positionals[0] === 'packets') return fuzzPackets(seed, Number(values.count ?? 1_000_000), values.over)
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

/** Packets of one run in memory: a finding is found again within so many. */
const SLICE = 500_000
/** The parts of packets over sockets. The other two cost far more. */
const PARTS = { udp: 0.64, tcp: 0.34, dot: 0.01, doh: 0.01 } as const

function tell(line: string, findings: readonly string[]): void {
  for (const finding of findings) console.log(finding)
  console.log(line)
  if (findings.length > 0) process.exitCode = 1
}

async function fuzzPackets(seed: number, count: number, over: string | undefined): Promise<void> {
  const stopping = new AbortController()
  const { signal } = stopping
  process.once('SIGINT', () => stopping.abort())
  const part = over === undefined ? count / 2 : count
  if (over !== 'sockets') {
    const node = await makeSubject()
    for (let asked = 0, slice = seed; asked < part && !signal.aborted; asked += SLICE, slice++) {
      const run = fuzzMemory(node, slice, Math.min(SLICE, part - asked))
      const how = `slowest ${run.slowestMs.toFixed(2)} ms, heap ${Math.round(run.grownBytes / 1000)} KB larger`
      tell(`memory, seed ${slice}: ${run.packets} packets, ${run.answered} answers, ${how}`, run.findings)
      // oxlint-disable-next-line no-await-in-loop -- for signals
      await setImmediate()
    }
  }
  if (over === 'memory' || signal.aborted) return
  const served = await Served.start()
  for (const kind of KINDS) {
    const fromMs = performance.now()
    // oxlint-disable-next-line no-await-in-loop -- one transport at a time
    const run = await fuzzTransport(served, kind, seed, part * PARTS[kind], signal, (finding) => console.log(finding))
    console.log(inWords(kind, seed, run, (performance.now() - fromMs) / 1000))
    if (run.findings.length > 0) process.exitCode = 1
  }
  await served.stop()
}

function inWords(
  kind: string,
  seed: number,
  { packets, findings, dearestMs, before, after }: TransportFuzzed,
  seconds: number,
): string {
  const growth = (of: 'rssBytes' | 'files', unit: number): string =>
    `${Math.round(before[of] / unit)} → ${Math.round(after[of] / unit)}`
  const how = `dearest window ${dearestMs.toFixed(1)} ms of CPU time, ${growth('rssBytes', 1e6)} MB`
  const files = growth('files', 1)
  return `${kind}, seed ${seed}: ${packets} packets in ${Math.round(seconds)} s, ${findings.length} findings, ${how}, ${files} open files`
}

function tellBoard({ items, refused, findings }: BoardFuzzed, started: number): void {
  for (const finding of findings) console.log(finding)
  const rate = Math.round((items * 1000) / (performance.now() - started))
  console.log(`${items} texts, ${refused} refusals, ${rate} a second, ${findings.length} findings`)
  process.exitCode = findings.length === 0 ? 0 : 1
}

if (import.meta.main) await main()
