/** Overrides: merging against a naive model under any delivery, matching and precedence, refusals. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { outlookOf, refusal } from '../../src/health/impact.ts'
import {
  canonicalPattern,
  effectiveOverride,
  isPurgeable,
  mergeOverrides,
  type Override,
  type OverrideSet,
  durationRefusal,
} from '../../src/health/override.ts'
import { Overrides } from '../../src/health/overrides.ts'
import { member, serviceSpec } from '../support/specs.ts'

const NOW = 1_000_000
const DAY_MS = 24 * 3_600_000
const PATTERNS = ['fra', 'iad', 'fra/web', 'fra/api', 'fra/web/192.0.2.1', 'fra/web/192.0.2.2', 'iad/web/192.0.2.3']
const entry = (pattern: string, more: Partial<Override> = {}): Override => ({
  pattern,
  action: 'drain',
  version: 1,
  node: 'n1',
  who: 'ann',
  why: 'works',
  madeMs: 1,
  forMs: null,
  setMs: NOW,
  ...more,
})
const entries = fc.array(
  fc
    .record({
      pattern: fc.constantFrom(...PATTERNS),
      action: fc.constantFrom<Override['action'][]>('drain', 'shift', 'up', 'down', 'undone'),
      to: fc.constantFrom(0, 300, 600),
      version: fc.integer({ min: 1, max: 5 }),
      node: fc.constantFrom('n1', 'n2', 'n3'),
      who: fc.constantFrom('ann', 'bob'),
      why: fc.constant('works'),
      madeMs: fc.constantFrom(1, 2),
      forMs: fc.constantFrom(null, 4999, 5000, 5001),
      setMs: fc.constant(NOW - 5000),
    })
    .map(({ to, ...one }): Override =>
      one.action === 'shift' ? { ...one, shift: { from: 1000, to, overMs: 0 } } : one,
    ),
  { maxLength: 12 },
)
const setOf = (all: readonly Override[]): OverrideSet => mergeOverrides(new Map(), all)
const merge = (one: OverrideSet, other: OverrideSet): OverrideSet => mergeOverrides(one, other.values())
const sorted = (set: OverrideSet): Override[] => [...set.values()].toSorted((a, b) => (a.pattern < b.pattern ? -1 : 1))

describe('merging', () => {
  test('is commutative, associative and idempotent', () => {
    fc.assert(
      fc.property(entries, entries, entries, (a, b, c) => {
        const [x, y, z] = [setOf(a), setOf(b), setOf(c)] as const

        expect(sorted(merge(x, y))).toEqual(sorted(merge(y, x)))
        expect(sorted(merge(merge(x, y), z))).toEqual(sorted(merge(x, merge(y, z))))
        expect(sorted(merge(x, x))).toEqual(sorted(x))
      }),
    )
  })

  test('comes to the newest of each pattern, in whatever order, with whatever losses and repeats on the way', () => {
    const deliveries = fc.array(fc.tuple(fc.nat(), fc.nat({ max: 2 })), { maxLength: 60 })
    fc.assert(
      fc.property(entries, deliveries, (all, deliver) => {
        fc.pre(all.length > 0)
        const nodes: OverrideSet[] = [new Map(), new Map(), new Map()]
        for (const [which, to] of deliver) nodes[to] = mergeOverrides(nodes[to]!, [all[which % all.length]!])
        for (const to of nodes.keys()) nodes[to] = mergeOverrides(nodes[to]!, all.toReversed())
        for (const node of nodes) {
          expect(sorted(node)).toEqual(sorted(nodes[0]!))
          for (const stands of node.values()) {
            const rivals = all.filter(({ pattern }) => pattern === stands.pattern)
            const highest = Math.max(...rivals.map(({ version }) => version))
            const names = rivals.filter(({ version }) => version === highest).map((one) => one.node)
            expect([stands.version, stands.node]).toEqual([highest, names.toSorted().at(-1)])
          }
        }
      }),
    )
  })

  test('what was undone, or is over, is spent after 30 days; what is in force never', () => {
    const day = 24 * 3_600_000
    expect(isPurgeable(entry('fra', { action: 'undone' }), NOW + 30 * day)).toBe(false)
    expect(isPurgeable(entry('fra', { action: 'undone' }), NOW + 31 * day)).toBe(true)
    expect(isPurgeable(entry('fra', { forMs: 5 }), NOW + 30 * day)).toBe(false)
    expect(isPurgeable(entry('fra', { forMs: 5 }), NOW + 31 * day)).toBe(true)
    expect(isPurgeable(entry('fra'), NOW + 1000 * day)).toBe(false)
  })
})

describe('which one decides', () => {
  test('force over drain, then what leaves less, then the more specific; what is over or undone decides nothing', () => {
    const members = fc.constantFrom(
      { site: 'fra', service: 'web', address: '192.0.2.1' },
      { site: 'fra', service: 'api', address: '192.0.2.1' },
      { site: 'iad', service: 'web', address: '192.0.2.3' },
    )
    fc.assert(
      fc.property(entries, members, (all, one) => {
        const set = setOf(all)
        const name = `${one.site}/${one.service}/${one.address}/`
        const inForce = [...set.values()].filter(
          ({ pattern, action, forMs }) =>
            name.startsWith(`${pattern}/`) && action !== 'undone' && (forMs === null || forMs > 5000),
        )
        const forces = inForce.filter(({ action }) => action === 'up' || action === 'down')
        const leaves = ({ shift }: Override): number => (forces.length > 0 ? 0 : (shift?.to ?? 0))
        const rivals = forces.length > 0 ? forces : inForce
        const first = rivals.toSorted((a, b) => leaves(a) - leaves(b) || b.pattern.length - a.pattern.length)[0]
        expect(effectiveOverride(set, one, NOW)).toEqual(first)
      }),
      { numRuns: 3000 },
    )
  })

  test.each([
    ['fra', 'fra'],
    ['fra/web', 'fra/web'],
    ['fra/web/2001:DB8:0::1', 'fra/web/2001:db8::1'],
    ['fra/web/192.0.2.1', 'fra/web/192.0.2.1'],
    ['fra/web/nowhere', undefined],
    ['fra//192.0.2.1', undefined],
    ['', undefined],
    ['a/b/192.0.2.1/d', undefined],
    ['fra/cdn/FRA.cdn.example.', 'fra/cdn/fra.cdn.example.'],
    ['fra/cdn/fra.cdn.example', undefined],
    ['fra/cdn/a..b.', undefined],
  ])('%j is %j', (text, expected) => expect(canonicalPattern(text)).toBe(expected))
})

const A = member('fra/web/192.0.2.1', ['t1'])
const B = member('iad/web/192.0.2.3', ['t2'])
const C = member('sin/web/192.0.2.4', ['t3'])
const views = (...fit: ('up' | 'down' | undefined)[]) =>
  [A, B, C].map((spec, i) => ({ spec, verdict: fit[i], away: false, braked: false }))

const ask = (pattern: string, keepPercent: number, members: ReturnType<typeof views>, ...set: Override[]) =>
  outlookOf([{ pattern, action: 'drain' }], [{ spec: serviceSpec('web', { keepPercent }), members }], setOf(set), NOW)

describe('is it safe?', () => {
  test('while `keep` is left', () => {
    const outlook = ask('fra', 25, views('up', 'up', 'up'))
    expect(outlook).toMatchObject({ safe: true, members: [A.name] })
    expect(outlook.services[0]).toMatchObject({ leftNowPercent: 100, keepPercent: 25 })
    expect(outlook.services[0]!.leftThenPercent).toBeCloseTo(66.7, 1)
    const none = ask('fra', 70, views('up', 'up', 'up'))
    expect(none).toMatchObject({ safe: false })
    expect(none.why).toBe('only 67 % of web would be left (now 100 %); it keeps 70 %')
  })

  test('not without a brake either, when nothing is left', () => {
    expect(ask('fra', 0, views('up', 'down', undefined))).toMatchObject({
      safe: false,
      why: 'nothing of web would be left up',
    })
    expect(ask('fra', 0, views('up', 'up', 'down')).safe).toBe(true)
  })

  test('not when it takes the last address of a type, whatever is left of the other', () => {
    const six = member('fra/web/2001:db8::1', ['t4'])
    const otherSix = member('iad/web/2001:db8::3', ['t5'])
    const dual = (fraSix: 'up' | 'down', iadSix: 'up' | 'down') => [
      ...views('up', 'up', 'up'),
      { spec: six, verdict: fraSix, away: false, braked: false },
      { spec: otherSix, verdict: iadSix, away: false, braked: false },
    ]
    expect(ask('fra', 25, dual('up', 'down'))).toMatchObject({
      safe: false,
      services: [{ lost: ['AAAA'] }],
      why: 'no other member of web is up for AAAA; 67 % of web would be left (now 100 %)',
    })
    for (const members of [dual('up', 'up'), dual('down', 'up'), dual('down', 'down')])
      expect(ask('fra', 25, members)).toMatchObject({ safe: true, services: [{ lost: [] }] })
  })

  test('whatever is left, when it takes nothing', () => {
    expect(ask('iad', 90, views('up', 'down', 'down')).safe).toBe(true)
    expect(ask('fra', 90, views('up', 'up', 'up'), entry('fra', { action: 'down' })).safe).toBe(true)
    const braked = views('up', 'down', 'up').map((one) => ({ ...one, braked: one.spec === B }))
    expect(ask('iad', 90, braked).safe).toBe(false)
  })

  test('what others drained is not counted as left; what is forced up stays', () => {
    expect(ask('fra', 25, views('up', 'up', 'down'), entry('iad')).services[0]).toMatchObject({ leftThenPercent: 0 })
    const forced = ask('fra', 25, views('up', 'down', 'down'), entry('fra/web', { action: 'up' }))
    expect(forced).toMatchObject({ safe: true })
  })
})

const refuse = (pattern: string, more: object = {}, set: OverrideSet = new Map()) => {
  const request = { pattern, action: 'drain' as const, forMs: undefined, who: 'ann', why: '', yes: false, ...more }
  const outlook = outlookOf(
    [{ pattern, action: 'drain' }],
    [{ spec: serviceSpec('web', { keepPercent: 50 }), members: views('up', 'up', 'down') }],
    set,
    NOW,
  )
  return refusal([request], outlook, [A, B, C], set, NOW)
}

const lasting = (forMs?: number, action: 'drain' | 'undone' = 'drain') =>
  durationRefusal({ action, forMs }, 72 * 3_600_000)?.refused

describe('refused', () => {
  test('what matches nothing, with what there is', () => {
    expect(refuse('lon')).toMatchObject({
      refused: 'lon matches no member',
      hint: expect.stringContaining('fra, iad, sin'),
    })
    expect(refuse('fra/mail')).toMatchObject({ hint: 'Services at fra: web' })
    expect(refuse('fra/web/192.0.2.9')).toMatchObject({ hint: 'VIPs of fra/web: 192.0.2.1' })
  })

  test('what would leave too little, unless meant', () => {
    expect(refuse('fra')).toMatchObject({
      refused: expect.stringContaining('only 33 %'),
      hint: expect.stringContaining('--yes'),
    })
    expect(refuse('fra', { yes: true })).toBe(undefined)
    expect(refuse('sin')).toBe(undefined)
  })

  test('a duration out of bounds', () => {
    expect(refuse('sin', { forMs: 10 })).toMatchObject({ refused: expect.stringContaining('365 days') })
    expect(lasting(366 * DAY_MS)).toBe('an override lasts from 1 s to 365 days')
    expect([lasting(7_200_000), lasting(72 * 3_600_000), lasting(undefined, 'undone')]).toEqual([
      undefined,
      undefined,
      undefined,
    ])
    expect(lasting(4 * DAY_MS)).toBe('it would last 4d, and overrides.maxFor is 3d here')
    expect(lasting()).toBe('it would have no end, and overrides.maxFor is 3d here')
    expect(durationRefusal({ action: 'drain', forMs: undefined })).toBe(undefined)
  })

  test('undoing what is not there', () => {
    const set = setOf([entry('fra/web'), entry('iad', { action: 'undone' })])
    expect(refuse('iad', { action: 'undone' }, set)).toEqual({
      refused: 'there is no override on iad',
      hint: 'There are: fra/web',
    })
    expect(refuse('fra/web', { action: 'undone' }, set)).toBe(undefined)
  })
})

test('what the Store refuses is put up again until it takes it, the newest of each pattern', async () => {
  vi.useFakeTimers()
  try {
    const posted: string[][] = []
    let refuses = true
    const send = async (all: readonly Override[]): Promise<readonly Override[]> => {
      posted.push(all.map(({ pattern, version }) => `${pattern} ${version}`))
      if (refuses) throw new Error('READONLY')
      return all
    }
    const overrides = new Overrides({ file: undefined, send, onChange: () => {}, onTrouble: () => {} })
    const request = { pattern: 'fra', action: 'drain', forMs: undefined, who: 'ann', why: '', yes: true } as const
    overrides.set([request], 'n1')
    overrides.set([{ ...request, action: 'undone' }], 'n1')
    refuses = false
    await vi.advanceTimersByTimeAsync(10_000)
    expect(posted).toEqual([['fra 1'], ['fra 2'], ['fra 2']])
    await overrides.stop()
  } finally {
    vi.useRealTimers()
  }
})

test('a tombstone that is spent is not kept, but ends what was undone long ago while this node was away', () => {
  vi.useFakeTimers()
  try {
    const overrides = new Overrides({
      file: undefined,
      send: async (all) => all,
      onChange: () => {},
      onTrouble: () => {},
    })
    overrides.receive([entry('fra', { setMs: performance.now() - 41 * DAY_MS })], false)
    expect(overrides.of({ site: 'fra', service: 'web', address: '192.0.2.1' })).toBeDefined()
    overrides.receive([entry('fra', { action: 'undone', version: 2, setMs: performance.now() - 40 * DAY_MS })], true)
    expect(overrides.of({ site: 'fra', service: 'web', address: '192.0.2.1' })).toBe(undefined)
    expect([...overrides.all]).toEqual([])
  } finally {
    vi.useRealTimers()
  }
})

describe('its end', () => {
  const at = { site: 'fra', service: 'web', address: '192.0.2.1' }
  const settings = { file: undefined, send: async (all: readonly Override[]) => all, onTrouble: () => {} }
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => void vi.useRealTimers())

  test('is its duration after it was set, whatever the clocks of hosts say', async () => {
    const changed: string[] = []
    const overrides = new Overrides({ ...settings, onChange: (patterns) => changed.push(...patterns) })
    // it was set 50 s ago, at a node whose clock is at the begin of time
    overrides.receive([entry('fra', { madeMs: 5, forMs: 60_000, setMs: performance.now() - 50_000 })], true)
    expect(overrides.status([at])).toMatchObject([{ override: { leftMs: 10_000, untilMs: Date.now() + 10_000 } }])
    vi.setSystemTime(Date.now() + 1_800_000)
    await vi.advanceTimersByTimeAsync(9_900)
    expect(overrides.of(at)).toBeDefined()
    vi.setSystemTime(Date.now() - 7_200_000)
    await vi.advanceTimersByTimeAsync(200)
    expect(overrides.of(at)).toBeUndefined()
    expect(changed).toEqual(['fra', 'fra'])
    await overrides.stop()
  })

  test('after a restart is measured by this host, and from then on by the Store that knows its age', async () => {
    const file = join(mkdtempSync(join(tmpdir(), 'meridian-ages-')), 'overrides.json')
    const before = new Overrides({ ...settings, file, onChange: () => {} })
    before.read()
    const request = { pattern: 'fra', action: 'drain', forMs: 7_200_000, who: 'ann', why: 'works', yes: true } as const
    const { done: all, saved } = before.set([request], 'n1')
    const done = all[0]!
    await saved
    await before.stop()
    vi.setSystemTime(Date.now() + 3_600_000) // an hour later, or a clock that was set
    const after = new Overrides({ ...settings, file, onChange: () => {} })
    after.read()
    const leftMs = () => after.status([at])[0]!.override.leftMs
    expect(leftMs()).toBe(3_600_000)
    after.receive([{ ...done, version: 0, setMs: performance.now() }], false) // of another override
    expect(leftMs()).toBe(3_600_000)
    after.receive([{ ...done, setMs: performance.now() - 60_000 }], true)
    expect(leftMs()).toBe(7_140_000)
    after.receive([{ ...done, setMs: performance.now() }], true) // it was known by then
    expect(leftMs()).toBe(7_140_000)
    await after.stop()
    rmSync(dirname(file), { recursive: true })
  })

  test('in a file of the version before is that of its clock', () => {
    const file = join(mkdtempSync(join(tmpdir(), 'meridian-ages-')), 'overrides.json')
    const { forMs: _, setMs: __, ...rest } = entry('fra')
    const saved = [{ ...rest, madeMs: Date.now() - 60_000, untilMs: Date.now() + 60_000 }]
    writeFileSync(file, JSON.stringify({ format: 'meridian overrides 1', highest: 1, entries: saved }))
    const overrides = new Overrides({ ...settings, file, onChange: () => {} })
    overrides.read()
    expect(overrides.status([at])).toMatchObject([{ override: { leftMs: 60_000 } }])
    rmSync(dirname(file), { recursive: true })
  })
})
