/**
 * The Store of one process: `serve` that probes for itself. The prober lives in a thread of its own, so its side of the
 * board is one end of a MessagePort (portBoard), and whoever has a Store serves the other end (serveBoard).
 */
import { type Override, supersedes } from '../health/override.ts'
import { Refusals } from '../health/refusals.ts'
import {
  type Audience,
  type Board,
  type Heartbeat,
  type KnownMember,
  LEASE_MS,
  type NodeBeat,
  type NodeBoard,
  type NodeIdentity,
  type ProberIdentity,
  type Store,
} from '../health/store.ts'
import type { Vote } from '../health/vote.ts'
import { asBoard, type Posting } from './port.ts'

/** What one prober says now, and whether it is still heard. */
interface Posted {
  readonly prober: ProberIdentity
  /** The boot before this one: what it still says comes too late. */
  readonly endedBoot: string | undefined
  readonly votes: Map<string, Vote>
  live: boolean
  lastBeat: Heartbeat | undefined
  lease: NodeJS.Timeout
}

/** A node, and whether it is still heard. */
interface Beating {
  last: NodeBeat
  live: boolean
  readonly lease: NodeJS.Timeout
}
export class MemoryStore implements Store {
  readonly shared = false
  readonly trouble = undefined
  readonly refusals = new Refusals()
  readonly #audiences = new Set<Audience>()
  readonly #posted = new Map<string, Posted>()
  readonly #nodes = new Map<string, Beating>()
  readonly #overrides = new Map<string, Override>()
  readonly #leaseMs: number

  constructor(leaseMs: number = LEASE_MS) {
    this.#leaseMs = leaseMs
  }

  board(prober: ProberIdentity): Board {
    return asBoard(prober, (posting) => this.#take(posting))
  }

  /** The node is the only one here, so there is nobody whose memory it could be. */
  node(_node: NodeIdentity): NodeBoard {
    return {
      heartbeat: async (beat) => this.#beat(beat),
      know: async () => {},
      override: async (entries) => this.#put(entries),
      forget: async (prober) => {
        if (this.#posted.get(prober)?.live !== true) this.#posted.delete(prober)
        this.#tell((audience) => audience.forgotten?.(prober))
      },
    }
  }

  async known(): Promise<readonly ReadonlyMap<string, KnownMember>[]> {
    return []
  }

  async listen(audience: Audience, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return
    this.#audiences.add(audience)
    signal.addEventListener('abort', () => this.#audiences.delete(audience), { once: true })
    for (const { prober, votes, live, lastBeat } of this.#posted.values()) {
      if (!live) continue
      audience.votes(prober, [...votes.values()], true)
      if (lastBeat !== undefined) audience.heartbeat(lastBeat)
    }
    for (const { last, live } of this.#nodes.values()) if (live) audience.node?.(last)
    audience.overrides?.([...this.#overrides.values()], true)
  }

  repeat(prober: string): void {
    const posted = this.#posted.get(prober)
    if (posted?.live !== true) return
    this.#tell((audience) => audience.votes(posted.prober, [...posted.votes.values()], true))
  }

  async close(): Promise<void> {
    for (const { lease } of [...this.#posted.values(), ...this.#nodes.values()]) clearTimeout(lease)
    this.#audiences.clear()
  }

  #beat(beat: NodeBeat): void {
    const { name, bootId } = beat.node
    const known = this.#nodes.get(name)
    if (known?.last.node.bootId === bootId && beat.sequence <= known.last.sequence) return
    clearTimeout(known?.lease)
    const beating: Beating = {
      last: beat,
      live: true,
      lease: setTimeout(() => this.#fallSilent(beating), this.#leaseMs),
    }
    beating.lease.unref()
    this.#nodes.set(name, beating)
    this.#tell((audience) => audience.node?.(beat))
  }

  #fallSilent(beating: Beating): void {
    beating.live = false
    this.#tell((audience) => audience.nodeGone?.(beating.last.node))
  }

  /** Tells those that stand. */
  #put(entries: readonly Override[]): readonly Override[] {
    const fresh = entries.filter((entry) => {
      const known = this.#overrides.get(entry.pattern)
      if (known !== undefined && !supersedes(entry, known)) return false
      this.#overrides.set(entry.pattern, entry)
      return true
    })
    if (fresh.length > 0) this.#tell((audience) => audience.overrides?.(fresh, false))
    return entries.map(({ pattern }) => this.#overrides.get(pattern)!)
  }

  #take(posting: Posting): void {
    const { prober } = posting
    const posted = this.#open(prober)
    if (posted === undefined) return
    switch (posting.call) {
      case 'replace':
        posted.votes.clear()
        for (const vote of posting.votes) posted.votes.set(vote.target, vote)
        this.#renew(posted, false)
        return this.#tell((audience) => audience.votes(prober, posting.votes, true))
      case 'change':
        posted.votes.set(posting.vote.target, posting.vote)
        if (posted.live) this.#tell((audience) => audience.votes(prober, [posting.vote], false))
        return
      case 'retire':
        for (const target of posting.targets) posted.votes.delete(target)
        if (posted.live) this.#tell((audience) => audience.retired(prober, posting.targets))
        return
      case 'heartbeat':
        if (posted.lastBeat !== undefined && posting.beat.sequence <= posted.lastBeat.sequence) return
        posted.lastBeat = posting.beat
        this.#renew(posted, true)
        return this.#tell((audience) => audience.heartbeat(posting.beat))
    }
  }

  /** The board of this boot; undefined when a later one has taken its place. */
  #open(prober: ProberIdentity): Posted | undefined {
    const posted = this.#posted.get(prober.name)
    if (posted?.prober.bootId === prober.bootId) return posted
    if (posted?.endedBoot === prober.bootId) return undefined
    clearTimeout(posted?.lease)
    const lease = setTimeout(() => this.#expire(fresh), this.#leaseMs).unref()
    const endedBoot = posted?.prober.bootId
    const fresh: Posted = { prober, endedBoot, votes: new Map(), live: true, lastBeat: undefined, lease }
    this.#posted.set(prober.name, fresh)
    if (posted !== undefined) this.#tell((audience) => audience.votes(prober, [], true))
    return fresh
  }

  /** After silence all votes are said again before anything new. */
  #renew(posted: Posted, repeat: boolean): void {
    posted.lease.refresh()
    if (posted.live) return
    posted.live = true
    if (repeat) this.#tell((audience) => audience.votes(posted.prober, [...posted.votes.values()], true))
  }

  #expire(posted: Posted): void {
    posted.live = false
    this.#tell((audience) => audience.gone(posted.prober))
  }

  #tell(say: (audience: Audience) => void): void {
    for (const audience of this.#audiences) say(audience)
  }
}
