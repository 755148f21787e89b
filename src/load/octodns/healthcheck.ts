/**
 * `octodns.healthcheck` of a dynamic record → its check, with octoDNS's defaults (octodns/record/base.py): HTTPS on
 * port 443, path /_dns, the record's name as host; status 200 is up. The timing has the defaults of load/checks.ts. The
 * certificate is not verified: octoDNS has no key for it, and the checks that it creates at Route 53 do not verify it
 * either.
 */
import type { Fields, Reader } from '../../yaml/read.ts'
import { type Entry, isNull } from '../../yaml/source.ts'
import type { CheckModel } from '../../zone/model.ts'
import { isHost, isPath } from '../check-kinds.ts'
import { timingOf } from '../checks.ts'

/** The keys of `octodns.healthcheck`. */
export const HEALTHCHECK_KEYS = ['host', 'path', 'port', 'protocol']
const PROTOCOLS = ['HTTPS', 'HTTP', 'TCP', 'ICMP', 'UDP'] as const
/** The keys that each protocol uses besides `protocol`. */
const KEYS_OF: Readonly<Record<(typeof PROTOCOLS)[number], readonly string[]>> = {
  HTTPS: ['host', 'path', 'port'],
  HTTP: ['host', 'path', 'port'],
  TCP: ['port'],
  ICMP: [],
  UDP: ['port'],
}
const DEFAULT_PORT = 443
const DEFAULT_PATH = '/_dns'

/**
 * The checks of a dynamic record: one, or none if it is faulty. `octodns`: the record's key; `owner`: its name as text,
 * without the final dot.
 */
export function readHealthcheck(read: Reader, octodns: Entry | undefined, owner: string): readonly CheckModel[] {
  const entries = octodns?.value.kind === 'mapping' ? octodns.value.entries : []
  const entry = entries.find(({ key }) => key.text === 'healthcheck')
  const fields: Fields = (entry && read.fields(entry.value, '“healthcheck”', HEALTHCHECK_KEYS)) ?? new Map()
  const protocol = read.oneOf(fields.get('protocol'), PROTOCOLS, 'HTTPS')
  const port = read.integer(fields.get('port'), 1, 65_535, DEFAULT_PORT)
  const path = readPath(read, fields.get('path'))
  const host = readHost(read, fields.get('host'), owner)
  for (const [key, { key: node }] of fields) {
    if (key === 'protocol' || KEYS_OF[protocol].includes(key)) continue
    read.fault('key-unknown', node, `“${key}” means nothing to a check by ${protocol}`, 'Leave it out', 'warning')
  }
  const timing = timingOf({})
  switch (protocol) {
    case 'HTTPS':
    case 'HTTP': {
      const type = protocol === 'HTTPS' ? 'https' : 'http'
      const named = host === undefined ? {} : { host }
      return [{ port, ...timing, type, method: 'GET', path, ...named, statuses: [200], verify: protocol === 'HTTP' }]
    }
    case 'TCP':
      return [{ port, ...timing, type: 'tcp' }]
    case 'ICMP':
      return [{ port: 0, ...timing, type: 'icmp' }]
    case 'UDP':
      read.fault(
        'not-supported',
        fields.get('protocol')!.value,
        'checks by UDP are not supported',
        'Use HTTPS, HTTP or TCP',
      )
      return []
    default:
      return protocol satisfies never
  }
}

/** Reads `path`, with or without the slash at its start: octoDNS's documentation has both forms. */
function readPath(read: Reader, entry: Entry | undefined): string {
  const text = read.text(entry, undefined)
  if (entry === undefined || text === undefined) return DEFAULT_PATH
  const path = text.startsWith('/') ? text : `/${text}`
  if (isPath(path)) return path
  read.fault('value-invalid', entry.value, `“path” is “${text}” where a path without blanks is wanted`)
  return DEFAULT_PATH
}

/** Reads `host`. A key without a value means the address itself: undefined. */
function readHost(read: Reader, entry: Entry | undefined, owner: string): string | undefined {
  if (entry === undefined) return owner
  if (isNull(entry.value)) return undefined
  const text = read.text(entry, undefined)
  if (text === undefined) return owner
  if (isHost(text)) return text
  read.fault(
    'value-invalid',
    entry.value,
    `“host” is “${text}” where a host name or address, without a port, is wanted`,
  )
  return owner
}
