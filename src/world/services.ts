/**
 * The changes of services, sites and drills, in words, for the log of a reload and for `plan`. What they do to clients is
 * computed from the compiled maps instead; see traffic/service-moves.ts and plan/plan.ts.
 */
import { isDeepStrictEqual } from 'node:util'
import { formatDuration } from '../units.ts'
import { type DrillModel, type DrillsModel, scheduleInWords } from '../zone/drills.ts'
import type { Model, ServiceModel, ServiceSiteModel, SiteModel, VipModel } from '../zone/model.ts'
import { formatDayRange } from '../zone/windows.ts'

/** A service or site that differs, and how. */
export interface NamedChange {
  readonly name: string
  readonly change: 'added' | 'removed' | 'changed'
  /** What has changed: `fra: weight 100 → 50`. */
  readonly details: readonly string[]
}

/** The services that differ, by name. */
export const compareServices = (before: Model, after: Model): readonly NamedChange[] =>
  compare(byName(before.services), byName(after.services), serviceDetails)

/** The sites that differ, by name; pools of dynamic records too, which are sites without a location. */
export const compareSites = (before: Model, after: Model): readonly NamedChange[] =>
  compare(before.sites, after.sites, siteDetails)

/** The scheduled drills that differ, by name; and, as `blocked dates`, those on which there are none. */
export function compareDrills({ drills: before }: Model, { drills: after }: Model): readonly NamedChange[] {
  const changed = compare(drillsByName(before), drillsByName(after), (old, now) => {
    const [was, is] = [scheduleInWords(old), scheduleInWords(now)]
    return was === is ? [] : [`${was} → ${is}`]
  }).map((one) => {
    const drill = drillsByName(one.change === 'removed' ? before : after).get(one.name)!
    return one.change === 'changed' ? one : { ...one, details: [scheduleInWords(drill)] }
  })
  const [was, is] = [datesOf(before), datesOf(after)]
  return was === is ? changed : [...changed, { name: 'blocked dates', change: 'changed', details: [`${was} → ${is}`] }]
}

const drillsByName = ({ drills }: DrillsModel): ReadonlyMap<string, DrillModel> =>
  new Map(drills.map((drill) => [drill.name, drill]))

const datesOf = ({ blocked }: DrillsModel): string => blocked.map(formatDayRange).join(', ') || 'none'

const byName = (services: readonly ServiceModel[]): ReadonlyMap<string, ServiceModel> =>
  new Map(services.map((service) => [service.name, service]))

function compare<T>(
  before: ReadonlyMap<string, T>,
  after: ReadonlyMap<string, T>,
  detailsOf: (before: T, after: T) => readonly string[],
): readonly NamedChange[] {
  return [...new Set([...before.keys(), ...after.keys()])].toSorted().flatMap((name): NamedChange[] => {
    const [old, now] = [before.get(name), after.get(name)]
    if (old === undefined) return [{ name, change: 'added', details: [] }]
    if (now === undefined) return [{ name, change: 'removed', details: [] }]
    if (isDeepStrictEqual(old, now)) return [] // most are equal, and their details take three times as long
    const details = detailsOf(old, now)
    return details.length === 0 ? [] : [{ name, change: 'changed', details }]
  })
}

/** Names in the files of keys that the model names differently; null = compared separately, or not at all. */
const NAMES: Readonly<Record<string, string | null>> = {
  name: null,
  at: null,
  sites: null,
  site: null,
  vips: null,
  address: null,
  bytes: null,
  checkAddress: 'check',
  unchecked: 'never checked',
  latitude: null,
  longitude: null,
  declaresCapacity: null,
  spreadKm: 'spread (km)',
  keepPercent: 'keep (%)',
  rampUpMs: 'rampUp',
  budgetMs: 'budget',
  maxSeconds: 'max',
  minSeconds: 'min',
  settleMs: 'settle',
}

function serviceDetails(before: ServiceModel, after: ServiceModel): readonly string[] {
  const old = new Map(before.sites.map((site) => [site.site, site]))
  const now = new Map(after.sites.map((site) => [site.site, site]))
  const names = [...new Set([...old.keys(), ...now.keys()])]
  const reordered =
    before.sites.length === after.sites.length &&
    names.length === old.size &&
    before.sites.some(({ site }, i) => after.sites[i]!.site !== site)
  return [
    ...names.flatMap((name) => siteOfService(name, old.get(name), now.get(name))),
    ...(reordered ? ['its sites stand in another order, which is that of clients without a place'] : []),
    ...keysThatDiffer(before, after, ''),
  ]
}

function siteOfService(
  name: string,
  before: ServiceSiteModel | undefined,
  after: ServiceSiteModel | undefined,
): readonly string[] {
  if (before === undefined) return [`site ${name} added`]
  if (after === undefined) return [`site ${name} removed`]
  const [old, now] = [byAddress(before.vips), byAddress(after.vips)]
  const gone = [...old.keys()].filter((address) => !now.has(address)).map((address) => `−${address}`)
  const come = [...now.keys()].filter((address) => !old.has(address)).map((address) => `+${address}`)
  return [
    ...keysThatDiffer(before, after, `${name}: `),
    ...(gone.length + come.length === 0 ? [] : [`${name}: VIPs ${[...gone, ...come].join(' ')}`]),
    ...[...now].flatMap(([address, vip]) => keysThatDiffer(old.get(address) ?? vip, vip, `${name}: VIP ${address}: `)),
  ]
}

const byAddress = (vips: readonly VipModel[]): ReadonlyMap<string, VipModel> =>
  new Map(vips.map((vip) => [vip.address, vip]))

function siteDetails(before: SiteModel, after: SiteModel): readonly string[] {
  const moved = placeOf(before) === placeOf(after) ? [] : [`location ${placeOf(before)} → ${placeOf(after)}`]
  return [...moved, ...keysThatDiffer(before, after, '')]
}

const placeOf = ({ latitude, longitude }: SiteModel): string => `${latitude}, ${longitude}`

/** All keys of two objects that differ, so that keys added to the model later count too. Objects are only named. */
function keysThatDiffer(before: object, after: object, prefix: string): readonly string[] {
  const [old, now] = [new Map(Object.entries(before)), new Map(Object.entries(after))]
  return [...new Set([...old.keys(), ...now.keys()])].flatMap((key): readonly string[] => {
    const name = NAMES[key] === undefined ? key : NAMES[key]
    const [a, b]: unknown[] = [old.get(key), now.get(key)]
    if (name === null || same(a, b)) return []
    if (key === 'ttl' && isObject(a) && isObject(b)) return keysThatDiffer(a, b, `${prefix}ttl.`)
    if (isObject(a) || isObject(b)) return [`${prefix}${name} changed`]
    return [`${prefix}${name} ${word(key, a)} → ${word(key, b)}`]
  })
}

const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null

/** Defaults that the model leaves out, by key. */
const UNWRITTEN: Readonly<Record<string, string>> = { weight: '1', unchecked: 'false', failback: 'auto' }

function word(key: string, value: unknown): string {
  if (value === undefined) return UNWRITTEN[key] ?? '(none)'
  if (key.endsWith('Ms')) return formatDuration(Number(value))
  return typeof value === 'string' ? value : JSON.stringify(value)
}

/**
 * Whether two values are equal, without positions; files of subnets, which may be large, are compared by their hashes.
 */
const same = (a: unknown, b: unknown): boolean => JSON.stringify(a, toCompare) === JSON.stringify(b, toCompare)

const toCompare = (key: string, value: unknown): unknown =>
  key === 'at' ? undefined : isObject(value) && 'hash' in value ? value.hash : value
