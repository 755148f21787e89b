/**
 * The overrides that a node holds: in memory, in a local file, and on the Store's board, which any of them may outlive. A
 * node that was away, or whose Store lost everything, puts up what it has; what is absent there undoes nothing.
 *
 *   operator ─ set() ─▶ ┌─────┐ ─▶ file
 *   Store ─── hear() ─▶ │ set │ ─▶ put (to the Store)
 *   wall clock ───────▶ └─────┘ ─▶ onChange(patterns)
 */
import { messageOf } from '../problem.ts'
import { damaged, type FileKind, readState, Saver } from '../state.ts'
import {
  whyImplausible,
  effectiveOverride,
  isInForce,
  isOverride,
  isPurgeable,
  isVersion,
  matches,
  mergeOverrides,
  type MemberKey,
  type Override,
  type OverrideRequest,
  type OverrideSet,
  supersedes,
} from './override.ts'
import { within } from './within.ts'

export interface OverrideStatus {
  readonly override: Override
  /** How many members it matches now; none: it is orphaned by a change of the zones. */
  readonly members: number
  readonly orphaned: boolean
}

export interface OverridesSettings {
  /** undefined: they don't outlive the process, unless in the Store. */
  readonly file: string | undefined
  /** Puts entries up for all nodes; resolves to what stands there for their patterns, rejects when they were not taken. */
  readonly send: (entries: readonly Override[]) => Promise<readonly Override[]>
  /** What is in force has changed for these patterns. */
  readonly onChange: (patterns: readonly string[]) => void
  readonly onTrouble: (kind: 'read' | 'save' | 'heard', trouble: string | undefined) => void
}

/** Where what an operator said is, once that is known. */
export interface SaveResult {
  /** What stands for the pattern now. */
  readonly current: Override
  /** Why a restart of this node would lose it; undefined: it is on disk, or there is none. */
  readonly disk: string | undefined
  /** Why other nodes do not hear it; undefined: it stands on the board. */
  readonly board: string | undefined
}

const FILE: FileKind = { what: 'overrides', format: 'meridian overrides 1' }
const RESEND_MS = 2000
/** The wall clock may be set meanwhile: how long at most until that is noticed. */
const REVIEW_MS = 60_000
/** Who finds another entry above its own takes it in and goes above it: nodes that do so at once take turns. */
const TRIES = 3
/** A disk that does not answer is told to be none. */
export const DISK_MS = 3000

export class Overrides {
  readonly #settings: OverridesSettings
  readonly #saver: Saver | undefined
  /** Not yet taken by the Store. */
  readonly #unsent = new Map<string, Override>()
  #all: OverrideSet = new Map()
  /** Of all that were ever seen; those forgotten count too. */
  #highest = 0
  /** Set here while neither a file nor the Store has told what there is, so with versions that may be far too low. */
  #provisional: Map<string, Override> | undefined = new Map()
  /** Heard and not believed, by pattern: they are looked at again when this node knows more, or has another time. */
  #implausible: OverrideSet = new Map()
  #inForce: ReadonlySet<Override> = new Set()
  #timer: NodeJS.Timeout | undefined
  #sendTimer: NodeJS.Timeout | undefined
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
    if (!Array.isArray(entries)) return onTrouble('read', damaged(file, FILE.what))
    const readable = entries.filter(isOverride)
    const lost = entries.length - readable.length
    onTrouble(
      'read',
      lost === 0 ? trouble : `${lost} of ${entries.length} overrides in ${file} can't be read; see docs/redis.md`,
    )
    if (state !== undefined) this.#provisional = undefined
    if (isVersion(highest)) this.#highest = Math.max(this.#highest, highest)
    this.#adopt(readable)
  }

  get all(): OverrideSet {
    return this.#all
  }

  /** The one that decides for a member now. */
  of(member: MemberKey): Override | undefined {
    return effectiveOverride(this.#all, member, Date.now())
  }

  /** What the Store has; `whole`: it has no others. */
  receive(entries: readonly Override[], whole: boolean): void {
    if (whole) this.#implausible = new Map()
    this.#adopt(entries)
    if (!whole) return
    const plausible = entries.filter((entry) => this.#implausible.get(entry.pattern) !== entry)
    const theirs = new Map(plausible.map((entry) => [entry.pattern, entry]))
    this.#renumber(theirs)
    const missing = [...this.#all.values()].filter((entry) => {
      const current = theirs.get(entry.pattern)
      return current === undefined || supersedes(entry, current)
    })
    void this.#send(missing).catch(() => {})
  }

  /** Sets one here and now; `kept` tells when it is in the file and on the board, or why not. It never rejects. */
  set(
    { pattern, action, forMs, who, why }: OverrideRequest,
    node: string,
  ): { done: Override; saved: Promise<SaveResult> } {
    const madeMs = Date.now()
    const untilMs = action === 'undone' || forMs === undefined ? null : madeMs + forMs
    const done = { pattern, action, version: this.#highest + 1, node, who, why, madeMs, untilMs }
    this.#provisional?.set(pattern, done)
    this.#adopt([done])
    return { done, saved: this.#save(done) }
  }

  async #save(done: Override): Promise<SaveResult> {
    let disk = this.#saved()
    let mine = done
    let board: string | undefined
    try {
      for (let tries = TRIES; ; tries--) {
        const { pattern } = mine
        const current = (await this.#send([mine])).find((entry) => entry.pattern === pattern)
        if (current === undefined || !supersedes(current, mine)) break
        this.#adopt([current])
        if (tries === 0) {
          board = `another override stands there, of node ${current.node}: nodes set the same pattern at the same time`
          break
        }
        mine = { ...mine, version: Math.max(this.#highest, current.version) + 1 }
        this.#adopt([mine])
        disk = this.#saved()
      }
    } catch (error) {
      board = messageOf(error)
    }
    return { current: this.#all.get(mine.pattern) ?? mine, disk: await disk, board }
  }

  /** When all that is set by now is in the file: why not. */
  async #saved(): Promise<string | undefined> {
    if (this.#saver === undefined) return undefined
    return within(DISK_MS, this.#saver.save(), () => 'the disk did not answer so far')
  }

  /** Those in force. */
  status(members: readonly MemberKey[]): OverrideStatus[] {
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
    clearTimeout(this.#sendTimer)
    // not once more: a successor that takes over from this process may have newer ones in the file
    await this.#saver?.close()
  }

  /** What an operator did here is news over what the Store kept from before, whatever this node had forgotten. */
  #renumber(theirs: OverrideSet): void {
    const provisional = this.#provisional ?? []
    this.#provisional = undefined
    for (const [pattern, entry] of provisional) {
      const lost = (theirs.get(pattern)?.version ?? 0) >= entry.version
      if (lost && isInForce(entry, Date.now())) this.#adopt([{ ...entry, version: this.#highest + 1 }])
    }
  }

  #adopt(entries: readonly Override[]): void {
    const wallMs = Date.now()
    const plausible = this.#plausible(entries, wallMs)
    // one that is spent is not kept, but it still ends what it stands over
    const merged = [...mergeOverrides(this.#all, plausible)].filter(([, entry]) => !isPurgeable(entry, wallMs))
    const changed =
      merged.length !== this.#all.size || merged.some(([pattern, entry]) => this.#all.get(pattern) !== entry)
    this.#all = new Map(merged)
    if (changed) void this.#saver?.save()
    this.#review()
  }

  /** Those that may be true, the lowest version first: each one makes the next believable. */
  #plausible(entries: readonly Override[], wallMs: number): Override[] {
    const implausible = new Map(this.#implausible)
    for (const entry of entries) implausible.set(entry.pattern, entry)
    const plausible: Override[] = []
    let doubt: string | undefined
    for (const entry of [...implausible.values()].toSorted((a, b) => a.version - b.version)) {
      const why = whyImplausible(entry, this.#highest, wallMs)
      if (why === undefined) {
        plausible.push(entry)
        implausible.delete(entry.pattern)
        this.#highest = Math.max(this.#highest, entry.version)
      } else doubt = `the override on ${entry.pattern} that node ${entry.node} put up is not believed: ${why}`
    }
    const before = this.#implausible
    this.#implausible = implausible
    if (doubt !== undefined || before.size > 0) this.#settings.onTrouble('heard', doubt)
    return plausible
  }

  /** What has begun or ended since the last look, by an entry or by the clock. */
  #review(): void {
    clearTimeout(this.#timer)
    const wallMs = Date.now()
    if ([...this.#all.values()].some((entry) => isPurgeable(entry, wallMs))) {
      this.#all = new Map([...this.#all].filter(([, entry]) => !isPurgeable(entry, wallMs)))
      this.#saver?.touch()
    }
    const inForce = new Set([...this.#all.values()].filter((entry) => isInForce(entry, wallMs)))
    const before = this.#inForce
    const begun = [...inForce].filter((entry) => !before.has(entry))
    const ended = [...before].filter((entry) => !inForce.has(entry))
    const changed = [...begun, ...ended].map(({ pattern }) => pattern)
    this.#inForce = inForce
    const nextMs = Math.min(REVIEW_MS, ...Array.from(inForce, ({ untilMs }) => (untilMs ?? Infinity) - wallMs))
    const again = this.#implausible.size > 0 ? () => this.#adopt([]) : () => this.#review()
    if (!this.#stopped && this.#all.size + this.#implausible.size > 0) this.#timer = setTimeout(again, nextMs).unref()
    if (changed.length > 0) this.#settings.onChange([...new Set(changed)])
  }

  /** Until the Store has taken them; of each pattern the newest. What stands there; rejects when it did not take them. */
  async #send(entries: readonly Override[]): Promise<readonly Override[]> {
    for (const entry of entries) this.#unsent.set(entry.pattern, entry)
    const sent = [...this.#unsent.values()]
    if (sent.length === 0) return []
    if (this.#stopped) throw new Error('this node is stopping')
    try {
      const current = await this.#settings.send(sent)
      for (const entry of sent) if (this.#unsent.get(entry.pattern) === entry) this.#unsent.delete(entry.pattern)
      return current
    } catch (error) {
      clearTimeout(this.#sendTimer)
      if (!this.#stopped) this.#sendTimer = setTimeout(() => void this.#send([]).catch(() => {}), RESEND_MS).unref()
      throw error
    }
  }
}
