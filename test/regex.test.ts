import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { compileRegex, REGEX_BYTES } from '../src/regex.ts'

const matches = (source: string, text: string): boolean => {
  const regex = compileRegex(source)
  if (typeof regex === 'string') throw new Error(regex)
  return regex.matches(Buffer.from(text))
}

test('matches anywhere, in UTF-8, within the first bytes', () => {
  expect(matches('b+$', 'aabb')).toBe(true)
  expect(matches('^b', 'aabb')).toBe(false)
  expect(matches('^bücher$', 'bücher')).toBe(true)
  expect(matches('(?i)READY', 'is ready')).toBe(true)
  expect(matches('b', `${'a'.repeat(REGEX_BYTES - 1)}b`)).toBe(true)
  expect(matches('b', `${'a'.repeat(REGEX_BYTES)}b`)).toBe(false)
})

test.each([
  ['(a', 'missing closing )'],
  [String.raw`(a)\1`, 'invalid escape sequence'],
  ['(?=a)', 'invalid or unsupported Perl syntax'],
  ['a'.repeat(256), 'more than 255 characters'],
  ['a{101}', 'it is too large'],
  ['((a{9}){9}){9}', 'it is too large'],
])('%s: %s', (source, why) => {
  expect(compileRegex(source)).toContain(why)
})

test('what takes JavaScript for ever, or makes most states, ends within a second', () => {
  const text = Array.from(randomBytes(REGEX_BYTES), (byte) => 'ab'[byte & 1]).join('')
  for (const source of ['(a|aa)+$', '(a*)*c', '(a|b|ab)*c', '(a.{1,11}b.{1,11}a|b.{1,11}a.{1,11}b)[xy]']) {
    const startMs = performance.now()
    matches(source, text)
    expect(performance.now() - startMs).toBeLessThan(1000)
  }
})
