/** Keys as traffic has them. */

/**
 * Draws keys 0 … `keys` − 1 of which key k has a part in proportion to 1 / (k + 1)^exponent. `random`: 32 bits, seeded.
 */
export function zipf(keys: number, exponent: number, random: () => number): () => number {
  const upTo = new Float64Array(keys)
  let sum = 0
  for (let k = 0; k < keys; k++) upTo[k] = sum += 1 / (k + 1) ** exponent
  return () => {
    const wanted = (random() / 2 ** 32) * sum
    let [low, high] = [0, keys - 1]
    while (low < high) {
      const middle = (low + high) >> 1
      if (upTo[middle]! > wanted) high = middle
      else low = middle + 1
    }
    return low
  }
}
