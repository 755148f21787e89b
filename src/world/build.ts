/**
 * The World's builder: YAML and databases in, a World out, or Problems. Runs in the compile thread of `serve` and in the
 * process of `check`: the same code, so check is load without run. Keeps what it has parsed and placed for the next build.
 *
 *   zones/*.yaml ─▶ Folder ─────▶ model ─┬▶ buildImage ─────────────▶ image    ┐
 *   *.mmdb ─▶ openDatabases ─▶ places ─┐ ├▶ layOutService ──────────▶ services ├▶ World
 *                                      └─┴▶ mapDefinition, loadMap ────▶ maps   ┘
 */
import { hash } from 'node:crypto'
import { join } from 'node:path'
import type { World } from '../answer/world.ts'
import { openCache, type Cache } from '../geo/cache.ts'
import { allocateShared, type Allocate } from '../geo/memory.ts'
import { type Places, tellsPlaces } from '../geo/place.ts'
import type { Revision } from '../git.ts'
import type { HealthPlan } from '../health/target.ts'
import type { Progress } from '../load/load.ts'
import { isNewerSerial, serialOf, withSerial } from '../load/soa.ts'
import { loadMap, mapKey } from '../policy/cached-map.ts'
import { mapDefinition } from '../policy/compile.ts'
import type { ClientMap } from '../policy/map.ts'
import { layOutService } from '../policy/service.ts'
import type { Problem, Report } from '../problem.ts'
import { buildImage } from '../zone/image.ts'
import type { Model, ServiceModel, SiteModel } from '../zone/model.ts'
import type { ZoneModel } from '../zone/pack.ts'
import { changesInWords, changesOf } from './changes.ts'
import { type Ground, lastPlaces, makeGround, openPlaces, type PlaceSource } from './databases.ts'
import { Folder, type FolderRead, type LockWait } from './folder.ts'
import { type Held, Hold } from './geo-hold.ts'
import { LastGood, type Zones, zonesOf } from './last-good.ts'
import { checkNodeSite, checkProbe, checkRoom, checkRules, type ProbeSettings } from './settings-check.ts'

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
  /** The state folder of a process that goes on: whatever is wrong on disk, it has the last good zones and databases. */
  readonly state?: string
  /** 0–1: how far a new database may move clients by itself, for the one that serves. Needs `state`. */
  readonly maxMove?: number
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
  /** Nothing on disk is looked at, for that ended the compile thread: the last good zones and databases are. */
  readonly lastGood?: boolean
  /**
   * A World of this process is served, also when the compile thread that made it is gone. It goes on where the disk has errors:
   * what is kept for the next start may be older, or nothing.
   */
  readonly standing?: boolean
}

/** What is served in place of what is on disk, for that has errors. */
export interface Stale {
  /** The last good zones. */
  readonly zones?: { readonly revision: Revision | undefined; readonly loadedMs: number }
  /** The last good databases, or none where none are known. */
  readonly databases?: 'last good' | 'none'
}

/** All that a prober needs of the files. */
export interface Planned {
  readonly plan: HealthPlan
  readonly zoneCount: number
}

export interface Built {
  /** undefined when there is an error among the problems, and nothing good is known: the old World goes on. */
  readonly made?: Made
  /** With `planOnly`, in its place. */
  readonly planned?: Planned
  /** In place of both: it would be the same as the last that was made, and that is all that was asked for, or `stale`. */
  readonly unchanged?: true
  /** undefined: all is as it is on disk. */
  readonly stale?: Stale
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
  /**
   * After a build: keeps its zones in the state folder, if they are good and others than those kept. Takes a second of CPU
   * and a pass over all files for a million names. Returns why it could not, in words.
   */
  keep(): string | undefined
}

/** Changes with the meaning of a World: nodes whose builders differ have different views. */
const FORMAT = 'meridian-world-2'

export function makeBuilder(
  settings: BuildSettings,
  allocate: Allocate = allocateShared,
  ground: Ground = makeGround(),
): Builder {
  const folder = new Folder(settings.zones, settings.follows, settings.onProgress)
  let sources: Pick<ExplainContext, 'databases' | 'asnDatabases'> = { databases: [], asnDatabases: [] }
  const { state } = settings
  const hold = state === undefined ? undefined : new Hold({ folder: state, limit: settings.maxMove })
  const kept = state === undefined ? undefined : new LastGood(join(state, 'last-good'), settings.zones, folder)
  /** What the folder says now, where it has no errors. */
  let current: Model | undefined
  /** The last that was made. */
  let last: { readonly key: string; readonly zones: Zones } | undefined

  return {
    model: () => current,
    keep: () => kept?.keep(),
    async build({ serialFloor, ifChanged = false, lastGood = false, standing = false } = {}, tell = () => {}) {
      const problems: Problem[] = []
      const report: Report = (problem) => void problems.push(problem)
      let refused = lastGood
      const reportZones: Report = (problem) => {
        report(problem)
        refused ||= problem.severity === 'error'
      }
      const stages = makeStages()
      const unwritable = new Set<string>()
      const cache = openCache(settings.cache, (message) => {
        if (unwritable.has(message)) return // the same trouble for each of its files
        unwritable.add(message)
        report({ code: 'cache-unwritable', severity: 'warning', file: settings.cache!, line: 0, column: 0, message })
      })

      const read = lastGood ? undefined : await folder.read(tell)
      for (const problem of read?.problems ?? []) reportZones(problem) // there may be more than a call has room for
      const onDisk = read && zonesOf(read.loaded, read.revision)
      current = onDisk?.model
      if (onDisk !== undefined) {
        settings.onModel?.(onDisk.model)
        checkRoom(settings.zones, onDisk.plan, reportZones)
        if (settings.probe !== undefined) checkProbe(settings.zones, settings.probe, onDisk.plan, reportZones)
      }
      stages.end('load')

      const hasNone = standing && ground.placed === undefined && hold?.remembered(cache) === undefined
      const remembered = hold && !hasNone ? () => hold.remembered(cache) : undefined
      const { placed, stale: staleDatabases } =
        settings.planOnly === true
          ? { stale: false }
          : lastGood && remembered !== undefined
            ? {
                placed: lastPlaces(ground.placed, remembered, cache, report),
                stale: [...settings.city, ...(settings.asn ?? [])].length > 0,
              }
            : await openPlaces(settings, ground.placed, cache, report, remembered)
      if (settings.planOnly !== true) stages.end('places')
      if (onDisk !== undefined && settings.planOnly !== true) {
        checkNodeSite(settings, onDisk.model, reportZones)
        checkRules(settings, onDisk.model, placed?.places, reportZones)
      }

      const good = refused ? undefined : onDisk
      if (good !== undefined && read !== undefined) kept?.note(read)
      const zones = good ?? (kept && (last?.zones ?? (standing ? undefined : await kept.recall(report))))
      const stale: Stale = {
        ...(good === undefined && zones && { zones: { revision: zones.revision, loadedMs: zones.loadedMs } }),
        ...(staleDatabases && placed && { databases: tellsPlaces(placed.places) ? 'last good' : 'none' }),
      }
      const isStale = stale.zones !== undefined || stale.databases !== undefined
      const result = () => ({
        ...tellRead(read),
        problems,
        ...(isStale && { stale }),
        stagesMs: stages.ms,
      })
      if (zones === undefined) return result()
      const { model, plan } = zones
      /** Keeps what is now made; false when it is the same as before. */
      const isNew = (key: string): boolean => {
        const before = last
        last = { key, zones }
        return (!ifChanged && !isStale) || before?.key !== key
      }
      const changes = last && changesInWords(changesOf(last.zones.model, model))
      const told = changes === undefined ? {} : { changes }
      if (settings.planOnly === true) {
        const made = { plan, zoneCount: model.zones.length }
        return isNew(zones.hash) ? { ...result(), ...told, planned: made } : { ...result(), unchanged: true }
      }
      if (placed === undefined) return result()
      ground.placed = placed

      const { places, held, keep } = hold?.decide(placed.places, {
        model,
        plan,
        hash: zones.hash,
        nodeSite: settings.nodeSite,
        cache,
        maps: ground.maps,
        file: settings.city.join(),
        report,
      }) ?? { places: placed.places, held: null, keep: [] }
      if (settings.maxMove !== undefined) stages.end('hold')
      // of held ones, what is on disk says nothing of what is used
      if (held === null) sources = { databases: placed.city.sources, asnDatabases: placed.asn?.sources ?? [] }
      const { serial, zones: served } = holdSerial(settings, model, serialFloor, report)
      const view = viewOf(zones.hash, model, places)
      if (!isNew(`${view} ${serial} ${held?.build ?? ''}`)) return { ...result(), unchanged: true }
      const compiled = placeClients(settings, model, places, ground.maps, cache, allocate)
      // nothing goes while databases on disk are of no use: what is in the cache may be all there is of them
      if (settings.tidiesCache === true && !staleDatabases)
        cache.retain([places.id, ...(places.asns ? [places.asns.id] : []), ...compiled.byKey.keys(), ...keep])
      stages.end('maps')
      const services = model.services.map((service, i) => layOutService(service, model.sites, compiled.numbers[i]!))
      const index = new Map(model.services.map((service, i) => [service.name, i]))
      const image = buildImage(served, index, allocate)
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
      // not what stands for lost ones
      if (!staleDatabases)
        hold?.used(places, (message) =>
          report({ code: 'cache-unwritable', severity: 'warning', file: state!, line: 0, column: 0, message }),
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

function tellRead(read: FolderRead | undefined): Pick<Built, 'revision' | 'gitTrouble' | 'parsed' | 'outside'> {
  if (read === undefined) return { parsed: 0, outside: [] }
  const { loaded, revision, gitTrouble, parsed } = read
  return {
    ...(revision !== undefined && { revision }),
    ...(gitTrouble !== undefined && { gitTrouble }),
    parsed,
    outside: loaded.outside,
  }
}

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
