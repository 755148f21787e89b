/**
 * The authority and additional sections: the SOA of a negative answer, and the name servers and glue of a delegation.
 * Called by answer.ts and steer.ts.
 */
import { TYPE } from '../dns/types.ts'
import {
  exactNode,
  findRRset,
  N_APEX,
  N_CUT,
  NEGATIVE_SOA,
  NODE_INTS,
  R_AT,
  R_COUNT,
  R_NAMES,
  S_NEXT,
  S_SERVICE,
  STEERED_INTS,
} from '../zone/image.ts'
import { recordTtl } from '../zone/pack.ts'
import type { Responder } from './responder.ts'
import { putRRset } from './response.ts'

/**
 * Writes a negative answer (RFC 2308 §3): the zone's SOA in authority, with the TTL of negative answers. For a steered
 * name that TTL is at most the least `ttl.min` of its services, so that resolvers ask again soon. `steered`: the node's
 * first steered entry, −1 = none.
 */
export function negative(responder: Responder, node: number, steered: number): number {
  const { response, query } = responder
  const { image, services } = responder.world
  const apex = image.nodes[node * NODE_INTS + N_APEX]!
  const soa = findRRset(image, apex, NEGATIVE_SOA)
  let ttl = recordTtl(image.bytes, image.rrsets[soa + R_AT]!)
  for (let entry = steered; entry >= 0; entry = image.steered[entry * STEERED_INTS + S_NEXT]!) {
    const least = services[image.steered[entry * STEERED_INTS + S_SERVICE]!]!.ttlMinSeconds
    if (least < ttl) ttl = least
  }
  response.authorities += putRRset(response, image, query, soa, apex, ttl)
  return 0
}

/**
 * Writes a delegation (RFC 1034 §4.3.2 step 3b): the cut's NS in authority, the name servers' addresses in additional.
 */
export function delegate(responder: Responder, cut: number): number {
  const { response, query } = responder
  const { image } = responder.world
  const ns = findRRset(image, cut, TYPE.NS)
  response.authorities += putRRset(response, image, query, ns, cut, -1)
  const first = image.rrsets[ns + R_NAMES]!
  const end = first + image.rrsets[ns + R_COUNT]!
  // RFC 9471 §3: without all glue below this cut the response is truncated; other addresses are added if they fit
  for (let pass = 0; pass < 2; pass++) {
    for (let ref = first; ref < end && !response.overflow; ref++) putGlue(responder, cut, image.refs[ref]!, pass === 0)
    if (pass === 1) response.overflow = false
    else if (response.overflow) break
  }
  return 0
}

/** Writes the addresses of a name server: with `required` only if it is below this cut, without only if it is not. */
function putGlue({ response, query, world }: Responder, cut: number, server: number, required: boolean): void {
  const { image } = world
  const node = exactNode(image, server)
  if (node < 0) return
  const own = cut === image.nodes[node * NODE_INTS + N_CUT]
  if (own !== required) return
  for (const type of GLUE_TYPES) {
    const rrset = findRRset(image, node, type)
    if (rrset >= 0) response.additionals += putRRset(response, image, query, rrset, server, -1)
  }
}

const GLUE_TYPES = [TYPE.A, TYPE.AAAA] as const
