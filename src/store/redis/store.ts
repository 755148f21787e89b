/**
 * The Store in Redis: several processes, one board. It is never the truth: all that it holds, those who said it remember
 * (writer.ts) and write again; whoever listens (listener.ts) keeps what was heard last while Redis is away.
 *
 *   Board, NodeBoard ─ Post ──▶ lua ──▶ hash, hint on a channel
 *   Audience ◀─ Listener ◀── hash ◀── hint, or time
 *
 * Made at once and never failing: that Redis can't be used is a state, `trouble`, with what to do about it.
 */
import { Refusals } from '../../health/refusals.ts'
import {
  type StoreSubscriber,
  type ProberWriter,
  type KnownMember,
  LEASE_MS,
  type NodeWriter,
  type NodeIdentity,
  type ProberIdentity,
  type Store,
} from '../../health/store.ts'
import { within } from '../../health/within.ts'
import { formatAge } from '../../units.ts'
import { type Client, connect, type Connections, type ChannelClient } from './connect.ts'
import type { Fields } from './fields.ts'
import { channelOf, FORGOTTEN_KEY, HINTS, indexKey, proberChannel, proberOfChannel } from './keys.ts'
import { Listener, signedHead } from './listener.ts'
import { Reader } from './reader.ts'
import { ADMIT, WRITE } from './scripts.ts'
import { Signer } from './signer.ts'
import { Intern, readKnown } from './text.ts'
import { explain, tooOld } from './trouble.ts'
import { parseRedisUrl, type RedisPlace } from './url.ts'
import { type HashWriterContext, HashWriter } from './writer.ts'
import { makeNodeWriter, makeProberWriter } from './writers.ts'

export { parseRedisUrl } from './url.ts'

export interface RedisStoreSettings {
  /** After so much silence a poster is gone; LEASE_MS unless a test says otherwise. */
  readonly leaseMs?: number
  /** A call that takes longer is trouble. */
  readonly answerMs?: number
  /** A connection on which a call waits and nothing comes for so long is made anew; 10 s unless a test says otherwise. */
  readonly silentMs?: number
  /**
   * A node is told of changes on channels, and keeps the index of probers. A prober asks for them each turn of POLL_TURNS
   * (listener.ts), so its user needs no right to any channel but its own.
   */
  readonly role?: 'node' | 'prober'
  /** The setting `redis.secret`. */
  readonly secrets?: readonly string[]
  /** Called when trouble begins, becomes another one, or ends (undefined). */
  readonly onTrouble?: (trouble: string | undefined) => void
  /** A line about what was read and not taken: at most one a minute for each kind. */
  readonly onRefused?: (line: string) => void
}

const ANSWER_MS = 500
/** More for each argument: 10,000 votes over a slow line. */
const ARGUMENT_MS = 0.25
/**
 * Turns of the Store's clock in a lease. Silence is measured by these and not by time: a process that stood still first
 * hears what has come meanwhile.
 */
const LEASE_TURNS = 12
/** Two heartbeats, in which one's own should have been heard. */
const ECHO_TURNS = 8
/**
 * What Redis refuses is said again at each heartbeat; when for so long it refused nothing, that is over. A success of another
 * command ends nothing: where a user may do one thing and not the other, trouble would come and go every second.
 */
const REFUSAL_TURNS = 10
/** listen() resolves when for so long nothing comes. */
const PATIENCE_MS = 2000
/** When for so long no call was answered, the connection is made anew. */
const UNANSWERED_MS = 1500

type Source = 'version' | 'commands' | 'answers' | 'channels' | 'reads' | 'rival'
/** The first that has trouble is told. */
const SOURCES: readonly Source[] = ['version', 'commands', 'answers', 'channels', 'reads', 'rival']

/** Throws only for a URL that parseRedisUrl() refuses. */
export function openRedisStore(url: string, settings: RedisStoreSettings = {}): RedisStore {
  const place = parseRedisUrl(url)
  if (typeof place === 'string') throw new Error(`the setting \`redis\` ${place}`)
  return new RedisStore(place, settings)
}

export class RedisStore implements Store {
  readonly shared = true
  readonly refusals: Refusals
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
  /** Names of this process's own nodes. */
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
    if (this.#starting) return `Redis at ${this.#place.address} is being connected to, and read`
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
      bootOf: (prober) => Array.from(this.#listeners, (listener) => listener.bootOf(prober)).find(Boolean) ?? '',
    })
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

  /** Until it has heard all that is there, or nothing has come for a while. */
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
    const done = await this.#attempt(async (client) => (answer = await WRITE.list(client, keys, args)), patienceMs)
    if (!done) throw new Error('Redis is away')
    this.#answeredTurn = this.#turn
    return answer
  }

  /** Runs it; false, and the trouble is told: it failed, or took too long. */
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

  /** Probers that are heard, for those who connect later. */
  async #admit(names: readonly string[]): Promise<void> {
    await this.#attempt((client) => ADMIT.run(client, [indexKey('prober'), FORGOTTEN_KEY], names))
  }

  #watchLinks(): void {
    const { commands, bulk, channels } = this.#connections
    commands.on('ready', () => void this.#checkVersion())
    commands.on('error', (error) => this.#note('commands', error))
    commands.on('close', () => {
      const served = this.#usable
      this.#usable = false
      this.#unansweredMs = undefined
      this.#reader.lost(commands)
      this.#lost('commands', served)
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
      this.#lost('channels', served)
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
      if (name !== undefined) for (const listener of this.#listeners) listener.hint(name, text === HINTS.change)
    })
  }

  /** Who listens here can be told what there is: Redis is reached, and channels, where they are needed, are subscribed to. */
  get #canListen(): boolean {
    return this.#connections.channels === undefined ? this.#usable : this.#subscribed
  }

  /** Ends a connection, and it is made anew; nothing is expected of it from now on. */
  #renew(link: Client): void {
    if (link === this.#connections.commands) this.#usable = false
    else this.#subscribed = false
    link.disconnect(true)
  }

  /** A connection ended; unless an error has said why. `served`: it could be used before. */
  #lost(source: Source, served: boolean): void {
    const reported = this.#troubles.has(source) || (source === 'commands' && this.#troubles.has('answers'))
    if (this.#closed || reported) return
    const ended = `Redis at ${this.#place.address} has ended the connection: does it still run? Connecting anew`
    this.#note(source, served ? ended : new Error('Connection is closed'))
  }

  /** Is it new enough? A user who may not ask is believed. */
  async #checkVersion(): Promise<void> {
    const { commands } = this.#connections
    let info = ''
    try {
      info = await commands.info('server')
    } catch (error) {
      if (!/NOPERM/.test(String(error))) return this.#renew(commands)
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

  /** All is read anew; then trouble is over, if there was any. */
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

  /** Nothing was heard for two heartbeats: not even this process's own, or it has none and asks. */
  async #checkChannels(): Promise<void> {
    const { channels } = this.#connections
    if (this.#pinging || channels === undefined) return
    if (this.#answeredTurn > this.#heardTurn + 1) {
      this.#note('channels', `Redis at ${this.#place.address} does not pass on what is published: connecting anew`)
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

  /** A text is told as it is; undefined = no trouble of this source. */
  #note(source: Source, error: unknown): void {
    if (error === undefined) this.#troubles.delete(source)
    else {
      const text = typeof error === 'string' ? error : explain(error, this.#place)
      if ((source === 'answers' || source === 'reads') && isRefusal(error)) this.#refusals.set(text, this.#turn)
      else this.#troubles.set(source, text)
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

  /** Whoever waits goes on: the trouble is told, and what was said is remembered. */
  #stopWaiting(): void {
    for (const writer of this.#waiting) writer.stopWaiting()
  }

  #takeWaiting(): HashWriter[] {
    const waiting = [...this.#waiting]
    this.#waiting.clear()
    return waiting
  }
}

/** Redis has heard the command, and said no. */
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
