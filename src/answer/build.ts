/**
 * The World's builder: YAML and databases in, a World out, or Problems. Runs in the compile thread of `serve` and in the
 * process of `check`: the same code, so check is load without run. Keeps what it has parsed and placed for the next build.
 *
 *   zones/*.yaml ─▶ Folder ─────▶ model ─┬▶ buildImage ─────────────▶ image    ┐
 *   *.mmdb ─▶ openDatabases ─▶ places ─┐ ├▶ layOutService ──────────▶ services ├▶ World
 *                                      └─┴▶ mapDefinition, loadMap ────▶ maps   ┘
 */
import { hash } from 'node:crypto'
import { asnsKey, loadAsns, type Asns } from '../geo/asn.ts'
import { isTerritory, packCode } from '../geo/codes.ts'
import { openDatabases, type Database } from '../geo/database.ts'
import { allocateShared, type Allocate } from '../geo/memory.ts'
import { openCache, type Cache } from '../geo/cache.ts'
import { loadPlaces, placesKey, type Places } from '../geo/place.ts'
import { overload, type ProbeCapacity } from '../health/load.ts'
import { HEALTH_SLOTS } from '../health/table.ts'
import { planHealth, type HealthPlan } from '../health/target.ts'
import { mapDefinition } from '../policy/compile.ts'
import { loadMap, mapKey } from '../policy/load.ts'
import type { ClientMap } from '../policy/map.ts'
import { layOutService } from '../policy/service.ts'
import { didYouMean, type Problem, type Report } from '../problem.ts'
import { buildImage } from '../zone/image.ts'
import { changesInWords, changesOf } from '../zone/changes.ts'
import type { Revision } from '../zone/git.ts'
import type { Progress } from '../zone/load.ts'
import type { Geo, Model, RuleModel, ServiceModel, SiteModel } from '../zone/model.ts'
import type { ZoneModel } from '../zone/pack.ts'
import { isNewerSerial, serialOf, withSerial } from '../zone/serial.ts'
import { Folder, type FolderRead, type LockWait, unsettled } from './follow.ts'
import { type Held, Hold, type HoldSettings } from './hold.ts'
import { PATIENT, PROMPT, settled, stampFiles } from './settle.ts'
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
  /** How far a new database may go by itself: for the one that serves. */
  readonly hold?: HoldSettings
  /**
   * For a process that goes on, so that it never gets what is half written: waits for git while that is at work, and until
   * the files have been at rest for a moment; tells the revision. Without it they are read at once.
   */
  readonly follows?: LockWait
  /** For a prober: only what is probed; no databases, no maps, no Image. */
  readonly planOnly?: boolean
  /** What this node's prober has; undefined: it has none, or nobody asks. */
  readonly probe?: ProbeSettings
  /** Of who waits for it. */
  readonly onProgress?: (progress: Progress) => void
  /** What the zones say, where they are without an error; for who looks at more than a World tells. */
  readonly onModel?: (model: Model) => void
  /** For `explain` without a node: records can be told with the line that they were written on. */
  readonly keepZones?: boolean
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
  readonly plan: HealthPlan
  /** Where the places come from, in the order of `geo.city`; empty where a restarted node holds back what is on disk. */
  readonly databases: readonly PlaceSource[]
  /** The same of autonomous systems, and of `geo.asn`. */
  readonly asnDatabases: readonly PlaceSource[]
  /** Site whose place clients have that nobody can place. */
  readonly nodeSite?: string
  /** Only where asked for (keepZones): they are most of the memory that a load takes. */
  readonly zones?: readonly ZoneModel[]
}

/** A database, as people know it. */
export type PlaceSource = Pick<Database, 'path' | 'type' | 'builtSeconds' | 'ipVersion'>

export interface Made {
  /** Generation 0; slots and counters all 0: the main thread gives them. */
  readonly world: World
  readonly plan: HealthPlan
  readonly context: ExplainContext
  /** Hash of (version, zones, database builds): nodes that serve alike have the same. */
  readonly view: string
  /** SOA serial of all zones, as served: the files' own, or the floor. */
  readonly serial: number
  readonly zoneCount: number
  readonly nameCount: number
  /** Databases on disk that are not used, for they would move too many clients; null = those on disk are. */
  readonly held: Held | null
}

/** What one build is to go by. */
export interface BuildOrder {
  /** The serial that was served last: none below it is served (RFC 1982). */
  readonly serialFloor?: number
  /** Only what is not the same as the last that was made. */
  readonly ifChanged?: boolean
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
  /** In place of both, where that was asked for: no errors, and it would be the same as the last that was made. */
  readonly unchanged?: true
  readonly problems: readonly Problem[]
  /** Of what was read, whether it was in order or not. undefined: outside of git, or git doesn't tell. */
  readonly revision?: Revision
  /** Why git does not tell the revision, where something can be done about it. */
  readonly gitTrouble?: string
  /** Files of the folder that were parsed, the others being known from before. */
  readonly parsed: number
  /** What is other than in the last that was made, in words. */
  readonly changes?: string
  /** Files beyond folder and databases that the zones include: their changes are changes too. */
  readonly outside: readonly string[]
  /** How long each stage took, for logs and benches. */
  readonly stagesMs: Readonly<Record<string, number>>
}

export interface Builder {
  /** Reads everything that changed, compiles, and tells all problems at once. Never throws for what an operator wrote. */
  build(order?: BuildOrder, tell?: (news: string) => void): Promise<Built>
  /** What the last build loaded, where it had no errors. Large: it stays in the builder's thread. */
  model(): Model | undefined
}

/** What builders of one process may share, one build at a time: `plan` decodes the databases of both its sides once. */
export interface Ground {
  placed: Placed | undefined
  maps: ReadonlyMap<string, ClientMap>
}

export const makeGround = (): Ground => ({ placed: undefined, maps: new Map() })

/** Changes with the meaning of a World: nodes whose builders differ have different views. */
const FORMAT = 'meridian-world-1'

export function makeBuilder(
  settings: BuildSettings,
  allocate: Allocate = allocateShared,
  ground: Ground = makeGround(),
): Builder {
  const folder = new Folder(settings.zones, settings.follows, settings.onProgress)
  let sources: Pick<ExplainContext, 'databases' | 'asnDatabases'> = { databases: [], asnDatabases: [] }
  const hold = settings.hold === undefined ? undefined : new Hold(settings.hold)
  /** What the folder says now, where it has no errors. */
  let current: Model | undefined
  /** The last that was made. */
  let last: { readonly key: string; readonly model: Model } | undefined

  return {
    model: () => current,
    async build({ serialFloor, ifChanged = false } = {}, tell = () => {}) {
      const problems: Problem[] = []
      const report: Report = (problem) => void problems.push(problem)
      const stages = makeStages()
      const unwritable = new Set<string>()
      const cache = openCache(settings.cache, (message) => {
        if (unwritable.has(message)) return // the same trouble for each of its files
        unwritable.add(message)
        report({ code: 'cache-unwritable', severity: 'warning', file: settings.cache!, line: 0, column: 0, message })
      })

      const read = await folder.read(tell)
      const { loaded } = read
      for (const problem of read.problems) report(problem) // there may be more than a call has room for
      const { model } = loaded
      current = model
      if (model !== undefined) settings.onModel?.(model)
      const plan = model && planHealth(model)
      if (plan !== undefined) checkRoom(settings.zones, plan, report)
      if (plan !== undefined && settings.probe !== undefined) checkProbe(settings.zones, settings.probe, plan, report)
      stages.end('load')
      const result = () => ({ ...tellRead(read), problems, stagesMs: stages.ms })
      /** Keeps what is now made; false when it is the same as before. */
      const isNew = (key: string, now: Model): boolean => {
        const before = last
        last = { key, model: now }
        return !ifChanged || before?.key !== key
      }
      const changes = last && model && changesInWords(changesOf(last.model, model))
      const told = changes === undefined ? {} : { changes }
      if (settings.planOnly === true) {
        const { planned: made } = planned(model, plan, problems)
        if (made === undefined) return result()
        return isNew(loaded.hash, model!) ? { ...result(), ...told, planned: made } : { ...result(), unchanged: true }
      }
      const now = await openPlaces(settings, ground.placed, cache, report)
      stages.end('places')
      if (model !== undefined) {
        checkNodeSite(settings, model, report)
        checkRules(settings, model, now?.places, report)
      }
      const failed = problems.some((problem) => problem.severity === 'error')
      if (model === undefined || plan === undefined || now === undefined || failed) return result()
      ground.placed = now

      const { places, held, keep } = hold?.decide(now.places, {
        model,
        plan,
        hash: loaded.hash,
        nodeSite: settings.nodeSite,
        cache,
        maps: ground.maps,
        file: settings.city.join(),
        report,
      }) ?? { places: now.places, held: null, keep: [] }
      if (hold !== undefined) stages.end('hold')
      // of held ones, what is on disk says nothing of what is used
      if (held === null) sources = { databases: now.city.sources, asnDatabases: now.asn?.sources ?? [] }
      const { serial, zones } = holdSerial(settings, model, serialFloor, report)
      const view = viewOf(loaded.hash, model, places)
      if (!isNew(`${view} ${serial} ${held?.build ?? ''}`, model)) return { ...result(), unchanged: true }
      const compiled = placeClients(settings, model, places, ground.maps, keep, cache, allocate)
      stages.end('maps')
      const services = model.services.map((service, i) => layOutService(service, model.sites, compiled.numbers[i]!))
      const index = new Map(model.services.map((service, i) => [service.name, i]))
      const image = buildImage(zones, index, allocate)
      stages.end('image')
      ground.maps = compiled.byKey
      const world: World = { generation: 0, image, maps: [...compiled.byKey.values()], services }
      const made: Made = {
        world,
        plan,
        context: {
          places,
          sites: model.sites,
          services: model.services,
          plan,
          ...sources,
          ...(settings.nodeSite !== undefined && { nodeSite: settings.nodeSite }),
          ...(settings.keepZones === true && { zones: model.zones }),
        },
        view,
        serial,
        zoneCount: model.zones.length,
        nameCount: image.names,
        held,
      }
      hold?.used(places, (message) =>
        report({
          code: 'cache-unwritable',
          severity: 'warning',
          file: settings.hold!.folder,
          line: 0,
          column: 0,
          message,
        }),
      )
      return { ...result(), ...told, made }
    },
  }
}

function viewOf(zones: string, { services }: Model, { id, asns }: Places): string {
  // nobody's answers depend on numbers that no rule has
  const looksAtAsns = asns !== undefined && services.some(({ rules }) => rules.some((rule) => rule.asns.length > 0))
  const parts = [FORMAT, zones, id, ...(looksAtAsns ? [asns.id] : [])]
  return hash('sha256', JSON.stringify(parts), 'hex').slice(0, 16)
}

const tellRead = ({
  loaded,
  revision,
  gitTrouble,
  parsed,
}: FolderRead): Pick<Built, 'revision' | 'gitTrouble' | 'parsed' | 'outside'> => ({
  ...(revision !== undefined && { revision }),
  ...(gitTrouble !== undefined && { gitTrouble }),
  parsed,
  outside: loaded.outside,
})

/**
 * The zones as they are served: never with a serial below the one before. Not part of the view: nodes that load the same
 * files have the same, whatever each of them has served before.
 */
function holdSerial(
  { zones: file }: BuildSettings,
  { zones }: Model,
  floor: number | undefined,
  report: Report,
): { readonly serial: number; readonly zones: Model['zones'] } {
  const serial = zones[0] === undefined ? 0 : serialOf(zones[0].soa)
  if (floor === undefined || serial === floor || isNewerSerial(serial, floor)) return { serial, zones }
  const message = `the serial ${serial} is below ${floor}, which was served: ${floor} stays`
  const hint =
    'An older commit, or a folder that git does not know any more, needs nothing; else write a higher `serial` in defaults.yaml'
  report({ code: 'serial-backwards', severity: 'warning', file, line: 0, column: 0, message, hint })
  return { serial: floor, zones: withSerial(zones, floor) }
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
  readonly sources: readonly PlaceSource[]
  readonly stamp: string
}

async function openPlaces(
  settings: BuildSettings,
  before: Placed | undefined,
  cache: Cache,
  report: Report,
): Promise<Placed | undefined> {
  const { asn: asnFiles = [], follows } = settings
  const makePlaces = (found: readonly Database[]) => loadPlaces(found, cache, report)
  const makeAsns = (found: readonly Database[]) => loadAsns(found, cache, report)
  const city = await openFiles(settings.city, before?.city, placesKey, makePlaces, follows, report)
  const asn =
    asnFiles.length > 0 ? await openFiles(asnFiles, before?.asn, asnsKey, makeAsns, follows, report) : undefined
  if (city === undefined || (asn === undefined && asnFiles.length > 0)) return undefined
  const same = before !== undefined && city.made === before.city.made && asn?.made === before.asn?.made
  return { city, asn, places: same ? before.places : { ...city.made, ...(asn && { asns: asn.made }) } }
}

async function openFiles<T extends { readonly id: string }>(
  files: readonly string[],
  before: Opened<T> | undefined,
  keyOf: (databases: readonly Database[]) => string,
  load: (databases: readonly Database[]) => T | undefined,
  follows: LockWait | undefined,
  report: Report,
): Promise<Opened<T> | undefined> {
  const { text: stamp } = await stampFiles(files)
  if (before?.stamp === stamp) return before
  const databases = await readDatabases(files, follows, report)
  if (databases === undefined) return undefined
  const sources = databases.map(({ path, type, builtSeconds, ipVersion }) => ({ path, type, builtSeconds, ipVersion }))
  if (before !== undefined && before.made.id === keyOf(databases)) return { ...before, sources, stamp }
  const made = load(databases)
  return made && { made, sources, stamp }
}

/** Databases that nobody wrote to while they were read; undefined when one of them is of no use. */
async function readDatabases(
  files: readonly string[],
  follows: LockWait | undefined,
  report: Report,
): Promise<ReturnType<typeof openDatabases>> {
  const read = async () => {
    const problems: Problem[] = []
    return { problems, databases: openDatabases(files, (problem) => void problems.push(problem)) }
  }
  const found = await settled(() => stampFiles(files), read, follows === undefined ? PROMPT : PATIENT)
  for (const problem of found?.problems ?? [unsettled(files.join(', '))]) report(problem)
  return found?.databases
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

/** A node refuses them when it takes the World; told here, `check` tells it too. */
function checkRoom(file: string, { members }: HealthPlan, report: Report): void {
  if (members.length <= HEALTH_SLOTS) return
  const message = `${members.length} members, where ${HEALTH_SLOTS} have room`
  const hint = 'Put fewer VIPs into a service'
  report({ code: 'members-too-many', severity: 'error', file, line: 0, column: 0, message, hint })
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
  keep: readonly string[],
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
    cache.retain([places.id, ...(places.asns ? [places.asns.id] : []), ...byKey.keys(), ...keep])
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
