/**
 * Reads the question of `explain`, from a command line or a URL, into the query that a resolver would send; or says in
 * words what is wrong with it. Called by explain.ts.
 */
import { PAYLOAD_BYTES } from '../answer/response.ts'
import { formatAddress, maskAddress, parseAddress } from '../dns/address.ts'
import { encodeQuery } from '../dns/message.ts'
import { formatName, isFault, parseName } from '../dns/name.ts'
import { typeNumber } from '../dns/types.ts'

/** A question, as it is written. */
export interface ExplainQuestion {
  readonly name: string
  /** The client's address, or its prefix as resolvers send it: `134.157.0.7`, `134.157.0.0/24`. */
  readonly client: string
  /** Mnemonic, e.g. `A`. */
  readonly type: string
  /** SITE, SITE/SERVICE or SITE/SERVICE/VIP to assume down, and to assume drained. */
  readonly down: readonly string[]
  readonly drain?: readonly string[]
  /** The source address of the query; the client's unless given. */
  readonly resolver?: string
  /** Whether the resolver sends the client's subnet (RFC 7871); true unless given. */
  readonly ecs?: boolean
  /** Decides rotation and random picks; any 32 bits. */
  readonly chance?: number
  /** The resolver's UDP payload size in bytes; 1232 unless given. */
  readonly payload?: number
}

/** A question that was read, and the query for it. */
export interface ExplainQuery {
  /** Text with the final dot, escaped as in master files. */
  readonly name: string
  /** Mnemonic in capitals. */
  readonly type: string
  /** The client's address, of which the first `bits` bits are known; the others are zero. */
  readonly client: Uint8Array
  readonly bits: number
  /** The source address of the query, 4 or 16 bytes. */
  readonly resolver: Uint8Array
  readonly ecs: boolean
  /** The query on the wire. */
  readonly packet: Uint8Array
}

/** Reads a question. A string says what is wrong with it. */
export function readQuestion(question: ExplainQuestion): ExplainQuery | string {
  const { ecs = true, payload = PAYLOAD_BYTES } = question
  const slash = question.client.indexOf('/')
  const address = parseAddress(slash < 0 ? question.client : question.client.slice(0, slash))
  if (address === undefined) return `“${question.client}” is no IP address`
  const most = address.length * 8
  const length = slash < 0 ? `${most}` : question.client.slice(slash + 1)
  const bits = /^\d{1,3}$/.test(length) ? Number(length) : most + 1
  if (bits > most) return `“${question.client}” is no IP prefix`
  if (!ecs && bits < most && question.resolver === undefined) {
    return 'without ECS a query comes from an address: name the resolver’s, or a whole address for the client'
  }
  const resolver = question.resolver === undefined ? address : parseAddress(question.resolver)
  if (resolver === undefined) return `“${question.resolver}” is no IP address`
  const type = question.type.toUpperCase()
  if (typeNumber(type) === undefined) return `“${question.type}” is no record type`
  const wire = parseName(question.name.endsWith('.') ? question.name : `${question.name}.`)
  if (isFault(wire)) return wire.fault
  const name = formatName(wire)
  const subnet = `${formatAddress(address)}/${bits}`
  const packet = encodeQuery({ name, type, edns: { payload, ...(ecs && { ecs: subnet }) } })
  return { name, type, client: maskAddress(address, bits), bits, resolver, ecs, packet }
}

/** A client as text: an address, `134.157.0.7`, or if not all bits are known a prefix, `134.157.0.0/24`. */
export const formatNetwork = (bytes: Uint8Array, bits: number): string =>
  bits === bytes.length * 8 ? formatAddress(bytes) : `${formatAddress(maskAddress(bytes, bits))}/${bits}`
