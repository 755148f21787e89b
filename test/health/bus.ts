/**
 * A Store for several nodes in one process: each has a MemoryStore of its own, and the bus carries what probers and nodes
 * say between them, unless they are cut off. Deliveries are synchronous, so that a test decides what arrives when.
 */
import { mergeOverrides, type OverrideSet } from '../../src/health/override.ts'
import { Refusals } from '../../src/health/refusals.ts'
import {
  type StoreSubscriber,
  type ProberWriter,
  type Heartbeat,
  type KnownMember,
  LEASE_MS,
  type NodeHeartbeat,
  type NodeWriter,
  type Forgotten,
  type NodeIdentity,
  type ProberIdentity,
  type Store,
} from '../../src/health/store.ts'
import type { Vote } from '../../src/health/vote.ts'
import { MemoryStore } from '../../src/store/memory.ts'

interface Posted {
  readonly prober: ProberIdentity
  readonly votes: Map<string, Vote>
  beat: Heartbeat | undefined
}

export class Bus {
  readonly links = new Set<Link>()
  readonly posted = new Map<string, Posted>()
  /** By boot id: what a node knows, for as long as it beats. */
  readonly known = new Map<string, { readonly mine: ReadonlyMap<string, KnownMember>; readonly beatMs: number }>()
  overrides: OverrideSet = new Map()
  readonly forgotten = new Map<string, Forgotten>()
  #away = false

  /** The whole Store can't be reached. */
  get away(): boolean {
    return this.#away
  }

  set away(away: boolean) {
    this.#away = away
    if (!away) for (const link of this.links) link.connect()
  }

  /** Everything is lost; whoever wrote it has to write it again. */
  flush(): void {
    this.overrides = new Map()
    this.known.clear()
    this.posted.clear()
    for (const link of this.links) link.connect()
  }

  /** A prober says its votes, whole; nothing is heard when it, or the Store, can't be reached. */
  say(prober: ProberIdentity, votes: Iterable<Vote>, beat?: Heartbeat): void {
    if (this.#away) return
    this.forgotten.delete(prober.name)
    const posted = { prober, votes: new Map(Array.from(votes, (vote) => [vote.target, vote])), beat }
    this.posted.set(prober.name, posted)
    for (const link of this.links) if (link.isUp) link.carry(posted)
  }

  change(prober: ProberIdentity, vote: Vote): void {
    if (this.#away) return
    this.posted.get(prober.name)?.votes.set(vote.target, vote)
    for (const link of this.links) if (link.isUp) void link.writerOf(prober).change(vote)
  }

  retire(prober: ProberIdentity, targets: readonly string[]): void {
    if (this.#away) return
    for (const target of targets) this.posted.get(prober.name)?.votes.delete(target)
    for (const link of this.links) if (link.isUp) void link.writerOf(prober).retire(targets)
  }

  beat(beat: Heartbeat): void {
    if (this.#away) return
    const posted = this.posted.get(beat.prober.name)
    if (posted !== undefined) posted.beat = beat
    for (const link of this.links) if (link.isUp) void link.writerOf(beat.prober).heartbeat(beat)
  }

  /** A node's side. */
  link(leaseMs?: number): Link {
    return new Link(this, leaseMs)
  }
}

/** One node's Store. */
export class Link implements Store {
  readonly shared = true
  readonly refusals = new Refusals()
  readonly #bus: Bus
  readonly #memory: MemoryStore
  readonly #subscribers = new Set<StoreSubscriber>()
  #cut = false
  #bootId = ''

  constructor(bus: Bus, leaseMs?: number) {
    this.#bus = bus
    this.#memory = new MemoryStore(leaseMs)
    bus.links.add(this)
  }

  get isUp(): boolean {
    return !this.#cut && !this.#bus.away
  }

  get trouble(): string | undefined {
    return this.isUp ? undefined : 'the Store cannot be reached'
  }

  set cut(cut: boolean) {
    this.#cut = cut
    this.connect()
  }

  /** Hears everything that is there, as after every connecting. */
  connect(): void {
    if (!this.isUp) return
    for (const posted of this.#bus.posted.values()) this.carry(posted)
    const overrides = [...this.#bus.overrides.values()]
    for (const subscriber of this.#subscribers) {
      subscriber.overrides?.(overrides, true)
      const forgotten = [...this.#bus.forgotten.values()]
      subscriber.forgotten?.(forgotten, forgotten)
    }
  }

  carry({ prober, votes, beat }: Posted): void {
    void this.writerOf(prober).replace([...votes.values()])
    if (beat !== undefined) void this.writerOf(prober).heartbeat(beat)
  }

  writerOf(prober: ProberIdentity): ProberWriter {
    return this.#memory.proberWriter(prober)
  }

  /** What the node hears when a prober's lease has run out. */
  silence(prober: ProberIdentity): void {
    for (const subscriber of this.#subscribers) subscriber.gone(prober)
  }

  /** The same of a node's. */
  silenceNode(node: NodeIdentity): void {
    for (const subscriber of this.#subscribers) subscriber.nodeGone?.(node)
  }

  proberWriter(): ProberWriter {
    throw new Error('probers say it to the bus')
  }

  nodeWriter(node: NodeIdentity): NodeWriter {
    const bus = this.#bus
    this.#bootId = node.bootId
    const mine = new Map<string, KnownMember>()
    const reach = (): void => {
      if (!this.isUp) throw new Error('the Store cannot be reached')
    }
    return {
      heartbeat: async (beat) => {
        reach()
        bus.known.set(node.bootId, { mine, beatMs: performance.now() })
        for (const link of bus.links) if (link.isUp) link.#hear(beat)
      },
      writeMembers: async (changes) => {
        for (const [name, known] of changes) {
          if (known === undefined) mine.delete(name)
          else mine.set(name, known)
        }
        reach()
      },
      override: async (entries) => {
        reach()
        bus.overrides = mergeOverrides(bus.overrides, entries)
        for (const link of bus.links)
          if (link.isUp) for (const subscriber of link.#subscribers) subscriber.overrides?.(entries, false)
        return entries.map(({ pattern }) => bus.overrides.get(pattern)!)
      },
      forget: async ({ kind, name }, id) => {
        reach()
        if (kind === 'prober') bus.posted.delete(name)
        const news = { kind, name, bootId: '', id }
        bus.forgotten.set(name, news)
        const all = [...bus.forgotten.values()]
        for (const link of bus.links)
          if (link.isUp) for (const subscriber of link.#subscribers) subscriber.forgotten?.([news], all)
      },
    }
  }

  async readMembers(): Promise<readonly ReadonlyMap<string, KnownMember>[]> {
    if (!this.isUp) return []
    const sinceMs = performance.now() - LEASE_MS
    return [...this.#bus.known].flatMap(([bootId, { mine, beatMs }]) =>
      bootId === this.#bootId || beatMs < sinceMs ? [] : [mine],
    )
  }

  async listen(subscriber: StoreSubscriber, signal: AbortSignal): Promise<void> {
    this.#subscribers.add(subscriber)
    signal.addEventListener('abort', () => this.#subscribers.delete(subscriber), { once: true })
    const others = { ...subscriber }
    delete others.overrides // those are on the bus: nothing is heard of them before it is reached
    await this.#memory.listen(others, signal)
    this.connect()
  }

  repeat(prober: string): void {
    this.#memory.repeat(prober)
  }

  async close(): Promise<void> {
    this.#bus.links.delete(this)
    this.#bus.known.delete(this.#bootId)
    await this.#memory.close()
  }

  #hear(beat: NodeHeartbeat): void {
    for (const subscriber of this.#subscribers) subscriber.node?.(beat)
  }
}
