/**
 * The kinds of checks. A named check of defaults.yaml may be partial in all but its type, and the service that uses it
 * adds keys; completeKind() fills in the defaults, and reports what is missing or contradictory. The keys of each kind
 * are in keys.ts.
 */
import { formatAddress, parseAddress } from '../dns/address.ts'
import type { Reader } from '../yaml/read.ts'
import type { Node } from '../yaml/source.ts'
import { type CHECK_RRTYPES, type CheckKind } from '../zone/model.ts'
import { type Values, withDefaults } from './forms.ts'
import { canonicalName, CHECK_PARTS, type CheckType, type PartialCheck } from './keys.ts'

/** All keys of all kinds, with defaults. */
type WholeCheck = Values<typeof CHECK_PARTS>

/**
 * Fills in the defaults of a kind. undefined, and a Problem is reported, when a key is missing or keys contradict each
 * other.
 */
export function completeKind(read: Reader, node: Node, type: CheckType, part: PartialCheck): CheckKind | undefined {
  const whole = withDefaults(CHECK_PARTS, part)
  const { verify, validFor, tls, service, command, send } = whole
  const host = whole.host === undefined ? {} : { host: whole.host }
  switch (type) {
    case 'tcp':
    case 'icmp':
      return { type }
    case 'http':
    case 'https':
      return completeHttp(read, node, type, whole)
    case 'tls':
      return { type, ...host, verify, validForMs: validFor }
    case 'grpc':
      if (tls || part.verify === undefined) return { type, tls, ...host, verify, service }
      read.fault(
        'value-invalid',
        node,
        '“verify” means nothing without TLS',
        'Write `tls: true`, or leave `verify` out',
      )
      return undefined
    case 'dns':
      return completeDns(read, node, whole)
    case 'exec':
      if (command !== undefined) return { type, command }
      read.missing(node, 'a check of type exec', 'command', 'Commands are defined in the node setting probe.exec')
      return undefined
    case 'agent':
      return { type, ...(send !== undefined && { send }) }
    default:
      return type satisfies never
  }
}

function completeHttp(read: Reader, node: Node, type: 'http' | 'https', part: WholeCheck): CheckKind | undefined {
  const { method, path, host, status: statuses, body, verify } = part
  if (method === 'HEAD' && body !== undefined) {
    read.fault('value-invalid', node, 'a response to HEAD has no body to look into', 'Use GET')
    return undefined
  }
  return {
    type,
    method,
    path,
    ...(host !== undefined && { host }),
    statuses,
    ...(body !== undefined && { body }),
    verify,
  }
}

function completeDns(read: Reader, node: Node, part: WholeCheck): CheckKind | undefined {
  const { name, rrtype, rcode: rcodes } = part
  if (name === undefined) {
    read.missing(node, 'a check of type dns', 'name', 'The name that is asked for: name: www.example.com')
    return undefined
  }
  if (part.value === undefined) return { type: 'dns', name, rrtype, rcodes }
  if (rcodes.some((rcode) => rcode !== 'NOERROR')) {
    const hint = 'Leave out `value`, or the other rcodes'
    read.fault('value-invalid', node, 'only an answer with NOERROR has a value', hint)
    return undefined
  }
  const value = canonicalValue(rrtype, part.value)
  if (value !== undefined) return { type: 'dns', name, rrtype, rcodes, value }
  read.fault('value-invalid', node, `“${part.value}” is no value of ${rrtype}`, VALUE_FORMS[rrtype])
  return undefined
}

const VALUE_FORMS: Readonly<Partial<Record<(typeof CHECK_RRTYPES)[number], string>>> = {
  MX: 'preference and name: 10 mail.example.com.',
  SOA: 'mname, rname, serial, refresh, retry, expire and minimum: ns1.example.com. hostmaster.example.com. 1 2 3 4 5',
  SRV: 'priority, weight, port and name: 10 0 443 www.example.com.',
}
/** n: a number, N: a name. */
const VALUE_FIELDS = { CNAME: 'N', NS: 'N', PTR: 'N', MX: 'nN', SRV: 'nnnN', SOA: 'NNnnnnn' } as const

/** A value in the spelling that the check compares with; undefined when it is no value of the type. */
function canonicalValue(rrtype: (typeof CHECK_RRTYPES)[number], text: string): string | undefined {
  if (rrtype === 'TXT') return text
  if (rrtype === 'A' || rrtype === 'AAAA') {
    const bytes = parseAddress(text)
    return bytes?.length === (rrtype === 'A' ? 4 : 16) ? formatAddress(bytes) : undefined
  }
  const kinds = VALUE_FIELDS[rrtype]
  const words = text.trim().split(/\s+/)
  if (words.length !== kinds.length) return undefined
  const parts = words.map((word, i) =>
    kinds[i] === 'N' ? canonicalName(word) : /^\d{1,10}$/.test(word) ? String(Number(word)) : undefined,
  )
  return parts.includes(undefined) ? undefined : parts.join(' ')
}
