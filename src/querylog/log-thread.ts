/**
 * Entry of the thread of the query log: takes records from the rings of the answering threads and passes them to the
 * sinks. On Linux its nice value is above that of the threads that answer: when CPU is short, records are dropped. The
 * main thread (server/query-log.ts) reads its cells, hears of trouble, and says when to end.
 */
import { getPriority, setPriority } from 'node:os'
import { parentPort, workerData } from 'node:worker_threads'
import { DnstapSink } from './dnstap.ts'
import { FileSink } from './file.ts'
import { RingReader } from './ring.ts'
import {
  Q_BEAT,
  Q_DROPPED,
  Q_WRITTEN,
  type QueryLogAssignment,
  type QueryLogCommand,
  type Sink,
  type SinkEvents,
  type SinkKind,
  type SinkNews,
  SINKS,
} from './sink.ts'

const POLL_MS = 20
/** Records of one ring before the next has its turn, and before sinks write. */
const TURN_RECORDS = 256
const NICER = 10
const NICEST = 19

const { rings, paths, sender, cells }: QueryLogAssignment = workerData
const port = parentPort!
if (process.platform === 'linux') setPriority(Math.min(NICEST, getPriority() + NICER))

const eventsOf = (sink: SinkKind): SinkEvents => ({
  onWritten: (records) => void (cells[Q_WRITTEN + SINKS.indexOf(sink)]! += records),
  onDropped: (records) => void (cells[Q_DROPPED + SINKS.indexOf(sink)]! += records),
  onTrouble: (trouble) => port.postMessage({ sink, trouble } satisfies SinkNews),
})
const readers = rings.map((ring) => new RingReader(ring))
const sinks: Sink[] = []
if (paths.file !== undefined) sinks.push(new FileSink(paths.file, eventsOf('file')))
if (paths.dnstap !== undefined) sinks.push(new DnstapSink(paths.dnstap, sender, eventsOf('dnstap')))
let next: NodeJS.Timeout | undefined
let isEnding = false

/** Passes some records on; true if there may be more. */
function turn(): boolean {
  let isMore = false
  for (const reader of readers) {
    let left = TURN_RECORDS
    for (let record = reader.take(); record !== undefined; record = --left > 0 ? reader.take() : undefined) {
      for (const sink of sinks) sink.add(record)
    }
    isMore ||= left === 0
  }
  for (const sink of sinks) sink.flush()
  cells[Q_BEAT]!++
  return isMore
}

function run(): void {
  const isMore = turn()
  if (isEnding) return
  if (isMore) setImmediate(run)
  else next = setTimeout(run, POLL_MS)
}

async function end(drainMs: number): Promise<void> {
  isEnding = true
  clearTimeout(next)
  const deadlineMs = performance.now() + drainMs
  while (turn() && performance.now() < deadlineMs);
  for (const reader of readers) {
    while (reader.take() !== undefined) for (const sink of sinks) sink.drop()
  }
  await Promise.all(sinks.map((sink) => sink.close(deadlineMs)))
  port.close()
}

port.once('message', ({ drainMs }: QueryLogCommand) => void end(drainMs))
run()
