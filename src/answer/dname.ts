/**
 * DNAME (RFC 6672): a name below the owner of a DNAME is an alias of the name that has the DNAME's target in place of
 * that owner. The answer has the DNAME, and a CNAME that is made of it for resolvers. Called by answer.ts.
 */
import { hashSuffixes, labelStarts, LOWER, MAX_NAME_BYTES, wireBytes } from '../dns/name.ts'
import { RCODE, TYPE } from '../dns/types.ts'
import { findRRset, N_NAME, N_NAME_BYTES, NODE_INTS, R_AT } from '../zone/image.ts'
import { RECORD_HEAD, recordEnd, recordTtl } from '../zone/pack.ts'
import { AA, type Responder } from './responder.ts'
import { putAlias, putRRset, QUERY_NAME } from './response.ts'

/**
 * Writes the DNAME of `node`, unless the answer has it already (`isShown`), and the CNAME that it makes of the name
 * `owner`, which is below that node (RFC 6672 §3.2). Fills `responder.alias` with the CNAME's target and returns −n, where
 * n is the byte of the message at which that name is; an outcome, 0 or more, if nothing is to be looked up any more.
 */
export function redirect(responder: Responder, owner: number, node: number, isShown: boolean): number {
  const { response, query, alias } = responder
  const { image } = responder.world
  const { nodes, bytes } = image
  const rrset = findRRset(image, node, TYPE.DNAME)
  const record = image.rrsets[rrset + R_AT]!
  const target = record + RECORD_HEAD
  const size = recordEnd(bytes, record) - target
  let targetAt = 0
  if (!isShown) {
    response.answers += putRRset(response, image, query, rrset, node, -1)
    targetAt = response.at - response.start - size // its RDATA ends the message so far
  }
  // the name as it was asked for, in the question; as it was made by another DNAME; or as it is written in the zones
  const name = owner === QUERY_NAME ? response.out : owner < 0 ? alias.name : bytes
  const at = owner === QUERY_NAME ? response.start - owner : owner < 0 ? 0 : nodes[owner * NODE_INTS + N_NAME]!
  const prefix = wireBytes(name, at) - nodes[node * NODE_INTS + N_NAME_BYTES]!
  if (prefix + size > MAX_NAME_BYTES) return AA | RCODE.YXDOMAIN
  const ttl = recordTtl(bytes, record) // §3.1: the CNAME has the DNAME's TTL
  const offset = putAlias(response, image, owner, ttl, name, at, prefix, targetAt, bytes, target, size)
  // a query for CNAME is answered by what was made (§3.2); one for ANY ends where a CNAME of its own would end it
  if (offset === 0 || query.type === TYPE.CNAME || query.type === TYPE.ANY) return AA
  for (let i = 0; i < prefix; i++) alias.name[i] = LOWER[name[at + i]!]!
  for (let i = 0; i < size; i++) alias.name[prefix + i] = LOWER[bytes[target + i]!]!
  alias.nameBytes = prefix + size
  alias.labels = labelStarts(alias.name, 0, alias.labelAt)
  hashSuffixes(alias.name, 0, alias.labelAt, alias.labels, alias.hashes, image.seed)
  return -offset
}
