/**
 * The other nodes, from their heartbeats, and for how long each has served or judged differently from this node. It
 * also sends this node's heartbeat. A node that is gone or differs changes no verdict; status and metrics show it.
 */
import type { Refusals } from './refusals.ts'
import { HEARTBEAT_MS, MOST_NODES, type NodeHeartbeat, type NodeWriter, type NodeIdentity } from './store.ts'

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
export type OwnState = Pick<NodeHeartbeat, 'view' | 'revision' | 'plan' | 'verdicts'>

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
  #sequence = 0
  #timer: NodeJS.Timeout | undefined

  constructor(settings: OtherNodesSettings) {
    this.#settings = settings
  }

  get started(): boolean {
    return this.#timer !== undefined
  }

  start(): void {
    this.#timer = setInterval(() => this.#beat(), HEARTBEAT_MS).unref()
    this.#beat()
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  receive(beat: NodeHeartbeat, nowMs: number): void {
    const other = this.#nodes.get(beat.node.name)
    const { node } = this.#settings
    // during a takeover two processes have this node's name: this one counts
    if (beat.node.name === node.name && beat.node.bootId !== node.bootId) return
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
  }

  gone({ name, bootId }: NodeIdentity): void {
    const other = this.#nodes.get(name)
    if (other?.beat.node.bootId !== bootId) return
    other.live = false
    other.viewSinceMs = undefined
    other.verdictsSinceMs = undefined
  }

  /** Nodes that are silent since before are shown no more. */
  forget(oldestMs: number): void {
    for (const [name, { live, heardMs }] of this.#nodes) if (!live && heardMs < oldestMs) this.#nodes.delete(name)
  }

  status(nowMs: number): NodeStatus[] {
    const since = (ms: number | undefined): number => (ms === undefined ? 0 : Math.max(1, nowMs - ms))
    return Array.from(this.#nodes.values(), ({ beat, live, heardMs, viewSinceMs, verdictsSinceMs }) => ({
      beat,
      live,
      self: beat.node.bootId === this.#settings.node.bootId,
      ageMs: nowMs - heardMs,
      viewDiffersMs: since(viewSinceMs),
      verdictsDifferMs: since(verdictsSinceMs),
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

  #beat(): void {
    const { node, version, writer, self } = this.#settings
    const state = self()
    const nowMs = performance.now()
    for (const other of this.#nodes.values()) if (other.live) this.#compare(other, state, nowMs)
    // the Store reports its own trouble
    writer.heartbeat({ node, version, sequence: ++this.#sequence, ...state }).catch(() => {})
  }

  #compare(other: OtherNode, self: OwnState, nowMs: number): void {
    if (other.beat.node.bootId === this.#settings.node.bootId) return
    other.viewSinceMs = other.beat.view === self.view ? undefined : (other.viewSinceMs ?? nowMs)
    other.verdictsSinceMs = other.beat.verdicts === self.verdicts ? undefined : (other.verdictsSinceMs ?? nowMs)
  }
}
