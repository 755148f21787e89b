/** What became of overrides is told once each. */
import { expect, test } from 'vitest'
import type { Override } from '../../src/health/override.ts'
import { OverrideChanges } from '../../src/health/override-changes.ts'
import { member } from '../support/specs.ts'

test('an override that has another version, or another age, is not told again: not its begin, and not its arrival', () => {
  const changes = new OverrideChanges()
  const shift = { from: 1000, to: 300, overMs: 60_000 }
  const rest = { pattern: 'fra', node: 'n1', who: 'kim', why: 'disks', madeMs: 5, forMs: null, setMs: 0 }
  const entry: Override = { ...rest, action: 'shift', shift, version: 1 }
  const take = (nowMs: number, more: Partial<Override> = {}) =>
    changes
      .take(['fra'], new Map([['fra', { ...entry, ...more }]]), [member('fra/web/192.0.2.1', [])], nowMs)
      .map(({ before, now, arrived, moved }) => [before?.version, now?.version, arrived, moved.length])
  expect(take(0)).toEqual([[undefined, 1, false, 1]])
  expect(take(10_000, { version: 2 })).toEqual([])
  expect(take(60_000, { version: 2 })).toEqual([[2, 2, true, 1]])
  expect(take(70_000, { version: 3, setMs: 5 })).toEqual([])
  expect(take(80_000, { version: 4, madeMs: 80_000, setMs: 80_000 })).toEqual([[3, 4, false, 0]])
  expect(take(140_000, { version: 4, madeMs: 80_000, setMs: 80_000 })).toEqual([[4, 4, true, 1]])
  expect(take(150_000, { version: 5, action: 'undone' })).toEqual([[4, undefined, false, 1]])
})

test('one that arrives names the members that it decides, and none of a more specific one', () => {
  const changes = new OverrideChanges()
  const rest = { node: 'n1', who: 'kim', why: 'disks', madeMs: 5, forMs: null, setMs: 0, version: 1 }
  const shift = { from: 1000, to: 300, overMs: 60_000 }
  const all = new Map<string, Override>([
    ['fra', { ...rest, pattern: 'fra', action: 'shift', shift }],
    ['fra/web', { ...rest, pattern: 'fra/web', action: 'drain' }],
  ])
  const specs = ['fra/web/192.0.2.1', 'fra/api/192.0.2.2'].map((name) => member(name, []))
  const take = (nowMs: number) =>
    changes.take([...all.keys()], all, specs, nowMs).map(({ pattern, members, moved }) => {
      return [pattern, members, moved.map(({ name }) => name)]
    })
  expect(take(0)).toHaveLength(2)
  expect(take(60_000)).toEqual([['fra', 2, ['fra/api/192.0.2.2']]])
})
