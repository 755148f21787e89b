/**
 * What a reload changed, for the log: zones and names that were added or removed, services and sites that differ, and
 * names that have another service. Called by the builder with the models of the last build and of this one. A zone whose
 * bytes are the same array in both was not parsed again, so it is skipped: the cost follows the size of the change.
 */
import { formatName } from '../dns/name.ts'
import type { ServiceSwitch } from '../traffic/service-moves.ts'
import { someOf } from '../units.ts'
import type { Model } from '../zone/model.ts'
import { isHints, Z_AT, Z_INTS, Z_OWNER, Z_OWNER_BYTES, Z_TYPE, type ZoneModel } from '../zone/pack.ts'
import { compareDrills, compareServices, compareSites, type NamedChange } from './services.ts'

/** Names in alphabetical order. */
interface AddedRemoved {
  readonly added: readonly string[]
  readonly removed: readonly string[]
}

/** The difference between two models. */
export interface ModelChanges {
  readonly zones: AddedRemoved
  readonly services: readonly NamedChange[]
  readonly sites: readonly NamedChange[]
  readonly drills: readonly NamedChange[]
  /** Names that have another service, each pair of services once. */
  readonly switches: readonly ServiceSwitch[]
  /** Numbers of owner names, including those of added and removed zones. */
  readonly names: { readonly added: number; readonly removed: number }
  /** Number of zones that are in both models and differ. */
  readonly zonesChanged: number
}

/** Compares two models. */
export function changesOf(before: Model, after: Model): ModelChanges {
  const old = new Map(before.zones.map((zone) => [formatName(zone.apex), zone]))
  const now = new Map(after.zones.map((zone) => [formatName(zone.apex), zone]))
  const names = { added: 0, removed: 0 }
  let zonesChanged = 0
  for (const apex of new Set([...old.keys(), ...now.keys()])) {
    const was = old.get(apex)
    const is = now.get(apex)
    if (was?.bytes === is?.bytes) continue
    if (was !== undefined && is !== undefined) zonesChanged++
    const wasNames = ownersOf(was)
    const isNames = ownersOf(is)
    for (const name of isNames) if (!wasNames.has(name)) names.added++
    for (const name of wasNames) if (!isNames.has(name)) names.removed++
  }
  return {
    zones: compare(new Set(old.keys()), new Set(now.keys())),
    services: compareServices(before, after),
    sites: compareSites(before, after),
    drills: compareDrills(before, after),
    switches: switchesOf(before, after),
    names,
    zonesChanged,
  }
}

/** The names that have another service, each pair of services once. */
export function switchesOf(before: Model, after: Model): readonly ServiceSwitch[] {
  const old = new Map(before.zones.map((zone) => [formatName(zone.apex), zone]))
  const switches = new Map<string, ServiceSwitch>()
  for (const zone of after.zones) {
    const was = old.get(formatName(zone.apex))
    if (was === undefined || was.bytes === zone.bytes) continue
    const services = steeredOf(was)
    for (const [name, service] of steeredOf(zone)) {
      const other = services.get(name) ?? service
      if (other !== service) switches.set(`${other} ${service}`, { before: other, after: service })
    }
  }
  return [...switches.values()]
}

function ownersOf(zone: ZoneModel | undefined): Set<string> {
  const owners = new Set<string>()
  if (zone === undefined) return owners
  const bytes = bytesOf(zone)
  let last = -1
  for (let i = 0; i < zone.sets.length; i += Z_INTS) {
    const at = zone.sets[i + Z_OWNER]!
    if (at !== last) owners.add(ownerAt(bytes, zone, i))
    last = at
  }
  return owners
}

/** The service of each steered name. */
function steeredOf(zone: ZoneModel | undefined): Map<string, string> {
  const services = new Map<string, string>()
  if (zone === undefined || zone.services.length === 0) return services
  const bytes = bytesOf(zone)
  for (let i = 0; i < zone.sets.length; i += Z_INTS) {
    if (zone.sets[i + Z_TYPE] === 0 && !isHints(zone.sets, i))
      services.set(ownerAt(bytes, zone, i), zone.services[zone.sets[i + Z_AT]!]!)
  }
  return services
}

const bytesOf = ({ bytes }: ZoneModel): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)

function ownerAt(bytes: Buffer, { sets }: ZoneModel, i: number): string {
  const at = sets[i + Z_OWNER]!
  return bytes.toString('latin1', at, at + sets[i + Z_OWNER_BYTES]!)
}

const compare = (before: ReadonlySet<string>, after: ReadonlySet<string>): AddedRemoved => ({
  added: [...after].filter((name) => !before.has(name)).toSorted(),
  removed: [...before].filter((name) => !after.has(name)).toSorted(),
})

/** At most this many names are listed of those added, removed or changed, and this many details of each. */
const MOST = 5
const MOST_DETAILS = 3

/**
 * Changes in words: `zones +a.example. −b.example., 3 changed; names +12 −3; services +api, web (fra: weight 100 → 50)`.
 */
export function changesInWords({ zones, services, sites, drills, names, zonesChanged }: ModelChanges): string {
  const signed = [names.added > 0 ? `+${names.added}` : '', names.removed > 0 ? `−${names.removed}` : ''].filter(
    (part) => part !== '',
  )
  const parts = Object.entries({
    zones: [...listed(zones), ...(zonesChanged > 0 ? [`${zonesChanged} changed`] : [])],
    names: signed,
    services: detailed(services),
    sites: detailed(sites),
    drills: detailed(drills),
  }).map(([what, words]) => (words.length === 0 ? '' : `${what} ${words.join(', ')}`))
  const changed = parts.filter((part) => part !== '')
  return changed.length === 0 ? 'the same zones, names, services and sites' : changed.join('; ')
}

const listed = ({ added, removed }: AddedRemoved): string[] => [...some(added, '+'), ...some(removed, '−')]

function detailed(changes: readonly NamedChange[]): string[] {
  const of = (kind: NamedChange['change']) => changes.filter(({ change }) => change === kind)
  const names = (kind: NamedChange['change']): AddedRemoved['added'] => of(kind).map(({ name }) => name)
  const changed = of('changed').map(({ name, details }) => `${name} (${someOf(details, MOST_DETAILS)})`)
  return [...listed({ added: names('added'), removed: names('removed') }), ...some(changed, '')]
}

const some = (names: readonly string[], sign: string): string[] => [
  ...names.slice(0, MOST).map((name) => sign + name),
  ...(names.length > MOST ? [`${sign}${names.length - MOST} more`] : []),
]
