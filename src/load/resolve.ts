/**
 * The checks that need more than one file: VIPs that services share, zones within zones, and the services that zones
 * name. Called by load.ts once all files are read.
 */
import { formatName, isWithin, keyOf, parentName, sameBytes } from '../dns/name.ts'
import { TYPE } from '../dns/types.ts'
import { didYouMean, type Position, type Report } from '../problem.ts'
import { isOfNames, type ServiceModel, type SiteModel, typesOf } from '../zone/model.ts'
import {
  isHints,
  ownerAt,
  positionOf,
  STEERS_A,
  STEERS_NAME,
  Z_AT,
  Z_COUNT,
  Z_INTS,
  Z_OWNER,
  Z_OWNER_BYTES,
  Z_TYPE,
} from '../zone/pack.ts'
import type { ZoneFile } from './records.ts'
import type { References } from './references.ts'

/** Every service that is written, by name; of one with faults only its position. */
export type ServiceIndex = ReadonlyMap<string, ServiceModel | Position>

/**
 * Warns when two services have the same address at different sites: most likely a mistake. `sites`: those of
 * sites.yaml. A pool of a dynamic record that is none of them is skipped: its name means nothing outside of the record.
 */
export function checkSharedVips(
  services: readonly ServiceModel[],
  sites: ReadonlyMap<string, SiteModel>,
  report: Report,
): void {
  const seen = new Map<string, { readonly site: string; readonly service: string }>()
  for (const { name: service, sites: own, at } of services) {
    for (const { site, vips } of own) {
      if (!sites.has(site)) continue
      for (const { address } of vips) {
        const other = seen.get(address)
        if (other === undefined) seen.set(address, { site, service })
        else if (other.site !== site && other.service !== service) {
          const message = `${address} is at ${site} here and at ${other.site} in service ${other.service}`
          const hint = 'An address is at one site: correct the site or the address of one of the two'
          report({ code: 'vip-shared', severity: 'warning', ...at, message, hint })
        }
      }
    }
  }
}

/**
 * Zones may nest, but at or below the apex of an inner zone the outer zone may only have NS and glue. Reports the rest.
 * `unread`: keys of the apexes of zones whose files could not be read.
 */
export function checkNesting(zones: readonly ZoneFile[], unread: ReadonlySet<string>, report: Report): void {
  const apexes = new Map(zones.map((zone) => [keyOf(zone.apex), zone]))
  const inner = new Map<ZoneFile, Set<string>>()
  for (const zone of zones) {
    for (let name = zone.apex; name.length > 1;) {
      name = parentName(name)
      const outer = apexes.get(keyOf(name))
      if (outer !== undefined) inner.set(outer, (inner.get(outer) ?? new Set()).add(keyOf(zone.apex)))
    }
  }
  for (const zone of zones) {
    const inners = inner.get(zone)
    if (inners !== undefined) {
      checkOverlap(zone, inners, report)
      checkRedirected(zone, inners, report)
    }
    for (const { target, problem } of zone.unresolved) {
      if ((inners === undefined || !isWithinAny(target, inners)) && !isWithinAny(target, unread)) report(problem)
    }
  }
}

/** Whether the name, or a name above it, is in the set. */
function isWithinAny(target: Uint8Array, keys: ReadonlySet<string>): boolean {
  for (let name = target; name.length > 1; name = parentName(name)) if (keys.has(keyOf(name))) return true
  return false
}

function checkOverlap(zone: ZoneFile, inners: ReadonlySet<string>, report: Report): void {
  const { sets } = zone
  /** By inner zone: the first set that belongs there, and how many do. */
  const found = new Map<string, { readonly set: number; readonly name: Uint8Array; count: number }>()
  for (let i = 0; i < sets.length; i += Z_INTS) {
    const type = sets[i + Z_TYPE]!
    if (type === TYPE.A || type === TYPE.AAAA) continue
    const owner = ownerAt(zone, i)
    for (let name = owner; name.length > zone.apex.length; name = parentName(name)) {
      const key = keyOf(name)
      if (!inners.has(key) || (type === TYPE.NS && name === owner)) continue
      const first = found.get(key)
      if (first === undefined) found.set(key, { set: i, name, count: 1 })
      else first.count++
      break
    }
  }
  for (const { set, name, count } of found.values()) {
    const owner = ownerAt(zone, set)
    const others = count === 1 ? '' : `, and so do ${count - 1} more`
    const message = `${formatName(owner)} belongs to the zone ${formatName(name)}, which has a file of its own${others}`
    const isSigned = sets[set + Z_TYPE] === TYPE.DS && name.length === owner.length
    const hint = isSigned
      ? 'Leave it out: DS tells that a zone is signed, and none that is served here is'
      : 'Move it there'
    report({ code: 'zone-overlap', severity: 'error', ...positionOf(zone, set), message, hint })
  }
}

/** Reports a DNAME above the apex of an inner zone: no name is below a DNAME, and so no zone (RFC 6672 §2.4). */
function checkRedirected(zone: ZoneFile, inners: ReadonlySet<string>, report: Report): void {
  const { sets } = zone
  for (let i = 0; i < sets.length; i += Z_INTS) {
    if (sets[i + Z_TYPE] !== TYPE.DNAME) continue
    const owner = ownerAt(zone, i)
    for (const inner of inners) {
      const apex = Buffer.from(inner, 'latin1')
      if (apex.length === owner.length || !isWithin(apex, owner)) continue
      const message = `${formatName(owner)} has a DNAME, which redirects all names below it, and zone ${formatName(apex)} is one`
      const hint = 'Remove the DNAME, or the zone'
      report({ code: 'dname-conflict', severity: 'error', ...positionOf(zone, i), message, hint })
    }
  }
}

/**
 * Why the steered entry at sets[i] cannot answer with a CNAME, which stands alone at its name, and never at an apex
 * (RFC 1034 §3.6.2); undefined: it can.
 */
function aliasFault(
  { sets, bytes, apex }: ZoneFile,
  i: number,
  service: string,
  ofNames: boolean,
): { readonly message: string; readonly hint: string } | undefined {
  const which = ofNames ? 'whose VIPs are names' : 'whose last resort is a name'
  if (sets[i + Z_COUNT] !== 0) {
    return { message: `service ${service}, ${which}, answers every type`, hint: 'Leave `types` out' }
  }
  const [owner, size] = [sets[i + Z_OWNER]!, sets[i + Z_OWNER_BYTES]!]
  const isApex = size === apex.length
  let isAlone = !isApex
  for (let set = 0; isAlone && set < sets.length; set += Z_INTS) {
    if (set === i || sets[set + Z_OWNER_BYTES] !== size) continue
    isAlone = sets[set + Z_OWNER] !== owner && !sameBytes(bytes, sets[set + Z_OWNER]!, bytes, owner, size)
  }
  if (isAlone) return undefined
  const where = isApex ? 'stand at an apex' : 'have other records beside it'
  return {
    message: `service ${service}, ${which}, answers with a CNAME, which cannot ${where}`,
    hint: isApex ? 'Steer the apex by a service with addresses' : 'Give this name nothing else',
  }
}

/**
 * The sets of a zone, with the types filled in of steered entries that have all types of their service. Unknown services
 * go to `references`.
 */
export function steer(zone: ZoneFile, services: ServiceIndex, references: References, report: Report): Int32Array {
  if (zone.services.length === 0) return zone.sets
  const sets = zone.sets.slice()
  for (const name of zone.services) if (services.has(name)) references.add('service', name)
  for (let i = 0; i < sets.length; i += Z_INTS) {
    if (sets[i + Z_TYPE] !== 0) continue
    const name = zone.services[sets[i + Z_AT]!]!
    const service = services.get(name)
    const place = positionOf(zone, i)
    if (service === undefined) {
      references.addUnknown('service', name, () => {
        const hint = didYouMean(name, services.keys()) ?? 'Services are declared in services.yaml'
        return { code: 'service-unknown', severity: 'error', ...place, message: `there is no service “${name}”`, hint }
      })
      continue
    }
    if (!('at' in service)) continue // its faults are reported already
    const ofNames = isOfNames(service)
    if (isHints(sets, i)) {
      if (!ofNames) continue
      const message = `service ${name} has names and no addresses, and so no hints`
      report({ code: 'hints-conflict', severity: 'error', ...place, message, hint: 'Leave `hints` out' })
      continue
    }
    const has = typesOf(service)
    if (ofNames || service.lastResort.kind === 'name') {
      const wrong = aliasFault(zone, i, service.name, ofNames)
      if (wrong !== undefined) report({ code: 'gslb-conflict', severity: 'error', ...place, ...wrong })
      sets[i + Z_COUNT] = has | STEERS_NAME
      continue
    }
    const lacking = sets[i + Z_COUNT]! & ~has
    if (lacking !== 0 && has !== 0) {
      const message = `service ${name} has no ${lacking === STEERS_A ? 'IPv4' : 'IPv6'} VIP`
      report({ code: 'gslb-type', severity: 'error', ...place, message, hint: 'Leave out that type' })
    }
    if (sets[i + Z_COUNT] === 0) sets[i + Z_COUNT] = has
  }
  return sets
}
