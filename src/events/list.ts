/**
 * The last events of the fleet, as one node knows them: a bounded list in the order in which they came here. A line is
 * known by the id of each witness. Nodes may first have it under different ids, when Redis was away; it stays one line
 * with its place in the list.
 */
import type { Event, EventKind, FleetEvent } from './event.ts'

/** Which events are asked for. */
export interface EventQuery {
  /** Not before this Unix time in ms. */
  readonly sinceMs?: number
  /** Came here after this one; one that is not known (any more) leaves out none. */
  readonly afterId?: string
  /** At this site; about the site itself, a service or a member there. */
  readonly site?: string
  readonly service?: string
  /** Of these kinds; empty or absent: of all. */
  readonly kinds?: readonly EventKind[]
  /** At most so many; DEFAULT_LIMIT without. */
  readonly limit?: number
  /** What `next` of the page before said. */
  readonly cursor?: string
}

/** Some of the events, newest first, and where the next page begins; null: there is none. */
export interface EventPage {
  readonly events: readonly FleetEvent[]
  readonly next: string | null
}

export const DEFAULT_LIMIT = 100

interface Entry {
  line: FleetEvent
  /** Ids under which it is known; the line's own is one of them. */
  readonly ids: Set<string>
  /** Numbers in the order of all additions and changes: when it came, and when it changed last. */
  readonly born: number
  changed: number
}

/** The last events, at most `most`. */
export class EventList {
  readonly #most: number
  /** In the order in which they came. */
  readonly #entries = new Set<Entry>()
  readonly #byId = new Map<string, Entry>()
  #clock = 0

  constructor(most: number) {
    this.#most = most
  }

  /** Counts up with each addition and change. */
  get clock(): number {
    return this.#clock
  }

  /**
   * Adds a line, or replaces those that have any of these ids. `ids`: of its witnesses. Returns false if nothing is new
   * in it.
   */
  put(line: FleetEvent, ids: readonly string[] = []): boolean {
    const all = new Set([line.id, ...ids])
    const [known, ...others] = [...new Set([...all].flatMap((id) => this.#byId.get(id) ?? []))].toSorted(
      (a, b) => a.born - b.born,
    )
    const before = known?.line
    const witnesses = [
      ...new Set([line, ...[known, ...others].flatMap((entry) => entry?.line ?? [])].flatMap((one) => one.witnesses)),
    ]
    for (const other of others) {
      for (const id of other.ids) all.add(id)
      this.#remove(other)
    }
    const isSame = before?.id === line.id && witnesses.length === before.witnesses.length && others.length === 0
    const clock = isSame ? this.#clock : ++this.#clock
    const entry: Entry = known ?? { line, ids: new Set(), born: clock, changed: clock }
    for (const id of all) entry.ids.add(id)
    for (const id of entry.ids) this.#byId.set(id, entry)
    this.#entries.add(entry)
    if (isSame) return false
    entry.line = { ...line, witnesses: witnesses.toSorted() }
    entry.changed = clock
    this.#trim()
    return true
  }

  /** The clock when the line of that id came; 0: there is none. */
  bornAt(id: string): number {
    return this.#byId.get(id)?.born ?? 0
  }

  /** Lines that came or changed after `clock`, in the order of that, at most so many, and the clock that they reach. */
  changesAfter(clock: number, most: number): { readonly lines: readonly FleetEvent[]; readonly clock: number } {
    if (clock >= this.#clock) return { lines: [], clock }
    const changed = [...this.#entries]
      .filter((entry) => entry.changed > clock)
      .toSorted((a, b) => a.changed - b.changed)
    const some = changed.slice(0, most)
    return { lines: some.map(({ line }) => line), clock: some.at(-1)?.changed ?? this.#clock }
  }

  /** A page of the events that match, newest first. */
  page(query: EventQuery): EventPage {
    const { limit = DEFAULT_LIMIT, cursor, afterId } = query
    const after = afterId === undefined ? 0 : this.bornAt(afterId)
    const before = cursor === undefined ? undefined : placeOf(cursor)
    const found = [...this.#entries]
      .filter(({ born, line }) => born > after && matchesQuery(line, query) && (!before || compare(before, line) < 0))
      .map(({ line }) => line)
      .toSorted(compare)
    const events = found.slice(0, limit)
    return { events, next: found.length > limit ? cursorOf(events.at(-1)!) : null }
  }

  #trim(): void {
    if (this.#entries.size <= this.#most) return
    const [oldest] = this.#entries
    this.#remove(oldest!)
  }

  #remove(entry: Entry): void {
    this.#entries.delete(entry)
    for (const id of entry.ids) if (this.#byId.get(id) === entry) this.#byId.delete(id)
  }
}

/** Whether an event is one of those asked for, as far as the event itself tells. */
export const matchesQuery = (
  event: Event,
  { sinceMs, site, service, kinds = [] }: Pick<EventQuery, 'sinceMs' | 'site' | 'service' | 'kinds'>,
): boolean =>
  (sinceMs === undefined || event.atMs >= sinceMs) &&
  (site === undefined || event.site === site) &&
  (service === undefined || event.service === service) &&
  (kinds.length === 0 || kinds.includes(event.kind))

type Place = Pick<Event, 'atMs' | 'id'>

/** Newest first; where the time is the same, the later number of an id first. */
const compare = (a: Place, b: Place): number =>
  b.atMs - a.atMs || numberOf(b) - numberOf(a) || (a.id < b.id ? 1 : a.id > b.id ? -1 : 0)

const numberOf = ({ id }: Place): number => Number(id.slice(id.lastIndexOf('.') + 1))

const cursorOf = ({ atMs, id }: Place): string => `${atMs}_${id}`

/** The place that a cursor names; undefined: it is none. */
export function placeOf(cursor: string): Place | undefined {
  const match = /^(\d{1,15})_([\w.-]{1,100})$/.exec(cursor)
  return match === null ? undefined : { atMs: Number(match[1]), id: match[2]! }
}
