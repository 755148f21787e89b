/**
 * Holds back a new GeoIP database that would move too many clients (`geo.maxMove`), or that no longer tells what the
 * zones need (coverage.ts). Before its places are used, the share of clients that they move is computed with the current
 * zones. Above the limit the old places stay, zones go on reloading with them, and a problem tells the operator. Called
 * by the builder, in the compile thread.
 *
 * Two files in the state folder outlive a restart: the builder writes the build in use to `geo-in-use`; the node writes
 * the build that an operator accepted to `geo-accepted`. The cache keeps the places in use. If they are lost, the new
 * ones are used, with a warning: missing data never means down.
 */
import { join } from 'node:path'
import { cachedAsns } from '../geo/asn.ts'
import type { Cache } from '../geo/cache.ts'
import { allocateShared } from '../geo/memory.ts'
import { cachedPlaces, type Places, hasPlaces } from '../geo/place.ts'
import type { HealthSpec } from '../health/target.ts'
import { loadMap, mapKey } from '../policy/cached-map.ts'
import { mapDefinition } from '../policy/compile.ts'
import type { ClientMap } from '../policy/map.ts'
import { allUp, layOutService } from '../policy/service.ts'
import type { Report } from '../problem.ts'
import { readMark, writeMark } from '../state.ts'
import { spaceFlows } from '../traffic/flows.ts'
import { measureMoves, type MeasuredMoves } from '../traffic/moves.ts'
import { measureInWords, movesInWords } from '../traffic/words.ts'
import { formatPercent } from '../units.ts'
import type { Model, ServiceModel } from '../zone/model.ts'
import { STEERS_A, STEERS_AAAA } from '../zone/pack.ts'
import { lostCoverage } from './coverage.ts'

/** The settings of a hold. */
export interface GeoHoldSettings {
  /** The largest share (0–1) of any service's clients that may move. undefined: any share may. */
  readonly limit: number | undefined
  /** The state folder. */
  readonly folder: string
}

/** New databases that wait for an operator's acceptance. Plain JSON. */
export interface DatabaseHold {
  /** Identifies the new databases together: see buildOf(). */
  readonly build: string
  readonly inUse: string
  /** The service whose clients move the most, and those moves. */
  readonly service: string
  readonly moves: MeasuredMoves
}

/** What a decision depends on besides the places. */
export interface GeoHoldContext {
  readonly model: Model
  readonly plan: HealthSpec
  /** Hash of the model: a decision for an equal model is reused. */
  readonly hash: string
  readonly nodeSite: string | undefined
  readonly cache: Cache
  /** Client maps in use, by key. */
  readonly maps: ReadonlyMap<string, ClientMap>
  readonly file: string
  readonly report: Report
}

/** Which places to use, and which databases are held back. */
export interface HoldDecision {
  readonly places: Places
  readonly held: DatabaseHold | null
  /** Keys of what is held back: the cache keeps these besides those in use. */
  readonly keep: readonly string[]
}

const IN_USE = 'geo-in-use'
const ACCEPTED = 'geo-accepted'

const ASNS_BEHIND = ' || '

/** Identifies the databases of some places, including those of autonomous systems. */
export const buildOf = ({ id, asns }: Places): string => (asns === undefined ? id : `${id}${ASNS_BEHIND}${asns.id}`)

/** The places of a build, if the cache has all of them. */
function cachedBuild(build: string, cache: Cache): Places | undefined {
  const [city = '', asn] = build.split(ASNS_BEHIND)
  const places = cachedPlaces(city, cache)
  if (places === undefined || asn === undefined) return places
  const asns = cachedAsns(asn, cache)
  return asns && { ...places, asns }
}

/** Records an operator's acceptance of this build, and of no other. Throws if the state folder can't be written. */
export const acceptBuild = (folder: string, build: string): void => writeMark(join(folder, ACCEPTED), build)

/** Decides for each build which places to use. Remembers what is in use over a restart. */
export class GeoHold {
  readonly #settings: GeoHoldSettings
  #inUse: Places | undefined
  #found: { readonly key: string; readonly worst: WorstMoves | undefined; readonly keep: readonly string[] } | undefined

  constructor(settings: GeoHoldSettings) {
    this.#settings = settings
  }

  /** The places that were used last, also by an earlier run, if the cache has them. */
  lastUsed(cache: Cache): Places | undefined {
    const build = readMark(join(this.#settings.folder, IN_USE))
    return build === undefined ? undefined : cachedBuild(build, cache)
  }

  /** Chooses between the places on disk and those in use. Reports a hold. */
  decide(onDisk: Places, context: GeoHoldContext): HoldDecision {
    const { limit = 1 } = this.#settings
    const before = this.#before(onDisk, context)
    const build = buildOf(onDisk)
    if (before === undefined || buildOf(before) === build) return useAtOnce(onDisk)
    // the operator has just configured a database, or removed one
    if (!hasPlaces(before) || !hasPlaces(onDisk) || !before.asns !== !onDisk.asns) return useAtOnce(onDisk)
    if (readMark(join(this.#settings.folder, ACCEPTED)) === build) return useAtOnce(onDisk)
    const lost = lostCoverage(before, onDisk, context.model)
    if (lost === undefined && limit === 1) return useAtOnce(onDisk)
    const { worst, keep } = this.#moved(before, onDisk, context)
    if (worst === undefined || (lost === undefined && worst.moves.moved <= limit)) return useAtOnce(onDisk)
    const held = { build, inUse: buildOf(before), ...worst }
    context.report({ ...heldProblem(held, limit, lost), file: context.file })
    return { places: before, held, keep: [onDisk.id, ...(onDisk.asns ? [onDisk.asns.id] : []), ...keep] }
  }

  /** Records that these places are in use now: a restart begins with them. */
  noteInUse(places: Places, warn: (message: string) => void): void {
    const build = buildOf(places)
    if (this.#inUse !== undefined && buildOf(this.#inUse) === build) return
    this.#inUse = places
    try {
      if (readMark(join(this.#settings.folder, IN_USE)) !== build) writeMark(join(this.#settings.folder, IN_USE), build)
    } catch (error) {
      warn(`which database is in use could not be noted for the next start: ${String(error)}`)
    }
  }

  #before(onDisk: Places, { cache, report, file }: GeoHoldContext): Places | undefined {
    if (this.#inUse !== undefined) return this.#inUse
    const build = readMark(join(this.#settings.folder, IN_USE))
    if (build === undefined || build === buildOf(onDisk)) return undefined
    const places = cachedBuild(build, cache)
    if (places === undefined && this.#settings.limit !== undefined) {
      const message =
        'what the databases before this one said is lost from the cache: this one is used, whatever it moves'
      const hint = 'See with `meridian plan --geo OLD NEW` what it moves'
      report({ code: 'geo-held', severity: 'warning', file, line: 0, column: 0, message, hint })
    }
    return places
  }

  #moved(
    before: Places,
    after: Places,
    context: GeoHoldContext,
  ): { worst: WorstMoves | undefined; keep: readonly string[] } {
    const key = `${buildOf(before)} ${buildOf(after)} ${context.hash}`
    if (this.#found?.key !== key) this.#found = { key, ...mostMoved(before, after, context) }
    return this.#found
  }
}

/** The decision to use these places: nothing is held back. */
export const useAtOnce = (places: Places): HoldDecision => ({ places, held: null, keep: [] })

type WorstMoves = Pick<DatabaseHold, 'service' | 'moves'>

/** The service whose clients move the most, of any type and family. Each pair of maps is walked once. */
function mostMoved(
  before: Places,
  after: Places,
  { model, plan, nodeSite, cache, maps }: GeoHoldContext,
): { readonly worst: WorstMoves | undefined; readonly keep: readonly string[] } {
  const home = nodeSite === undefined ? undefined : model.sites.get(nodeSite)
  const definitionOf = (service: ServiceModel) => mapDefinition(service, model.sites, home)
  const sharing = Map.groupBy(model.services, (service) => definitionOf(service).key)
  let worst: WorstMoves | undefined
  const keep: string[] = []
  for (const services of sharing.values()) {
    const definition = definitionOf(services[0]!)
    if (mapKey(definition, before) === mapKey(definition, after)) continue // new ASN data, and no rule of these services uses it
    keep.push(mapKey(definition, after))
    const [old, now] = [before, after].map(
      (places) => maps.get(mapKey(definition, places)) ?? loadMap(definition, places, cache, allocateShared),
    )
    const flows = spaceFlows({ places: before, map: old! }, { places: after, map: now! })
    const laid = services.map((service) => layOutService(service, model.sites, 0))
    const health = allUp(laid, plan)
    for (const service of laid) {
      for (const type of [STEERS_A, STEERS_AAAA]) {
        if ((service.types & type) === 0) continue
        const sides = [old!, now!].map((map) => ({ service, map, health }))
        for (const moves of measureMoves(sides[0]!, sides[1]!, type, flows)) {
          if (moves.moved > (worst?.moves.moved ?? 0)) worst = { service: service.name, moves }
        }
      }
    }
  }
  return { worst, keep }
}

function heldProblem({ service, moves }: DatabaseHold, limit: number, lost: string | undefined) {
  const [moved, most] = [formatPercent(moves.moved), formatPercent(limit)]
  const moving = `move ${moved} of the ${measureInWords(moves)} of ${service} (${movesInWords(moves.moves)})`
  const message =
    lost === undefined
      ? `the new databases ${moving}, more than ${most}: those before are used`
      : `new databases are not used: ${lost}. They ${moving}`
  const hint = 'Look at it with meridian plan --geo OLD NEW; to use it: meridian geo accept'
  return { code: 'geo-held', severity: 'warning', line: 0, column: 0, message, hint } as const
}
