/**
 * What a reload changed, for the log: zones, names and services that were added or removed. Called by the builder with
 * the models of the last build and of this one. A zone whose bytes are the same array in both was not parsed again, so
 * it is skipped: the cost follows the size of the change.
 */
import { formatName } from '../dns/name.ts'
import type { Model } from '../zone/model.ts'
import { Z_INTS, Z_OWNER, Z_OWNER_BYTES, type ZoneModel } from '../zone/pack.ts'

/** Names in alphabetical order. */
interface AddedRemoved {
  readonly added: readonly string[]
  readonly removed: readonly string[]
}

/** The difference between two models. */
export interface ModelChanges {
  readonly zones: AddedRemoved
  readonly services: AddedRemoved
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
    services: compare(servicesOf(before), servicesOf(after)),
    names,
    zonesChanged,
  }
}

const servicesOf = (model: Model): Set<string> => new Set(model.services.map(({ name }) => name))

function ownersOf(zone: ZoneModel | undefined): Set<string> {
  const owners = new Set<string>()
  if (zone === undefined) return owners
  const bytes = Buffer.from(zone.bytes.buffer, zone.bytes.byteOffset, zone.bytes.length)
  let last = -1
  for (let i = 0; i < zone.sets.length; i += Z_INTS) {
    const at = zone.sets[i + Z_OWNER]!
    if (at !== last) owners.add(bytes.toString('latin1', at, at + zone.sets[i + Z_OWNER_BYTES]!))
    last = at
  }
  return owners
}

const compare = (before: ReadonlySet<string>, after: ReadonlySet<string>): AddedRemoved => ({
  added: [...after].filter((name) => !before.has(name)).toSorted(),
  removed: [...before].filter((name) => !after.has(name)).toSorted(),
})

/** At most this many added or removed names are listed. */
const MOST = 5

/** Changes in words: `zones +a.example. −b.example., 3 changed; names +12 −3; services +api`. */
export function changesInWords({ zones, services, names, zonesChanged }: ModelChanges): string {
  const signed = [names.added > 0 ? `+${names.added}` : '', names.removed > 0 ? `−${names.removed}` : ''].filter(
    (part) => part !== '',
  )
  const parts = [
    [...listed(zones), ...(zonesChanged > 0 ? [`${zonesChanged} changed`] : [])],
    signed,
    listed(services),
  ].map((words, i) => (words.length === 0 ? '' : `${['zones', 'names', 'services'][i]} ${words.join(', ')}`))
  const changed = parts.filter((part) => part !== '')
  return changed.length === 0 ? 'the same zones, names and services' : changed.join('; ')
}

const listed = ({ added, removed }: AddedRemoved): string[] => [...some(added, '+'), ...some(removed, '−')]

const some = (names: readonly string[], sign: string): string[] => [
  ...names.slice(0, MOST).map((name) => sign + name),
  ...(names.length > MOST ? [`${sign}${names.length - MOST} more`] : []),
]
