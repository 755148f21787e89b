/**
 * Delivers what is in Redis to a StoreSubscriber, in order for each prober. It believes hashes, and of messages the next
 * line of a prober's log: Redis's ACL lets a prober write its own hash and channel alone, and nodes the rest. Any other
 * message is a hint that there is something to read, so a forged one causes a read, of which each prober has a limited
 * number per turn. Nothing depends on messages: everything is polled each POLL_TURNS.
 *
 *   message: n + 1 of this boot ─▶ delivered as a change
 *   hint, or time ─▶ since (boot id, n) ─ nothing new ─▶ the heartbeat
 *                                       ─ lines of its log ─▶ delivered as changes
 *                                       ─ gap, new boot, was silent ─▶ its hash is read ─▶ delivered whole
 *
 * It keeps no votes, only its progress for each prober and node: (boot id, n, sequence), and the turn of the Store's
 * clock. Silence is measured here alone, by no other host's clock: what is not new in (boot id, n, sequence) is
 * silence, however often it is read.
 */
import { isName } from '../../config.ts'
import type { Refusals } from '../../health/refusals.ts'
import {
  type Forgotten,
  MOST_NODES,
  MOST_PROBERS,
  type NodeIdentity,
  type ProberIdentity,
  type ProcessName,
  type StoreSubscriber,
} from '../../health/store.ts'
import { fieldOf, type Fields, pairs } from './fields.ts'
import { forgottenField, HEAD_FIELDS, type Kind, NOW_FIELD, REV_FIELD } from './keys.ts'
import type { Reader, Since } from './reader.ts'
import { type Signer, Sum } from './signer.ts'
import {
  type Head,
  headParts,
  type Intern,
  type ProberMessage,
  readChange,
  readForgotten,
  readHead,
  readMessage,
  readNodeBeat,
  readOverrides,
  readProberBeat,
  readVotes,
} from './text.ts'

/** How far the hash of a prober or node was read. */
interface Progress<Identity> {
  readonly identity: Identity
  /** Earlier boots; what they still send comes too late. */
  readonly ended: readonly string[]
  /** As far as its hash was read. */
  n: number
  /** Lines of its log after n that came as messages: they are believed until the hash, read in the next turn, differs. */
  ahead: string[]
  sequence: number
  /** Turn in which it last said something new. */
  turn: number
  live: boolean
}

/** The budget and state of reads of one prober. */
interface Watch {
  reading: boolean
  /** A hint arrived during the read. */
  again: boolean
  /** Reads, and (fields) fields taken in, during this turn. */
  reads: number
  /** Fields that were taken in in this turn. */
  fields: number
  /** First turn in which more than its heartbeat is taken in again. */
  restTurn: number
  /** First turn in which another boot is accepted. */
  bootTurn: number
  readTurn: number
}

/** Everything is polled in so many turns, hints or not; a lease has four times as many. */
const POLL_TURNS = 3
/** Reads of one prober per turn; further hints are one read in the next turn. */
const READS_A_TURN = 25
/** Reads per turn of names that are not known yet. */
const STRANGERS_A_TURN = 32
/** Fields of one prober per turn, on average; a prober that writes more is read later. */
const FIELDS_A_TURN = 5000
/** A whole read counts as at least so many fields, and as one per FIELD_CHARACTERS. */
const WHOLE_FIELDS = 500
const FIELD_CHARACTERS = 128
/** Cost in fields of a hash that was too large to take in: it is read again after half a minute. */
const GAPS_FIELDS = 600_000
/** From so many fields on, nodes spread their reads over SPREAD_MS. */
const LARGE_FIELDS = 200
const SPREAD_MS = 150
/** Fields of one prober: far more votes than one can keep up (probe.rate). */
const MOST_FIELDS = 100_000
const ENDED_BOOTS = 8
/** A prober or node that is silent for so many leases (an hour) is dropped. */
const FORGOTTEN_LEASES = 1200
/** Live probers are written to the index every so many leases (a minute). */
const ADMIT_LEASES = 20

/** What a Listener needs of its Store. */
export interface ListenerSettings {
  readonly subscriber: StoreSubscriber
  readonly reader: Reader
  /** Shared by all listeners of the Store. */
  readonly intern: Intern
  readonly refusals: Refusals
  readonly signer: Signer
  /** The Store's clock. */
  readonly turn: () => number
  /** Turns in a lease. */
  readonly leaseTurns: number
  /** Writes live probers to the index; undefined: this process may not. */
  readonly admit: ((names: readonly string[]) => void) | undefined
}

/** The head of a whole hash; undefined: it is malformed, or its signature does not cover the content. */
export function signedHead(kind: Kind, name: string, fields: Fields, signer: Signer): Head | undefined {
  const head = readHead(
    kind,
    name,
    HEAD_FIELDS.map((field) => fieldOf(fields, field)),
  )
  if (head === undefined || !signer.verify(head.mac, 'head', headParts(head))) return undefined
  return signer.signs && head.sum !== Sum.of(pairs(fields).flat()) ? undefined : head
}

/** Delivers to one StoreSubscriber. */
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
  /** Ids of the requests to forget that were told, by field. */
  readonly #forgotten = new Map<string, string>()
  #forgottenDue = false
  /** Ids of the requests to forget at the last read; undefined: none since sync(). */
  #requests: ReadonlySet<string> | undefined
  #closed = false

  constructor(settings: ListenerSettings) {
    this.#settings = settings
    this.synced = new Promise((resolve) => (this.#isSynced = resolve))
  }

  close(): void {
    this.#closed = true
  }

  /** Resolves when the first sync() is done. */
  readonly synced: Promise<true>
  #isSynced: ((done: true) => void) | undefined
  /** Number of finished reads: a caller that waits sees progress. */
  done = 0

  /** The boot id under which a process was heard last; empty: it was not. */
  bootOf({ kind, name }: ProcessName): string {
    return this.#heard(kind).get(name)?.identity.bootId ?? ''
  }

  #heard(kind: Kind): Map<string, Progress<ProberIdentity | NodeIdentity>> {
    return kind === 'prober' ? this.#probers : this.#nodes
  }

  /** Reads everything, as after each connect: hints may have been missed. */
  async sync(): Promise<void> {
    const { subscriber, reader } = this.#settings
    this.#begun = true
    this.#knownOverrides = undefined
    this.#requests = undefined
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

  /** A message on a prober's channel: readMessage(). */
  hint(name: string, text: string): void {
    if (this.#closed || !this.#begun || !isName(name)) return
    const watch = this.#watches.get(name) ?? this.#stranger(name)
    if (watch === undefined) return
    const message = readMessage(text)
    if (!message.changed || !this.#mayRead(watch)) this.#due.add(name)
    else if (!watch.reading && this.#isNext(name, message)) this.#applyMessage(name, watch, message.line)
    else this.#readProber(name, watch)
  }

  /** Whether a message brings the change after the last one that was heard. */
  #isNext(name: string, { boot, line }: ProberMessage): boolean {
    const progress = this.#probers.get(name)
    if (progress?.live !== true || progress.identity.bootId !== boot) return false
    return line.startsWith(`${progress.n + progress.ahead.length + 1} `)
  }

  /** Delivers a line of the log without reading it. The next turn's read confirms it, and brings the heartbeat. */
  #applyMessage(name: string, watch: Watch, line: string): void {
    const progress = this.#probers.get(name)!
    watch.reads++
    this.#due.add(name)
    const fields = this.#change(progress.identity, progress.n + progress.ahead.length + 1, line)
    if (fields === undefined) return
    progress.ahead.push(line)
    this.#contain(() => this.#deliver(progress.identity, fields, watch))
  }

  /** The nodes' channel: overrides have changed. */
  hintOverrides(): void {
    if (this.#overridesTurn === this.#settings.turn()) this.#overridesDue = true
    else if (this.#begun) this.#readOverrides()
  }

  /** The nodes' channel: a prober or a node was forgotten. */
  hintForgotten(): void {
    this.#forgottenDue = true
  }

  /** Forgets the progress of a live prober, so that its next read is whole. */
  repeat(prober: string): void {
    const progress = this.#probers.get(prober)
    if (progress !== undefined) Object.assign(progress, { n: -1, ahead: [] })
  }

  /** Called once per turn. */
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

  /** Reports probers and nodes that have been silent for a lease. */
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

  /** Counts an exception of the subscriber as a fault; it must not end anything else. */
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

  /** Runs a read that sync() waits for. */
  #read(read: () => Promise<void>): void {
    const counted: Promise<void> = read()
      .catch((error: unknown) => this.#fault(error))
      .finally(() => {
        this.#reads.delete(counted)
        this.done++
      })
    this.#reads.add(counted)
  }

  /** Reads what no hint announced: every prober in the index or known, and the nodes. */
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

  /** Writes live probers that are missing in the index, and from time to time all live ones. */
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

  /**
   * The Watch of an unknown name; undefined: this turn's budget for strangers is spent, for anyone can invent names.
   */
  #stranger(name: string): Watch | undefined {
    return this.#strangers++ < STRANGERS_A_TURN ? this.#watch(name) : undefined
  }

  #mayRead(watch: Watch): boolean {
    return watch.reads < READS_A_TURN && this.#settings.turn() >= watch.restTurn
  }

  /** Reads what a prober wrote since its progress. */
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
    const isUnconfirmed = goesOn && since.state === 'same' && progress.ahead.length > 0
    if (isUnconfirmed) Object.assign(progress, { n: -1, ahead: [] }) // the hash has no such change: read the whole
    const rests = since.state !== 'same' && this.#settings.turn() < restTurn
    if (rests) this.#due.add(name)
    if (goesOn && (rests || (since.state === 'same' && !isUnconfirmed))) this.#beat(progress, head.beat)
    else if (rests) return
    else if (goesOn && since.state === 'some' && this.#applyChanges(progress, head, since.lines, watch)) {
      this.#beat(progress, head.beat)
    } else if (this.#isNews(progress, head)) await this.#readWhole(name, watch, since.size)
  }

  /** Charges fields to a prober, so that none keeps this process from reading the others. */
  #spend(watch: Watch, fields: number): void {
    watch.fields += fields
    if (watch.fields >= FIELDS_A_TURN) watch.restTurn = this.#settings.turn() + Math.ceil(watch.fields / FIELDS_A_TURN)
  }

  /** The head of a hash; undefined, and counted: it is malformed or not signed. */
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

  /** Applies log lines; false: they do not lead to the head, or messages said otherwise; nothing was delivered. */
  #applyChanges(progress: Progress<ProberIdentity>, head: Head, lines: readonly string[], watch: Watch): boolean {
    const { identity, ahead } = progress
    if (ahead.some((line, i) => line !== lines[i])) return false
    const fields: string[] = []
    let { n } = progress
    for (const [i, line] of lines.entries()) {
      const change = this.#change(identity, ++n, line)
      if (change === undefined) return false
      if (i >= ahead.length) for (const text of change) fields.push(text)
    }
    if (n !== head.n) return false
    progress.n = n
    progress.ahead = []
    this.#deliver(identity, fields, watch)
    return true
  }

  /** The fields of a line of the log; undefined, and counted: it is not the one that makes this n, or not signed. */
  #change({ name, bootId }: ProberIdentity, n: number, line: string): Fields | undefined {
    const { refusals, signer } = this.#settings
    const change = readChange(line)
    if (change?.n !== n) refusals.count('change', `prober ${name}`)
    else if (signer.verify(change.mac, 'change', [name, bootId, n, change.fields])) return change.fields
    else refusals.count('signature', `prober ${name}`)
    return undefined
  }

  /** Delivers changed fields, of each the last. */
  #deliver(prober: ProberIdentity, changes: Fields, watch: Watch): void {
    const { subscriber, intern, refusals } = this.#settings
    const fields = new Map(pairs(changes))
    this.#spend(watch, fields.size)
    const { votes, retired } = readVotes([...fields].flat(), prober.name, intern, refusals)
    if (votes.length > 0) subscriber.votes(prober, votes, false)
    if (retired.length > 0) subscriber.retired(prober, retired)
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
      ahead: [],
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
      this.#nodes.set(name, { identity, ended, n: 0, ahead: [], sequence: beat.sequence, turn: turn(), live: true })
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

  /** Delivers what has changed; all overrides if one has disappeared. */
  #applyOverrides(fields: Fields): void {
    const { subscriber, refusals, signer } = this.#settings
    const before = this.#knownOverrides
    const now = new Map(pairs(fields))
    this.#knownOverrides = now
    const isWhole = before === undefined || [...before.keys()].some((pattern) => !now.has(pattern))
    const news = isWhole ? fields : [...now].filter(([pattern, text]) => before.get(pattern) !== text).flat()
    const entries = readOverrides(news, Number(fieldOf(fields, NOW_FIELD) ?? 0), refusals, signer)
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
      const listed = new Set(forgotten.map(forgottenField))
      for (const field of this.#forgotten.keys()) if (!listed.has(field)) this.#forgotten.delete(field)
      const before = this.#requests
      this.#requests = new Set(forgotten.map(({ id }) => id))
      const news = forgotten.filter((process) => this.#isNewlyForgotten(process, before?.has(process.id) === false))
      for (const process of news) {
        this.#forgotten.set(forgottenField(process), process.id)
        this.#heard(process.kind).delete(process.name)
      }
      subscriber.forgotten?.(news, forgotten)
    })
  }

  /**
   * Not one that was told, nor one that has come back since under another boot. `isOfNow`: it was not there at the last
   * read, so whatever boot was heard here is meant: each node may have heard another one last.
   */
  #isNewlyForgotten(process: Forgotten, isOfNow: boolean): boolean {
    const { kind, name, bootId, id } = process
    const progress = this.#heard(kind).get(name)
    const isAnother = !isOfNow && progress !== undefined && bootId !== '' && progress.identity.bootId !== bootId
    return progress?.live !== true && !isAnother && this.#forgotten.get(forgottenField(process)) !== id
  }
}

/** Whether limit.ts has left values out: nobody writes an empty one, but for some of the head. */
function hasGaps(fields: Fields): boolean {
  for (let i = 0; i + 1 < fields.length; i += 2) if (fields[i + 1] === '' && !MAY_BE_EMPTY.has(fields[i]!)) return true
  return false
}

const MAY_BE_EMPTY: ReadonlySet<string> = new Set([...HEAD_FIELDS, '@log', '@ended'])

/** Makes room for a new prober or node, if need be by dropping the one silent longest; false: all are live. */
function hasRoom<Identity>(owners: Map<string, Progress<Identity>>, most: number): boolean {
  if (owners.size < most) return true
  let silent: [string, Progress<Identity>] | undefined
  for (const entry of owners)
    if (!entry[1].live && (silent === undefined || entry[1].turn < silent[1].turn)) silent = entry
  return silent !== undefined && owners.delete(silent[0])
}
