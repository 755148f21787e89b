/**
 * `npm run fuzz -- packets`, over sockets: a process of its own serves (process.ts), and is sent structure-aware packets over UDP,
 * TCP, TLS and HTTPS, PROXY headers ahead of them. The oracle judges each reply; each window has a CPU time (lane.ts); and at the
 * end of each transport the process must be as large as it was soon after its start, with the same threads and open files, and
 * nothing in its log.
 */
import { until } from '../support/until.ts'
import { httpsLane } from './https-lane.ts'
import { type Lane, type Run, runLane } from './lane.ts'
import { SUBJECT } from './memory.ts'
import { makeMessages } from './messages.ts'
import { makeRandom } from './packets.ts'
import type { Report } from './process.ts'
import type { Served } from './served.ts'
import { streamLane } from './stream-lane.ts'
import { udpLane } from './udp-lane.ts'

/** The transports. */
export const KINDS = ['udp', 'tcp', 'dot', 'doh'] as const
type Kind = (typeof KINDS)[number]

/** What came of one transport. */
export interface TransportFuzzed {
  readonly packets: number
  readonly findings: readonly string[]
  /** The most CPU time of a window, in ms. */
  readonly dearestMs: number
  /** The server behind a part of the packets, and at the end. */
  readonly before: Report
  readonly after: Report
}

const MOST_FINDINGS = 10
const MOST_HEX = 4000
/** The part of packets behind which caches and heaps have found their sizes. */
const EARLY = 0.2
/** What memory may grow by from then on: heaps grow until their garbage is collected. */
const GROWN_MOST_BYTES = 48e6

/** Sends so many packets over one transport, until the signal. `note`: takes each finding at once. */
export async function fuzzTransport(
  served: Served,
  kind: Kind,
  seed: number,
  count: number,
  signal?: AbortSignal,
  note: (finding: string) => void = () => {},
): Promise<TransportFuzzed> {
  const findings: string[] = []
  const add = (finding: string): void => {
    findings.push(finding)
    note(finding)
  }
  const random = makeRandom(seed)
  const tell = (what: string, bytes: Uint8Array): void => {
    add(`seed ${seed}: ${what}\n  ${Buffer.from(bytes).toString('hex').slice(0, MOST_HEX)}`)
  }
  const run: Run = { random, next: makeMessages(random, SUBJECT), tell }
  let packets = 0
  let dearestMs = 0
  const send = async (most: number): Promise<Report> => {
    const isOver = (more: number): boolean =>
      packets + more >= most || findings.length >= MOST_FINDINGS || signal?.aborted === true
    const ran = await LANES[kind](served, run, isOver)
    packets += ran.packets
    dearestMs = Math.max(dearestMs, ran.dearestMs)
    return settled(served)
  }
  const before = await send(count * EARLY)
  const after = await send(count)
  for (const finding of judgeProcess(before, after)) add(finding)
  return { packets, findings, dearestMs, before, after }
}

type Fuzz = (served: Served, run: Run, isOver: (packets: number) => boolean) => ReturnType<typeof runLane>

const over =
  <Item>(open: (served: Served, run: Run) => Lane<Item>): Fuzz =>
  async (served, run, isOver) => {
    const lane = open(served, run)
    try {
      return await runLane(served, lane, isOver, run.tell)
    } finally {
      lane.end()
    }
  }

const LANES: Readonly<Record<Kind, Fuzz>> = {
  udp: over(udpLane),
  tcp: over((served, run) => streamLane(served, run, 'tcp')),
  dot: over((served, run) => streamLane(served, run, 'dot')),
  doh: over(httpsLane),
}

/** How the process is when it has no connections. */
const settled = (served: Served): Promise<Report> =>
  until('no connection is left', async () => {
    const report = await served.report()
    return report.connections === 0 ? report : undefined
  })

/** What is wrong with a process by how it was early and late. */
export function judgeProcess(before: Report, after: Report): string[] {
  const wrong: string[] = after.errors.map((line) => `logged: ${line}`)
  const grown = after.rssBytes - before.rssBytes
  if (grown > GROWN_MOST_BYTES) wrong.push(`the process grew by ${grown} bytes`)
  if (after.files > before.files) wrong.push(`${after.files} open files, ${before.files} before`)
  if (after.died > 0) wrong.push(`${after.died} threads were replaced`)
  if (after.bugs > 0) wrong.push(`${after.bugs} bugs were caught`)
  return wrong
}
