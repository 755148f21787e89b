/**
 * The dashboards of deploy/grafana: each query is evaluated by a real Prometheus over series of every metric, and finds something; its
 * labels, and those of its legend, are the metric's.
 */
import { execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { once } from 'node:events'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { DASHBOARDS, dashboardText, FOLDER } from '../../scripts/dashboards.ts'
import { METRICS } from '../../src/api/metrics.ts'
import { ALARMS, RECORDS } from '../support/alarms.ts'
import { until } from '../support/until.ts'

const ROOT = resolve(import.meta.dirname, '../..')

interface PanelJson {
  readonly id: number
  readonly type: string
  readonly title: string
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number }
  readonly links?: readonly { readonly url: string }[]
  readonly targets?: readonly { readonly expr: string; readonly legendFormat: string }[]
  readonly fieldConfig?: {
    readonly defaults: {
      readonly unit: string
      readonly thresholds: { readonly steps: readonly { readonly value: number | null }[] }
    }
  }
}
interface DashboardJson {
  readonly uid: string
  readonly title: string
  readonly links: readonly { readonly title: string; readonly url: string }[]
  readonly templating: {
    readonly list: readonly { readonly name: string; readonly type: string; readonly definition?: string }[]
  }
  readonly annotations: { readonly list: readonly { readonly expr: string }[] }
  readonly panels: readonly PanelJson[]
}

const files = readdirSync(FOLDER).filter((file) => file.endsWith('.json'))
const all: readonly DashboardJson[] = files.map((file) => JSON.parse(readFileSync(join(FOLDER, file), 'utf8')))

interface Asked {
  readonly where: string
  readonly expr: string
  readonly legend: string
}
const queries: readonly Asked[] = all.flatMap(({ title, panels, annotations }) => [
  ...panels.flatMap((panel) =>
    (panel.targets ?? []).map(({ expr, legendFormat }) => ({
      where: `${title}, ${panel.title}`,
      expr,
      legend: legendFormat,
    })),
  ),
  ...annotations.list.map(({ expr }) => ({ where: `${title}, annotations`, expr, legend: '' })),
])

/** Label → metrics’ own, with what Prometheus adds. */
const LABELS = new Map<string, readonly string[]>([
  ...Object.entries(METRICS).map(([name, { labels }]) => [name, ['job', 'instance', ...labels]] as const),
  ...RECORDS.map(({ record }) => [record, ['service', 'site']] as const),
  ['ALERTS', ['alertname', 'alertstate', 'severity', 'instance', 'site', 'service']],
])
const METRIC = /\b(?:meridian[_:][a-z0-9_:]+|ALERTS)\b/g
const metricsOf = (expr: string): string[] => [...expr.matchAll(METRIC)].map(([name]) => name)

test('the files are those that npm run dashboards writes', () => {
  expect(files.toSorted()).toEqual(Object.keys(DASHBOARDS).toSorted())
  for (const file of files)
    expect(readFileSync(join(FOLDER, file), 'utf8'), file).toBe(dashboardText(DASHBOARDS[file]!))
})

describe.each(all)('$title', ({ uid, links, panels, templating }) => {
  test('has an id of its own, and leads to the others and to the runbooks', () => {
    expect(all.filter((other) => other.uid === uid)).toHaveLength(1)
    const others = all.filter((other) => other.uid !== uid)
    const led = [...others.map((other) => `/d/${other.uid}`), '${docs}/runbooks.md']
    expect(links.map(({ url }) => url).toSorted()).toEqual(led.toSorted())
    expect(templating.list.map(({ name }) => name)).toEqual(expect.arrayContaining(['datasource', 'docs']))
  })

  test('its panels have numbers of their own, do not overlap, and stay within 24 columns', () => {
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length)
    const taken = new Map<string, string>()
    for (const { title, gridPos } of panels) {
      expect(gridPos.x + gridPos.w, title).toBeLessThanOrEqual(24)
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++)
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
          expect(taken.get(`${x} ${y}`), `${title} is above another panel`).toBeUndefined()
          taken.set(`${x} ${y}`, title)
        }
    }
  })

  test('its panels have units, lead to runbooks of alarms, and are red from where those fire', () => {
    for (const { type, title, fieldConfig, links: own = [] } of panels.filter((panel) => panel.type !== 'row')) {
      expect(fieldConfig?.defaults.unit, `${type} ${title}`).toMatch(/^\w+$/)
      const alarms = own.map(({ url }) =>
        ALARMS.find(({ alert }) => url === `\${docs}/runbooks.md#${alert.toLowerCase()}`),
      )
      expect(alarms, title).not.toContain(undefined)
      const limits = fieldConfig!.defaults.thresholds.steps.map(({ value }) => value).filter((value) => value !== null)
      for (const limit of limits.filter((value) => value > 2 || !Number.isInteger(value))) {
        const exprs = alarms.map((alarm) =>
          alarm!.expr.replaceAll(/(\d+) \* 86400/g, (_, days) => `${86_400 * Number(days)}`),
        )
        expect(exprs.join(' '), title).toMatch(new RegExp(`[<>] ${limit}\\b`))
      }
    }
  })
})

test('each query has metrics that there are, with labels that they have', () => {
  expect(queries.length).toBeGreaterThan(100)
  for (const { where, expr } of queries) {
    const names = metricsOf(expr)
    expect(names.length, where).toBeGreaterThan(0)
    for (const name of names) expect(LABELS.has(name), `${where}: ${name}`).toBe(true)
    for (const [, name = '', matchers = ''] of expr.matchAll(/([\w:]+)\{([^}]*)\}/g))
      for (const [, label] of matchers.matchAll(/(\w+)\s*(?:=~|!=|!~|=)"/g))
        expect(LABELS.get(name), where).toContain(label)
    const some = names.flatMap((name) => LABELS.get(name) ?? [])
    for (const [, list = ''] of expr.matchAll(/\b(?:by|on) \(([^)]*)\)/g))
      for (const label of list.split(', ').filter(Boolean)) expect(some, where).toContain(label)
  }
})

test('values that are asked for are written somewhere in the code', () => {
  const folders = ['src/api', 'src/health', 'src']
  const code = folders
    .flatMap((folder) => readdirSync(join(ROOT, folder)).map((file) => join(ROOT, folder, file)))
    .filter((file) => file.endsWith('.ts'))
    .map((file) => readFileSync(file, 'utf8'))
    .join('\n')
  for (const { where, expr } of queries)
    for (const [, label, value = ''] of expr.matchAll(/(\w+)!?="([^"$]+)"/g))
      if (label !== 'alertstate') expect(code.includes(`'${value}'`), `${where}: ${label}="${value}"`).toBe(true)
})

test('each metric is on a panel', () => {
  const shown = new Set(queries.flatMap(({ expr }) => metricsOf(expr)))
  expect([...Object.keys(METRICS), ...RECORDS.map(({ record }) => record)].filter((name) => !shown.has(name))).toEqual(
    [],
  )
})

/** Every combination of values of labels. */
const combinations = (labels: readonly (readonly [string, readonly string[]])[]): string[][] =>
  labels.reduce<string[][]>(
    (rows, [label, values]) => rows.flatMap((row) => values.map((value) => [...row, `${label}="${value}"`])),
    [[]],
  )

/** Series of every metric, for ten minutes before `endS`, with each value of a label that some query asks for. */
function openMetrics(endS: number): string {
  const asked = new Map<string, Set<string>>()
  for (const { expr } of queries)
    for (const [, label = '', value = ''] of expr.matchAll(/(\w+)!?="([^"$]+)"/g))
      asked.set(label, (asked.get(label) ?? new Set()).add(value))
  const lines: string[] = []
  for (const [name, labels] of LABELS) {
    const values = labels.map((label) => {
      const value = label === 'alertname' ? 'MeridianBug' : `a ${label}`
      return [label, [...(asked.get(label) ?? []), value]] as const
    })
    for (const row of combinations(values))
      for (let s = -600; s <= 0; s += 30)
        lines.push(
          `${name}{${row.join()}} ${name.endsWith('_total') ? s + 1000 : name === 'meridian_member_state' ? 1 : 0.5} ${endS + s}`,
        )
  }
  return `${lines.join('\n')}\n# EOF\n`
}

/** Of Prometheus' API. */
interface Answer {
  readonly status: string
  readonly error?: string
  readonly data?: { readonly result: readonly { readonly metric: Readonly<Record<string, string>> }[] }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  return typeof address === 'object' ? address!.port : 0
}

describe('a real Prometheus', () => {
  const folder = mkdtempSync(join(tmpdir(), 'meridian-dashboards-'))
  const endS = Math.floor(Date.now() / 1000) - 3 * 3600
  let url: string
  let stop: () => Promise<unknown>

  beforeAll(async () => {
    const samples = join(folder, 'samples')
    writeFileSync(samples, openMetrics(endS))
    const data = join(folder, 'data')
    execFileSync('promtool', ['tsdb', 'create-blocks-from', 'openmetrics', '--quiet', samples, data])
    const config = join(folder, 'prometheus.yaml')
    writeFileSync(config, '{}')
    const listen = `127.0.0.1:${await freePort()}`
    url = `http://${listen}/api/v1`
    const args = [`--config.file=${config}`, `--storage.tsdb.path=${data}`, `--web.listen-address=${listen}`]
    const prometheus = spawn('prometheus', [...args, '--log.level=error'], { stdio: ['ignore', 'ignore', 'inherit'] })
    stop = async () => {
      const ended = once(prometheus, 'exit')
      prometheus.kill()
      await ended
    }
    await until('Prometheus answers', async () => {
      const response = await fetch(`http://${listen}/-/ready`).catch(() => undefined)
      return response?.ok === true ? true : undefined
    })
  })
  afterAll(async () => {
    await stop()
    rmSync(folder, { recursive: true })
  })

  /** As Grafana would ask, with all values of its variables. */
  async function ask(expr: string): Promise<readonly { readonly metric: Readonly<Record<string, string>> }[]> {
    const query = expr.replaceAll('$__rate_interval', '2m').replaceAll(/"\$\w+"/g, '".*"')
    const response = await fetch(`${url}/query?${String(new URLSearchParams({ query, time: `${endS}` }))}`)
    const answer: Answer = JSON.parse(await response.text())
    if (answer.status !== 'success') throw new Error(`${query}: ${answer.error}`)
    return answer.data!.result
  }

  test('finds something for every query, with the labels of its legend', async () => {
    for (const { where, expr, legend } of queries) {
      const found = await ask(expr)
      if (legend !== '' || !expr.startsWith('changes(')) expect(found.length, `${where}: ${expr}`).toBeGreaterThan(0)
      for (const [, label = ''] of legend.matchAll(/\{\{(\w+)\}\}/g))
        for (const { metric } of found) expect(metric, `${where}: ${legend}`).toHaveProperty(label)
    }
  })

  test('finds values for every variable', async () => {
    const asked = all.flatMap(({ templating }) => templating.list.filter(({ type }) => type === 'query'))
    expect(asked.map(({ name }) => name).toSorted()).toEqual(['node', 'prober', 'service'])
    for (const { definition = '' } of asked) {
      const [, metric = '', label = ''] = /^label_values\((\w+), (\w+)\)$/.exec(definition)!
      const found = await ask(`count by (${label}) (${metric})`)
      expect(found.length, definition).toBeGreaterThan(0)
      for (const { metric: labels } of found) expect(labels).toHaveProperty(label)
    }
  })
})
