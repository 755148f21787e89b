/**
 * Checks the zones against the settings of this node: whether it can place clients, keep health and make checks as the
 * zones ask. Called by the builder, so by `serve` and by `check` alike. Findings are Problems; nothing throws.
 */
import { parseAddress } from '../dns/address.ts'
import { formatName, isFault, lowerName, parseName } from '../dns/name.ts'
import { isTerritory, packCode } from '../geo/codes.ts'
import type { Places } from '../geo/place.ts'
import { makeReach, type ReachSettings } from '../health/reach.ts'
import { HEALTH_SLOTS } from '../health/table.ts'
import type { HealthSpec } from '../health/target.ts'
import { overload, type ProbeCapacity } from '../probe/cost.ts'
import { didYouMean, type Problem, type ProblemCode, type Report } from '../problem.ts'
import { formatDuration, someOf } from '../units.ts'
import type { Geo, Model, RuleModel } from '../zone/model.ts'
import { checkCoverage, type CoverageSettings } from './coverage.ts'

/** The part of BuildSettings that places clients. */
interface PlacementSettings extends CoverageSettings {
  readonly zones: string
}

/** The settings of this node's prober that zones are checked against. */
export interface ProbeSettings extends ProbeCapacity {
  /** Names of the commands, authorities and headers' values that checks may name. */
  readonly exec: readonly string[]
  readonly ca: readonly string[]
  readonly headers: readonly string[]
  /** Addresses that its checks may reach. */
  readonly reach: ReachSettings
  /** Other probers share the work (through Redis), so this prober's part is known only while it runs. */
  readonly shared?: boolean
}

/** Checks `node.site`, orders and the rules' geos and asns against the sites and databases there are. */
export function checkPlaces(settings: PlacementSettings, model: Model, places: Places | undefined): readonly Problem[] {
  const problems: Problem[] = []
  const report: Report = (problem) => void problems.push(problem)
  checkNodeSite(settings, model, report)
  checkRules(settings, model, places, report)
  checkCoverage(settings, model, places, report)
  return problems
}

/** Checks that the site of the setting `node.site` exists and has a location. */
function checkNodeSite(settings: PlacementSettings, model: Model, report: Report): void {
  if (settings.nodeSite === undefined) return
  // a pool of dynamic records is a site without a location, unless sites.yaml has it
  const placed = [...model.sites.values()].filter(({ latitude }) => !Number.isNaN(latitude)).map(({ name }) => name)
  if (placed.includes(settings.nodeSite)) return
  report({
    code: 'site-unknown',
    severity: 'error',
    file: settings.zones,
    line: 0,
    column: 0,
    message: `the setting node.site names the site “${settings.nodeSite}”, which sites.yaml does not have`,
    hint: `sites: ${placed.join(', ')}`,
  })
}

/** Checks that the members fit into the health table. The node would refuse the World; here `check` reports it too. */
export function checkRoom(file: string, { members }: HealthSpec, report: Report): void {
  if (members.length <= HEALTH_SLOTS) return
  const message = `${members.length} members; a node has room for ${HEALTH_SLOTS}`
  const hint = 'Put fewer VIPs into a service'
  report({ code: 'members-too-many', severity: 'error', file, line: 0, column: 0, message, hint })
}

/** Checks that the databases can decide the rules' asns and geos. */
function checkRules(
  settings: PlacementSettings,
  { services }: Model,
  places: Places | undefined,
  report: Report,
): void {
  const rules = services.flatMap((service) => service.rules)
  const hasCity = settings.city.length > 0
  for (const { asns, at } of (settings.asn ?? []).length > 0 ? [] : rules) {
    if (asns.length === 0) continue
    const message = 'this rule has asns, but there is no database of autonomous systems'
    const hint = 'Set geo.asn to an ASN database, like GeoLite2-ASN'
    // without a city database the folder is not meant to place clients: a warning is enough
    report({ code: 'asn-database-missing', severity: hasCity ? 'error' : 'warning', ...at, message, hint })
  }
  const unmatched = hasCity && places !== undefined ? unmatchedSubdivisions(rules, places) : new Set<string>()
  for (const { geos, at } of unmatched.size > 0 ? rules : []) {
    const codes = geos.map(codeOf).filter((code) => unmatched.has(code))
    if (codes.length === 0) continue
    const message = `the city database knows no network of ${codes.join(', ')}, so this rule never matches by it`
    const hint =
      'Look the code up in ISO 3166-2; databases of the flat schema have subdivisions of the US and Canada only'
    report({ code: 'geo-unmatched', severity: 'warning', ...at, message, hint })
  }
}

const codeOf = ({ continent, country, subdivision }: Geo): string =>
  [continent, country, subdivision].filter((part) => part !== undefined).join('-')

const subdivisionKey = (country: number, subdivision: number): number => country * 2 ** 24 + subdivision

/** The subdivisions in rules that no place of the database has. */
function unmatchedSubdivisions(rules: readonly RuleModel[], { codes }: Places): ReadonlySet<string> {
  const left = new Map<number, string>()
  for (const geo of rules.flatMap(({ geos }) => geos)) {
    // to databases a US territory is a country
    if (geo.subdivision === undefined || isTerritory(geo.country, geo.subdivision)) continue
    left.set(subdivisionKey(packCode(geo.country), packCode(geo.subdivision)), codeOf(geo))
  }
  for (let i = 0; i < codes.length && left.size > 0; i += 3) left.delete(subdivisionKey(codes[i + 1]!, codes[i + 2]!))
  return new Set(left.values())
}

/** Checks that the keys that transfers need are among those of this node, by their names in the setting `tsig.keys`. */
export function checkTransferKeys(known: readonly string[], { zones }: Model, report: Report): void {
  const names = known.map((text) => {
    const name = parseName(text)
    return isFault(name) ? text : keyName(lowerName(name))
  })
  for (const transfer of new Set(zones.map((zone) => zone.transfer))) {
    if (transfer?.key === undefined) continue
    const key = keyName(transfer.key)
    if (names.includes(key)) continue
    const message = `transfers need the key “${key}”, which is not in the setting tsig.keys: nobody can take a copy here`
    const hint = didYouMean(key, names) ?? 'Add it to tsig.keys of every node: {NAME: /etc/meridian/NAME.key}'
    report({ code: 'tsig-key-unknown', severity: 'warning', ...(transfer.keyAt ?? transfer.at), message, hint })
  }
}

/** Checks that this node takes overrides that last as long as the scheduled drills. */
export function checkDrills(maxForMs: number, { drills }: Model, report: Report): void {
  for (const { name, forMs, at } of drills.drills) {
    if (forMs <= maxForMs) continue
    const most = formatDuration(maxForMs)
    const message = `drill ${name} takes ${formatDuration(forMs)}, and overrides.maxFor is ${most}: nodes would refuse it`
    report({ code: 'drill-overlong', severity: 'warning', ...at, message, hint: `Make it ${most} at most` })
  }
}

/** As operators write it in settings. */
const keyName = (name: Uint8Array): string => formatName(name).replace(/\.$/, '')

/** Checks that this prober can make the zones' checks: enough threads and rate, known commands, reachable addresses. */
export function checkProbe(file: string, probe: ProbeSettings, plan: HealthSpec, report: Report): void {
  const { targets } = plan
  const warn = (code: ProblemCode, message: string, hint: string) =>
    report({ code, severity: 'warning', file, line: 0, column: 0, message, hint })
  const found = probe.shared === true ? undefined : overload(targets, probe)
  if (found !== undefined) warn('probe-overload', found.message, found.hint)
  const checks = targets.map(({ check }) => check)
  const names: readonly (readonly [ProblemCode, string, string, readonly string[], readonly string[]])[] = [
    [
      'exec-unknown',
      'of type exec runs',
      'exec',
      probe.exec,
      checks.flatMap((one) => (one.type === 'exec' ? [one.command] : [])),
    ],
    [
      'ca-unknown',
      'trusts the authorities',
      'ca',
      probe.ca,
      checks.flatMap((one) => ('ca' in one && one.ca !== undefined ? [one.ca] : [])),
    ],
    [
      'header-unknown',
      'sends the header value',
      'headers',
      probe.headers,
      checks.flatMap((one) => ('headers' in one ? Object.values(one.headers ?? {}) : [])),
    ],
  ]
  for (const [code, does, key, known, named] of names) {
    for (const name of new Set(named)) {
      if (known.includes(name)) continue
      const message = `a check ${does} “${name}”, which is not in the setting probe.${key}: this prober abstains`
      warn(code, message, didYouMean(name, known) ?? `Add it to probe.${key} of every node that probes`)
    }
  }
  checkReach(probe.reach, plan, warn)
}

/** At most this many members are named in one problem: many may share a fault. */
const NAMED = 5

function checkReach(
  settings: ReachSettings,
  { members, targets }: HealthSpec,
  warn: (code: 'probe-denied' | 'check-address', message: string, hint: string) => void,
): void {
  const reach = makeReach(settings)
  const byId = new Map(targets.map((target) => [target.id, target]))
  const denied = new Map<string, string>()
  const elsewhere = new Set<string>()
  for (const member of members) {
    for (const id of member.targets) {
      const { address, port } = byId.get(id)!
      if (parseAddress(address) === undefined) continue // a name: what it resolves to is judged when it is probed
      const refusal = reach.refusal(address, port)
      if (refusal !== undefined) denied.set(member.name, refusal)
      else if (address !== member.address && !reach.isNamed(address, port))
        elsewhere.add(`${member.name} at ${address}`)
    }
  }
  const [first] = denied
  if (first !== undefined) {
    const others = denied.size === 1 ? '' : `; the same holds for ${someOf([...denied.keys()].slice(1), NAMED)}`
    const hint =
      'No prober can ever see it up: probe another address, or name this one in probe.allow of every node that probes'
    warn('probe-denied', `${first[0]}: ${first[1]}${others}`, hint)
  }
  if (elsewhere.size > 0) {
    const message = `checks go to addresses that are neither the VIP nor in probe.allow: ${someOf([...elsewhere], NAMED)}`
    warn('check-address', message, 'If this is intended, name them in probe.allow of every node that probes')
  }
}
