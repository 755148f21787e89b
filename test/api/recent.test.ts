/** The last changes: which changes of members are one entry, and which entries stay. */
import { expect, test } from 'vitest'
import { recentChanges } from '../../src/api/recent.ts'
import type { FleetEvent } from '../../src/events/event.ts'
import { fleetEvent } from '../support/fleet-event.ts'

const event = (atMs: number, more: Partial<FleetEvent> = {}): FleetEvent => fleetEvent({ atMs, ...more })
const change = (member: string, atMs: number, more: Partial<FleetEvent> = {}): FleetEvent => {
  const [site = '', service = ''] = member.split('/')
  return event(atMs, { kind: 'verdict', subject: member, site, service, before: 'up', after: 'down', ...more })
}
const recent = (...events: readonly FleetEvent[]) => recentChanges(events.toReversed())
const [A, B, C] = ['fra/web/192.0.2.1', 'fra/web/192.0.2.2', 'fra/api/192.0.2.3'] as const

test.each([
  ['alike', {}, 1],
  ['10 s later', { atMs: 10_000 }, 1],
  ['later than that', { atMs: 10_001 }, 2],
  ['at another site', { site: 'iad' }, 2],
  ['from another state', { before: 'unproven' }, 2],
  ['to another state', { after: 'braked' }, 2],
] as const)('two members that change %s', (_, more, entries) =>
  expect(recent(change(A, 0), change(B, 1_000, more))).toHaveLength(entries),
)

test('those of an entry come within 10 s of the one before each, and all who saw any of them are its witnesses', () => {
  const those = [change(A, 0, { witnesses: ['n2'] }), change(B, 8_000, { witnesses: ['n1', 'n2'] }), change(C, 16_000)]
  expect(recent(...those)).toMatchObject([{ members: 3, atMs: 0, member: A, witnesses: ['n1', 'n2'] }])
})

test('a member of an entry with others changes after it', () => {
  const back = { before: 'down', after: 'up' } as const
  const seen = recent(change(C, 0, back), change(A, 1_000), change(B, 2_000), change(B, 3_000, back))
  expect(seen).toMatchObject([
    { after: 'up', members: 1, member: B },
    { after: 'down', members: 2 },
    { after: 'up', members: 1, member: C },
  ])
})

test('a verdict of a whole service is no member’s', () => {
  const verdict = event(0, { kind: 'verdict', subject: 'fra', site: 'fra', before: 'heard', after: 'held' })
  expect(recent(verdict)).toMatchObject([{ kind: 'event', about: 'verdict' }])
})

test('the last 30 entries stay, or as many as are asked for', () => {
  const events = Array.from({ length: 40 }, (_, i) => event(i))
  expect(recent(...events).map(({ atMs }) => atMs)).toEqual(Array.from({ length: 30 }, (_, i) => 39 - i))
  expect(recentChanges(events.toReversed(), 2).map(({ atMs }) => atMs)).toEqual([39, 38])
})
