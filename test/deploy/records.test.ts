/** The recording rules of deploy/prometheus, as promtool evaluates them, against what is computed here from the same numbers. */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { expect, test } from 'vitest'
import { METRICS } from '../../src/api/metrics.ts'
import { RECORDS, runPromtool } from '../support/alarms.ts'

const NODES = ['n1:8053', 'n2:8053', 'n3:8053']
const SERVICES = ['web', 'api']
const SITES = ['fra', 'iad']
const VIPS = ['192.0.2.1', '192.0.2.2']
const STAGES = ['nearest', 'spill', 'drained', 'last resort']
const STATES = ['up', 'down', 'down', 'drained'] // a whole site is down in a quarter of the cases
const PAIRS = SERVICES.flatMap((service) => SITES.map((site) => ({ service, site })))
const INTERVAL_S = 30
const AT_MINUTES = 8
const TIMES = (60 * AT_MINUTES) / INTERVAL_S
const CASES = 12

/** Whole numbers below `most`, the same in each run (a linear congruence: Knuth, TAOCP 3.3.4). */
let state = 20_261_130
function below(most: number): number {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
  return Math.floor((state / 2 ** 32) * most)
}

/** A series with its value: constant, or of a counter that grows by so much a second. */
interface Series {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
  readonly grows?: true
}

const labelsOf = (labels: Readonly<Record<string, string>>): string =>
  `{${Object.entries(labels)
    .map(([name, value]) => `${name}="${value}"`)
    .join()}}`

/** What one fleet tells. */
function fleet(): Series[] {
  const series: Series[] = []
  for (const pair of PAIRS) {
    const start = 1000 + below(200)
    for (const instance of NODES) {
      const labels = { job: 'meridian', instance, ...pair }
      if (below(4) > 0) {
        const own = start - (below(3) === 0 ? 100 + below(200) : below(10)) // an outage before, or that one
        series.push(
          { name: 'meridian_outage_start_time_seconds', labels, value: own },
          { name: 'meridian_outage_last_answer_time_seconds', labels, value: own + below(400) / 4 },
        )
      }
      for (const vip of VIPS) {
        const member = { ...labels, vip, state: STATES[below(STATES.length)]! }
        series.push({ name: 'meridian_member_state', labels: member, value: 1 })
      }
      for (const stage of STAGES)
        series.push({ name: 'meridian_answers_total', labels: { ...labels, stage }, value: below(5), grows: true })
    }
  }
  for (const instance of NODES) {
    const labels = { job: 'meridian', instance, service: 'web', site: '', stage: 'last resort' }
    series.push({ name: 'meridian_answers_total', labels, value: 3, grows: true })
  }
  return series
}

type Computed = (series: readonly Series[], service: string, site: string) => number | undefined

const NAIVE: Readonly<Record<string, Computed>> = {
  'meridian:failover_seconds': (series, service, site) => {
    const at = (instance: string, name: string): number | undefined =>
      series.find(
        ({ name: own, labels }) =>
          own === name && labels['instance'] === instance && labels['service'] === service && labels['site'] === site,
      )?.value
    const outages = NODES.flatMap((instance) => {
      const start = at(instance, 'meridian_outage_start_time_seconds')
      const last = at(instance, 'meridian_outage_last_answer_time_seconds')
      return start === undefined || last === undefined ? [] : [{ start, took: last - start }]
    })
    const newest = Math.max(...outages.map(({ start }) => start))
    const took = outages.filter(({ start }) => start > newest - 120).map((outage) => outage.took)
    return took.length === 0 ? undefined : Math.max(...took)
  },
  'meridian:dead_site_answers:rate2m': (series, service, site) => {
    const own = series.filter(({ labels }) => labels['service'] === service && labels['site'] === site)
    const isDead = NODES.some((instance) =>
      own
        .filter(({ name, labels }) => name === 'meridian_member_state' && labels['instance'] === instance)
        .every(({ labels }) => labels['state'] === 'down'),
    )
    if (!isDead) return undefined
    return own
      .filter(({ name, labels }) => name === 'meridian_answers_total' && labels['stage'] !== 'last resort')
      .reduce((sum, { value }) => sum + value, 0)
  },
}

const fleets = Array.from({ length: CASES }, fleet)

test('each record is what a naive computation has', () => {
  const found = new Map<string, number>()
  const tests = fleets.map((series) => ({
    interval: `${INTERVAL_S}s`,
    input_series: series.map(({ name, labels, value, grows }) => ({
      series: `${name}${labelsOf(labels)}`,
      values: grows === true ? `0+${value * INTERVAL_S}x${TIMES}` : `${value}x${TIMES}`,
    })),
    promql_expr_test: Object.entries(NAIVE).map(([record, computed]) => ({
      expr: record,
      eval_time: `${AT_MINUTES}m`,
      exp_samples: PAIRS.flatMap(({ service, site }) => {
        const value = computed(series, service, site)
        if (value === undefined) return []
        found.set(record, (found.get(record) ?? 0) + 1)
        return [{ labels: `${record}${labelsOf({ service, site })}`, value }]
      }),
    })),
  }))
  expect(runPromtool(tests, INTERVAL_S)).toBeUndefined()
  for (const record of Object.keys(NAIVE)) {
    expect(found.get(record), record).toBeGreaterThan(CASES)
    expect(found.get(record), record).toBeLessThan(CASES * PAIRS.length)
  }
})

test('each record has a computation here, rests on metrics that exist, and is told in docs/metrics.md', () => {
  expect(RECORDS.map(({ record }) => record)).toEqual(Object.keys(NAIVE))
  const names = RECORDS.flatMap(({ expr }) => [...expr.matchAll(/\bmeridian_[a-z_]+/g)].map(([name]) => name))
  expect(names.filter((name) => !(name in METRICS))).toEqual([])
  const docs = readFileSync(resolve(import.meta.dirname, '../../docs/metrics.md'), 'utf8')
  const rows = [...docs.matchAll(/^\| `(meridian:[a-z0-9_:]+)` \|/gm)].map(([, name]) => name)
  expect(rows).toEqual(RECORDS.map(({ record }) => record))
})
