/**
 * The overrides that a node holds: in memory, in a local file, and on the Store's board, which any of them may outlive. A
 * node that was away, or whose Store lost everything, puts up what it has; what is absent there undoes nothing.
 *
 *   operator ─ set() ─▶ ┌─────┐ ─▶ file
 *   Store ─── hear() ─▶ │ set │ ─▶ put (to the Store)
 *   wall clock ───────▶ └─────┘ ─▶ onChange(patterns)
 */
import { damaged, type FileKind, isTime, readState, Saver } from '../state.ts'
import {
  effective,
  isInForce,
  isOverride,
  isSpent,
  matches,
  mergeOverrides,
  type Named,
  type Override,
  type OverrideRequest,
  type OverrideSet,
  standsOver,
} from './override.ts'

export interface OverrideStatus {
  readonly override: Override
  /** How many members it matches now; none: it is orphaned by a change of the zones. */
  readonly members: number
  readonly orphaned: boolean
}

export interface OverridesSettings {
  /** undefined: they don't outlive the process, unless in the Store. */
  readonly file: string | undefined
  /** Puts entries up for all nodes. */
  readonly put: (entries: readonly Override[]) => Promise<void>
  /** What is in force has changed for these patterns. */
  readonly onChange: (patterns: readonly string[]) => void
  readonly onTrouble: (kind: 'read' | 'save', trouble: string | undefined) => void
}

const FILE: FileKind = { what: 'overrides', format: 'meridian overrides 1' }
const PUT_AGAIN_MS = 2000
/** The wall clock may be set meanwhile: how long at most until that is noticed. */
const LOOK_MS = 60_000

export class Overrides {
  readonly #settings: OverridesSettings
  readonly #saver: Saver | undefined
  /** Not yet taken by the Store. */
  readonly #unput = new Map<string, Override>()
  #all: OverrideSet = new Map()
  /** Of all that were ever seen; those forgotten count too. */
  #highest = 0
  /** Set here while neither a file nor the Store has told what there is, so with versions that may be far too low. */
  #blind: Map<string, Override> | undefined = new Map()
  #inForce: ReadonlySet<Override> = new Set()
  #timer: NodeJS.Timeout | undefined
  #putTimer: NodeJS.Timeout | undefined
  #stopped = false

  constructor(settings: OverridesSettings) {
    this.#settings = settings
    const { file, onTrouble } = settings
    if (file === undefined) return
    const collect = () => ({ highest: this.#highest, entries: [...this.#all.values()] })
    this.#saver = new Saver({ file, kind: FILE, collect, onTrouble: (trouble) => onTrouble('save', trouble) })
  }

  /** Takes in what the file has. */
  read(): void {
    const { file, onTrouble } = this.#settings
    if (file === undefined) return
    const { state, trouble } = readState(file, FILE)
    const { highest, entries } = state ?? { highest: 0, entries: [] }
    if (isTime(highest) && Array.isArray(entries) && entries.every(isOverride)) {
      onTrouble('read', trouble)
      if (state !== undefined) this.#blind = undefined
      this.#highest = Math.max(this.#highest, highest)
      this.#adopt(entries)
    } else onTrouble('read', damaged(file, FILE.what))
  }

  get all(): OverrideSet {
    return this.#all
  }

  /** The one that decides for a member now. */
  of(member: Named): Override | undefined {
    return effective(this.#all, member, Date.now())
  }

  /** What the Store has; `whole`: it has no others. */
  hear(entries: readonly Override[], whole: boolean): void {
    this.#adopt(entries)
    if (!whole) return
    const theirs = new Map(entries.map((entry) => [entry.pattern, entry]))
    this.#renumber(theirs)
    const missing = [...this.#all.values()].filter((entry) => {
      const stands = theirs.get(entry.pattern)
      return stands === undefined || standsOver(entry, stands)
    })
    this.#put(missing)
  }

  /** Sets one here and now, and sends it on its way to the file and to the other nodes. */
  set({ pattern, action, forMs, who, why }: OverrideRequest, node: string): Override {
    const madeMs = Date.now()
    const untilMs = action === 'undone' || forMs === undefined ? null : madeMs + forMs
    const entry = { pattern, action, version: this.#highest + 1, node, who, why, madeMs, untilMs }
    this.#blind?.set(pattern, entry)
    this.#adopt([entry])
    this.#put([entry])
    return entry
  }

  /** Those in force. */
  status(members: readonly Named[]): OverrideStatus[] {
    return [...this.#all.values()]
      .filter((entry) => isInForce(entry, Date.now()))
      .map((override) => {
        const matched = members.filter((member) => matches(override.pattern, member)).length
        return { override, members: matched, orphaned: matched === 0 }
      })
  }

  async stop(): Promise<void> {
    this.#stopped = true
    clearTimeout(this.#timer)
    clearTimeout(this.#putTimer)
    // not once more: a successor that takes over from this process may have newer ones in the file
    await this.#saver?.close()
  }

  /** What an operator did here is news over what the Store kept from before, whatever this node had forgotten. */
  #renumber(theirs: OverrideSet): void {
    const blind = this.#blind ?? []
    this.#blind = undefined
    for (const [pattern, entry] of blind) {
      const lost = (theirs.get(pattern)?.version ?? 0) >= entry.version
      if (lost && isInForce(entry, Date.now())) this.#adopt([{ ...entry, version: this.#highest + 1 }])
    }
  }

  #adopt(entries: readonly Override[]): void {
    const wallMs = Date.now()
    for (const { version } of entries) this.#highest = Math.max(this.#highest, version)
    // one that is spent is not kept, but it still ends what it stands over
    const merged = [...mergeOverrides(this.#all, entries)].filter(([, entry]) => !isSpent(entry, wallMs))
    const changed =
      merged.length !== this.#all.size || merged.some(([pattern, entry]) => this.#all.get(pattern) !== entry)
    this.#all = new Map(merged)
    if (changed) void this.#saver?.save()
    this.#look()
  }

  /** What has begun or ended since the last look, by an entry or by the clock. */
  #look(): void {
    clearTimeout(this.#timer)
    const wallMs = Date.now()
    if ([...this.#all.values()].some((entry) => isSpent(entry, wallMs))) {
      this.#all = new Map([...this.#all].filter(([, entry]) => !isSpent(entry, wallMs)))
      this.#saver?.touch()
    }
    const inForce = new Set([...this.#all.values()].filter((entry) => isInForce(entry, wallMs)))
    const before = this.#inForce
    const begun = [...inForce].filter((entry) => !before.has(entry))
    const ended = [...before].filter((entry) => !inForce.has(entry))
    const changed = [...begun, ...ended].map(({ pattern }) => pattern)
    this.#inForce = inForce
    const nextMs = Math.min(LOOK_MS, ...Array.from(inForce, ({ untilMs }) => (untilMs ?? Infinity) - wallMs))
    if (!this.#stopped && this.#all.size > 0) this.#timer = setTimeout(() => this.#look(), nextMs).unref()
    if (changed.length > 0) this.#settings.onChange([...new Set(changed)])
  }

  /** Until the Store has taken them; of each pattern the newest. */
  #put(entries: readonly Override[]): void {
    for (const entry of entries) this.#unput.set(entry.pattern, entry)
    const posted = [...this.#unput.values()]
    if (posted.length === 0 || this.#stopped) return
    this.#settings.put(posted).then(
      () => {
        for (const entry of posted) if (this.#unput.get(entry.pattern) === entry) this.#unput.delete(entry.pattern)
      },
      () => {
        clearTimeout(this.#putTimer)
        if (!this.#stopped) this.#putTimer = setTimeout(() => this.#put([]), PUT_AGAIN_MS).unref()
      },
    )
  }
}
