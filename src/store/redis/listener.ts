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
import { type Audience, MOST_NODES, MOST_PROBERS, type NodeIdentity, type ProberIdentity } from '../../health/store.ts'
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
interface Heard<Identity> {
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
  looking: boolean
  /** A hint came meanwhile. */
  again: boolean
  /** In this turn. */
  looks: number
  /** Fields that were taken in in this turn. */
  fields: number
  /** The first turn in which more than its heartbeat may be taken in again. */
  restTurn: number
  /** The first turn in which another boot may be heard. */
  bootTurn: number
  lookedTurn: number
}

/** In which everyone is looked at, whatever hints there are: a third of a lease holds four. */
const POLL_TURNS = 3
/** Looks at one prober; more hints than that in a turn are one look in the next. */
const LOOKS_A_TURN = 25
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
  readonly audience: Audience
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
  readonly #probers = new Map<string, Heard<ProberIdentity>>()
  readonly #nodes = new Map<string, Heard<NodeIdentity>>()
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
  #overridden: ReadonlyMap<string, string> | undefined
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
    const { audience, reader } = this.#settings
    this.#begun = true
    this.#overridden = undefined
    this.#readOverrides()
    this.#readForgotten()
    const seen = await reader.seen('prober')
    for (const name of new Set([...seen.keys(), ...this.#probers.keys()])) this.#look(name, this.#watch(name))
    if (audience.node !== undefined) for (const name of await reader.names('node')) this.#lookAtNode(name)
    await Promise.all(this.#reads)
    for (const [name, ageMs] of seen)
      if (isName(name) && !this.#probers.has(name) && !this.#closed) this.#contain(() => audience.absent?.(name, ageMs))
    this.#isSynced?.(true)
  }

  /** On its channel: a prober has said something, a changed vote or only that it lives. */
  hint(name: string, changed: boolean): void {
    if (this.#closed || !this.#begun || !isName(name)) return
    const watch = this.#watches.get(name) ?? this.#stranger(name)
    if (watch === undefined) return
    if (changed && this.#mayLook(watch)) this.#look(name, watch)
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
    const heard = this.#probers.get(prober)
    if (heard !== undefined) heard.n = -1
  }

  /** Once a turn. */
  look(): void {
    this.#contain(() => this.#fallSilent())
    if (!this.#begun || this.#closed) return
    this.#strangers = 0
    for (const [name, watch] of this.#watches) {
      watch.looks = watch.fields = 0
      const isUsed = watch.looking || this.#due.has(name) || watch.restTurn > this.#settings.turn()
      if (!isUsed && !this.#probers.has(name)) this.#watches.delete(name)
    }
    const due = [...this.#due]
    this.#due.clear()
    for (const name of due) this.#look(name, this.#watch(name))
    if (this.#overridesDue) this.#readOverrides()
    if (this.#forgottenDue) this.#readForgotten()
    if (this.#settings.turn() % POLL_TURNS === 0) this.#poll()
  }

  /** Who has been silent for a lease is gone. */
  #fallSilent(): void {
    const { audience, turn, leaseTurns } = this.#settings
    const fallSilent = <Identity>(posters: Map<string, Heard<Identity>>, tell: (identity: Identity) => void) => {
      for (const [name, heard] of posters) {
        const silent = turn() - heard.turn
        if (silent > FORGOTTEN_LEASES * leaseTurns) posters.delete(name)
        if (!heard.live || silent <= leaseTurns) continue
        heard.live = false
        tell(heard.identity)
      }
    }
    fallSilent(this.#probers, (identity) => audience.gone(identity))
    fallSilent(this.#nodes, (identity) => audience.nodeGone?.(identity))
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
    const { audience, reader, turn, leaseTurns } = this.#settings
    const [probers, nodes, rev] = await Promise.all([
      reader.names('prober'),
      audience.node === undefined ? [] : reader.names('node'),
      audience.overrides === undefined ? this.#rev : reader.rev(),
    ])
    if (this.#closed) return
    if (rev !== this.#rev) this.hintOverrides()
    this.#readForgotten()
    for (const name of new Set([...probers, ...this.#probers.keys()])) {
      const watch = this.#watch(name)
      if (turn() - watch.lookedTurn >= POLL_TURNS - 1) this.#look(name, watch)
    }
    for (const name of nodes) this.#lookAtNode(name)
    const all = turn() >= this.#admitTurn
    if (all) this.#admitTurn = turn() + ADMIT_LEASES * leaseTurns
    this.#index = new Set(probers)
    this.#admit(all ? new Set() : this.#index)
  }

  /** Who is heard and not in the index, and now and then everyone who is heard. */
  #admit(index: ReadonlySet<string>): void {
    const { admit } = this.#settings
    const heard = [...this.#probers].filter(([name, { live }]) => live && !index.has(name)).map(([name]) => name)
    if (heard.length > 0) admit?.(heard)
  }

  #watch(name: string): Watch {
    let watch = this.#watches.get(name)
    if (watch === undefined) {
      watch = { looking: false, again: false, looks: 0, fields: 0, restTurn: 0, bootTurn: 0, lookedTurn: -POLL_TURNS }
      this.#watches.set(name, watch)
    }
    return watch
  }

  /** Of a name that nobody knows: so many a turn, for anybody may have made it up. */
  #stranger(name: string): Watch | undefined {
    return this.#strangers++ < STRANGERS_A_TURN ? this.#watch(name) : undefined
  }

  #mayLook(watch: Watch): boolean {
    return watch.looks < LOOKS_A_TURN && this.#settings.turn() >= watch.restTurn
  }

  /** Reads what a prober says beyond what was heard. */
  #look(name: string, watch: Watch): void {
    watch.again = watch.looking
    if (watch.looking) return
    const { reader, turn } = this.#settings
    const heard = this.#probers.get(name)
    watch.looking = true
    watch.looks++
    watch.lookedTurn = turn()
    this.#read(async () => {
      try {
        const since = await reader.since('prober', name, heard?.identity.bootId ?? '', heard ? String(heard.n) : '')
        if (!this.#closed) await this.#take(name, watch, since)
      } finally {
        watch.looking = false
      }
      if (!watch.again || this.#closed) return
      watch.again = false
      if (this.#mayLook(watch)) this.#look(name, watch)
      else this.#due.add(name)
    })
  }

  async #take(name: string, watch: Watch, since: Since): Promise<void> {
    if (since.state === 'absent') return
    if (since.state === 'refused') return this.#settings.refusals.count('oversized', `prober ${name}`, since.why)
    const head = this.#head('prober', name, since.head)
    if (head === undefined) return
    const heard = this.#probers.get(name)
    if (heard === undefined && !hasRoom(this.#probers, MOST_PROBERS)) {
      return this.#settings.refusals.count('prober', `prober ${name}`)
    }
    const isBoot = heard !== undefined && heard.identity.bootId !== head.boot
    const goesOn = heard?.live === true && !isBoot
    const restTurn = isBoot ? Math.max(watch.bootTurn, watch.restTurn) : watch.restTurn
    const rests = since.state !== 'same' && this.#settings.turn() < restTurn
    if (rests) this.#due.add(name)
    if (goesOn && (rests || since.state === 'same')) this.#beat(heard, head.beat)
    else if (rests) return
    else if (goesOn && since.state === 'some' && this.#tellSome(heard, head, since.lines, watch)) {
      this.#beat(heard, head.beat)
    } else if (this.#isNews(heard, head)) await this.#readWhole(name, watch, since.size)
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

  #isNews(heard: Heard<ProberIdentity> | undefined, { boot, n, beat }: Head): boolean {
    if (heard === undefined) return true
    if (heard.identity.bootId !== boot) return !(heard.live && heard.ended.includes(boot))
    if (n !== heard.n) return n > heard.n
    return !heard.live && (readProberBeat(heard.identity, beat)?.sequence ?? -1) > heard.sequence
  }

  /** Changes since those that were heard; false: they don't lead there, and nothing is told. */
  #tellSome(heard: Heard<ProberIdentity>, head: Head, lines: readonly string[], watch: Watch): boolean {
    const { audience, intern, refusals, signer } = this.#settings
    const { name, boot } = head
    const fields = new Map<string, string>()
    let { n } = heard
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
    heard.n = n
    const { votes, retired } = readVotes([...fields].flat(), name, intern, refusals)
    if (votes.length > 0) audience.votes(heard.identity, votes, false)
    if (retired.length > 0) audience.retired(heard.identity, retired)
    return true
  }

  async #readWhole(name: string, watch: Watch, size: number): Promise<void> {
    const { reader, refusals, signer, turn, leaseTurns } = this.#settings
    if (size > MOST_FIELDS) return refusals.count('oversized', `prober ${name}`, `${size} fields`)
    const fields = await reader.post('prober', name, size > LARGE_FIELDS ? SPREAD_MS : 0)
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
    const heard = this.#probers.get(name)
    if (heard !== undefined && heard.identity.bootId !== head.boot) {
      if (turn() < watch.bootTurn) return void this.#due.add(name)
      watch.bootTurn = turn() + leaseTurns // each boot may come with another region, which may move every quorum
    }
    if (this.#isNews(heard, head)) this.#tellWhole(head, fields)
    else if (heard?.live === true && heard.identity.bootId === head.boot) this.#beat(heard, head.beat)
  }

  #tellWhole({ name, boot, region, n, beat }: Head, fields: Fields): void {
    const { audience, intern, refusals, turn } = this.#settings
    const before = this.#probers.get(name)
    const same = before?.identity.bootId === boot
    const ended =
      before === undefined || !before.live ? [] : same ? before.ended : [before.identity.bootId, ...before.ended]
    const heard: Heard<ProberIdentity> = {
      identity: { name, region, bootId: boot },
      ended: ended.slice(0, ENDED_BOOTS),
      n,
      sequence: same ? before.sequence : -1,
      turn: turn(),
      live: true,
    }
    this.#probers.set(name, heard)
    if (!this.#index.has(name)) this.#settings.admit?.([name])
    audience.votes(heard.identity, readVotes(fields, name, intern, refusals).votes, true)
    this.#beat(heard, beat)
  }

  #beat(heard: Heard<ProberIdentity>, text: string): void {
    if (text === '') return
    const beat = readProberBeat(heard.identity, text)
    if (beat === undefined) return this.#settings.refusals.count('heartbeat', `prober ${heard.identity.name}`)
    if (beat.sequence <= heard.sequence) return
    heard.sequence = beat.sequence
    heard.turn = this.#settings.turn()
    this.#settings.audience.heartbeat(beat)
  }

  #lookAtNode(name: string): void {
    const { reader, refusals } = this.#settings
    this.#read(async () => {
      const since = await reader.since('node', name, '', '')
      if (since.state === 'absent' || this.#closed) return
      if (since.state === 'refused') {
        refusals.count('oversized', `node ${name}`, since.why)
        return
      }
      const head = this.#head('node', name, since.head)
      if (head !== undefined && head.beat !== '') this.#hearNode(head)
    })
  }

  #hearNode({ name, boot, beat: text }: Head): void {
    const { audience, refusals, turn } = this.#settings
    const heard = this.#nodes.get(name)
    if (heard?.live === true && heard.ended.includes(boot)) return
    const identity: NodeIdentity = { name, bootId: boot }
    const beat = readNodeBeat(identity, text)
    if (beat === undefined) return refusals.count('heartbeat', `node ${name}`)
    if (heard === undefined && !hasRoom(this.#nodes, MOST_NODES)) return refusals.count('node', `node ${name}`)
    if (heard?.identity.bootId === boot) {
      if (beat.sequence <= heard.sequence) return
      Object.assign(heard, { sequence: beat.sequence, turn: turn(), live: true })
    } else {
      const ended = heard?.live === true ? [heard.identity.bootId, ...heard.ended].slice(0, ENDED_BOOTS) : []
      this.#nodes.set(name, { identity, ended, n: 0, sequence: beat.sequence, turn: turn(), live: true })
    }
    audience.node?.(beat)
  }

  #readOverrides(): void {
    const { audience, reader, turn } = this.#settings
    if (audience.overrides === undefined) return
    this.#overridesDue = this.#readingOverrides
    if (this.#readingOverrides) return
    this.#readingOverrides = true
    this.#overridesTurn = turn()
    this.#read(async () => {
      const fields = await reader.overrides()
      this.#readingOverrides = false
      if (this.#closed) return
      this.#rev = fieldOf(fields, REV_FIELD) ?? ''
      this.#tellOverrides(fields)
    })
  }

  /** What is new since it was told; all, where something is there no more. */
  #tellOverrides(fields: Fields): void {
    const { audience, refusals, signer } = this.#settings
    const before = this.#overridden
    const now = new Map(pairs(fields))
    this.#overridden = now
    const isWhole = before === undefined || [...before.keys()].some((pattern) => !now.has(pattern))
    const told = isWhole ? fields : [...now].filter(([pattern, text]) => before.get(pattern) !== text).flat()
    const entries = readOverrides(told, refusals, signer)
    if (isWhole || entries.length > 0) audience.overrides?.(entries, isWhole)
  }

  #readForgotten(): void {
    const { audience, reader, refusals, signer } = this.#settings
    this.#forgottenDue = false
    if (audience.forgotten === undefined) return
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
    const heard = this.#probers.get(name)
    const isAnother = heard !== undefined && boot !== '' && heard.identity.bootId !== boot
    if (heard?.live === true || isAnother || this.#forgotten.get(name) === boot) return
    this.#forgotten.set(name, boot)
    this.#probers.delete(name)
    this.#settings.audience.forgotten?.(name)
  }
}

/** Whether limit.ts has left values out: nobody writes an empty one, but for some of the head. */
function hasGaps(fields: Fields): boolean {
  for (let i = 0; i + 1 < fields.length; i += 2) if (fields[i + 1] === '' && !MAY_BE_EMPTY.has(fields[i]!)) return true
  return false
}

const MAY_BE_EMPTY: ReadonlySet<string> = new Set([...HEAD_FIELDS, '@log', '@ended'])

/** For a newcomer, perhaps in the place of the one that is silent for longest; false: everyone is heard. */
function hasRoom<Identity>(posters: Map<string, Heard<Identity>>, most: number): boolean {
  if (posters.size < most) return true
  let silent: [string, Heard<Identity>] | undefined
  for (const entry of posters)
    if (!entry[1].live && (silent === undefined || entry[1].turn < silent[1].turn)) silent = entry
  return silent !== undefined && posters.delete(silent[0])
}
