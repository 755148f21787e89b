/** Databases are decoded only where there is memory for it. */
import { expect, test } from 'vitest'
import { decodingBytes, hasRoom } from '../../src/geo/room.ts'
import type { Problem } from '../../src/problem.ts'

const MB = 1 << 20
/** DB-IP City of 2026-06: measured, decoding it took 312 MB, its files included. */
const DBIP = [
  { path: 'v4.mmdb', nodeCount: 6_324_797 },
  { path: 'v6.mmdb', nodeCount: 8_434_239 },
]

test('what it takes is what was measured, and some', () => {
  expect(decodingBytes(DBIP) / MB).toBeGreaterThan(200)
  expect(decodingBytes(DBIP) / MB).toBeLessThan(320)
})

test('below it the database is refused with what is needed, before it is decoded', () => {
  const problems: Problem[] = []
  const told = (limit: number | undefined) => hasRoom(DBIP, (problem) => void problems.push(problem), limit, 200 * MB)
  expect([told(undefined), told(600 * MB), told(400 * MB)]).toEqual([true, true, false])
  expect(problems).toEqual([
    expect.objectContaining({
      code: 'geo-memory',
      severity: 'error',
      file: 'v4.mmdb, v6.mmdb',
      message: expect.stringMatching(/^decoding it takes \d+ MB, and of the 400 MB .* 200 are left: it is not used$/),
      hint: expect.stringMatching(/^Raise the memory limit to \d+ MB or more/),
    }),
  ])
})

test('without databases there is always room', () => {
  expect(hasRoom([], () => expect.unreachable(), 1, 2)).toBe(true)
})
