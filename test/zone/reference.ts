/**
 * A naive name space to hold the Image against: text names in Maps, RFC 1034 §4.3.2 as it reads. Slow and plain on
 * purpose; shares no code with src/zone.
 */
export interface ReferenceZone {
  /** Absolute, lower case, without the final dot. */
  readonly apex: string
  /** Owner (absolute) → RR types there; 0 = steered. */
  readonly owners: ReadonlyMap<string, readonly number[]>
}

export interface Found {
  /** The deepest existing name at or above the one asked: itself, or its closest encloser. */
  readonly name: string
  readonly apex: string
  readonly cut: string | undefined
  readonly wildcard: string | undefined
  readonly types: readonly number[]
}

const NS = 2

/** The name and all above it, longest first, the root left out. */
export function suffixes(name: string): string[] {
  const labels = name.split('.')
  return labels.map((_, i) => labels.slice(i).join('.'))
}

const within = (name: string, apex: string): boolean => name === apex || name.endsWith('.' + apex)

export function lookUp(zones: readonly ReferenceZone[], name: string): Found | undefined {
  const apexOf = (of: string): string | undefined => suffixes(of).find((s) => zones.some(({ apex }) => apex === s))
  const names = new Set<string>()
  const types = new Map<string, readonly number[]>()
  for (const zone of zones) {
    // an inner apex exists in the outer zone, and so does all between them
    for (const suffix of suffixes(zone.apex)) if (apexOf(suffix) !== undefined) names.add(suffix)
    for (const [owner, ownerTypes] of zone.owners) {
      if (apexOf(owner) !== zone.apex) continue
      types.set(owner, ownerTypes)
      for (const suffix of suffixes(owner)) if (within(suffix, zone.apex)) names.add(suffix)
    }
  }
  const found = suffixes(name).find((suffix) => names.has(suffix))
  if (found === undefined) return undefined
  const apex = apexOf(found)!
  const cuts = suffixes(found).filter((s) => apexOf(s) === apex && s !== apex && (types.get(s) ?? []).includes(NS))
  const wildcard = names.has(`*.${found}`) && apexOf(`*.${found}`) === apex ? `*.${found}` : undefined
  return { name: found, apex, cut: cuts.at(-1), wildcard, types: types.get(found) ?? [] }
}
