/**
 * What happened to answers, as one node keeps it and tells it: each event goes to the file of this node, to whoever
 * listens here, and to the other nodes; the list has what all of them saw, with who saw it. Made by RunningNode; its
 * producers are in node/.
 *
 *   add() ─┬▶ listeners, at once
 *          ├▶ Journal ─▶ events.jsonl
 *          └▶ Fleet ─▶ Store ─▶ list ─▶ recent(), feed()
 */
import type { EventBoard } from '../health/store.ts'
import type { Event, FleetEvent, NewEvent } from './event.ts'
import { alone, Fleet } from './fleet.ts'
import { Journal, readEvents } from './journal.ts'
import { EventList, type EventPage, type EventQuery } from './list.ts'

/** Events that the list has. */
export const MOST_EVENTS = 10_000
/** Events of this node that are published again where the Store has lost them. */
const MOST_OWN = 1_000

/** What Events needs of its node. */
export interface EventsSettings {
  /** Name of this node. */
  readonly node: string
  /** The state folder. */
  readonly folder: string
  /** Where the fleet shares its events; undefined: this node is alone. */
  readonly board: EventBoard | undefined
  /** Called with the trouble, in words, when the file can't be written, and with undefined when it can again. */
  readonly onTrouble: (trouble: string | undefined, lost: number) => void
}

/** The events of a node and its fleet. Order of calls: start, stop; add() also before start(). */
export class Events {
  readonly #settings: EventsSettings
  readonly #journal: Journal
  readonly #fleet: Fleet | undefined
  readonly #list = new EventList(MOST_EVENTS)
  readonly #listeners = new Set<(event: Event) => void>()
  readonly #waiting = new Set<() => void>()
  /** The last events of this node itself, the oldest first. */
  #own: Event[] = []
  readonly #boot = Date.now().toString(36)
  #number = 0
  #isStopped = false

  constructor(settings: EventsSettings) {
    this.#settings = settings
    this.#journal = new Journal(settings)
    const { node, board } = settings
    if (board === undefined) return
    this.#fleet = new Fleet({
      node,
      board,
      onLine: (line, ids) => this.#put(line, ids),
      ownSince: (atMs) => this.#own.filter((event) => event.atMs >= atMs),
    })
  }

  /** Takes in what this node wrote before; returns how many lines of the file can't be read. */
  async start(): Promise<number> {
    const { events, unread } = await readEvents(this.#settings.folder, MOST_EVENTS)
    for (const event of events) this.#list.put(alone(event))
    this.#own = [...events.filter(({ node }) => node === this.#settings.node), ...this.#own].slice(-MOST_OWN)
    this.#fleet?.start()
    return unread
  }

  /** Records that something happened; returns at once. */
  add({ atMs = Date.now(), before = null, after = null, why = '', sinceMs = null, ...rest }: NewEvent): Event {
    const { node } = this.#settings
    const id = `${node}.${this.#boot}.${++this.#number}`
    const event: Event = { id, atMs: Math.round(atMs), node, ...rest, before, after, why, sinceMs }
    this.#journal.append(event)
    this.#own.push(event)
    if (this.#own.length > 2 * MOST_OWN) this.#own = this.#own.slice(-MOST_OWN)
    if (this.#fleet === undefined) this.#put(alone(event))
    else this.#fleet.publish(event)
    for (const listener of this.#listeners) listener(event)
    return event
  }

  /** Calls `listener` with each event of this node from now on, in order, at once; returns what ends that. */
  subscribe(listener: (event: Event) => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  /** Counts up with each event that comes, and each node that has seen one, too. */
  get clock(): number {
    return this.#list.clock
  }

  /** A page of the last events of the fleet, newest first. */
  recent(query: EventQuery = {}): EventPage {
    return this.#list.page(query)
  }

  /**
   * What comes after the event of that id, or from now on: events as they come, and again when another node has seen
   * them too. An id that is not known (any more): all that there is.
   */
  feed(afterId?: string): EventFeed {
    let clock = afterId === undefined ? this.#list.clock : this.#list.bornAt(afterId)
    return {
      next: async (most, withinMs) => {
        if (clock === this.#list.clock && !this.#isStopped) await this.#change(withinMs)
        if (clock === this.#list.clock && this.#isStopped) return undefined
        const changes = this.#list.changesAfter(clock, most)
        clock = changes.clock
        return changes.lines
      },
    }
  }

  /** Why events can't be written to the file, in words. */
  get troubles(): readonly string[] {
    const { trouble } = this.#journal
    return trouble === undefined ? [] : [trouble]
  }

  /** Ends when all is written, or can't be. */
  async stop(): Promise<void> {
    await this.#fleet?.stop()
    await this.#journal.close()
    this.#isStopped = true
    for (const wake of this.#waiting) wake()
  }

  #put(line: FleetEvent, ids: readonly string[] = []): void {
    if (!this.#list.put(line, ids)) return
    for (const wake of this.#waiting) wake()
  }

  /** Resolves with the next change of the list, or after so many ms. */
  #change(withinMs: number): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        clearTimeout(timer)
        this.#waiting.delete(wake)
        resolve()
      }
      const timer = setTimeout(wake, withinMs).unref()
      this.#waiting.add(wake)
    })
  }
}

/** Events as they come. */
export interface EventFeed {
  /**
   * At most so many of the next ones, in the order in which they came; none: nothing came within that time; undefined:
   * nothing will come any more.
   */
  next(most: number, withinMs: number): Promise<readonly FleetEvent[] | undefined>
}
