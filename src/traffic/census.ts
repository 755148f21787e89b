/**
 * The clients of a client map, counted by country and class. One walk over a City database takes half a second of CPU time,
 * so it is made in small steps when it is asked for first, and kept for as long as the map is. Used by RunningNode in the
 * main thread.
 */
import type { Places } from '../geo/place.ts'
import type { ClientMap } from '../policy/map.ts'
import { type Flows, spaceInSteps } from './flows.ts'

/** Counting takes the main thread for so long at once, then leaves it alone: a fifth of the time. */
const STEP_MS = 5
const PAUSE_MS = 20

/** The counts of client maps. */
export class Census {
  readonly #kept = new WeakMap<ClientMap, Promise<Flows | undefined>>()

  /**
   * The clients of a map. `inUse`: whether its World still is; the memory of one that is not may be used again, so
   * counting ends: undefined.
   */
  of(map: ClientMap, places: Places, inUse: () => boolean): Promise<Flows | undefined> {
    const kept = this.#kept.get(map)
    if (kept !== undefined) return kept
    const counting = count(map, places, inUse)
    this.#kept.set(map, counting)
    return counting
  }
}

async function count(map: ClientMap, places: Places, inUse: () => boolean): Promise<Flows | undefined> {
  const steps = spaceInSteps({ places, map })
  for (let beganMs = performance.now(); ;) {
    const step = steps.next()
    if (step.done === true) return step.value
    if (performance.now() - beganMs < STEP_MS) continue
    await new Promise((done) => setTimeout(done, PAUSE_MS).unref())
    if (!inUse()) return undefined
    beganMs = performance.now()
  }
}
