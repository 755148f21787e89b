/**
 * The World's builder: YAML and databases in, a World out, or Problems. Runs in the compile thread of `serve` and in the
 * process of `check`: the same code, so check is load without run. Keeps what it has parsed and placed for the next build.
 *
 *   zones/*.yaml ─▶ loadFolder ─▶ model ─┬▶ buildImage ─────────────▶ image    ┐
 *   *.mmdb ─▶ openDatabases ─▶ places ─┐ ├▶ layOutService ──────────▶ services ├▶ World
 *                                      └─┴▶ mapDefinition, loadMap ────▶ maps   ┘
 */
import { hash } from 'node:crypto'
import { stat } from 'node:fs/promises'
import { asnsKey, loadAsns, type Asns } from '../geo/asn.ts'
import { isTerritory, packCode } from '../geo/codes.ts'
import { openDatabases, type Database } from '../geo/database.ts'
import { allocateShared, type Allocate } from '../geo/memory.ts'
import { openCache, type Cache } from '../geo/cache.ts'
import { loadPlaces, placesKey, type Places } from '../geo/place.ts'
import { overload, type ProbeCapacity } from '../health/load.ts'
import { planHealth, type HealthPlan } from '../health/target.ts'
import { mapDefinition } from '../policy/compile.ts'
import { loadMap, mapKey } from '../policy/load.ts'
import type { ClientMap } from '../policy/map.ts'
import { layOutService } from '../policy/service.ts'
import { didYouMean, type Problem, type Report } from '../problem.ts'
import { buildImage } from '../zone/image.ts'
import { loadFolder, type Loaded } from '../zone/load.ts'
import type { Geo, Model, RuleModel, ServiceModel, SiteModel } from '../zone/model.ts'
import type { World } from './world.ts'

export interface BuildSettings {
  /** Folder of the YAML files. */
  readonly zones: string
  /** MMDB files; more than one where IPv4 and IPv6 are apart. None: no client has a place. */
  readonly city: readonly string[]
  /** The same, of autonomous systems; for rules with `asns`. */
  readonly asn?: readonly string[]
  /** Where compiled tries are kept over a restart; undefined = nowhere. */
  readonly cache?: string
  /** Whether what this builder's Worlds don't need goes from the cache: for the one whose cache it is, `serve`. */
  readonly tidiesCache?: boolean
  /** Site whose place clients have that the databases do not know. */
  readonly nodeSite?: string
  /** For a prober: only what is probed; no databases, no maps, no Image. */
  readonly planOnly?: boolean
  /** What this node's prober has; undefined: it has none, or nobody asks. */
  readonly probe?: ProbeSettings
}

export interface ProbeSettings extends ProbeCapacity {
  /** Names of the commands that checks of type exec may run. */
  readonly exec: readonly string[]
  /** Others probe as well (the Store is shared): how much is this prober's own is known only while it runs. */
  readonly shared?: boolean
}

/** What `explain` says beyond what the answering threads know. */
export interface ExplainContext {
  readonly places: Places
  readonly sites: ReadonlyMap<string, SiteModel>
  /** As World.services. */
  readonly services: readonly ServiceModel[]
}

export interface Made {
  /** Generation 0; slots and counters all 0: the main thread gives them. */
  readonly world: World
  readonly plan: HealthPlan
  readonly context: ExplainContext
  /** Hash of (version, zones, database builds): nodes that serve alike have the same. */
  readonly view: string
  readonly zoneCount: number
  readonly nameCount: number
}

/** All that a prober needs of the files. */
export interface Planned {
  readonly plan: HealthPlan
  readonly zoneCount: number
}

export interface Built {
  /** undefined when there is an error among the problems: the old World goes on. */
  readonly made?: Made
  /** With `planOnly`, in its place. */
  readonly planned?: Planned
  readonly problems: readonly Problem[]
  /** How long each stage took, for logs and benches. */
  readonly stagesMs: Readonly<Record<string, number>>
}

export interface Builder {
  /** Reads everything that changed, compiles, and tells all problems at once. Never throws for what an operator wrote. */
  build(): Promise<Built>
}

/** Changes with the meaning of a World: nodes whose builders differ have different views. */
const FORMAT = 'meridian-world-1'

export function makeBuilder(settings: BuildSettings, allocate: Allocate = allocateShared): Builder {
  let loaded: Loaded | undefined
  let placed: Placed | undefined
  let maps: ReadonlyMap<string, ClientMap> = new Map()

  return {
    async build() {
      const problems: Problem[] = []
      const report: Report = (problem) => void problems.push(problem)
      const stages = makeStages()
      const cache = openCache(settings.cache, (message) =>
        report({ code: 'cache-unwritable', severity: 'warning', file: settings.cache!, line: 0, column: 0, message }),
      )

      loaded = await loadFolder(settings.zones, loaded)
      problems.push(...loaded.problems)
      const { model } = loaded
      const plan = model && planHealth(model)
      if (plan !== undefined && settings.probe !== undefined) checkProbe(settings.zones, settings.probe, plan, report)
      stages.end('load')
      if (settings.planOnly === true) return { ...planned(model, plan, problems), problems, stagesMs: stages.ms }
      const now = await openPlaces(settings, placed, cache, report)
      stages.end('places')
      if (model !== undefined) {
        checkNodeSite(settings, model, report)
        checkRules(settings, model, now?.places, report)
      }
      const failed = problems.some((problem) => problem.severity === 'error')
      if (model === undefined || plan === undefined || now === undefined || failed)
        return { problems, stagesMs: stages.ms }
      placed = now

      const compiled = placeClients(settings, model, now.places, maps, cache, allocate)
      stages.end('maps')
      const services = model.services.map((service, i) => layOutService(service, model.sites, compiled.numbers[i]!))
      const index = new Map(model.services.map((service, i) => [service.name, i]))
      const image = buildImage(model.zones, index, allocate)
      stages.end('image')
      maps = compiled.byKey
      const world: World = { generation: 0, image, maps: [...compiled.byKey.values()], services }
      const made: Made = {
        world,
        plan,
        context: { places: now.places, sites: model.sites, services: model.services },
        view: viewOf(loaded.hash, model, now.places),
        zoneCount: model.zones.length,
        nameCount: image.names,
      }
      return { made, problems, stagesMs: stages.ms }
    },
  }
}

function viewOf(zones: string, { services }: Model, { id, asns }: Places): string {
  // nobody's answers depend on numbers that no rule has
  const looksAtAsns = asns !== undefined && services.some(({ rules }) => rules.some((rule) => rule.asns.length > 0))
  const parts = [FORMAT, zones, id, ...(looksAtAsns ? [asns.id] : [])]
  return hash('sha256', JSON.stringify(parts), 'hex').slice(0, 16)
}

function planned(
  model: Model | undefined,
  plan: HealthPlan | undefined,
  problems: readonly Problem[],
): Pick<Built, 'planned'> {
  if (model === undefined || plan === undefined || problems.some(({ severity }) => severity === 'error')) return {}
  return { planned: { plan, zoneCount: model.zones.length } }
}

interface Placed {
  readonly city: Opened<Places>
  readonly asn: Opened<Asns> | undefined
  /** Both together. */
  readonly places: Places
}

/** What was made of some files, and what they looked like: while they look the same they are not read again. */
interface Opened<T> {
  readonly made: T
  readonly stamp: string
}

async function openPlaces(
  settings: BuildSettings,
  before: Placed | undefined,
  cache: Cache,
  report: Report,
): Promise<Placed | undefined> {
  const asnFiles = settings.asn ?? []
  const makePlaces = (found: readonly Database[]) => loadPlaces(found, cache, report)
  const makeAsns = (found: readonly Database[]) => loadAsns(found, cache, report)
  const city = await openFiles(settings.city, before?.city, placesKey, makePlaces, report)
  const asn = asnFiles.length > 0 ? await openFiles(asnFiles, before?.asn, asnsKey, makeAsns, report) : undefined
  if (city === undefined || (asn === undefined && asnFiles.length > 0)) return undefined
  const same = before !== undefined && city.made === before.city.made && asn?.made === before.asn?.made
  return { city, asn, places: same ? before.places : { ...city.made, ...(asn && { asns: asn.made }) } }
}

async function openFiles<T extends { readonly id: string }>(
  files: readonly string[],
  before: Opened<T> | undefined,
  keyOf: (databases: readonly Database[]) => string,
  load: (databases: readonly Database[]) => T | undefined,
  report: Report,
): Promise<Opened<T> | undefined> {
  const stamp = await stampOf(files)
  if (before?.stamp === stamp) return before
  const databases = openDatabases(files, report)
  if (databases === undefined) return undefined
  if (before !== undefined && before.made.id === keyOf(databases)) return { ...before, stamp }
  const made = load(databases)
  return made && { made, stamp }
}

async function stampOf(files: readonly string[]): Promise<string> {
  const stats = files.map(async (file) => {
    const found = await stat(file).catch(() => undefined)
    return found === undefined ? 'missing' : `${found.ino} ${found.size} ${found.mtimeMs}`
  })
  return (await Promise.all(stats)).join()
}

/** `node.site` is a setting, but only the zones know which sites there are. */
function checkNodeSite(settings: BuildSettings, model: Model, report: Report): void {
  if (settings.nodeSite === undefined) return
  // a pool of dynamic records has none, unless it is in sites.yaml
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

/** Rules that the databases can't serve: only the settings say which there are. */
function checkRules(settings: BuildSettings, { services }: Model, places: Places | undefined, report: Report): void {
  const rules = services.flatMap((service) => service.rules)
  const hasCity = settings.city.length > 0
  for (const { asns, at } of (settings.asn ?? []).length > 0 ? [] : rules) {
    if (asns.length === 0) continue
    const message = 'this rule has asns, and there is no database that tells whose a network is'
    const hint = 'Set geo.asn to an ASN database, like GeoLite2-ASN'
    // without any database nobody expects clients to be where they are
    report({ code: 'asn-database-missing', severity: hasCity ? 'error' : 'warning', ...at, message, hint })
  }
  const unmatched = hasCity && places !== undefined ? unmatchedSubdivisions(rules, places) : new Set<string>()
  for (const { geos, at } of unmatched.size > 0 ? rules : []) {
    const codes = geos.map(codeOf).filter((code) => unmatched.has(code))
    if (codes.length === 0) continue
    const message = `the city database knows no network of ${codes.join(', ')}, so this rule does not match by that`
    const hint =
      'Look the code up in ISO 3166-2; databases of the flat schema tell subdivisions of the US and Canada alone'
    report({ code: 'geo-unmatched', severity: 'warning', ...at, message, hint })
  }
}

const codeOf = ({ continent, country, subdivision }: Geo): string =>
  [continent, country, subdivision].filter((part) => part !== undefined).join('-')

const subdivisionKey = (country: number, subdivision: number): number => country * 2 ** 24 + subdivision

/** Codes of the rules' subdivisions that no place has. */
function unmatchedSubdivisions(rules: readonly RuleModel[], { codes }: Places): ReadonlySet<string> {
  const left = new Map<number, string>()
  for (const geo of rules.flatMap(({ geos }) => geos)) {
    // a territory is a country to databases
    if (geo.subdivision === undefined || isTerritory(geo.country, geo.subdivision)) continue
    left.set(subdivisionKey(packCode(geo.country), packCode(geo.subdivision)), codeOf(geo))
  }
  for (let i = 0; i < codes.length && left.size > 0; i += 3) left.delete(subdivisionKey(codes[i + 1]!, codes[i + 2]!))
  return new Set(left.values())
}

/** Only the zones say what is to be checked, and only the settings with what. */
export function checkProbe(file: string, probe: ProbeSettings, { targets }: HealthPlan, report: Report): void {
  const warn = (code: 'probe-overload' | 'exec-unknown', message: string, hint: string) =>
    report({ code, severity: 'warning', file, line: 0, column: 0, message, hint })
  const found = probe.shared === true ? undefined : overload(targets, probe)
  if (found !== undefined) warn('probe-overload', found.message, found.hint)
  const commands = new Set(targets.flatMap(({ check }) => (check.type === 'exec' ? [check.command] : [])))
  for (const command of commands) {
    if (probe.exec.includes(command)) continue
    const message = `a check of type exec runs “${command}”, which the setting probe.exec does not have: this prober abstains`
    warn('exec-unknown', message, didYouMean(command, probe.exec) ?? 'Add it to probe.exec of every node that probes')
  }
}

/** One map for each distinct definition; those of the last World are used again while their places stand. */
function placeClients(
  settings: BuildSettings,
  model: Model,
  places: Places,
  before: ReadonlyMap<string, ClientMap>,
  cache: Cache,
  allocate: Allocate,
): { readonly byKey: ReadonlyMap<string, ClientMap>; readonly numbers: readonly number[] } {
  const byKey = new Map<string, ClientMap>()
  const numberOf = new Map<string, number>()
  const nodeSite = settings.nodeSite === undefined ? undefined : model.sites.get(settings.nodeSite)
  const numbers = model.services.map((service) => {
    const definition = mapDefinition(service, model.sites, nodeSite)
    const key = mapKey(definition, places)
    const known = numberOf.get(key)
    if (known !== undefined) return known
    byKey.set(key, before.get(key) ?? loadMap(definition, places, cache, allocate))
    numberOf.set(key, numberOf.size)
    return numberOf.size - 1
  })
  if (settings.tidiesCache === true)
    cache.retain([places.id, ...(places.asns ? [places.asns.id] : []), ...byKey.keys()])
  return { byKey, numbers }
}

function makeStages(): { readonly ms: Record<string, number>; end(stage: string): void } {
  const ms: Record<string, number> = {}
  let since = performance.now()
  return {
    ms,
    end(stage) {
      const now = performance.now()
      ms[stage] = Math.round(now - since)
      since = now
    },
  }
}
