/**
 * One who listens: from notices and reads to an Audience, in order for each prober. It keeps no votes, only how far it has
 * heard each poster: (boot id, n, sequence), and when, by turns of its Store's clock.
 *
 *   notice ─ n follows ─▶ told on
 *          ─ gap, new boot, was silent, large ─▶ its hash is read ─▶ told whole ─▶ notices that came meanwhile
 *
 * So nothing is lost while a read is under way, and a lost notice shows at the next heartbeat, which carries n. Silence is
 * measured here alone: no clock of Redis or of any other host counts, and what isn't new in (boot id, n, sequence) is
 * silence too, however often it is read.
 */
import { HEAD_FIELDS, type Kind, REV_FIELD } from './keys.ts'
import type { Reader } from './redis-read.ts'
import {
  fieldOf,
  type Fields,
  type Intern,
  type Notice,
  type PostNotice,
  readHead,
  readNodeBeat,
  readOverrides,
  readProberBeat,
  readVotes,
} from './redis-text.ts'
import type { Refusals } from './refusals.ts'
import type { Audience, NodeIdentity, ProberIdentity } from './store.ts'

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

/** Over this time nodes spread their reads of a large board. */
const SPREAD_MS = 150
/** Before a board is read again that a read has found behind the notices: a replica, or a failover. */
const BEHIND_MS = 200
/** Notices kept during one read; beyond, the board is read once more. */
const KEPT_NOTICES = 1000
const ENDED_BOOTS = 8
/** A poster that was silent for so many leases is no longer remembered: an hour of the real lease. */
const FORGOTTEN_LEASES = 1200

export interface ListenerSettings {
  readonly audience: Audience
  readonly reader: Reader
  /** Shared by all who listen in one Store. */
  readonly intern: Intern
  readonly refusals: Refusals
  /** The Store's clock. */
  readonly turn: () => number
  /** Turns in a lease. */
  readonly leaseTurns: number
}

export class Listener {
  readonly #settings: ListenerSettings
  readonly #probers = new Map<string, Heard<ProberIdentity>>()
  readonly #nodes = new Map<string, Heard<NodeIdentity>>()
  /** Notices that came while the prober's hash is being read. */
  readonly #meanwhile = new Map<string, PostNotice[]>()
  readonly #reads = new Set<Promise<void>>()
  #rev = ''
  #readingOverrides = false
  #overridesAgain = false
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

  /** Whoever is there now, as after each subscription: notices may have been missed. */
  async sync(): Promise<void> {
    const { audience, reader } = this.#settings
    const absent = new Map<string, number>()
    if (audience.overrides !== undefined) this.#readOverrides()
    if (audience.absent !== undefined)
      for (const [name, ageMs] of await reader.seen('prober')) if (!this.#probers.has(name)) absent.set(name, ageMs)
    const kinds = audience.node === undefined ? (['prober'] as const) : (['prober', 'node'] as const)
    for (const kind of kinds) {
      for (const [name, ...values] of await reader.heads(kind)) {
        const head = this.#readHead(kind, name, values)
        if (head !== undefined) this.hear(head)
      }
    }
    while (this.#reads.size > 0) await Promise.all(this.#reads)
    for (const [name, ageMs] of absent) if (!this.#probers.has(name)) audience.absent?.(name, ageMs)
    this.#isSynced?.(true)
  }

  /** Never throws: whatever a notice leads to, the next one is heard. */
  hear(notice: Notice): void {
    if (!this.#closed) this.#contain(() => this.#hear(notice))
  }

  #hear(notice: Notice): void {
    switch (notice.kind) {
      case 'prober':
        return this.#hearProber(notice)
      case 'node':
        this.#checkRev(notice.rev)
        return this.#hearNode(notice)
      case 'override':
        return this.#hearOverrides(notice)
      case 'forget':
        if (this.#probers.get(notice.prober)?.live !== true) this.#probers.delete(notice.prober)
        return this.#settings.audience.forgotten?.(notice.prober)
    }
  }

  /** A fault of our own ends what it happened in, and nothing else. */
  #contain(act: () => void): void {
    try {
      act()
    } catch (error) {
      this.#settings.refusals.count(
        'fault',
        '',
        error instanceof Error ? (error.stack ?? error.message) : String(error),
      )
    }
  }

  /** What a hash says of itself; undefined, and counted: nothing that can be read. */
  #readHead(kind: Kind, name: string, values: readonly (string | undefined)[]): PostNotice | undefined {
    const head = readHead(kind, name, values)
    if (head === undefined) this.#settings.refusals.count('head', `${kind} ${name}`)
    return head
  }

  /** Once a turn: who has been silent for a lease is gone. */
  look(): void {
    this.#contain(() => this.#look())
  }

  #look(): void {
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

  #hearProber(notice: PostNotice): void {
    const meanwhile = this.#meanwhile.get(notice.name)
    if (meanwhile !== undefined) {
      if (meanwhile.length < KEPT_NOTICES) meanwhile.push(notice)
      return
    }
    const heard = this.#probers.get(notice.name)
    const same = heard?.identity.bootId === notice.boot
    if (heard?.live === true && heard.ended.includes(notice.boot)) return
    if (notice.told === 'all') {
      if (!same || notice.n > heard.n) this.#tellWhole(notice, notice.fields)
    } else if (!same || !heard.live) {
      if (this.#isNews(heard, notice)) this.#read(notice)
    } else if (notice.told === 'some' && notice.fields.length > 0 && notice.n === heard.n + 1) {
      this.#tellSome(heard, notice)
    } else if (notice.n > heard.n) {
      this.#read(notice)
    } else {
      this.#beat(heard, notice.beat)
    }
  }

  #tellSome(heard: Heard<ProberIdentity>, { n, fields, beat }: PostNotice): void {
    heard.n = n
    const { audience, intern, refusals } = this.#settings
    const { votes, retired } = readVotes(fields, heard.identity.name, intern, refusals)
    if (votes.length > 0) audience.votes(heard.identity, votes, false)
    if (retired.length > 0) audience.retired(heard.identity, retired)
    this.#beat(heard, beat)
  }

  /** All that it says: by a notice, or by a read. */
  #tellWhole({ name, boot, region, n, beat }: PostNotice, fields: Fields): void {
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

  #read(notice: PostNotice): void {
    const { name, told } = notice
    const spreadMs = told === 'read' ? SPREAD_MS : 0
    this.#meanwhile.set(name, [notice])
    const read = this.#settings.reader
      .post('prober', name, spreadMs)
      .then((fields) => this.#contain(() => this.#settle(name, fields)))
    const counted: Promise<void> = read.finally(() => {
      this.#reads.delete(counted)
      this.done++
    })
    this.#reads.add(counted)
  }

  /** A hash was read: what is new of it, and then what came meanwhile. */
  #settle(name: string, fields: Fields): void {
    const meanwhile = this.#meanwhile.get(name) ?? []
    this.#meanwhile.delete(name)
    if (this.#closed) return
    const heard = this.#probers.get(name)
    const values = HEAD_FIELDS.map((field) => fieldOf(fields, field))
    const head = values[0] === undefined ? undefined : this.#readHead('prober', name, values)
    if (head !== undefined) {
      if (this.#isNews(heard, head)) this.#tellWhole(head, fields)
      else if (heard?.live === true && heard.identity.bootId === head.boot) this.#beat(heard, head.beat)
    }
    for (const notice of meanwhile) {
      // It is gone: who still lives will find that out, and write it whole.
      if (head === undefined && notice.told !== 'all') continue
      // The hash is behind its notices (a replica, a failover): nothing to tell yet, and no reason to read without end.
      if (notice.told !== 'all' && this.#isAhead(notice)) return this.#later(notice)
      this.#hearProber(notice)
    }
    if (head !== undefined && meanwhile.length === KEPT_NOTICES) this.#later(meanwhile.at(-1)!)
  }

  #isNews(heard: Heard<ProberIdentity> | undefined, { boot, n, beat }: PostNotice): boolean {
    if (heard === undefined) return true
    if (heard.identity.bootId !== boot) return !(heard.live && heard.ended.includes(boot))
    if (n !== heard.n) return n > heard.n
    return !heard.live && (readProberBeat(heard.identity, beat)?.sequence ?? -1) > heard.sequence
  }

  #isAhead({ name, boot, n, fields }: PostNotice): boolean {
    const heard = this.#probers.get(name)
    if (heard?.live === true && heard.ended.includes(boot)) return false
    if (heard?.live !== true || heard.identity.bootId !== boot) return true
    return n > heard.n + (fields.length > 0 ? 1 : 0)
  }

  #later(notice: PostNotice): void {
    setTimeout(() => this.#meanwhile.has(notice.name) || this.#closed || this.#read(notice), BEHIND_MS).unref()
  }

  #hearNode({ name, boot, beat: text }: PostNotice): void {
    const { audience, turn } = this.#settings
    if (audience.node === undefined || text === '') return
    const heard = this.#nodes.get(name)
    if (heard?.live === true && heard.ended.includes(boot)) return
    const identity: NodeIdentity = { name, bootId: boot }
    const beat = readNodeBeat(identity, text)
    if (beat === undefined) return this.#settings.refusals.count('heartbeat', `node ${name}`)
    if (heard?.identity.bootId === boot) {
      if (beat.sequence <= heard.sequence) return
      Object.assign(heard, { sequence: beat.sequence, turn: turn(), live: true })
    } else {
      const ended = heard?.live === true ? [heard.identity.bootId, ...heard.ended].slice(0, ENDED_BOOTS) : []
      this.#nodes.set(name, { identity, ended, n: 0, sequence: beat.sequence, turn: turn(), live: true })
    }
    audience.node(beat)
  }

  #hearOverrides({ before, rev, entries }: Extract<Notice, { kind: 'override' }>): void {
    if (this.#readingOverrides) this.#overridesAgain = true
    else if (before !== this.#rev) this.#readOverrides()
    else this.#rev = rev
    this.#settings.audience.overrides?.(entries, false)
  }

  /** Each node's beat carries what the overrides are now. */
  #checkRev(rev: string | undefined): void {
    if (rev !== undefined && rev !== this.#rev) this.#readOverrides()
  }

  #readOverrides(): void {
    const { audience, reader, refusals } = this.#settings
    if (audience.overrides === undefined || this.#readingOverrides) return
    this.#readingOverrides = true
    const counted: Promise<void> = reader.overrides().then((fields) => {
      this.#reads.delete(counted)
      this.done++
      this.#readingOverrides = false
      this.#rev = fieldOf(fields, REV_FIELD) ?? ''
      if (this.#closed) return
      this.#contain(() => audience.overrides?.(readOverrides(fields, refusals), true))
      if (this.#overridesAgain) this.#readOverrides()
      this.#overridesAgain = false
    })
    this.#reads.add(counted)
  }
}
