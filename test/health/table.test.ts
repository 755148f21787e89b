import { describe, expect, test } from 'vitest'
import { SlotRegistry } from '../../src/health/table.ts'

describe('slots', () => {
  test('a member keeps its slot over Worlds, whatever its place in them', () => {
    const slots = new SlotRegistry()
    const [a, b] = slots.assign(['a', 'b'], 1)!
    expect([...slots.assign(['c', 'b', 'a'], 2)!].slice(1)).toEqual([b, a])
    expect(new Set(slots.assign(['a', 'b', 'c'], 3)).size).toBe(3)
    expect(slots.slotOf('a')).toBe(a)
    expect(slots.slotOf('z')).toBe(undefined)
  })

  test('a slot is reused only after every thread has a World without it', () => {
    const slots = new SlotRegistry(2)
    const [a] = slots.assign(['a', 'b'], 1)!
    expect(slots.assign(['b', 'c'], 2)).toBe(undefined)
    slots.assign(['b'], 2)
    slots.release(1)
    expect(slots.assign(['b', 'c'], 3)).toBe(undefined)
    slots.release(2)
    expect(slots.assign(['b', 'c'], 3)![1]).toBe(a)
  })

  test('a member that comes back before the release keeps its slot', () => {
    const slots = new SlotRegistry(2)
    const [a] = slots.assign(['a'], 1)!
    slots.assign([], 2)
    expect(slots.assign(['a'], 3)![0]).toBe(a)
    slots.release(3)
    expect(slots.slotOf('a')).toBe(a)
  })

  test('a full table refuses and changes nothing', () => {
    const slots = new SlotRegistry(3)
    slots.assign(['a', 'b'], 1)
    expect(slots.assign(['c', 'd'], 2)).toBe(undefined)
    slots.release(9)
    expect(slots.used).toBe(2)
    expect(slots.assign(['a', 'b', 'c'], 2)!.toSorted()).toEqual(Int32Array.of(0, 1, 2))
  })
})
