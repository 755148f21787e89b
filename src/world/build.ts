/**
 * The World's builder: YAML and databases in, a World out, or Problems. Runs in the compile thread of `serve` and in the
 * process of `check`: the same code, so check is load without run. A prober has a builder of its own, of the same first
 * stages. Both keep what they have parsed and placed for the next build.
 *
 *   zones/*.yaml ─▶ read ─▶ check ─┬─▶ targets: what a prober needs
 *   *.mmdb ───────▶ place ─▶ hold ─┴─▶ compile ─▶ World
 *
 * read, check: zones.ts · place: databases.ts · hold: geo-hold.ts · compile: compile.ts
 */
import type { World } from '../answer/world.ts'
import { openCache } from '../geo/cache.ts'
import { allocateShared, type Allocate } from '../geo/memory.ts'
import { type Places, hasPlaces } from '../geo/place.ts'
import type { Revision } from '../git.ts'
import type { HealthSpec } from '../health/target.ts'
import type { Problem, Report } from '../problem.ts'
import type { Model, ServiceModel, SiteModel } from '../zone/model.ts'
import type { ZoneModel } from '../zone/pack.ts'
import { changesInWords, changesOf } from './changes.ts'
import { compileMaps, compileWorld, serveSerial, viewOf } from './compile.ts'
import { type GeoState, makeGeoState, place, type Placement, type DatabaseFile } from './databases.ts'
import { type DatabaseHold, GeoHold, useAtOnce } from './geo-hold.ts'
import type { ValidZones } from './last-good.ts'
import { checkPlaces } from './settings-check.ts'
import {
  type BuildInput,
  checkZones,
  type ZoneChoice,
  type ZoneReading,
  type ZoneSettings,
  ZoneSource,
} from './zones.ts'

export interface BuildSettings extends ZoneSettings {
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
  /** 0–1: how far a new database may move clients by itself, for the one that serves. Needs `state`. */
  readonly maxMove?: number
}

/** What `explain` says beyond what the answering threads know. */
export interface ExplainContext {
  readonly places: Places
  readonly sites: ReadonlyMap<string, SiteModel>
  /** As World.services. */
  readonly services: readonly ServiceModel[]
  readonly plan: HealthSpec
  /** Where the places come from, in the order of `geo.city`; empty where a restarted node holds back what is on disk. */
  readonly databases: readonly DatabaseFile[]
  /** The same of autonomous systems, and of `geo.asn`. */
  readonly asnDatabases: readonly DatabaseFile[]
  /** Site whose place clients have that nobody can place. */
  readonly nodeSite?: string
  /** With them records are told with the line that they were written on. No node has them: they are most of a load's memory. */
  readonly zones?: readonly ZoneModel[]
}

/** A World, with what belongs to it outside of the answering threads. */
export interface WorldBuild {
  /** Generation 0; slots and counters all 0: the main thread gives them. */
  readonly world: World
  readonly plan: HealthSpec
  readonly context: ExplainContext
  /** Hash of (version, zones, database builds): nodes that serve alike have the same. */
  readonly view: string
  /** SOA serial of all zones, as served: the files' own, or the floor. */
  readonly serial: number
  readonly zoneCount: number
  readonly nameCount: number
  /** Databases on disk that are not used, for they would move too many clients; null = those on disk are. */
  readonly held: DatabaseHold | null
}

/** All that a prober needs of the files. */
export interface ProbeTargets {
  readonly plan: HealthSpec
  readonly zoneCount: number
}

/** What one build is to go by. */
export interface BuildRequest {
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
  readonly inUse?: boolean
}

/** What is served in place of what is on disk, for that has errors. */
export interface Fallback {
  /** The last good zones. */
  readonly zones?: Pick<ValidZones, 'revision' | 'loadedMs'>
  /** The last good databases, or none where none are known. */
  readonly databases?: 'last good' | 'none'
}

/** What every build tells. */
export interface BuildReport {
  readonly problems: readonly Problem[]
  /** undefined: all is as it is on disk. */
  readonly fallback?: Fallback
  /** Of what was read, whether it was in order or not. undefined: outside of git, or git doesn't tell. */
  readonly revision?: Revision
  /** Why git does not tell the revision, where something can be done about it. */
  readonly gitTrouble?: string
  /** Files of the folder that were parsed, the others being known from before. */
  readonly parsed: number
  /** Files beyond folder and databases that the zones include: their changes are changes too. */
  readonly outside: readonly string[]
  /** How long each stage took, for logs and benches. */
  readonly stagesMs: Readonly<Record<string, number>>
}

/** How a build ended. T: WorldBuild or, of a prober's builder, ProbeTargets. */
export type BuildResult<T> =
  | (BuildReport & {
      readonly kind: 'made'
      readonly made: T
      /** What is other than in the last that was made, in words; undefined of the first. */
      readonly changes?: string
    })
  /** It would be the same as the last that was made, and `ifChanged` or `fallback` says that it need not be made again. */
  | (BuildReport & { readonly kind: 'unchanged' })
  /** There is an error among the problems, and nothing good is known: the old World goes on. */
  | (BuildReport & { readonly kind: 'refused' })

export interface Builder<T> {
  /** Reads everything that changed, compiles, and tells all problems at once. Never throws for what an operator wrote. */
  build(request?: BuildRequest, onWait?: (news: string) => void): Promise<BuildResult<T>>
  /**
   * After a build: keeps its zones in the state folder, if they are good and others than those kept. Takes a second of CPU
   * and a pass over all files for a million names. Returns why it could not, in words.
   */
  saveLastGood(): string | undefined
}

export interface WorldBuilder extends Builder<WorldBuild> {
  /** What the last build read, where it had no errors. Large: it stays in the builder's thread. */
  model(): Model | undefined
}

/** Of a prober: reads and checks, and needs no more than the zones. */
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
      return { kind: 'made', made, ...tellChanges(input, last), ...ledger.summary(reading, fallback) }
    },
  }
}

export function makeBuilder(
  settings: BuildSettings,
  allocate: Allocate = allocateShared,
  geo: GeoState = makeGeoState(),
): WorldBuilder {
  const { state, nodeSite } = settings
  const source = new ZoneSource(settings)
  const hold = state === undefined ? undefined : new GeoHold({ folder: state, limit: settings.maxMove })
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

      // the World that is served has places, which are lost here: better it goes on than that nobody has a place
      const hasNone = inUse && geo.databases === undefined && hold?.lastUsed(cache) === undefined
      const lastUsed = hold === undefined || hasNone ? undefined : () => hold.lastUsed(cache)
      const placement = await place(settings, { before: geo.databases, lastUsed, lastGood, cache, report })
      ledger.end('places')
      const { databases } = placement
      const { zones: onDisk } = reading
      if (onDisk !== undefined) sound = ledger.add(checkPlaces(settings, onDisk.model, databases?.places)) && sound

      const choice = await source.choose(reading, sound, inUse, report)
      const fallback = fallbackOf(choice, placement)
      const { zones } = choice
      if (zones === undefined || databases === undefined)
        return { kind: 'refused', ...ledger.summary(reading, fallback) }
      const { model, plan } = zones
      geo.databases = databases

      const context = { model, plan, hash: zones.hash, nodeSite, cache, maps: geo.maps, report }
      const decision = hold?.decide(databases.places, { ...context, file: settings.city.join() })
      const { places, held, keep } = decision ?? useAtOnce(databases.places)
      if (settings.maxMove !== undefined) ledger.end('hold')
      // of held ones, what is on disk says nothing of what is used
      if (held === null)
        usedDatabases = { databases: databases.city.sources, asnDatabases: databases.asn?.sources ?? [] }
      const { serial, zones: served } = serveSerial(model, request.serialFloor, settings.zones, report)
      const view = viewOf(zones.hash, model, places)
      const input = { key: `${view} ${serial} ${held?.build ?? ''}`, zones }
      const last = source.replace(input)
      if (isSame(input, last, request, fallback)) return { kind: 'unchanged', ...ledger.summary(reading, fallback) }

      const maps = compileMaps(model, { places, nodeSite, before: geo.maps, cache, allocate })
      // nothing goes while databases on disk are of no use: what is in the cache may be all there is of them
      if (settings.tidiesCache === true && !placement.areLastGood) {
        cache.retain([places.id, ...(places.asns ? [places.asns.id] : []), ...maps.byKey.keys(), ...keep])
      }
      ledger.end('maps')
      const world = compileWorld(model, served, maps, allocate)
      ledger.end('image')
      geo.maps = maps.byKey
      // not what stands for lost ones
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
        held,
      }
      return { kind: 'made', made, ...tellChanges(input, last), ...ledger.summary(reading, fallback) }
    },
  }
}

/** `placement`: a prober has none. */
function fallbackOf({ zones, areLastGood }: ZoneChoice, placement?: Placement): Fallback | undefined {
  const places = placement?.areLastGood === true ? placement.databases?.places : undefined
  if (!areLastGood && places === undefined) return undefined
  return {
    ...(areLastGood && zones && { zones: { revision: zones.revision, loadedMs: zones.loadedMs } }),
    ...(places && { databases: hasPlaces(places) ? 'last good' : 'none' }),
  }
}

/** It was made before, and that is all that is wanted. What stands in for the disk is not made again in any case. */
const isSame = (
  input: BuildInput,
  last: BuildInput | undefined,
  { ifChanged }: BuildRequest,
  fallback?: Fallback,
): boolean => (ifChanged === true || fallback !== undefined) && last?.key === input.key

const tellChanges = (input: BuildInput, last: BuildInput | undefined): { readonly changes?: string } =>
  last === undefined ? {} : { changes: changesInWords(changesOf(last.zones.model, input.zones.model)) }

/** Trouble with the files that are kept for the next start, as a warning. */
const unwritable =
  (report: Report, file = '') =>
  (message: string): void =>
    report({ code: 'cache-unwritable', severity: 'warning', file, line: 0, column: 0, message })

/** The same trouble with each of many files is told once. */
function eachOnce(warn: (message: string) => void): (message: string) => void {
  const told = new Set<string>()
  return (message) => {
    if (!told.has(message)) warn(message)
    told.add(message)
  }
}

/** What one build finds, and how long its stages take. */
class Ledger {
  readonly #problems: Problem[] = []
  readonly #stagesMs: Record<string, number> = {}
  #sinceMs = performance.now()

  readonly report: Report = (problem) => void this.#problems.push(problem)

  /** Whether there is no error among them. */
  add(problems: readonly Problem[]): boolean {
    for (const problem of problems) this.report(problem) // there may be more than a call has room for
    return problems.every(({ severity }) => severity !== 'error')
  }

  /** A stage ends: it took the time since the one before. */
  end(stage: string): void {
    const nowMs = performance.now()
    this.#stagesMs[stage] = Math.round(nowMs - this.#sinceMs)
    this.#sinceMs = nowMs
  }

  summary({ read }: ZoneReading, fallback: Fallback | undefined): BuildReport {
    return {
      problems: this.#problems,
      ...(fallback !== undefined && { fallback }),
      ...(read?.revision !== undefined && { revision: read.revision }),
      ...(read?.gitTrouble !== undefined && { gitTrouble: read.gitTrouble }),
      parsed: read?.parsed ?? 0,
      outside: read?.loaded.outside ?? [],
      stagesMs: this.#stagesMs,
    }
  }
}
