/**
 * Parses the setting `redis`: one server, sentinels that know the master, or nodes of a cluster, each with or without
 * TLS. docs/redis.md lists the forms. An invalid URL is a settings problem, described in words.
 */
import { readFileSync } from 'node:fs'
import { codeOf } from '../../problem.ts'
import { bracketed } from '../../units.ts'

/** A host and a port. */
export interface HostPort {
  readonly host: string
  readonly port: number
}

/** PEM texts; without `ca` the authorities count that this process trusts (authorities.ts). */
export interface RedisTls {
  readonly ca?: string
  readonly cert?: string
  readonly key?: string
}

/** Where Redis is and how to log in. */
export interface RedisPlace {
  readonly kind: 'single' | 'sentinel' | 'cluster'
  /** The server, the sentinels, or nodes of the cluster. */
  readonly hosts: readonly HostPort[]
  /** Name of the master that sentinels know; '' for other kinds. */
  readonly master: string
  readonly user: string | undefined
  readonly password: string | undefined
  readonly sentinelUser: string | undefined
  readonly sentinelPassword: string | undefined
  readonly db: number
  /** undefined: plain TCP. */
  readonly tls: RedisTls | undefined
  /** For messages: hosts and ports, never the password. */
  readonly address: string
}

const PORTS = { single: 6379, sentinel: 26379, cluster: 6379 } as const
/** No @ behind the host: a password with / or ? in it would be taken for a path or a parameter, and told as such. */
const FORM = /^redis(s?)(?:\+(sentinel|cluster))?:\/\/(?:([^@/?#]*)@)?([^/?#@]+)(\/[^?#@]*)?(?:\?([^#@]*))?$/
const FILES = ['ca', 'cert', 'key'] as const
const PARAMETERS: ReadonlySet<string> = new Set([...FILES, 'sentinel-user', 'sentinel-password'])

/**
 * The place, or what is wrong with the URL. The message quotes nothing of the URL, because any part of it may be the
 * password. Reads the files that `ca`, `cert` and `key` name.
 */
export function parseRedisUrl(url: string): RedisPlace | string {
  try {
    return parse(url)
  } catch (error) {
    if (error instanceof Unreadable) return error.message
    throw error
  }
}

class Unreadable extends Error {}

function parse(url: string): RedisPlace {
  const match = FORM.exec(url)
  if (match === null) {
    const escapes = url.includes('@') ? '; in a password @ is written %40, / is %2F, ? is %3F, # is %23' : ''
    throw new Unreadable(`is not of the form redis://user:password@host:port/database, see docs/redis.md${escapes}`)
  }
  const [, s, form, login, list = '', path = '', query = ''] = match
  const kind = form === 'sentinel' || form === 'cluster' ? form : 'single'
  const hosts = list.split(',').map((text, index) => hostOf(text, index + 1, PORTS[kind]))
  if (kind === 'single' && hosts.length > 1) {
    throw new Unreadable('has more than one host: redis+sentinel:// or redis+cluster:// is meant')
  }
  const parameters = parametersOf(query)
  const parts = path.split('/').slice(1).map(decoded)
  const master = kind === 'sentinel' ? (parts.shift() ?? '') : ''
  if (kind === 'sentinel' && master === '') {
    throw new Unreadable('names no master: redis+sentinel://host:26379,host:26379/MASTER')
  }
  const tls = s === 's' ? tlsOf(parameters) : undefined
  if (tls === undefined && FILES.some((name) => parameters.has(name))) {
    throw new Unreadable('names certificates without TLS: rediss:// is meant')
  }
  const [user, password] = loginOf(login)
  return {
    kind,
    hosts,
    master,
    user,
    password,
    sentinelUser: parameters.get('sentinel-user'),
    sentinelPassword: parameters.get('sentinel-password'),
    db: databaseOf(parts, kind),
    tls,
    address: hosts.map(({ host, port }) => `${bracketed(host)}:${port}`).join(','),
  }
}

/** `user:password`, `:password`, or, as redis-cli has it not, a user alone. */
function loginOf(login: string | undefined): [string | undefined, string | undefined] {
  if (login === undefined) return [undefined, undefined]
  const colon = login.indexOf(':')
  if (colon < 0) throw new Unreadable('has a user without a password: redis://user:password@…, or redis://:password@…')
  const [user, password] = [decoded(login.slice(0, colon)), decoded(login.slice(colon + 1))]
  return [user === '' ? undefined : user, password === '' ? undefined : password]
}

function hostOf(text: string, place: number, defaultPort: number): HostPort {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]+))(?::(\d{1,5}))?$/.exec(text)
  const port = Number(match?.[3] ?? defaultPort)
  if (match === null || port < 1 || port > 65_535) {
    throw new Unreadable(`has no host:port, port 1–65535, in place ${place}; IPv6 addresses stand in brackets`)
  }
  return { host: match[1] ?? match[2]!, port }
}

function databaseOf(parts: readonly string[], kind: RedisPlace['kind']): number {
  const [text = '', ...more] = parts
  const db = text === '' ? 0 : Number(text)
  if (more.length > 0 || !/^\d{0,5}$/.test(text))
    throw new Unreadable("has another text where a database's number is wanted")
  if (kind === 'cluster' && db !== 0) throw new Unreadable('names a database: a cluster has only number 0')
  return db
}

function parametersOf(query: string): Map<string, string> {
  const parameters = new Map<string, string>()
  for (const part of query === '' ? [] : query.split('&')) {
    const equals = part.indexOf('=')
    const name = part.slice(0, equals)
    if (equals < 0 || !PARAMETERS.has(name)) {
      throw new Unreadable(`has an unknown parameter; there are ${[...PARAMETERS].join(', ')}`)
    }
    parameters.set(name, decoded(part.slice(equals + 1)))
  }
  return parameters
}

function tlsOf(parameters: ReadonlyMap<string, string>): RedisTls {
  const tls: { -readonly [key in keyof RedisTls]: RedisTls[key] } = {}
  for (const name of FILES) {
    const file = parameters.get(name)
    if (file === undefined) continue
    try {
      tls[name] = readFileSync(file, 'utf8')
    } catch (error) {
      const code = codeOf(error) ?? 'it is no file'
      throw new Unreadable(`names a file in its parameter ${name} that can't be read: ${code}`)
    }
  }
  return tls
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw new Unreadable('has a % that is no percent-encoding; a % itself is written %25')
  }
}
