/** docs/partitions.md has a row for every row that is tested, and no other. */
import { readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { expect, test } from 'vitest'

/** Its faults are no partitions: they stand in DESIGN §10's bound. */
const ELSEWHERE = ['failover.test.ts']

test('docs/partitions.md tells every row that is tested, and no other', () => {
  const files = readdirSync(import.meta.dirname).filter(
    (file) => file.endsWith('.test.ts') && !ELSEWHERE.includes(file),
  )
  const tested = files.flatMap((file) => {
    const text = readFileSync(join(import.meta.dirname, file), 'utf8')
    return [...text.matchAll(/^fault\((['"])(.*?)\1,/gm)].map(([, , title]) => title!)
  })
  const text = readFileSync(resolve(import.meta.dirname, '../../../docs/partitions.md'), 'utf8')
  const told = text
    .split('\n| fault |')
    .slice(1)
    .flatMap((rest) => {
      const table = rest.split('\n\n')[0]!.trimEnd().split('\n').slice(2)
      return table.map((line) => line.split('|')[1]!.trim())
    })
  expect(told.length).toBeGreaterThan(20)
  expect(told.toSorted()).toEqual(tested.toSorted())
})
