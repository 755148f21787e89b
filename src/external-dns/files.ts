/**
 * Endpoints of a cluster → its files in the folder of zones. An endpoint that is alone is a record; those with set identifiers
 * become a service, through the reader of Route 53's record sets, whose weights, places and failovers they say in other words.
 *
 *   ZONE./external-dns-CLUSTER.yaml      records, and names that are steered
 *   services/external-dns-CLUSTER.yaml   the services that steer them
 */
import { formatAddress, parseAddress } from '../dns/address.ts'
import { formatName, isWithin, keyOf } from '../dns/name.ts'
import { continentOf, CONTINENTS } from '../import/continents.ts'
import { Notes } from '../import/notes.ts'
import { Json } from '../import/route53/json.ts'
import type { RoutedSet } from '../import/route53/policies.ts'
import { type Naming, SetsReader } from '../import/route53/sets.ts'
import { writeYaml, type YamlMapping, type YamlValue } from '../import/yaml.ts'
import { ZoneDraft } from '../import/zone.ts'
import { Source } from '../yaml/source.ts'
import { parseYaml } from '../yaml/tree.ts'
import { type Endpoint, propertyOf, wireOf } from './endpoint.ts'

/** What a cluster's files stand on: what others have written. */
export interface Ground {
  readonly apexes: readonly Uint8Array[]
  /** Sites of sites.yaml. */
  readonly sites: ReadonlyMap<string, { readonly latitude: number; readonly longitude: number }>
}

/** An endpoint that cannot be served, and why. */
export interface EndpointFault {
  readonly endpoint: Endpoint
  readonly why: string
}

/** A cluster's files. */
export interface ClusterFiles {
  /** Texts by path below the folder. */
  readonly files: ReadonlyMap<string, string>
  readonly faults: readonly EndpointFault[]
  /** Services → the whole names that they steer, without the last dot. */
  readonly steered: ReadonlyMap<string, readonly string[]>
}

/** The types that external-dns manages. */
const TYPES: ReadonlySet<string> = new Set(['A', 'AAAA', 'CNAME', 'TXT', 'SRV', 'NS', 'PTR', 'MX', 'NAPTR'])
/** Of these, those that may be chosen between. */
const STEERED_TYPES: ReadonlySet<string> = new Set(['A', 'AAAA', 'CNAME'])
/** TTLs of endpoints that say none, in seconds. */
const TTL = 300
const STEERED_TTL = 60

/** Where the files of a cluster are. */
export const servicesPath = (cluster: string): string => `services/external-dns-${cluster}.yaml`
export const zonePath = (apex: string, cluster: string): string =>
  `${apex.replaceAll('/', '\\047')}./external-dns-${cluster}.yaml`
/** Whether a path below the folder is a file of the cluster. */
export const isFileOf = (path: string, cluster: string): boolean => path.endsWith(`/external-dns-${cluster}.yaml`)

/** Makes the files of a cluster. The same endpoints, in any order, give the same bytes. */
export function filesOf(cluster: string, endpoints: readonly Endpoint[], ground: Ground): ClusterFiles {
  const faults: EndpointFault[] = []
  const byZone = new Map<string, { readonly apex: Uint8Array; readonly sets: (readonly [Endpoint, object])[] }>()
  for (const endpoint of endpoints) {
    const apex = apexOf(endpoint.dnsName, ground.apexes)
    const why = apex === undefined ? 'no zone of the folder holds this name' : faultOf(endpoint, ground)
    if (why !== undefined || apex === undefined) {
      faults.push({ endpoint, why: why ?? '' })
      continue
    }
    const zone = byZone.get(keyOf(apex)) ?? { apex, sets: [] }
    byZone.set(keyOf(apex), zone)
    zone.sets.push([endpoint, setOf(endpoint)])
  }
  faults.push(...sharedSites(endpoints))
  const heading = new Map([
    ['', [`from cluster ${cluster}, by meridian external-dns: changes by hand are overwritten`]],
  ])
  const files = new Map<string, string>()
  const services = new Map<string, YamlValue>()
  const steered = new Map<string, string[]>()
  for (const { apex, sets } of byZone.values()) {
    const path = zonePath(formatName(apex).slice(0, -1), cluster)
    const notes = new Notes()
    const names = namesOf(path, apex, sets, ground, notes, services)
    for (const { severity, line, message } of notes.list()) {
      const [endpoint] = sets[line - 2] ?? sets[0]!
      if (severity === 'error') faults.push({ endpoint, why: message })
    }
    for (const [name, service] of steeredBy(names)) {
      const whole = `${name === '' ? '' : `${name}.`}${formatName(apex).slice(0, -1)}`
      steered.set(service, [...(steered.get(service) ?? []), whole])
    }
    files.set(path, writeYaml(names, heading))
  }
  if (services.size > 0) files.set(servicesPath(cluster), writeYaml(sorted(services), heading))
  return { files, faults, steered }
}

const sorted = <T>(map: ReadonlyMap<string, T>): ReadonlyMap<string, T> =>
  new Map([...map].toSorted(([a], [b]) => (a < b ? -1 : 1)))

/** The innermost of the zones that a name is in; undefined: in none. */
export function apexOf(name: string, apexes: readonly Uint8Array[]): Uint8Array | undefined {
  const wire = wireOf(name)
  return wire && apexes.filter((apex) => isWithin(wire, apex)).toSorted((a, b) => b.length - a.length)[0]
}

/** Continent, country and subdivision whose clients get a set. */
const placeCodes = (endpoint: Endpoint): readonly (string | undefined)[] =>
  ['continent', 'country', 'subdivision'].map((part) => propertyOf(endpoint, `geolocation-${part}-code`))

const isContinent = (code: string | undefined): boolean => code === undefined || CONTINENTS.includes(code)

const siteOf = (endpoint: Endpoint): string => propertyOf(endpoint, 'site') ?? endpoint.setIdentifier ?? ''

/** Why an endpoint by itself cannot be served; undefined: it can. */
function faultOf(endpoint: Endpoint, { sites }: Ground): string | undefined {
  const { recordType, targets, setIdentifier = '' } = endpoint
  if (!TYPES.has(recordType)) return `records of type ${recordType} are not served for external-dns`
  if (targets.length === 0) return 'it has no targets'
  if (recordType === 'CNAME' && targets.length > 1) return 'a CNAME has one target'
  if (setIdentifier === '' || recordType === 'TXT') return undefined
  if (!STEERED_TYPES.has(recordType)) return `only addresses and aliases are steered, not ${recordType}`
  const [continent, country] = placeCodes(endpoint)
  if (country !== undefined ? country !== '*' && continentOf(country) === undefined : !isContinent(continent))
    return `Meridian does not know the place ${country ?? continent}`
  const site = siteOf(endpoint)
  if (!sites.has(site)) {
    return `there is no site “${site}” in sites.yaml: the set identifier, or the annotation external-dns.alpha.kubernetes.io/webhook-site, names one`
  }
  const weight = propertyOf(endpoint, 'weight')
  if (weight !== undefined && !/^\d{1,9}$/.test(weight)) return `“${weight}” is no weight`
  const failover = propertyOf(endpoint, 'failover')
  if (failover !== undefined && !/^(?:primary|secondary)$/i.test(failover)) return `failover is PRIMARY or SECONDARY`
  return undefined
}

/** Sets of one name and type with the same site, place or target: a service has each once. */
function sharedSites(endpoints: readonly Endpoint[]): readonly EndpointFault[] {
  const seen = new Map<string, string>()
  return endpoints.flatMap((endpoint) => {
    const { dnsName, recordType, setIdentifier = '' } = endpoint
    if (setIdentifier === '' || recordType === 'TXT') return []
    const codes = placeCodes(endpoint).filter((code) => code !== undefined)
    const shared = [
      `is at the site ${siteOf(endpoint)}`,
      ...(codes.length > 0 ? [`is for ${codes.join('-')}`] : []),
      ...[...new Set(endpoint.targets.map(canonical))].map((target) => `has ${target}`),
    ]
    return shared.flatMap((what) => {
      const key = `${dnsName.toLowerCase()} ${recordType} ${what}`
      const other = seen.get(key)
      if (other === undefined) seen.set(key, setIdentifier)
      return other === undefined ? [] : [{ endpoint, why: `the set “${other}” ${what}, too` }]
    })
  })
}

/** An address, or a name, in the one form that equal ones have. */
function canonical(target: string): string {
  const address = parseAddress(target)
  return address === undefined ? target.toLowerCase().replace(/\.$/, '') : formatAddress(address)
}

/** The names of a zone's file; its services are added to `services`. */
function namesOf(
  path: string,
  apex: Uint8Array,
  sets: readonly (readonly [Endpoint, object])[],
  ground: Ground,
  notes: Notes,
  services: Map<string, YamlValue>,
): YamlMapping {
  // one line each, so that a note tells which it is about
  const text = `[\n${sets.map(([, set]) => JSON.stringify(set)).join(',\n')}\n]`
  const source = new Source(path, text)
  const root = parseYaml(source, (problem) => notes.error(problem, problem.message))
  if (root === undefined) return {}
  const zone = new ZoneDraft(apex, { file: path, line: 0 }, notes)
  const draft = { service: (name: string, value: YamlMapping) => void services.set(name, value) }
  const reader = new SetsReader(namingOf(sets, ground), { draft, notes })
  reader.zone(zone, reader.sets(new Json(source, root).items()))
  reader.finish()
  return zone.names()
}

/** Sites are those of sites.yaml, services are called like the names that they steer. */
function namingOf(sets: readonly (readonly [Endpoint, object])[], { sites }: Ground): Naming {
  const site = ({ at }: RoutedSet): string => siteOf(sets[at.line - 2]![0])
  return {
    site,
    siteOfAll: (label) => label,
    place(set) {
      const { latitude = NaN, longitude = NaN } = sites.get(site(set)) ?? {}
      return Number.isNaN(latitude) ? undefined : [latitude, longitude]
    },
    // a service's name has no asterisk, and that of x must not depend on whether *.x is there
    service: (_, owner) => formatName(owner).slice(0, -1).replace(/^\*\./, 'wildcard_.'),
    check: (name) => ({ check: { use: name }, address: undefined }),
  }
}

/** The names of a zone that are steered, each with its service. */
function steeredBy(names: YamlMapping): readonly (readonly [name: string, service: string])[] {
  const entries: readonly (readonly [string, unknown])[] = names instanceof Map ? [...names] : Object.entries(names)
  return entries.flatMap(([name, records]) =>
    [records]
      .flat()
      .flatMap((record): readonly (readonly [string, string])[] =>
        typeof record === 'object' && record !== null && 'service' in record && typeof record.service === 'string'
          ? [[name, record.service]]
          : [],
      ),
  )
}

/** An endpoint as a record set of Route 53. */
function setOf(endpoint: Endpoint): object {
  const { dnsName, recordType, targets, recordTTL = 0, setIdentifier = '' } = endpoint
  // external-dns's own TXT records have the set identifiers of what they are about
  const isRouted = setIdentifier !== '' && recordType !== 'TXT'
  const check = propertyOf(endpoint, 'check')
  return {
    Name: octal(dnsName),
    Type: recordType,
    TTL: recordTTL > 0 ? recordTTL : isRouted ? STEERED_TTL : TTL,
    ResourceRecords: targets.map((target) => ({ Value: octal(recordType === 'TXT' ? quoted(target) : target) })),
    ...(isRouted && { SetIdentifier: setIdentifier, ...policyOf(endpoint) }),
    ...(isRouted && check !== undefined && { HealthCheckId: check }),
  }
}

/** How a set is chosen among others; without a word of it the nearest is. */
function policyOf(endpoint: Endpoint): object {
  const of = (name: string): string | undefined => propertyOf(endpoint, name)
  const [ContinentCode, CountryCode, SubdivisionCode] = placeCodes(endpoint)
  const place = { ContinentCode, CountryCode, SubdivisionCode }
  if (of('weight') !== undefined) return { Weight: Number(of('weight')) }
  if (of('failover') !== undefined) return { Failover: of('failover')!.toUpperCase() }
  if (Object.values(place).some((code) => code !== undefined)) return { GeoLocation: place }
  if (of('multi-value-answer') !== undefined) return { Weight: 1 }
  const bias = of('geoproximity-bias')
  if (bias !== undefined) return { GeoProximityLocation: { Bias: Number(bias) } }
  return { Region: siteOf(endpoint) }
}

/** Text as it is, or in quotes already, as a word of a master file. */
const quoted = (text: string): string =>
  /^".*"$/s.test(text) ? text : `"${text.replaceAll(/["\\]/g, (character) => `\\${character}`)}"`

/** Bytes that master files write in decimal, `\042`, are in octal in Route 53's JSON. */
const octal = (text: string): string =>
  text.replaceAll(/\\\\|\\(\d{3})/g, (found, decimal: string | undefined) =>
    decimal === undefined || Number(decimal) > 255 ? found : `\\${Number(decimal).toString(8).padStart(3, '0')}`,
  )
