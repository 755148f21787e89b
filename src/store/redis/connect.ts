/**
 * Opens the connections to Redis; the only file that imports ioredis. Each Store has three: one for commands, one for
 * large reads and one for channels, so that neither a heartbeat nor a hint waits behind 10,000 votes. All of them
 * reconnect by themselves.
 */
import { Cluster, Command, Redis, type RedisOptions } from 'ioredis'
import { ReplyLimit } from './limit.ts'
import type { RedisPlace, RedisTls } from './url.ts'

/** A connection to a server or a cluster. */
export type Client = Redis | Cluster
/** A connection that subscribes to channels. */
export type ChannelClient = Redis

type Options = Omit<RedisOptions, 'replyMapping'>

/** The connections of one Store. */
export interface Connections {
  readonly commands: Client
  readonly bulk: Client
  /** undefined: this process does not subscribe; it polls. */
  readonly channels: ChannelClient | undefined
}

/** Longest time that a command waits, the handshake included: Redis may hang with its socket open. */
const HANDSHAKE_MS = 2000
const READ_MS = 10_000
const CONNECT_MS = 3000
/**
 * A connection with a pending command on which nothing arrives for so long is closed and opened again. The kernel alone
 * would wait for 15 minutes: a host without power or network closes nothing.
 */
const SILENT_MS = 10_000
/** A peer gets so long to answer the end of a connection. */
const PARTING_MS = 50
const RETRY_FIRST_MS = 100
const RETRY_MAX_MS = 1000

// An object of 10,000 keys takes longer to make than to read.
Command.setReplyTransformer('hgetall', (reply: unknown) => reply)

/** A hash as Redis sends it: field, value, field, value …; empty: it does not exist. */
export async function hgetall(from: Client, key: string): Promise<readonly string[]> {
  const reply = await from.call('hgetall', key)
  return Array.isArray(reply) ? reply : []
}

/**
 * Opens the connections. `subscribes`: also the one for channels. `onDropped`: called when a value was longer than any
 * of Meridian's; an empty one was read instead.
 */
export function connect(
  place: RedisPlace,
  subscribes: boolean,
  onDropped: (what: string) => void,
  silentMs = SILENT_MS,
): Connections {
  const limited = (made: Client) => {
    if (made instanceof Cluster) made.on('+node', (node: Redis) => limitReplies(node, onDropped))
    else limitReplies(made, onDropped)
    return made
  }
  const channels = subscribes ? channelClient(place, silentMs) : undefined
  if (channels !== undefined) limitReplies(channels, onDropped)
  const made = (patienceMs: number) => limited(client(place, patienceMs, silentMs))
  return { commands: made(HANDSHAKE_MS), bulk: made(READ_MS), channels }
}

/** Puts a ReplyLimit before the parser of each connection that the client opens. */
function limitReplies(redis: Redis, onDropped: (what: string) => void): void {
  redis.on('connect', () => {
    const { stream } = redis
    // nothing has come yet: the event is of the same turn as the parser
    const [parse] = stream.listeners('data')
    if (!takesData(parse)) throw new Error('ioredis reads its socket in another way than it did')
    const limit = new ReplyLimit(onDropped)
    // the parser first, as before: what counts pending commands looks after it
    stream.prependListener('data', (chunk: Buffer) => {
      for (const part of limit.pass(chunk)) parse(part)
    })
    stream.removeListener('data', parse)
  })
}

const takesData = (listener: unknown): listener is (chunk: Buffer) => void => typeof listener === 'function'

/** Delay before a reconnect: between 0.1 and 2 s, randomised so that clients do not reconnect at once. */
const retryMs = (times: number): number =>
  Math.min(RETRY_FIRST_MS * 2 ** Math.min(times, 10), RETRY_MAX_MS) * (1 + Math.random())

/** Options of every connection. ioredis queues and resends nothing: writers keep what they wrote (writer.ts). */
function common({ user, password, db, tls }: RedisPlace, commandTimeout: number, socketTimeout: number): Options {
  return {
    commandTimeout,
    socketTimeout,
    connectTimeout: CONNECT_MS,
    disconnectTimeout: PARTING_MS,
    retryStrategy: retryMs,
    maxRetriesPerRequest: null,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    autoResubscribe: false,
    disableClientInfo: true,
    keepAlive: 10_000,
    db,
    ...(user === undefined ? {} : { username: user }),
    ...(password === undefined ? {} : { password }),
    ...(tls === undefined ? {} : { tls: tlsOptions(tls) }),
  }
}

/** Without `ca` the authorities of authorities.ts count; an intermediate one among them suffices, as it does for curl. */
const tlsOptions = (tls: RedisTls) => ({ ...tls, allowPartialTrustChain: true })

function client(place: RedisPlace, commandTimeout: number, silentMs: number): Client {
  const options = common(place, commandTimeout, silentMs)
  if (place.kind !== 'cluster') return new Redis({ ...options, ...doorOf(place) })
  return new Cluster([...place.hosts], {
    enableOfflineQueue: false,
    clusterRetryStrategy: retryMs,
    slotsRefreshTimeout: HANDSHAKE_MS,
    dnsLookup: (address, callback) => callback(null, address), // names stay names: certificates are made out to them
    redisOptions: options,
  })
}

/**
 * The connection for channels. In a cluster every node delivers what any node publishes; when one fails, the next is
 * tried.
 */
function channelClient(place: RedisPlace, silentMs: number): Redis {
  const options = common(place, HANDSHAKE_MS, silentMs)
  if (place.kind !== 'cluster') return new Redis({ ...options, ...doorOf(place) })
  let turn = 0
  const redis = new Redis({
    ...options,
    ...place.hosts[0]!,
    retryStrategy: (times) => {
      Object.assign(redis.options, place.hosts[++turn % place.hosts.length])
      return retryMs(times)
    },
  })
  return redis
}

function doorOf({ kind, hosts, master, tls, sentinelUser, sentinelPassword }: RedisPlace): Options {
  if (kind === 'single') return { ...hosts[0]! }
  return {
    sentinels: [...hosts],
    name: master,
    sentinelRetryStrategy: retryMs,
    sentinelCommandTimeout: HANDSHAKE_MS,
    ...(tls === undefined ? {} : { enableTLSForSentinelMode: true, sentinelTLS: tlsOptions(tls) }),
    ...(sentinelUser === undefined ? {} : { sentinelUsername: sentinelUser }),
    ...(sentinelPassword === undefined ? {} : { sentinelPassword }),
  }
}
