/**
 * Errors of Redis and of the connection to it as one line that says what to do. Pure. Redis repeats the arguments of a
 * command that it does not know, and a login is such a command, so passwords are removed.
 */
import { codeOf, inLine } from '../../problem.ts'
import type { RedisPlace } from './url.ts'

/** Of an error's text. */
const MOST_CHARACTERS = 500

/** Channels in ACLs, and HELLO on which the RESP3 connections rest. */
const OLDEST = [6, 2] as const

/** Why a version of Redis (redis_version of INFO) is too old; undefined: it is new enough. */
export function tooOld(version: string): string | undefined {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  const old = major < OLDEST[0] || (major === OLDEST[0] && minor < OLDEST[1])
  return old ? `Redis ${version} is too old: ${OLDEST.join('.')} or newer is needed` : undefined
}

/** The connection ended, and nobody said why. */
const END = /ECONNRESET|EPIPE|socket disconnected|Connection is closed/

/** Whether an error only says that the connection ended: what was known before explains more. */
export const isEnd = (error: unknown): boolean => END.test(textOf(error))

/** Each kind of error: how it is recognised, and its line. */
const FORMS: readonly (readonly [RegExp, (place: RedisPlace, match: RegExpExecArray) => string])[] = [
  [/ECONNREFUSED/, () => 'refuses connections: is it running, and is this its address?'],
  [/ENOTFOUND|EAI_AGAIN/, () => "can't be found: its name has no address here"],
  [
    /EHOSTUNREACH|ENETUNREACH|ETIMEDOUT/,
    ({ tls }) =>
      `can't be reached: no route, ${tls === undefined ? 'or a firewall drops packets' : 'a firewall drops packets, or it speaks no TLS there'}`,
  ],
  [
    /timed out|Socket timeout|isn't writeable/,
    () => 'does not answer: it is frozen or overloaded, or a firewall drops packets',
  ],
  [
    /WRONGPASS|invalid password/,
    ({ user }) => `refuses the password of ${userOf(user)}: correct the setting \`redis\``,
  ],
  [/NOAUTH/, () => 'wants a password: write it into the setting `redis` as redis://user:password@…'],
  [
    /NOPERM|ACL failure|no permissions|can't run this command or subcommand/i,
    ({ user }, match) => `forbids ${userOf(user)} what is needed: ${match.input}; docs/redis.md has the ACL`,
  ],
  [/READONLY/, () => 'is a read-only replica: it is failing over, or the setting `redis` names the wrong server'],
  [/\bOOM\b/, () => 'has no memory left: raise its maxmemory'],
  [/MISCONF/, (_, match) => `refuses writes, for it can't save to its disk: ${match.input}`],
  [/NOREPLICAS/, () => 'refuses writes: it has fewer replicas than its min-replicas-to-write'],
  [/LOADING/, () => 'is loading its data'],
  [/CLUSTERDOWN|MASTERDOWN/, (_, match) => `is a cluster or replica out of order: ${match.input}`],
  [/max number of clients/, () => 'takes no more clients: raise its maxclients'],
  [/WRONGTYPE/, () => 'has foreign data under the keys {meridian}:…: give Meridian a database or server of its own'],
  [/All sentinels are unreachable/, (_, match) => `has no sentinel that knows the master: ${causeOf(match.input)}`],
  [/Unknown RESP type|Protocol error/, () => "does not speak Redis's protocol: another program listens there"],
  [/cluster support disabled/, () => 'is no cluster: write redis:// in place of redis+cluster://'],
  [/DB index is out of range/, ({ db }) => `has no database ${db}`],
  [
    /certificate|CERT_|SELF_SIGNED|altname|ERR_TLS/i,
    (_, match) =>
      `has a certificate that can't be trusted: ${match.input}; ?ca=FILE or the setting tls.ca names its authority`,
  ],
  [/ERR_SSL|EPROTO|wrong version number/, () => 'does not speak TLS: redis:// is meant, or another port'],
  [END, ({ tls }) => `ends the connection${tls === undefined ? ': if it wants TLS, rediss:// is meant' : ''}`],
]

/** One line: address, what is wrong, what to do. */
export function explain(error: unknown, place: RedisPlace): string {
  const text = masked(textOf(error), place)
  for (const [form, line] of FORMS) {
    const match = form.exec(text)
    if (match !== null) return `Redis at ${place.address} ${line(place, match)}`
  }
  return `Redis at ${place.address}: ${text}`
}

/** On one line, without the passwords of the setting and without a command's arguments. */
function masked(text: string, { password, sentinelPassword }: RedisPlace): string {
  let line = inLine(text.slice(0, MOST_CHARACTERS)).replace(/,? with args beginning with:.*/, '')
  for (const secret of [password, sentinelPassword])
    if (secret !== undefined && secret !== '') line = line.replaceAll(secret, '…')
  return line
}

const userOf = (user: string | undefined): string => `user ${user ?? 'default'}`

/** What is behind the sentinels' silence. */
const causeOf = (text: string): string => text.split('Last error: ')[1] ?? 'do they watch this name?'

/** The error's text with its code and cause: the message alone may be empty, or only say that all nodes failed. */
function textOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const code = codeOf(error)
  const nodes: unknown = Reflect.get(error, 'lastNodeError')
  if (nodes instanceof Error) return textOf(nodes)
  if (error instanceof AggregateError && error.errors.length > 0) return textOf(error.errors[0])
  const { message } = error
  return code !== undefined && !message.includes(code) ? `${code} ${message}` : message
}
