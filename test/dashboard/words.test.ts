/** Numbers and times in words, as the page has them. */
import { expect, test } from 'vitest'
import { age, rate, some } from '../../dashboard/words.ts'

test.each([
  [0, '0'],
  [3.44, '3.4'],
  [42.5, '42.5'],
  [99.9, '99.9'],
  [100.4, '100'],
  [1_250.3, '1,250'],
])('a rate of %d', (perSecond, text) => expect(rate(perSecond)).toBe(text))

test.each([
  [119_000, '119 s'],
  [120_000, '2 min'],
  [3_600_000, '1 h'],
  [12_000_000, '3 h 20 min'],
  [172_800_000, '2 d'],
])('%d ms', (ms, text) => expect(age(ms)).toBe(text))

test('of names as many as there is room for, and one more rather than “1 more”', () => {
  expect(some(['fra', 'iad', 'sin'], 2)).toBe('fra, iad, sin')
  expect(some(['fra', 'iad', 'sin', 'nrt'], 2)).toBe('fra, iad and 2 more')
})
