/**
 * The Store in Redis, shared by several processes. Redis is never the source of truth: writers remember what they wrote
 * and write it again (writer.ts); subscribers keep the last known state while Redis is away.
 *
 *   ProberWriter, NodeWriter ─ HashWriter ──▶ lua ──▶ hash, hint on a channel
 *   StoreSubscriber ◀─ Listener ◀── hash ◀── hint, or time
 *
 * Opening never fails: an unusable Redis is a state, `trouble`, which says what to do about it.
 */
import { Refusals } from '../../health/refusals.ts'
import {
  type AnnounceBoard,
  type EventBoard,
  type StoreSubscriber,
  type ProberWriter,
  type KnownMember,
  LEASE_MS,
  type NodeWriter,
  type NodeIdentity,
  type ProberIdentity,
  type NodeStore,
  type SendingBoard,
} from '../../health/store.ts'
import { within } from '../../health/within.ts'
import { formatAge } from '../../units.ts'
import { makeAnnounceBoard } from './announced.ts'
import { makeEventBoard } from './events.ts'
import { type Client, connect, type Connections, type ChannelClient } from './connect.ts'
import type { Fields } from './fields.ts'
import { channelOf, FORGOTTEN_KEY, HINTS, indexKey, proberChannel, proberOfChannel } from './keys.ts'
import { Listener, signedHead } from './listener.ts'
import { Reader } from './reader.ts'
import { ADMIT, WRITE } from './scripts.ts'
import { makeSendingBoard, type SendingBoardContext } from './sendings.ts'
import { Signer } from './signer.ts'
import { Intern, readKnown } from './text.ts'
import { explain, isEnd, tooOld } from './trouble.ts'
import { parseRedisUrl, type RedisPlace } from './url.ts'
import { type HashWriterContext, HashWriter } from './writer.ts'
import { makeNodeWriter, makeProberWriter } from './writers.ts'

export { parseRedisUrl } from './url.ts'

/** Settings of a RedisStore. */
export interface RedisStoreSettings {
  /** A prober or node silent for so long is gone; LEASE_MS except in tests. */
  readonly leaseMs?: number
  /** A command that takes longer is trouble. */
  readonly answerMs?: number
  /** A connection with a pending command and no data for so long is opened again; 10 s except in tests. */
  readonly silentMs?: number
  /**
   * A node subscribes to channels and keeps the index of probers. A prober polls each POLL_TURNS (listener.ts), so its
   * Redis user needs no right to any channel but its own.
   */
  readonly role?: 'node' | 'prober'
  /** The setting `redis.secret`. */
  readonly secrets?: readonly string[]
  /** Called when trouble begins, changes or ends (undefined). */
  readonly onTrouble?: (trouble: string | undefined) => void
  /** Called with a line about rejected data, at most once a minute for each kind. */
  readonly onRefused?: (line: string) => void
}

const ANSWER_MS = 500
/** Additional time per argument of a command: 10,000 votes over a slow line. */
const ARGUMENT_MS = 0.25
/**
 * Turns of the Store's clock in a lease. Silence is measured by these and not by time: a process that stood still first
 * hears what has come meanwhile.
 */
const LEASE_TURNS = 12
/** Two heartbeats, within which a node should have heard its own. */
const ECHO_TURNS = 8
/**
 * A command that Redis refuses is repeated at each heartbeat; trouble ends when none was refused for so long. A success
 * of another command does not end it: with partial rights, trouble would begin and end every second.
 */
const REFUSAL_TURNS = 10
/** listen() resolves when nothing arrives for so long. */
const PATIENCE_MS = 2000
/** A connection on which no command was answered for so long is opened again. */
const UNANSWERED_MS = 1500

type Source = 'version' | 'commands' | 'answers' | 'channels' | 'reads' | 'rival'
/** Sources of trouble; the first that has any is reported. */
const SOURCES: readonly Source[] = ['version', 'commands', 'answers', 'channels', 'reads', 'rival']

/** Opens the Store. Throws only for a URL that parseRedisUrl() rejects. */
export function openRedisStore(url: string, settings: RedisStoreSettings = {}): RedisStore {
  const place = parseRedisUrl(url)
  if (typeof place === 'string') throw new Error(`the setting \`redis\` ${place}`)
  return new RedisStore(place, settings)
}

/** The Store contract in Redis. */
export class RedisStore implements NodeStore {
  readonly shared = true
  readonly refusals: Refusals
  readonly eventBoard: EventBoard
  readonly #place: RedisPlace
  readonly #settings: RedisStoreSettings
  readonly #leaseMs: number
  readonly #role: 'node' | 'prober'
  readonly #signer: Signer
  readonly #connections: Connections
  readonly #reader: Reader
  readonly #context: HashWriterContext
  readonly #intern = new Intern()
  readonly #listeners = new Set<Listener>()
  readonly #waiting = new Set<HashWriter>()
  readonly #suspicious = new Set<HashWriter>()
  /** Connections that this process has closed itself. */
  readonly #renewed = new Set<Client>()
  /** Names of this process's nodes. */
  readonly #nodes = new Set<string>()
  readonly #troubles = new Map<Source, string>()
  /** What commands were refused with, the oldest first, and the turn of the last time. */
  readonly #refusals = new Map<string, number>()
  readonly #clock: NodeJS.Timeout
  #usable = false
  #subscribed = false
  #starting = true
  #reported: string | undefined
  #troubleMs = performance.now()
  #turn = 0
  #heardTurn = 0
  #answeredTurn = -1
  /** Since when calls have gone unanswered. */
  #unansweredMs: number | undefined
  #pinging = false
  #clockMs: number | undefined
  #closed = false

  constructor(place: RedisPlace, settings: RedisStoreSettings) {
    this.#place = place
    this.#settings = settings
    this.refusals = new Refusals(settings.onRefused)
    this.#leaseMs = settings.leaseMs ?? LEASE_MS
    this.#role = settings.role ?? 'node'
    this.#signer = new Signer(settings.secrets)
    const onDropped = (what: string) => this.refusals.count('oversized', '', what)
    this.#connections = connect(place, this.#role === 'node', onDropped, settings.silentMs)
    this.#context = this.#makeContext()
    const run = (command: (client: Client) => Promise<readonly string[]>) => this.#runApart(command)
    this.eventBoard = makeEventBoard({ signer: this.#signer, refusals: this.refusals, run })
    this.#reader = new Reader({
      quick: this.#connections.commands,
      slow: this.#connections.bulk,
      ready: (client) => this.#usable && client.status === 'ready',
      leaseMs: this.#leaseMs,
      onTrouble: (error) => this.#note('reads', error),
    })
    this.#watchLinks()
    this.#clock = setInterval(() => this.#tick(), this.#leaseMs / LEASE_TURNS).unref()
  }

  get trouble(): string | undefined {
    if (this.#starting) return `Redis at ${this.#place.address}: connecting, and reading what it has`
    if (this.#reported === undefined) return undefined
    const ageMs = performance.now() - this.#troubleMs
    return ageMs < 500 ? this.#reported : `${this.#reported} (for ${formatAge(ageMs)})`
  }

  proberWriter({ name, region, bootId }: ProberIdentity): ProberWriter {
    return makeProberWriter(new HashWriter({ kind: 'prober', name, region, bootId }, this.#context))
  }

  nodeWriter({ name, bootId }: NodeIdentity): NodeWriter {
    this.#nodes.add(name)
    const writer = new HashWriter({ kind: 'node', name, region: '', bootId }, this.#context)
    return makeNodeWriter(writer, {
      channel: channelOf(this.#place.db),
      signer: this.#signer,
      attempt: async (command) => ((await this.#attempt(command)) ? undefined : (this.trouble ?? 'Redis is away')),
      clockMs: () => this.#clockMs,
      bootOf: (process) => Array.from(this.#listeners, (listener) => listener.bootOf(process)).find(Boolean) ?? '',
    })
  }

  sendingBoard(node: NodeIdentity): SendingBoard {
    return makeSendingBoard(node, this.#boardContext)
  }

  announceBoard(node: NodeIdentity): AnnounceBoard {
    return makeAnnounceBoard(node, this.#boardContext, this.#leaseMs)
  }

  get #boardContext(): SendingBoardContext {
    return {
      signer: this.#signer,
      run: async <T>(command: (client: Client) => Promise<T>, args: number): Promise<T> => {
        const results: T[] = []
        const patienceMs = (this.#settings.answerMs ?? ANSWER_MS) + args * ARGUMENT_MS
        const isDone = await this.#attempt(async (client) => results.push(await command(client)), patienceMs)
        if (isDone) for (const result of results) return result
        throw new Error(this.trouble ?? 'Redis is away')
      },
    }
  }

  async readMembers(): Promise<readonly ReadonlyMap<string, KnownMember>[]> {
    const found: ReadonlyMap<string, KnownMember>[] = []
    const read = async () => {
      const names = (await this.#reader.names('node')).filter((name) => !this.#nodes.has(name))
      for (const name of names) {
        const fields = await this.#readNode(name)
        if (fields !== undefined) found.push(readKnown(fields, name, this.#intern, this.refusals))
      }
    }
    await inTime(PATIENCE_MS, read()).catch(() => {})
    return [...found]
  }

  /** What a node that is there has signed, if that is asked for. */
  async #readNode(name: string): Promise<Fields | undefined> {
    const since = await this.#reader.since('node', name, '', '')
    if (since.state === 'absent' || since.state === 'refused') return undefined
    const fields = await this.#reader.hash('node', name)
    return signedHead('node', name, fields, this.#signer) === undefined ? undefined : fields
  }

  async listen(subscriber: StoreSubscriber, signal: AbortSignal): Promise<void> {
    if (signal.aborted || this.#closed) return
    const turn = () => this.#turn
    const listener = new Listener({
      subscriber,
      reader: this.#reader,
      intern: this.#intern,
      refusals: this.refusals,
      turn,
      leaseTurns: LEASE_TURNS,
      signer: this.#signer,
      admit: this.#role === 'node' ? (names) => void this.#admit(names) : undefined,
    })
    this.#listeners.add(listener)
    const leave = () => {
      listener.close()
      this.#listeners.delete(listener)
    }
    signal.addEventListener('abort', leave, { once: true })
    if (this.#canListen) void this.#sync([listener])
    await this.#patiently(listener)
  }

  repeat(prober: string): void {
    for (const listener of this.#listeners) listener.repeat(prober)
  }

  async close(): Promise<void> {
    this.#closed = true
    clearInterval(this.#clock)
    for (const listener of this.#listeners) listener.close()
    this.#listeners.clear()
    this.#reader.close()
    this.#connections.commands.disconnect()
    this.#connections.bulk.disconnect()
    this.#connections.channels?.disconnect()
    this.#stopWaiting()
  }

  /** Waits until the listener has read everything, or nothing arrives for a while. */
  async #patiently(listener: Listener): Promise<void> {
    for (let done = -1; done !== listener.done && !this.#closed;) {
      done = listener.done
      if (await inTime(PATIENCE_MS, listener.synced).catch(() => false)) return
    }
  }

  #makeContext(): HashWriterContext {
    const isReady = () => this.#usable && !this.#closed
    const isStarting = () => this.#starting
    return {
      leaseMs: this.#leaseMs,
      signer: this.#signer,
      channelOf: ({ kind, name }) =>
        kind === 'node' ? channelOf(this.#place.db) : proberChannel(this.#place.db, name),
      get ready() {
        return isReady()
      },
      get starting() {
        return isStarting()
      },
      run: (keys, args) => this.#write(keys, args),
      wait: (writer) => this.#waiting.add(writer),
      suspect: (writer) => this.#suspicious.add(writer),
    }
  }

  async #write(keys: readonly string[], args: readonly string[]): Promise<readonly string[]> {
    const patienceMs = (this.#settings.answerMs ?? ANSWER_MS) + args.length * ARGUMENT_MS
    let answer: readonly string[] = []
    const sentMs = Date.now()
    const done = await this.#attempt(async (client) => (answer = await WRITE.list(client, keys, args)), patienceMs)
    if (!done) throw new Error('Redis is away')
    this.#answeredTurn = this.#turn
    // Redis read its clock somewhere between the call and its answer
    const redisMs = Number(answer[2] ?? '')
    if (redisMs > 0) this.#clockMs = Math.round((sentMs + Date.now()) / 2 - redisMs)
    return answer
  }

  /** Runs a command; false: it failed or took too long, and the trouble is reported. */
  async #attempt(command: (client: Client) => Promise<unknown>, patienceMs = ANSWER_MS): Promise<boolean> {
    const { commands } = this.#connections
    if (!this.#usable || this.#closed) return false
    try {
      await inTime(patienceMs, command(commands))
      this.#unansweredMs = undefined
      this.#note('answers', undefined)
      return true
    } catch (error) {
      if (commands.status !== 'ready') return false // its own events tell why
      this.#note('answers', error)
      const nowMs = performance.now()
      this.#unansweredMs = error instanceof Late ? (this.#unansweredMs ?? nowMs) : undefined
      // A demoted master, or a peer that is gone without a word: where the way leads may have changed.
      const dead = nowMs - (this.#unansweredMs ?? nowMs) >= UNANSWERED_MS
      if (this.#usable && (dead || /READONLY/.test(String(error)))) this.#renew(commands)
      return false
    }
  }

  /** Runs a command whose failure is no trouble of the Store. Rejects then. */
  async #runApart(command: (client: Client) => Promise<readonly string[]>): Promise<readonly string[]> {
    if (!this.#usable || this.#closed) throw new Error(this.trouble ?? 'Redis is away')
    return inTime(this.#settings.answerMs ?? ANSWER_MS, command(this.#connections.commands))
  }

  /** Probers that are heard, for those who connect later. */
  async #admit(names: readonly string[]): Promise<void> {
    await this.#attempt((client) => ADMIT.run(client, [indexKey('prober'), FORGOTTEN_KEY], names))
  }

  #watchLinks(): void {
    const { commands, bulk, channels } = this.#connections
    commands.on('ready', () => void this.#checkServer())
    commands.on('error', (error) => this.#note('commands', error))
    commands.on('close', () => {
      const served = this.#usable
      this.#usable = false
      this.#unansweredMs = undefined
      this.#reader.lost(commands)
      this.#lost('commands', commands, served)
    })
    bulk.on('ready', () => {
      this.#note('reads', undefined)
      this.#reader.pump()
    })
    bulk.on('error', (error) => this.#note('reads', error))
    bulk.on('close', () => this.#reader.lost(bulk))
    if (channels !== undefined) this.#watchChannels(channels)
  }

  #watchChannels(channels: ChannelClient): void {
    channels.on('ready', () => void this.#subscribe())
    channels.on('error', (error) => this.#note('channels', error))
    channels.on('close', () => {
      const served = this.#subscribed
      this.#subscribed = false
      this.#lost('channels', channels, served)
    })
    channels.on('message', (_: string, text: string) => {
      this.#heardTurn = this.#turn
      for (const listener of this.#listeners) {
        if (text === HINTS.overrides) listener.hintOverrides()
        else if (text === HINTS.forgotten) listener.hintForgotten()
      }
    })
    channels.on('pmessage', (_: string, channel: string, text: string) => {
      this.#heardTurn = this.#turn
      const name = proberOfChannel(this.#place.db, channel)
      if (name !== undefined) for (const listener of this.#listeners) listener.hint(name, text)
    })
  }

  /** Redis is usable and, where needed, channels are subscribed. */
  get #canListen(): boolean {
    return this.#connections.channels === undefined ? this.#usable : this.#subscribed
  }

  /** Closes a connection so that it is opened again. Its trouble was reported. */
  #renew(link: Client): void {
    if (link === this.#connections.commands) this.#usable = false
    else this.#subscribed = false
    this.#renewed.add(link)
    link.disconnect(true)
  }

  /** A connection closed; reports it unless an error has said why. `served`: it was usable before. */
  #lost(source: Source, link: Client, served: boolean): void {
    const reported = this.#troubles.has(source) || (source === 'commands' && this.#troubles.has('answers'))
    if (this.#renewed.delete(link) || this.#closed || reported) return
    const ended = `Redis at ${this.#place.address} has closed the connection: is it still running? Reconnecting`
    this.#note(source, served ? ended : new Error('Connection is closed'))
  }

  /**
   * Checks that the database is there (ioredis goes on in another one), and the version of Redis: without the right to
   * ask, it counts as new enough.
   */
  async #checkServer(): Promise<void> {
    const { commands } = this.#connections
    const { db } = this.#place
    this.#renewed.delete(commands)
    let info = ''
    try {
      if (db > 0) await commands.call('select', String(db))
      info = await commands.info('server').catch((error: unknown) => {
        if (/NOPERM/.test(String(error))) return ''
        throw error
      })
    } catch (error) {
      if (commands.status !== 'ready') return // its own events tell why
      this.#note('commands', error)
      return this.#renew(commands)
    }
    if (commands.status !== 'ready') return
    const version = /^redis_version:(\S+)/m.exec(info)?.[1]
    const old = version === undefined ? undefined : tooOld(version)
    this.#note('version', old === undefined ? undefined : `${old} (it runs at ${this.#place.address})`)
    this.#note('commands', undefined)
    this.#note('answers', undefined)
    this.#usable = old === undefined
    if (!this.#usable) return
    for (const writer of this.#takeWaiting()) writer.flush()
    this.#reader.pump()
    if (this.#connections.channels === undefined) await this.#begin()
  }

  /** Reads everything again; then trouble is over. */
  async #begin(): Promise<void> {
    await this.#sync(this.#listeners)
    if (!this.#canListen) return
    this.#note('channels', undefined)
    this.#starting = false
    this.#report()
  }

  async #subscribe(): Promise<void> {
    const { channels } = this.#connections
    if (channels === undefined) return
    this.#renewed.delete(channels)
    const { db } = this.#place
    try {
      await Promise.all([channels.subscribe(channelOf(db)), channels.psubscribe(proberChannel(db, '*'))])
    } catch (error) {
      if (channels.status !== 'ready' || this.#closed) return
      this.#note('channels', error)
      setTimeout(() => channels.status === 'ready' && void this.#subscribe(), PATIENCE_MS).unref()
      return
    }
    this.#subscribed = true
    this.#heardTurn = this.#turn
    await this.#begin()
  }

  async #sync(listeners: Iterable<Listener>): Promise<void> {
    await Promise.all(Array.from(listeners, (listener) => listener.sync()))
  }

  /** One turn of the clock. */
  #tick(): void {
    this.#turn++
    for (const listener of this.#listeners) listener.tick()
    let rival: string | undefined
    for (const writer of this.#suspicious) {
      if (writer.suspects) rival ??= writer.rival()
      else this.#suspicious.delete(writer)
    }
    for (const [text, turn] of this.#refusals) if (this.#turn - turn > REFUSAL_TURNS) this.#refusals.delete(text)
    this.#note('rival', rival)
    if (this.#subscribed && this.#turn - this.#heardTurn > ECHO_TURNS) void this.#checkChannels()
  }

  /** Nothing was heard for two heartbeats, not even this process's own: pings or reopens the channel. */
  async #checkChannels(): Promise<void> {
    const { channels } = this.#connections
    if (this.#pinging || channels === undefined) return
    if (this.#answeredTurn > this.#heardTurn + 1) {
      this.#note('channels', `Redis at ${this.#place.address} does not deliver what is published: reconnecting`)
      return this.#renew(channels)
    }
    this.#pinging = true
    try {
      await inTime(this.#settings.answerMs ?? ANSWER_MS, channels.ping())
      this.#heardTurn = this.#turn
    } catch (error) {
      if (channels.status !== 'ready') return
      this.#note('channels', error)
      this.#renew(channels)
    } finally {
      this.#pinging = false
    }
  }

  /** Records the trouble of a source; undefined: it has none. A text is used as it is. */
  #note(source: Source, error: unknown): void {
    if (error === undefined) this.#troubles.delete(source)
    else {
      const text = typeof error === 'string' ? error : explain(error, this.#place)
      const isKnown = this.#troubles.has(source) && typeof error !== 'string' && isEnd(error)
      if ((source === 'answers' || source === 'reads') && isRefusal(error)) this.#refusals.set(text, this.#turn)
      else if (!isKnown) this.#troubles.set(source, text)
      this.#starting = false
      this.#stopWaiting()
    }
    this.#report()
  }

  #report(): void {
    const [refusal] = this.#refusals.keys()
    const trouble = SOURCES.map(
      (source) => this.#troubles.get(source) ?? (source === 'answers' ? refusal : undefined),
    ).find((text) => text !== undefined)
    if (trouble === this.#reported || this.#closed) return
    if (this.#reported === undefined) this.#troubleMs = performance.now()
    this.#reported = trouble
    this.#settings.onTrouble?.(trouble)
  }

  /** Releases callers that wait: the trouble is reported, and writers keep what they wrote. */
  #stopWaiting(): void {
    for (const writer of this.#waiting) writer.stopWaiting()
  }

  #takeWaiting(): HashWriter[] {
    const waiting = [...this.#waiting]
    this.#waiting.clear()
    return waiting
  }
}

/** Redis answered with an error. */
const isRefusal = (error: unknown): boolean => error instanceof Error && error.name === 'ReplyError'

/** No answer in time. */
class Late extends Error {
  constructor() {
    super('Command timed out')
  }
}

/** The promise, but no longer than that. What it still does is nobody's concern. */
const inTime = <T>(ms: number, promise: Promise<T>): Promise<T> =>
  within(ms, promise, () => {
    throw new Late()
  })
