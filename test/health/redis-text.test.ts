/** What is read from Redis may be of a newer version, or anybody's: only what this one understands whole is taken. */
import { expect, test } from 'vitest'
import { readOverrides } from '../../src/health/redis-text.ts'

const entry = { pattern: 'fra', action: 'drain', version: 1, node: 'n1', who: 'a', why: '', madeMs: 1, untilMs: null }

const read = (value: object) => readOverrides(['fra', `1 ${JSON.stringify(value)}`])

test('an override that is not whole, or of an action not known here, is left out', () => {
  expect(read(entry)).toEqual([entry])
  for (const odd of [{ action: 'reboot' }, { version: '1' }, { who: 7 }, { madeMs: null }, { untilMs: 'never' }])
    expect(read({ ...entry, ...odd }), JSON.stringify(odd)).toEqual([])
})
