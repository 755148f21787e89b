/**
 * Node settings. One table has the key, type, bounds, unit, default and meaning of each. `meridian.yaml`, MERIDIAN_*
 * variables and flags are read by it, and a test holds docs/settings.md to it.
 *
 * The caller (node/settings.ts) turns all three sources into RawSettings, and readConfig() makes the Config. Later
 * sources win, and all faults of all sources are reported. A path in the file is relative to the file; any other path
 * is relative to the working directory.
 */
import { isIP } from 'node:net'
import { availableParallelism, hostname } from 'node:os'
import { resolve } from 'node:path'
import { RECEIVER, RECEIVER_NAME, type Receiver } from './config/receivers.ts'
import { list, one, Secret, type Setting } from './config/setting.ts'
import { nearest, type Report } from './problem.ts'
import { type Endpoint, formatEndpoint, parseBytes, parseDurationMs, parseEndpoint, parsePercent } from './units.ts'

/** A setting as it is written in one source. */
export interface RawSetting {
  readonly key: string
  readonly values: readonly RawValue[]
  /** The source as problems name it: the file, `MERIDIAN_THREADS`, `--threads`. */
  readonly source: string
  /** The folder that paths are relative to. */
  readonly folder: string
  /** Position of the key; 0 outside of a file. */
  readonly line: number
  readonly column: number
  /** As in a Problem. */
  readonly width?: number
}

/** A value as it is written, with its position; 0 outside of a file. */
export interface RawValue {
  readonly text: string
  /** Only for named commands in the file: `text` is the name, and these are the program and its arguments. */
  readonly words?: readonly string[]
  readonly line: number
  readonly column: number
  readonly width?: number
}

/** A command of `probe.exec`: the name that zones use, and the program with its arguments. */
export type Command = readonly [name: string, words: readonly string[]]

/** Text that someone wrote where no secret belongs, without the login of a URL in it. */
export const withoutLogins = (text: string): string => text.replaceAll(/:\/\/[^\s/]*@/g, '://…@')
const text = (pattern: RegExp) => (value: string) => (pattern.test(value) ? value : undefined)
const path = (value: string, folder: string) => (value === '' ? undefined : resolve(folder, value))
const flag = (value: string) => (value === 'true' ? true : value === 'false' ? false : undefined)
const wholeNumber = (least: number, most: number) => (value: string) =>
  /^\d{1,9}$/.test(value) && Number(value) >= least && Number(value) <= most ? Number(value) : undefined
const bytes = (least: string, most: string) => (value: string) => {
  const count = parseBytes(value)
  return count !== undefined && count >= parseBytes(least)! && count <= parseBytes(most)! ? count : undefined
}
const durationMs = (least: string, most: string) => (value: string) => {
  const ms = parseDurationMs(value)
  return ms !== undefined && ms >= parseDurationMs(least)! && ms <= parseDurationMs(most)! ? ms : undefined
}
const domain = (value: string) => {
  const labels = (value.endsWith('.') ? value.slice(0, -1) : value).split('.')
  return value.length <= 253 && labels.every((label) => /^[A-Za-z0-9_-]{1,63}$/.test(label)) ? value : undefined
}
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/
/** Whether a text is a valid name of a node, prober or region. */
export const isName = (value: string): boolean => NAME.test(value)
const NAME_TYPE = 'a name: letters, digits, `.`, `_`, `-`, at most 63'

const HEX_TEXT = /^0x([0-9A-Fa-f]{2}){1,128}$/
const PLAIN_TEXT = /^[\x20-\x7e]{1,128}$/

/** A coarse check of a prefix; node/settings.ts parses it and reports what is wrong. */
const prefix = text(/^[0-9A-Fa-f:.]{2,45}(\/\d{1,3})?$/)
/** The type of a rate limit. */
const RATE = {
  type: 'responses a second, 0–1000000; 0 = no limit',
  read: wholeNumber(0, 1_000_000),
}
const PREFIX_TYPE = 'an address or prefix: `10.0.0.0/8`, `2001:db8::/32`'

/** `NAME=text` → the name and the text; from the file the name and its words, as they are. */
function namedParts(value: string, words?: readonly string[]): readonly [name: string, parts: readonly string[]] {
  if (words !== undefined) return [value, words]
  const at = value.indexOf('=')
  return at < 0 ? ['', []] : [value.slice(0, at).trim(), [value.slice(at + 1).trim()]]
}

/**
 * Reads `NAME=program word word`, or from the file a name and its words. The program is a path, so PATH is not
 * searched.
 */
function command(value: string, folder: string, words?: readonly string[]): Command | undefined {
  const [name, parts] = namedParts(value, words)
  const [program = '', ...rest] = words === undefined ? (parts[0] ?? '').split(/\s+/) : parts
  return NAME.test(name) && program !== '' ? [name, [resolve(folder, program), ...rest]] : undefined
}

/** Reads `NAME=file`, or from the file of settings a name and one or more files. */
function files(value: string, folder: string, words?: readonly string[]): Command | undefined {
  const [name, paths] = namedParts(value, words)
  if (!NAME.test(name) || paths.length === 0 || paths.includes('')) return undefined
  return [name, paths.map((file) => resolve(folder, file))]
}

/** Reads `NAME=file`, or from the file of settings a name and its file. */
function oneFile(value: string, folder: string, words?: readonly string[]): Command | undefined {
  const read = files(value, folder, words)
  return read?.[1].length === 1 ? read : undefined
}

/** Whether a text may be a header's value: printable ASCII (RFC 9110 §5.5), so that it holds no second header. */
export const isHeaderValue = (value: string): boolean => /^[\x20-\x7e]{1,4096}$/.test(value)

/** Reads `NAME=value`, or from the file a name and its value. `file:` takes a path, relative to `folder`. */
function headerValue(given: string, folder: string, words?: readonly string[]): readonly [string, Secret] | undefined {
  const [name, [value = '', ...rest]] = namedParts(given, words)
  if (!NAME.test(name) || rest.length > 0 || !isHeaderValue(value)) return undefined
  const file = /^file:(.+)$/.exec(value)?.[1]
  return [name, new Secret(file === undefined ? value : `file:${resolve(folder, file)}`)]
}

/**
 * What a token lets its holder do over HTTP: see everything; drain and undrain; force members up or down; remove probers
 * and nodes, and accept what is held back. None includes another.
 */
export const SCOPES = ['read', 'drain', 'force', 'admin'] as const
/** One of SCOPES. */
export type Scope = (typeof SCOPES)[number]

/** Values of the setting log.level, the most verbose first. */
export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'silent'] as const
/** A value of the setting log.level. */
export type LogLevel = (typeof LOG_LEVELS)[number]
/** Values of the setting log.format. */
export const LOG_FORMATS = ['json', 'text'] as const
/** A value of the setting log.format. */
export type LogFormat = (typeof LOG_FORMATS)[number]

/** Values of the setting announce.form. */
export const ANNOUNCE_FORMS = ['route', 'file', 'exec', 'exabgp', 'http'] as const
/** A value of the setting announce.form. */
export type AnnounceForm = (typeof ANNOUNCE_FORMS)[number]

/** An address of `announce.addresses`, and the length of the prefix that is announced for it. */
export interface AnnouncedAddress {
  readonly address: string
  readonly bits: number
}

/** Reads an address of this machine, alone or with the length of the prefix that is announced: `192.0.2.53/24`. */
function announcedAddress(value: string): AnnouncedAddress | undefined {
  const [, address = '', length] = /^([0-9A-Fa-f:.]{2,45})(?:\/(\d{1,3}))?$/.exec(value) ?? []
  const most = { 0: 0, 4: 32, 6: 128 }[isIP(address)] ?? 0
  const bits = length === undefined ? most : Number(length)
  return most > 0 && bits > 0 && bits <= most ? { address, bits } : undefined
}

/** A setting whose value must not appear in logs or messages. */
const secret = (pattern: RegExp, rest: Pick<Setting<unknown>, 'type' | 'meaning'>): Setting<Secret | undefined> => ({
  ...rest,
  list: false,
  default: [],
  secret: true,
  read: (value) => (pattern.test(value) ? new Secret(value) : undefined),
})
/** The same with up to two values, so that a secret can be replaced while both are valid. */
const secrets = (pattern: RegExp, rest: Pick<Setting<unknown>, 'type' | 'meaning'>): Setting<readonly Secret[]> => ({
  ...rest,
  list: true,
  most: 2,
  default: [],
  secret: true,
  read: (value) => (pattern.test(value) ? new Secret(value) : undefined),
})
/** A setting of secrets by name. */
const namedSecrets = (
  rest: Pick<Setting<unknown>, 'type' | 'meaning' | 'read'>,
): Setting<Readonly<Record<string, Secret>>> => ({ ...rest, list: true, named: true, secret: true, default: [] })
/** A setting whose values are pairs of a name and a list of words. */
const named = (
  rest: Pick<Setting<unknown>, 'type' | 'meaning' | 'read'>,
): Setting<Readonly<Record<string, readonly string[]>>> => ({ ...rest, list: true, named: true, default: [] })

/** Receivers of notifications by name, whose keys are settings of their own. */
const receivers = (meaning: string): Setting<Readonly<Record<string, Receiver>>> => ({
  type: 'by name, a mapping with the keys of `notify.NAME`',
  list: true,
  default: [],
  meaning,
  secret: true,
  keys: RECEIVER,
  read: () => undefined,
})

/** The table of all settings. */
export const SETTINGS = {
  listen: list<Endpoint>({
    type: '`address:port` or `[address]:port`, port 1–65535',
    default: ['0.0.0.0:53', '[::]:53'],
    meaning: 'Where DNS queries are answered, over UDP and TCP.',
    read: parseEndpoint,
  }),
  zones: one<string>({
    type: 'a folder',
    default: ['zones'],
    meaning: 'The YAML files of zones, sites and services.',
    read: path,
  }),
  'zones.maxMove': one<number | undefined>({
    type: 'a percentage, `0%`–`100%`',
    default: [],
    meaning:
      'A change of the zones that moves more than this of any service’s clients waits for `meridian zones accept`; the zones before are served. Without it none waits.',
    read: parsePercent,
  }),
  'geo.city': list<string>({
    type: 'a file, or a list of files where IPv4 and IPv6 are apart',
    default: [],
    meaning: 'City database in MMDB form (GeoLite2, GeoIP2, DB-IP). Without one no client has a place.',
    read: path,
  }),
  'geo.asn': list<string>({
    type: 'a file, or a list of files where IPv4 and IPv6 are apart',
    default: [],
    meaning: 'Database of autonomous systems in MMDB form (GeoLite2-ASN, DB-IP). Rules with `asns` need it.',
    read: path,
  }),
  'geo.maxMove': one<number | undefined>({
    type: 'a percentage, `0%`–`100%`',
    default: [],
    meaning:
      'A new database that moves more than this of any service’s clients waits for `meridian geo accept`; the one before is used. Without it one waits only if it has lost what the zones need.',
    read: parsePercent,
  }),
  redis: secret(/^rediss?(\+sentinel|\+cluster)?:\/\/[\x21-\x7e]+$/, {
    type: '`redis://`, `rediss://` (TLS), `redis+sentinel://`, `redis+cluster://`, see docs/redis.md',
    meaning: 'Where probers and nodes share health. Without one this node knows only what it probes itself.',
  }),
  'redis.secret': secrets(/^[\x21-\x2b\x2d-\x7e]{16,}$/, {
    type: 'at least 16 printable characters without spaces and commas, or a list of two',
    meaning:
      'Signs what this process says in Redis, with the first of two; what others say, and neither of the two has signed, is not believed. See docs/redis.md.',
  }),
  'overrides.maxFor': one<number | undefined>({
    type: 'a duration, `1m`–`365d`',
    default: [],
    meaning:
      'The longest that an override may last, such as `72h`. One that is to last longer, or has no end, is refused; one that is in force already is shown. Without it all are taken. Give all nodes the same.',
    read: durationMs('1m', '365d'),
  }),
  'node.name': one<string>({
    type: NAME_TYPE,
    default: [NAME.test(hostname()) ? hostname() : 'meridian'],
    defaultInWords: "the host's name",
    meaning: 'How this node and its prober call themselves.',
    read: text(NAME),
  }),
  'node.site': one<string | undefined>({
    type: 'a site of `sites.yaml`',
    default: [],
    meaning: 'Clients that the database does not know are taken to be where this site is.',
    read: text(NAME),
  }),
  'node.nsid': one<string | undefined>({
    type: '1–128 printable characters, or `0x` and an even number of hexadecimal digits',
    default: [],
    meaning:
      'This node’s identifier for clients that ask for it (`dig +nsid`, RFC 5001): which node of an anycast address answered. Anyone may ask.',
    read: (value) => ((value.startsWith('0x') ? HEX_TEXT : PLAIN_TEXT).test(value) ? value : undefined),
  }),
  'chaos.identity': one<string | undefined>({
    type: '1–255 printable characters',
    default: [],
    meaning:
      'What `id.server` and `hostname.bind` say in class CH (`dig +short CH TXT id.server`, RFC 4892). Without it they are refused.',
    read: text(/^[\x20-\x7e]{1,255}$/),
  }),
  'chaos.version': one<string | undefined>({
    type: '1–255 printable characters',
    default: [],
    meaning: 'What `version.server` and `version.bind` say in class CH. Without it they are refused.',
    read: text(/^[\x20-\x7e]{1,255}$/),
  }),
  'report.channel': one<string | undefined>({
    type: 'a name of at most 253 characters',
    default: [],
    meaning:
      'The domain of an agent to which resolvers may report what they find wrong with answers (RFC 9567). Responses with EDNS name it.',
    read: domain,
  }),
  'cookies.secretFile': one<string | undefined>({
    type: 'a file of one or two lines, each 32 hexadecimal digits',
    default: [],
    defaultInWords: 'a secret of each process’s own',
    meaning:
      'The secrets of DNS cookies: the first makes them, both verify them. The file has mode 0640 or less. All nodes of an anycast address need the same; read again when it changes. See [cookies](#cookies).',
    read: path,
  }),
  'cookies.require': one<number>({
    type: 'bytes, 512–1232',
    default: ['512'],
    meaning:
      'The largest answer over UDP to a client without a valid cookie, whose address may be forged; it gets a longer one over TCP. 1232 = cookies make no difference.',
    read: wholeNumber(512, 1232),
  }),
  'cookies.badcookie': one<boolean>({
    type: '`true` or `false`',
    default: ['false'],
    meaning:
      'Whether a query over UDP whose cookie is not valid is answered with BADCOOKIE and a new cookie, and with data only when it comes back with that one. A query without any cookie is answered in either case.',
    read: flag,
  }),
  threads: one<number>({
    type: 'a whole number, 1–64',
    default: [String(Math.min(64, availableParallelism()))],
    defaultInWords: 'one per core',
    meaning: 'Answering threads of UDP. TCP, TLS and HTTPS have one each.',
    read: wholeNumber(1, 64),
  }),
  'tcp.connections': one<number>({
    type: 'a whole number, 1–100000',
    default: ['2000'],
    meaning:
      'Most connections of each of TCP, TLS and HTTPS, as far as half of the files suffices that the process may open. One more takes the place of the longest idle.',
    read: wholeNumber(1, 100_000),
  }),
  'tcp.memory': one<number>({
    type: 'a size, `1MB`–`4GB`',
    default: ['32MB'],
    meaning:
      'What may wait in all connections together, of each of TCP, TLS and HTTPS: answers not taken and queries not whole. Beyond it the client that holds most loses a connection.',
    read: bytes('1MB', '4GB'),
  }),
  'proxy.from': list<string>({
    type: PREFIX_TYPE,
    default: [],
    most: 64,
    meaning:
      'Networks of proxies that name the client by the PROXY protocol, version 2, on all of UDP, TCP, TLS and HTTPS. It is required of them; others can name nobody.',
    read: prefix,
  }),
  'tls.listen': list<Endpoint>({
    type: '`address:port` or `[address]:port`, port 1–65535',
    default: [],
    meaning: 'Where DNS is answered over TLS (RFC 7858), on port 853 by custom. See [transports](transports.md).',
    read: parseEndpoint,
  }),
  'https.listen': list<Endpoint>({
    type: '`address:port` or `[address]:port`, port 1–65535',
    default: [],
    meaning: 'Where DNS is answered over HTTPS (RFC 8484), at `/dns-query`, on port 443 by custom.',
    read: parseEndpoint,
  }),
  'tls.certificate': one<string | undefined>({
    type: 'a PEM file',
    default: [],
    meaning:
      'The certificate for `tls.listen` and `https.listen`, then its intermediate ones. Read again when it changes.',
    read: path,
  }),
  'tls.key': one<string | undefined>({
    type: 'a PEM file',
    default: [],
    meaning: 'The private key of `tls.certificate`, without a passphrase. Read again when it changes.',
    read: path,
  }),
  'limits.answers': one<number>({
    ...RATE,
    default: ['1000'],
    meaning:
      'Answers to names that exist, a second, to one network (/24 or /56) over UDP; ten times as many if it has proven its address. The node divides it among its threads. See docs/abuse.md.',
  }),
  'limits.negatives': one<number>({
    ...RATE,
    default: ['1000'],
    meaning: 'The same for names that do not exist (NXDOMAIN).',
  }),
  'limits.referrals': one<number>({ ...RATE, default: ['1000'], meaning: 'The same for delegations.' }),
  'limits.errors': one<number>({
    ...RATE,
    default: ['1000'],
    meaning: 'The same for REFUSED, FORMERR, NOTIMP and BADVERS.',
  }),
  'limits.unproven': one<number>({
    ...RATE,
    default: ['5000'],
    meaning:
      'Responses a second to all networks together that have not proven their address (by a query over TCP, or with a valid DNS cookie, within the last hour). Beyond it they are truncated, so that clients ask over TCP.',
  }),
  'limits.slip': one<number>({
    type: 'a whole number, 1–100',
    default: ['1'],
    meaning: 'Of the responses to a network over its rate, each so-many-th is sent, truncated; the others are dropped.',
    read: wholeNumber(1, 100),
  }),
  'limits.exempt': list<string>({
    type: PREFIX_TYPE,
    default: [],
    meaning: 'Networks that are not limited; loopback never is.',
    read: prefix,
  }),
  'queryLog.file': one<string | undefined>({
    type: 'a file',
    default: [],
    meaning:
      'Where queries are recorded, a line of JSON each, with who asked and what was answered. Made anew when it was renamed. Without it, and without `queryLog.dnstap`, none are. See [query log](query-log.md).',
    read: path,
  }),
  'queryLog.dnstap': one<string | undefined>({
    type: 'a Unix socket',
    default: [],
    meaning: 'Where a collector takes the same records as dnstap (Frame Streams, `AUTH_QUERY` and `AUTH_RESPONSE`).',
    read: path,
  }),
  'queryLog.sample': one<number>({
    type: 'a whole number, 1–1000000',
    default: ['1'],
    meaning: 'Of so many queries one is recorded, chosen at random; 1 = all are.',
    read: wholeNumber(1, 1_000_000),
  }),
  state: one<string>({
    type: 'a folder',
    default: ['state'],
    meaning:
      'Saved health, compiled maps and the control socket; made when it is not there. A node serves without it, with a warning.',
    read: path,
  }),
  'probe.enabled': one<boolean>({
    type: '`true` or `false`',
    default: ['true'],
    meaning: 'Whether this node probes the sites itself.',
    read: flag,
  }),
  'probe.region': one<string>({
    type: NAME_TYPE,
    default: ['local'],
    meaning: 'Where this prober looks from; its votes carry it.',
    read: text(NAME),
  }),
  'probe.threads': one<number>({
    type: 'a whole number, 1–64',
    default: ['1'],
    meaning: 'Threads that run the checks: a core makes some 2,000 checks a second of type http, 400 of type https.',
    read: wholeNumber(1, 64),
  }),
  'probe.rate': one<number>({
    type: 'checks a second, 1–100000',
    default: ['5000'],
    meaning: 'Most checks that this prober begins in a second; those beyond it wait.',
    read: wholeNumber(1, 100_000),
  }),
  'probe.canaries': list<Endpoint>({
    type: '`address:port` or `[address]:port`, port 1–65535',
    default: [],
    meaning:
      'Hosts that answer TCP and have nothing to do with the sites. While none of an address family can be reached, this prober does not vote DOWN there.',
    read: parseEndpoint,
  }),
  'probe.allow': list<string>({
    type: PREFIX_TYPE,
    default: [],
    meaning:
      'Addresses that checks may go to although they are denied otherwise, and where `check.address` is expected. See [what checks reach](#what-checks-reach).',
    read: prefix,
  }),
  'probe.deny': list<string>({
    type: PREFIX_TYPE,
    default: [],
    meaning:
      'Addresses that no check goes to, beside those of this host, its links and the metadata services of clouds. See [what checks reach](#what-checks-reach).',
    read: prefix,
  }),
  'probe.exec': named({
    type: 'by name, a list of a program and its arguments; in a variable or flag `NAME=program argument …`',
    meaning:
      'Commands that checks of type `exec` may name, and no others. The program is a file; no shell runs it, and its environment is not that of the prober.',
    read: command,
  }),
  'probe.ca': named({
    type: 'by name, a PEM file or a list of them; in a variable or flag `NAME=file`',
    meaning:
      'Certificate authorities that checks may name with `ca`, which then count in place of those that this machine trusts.',
    read: files,
  }),
  'probe.headers': namedSecrets({
    type: 'by name, a text or `file:PATH`; in a variable `NAME=text`',
    meaning:
      'Values of headers that checks may name with `headers`: the text, or the first line of the file, which is read for each check. Whoever writes zones decides where they are sent.',
    read: headerValue,
  }),
  'tls.ca': list<string>({
    type: 'a PEM file, or a list of them',
    default: [],
    meaning:
      "Certificate authorities that checks, Redis over TLS and commands with `--at https://…` trust, besides those of the machine's store.",
    read: path,
  }),
  'tsig.keys': named({
    type: 'by name, a file; in a variable or flag `NAME=file`',
    meaning:
      'Keys that zone transfers and other queries may be signed with (TSIG), see [transfers.md](transfers.md). A file has what `tsig-keygen NAME` or `keymgr -t NAME` writes, and mode 0640 or less; a change of it is noticed.',
    read: oneFile,
  }),
  notify: receivers('Who is told of events: webhooks, chat, pagers, mail. See [notifications](notifications.md).'),
  'announce.form': one<AnnounceForm | undefined>({
    type: ANNOUNCE_FORMS.map((form) => `\`${form}\``).join(', '),
    default: [],
    meaning:
      'How routers learn whether this node answers, so that they send queries here: a route in a table of the kernel, a file, a command, ExaBGP, or `GET /announce`. Without it nothing is announced. See [anycast](anycast.md).',
    read: (value) => ANNOUNCE_FORMS.find((form) => form === value),
  }),
  'announce.addresses': list<AnnouncedAddress>({
    type: 'an address of this machine, or one with the length of the prefix to announce: `192.0.2.53/24`',
    default: [],
    most: 16,
    meaning: 'The anycast addresses, which `listen` includes. All of them are announced, or none.',
    read: announcedAddress,
  }),
  'announce.table': one<number>({
    type: 'the number of a table, 1–252',
    default: ['53'],
    meaning: 'Of the form `route`: the table of the kernel that has a route to each address while it is announced.',
    read: wholeNumber(1, 252),
  }),
  'announce.file': one<string | undefined>({
    type: 'a file',
    default: [],
    meaning: 'Of the form `file`: it is there, and written each second, while the addresses are announced.',
    read: path,
  }),
  'announce.exec': list<string>({
    type: 'a program and its arguments',
    default: [],
    meaning:
      'Of the form `exec`: a program, a path without PATH, that is run with `up` or `down` as its last argument.',
    read: (value) => (value === '' ? undefined : value),
  }),
  'announce.others': one<number>({
    type: 'a whole number, 1–100',
    default: ['1'],
    meaning:
      'How many other nodes must be announced, and answer, before this one withdraws. With fewer it stays announced, and says so.',
    read: wholeNumber(1, 100),
  }),
  'announce.wait': one<number>({
    type: 'a duration, `0s`–`5m`',
    default: ['5s'],
    meaning:
      'How long a node that ends goes on answering once its addresses are withdrawn: until routers have noticed, and what is on its way has arrived.',
    read: durationMs('0s', '5m'),
  }),
  'control.group': one<string | undefined>({
    type: 'a group of this machine, by name or number',
    default: [],
    meaning:
      'Whose members may use the control socket, and with it all commands. Without it only the user that runs the process may.',
    read: text(/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,31}$/),
  }),
  'http.listen': one<Endpoint>({
    type: '`address:port` or `[address]:port`, port 1–65535',
    default: ['127.0.0.1:8053'],
    meaning: 'Where `/live`, `/ready` and `/metrics` are served, and with tokens the control API.',
    read: parseEndpoint,
  }),
  'http.hosts': list<string>({
    type: 'names, as clients write them in a URL',
    default: [],
    defaultInWords: "the host's name and `node.name`",
    meaning:
      'Names of this process in URLs, beside IP addresses and `localhost`; a request by another name is refused, so that no web page reads through a browser. `/live`, `/ready` and `/announce` answer to any.',
    read: text(/^[A-Za-z0-9._-]{1,253}$/),
  }),
  'http.certificate': one<string | undefined>({
    type: 'a PEM file',
    default: [],
    meaning:
      'The certificate for `http.listen`, then its intermediate ones. With it and `http.key` HTTPS is spoken there, and HTTP no more. Read again when it changes.',
    read: path,
  }),
  'http.key': one<string | undefined>({
    type: 'a PEM file',
    default: [],
    meaning: 'The private key of `http.certificate`, without a passphrase. Read again when it changes.',
    read: path,
  }),
  'http.tokens': one<string | undefined>({
    type: 'a file of lines: a name, the hash of a secret, scopes',
    default: [],
    meaning:
      'Who may use the control API over TCP, and for what; `meridian token` makes a line. The file has mode 0640 or less; read again when it changes. Without tokens the API is on the control socket only. See [tokens](api.md#tokens).',
    read: path,
  }),
  'http.token': secret(/^[\x21-\x7e]{16,}$/, {
    type: 'at least 16 printable characters without spaces',
    meaning: 'One more token, with all scopes and the name `http.token`, whose secret stands here itself.',
  }),
  'log.level': one<LogLevel>({
    type: LOG_LEVELS.map((level) => `\`${level}\``).join(', '),
    default: ['info'],
    meaning: 'Least severe log lines that are written.',
    read: (value) => LOG_LEVELS.find((level) => level === value),
  }),
  'log.format': one<LogFormat | undefined>({
    type: LOG_FORMATS.map((format) => `\`${format}\``).join(', '),
    default: [],
    defaultInWords: '`text` on a terminal, else `json`',
    meaning: 'How log lines are written, to stdout.',
    read: (value) => LOG_FORMATS.find((format) => format === value),
  }),
} as const

/** A key of the table. */
export type SettingKey = keyof typeof SETTINGS
/** All settings with their values; frozen. */
export type Config = {
  readonly [K in SettingKey]: (typeof SETTINGS)[K] extends Setting<infer T> ? T : never
}

const isKey = (key: string): key is SettingKey => Object.hasOwn(SETTINGS, key)
export const SETTING_KEYS: readonly SettingKey[] = Object.keys(SETTINGS).filter(isKey)
const isWhole = (record: object): record is Config => SETTING_KEYS.every((key) => Object.hasOwn(record, key))

/** A key below a setting that has `keys`: `notify.ops.url`. */
interface Part {
  readonly key: SettingKey
  readonly name: string
  readonly part: string
  readonly setting: Setting<unknown>
}

function partOf(key: string): Part | undefined {
  const [, head = '', name = '', part = ''] = /^([a-zA-Z]+)\.([^.]+)\.([a-zA-Z]+)$/.exec(key) ?? []
  const keys = isKey(head) ? rowOf(head).keys : undefined
  const setting = keys !== undefined && Object.hasOwn(keys, part) && RECEIVER_NAME.test(name) ? keys[part] : undefined
  return setting === undefined || !isKey(head) ? undefined : { key: head, name, part, setting }
}

const rowOf = (key: SettingKey): Setting<unknown> => SETTINGS[key]

/** Whether there is a setting of that key: one of the table, or `notify.ops.url`. */
export const isSetting = (key: string): boolean => isKey(key) || partOf(key) !== undefined

/** Whether settings begin with this name and a dot. */
export const hasKeysBelow = (name: string): boolean =>
  SETTING_KEYS.some((key) => key.startsWith(`${name}.`)) ||
  (isKey(name) && rowOf(name).keys !== undefined) ||
  isItem(name)

/** Whether it names an item of a setting with `keys`: `notify.ops`. */
export function isItem(name: string): boolean {
  const [head = '', item = '', ...rest] = name.split('.')
  return isKey(head) && rowOf(head).keys !== undefined && item !== '' && rest.length === 0
}

/** All rows, also those of settings that have `keys`: `notify.NAME.url`. */
export const SETTING_ROWS: readonly (readonly [key: string, setting: Setting<unknown>])[] = SETTING_KEYS.flatMap(
  (key) => [
    [key, rowOf(key)] as const,
    ...Object.entries(rowOf(key).keys ?? {}).map(([part, setting]) => [`${key}.NAME.${part}`, setting] as const),
  ],
)

/** In the file it is a mapping from names to lists of words. */
export const isNamed = (key: string): boolean => isKey(key) && 'named' in SETTINGS[key]

/** The variable with the bearer token for commands that ask a node; it is no setting. */
export const TOKEN_VARIABLE = 'MERIDIAN_TOKEN'

/** The environment variable of a setting: `MERIDIAN_HTTP_LISTEN`. */
export const variableOf = (key: string): string => `MERIDIAN_${key.toUpperCase().replaceAll(/[.-]/g, '_')}`

/** The key of a variable below a setting that has `keys`: `MERIDIAN_NOTIFY_OPS_URL` → `notify.ops.url`. */
function partOfVariable(variable: string): string | undefined {
  const head = SETTING_KEYS.find((key) => rowOf(key).keys !== undefined && variable.startsWith(`${variableOf(key)}_`))
  const [, name = '', part = ''] = /^(.+)_([A-Z]+)$/.exec(variable.slice(variableOf(head ?? '').length + 1)) ?? []
  const key = `${head}.${name.toLowerCase().replaceAll('_', '-')}.${part.toLowerCase()}`
  return head !== undefined && partOf(key) !== undefined ? key : undefined
}

/** The flag of a setting: `--http-listen`. */
export const flagOf = (key: string): string => `--${key.replaceAll('.', '-')}`

/**
 * The settings among environment variables. Lists are separated by commas. An unknown MERIDIAN_* variable is only a
 * warning, because Kubernetes itself sets some for a service called meridian.
 */
export function settingsFromEnvironment(
  env: Readonly<Record<string, string | undefined>>,
  report: Report,
): RawSetting[] {
  const known = new Map(SETTING_KEYS.map((key) => [variableOf(key), key]))
  const given: RawSetting[] = []
  for (const [variable, value] of Object.entries(env)) {
    if (!variable.startsWith('MERIDIAN_') || variable === TOKEN_VARIABLE || value === undefined) continue
    const key = known.get(variable) ?? partOfVariable(variable)
    if (key !== undefined) given.push(settingFromText(key, value, variable))
    else {
      const place = { file: variable, line: 0, column: 0 }
      const message = 'no setting has this variable'
      report({
        code: 'setting-unknown',
        severity: 'warning',
        ...place,
        message,
        hint: hintAt(variable, [...known.keys()]),
      })
    }
  }
  return given
}

/** A setting from the command line or the environment; paths are relative to the working directory. */
export function settingFromText(key: string, value: string, source: string): RawSetting {
  const setting = isKey(key) ? rowOf(key) : partOf(key)?.setting
  const parts = setting?.list === true ? value.split(',').map((part) => part.trim()) : [value]
  const values = parts.filter((part) => part !== '').map((part) => ({ text: part, line: 0, column: 0 }))
  return { key, values, source, folder: process.cwd(), line: 0, column: 0 }
}

/** All settings that are written, the strongest source last → Config; undefined after an error was reported. */
export function readConfig(given: readonly RawSetting[], report: Report): Config | undefined {
  let wrong = false
  const fault = (
    code: 'setting-unknown' | 'setting-invalid',
    at: RawSetting,
    message: string,
    hint: string,
    item: RawValue | RawSetting = at,
  ) => {
    wrong = true
    const { line, column, width } = item
    const place = { file: at.source, line, column, ...(width !== undefined && { width }) }
    report({ code, severity: 'error', ...place, message, hint })
  }
  const result: Record<string, unknown> = {}
  for (const key of SETTING_KEYS) {
    const setting: Setting<unknown> = SETTINGS[key]
    const values = setting.default.map((value) => setting.read(value, process.cwd()))
    result[key] = gather(setting, values)
  }
  const items = new Map<SettingKey, Record<string, Record<string, unknown>>>()
  for (const entry of given) {
    const part = partOf(entry.key)
    const setting = part?.setting ?? (isKey(entry.key) ? rowOf(entry.key) : undefined)
    if (setting === undefined) {
      // a text that does not look like a key may be a secret in the wrong place, so it is not repeated
      const name = /^[A-Za-z][\w.-]{0,60}$/.test(entry.key) ? `setting ${entry.key}` : 'such setting'
      fault('setting-unknown', entry, `there is no ${name}`, hintAtUnknown(entry.key))
      continue
    }
    if (!setting.list && entry.values.length !== 1) {
      fault(
        'setting-invalid',
        entry,
        `${entry.key} takes one value, not ${entry.values.length}`,
        `Type: ${setting.type}`,
      )
      continue
    }
    const { most } = setting
    if (most !== undefined && entry.values.length > most) {
      const message = `${entry.key} takes at most ${most} values, not ${entry.values.length}`
      fault('setting-invalid', entry, message, `Type: ${setting.type}`)
      continue
    }
    const values: unknown[] = []
    for (const item of entry.values) {
      const value = setting.read(item.text, entry.folder, item.words)
      if (value === undefined) {
        const written = withoutLogins(
          JSON.stringify(item.words === undefined ? item.text : { [item.text]: item.words }),
        )
        const message = `${entry.key} can't be ${setting.secret ? 'what is written' : written}`
        fault('setting-invalid', entry, message, `Type: ${setting.type}`, item)
      } else values.push(value)
    }
    if (part === undefined) result[entry.key] = gather(setting, values)
    else {
      const byName = items.get(part.key) ?? {}
      byName[part.name] = { ...byName[part.name], [part.part]: gather(setting, values) }
      items.set(part.key, byName)
    }
  }
  for (const key of SETTING_KEYS) {
    const { keys } = rowOf(key)
    if (keys !== undefined) result[key] = wholeItems(keys, items.get(key) ?? {})
  }
  const { listen } = result
  if (!wrong && Array.isArray(listen) && listen.length === 0) {
    const entry = given.findLast(({ key }) => key === 'listen')!
    fault('setting-invalid', entry, 'listen names no address', `Type: ${SETTINGS.listen.type}`)
  }
  Object.freeze(result)
  return !wrong && isWhole(result) ? result : undefined
}

/** Items of a setting with `keys`, each with the defaults of what is not written. */
function wholeItems(
  keys: Readonly<Record<string, Setting<unknown>>>,
  items: Readonly<Record<string, Readonly<Record<string, unknown>>>>,
): unknown {
  const defaults = Object.entries(keys).map(([part, setting]) => {
    const values = setting.default.map((value) => setting.read(value, process.cwd()))
    return [part, gather(setting, values)] as const
  })
  const whole = Object.entries(items).map(([name, item]) => [name, { ...Object.fromEntries(defaults), ...item }])
  return Object.fromEntries(whole)
}

function gather(setting: Setting<unknown>, values: readonly unknown[]): unknown {
  if (setting.named === true) return Object.fromEntries(values.filter((value) => Array.isArray(value)))
  return setting.list ? values : values[0]
}

/** Whether `listen` has its default. */
export const listensByDefault = ({ listen }: Config): boolean =>
  listen.map(formatEndpoint).join() === SETTINGS.listen.default.join()

function hintAtUnknown(key: string): string {
  const [head = '', name = '', ...rest] = key.split('.')
  const keys = isKey(head) ? rowOf(head).keys : undefined
  if (keys === undefined || name === '') return hintAt(key, SETTING_KEYS)
  if (!RECEIVER_NAME.test(name)) return 'A name here has lower-case letters, digits and `-`, and begins with a letter'
  if (rest.length === 0) return `${head}.${name} is a mapping of one or more of: ${Object.keys(keys).join(', ')}`
  return hintAt(
    key,
    Object.keys(keys).map((part) => `${head}.${name}.${part}`),
  )
}

const hintAt = (key: string, known: readonly string[]): string =>
  [nearest(key, known), 'All settings are in docs/settings.md'].filter((part) => part !== undefined).join(' ')

/** Writes a log line. */
export type Log = (
  level: 'info' | 'warn' | 'error',
  message: string,
  fields?: Readonly<Record<string, unknown>>,
) => void
