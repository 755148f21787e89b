/**
 * Writes one hash in Redis: all that a prober or node has to say, kept here and sent in order, one script call at a
 * time (lua/write.1-2.lua). What is written in one tick, or during a call, goes together.
 *
 * n, the number of changes, is compared and set by the script: a call whose answer was lost, or that a hung server runs
 * late, can neither be applied twice nor undo anything. When they disagree, everything is written again.
 */
import { hashKey, HINTS, indexKey, type Kind } from './keys.ts'
import { type Signer, Sum } from './signer.ts'
import { changeText, headParts } from './text.ts'

/** The prober or node whose hash it is. */
export interface HashOwner {
  readonly kind: Kind
  readonly name: string
  readonly region: string
  readonly bootId: string
}

/** What a HashWriter needs of its Store. */
export interface HashWriterContext {
  /** Redis is usable. */
  readonly ready: boolean
  /** Neither connected nor failed yet: callers go on waiting. */
  readonly starting: boolean
  readonly leaseMs: number
  readonly signer: Signer
  /** The channel for this owner's hints. */
  channelOf(owner: HashOwner): string
  /** Runs lua/write.1-2.lua; rejects when it fails or takes longer than the number of arguments allows. */
  run(keys: readonly string[], args: readonly string[]): Promise<readonly string[]>
  /** Redis is away: flush() is called when it is back, stopWaiting() if it does not come. */
  wait(writer: HashWriter): unknown
  /** Redis reports another live process with this name. */
  suspect(writer: HashWriter): unknown
}

/**
 * Two processes with one name are trouble only after so many leases side by side: a takeover is none, and a node's
 * lasts as long as an operator checks the new one: a minute.
 */
const RIVAL_LEASES: Readonly<Record<Kind, number>> = { prober: 2, node: 20 }
/** Longest log line, in UTF-16 units. A longer change goes without one, and listeners read the hash. */
const MOST_LINE = 12_000

/** The writer of one hash. */
export class HashWriter {
  /** Called when Redis has lost the hash; it is written again. */
  onMissing: (() => void) | undefined
  readonly #owner: HashOwner
  readonly #context: HashWriterContext
  readonly #fields = new Map<string, string>()
  readonly #changed = new Set<string>()
  /** Of all fields, to be signed; undefined without a secret. */
  readonly #sum: Sum | undefined
  #whole = false
  #beat: string | undefined
  /** The heartbeat that Redis has, if all went well. */
  #sentBeat = ''
  /** There is something to send that no running call sends. */
  #dirty = false
  /** A call with changes failed; Redis may have applied it. */
  #unsure = false
  #scheduled = false
  #running = false
  #waiting: (() => void)[] = []
  #n = 0
  #sequence = -Infinity
  #writtenMs = -Infinity
  #rivalFirstMs = -Infinity
  #rivalLastMs = -Infinity

  constructor(owner: HashOwner, context: HashWriterContext) {
    this.#owner = owner
    this.#context = context
    this.#sum = context.signer.signs ? new Sum() : undefined
  }

  /** Replaces all fields. */
  replace(fields: Iterable<readonly [string, string]>): Promise<void> {
    this.#fields.clear()
    this.#sum?.clear()
    for (const [field, value] of fields) this.#set(field, value)
    this.#whole = true
    return this.#write()
  }

  /** Sets fields; undefined removes one. */
  change(fields: Iterable<readonly [string, string | undefined]>): Promise<void> {
    for (const [field, value] of fields) {
      this.#set(field, value)
      this.#changed.add(field)
    }
    return this.#write()
  }

  #set(field: string, value: string | undefined): void {
    if (value === undefined) this.#fields.delete(field)
    else this.#fields.set(field, value)
    this.#sum?.set(field, value)
  }

  /** Sends a heartbeat; an old sequence is ignored. */
  async beat(sequence: number, text: string): Promise<void> {
    if (sequence <= this.#sequence) return
    this.#sequence = sequence
    this.#beat = text
    return this.#write()
  }

  /**
   * Redis is back: sends what is unsent, unless the owner has been silent for a lease: it may be a boot that is over.
   */
  flush(): void {
    if (performance.now() - this.#writtenMs > this.#context.leaseMs) return
    this.#dirty ||= this.#unsure
    void this.#run()
  }

  /** Redis does not come back: callers go on, and the Store reports the trouble. */
  stopWaiting(): void {
    for (const resolve of this.#waiting.splice(0)) resolve()
  }

  /** What to report of another process with this name, if it is no mere takeover. */
  rival(): string | undefined {
    const { leaseMs } = this.#context
    const { kind, name } = this.#owner
    if (!this.suspects || this.#rivalLastMs - this.#rivalFirstMs < RIVAL_LEASES[kind] * leaseMs) return undefined
    return `two ${kind}s call themselves ${name}, and only the one started last is heard: give each its own node.name`
  }

  /** Another process with this name was seen within a lease. */
  get suspects(): boolean {
    return performance.now() - this.#rivalLastMs <= this.#context.leaseMs
  }

  #write(): Promise<void> {
    this.#writtenMs = performance.now()
    const written = new Promise<void>((resolve) => this.#waiting.push(resolve))
    this.#dirty = true
    if (!this.#scheduled) setImmediate(() => void this.#run())
    this.#scheduled = true
    return written
  }

  async #run(): Promise<void> {
    this.#scheduled = false
    if (this.#running) return
    this.#running = true
    try {
      while (this.#dirty) {
        if (!this.#context.ready) {
          this.#context.wait(this)
          if (!this.#context.starting) this.stopWaiting()
          return
        }
        if (!(await this.#send())) return
      }
    } finally {
      this.#running = false
    }
  }

  /** One call; false: it failed. */
  async #send(): Promise<boolean> {
    const waiting = this.#waiting
    const beat = this.#beat
    const hasChanges = this.#whole || this.#changed.size > 0
    const n = hasChanges ? this.#n + 1 : this.#n
    const args = this.#arguments(n)
    this.#waiting = []
    this.#beat = undefined
    this.#whole = false
    this.#changed.clear()
    this.#dirty = false
    try {
      const [answer, rival] = await this.#context.run(this.#keys(), args)
      this.#n = n
      if (answer === 'missing') {
        this.#whole = this.#dirty = true
        this.#beat ??= beat
        this.#waiting.unshift(...waiting)
        this.onMissing?.()
        return true
      }
      this.#unsure = false
      if (answer === 'ended' || rival !== '') this.#suspect()
      for (const resolve of waiting) resolve()
      return true
    } catch {
      // the next call shows by n whether it was applied; the Store reports the failure
      this.#n = n
      this.#unsure ||= hasChanges
      this.#context.wait(this)
      for (const resolve of waiting) resolve()
      this.stopWaiting()
      return false
    }
  }

  #suspect(): void {
    const nowMs = performance.now()
    if (!this.suspects) this.#rivalFirstMs = nowMs
    this.#rivalLastMs = nowMs
    this.#context.suspect(this)
  }

  #keys(): string[] {
    const { kind, name } = this.#owner
    return kind === 'node' ? [hashKey(kind, name), indexKey(kind)] : [hashKey(kind, name)]
  }

  #arguments(n: number): string[] {
    const { kind, name, region, bootId } = this.#owner
    const { signer, leaseMs } = this.#context
    const hasChanges = n !== this.#n
    const fields: string[] = []
    if (this.#whole) for (const [field, value] of this.#fields) fields.push(field, value)
    else for (const field of this.#changed) fields.push(field, this.#fields.get(field) ?? '')
    const hasBeat = this.#beat !== undefined
    // the signature covers the heartbeat: it is sent again, so that it is certain which one Redis has
    const beat = this.#beat ?? (signer.signs ? this.#sentBeat : '')
    this.#sentBeat = this.#beat ?? this.#sentBeat
    const sum = this.#sum?.text ?? ''
    const mac = signer.sign('head', headParts({ kind, name, boot: bootId, region, n, beat, sum }))
    const line = hasChanges && !this.#whole && kind === 'prober' ? this.#line(n, fields) : ''
    const hint = kind === 'prober' && hasChanges ? HINTS.change : hasBeat ? HINTS.beat : ''
    const args = [this.#context.channelOf(this.#owner), hint, name, bootId, region, String(leaseMs)]
    args.push(String(this.#n), String(n), this.#whole ? 'whole' : 'some', beat, line, sum, mac)
    for (const text of fields) args.push(text) // 10,000 votes are too many for a call's stack
    return args
  }

  #line(n: number, fields: readonly string[]): string {
    const { name, bootId } = this.#owner
    const mac = this.#context.signer.sign('change', [name, bootId, n, fields])
    const line = changeText({ n, mac: mac === '' ? '-' : mac, fields })
    return line.length > MOST_LINE ? '' : line
  }
}
