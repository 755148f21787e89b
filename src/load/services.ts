/**
 * sites.yaml and services.yaml → SiteModel and ServiceModel (docs/zones.md). A service is checked here by itself and
 * against sites.yaml; against other services and zones it is checked in resolve.ts. Called by load.ts.
 */
import { formatAddress, parseAddress } from '../dns/address.ts'
import { encodeField } from '../dns/fields.ts'
import { formatName, isFault, lowerName } from '../dns/name.ts'
import { didYouMean, type Position } from '../problem.ts'
import type { Fields, Reader } from '../yaml/read.ts'
import { type Entry, isEmpty, type Node } from '../yaml/source.ts'
import {
  type LastResort,
  type ServiceModel,
  type ServiceSiteModel,
  type SiteModel,
  typesOf,
  type VipModel,
} from '../zone/model.ts'
import { STEERS_A, STEERS_AAAA } from '../zone/pack.ts'
import type { PartialCheck } from './check-keys.ts'
import { readChecks } from './checks.ts'
import { IDENTIFIER, readKeys, readRows, withDefaults } from './forms.ts'
import { LAST_RESORT, lastResort, SERVICE, SERVICE_SITE, SITE, TTL, VIP, VIP_CHECK } from './keys.ts'
import type { References } from './references.ts'
import { type PrefixReader, readGroups, readRules } from './rules.ts'

/** Checks the name of a site, pool or service (IDENTIFIER), and reports a wrong one. `what`: `a site`. */
export function isIdentifier(read: Reader, key: Node & { kind: 'scalar' }, what: string): boolean {
  if (IDENTIFIER.test(key.text)) return true
  const hint = 'Letters, digits, and . _ - behind the first; at most 63'
  read.fault('value-invalid', key, `“${key.text}” is no name for ${what}`, hint)
  return false
}

/** Reads sites.yaml. Sites with faults are in the result too, with defaults for what is faulty. */
export function readSites(read: Reader, root: Node): ReadonlyMap<string, SiteModel> {
  const sites = new Map<string, SiteModel>()
  for (const { key, value } of read.entries(root, 'sites.yaml', '{fra: {location: [50.11, 8.68]}}')) {
    isIdentifier(read, key, 'a site')
    const lacking = { at: key, what: `site ${key.text}` }
    const { fields, values } = readKeys(read, value, 'a site', SITE, lacking)
    const { location, region, capacity, drained, failback } = values
    const [latitude, longitude] = location === undefined ? [0, 0] : readLocation(read, location)
    sites.set(key.text, {
      name: key.text,
      latitude,
      longitude,
      region,
      capacity,
      declaresCapacity: fields?.has('capacity') === true,
      drained,
      ...(failback === 'manual' && { failback }),
      at: read.at(key),
    })
  }
  return sites
}

function readLocation(read: Reader, { value }: Entry): [number, number] {
  const items = read.items(value, '“location”', LOCATION)
  const degrees = items.map((item) =>
    item.kind === 'scalar' && /^-?\d{1,3}(\.\d+)?$/.test(item.text) ? +item.text : NaN,
  )
  const [latitude = NaN, longitude = NaN] = degrees
  if (Math.abs(latitude) <= 90 && Math.abs(longitude) <= 180 && degrees.length === 2) return [latitude, longitude]
  if (value.kind === 'list') {
    const isSwapped = Math.abs(longitude) <= 90 && Math.abs(latitude) <= 180
    const swapped = `Latitude comes first: [${longitude}, ${latitude}]`
    const hint = isSwapped ? swapped : 'Latitude from -90 to 90, then longitude from -180 to 180: [50.11, 8.68]'
    read.fault('value-invalid', value, '“location” is no pair of latitude and longitude in degrees', hint)
  }
  return [0, 0]
}

const LOCATION = 'location: [50.11, 8.68]'

/** What reading a service needs to know of other files. */
export interface ServiceContext {
  readonly sites: ReadonlyMap<string, SiteModel>
  readonly checks: ReadonlyMap<string, PartialCheck>
  /** Reads the files of subnets that rules name. */
  readonly prefixes: PrefixReader
  /** Takes the names of sites and checks that there are not. */
  readonly references: References
}

/** Reads a service of services.yaml; undefined when it has faults: nothing may be concluded from what is left. */
export function readService(read: Reader, { key, value }: Entry, context: ServiceContext): ServiceModel | undefined {
  const errors = read.errors
  isIdentifier(read, key, 'a service')
  const what = `service ${key.text}`
  const isMisplaced = (name: string): boolean => siteEntries(value).some(({ key: site }) => site.text === name)
  const { fields, values } = readKeys(read, value, what, SERVICE, { at: key, what, isMisplaced })
  if (fields === undefined) return undefined
  const { order, check, minVips } = values
  const sites = readServiceSites(read, key, values.sites, context, minVips)
  const own = sites.map(({ site }) => site)
  // with a fault among its sites, one that an order names may be the one at fault
  const names = new Set(read.errors === errors ? own : [...own, ...context.sites.keys()])
  const service: ServiceModel = {
    name: key.text,
    sites,
    order: order === undefined ? { kind: 'nearest' } : readOrder(read, order, names, what),
    spreadKm: values.spread,
    candidates: values.candidates,
    spill: values.spill ?? (declaresCapacity(sites, context) ? 2 : 1),
    rules: readRules(read, values.rules, { sites: names, what, prefixes: context.prefixes }),
    pick: values.pick,
    answers: values.answers,
    minVips,
    ttl: readTtl(read, values.ttl),
    lastResort: readLastResort(read, values.lastResort, read.errors === errors ? typesOf({ sites }) : BOTH),
    checks: check === undefined ? [] : readChecks(read, check.value, context),
    probers: values.probers,
    regions: values.regions,
    keepPercent: values.keep,
    rampUpMs: values.rampUp,
    ...(values.failback === 'manual' && { failback: values.failback }),
    ...(values.budget !== undefined && { budgetMs: values.budget }),
    written: writtenOf(read, fields),
    at: read.at(key),
  }
  if (read.errors === errors) checkMixed(read, key, service)
  if (read.errors === errors) checkFences(read, values.rules, service)
  return read.errors === errors ? service : undefined
}

function readOrder(read: Reader, { value }: Entry, sites: ReadonlySet<string>, what: string): ServiceModel['order'] {
  if (value.kind === 'scalar' && value.text === 'nearest') return { kind: 'nearest' }
  if (value.kind !== 'scalar' || isEmpty(value)) return { kind: 'listed', groups: readGroups(read, value, sites, what) }
  const [first = 'fra', second = 'iad'] = sites
  const hint = `Write \`order: nearest\`, or the sites in order: \`order: [${first}, ${second}]\``
  read.fault('value-invalid', value, `“order” is “${value.text}” where nearest or a list of sites is wanted`, hint)
  return { kind: 'nearest' }
}

/** See ServiceModel.written. */
function writtenOf(read: Reader, fields: Fields): ReadonlyMap<string, Position> {
  const written = new Map<string, Position>()
  for (const name of ['spread', 'candidates', 'budget']) {
    const key = fields.get(name)?.key
    if (key !== undefined) written.set(name, read.at(key))
  }
  for (const { key: site, value } of entriesOf(fields.get('sites')?.value)) {
    for (const { key } of value.kind === 'mapping' ? value.entries : []) {
      if (key.text === 'weight' || key.text === 'bias') written.set(`${site.text}.${key.text}`, read.at(key))
    }
  }
  return written
}

const entriesOf = (node: Node | undefined): readonly Entry[] => (node?.kind === 'mapping' ? node.entries : [])

/** The entries of `sites` of a service. */
const siteEntries = (service: Node): readonly Entry[] =>
  entriesOf(entriesOf(service).find(({ key }) => key.text === 'sites')?.value)

/** Whether any site of the service has a written `capacity`. */
const declaresCapacity = (own: readonly ServiceSiteModel[], { sites }: ServiceContext): boolean =>
  own.some(({ site }) => sites.get(site)?.declaresCapacity === true)

function readServiceSites(
  read: Reader,
  service: Node,
  entry: Entry | undefined,
  { sites, references }: ServiceContext,
  minVips: number,
): readonly ServiceSiteModel[] {
  const entries = entry === undefined ? [] : read.entries(entry.value, '“sites”', SITES)
  if (entries.length === 0 && (entry === undefined || entry.value.kind === 'mapping')) {
    read.fault('service-without-sites', entry?.key ?? service, 'a service needs sites', SITES)
  }
  const seen = new Map<string, string>()
  return entries.flatMap(({ key, value }) => {
    if (!sites.has(key.text) && Object.hasOwn(SERVICE, key.text)) {
      const message = `“${key.text}” is a key of a service, and stands among its sites`
      read.fault('key-unknown', key, message, 'Indent it like `sites`')
      return []
    }
    if (sites.has(key.text)) references.add('site', key.text)
    else {
      read.countError()
      references.addUnknown('site', key.text, () => {
        const hint = didYouMean(key.text, sites.keys()) ?? 'Sites are declared in sites.yaml'
        return read.problem('site-unknown', key, `there is no site “${key.text}” in sites.yaml`, hint)
      })
    }
    const errors = read.errors
    const { fields, values } = readKeys(read, value, `site ${key.text} of a service`, SERVICE_SITE)
    const vips = fields === undefined ? [] : readVips(read, key, values.vips, seen)
    if (vips.length < minVips && read.errors === errors) {
      const message = `site ${key.text} has ${vips.length} VIPs where minVips is ${minVips}: it would never be usable`
      read.fault('vips-too-few', key, message, `Write \`minVips: ${vips.length}\`, or add VIPs`)
    }
    const { weight, bias, drained } = values
    return { site: key.text, vips, weight, bias, drained }
  })
}

/** Reads `vips` of a site. `seen`: the VIPs of the service so far, and their sites. */
function readVips(read: Reader, site: Node, entry: Entry | undefined, seen: Map<string, string>): readonly VipModel[] {
  const nodes = entry === undefined ? [] : read.items(entry.value, '“vips”', VIPS)
  if (nodes.length === 0 && (entry === undefined || entry.value.kind === 'list')) {
    read.fault('site-without-vips', entry?.value ?? site, 'a site of a service needs VIPs', VIPS)
  }
  const vips: VipModel[] = []
  for (const node of nodes) {
    const vip = readVip(read, node)
    if (vip === undefined) continue
    const other = seen.get(vip.address)
    if (other === undefined) vips.push(vip)
    else {
      const message = `${vip.address} is twice in this service, first at ${other}`
      read.fault('vip-duplicate', node, message, 'Each VIP is at one site: remove it here or there')
    }
    if (other === undefined) seen.set(vip.address, site.kind === 'scalar' ? site.text : '')
  }
  return vips
}

/** Reports a service that has names and addresses among its VIPs. */
function checkMixed(read: Reader, key: Node, { name, sites }: ServiceModel): void {
  const vips = sites.flatMap((site) => site.vips)
  const names = vips.filter((vip) => vip.name !== undefined)
  if (names.length > 0 && names.length < vips.length) {
    const address = vips.find((vip) => vip.name === undefined)!.address
    const message = `service ${name} has names among its VIPs, ${names[0]!.address}, and addresses, ${address}: a name is answered with one or the other`
    read.fault('vips-mixed', key, message, 'Write names alone, or addresses alone')
  }
}

/** Reads the name of a VIP or of a last resort: a host's name. Its last dot stays in the text. */
function readTarget(read: Reader, node: Node): { readonly text: string; readonly wire: Uint8Array } | undefined {
  const scalar = read.scalar(node, 'a name', NAME)
  if (scalar === undefined) return undefined
  const wire = encodeField('name', scalar.text)
  const text = isFault(wire) ? '' : formatName(lowerName(wire))
  if (!isFault(wire) && /^[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\.$/.test(text)) return { text, wire }
  const fault = isFault(wire) ? wire.fault : `“${scalar.text}” is no name of a host`
  read.fault('value-invalid', scalar, fault, `A full name, with its last dot: ${NAME}`)
  return undefined
}

function readVip(read: Reader, node: Node): VipModel | undefined {
  const written = node.kind === 'mapping' ? readKeys(read, node, 'a VIP', VIP).values : undefined
  if (written !== undefined && (written.name === undefined) === (written.address === undefined)) {
    const code = written.name === undefined ? 'key-missing' : 'value-kind'
    read.fault(code, node, 'a VIP has an `address` or a `name`', `{address: 192.0.2.10}, or {${NAME}}`)
    return undefined
  }
  if (written?.name !== undefined) {
    const target = readTarget(read, written.name.value)
    if (target === undefined) return undefined
    const at = checkAddressOf(read, written.check)
    return { address: target.text, bytes: new Uint8Array(), name: target.wire, ...at }
  }
  const addressNode = written === undefined ? node : written.address?.value
  const scalar = addressNode && read.scalar(addressNode, 'a VIP', VIPS)
  if (scalar === undefined) return undefined
  const bytes = parseAddress(scalar.text)
  if (bytes === undefined) {
    read.fault('value-invalid', scalar, `“${scalar.text}” is no IP address`, ADDRESS)
    return undefined
  }
  return { address: formatAddress(bytes), bytes, ...checkAddressOf(read, written?.check) }
}

/** Reads `check` of a VIP. */
function checkAddressOf(read: Reader, entry: Entry | undefined): Pick<VipModel, 'checkAddress'> {
  const check = entry && readKeys(read, entry.value, '“check” of a VIP', VIP_CHECK)
  const checkAddress = check?.values.address
  return checkAddress === undefined ? {} : { checkAddress }
}

const BOTH = STEERS_A | STEERS_AAAA
const SITES = 'sites: {fra: {vips: [192.0.2.10]}}'
const VIPS = 'vips: [192.0.2.10]'
const NAME = 'name: fra.cdn.example.'
const RESORT = 'lastResort: {values: [192.0.2.10]}'
const ADDRESS = 'An IPv4 or IPv6 address, without a port: 192.0.2.10, "2001:db8::10"'

/**
 * Reads `ttl`: `30`, or `{max, min, settle}`. The default of max is at least a written min, that of min at most a
 * written max.
 */
function readTtl(read: Reader, entry: Entry | undefined): ServiceModel['ttl'] {
  if (entry?.value.kind !== 'mapping') {
    const both = entry && (TTL.max.form.read(read, entry) ?? TTL.max.missing)
    const { max, min, settle } = withDefaults(TTL, { max: both, min: both })
    return { maxSeconds: max, minSeconds: min, settleMs: settle }
  }
  const fields: Fields = read.fields(entry.value, '“ttl”', Object.keys(TTL))!
  const { max, min, settle = TTL.settle.missing } = readRows(read, fields, TTL)
  const maxSeconds = max ?? Math.max(TTL.max.missing, min ?? 0)
  const minSeconds = min ?? Math.min(TTL.min.missing, maxSeconds)
  if (minSeconds > maxSeconds) {
    const message = `min is ${minSeconds}, above max, ${maxSeconds}`
    read.fault(
      'ttl-order',
      fields.get('min')!.value,
      message,
      `Write them like this: {max: ${minSeconds}, min: ${maxSeconds}}`,
    )
  }
  return { maxSeconds, minSeconds, settleMs: settle }
}

function readLastResort(read: Reader, entry: Entry | undefined, types: number): LastResort {
  if (entry?.value.kind !== 'mapping') return { kind: (entry && lastResort.read(read, entry)) ?? 'all' }
  const { values: list, name } = readKeys(read, entry.value, '“lastResort”', LAST_RESORT).values
  if ((list === undefined) === (name === undefined)) {
    const hint = `${RESORT}, lastResort: {${NAME}}, all or nodata`
    read.fault('value-kind', entry.value, '“lastResort” has `values` or a `name`', hint)
  }
  if (name !== undefined) {
    const target = readTarget(read, name.value)
    return target === undefined ? { kind: 'all' } : { kind: 'name', name: target.wire }
  }
  if (list === undefined) return { kind: 'all' }
  const values: Uint8Array[] = []
  for (const node of read.filledItems(list.value, '“values”', RESORT)) {
    const scalar = read.scalar(node, 'a value', RESORT)
    if (scalar === undefined) continue
    const bytes = parseAddress(scalar.text)
    if (bytes === undefined) read.fault('value-invalid', node, `“${scalar.text}” is no IP address`, ADDRESS)
    else if ((types & (bytes.length === 4 ? STEERS_A : STEERS_AAAA)) === 0) {
      const message = `no VIP of the service is of the family of ${scalar.text}`
      read.fault('resort-type', node, message, 'A name has the same types whatever is up')
    } else values.push(bytes)
  }
  return { kind: 'values', values }
}

/**
 * Reports rules with `only` whose sites lack a type that the service has: a name's types must not depend on the client.
 */
function checkFences(read: Reader, entry: Entry | undefined, service: ServiceModel): void {
  if (entry?.value.kind !== 'list' || service.rules.length < entry.value.items.length) return
  const types = typesOf(service)
  for (const [i, { only, order }] of service.rules.entries()) {
    const held = typesOf(service, new Set(order.flat()))
    if (!only || order.length === 0 || held === types) continue
    const lacking = (types & ~held) === STEERS_A ? 'IPv4' : 'IPv6'
    const message = `the sites of this rule have no ${lacking} VIP, and \`only\` allows no other`
    read.fault('fence-type', entry.value.items[i]!, message, 'A name has the same types for every client')
  }
}
