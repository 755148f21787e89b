/**
 * `npm run fuzz -- packets`, in memory: structure-aware queries through respond(), each reply judged by the oracle, each call by its
 * time, all of them by the memory that is left over.
 */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { respond } from '../../src/answer/answer.ts'
import { PLAIN_PROTOCOL, type Protocol } from '../../src/answer/protocol.ts'
import { DOH, DOT, makeRequest, type Request, TCP, UDP } from '../../src/answer/responder.ts'
import { C_ANSWERS, C_BUGS } from '../../src/counters.ts'
import { parseAddress } from '../../src/dns/address.ts'
import { proxiedFamily, PROXY_HEADER_BYTES, proxyHeaderSize } from '../../src/server/proxy.ts'
import { makeNode, type TestNode } from '../answer/fixture.ts'
import { disturb } from './check.ts'
import { makeMessages, proxyHeader } from './messages.ts'
import { judge, judgeTransfer, type Sent, unproxied } from './oracle.ts'
import { makeRandom } from './packets.ts'
import { ALL_NAMES, FILES, KEYS, PROTOCOL, SECRETS, UNKNOWN_KEY } from './zones.ts'

/** What the generator needs to know of what is served. */
export const SUBJECT = {
  names: ALL_NAMES,
  zones: ['xfr.example', 'open.example', 'example.com', 'www.example.com', 'example.org'],
  secrets: SECRETS,
  keys: KEYS,
  unknown: UNKNOWN_KEY,
}

/** What came of a run. */
export interface PacketsFuzzed {
  readonly packets: number
  readonly answered: number
  readonly findings: readonly string[]
  /** The longest that one call took, in ms, when it was made again; and what memory grew by, in bytes. */
  readonly slowestMs: number
  readonly grownBytes: number
}

/** The longest that a packet may take in a thread. */
const SLOW_MS = 5
const GROWN_MOST_BYTES = 4e6
const MOST_FINDINGS = 10
const ROOM = 65_535
/** Settings that change what may be answered; each is in force for so many packets. */
const PROTOCOLS: readonly Protocol[] = [
  PROTOCOL,
  { ...PROTOCOL, badCookie: true, unprovenBytes: 512 },
  { ...PROTOCOL, unprovenBytes: 1232, reportChannel: new Uint8Array(0), nsid: new Uint8Array(0) },
  { ...PLAIN_PROTOCOL, cookies: [] },
]
const TURN = 1024
const KINDS = [
  ['udp', UDP],
  ['udp', UDP],
  ['udp', UDP],
  ['tcp', TCP],
  ['dot', DOT],
  ['doh', DOH],
] as const
const CLIENTS = [
  '192.0.2.53',
  '82.64.1.1',
  '10.0.0.1',
  '2001:db8::1',
  '::ffff:82.64.1.1',
  '2002:5240:101::1',
  '0.0.0.0',
].map((text) => parseAddress(text)!)
/** The time in memory. */
export const EPOCH_SECONDS = 1_800_000_000

setFlagsFromString('--expose-gc')
const collect: () => void = runInNewContext('gc')
const heapBytes = (): number => {
  collect()
  collect()
  return process.memoryUsage().heapUsed
}

/** The node that is asked. */
export async function makeSubject(): Promise<TestNode> {
  const node = await makeNode(FILES)
  for (const { counter } of node.made.world.services) counter.fill(C_ANSWERS)
  return node
}

/** Asks `count` queries. `respondWith`: another respond(), to see the oracle judge it. */
export function fuzzMemory(node: TestNode, seed: number, count: number, respondWith = respond): PacketsFuzzed {
  const random = makeRandom(seed)
  const next = makeMessages(random, SUBJECT)
  const findings: string[] = []
  const output = new Uint8Array(ROOM + 64)
  let slowestMs = 0
  let answered = 0
  let packets = 0
  let before = 0
  const { responder } = node
  for (; packets < count && findings.length < MOST_FINDINGS; packets++) {
    if (packets === count >> 3) before = heapBytes()
    if (packets % TURN === 0) responder.protocol = PROTOCOLS[(packets / TURN) % PROTOCOLS.length]!
    if (random(64) === 0) disturb(node, random)
    const nowSeconds = EPOCH_SECONDS + (packets >> 10)
    const [kind, transport] = KINDS[random(KINDS.length)]!
    let client = CLIENTS[random(CLIENTS.length)]!
    let input = next(client, nowSeconds, random(65_536))
    let at = 0
    if (random(24) === 0) {
      input = Uint8Array.of(...proxyHeader(random, client, transport !== UDP), ...input)
      const named = readHeader(input, client, transport !== UDP)
      const wanted = unproxied(input, client, transport !== UDP)
      if (named?.at !== wanted?.at || String(named?.client) !== String(wanted?.client))
        findings.push(`packet ${packets} of seed ${seed}: a PROXY header is read otherwise\n  ${hex(input)}`)
      if (named === undefined) continue
      ;({ at, client } = named)
    }
    responder.chance = random(2 ** 32) | 0
    responder.nowMs = nowSeconds * 1000
    responder.clock = () => nowSeconds
    responder.transfersLeft = kind === 'tcp' ? 1 : 0
    const request = makeRequest({
      input,
      at,
      length: input.length - at,
      client,
      family: client.length === 4 ? 4 : 6,
      transport,
      output,
      outAt: 2,
      room: transport === UDP ? 1232 : ROOM,
    })
    const sent: Sent = { query: at === 0 ? input : input.slice(at), client, kind, nowSeconds, slackSeconds: 0 }
    const wrong = ask(node, request, sent, respondWith)
    if (typeof wrong === 'string')
      findings.push(`packet ${packets} of seed ${seed}: ${wrong}\n  ${hex(input)} ${kind} from ${client.join('.')}`)
    else {
      if (wrong.reply !== undefined) answered++
      if (wrong.ms > slowestMs) slowestMs = wrong.ms
    }
  }
  const grownBytes = before === 0 ? 0 : heapBytes() - before
  if (grownBytes > GROWN_MOST_BYTES) findings.push(`seed ${seed}: memory grew by ${grownBytes} bytes`)
  return { packets, answered, findings, slowestMs, grownBytes }
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

/** What server/batch.ts does with a packet from a proxy. */
export function readHeader(
  input: Uint8Array,
  proxy: Uint8Array,
  isStream: boolean,
): { at: number; client: Uint8Array } | undefined {
  const size = input.length < PROXY_HEADER_BYTES ? 0 : proxyHeaderSize(input, 0)
  const family = size === 0 || size > input.length ? undefined : proxiedFamily(input, 0, size, isStream)
  if (family === undefined) return undefined
  return { at: size, client: family === 0 ? proxy : input.slice(16, 16 + (family === 4 ? 4 : 16)) }
}

/** A query's answer: the first message of a transfer; undefined: there is none. And how long its call took. */
interface Answered {
  readonly reply: Uint8Array | undefined
  readonly ms: number
}

/** Asks and judges; a text says what is wrong. */
export function ask(node: TestNode, request: Request, sent: Sent, respondWith = respond): Answered | string {
  const { responder } = node
  const { output, outAt } = request
  const startedMs = performance.now()
  let size: number
  try {
    size = respondWith(responder, request)
  } catch (error) {
    return `threw ${String(error)}`
  }
  let ms = performance.now() - startedMs
  // the clock of the wall counts others' turns: what is slow is slow again, by the thread's own time
  for (let times = 0; times < 20 && ms > SLOW_MS; times++) {
    const from = process.threadCpuUsage()
    respondWith(responder, request)
    const { user, system } = process.threadCpuUsage(from)
    ms = Math.min(ms, (user + system) / 1000)
  }
  if (ms > SLOW_MS) return `took ${ms} ms`
  const { transfer } = responder
  responder.transfer = null
  responder.refusal = null
  if (responder.counters[C_BUGS] !== 0) {
    responder.counters[C_BUGS] = 0
    return 'a bug was caught: SERVFAIL'
  }
  const reply = size === 0 ? undefined : output.slice(outAt, outAt + size)
  if (transfer !== null) {
    const messages: Uint8Array[] = []
    transfer.begin(reply!, responder.query.questionEnd)
    for (let bytes = transfer.next(output, 0); bytes !== 0; bytes = transfer.next(output, 0)) {
      if (bytes < 0) return 'a transfer that cannot be made'
      messages.push(output.slice(0, bytes))
    }
    const wrong = judgeTransfer(responder.protocol, sent, messages)
    return wrong ?? { reply: messages[0], ms }
  }
  const wrong = judge(responder.protocol, sent, reply)
  if (wrong !== undefined) return `${wrong}\n  reply ${reply === undefined ? 'none' : hex(reply)}`
  return { reply, ms }
}
