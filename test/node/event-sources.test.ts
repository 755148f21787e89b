/** What parts of a node tell, as events. */
import { expect, test } from 'vitest'
import type { Change, OverrideChange } from '../../src/health/node-health.ts'
import type { Override } from '../../src/health/override.ts'
import { loadEvent, newsEvent, overrideEvent, verdictEvent } from '../../src/node/event-sources.ts'
import type { ReloadResult } from '../../src/world/reloads.ts'

const vote = (prober: string) =>
  ({ prober, region: 'eu', value: 'down', moving: false, reason: 'timeout', rttMs: 1, share: 1000, ageMs: 5 }) as const
const change = (more: Partial<Change>): Change => ({
  member: 'fra/web/192.0.2.1',
  site: 'fra',
  service: 'web',
  before: 'up',
  after: 'down',
  braked: false,
  wasBraked: false,
  beforeAgeMs: 60_000,
  votes: [vote('p1'), vote('p2')],
  why: 'timeout (2 of 3 say down)',
  ...more,
})

test('a verdict has its votes, since when, and why', () => {
  expect(verdictEvent(change({}), 100_000)).toEqual({
    kind: 'verdict',
    severity: 'warning',
    subject: 'fra/web/192.0.2.1',
    site: 'fra',
    service: 'web',
    before: 'up',
    after: 'down',
    why: 'timeout (2 of 3 say down)',
    sinceMs: 40_000,
    details: {
      braked: false,
      votes: ['p1', 'p2'].map((prober) => ({ prober, region: 'eu', value: 'down', reason: 'timeout' })),
      moreVotes: 0,
    },
  })
  const many = verdictEvent(change({ votes: Array.from({ length: 40 }, (_, i) => vote(`p${i}`)) }))
  expect(many?.details).toMatchObject({ moreVotes: 24 })
})

const states = (more: Partial<Change>) => {
  const event = verdictEvent(change(more))
  return event && `${event.severity}: ${event.before} → ${event.after}`
}

test('the brake is a state of its own', () => {
  expect(states({ after: 'up', braked: true })).toBe('warning: up → braked')
  expect(states({ wasBraked: true })).toBe('warning: braked → down')
  expect(states({ after: 'up', wasBraked: true })).toBe('info: braked → up')
})

test('members that an override takes or gives back are no events; one that it gives back dead is, or takes dead', () => {
  for (const [before, after, isEvent] of [
    ['up', 'drained', false],
    ['drained', 'up', false],
    ['down', 'forced', true],
    ['down', 'drained', true],
    ['forced', 'up', false],
    ['drained', 'down', true],
    ['down', 'up', true],
    ['unproven', 'up', true],
  ] as const)
    expect(verdictEvent(change({ before, after })) !== undefined, `${before} → ${after}`).toBe(isEvent)
})

test('brakes and last resorts are critical while they last', () => {
  const topic = { kind: 'last-resort', subject: 'web', service: 'web', before: 'usable', after: 'last resort' } as const
  expect(newsEvent('warn', 'service web: …', topic)).toEqual({ ...topic, severity: 'critical', why: 'service web: …' })
  expect(newsEvent('info', '', topic)?.severity).toBe('info')
  expect(newsEvent('warn', '', { ...topic, kind: 'verdict' })?.severity).toBe('warning')
  expect(newsEvent('warn', 'prober p1 has fallen silent', undefined)).toBe(undefined)
})

const override = (more: Partial<Override> = {}): Override => ({
  pattern: 'fra/web',
  action: 'drain',
  version: 1,
  node: 'n1',
  who: 'kim',
  why: 'disks',
  madeMs: 0,
  forMs: null,
  setMs: performance.now() - 1_000,
  ...more,
})
const NONE = {
  pattern: 'fra/web',
  before: undefined,
  now: undefined,
  undone: undefined,
  arrived: false,
  members: 3,
  moved: [],
}
const overridden = (more: Partial<OverrideChange>) => overrideEvent({ ...NONE, ...more })

test('an override begins, changes, is undone or runs out; an old one is no news', () => {
  const words = (more: Partial<OverrideChange>) => {
    const event = overridden(more)
    return event && `${event.subject} ${event.site} ${event.service}: ${event.before} → ${event.after}: ${event.why}`
  }
  expect(words({ now: override() })).toBe('fra/web fra web: null → drained: by kim: disks')
  expect(words({ before: override(), now: override({ action: 'down', who: 'ann' }) })).toBe(
    'fra/web fra web: drained → forced down: by ann: disks',
  )
  expect(words({ before: override(), undone: override({ action: 'undone', who: 'ann', why: '' }) })).toBe(
    'fra/web fra web: drained → null: undone by ann',
  )
  expect(words({ before: override({ setMs: -1e9 }) })).toBe('fra/web fra web: drained → null: its time is over')
  expect(words({ now: override({ setMs: performance.now() - 61_000 }) })).toBe(undefined)
  const event = overridden({ now: override({ forMs: 7_200_000 }) })!
  expect(Math.abs(event.atMs! - Date.now() + 1_000)).toBeLessThan(500)
  expect(event.details).toMatchObject({ who: 'kim', members: 3 })
  expect(Number(event.details!['untilMs']) - event.atMs!).toBeGreaterThan(7_100_000)
})

const moved = (service: string, number: number) =>
  Array.from({ length: number }, (_, i) => {
    const address = `192.0.2.${i + 1}`
    return { name: `fra/${service}/${address}`, site: 'fra', service, address }
  })

test('an override names the members that it takes out or gives back; of many it counts those of each service', () => {
  const two = moved('web', 2)
  const names = two.map(({ name }) => name)
  const [drain, half, back] = [
    override(),
    override({ action: 'shift', shift: { from: 1000, to: 500, overMs: 60_000 } }),
    override({ action: 'shift', shift: { from: 500, to: 1000, overMs: 60_000 } }),
  ]
  for (const [more, words] of [
    [{ now: drain }, 'by kim: disks; takes out'],
    [{ now: override({ action: 'up' }) }, 'by kim: disks; holds up'],
    [{ now: half }, 'by kim: disks; takes a share of'],
    [{ before: half, now: half, arrived: true }, 'by kim: disks; it has moved'],
    [{ before: half, now: back }, 'by kim: disks; gives back a share to'],
    [{ before: drain, undone: override({ action: 'undone', who: 'ann', why: '' }) }, 'undone by ann; gives back'],
    [{ before: drain }, 'its time is over; gives back'],
    [{ before: override({ action: 'up' }) }, 'its time is over; no longer holds up'],
  ] as const) {
    const event = overridden({ ...more, moved: two })
    expect(event?.why).toBe(`${words} ${names.join(', ')}`)
    expect(event?.details).toMatchObject({ members: 3, moved: { members: 2, names, services: { web: 2 } } })
  }
  const hourly = override({
    action: 'shift',
    shift: { from: 1000, to: 500, overMs: 3_600_000 },
    setMs: performance.now() - 3_601_000,
  })
  const there = overridden({ before: hourly, now: hourly, arrived: true, moved: two })!
  expect(there).toMatchObject({ before: 'drained from 100 % to 50 % over 1h', after: 'at 50 %' })
  expect(Math.abs(there.atMs! - Date.now() + 1_000), 'when it arrived').toBeLessThan(500)
  const services = Array.from({ length: 90 }, (_, i) => moved(`s${i}`, 1)).flat()
  const many = overridden({ now: drain, moved: [...services, ...moved('web', 200), ...moved('api', 10)] })!
  expect(many.why).toBe(
    'by kim: disks; takes out 300 members of 92 services: 200 of web, 10 of api, 1 of s0 and 89 more',
  )
  expect(many.details!['moved']).toMatchObject({ members: 300, services: { web: 200, api: 10 } })
  expect(JSON.stringify(many.details).length).toBeLessThan(1500)
})

const load = (more: Partial<ReloadResult>): ReloadResult => ({
  ok: false,
  unchanged: false,
  why: 'files changed',
  revision: undefined,
  before: undefined,
  parsed: 1,
  changes: undefined,
  problems: [],
  failure: undefined,
  zonesHeld: undefined,
  fallback: {},
  stagesMs: {},
  ms: 5,
  atMs: 1,
  successAtMs: undefined,
  ...more,
})

test('a load that is refused, failed or held back is an event, and once while it is the same', () => {
  expect(loadEvent(load({ ok: true }), undefined)).toBe(undefined)
  const problem = {
    code: 'yaml-syntax',
    severity: 'error',
    file: 'a.yaml',
    line: 1,
    column: 2,
    message: 'no YAML',
    hint: '',
  } as const
  expect(loadEvent(load({ problems: [problem] }), undefined)).toMatchObject({
    kind: 'zones',
    severity: 'warning',
    after: 'refused',
    why: expect.stringMatching(/^1 error: .*a\.yaml.*no YAML/),
  })
  expect(loadEvent(load({ failure: 'the compile thread died' }), undefined)).toMatchObject({
    after: 'failed',
    why: 'the compile thread died',
  })
  const zonesHeld = { build: 'x', inUse: { revision: undefined, loadedMs: 1 }, moves: { services: [], uncounted: 0 } }
  const held = load({ ok: true, unchanged: true, zonesHeld })
  expect(loadEvent(held, undefined)).toMatchObject({ after: 'held back', why: 'no clients move' })
  expect(loadEvent(held, held)).toBe(undefined)
  expect(loadEvent(held, load({ zonesHeld: { ...zonesHeld, build: 'y' } }))).toMatchObject({ after: 'held back' })
})
