/**
 * The largest of many, counted in constant memory: the space-saving sketch (Metwally, Agrawal, El Abbadi: Efficient
 * Computation of Frequent and Top-k Elements in Data Streams, 2005), with weights. A key without a counter takes over
 * the least one, and with it that count. For `total` counted in all, by m counters:
 *
 *   - no count is too small, and none is too large by more than the least count, which is at most total / m;
 *   - every key with more than total / m has a counter;
 *   - the count of a key never goes backwards, not even when it has lost its counter meanwhile.
 */

/** A sketch over keys that are numbers. */
export class SpaceSaving {
  readonly #keys: Float64Array
  readonly #counts: Float64Array
  /** Key → its counter. */
  readonly #places = new Map<number, number>()
  #total = 0

  /** `counters`: m above. */
  constructor(counters: number) {
    this.#keys = new Float64Array(counters)
    this.#counts = new Float64Array(counters)
  }

  add(key: number, weight: number): void {
    this.#total += weight
    this.#counts[this.#places.get(key) ?? this.#placeFor(key)]! += weight
  }

  #placeFor(key: number): number {
    let place = this.#places.size
    if (place === this.#counts.length) {
      place = this.#least()
      this.#places.delete(this.#keys[place]!)
    }
    this.#keys[place] = key
    this.#places.set(key, place)
    return place
  }

  #least(): number {
    let least = 0
    for (let i = 1; i < this.#counts.length; i++) if (this.#counts[i]! < this.#counts[least]!) least = i
    return least
  }

  /** All that was added. */
  get total(): number {
    return this.#total
  }

  /** The most that a key can have which has no counter. */
  get error(): number {
    return this.#places.size < this.#counts.length ? 0 : this.#counts[this.#least()]!
  }

  /** The keys with the largest counts, the largest first. */
  largest(most: number): readonly { readonly key: number; readonly count: number }[] {
    return Array.from(this.#places, ([key, place]) => ({ key, count: this.#counts[place]! }))
      .toSorted((a, b) => b.count - a.count || a.key - b.key)
      .slice(0, most)
  }
}
