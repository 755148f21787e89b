/** docs/abuse.md has the table that the bench prints, and what it promises of it. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { amplificationTable } from '../../bench/amplification.ts'

const table = await amplificationTable()

test('docs/abuse.md has the bytes that are sent', () => {
  const docs = readFileSync(join(import.meta.dirname, '../../../docs/abuse.md'), 'utf8').split('\n')
  const from = docs.indexOf(table[0]!)
  expect(docs.slice(from, from + table.length)).toEqual(table)
})

test('beyond a limit no response is larger than its query', () => {
  const ratios = table.slice(2).map((row) => row.split(' | ').at(-1)!.replace(' |', ''))
  expect(ratios.length).toBeGreaterThan(15)
  expect(new Set(ratios)).toEqual(new Set(['1.0']))
})
