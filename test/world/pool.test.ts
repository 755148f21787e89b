import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ABSENT, adoptedGeneration, makeAdoption } from '../../src/answer/adoption.ts'
import type { World } from '../../src/answer/world.ts'
import { makePool, sizeClass } from '../../src/world/pool.ts'
import { NO_COPIES } from '../../src/zone/copies.ts'

/** Only what the pool looks at: arrays somewhere in a tree of objects. */
const worldOf = (generation: number, ...buffers: readonly SharedArrayBuffer[]): World => {
  const arrays = buffers.map((buffer) => new Int32Array(buffer))
  const bytes = new Uint8Array(0)
  const none = new Int32Array(0)
  const arraysOfImage = { table: none, nodes: none, rrsets: none, steered: none, refs: none }
  const image = { ...arraysOfImage, bytes, deepest: 0, names: 0, firstForeign: 0, seed: 0 }
  const maps = arrays.map((array) => ({
    v4: array,
    v6: array,
    borrowedV4: null,
    borrowedV6: null,
    classes: none,
    groups: none,
  }))
  return { generation, image, maps, services: [], copies: NO_COPIES }
}

describe('size classes', () => {
  test('hold what is asked, waste at most a quarter, and are their own class', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2 ** 31 }), (bytes) => {
        const size = sizeClass(bytes)
        expect(size).toBeGreaterThanOrEqual(bytes)
        if (bytes > 4096) expect(size).toBeLessThanOrEqual(bytes * 1.25)
        expect(sizeClass(size)).toBe(size)
      }),
    )
  })
})

describe('the pool', () => {
  test('a buffer is used again only when every reader has adopted a later World', () => {
    const adoption = makeAdoption()
    const pool = makePool(adoption)
    const first = pool.allocate(10_000)
    pool.seal(worldOf(1, first))
    const second = pool.allocate(10_000)
    expect(second).not.toBe(first)
    pool.seal(worldOf(2, second))
    expect(pool.allocate(10_000)).not.toBe(first) // nobody has published anything yet
    pool.seal(undefined)
    adoption[0] = 2
    adoption[1] = 1
    adoption[2] = 2
    expect(adoptedGeneration(adoption)).toBe(1)
    expect([pool.allocate(10_000), pool.allocate(10_000)]).not.toContain(first)
    pool.seal(undefined)
    adoption[1] = 2
    expect([pool.allocate(10_000), pool.allocate(10_000), pool.allocate(10_000)]).toContain(first)
    expect([pool.allocate(10_000), pool.allocate(10_000)]).not.toContain(second)
  })

  test('each new buffer is prepared once, and a reused one is not', () => {
    const prepared: SharedArrayBuffer[] = []
    const adoption = makeAdoption()
    const pool = makePool(adoption, (buffer) => prepared.push(buffer))
    const first = pool.allocate(5000)
    pool.seal(undefined)
    expect(pool.allocate(5000)).toBe(first)
    const second = pool.allocate(5000)
    expect(prepared).toEqual([first, second])
  })

  test('a part that the next World has too stays as long as that', () => {
    const adoption = makeAdoption()
    const pool = makePool(adoption)
    const shared = pool.allocate(5000)
    pool.seal(worldOf(1, shared))
    pool.seal(worldOf(2, shared, pool.allocate(5000)))
    adoption[0] = 2
    expect(pool.allocate(5000)).not.toBe(shared)
    pool.seal(worldOf(3, pool.allocate(5000)))
    adoption[0] = 3
    expect([pool.allocate(5000), pool.allocate(5000), pool.allocate(5000)]).toContain(shared)
  })

  test('a thread that is gone holds nothing back', () => {
    const adoption = makeAdoption()
    adoption[0] = 5
    adoption[3] = 2
    expect(adoptedGeneration(adoption)).toBe(2)
    adoption[3] = ABSENT
    expect(adoptedGeneration(adoption)).toBe(5)
  })

  test('a hundred reloads need two Worlds of memory', () => {
    const adoption = makeAdoption()
    const pool = makePool(adoption)
    const made = new Set<SharedArrayBuffer>()
    for (let generation = 1; generation <= 100; generation++) {
      const parts = [4000, 70_000 + generation * 10, 1_000_000].map((bytes) => pool.allocate(bytes))
      for (const part of parts) made.add(part)
      pool.allocate(20_000) // scratch
      pool.seal(worldOf(generation, ...parts))
      adoption[0] = generation
    }
    expect(made.size).toBeLessThanOrEqual(8)
    const { used, free } = pool.size()
    expect(used + free).toBeLessThan(2.5 * 1.3 * 1_090_000)
  })
})
