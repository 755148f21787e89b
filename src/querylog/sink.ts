/**
 * Where records of queries go: a file (file.ts) or a dnstap collector (dnstap.ts). A sink never makes anybody wait: what it can't
 * pass on at once waits in its Outbox, and what the Outbox has no room for is dropped and counted. Used by log-thread.ts.
 */
import { entryBeside } from '../linux/worker.ts'
import type { QueryRecord } from './ring.ts'

/** The program of the thread that passes records on. */
export const LOG_THREAD = entryBeside(import.meta.url, 'log-thread')

/** A place that records go to. */
export interface Sink {
  /** Takes a record; its bytes may be others afterwards. */
  add(record: QueryRecord): void
  /** Counts a record that is not passed on. */
  drop(): void
  /** Begins to pass on what waits, unless it is at it or nobody takes it. Called many times a second. */
  flush(): void
  /** Passes on what waits as far as that is possible by `deadlineMs` (of performance.now()), and closes. */
  close(deadlineMs: number): Promise<void>
}

/** Whom a sink tells what becomes of it. */
export interface SinkEvents {
  readonly onWritten: (records: number) => void
  readonly onDropped: (records: number) => void
  /** What keeps it from passing records on, in words; undefined: nothing any more. Called when it changes. */
  readonly onTrouble: (trouble: string | undefined) => void
}

/** Bytes of whole records that wait for a sink. */
export interface Chunk {
  readonly bytes: Buffer
  readonly records: number
}

/** The kinds of sinks. */
export const SINKS = ['file', 'dnstap'] as const
/** One of them. */
export type SinkKind = (typeof SINKS)[number]

/** Cells that the main thread reads: the beat, then the records written and dropped, for each of SINKS. */
export const Q_BEAT = 0
export const Q_WRITTEN = 1
export const Q_DROPPED = Q_WRITTEN + SINKS.length
export const Q_CELLS = Q_DROPPED + SINKS.length

/** The thread's workerData. */
export interface QueryLogAssignment {
  readonly rings: readonly SharedArrayBuffer[]
  /** The paths, where there is a sink of the kind. */
  readonly paths: Readonly<Partial<Record<SinkKind, string>>>
  readonly sender: Sender
  readonly cells: Float64Array
}

/** A message from the thread: a sink's trouble, or that it is over. */
export interface SinkNews {
  readonly sink: SinkKind
  readonly trouble: string | undefined
}

/** A message to the thread: pass on what there is within this time, and end. */
export interface QueryLogCommand {
  readonly drainMs: number
}

/** Who sends: fields of every dnstap message. */
export interface Sender {
  readonly identity: string
  readonly version: string
}

const ROOM = 1 << 20

/** Records that wait, as the bytes that are to be written. */
export class Outbox {
  readonly #bytes: Buffer
  #end = 0
  #records = 0

  constructor(room = ROOM) {
    this.#bytes = Buffer.allocUnsafe(room)
  }

  /** Appends a record; false: there is no room, or more than room. */
  add(record: Uint8Array): boolean {
    if (this.#end + record.length > this.#bytes.length) return false
    this.#bytes.set(record, this.#end)
    this.#end += record.length
    this.#records++
    return true
  }

  /** Takes all that waits; undefined: nothing does. */
  take(): Chunk | undefined {
    if (this.#end === 0) return undefined
    const chunk = { bytes: Buffer.from(this.#bytes.subarray(0, this.#end)), records: this.#records }
    this.#end = 0
    this.#records = 0
    return chunk
  }

  /** How many records wait. */
  get records(): number {
    return this.#records
  }
}

/** Tells of trouble once, and once when it is over. */
export class Trouble {
  readonly #tell: (trouble: string | undefined) => void
  #now: string | undefined

  constructor(tell: (trouble: string | undefined) => void) {
    this.#tell = tell
  }

  set(trouble: string | undefined): void {
    if (trouble === this.#now) return
    this.#now = trouble
    this.#tell(trouble)
  }
}
