/**
 * Which countries and autonomous systems queries come from: of a client its subnet (ECS), else who sent the query, by
 * the databases in use. Counted from samples of each answering thread (answer/client-sample.ts), so that a query costs
 * the same whatever the databases are. Kept by RunningNode, for metrics and the summary.
 *
 * Countries are few: a table. Systems are many: a sketch (space-saving.ts), which counts none too low, and none too
 * high by more than 1/SYSTEM_COUNTERS of all queries. A sample of n of a thread's N queries, n = SAMPLE_CLIENTS, adds a
 * standard error of N·√(p(1−p)/n) to what has the share p of them; over many samples these errors cancel out.
 */
import { readSample, startSample } from '../answer/client-sample.ts'
import { unpackCode } from '../geo/codes.ts'
import { asnAt, countryAt, hasPlaces, type Places } from '../geo/place.ts'
import { SpaceSaving } from './space-saving.ts'

const SYSTEM_COUNTERS = 1_000

/** Queries since the start, by country and by AS number. */
export interface Origins {
  /** By ISO 3166-1 code; empty = unknown. Without a city database there is none. */
  readonly countries: ReadonlyMap<string, number>
  /** The largest first; 0 = unknown. Without an ASN database there is none. */
  readonly systems: ReadonlyMap<number, number>
  /** The most that a system can have which is not in the list. */
  readonly unlisted: number
}

/** Counts queries by where they come from. */
export class QueryOrigins {
  /** By packed code. */
  readonly #countries = new Map<number, number>()
  readonly #systems = new SpaceSaving(SYSTEM_COUNTERS)
  /** The sample that threads take now. */
  #number = 0

  /**
   * Counts the last sample of each thread and starts another one: to be called a few times a second. `places`: those in
   * use; without databases no samples are taken.
   */
  take(threads: readonly Float64Array[], places: Places | undefined): void {
    const known = places !== undefined && (hasPlaces(places) || places.asns !== undefined)
    const before = this.#number - 1
    this.#number++
    for (const counters of threads) {
      if (known) {
        readSample(counters, before, (family, address, queries) => this.#add(places, family, address, queries))
      }
      startSample(counters, known ? this.#number : 0)
    }
  }

  #add(places: Places, family: 4 | 6, address: Uint8Array, queries: number): void {
    if (hasPlaces(places)) {
      const country = countryAt(places, family, address)
      this.#countries.set(country, (this.#countries.get(country) ?? 0) + queries)
    }
    if (places.asns !== undefined) this.#systems.add(asnAt(places.asns, family, address), queries)
  }

  /** The counts now. `most`: systems in the list. */
  counts(most = SYSTEM_COUNTERS): Origins {
    return {
      countries: new Map(Array.from(this.#countries, ([country, queries]) => [unpackCode(country), queries])),
      systems: new Map(this.#systems.largest(most).map(({ key, count }) => [key, count])),
      unlisted: this.#systems.error,
    }
  }
}
