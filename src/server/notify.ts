/**
 * NOTIFY (RFC 1996): tells secondaries of a zone's new serial, so that they look at once and not only when `refresh` of
 * the SOA is over. In the main thread, over UDP. Called by node/node.ts with each World.
 *
 *   new serial ─▶ waiting ─ at most MOST_OUT ─▶ sent ─┬─ reply ──────────────▶ done
 *                                              ▲      ├─ none in time ─▶ again, 2, 4, 8, 16, 32 s
 *                                              └──────┘        └─ TRIES ─▶ failed, with a line in the log
 *
 * A serial that is newer takes the place of one that a secondary was to be told of. All of it is bounded by zones ×
 * secondaries.
 */
import { randomInt } from 'node:crypto'
import { createSocket, type Socket } from 'node:dgram'
import type { Log } from '../config.ts'
import { familyOf, parsePeer } from '../dns/address.ts'
import { formatName, keyOf } from '../dns/name.ts'
import { readTsig, sign, tsigBytes, type TsigKey, unsigned, verify } from '../dns/tsig.ts'
import { CLASS, rcodeName, TYPE } from '../dns/types.ts'
import { type Endpoint, formatEndpoint } from '../units.ts'
import type { World } from '../answer/world.ts'
import { C_APEX, C_APEX_BYTES, C_POLICY, C_SOA, COPY_INTS } from '../zone/copies.ts'
import { recordEnd } from '../zone/pack.ts'

/** How many messages may be without a reply at once, so that a thousand zones are no burst. */
const MOST_OUT = 50
/** How often a message is sent, and how long to wait for the reply to the first; each wait is twice the one before. */
const TRIES = 6
const FIRST_WAIT_MS = 2_000
const NOTIFY = 4
const OPCODE_AND_AA = (NOTIFY << 11) | 0x0400
const SERIAL_FROM_END = 20

/** What became of the messages so far. */
export interface NotifyStats {
  /** Secondaries that have confirmed a serial. */
  readonly confirmed: number
  /** Those that refused, or did not reply to the last try. */
  readonly failed: number
  /** Those that are still to be told, or to reply. */
  readonly pending: number
}

/** What a Notifier is made with. */
export interface NotifierOptions {
  readonly log: Log
  /** Those of the setting `tsig.keys` now. */
  readonly keys: () => readonly TsigKey[]
  /** For tests. */
  readonly firstWaitMs?: number
}

/** One secondary that is to be told of one zone. */
interface Task {
  readonly zone: Uint8Array
  readonly soa: Uint8Array
  readonly serial: number
  readonly to: Endpoint
  readonly key: Uint8Array | undefined
  tries: number
  id: number
  mac: Uint8Array | undefined
  timer: NodeJS.Timeout | undefined
}

/** Tells secondaries. */
export class Notifier {
  readonly #options: NotifierOptions
  readonly #sockets = new Map<4 | 6, Socket>()
  /** By zone and secondary: those to be told, and those that were sent a message. */
  readonly #waiting = new Map<string, Task>()
  readonly #out = new Map<string, Task>()
  /** By zone and secondary, the serial that was told last. */
  readonly #told = new Map<string, number>()
  #confirmed = 0
  #failed = 0
  #stopped = false

  constructor(options: NotifierOptions) {
    this.#options = options
  }

  get stats(): NotifyStats {
    return { confirmed: this.#confirmed, failed: this.#failed, pending: this.#waiting.size + this.#out.size }
  }

  /** Tells the secondaries of a World's zones that have a serial they were not told of. */
  publish({ image, copies }: Pick<World, 'image' | 'copies'>): void {
    const current = new Set<string>()
    for (let at = 0; at < copies.zones.length; at += COPY_INTS) {
      const { notify, key } = copies.policies[copies.zones[at + C_POLICY]!]!
      if (notify.length === 0) continue
      const apex = copies.zones[at + C_APEX]!
      const zone = image.bytes.slice(apex, apex + copies.zones[at + C_APEX_BYTES]!)
      const soaAt = copies.zones[at + C_SOA]!
      const soa = image.bytes.slice(soaAt, recordEnd(image.bytes, soaAt))
      const serial = new DataView(soa.buffer).getUint32(soa.length - SERIAL_FROM_END)
      for (const to of notify) {
        const name = `${keyOf(zone)} ${formatEndpoint(to)}`
        current.add(name)
        if (this.#told.get(name) === serial) continue
        this.#told.set(name, serial)
        this.#end(name)
        this.#waiting.set(name, { zone, soa, serial, to, key, tries: 0, id: 0, mac: undefined, timer: undefined })
      }
    }
    for (const name of this.#told.keys()) {
      if (current.has(name)) continue
      this.#told.delete(name)
      this.#end(name)
    }
    this.#fill()
  }

  stop(): void {
    this.#stopped = true
    for (const name of [...this.#out.keys(), ...this.#waiting.keys()]) this.#end(name)
    for (const socket of this.#sockets.values()) socket.close()
  }

  /** Forgets what a secondary was to be told. */
  #end(name: string): void {
    clearTimeout(this.#out.get(name)?.timer)
    this.#out.delete(name)
    this.#waiting.delete(name)
  }

  #fill(): void {
    for (const [name, task] of this.#waiting) {
      if (this.#out.size >= MOST_OUT || this.#stopped) return
      this.#waiting.delete(name)
      this.#out.set(name, task)
      this.#send(name, task)
    }
  }

  #send(name: string, task: Task): void {
    const { firstWaitMs = FIRST_WAIT_MS } = this.#options
    if (task.tries === TRIES) return this.#fail(name, task, `no reply to ${TRIES} messages`)
    const message = this.#message(task)
    if (message === undefined) return this.#fail(name, task, `tsig.keys has no key ${formatName(task.key!)}`)
    const { address, port } = task.to
    this.#socket(familyOf(address)).send(message, port, address, () => {}) // an error is as no reply
    task.timer = setTimeout(() => this.#send(name, task), firstWaitMs * 2 ** task.tries)
    task.tries++
  }

  /** A new message, signed if the zone has a key; undefined: the key is not known. */
  #message(task: Task): Uint8Array | undefined {
    const { zone, soa } = task
    const key = task.key && this.#keyOf(task.key)
    if (task.key !== undefined && key === undefined) return undefined
    task.id = randomInt(65_536) // each try has another: a late reply to an earlier one is none
    const head = Buffer.alloc(12)
    head.writeUInt16BE(task.id, 0)
    head.writeUInt16BE(OPCODE_AND_AA, 2)
    head.writeUInt16BE(1, 4)
    head.writeUInt16BE(1, 6) // §3.7: the answer section may have the new SOA
    const bare = Buffer.concat([head, zone, Uint8Array.of(0, TYPE.SOA, 0, CLASS.IN), soa])
    if (key === undefined) return bare
    const out = new Uint8Array(bare.length + tsigBytes(key))
    out.set(bare)
    const { size, mac } = sign(out, 0, bare.length, { key, nowSeconds: nowSeconds() })
    task.mac = mac
    return out.subarray(0, size)
  }

  #keyOf(name: Uint8Array): TsigKey | undefined {
    return this.#options.keys().find((key) => keyOf(key.name) === keyOf(name))
  }

  #socket(family: 4 | 6): Socket {
    const known = this.#sockets.get(family)
    if (known !== undefined) return known
    const socket = createSocket(family === 4 ? 'udp4' : 'udp6')
    socket.on('error', () => {})
    socket.on('message', (reply, { address, port }) => this.#receive(reply, address, port))
    this.#sockets.set(family, socket)
    socket.unref()
    return socket
  }

  #receive(reply: Uint8Array, address: string, port: number): void {
    const from = parsePeer(address)
    if (reply.length < 12 || from === undefined) return
    const id = (reply[0]! << 8) | reply[1]!
    const isReply = reply[2]! >>> 3 === (0x10 | NOTIFY)
    for (const [name, task] of isReply ? this.#out : []) {
      const { to } = task
      if (task.id !== id || to.port !== port || keyOf(parsePeer(to.address)!) !== keyOf(from)) continue
      if (task.mac !== undefined && !this.#isSigned(reply, task)) continue
      const rcode = reply[3]! & 15
      if (rcode !== 0) return this.#fail(name, task, `it answers ${rcodeName(rcode)}`)
      this.#confirmed++
      this.#end(name)
      return this.#fill()
    }
  }

  /** Whether a reply is signed with the key of the message, or says that it can't be: an error without a signature. */
  #isSigned(reply: Uint8Array, { key, mac }: Task): boolean {
    const known = this.#keyOf(key!)
    const at = Buffer.from(reply).lastIndexOf(Buffer.from(key!))
    const tsig = at < 12 ? undefined : readTsig(reply, at)
    if (known === undefined || tsig === undefined) return false
    return tsig.mac.length === 0
      ? tsig.error !== 0 && (reply[3]! & 15) !== 0
      : verify(unsigned(reply, tsig), tsig, known, nowSeconds(), mac) === 0
  }

  #fail(name: string, { zone, to, serial }: Task, why: string): void {
    this.#failed++
    this.#end(name)
    const fields = { zone: formatName(zone), secondary: formatEndpoint(to), serial, why }
    this.#options.log('warn', `NOTIFY of ${fields.zone} to ${fields.secondary}: ${why}`, fields)
    this.#fill()
  }
}

const nowSeconds = (): number => Math.floor(Date.now() / 1000)
