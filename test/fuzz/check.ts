/**
 * What must hold of respond() for any bytes whatever. One packet at a time: answered in a slot of noise, answered again
 * in another, the reply read by our decoder and by dns2. A finding says what broke; nothing here throws.
 */
import { Packet as Dns2 } from 'dns2'
import { respond } from '../../src/answer/answer.ts'
import { makeRequest, TCP, UDP } from '../../src/answer/responder.ts'
import { COUNTED_RCODES, COUNTED_TYPES, C_BUGS, QUERY_CELLS, queryCell } from '../../src/counters.ts'
import { parseAddress } from '../../src/dns/address.ts'
import { type Message, decodeMessage } from '../../src/dns/message.ts'
import { isFault } from '../../src/dns/name.ts'
import { Q_DROP, Q_FORMERR, Q_NOTIMP, Q_OK, Q_SIGNED, makeQuery, parseQuery } from '../../src/dns/query.ts'
import { typeName } from '../../src/dns/types.ts'
import { UP, stateOf } from '../../src/health/table.ts'
import type { TestNode } from '../answer/fixture.ts'
import { broken } from '../support/ask.ts'
import { CLIENTS } from '../support/mmdb.ts'
import type { Packet, Random } from './packets.ts'

/** Everything but the packet that an answer depends on. */
interface Setting {
  readonly client: string
  readonly transport: typeof UDP | typeof TCP
  readonly room: number
  readonly chance: number
}

const ADDRESSES: string[] = Object.values(CLIENTS).flatMap(({ v4, v6 }) => [v4, v6])
ADDRESSES.push(
  '::ffff:82.64.1.1',
  '2002:5240:101::1',
  '64:ff9b::5240:101',
  '2001:0:5:6:7:8:adbf:fefe',
  '::1',
  '0.0.0.0',
)

const ROOMS = [0, 11, 12, 30, 100, 511, 512, 1232, 1500, 65_535]
const BIG = [1500, 65_535]
const GUARD = 64
const q = makeQuery()

/** Answers the packet and checks all that must hold; what is wrong, and how to see it again. */
export function check(node: TestNode, packet: Packet, random: Random): string | undefined {
  const rooms = random(3) > 0 ? BIG : ROOMS
  const setting: Setting = {
    client: ADDRESSES[random(ADDRESSES.length)]!,
    transport: random(4) === 0 ? TCP : UDP,
    room: rooms[random(rooms.length)]!,
    chance: random(2 ** 32) | 0,
  }
  const wrong = judge(node, packet, setting, random)
  if (wrong === undefined) return undefined
  return `${wrong}\n  packet ${Buffer.from(packet.bytes).toString('hex')}\n  ${JSON.stringify(setting)}`
}

function judge(node: TestNode, packet: Packet, setting: Setting, random: Random): string | undefined {
  const { bytes } = packet
  const counted = node.responder.counters.slice(0, QUERY_CELLS)
  const reply = answer(node, bytes, setting, random)
  if (typeof reply === 'string') return reply
  const miscounted = judgeCounts(node, counted, bytes, reply, setting)
  if (miscounted !== undefined) return miscounted
  if (node.responder.counters[C_BUGS] !== 0) {
    node.responder.counters[C_BUGS] = 0
    return 'a bug was caught: SERVFAIL'
  }
  const again = answer(node, bytes, setting, random)
  if (typeof again === 'string') return again
  if (Buffer.compare(reply, again) !== 0) return 'another answer in another slot'
  const verdict = parseQuery(bytes, 0, bytes.length, q, 1)
  if (verdict === Q_DROP) return reply.length === 0 ? undefined : 'answered what must be dropped'
  if (reply.length === 0) return setting.room < 512 ? undefined : 'no answer to a query'
  const limit = setting.transport === TCP ? 65_535 : Math.min(node.responder.protocol.unprovenBytes, q.payload)
  if (reply.length > limit) return `${reply.length} bytes where ${limit} are allowed`
  const message = decodeMessage(reply)
  if (isFault(message)) return `a reply that cannot be read: ${message.fault}: ${Buffer.from(reply).toString('hex')}`
  const wrong =
    verdict === Q_OK && random(8) === 0 ? judgeRoom(node, bytes, reply, message, setting, random) : undefined
  if (wrong !== undefined) return wrong
  return (
    judgeReply(node, packet, reply, message, verdict, setting) ??
    (random(4) === 0 ? judgeByDns2(reply, message) : undefined)
  )
}

/** Each packet is one in exactly one cell: its transport, its type when it has a question, the rcode of its reply. */
function judgeCounts(
  node: TestNode,
  before: Float64Array,
  bytes: Uint8Array,
  reply: Uint8Array,
  setting: Setting,
): string | undefined {
  parseQuery(bytes, 0, bytes.length, q, 1)
  const message = reply.length === 0 ? undefined : decodeMessage(reply)
  if (message !== undefined && isFault(message)) return undefined
  const known = COUNTED_TYPES.findIndex((type) => type === typeName(q.type))
  const type = known < 0 || message === undefined ? COUNTED_TYPES.length - 1 : known
  const rcode = COUNTED_RCODES.findIndex((name) => name === (message?.rcode ?? 'dropped'))
  const cell = queryCell(setting.transport, type, rcode)
  const { counters } = node.responder
  const moved = before.findIndex((count, i) => counters[i] !== count + (i === cell ? 1 : 0))
  return moved < 0 ? undefined : `counted in cell ${moved} beside or instead of ${cell}`
}

/** No fuzzed signature is one of a key: FORMERR, or NOTAUTH with a TSIG record if there is room for it. */
function judgeUnsigned({ rcode, additional, ...message }: Message): string | undefined {
  if (rcode !== 'FORMERR' && rcode !== 'NOTAUTH') return `${rcode} for a signature`
  if (message.answer.length + message.authority.length > 0) return 'records for a signature'
  return additional.every(({ type }) => type === 'TSIG' && rcode === 'NOTAUTH') ? undefined : 'additional records'
}

/** A room of exactly the reply's size changes nothing; one byte less costs optional records or truncates, never more. */
function judgeRoom(
  node: TestNode,
  bytes: Uint8Array,
  reply: Uint8Array,
  message: Message,
  setting: Setting,
  random: Random,
): string | undefined {
  const exact = answer(node, bytes, { ...setting, room: reply.length }, random)
  if (typeof exact === 'string') return exact
  // what a larger room made of a delegation's optional glue may fit no more
  if (Buffer.compare(exact, reply) !== 0) return `another answer in a room of its own ${reply.length} bytes`
  const less = answer(node, bytes, { ...setting, room: reply.length - 1 }, random)
  if (typeof less === 'string' || less.length === 0) return typeof less === 'string' ? less : undefined
  const cut = decodeMessage(less)
  if (isFault(cut)) return `a reply that cannot be read in less room: ${cut.fault}`
  const fewer = cut.additional.length < message.additional.length && cut.authority.length === message.authority.length
  const bare = (cut.edns?.options.length ?? 0) < (message.edns?.options.length ?? 0)
  return cut.tc || fewer || bare ? undefined : 'neither truncated nor shorter in less room'
}

/** respond() in a slot of noise between guards: the reply, or what it did that it must not. */
function answer(node: TestNode, bytes: Uint8Array, setting: Setting, random: Random): Uint8Array | string {
  const { room, transport } = setting
  const at = random(64)
  const filler = random(256)
  const slot = Uint8Array.from({ length: at + bytes.length + GUARD }, (_, i) =>
    filler < 128 ? filler : (i * filler) & 255,
  )
  slot.set(bytes, at)
  const before = slot.slice()
  const outAt = random(GUARD)
  const output = new Uint8Array(outAt + room + GUARD).fill(filler)
  const client = Uint8Array.of(...noise(random, 5), ...parseAddress(setting.client)!)
  node.responder.chance = setting.chance
  let size: number
  try {
    const family = client.length === 5 + 4 ? 4 : 6
    size = respond(
      node.responder,
      makeRequest({
        input: slot,
        at,
        length: bytes.length,
        client,
        clientAt: 5,
        family,
        transport,
        output,
        outAt,
        room,
      }),
    )
  } catch (error) {
    return `threw ${String(error)}`
  }
  if (!(size >= 0 && size <= room)) return `said ${size} bytes in a room of ${room}`
  for (let i = 0; i < output.length; i++) {
    if ((i < outAt || i >= outAt + room) && output[i] !== filler)
      return `wrote at ${i - outAt} outside its room of ${room}`
  }
  if (Buffer.compare(slot, before) !== 0) return 'wrote into its input'
  return output.slice(outAt, outAt + size)
}

const noise = (random: Random, bytes: number): number[] => Array.from({ length: bytes }, () => random(256))

function judgeReply(
  node: TestNode,
  packet: Packet,
  reply: Uint8Array,
  message: Message,
  verdict: number,
  setting: Setting,
): string | undefined {
  const { bytes } = packet
  if (message.id !== q.id) return 'another id'
  if (!message.qr || message.opcode !== ((q.flags >>> 11) & 15)) return 'QR or opcode'
  if (message.ra || message.ad || message.rd !== ((q.flags & 0x100) !== 0)) return 'RA, AD or RD'
  if (message.rcode === 'SERVFAIL') return 'SERVFAIL'
  if (verdict === Q_FORMERR && message.rcode !== 'FORMERR') return `${message.rcode} for FORMERR`
  if (verdict === Q_NOTIMP && message.rcode !== 'NOTIMP') return `${message.rcode} for NOTIMP`
  if (verdict === Q_SIGNED) return judgeUnsigned(message)
  if (verdict !== Q_OK && message.answer.length + message.authority.length + message.additional.length > 0)
    return 'records'
  if ((message.edns !== undefined) !== q.edns) return 'OPT exactly when the query had one'
  if (!packet.wellFormed) return undefined
  const wrong = broken(bytes, reply, message, setting.transport === TCP ? 'tcp' : 'udp')
  if (wrong.length > 0) return wrong.join(', ')
  return message.answer.length === 0 && !message.tc && mustAnswer(node, message)
    ? 'an empty answer of a steered name'
    : undefined
}

/** Steered name → its service. */
const STEERED = new Map([
  ['example.com.', 'web'],
  ['www.example.com.', 'web'],
  ['x.apps.example.com.', 'web'],
  ['four.example.com.', 'four'],
  ['dice.example.com.', 'dice'],
  ['page.example.com.', 'page'],
  ['half.pools.example.', 'spill'],
])
/** A dynamic record's own values are there whatever is down. */
const ALWAYS: ReadonlySet<string> = new Set([
  'both.pools.example. A',
  'x.pool.pools.example. A',
  'half.pools.example. AAAA',
])

/** A steered name whose service has a member up, of the family that was asked for, must name it. */
function mustAnswer(node: TestNode, message: Message): boolean {
  const { name, type, class: clas } = message.question[0]!
  if (clas === 'IN' && ALWAYS.has(`${name.toLowerCase()} ${type}`)) return true
  const service = STEERED.get(name.toLowerCase())
  if (service === undefined || clas !== 'IN' || (type !== 'A' && type !== 'AAAA')) return false
  return [...node.slots].some(([member, slot]) => {
    const [, of, address] = member.split('/')
    return of === service && address!.includes(':') === (type === 'AAAA') && stateOf(node.health[slot]!) === UP
  })
}

/** A second opinion; dns2 loses an OPT that ends in an IPv6 ECS (LIBRARIES.md), so those are left out. */
function judgeByDns2(reply: Uint8Array, message: Message): string | undefined {
  if (message.edns?.ecs?.family === 2) return undefined
  const packet = Dns2.parse(Buffer.from(reply))
  if (packet.errors.length > 0) return `dns2: ${packet.errors[0]!.message}: ${Buffer.from(reply).toString('hex')}`
  const counts = [packet.answers.length, packet.authorities.length, packet.additionals.length]
  const ours = [message.answer.length, message.authority.length, message.additional.length + (message.edns ? 1 : 0)]
  return counts.join() === ours.join() ? undefined : `dns2 reads ${counts.join()} records, we ${ours.join()}`
}

const WORDS = [0, 1, 2, 3, 4]

/** Moves one member's health at random: state, share, calm. */
export function disturb(node: TestNode, random: Random): void {
  const members = [...node.slots.keys()]
  const share = random(4) === 0 ? random(1001) : 1000
  const word = WORDS[random(WORDS.length)]! | (random(2) * 8) | ((1000 - share) << 4)
  node.set(members[random(members.length)]!, word)
}
