/**
 * The rate limits that the node's settings ask for, as plain data that is posted to the answering threads. Made once by
 * the main thread; the table of proofs in it is shared by all threads.
 */
import type { Prefix } from '../../dns/address.ts'
import { parsePrefix } from '../../dns/address.ts'
import { layOut, trieOf } from '../../geo/binary.ts'
import { allocateShared } from '../../geo/memory.ts'
import type { Trie } from '../../geo/trie.ts'
import { makeProofs } from './proofs.ts'

/**
 * Kinds of responses with a rate of their own: names that exist (records, and none of the type); names that do not;
 * delegations; REFUSED, FORMERR and the like.
 */
export const ACCOUNTS = ['answers', 'negatives', 'referrals', 'errors'] as const
/** Indexes into ACCOUNTS. */
export const ANSWERS = 0
export const NEGATIVES = 1
export const REFERRALS = 2
export const ERRORS = 3

/** Rate limits of a node. */
export interface Limits {
  /** Responses a second to one network that has not proven its address, by account; 0 = no limit. */
  readonly perSecond: readonly number[]
  /** Answers a second to all networks together that have not proven their address; 0 = no limit. */
  readonly unproven: number
  /** Of the responses to a network over its rate each so-many-th is sent, truncated; 1 = all. */
  readonly slip: number
  /** Leaves are 1 for networks that are never limited. */
  readonly exempt: { readonly v4: Trie; readonly v6: Trie }
  /** The threads that answer UDP: each has its part of each rate. */
  readonly threads: number
  /** See proofs.ts. */
  readonly proofs: Int32Array
  /** Of the hash of networks, any 32 bits that nobody else knows. */
  readonly seed: number
}

/** Limits as an operator writes them. `exempt`: valid prefixes; loopback is always among them. */
export interface LimitSettings extends Pick<Limits, 'perSecond' | 'unproven' | 'slip' | 'threads'> {
  readonly exempt: readonly string[]
}

const LOOPBACK = ['127.0.0.0/8', '::1/128']

/** Limits, with nobody proven yet. */
export function makeLimits({ exempt, ...rates }: LimitSettings, seed: number): Limits {
  const prefixes = [...LOOPBACK, ...exempt].map((text) => parsePrefix(text)!)
  return {
    ...rates,
    exempt: { v4: trieFor(prefixes, 4), v6: trieFor(prefixes, 6) },
    proofs: makeProofs(),
    seed,
  }
}

function trieFor(prefixes: readonly Prefix[], family: 4 | 6): Trie {
  const own = prefixes.filter((prefix) => prefix.family === family).map((prefix) => ({ ...prefix, value: 1 }))
  return layOut(trieOf(own, 0), allocateShared, (value) => value)
}
