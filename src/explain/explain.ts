/**
 * Why an answer is what it is. explain() calls respond() itself, with a trace, so that an explanation cannot differ
 * from what is served. It gives the names looked up, the client's place, the rule, the sites in the order of the
 * client's class, the walk, the pick, the terms of TTL and scope, and the answer on the wire. Called by the API and by
 * `meridian explain`.
 *
 *   question.ts ─▶ query ─▶ respond(trace) ─▶ message
 *   what-if.ts ─▶ HealthTable ┘    └─▶ lookups.ts, steering.ts ─▶ Explanation
 */
import { respond } from '../answer/answer.ts'
import {
  type AnswerTrace,
  makeRequest,
  makeResponder,
  type Responder,
  TCP,
  type Transport,
  UDP,
} from '../answer/responder.ts'
import type { World } from '../answer/world.ts'
import { makeCounters } from '../counters.ts'
import { formatAddress } from '../dns/address.ts'
import { decodeMessage, type Ecs, formatRr, type Message } from '../dns/message.ts'
import { type Fault, isFault } from '../dns/name.ts'
import type { HealthTable } from '../health/table.ts'
import { LAST_PROVEN } from '../policy/select.ts'
import type { ExplainContext } from '../world/build.ts'
import { findRRset, type Image, N_APEX, NEGATIVE_SOA, NODE_INTS, R_AT } from '../zone/image.ts'
import { recordTtl } from '../zone/pack.ts'
import { type Lookup, lookupOf } from './lookups.ts'
import { type ExplainQuery, type ExplainQuestion, formatNetwork, readQuestion } from './question.ts'
import { type Steering, steeringOf, type Step, stepsInto } from './steering.ts'
import { assume, assumptionInWords, type Assumptions, type HealthOf, NO_HEALTH } from './what-if.ts'

/** An explanation: plain JSON, whose keys are documented in docs/api.md. */
export interface Explanation {
  readonly name: string
  readonly type: string
  /** The client's address or network: `134.157.0.7`, `134.157.0.0/24`. */
  readonly client: string
  /** Whether the query has the client's subnet (ECS). */
  readonly ecs: boolean
  /** The source address of the query. */
  readonly resolver: string
  /** What was assumed to be down, and to be drained. */
  readonly down: readonly string[]
  readonly drain: readonly string[]
  readonly rcode: string
  readonly outcome: Outcome
  /** The names looked up: the query name, then targets of CNAMEs. */
  readonly lookups: readonly Lookup[]
  readonly answer: readonly string[]
  /** ECS scope of the answer, in bits; null = the query had no ECS, so the answer has none. */
  readonly scope: number | null
  /** null: there is nothing to cache. */
  readonly ttl: Ttl | null
  /** undefined: the name is not steered for this type. */
  readonly steering?: Steering
  readonly wire: Wire
}

/**
 * The kind of answer. `cname`: the chain ends outside of the zones, or at a steered name; `any`: HINFO for ANY (RFC
 * 8482); `fault`: FORMERR or SERVFAIL, a bug.
 */
export type Outcome =
  | 'steered'
  | 'records'
  | 'cname'
  | 'nodata'
  | 'nxdomain'
  | 'yxdomain'
  | 'delegation'
  | 'any'
  | 'refused'
  | 'fault'

/** The TTL of an answer, and how it came about. */
export interface Ttl {
  readonly seconds: number
  /**
   * What decided: the service's `ttl.max` or `ttl.min`, the name's own TTL, a record's TTL, or that of negative
   * answers.
   */
  readonly from: 'max' | 'min' | 'cap' | 'record' | 'negative'
  readonly why: string
  /** The terms; null if they do not apply. */
  readonly maxSeconds: number | null
  readonly minSeconds: number | null
  readonly capSeconds: number | null
  /** TTL of negative answers of the zone: min(SOA TTL, minimum), RFC 2308 §5. */
  readonly negativeSeconds: number | null
  /** The consulted members that are not calm. */
  readonly unrest: readonly Unrest[]
}

interface Unrest {
  readonly member: string
  readonly why: string
  /** In how many ms it will be calm if nothing changes; null: not by time alone, or unknown. */
  readonly calmInMs: number | null
}

/** The answer on the wire. */
export interface Wire {
  /** `tcp` if the answer over UDP is truncated, so that the resolver asks again. */
  readonly transport: 'udp' | 'tcp'
  /** Size of the answer over UDP. */
  readonly udpBytes: number
  /** The answer over UDP has TC set. */
  readonly truncated: boolean
  /** The flags that are set: qr, aa, rd … */
  readonly flags: readonly string[]
  readonly question: readonly string[]
  readonly answer: readonly string[]
  readonly authority: readonly string[]
  /** Without OPT. */
  readonly additional: readonly string[]
  readonly edns: { readonly payload: number; readonly ecs: string | null } | null
  readonly bytes: number
  readonly hex: string
}

/**
 * Explains the answer that a World and a HealthTable give to a question. A string says what is wrong with the question.
 * `healthOf`: what a node knows about members beyond the table.
 */
export function explain(
  world: World,
  live: HealthTable,
  context: ExplainContext,
  question: ExplainQuestion,
  healthOf: HealthOf = NO_HEALTH,
): Explanation | string {
  const query = readQuestion(question)
  if (typeof query === 'string') return query
  const assumed = assume(world, live, context, question, healthOf)
  if (typeof assumed === 'string') return assumed
  const udp = ask(world, assumed, context, query, question.chance ?? 0, UDP)
  if (isFault(udp)) return `the answer can't be read: ${udp.fault}`
  const whole = udp.message.tc ? ask(world, assumed, context, query, question.chance ?? 0, TCP) : udp
  if (isFault(whole)) return `the answer can't be read: ${whole.fault}`
  const { message, lookups, responder, steps, capSeconds } = whole
  const { steered } = responder
  const outcome = outcomeOf(message, query, lookups, steered !== undefined)
  const steering =
    steered && steeringOf({ responder, service: steered, context, query, steps, assumed, capSeconds, healthOf })
  return {
    name: query.name,
    type: query.type,
    client: formatNetwork(query.client, query.bits),
    ecs: query.ecs,
    resolver: formatAddress(query.resolver),
    down: question.down,
    drain: question.drain ?? [],
    rcode: message.rcode,
    outcome,
    lookups,
    answer: message.answer.map(formatRr),
    scope: message.edns?.ecs?.scope ?? null,
    ttl: ttlOf(whole, steering),
    ...(steering !== undefined && { steering }),
    wire: wireOf(udp, whole),
  }
}

/** A query, its response, and what the trace recorded. */
interface Exchange {
  readonly responder: Responder
  readonly message: Message
  readonly bytes: Uint8Array
  readonly transport: 'udp' | 'tcp'
  readonly lookups: readonly Lookup[]
  readonly steps: readonly Step[]
  /** The name's own TTL, which caps the service's; 0 = none. */
  readonly capSeconds: number
  /** Node of the last name, or of its closest encloser; −1 = outside of the zones. */
  readonly known: number
}

function ask(
  world: World,
  { health }: Assumptions,
  { zones = [] }: ExplainContext,
  { packet, resolver }: ExplainQuery,
  chance: number,
  transport: Transport,
): Exchange | Fault {
  const responder = makeResponder(world, health, makeCounters())
  responder.chance = chance
  const lookups: Lookup[] = []
  const steps: Step[] = []
  let capSeconds = 0
  let last = -1
  const trace: AnswerTrace = {
    looked: (name, node, known) => {
      lookups.push(lookupOf(world.image, zones, name, node, known))
      last = known
    },
    capped: (seconds) => void (capSeconds = seconds),
    ...stepsInto(steps, responder),
  }
  responder.trace = trace
  const out = new Uint8Array(65_535)
  const family = resolver.length === 4 ? 4 : 6
  const size = respond(responder, makeRequest({ input: packet, client: resolver, family, transport, output: out }))
  const bytes = out.slice(0, size)
  const message = decodeMessage(bytes)
  if (isFault(message)) return message
  const over = transport === UDP ? 'udp' : 'tcp'
  return { responder, message, bytes, transport: over, lookups, steps, capSeconds, known: last }
}

function outcomeOf(message: Message, { type }: ExplainQuery, lookups: readonly Lookup[], steered: boolean): Outcome {
  const last = lookups.at(-1)
  if (message.rcode === 'REFUSED' || message.rcode === 'NOTAUTH') return 'refused' // NOTAUTH: a transfer of no zone
  if (message.rcode === 'NXDOMAIN') return 'nxdomain'
  if (message.rcode === 'YXDOMAIN') return 'yxdomain'
  if (message.rcode !== 'NOERROR' || last === undefined) return 'fault'
  if (steered) return message.answer.length > 0 ? 'steered' : 'nodata'
  if (message.authority.some((rr) => rr.type === 'NS') && last.found === 'delegated') return 'delegation'
  if (message.authority.some((rr) => rr.type === 'SOA')) return 'nodata'
  if (type === 'ANY' && message.answer.every((rr) => rr.type === 'HINFO')) return 'any'
  return message.answer.some((rr) => rr.type === type) ? 'records' : 'cname'
}

/** The TTL of an answer, the least over its records, and which term decided it. */
function ttlOf({ message, responder, capSeconds, known }: Exchange, steering: Steering | undefined): Ttl | null {
  const { steered: service, selection, world } = responder
  const soa = message.authority.find((rr) => rr.type === 'SOA')
  const none = { maxSeconds: null, minSeconds: null, capSeconds: null, negativeSeconds: null, unrest: [] }
  if (soa !== undefined) {
    const seconds = soa.ttlSeconds
    const negativeSeconds = negativeTtl(world.image, known)
    const minSeconds = service?.ttlMinSeconds ?? (seconds < negativeSeconds ? seconds : null)
    const least = minSeconds !== null && minSeconds <= negativeSeconds ? 'min' : 'negative'
    return { ...none, seconds, from: least, why: 'a negative answer', minSeconds, negativeSeconds }
  }
  const records = [...message.answer, ...message.authority]
  if (records.length === 0) return null
  const seconds = Math.min(...records.map((rr) => rr.ttlSeconds))
  if (service === undefined || steering === undefined) return { ...none, seconds, from: 'record', why: 'as written' }
  const unrest = unrestIn(steering)
  const proven = selection.stage >= 0 && selection.stage <= LAST_PROVEN
  const calm = proven && selection.calm
  const capped = capSeconds > 0 && capSeconds < selection.ttlSeconds
  return {
    seconds,
    from: capped ? 'cap' : calm ? 'max' : 'min',
    why: calm
      ? 'every member consulted is calm'
      : proven
        ? 'not every member consulted is calm'
        : 'nothing that is known to be up is named',
    maxSeconds: service.ttlMaxSeconds,
    minSeconds: service.ttlMinSeconds,
    capSeconds: capSeconds > 0 ? capSeconds : null,
    negativeSeconds: null,
    unrest,
  }
}

/** The TTL of negative answers of a node's zone. */
function negativeTtl(image: Image, node: number): number {
  const soa = findRRset(image, image.nodes[node * NODE_INTS + N_APEX]!, NEGATIVE_SOA)
  return recordTtl(image.bytes, image.rrsets[soa + R_AT]!)
}

const unrestIn = ({ sites }: Steering): readonly Unrest[] =>
  sites
    .filter(({ consulted }) => consulted)
    .flatMap(({ vips }) => vips)
    .filter(({ calm }) => !calm)
    .map(({ member, assumed, health, state }) => ({
      member,
      why: assumed !== null ? assumptionInWords(assumed) : (health?.unrest ?? `it is ${state}`),
      calmInMs: assumed !== null ? null : (health?.calmInMs ?? null),
    }))

const FLAGS = ['qr', 'aa', 'tc', 'rd', 'ra', 'ad', 'cd'] as const

function wireOf(udp: Exchange, { message, bytes, transport }: Exchange): Wire {
  const { edns } = message
  const ecs = edns?.ecs
  return {
    transport,
    udpBytes: udp.bytes.length,
    truncated: udp.message.tc,
    flags: FLAGS.filter((flag) => message[flag]),
    question: message.question.map((query) => `${query.name} ${query.class} ${query.type}`),
    answer: message.answer.map(formatRr),
    authority: message.authority.map(formatRr),
    additional: message.additional.map(formatRr),
    edns: edns === undefined ? null : { payload: edns.payload, ecs: ecs === undefined ? null : ecsInText(ecs) },
    bytes: bytes.length,
    hex: Buffer.from(bytes).toString('hex'),
  }
}

/** ECS as dig prints it: address, source, scope. */
const ecsInText = ({ address, source, scope }: Ecs): string => `${address}/${source}/${scope}`
