/**
 * The other nodes, from their heartbeats: for how long each has served or judged differently from this node, which
 * overrides it acknowledges, and how far its clock is off. It also sends this node's heartbeat. A node that is gone or
 * differs changes no verdict; status and metrics show it.
 */
import { formatAge } from '../units.ts'
import type { Refusals } from './refusals.ts'
import { HEARTBEAT_MS, MOST_NODES, type NodeHeartbeat, type NodeWriter, type NodeIdentity } from './store.ts'
import { within } from './within.ts'

/** A node as status shows it; this one included. */
export interface NodeStatus {
  readonly beat: NodeHeartbeat
  readonly live: boolean
  readonly self: boolean
  /** Time since its last heartbeat. */
  readonly ageMs: number
  /** How long its view or (verdictsDifferMs) its verdicts have differed from this node's; 0: they agree. */
  readonly viewDiffersMs: number
  readonly verdictsDifferMs: number
  /** How far its wall clock is ahead of this node's (below 0: behind); null: not measured. */
  readonly clockSkewMs: number | null
}

/** A node that does not acknowledge what is in force here, and why in words. */
export interface NodeLack {
  readonly node: string
  readonly why: string
}

/** Who has what is in force here. */
export interface Acknowledgement {
  /** Names of nodes that acknowledge them, this one first. */
  readonly reached: readonly string[]
  readonly unreached: readonly NodeLack[]
}

interface OtherNode {
  beat: NodeHeartbeat
  live: boolean
  heardMs: number
  /** undefined: they agree. */
  viewSinceMs: number | undefined
  verdictsSinceMs: number | undefined
}

/** The part of this node's heartbeat that changes. */
export type OwnState = Pick<
  NodeHeartbeat,
  'view' | 'revision' | 'plan' | 'verdicts' | 'overrides' | 'controls' | 'forgotten' | 'rates'
>

/** What nodes acknowledge in their heartbeats. */
export type Acknowledged = 'overrides' | 'controls' | 'forgotten'

/** An order waits for so long for acknowledgements: a heartbeat, and a poll of the Store, with time to spare. */
const ACKNOWLEDGE_MS = 2500
/** How long the end of a node waits for its last heartbeat. */
const FAREWELL_MS = 500

/** What OtherNodes needs of its node. */
export interface OtherNodesSettings {
  readonly node: NodeIdentity
  /** Of the program. */
  readonly version: string
  readonly writer: NodeWriter
  readonly self: () => OwnState
  readonly refusals: Refusals
}

/** All nodes of the fleet, by their heartbeats. */
export class OtherNodes {
  readonly #settings: OtherNodesSettings
  readonly #nodes = new Map<string, OtherNode>()
  /** Called at each heartbeat that is heard. */
  readonly #waiting = new Set<() => void>()
  #sequence = 0
  #timer: NodeJS.Timeout | undefined

  constructor(settings: OtherNodesSettings) {
    this.#settings = settings
  }

  get started(): boolean {
    return this.#timer !== undefined
  }

  start(): void {
    this.#timer = setInterval(() => this.beat(), HEARTBEAT_MS).unref()
    this.beat()
  }

  /** Ends with a last heartbeat, so that the others do not take the end for a silence. */
  async stop(): Promise<void> {
    if (!this.started) return
    clearInterval(this.#timer)
    await within(FAREWELL_MS, this.#send({ ends: true }), () => {})
  }

  receive(beat: NodeHeartbeat, nowMs: number): void {
    const other = this.#nodes.get(beat.node.name)
    const { node } = this.#settings
    // during a takeover two processes have this node's name: this one counts
    if (beat.node.name === node.name && beat.node.bootId !== node.bootId) return
    if (beat.ends === true) {
      if (other?.beat.node.bootId === beat.node.bootId) this.#nodes.delete(beat.node.name)
      return
    }
    if (other?.beat.node.bootId === beat.node.bootId) {
      other.beat = beat
      other.live = true
      other.heardMs = nowMs
    } else if (other === undefined && !this.#makeRoom(beat.node)) {
      return this.#settings.refusals.count('node', `node ${beat.node.name}`)
    } else {
      const fresh = { beat, live: true, heardMs: nowMs, viewSinceMs: undefined, verdictsSinceMs: undefined }
      this.#nodes.set(beat.node.name, fresh)
    }
    this.#compare(this.#nodes.get(beat.node.name)!, this.#settings.self(), nowMs)
    for (const heard of this.#waiting) heard()
  }

  /** Whether that node was live until now, and is another one than this. */
  gone({ name, bootId }: NodeIdentity): boolean {
    const other = this.#nodes.get(name)
    if (other?.beat.node.bootId !== bootId) return false
    const wasLive = other.live
    other.live = false
    other.viewSinceMs = undefined
    other.verdictsSinceMs = undefined
    return wasLive && bootId !== this.#settings.node.bootId
  }

  /**
   * Who has the overrides, or the list of forgotten processes, that are in force here. Waits for nodes that are live, a
   * few seconds at most; `waits` false: not at all. `isHere`: whether this node itself has it by now.
   */
  async acknowledgement(what: Acknowledged, waits: boolean, isHere = (): boolean => true): Promise<Acknowledgement> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const check = () => {
      if (isHere() && !this.#lacks(what).some(({ mayCome }) => mayCome)) resolve()
    }
    check()
    this.#waiting.add(check)
    if (waits) await within(ACKNOWLEDGE_MS, promise, () => {})
    this.#waiting.delete(check)
    const lacks = this.#lacks(what)
    const lacking = new Set(lacks.map(({ node }) => node))
    const { name } = this.#settings.node
    const reached = [...this.#nodes.keys()].filter((other) => other !== name && !lacking.has(other))
    const unreached = lacks.map(({ node, why, silentMs }) => {
      if (silentMs === undefined) return { node, why }
      if (!waits) return { node, why: 'Redis is away, by which it would hear of it' }
      return { node, why: `silent for ${formatAge(silentMs)}; if it is gone for good: meridian node forget ${node}` }
    })
    return { reached: [name, ...reached], unreached }
  }

  /**
   * Nodes that do not acknowledge what is in force here. `mayCome`: the acknowledgement may be on its way; `silentMs`:
   * of one that is silent, for how long.
   */
  #lacks(what: Acknowledged): (NodeLack & { readonly mayCome: boolean; readonly silentMs?: number })[] {
    const { node: self, self: state } = this.#settings
    const own = state()[what]
    const lacking = [...this.#nodes].filter(
      ([name, { beat, live }]) => name !== self.name && !(live && beat[what] === own),
    )
    return lacking.map(([node, { beat, live, heardMs }]) => {
      if (!live) return { node, why: 'silent', mayCome: false, silentMs: performance.now() - heardMs }
      if (what === 'overrides' && beat.overrides === undefined)
        return { node, why: `version ${beat.version}, which does not acknowledge overrides`, mayCome: false }
      if (what === 'controls' && beat.controls === undefined)
        return { node, why: `version ${beat.version}, which knows no freeze and no return`, mayCome: false }
      return { node, why: 'has not acknowledged it so far', mayCome: true }
    })
  }

  /** How many live nodes have a name before this one's: by it nodes that see the same take turns. */
  get rank(): number {
    const { name } = this.#settings.node
    return [...this.#nodes].filter(([other, { live }]) => live && other < name).length
  }

  /** Nodes that are heard; this one when it hears itself. */
  live(): readonly NodeIdentity[] {
    return [...this.#nodes.values()].filter(({ live }) => live).map(({ beat }) => beat.node)
  }

  /** undefined: not known. */
  isLive(name: string): boolean | undefined {
    return this.#nodes.get(name)?.live
  }

  /** Removes a silent node; false: there is none. */
  forget(name: string): boolean {
    return this.isLive(name) === false && this.#nodes.delete(name)
  }

  /** Nodes that have been silent since before `oldestMs`. */
  silentSince(oldestMs: number): string[] {
    return [...this.#nodes].filter(([, { live, heardMs }]) => !live && heardMs < oldestMs).map(([name]) => name)
  }

  status(nowMs: number): NodeStatus[] {
    const since = (ms: number | undefined): number => (ms === undefined ? 0 : Math.max(1, nowMs - ms))
    const ownMs = this.#nodes.get(this.#settings.node.name)?.beat.clockMs
    return Array.from(this.#nodes.values(), ({ beat, live, heardMs, viewSinceMs, verdictsSinceMs }) => ({
      beat,
      live,
      self: beat.node.bootId === this.#settings.node.bootId,
      ageMs: nowMs - heardMs,
      viewDiffersMs: since(viewSinceMs),
      verdictsDifferMs: since(verdictsSinceMs),
      clockSkewMs: beat.clockMs === undefined || ownMs === undefined ? null : beat.clockMs - ownMs,
    }))
  }

  /** Makes room for a new node; false: all places have live nodes. This node always has a place. */
  #makeRoom({ name }: NodeIdentity): boolean {
    if (this.#nodes.size < MOST_NODES || name === this.#settings.node.name) return true
    let silent: [string, OtherNode] | undefined
    for (const entry of this.#nodes)
      if (!entry[1].live && (silent === undefined || entry[1].heardMs < silent[1].heardMs)) silent = entry
    return silent !== undefined && this.#nodes.delete(silent[0])
  }

  /** Sends a heartbeat, out of turn if this node's state has just changed. */
  beat(): void {
    const state = this.#settings.self()
    const nowMs = performance.now()
    for (const other of this.#nodes.values()) if (other.live) this.#compare(other, state, nowMs)
    void this.#send({})
  }

  #send(more: Pick<NodeHeartbeat, 'ends'>): Promise<void> {
    const { node, version, writer, self } = this.#settings
    // the Store reports its own trouble
    return writer.heartbeat({ node, version, sequence: ++this.#sequence, ...self(), ...more }).catch(() => {})
  }

  #compare(other: OtherNode, self: OwnState, nowMs: number): void {
    if (other.beat.node.bootId === this.#settings.node.bootId) return
    other.viewSinceMs = other.beat.view === self.view ? undefined : (other.viewSinceMs ?? nowMs)
    other.verdictsSinceMs = other.beat.verdicts === self.verdicts ? undefined : (other.verdictsSinceMs ?? nowMs)
  }
}
