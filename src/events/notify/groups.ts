/**
 * Events that wait to become messages, in groups: of one problem and direction. A group is ripe when no event has joined
 * it for a while, or when it has waited long enough; and at once when a subject of it changes the other way, so that
 * what follows on what is told in that order.
 */
import { MOST_ITEMS } from './message.ts'
import { type Noted, subjectOf } from './problems.ts'

/** Times of grouping, in ms. Checks of a dead site's members fail within an interval of each other. */
export interface GroupTiming {
  /** A group is ripe when nothing has joined it for so long, */
  readonly quietMs: number
  /** or when its first event is so old. */
  readonly longestMs: number
}

/** Events that will be told at once. */
export interface Group {
  readonly problem: string
  readonly direction: Noted['direction']
  items: readonly Noted[]
  /** By performance.now(): when its first and its last event came; ripe from `ripeMs` on. */
  readonly firstMs: number
  ripeMs: number
  isClosed: boolean
}

/** Events that are held in all. */
export const MOST_HELD = 20_000

/** All groups, in the order of their first events. */
export class Groups {
  readonly #timing: GroupTiming
  #groups: Group[] = []
  #size = 0
  /** Events that were dropped because too many waited. */
  dropped = 0

  constructor(timing: GroupTiming) {
    this.#timing = timing
  }

  /** Adds an event. `isOld`: of before a restart: it is ripe. */
  add(item: Noted, nowMs: number, isOld = false): void {
    const { problem, direction } = item
    const subject = subjectOf(item.event)
    for (const group of this.#groups) {
      if (group.isClosed || group.problem !== problem || group.direction === direction) continue
      if (group.items.some(({ event }) => subjectOf(event) === subject)) close(group, nowMs)
    }
    const open = this.#groups.find((one) => !one.isClosed && one.problem === problem && one.direction === direction)
    const { quietMs, longestMs } = this.#timing
    if (open === undefined) {
      const ripeMs = isOld ? nowMs : nowMs + Math.min(quietMs, longestMs)
      this.#groups.push({ problem, direction, items: [item], firstMs: nowMs, ripeMs, isClosed: false })
    } else {
      open.items = [...open.items, item]
      if (!isOld) open.ripeMs = Math.min(nowMs + quietMs, open.firstMs + longestMs)
      if (open.items.length >= MOST_ITEMS) close(open, nowMs)
    }
    this.#size++
    while (this.#size > MOST_HELD) {
      const [oldest] = this.#groups
      this.dropped += oldest!.items.length
      this.remove(oldest!)
    }
  }

  /** Groups that are ripe, the oldest first; they take no more events. */
  ripe(nowMs: number): readonly Group[] {
    const ripe = this.#groups.filter((group) => group.ripeMs <= nowMs)
    for (const group of ripe) group.isClosed = true
    return ripe
  }

  /** Makes all ripe. */
  closeAll(nowMs: number): void {
    for (const group of this.#groups) close(group, nowMs)
  }

  /** Leaves only these events in a group, which is gone without any. */
  keep(group: Group, items: readonly Noted[]): void {
    if (items.length === 0) return this.remove(group)
    if (!this.#groups.includes(group)) return
    this.#size -= group.items.length - items.length
    group.items = items
  }

  remove(group: Group): void {
    if (!this.#groups.includes(group)) return
    this.#size -= group.items.length
    this.#groups = this.#groups.filter((one) => one !== group)
  }

  /** All events, the oldest group first. */
  get items(): readonly Noted[] {
    return this.#groups.flatMap((group) => group.items)
  }
}

function close(group: Group, nowMs: number): void {
  group.isClosed = true
  group.ripeMs = Math.min(group.ripeMs, nowMs)
}
