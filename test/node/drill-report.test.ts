/** Reports of drills: whose answers are counted, and what is read of older files. */
import { expect, test } from 'vitest'
import type { NodeStatus } from '../../src/health/node-health.ts'
import { beginReport, measure, type Measured, type OwnRates, readReport } from '../../src/node/drill-report.ts'
import { snapshot } from '../cli/fleet.ts'

const REQUEST = { pattern: 'fra', forMs: 60_000, abortIf: [], who: 'kim', why: 'quarterly' } as const
const ratesOf = (queriesPerSecond: number, sites: Readonly<Record<string, number>>): OwnRates => ({
  queriesPerSecond,
  sites: Object.entries(sites).map(([site, answersPerSecond]) => ({ site, answersPerSecond })),
})
const node = (name: string, rates: OwnRates, more: Partial<NodeStatus> = {}): NodeStatus => {
  const one = snapshot.nodes[0]!
  return { ...one, self: false, live: true, beat: { ...one.beat, node: { ...one.beat.node, name }, rates }, ...more }
}
const at = (rates: OwnRates, ...nodes: readonly NodeStatus[]): Measured => ({ self: 'a', rates, nodes, services: [] })
const begin = (measured: Measured) => beginReport(REQUEST, new Set(), measured)

test('a node that falls silent is counted no longer, and is named', () => {
  const theirs = ratesOf(7, { fra: 5 })
  const before = begin(at(ratesOf(10, { fra: 10 }), node('b', theirs)))
  expect(before.nodes).toEqual({ counted: ['a', 'b'], missing: [] })
  const after = measure(before, at(ratesOf(10, { fra: 4 }), node('b', theirs, { live: false })), 1_000)
  expect(after.answers).toMatchObject([{ before: 15, last: 4 }])
  expect(after.nodes).toEqual({ counted: ['a', 'b'], missing: ['b'] })
})

test('what a node hears of itself is not counted: it knows better', () => {
  const own = ratesOf(10, { fra: 10 })
  for (const heard of [node('a', ratesOf(9, { fra: 9 }), { self: true }), node('a', ratesOf(9, { fra: 9 }))])
    expect(begin(at(own, heard))).toMatchObject({ answers: [{ before: 10 }], queries: { before: 10 } })
})

test('a site is left when it has a tenth of its answers; not one that had none', () => {
  let report = begin(at(ratesOf(10, { fra: 50, sin: 0 })))
  for (const [i, fra] of [25, 5, 6, 5].entries()) report = measure(report, at(ratesOf(10, { fra, sin: 0 })), i)
  expect(report.answers.map(({ site, leftAfterMs }) => [site, leftAfterMs])).toEqual([
    ['fra', 1],
    ['sin', null],
  ])
})

test('the most queries stay, and sums of tenths are tenths', () => {
  let report = begin(at(ratesOf(0.1, { fra: 0.1 }), node('b', ratesOf(0.2, { fra: 0.2 }))))
  expect(report).toMatchObject({ answers: [{ before: 0.3 }], queries: { before: 0.3 } })
  for (const queries of [30, 20]) report = measure(report, at(ratesOf(queries, {})), 1_000)
  expect(report.queries.most).toBe(30)
})

test('a report of a version before is read, and what is none is not', () => {
  const report = begin(at(ratesOf(10, { fra: 10 })))
  const { nodes, ...older } = report
  expect(nodes.counted).toEqual(['a'])
  expect(readReport(report)).toEqual(report)
  expect(readReport(older)).toEqual({ ...report, nodes: { counted: [], missing: [] } })
  for (const key of ['pattern', 'beganMs', 'answers', 'queries'])
    expect(readReport({ ...report, [key]: undefined }), key).toBe(undefined)
})
