/**
 * Answers a steered name: finds the client's class, has select() choose the VIPs, writes their addresses, and says for
 * which ECS scope the answer is valid (RFC 7871 §7.2.1). Called by answer.ts.
 */
import { C_LAST_RESORT } from '../counters.ts'
import { TYPE } from '../dns/types.ts'
import { KNOWLEDGE, NOT_READY, STALE } from '../health/table.ts'
import { CLASS_UNPLACED } from '../policy/map.ts'
import { networkKey } from '../policy/network.ts'
import { select, type Selection } from '../policy/select.ts'
import type { SteeredService } from '../policy/service.ts'
import { N_STEERED, NODE_INTS, S_NEXT, S_SERVICE, S_TTL, S_TYPES, STEERED_INTS } from '../zone/image.ts'
import { STEERS_A, STEERS_AAAA } from '../zone/pack.ts'
import { borrowedClass, locate, scopeOf } from './client.ts'
import { EDE_LAST_RESORT, EDE_NOT_READY, EDE_STALE } from './ede.ts'
import { AA, type Request, type Responder } from './responder.ts'
import { putAddress, putAlias, QUERY_NAME } from './response.ts'
import { negative } from './sections.ts'
import type { World } from './world.ts'

/**
 * Writes the answer of one steered entry for one type, STEERS_A or STEERS_AAAA. Returns an outcome: AA and the scope.
 */
export function steer(responder: Responder, request: Request, node: number, steered: number, type: number): number {
  const { response, selection, world } = responder
  const entry = steered * STEERED_INTS
  const service = world.services[world.image.steered[entry + S_SERVICE]!]!
  placeClient(responder, request, service)
  selection.type = type
  select(service, world.maps[service.map]!, responder.health, selection)
  let ttl = selection.ttlSeconds
  const cap = world.image.steered[entry + S_TTL]!
  if (cap > 0 && cap < ttl) ttl = cap
  if (responder.trace !== null) responder.trace.capped(cap)
  if (selection.lastResort) responder.counters[C_LAST_RESORT]!++
  const size = type === STEERS_A ? 4 : 16
  if (selection.useValues && service.resortName !== null) putTarget(responder, ttl, service.resortName)
  else if (selection.useValues) {
    const values = type === STEERS_A ? service.resortA : service.resortAAAA
    for (let at = 0; at < values.length; at += size) putAddress(response, typeNumber(type), ttl, values, at, size)
  } else {
    for (let i = 0; i < selection.count; i++) {
      putAddress(response, typeNumber(type), ttl, service.address, selection.vips[i]! * 16, size)
    }
  }
  if (response.answers === 0 && !response.overflow) {
    negative(responder, node, world.image.nodes[node * NODE_INTS + N_STEERED]!)
  } else responder.counters[answerCell(selection, service)]!++
  return steeredOutcome(responder, service, selection.hashed, selection.lastResort)
}

/**
 * Answers a name whose entry has STEERS_NAME, for a query of any type: with a CNAME to the name that select() chose of a
 * service of names, or to the name that is the service's last resort. `type`: as in steer(), 0 = neither of the two.
 */
export function steerToName(
  responder: Responder,
  request: Request,
  node: number,
  steered: number,
  type: number,
): number {
  const { selection, world } = responder
  const entry = steered * STEERED_INTS
  const service = world.services[world.image.steered[entry + S_SERVICE]!]!
  const { names, resortName } = service
  if (names === null && (type & service.types) !== 0) return steer(responder, request, node, steered, type)
  placeClient(responder, request, service)
  selection.type = (service.types & STEERS_A) !== 0 ? STEERS_A : STEERS_AAAA
  select(service, world.maps[service.map]!, responder.health, selection)
  const cap = world.image.steered[entry + S_TTL]!
  if (responder.trace !== null) responder.trace.capped(cap)
  if (selection.lastResort) responder.counters[C_LAST_RESORT]!++
  const target = selection.useValues ? resortName : names === null ? null : (names[selection.vips[0]!] ?? null)
  if (target === null || (selection.count === 0 && !selection.useValues)) {
    negative(responder, node, world.image.nodes[node * NODE_INTS + N_STEERED]!)
  } else {
    putTarget(responder, cap > 0 && cap < selection.ttlSeconds ? cap : selection.ttlSeconds, target)
    responder.counters[answerCell(selection, service)]!++
  }
  return steeredOutcome(responder, service, selection.hashed, selection.lastResort)
}

/** The counter cell of an answer, by the site and the stage of its selection. */
export function answerCell({ site, counted }: Selection, { counter }: SteeredService): number {
  return counter[site < 0 ? counter.length - 1 : site]! + counted
}

/** Writes a CNAME of the query name. `target`: in wire form. */
function putTarget({ response, world }: Responder, ttlSeconds: number, target: Uint8Array): void {
  putAlias(response, world.image, QUERY_NAME, ttlSeconds, target, 0, target.length - 1, 0, target, target.length - 1, 1)
}

/**
 * The outcome of a steered answer: AA, and the ECS scope; and what is to be said about it. `hashed`, `isResort`: as in
 * Selection.
 */
export function steeredOutcome(
  { query, client, response, health }: Responder,
  service: SteeredService,
  hashed: boolean,
  isResort: boolean,
): number {
  const knowledge = health[KNOWLEDGE]
  if (isResort) response.ede = EDE_LAST_RESORT
  else if (service.isChecked && (knowledge === STALE || knowledge === NOT_READY)) {
    response.ede = knowledge === STALE ? EDE_STALE : EDE_NOT_READY
  }
  return AA | (query.ecs && query.ecsSource > 0 ? scopeOf(client, hashed) << 16 : 0)
}

/** Finds the client's class in the map of a service, and fills in what select() needs to know of the client. */
export function placeClient(
  responder: Responder,
  { client: resolver, clientAt: resolverAt, family }: Request,
  service: SteeredService,
): void {
  const { query, selection, client, world } = responder
  const map = world.maps[service.map]!
  responder.steered = service
  if (query.ecs && query.ecsSource > 0) {
    locate(map, query.ecsFamily === 1 ? 4 : 6, query.ecsAddress, 0, query.ecsSource, client)
    // a client without a place borrows its resolver's; the scope stays that of the client's own lookup
    if (client.class === CLASS_UNPLACED) client.class = borrowedClass(map, family, resolver, resolverAt)
  } else {
    locate(map, family, resolver, resolverAt, family === 4 ? 32 : 128, client)
  }
  selection.class = client.class
  selection.network = networkKey(client.family, client.bytes, 0)
  selection.chance = responder.chance
  selection.trace = responder.trace
}

/** The steered entry of a name, from entry `first` on, for the types in `asked` (bits STEERS_*, HINTS_*); −1 = none. */
export function entryFor({ image, services }: Pick<World, 'image' | 'services'>, first: number, asked: number): number {
  const { steered } = image
  for (let entry = first; entry >= 0; entry = steered[entry * STEERED_INTS + S_NEXT]!) {
    const listed = steered[entry * STEERED_INTS + S_TYPES]!
    const types = listed !== 0 ? listed : services[steered[entry * STEERED_INTS + S_SERVICE]!]!.types
    if ((types & asked) !== 0) return entry
  }
  return -1
}

const typeNumber = (type: number): number => (type === STEERS_A ? TYPE.A : TYPE.AAAA)
