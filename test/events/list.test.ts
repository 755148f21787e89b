/** The list of the fleet's events: one line for what many saw, pages, and what came after an event. */
import { expect, test } from 'vitest'
import { type Event, type FleetEvent, isEvent, isEventId, keyOf, parseEvent } from '../../src/events/event.ts'
import { EventList } from '../../src/events/list.ts'

const event = (id: string, more: Partial<Event> = {}): Event => ({
  id,
  atMs: 1_000,
  node: id.split('.')[0]!,
  kind: 'verdict',
  severity: 'warning',
  subject: 'fra/web/192.0.2.1',
  site: 'fra',
  service: 'web',
  before: 'up',
  after: 'down',
  why: 'connection refused',
  sinceMs: null,
  ...more,
})
const line = (
  id: string,
  witnesses: readonly string[] = [id.split('.')[0]!],
  more: Partial<Event> = {},
): FleetEvent => ({
  ...event(id, more),
  witnesses,
})
const idsOf = (lines: readonly FleetEvent[]): string[] => lines.map(({ id }) => id)

test('a line that another node has first gains witnesses, keeps its place, and takes the id of the fleet', () => {
  const list = new EventList(10)
  expect(list.put(line('n1.a.1'))).toBe(true)
  expect(list.put(line('n1.a.2', ['n1'], { atMs: 2_000 }))).toBe(true)
  const clock = list.clock
  expect(list.put(line('n1.a.1'))).toBe(false)
  expect(list.clock).toBe(clock)
  expect(list.put(line('n2.b.7', ['n1', 'n2']), ['n2.b.7', 'n1.a.1'])).toBe(true)
  expect(list.page({}).events.map(({ id, witnesses }) => [id, witnesses])).toEqual([
    ['n1.a.2', ['n1']],
    ['n2.b.7', ['n1', 'n2']],
  ])
  expect(idsOf(list.changesAfter(clock, 10).lines)).toEqual(['n2.b.7'])
  // its former id still says where it stands
  expect(idsOf(list.page({ afterId: 'n1.a.1' }).events)).toEqual(['n1.a.2'])
})

test('two lines that turn out to be one become one', () => {
  const list = new EventList(10)
  list.put(line('n1.a.1')) // told under its own id while Redis was away
  list.put(line('n2.b.7', ['n2', 'n3']), ['n2.b.7', 'n3.c.1'])
  list.put(line('n2.b.7', ['n1', 'n2', 'n3']), ['n2.b.7', 'n3.c.1', 'n1.a.1'])
  expect(list.page({}).events.map(({ id, witnesses }) => [id, witnesses])).toEqual([['n2.b.7', ['n1', 'n2', 'n3']]])
  for (const id of ['n1.a.1', 'n2.b.7', 'n3.c.1']) expect(list.bornAt(id)).toBe(1)
})

test('the oldest lines go', () => {
  const list = new EventList(3)
  for (let i = 1; i <= 5; i++) list.put(line(`n1.a.${i}`, ['n1'], { atMs: i }))
  expect(idsOf(list.page({}).events)).toEqual(['n1.a.5', 'n1.a.4', 'n1.a.3'])
  expect(list.bornAt('n1.a.1')).toBe(0)
  expect(idsOf(list.changesAfter(0, 2).lines)).toEqual(['n1.a.3', 'n1.a.4'])
})

test('pages follow each other without a gap, though new events come between them', () => {
  const list = new EventList(100)
  // many at one time: their numbers decide, not the texts of their ids
  for (let i = 1; i <= 25; i++) list.put(line(`n1.a.${i}`, ['n1'], { atMs: Math.floor(i / 12) }))
  const all: string[] = []
  for (let cursor: string | undefined; ;) {
    const { events, next } = list.page({ limit: 7, ...(cursor !== undefined && { cursor }) })
    all.push(...idsOf(events))
    list.put(line(`n1.a.${100 + all.length}`, ['n1'], { atMs: 99 }))
    if (next === null) break
    cursor = next
  }
  expect(all).toEqual(Array.from({ length: 25 }, (_, i) => `n1.a.${25 - i}`))
})

test('only events that are asked for', () => {
  const list = new EventList(100)
  list.put(line('n1.a.1'))
  list.put(line('n1.a.2', ['n1'], { site: 'iad', service: 'api', atMs: 5_000 }))
  list.put(line('n1.a.3', ['n1'], { kind: 'brake', atMs: 6_000 }))
  const found = (query: Parameters<EventList['page']>[0]): string[] => idsOf(list.page(query).events)
  expect(found({ site: 'iad' })).toEqual(['n1.a.2'])
  expect(found({ service: 'web' })).toEqual(['n1.a.3', 'n1.a.1'])
  expect(found({ kinds: ['brake'] })).toEqual(['n1.a.3'])
  expect(found({ sinceMs: 5_000 })).toEqual(['n1.a.3', 'n1.a.2'])
  expect(found({ afterId: 'n1.a.2' })).toEqual(['n1.a.3'])
  expect(found({ afterId: 'n9.gone.4' })).toHaveLength(3)
})

test('the key is the same for what several nodes see, and not for what happens to each of them', () => {
  const seen = [event('n1.a.1'), event('n2.b.9', { why: 'timeout', atMs: 7, sinceMs: 3 })].map(keyOf)
  expect(seen[0]).toMatch(/^[0-9a-f]{16}$/)
  expect(seen[1]).toBe(seen[0])
  for (const more of [{ subject: 'x' }, { before: null }, { after: 'up' }, { site: 'iad' }, { kind: 'brake' }] as const)
    expect(keyOf(event('n1.a.1', more))).not.toBe(seen[0])
  expect(keyOf(event('n1.a.1', { kind: 'process' }))).not.toBe(keyOf(event('n2.b.9', { kind: 'process' })))
})

test('what is no event is not taken for one', () => {
  const good = event('fra-1.example.m1x2.12', { node: 'fra-1.example', details: { votes: [] } })
  expect(parseEvent(JSON.stringify(good))).toEqual(good)
  for (const [key, value] of Object.entries({
    id: 'n1',
    node: 'other',
    atMs: '1',
    kind: 'toString',
    severity: 'high',
    subject: 1,
    site: 7,
    before: 3,
    after: undefined,
    why: null,
    sinceMs: 'x',
    details: [],
  }))
    expect(isEvent({ ...good, [key]: value }), key).toBe(false)
  for (const text of ['', '{', 'null', '[]', '"x"', JSON.stringify(good).slice(0, -9)])
    expect(parseEvent(text)).toBe(undefined)
  expect(['n1.a.1', 'a.b.c.d.9'].map(isEventId)).toEqual([true, true])
  expect(['n1.a', 'n1.A.1', 'n1.a.1 ', '1h', ''].some(isEventId)).toBe(false)
})
