/** A smoke of `npm run fuzz -- redis`: what a hostile board says, of a fixed seed, breaks nothing. */
import { expect, test } from 'vitest'
import { fuzzBoard } from './board.ts'

test('a node and a prober stand 60,000 texts of a hostile board', async () => {
  const { items, refused, findings } = await fuzzBoard(2026, (count) => count >= 60_000)
  expect(findings).toEqual([])
  expect(items).toBeGreaterThanOrEqual(60_000)
  expect(refused).toBeGreaterThan(5000)
})
