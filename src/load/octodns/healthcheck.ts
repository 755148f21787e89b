/**
 * `octodns.healthcheck` of a dynamic record → its check, with octoDNS's defaults (octodns/record/base.py): HTTPS on
 * port 443, path /_dns, the record's name as host; status 200 is up. The timing has the defaults of load/checks.ts. The
 * certificate is not verified: octoDNS has no key for it, and the checks that it creates at Route 53 do not verify it
 * either.
 */
import type { Reader } from '../../yaml/read.ts'
import type { Entry } from '../../yaml/source.ts'
import type { CheckModel } from '../../zone/model.ts'
import { timingOf } from '../checks.ts'
import { readKeys, withDefaults } from '../forms.ts'
import { HEALTHCHECK } from '../keys.ts'

/** The keys that each protocol uses besides `protocol`. */
const KEYS_OF: Readonly<Record<typeof HEALTHCHECK.protocol.missing, readonly string[]>> = {
  HTTPS: ['host', 'path', 'port'],
  HTTP: ['host', 'path', 'port'],
  TCP: ['port'],
  ICMP: [],
  UDP: ['port'],
}

const DEFAULTS = withDefaults(HEALTHCHECK, {})
/** Meridian's defaults: octoDNS has no keys for timing. */
const timing = timingOf({})

/**
 * The checks of a dynamic record: one, or none if it is faulty. `octodns`: the record's key; `owner`: its name as text,
 * without the final dot.
 */
export function readHealthcheck(read: Reader, octodns: Entry | undefined, owner: string): readonly CheckModel[] {
  const entries = octodns?.value.kind === 'mapping' ? octodns.value.entries : []
  const entry = entries.find(({ key }) => key.text === 'healthcheck')
  const given = entry && readKeys(read, entry.value, '“healthcheck”', HEALTHCHECK)
  const { protocol, port, path, host = owner } = given?.values ?? DEFAULTS
  for (const [key, { key: node }] of given?.fields ?? []) {
    if (key === 'protocol' || KEYS_OF[protocol].includes(key)) continue
    read.fault('key-unknown', node, `“${key}” means nothing to a check by ${protocol}`, 'Leave it out', 'warning')
  }
  switch (protocol) {
    case 'HTTPS':
    case 'HTTP': {
      const type = protocol === 'HTTPS' ? 'https' : 'http'
      const named = host === null ? {} : { host }
      return [{ port, ...timing, type, method: 'GET', path, ...named, statuses: [200], verify: protocol === 'HTTP' }]
    }
    case 'TCP':
      return [{ port, ...timing, type: 'tcp' }]
    case 'ICMP':
      return [{ port: 0, ...timing, type: 'icmp' }]
    case 'UDP':
      read.fault(
        'not-supported',
        given!.fields!.get('protocol')!.value,
        'checks by UDP are not supported',
        'Use HTTPS, HTTP or TCP',
      )
      return []
    default:
      return protocol satisfies never
  }
}
