/** The truth table of docs/partitions.md: every row of it is a test here, and every test a row. Three fleets run side by side. */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { describe, expect, test } from 'vitest'
import { type Fault, useFleet } from './row.ts'
import { rowsOfFailback } from './rows-failback.ts'
import { rowsOfNetwork } from './rows-network.ts'
import { rowsOfOverride } from './rows-overrides.ts'
import { rowsOfProber } from './rows-probers.ts'
import { rowsOfRedis } from './rows-redis.ts'

const titles: string[] = []
const told =
  (fault: Fault): Fault =>
  (title, body) => {
    titles.push(title)
    fault(title, body)
  }

describe.concurrent('Redis goes, and overrides', () => {
  const fault = told(useFleet())
  rowsOfRedis(fault)
  rowsOfOverride(fault)
})
describe.concurrent('the network is cut, failback by hand, and freezes', () => {
  const fault = told(useFleet())
  rowsOfNetwork(fault)
  rowsOfFailback(fault)
})
describe.concurrent('probers and checks go wrong', () => rowsOfProber(told(useFleet({ sentinel: true }))))

test('docs/partitions.md tells every row that is tested, and no other', () => {
  const text = readFileSync(resolve(import.meta.dirname, '../../../docs/partitions.md'), 'utf8')
  const rows = text
    .split('\n| fault |')
    .slice(1)
    .flatMap((rest) => rest.split('\n\n')[0]!.trimEnd().split('\n').slice(2))
  expect(rows.map((row) => row.split('|')[1]!.trim()).toSorted()).toEqual(titles.toSorted())
})
