/**
 * The query log, seen from the main thread: the rings that answering threads record into, and the thread
 * (querylog/log-thread.ts) that passes the records on, which is watched and replaced like those that answer. Answers never
 * wait for it. Called by server.ts.
 */
import type { Log } from '../config.ts'
import { startThread, type Thread } from '../linux/worker.ts'
import { droppedBy, makeRing, type Recording } from '../querylog/ring.ts'
import {
  LOG_THREAD,
  Q_BEAT,
  Q_CELLS,
  Q_DROPPED,
  Q_WRITTEN,
  type QueryLogAssignment,
  type QueryLogCommand,
  type Sender,
  type SinkKind,
  type SinkNews,
  SINKS,
} from '../querylog/sink.ts'
import { count } from '../units.ts'
import { Seat } from './seat.ts'

/** What is recorded, and where it goes: at least one path. */
export interface QueryLogSettings {
  readonly paths: Readonly<Partial<Record<SinkKind, string>>>
  /** Each query is recorded with the probability 1 / `sample`. */
  readonly sample: number
  readonly sender: Sender
}

/** What became of the records for one sink. */
export interface SinkStats {
  readonly sink: SinkKind
  readonly written: number
  /** The ring of a thread was full, or the sink could not take them. */
  readonly dropped: number
  /** What keeps records from being passed on, in words; null: nothing. */
  readonly trouble: string | null
}

/** How often what was dropped is told, at most. */
const REPORT_MS = 60_000
/** To count what was lost and close the sinks, beyond the time for what waits; on a busy machine the thread has its turn late. */
const END_MS = 5_000

/** The query log of a running server, from the constructor to stop(). */
export class QueryLog {
  readonly #settings: QueryLogSettings
  readonly #log: Log
  readonly #rings: readonly SharedArrayBuffer[]
  readonly #cells = new Float64Array(new SharedArrayBuffer(Q_CELLS * Float64Array.BYTES_PER_ELEMENT))
  readonly #troubles = new Map<SinkKind, string>()
  readonly #seat: Seat
  readonly #reporting: NodeJS.Timeout
  /** What was dropped at the last report. */
  readonly #told = new Map<SinkKind, number>()

  /** `threads`: how many answering threads there are, of all transports. */
  constructor(settings: QueryLogSettings, threads: number, log: Log) {
    this.#settings = settings
    this.#log = log
    this.#rings = Array.from({ length: threads }, () => makeRing())
    this.#seat = new Seat({
      what: 'the thread of the query log',
      fields: {},
      log,
      start: () => this.#start(),
      beat: () => this.#cells[Q_BEAT]!,
      onEnd: () => this.#troubles.clear(),
    })
    this.#reporting = setInterval(() => this.report(), REPORT_MS)
    this.#reporting.unref()
    const which = settings.sample === 1 ? 'every query' : `about one query in ${settings.sample}, chosen at random,`
    const { file, dnstap } = settings.paths
    const where = [file, dnstap === undefined ? undefined : `${dnstap} (dnstap)`].filter((path) => path !== undefined)
    log('info', `query log: ${which} is recorded to ${where.join(' and ')}`, { ...settings.paths })
  }

  /** For answering thread number `index`. */
  recording(index: number): Recording {
    return { ring: this.#rings[index]!, sample: this.#settings.sample }
  }

  stats(): readonly SinkStats[] {
    const unread = this.#rings.reduce((sum, ring) => sum + droppedBy(ring), 0)
    return this.#sinks.map((sink) => ({
      sink,
      written: this.#cells[Q_WRITTEN + SINKS.indexOf(sink)]!,
      dropped: this.#cells[Q_DROPPED + SINKS.indexOf(sink)]! + unread,
      trouble: this.#troubles.get(sink) ?? null,
    }))
  }

  /** Logs how many records were dropped since the last report, if any were. */
  report(): void {
    for (const { sink, dropped, trouble } of this.stats()) {
      const more = dropped - (this.#told.get(sink) ?? 0)
      if (more <= 0) continue
      this.#told.set(sink, dropped)
      const why = trouble ?? `queryLog.${sink}: they come faster than they are taken; raise queryLog.sample`
      this.#log('warn', `query log: ${count(more, 'record')} dropped, ${why}`, { sink, dropped: more })
    }
  }

  /** Passes on what was recorded, as far as that is possible within `drainMs`. Call it when no thread answers any more. */
  async stop(drainMs: number): Promise<void> {
    clearInterval(this.#reporting)
    await this.#seat.stop(() => this.#seat.postMessage({ drainMs } satisfies QueryLogCommand), drainMs + END_MS)
    this.report()
  }

  get #sinks(): readonly SinkKind[] {
    return SINKS.filter((sink) => this.#settings.paths[sink] !== undefined)
  }

  #start(): Thread {
    const { paths, sender } = this.#settings
    this.#cells[Q_BEAT] = 0
    const workerData: QueryLogAssignment = { rings: this.#rings, paths, sender, cells: this.#cells }
    const worker = startThread(LOG_THREAD, { name: 'query-log', workerData })
    worker.on('message', (news: SinkNews) => this.#hear(news))
    worker.on('error', (error) => this.#log('error', `the thread of the query log failed: ${String(error)}`, { error }))
    return worker
  }

  #hear({ sink, trouble }: SinkNews): void {
    const before = this.#troubles.get(sink)
    if (trouble === undefined) {
      this.#troubles.delete(sink)
      if (before !== undefined) this.#log('info', `queryLog.${sink}: ${this.#settings.paths[sink]} takes records again`)
    } else {
      this.#troubles.set(sink, trouble)
      this.#log('warn', `${trouble}; answers go on, and records wait: those beyond 1 MB are dropped`)
    }
  }
}
