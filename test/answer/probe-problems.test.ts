/** What zones ask of the prober that it can't give: told when they are loaded, and nothing is kept from being served. */
import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { ReachSettings } from '../../src/health/reach.ts'
import { hashTargets, type Target } from '../../src/health/target.ts'
import { costOf, overload } from '../../src/probe/cost.ts'
import type { Problem } from '../../src/problem.ts'
import { makeBuilder } from '../../src/world/build.ts'
import { checkProbe, type ProbeSettings } from '../../src/world/settings-check.ts'
import type { CheckModel } from '../../src/zone/model.ts'
import { httpCheck, timing } from '../support/specs.ts'

const REACH = { allow: [], deny: [], own: [] }
const PROBE = { threads: 1, rate: 5000, exec: [], ca: [], headers: [] }
const targets = (count: number, check: CheckModel): Target[] =>
  Array.from({ length: count }, (_, i) => ({ id: `t${i}`, check, address: '192.0.2.1', port: 443, probers: 3 }))
const found = (list: readonly Target[], more: Partial<ProbeSettings>): Problem[] => {
  const problems: Problem[] = []
  const plan = { members: [], services: [], targets: list, hash: hashTargets([]) }
  checkProbe('zones', { ...PROBE, reach: REACH, ...more }, plan, (problem) => problems.push(problem))
  return problems
}

describe('load', () => {
  test('is checks a second, and cores by the kind of check', () => {
    const http = costOf(targets(10_000, httpCheck({ intervalMs: 5000 })))
    expect(http.checksPerSecond).toBeCloseTo(2000)
    expect(http.cores).toBeCloseTo(1)
    const https = costOf(targets(2000, httpCheck({ type: 'https', intervalMs: 5000 })))
    expect([https.checksPerSecond, https.cores].map(Math.round)).toEqual([400, 1])
  })

  test('fits, or says what is too small and what to do', () => {
    const list = targets(10_000, httpCheck({ type: 'https', intervalMs: 5000 }))
    expect(overload(list, { threads: 5, rate: 2000 })).toBeUndefined()
    expect(overload(list, { threads: 4, rate: 2000 })).toEqual({
      message:
        '10000 targets ask for 2000 checks a second, which fill 5.0 cores, and this prober has 4 (probe.threads)',
      hint: 'Lengthen intervals, raise probe.threads, or add probers that share Redis',
    })
    expect(overload(list, { threads: 5, rate: 1999 })).toEqual({
      message: '10000 targets ask for 2000 checks a second, and this prober begins at most 1999 (probe.rate)',
      hint: 'Lengthen intervals, raise probe.rate, or add probers that share Redis',
    })
  })
})

describe('problems', () => {
  test('more than fits is a warning; where others probe too, the prober itself tells it', () => {
    const list = targets(10, httpCheck({ intervalMs: 1000 }))
    expect(found(list, { rate: 9 })).toMatchObject([{ code: 'probe-overload', severity: 'warning', file: 'zones' }])
    expect(found(list, { rate: 10 })).toEqual([])
    expect(found(list, { rate: 9, shared: true })).toEqual([])
  })

  test('a command that probe.exec lacks is a warning, once', () => {
    const list = targets(3, { ...timing, type: 'exec', port: 0, command: 'backup-age' })
    expect(found(list, { exec: ['backup-age'] })).toEqual([])
    expect(found(list, { exec: ['backup-agee'] })).toMatchObject([
      { code: 'exec-unknown', severity: 'warning', hint: 'Did you mean backup-agee?' },
    ])
    expect(found(list, { exec: [], reach: REACH })[0]!.hint).toContain('Add it to probe.exec')
  })
})

test('authorities and values of headers that the settings lack are warnings, each once', () => {
  const check = httpCheck({ type: 'https', ca: 'lab', headers: { Authorization: 'token', Accept: 'json' } })
  expect(found(targets(3, check), { ca: ['lab'], headers: ['token', 'json'] })).toEqual([])
  expect(found(targets(3, check), { headers: ['json', 'tokens'] })).toMatchObject([
    { code: 'ca-unknown', severity: 'warning', hint: 'Add it to probe.ca of every node that probes' },
    { code: 'header-unknown', severity: 'warning', hint: 'Did you mean tokens?' },
  ])
})

describe('what checks reach', () => {
  const MEMBER = { site: 'fra', service: 'web', drained: false, manual: false, settleMs: 0, probers: 3, regions: 1 }
  /** Members of a service with their VIP and where that is probed. */
  const told = (places: readonly (readonly [vip: string, probed: string])[], more: Partial<ReachSettings> = {}) => {
    const [one] = targets(1, httpCheck({}))
    const list = places.map(([, address], i) => ({ ...one!, id: `t${i}`, address }))
    const members = places.map(([address], i) => ({
      ...MEMBER,
      name: `fra/web/${address}`,
      address,
      targets: [`t${i}`],
    }))
    const problems: Problem[] = []
    const probe = { ...PROBE, reach: { ...REACH, ...more } }
    checkProbe('zones', probe, { members, services: [], targets: list, hash: '' }, (problem) => problems.push(problem))
    return problems.map(({ code, severity, message }) => `${severity} ${code} ${message}`)
  }

  test('what is denied is one warning, with the first reason and the members', () => {
    expect(told([['192.0.2.1', '192.0.2.1']])).toEqual([])
    const places = [1, 2, 3, 4, 5, 6, 7, 8].map((n) => [`127.0.0.${n}`, `127.0.0.${n}`] as const)
    expect(told(places.slice(0, 1))).toEqual([
      'warning probe-denied fra/web/127.0.0.1: this prober does not probe 127.0.0.1, a loopback address, unless probe.allow has 127.0.0.0/8',
    ])
    expect(told(places)[0]).toMatch(/; the same holds for fra\/web\/127\.0\.0\.2, .* and 2 more$/)
    expect(told(places, { allow: ['127.0.0.0/8'] })).toEqual([])
    expect(told([['192.0.2.1', '192.0.2.1']], { deny: ['192.0.2.0/24'] })).toHaveLength(1)
  })

  test('an address that is not the VIP is a warning unless probe.allow names it', () => {
    const places = [
      ['192.0.2.1', '10.0.0.1'],
      ['192.0.2.2', '10.0.0.1'],
      ['192.0.2.3', '192.0.2.3'],
    ] as const
    expect(told(places)).toEqual([
      'warning check-address checks go to addresses that are neither the VIP nor in probe.allow: fra/web/192.0.2.1 at 10.0.0.1, fra/web/192.0.2.2 at 10.0.0.1',
    ])
    expect(told(places, { allow: ['10.0.0.0/8'] })).toEqual([])
  })
})

const codes = async (zones: string, probe?: ProbeSettings) => {
  const { kind, problems } = await makeBuilder({ zones, city: [], ...(probe && { probe }) }).build()
  expect(kind).toBe('made')
  return problems.map(({ code }) => code).filter((code) => code.startsWith('probe'))
}

describe('the builder', () => {
  let folder = ''
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'meridian-probe-'))
    cpSync(resolve(import.meta.dirname, '../../zones'), folder, { recursive: true })
  })
  afterAll(() => rmSync(folder, { recursive: true }))

  test('asks only where there is a prober, and makes the World all the same', async () => {
    expect(await codes(folder)).toEqual([])
    expect(await codes(folder, { ...PROBE, reach: REACH })).toEqual([])
    expect(await codes(folder, { ...PROBE, rate: 0.1, reach: REACH })).toEqual(['probe-overload'])
  })
})
