/**
 * Memory of Worlds. An answering thread makes no garbage, so V8 never collects there, and never frees a
 * SharedArrayBuffer that the thread has seen. Therefore the compile thread takes a World's arrays from this pool of
 * fixed-length buffers, and reuses a buffer once no thread can read a World that holds it. Shared memory tells which
 * World each thread has adopted.
 *
 * What a build allocates belongs to its World; what that World does not hold is free again. The builder may put parts
 * of the last World into the next one (maps that did not change), but keeps none longer than that.
 */
import { adoptedGeneration, type Adoption } from '../answer/adoption.ts'
import type { World } from '../answer/world.ts'
import type { Allocate } from '../geo/memory.ts'

/** Allocates the arrays of Worlds, and reuses those of Worlds that no thread reads any more. */
export interface Pool {
  /** Gives a buffer of at least so many bytes; its contents are undefined. */
  readonly allocate: Allocate
  /** Ends a build: `world`, with its generation, keeps the buffers it holds. undefined: the build made no World. */
  seal(world: World | undefined): void
  /** Bytes in Worlds that a thread may still read, and bytes that are free for reuse. */
  size(): { readonly used: number; readonly free: number }
}

const SMALLEST = 4096

/**
 * The buffer size for so many bytes: four classes to each power of two, so at most a quarter is wasted and a World that
 * grew a little still fits.
 */
export function sizeClass(bytes: number): number {
  if (bytes <= SMALLEST) return SMALLEST
  const step = 2 ** (Math.floor(Math.log2(bytes - 1)) - 2)
  return Math.ceil(bytes / step) * step
}

/**
 * Makes an empty pool. `adoption`: which World each thread has adopted. `prepare`: called with each new buffer before
 * anything is written to it.
 */
export function makePool(adoption: Adoption, prepare: (buffer: SharedArrayBuffer) => void = () => {}): Pool {
  /** Worlds that a thread may still read, oldest first, with their buffers. */
  let worlds: { readonly generation: number; readonly held: ReadonlySet<SharedArrayBuffer> }[] = []
  const building = new Set<SharedArrayBuffer>()
  /** Every buffer of the pool, in use or free. */
  const buffers = new Set<SharedArrayBuffer>()
  let free: SharedArrayBuffer[] = []

  /** Frees the buffers of Worlds that no thread reads. The newest World stays: the builder may use its parts again. */
  function reclaim(): void {
    const lowest = adoptedGeneration(adoption)
    worlds = worlds.filter(({ generation }, i) => generation >= lowest || i === worlds.length - 1)
    const taken = (buffer: SharedArrayBuffer): boolean =>
      building.has(buffer) || worlds.some(({ held }) => held.has(buffer))
    free = [...buffers].filter((buffer) => !taken(buffer))
  }

  function newBuffer(bytes: number): SharedArrayBuffer {
    const buffer = new SharedArrayBuffer(bytes)
    prepare(buffer)
    return buffer
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
      best ??= newBuffer(size)
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
