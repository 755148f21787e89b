/**
 * The kinds of checks: which keys each kind has besides those of all checks (checks.ts), how they are read, and their
 * defaults. A named check of defaults.yaml may be partial in all but its type, and the service that uses it adds keys;
 * so reading makes a PartialKind, and completeKind() fills in the defaults.
 *
 * Defaults: http, https: GET / and status 200. tls: valid for one more day (some certificates last a week). dns: A,
 * NOERROR.
 */
import { formatAddress, parseAddress } from '../dns/address.ts'
import { formatName, isAbsolute, isFault, lowerName, parseName } from '../dns/name.ts'
import { RCODE } from '../dns/types.ts'
import { DAY_MS } from '../units.ts'
import type { Fields, Reader } from '../yaml/read.ts'
import type { Entry, Node } from '../yaml/source.ts'
import { CHECK_RRTYPES, type CheckKind } from '../zone/model.ts'

/** Values of a check's key `type`. */
export const CHECK_TYPES = ['http', 'https', 'tcp', 'tls', 'grpc', 'dns', 'icmp', 'exec', 'agent'] as const
type CheckType = (typeof CHECK_TYPES)[number]

const HTTP_KEYS = ['port', 'method', 'path', 'host', 'expect']
/** The keys of each kind. */
export const KIND_KEYS: Readonly<Record<CheckType, readonly string[]>> = {
  http: HTTP_KEYS,
  https: [...HTTP_KEYS, 'verify'],
  tcp: ['port'],
  tls: ['port', 'host', 'verify', 'validFor'],
  grpc: ['port', 'service', 'tls', 'host', 'verify'],
  dns: ['port', 'name', 'rrtype', 'expect'],
  icmp: [],
  exec: ['port', 'command'],
  agent: ['port', 'send'],
}

/** The keys above, as far as they are written. */
export interface PartialKind {
  readonly method?: 'GET' | 'HEAD' | undefined
  readonly path?: string | undefined
  readonly host?: string | undefined
  readonly statuses?: readonly number[] | undefined
  readonly body?: string | undefined
  readonly verify?: boolean | undefined
  readonly validForMs?: number | undefined
  readonly tls?: boolean | undefined
  readonly service?: string | undefined
  readonly name?: string | undefined
  readonly rrtype?: (typeof CHECK_RRTYPES)[number] | undefined
  readonly rcodes?: readonly string[] | undefined
  readonly value?: string | undefined
  readonly command?: string | undefined
  readonly send?: string | undefined
}

/** The port of a check: as written, or the kind's default. undefined = it must be written; 0 = none. */
export function portOf(type: CheckType, { port, tls }: PartialKind & { readonly port?: number | undefined }) {
  if (type === 'icmp') return 0
  const common = { http: 80, https: 443, tcp: undefined, tls: 443, dns: 53, exec: 0, agent: undefined }
  return port ?? (type === 'grpc' ? (tls === true ? 443 : undefined) : common[type])
}

/** Whether a text is a URL path: it begins with / and has no blanks. */
export const isPath = (text: string): boolean => /^\/[!-~]*$/.test(text)
/** Whether a text can be a Host header without a port. */
export const isHost = (text: string): boolean => /^[\w.-]+$/.test(text) || parseAddress(text) !== undefined
const isService = (text: string): boolean => /^[!-~]{1,255}$/.test(text)
const isCommand = (text: string): boolean => /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/.test(text)
/**
 * The text of `send`: one line. Without line ends, no author of zones can send a second command to what listens there.
 */
export const SENT = /^[^\p{Cc}\p{Cs}\p{Zl}\p{Zp}]+$/u
const isSent = (text: string): boolean => text.length <= 255 && SENT.test(text)
/** Whether a name has no byte written \DDD: its labels go onto the wire as they are. */
const isPrintable = (name: string): boolean => /^(?:[^\\]|\\\D)+$/.test(name)
const YEARS_MS = 3650 * DAY_MS

/**
 * Reads the keys of a kind. `fields`: has no keys but the kind's; a key that is not written keeps its value in `like`.
 */
export function readKind(read: Reader, type: CheckType, fields: Fields, like: PartialKind): PartialKind {
  const text = <M>(key: string, isValid: (text: string) => boolean, what: string, missing: M): string | M => {
    const entry = fields.get(key)
    const given = read.text(entry, undefined)
    if (entry === undefined || given === undefined) return missing
    if (isValid(given)) return given
    read.fault('value-invalid', entry.value, `“${key}” is “${given}” where ${what} is wanted`)
    return missing
  }
  return {
    method: read.oneOf(fields.get('method'), ['GET', 'HEAD'] as const, like.method),
    path: text('path', isPath, 'a path that begins with / and has no blanks', like.path),
    host: text('host', isHost, 'a host name or address, without a port,', like.host),
    verify: read.flag(fields.get('verify'), like.verify),
    validForMs: read.durationMs(fields.get('validFor'), 0, YEARS_MS, like.validForMs),
    tls: read.flag(fields.get('tls'), like.tls),
    service: text('service', isService, 'the name of a gRPC service', like.service),
    name: readDnsName(read, fields.get('name'), like.name),
    rrtype: read.oneOf(fields.get('rrtype'), CHECK_RRTYPES, like.rrtype),
    command: text(
      'command',
      isCommand,
      'the name of a command in probe.exec',
      fields.has('command') ? '' : like.command,
    ),
    send: text('send', isSent, 'one line of at most 255 characters, without its line end,', like.send),
    ...readExpect(read, type, fields.get('expect'), like),
  }
}

function readExpect(read: Reader, type: CheckType, entry: Entry | undefined, like: PartialKind): PartialKind {
  const { statuses, body, rcodes, value } = like
  const keys = type === 'dns' ? ['rcode', 'value'] : ['status', 'body']
  const expected = entry && read.fields(entry.value, '“expect”', keys)
  const each = <T>(key: string, one: (entry: Entry) => T, missing: readonly T[] | undefined) => {
    const given = expected?.get(key)
    return given === undefined ? missing : readOneOrMore(read, given, one)
  }
  return {
    statuses: each('status', (one) => read.integer(one, 100, 599, 200), statuses),
    body: read.text(expected?.get('body'), body),
    rcodes: each('rcode', (one) => read.oneOf(one, RCODES, 'NOERROR'), rcodes),
    value: read.text(expected?.get('value'), value),
  }
}

/** The rcodes that fit into the header: extended ones need EDNS, which a check only uses for its payload size. */
const RCODES = Object.entries(RCODE).flatMap(([name, number]) => (number < 16 ? [name] : []))

function readOneOrMore<T>(read: Reader, { key, value }: Entry, one: (entry: Entry) => T): readonly T[] {
  const nodes = value.kind === 'list' ? value.items : [value]
  const example = key.text === 'status' ? '200' : 'NOERROR'
  if (nodes.length === 0) {
    read.fault('value-kind', value, `“${key.text}” is empty`, `Write what means up: [${example}]`)
  }
  return nodes.map((node) => one({ key, value: node }))
}

/**
 * Reads a domain name → lower case, with the final dot. Names in checks are fully qualified, with or without the dot.
 */
function readDnsName<M>(read: Reader, entry: Entry | undefined, missing: M): string | M {
  const text = read.text(entry, undefined)
  if (entry === undefined || text === undefined) return missing
  const name = canonicalName(text)
  if (name !== undefined && isPrintable(name)) return name
  const wanted = name === undefined ? 'a domain name' : 'a name of printable characters'
  read.fault('value-invalid', entry.value, `“name” is “${text}” where ${wanted} is wanted`)
  return '.' // a placeholder, so that “name” is not reported as missing too
}

function canonicalName(text: string): string | undefined {
  const name = parseName(isAbsolute(text) ? text : `${text}.`)
  return isFault(name) ? undefined : formatName(lowerName(name))
}

/**
 * Fills in the defaults of a kind. undefined, and a Problem is reported, when a key is missing or keys contradict each
 * other.
 */
export function completeKind(read: Reader, node: Node, type: CheckType, part: PartialKind): CheckKind | undefined {
  const host = part.host === undefined ? {} : { host: part.host }
  const verify = part.verify ?? true
  switch (type) {
    case 'tcp':
    case 'icmp':
      return { type }
    case 'http':
    case 'https':
      return completeHttp(read, node, type, part)
    case 'tls':
      return { type, ...host, verify, validForMs: part.validForMs ?? DAY_MS }
    case 'grpc': {
      const { tls = false, service = '' } = part
      if (tls || part.verify === undefined) return { type, tls, ...host, verify, service }
      read.fault(
        'value-invalid',
        node,
        '“verify” means nothing without TLS',
        'Write `tls: true`, or leave `verify` out',
      )
      return undefined
    }
    case 'dns':
      return completeDns(read, node, part)
    case 'exec':
      if (part.command !== undefined) return { type, command: part.command }
      read.missing(node, 'a check of type exec', 'command', 'Commands are defined in the node setting probe.exec')
      return undefined
    case 'agent':
      return { type, ...(part.send !== undefined && { send: part.send }) }
    default:
      return type satisfies never
  }
}

function completeHttp(read: Reader, node: Node, type: 'http' | 'https', part: PartialKind): CheckKind | undefined {
  const { method = 'GET', path = '/', host, statuses = [200], body, verify = true } = part
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

function completeDns(read: Reader, node: Node, part: PartialKind): CheckKind | undefined {
  const { name, rrtype = 'A', rcodes = ['NOERROR'] } = part
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
