/**
 * Holds back zones that would move too many clients (`zones.maxMove`), as geo-hold.ts does databases. Before they are
 * used, the share of clients that they move is computed against the zones in use. Above the limit those stay, and a
 * problem tells the operator. Called by the builder, in the compile thread.
 *
 * Over a restart the zones in use are the last good ones (last-good.ts), which are not replaced by what is held back.
 * The node writes the zones that an operator accepted to `zones-accepted` in the state folder. Without zones in use, as
 * at a first start, nothing is held back: missing data never means down.
 */
import { join } from 'node:path'
import type { Cache } from '../geo/cache.ts'
import { allocateShared } from '../geo/memory.ts'
import type { Places } from '../geo/place.ts'
import { formatRevision, type Revision } from '../git.ts'
import type { ClientMap } from '../policy/map.ts'
import type { Report } from '../problem.ts'
import { readMark, writeMark } from '../state.ts'
import { mostMoved, serviceMoves, type Steering, type WorldMoves } from '../traffic/service-moves.ts'
import { movingInWords } from '../traffic/words.ts'
import { formatPercent } from '../units.ts'
import { switchesOf } from './changes.ts'
import { compileMaps, layOutServices } from './compile.ts'
import type { ValidZones } from './last-good.ts'

/** The settings of a hold. */
export interface ZoneHoldSettings {
  /** The largest share (0–1) of any service's clients that may move. */
  readonly limit: number
  /** The state folder. */
  readonly state: string
  /** The folder of zones, for the problem. */
  readonly zones: string
}

/** Zones that wait for an operator's acceptance. Plain JSON. */
export interface ZonesHeld {
  /** Identifies them: LoadResult.hash. */
  readonly build: string
  readonly inUse: Pick<ValidZones, 'revision' | 'loadedMs'>
  /** The clients that they would move; the first MOST_SERVICES services. */
  readonly moves: WorldMoves
}

/** What a decision depends on besides the zones. */
export interface ZoneHoldContext {
  readonly places: Places
  readonly nodeSite: string | undefined
  readonly cache: Cache
  /** Client maps in use, by key. */
  readonly maps: ReadonlyMap<string, ClientMap>
  readonly report: Report
}

/** Zones that are held back. */
export interface ZoneDecision {
  readonly held: ZonesHeld
  /** Keys of the maps of what is held back: the cache keeps these besides those in use. */
  readonly keep: readonly string[]
}

const ACCEPTED = 'zones-accepted'
const MOST_SERVICES = 20

/** Records an operator's acceptance of these zones, and of no others. Throws if the state folder can't be written. */
export const acceptZones = (state: string, build: string): void => writeMark(join(state, ACCEPTED), build)

/** Decides for each build whether the zones on disk may be used. */
export class ZoneHold {
  readonly #settings: ZoneHoldSettings
  #found: { readonly key: string; readonly moves: WorldMoves; readonly keep: readonly string[] } | undefined

  constructor(settings: ZoneHoldSettings) {
    this.#settings = settings
  }

  /** Whether the zones on disk wait, and those before stay in use; undefined: they don't. Reports a hold. */
  decide(before: ValidZones, onDisk: ValidZones, context: ZoneHoldContext): ZoneDecision | undefined {
    const { limit, state, zones: file } = this.#settings
    if (limit >= 1 || before.hash === onDisk.hash || readMark(join(state, ACCEPTED)) === onDisk.hash) return undefined
    const { moves, keep } = this.#moved(before, onDisk, context)
    if (mostMoved(moves) <= limit) return undefined
    const { revision, loadedMs } = before
    const message = `these zones are not used: ${movingInWords(moves)}; more than ${formatPercent(limit)}. Those${ofRevision(revision)} before them are used`
    const hint = 'Look at it with meridian plan OLD NEW; to use them: meridian zones accept; or undo the change'
    context.report({ code: 'zones-held', severity: 'warning', file, line: 0, column: 0, message, hint })
    const first = { ...moves, services: moves.services.slice(0, MOST_SERVICES) }
    return { held: { build: onDisk.hash, inUse: { revision, loadedMs }, moves: first }, keep }
  }

  #moved(before: ValidZones, after: ValidZones, context: ZoneHoldContext) {
    const key = `${before.hash} ${after.hash} ${context.places.id} ${context.places.asns?.id}`
    if (this.#found?.key !== key) {
      const old = steeringOf(before, context, context.maps)
      const now = steeringOf(after, context, new Map([...context.maps, ...old.maps]))
      const moves = serviceMoves(old.steering, now.steering, switchesOf(before.model, after.model), Infinity)
      this.#found = { key, moves, keep: [...now.maps.keys()] }
    }
    return this.#found
  }
}

const ofRevision = (revision: Revision | undefined): string =>
  revision === undefined ? '' : ` of ${formatRevision(revision)}`

/** What zones make of places, and their client maps by key. */
function steeringOf(
  { model, plan }: ValidZones,
  { places, nodeSite, cache }: ZoneHoldContext,
  before: ReadonlyMap<string, ClientMap>,
): { readonly steering: Steering; readonly maps: ReadonlyMap<string, ClientMap> } {
  const maps = compileMaps(model, { places, nodeSite, before, cache, allocate: allocateShared })
  const world = { services: layOutServices(model, maps), maps: [...maps.byKey.values()] }
  return { steering: { world, places, plan }, maps: maps.byKey }
}
