/** Loads that come to nothing: a compile thread that dies is a failed load wherever loads are told. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import pino from 'pino'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { processSamples } from '../../src/api/samples.ts'
import { loadStatus } from '../../src/api/status.ts'
import { loadInWords } from '../../src/cli/words/process.ts'
import { makeHealthSpec } from '../../src/health/target.ts'
import { StartError } from '../../src/problem.ts'
import type { BuildRequest, BuildResult, ProbeTargets } from '../../src/world/build.ts'
import { loadForLog, Reloader } from '../../src/world/reloads.ts'
import { until } from '../support/until.ts'

const MADE: ProbeTargets = {
  plan: makeHealthSpec({ sites: new Map(), services: [], zones: [], drills: { drills: [], blocked: [] } }),
  zoneCount: 1,
}
const GOOD: BuildResult<ProbeTargets> = {
  kind: 'made',
  made: MADE,
  problems: [],
  parsed: 1,
  outside: [],
  stagesMs: {},
}
const DEATH = 'the compile thread died: Error [ERR_WORKER_OUT_OF_MEMORY]: JS heap out of memory'

let zones = ''
let builds: (() => Promise<BuildResult<ProbeTargets>>)[] = []
let requests: (BuildRequest | undefined)[] = []
let lines: string[] = []
beforeEach(() => {
  zones = mkdtempSync(`${tmpdir()}/meridian-loads-`)
  lines = []
  requests = []
})
afterEach(() => rmSync(zones, { recursive: true }))

const die = (): Promise<BuildResult<ProbeTargets>> => Promise.reject(new Error(DEATH))
const take = (): Promise<BuildResult<ProbeTargets>> => Promise.resolve(GOOD)

function makeLoads(...results: (() => Promise<BuildResult<ProbeTargets>>)[]): Reloader<ProbeTargets> {
  builds = results
  const log = pino({ base: null, timestamp: false }, { write: (line: string) => void lines.push(line) })
  return new Reloader<ProbeTargets>({
    compiler: {
      build(request) {
        requests.push(request)
        return builds.shift()!()
      },
      stop: () => Promise.resolve(),
    },
    zones,
    databases: [],
    use: () => {},
    describeInUse: () => 'generation 1 goes on serving',
    log,
  })
}

test('at the start it is the reason why there is none', async () => {
  const loads = makeLoads(die, die)
  const failure: unknown = await loads.loadFirst('nothing to serve').catch((error: unknown) => error)
  expect(failure).toBeInstanceOf(StartError)
  expect(failure).toMatchObject({ message: `nothing to serve: ${DEATH}`, problems: [] })
  expect([loads.failed, loads.last?.ok]).toEqual([1, false])
})

test('at the start the last good zones are served in its place, with the reason', async () => {
  const fallback = { zones: { revision: { commit: '1a2b3c4d', dirty: false }, loadedMs: 0 } }
  const loads = makeLoads(die, () => Promise.resolve({ ...GOOD, fallback }))
  const targets = await loads.loadFirst('nothing to serve')
  expect(targets).toBe(MADE)
  expect(requests.map((request) => request?.lastGood)).toEqual([false, true])
  expect([loads.ok, loads.failed, loads.last?.ok, loads.revision]).toEqual([0, 1, false, fallback.zones.revision])
  expect(loads.warnings).toEqual([
    `the zones on disk are not used (${DEATH}): serving the LAST GOOD ones of 1a2b3c4, loaded 1970-01-01T00:00:00.000Z`,
  ])
  expect(lines.map((line): unknown => JSON.parse(line))).toEqual([{ level: 50, errors: 0, msg: loads.warnings[0] }])
})

test('in a reload it is told by log, status and metrics, and the next load ends it', async () => {
  const loads = makeLoads(take, die, take)
  await loads.loadFirst('nothing to serve')
  loads.startReloads()
  loads.reload('SIGHUP')
  await until('it failed', () => loads.failed > 0)
  expect(lines.map((line): unknown => JSON.parse(line))).toEqual([
    { level: 50, why: 'SIGHUP', msg: `reload failed (SIGHUP): ${DEATH}; generation 1 goes on serving` },
  ])
  const status = loadStatus(loads.last)!
  expect(status).toMatchObject({ ok: false, why: 'SIGHUP', failure: DEATH, problems: [] })
  expect(loadInWords(status).join(' ').replaceAll(/\s+/g, ' ')).toContain(
    `(SIGHUP), FAILED: ${DEATH}; what was loaded before stays in use`,
  )
  const samples = () => processSamples({ startedAtMs: 0, readiness: { ready: true, reasons: [], warnings: [] }, loads })
  expect(samples()).toMatchObject({ meridian_reload_failing: [[1]] })
  expect(samples().meridian_reloads_total).toContainEqual([1, 'failed'])
  loads.reload('SIGHUP')
  await until('it took', () => loads.ok === 2)
  expect(requests.map((request) => request?.inUse)).toEqual([false, true, true])
  expect(loads.last).toMatchObject({ ok: true, failure: undefined })
  expect(samples()).toMatchObject({ meridian_reload_failing: [[0]] })
})

test('what failed by itself is tried again after a pause, and how long a load has taken is a metric', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
  try {
    const { promise, reject } = Promise.withResolvers<BuildResult<ProbeTargets>>()
    const loads = makeLoads(take, () => promise, take)
    const running = () =>
      processSamples({ startedAtMs: 0, readiness: { ready: true, reasons: [], warnings: [] }, loads })
        .meridian_load_running_seconds
    await loads.loadFirst('nothing to serve')
    loads.startReloads()
    expect(running()).toEqual([[0]])
    loads.reload('SIGHUP')
    await vi.advanceTimersByTimeAsync(100_000)
    expect(running()).toEqual([[100]])
    reject(new Error(DEATH))
    await vi.advanceTimersByTimeAsync(90_000)
    expect([running(), loads.failed, loads.ok]).toEqual([[[0]], 1, 1])
    await vi.advanceTimersByTimeAsync(20_000)
    expect(loads.last).toMatchObject({ ok: true, why: 'after a load that failed' })
    await loads.stopReloads()
  } finally {
    vi.useRealTimers()
  }
})

test('zones that are held back: those before keep their revision, and log, warnings and metrics say so', async () => {
  const first = { commit: '1a2b3c4d', dirty: false }
  const second = { commit: '5e6f7a8b', dirty: false }
  const web = { service: 'web', before: 'web', clients: 'ipv4', moved: 0.4, continents: [] } as const
  const zonesHeld = {
    build: 'z2',
    inUse: { revision: first, loadedMs: 0 },
    moves: { services: [{ ...web, moves: [{ from: 'fra', to: 'sin', share: 0.4 }] }], uncounted: 0 },
  }
  const report = { problems: [], parsed: 1, outside: [], stagesMs: {} }
  const problem = {
    code: 'zones-held',
    severity: 'warning',
    file: 'zones',
    line: 0,
    column: 0,
    message: 'too many',
  } as const
  const held = { ...report, kind: 'unchanged', problems: [problem], revision: second, zonesHeld } as const
  const loads = makeLoads(
    () => Promise.resolve({ ...GOOD, revision: first }),
    () => Promise.resolve(held),
    () => Promise.resolve(held),
    () => Promise.resolve({ ...report, kind: 'unchanged', revision: first }),
  )
  await loads.loadFirst('nothing to serve')
  loads.startReloads()
  loads.reload('files changed')
  await until('the hold', () => loads.unchanged === 1)
  expect([loads.revision, loads.last?.ok]).toEqual([first, true])
  const words =
    'the zones on disk of 5e6f7a8 are HELD BACK: clients move: 40.0 % of the IPv4 clients of web (40.0 % fra → sin). Serving those of 1a2b3c4, loaded 1970-01-01T00:00:00.000Z; to use the new ones: meridian zones accept'
  expect(loads.warnings).toEqual([words])
  expect(lines.map((line): unknown => JSON.parse(line))).toMatchObject([
    { level: 40, code: 'zones-held' },
    { level: 40, msg: `reload held back (files changed): generation 1 goes on serving; ${words}` },
  ])
  // the same hold is logged once
  loads.reload('SIGHUP')
  await until('the second', () => loads.unchanged === 2)
  expect(lines).toHaveLength(2)
  expect(loadForLog({ ...loads.last!, why: 'SIGHUP', ms: 5 })).toBe(' at 1a2b3c4, 1 file parsed, 5 ms')
  loads.reload('files changed')
  await until('the undoing', () => loads.unchanged === 3)
  expect([loads.warnings, loads.revision]).toEqual([[], first])
})
