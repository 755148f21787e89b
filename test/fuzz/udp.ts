/**
 * Fuzzing a running server over UDP, bounded in rate: every well-formed query must come back, whatever lay between them,
 * and nothing that is no query may. Loopback only.
 */
import { type Socket, createSocket } from 'node:dgram'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { decodeMessage } from '../../src/dns/message.ts'
import { isFault } from '../../src/dns/name.ts'
import { Q_DROP, makeQuery, parseQuery } from '../../src/dns/query.ts'
import { broken } from '../support/ask.ts'
import type { Fuzzed } from './fuzz.ts'
import { type Packet, makePackets, makeRandom } from './packets.ts'

const BATCH = 32
const PATIENCE_MS = 60_000
const q = makeQuery()

export async function fuzzUdp(
  target: string,
  names: readonly string[],
  ratePerSecond: number,
  seed: number,
  done: () => boolean,
): Promise<Fuzzed> {
  const [, host, port] = /^\[?(127\.[\d.]+|::1)\]?:(\d+)$/.exec(target) ?? []
  if (host === undefined) throw new Error(`${target} is no loopback address and port`)
  const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4')
  socket.connect(Number(port), host)
  await once(socket, 'connect')
  const next = makePackets(makeRandom(seed), names)
  const findings: string[] = []
  const from = performance.now()
  let packets = 0
  let wellFormed = 0
  while (!done() && findings.length < 10) {
    // each datagram of a batch has its own id, so that replies find their queries
    const batch = Array.from({ length: BATCH }, (_, i) => numbered(next(), packets + i))
    packets += BATCH
    wellFormed += batch.filter((packet) => packet.wellFormed).length
    // oxlint-disable-next-line no-await-in-loop -- one batch at a time is the bound on the load
    findings.push(...(await exchange(socket, batch)))
    const ahead = (packets / ratePerSecond) * 1000 - (performance.now() - from)
    // oxlint-disable-next-line no-await-in-loop
    if (ahead > 0) await sleep(ahead)
  }
  socket.close()
  return { packets, wellFormed, findings }
}

function numbered(packet: Packet, id: number): Packet {
  const bytes = packet.bytes.slice()
  if (bytes.length >= 2) bytes.set([(id >> 8) & 255, id & 255])
  return { ...packet, bytes }
}

/** Sends a batch and waits until each well-formed query has its reply. */
async function exchange(socket: Socket, batch: readonly Packet[]): Promise<string[]> {
  const findings: string[] = []
  const due = new Map<number, Packet>()
  const sent = new Map<number, Packet>()
  const { promise, resolve } = Promise.withResolvers<void>()
  const hear = (reply: Buffer): void => {
    const id = reply.length < 2 ? -1 : reply.readUInt16BE(0)
    const packet = sent.get(id)
    const wrong = packet === undefined ? undefined : judge(packet, reply)
    if (wrong !== undefined) findings.push(`${wrong}\n  packet ${Buffer.from(packet!.bytes).toString('hex')}`)
    due.delete(id)
    if (due.size === 0) resolve()
  }
  socket.on('message', hear)
  for (const packet of batch) {
    const id = packet.bytes.length < 2 ? -1 : (packet.bytes[0]! << 8) | packet.bytes[1]!
    sent.set(id, packet)
    if (packet.wellFormed) due.set(id, packet)
    socket.send(packet.bytes)
  }
  const timer = setTimeout(resolve, PATIENCE_MS)
  if (due.size > 0) await promise
  clearTimeout(timer)
  socket.off('message', hear)
  for (const packet of due.values()) findings.push(`no reply\n  packet ${Buffer.from(packet.bytes).toString('hex')}`)
  return findings
}

function judge(packet: Packet, reply: Buffer): string | undefined {
  const message = decodeMessage(reply)
  if (isFault(message)) return `a reply that cannot be read: ${message.fault}`
  if (parseQuery(packet.bytes, 0, packet.bytes.length, q, 1) === Q_DROP) return 'answered what must be dropped'
  if (message.rcode === 'SERVFAIL') return 'SERVFAIL'
  return packet.wellFormed ? broken(packet.bytes, reply, message, 'udp').join(', ') || undefined : undefined
}
