/** A body is made once for a crowd, again when something changes, and never more often than it costs. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { SharedBody } from '../../src/api/shared-body.ts'

beforeEach(() => void vi.useFakeTimers({ toFake: ['performance', 'setTimeout', 'clearTimeout', 'Date'] }))
afterEach(() => void vi.useRealTimers())

let made = 0
let changes = 0
const bodyThatTakes = (ms: number) => {
  made = 0
  changes = 0
  return new SharedBody(
    () => {
      vi.advanceTimersByTime(ms)
      return { made: ++made }
    },
    () => String(changes),
  )
}
const madeIn = ({ bytes }: { readonly bytes: Uint8Array }): unknown => JSON.parse(new TextDecoder().decode(bytes))

test('a crowd gets one body, and a new one after 5 s', async () => {
  const body = bodyThatTakes(1)
  const all = await Promise.all(Array.from({ length: 100 }, () => body.get(undefined, false)))
  expect(new Set(all).size).toBe(1)
  expect(madeIn(all[0]!)).toEqual({ made: 1 })
  vi.advanceTimersByTime(4_990)
  expect(await body.get(undefined, true)).toBe(all[0]) // who has none need not wait
  vi.advanceTimersByTime(20)
  const next = await body.get(all[0]!.etag, false)
  expect(madeIn(next)).toEqual({ made: 2 })
  expect(next.etag).not.toBe(all[0]!.etag)
})

test('who waits gets a change within 50 ms, all of them the same body', async () => {
  const body = bodyThatTakes(1)
  const { etag } = await body.get(undefined, true)
  const waiting = Promise.all(Array.from({ length: 10 }, () => body.get(etag, true)))
  let done = false
  void waiting.then(() => (done = true))
  await vi.advanceTimersByTimeAsync(1_000)
  expect(done).toBe(false)
  changes++
  await vi.advanceTimersByTimeAsync(50)
  expect(done).toBe(true)
  expect(new Set((await waiting).map((one) => one.etag)).size).toBe(1)
  expect(madeIn((await waiting)[0]!)).toEqual({ made: 2 })
})

/** How often it is made within a minute in which it is asked for all the time. */
async function madeInAMinute(tookMs: number, changesAll: boolean): Promise<number> {
  const body = bodyThatTakes(tookMs)
  await body.get(undefined, false)
  for (const beganMs = Date.now(); Date.now() - beganMs < 60_000; vi.advanceTimersByTime(10)) {
    if (changesAll) changes++
    await body.get(undefined, false)
  }
  return made - 1
}

test('one that is costly is made for a hundredth of the time at most while everything changes, else a four-hundredth', async () => {
  expect(await madeInAMinute(15, true)).toBeGreaterThan(35)
  expect(await madeInAMinute(15, true)).toBeLessThanOrEqual(60_000 / 100 / 15)
  expect(await madeInAMinute(15, false)).toBeGreaterThan(7)
  expect(await madeInAMinute(15, false)).toBeLessThanOrEqual(60_000 / 400 / 15)
})

test('however long it takes, it is 2 s late after a change, and 20 s old without one', async () => {
  expect(await madeInAMinute(500, true)).toBeGreaterThan(20)
  expect(await madeInAMinute(500, false)).toBe(2)
})

test('a wait without a change ends with the same body, before the connection does', async () => {
  const body = bodyThatTakes(30) // so that it is not old before 12 s
  const { etag } = await body.get(undefined, true)
  const waiting = body.get(etag, true)
  await vi.advanceTimersByTimeAsync(8_100)
  expect((await waiting).etag).toBe(etag)
})

test('a body that cannot be made is an error to all who wait, and is tried again', async () => {
  let fails = false
  const body = new SharedBody(
    () => {
      if (fails) throw new Error('a bug')
      return {}
    },
    () => String(changes),
  )
  const { etag } = await body.get(undefined, true)
  const waiting = body.get(etag, true)
  const failed = expect(waiting).rejects.toThrow('a bug')
  fails = true
  changes++
  await vi.advanceTimersByTimeAsync(100)
  await failed
  fails = false
  expect((await body.get(etag, false)).etag).not.toBe(etag)
})
