/**
 * The query log as a file of JSON lines. One write is under way at a time. A file that was renamed or removed, as
 * logrotate does, is made anew within REOPEN_MS; one that can't be written (the disk is full, no permission) is tried
 * again every RETRY_MS. No line is ever cut: the rest of one that was written in part comes next.
 */
import { constants } from 'node:fs'
import { type FileHandle, open, stat } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { COUNTED_RCODES, TRANSPORTS } from '../counters.ts'
import { formatAddress } from '../dns/address.ts'
import { skipName } from '../dns/freshness.ts'
import { formatName } from '../dns/name.ts'
import { makeQuery, parseQuery, type Query } from '../dns/query.ts'
import { className, CLASS, OPTION, rcodeName, TYPE, typeName } from '../dns/types.ts'
import { codeOf, messageOf } from '../problem.ts'
import type { QueryRecord } from './ring.ts'
import { type Chunk, Outbox, type Sink, type SinkEvents, Trouble } from './sink.ts'

const REOPEN_MS = 1_000
const RETRY_MS = 1_000
/** A pipe without a reader must not block. */
const FLAGS = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NONBLOCK
/** Who asks for what is personal data: others may not read it. */
const MODE = 0o640
const LINE_END = 0x0a

/** A file that grows by a line for each record. */
export class FileSink implements Sink {
  readonly #path: string
  readonly #events: SinkEvents
  readonly #trouble: Trouble
  readonly #outbox = new Outbox()
  #file: FileHandle | undefined
  /** Which file it is: device and inode. */
  #identity = ''
  /** What is being written, from `#at` on. */
  #chunk: Chunk | undefined
  #at = 0
  #working = false
  #lookedMs = 0
  #notBeforeMs = 0

  constructor(path: string, events: SinkEvents) {
    this.#path = path
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
    if (this.#file !== undefined && this.#chunk === undefined && this.#outbox.records === 0) return
    this.#working = true
    void this.#write(nowMs).finally(() => (this.#working = false))
  }

  /** Writes all that waits. Never rejects. */
  async #write(nowMs: number): Promise<void> {
    try {
      if (this.#file === undefined || nowMs - this.#lookedMs > REOPEN_MS) {
        await this.#follow()
        this.#lookedMs = nowMs
      }
      this.#chunk ??= this.#outbox.take()
      while (this.#chunk !== undefined && this.#at < this.#chunk.bytes.length) {
        this.#at += (await this.#file!.write(this.#chunk.bytes, this.#at)).bytesWritten
      }
      this.#events.onWritten(this.#chunk?.records ?? 0)
      this.#chunk = undefined
      this.#at = 0
      this.#trouble.set(undefined)
    } catch (error) {
      this.#notBeforeMs = performance.now() + RETRY_MS
      this.#trouble.set(
        `queryLog.file: ${this.#path} can't be written: ${REASONS[codeOf(error) ?? ''] ?? messageOf(error)}`,
      )
    }
  }

  /** Opens the file, or another one if this is no longer where the path leads. */
  async #follow(): Promise<void> {
    const there = await stat(this.#path).then(identityOf, () => '')
    if (this.#file !== undefined && there === this.#identity) return
    await this.#file?.close()
    this.#file = undefined
    this.#file = await open(this.#path, FLAGS, MODE)
    const identity = identityOf(await this.#file.stat())
    if (identity !== this.#identity) this.#skipRest()
    this.#identity = identity
  }

  /** In another file, goes on with a whole line. */
  #skipRest(): void {
    if (this.#chunk === undefined || this.#at === 0 || this.#chunk.bytes[this.#at - 1] === LINE_END) return
    this.#at = this.#chunk.bytes.indexOf(LINE_END, this.#at) + 1
  }

  async close(deadlineMs: number): Promise<void> {
    this.#notBeforeMs = 0
    for (this.flush(); this.#working && performance.now() < deadlineMs; this.flush()) await sleep(5)
    this.#events.onDropped((this.#chunk?.records ?? 0) + this.#outbox.records)
    if (!this.#working) await this.#file?.close()
  }
}

const identityOf = ({ dev, ino }: { readonly dev: number; readonly ino: number }): string => `${dev} ${ino}`

const REASONS: Readonly<Record<string, string>> = {
  ENOSPC: 'the disk is full',
  EDQUOT: 'the quota of the disk is used up',
  EACCES: 'no permission; its folder must be writable for the user that runs the node',
  EROFS: 'its file system is read-only',
  ENOENT: 'its folder does not exist',
  EISDIR: 'it is a folder',
  ENXIO: 'it is a pipe that nobody reads',
  EAGAIN: 'it is a pipe whose reader is too slow',
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
