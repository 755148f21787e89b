/**
 * RESPONSE RATE LIMITS over UDP, so that nobody is flooded by answers to queries that somebody else sent in his name.
 * respond() asks judge() when it knows what kind of response a query gets, before it makes one. No system call, no
 * allocation, memory of a fixed size: each answering thread has a table of its own, and its part of each rate.
 *
 *   network (/24, /56) × account ─▶ over its rate?            ─▶ each `slip`-th truncated, the others dropped
 *   not proven (proofs.ts)       ─▶ all such over their rate? ─▶ truncated
 *
 * A level is the time until which a rate is used up, so it falls by itself (the generic cell rate algorithm, ITU-T
 * I.371). A second's worth may come at once. A limited response uses half of what an answer does: above twice its rate a
 * network gets nothing but truncated responses, which have the size of their queries.
 *
 * The table has sets of three networks, each set in one cache line, found by a hash with a secret seed:
 *
 *   hash of the network, two lowest bits: PROVEN, EXEMPT │ a level for each account │ …twice more │ -
 *
 * A newcomer takes the place of the network with the lowest level, and begins at 0. So what is far above its rate keeps
 * its place, and nobody is limited for what others do.
 */
import { C_LIMITED, LIMITED_KINDS, UNPROVEN } from '../../counters.ts'
import { leafDepth, leafValue, walk } from '../../geo/trie.ts'
import { addHeaviest } from './heaviest.ts'
import type { Limits } from './limits.ts'
import { isProven, networkHash, prove } from './proofs.ts'

/** Results of judge(): answer; send an empty response with TC=1; send nothing. */
export const PASS = 0
export const TRUNCATE = 1
export const DROP = 2

const TICKS_PER_MS = 1024
const TICKS_PER_SECOND = 1000 * TICKS_PER_MS
/** How far ahead of the present a level may be before its network is over its rate, and at most. */
const BURST = TICKS_PER_SECOND
const MOST = 2 * TICKS_PER_SECOND
/** A proven network may have so many times the rates. */
const PROVEN_FACTOR = 10

/** Flags of an entry, in the two lowest bits of its hash: the network has proven its address; all of it is exempt. */
const PROVEN = 1
const EXEMPT = 2
/** Bits of an address that are its network. */
const NETWORK_BITS = { 4: 24, 6: 56 } as const

const ACCOUNT_LEVELS = 4
const ENTRY = 1 + ACCOUNT_LEVELS
const SET = 16
const SETS = 1 << 12
/** Behind the sets: the level that all unproven networks share. */
const SHARED = SETS * SET
/** One call in so many looks up whether the network is proven although its entry says it; the others believe it. */
const RENEW = 64
/** One limited response in so many is counted to its network, for all of them. */
const SAMPLE = 16

/** The state of one answering thread. */
export interface Limiter {
  readonly limits: Limits
  /** Levels are ticks of Unix time, the low 32 bits. */
  readonly table: Int32Array
  /** What one response costs, in ticks: by account, then by account for proven networks; 0 = no limit. */
  readonly costs: Int32Array
  readonly unprovenCost: number
  calls: number
  /** Limited responses, and those since the last that was sent. */
  limited: number
  slipped: number
  /** The time of the last call, and in ticks and minutes. */
  nowMs: number
  ticks: number
  minute: number
}

/** A Limiter that has seen nothing. */
export function makeLimiter(limits: Limits): Limiter {
  const costOf = (perSecond: number): number =>
    perSecond === 0 ? 0 : Math.min(MOST, Math.max(1, Math.round((TICKS_PER_SECOND * limits.threads) / perSecond)))
  const { perSecond } = limits
  return {
    limits,
    table: new Int32Array(SHARED + 1),
    costs: Int32Array.from([...perSecond, ...perSecond.map((rate) => rate * PROVEN_FACTOR)], costOf),
    unprovenCost: costOf(limits.unproven),
    calls: 0,
    limited: 0,
    slipped: 0,
    nowMs: 0,
    ticks: 0,
    minute: 0,
  }
}

function setTime(limiter: Limiter, nowMs: number): void {
  limiter.nowMs = nowMs
  limiter.ticks = (nowMs * TICKS_PER_MS) | 0
  limiter.minute = Math.floor(nowMs / 60_000)
}

/**
 * What becomes of a response over UDP to the client at client[at…]: PASS, TRUNCATE or DROP. `account`: one of ACCOUNTS;
 * `nowMs`: Unix time, which may step back; `counters`: the thread's, which count what is limited.
 */
export function judge(
  limiter: Limiter,
  counters: Float64Array,
  account: number,
  family: 4 | 6,
  client: Uint8Array,
  at: number,
  nowMs: number,
): number {
  if (nowMs !== limiter.nowMs) setTime(limiter, nowMs)
  const { limits, table, minute } = limiter
  const hash = networkHash(limits.seed, family, client, at)
  const entry = entryOf(limiter, hash, family, client, at)
  if ((table[entry]! & EXEMPT) !== 0) return PASS
  if ((++limiter.calls & (RENEW - 1)) === 0) setProven(table, entry, isProven(limits.proofs, hash, minute))
  let kind = charge(limiter, entry, account)
  if (kind >= 0 && (table[entry]! & PROVEN) === 0 && isProven(limits.proofs, hash, minute)) {
    setProven(table, entry, true)
    kind = charge(limiter, entry, account)
  }
  return kind < 0 ? PASS : limit(limiter, counters, kind, hash, family, client, at)
}

/** Charges a response. Returns by what it is limited, one of LIMITED_KINDS; −1 = by nothing. */
function charge(limiter: Limiter, entry: number, account: number): number {
  const { table, costs, unprovenCost } = limiter
  const proven = (table[entry]! & PROVEN) !== 0
  const cost = costs[proven ? account + ACCOUNT_LEVELS : account]!
  if (cost > 0 && raise(limiter, entry + 1 + account, cost)) return account
  return !proven && unprovenCost > 0 && raise(limiter, SHARED, unprovenCost) ? UNPROVEN : -1
}

/** Raises a level by a response; whether it was over its rate. */
function raise({ table, ticks }: Limiter, i: number, cost: number): boolean {
  const used = usedOf(table, i, ticks)
  const over = used > BURST
  table[i] = ticks + Math.min(used + (over ? (cost + 1) >> 1 : cost), MOST)
  return over
}

/** For how many ticks from now a rate is used up. What is further ahead than can be is of a clock that was set back. */
function usedOf(table: Int32Array, i: number, ticks: number): number {
  const used = (table[i]! - ticks) | 0
  return used > 0 && used <= MOST ? used : 0
}

/** Where the network's entry begins in the table. */
function entryOf(limiter: Limiter, hash: number, family: 4 | 6, client: Uint8Array, at: number): number {
  const { table } = limiter
  const set = (hash & (SETS - 1)) * SET
  if ((table[set]! ^ hash) >>> 2 === 0) return set
  if ((table[set + ENTRY]! ^ hash) >>> 2 === 0) return set + ENTRY
  if ((table[set + 2 * ENTRY]! ^ hash) >>> 2 === 0) return set + 2 * ENTRY
  return newEntry(limiter, hash, set, isExempt(limiter, family, client, at) ? EXEMPT : 0)
}

/** Whether the whole network of an address is exempt, and so needs no levels. */
function isExempt({ limits }: Limiter, family: 4 | 6, client: Uint8Array, at: number): boolean {
  const leaf = walk(family === 4 ? limits.exempt.v4 : limits.exempt.v6, client, at)
  return leafValue(leaf) !== 0 && leafDepth(leaf) <= NETWORK_BITS[family]
}

function newEntry({ table, ticks, limits, minute }: Limiter, hash: number, set: number, flags: number): number {
  let entry = set
  let least = MOST + 1
  for (let at = set; at < set + 3 * ENTRY; at += ENTRY) {
    let level = 0
    for (let i = at + 1; i < at + ENTRY; i++) level = Math.max(level, usedOf(table, i, ticks))
    if (level < least) {
      least = level
      entry = at
    }
  }
  table[entry] = (hash & ~(PROVEN | EXEMPT)) | flags
  setProven(table, entry, isProven(limits.proofs, hash, minute))
  for (let i = entry + 1; i < entry + ENTRY; i++) table[i] = ticks
  return entry
}

function setProven(table: Int32Array, entry: number, proven: boolean): void {
  table[entry] = proven ? table[entry]! | PROVEN : table[entry]! & ~PROVEN
}

function limit(
  limiter: Limiter,
  counters: Float64Array,
  kind: number,
  hash: number,
  family: 4 | 6,
  client: Uint8Array,
  at: number,
): number {
  const { exempt, proofs, slip } = limiter.limits
  if (leafValue(walk(family === 4 ? exempt.v4 : exempt.v6, client, at)) !== 0) {
    prove(proofs, hash, limiter.minute) // so that it uses nothing of what the unproven share
    return PASS
  }
  if ((limiter.limited++ & (SAMPLE - 1)) === 0) addHeaviest(counters, family, client, at, SAMPLE)
  // a newcomer is never dropped: a truncated response lets it prove itself
  const result = kind === UNPROVEN || ++limiter.slipped >= slip ? TRUNCATE : DROP
  if (result === TRUNCATE && kind !== UNPROVEN) limiter.slipped = 0
  counters[C_LIMITED + kind + (result === DROP ? LIMITED_KINDS.length : 0)]!++
  return result
}

/** Notes that the client has proven its address: by a query over a transport with a handshake. */
export function proveClient(limiter: Limiter, family: 4 | 6, client: Uint8Array, at: number, nowMs: number): void {
  if (nowMs !== limiter.nowMs) setTime(limiter, nowMs)
  prove(limiter.limits.proofs, networkHash(limiter.limits.seed, family, client, at), limiter.minute)
}
