/** What is written to a terminal. */
import { expect, test } from 'vitest'
import { wrap } from '../../src/cli/output.ts'
import { printable } from '../../src/problem.ts'

test('what comes from elsewhere steers no terminal', () => {
  expect(printable('fra\u001B[2J\u009Bm is\r down\u202E\n  Zürich → ok')).toBe(
    'fra\uFFFD[2J\uFFFDm is\uFFFD down\uFFFD\n  Zürich → ok',
  )
})

test('lines are not broken between a number and its %', () => {
  const lines = wrap(Array.from({ length: 40 }, (_, i) => `${i} % fra → ams,`).join(' ')).split('\n')
  expect(lines.length).toBeGreaterThan(4)
  expect(lines.filter((line) => line.trim().startsWith('%'))).toEqual([])
})
