/**
 * An incident of docs/runbooks.md as a test. The runbook is the expectation: the table of the incident's section tells what
 * the log, `status` and the alarms say, where and within which time, and this finds out whether they do.
 *
 *   | log of n1, within 3 s     | `fra/web/192.0.2.1 is down` |   a line of the log that is new since the begin
 *   | status of n1              | `! fra: 1 of 1 service`     |   among the first lines
 *   | alarms                    | `MeridianSiteDown` (page) after 30 s |   these fire, and no other
 *   | log of n1, at the end     | `fra/web/192.0.2.1 is up`   |   likewise, when the incident is over
 *
 * Quotes are compared without what differs from day to day: times, ages, numbers of milliseconds.
 */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'vitest'
import { status } from '../../../src/cli/status.ts'
import { ALARMS, ALARMS_TEXT, runPromtool } from '../../support/alarms.ts'
import { countWaits } from '../../support/cpu.ts'
import { until } from '../../support/until.ts'
import { EVERYONE, type Fleet, type NodeName, type ProberName } from './fleet.ts'
import type { Row } from './row.ts'

type Name = NodeName | ProberName

/** What a busy machine may be late. */
const SLACK_MS = 2_500
/** Only against hanging. */
const TOLD_MS = 30_000
/** Lines of `status` that an operator sees first. */
const FIRST_LINES = 10

export const RUNBOOKS: string = readFileSync(resolve(import.meta.dirname, '../../../docs/runbooks.md'), 'utf8')

/** A row of an incident's table. */
interface Told {
  readonly where: string
  readonly name: Name
  /** undefined: whenever. */
  readonly withinMs: number | undefined
  readonly quote: string
}

interface Runbook {
  readonly logs: readonly Told[]
  readonly endLogs: readonly Told[]
  readonly statuses: readonly Told[]
  /** As the table has them: `name (severity) after …`. */
  readonly alarms: readonly string[]
}

/** Reads the table of a section; throws when it has a row that nobody would check. */
export function runbookOf(title: string): Runbook {
  const section = RUNBOOKS.split(/^## /m).find((part) => part.startsWith(`${title}\n`))
  if (section === undefined) throw new Error(`docs/runbooks.md has no section “${title}”`)
  const rows = [...section.matchAll(/^\| (.*?) +\| (.*?) +\|$/gm)].map(([, where, what]) => [where!, what!] as const)
  const runbook = { logs: [] as Told[], endLogs: [] as Told[], statuses: [] as Told[], alarms: [] as string[] }
  for (const [where, what] of rows.slice(1)) {
    if (/^-+$/.test(where)) continue
    const told = /^(log|status) of (\w+)(?:, within (\d+) s|(, at the end))?$/.exec(where)
    if (where === 'alarms') runbook.alarms.push(...(what === 'none' ? [] : what.split(', ')))
    else {
      const name = EVERYONE.find((one) => one === told?.[2])
      const quote = /^`([^`]+)`$/.exec(what)?.[1]
      if (told === null || name === undefined || quote === undefined)
        throw new Error(`${title}: | ${where} | ${what} |`)
      const withinMs = told[3] === undefined ? undefined : 1000 * Number(told[3])
      const list = told[1] === 'status' ? 'statuses' : told[4] === undefined ? 'logs' : 'endLogs'
      runbook[list].push({ where, name, withinMs, quote })
    }
  }
  if (runbook.statuses.length === 0 || !rows.some(([where]) => where === 'alarms'))
    throw new Error(`${title}: a runbook quotes status and the alarms`)
  return runbook
}

/** Without line breaks, and without what differs from day to day. */
const timeless = (text: string): string =>
  text
    .replaceAll(/\n(?:! {2,})?/g, ' ')
    .replaceAll(/\d{4}-\d\d-\d\d(T[\d:.]+Z)?/g, 'DATE')
    .replaceAll(/\d\d:\d\d(:\d\d)?/g, 'TIME')
    .replaceAll(/\b[\d.]+ (ms|s|min|h|days?)\b/g, 'AGE')
    .replaceAll(/ +/g, ' ')
    .trim()

/** What the process shows first to `meridian status`; its error where it has none. */
async function firstLines(fleet: Fleet, name: Name): Promise<string> {
  const lines: string[] = []
  const options = { state: fleet.state(name), services: [], sites: [], hurt: false, json: false, all: false }
  const out = (text: string): void => void lines.push(...text.split('\n'))
  await status(options, { out, err: out }).catch((error: unknown) => lines.push(String(error)))
  return lines.slice(0, FIRST_LINES).join('\n')
}

export class Incident {
  readonly row: Row
  readonly #runbook: Runbook
  readonly #fleet: Fleet
  readonly #seen = new Map<Name, number>()
  #before: readonly Scrape[] = []
  #beganMs = 0
  #waits: () => number = () => 0

  constructor(row: Row, title: string) {
    this.row = row
    this.#fleet = row.fleet
    this.#runbook = runbookOf(title)
  }

  /** The incident begins, when no alarm fires any more: from here on times count. */
  async begins(begin: () => Promise<void> | void): Promise<void> {
    let said: string | undefined
    const isQuiet = async (): Promise<boolean> => {
      this.#before = await scrape(this.#fleet)
      said = alarmsDiffer(this.#before, this.#before, [], 1)
      return said === undefined
    }
    await until(() => `no alarm: ${said}`, isQuiet)
    this.#clock()
    await begin()
  }

  /** Waits until everything that the runbook quotes is said. `overMinutes`: how long it lasts, for the alarms. */
  async isTold(overMinutes = 15): Promise<void> {
    const { logs, statuses, alarms } = this.#runbook
    for (const { where, name, quote } of statuses) {
      let text = ''
      const shows = async (): Promise<boolean> => {
        text = timeless(await firstLines(this.#fleet, name))
        return text.includes(timeless(quote))
      }
      await until(() => `${where}: “${timeless(quote)}” in “${text}”`, shows, TOLD_MS)
    }
    let said: string | undefined
    const fire = async (): Promise<boolean> => {
      said = alarmsDiffer(this.#before, await scrape(this.#fleet), alarms.map(nameOfAlarm), overMinutes)
      return said === undefined
    }
    await until(() => `alarms: ${said}`, fire, TOLD_MS)
    for (const alarm of alarms) expect(alarm).toBe(inWords(nameOfAlarm(alarm)))
    for (const told of logs) await this.#logged(told)
  }

  /** What ends the incident. */
  ends(end: () => void): void {
    this.#clock()
    end()
  }

  /** Waits for what the runbook quotes of the end. */
  async isOver(): Promise<void> {
    for (const told of this.#runbook.endLogs) await this.#logged(told)
  }

  /** Lines that are logged before are none of this. */
  #clock(): void {
    for (const name of EVERYONE) this.#seen.set(name, this.#fleet.process(name).lines.length)
    this.#beganMs = Date.now()
    this.#waits = countWaits(this.#fleet.pids)
  }

  /** Waits for the line; that it was in time, its own time tells. */
  async #logged({ where, name, quote, withinMs }: Told): Promise<void> {
    const news = () => this.#fleet.process(name).lines.slice(this.#seen.get(name))
    const all = (): string =>
      news()
        .map(({ msg }) => msg)
        .join('\n')
    const find = () => news().find(({ msg }) => timeless(msg).includes(timeless(quote)))
    const line = await until(() => `${where}: “${quote}” in ${all()}`, find, TOLD_MS)
    if (withinMs === undefined) return
    expect(Date.parse(line.time) - this.#beganMs, `${where}: “${quote}”`).toBeLessThan(
      withinMs + SLACK_MS + this.#waits(),
    )
  }
}

const nameOfAlarm = (alarm: string): string => /^`(\w+)`/.exec(alarm)?.[1] ?? alarm

const FOR_WORDS: Readonly<Record<string, string>> = { s: 's', m: 'min', h: 'h', d: 'd' }

/** `MeridianSiteDown` (page) after 30 s, from the rule. */
function inWords(name: string): string {
  const rule = ALARMS.find(({ alert }) => alert === name)!
  const after = rule.for === undefined ? 'at once' : `after ${rule.for.slice(0, -1)} ${FOR_WORDS[rule.for.at(-1)!]}`
  return `\`${name}\` (${rule.labels.severity}) ${after}`
}

/** What Prometheus gets of a process: series with its labels → value. */
type Scrape = ReadonlyMap<string, number>

/** Longer than a scrape may take. */
const SCRAPE_MS = 2_000
const INTERVAL_S = 30
/** For so long all was well before. */
const WELL_S = 600

/** Scrapes every process; one that does not answer is `up` 0 and has no other series. Times are as in promtool's day. */
const scrape = (fleet: Fleet): Promise<readonly Scrape[]> =>
  Promise.all(
    EVERYONE.map(async (name) => {
      const labels = `job="meridian",instance="${name}:8053"`
      const aborted = new AbortController()
      const silent = sleep(SCRAPE_MS, undefined, { signal: aborted.signal }).catch(() => undefined)
      const text = await Promise.race([fleet.process(name).metrics(), silent]).catch(() => undefined)
      aborted.abort()
      if (text === undefined) return new Map([[`up{${labels}}`, 0]])
      const nowS = Date.now() / 1000
      const series = [...text.matchAll(/^(meridian_\w+)(?:\{(.*)\})? (\S+)$/gm)].flatMap(([, metric, own, value]) => {
        if (!ALARMS_TEXT.includes(metric!)) return []
        const key = `${metric}{${labels}${own === undefined ? '' : `,${own}`}}`
        return [[key, Number(value) - (metric!.endsWith('_time_seconds') ? nowS - WELL_S : 0)] as const]
      })
      return new Map([[`up{${labels}}`, 1], ...series])
    }),
  )

/** A series in promtool's notation. One that a scrape does not have any more ends at once, as in Prometheus. */
const steps = (value: number | undefined, count: number): string =>
  value === undefined ? `stale _x${count - 1}` : `${value}x${count - 1}`

/** At that minute exactly these alarms have fired in the minutes before. */
const fired = (atMinutes: number, forMinutes: number, names: readonly string[]) => ({
  expr: `group by (alertname) (max_over_time(ALERTS{alertstate="firing"}[${forMinutes}m]))`,
  eval_time: `${atMinutes}m`,
  exp_samples: names.map((name) => ({ labels: `{alertname="${name}"}`, value: 1 })),
})

/** For ten minutes as before, then as now: undefined when exactly these alarms fire, else what promtool says. */
function alarmsDiffer(
  before: readonly Scrape[],
  now: readonly Scrape[],
  alarms: readonly string[],
  overMinutes: number,
): string | undefined {
  const well = new Map(before.flatMap((one) => [...one]))
  const ill = new Map(now.flatMap((one) => [...one]))
  const wellMinutes = WELL_S / 60
  const illSteps = (60 * overMinutes) / INTERVAL_S + 2
  const input_series = [...new Set([...well.keys(), ...ill.keys()])].map((series) => ({
    series,
    values: `${steps(well.get(series), WELL_S / INTERVAL_S)} ${steps(ill.get(series), illSteps)}`,
  }))
  const promql_expr_test = [
    fired(wellMinutes - 1, wellMinutes - 1, []),
    fired(wellMinutes + overMinutes, overMinutes, alarms),
  ]
  return runPromtool([{ interval: `${INTERVAL_S}s`, input_series, promql_expr_test }], INTERVAL_S)
}
