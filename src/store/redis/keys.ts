/**
 * All names of keys, fields and channels in Redis; no other file spells one out. The one hash tag puts them into one
 * slot of a cluster, so that scripts may touch several. There are no scans: the indexes name everything that there is.
 *
 *   key                      what it is                                                          who writes it
 *   {meridian}:prober:NAME   hash with a lease: HEAD_FIELDS, and a field for each target's vote   that prober alone
 *   {meridian}:node:NAME     hash with a lease: the same, a field for each member that it knows   nodes
 *   {meridian}:probers       zset of names, score: Redis's clock in ms when last heard            nodes
 *   {meridian}:nodes         the same of nodes                                                    nodes
 *   {meridian}:overrides     hash pattern → `ms json`, ms: when it was set, by Redis's clock;     nodes
 *                            and @rev, which is new after each change
 *   {meridian}:forgotten     hash name → `ms boot-id id mac`: probers, and as node:NAME nodes,   nodes
 *                            that are gone for good
 *   {meridian}:events        hash id → line of an event that nodes saw, and @KEY → id: event.2.lua      nodes
 *   {meridian}:event-order   zset of their ids, in the order in which they came or changed              nodes
 *   {meridian}:told          hash what → `ms state id mac`: the last change of it that receivers of      nodes
 *                            notifications were told of, and in which message
 *   {meridian}:sendings      hash id → `ms node boot-id receivers mac`: who sends a message, and who    nodes
 *                            has it
 *   {meridian}:announced     hash NAME → `ms boot-id mac`: nodes that are announced and answer         nodes
 *
 *   {meridian}:DB            channel: a node has changed something; DB is the database's number, for channels know none
 *   {meridian}:DB:NAME       channel: the prober NAME has said something
 *
 * Users of Redis (docs/redis.md) hold each to its own: so what is read from a hash was written by its owner. A message
 * on a channel is only a hint to read.
 */
import type { ProcessName } from '../../health/store.ts'

/** Which kind of process owns a hash. */
export type Kind = ProcessName['kind']

const TAG = '{meridian}'

/** Key of the hash of a prober or node. */
export const hashKey = (kind: Kind, name: string): string => `${TAG}:${kind}:${name}`
/** Key of the index (sorted set) of probers or nodes. */
export const indexKey = (kind: Kind): string => `${TAG}:${kind}s`
/** Key of the hash of overrides. */
export const OVERRIDES_KEY = `${TAG}:overrides`
/** Key of the hash of decommissioned probers and nodes. */
export const FORGOTTEN_KEY = `${TAG}:forgotten`
/** Key of the hash of events. */
export const EVENTS_KEY = `${TAG}:events`
/** Key of the order of events (sorted set). */
export const EVENT_ORDER_KEY = `${TAG}:event-order`
/** Key of the hash of what was told last of each thing. */
export const TOLD_KEY = `${TAG}:told`
/** Key of the hash of who sends each message. */
export const SENDINGS_KEY = `${TAG}:sendings`
/** Key of the hash of who is announced. */
export const ANNOUNCED_KEY = `${TAG}:announced`
const NODE_FIELD = 'node:' // no name has a colon
/** The field of a decommissioned process. */
export const forgottenField = ({ kind, name }: ProcessName): string => (kind === 'node' ? `${NODE_FIELD}${name}` : name)
/** The process that a field is about. */
export const processOfField = (field: string): ProcessName =>
  field.startsWith(NODE_FIELD)
    ? { kind: 'node', name: field.slice(NODE_FIELD.length) }
    : { kind: 'prober', name: field }
/** Channel of nodes in a database. */
export const channelOf = (db: number): string => `${TAG}:${db}`
/** Channel of a prober in a database. */
export const proberChannel = (db: number, name: string): string => `${channelOf(db)}:${name}`

/** The prober whose channel it is; undefined: it is no prober's channel. */
export function proberOfChannel(db: number, channel: string): string | undefined {
  const before = proberChannel(db, '')
  return channel.startsWith(before) ? channel.slice(before.length) : undefined
}

/** Prefix of fields that are no target, member or pattern. The Lua files spell these names out. */
export const RESERVED = '@'
/** Fields that describe a hash, in the order of since.n.lua. */
export const HEAD_FIELDS = ['@boot', '@region', '@n', '@beat', '@sum', '@mac'] as const
/** Field of the overrides' revision, new after each change. */
export const REV_FIELD = '@rev'
/** Field that overrides.1.lua adds: Redis's clock in ms, by which their ages are told. */
export const NOW_FIELD = '@now'

/**
 * First words of messages on channels: a prober changed a vote or only sent a heartbeat; a node changed overrides or
 * forgot a prober. A change goes on with the boot id and the line of the log, where there is one: readMessage().
 */
export const HINTS = { change: 'change', beat: 'beat', overrides: 'overrides', forgotten: 'forgotten' } as const
