/** One receiver and the true waits, in virtual time: what becomes of messages while it is away. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { Delivery } from '../../../src/events/notify/delivery.ts'
import type { Message } from '../../../src/events/notify/message.ts'
import { eventsOf, receiversOf } from './receiver.ts'

const MINUTE = 60_000
beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

test('one that is away for 10 minutes has every event within a minute, in order, and none under another id', async () => {
  /** What reached it, and whether its answer came back. */
  const got: { readonly id: string; readonly subject: string; readonly answered: boolean }[] = []
  let state: 'there' | 'away' | 'mute' = 'there'
  let tries = 0
  const delivery = new Delivery({
    name: 'ops',
    receiver: receiversOf({ 'ops.url': 'http://192.0.2.1/' })['ops']!,
    send: async (_, { id, items }) => {
      tries++
      if (state === 'away') return { sent: false, isFinal: false, why: 'connection refused' }
      got.push({ id, subject: items[0]!.event.subject, answered: state === 'there' })
      return state === 'there' ? { sent: true } : { sent: false, isFinal: false, why: 'the connection broke' }
    },
    onDone: () => {},
    log: () => {},
  })
  const event = eventsOf('n1')
  const sees = (subject: string): void => {
    const one = event({ subject })
    const items = [{ event: one, problem: 'p', direction: 'problem', was: 'warning' }] as const
    const message: Message = { id: one.id, problem: 'p', direction: 'problem', node: 'n1', atMs: 0, items, open: 1 }
    delivery.add(message)
  }
  const subjects = Array.from({ length: 12 }, (_, i) => `s${i}`)
  state = 'mute' // it is killed between what it has read and its answer
  sees(subjects[0]!)
  await vi.advanceTimersByTimeAsync(5_000)
  state = 'away'
  for (const subject of subjects.slice(1)) {
    sees(subject)
    await vi.advanceTimersByTimeAsync(MINUTE)
  }
  expect(delivery.stats).toMatchObject({ queued: 12, dropped: 0, sent: 0 })
  expect(tries).toBeLessThan(40)
  state = 'there'
  await vi.advanceTimersByTimeAsync(MINUTE)
  expect(delivery.stats).toMatchObject({ queued: 0, sent: 12 })
  expect(got.flatMap(({ subject, answered }) => (answered ? [subject] : []))).toEqual(subjects)
  expect(got.length).toBeGreaterThan(12) // one came more than once, and under its own id
  expect(new Set(got.map(({ id }) => id)).size).toBe(12)
})
