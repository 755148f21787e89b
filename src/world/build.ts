/**
 * The World's builder: YAML and databases in, a World out, or Problems. It runs in the compile thread of `serve` and in
 * the process of `check`, `plan` and `explain`: what passes a check loads in a node. A prober has a builder of the
 * first two stages. Both builders keep what they parsed and decoded for the next build. An operator's mistake is a
 * Problem, never an exception.
 *
 *   zones/*.yaml ─▶ read ─▶ check ─┬─▶ targets: what a prober needs
 *   *.mmdb ───────▶ place ─▶ hold ─┴─▶ compile ─▶ World
 *
 * read, check: zones.ts · place: databases.ts · hold: zone-hold.ts, geo-hold.ts · compile: compile.ts
 */
import type { World } from '../answer/world.ts'
import { openCache } from '../geo/cache.ts'
import { allocateShared, type Allocate } from '../geo/memory.ts'
import { type Places, hasPlaces } from '../geo/place.ts'
import type { Revision } from '../git.ts'
import type { HealthSpec } from '../health/target.ts'
import type { Problem, Report } from '../problem.ts'
import { serviceMoves, type Steering, type WorldMoves } from '../traffic/service-moves.ts'
import { History } from '../zone/differences.ts'
import type { DrillsModel } from '../zone/drills.ts'
import type { Model, ServiceModel, SiteModel } from '../zone/model.ts'
import type { ZoneModel } from '../zone/pack.ts'
import { changesInWords, changesOf, type ModelChanges } from './changes.ts'
import { compileMaps, compileWorld, serveSerial } from './compile.ts'
import { type GeoState, makeGeoState, place, type Placement, type DatabaseFile } from './databases.ts'
import { type DatabaseHold, GeoHold, useAtOnce } from './geo-hold.ts'
import type { ValidZones } from './last-good.ts'
import { checkPlaces } from './settings-check.ts'
import { viewOf } from './view.ts'
import { type ZoneDecision, ZoneHold, type ZonesHeld } from './zone-hold.ts'
import {
  type BuildInput,
  checkZones,
  type ZoneChoice,
  type ZoneReading,
  type ZoneSettings,
  ZoneSource,
} from './zones.ts'

/** The node settings that a build depends on. */
export interface BuildSettings extends ZoneSettings {
  /** City databases (MMDB), more than one if IPv4 and IPv6 are in separate files. Empty: no client has a place. */
  readonly city: readonly string[]
  /** Databases of autonomous systems (MMDB), for rules with `asns`. */
  readonly asn?: readonly string[]
  /** Folder that keeps compiled tries over a restart; undefined = they are not kept. */
  readonly cache?: string
  /**
   * Whether to delete what this builder's Worlds don't need from the cache. Only `serve` does: the cache is its own.
   */
  readonly tidiesCache?: boolean
  /** Clients that the databases do not know get the place of this site. */
  readonly nodeSite?: string
  /** See CoverageSettings. */
  readonly listens?: readonly (4 | 6)[]
  /** The share of clients (0–1) that a new database may move without an operator. Needs `state`. */
  readonly maxMove?: number
  /** The same for a change of the zones. Needs `state`. */
  readonly zonesMaxMove?: number
}

/** What `explain` needs beyond what the answering threads have. */
export interface ExplainContext {
  readonly places: Places
  readonly sites: ReadonlyMap<string, SiteModel>
  /** As World.services. */
  readonly services: readonly ServiceModel[]
  readonly plan: HealthSpec
  /** The city databases in use, in the order of `geo.city`; empty if a restarted node holds back those on disk. */
  readonly databases: readonly DatabaseFile[]
  /** The databases of autonomous systems in use, in the order of `geo.asn`. */
  readonly asnDatabases: readonly DatabaseFile[]
  /** Clients without a place of their own get the place of this site. */
  readonly nodeSite?: string
  /** For the file and line of each record. Nodes leave them out: they are most of a load's memory. */
  readonly zones?: readonly ZoneModel[]
}

/** A World, and what the main thread needs with it. */
export interface WorldBuild {
  /** Its generation, slots and counters are 0: the compile thread and the main thread assign them. */
  readonly world: World
  readonly plan: HealthSpec
  readonly context: ExplainContext
  /** See viewOf(): equal on nodes that serve the same. */
  readonly view: string
  /** SOA serial of all zones as served: that of the files, or the serial floor if it is higher. */
  readonly serial: number
  readonly zoneCount: number
  readonly nameCount: number
  /** Scheduled drills. */
  readonly drills: DrillsModel
  /** The clients that it moves, against the World before. null: the first one of its builder. */
  readonly moves: WorldMoves | null
  /** The databases on disk that are held back; null = they are in use. */
  readonly held: DatabaseHold | null
}

/** What a prober needs of the zones: its targets. */
export interface ProbeTargets {
  readonly plan: HealthSpec
  readonly zoneCount: number
}

/** The options of one build. */
export interface BuildRequest {
  /** The SOA serial that was served last: the build never serves a lower one (RFC 1982). */
  readonly serialFloor?: number
  /** Build nothing if it would equal the last build: the result is `unchanged`. */
  readonly ifChanged?: boolean
  /** Build from the last good zones and databases, because those on disk crashed the compile thread. */
  readonly lastGood?: boolean
  /**
   * This process has a World in use, even if the compile thread that built it is gone. With errors on disk that World
   * stays: the saved zones may be older than it, or missing.
   */
  readonly inUse?: boolean
}

/** What is served instead of the files on disk, which have errors. */
export interface Fallback {
  /** The last good zones. */
  readonly zones?: Pick<ValidZones, 'revision' | 'loadedMs'>
  /** `none`: no earlier databases are known, so no client has a place. */
  readonly databases?: 'last good' | 'none'
}

/** What every build reports, however it ended. */
export interface BuildReport {
  readonly problems: readonly Problem[]
  /** undefined: the result is that of the files on disk. */
  readonly fallback?: Fallback
  /** The zones on disk that are held back because they would move too many clients; undefined: they are not. */
  readonly zonesHeld?: ZonesHeld
  /** The git revision that was read, with errors or without. undefined: outside of git, or git does not tell. */
  readonly revision?: Revision
  /** Why git does not tell the revision, if an operator can fix it. */
  readonly gitTrouble?: string
  /** How many files were parsed; the others are unchanged since the last build. */
  readonly parsed: number
  /** Files outside the folder that the zones include; the watcher follows them too. */
  readonly outside: readonly string[]
  /** Milliseconds of each stage, for logs and benches. */
  readonly stagesMs: Readonly<Record<string, number>>
}

/** How a build ended. T is WorldBuild in a node and ProbeTargets in a prober. */
export type BuildResult<T> =
  | (BuildReport & {
      readonly kind: 'made'
      readonly made: T
      /** What changed since the last build, in words; undefined for the first build. */
      readonly changes?: string
    })
  /** The build would equal the last one, and either `ifChanged` was set or a fallback is already in use. */
  | (BuildReport & { readonly kind: 'unchanged' })
  /** The problems include an error, and there is no fallback: the old World stays in use. */
  | (BuildReport & { readonly kind: 'refused' })

/** Builds T again and again from the files of one configuration. Calls must not overlap. */
export interface Builder<T> {
  /** Reads what changed and compiles it. Reports all problems at once; never throws for an operator's mistake. */
  build(request?: BuildRequest, onWait?: (news: string) => void): Promise<BuildResult<T>>
  /**
   * Saves the zones of the last build in the state folder, if they have no errors and differ from those saved. It reads
   * all files again: about a second of CPU for a million names. Returns why saving failed, in words.
   */
  saveLastGood(): string | undefined
}

/** A builder whose model `check`, `plan` and `explain` read. */
export interface WorldBuilder extends Builder<WorldBuild> {
  /** The zones of the last build, if they had no errors. Large, so it stays in the builder's thread. */
  model(): Model | undefined
}

/** Makes the builder of a prober: it reads and checks the zones, and needs no databases. */
export function makeTargetBuilder(settings: ZoneSettings): Builder<ProbeTargets> {
  const source = new ZoneSource(settings)
  return {
    saveLastGood: () => source.saveLastGood(),
    async build(request = {}, onWait = () => {}) {
      const ledger = new Ledger()
      const reading = request.lastGood === true ? source.skip() : await source.read(onWait)
      const sound = ledger.add(checkZones(settings, reading))
      ledger.end('load')
      const choice = await source.choose(reading, sound, request.inUse === true, ledger.report)
      const fallback = fallbackOf(choice)
      const { zones } = choice
      if (zones === undefined) return { kind: 'refused', ...ledger.summary(reading, fallback) }
      const input = { key: zones.hash, zones }
      const last = source.replace(input)
      if (isSame(input, last, request, fallback)) return { kind: 'unchanged', ...ledger.summary(reading, fallback) }
      const made = { plan: zones.plan, zoneCount: zones.model.zones.length }
      const changes = last && changesOf(last.zones.model, zones.model)
      return { kind: 'made', made, ...changesInReport(changes), ...ledger.summary(reading, fallback) }
    },
  }
}

/**
 * Makes the builder of a node. `allocate`: memory of the Worlds. `geo`: shared by builders that use the same databases.
 */
export function makeBuilder(
  settings: BuildSettings,
  allocate: Allocate = allocateShared,
  geo: GeoState = makeGeoState(),
): WorldBuilder {
  const { state, nodeSite } = settings
  const source = new ZoneSource(settings)
  const hold = state === undefined ? undefined : new GeoHold({ folder: state, limit: settings.maxMove })
  const { zonesMaxMove: limit } = settings
  const zoneHold =
    state === undefined || limit === undefined ? undefined : new ZoneHold({ limit, state, zones: settings.zones })
  const history = new History()
  let steering: Steering | undefined
  let usedDatabases: Pick<ExplainContext, 'databases' | 'asnDatabases'> = { databases: [], asnDatabases: [] }

  return {
    model: () => source.model,
    saveLastGood: () => source.saveLastGood(),
    async build(request = {}, onWait = () => {}) {
      const { lastGood = false, inUse = false } = request
      const ledger = new Ledger()
      const { report } = ledger
      const cache = openCache(settings.cache, eachOnce(unwritable(report, settings.cache)))

      const reading = lastGood ? source.skip() : await source.read(onWait)
      let sound = ledger.add(checkZones(settings, reading))
      ledger.end('load')

      // the World in use has places that this thread has lost: keep it rather than serve without places
      const hasNone = inUse && geo.databases === undefined && hold?.lastUsed(cache) === undefined
      const lastUsed = hold === undefined || hasNone ? undefined : () => hold.lastUsed(cache)
      const placement = await place(settings, { before: geo.databases, lastUsed, lastGood, cache, report })
      ledger.end('places')
      const { databases } = placement
      const { zones: onDisk } = reading
      if (onDisk !== undefined) sound = ledger.add(checkPlaces(settings, onDisk.model, databases?.places)) && sound

      const holdOf =
        zoneHold &&
        databases &&
        ((before: ValidZones, now: ValidZones) =>
          zoneHold.decide(before, now, { places: databases.places, nodeSite, cache, maps: geo.maps, report }))
      const choice = await source.choose(reading, sound, inUse, report, holdOf)
      const fallback = fallbackOf(choice, placement)
      const { zones } = choice
      if (zones === undefined || databases === undefined)
        return { kind: 'refused', ...ledger.summary(reading, fallback, choice.hold) }
      const { model, plan } = zones
      geo.databases = databases

      const context = { model, plan, hash: zones.hash, nodeSite, cache, maps: geo.maps, report }
      const decision = hold?.decide(databases.places, { ...context, file: settings.city.join() })
      const { places, held, keep } = decision ?? useAtOnce(databases.places)
      if (settings.maxMove !== undefined || zoneHold !== undefined) ledger.end('hold')
      // while databases are held back, those on disk are not those in use
      if (held === null)
        usedDatabases = { databases: databases.city.sources, asnDatabases: databases.asn?.sources ?? [] }
      const served = serveSerial(model, request.serialFloor, settings.zones, report)
      const view = viewOf(model, places)
      const { serial } = served
      const input = { key: `${view} ${zones.hash} ${serial} ${held?.build ?? ''}`, zones }
      const last = source.replace(input)
      if (isSame(input, last, request, fallback))
        return { kind: 'unchanged', ...ledger.summary(reading, fallback, choice.hold) }

      const maps = compileMaps(model, { places, nodeSite, before: geo.maps, cache, allocate })
      // with unusable databases on disk the cache may hold the only copy of the last good ones
      if (settings.tidiesCache === true && !placement.areLastGood) {
        cache.retain([
          places.id,
          ...(places.asns ? [places.asns.id] : []),
          ...maps.byKey.keys(),
          ...keep,
          ...(choice.hold?.keep ?? []),
        ])
      }
      ledger.end('maps')
      const world = compileWorld(model, served, maps, history, allocate)
      ledger.end('image')
      const changes = last && changesOf(last.zones.model, model)
      const before = steering
      steering = { world: { services: world.services, maps: world.maps }, places, plan }
      const moves = before && serviceMoves(before, steering, changes?.switches ?? [], MOST_MOVES_MS)
      ledger.end('moves')
      geo.maps = maps.byKey
      // a fallback is not what the next start should begin with
      if (!placement.areLastGood) hold?.noteInUse(places, unwritable(report, state))
      const { sites, services } = model
      const made: WorldBuild = {
        world,
        plan,
        context: { places, sites, services, plan, ...usedDatabases, ...(nodeSite !== undefined && { nodeSite }) },
        view,
        serial,
        zoneCount: model.zones.length,
        nameCount: world.image.names,
        drills: model.drills,
        moves: moves ?? null,
        held,
      }
      return { kind: 'made', made, ...changesInReport(changes), ...ledger.summary(reading, fallback, choice.hold) }
    },
  }
}

/** The longest that a reload counts the clients that it moves. */
const MOST_MOVES_MS = 2_000

/** The fallback in use, if any. A prober has no `placement`. */
function fallbackOf({ zones, areLastGood }: ZoneChoice, placement?: Placement): Fallback | undefined {
  const places = placement?.areLastGood === true ? placement.databases?.places : undefined
  if (!areLastGood && places === undefined) return undefined
  return {
    ...(areLastGood && zones && { zones: { revision: zones.revision, loadedMs: zones.loadedMs } }),
    ...(places && { databases: hasPlaces(places) ? 'last good' : 'none' }),
  }
}

/**
 * Whether the last build stays in use: it equals this one, and the request allows that. A fallback is never built
 * twice.
 */
const isSame = (
  input: BuildInput,
  last: BuildInput | undefined,
  { ifChanged }: BuildRequest,
  fallback?: Fallback,
): boolean => (ifChanged === true || fallback !== undefined) && last?.key === input.key

const changesInReport = (changes: ModelChanges | undefined): { readonly changes?: string } =>
  changes === undefined ? {} : { changes: changesInWords(changes) }

/** Reports trouble with the files saved for the next start as a warning. */
const unwritable =
  (report: Report, file = '') =>
  (message: string): void => {
    const hint = 'Give the process a folder that it may write, with room: the setting state'
    report({ code: 'cache-unwritable', severity: 'warning', file, line: 0, column: 0, message, hint })
  }

/** Drops repeated messages: one cause may hit many files. */
function eachOnce(warn: (message: string) => void): (message: string) => void {
  const seen = new Set<string>()
  return (message) => {
    if (!seen.has(message)) warn(message)
    seen.add(message)
  }
}

/** Collects the problems of one build and the time of its stages. */
class Ledger {
  readonly #problems: Problem[] = []
  readonly #stagesMs: Record<string, number> = {}
  #sinceMs = performance.now()

  readonly report: Report = (problem) => void this.#problems.push(problem)

  /** Adds problems; returns whether none of them is an error. */
  add(problems: readonly Problem[]): boolean {
    for (const problem of problems) this.report(problem) // too many for the arguments of one push()
    return problems.every(({ severity }) => severity !== 'error')
  }

  /** Records the end of a stage: it took the time since the end of the one before. */
  end(stage: string): void {
    const nowMs = performance.now()
    this.#stagesMs[stage] = Math.round(nowMs - this.#sinceMs)
    this.#sinceMs = nowMs
  }

  summary({ read }: ZoneReading, fallback: Fallback | undefined, hold?: ZoneDecision): BuildReport {
    return {
      problems: this.#problems,
      ...(hold !== undefined && { zonesHeld: hold.held }),
      ...(fallback !== undefined && { fallback }),
      ...(read?.revision !== undefined && { revision: read.revision }),
      ...(read?.gitTrouble !== undefined && { gitTrouble: read.gitTrouble }),
      parsed: read?.parsed ?? 0,
      outside: read?.loaded.outside ?? [],
      stagesMs: this.#stagesMs,
    }
  }
}
