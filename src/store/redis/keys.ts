/**
 * All names of keys, fields and channels in Redis; nothing else knows any. The one hash tag puts them into one slot of a
 * cluster, so that scripts may touch several. There are no scans: the indexes name everything that there is.
 *
 *   key                      what it is                                                          who writes it
 *   {meridian}:prober:NAME   hash with a lease: HEAD_FIELDS, and a field for each target's vote   that prober alone
 *   {meridian}:node:NAME     hash with a lease: the same, a field for each member that it knows   nodes
 *   {meridian}:probers       zset of names, scored by Redis's clock in ms when they were heard    nodes
 *   {meridian}:nodes         the same of nodes                                                    nodes
 *   {meridian}:overrides     hash pattern → `ms json`, and @rev, which is new after each change   nodes
 *   {meridian}:forgotten     hash name → `ms boot-id`: probers that are gone for good             nodes
 *
 *   {meridian}:DB            channel: a node has changed something; DB is the database's number, for channels know none
 *   {meridian}:DB:NAME       channel: the prober NAME has said something
 *
 * Users of Redis (docs/redis.md) hold each to its own: so what is read from a hash was written by its owner. A message on a
 * channel is only a hint to read.
 */

export type Kind = 'prober' | 'node'

const TAG = '{meridian}'

export const hashKey = (kind: Kind, name: string): string => `${TAG}:${kind}:${name}`
export const indexKey = (kind: Kind): string => `${TAG}:${kind}s`
export const OVERRIDES_KEY = `${TAG}:overrides`
export const FORGOTTEN_KEY = `${TAG}:forgotten`
export const channelOf = (db: number): string => `${TAG}:${db}`
export const proberChannel = (db: number, name: string): string => `${channelOf(db)}:${name}`

/** The prober whose channel it is; undefined: it is none of those. */
export function proberOfChannel(db: number, channel: string): string | undefined {
  const before = proberChannel(db, '')
  return channel.startsWith(before) ? channel.slice(before.length) : undefined
}

/** Fields that are no target, member or pattern begin with this; the Lua files spell them out. */
export const RESERVED = '@'
export const HEAD_FIELDS = ['@boot', '@region', '@n', '@beat', '@sum', '@mac'] as const
export const REV_FIELD = '@rev'

/** A prober has said another vote, or only its heartbeat; a node has changed overrides, has a heartbeat, or forgets a prober. */
export const HINTS = { change: 'change', beat: 'beat', overrides: 'overrides', forgotten: 'forgotten' } as const
