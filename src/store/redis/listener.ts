/**
 * One who listens: from reads to an Audience, in order for each prober. What is believed is read from hashes, which Redis's
 * users guard: a prober writes its own, nodes the rest. A hint on a channel only says that there is something to read, so
 * whoever forges one brings about a read, of which each prober has so many a turn; nothing that is true waits for a hint,
 * for all that is there is looked at every POLL_TURNS.
 *
 *   hint, or time ─▶ since (boot id, n) ─ nothing new ─▶ the heartbeat
 *                                       ─ lines of its log ─▶ told as changes
 *                                       ─ gap, new boot, was silent ─▶ its hash is read ─▶ told whole
 *
 * It keeps no votes, only how far it has heard each poster: (boot id, n, sequence), and when, by turns of its Store's clock.
 * Silence is measured here alone: no clock of Redis or of any other host counts, and what isn't new in (boot id, n,
 * sequence) is silence too, however often it is read.
 */
import { isName } from '../../config.ts'
import type { Refusals } from '../../health/refusals.ts'
import {
  type StoreSubscriber,
  MOST_NODES,
  MOST_PROBERS,
  type NodeIdentity,
  type ProberIdentity,
} from '../../health/store.ts'
import { fieldOf, type Fields, pairs } from './fields.ts'
import { HEAD_FIELDS, type Kind, REV_FIELD } from './keys.ts'
import type { Reader, Since } from './reader.ts'
import { type Signer, Sum } from './signer.ts'
import {
  type Head,
  headParts,
  type Intern,
  readChange,
  readForgotten,
  readHead,
  readNodeBeat,
  readOverrides,
  readProberBeat,
  readVotes,
} from './text.ts'

/** How far a poster was heard. */
interface Progress<Identity> {
  readonly identity: Identity
  /** Boots before this one: what is still heard of them comes too late. */
  readonly ended: readonly string[]
  n: number
  sequence: number
  /** Turn of the clock at which it last said something new. */
  turn: number
  live: boolean
}

/** How a prober's hash is looked at. */
interface Watch {
  reading: boolean
  /** A hint came meanwhile. */
  again: boolean
  /** In this turn. */
  reads: number
  /** Fields that were taken in in this turn. */
  fields: number
  /** The first turn in which more than its heartbeat may be taken in again. */
  restTurn: number
  /** The first turn in which another boot may be heard. */
  bootTurn: number
  readTurn: number
}

/** In which everyone is looked at, whatever hints there are: a third of a lease holds four. */
const POLL_TURNS = 3
/** Looks at one prober; more hints than that in a turn are one look in the next. */
const READS_A_TURN = 25
/** Looks at names that nobody knows. */
const STRANGERS_A_TURN = 32
/** Of one prober, on average: whoever says more than that is heard again later. */
const FIELDS_A_TURN = 5000
/** A whole read counts as so many fields at least, and as one for so many characters. */
const WHOLE_FIELDS = 500
const FIELD_CHARACTERS = 128
/** A hash of which too much came for it to be taken in counts as so many fields: it is read again after half a minute. */
const GAPS_FIELDS = 600_000
/** From so many fields on, nodes spread their reads of a board over this time. */
const LARGE_FIELDS = 200
const SPREAD_MS = 150
/** Of one prober: far more votes than one can keep up (probe.rate). */
const MOST_FIELDS = 100_000
const ENDED_BOOTS = 8
/** A poster that was silent for so many leases is no longer remembered: an hour of the real lease. */
const FORGOTTEN_LEASES = 1200
/** Who is heard is written into the index again: a minute. */
const ADMIT_LEASES = 20

export interface ListenerSettings {
  readonly subscriber: StoreSubscriber
  readonly reader: Reader
  /** Shared by all who listen in one Store. */
  readonly intern: Intern
  readonly refusals: Refusals
  readonly signer: Signer
  /** The Store's clock. */
  readonly turn: () => number
  /** Turns in a lease. */
  readonly leaseTurns: number
  /** Writes probers that are heard into the index; undefined: nobody here may. */
  readonly admit: ((names: readonly string[]) => void) | undefined
}

/** The head of a whole hash; undefined: it can't be read, or its owner has not signed it, with all that it has. */
export function signedHead(kind: Kind, name: string, fields: Fields, signer: Signer): Head | undefined {
  const head = readHead(
    kind,
    name,
    HEAD_FIELDS.map((field) => fieldOf(fields, field)),
  )
  if (head === undefined || !signer.verify(head.mac, 'head', headParts(head))) return undefined
  return signer.signs && head.sum !== Sum.of(pairs(fields).flat()) ? undefined : head
}

export class Listener {
  readonly #settings: ListenerSettings
  readonly #probers = new Map<string, Progress<ProberIdentity>>()
  readonly #nodes = new Map<string, Progress<NodeIdentity>>()
  readonly #watches = new Map<string, Watch>()
  /** Probers to be looked at in the next turn. */
  readonly #due = new Set<string>()
  readonly #reads = new Set<Promise<void>>()
  #strangers = 0
  /** Probers in it when it was read last. */
  #index: ReadonlySet<string> = new Set()
  #admitTurn = 0
  #begun = false
  #polling = false
  #rev = ''
  /** Overrides that were told, as they were read. */
  #knownOverrides: ReadonlyMap<string, string> | undefined
  #overridesTurn = -1
  #overridesDue = false
  #readingOverrides = false
  /** Names and boot ids that were told. */
  readonly #forgotten = new Map<string, string>()
  #forgottenDue = false
  #closed = false

  constructor(settings: ListenerSettings) {
    this.#settings = settings
    this.synced = new Promise((resolve) => (this.#isSynced = resolve))
  }

  close(): void {
    this.#closed = true
  }

  /** Of the first sync(). */
  readonly synced: Promise<true>
  #isSynced: ((done: true) => void) | undefined
  /** Reads that are done: whoever waits sees that it goes on. */
  done = 0

  /** The boot id under which a prober was heard last; empty: it was not. */
  bootOf(prober: string): string {
    return this.#probers.get(prober)?.identity.bootId ?? ''
  }

  /** Whoever is there now, as after each connecting: hints may have been missed. */
  async sync(): Promise<void> {
    const { subscriber, reader } = this.#settings
    this.#begun = true
    this.#knownOverrides = undefined
    this.#readOverrides()
    this.#readForgotten()
    const seen = await reader.seen('prober')
    for (const name of new Set([...seen.keys(), ...this.#probers.keys()])) this.#readProber(name, this.#watch(name))
    if (subscriber.node !== undefined) for (const name of await reader.names('node')) this.#readNode(name)
    await Promise.all(this.#reads)
    for (const [name, ageMs] of seen)
      if (isName(name) && !this.#probers.has(name) && !this.#closed)
        this.#contain(() => subscriber.absent?.(name, ageMs))
    this.#isSynced?.(true)
  }

  /** On its channel: a prober has said something, a changed vote or only that it lives. */
  hint(name: string, changed: boolean): void {
    if (this.#closed || !this.#begun || !isName(name)) return
    const watch = this.#watches.get(name) ?? this.#stranger(name)
    if (watch === undefined) return
    if (changed && this.#mayRead(watch)) this.#readProber(name, watch)
    else this.#due.add(name)
  }

  /** On the channel of nodes: overrides have changed. */
  hintOverrides(): void {
    if (this.#overridesTurn === this.#settings.turn()) this.#overridesDue = true
    else if (this.#begun) this.#readOverrides()
  }

  /** On the channel of nodes: a prober is forgotten. */
  hintForgotten(): void {
    this.#forgottenDue = true
  }

  /** As if nothing had been heard of it but that it lives: what it says next is no news that follows, and all of it is read. */
  repeat(prober: string): void {
    const progress = this.#probers.get(prober)
    if (progress !== undefined) progress.n = -1
  }

  /** Once a turn. */
  tick(): void {
    this.#contain(() => this.#expire())
    if (!this.#begun || this.#closed) return
    this.#strangers = 0
    for (const [name, watch] of this.#watches) {
      watch.reads = watch.fields = 0
      const isUsed = watch.reading || this.#due.has(name) || watch.restTurn > this.#settings.turn()
      if (!isUsed && !this.#probers.has(name)) this.#watches.delete(name)
    }
    const due = [...this.#due]
    this.#due.clear()
    for (const name of due) this.#readProber(name, this.#watch(name))
    if (this.#overridesDue) this.#readOverrides()
    if (this.#forgottenDue) this.#readForgotten()
    if (this.#settings.turn() % POLL_TURNS === 0) this.#poll()
  }

  /** Who has been silent for a lease is gone. */
  #expire(): void {
    const { subscriber, turn, leaseTurns } = this.#settings
    const expire = <Identity>(owners: Map<string, Progress<Identity>>, tell: (identity: Identity) => void) => {
      for (const [name, progress] of owners) {
        const silent = turn() - progress.turn
        if (silent > FORGOTTEN_LEASES * leaseTurns) owners.delete(name)
        if (!progress.live || silent <= leaseTurns) continue
        progress.live = false
        tell(progress.identity)
      }
    }
    expire(this.#probers, (identity) => subscriber.gone(identity))
    expire(this.#nodes, (identity) => subscriber.nodeGone?.(identity))
  }

  /** A fault of our own ends what it happened in, and nothing else. */
  #contain(act: () => void): void {
    try {
      act()
    } catch (error) {
      this.#fault(error)
    }
  }

  #fault(error: unknown): void {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
    this.#settings.refusals.count('fault', '', text)
  }

  /** A read whose outcome is awaited by whoever syncs. */
  #read(read: () => Promise<void>): void {
    const counted: Promise<void> = read()
      .catch((error: unknown) => this.#fault(error))
      .finally(() => {
        this.#reads.delete(counted)
        this.done++
      })
    this.#reads.add(counted)
  }

  /** What no hint was needed for: everyone in the index, or heard, and what nodes say. */
  #poll(): void {
    if (this.#polling) return
    this.#polling = true
    this.#read(async () => {
      try {
        await this.#pollOnce()
      } finally {
        this.#polling = false
      }
    })
  }

  async #pollOnce(): Promise<void> {
    const { subscriber, reader, turn, leaseTurns } = this.#settings
    const [probers, nodes, rev] = await Promise.all([
      reader.names('prober'),
      subscriber.node === undefined ? [] : reader.names('node'),
      subscriber.overrides === undefined ? this.#rev : reader.rev(),
    ])
    if (this.#closed) return
    if (rev !== this.#rev) this.hintOverrides()
    this.#readForgotten()
    for (const name of new Set([...probers, ...this.#probers.keys()])) {
      const watch = this.#watch(name)
      if (turn() - watch.readTurn >= POLL_TURNS - 1) this.#readProber(name, watch)
    }
    for (const name of nodes) this.#readNode(name)
    const all = turn() >= this.#admitTurn
    if (all) this.#admitTurn = turn() + ADMIT_LEASES * leaseTurns
    this.#index = new Set(probers)
    this.#admit(all ? new Set() : this.#index)
  }

  /** Who is heard and not in the index, and now and then everyone who is heard. */
  #admit(index: ReadonlySet<string>): void {
    const { admit } = this.#settings
    const missing = [...this.#probers].filter(([name, { live }]) => live && !index.has(name)).map(([name]) => name)
    if (missing.length > 0) admit?.(missing)
  }

  #watch(name: string): Watch {
    let watch = this.#watches.get(name)
    if (watch === undefined) {
      watch = { reading: false, again: false, reads: 0, fields: 0, restTurn: 0, bootTurn: 0, readTurn: -POLL_TURNS }
      this.#watches.set(name, watch)
    }
    return watch
  }

  /** Of a name that nobody knows: so many a turn, for anybody may have made it up. */
  #stranger(name: string): Watch | undefined {
    return this.#strangers++ < STRANGERS_A_TURN ? this.#watch(name) : undefined
  }

  #mayRead(watch: Watch): boolean {
    return watch.reads < READS_A_TURN && this.#settings.turn() >= watch.restTurn
  }

  /** Reads what a prober says beyond what was heard. */
  #readProber(name: string, watch: Watch): void {
    watch.again = watch.reading
    if (watch.reading) return
    const { reader, turn } = this.#settings
    const progress = this.#probers.get(name)
    watch.reading = true
    watch.reads++
    watch.readTurn = turn()
    this.#read(async () => {
      try {
        const since = await reader.since(
          'prober',
          name,
          progress?.identity.bootId ?? '',
          progress ? String(progress.n) : '',
        )
        if (!this.#closed) await this.#apply(name, watch, since)
      } finally {
        watch.reading = false
      }
      if (!watch.again || this.#closed) return
      watch.again = false
      if (this.#mayRead(watch)) this.#readProber(name, watch)
      else this.#due.add(name)
    })
  }

  async #apply(name: string, watch: Watch, since: Since): Promise<void> {
    if (since.state === 'absent') return
    if (since.state === 'refused') return this.#settings.refusals.count('oversized', `prober ${name}`, since.why)
    const head = this.#head('prober', name, since.head)
    if (head === undefined) return
    const progress = this.#probers.get(name)
    if (progress === undefined && !hasRoom(this.#probers, MOST_PROBERS)) {
      return this.#settings.refusals.count('prober', `prober ${name}`)
    }
    const isBoot = progress !== undefined && progress.identity.bootId !== head.boot
    const goesOn = progress?.live === true && !isBoot
    const restTurn = isBoot ? Math.max(watch.bootTurn, watch.restTurn) : watch.restTurn
    const rests = since.state !== 'same' && this.#settings.turn() < restTurn
    if (rests) this.#due.add(name)
    if (goesOn && (rests || since.state === 'same')) this.#beat(progress, head.beat)
    else if (rests) return
    else if (goesOn && since.state === 'some' && this.#applyChanges(progress, head, since.lines, watch)) {
      this.#beat(progress, head.beat)
    } else if (this.#isNews(progress, head)) await this.#readWhole(name, watch, since.size)
  }

  /** Whatever is taken in of a prober counts, so that none keeps this process from hearing the others. */
  #spend(watch: Watch, fields: number): void {
    watch.fields += fields
    if (watch.fields >= FIELDS_A_TURN) watch.restTurn = this.#settings.turn() + Math.ceil(watch.fields / FIELDS_A_TURN)
  }

  /** What a hash says of itself; undefined, and counted: nothing that can be read, or that its owner has not signed. */
  #head(kind: Kind, name: string, values: readonly (string | undefined)[]): Head | undefined {
    const { refusals, signer } = this.#settings
    const head = readHead(kind, name, values)
    if (head === undefined) refusals.count('head', `${kind} ${name}`)
    else if (signer.verify(head.mac, 'head', headParts(head))) return head
    else refusals.count('signature', `${kind} ${name}`)
    return undefined
  }

  #isNews(progress: Progress<ProberIdentity> | undefined, { boot, n, beat }: Head): boolean {
    if (progress === undefined) return true
    if (progress.identity.bootId !== boot) return !(progress.live && progress.ended.includes(boot))
    if (n !== progress.n) return n > progress.n
    return !progress.live && (readProberBeat(progress.identity, beat)?.sequence ?? -1) > progress.sequence
  }

  /** Changes since those that were heard; false: they don't lead there, and nothing is told. */
  #applyChanges(progress: Progress<ProberIdentity>, head: Head, lines: readonly string[], watch: Watch): boolean {
    const { subscriber, intern, refusals, signer } = this.#settings
    const { name, boot } = head
    const fields = new Map<string, string>()
    let { n } = progress
    for (const line of lines) {
      const change = readChange(line)
      if (change?.n !== n + 1) {
        refusals.count('change', `prober ${name}`)
        return false
      }
      if (!signer.verify(change.mac, 'change', [name, boot, change.n, change.fields])) {
        refusals.count('signature', `prober ${name}`)
        return false
      }
      n = change.n
      for (let i = 0; i < change.fields.length; i += 2) fields.set(change.fields[i]!, change.fields[i + 1]!)
    }
    if (n !== head.n) return false
    this.#spend(watch, fields.size)
    progress.n = n
    const { votes, retired } = readVotes([...fields].flat(), name, intern, refusals)
    if (votes.length > 0) subscriber.votes(progress.identity, votes, false)
    if (retired.length > 0) subscriber.retired(progress.identity, retired)
    return true
  }

  async #readWhole(name: string, watch: Watch, size: number): Promise<void> {
    const { reader, refusals, signer, turn, leaseTurns } = this.#settings
    if (size > MOST_FIELDS) return refusals.count('oversized', `prober ${name}`, `${size} fields`)
    const fields = await reader.hash('prober', name, size > LARGE_FIELDS ? SPREAD_MS : 0)
    const characters = fields.reduce((sum, { length }) => sum + length, 0)
    this.#spend(watch, Math.max(WHOLE_FIELDS, fields.length / 2, characters / FIELD_CHARACTERS))
    if (this.#closed) return
    if (hasGaps(fields)) {
      this.#spend(watch, GAPS_FIELDS)
      return refusals.count('oversized', `prober ${name}`, 'values that are too long')
    }
    if (fields.length === 0) return // it is gone: who still lives will find that out, and write it whole
    const found = fields.length / 2 // it may have grown since
    if (found > MOST_FIELDS) return refusals.count('oversized', `prober ${name}`, `${found} fields`)
    const head = signedHead('prober', name, fields, signer)
    if (head === undefined) return refusals.count('signature', `prober ${name}`)
    const progress = this.#probers.get(name)
    if (progress !== undefined && progress.identity.bootId !== head.boot) {
      if (turn() < watch.bootTurn) return void this.#due.add(name)
      watch.bootTurn = turn() + leaseTurns // each boot may come with another region, which may move every quorum
    }
    if (this.#isNews(progress, head)) this.#applyWhole(head, fields)
    else if (progress?.live === true && progress.identity.bootId === head.boot) this.#beat(progress, head.beat)
  }

  #applyWhole({ name, boot, region, n, beat }: Head, fields: Fields): void {
    const { subscriber, intern, refusals, turn } = this.#settings
    const before = this.#probers.get(name)
    const same = before?.identity.bootId === boot
    const ended =
      before === undefined || !before.live ? [] : same ? before.ended : [before.identity.bootId, ...before.ended]
    const progress: Progress<ProberIdentity> = {
      identity: { name, region, bootId: boot },
      ended: ended.slice(0, ENDED_BOOTS),
      n,
      sequence: same ? before.sequence : -1,
      turn: turn(),
      live: true,
    }
    this.#probers.set(name, progress)
    if (!this.#index.has(name)) this.#settings.admit?.([name])
    subscriber.votes(progress.identity, readVotes(fields, name, intern, refusals).votes, true)
    this.#beat(progress, beat)
  }

  #beat(progress: Progress<ProberIdentity>, text: string): void {
    if (text === '') return
    const beat = readProberBeat(progress.identity, text)
    if (beat === undefined) return this.#settings.refusals.count('heartbeat', `prober ${progress.identity.name}`)
    if (beat.sequence <= progress.sequence) return
    progress.sequence = beat.sequence
    progress.turn = this.#settings.turn()
    this.#settings.subscriber.heartbeat(beat)
  }

  #readNode(name: string): void {
    const { reader, refusals } = this.#settings
    this.#read(async () => {
      const since = await reader.since('node', name, '', '')
      if (since.state === 'absent' || this.#closed) return
      if (since.state === 'refused') {
        refusals.count('oversized', `node ${name}`, since.why)
        return
      }
      const head = this.#head('node', name, since.head)
      if (head !== undefined && head.beat !== '') this.#applyNode(head)
    })
  }

  #applyNode({ name, boot, beat: text }: Head): void {
    const { subscriber, refusals, turn } = this.#settings
    const progress = this.#nodes.get(name)
    if (progress?.live === true && progress.ended.includes(boot)) return
    const identity: NodeIdentity = { name, bootId: boot }
    const beat = readNodeBeat(identity, text)
    if (beat === undefined) return refusals.count('heartbeat', `node ${name}`)
    if (progress === undefined && !hasRoom(this.#nodes, MOST_NODES)) return refusals.count('node', `node ${name}`)
    if (progress?.identity.bootId === boot) {
      if (beat.sequence <= progress.sequence) return
      Object.assign(progress, { sequence: beat.sequence, turn: turn(), live: true })
    } else {
      const ended = progress?.live === true ? [progress.identity.bootId, ...progress.ended].slice(0, ENDED_BOOTS) : []
      this.#nodes.set(name, { identity, ended, n: 0, sequence: beat.sequence, turn: turn(), live: true })
    }
    subscriber.node?.(beat)
  }

  #readOverrides(): void {
    const { subscriber, reader, turn } = this.#settings
    if (subscriber.overrides === undefined) return
    this.#overridesDue = this.#readingOverrides
    if (this.#readingOverrides) return
    this.#readingOverrides = true
    this.#overridesTurn = turn()
    this.#read(async () => {
      const fields = await reader.overrides()
      this.#readingOverrides = false
      if (this.#closed) return
      this.#rev = fieldOf(fields, REV_FIELD) ?? ''
      this.#applyOverrides(fields)
    })
  }

  /** What is new since it was told; all, where something is there no more. */
  #applyOverrides(fields: Fields): void {
    const { subscriber, refusals, signer } = this.#settings
    const before = this.#knownOverrides
    const now = new Map(pairs(fields))
    this.#knownOverrides = now
    const isWhole = before === undefined || [...before.keys()].some((pattern) => !now.has(pattern))
    const news = isWhole ? fields : [...now].filter(([pattern, text]) => before.get(pattern) !== text).flat()
    const entries = readOverrides(news, refusals, signer)
    if (isWhole || entries.length > 0) subscriber.overrides?.(entries, isWhole)
  }

  #readForgotten(): void {
    const { subscriber, reader, refusals, signer } = this.#settings
    this.#forgottenDue = false
    if (subscriber.forgotten === undefined) return
    this.#read(async () => {
      const fields = await reader.forgotten()
      if (this.#closed) return
      const forgotten = readForgotten(fields, refusals, signer)
      for (const name of this.#forgotten.keys()) if (!forgotten.has(name)) this.#forgotten.delete(name)
      for (const [name, boot] of forgotten) this.#forget(name, boot)
    })
  }

  /** In the life in which it was forgotten; whoever has come back since then is there again. */
  #forget(name: string, boot: string): void {
    const progress = this.#probers.get(name)
    const isAnother = progress !== undefined && boot !== '' && progress.identity.bootId !== boot
    if (progress?.live === true || isAnother || this.#forgotten.get(name) === boot) return
    this.#forgotten.set(name, boot)
    this.#probers.delete(name)
    this.#settings.subscriber.forgotten?.(name)
  }
}

/** Whether limit.ts has left values out: nobody writes an empty one, but for some of the head. */
function hasGaps(fields: Fields): boolean {
  for (let i = 0; i + 1 < fields.length; i += 2) if (fields[i + 1] === '' && !MAY_BE_EMPTY.has(fields[i]!)) return true
  return false
}

const MAY_BE_EMPTY: ReadonlySet<string> = new Set([...HEAD_FIELDS, '@log', '@ended'])

/** For a newcomer, perhaps in the place of the one that is silent for longest; false: everyone is heard. */
function hasRoom<Identity>(owners: Map<string, Progress<Identity>>, most: number): boolean {
  if (owners.size < most) return true
  let silent: [string, Progress<Identity>] | undefined
  for (const entry of owners)
    if (!entry[1].live && (silent === undefined || entry[1].turn < silent[1].turn)) silent = entry
  return silent !== undefined && owners.delete(silent[0])
}
