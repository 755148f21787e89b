/** docs/capacity.md: what it takes from the code, and the sums of its example. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { decodingBytes } from '../../src/geo/room.ts'
import { CHECK_US, costOf } from '../../src/probe/cost.ts'
import { detectionMs } from '../../src/zone/budget.ts'
import { ROOT } from '../support/docs.ts'
import { httpCheck, target } from '../support/specs.ts'

const TEXT = readFileSync(join(ROOT, 'docs/capacity.md'), 'utf8')
const MB = 1 << 20

test('the costs of checks are those that probe-overload reckons with', () => {
  const rows = [...TEXT.matchAll(/^\| (\w+) \| (\d+) \| ([\d,]+) \|$/gm)].map(([, ...row]) => row)
  const expected = Object.entries(CHECK_US).map(([type, us]) => [type, `${us}`, (1e6 / us).toLocaleString('en-US')])
  expect(rows).toEqual(expected)
})

test('decoding takes what geo-memory reckons with', () => {
  const [, largest, other, beside] =
    /(\d+) a node of the largest database, (\d+) a node of each other, and (\d+) MB/.exec(TEXT)!
  const formula = (a: number, b: number): number => Number(largest) * a + Number(other) * b + Number(beside) * MB
  expect(decodingBytes([{ nodeCount: 8_400_000 }, { nodeCount: 6_300_000 }])).toBe(formula(8_400_000, 6_300_000))
})

test('the example is computed as the code does', () => {
  const https = httpCheck({ type: 'https', intervalMs: 5000, timeoutMs: 2000, fastMs: 1000, fall: 3 })
  const targets = 200 * 8 * 2
  const own = (targets * 3) / (6 - 1)
  const cost = costOf(Array.from({ length: own }, (_, i) => target(`t${i}`, https)))
  expect(TEXT).toContain(
    `= ${targets.toLocaleString('en-US')} targets. A prober has 3,200 × 3 / (6 − 1) = ${own.toLocaleString('en-US')} of them when one is dead: ` +
      `${Math.round(cost.checksPerSecond)} checks a second, ${cost.cores.toFixed(2)} cores`,
  )
  const nodes = [8_400_000, 6_300_000]
  const [decoding, kept] = [decodingBytes(nodes.map((nodeCount) => ({ nodeCount }))), 8 * (nodes[0]! + nodes[1]!)]
  const rest = 90 + 46 + 7 + 2 + 32
  expect(TEXT).toContain(`decoding takes ${Math.round(decoding / MB)} MB, of which ${Math.round(kept / MB)} MB stay`)
  expect(TEXT).toContain(
    `that is ${rest + Math.round(kept / MB)} MB in use, and ${Math.round(decoding / MB) + 90} MB at a first start`,
  )
  expect(TEXT).toContain(`found within ${(detectionMs(https) / 1000).toFixed(1)} s`)
  expect(TEXT).toContain(
    `${((targets * 3 * 120) / 1e6).toFixed(1)} MB; 12 processes make ${Math.round(12 * 0.33)} KB/s into it and ${Math.round(12 * 12 * 0.18)} KB/s out of it`,
  )
})
