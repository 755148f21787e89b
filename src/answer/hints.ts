/**
 * Answers for HTTPS and SVCB with hints of a service: ipv4hint and ipv6hint (RFC 9460 §7.3) of the records are the
 * addresses that the same client gets for A and AAAA, chosen by select() for each. All else of the records is as it is
 * written. Without addresses of a family the records have no hints of it; the records are there in any case. Called by
 * answer.ts.
 */
import { C_LAST_RESORT } from '../counters.ts'
import { wireBytes } from '../dns/name.ts'
import { MAX_ANSWERS, select } from '../policy/select.ts'
import type { SteeredService } from '../policy/service.ts'
import { findRRset, R_AT, R_COUNT, R_TYPE, S_SERVICE, STEERED_INTS } from '../zone/image.ts'
import { RECORD_HEAD, recordEnd, recordTtl, STEERS_A, STEERS_AAAA } from '../zone/pack.ts'
import type { Request, Responder } from './responder.ts'
import { putHead, putPointer, QUERY_NAME, type Response } from './response.ts'
import { answerCell, placeClient, steeredOutcome } from './steer.ts'
import type { World } from './world.ts'

/** SvcParamKeys (RFC 9460 §14.3.2): the parameters of a record stand in the order of their keys. */
const IPV4HINT = 4
const IPV6HINT = 6

/** The parameters ipv4hint and ipv6hint of the answer that is made: key, length, addresses. `size` 0 = left out. */
interface Hint {
  readonly bytes: Uint8Array
  size: number
}
const HINT_HEAD = 4
const four: Hint = { bytes: new Uint8Array(HINT_HEAD + MAX_ANSWERS * 4), size: 0 }
const six: Hint = { bytes: new Uint8Array(HINT_HEAD + MAX_ANSWERS * 16), size: 0 }

/**
 * Writes the query name's HTTPS or SVCB records with the hints of a steered entry. Their TTL is the least of their own and
 * those of the addresses. Returns an outcome: AA and the scope.
 */
export function answerWithHints(responder: Responder, request: Request, node: number, entry: number): number {
  const { query, response, selection, world, trace, counters } = responder
  const { image } = world
  const service = world.services[image.steered[entry * STEERED_INTS + S_SERVICE]!]!
  const rrset = findRRset(image, node, query.type)
  const own = recordTtl(image.bytes, image.rrsets[rrset + R_AT]!)
  placeClient(responder, request, service)
  if (trace !== null) trace.capped(own)
  let least = Infinity
  let hashed = false
  let calm = true
  let cell = -1
  let isResort = false
  four.size = 0
  six.size = 0
  // `explain` describes the walk that comes last: that for IPv4, if the service has any
  for (let type: number = STEERS_AAAA; type >= STEERS_A; type--) {
    if ((service.types & type) === 0) continue
    selection.trace = type === STEERS_AAAA && (service.types & STEERS_A) !== 0 ? null : trace
    selection.type = type
    select(service, world.maps[service.map]!, responder.health, selection)
    putHint(service, responder, type)
    if (selection.ttlSeconds < least) least = selection.ttlSeconds
    hashed ||= selection.hashed
    calm &&= selection.calm
    isResort ||= selection.lastResort
    if (selection.site >= 0 || selection.useValues) cell = answerCell(selection, service)
  }
  selection.ttlSeconds = least
  selection.hashed = hashed
  selection.calm = calm
  if (isResort) counters[C_LAST_RESORT]!++
  if (cell >= 0) counters[cell]!++
  putRecords(response, world, rrset, least < own ? least : own)
  return steeredOutcome(responder, service, hashed, isResort)
}

/** Makes the hint of one family from what select() chose. */
function putHint(service: SteeredService, { selection }: Responder, type: number): void {
  const hint = type === STEERS_A ? four : six
  const size = type === STEERS_A ? 4 : 16
  const values = type === STEERS_A ? service.resortA : service.resortAAAA
  const count = selection.useValues ? Math.min(values.length / size, MAX_ANSWERS) : selection.count
  if (count === 0) return
  const { bytes } = hint
  bytes[1] = type === STEERS_A ? IPV4HINT : IPV6HINT
  bytes[3] = count * size
  let at = HINT_HEAD
  for (let i = 0; i < count; i++) {
    const from = selection.useValues ? i * size : selection.vips[i]! * 16
    const address = selection.useValues ? values : service.address
    for (let byte = 0; byte < size; byte++) bytes[at++] = address[from + byte]!
  }
  hint.size = at
}

/** Writes the records of an RRset with the hints among their parameters. */
function putRecords(response: Response, { image }: World, rrset: number, ttlSeconds: number): void {
  const { bytes } = image
  let record = image.rrsets[rrset + R_AT]!
  for (let left = image.rrsets[rrset + R_COUNT]!; left > 0; left--) {
    const end = recordEnd(bytes, record)
    const from = record + RECORD_HEAD
    const size = end - from + four.size + six.size
    if (response.at + RECORD_HEAD + size > response.limit) {
      response.overflow = true
      return
    }
    putPointer(response, -QUERY_NAME)
    putHead(response, image.rrsets[rrset + R_TYPE]!, ttlSeconds, size)
    const params = from + 2 + wireBytes(bytes, from + 2)
    const fourAt = paramFrom(bytes, params, end, IPV4HINT)
    const sixAt = paramFrom(bytes, fourAt, end, IPV6HINT)
    copy(response, bytes, from, fourAt)
    copy(response, four.bytes, 0, four.size)
    copy(response, bytes, fourAt, sixAt)
    copy(response, six.bytes, 0, six.size)
    copy(response, bytes, sixAt, end)
    response.answers++
    record = end
  }
}

/** Where the first parameter with this key or a greater one begins at bytes[at … end); `end` where there is none. */
function paramFrom(bytes: Uint8Array, at: number, end: number, key: number): number {
  let i = at
  while (i < end && ((bytes[i]! << 8) | bytes[i + 1]!) < key) i += 4 + ((bytes[i + 2]! << 8) | bytes[i + 3]!)
  return i
}

function copy(response: Response, bytes: Uint8Array, from: number, to: number): void {
  for (let i = from; i < to; i++) response.out[response.at++] = bytes[i]!
}
