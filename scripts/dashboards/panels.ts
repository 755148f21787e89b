/** What queries and panels of the dashboards have in common. */
import type { Panel, Query } from './grafana.ts'

/** Matchers of what is chosen. */
export const NODE = 'instance=~"$node"'
export const SERVICE = 'service=~"$service"'
export const PROBER = 'instance=~"$prober"'

/** A rate by some labels; `{{…}}` of them is the legend. */
export const rateBy = (by: string, metric: string, matchers = ''): Query => [
  `sum by (${by}) (rate(${metric}{${matchers}}[$__rate_interval]))`,
  by
    .split(', ')
    .map((label) => `{{${label}}}`)
    .join(' '),
]
/** What a node tells. */
export const perNode = (metric: string, matchers = '', legend = '{{instance}}'): Query => [
  `${metric}{${[NODE, matchers].filter(Boolean).join(', ')}}`,
  legend,
]
/** What a node tells of a service: the highest of all nodes. */
export const perService = (metric: string, legend = '{{service}}'): Query => [
  `max by (service) (${metric}{${SERVICE}})`,
  legend,
]
/** Of a number that is 0 while all is well, and whose query may find nothing. */
export const counted = (expr: string): Query => [`${expr} or vector(0)`]

/** One number. */
export const stat = (title: string, query: Query, more: Partial<Panel> = {}): Panel => ({
  title,
  type: 'stat',
  unit: 'short',
  queries: [query],
  width: 3,
  ...more,
})
/** Numbers over time. */
export const chart = (title: string, unit: string, queries: readonly Query[], more: Partial<Panel> = {}): Panel => ({
  title,
  unit,
  queries,
  ...more,
})

/** Words for 1 and 0. */
export const YES_NO = { 0: ['no', 'red'], 1: ['yes', 'green'] } as const
