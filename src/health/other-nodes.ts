/**
 * The other nodes, as they say of themselves: their beats, and for how long they have served, or judged, otherwise than this
 * node. Sends this node's own beat too. A node that is gone, or differs, changes no verdict: it is shown, and alarmed.
 */
import type { Refusals } from './refusals.ts'
import { HEARTBEAT_MS, MOST_NODES, type NodeBeat, type NodeBoard, type NodeIdentity } from './store.ts'

/** Another node, or this one, as it says of itself. */
export interface NodeStatus {
  readonly beat: NodeBeat
  readonly live: boolean
  readonly self: boolean
  /** Since it was last heard. */
  readonly ageMs: number
  /** How long its view, or its verdicts, have been other than this node's; 0 = they agree. */
  readonly viewDiffersMs: number
  readonly verdictsDifferMs: number
}

interface Peer {
  beat: NodeBeat
  live: boolean
  heardMs: number
  /** undefined: they agree. */
  viewSinceMs: number | undefined
  verdictsSinceMs: number | undefined
}

/** What this node says of itself now. */
export type Self = Pick<NodeBeat, 'view' | 'revision' | 'plan' | 'verdicts'>

export interface PeersSettings {
  readonly node: NodeIdentity
  /** Of the program. */
  readonly version: string
  readonly board: NodeBoard
  readonly self: () => Self
  readonly refusals: Refusals
}

export class Peers {
  readonly #settings: PeersSettings
  readonly #peers = new Map<string, Peer>()
  #sequence = 0
  #timer: NodeJS.Timeout | undefined

  constructor(settings: PeersSettings) {
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

  hear(beat: NodeBeat, nowMs: number): void {
    const peer = this.#peers.get(beat.node.name)
    const { node } = this.#settings
    // while one process takes over from another both have the name: this one speaks for it
    if (beat.node.name === node.name && beat.node.bootId !== node.bootId) return
    if (peer?.beat.node.bootId === beat.node.bootId) {
      peer.beat = beat
      peer.live = true
      peer.heardMs = nowMs
    } else if (peer === undefined && !this.#makeRoom(beat.node)) {
      return this.#settings.refusals.count('node', `node ${beat.node.name}`)
    } else {
      const fresh = { beat, live: true, heardMs: nowMs, viewSinceMs: undefined, verdictsSinceMs: undefined }
      this.#peers.set(beat.node.name, fresh)
    }
    this.#compare(this.#peers.get(beat.node.name)!, this.#settings.self(), nowMs)
  }

  gone({ name, bootId }: NodeIdentity): void {
    const peer = this.#peers.get(name)
    if (peer?.beat.node.bootId !== bootId) return
    peer.live = false
    peer.viewSinceMs = undefined
    peer.verdictsSinceMs = undefined
  }

  /** Nodes that are silent since before are shown no more. */
  forget(oldestMs: number): void {
    for (const [name, { live, heardMs }] of this.#peers) if (!live && heardMs < oldestMs) this.#peers.delete(name)
  }

  status(nowMs: number): NodeStatus[] {
    const since = (ms: number | undefined): number => (ms === undefined ? 0 : Math.max(1, nowMs - ms))
    return Array.from(this.#peers.values(), ({ beat, live, heardMs, viewSinceMs, verdictsSinceMs }) => ({
      beat,
      live,
      self: beat.node.bootId === this.#settings.node.bootId,
      ageMs: nowMs - heardMs,
      viewDiffersMs: since(viewSinceMs),
      verdictsDifferMs: since(verdictsSinceMs),
    }))
  }

  /** For a newcomer; false: everyone is heard. This node itself always has its place. */
  #makeRoom({ name }: NodeIdentity): boolean {
    if (this.#peers.size < MOST_NODES || name === this.#settings.node.name) return true
    let silent: [string, Peer] | undefined
    for (const entry of this.#peers)
      if (!entry[1].live && (silent === undefined || entry[1].heardMs < silent[1].heardMs)) silent = entry
    return silent !== undefined && this.#peers.delete(silent[0])
  }

  #beat(): void {
    const { node, version, board, self } = this.#settings
    const said = self()
    const nowMs = performance.now()
    for (const peer of this.#peers.values()) if (peer.live) this.#compare(peer, said, nowMs)
    // that the Store is away is its own trouble, and shown as such
    board.heartbeat({ node, version, sequence: ++this.#sequence, ...said }).catch(() => {})
  }

  #compare(peer: Peer, self: Self, nowMs: number): void {
    if (peer.beat.node.bootId === this.#settings.node.bootId) return
    peer.viewSinceMs = peer.beat.view === self.view ? undefined : (peer.viewSinceMs ?? nowMs)
    peer.verdictsSinceMs = peer.beat.verdicts === self.verdicts ? undefined : (peer.verdictsSinceMs ?? nowMs)
  }
}
