/**
 * Reads checks. A check is written in defaults.yaml under a name, or at a service, or both: `use` names a check of
 * defaults.yaml, and the keys beside it replace its keys. So a check is read as far as it is written in one place, and
 * completed where it is used. The keys of each kind are in check-keys.ts.
 *
 * With the defaults of check-keys.ts, a site that stops answering is out after interval + (fall − 1) × timeout + timeout,
 * because a recheck waits for the timeout anyway.
 */
import { formatAddress, parseAddress } from '../dns/address.ts'
import { parseText } from '../dns/fields.ts'
import { isFault } from '../dns/name.ts'
import { didYouMean } from '../problem.ts'
import type { Reader } from '../yaml/read.ts'
import type { Node } from '../yaml/source.ts'
import type { CertificateCheck, CHECK_RRTYPES, CheckKind, CheckModel } from '../zone/model.ts'
import { readRows, type Values, withDefaults } from './forms.ts'
import {
  canonicalName,
  CHECK,
  CHECK_PARTS,
  CHECK_TYPES,
  checkKeys,
  type CheckType,
  DNS_EXPECT,
  HTTP_EXPECT,
  type PartialCheck,
  portOf,
} from './check-keys.ts'
import type { References } from './references.ts'

const NOTHING: PartialCheck = {}

/** What checks refer to. */
export interface CheckContext {
  /** Those of defaults.yaml. */
  readonly checks: ReadonlyMap<string, PartialCheck>
  /** Takes the names of checks that there are not. */
  readonly references: References
}

/** Reads `check` of a service: a check, a list of checks that must all pass, or `none`. */
export function readChecks(read: Reader, node: Node, context: CheckContext): readonly CheckModel[] {
  if (node.kind === 'scalar' && node.text === 'none') return []
  const nodes = node.kind === 'list' ? node.items : [node]
  if (nodes.length === 0)
    read.fault('value-kind', node, 'a list of checks is empty', 'Write `check: none` to check nothing')
  return nodes.map((one) => readCheck(read, one, context)).filter((check) => check !== undefined)
}

/** Reads `checks` of defaults.yaml: named checks, each of which must be complete. */
export function readNamedChecks(read: Reader, node: Node): ReadonlyMap<string, PartialCheck> {
  const named = new Map<string, PartialCheck>()
  for (const { key, value } of read.entries(node, '“checks”', 'checks: {web: {type: https}}')) {
    const errors = read.errors
    const part = readPartialCheck(read, value, undefined)
    if (part !== undefined) complete(read, value, part)
    named.set(key.text, part === undefined || read.errors > errors ? NOTHING : part)
  }
  return named
}

function readCheck(read: Reader, node: Node, { checks: named, references }: CheckContext): CheckModel | undefined {
  const use = node.kind === 'mapping' ? node.entries.find(({ key }) => key.text === 'use') : undefined
  const name = read.text(use)
  const base = name === undefined ? undefined : named.get(name)
  if (name !== undefined && base !== undefined) references.add('check', name)
  if (use !== undefined && (base ?? NOTHING) === NOTHING) {
    read.countError()
    if (name === undefined || base === NOTHING) return undefined // reported already, in defaults.yaml
    references.addUnknown('check', name, () => {
      const hint = didYouMean(name, named.keys()) ?? 'Named checks stand under `checks` in defaults.yaml'
      return read.problem('check-unknown', use.value, `there is no check “${name}” in defaults.yaml`, hint)
    })
    return undefined
  }
  const part = readPartialCheck(read, node, base)
  return part && complete(read, node, part)
}

/**
 * Reads one check. `base`: the check that `use` names. undefined when the type is unknown: no other key can be read
 * then.
 */
function readPartialCheck(read: Reader, node: Node, base: PartialCheck | undefined): PartialCheck | undefined {
  if (node.kind !== 'mapping') {
    read.fault(
      'value-kind',
      node,
      'a check is a mapping',
      'Write `{use: NAME}` for a check of defaults.yaml, or `none`',
    )
    return undefined
  }
  const typeEntry = node.entries.find(({ key }) => key.text === 'type')
  const type = typeEntry === undefined ? base?.type : CHECK.type.form.read(read, typeEntry)
  if (typeEntry === undefined && type === undefined) {
    const known = [...Object.keys(CHECK), 'use']
    const hint = `Known: ${CHECK_TYPES.join(', ')}`
    read.missing(node, { keys: ['type', 'use'], known, what: 'a check', hint }, false)
  }
  if (type === undefined) return undefined
  const fields = read.fields(node, `a check of type ${type}`, [
    ...checkKeys(type),
    ...(base === undefined ? [] : ['use']),
  ])!
  const expect = fields.get('expect')
  const expectRows = type === 'dns' ? DNS_EXPECT : HTTP_EXPECT
  const expected = expect && read.fields(expect.value, '“expect”', Object.keys(expectRows))
  const all = new Map([...fields, ...(expected ?? [])])
  return { ...readRows(read, all, CHECK_PARTS, base), type }
}

function missing(read: Reader, node: Node, type: CheckType, key: string, hint: string): void {
  read.missing(node, { keys: [key], known: [...checkKeys(type), 'use'], what: `a check of type ${type}`, hint })
}

type Timing = Pick<CheckModel, 'intervalMs' | 'timeoutMs' | 'fastMs' | 'fall' | 'rise'>

/** The timing of a check, with defaults for what is not written. */
export function timingOf(part: PartialCheck): Timing {
  const { interval: intervalMs, timeout, fast, fall, rise } = withDefaults(CHECK, part)
  const timeoutMs = timeout ?? Math.min(2000, Math.floor((intervalMs * 2) / 5))
  return { intervalMs, timeoutMs, fastMs: fast ?? Math.max(100, Math.round(intervalMs / 5)), fall, rise }
}

/** Fills in the defaults. undefined, and a Problem is reported, when a key is missing or keys contradict each other. */
function complete(read: Reader, node: Node, part: PartialCheck): CheckModel | undefined {
  const timing = timingOf(part)
  const { intervalMs, timeoutMs, fastMs } = timing
  if (timeoutMs >= intervalMs) {
    const message = `the timeout of ${timeoutMs} ms is not below the interval of ${intervalMs} ms`
    read.fault('check-timing', node, message, 'One check must have ended before the next begins')
    return undefined
  }
  if (fastMs > intervalMs) {
    const message = `the fast interval of ${fastMs} ms is above the interval of ${intervalMs} ms`
    read.fault('check-timing', node, message, 'Leave `fast` out for a fifth of the interval')
    return undefined
  }
  const { type, address } = part
  const kind = type && kindOf(read, node, type, part)
  const port = type && portOf(type, part)
  if (type === undefined || kind === undefined) return undefined
  if (port === undefined) {
    missing(read, node, type, 'port', 'port: 8443')
    return undefined
  }
  return { port, ...timing, ...(address !== undefined && { address }), ...kind }
}

/** All keys of all kinds, with defaults. */
type WholeCheck = Values<typeof CHECK_PARTS>

/**
 * What a check of a kind asks. undefined, and a Problem is reported, when a key is missing or keys contradict each
 * other.
 */
function kindOf(read: Reader, node: Node, type: CheckType, part: PartialCheck): CheckKind | undefined {
  const whole = withDefaults(CHECK_PARTS, part)
  const { tls, service, command, send } = whole
  const host = whole.host === undefined ? {} : { host: whole.host }
  const certificate = certificateOf(whole)
  switch (type) {
    case 'tcp':
    case 'icmp':
      return { type }
    case 'http':
    case 'https':
      return httpOf(read, node, type, whole)
    case 'tls':
      return { type, ...host, ...certificate }
    case 'grpc':
      return isWholeGrpc(read, node, part) ? { type, tls, ...host, service, ...certificate } : undefined
    case 'dns':
      return dnsOf(read, node, whole)
    case 'exec':
      if (command !== undefined) return { type, command }
      missing(read, node, type, 'command', 'A name in the node setting probe.exec: command: disk')
      return undefined
    case 'agent':
      return { type, ...(send !== undefined && { send }) }
    default:
      return type satisfies never
  }
}

function httpOf(read: Reader, node: Node, type: 'http' | 'https', part: WholeCheck): CheckKind | undefined {
  const { method, path, host, headers, follow, body, matches } = part
  const statuses = [...new Set(part.status.flat())]
  if (method === 'HEAD' && (body !== undefined || matches !== undefined)) {
    read.fault('value-invalid', node, 'a response to HEAD has no body to look into', 'Use GET')
    return undefined
  }
  const redirect = statuses.find((status) => REDIRECTS.includes(status))
  if (follow !== undefined && redirect !== undefined) {
    const message = `status ${redirect} is expected, so with “follow” no redirect would be followed`
    read.fault('value-invalid', node, message, 'Expect the statuses behind the redirects: status: 200-299')
    return undefined
  }
  return {
    type,
    method,
    path,
    ...(host !== undefined && { host }),
    ...(headers !== undefined && { headers }),
    ...(follow !== undefined && { follow }),
    statuses,
    ...(body !== undefined && { body }),
    ...(matches !== undefined && { matches }),
    ...certificateOf(part),
  }
}

/** Redirects that a check can follow. */
const REDIRECTS: readonly number[] = [301, 302, 303, 307, 308]

const certificateOf = ({ verify, ca, validFor }: WholeCheck): CertificateCheck => ({
  verify,
  ...(ca !== undefined && { ca }),
  ...(validFor !== undefined && { validFor }),
})

/** Reports keys of a grpc check that mean something with TLS only; false if there are any. */
function isWholeGrpc(read: Reader, node: Node, part: PartialCheck): boolean {
  const strange = (['verify', 'ca', 'validFor'] as const).find((key) => part[key] !== undefined)
  if (part.tls === true || strange === undefined) return true
  const hint = `Write \`tls: true\`, or leave \`${strange}\` out`
  read.fault('value-invalid', node, `“${strange}” means nothing without TLS`, hint)
  return false
}

function dnsOf(read: Reader, node: Node, part: WholeCheck): CheckKind | undefined {
  const { name, rrtype, rcode: rcodes } = part
  if (name === undefined) {
    missing(read, node, 'dns', 'name', 'The name that is asked for: name: www.example.com')
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
  const hint = VALUE_FORMS[rrtype] ?? 'A name: www.example.com.'
  read.fault('value-invalid', node, `“${part.value}” is no value of ${rrtype}`, hint)
  return undefined
}

const VALUE_FORMS: Readonly<Partial<Record<(typeof CHECK_RRTYPES)[number], string>>> = {
  A: 'An IPv4 address: 192.0.2.10',
  AAAA: 'An IPv6 address: "2001:db8::10"',
  MX: 'preference and name: 10 mail.example.com.',
  SOA: 'mname, rname, serial, refresh, retry, expire and minimum: ns1.example.com. hostmaster.example.com. 1 2 3 4 5',
  TXT: 'Its text, or as dig prints it: "v=spf1 -all"',
  SRV: 'priority, weight, port and name: 10 0 443 www.example.com.',
}
/** n: a number, N: a name. */
const VALUE_FIELDS = { CNAME: 'N', NS: 'N', PTR: 'N', MX: 'nN', SRV: 'nnnN', SOA: 'NNnnnnn' } as const

/** What a TXT says: as it is, or in quotes as dig prints it, of which the strings are joined. */
function textOf(text: string): string | undefined {
  if (!/^".*"$/s.test(text)) return text
  const bytes = parseText(text)
  return isFault(bytes) ? undefined : Buffer.from(bytes).toString()
}

/** A value in the spelling that the check compares with; undefined when it is no value of the type. */
function canonicalValue(rrtype: (typeof CHECK_RRTYPES)[number], text: string): string | undefined {
  if (rrtype === 'TXT') return textOf(text)
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
