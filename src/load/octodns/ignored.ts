/**
 * What octoDNS's zones have that nothing here goes by: types without RDATA of their own, and what is kept under `octodns` of
 * a record. Each is told, none is passed over in silence. Used by load/records.ts.
 */
import { ZONE_TYPES } from '../../dns/rdata.ts'
import { typeNumber } from '../../dns/types.ts'
import { didYouMean } from '../../problem.ts'
import type { Reader } from '../../yaml/read.ts'
import type { Entry, Node } from '../../yaml/source.ts'

/** What octoDNS knows besides and cannot be served, with what to do instead. A provider's own types have a slash. */
const UNSUPPORTED_TYPES: ReadonlyMap<string, string> = new Map([
  ['ALIAS', 'Steer the name with type GSLB, or write A and AAAA records'],
  ['DNAME', 'Write the names below it as records of their own'],
  ['URLFWD', 'Write A and AAAA records of a web server that redirects'],
])
/** What keys of `octodns` mean that nothing here goes by. */
const OCTODNS_KEYS: ReadonlyMap<string, string> = new Map([
  ['healthcheck', 'how pools of dynamic records are checked, and this record has none'],
  ['lenient', 'that octoDNS takes the record in spite of faults: here they count'],
  ['excluded', 'which of octoDNS’s providers do not get the record: it is served here'],
  ['included', 'which of octoDNS’s providers get the record: it is served here'],
])

/** Tells why there is no record of the type that `at` names. */
export function refuseType(read: Reader, node: Node, at: Node, name: string): void {
  const own = name.includes('/') ? 'It is a provider’s own: write what it stands for' : UNSUPPORTED_TYPES.get(name)
  if (name === 'SOA') {
    read.fault('soa-in-zone', node, 'a zone file holds no SOA', 'Write `soa` in defaults.yaml')
  } else if (own !== undefined) {
    read.fault('unsupported-type', at, `records of type ${name} cannot be served`, own)
  } else if (typeNumber(name) !== undefined && name === name.toUpperCase()) {
    read.fault('not-supported', at, `records of type ${name} are not supported yet`)
  } else {
    const hint = didYouMean(name, [...ZONE_TYPES.filter((type) => type !== 'SOA'), 'GSLB'])
    read.fault('value-invalid', at, `“${name}” is no type of record`, hint)
  }
}

/** What octoDNS keeps beside a record: true when it publishes the record nowhere; a notice for all that has no effect here. */
export function isIgnored(read: Reader, octodns: Entry | undefined, isDynamic: boolean): boolean {
  let ignored = false
  for (const entry of octodns ? read.entries(octodns.value, '“octodns”') : []) {
    const key = entry.key.text
    if (key === 'healthcheck' && isDynamic) continue // dynamic.ts reads it
    const meaning = OCTODNS_KEYS.get(key) ?? 'something to one of octoDNS’s providers: nothing here goes by it'
    let message = `“${key}” says ${meaning}`
    if (key === 'ignored') {
      if (!read.yamlFlag(entry)) continue
      ignored = true
      message = 'octoDNS publishes this record nowhere, so it is not served'
    }
    read.fault('octodns-ignored', entry.key, message, undefined, 'notice')
  }
  return ignored
}
