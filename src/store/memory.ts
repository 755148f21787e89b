/**
 * The Store in one process: a `serve` that probes for itself. Its prober runs in threads of its own, which write
 * through a MessagePort (port.ts).
 */
import { type Override, supersedes } from '../health/override.ts'
import { Refusals } from '../health/refusals.ts'
import {
  type AnnounceBoard,
  type StoreSubscriber,
  type ProberWriter,
  type Heartbeat,
  type KnownMember,
  LEASE_MS,
  type NodeHeartbeat,
  type NodeWriter,
  type NodeIdentity,
  type ProberIdentity,
  type NodeStore,
  type SendingBoard,
} from '../health/store.ts'
import type { Vote } from '../health/vote.ts'
import { MemoryAnnounced } from './announced.ts'
import { callWriter, type WriterCall } from './port.ts'
import { MemorySendings } from './sendings.ts'

/** What one prober has written, and whether its lease is valid. */
interface ProberEntry {
  readonly prober: ProberIdentity
  /** The boot before this one; what it still sends comes too late. */
  readonly endedBoot: string | undefined
  readonly votes: Map<string, Vote>
  live: boolean
  lastBeat: Heartbeat | undefined
  lease: NodeJS.Timeout
}

/** A node's last heartbeat, and whether its lease is valid. */
interface NodeEntry {
  last: NodeHeartbeat
  live: boolean
  readonly lease: NodeJS.Timeout
}
/** The Store contract within one process; it is never in trouble. */
export class MemoryStore implements NodeStore {
  readonly shared = false
  readonly trouble = undefined
  readonly refusals = new Refusals()
  readonly #subscribers = new Set<StoreSubscriber>()
  readonly #probers = new Map<string, ProberEntry>()
  readonly #nodes = new Map<string, NodeEntry>()
  readonly #overrides = new Map<string, Override>()
  readonly #sendings = new MemorySendings()
  readonly #announced: MemoryAnnounced
  readonly #leaseMs: number

  constructor(leaseMs: number = LEASE_MS) {
    this.#leaseMs = leaseMs
    this.#announced = new MemoryAnnounced(leaseMs)
  }

  proberWriter(prober: ProberIdentity): ProberWriter {
    return callWriter(prober, (call) => this.#apply(call))
  }

  /** There is only this node, so nothing has to be published to others. */
  nodeWriter(_node: NodeIdentity): NodeWriter {
    return {
      heartbeat: async (beat) => this.#beat(beat),
      writeMembers: async () => {},
      override: async (entries) => this.#writeOverrides(entries),
      forget: async ({ kind, name }, id) => {
        const entries: Map<string, ProberEntry | NodeEntry> = kind === 'prober' ? this.#probers : this.#nodes
        if (entries.get(name)?.live !== true) entries.delete(name)
        const forgotten = { kind, name, bootId: '', id }
        this.#notify((subscriber) => subscriber.forgotten?.([forgotten], [forgotten]))
      },
    }
  }

  sendingBoard(node: NodeIdentity): SendingBoard {
    return this.#sendings.board(node)
  }

  announceBoard(node: NodeIdentity): AnnounceBoard {
    return this.#announced.board(node)
  }

  async readMembers(): Promise<readonly ReadonlyMap<string, KnownMember>[]> {
    return []
  }

  async listen(subscriber: StoreSubscriber, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return
    this.#subscribers.add(subscriber)
    signal.addEventListener('abort', () => this.#subscribers.delete(subscriber), { once: true })
    for (const { prober, votes, live, lastBeat } of this.#probers.values()) {
      if (!live) continue
      subscriber.votes(prober, [...votes.values()], true)
      if (lastBeat !== undefined) subscriber.heartbeat(lastBeat)
    }
    for (const { last, live } of this.#nodes.values()) if (live) subscriber.node?.(last)
    subscriber.overrides?.([...this.#overrides.values()], true)
  }

  repeat(prober: string): void {
    const entry = this.#probers.get(prober)
    if (entry?.live !== true) return
    this.#notify((subscriber) => subscriber.votes(entry.prober, [...entry.votes.values()], true))
  }

  async close(): Promise<void> {
    for (const { lease } of [...this.#probers.values(), ...this.#nodes.values()]) clearTimeout(lease)
    this.#subscribers.clear()
  }

  #beat(beat: NodeHeartbeat): void {
    const { name, bootId } = beat.node
    const previous = this.#nodes.get(name)
    if (previous?.last.node.bootId === bootId && beat.sequence <= previous.last.sequence) return
    clearTimeout(previous?.lease)
    const entry: NodeEntry = {
      last: beat,
      live: true,
      lease: setTimeout(() => this.#fallSilent(entry), this.#leaseMs),
    }
    entry.lease.unref()
    this.#nodes.set(name, entry)
    this.#notify((subscriber) => subscriber.node?.(beat))
  }

  #fallSilent(entry: NodeEntry): void {
    entry.live = false
    this.#notify((subscriber) => subscriber.nodeGone?.(entry.last.node))
  }

  /** Takes the entries that win and notifies of them; returns the winner of each pattern. */
  #writeOverrides(entries: readonly Override[]): readonly Override[] {
    const fresh = entries.filter((entry) => {
      const previous = this.#overrides.get(entry.pattern)
      if (previous !== undefined && !supersedes(entry, previous)) return false
      this.#overrides.set(entry.pattern, entry)
      return true
    })
    if (fresh.length > 0) this.#notify((subscriber) => subscriber.overrides?.(fresh, false))
    return entries.map(({ pattern }) => this.#overrides.get(pattern)!)
  }

  #apply(call: WriterCall): void {
    const { prober } = call
    const entry = this.#open(prober)
    if (entry === undefined) return
    switch (call.method) {
      case 'replace':
        entry.votes.clear()
        for (const vote of call.votes) entry.votes.set(vote.target, vote)
        this.#renew(entry, false)
        return this.#notify((subscriber) => subscriber.votes(prober, call.votes, true))
      case 'change':
        entry.votes.set(call.vote.target, call.vote)
        if (entry.live) this.#notify((subscriber) => subscriber.votes(prober, [call.vote], false))
        return
      case 'retire':
        for (const target of call.targets) entry.votes.delete(target)
        if (entry.live) this.#notify((subscriber) => subscriber.retired(prober, call.targets))
        return
      case 'heartbeat':
        if (entry.lastBeat !== undefined && call.beat.sequence <= entry.lastBeat.sequence) return
        entry.lastBeat = call.beat
        this.#renew(entry, true)
        return this.#notify((subscriber) => subscriber.heartbeat(call.beat))
    }
  }

  /** The entry of this boot; undefined: a later boot has replaced it. */
  #open(prober: ProberIdentity): ProberEntry | undefined {
    const entry = this.#probers.get(prober.name)
    if (entry?.prober.bootId === prober.bootId) return entry
    if (entry?.endedBoot === prober.bootId) return undefined
    clearTimeout(entry?.lease)
    const lease = setTimeout(() => this.#expire(fresh), this.#leaseMs).unref()
    const endedBoot = entry?.prober.bootId
    const fresh: ProberEntry = { prober, endedBoot, votes: new Map(), live: true, lastBeat: undefined, lease }
    this.#probers.set(prober.name, fresh)
    if (entry !== undefined) this.#notify((subscriber) => subscriber.votes(prober, [], true))
    return fresh
  }

  /** Renews the lease. After silence, all votes are delivered again before anything new. */
  #renew(entry: ProberEntry, repeat: boolean): void {
    entry.lease.refresh()
    if (entry.live) return
    entry.live = true
    if (repeat) this.#notify((subscriber) => subscriber.votes(entry.prober, [...entry.votes.values()], true))
  }

  #expire(entry: ProberEntry): void {
    entry.live = false
    this.#notify((subscriber) => subscriber.gone(entry.prober))
  }

  #notify(notify: (subscriber: StoreSubscriber) => void): void {
    for (const subscriber of this.#subscribers) notify(subscriber)
  }
}
