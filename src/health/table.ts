/**
 * The HealthTable: one Int32 per member in shared memory, written by the main thread with Atomics.store, read plainly
 * by every answering thread. Zero means "unproven, full share, not calm": missing data never means down.
 *
 *   bits 0–2 state · bit 3 calm · bits 4–13 1000 − share
 *
 * Behind them is one word per service: a version that changes after each change of one of its members' words. While it
 * is unchanged, queries need not read the members. UNWATCHED: the version is not maintained any more. The last word says
 * what all of it rests on.
 */
/** Never seen up. */
export const UNPROVEN = 0
/** Up by verdict, or forced up. */
export const UP = 1
/** Down by verdict. */
export const DOWN = 2
/** Drained by an override or by its file, and up. */
export const DRAINED = 3
/** Forced down by an override: answers only if nothing else exists. */
export const FORCED_DOWN = 4
/** Up again after its site has failed over, and passed over until an operator returns it (`failback: manual`). */
export const RECOVERED = 5

/** State bits of a word. */
export type HealthState =
  | typeof UNPROVEN
  | typeof UP
  | typeof DOWN
  | typeof DRAINED
  | typeof FORCED_DOWN
  | typeof RECOVERED

/** Number of members that a process can serve, all Worlds in use included. */
export const HEALTH_SLOTS = 65_536
/** Words of services, behind those of the members. */
export const SERVICE_SLOTS = 65_536
/** The last word of the table: what the members' words rest on, one of the three below. */
export const KNOWLEDGE = HEALTH_SLOTS + SERVICE_SLOTS
/** Votes that probers repeat. */
export const FRESH = 0
/** What was known before the last prober fell silent. */
export const STALE = 1
/** Nothing for all members yet: the node has just started. */
export const NOT_READY = 2
/** The word of a service that the newest World lacks, or has with other members. */
export const UNWATCHED = -1

/** State of a member's word. */
export const stateOf = (word: number): number => word & 7
/** Whether the member is down or forced down. */
export const isDown = (word: number): boolean => stateOf(word) === DOWN || stateOf(word) === FORCED_DOWN
/** Whether answers may take the long TTL. */
export const isCalm = (word: number): boolean => (word & 8) !== 0
/** Share in ‰, 0–1000. */
export const shareOf = (word: number): number => 1000 - ((word >>> 4) & 1023)

/** A member's word. */
export const healthWord = (state: HealthState, share: number, calm: boolean): number =>
  state | (calm ? 8 : 0) | ((1000 - share) << 4)

/** Shared by all threads of the process, over all Worlds. */
export type HealthTable = Int32Array

/** A table in which every word is zero. */
export const makeHealthTable = (): HealthTable =>
  new Int32Array(new SharedArrayBuffer((KNOWLEDGE + 1) * Int32Array.BYTES_PER_ELEMENT))

interface SlotEntry {
  readonly slot: number
  /** First World without the member; undefined while the newest World has it. */
  leftAt: number | undefined
}

/**
 * Who has which word of the table. A slot belongs to a member's name for as long as any thread may read it: it is given
 * before the World that needs it is published, and reused only after every thread has acknowledged a World without it.
 * One registry a process, used by the main thread (node/run.ts) around each publication:
 *
 *   assign(members, generation) → fill the words (NodeHealth.adopt) → publish → … all threads at g … → release(g)
 */
export class SlotRegistry {
  readonly #size: number
  readonly #entries = new Map<string, SlotEntry>()
  readonly #free: number[] = []
  #fresh = 0

  constructor(size: number = HEALTH_SLOTS) {
    this.#size = size
  }

  /** Slots given out, those waiting for release() included. */
  get used(): number {
    return this.#entries.size
  }

  /** Slot of a member of the newest World. */
  slotOf(member: string): number | undefined {
    return this.#entries.get(member)?.slot
  }

  /**
   * Slots for the members of World `generation`, in their order. Members of earlier Worlds that aren't among them leave
   * with it. undefined, and nothing changed: the table is full; the reload has to be refused and said so.
   */
  assign(members: readonly string[], generation: number): Int32Array | undefined {
    const names = new Set(members)
    let wanted = 0
    for (const name of names) if (!this.#entries.has(name)) wanted++
    if (wanted > this.#free.length + this.#size - this.#fresh) return undefined
    for (const [name, entry] of this.#entries) {
      if (names.has(name)) entry.leftAt = undefined
      else entry.leftAt ??= generation
    }
    return Int32Array.from(members, (name) => {
      let entry = this.#entries.get(name)
      if (entry === undefined) {
        entry = { slot: this.#free.pop() ?? this.#fresh++, leftAt: undefined }
        this.#entries.set(name, entry)
      }
      return entry.slot
    })
  }

  /** Every thread has acknowledged World `generation` or a later one: what left by then may be reused. */
  release(generation: number): void {
    for (const [name, { slot, leftAt }] of this.#entries) {
      if (leftAt === undefined || leftAt > generation) continue
      this.#entries.delete(name)
      this.#free.push(slot)
    }
  }
}
