/**
 * All names of keys, fields and channels in Redis; nothing else knows any. The one hash tag puts them into one slot of a
 * cluster, so that scripts may touch several. There are no scans: the indexes name everything that there is.
 *
 *   {meridian}:prober:NAME   hash with a lease: @boot @region @n @beat @ended @rival, and a field for each target's vote
 *   {meridian}:node:NAME     hash with a lease: the same, and a field for each member that the node knows of
 *   {meridian}:probers       zset of names, scored by Redis's clock in ms when they were last heard
 *   {meridian}:nodes         the same of nodes
 *   {meridian}:overrides     hash pattern → `ms json`, and @rev, which is new after each change
 *   {meridian}:DB            the channel; it names the database, for channels know none
 */

export type Kind = 'prober' | 'node'

const TAG = '{meridian}'

export const hashKey = (kind: Kind, name: string): string => `${TAG}:${kind}:${name}`
export const indexKey = (kind: Kind): string => `${TAG}:${kind}s`
export const OVERRIDES_KEY = `${TAG}:overrides`
export const channelOf = (db: number): string => `${TAG}:${db}`

/** Fields that are no target, member or pattern begin with this; the Lua files spell them out. */
export const RESERVED = '@'
export const HEAD_FIELDS = ['@boot', '@region', '@n', '@beat'] as const
export const REV_FIELD = '@rev'
