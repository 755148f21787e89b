/**
 * The query log as a file of JSON lines. One write is under way at a time. A file that was renamed or removed, as
 * logrotate does, is made anew within REOPEN_MS; one that can't be written (the disk is full, no permission) is tried
 * again every RETRY_MS. No line is ever cut: the rest of one that was written in part comes next.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { AppendFile, writeFault } from '../append.ts'
import { COUNTED_RCODES, TRANSPORTS } from '../counters.ts'
import { formatAddress } from '../dns/address.ts'
import { skipName } from '../dns/freshness.ts'
import { formatName } from '../dns/name.ts'
import { makeQuery, parseQuery, type Query } from '../dns/query.ts'
import { className, CLASS, OPTION, rcodeName, TYPE, typeName } from '../dns/types.ts'
import type { QueryRecord } from './ring.ts'
import { Outbox, type Sink, type SinkEvents, Trouble } from './sink.ts'

const REOPEN_MS = 1_000
const RETRY_MS = 1_000
/** Who asks for what is personal data: others may not read it. */
const MODE = 0o640

/** A file that grows by a line for each record. */
export class FileSink implements Sink {
  readonly #path: string
  readonly #events: SinkEvents
  readonly #trouble: Trouble
  readonly #outbox = new Outbox()
  readonly #file: AppendFile
  /** Records that are being written. */
  #records = 0
  #working = false
  #lookedMs = 0
  #notBeforeMs = 0

  constructor(path: string, events: SinkEvents) {
    this.#path = path
    this.#file = new AppendFile(path, MODE)
    this.#events = events
    this.#trouble = new Trouble(events.onTrouble)
  }

  add(record: QueryRecord): void {
    if (!this.#outbox.add(Buffer.from(lineOf(record), 'latin1'))) this.drop()
  }

  drop(): void {
    this.#events.onDropped(1)
  }

  flush(): void {
    const nowMs = performance.now()
    if (this.#working || nowMs < this.#notBeforeMs) return
    if (this.#file.isOpen && !this.#file.isBusy && this.#outbox.records === 0) return
    this.#working = true
    void this.#write(nowMs).finally(() => (this.#working = false))
  }

  /** Writes all that waits. Never rejects. */
  async #write(nowMs: number): Promise<void> {
    try {
      if (!this.#file.isOpen || nowMs - this.#lookedMs > REOPEN_MS) {
        await this.#file.follow()
        this.#lookedMs = nowMs
      }
      const chunk = this.#file.isBusy ? undefined : this.#outbox.take()
      if (chunk !== undefined) {
        this.#file.take(chunk.bytes)
        this.#records = chunk.records
      }
      await this.#file.write()
      this.#events.onWritten(this.#records)
      this.#records = 0
      this.#trouble.set(undefined)
    } catch (error) {
      this.#notBeforeMs = performance.now() + RETRY_MS
      this.#trouble.set(`queryLog.file: ${this.#path} can't be written: ${writeFault(error)}`)
    }
  }

  async close(deadlineMs: number): Promise<void> {
    this.#notBeforeMs = 0
    for (this.flush(); this.#working && performance.now() < deadlineMs; this.flush()) await sleep(5)
    this.#events.onDropped(this.#records + this.#outbox.records)
    if (!this.#working) await this.#file.close()
  }
}

/** What is in the log for a query without a response. */
const DROPPED: (typeof COUNTED_RCODES)[number] = 'dropped'
const parsed = makeQuery()

/** A record as a line of JSON, in ASCII. Fields that the query or the answer does not have are left out. */
export function lineOf({ atMs, client, port, transport, query, response, service, site }: QueryRecord): string {
  parseQuery(query, 0, query.length, parsed, 0)
  const opt = response.length === 0 ? NO_OPT : optOf(response)
  const fields = {
    time: new Date(atMs).toISOString(),
    client: formatAddress(client),
    port,
    transport: TRANSPORTS[transport],
    ...(parsed.questionEnd > 0 && { name: formatName(parsed.name), type: typeName(parsed.type) }),
    ...(parsed.questionEnd > 0 && parsed.class !== CLASS.IN && { class: className(parsed.class) }),
    ...(parsed.ecs && { ecs: subnetOf(parsed) }),
    ...(parsed.ecs && opt.scope >= 0 && { scope: opt.scope }),
    rcode: response.length === 0 ? DROPPED : rcodeName((opt.rcodeHigh << 4) | (response[3]! & 15)),
    ...(response.length > 0 && { tc: (response[2]! & 2) !== 0 }),
    bytes: response.length,
    ...(service !== '' && { service }),
    ...(site !== '' && { site }),
  }
  return `${JSON.stringify(fields)}\n`
}

/** `198.51.100.0/24`; of family 0, which has no address, `0/0` (RFC 7871 §7.1.2). */
const subnetOf = ({ ecsFamily, ecsSource, ecsAddress }: Query): string =>
  ecsFamily === 0 ? '0/0' : `${formatAddress(ecsAddress, 0, ecsFamily === 1 ? 4 : 16)}/${ecsSource}`

/** Of the OPT record of a response: bits 4 to 11 of the rcode; the scope of ECS, −1 = there is none. */
interface Opt {
  readonly rcodeHigh: number
  readonly scope: number
}

const NO_OPT: Opt = { rcodeHigh: 0, scope: -1 }

/** The OPT record of a response of our own. */
function optOf(message: Uint8Array): Opt {
  const u16 = (at: number): number => (message[at]! << 8) | message[at + 1]!
  let at = 12
  for (let left = u16(4); left > 0; left--) at = skipName(message, at) + 4
  for (let left = u16(6) + u16(8) + u16(10); left > 0; left--) {
    const fixed = skipName(message, at)
    const end = fixed + 10 + u16(fixed + 8)
    if (u16(fixed) === TYPE.OPT) {
      for (let option = fixed + 10; option < end; option += 4 + u16(option + 2)) {
        if (u16(option) === OPTION.ECS) return { rcodeHigh: message[fixed + 4]!, scope: message[option + 7]! }
      }
      return { rcodeHigh: message[fixed + 4]!, scope: -1 }
    }
    at = end
  }
  return NO_OPT
}
