/**
 * The events of a node among those of the fleet: publishes its own to the Store, and reads what other nodes saw. An event
 * is in the list as soon as the Store has told which line it is part of, so that it has one id on all nodes; while the
 * Store is away, at once, under its own id. What could not be published is published later; what the Store has lost is
 * published again.
 */
import { type EventBoard, type EventLine, type EventNotice, EVENTS_BEGIN } from '../health/store.ts'
import { within } from '../health/within.ts'
import { type Event, EVENT_KINDS, type FleetEvent, keyOf, nodeOfId, parseEvent } from './event.ts'

/** How often other nodes' events are read, and what could not be published is tried again. */
const TURN_MS = 1_000
/** Events in one call. */
const AT_ONCE = 50
/** Events that wait for the Store; the oldest are given up. */
const MOST_WAITING = 2_000
/** Characters of an event in the Store; a longer one goes without its details. */
const MOST_TEXT = 3_500
/** At the start, and when the Store has lost its events, those that are younger are published if it has them not. */
const YOUNG_MS = 3_600_000
/** A Store with so many lines may have dropped older ones. */
const FULL_LINES = 4_000
/** How long the end waits for the last events to be published. */
const FAREWELL_MS = 500

/** What Fleet needs of its node. */
export interface FleetSettings {
  readonly node: string
  readonly board: EventBoard
  /** Takes a line, with the ids of its witnesses. */
  readonly onLine: (line: FleetEvent, ids: readonly string[]) => void
  /** This node's own events that are not older, the oldest first. */
  readonly ownSince: (atMs: number) => readonly Event[]
}

/** An event that no other node is known to have seen. */
export const alone = (event: Event): FleetEvent => ({ ...event, witnesses: [event.node] })

/** Publishes and reads. Order of calls: start, stop; publish() also before start(). */
export class Fleet {
  readonly #settings: FleetSettings
  #waiting: Event[] = []
  #sending = false
  /** The last call failed: events are in the list at once. */
  #isAway = false
  #mark = EVENTS_BEGIN
  #reading = false
  /** Ids of this node's events that lines have, and the number of lines, since the first read began. */
  readonly #published = new Set<string>()
  #lines = 0
  #timer: NodeJS.Timeout | undefined

  constructor(settings: FleetSettings) {
    this.#settings = settings
  }

  start(): void {
    this.#timer = setInterval(() => this.#turn(), TURN_MS).unref()
    this.#turn()
  }

  /** Ends when the last events are published, or half a second later. */
  async stop(): Promise<void> {
    clearInterval(this.#timer)
    await within(FAREWELL_MS, this.#send(), () => {})
  }

  publish(event: Event): void {
    this.#waiting.push(event)
    if (this.#waiting.length > MOST_WAITING) this.#waiting.shift()
    if (this.#isAway) this.#settings.onLine(alone(event), [])
    else setImmediate(() => void this.#send())
  }

  #turn(): void {
    void this.#send()
    void this.#read()
  }

  /** Never rejects. */
  async #send(): Promise<void> {
    if (this.#sending) return
    this.#sending = true
    const { board, onLine } = this.#settings
    while (this.#waiting.length > 0) {
      const events = this.#waiting.slice(0, AT_ONCE)
      const nowMs = Date.now()
      const lines = await board.publish(events.map((event) => noticeOf(event, nowMs))).catch(() => undefined)
      this.#isAway = lines === undefined
      if (lines === undefined) {
        for (const event of this.#waiting) onLine(alone(event), [])
        break
      }
      for (const [i, event] of events.entries()) this.#take(lines[i], event)
      const sent = new Set(events)
      this.#waiting = this.#waiting.filter((event) => !sent.has(event))
    }
    this.#sending = false
  }

  /** Never rejects. */
  async #read(): Promise<void> {
    if (this.#reading) return
    this.#reading = true
    try {
      await this.#readNew()
    } catch {
      // the Store is away, and tells that itself
    }
    this.#reading = false
  }

  async #readNew(): Promise<void> {
    let isFromStart = this.#mark === EVENTS_BEGIN
    if (isFromStart) this.#forget() // all lines come now, and what was published before may have been lost since
    for (let isWhole = false; !isWhole;) {
      const read = await this.#settings.board.read(this.#mark)
      if (read.isLost) {
        isFromStart = true
        this.#forget()
      }
      this.#lines += read.lines.length
      for (const line of read.lines) this.#take(line, undefined)
      this.#mark = read.mark
      isWhole = read.isWhole
    }
    if (isFromStart && this.#lines < FULL_LINES) this.#publishMissing()
  }

  #forget(): void {
    this.#published.clear()
    this.#lines = 0
  }

  /** Publishes young events of this node that the Store does not have. */
  #publishMissing(): void {
    const known = new Set([...this.#published, ...this.#waiting.map(({ id }) => id)])
    const missing = this.#settings.ownSince(Date.now() - YOUNG_MS).filter(({ id }) => !known.has(id))
    if (missing.length === 0) return
    this.#waiting = [...missing, ...this.#waiting].slice(-MOST_WAITING)
    void this.#send()
  }

  /** Takes a line. `own`: the event of this node that it is the line of. */
  #take(line: EventLine | undefined, own: Event | undefined): void {
    const { node, onLine } = this.#settings
    const event = line === undefined ? undefined : parseEvent(line.text)
    if (line === undefined || event?.id !== line.id) {
      if (own !== undefined) onLine(alone(own), [])
      return
    }
    for (const id of line.witnesses) if (nodeOfId(id) === node) this.#published.add(id)
    const witnesses = [...new Set(line.witnesses.map(nodeOfId))].toSorted()
    onLine({ ...event, witnesses }, line.witnesses)
  }
}

function noticeOf(event: Event, nowMs: number): EventNotice {
  const { id, node, kind, atMs, details: _details, ...rest } = event
  const whole = JSON.stringify(event)
  const text = whole.length <= MOST_TEXT ? whole : JSON.stringify({ id, node, kind, atMs, ...rest })
  return { id, node, key: keyOf(event), togetherMs: EVENT_KINDS[kind].togetherMs, ageMs: nowMs - atMs, text }
}
