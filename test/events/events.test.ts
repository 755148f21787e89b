/** Events of one node without a Store: who hears of them, what a restart knows, and streams. */
import { appendFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import type { Event } from '../../src/events/event.ts'
import { Events } from '../../src/events/events.ts'
import { eventFiles } from '../../src/events/journal.ts'
import { emptyFolder } from '../support/folder.ts'

const make = (folder = emptyFolder()): Events =>
  new Events({ node: 'fra1', folder, board: undefined, onTrouble: () => {} })
const down = {
  kind: 'verdict',
  severity: 'warning',
  subject: 'fra/web/192.0.2.1',
  before: 'up',
  after: 'down',
} as const

test('listeners hear each event in order and at once, until they end that', async () => {
  const events = make()
  const heard: Event[] = []
  const end = events.subscribe((event) => heard.push(event))
  const first = events.add({ ...down, site: 'fra', why: 'timeout' })
  expect(heard).toEqual([first])
  events.add({ ...down, before: 'down', after: 'up' })
  end()
  events.add(down)
  expect(heard.map(({ id }) => id)).toEqual([first.id, first.id.replace(/1$/, '2')])
  expect(first).toMatchObject({ node: 'fra1', ...down, site: 'fra', why: 'timeout', sinceMs: null })
  expect(first.id).toMatch(/^fra1\.[0-9a-z]+\.1$/)
  expect(events.recent().events).toHaveLength(3)
  await events.stop()
})

test('a restart knows what was before it', async () => {
  const folder = emptyFolder()
  const before = make(folder)
  for (let i = 0; i < 3; i++) before.add(down)
  await before.stop()
  appendFileSync(eventFiles(folder)[1], '{"torn')
  const after = make(folder)
  expect(await after.start()).toBe(1)
  const fresh = after.add({ ...down, after: 'up' })
  const { events } = after.recent()
  expect(events.map(({ id }) => id)[0]).toBe(fresh.id)
  expect(new Set(events.map(({ id }) => id)).size).toBe(4)
  expect(events.every(({ witnesses }) => witnesses.join() === 'fra1')).toBe(true)
  await after.stop()
})

test('a feed gives what comes, waits while nothing does, and goes on behind an event', async () => {
  const events = make()
  const first = events.add(down)
  const feed = events.feed()
  const next = feed.next(10, 60_000)
  const second = events.add(down)
  expect((await next)!.map(({ id }) => id)).toEqual([second.id])
  expect(await feed.next(10, 1)).toEqual([])
  const behind = events.feed(first.id)
  const third = events.add(down)
  expect((await behind.next(1, 1))!.map(({ id }) => id)).toEqual([second.id])
  expect((await behind.next(10, 1))!.map(({ id }) => id)).toEqual([third.id])
  expect(await events.feed('fra1.unknown.1').next(10, 1)).toHaveLength(3)
  expect(await feed.next(10, 60_000)).toHaveLength(1)
  const last = feed.next(10, 60_000)
  await events.stop()
  expect(await last).toBe(undefined)
  expect(await feed.next(10, 60_000)).toBe(undefined)
})
