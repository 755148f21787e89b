/** RFC 1996: NOTIFY to secondaries; and that this side takes none, nor updates (RFC 2136). */
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { afterEach, describe, expect, test } from 'vitest'
import type { World } from '../../src/answer/world.ts'
import { decodeMessage, formatRr, type Message } from '../../src/dns/message.ts'
import { isFault } from '../../src/dns/name.ts'
import { sign, tsigBytes, unsigned, verify } from '../../src/dns/tsig.ts'
import { Notifier } from '../../src/server/notify.ts'
import { encode } from '../support/ask.ts'
import { signatureOf, testKey } from '../support/signed.ts'
import { Primary } from '../support/transfers.ts'
import { until } from '../support/until.ts'
import { rule } from './world.ts'

const KEY = testKey('xfr')
const NS = '"": {type: NS, value: ns1.example.net.}\n'

/** A secondary that replies as told. */
class Secondary {
  readonly messages: Uint8Array[] = []
  readonly #socket: Socket
  /** What it replies to a message, if anything. */
  reply: (message: Uint8Array, count: number) => Uint8Array | undefined = (message) => confirm(message)

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.on('message', (message, { address, port }) => {
      this.messages.push(new Uint8Array(message))
      const reply = this.reply(message, this.messages.length)
      if (reply !== undefined) socket.send(reply, port, address)
    })
  }

  static async start(): Promise<Secondary> {
    const socket = createSocket('udp4')
    socket.bind(0, '127.0.0.1')
    await once(socket, 'listening')
    return new Secondary(socket)
  }

  get port(): number {
    return this.#socket.address().port
  }

  get decoded(): readonly Message[] {
    return this.messages.map((bytes) => {
      const message = decodeMessage(bytes)
      if (isFault(message)) throw new Error(message.fault)
      return message
    })
  }

  close(): void {
    this.#socket.close()
  }
}

/** The reply that confirms a message, or refuses it. */
function confirm(message: Uint8Array, rcode = 0): Uint8Array {
  const end = message.indexOf(0, 12) + 5
  const reply = message.slice(0, end)
  reply.set([0, 0, 0, 0, 0, 0], 6)
  reply[2]! |= 0x80
  reply[3] = rcode
  return reply
}

/** The line of a secondary that is silent. */
const silent = (port: number): string => `warn NOTIFY of example.com. to 127.0.0.1:${port}: no reply to 6 messages`
const now = (): number => Math.floor(Date.now() / 1000)
const ending: (() => void)[] = []
afterEach(() => ending.splice(0).forEach((end) => end()))

/** `firstWaitMs`: short only where a reply is missing. */
async function begin({ key = '', firstWaitMs = 20_000 } = {}) {
  const one = await Secondary.start()
  const other = await Secondary.start()
  const logged: string[] = []
  const notifier = new Notifier({
    log: (level, line) => void logged.push(`${level} ${line}`),
    keys: () => (key === 'xfr' ? [KEY] : []),
    firstWaitMs,
  })
  ending.push(() => [one, other, { close: () => notifier.stop() }].forEach((part) => part.close()))
  const files = (serial: number, value = '192.0.2.1') => ({
    'defaults.yaml': `soa: {serial: ${serial}}
transfer: {${key === '' ? 'allow: [127.0.0.1]' : `key: ${key}`}, notify: ["127.0.0.1:${one.port}", "127.0.0.1:${other.port}"]}
zones: {example.org: {transfer: {allow: [127.0.0.1]}}}
`,
    'example.com.yaml': `${NS}a: {type: A, value: ${value}}\n`,
    'example.org.yaml': NS,
  })
  const primary = await Primary.start(files(1))
  const { responder } = primary
  const world = (): World => responder.world
  return { one, other, notifier, logged, primary, files, world }
}

describe('§3.3, §3.7: a new serial', () => {
  test('is told to each secondary of the zone, once it is served, with the new SOA', async () => {
    const { one, other, notifier, primary, files, world } = await begin()
    notifier.publish(world())
    await until('both', () => notifier.stats.confirmed === 2)
    for (const { decoded } of [one, other]) {
      expect(decoded).toMatchObject([
        {
          opcode: 4,
          qr: false,
          aa: true,
          rcode: 'NOERROR',
          question: [{ name: 'example.com.', type: 'SOA', class: 'IN' }],
        },
      ])
      expect(decoded[0]!.answer.map(formatRr)).toEqual([
        'example.com. 3600 IN SOA ns1.example.net. hostmaster.example.com. 1 7200 900 1209600 60',
      ])
    }
    await primary.load(files(2))
    notifier.publish(world())
    await until('both', () => notifier.stats.confirmed === 4)
    expect(one.decoded[1]!.answer[0]!.rdata).toContain(' 2 7200')
  })

  test('that is the one before is not told again', async () => {
    const { one, notifier, primary, files, world } = await begin()
    notifier.publish(world())
    await until('both', () => notifier.stats.confirmed === 2)
    await primary.load(files(1, '192.0.2.2'))
    notifier.publish(world())
    expect(notifier.stats.pending).toBe(0)
    expect(one.messages).toHaveLength(1)
  })
})

describe('§3.6: without a reply', () => {
  test('a message is sent again, each wait twice the one before, with another id; a reply ends it', async () => {
    const { one, notifier, world } = await begin({ firstWaitMs: 50 })
    const times: number[] = []
    one.reply = (message, count) => {
      times.push(performance.now())
      return count < 4 ? undefined : confirm(message)
    }
    notifier.publish(world())
    await until('both', () => notifier.stats.confirmed === 2)
    expect(one.messages.length).toBeGreaterThanOrEqual(4)
    const waits = times.slice(1).map((time, i) => time - times[i]!)
    // a timer starts before the message arrives: the sum is what can be told
    expect(
      waits.reduce((sum, wait) => sum + wait, 0),
      waits.join(),
    ).toBeGreaterThan(0.8 * 50 * (1 + 2 + 4))
    expect(waits[2]!, waits.join()).toBeGreaterThan(waits[0]!)
    expect(new Set(one.decoded.map(({ id }) => id)).size).toBeGreaterThan(1)
  })

  test('it is given up after six messages, with a line in the log', async () => {
    const { one, other, notifier, logged, world } = await begin({ firstWaitMs: 5 })
    one.reply = other.reply = () => undefined
    notifier.publish(world())
    await until('the end', () => notifier.stats.failed === 2)
    await until('all messages', () => one.messages.length + other.messages.length === 12)
    expect(logged.toSorted()).toEqual([silent(one.port), silent(other.port)].toSorted())
    expect(notifier.stats).toEqual({ confirmed: 0, failed: 2, pending: 0 })
  })

  test('a newer serial takes the place of one that is still to be confirmed', async () => {
    const { one, notifier, primary, files, world } = await begin()
    one.reply = (message, count) => (count === 1 ? undefined : confirm(message))
    notifier.publish(world())
    await until('the first', () => one.messages.length === 1 && notifier.stats.confirmed === 1)
    await primary.load(files(2))
    notifier.publish(world())
    await until('all', () => notifier.stats.pending === 0)
    expect(one.decoded.at(-1)!.answer[0]!.rdata).toContain(' 2 7200')
    expect(notifier.stats.confirmed).toBe(3)
  })
})

describe('a reply', () => {
  test('that refuses ends it, with a line in the log', async () => {
    const { one, notifier, logged, world } = await begin()
    one.reply = (message) => confirm(message, 5)
    notifier.publish(world())
    await until('all', () => notifier.stats.pending === 0)
    expect(one.messages).toHaveLength(1)
    expect(logged).toEqual([`warn NOTIFY of example.com. to 127.0.0.1:${one.port}: it answers REFUSED`])
  })

  test('to something else, or from somebody else, is none', async () => {
    const { one, other, notifier, world } = await begin({ firstWaitMs: 500 })
    one.reply = (message, count) => {
      const reply = confirm(message)
      if (count === 1) reply[1]! ^= 1
      if (count === 2) reply[2] = 0x80 // of a query
      return reply
    }
    other.reply = () => undefined
    notifier.publish(world())
    await until('its reply', () => notifier.stats.confirmed === 1)
    expect(one.messages.length).toBeGreaterThanOrEqual(3)
  })
})

describe('a zone with a key (RFC 8945)', () => {
  test('has signed messages, and takes only replies that are signed with it', async () => {
    const { one, notifier, world } = await begin({ key: 'xfr', firstWaitMs: 500 })
    one.reply = (message, count) => {
      if (count === 1) return confirm(message) // not signed: none
      const bare = confirm(message)
      const out = new Uint8Array(bare.length + tsigBytes(KEY))
      out.set(bare)
      const { size } = sign(out, 0, bare.length, { key: KEY, nowSeconds: now(), prior: signatureOf(message, KEY)!.mac })
      return out.subarray(0, size)
    }
    notifier.publish(world())
    // the other's replies are never signed
    await until('the signed reply', () => notifier.stats.confirmed === 1)
    expect(one.messages.length).toBeGreaterThanOrEqual(2)
    const [first] = one.messages
    const tsig = signatureOf(first!, KEY)!
    expect(verify(unsigned(first!, tsig), tsig, KEY, now())).toBe(0)
  })

  test('is not told of without the key', async () => {
    const { notifier, logged, world } = await begin({ key: 'lost' })
    notifier.publish(world())
    expect(notifier.stats).toEqual({ confirmed: 0, failed: 2, pending: 0 })
    expect(logged[0]).toMatch(/tsig\.keys has no key lost\.$/)
  })
})

rule('§3.11, RFC 2136 §2: NOTIFY and UPDATE that come in are NOTIMP: files are the source', async ({ tell }) => {
  for (const opcode of [4, 5]) {
    const message = encode({ q: 'example.com SOA', id: 7 })
    message[2] = opcode << 3
    expect(await tell(message)).toMatchObject({ id: 7, opcode, rcode: 'NOTIMP', qr: true, answer: [] })
  }
})
