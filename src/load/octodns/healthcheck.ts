/**
 * `octodns.healthcheck` of a dynamic record → its check, with octoDNS's defaults (octodns/record/base.py): HTTPS on port 443
 * for /_dns with the record's name as host, where 200 is up. Timing is Meridian's. The certificate is not verified: checks
 * that octoDNS sets up at Route 53 don't either, and it has no key to write that one should.
 */
import type { Fields, Reader } from '../../yaml/read.ts'
import { type Entry, isNull } from '../../yaml/source.ts'
import type { CheckModel } from '../../zone/model.ts'
import { isHost, isPath } from '../check-kinds.ts'
import { timingOf } from '../checks.ts'

export const HEALTHCHECK_KEYS = ['host', 'path', 'port', 'protocol']
const PROTOCOLS = ['HTTPS', 'HTTP', 'TCP', 'ICMP', 'UDP'] as const
/** What each looks at beside `protocol`. */
const KEYS_OF: Readonly<Record<(typeof PROTOCOLS)[number], readonly string[]>> = {
  HTTPS: ['host', 'path', 'port'],
  HTTP: ['host', 'path', 'port'],
  TCP: ['port'],
  ICMP: [],
  UDP: ['port'],
}
const DEFAULT_PORT = 443
const DEFAULT_PATH = '/_dns'

/** `octodns`: the record's; `owner`: its name as text, without the final dot. */
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

/** With or without the slash it begins with: octoDNS's documentation has both. */
function readPath(read: Reader, entry: Entry | undefined): string {
  const text = read.text(entry, undefined)
  if (entry === undefined || text === undefined) return DEFAULT_PATH
  const path = text.startsWith('/') ? text : `/${text}`
  if (isPath(path)) return path
  read.fault('value-invalid', entry.value, `“path” is “${text}” where a path without blanks is wanted`)
  return DEFAULT_PATH
}

/** One that is there and empty is the address itself. */
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
