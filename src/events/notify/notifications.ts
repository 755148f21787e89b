/**
 * Tells receivers of events: each event by one node of the fleet, at least once, and always in a message of the same id.
 *
 *   event ─▶ Problems ─▶ Groups ── ripe ──┬─ own kind, or claimed by this node ─▶ Message ─▶ Delivery for each receiver
 *                                         └─ claimed by another node ─▶ following ─┬─ all receivers have it ─▶ forgotten
 *                                                                                  └─ its node is gone ─▶ taken over
 *
 * Each node keeps what it would send until the message that tells of it is known to have reached its receivers. A claim
 * is made in the Store before the first attempt (SendingBoard), so a successor sends under the same id. What is kept is
 * in a file of the state folder, so that a restart loses nothing. docs/notifications.md tells operators what happens
 * when Redis is away.
 */
import type { Log } from '../../config.ts'
import type { Receiver } from '../../config/receivers.ts'
import { hash } from 'node:crypto'
import { LEASE_MS, type Sending, type SendingBoard, type Sighting } from '../../health/store.ts'
import { isRecord, readState, Saver } from '../../state.ts'
import type { Event } from '../event.ts'
import { Delivery, type DeliveryStats, type DeliveryTiming } from './delivery.ts'
import { type Group, Groups, type GroupTiming, MOST_HELD } from './groups.ts'
import { idAlone, isMessage, type Message, MOST_ITEMS, partFor, wants } from './message.ts'
import { isNoted, isOwn, type Noted, Problems, subjectOf } from './problems.ts'
import { send, TIMEOUT_MS } from './send.ts'
import { type FleetView, Turns } from './turns.ts'

/** All times, in ms; tests shorten them. */
export interface NotifyTiming extends GroupTiming {
  readonly tickMs: number
  /** A node steps in for one before it after so long. */
  readonly leaseMs: number
  /** Without the Store, nodes other than the first send after so long. */
  readonly aloneMs: number
  /** How often what is published of messages that wait is renewed. */
  readonly renewMs: number
  readonly timeoutMs: number
  readonly delivery?: DeliveryTiming
}

export const NOTIFY_TIMING: NotifyTiming = {
  tickMs: 250,
  quietMs: 5_000,
  longestMs: 20_000,
  leaseMs: LEASE_MS,
  aloneMs: 60_000,
  renewMs: 60_000,
  timeoutMs: TIMEOUT_MS,
}

/** What Notifications needs of its node. */
export interface NotificationsSettings {
  /** By name: the setting `notify`. */
  readonly receivers: Readonly<Record<string, Receiver>>
  readonly fleet: FleetView
  readonly board: SendingBoard
  /** Where what waits is kept. */
  readonly file: string
  readonly log: Log
  readonly timing?: Partial<NotifyTiming>
}

const FILE = { what: 'notifications', format: 'meridian-notify-1' }
/** New events are on disk after so long, and what has become of them after LATER_MS: then it may at worst come again. */
const SAVE_MS = 100
const LATER_MS = 1_000
/** Messages of this node whose end is not published yet. */
const MOST_OUTGOING = 5_000
/** The end of a node waits so long for an attempt that is running. */
const PARTING_MS = 2_000
/** Ids whose senders are looked up at once. */
const MOST_LOOKED = 500

/** A message that this node sends. */
interface Outgoing {
  readonly message: Message
  /** Receivers that have it, or have refused it. */
  readonly done: Set<string>
  /** Receivers that are still to be told. */
  readonly left: Set<string>
  /** Others may tell of the same: what is done is published. */
  readonly isShared: boolean
  /** The claim is in the Store; undefined: it is to be made again, for it was sent without. */
  isClaimed: boolean
  /** What was done is in the Store. */
  isPublished: boolean
  publishedMs: number
}

/** A message of another node. */
interface Followed {
  readonly items: Noted[]
  /** Receivers that have it as far as is known. */
  done: readonly string[]
  /** Since when its node is gone, by performance.now(). */
  goneMs: number | undefined
}

/** Tells receivers. Order of calls: start, add, stop. */
export class Notifications {
  readonly #settings: NotificationsSettings
  readonly #timing: NotifyTiming
  readonly #turns: Turns
  readonly #problems = new Problems()
  readonly #groups: Groups
  readonly #deliveries: ReadonlyMap<string, Delivery>
  readonly #outgoing = new Map<string, Outgoing>()
  readonly #followed = new Map<string, Followed>()
  readonly #saver: Saver
  #early: Event[] | undefined = []
  #timer: NodeJS.Timeout | undefined
  #ticking: Promise<void> | undefined
  #lookedMs = 0
  /** Since when the Store is away, and when it came back, by performance.now(). */
  #awaySinceMs: number | undefined
  #backMs = -Infinity
  #dropped = 0
  #fileTrouble: string | undefined
  #later: NodeJS.Timeout | undefined

  constructor(settings: NotificationsSettings) {
    const { receivers, log, file } = settings
    this.#settings = settings
    this.#timing = { ...NOTIFY_TIMING, ...settings.timing }
    this.#turns = new Turns(settings.fleet)
    this.#groups = new Groups(this.#timing)
    const { timeoutMs, delivery } = this.#timing
    const made = Object.entries(receivers).map(([name, receiver]): [string, Delivery] => [
      name,
      new Delivery({
        name,
        receiver,
        send: (to, message, lost) => send(to, message, lost, timeoutMs),
        onDone: ({ id }) => this.#isDone(id, name),
        log,
        ...(delivery !== undefined && { timing: delivery }),
      }),
    ])
    this.#deliveries = new Map(made)
    const onTrouble = (trouble: string | undefined): void => {
      this.#fileTrouble = trouble
      if (trouble !== undefined) log('warn', `${trouble}: a restart may lose them`)
    }
    this.#saver = new Saver({ file, kind: FILE, collect: () => this.#collect(), onTrouble, everyMs: SAVE_MS })
  }

  /** Takes up what waited when the process before ended, and begins to send. Events that came meanwhile come after it. */
  start(): void {
    if (this.#early === undefined) return
    const { state, trouble } = readState(this.#settings.file, FILE)
    if (trouble !== undefined) this.#settings.log('warn', trouble)
    if (state !== undefined) this.#restore(state)
    const early = this.#early
    this.#early = undefined
    for (const event of early) this.add(event)
    this.#timer = setInterval(() => void this.#tick(), this.#timing.tickMs).unref()
  }

  /** Takes an event of this node. */
  add(event: Event): void {
    if (this.#early !== undefined) {
      if (this.#early.length < MOST_HELD) this.#early.push(event)
      return
    }
    const item = this.#problems.note(event)
    if (!this.#isWanted(item)) return
    this.#groups.add(item, performance.now())
    if (this.#groups.dropped > this.#dropped) {
      const line = 'notify: too many events wait to be told, so the oldest are dropped'
      if (this.#dropped === 0) this.#settings.log('warn', line)
      this.#dropped = this.#groups.dropped
    }
    this.#saver.touch()
  }

  get stats(): readonly DeliveryStats[] {
    return Array.from(this.#deliveries.values(), ({ stats }) => stats)
  }

  /** What an operator should mend, in words. */
  get troubles(): readonly string[] {
    const all = [this.#fileTrouble, ...Array.from(this.#deliveries.values(), ({ trouble }) => trouble)]
    return all.filter((text) => text !== undefined)
  }

  /** Tries once more to tell what waits, for a short time, and saves the rest. */
  async stop(): Promise<void> {
    if (this.#early !== undefined) return
    clearInterval(this.#timer)
    await this.#ticking
    this.#groups.closeAll(performance.now())
    await this.#tick()
    await Promise.all(Array.from(this.#deliveries.values(), (delivery) => delivery.stop(PARTING_MS)))
    await this.#publish(performance.now())
    clearTimeout(this.#later)
    await this.#saver.stop()
  }

  #isWanted(item: Noted): boolean {
    return Object.values(this.#settings.receivers).some((receiver) => wants(receiver, item))
  }

  /** One turn at a time. */
  #tick(): Promise<void> {
    this.#ticking ??= this.#turn().finally(() => (this.#ticking = undefined))
    return this.#ticking
  }

  async #turn(): Promise<void> {
    const nowMs = performance.now()
    this.#turns.look()
    const isAway = this.#turns.trouble !== undefined
    if (!isAway && this.#awaySinceMs !== undefined) this.#backMs = nowMs
    this.#awaySinceMs = isAway ? (this.#awaySinceMs ?? nowMs) : undefined
    const looks = nowMs - this.#lookedMs >= 4 * this.#timing.tickMs
    for (const group of this.#groups.ripe(nowMs)) await this.#tell(group, nowMs, looks)
    if (!looks) return
    this.#lookedMs = nowMs
    await this.#follow(nowMs)
    await this.#publish(nowMs)
  }

  /** Makes a message of a ripe group, if it is this node's to send; else learns which message tells of it. */
  async #tell(group: Group, nowMs: number, looks: boolean): Promise<void> {
    const { leaseMs, aloneMs } = this.#timing
    const [first] = group.items
    if (isOwn(first!.event.kind)) return this.#make(first!.event.id, group, group.items, false)
    const rank = this.#turns.rank(group.problem)
    try {
      if (this.#awaySinceMs !== undefined) throw new Error('the Store is away')
      // after an outage those before this node first say what they have told meanwhile
      const isDue = nowMs - Math.max(group.ripeMs, this.#backMs) >= rank * leaseMs
      if (isDue || looks) await this.#claim(group, isDue)
    } catch {
      const isDue = nowMs - group.ripeMs >= (rank === 0 ? leaseMs : aloneMs)
      if (isDue) this.#make(idAlone(group.items, aloneMs), group, group.items, true, false)
    }
  }

  /** Asks which messages tell of a group's events. `isDue`: those of which none does are this node's. */
  async #claim(group: Group, isDue: boolean): Promise<void> {
    const { id } = group.items[0]!.event
    const { items } = group
    const { board } = this.#settings
    const ids = await board.claim(isDue ? id : undefined, items.map(sightingOf))
    // a process that was killed may have claimed them before, and another may have taken its message over since
    const sender = ids.includes(id) ? (await board.sendings([id])).get(id)?.node.bootId : undefined
    const isMine = (of: string | undefined): boolean =>
      of === id && (sender === undefined || sender === this.#turns.self.bootId)
    const own = items.filter((_, i) => isMine(ids[i]))
    for (const [i, item] of items.entries()) {
      const of = ids[i]
      if (of !== undefined && !isMine(of)) this.#followOne(of, item)
    }
    if (own.length > 0) this.#make(id, group, own, true)
    this.#groups.keep(
      group,
      items.filter((_, i) => ids[i] === undefined),
    )
    this.#saver.touch()
  }

  #followOne(id: string, item: Noted): void {
    const mine = this.#outgoing.get(id)
    if (mine !== undefined) return // told by this node itself
    const followed = this.#followed.get(id) ?? { items: [], done: [], goneMs: undefined }
    if (followed.items.length < MOST_ITEMS) followed.items.push(item)
    this.#followed.set(id, followed)
  }

  #make(id: string, group: Group, items: readonly Noted[], isShared: boolean, isClaimed = true): void {
    const { problem, direction } = group
    const { atMs } = items[0]!.event
    const node = this.#turns.self.name
    const open = this.#problems.openOf(problem)
    const message: Message = { id, problem, direction, node, atMs, items, open }
    if (items.length === group.items.length) this.#groups.remove(group)
    this.#sendOut(message, new Set(), isShared, isClaimed)
  }

  /** Gives a message to the receivers that want it and are not among `done`. */
  #sendOut(message: Message, done: Set<string>, isShared: boolean, isClaimed: boolean): void {
    const wanting = Object.entries(this.#settings.receivers).filter(([, one]) => partFor(one, message) !== undefined)
    const left = new Set(wanting.map(([name]) => name).filter((name) => !done.has(name)))
    const publishedMs = performance.now()
    this.#outgoing.set(message.id, {
      message,
      done,
      left,
      isShared,
      isClaimed,
      isPublished: left.size > 0,
      publishedMs,
    })
    for (const name of left) this.#deliveries.get(name)!.add(message)
    this.#saver.touch()
    if (this.#outgoing.size <= MOST_OUTGOING) return
    for (const [id, { left: waiting }] of this.#outgoing) if (waiting.size === 0) return void this.#outgoing.delete(id)
  }

  #saveLater(): void {
    this.#later ??= setTimeout(() => {
      this.#later = undefined
      this.#saver.touch()
    }, LATER_MS).unref()
  }

  #isDone(id: string, receiver: string): void {
    const outgoing = this.#outgoing.get(id)
    if (outgoing === undefined) return
    outgoing.left.delete(receiver)
    outgoing.done.add(receiver)
    outgoing.isPublished = false
    if (!outgoing.isShared && outgoing.left.size === 0) this.#outgoing.delete(id)
    this.#saveLater()
  }

  /** Publishes which receivers have this node's messages; gives up those that another node has taken over. */
  async #publish(nowMs: number): Promise<void> {
    const { board } = this.#settings
    for (const [id, outgoing] of this.#outgoing) {
      const { isShared, isPublished, publishedMs, message, left, done } = outgoing
      if (!isShared || (isPublished && nowMs - publishedMs < this.#timing.renewMs)) continue
      if (this.#turns.trouble !== undefined) return
      try {
        if (!outgoing.isClaimed) await board.claim(id, message.items.map(sightingOf))
        outgoing.isClaimed = true
        const before = done.size
        const isMine = await board.done(id, [...done])
        if (isMine) Object.assign(outgoing, { isPublished: done.size === before, publishedMs: nowMs })
        else for (const name of left) this.#deliveries.get(name)?.remove(id)
        if (!isMine || (left.size === 0 && done.size === before)) this.#outgoing.delete(id)
        this.#saveLater()
      } catch {
        return // the Store reports its own trouble
      }
    }
  }

  /** Looks what has become of other nodes' messages. Where nobody can tell, they are sent after a while all the same. */
  async #follow(nowMs: number): Promise<void> {
    if (this.#followed.size === 0) return
    const ids = [...this.#followed.keys()].slice(0, MOST_LOOKED)
    if (this.#awaySinceMs !== undefined) {
      if (nowMs - this.#awaySinceMs < this.#timing.aloneMs) return
      for (const id of ids) this.#takeOver(id, this.#followed.get(id)!, false)
      return
    }
    try {
      const sendings = await this.#settings.board.sendings(ids)
      for (const id of ids) await this.#followMessage(id, this.#followed.get(id)!, sendings.get(id), nowMs)
    } catch {
      // the Store reports its own trouble
    }
  }

  async #followMessage(id: string, followed: Followed, sending: Sending | undefined, nowMs: number): Promise<void> {
    const { items } = followed
    followed.done = [...new Set([...followed.done, ...(sending?.done ?? [])])]
    const wanting = Object.entries(this.#settings.receivers).filter(([, one]) => items.some((item) => wants(one, item)))
    if (wanting.every(([name]) => followed.done.includes(name))) {
      this.#followed.delete(id)
      this.#saveLater()
      return
    }
    if (sending !== undefined && this.#turns.isLive(sending.node)) {
      followed.goneMs = undefined
      return
    }
    followed.goneMs ??= nowMs
    if (nowMs - followed.goneMs < this.#turns.rank(items[0]!.problem) * this.#timing.leaseMs) return
    if (!(await this.#settings.board.take(id, sending))) return
    this.#settings.log('info', `notify: takes over from ${sending?.node.name || 'an unknown node'} what waits: ${id}`)
    this.#takeOver(id, followed, true)
  }

  /** Sends another node's message, under its id. */
  #takeOver(id: string, { items, done }: Followed, isClaimed: boolean): void {
    const { problem, direction, event } = items[0]!
    const open = this.#problems.openOf(problem)
    const message: Message = { id, problem, direction, node: this.#turns.self.name, atMs: event.atMs, items, open }
    this.#followed.delete(id)
    this.#sendOut(message, new Set(done), true, isClaimed)
  }

  #collect(): object {
    return {
      open: this.#problems.saved(),
      held: this.#groups.items,
      outgoing: Array.from(this.#outgoing.values(), ({ message, done, isShared, isClaimed }) => ({
        message,
        done: [...done],
        isShared,
        isClaimed,
      })),
      followed: Array.from(this.#followed, ([id, { items, done }]) => ({ id, items, done })),
    }
  }

  /** Takes up saved state. This node's shared messages are followed like those of a node that is gone: it was. */
  #restore(state: Readonly<Record<string, unknown>>): void {
    const nowMs = performance.now()
    this.#problems.read(state['open'], Date.now())
    for (const item of listOf(state['held'])) if (isNoted(item)) this.#groups.add(item, nowMs, true)
    for (const entry of listOf(state['followed'])) {
      if (!isRecord(entry) || typeof entry['id'] !== 'string') continue
      const items = listOf(entry['items']).filter(isNoted)
      if (items.length > 0) this.#followed.set(entry['id'], { items, done: textsOf(entry['done']), goneMs: undefined })
    }
    for (const entry of listOf(state['outgoing'])) {
      if (!isRecord(entry) || !isMessage(entry['message'])) continue
      const { message, isShared, isClaimed } = entry
      const done = textsOf(entry['done'])
      const items = [...message.items]
      if (isShared === true && isClaimed === true) this.#followed.set(message.id, { items, done, goneMs: undefined })
      else this.#sendOut(message, new Set(done), isShared === true, false)
    }
  }
}

const textsOf = (value: unknown): readonly string[] => listOf(value).filter((text) => typeof text === 'string')
const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : [])

/** An event as other nodes recognise it. */
function sightingOf({ event }: Noted): Sighting {
  const nowMs = Date.now()
  const { before, after, atMs, sinceMs } = event
  return {
    about: short(subjectOf(event)),
    state: short(JSON.stringify(after ?? before)),
    ageMs: Math.max(0, nowMs - atMs),
    sinceAgeMs: sinceMs === null ? null : Math.max(0, nowMs - sinceMs),
  }
}

const short = (text: string): string => hash('sha256', text, 'base64url').slice(0, 16)
