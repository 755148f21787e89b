/**
 * The query log as dnstap (dnstap.info): for each record a message AUTH_QUERY, and AUTH_RESPONSE if a response was
 * sent, in protocol buffers, to a collector at a Unix socket. The stream is Frame Streams (github.com/farsightsec/fstrm),
 * both ways: the collector accepts the content type before anything is sent. While none listens the sink tries again, at
 * growing intervals; one that does not read lets the Outbox run full.
 *
 *   ▶ READY   ◀ ACCEPT   ▶ START   ▶ frame, frame, …   ▶ STOP   ◀ FINISH
 */
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { codeOf, messageOf } from '../problem.ts'
import type { QueryRecord } from './ring.ts'
import { Outbox, type Sender, type Sink, type SinkEvents, Trouble } from './sink.ts'

const CONTENT_TYPE = Buffer.from('protobuf:dnstap.Dnstap')
// types of control frames
const ACCEPT = 1
const START = 2
const STOP = 3
const READY = 4
const FINISH = 5
/** The one field of control frames. */
const FIELD_CONTENT_TYPE = 1
/** Control frames are at most this long. */
const CONTROL_MOST_BYTES = 512

const FIRST_RETRY_MS = 250
const LAST_RETRY_MS = 10_000
/** How long a collector may take for its part of the handshake, and to take records before it counts as stalled. */
const PATIENCE_MS = 5_000
const GOODBYE_MS = 1_000

/** A connection to a collector, made anew as often as it ends. */
export class DnstapSink implements Sink {
  readonly #path: string
  readonly #events: SinkEvents
  readonly #trouble: Trouble
  readonly #encoder: Encoder
  readonly #outbox = new Outbox()
  #socket: Socket | undefined
  #state: 'closed' | 'greeting' | 'open' | 'finished' = 'closed'
  #received: Buffer = Buffer.alloc(0)
  /** Records of the chunk that the collector is taking; 0 = none. */
  #sending = 0
  /** When the connection began, or the chunk. */
  #sinceMs = 0
  #retryMs = FIRST_RETRY_MS
  #notBeforeMs = 0

  constructor(path: string, sender: Sender, events: SinkEvents) {
    this.#path = path
    this.#encoder = new Encoder(sender)
    this.#events = events
    this.#trouble = new Trouble(events.onTrouble)
  }

  add(record: QueryRecord): void {
    if (!this.#outbox.add(this.#encoder.framesOf(record))) this.drop()
  }

  drop(): void {
    this.#events.onDropped(1)
  }

  flush(): void {
    const nowMs = performance.now()
    const isLate = nowMs - this.#sinceMs > PATIENCE_MS
    if (this.#state === 'closed') {
      if (this.#socket === undefined && nowMs >= this.#notBeforeMs) this.#connect(nowMs)
    } else if (this.#state === 'greeting') {
      if (isLate) this.#fail('it accepts no dnstap: no Frame Streams handshake within 5 s')
    } else if (this.#sending > 0) {
      if (isLate) this.#tell('it has taken no records for 5 s')
    } else if (this.#state === 'open') this.#send(nowMs)
  }

  #send(nowMs: number): void {
    const chunk = this.#outbox.take()
    if (chunk === undefined) return
    this.#sending = chunk.records
    this.#sinceMs = nowMs
    this.#socket!.write(chunk.bytes, (error) => {
      if (error) this.#events.onDropped(chunk.records)
      else this.#events.onWritten(chunk.records)
      this.#sending = 0
      if (!error) this.#trouble.set(undefined)
    })
  }

  #tell(trouble: string): void {
    this.#trouble.set(`queryLog.dnstap: ${this.#path}: ${trouble}`)
  }

  #connect(nowMs: number): void {
    const socket = connect({ path: this.#path })
    this.#socket = socket
    this.#state = 'greeting'
    this.#sinceMs = nowMs
    this.#received = Buffer.alloc(0)
    socket.on('connect', () => socket.write(control(READY, CONTENT_TYPE)))
    socket.on('data', (data) => this.#receive(data))
    socket.on('error', (error) => this.#tell(REASONS[codeOf(error) ?? ''] ?? messageOf(error)))
    socket.on('end', () => {
      if (this.#state !== 'finished') this.#tell('the collector has closed the connection')
      this.#state = 'finished'
    })
    socket.once('close', () => {
      this.#socket = undefined
      this.#state = 'closed'
      this.#notBeforeMs = performance.now() + this.#retryMs
      this.#retryMs = Math.min(2 * this.#retryMs, LAST_RETRY_MS)
    })
  }

  #fail(trouble: string): void {
    this.#tell(trouble)
    this.#socket!.destroy()
  }

  /** Reads control frames: the collector sends no others. */
  #receive(data: Buffer): void {
    this.#received = Buffer.concat([this.#received, data])
    for (let bytes = this.#received; bytes.length >= 12; bytes = this.#received) {
      const size = bytes.readUInt32BE(4)
      if (bytes.readUInt32BE(0) !== 0 || size < 4 || size > CONTROL_MOST_BYTES) return this.#fail(NO_DNSTAP)
      if (bytes.length < 8 + size) return
      this.#received = bytes.subarray(8 + size)
      this.#obey(bytes.readUInt32BE(8), bytes.subarray(12, 8 + size))
    }
  }

  #obey(type: number, fields: Buffer): void {
    if (type === FINISH) {
      this.#state = 'finished'
      this.#socket!.end()
    } else if (type === ACCEPT && this.#state === 'greeting' && fields.includes(CONTENT_TYPE)) {
      this.#socket!.write(control(START, CONTENT_TYPE))
      this.#state = 'open'
      this.#retryMs = FIRST_RETRY_MS
      this.#trouble.set(undefined)
    } else this.#fail(NO_DNSTAP)
  }

  async close(deadlineMs: number): Promise<void> {
    const until = async (isDone: () => boolean, byMs: number): Promise<void> => {
      for (; !isDone() && performance.now() < byMs; this.flush()) await sleep(5)
    }
    await until(() => this.#state !== 'open' || (this.#sending === 0 && this.#outbox.records === 0), deadlineMs)
    const left = this.#outbox.take()?.records ?? 0
    if (left > 0) this.#events.onDropped(left)
    if (this.#state === 'open' && this.#sending === 0) {
      this.#socket!.write(control(STOP))
      await until(() => this.#state !== 'open', Math.min(performance.now() + GOODBYE_MS, deadlineMs))
    }
    this.#notBeforeMs = Infinity
    this.#socket?.destroy()
  }
}

const NO_DNSTAP = 'what listens there does not accept dnstap'
const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such socket; is the collector running?',
  ECONNREFUSED: 'nobody listens there; is the collector running?',
  EACCES: 'no permission; the user that runs the node must be able to write to the socket',
  EPIPE: 'the collector has closed the connection',
  ECONNRESET: 'the collector has closed the connection',
}

/** A control frame: an escape, its length, its type, and its content type. */
function control(type: number, contentType?: Uint8Array): Buffer {
  const field = contentType === undefined ? Buffer.alloc(0) : Buffer.alloc(8 + contentType.length)
  if (contentType !== undefined) {
    field.writeUInt32BE(FIELD_CONTENT_TYPE, 0)
    field.writeUInt32BE(contentType.length, 4)
    field.set(contentType, 8)
  }
  const head = Buffer.alloc(12)
  head.writeUInt32BE(4 + field.length, 4)
  head.writeUInt32BE(type, 8)
  return Buffer.concat([head, field])
}

// dnstap.proto: numbers of fields and of their values
const DNSTAP = { identity: 1, version: 2, extra: 3, message: 14, type: 15 } as const
const TYPE_MESSAGE = 1
const MESSAGE = {
  type: 1,
  family: 2,
  protocol: 3,
  queryAddress: 4,
  queryPort: 6,
  queryTime: 8,
  queryNanoseconds: 9,
  queryMessage: 10,
  responseTime: 12,
  responseNanoseconds: 13,
  responseMessage: 14,
} as const
const AUTH_QUERY = 1
const AUTH_RESPONSE = 2

/** Writes records as data frames. */
class Encoder {
  readonly #identity: Uint8Array
  readonly #version: Uint8Array
  /** Room for one dnstap message, and for the two frames of a record, of which each has a DNS message. */
  readonly #message = new Fields(1 << 17)
  readonly #frames = new Fields(1 << 18)

  constructor({ identity, version }: Sender) {
    this.#identity = Buffer.from(identity)
    this.#version = Buffer.from(version)
  }

  /** The frames of a record; their bytes are others after the next call. */
  framesOf(record: QueryRecord): Uint8Array {
    this.#frames.clear()
    this.#addFrame(record, AUTH_QUERY)
    if (record.response.length > 0) this.#addFrame(record, AUTH_RESPONSE)
    return this.#frames.bytes
  }

  #addFrame(record: QueryRecord, type: typeof AUTH_QUERY | typeof AUTH_RESPONSE): void {
    const message = this.#message
    message.clear()
    message.number(MESSAGE.type, type)
    message.number(MESSAGE.family, record.client.length === 4 ? 1 : 2)
    message.number(MESSAGE.protocol, record.transport + 1) // UDP, TCP, DOT, DOH, as in TRANSPORTS
    message.data(MESSAGE.queryAddress, record.client)
    if (record.port !== 0) message.number(MESSAGE.queryPort, record.port)
    const seconds = Math.floor(record.atMs / 1000)
    const nanoseconds = Math.floor(record.atMs % 1000) * 1e6
    message.number(MESSAGE.queryTime, seconds)
    message.fixed32(MESSAGE.queryNanoseconds, nanoseconds)
    if (type === AUTH_QUERY) message.data(MESSAGE.queryMessage, record.query)
    else {
      message.number(MESSAGE.responseTime, seconds)
      message.fixed32(MESSAGE.responseNanoseconds, nanoseconds)
      message.data(MESSAGE.responseMessage, record.response)
    }
    const frames = this.#frames
    const start = frames.begin()
    frames.data(DNSTAP.identity, this.#identity)
    frames.data(DNSTAP.version, this.#version)
    if (type === AUTH_RESPONSE && record.service !== '') {
      frames.data(DNSTAP.extra, Buffer.from(record.site === '' ? record.service : `${record.service}/${record.site}`))
    }
    frames.data(DNSTAP.message, message.bytes)
    frames.number(DNSTAP.type, TYPE_MESSAGE)
    frames.end(start)
  }
}

/** Fields of protocol buffers (protobuf.dev, “Encoding”), one after the other in one buffer. */
class Fields {
  readonly #buffer: Buffer
  #end = 0

  constructor(room: number) {
    this.#buffer = Buffer.allocUnsafe(room)
  }

  get bytes(): Uint8Array {
    return this.#buffer.subarray(0, this.#end)
  }

  clear(): void {
    this.#end = 0
  }

  /** Leaves room for the length of a frame. */
  begin(): number {
    this.#end += 4
    return this.#end
  }

  /** Writes the length of the frame that began at `start`. */
  end(start: number): void {
    this.#buffer.writeUInt32BE(this.#end - start, start - 4)
  }

  number(field: number, value: number): void {
    this.#varint(field << 3)
    this.#varint(value)
  }

  fixed32(field: number, value: number): void {
    this.#varint((field << 3) | 5)
    this.#end = this.#buffer.writeUInt32LE(value, this.#end)
  }

  data(field: number, bytes: Uint8Array): void {
    this.#varint((field << 3) | 2)
    this.#varint(bytes.length)
    this.#buffer.set(bytes, this.#end)
    this.#end += bytes.length
  }

  #varint(value: number): void {
    let left = value
    for (; left > 127; left = Math.floor(left / 128)) this.#buffer[this.#end++] = (left % 128) | 128
    this.#buffer[this.#end++] = left
  }
}
