/**
 * Memory of Worlds. V8 never frees a SharedArrayBuffer that a thread without garbage has seen, so the compile thread
 * takes a World's arrays from this pool of fixed-length buffers, and a buffer is used again when no World that any
 * reader may still read holds it. Lives in the compile thread; what readers have adopted it sees in shared memory.
 *
 * What a build allocates is its World's: what that doesn't hold is free again. The builder may put parts of the last World
 * into the next (maps that didn't change), and keep none longer than that.
 */
import { adoptedGeneration, type Adoption } from '../answer/adoption.ts'
import type { World } from '../answer/world.ts'
import type { Allocate } from '../geo/memory.ts'

export interface Pool {
  /** At least so many bytes, with whatever they held before. */
  readonly allocate: Allocate
  /** Ends a build: `world` (with its generation) keeps what it holds of the pool; undefined when none came of it. */
  seal(world: World | undefined): void
  /** Bytes in Worlds that may still be read, and bytes waiting to be used again. */
  size(): { readonly used: number; readonly free: number }
}

const SMALLEST = 4096

/** Four classes to each power of two: at most a quarter is wasted, and a World that grew a little still fits. */
export function sizeClass(bytes: number): number {
  if (bytes <= SMALLEST) return SMALLEST
  const step = 2 ** (Math.floor(Math.log2(bytes - 1)) - 2)
  return Math.ceil(bytes / step) * step
}

export function makePool(adoption: Adoption): Pool {
  /** Worlds that may be read, oldest first, with what each holds. */
  let worlds: { readonly generation: number; readonly held: ReadonlySet<SharedArrayBuffer> }[] = []
  const building = new Set<SharedArrayBuffer>()
  /** All that there is. */
  const buffers = new Set<SharedArrayBuffer>()
  let free: SharedArrayBuffer[] = []

  /** The newest World stays, whoever has adopted it: the builder may use its parts again. */
  function reclaim(): void {
    const lowest = adoptedGeneration(adoption)
    worlds = worlds.filter(({ generation }, i) => generation >= lowest || i === worlds.length - 1)
    const taken = (buffer: SharedArrayBuffer): boolean =>
      building.has(buffer) || worlds.some(({ held }) => held.has(buffer))
    free = [...buffers].filter((buffer) => !taken(buffer))
  }

  return {
    allocate: (bytes) => {
      reclaim()
      const size = sizeClass(bytes)
      let best: SharedArrayBuffer | undefined
      for (const buffer of free) {
        if (buffer.byteLength < size || buffer.byteLength > 2 * size) continue
        if (best === undefined || buffer.byteLength < best.byteLength) best = buffer
      }
      best ??= new SharedArrayBuffer(size)
      buffers.add(best)
      building.add(best)
      return best
    },
    seal(world) {
      if (world !== undefined) {
        const held = [...buffersOf(world)].filter((buffer) => buffers.has(buffer))
        worlds.push({ generation: world.generation, held: new Set(held) })
      }
      building.clear()
    },
    size() {
      reclaim()
      return { used: total(buffers) - total(free), free: total(free) }
    },
  }
}

const total = (list: Iterable<SharedArrayBuffer>): number =>
  [...list].reduce((sum, { byteLength }) => sum + byteLength, 0)

/** Every SharedArrayBuffer that can be reached from a value. */
function buffersOf(value: unknown, found = new Set<SharedArrayBuffer>()): Set<SharedArrayBuffer> {
  if (ArrayBuffer.isView(value)) {
    if (value.buffer instanceof SharedArrayBuffer) found.add(value.buffer)
  } else if (typeof value === 'object' && value !== null) {
    for (const part of Object.values(value)) buffersOf(part, found)
  }
  return found
}
