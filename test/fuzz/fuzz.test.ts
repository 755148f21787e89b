/** A smoke of `npm run fuzz`: a few thousand packets of a fixed seed must break nothing. */
import { expect, test } from 'vitest'
import { fuzz } from './fuzz.ts'

test('respond() stands 6,000 packets of every kind', async () => {
  const { packets, wellFormed, findings } = await fuzz(2026, (count) => count >= 6000)
  expect(findings).toEqual([])
  expect(packets).toBe(6000)
  expect(wellFormed).toBeGreaterThan(1500)
})
