/**
 * The overrides that a node holds, kept in memory, in a local file and in the Store; any of the three may outlive the
 * others. A node that was away, or whose Store lost everything, publishes what it has; absence from the Store undoes
 * nothing.
 *
 *   operator ─── set() ───▶ ┌─────┐ ─▶ file
 *   Store ─── receive() ──▶ │ set │ ─▶ send (to the Store)
 *   time ─────────────────▶ └─────┘ ─▶ onChange(patterns)
 *
 * The age of an override is measured from when this process was first told of it, by its monotonic clock. One that the
 * file had is measured by this host's clock until the Store tells its age: the clock may have been set meanwhile.
 */
import { hash } from 'node:crypto'
import { messageOf } from '../problem.ts'
import { damaged, type FileKind, isTime, readState, Saver } from '../state.ts'
import {
  whyImplausible,
  DRILL_WHY,
  effectiveOverride,
  EVERYTHING,
  failoverPattern,
  fromRecord,
  isControlPattern,
  isInForce,
  isOverlong,
  isOverrideRecord,
  isPurgeable,
  isSame,
  isVersion,
  matches,
  mergeOverrides,
  type MemberKey,
  nextChangeMs,
  type Override,
  type OverrideRecord,
  type OverrideRequest,
  type OverrideSet,
  type OverrideView,
  recordOf,
  shareAt,
  shareOn,
  supersedes,
  viewOf,
} from './override.ts'
import { type Freeze, freezeOf } from './freeze.ts'
import { within } from './within.ts'

/** An entry that the automation makes itself, by what it sees. */
export type Recorded = Pick<Override, 'pattern' | 'action' | 'why'>

/** Who the automation is, in entries that it makes. */
const AUTOMATION = 'meridian'

/** An override in force, for status. */
export interface OverrideStatus {
  readonly override: OverrideView
  /** Number of members that it matches now; 0: a change of the zones has orphaned it. */
  readonly members: number
  readonly orphaned: boolean
  /** It lasts for longer than overrides.maxFor allows here. */
  readonly overlong: boolean
}

/** What Overrides needs of its node. */
export interface OverridesSettings {
  /** State file; undefined: overrides outlive the process in the Store only. */
  readonly file: string | undefined
  /** The longest that an override may last; undefined: for ever. */
  readonly maxForMs?: number
  /**
   * Publishes entries to all nodes. Resolves to the winning entry of each pattern; rejects when the Store did not
   * accept them.
   */
  readonly send: (entries: readonly Override[]) => Promise<readonly Override[]>
  /** Called with the patterns whose override began, took a step, or ended. */
  readonly onChange: (patterns: readonly string[]) => void
  readonly onTrouble: (kind: 'read' | 'save' | 'heard', trouble: string | undefined) => void
}

/** Where an override is stored, once that is known. */
export interface SaveResult {
  /** The winning override of each pattern. */
  readonly current: readonly Override[]
  /** Why a restart of this node would lose it; undefined: it is on disk, or no file is configured. */
  readonly disk: string | undefined
  /** Why other nodes do not receive it; undefined: the Store has it. */
  readonly store: string | undefined
}

const FILE: FileKind = { what: 'overrides', format: 'meridian overrides 1' }
const RESEND_MS = 2000
/** Longest time between reviews: a timer runs for 24 days at most, and what is purgeable has to go. */
const REVIEW_MS = 3_600_000
/**
 * A node that finds a newer override of its pattern raises its version above it; nodes that do so at once take turns.
 */
const TRIES = 3
/** A disk that has not answered for so long counts as failed, in ms. */
export const DISK_MS = 3000

/** The overrides of one node. */
export class Overrides {
  readonly #settings: OverridesSettings
  readonly #saver: Saver | undefined
  /** Not yet accepted by the Store. */
  readonly #unsent = new Map<string, Override>()
  #all: OverrideSet = new Map()
  /** Highest version ever seen, purged entries included. */
  #highest = 0
  /** Set here before file or Store were read; their versions may be far too low. */
  #provisional: Map<string, Override> | undefined = new Map()
  /** Received but not believed, by pattern; checked again when this node knows more. */
  #implausible: OverrideSet = new Map()
  /** Those whose age is only known from the file. */
  #restored: ReadonlySet<Override> = new Set()
  #inForce: ReadonlySet<Override> = new Set()
  /** What those that are shifts leave, as far as it was told. */
  #shares: ReadonlyMap<Override, number> = new Map()
  #freeze: Freeze | undefined
  #hash: string | undefined
  #controlsHash: string | undefined
  #timer: NodeJS.Timeout | undefined
  #sendTimer: NodeJS.Timeout | undefined
  #stopped = false

  constructor(settings: OverridesSettings) {
    this.#settings = settings
    const { file, onTrouble } = settings
    if (file === undefined) return
    const collect = () => ({ highest: this.#highest, entries: Array.from(this.#all.values(), savedEntry) })
    this.#saver = new Saver({ file, kind: FILE, collect, onTrouble: (trouble) => onTrouble('save', trouble) })
  }

  /** Reads the state file. */
  read(): void {
    const { file, onTrouble } = this.#settings
    if (file === undefined) return
    const { state, trouble } = readState(file, FILE)
    const { highest, entries } = state ?? { highest: 0, entries: [] }
    if (!Array.isArray(entries)) return onTrouble('read', damaged(file, FILE.what))
    const readable = entries.filter(isOverrideRecord).map(restoredEntry)
    const lost = entries.length - readable.length
    onTrouble(
      'read',
      lost === 0 ? trouble : `${lost} of ${entries.length} overrides in ${file} can't be read; see docs/redis.md`,
    )
    if (state !== undefined) this.#provisional = undefined
    if (isVersion(highest)) this.#highest = Math.max(this.#highest, highest)
    this.#restored = new Set([...this.#restored, ...readable])
    this.#adopt(readable)
  }

  get all(): OverrideSet {
    return this.#all
  }

  /** Hash of the overrides in force: nodes with equal ones have the same. */
  get hash(): string {
    return (this.#hash ??= hashOf(this.#inForce, false))
  }

  /** The same of failovers and the freeze, apart from the others: versions that do not know these acknowledge those. */
  get controlsHash(): string {
    return (this.#controlsHash ??= hashOf(this.#inForce, true))
  }

  /** A drill is in force, at whichever node. */
  get isDrilled(): boolean {
    return [...this.#inForce].some(({ action, why }) => action === 'drain' && why.startsWith(DRILL_WHY))
  }

  /** The freeze that is in force. */
  get freeze(): Freeze | undefined {
    return this.#freeze
  }

  /** The entry by which a service has failed over from a site, and awaits its return. */
  failoverOf(site: string, service: string): Override | undefined {
    const entry = this.#all.get(failoverPattern(site, service))
    return entry !== undefined && this.#inForce.has(entry) ? entry : undefined
  }

  /** The entry of a pattern, also of one that is over. */
  entryOf(pattern: string): Override | undefined {
    return this.#all.get(pattern)
  }

  /** All of these entries. */
  get failovers(): readonly Override[] {
    return [...this.#inForce].filter(({ action }) => action === 'failover')
  }

  /**
   * Takes in what the automation has seen, and publishes it. Unlike set() it gives way to what is newer: another node
   * has seen the same, or an operator knows better.
   */
  record(seen: readonly Recorded[], node: string): void {
    const version = this.#highest + 1
    const now = { version, node, who: AUTOMATION, madeMs: Date.now(), forMs: null, setMs: performance.now() }
    const entries = seen.map((one): Override => ({ ...one, ...now }))
    this.#adopt(entries)
    void this.#send(entries).catch(() => {})
  }

  /** The override that decides for a member now. */
  of(member: MemberKey): Override | undefined {
    return effectiveOverride(this.#all, member, performance.now())
  }

  /** Takes in entries of the Store; `whole`: it has no others. */
  receive(entries: readonly Override[], whole: boolean): void {
    if (whole) this.#implausible = new Map()
    this.#correctAges(entries)
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

  /**
   * Sets overrides at once, all with one version. `saved` resolves when file and Store have them, or with the reason why
   * not; it never rejects.
   */
  set(requests: readonly OverrideRequest[], node: string): { done: readonly Override[]; saved: Promise<SaveResult> } {
    const version = this.#highest + 1
    const madeMs = Date.now()
    const setMs = performance.now()
    const done = requests.map(({ pattern, action, shift, down, forMs, who, why }): Override => {
      const moving = shift && { shift: { from: shareOn(this.#all, pattern, setMs), ...shift } }
      const lasts = action === 'undone' ? null : (forMs ?? null)
      return { pattern, action, version, node, who, why, madeMs, forMs: lasts, setMs, ...moving, ...(down && { down }) }
    })
    for (const entry of done) this.#provisional?.set(entry.pattern, entry)
    this.#adopt(done)
    return { done, saved: this.#save(done) }
  }

  async #save(done: readonly Override[]): Promise<SaveResult> {
    let disk = this.#saved()
    let mine = done
    let store: string | undefined
    try {
      for (let tries = TRIES; ; tries--) {
        const winners = new Map((await this.#send(mine)).map((entry) => [entry.pattern, entry]))
        const newer = mine
          .map((entry) => winners.get(entry.pattern) ?? entry)
          .filter((winner, i) => supersedes(winner, mine[i]!))
        if (newer.length === 0) break
        this.#adopt(newer)
        if (tries === 0) {
          store = `another override stands there, of node ${newer[0]!.node}: nodes set the same pattern at the same time`
          break
        }
        const version = Math.max(this.#highest, ...newer.map((winner) => winner.version)) + 1
        mine = mine.map((entry) => ({ ...entry, version }))
        this.#adopt(mine)
        disk = this.#saved()
      }
    } catch (error) {
      store = messageOf(error)
    }
    return { current: mine.map((entry) => this.#all.get(entry.pattern) ?? entry), disk: await disk, store }
  }

  /** When all that is set by now is in the file: why not. */
  async #saved(): Promise<string | undefined> {
    if (this.#saver === undefined) return undefined
    return within(DISK_MS, this.#saver.save(), () => 'the disk did not answer so far')
  }

  /** Overrides in force. */
  status(members: readonly MemberKey[]): OverrideStatus[] {
    return [...this.#all.values()]
      .filter((entry) => isInForce(entry, performance.now()) && !isControlPattern(entry.pattern))
      .map((entry) => {
        const matched = members.filter((member) => matches(entry.pattern, member)).length
        const overlong = isOverlong(entry.forMs, this.#settings.maxForMs)
        return { override: viewOf(entry), members: matched, orphaned: matched === 0, overlong }
      })
  }

  async stop(): Promise<void> {
    this.#stopped = true
    clearTimeout(this.#timer)
    clearTimeout(this.#sendTimer)
    // not once more: a successor that takes over from this process may have newer ones in the file
    await this.#saver?.close()
  }

  /** Gives overrides that were set before file or Store were read a version above those found there. */
  #renumber(theirs: OverrideSet): void {
    const provisional = [...(this.#provisional?.values() ?? [])]
    this.#provisional = undefined
    const lost = provisional.filter(
      (entry) => (theirs.get(entry.pattern)?.version ?? 0) >= entry.version && isInForce(entry, performance.now()),
    )
    const version = this.#highest + 1
    if (lost.length > 0) this.#adopt(lost.map((entry) => ({ ...entry, version })))
  }

  /** Takes the Store's age of overrides that are known from the file. */
  #correctAges(entries: readonly Override[]): void {
    for (const entry of entries) {
      const known = this.#all.get(entry.pattern)
      if (known === undefined || !this.#restored.has(known) || !isSame(entry, known)) continue
      this.#all = new Map([...this.#all, [entry.pattern, entry]])
      this.#saver?.touch()
    }
    this.#restored = new Set([...this.#all.values()].filter((entry) => this.#restored.has(entry)))
  }

  #adopt(entries: readonly Override[]): void {
    const nowMs = performance.now()
    const plausible = this.#plausible(entries)
    // a purgeable entry is not kept, but it still ends what it supersedes
    const merged = [...mergeOverrides(this.#all, plausible)].filter(([, entry]) => !isPurgeable(entry, nowMs))
    const changed =
      merged.length !== this.#all.size || merged.some(([pattern, entry]) => this.#all.get(pattern) !== entry)
    this.#all = new Map(merged)
    if (changed) void this.#saver?.save()
    this.#review()
  }

  /** Entries that can be genuine, the lowest version first: each makes the next plausible. */
  #plausible(entries: readonly Override[]): Override[] {
    const implausible = new Map(this.#implausible)
    for (const entry of entries) implausible.set(entry.pattern, entry)
    const plausible: Override[] = []
    let doubt: string | undefined
    for (const entry of [...implausible.values()].toSorted((a, b) => a.version - b.version)) {
      const why = whyImplausible(entry, this.#highest)
      if (why === undefined) {
        plausible.push(entry)
        implausible.delete(entry.pattern)
        this.#highest = Math.max(this.#highest, entry.version)
      } else doubt = `the override on ${entry.pattern} that node ${entry.node} set is not believed: ${why}`
    }
    const before = this.#implausible
    this.#implausible = implausible
    if (doubt !== undefined || before.size > 0) this.#settings.onTrouble('heard', doubt)
    return plausible
  }

  /** Finds overrides that began, moved or ended since the last review, by an entry or by time. */
  #review(): void {
    clearTimeout(this.#timer)
    const nowMs = performance.now()
    if ([...this.#all.values()].some((entry) => isPurgeable(entry, nowMs))) {
      this.#all = new Map([...this.#all].filter(([, entry]) => !isPurgeable(entry, nowMs)))
      this.#saver?.touch()
    }
    const inForce = new Set([...this.#all.values()].filter((entry) => isInForce(entry, nowMs)))
    const before = this.#inForce
    const begun = [...inForce].filter((entry) => !before.has(entry))
    const ended = [...before].filter((entry) => !inForce.has(entry))
    const shifts = [...inForce].filter(({ shift }) => shift !== undefined)
    const shares = new Map(shifts.map((entry) => [entry, shareAt(entry, nowMs)]))
    const moved = shifts.filter((entry) => shares.get(entry) !== this.#shares.get(entry))
    const changed = [...begun, ...ended, ...moved].map(({ pattern }) => pattern)
    this.#inForce = inForce
    this.#shares = shares
    this.#hash = undefined
    this.#controlsHash = undefined
    const freeze = this.#all.get(EVERYTHING)
    if (freeze === undefined || !inForce.has(freeze)) this.#freeze = undefined
    else if (this.#freeze?.entry !== freeze) this.#freeze = freezeOf(freeze)
    const nextMs = Math.min(REVIEW_MS, ...Array.from(inForce, (entry) => Math.ceil(nextChangeMs(entry, nowMs) - nowMs)))
    if (!this.#stopped && this.#all.size > 0) this.#timer = setTimeout(() => this.#review(), nextMs).unref()
    if (changed.length > 0) this.#settings.onChange([...new Set(changed)])
  }

  /**
   * Sends entries until the Store has accepted them. Resolves to the winners; rejects when the Store did not accept
   * them.
   */
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

/** `controls`: of the entries that are no overrides, or else of those that are. */
function hashOf(inForce: Iterable<Override>, controls: boolean): string {
  const entries = [...inForce]
    .filter(({ pattern }) => isControlPattern(pattern) === controls)
    .map(({ pattern, action, version, node }) => `${pattern} ${action} ${version} ${node}\n`)
  return hash('sha256', entries.toSorted().join('')).slice(0, 16)
}

/** An entry in the file: with when it was set by the clock of this host. */
const savedEntry = (entry: Override) => ({ ...recordOf(entry), setMs: Date.now() - (performance.now() - entry.setMs) })

/** An entry of the file. A version before had no `setMs`, and took all clocks for the same. */
function restoredEntry(saved: OverrideRecord): Override {
  const setMs: unknown = Reflect.get(saved, 'setMs')
  return fromRecord(saved, Date.now() - (isTime(setMs) ? setMs : saved.madeMs))
}
