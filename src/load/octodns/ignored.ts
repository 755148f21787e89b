/**
 * What octoDNS's zones may have that Meridian does not use: types that cannot be served, and keys under `octodns` of a
 * record. Each is reported; nothing is ignored silently. Used by load/records.ts.
 */
import { ZONE_TYPES } from '../../dns/rdata.ts'
import { TYPE, typeName, typeNumber } from '../../dns/types.ts'
import { didYouMean } from '../../problem.ts'
import type { Reader } from '../../yaml/read.ts'
import type { Entry, Node } from '../../yaml/source.ts'

/**
 * Types of octoDNS that cannot be served, and what to do instead. A provider's own types have a slash in their names.
 */
const UNSUPPORTED_TYPES: ReadonlyMap<string, string> = new Map([
  ['ALIAS', 'Steer the name with type GSLB, or write A and AAAA records'],
  ['URLFWD', 'Write A and AAAA records of a web server that redirects'],
])
/** Keys of `octodns` that have no effect here, and what they mean to octoDNS. */
const OCTODNS_KEYS: ReadonlyMap<string, string> = new Map([
  ['healthcheck', 'how pools of dynamic records are checked, and this record has none'],
  ['lenient', 'that octoDNS takes the record in spite of faults: here they count'],
  ['excluded', 'which of octoDNS’s providers do not get the record: it is served here'],
  ['included', 'which of octoDNS’s providers get the record: it is served here'],
])

/** Reports why a record of this type is not served. `at`: the node of the type's name. */
export function refuseType(read: Reader, node: Node, at: Node, name: string): void {
  const own = name.includes('/') ? 'It is a provider’s own: write what it stands for' : UNSUPPORTED_TYPES.get(name)
  const number = typeNumber(name)
  if (number === TYPE.SOA) {
    const hint = 'Write `soa` in defaults.yaml; what is this zone’s alone, in `zones: {example.com: {soa: {…}}}` there'
    read.fault('soa-in-zone', node, 'a zone file holds no SOA', hint)
  } else if (own !== undefined) {
    read.fault('unsupported-type', at, `records of type ${name} cannot be served`, own)
  } else if (number !== undefined && ZONE_TYPES.includes(typeName(number)) && name.startsWith('TYPE')) {
    read.fault('value-invalid', at, `${name} has a name of its own`, `type: ${typeName(number)}`)
  } else if (number !== undefined && name === name.toUpperCase()) {
    read.fault('not-supported', at, `records of type ${name} are not supported yet`, 'Leave the record out')
  } else {
    const types = [...ZONE_TYPES.filter((type) => type !== 'SOA'), 'GSLB']
    const hint = didYouMean(name, types) ?? `Known: ${types.join(', ')}`
    read.fault('value-invalid', at, `“${name}” is no type of record`, hint)
  }
}

/** true and false as YAML 1.1 writes them, which octoDNS reads. */
const yamlFlag = (text: string): boolean | undefined =>
  /^(true|yes|on)$/i.test(text) ? true : /^(false|no|off)$/i.test(text) ? false : undefined

/**
 * Reads `octodns` of a record: true when octoDNS publishes the record nowhere. A key without effect here gets a notice.
 */
export function isIgnored(read: Reader, octodns: Entry | undefined, isDynamic: boolean): boolean {
  let ignored = false
  for (const entry of octodns ? read.entries(octodns.value, '“octodns”', 'octodns: {ignored: true}') : []) {
    const key = entry.key.text
    if (key === 'healthcheck' && isDynamic) continue // dynamic.ts reads it
    const meaning = OCTODNS_KEYS.get(key) ?? 'something to one of octoDNS’s providers: nothing here goes by it'
    let message = `“${key}” says ${meaning}`
    if (key === 'ignored') {
      if (read.value(entry, 'true or false', yamlFlag) !== true) continue
      ignored = true
      message = 'octoDNS publishes this record nowhere, so it is not served'
    }
    read.fault('octodns-ignored', entry.key, message, 'It may stay; nothing here goes by it', 'notice')
  }
  return ignored
}
