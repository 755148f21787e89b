/** What a node does with reports, and how it waits at its end. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { AnnounceReport } from '../../../src/api/announcing.ts'
import { AnnounceDesk } from '../../../src/node/announce/desk.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const REPORT: AnnounceReport = { state: 'announced', sinceMs: 1, why: '', isPlanned: false, others: 1 }
const ADDRESSES = [
  { address: '192.0.2.53', bits: 24 },
  { address: '2001:db8::53', bits: 128 },
]

function make(form: 'file' | 'none' = 'file') {
  const log: string[] = []
  const changes: string[] = []
  const node = { ready: true }
  const desk = new AnnounceDesk({
    config: {
      'announce.form': form === 'none' ? undefined : form,
      'announce.addresses': ADDRESSES,
      'announce.wait': 5_000,
    },
    log: (level, message) => void log.push(`${level} ${message}`),
    isReady: () => node.ready,
    zone: () => 'example.com.',
    onReport: (report, before) => void changes.push(`${before?.state ?? 'none'} → ${report.state}`),
  })
  return { desk, log, changes, node }
}

/** Ends the node; resolves to the ms that it took. */
async function leave(desk: AnnounceDesk, each: (ms: number) => AnnounceReport | undefined): Promise<number> {
  const took: number[] = []
  const beganMs = Date.now()
  void desk.leave().then(() => took.push(Date.now() - beganMs))
  for (let ms = 0; ms < 20_000 && took.length === 0; ms += 250) {
    const report = each(ms)
    if (report !== undefined) desk.take(report)
    await vi.advanceTimersByTimeAsync(250)
  }
  return took[0]!
}

test('shows what is reported, and whether reports come', async () => {
  const { desk, changes } = make()
  expect(desk.status).toEqual({ addresses: ['192.0.2.0/24', '2001:db8::53/128'], report: null, heard: false })
  expect(desk.take(REPORT)).toEqual({ ready: true, stopping: false, zone: 'example.com.' })
  desk.take({ ...REPORT, others: 2 })
  expect(desk.status).toMatchObject({ report: { state: 'announced', others: 2 }, heard: true })
  expect(changes).toEqual(['none → announced'])
  await vi.advanceTimersByTimeAsync(3_000)
  expect(desk.status?.heard).toBe(false)
  expect(make('none').desk.status).toBe(null)
})

test('GET /announce goes by the report; without one, or an old one, by what the node knows', async () => {
  const { desk, node } = make()
  expect(desk.announcement).toEqual({ announced: true, why: '' })
  node.ready = false
  expect(desk.announcement).toEqual({ announced: false, why: 'the node is not ready' })
  desk.take({ ...REPORT, state: 'kept', why: 'the last' })
  expect(desk.announcement).toEqual({ announced: true, why: 'the last' })
  node.ready = true
  desk.take({ ...REPORT, state: 'withdrawn', why: 'silent' })
  expect(desk.announcement).toEqual({ announced: false, why: 'silent' })
  await vi.advanceTimersByTimeAsync(3_000)
  expect(desk.announcement.announced).toBe(true)
})

test('a node that ends waits for its withdrawal, and then announce.wait', async () => {
  const { desk, log } = make()
  desk.take(REPORT)
  const took = await leave(desk, (ms) => ({ ...REPORT, state: ms < 1_000 ? 'announced' : 'withdrawn' }))
  expect(desk.take(REPORT).stopping).toBe(true)
  expect(took).toBe(6_000)
  expect(log).toEqual(['info withdrawn; answering goes on for 5s'])
})

test('the last node says so, and ends all the same', async () => {
  const { desk, log } = make()
  const took = await leave(desk, () => ({
    ...REPORT,
    state: 'kept',
    isPlanned: true,
    why: 'no other node is announced',
  }))
  expect(took).toBe(5_000)
  expect(log).toEqual([
    'error the address STAYS ANNOUNCED: no other node is announced; answering goes on for 5s, and then nobody answers there',
  ])
})

test('one that was kept for another reason waits for the answer to its end', async () => {
  const { desk } = make()
  const kept: AnnounceReport = { ...REPORT, state: 'kept', why: 'silent' }
  expect(await leave(desk, (ms) => (ms < 1_000 ? kept : { ...kept, isPlanned: true }))).toBe(6_000)
})

test('what is still announced without a word of why is told as that', async () => {
  const { desk, log } = make()
  desk.take(REPORT)
  await leave(desk, () => REPORT)
  expect(log).toEqual([expect.stringContaining('STAYS ANNOUNCED: meridian announce has not withdrawn it within 3s')])
})

test('without an announce it waits for 3 s, and says so; without announce.form not at all', async () => {
  const { desk, log } = make()
  expect(await leave(desk, () => undefined)).toBe(8_000)
  expect(log).toEqual(['error meridian announce is silent: is the address still announced? answering goes on for 5s'])
  expect(await leave(make('none').desk, () => undefined)).toBe(0)
})
