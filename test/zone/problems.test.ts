/**
 * One folder per fault beside a valid twin: the broken one reports exactly its code, at its place, and the twin nothing.
 * Folders are copied out of this repository first, so that git knows nothing of them.
 */
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { formatProblem, type Problem, PROBLEM_CODES } from '../../src/problem.ts'
import { loadFolder } from '../../src/zone/load.ts'

const repository = resolve(import.meta.dirname, '../..')
let folder = ''

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'meridian-zones-'))
  cpSync(join(repository, 'test/zones'), folder, { recursive: true, verbatimSymlinks: true })
})
afterAll(() => rmSync(folder, { recursive: true }))

/** Where each broken folder is broken. */
const PLACES: Readonly<Record<string, string>> = {
  'below-cut': 'example.com.yaml:4:10',
  'check-timing': 'services.yaml:5:10',
  'check-unknown': 'services.yaml:5:16',
  'cname-conflict': 'example.com.yaml:5:5',
  'duplicate-key': 'example.com.yaml:4:1',
  'fence-type': 'services.yaml:6:11',
  'file-unknown': 'service.yaml',
  'file-unreadable': 'example.org.yaml',
  'gslb-conflict': 'example.com.yaml:5:5',
  'gslb-type': 'example.com.yaml:3:6',
  'key-missing': 'sites.yaml:1:1',
  'key-unknown': 'services.yaml:6:3',
  'name-duplicate': 'example.com.yaml:3:1',
  'name-invalid': 'example.com.yaml:3:1',
  'not-supported': 'services.yaml:6:3',
  'ns-missing': 'example.com.yaml:1:1',
  'ns-wildcard': 'example.com.yaml:3:10',
  'ns-without-address': 'example.com.yaml:3:44',
  'rdata-duplicate': 'example.com.yaml:3:43',
  'rdata-invalid': 'example.com.yaml:3:28',
  'resort-type': 'services.yaml:6:37',
  'rrset-duplicate': 'example.com.yaml:5:5',
  'rrset-too-large': 'example.com.yaml:4:3',
  'rule-dead': 'services.yaml:8:7',
  'rule-empty': 'services.yaml:6:11',
  'serial-unknown': '',
  'service-duplicate': 'services.yaml:1:1',
  'service-unknown': 'example.com.yaml:3:7',
  'service-without-sites': 'services.yaml:6:7',
  'site-duplicate': 'services.yaml:6:22',
  'site-unknown': 'services.yaml:6:16',
  'site-without-vips': 'services.yaml:4:17',
  'soa-in-zone': 'example.com.yaml:3:5',
  'ttl-order': 'services.yaml:6:23',
  'value-invalid': 'services.yaml:6:12',
  'value-kind': 'services.yaml:6:10',
  'vip-duplicate': 'services.yaml:4:33',
  'vip-shared': 'services.yaml:6:1',
  'vips-too-few': 'services.yaml:3:5',
  'yaml-syntax': 'example.com.yaml:4:1',
  'yaml-unsupported': 'example.com.yaml:3:24',
  'zone-duplicate': 'example.com.yaml:1:1',
  'zone-name': 'example..org.yaml',
  'zone-overlap': 'example.com.yaml:5:10',
  'zones-missing': '',
}
const WARNINGS = ['serial-unknown', 'vip-shared']

/** `file:line:column code`, the file relative to the folder that was loaded. */
function brief(loaded: string, { file, line, column, code }: Problem): string {
  const path = relative(loaded, file)
  return `${line > 0 ? `${path}:${line}:${column}` : path} ${code}`
}

describe.each(Object.entries(PLACES))('%s', (code, place) => {
  test('the broken folder reports it, and nothing else', async () => {
    const path = join(folder, code, 'bad')
    const { problems, model } = await loadFolder(path)
    expect(problems.map((problem) => brief(path, problem))).toEqual([`${place} ${code}`])
    const isWarning = WARNINGS.includes(code)
    expect(problems[0]!.severity).toBe(isWarning ? 'warning' : 'error')
    expect(model !== undefined).toBe(isWarning)
  })

  test('its twin reports nothing', async () => {
    const { problems, model } = await loadFolder(join(folder, code, 'good'))
    expect(problems.map(formatProblem)).toEqual([])
    expect(model?.zones.length).toBeGreaterThan(0)
  })
})

test('every code that the loader has is shown by a folder, and every folder is a code', () => {
  const source = readdirSync(join(repository, 'src/zone')).map((file) =>
    readFileSync(join(repository, 'src/zone', file), 'utf8'),
  )
  const codes = Object.keys(PROBLEM_CODES).filter((code) => source.some((text) => text.includes(`'${code}'`)))
  expect(Object.keys(PLACES).toSorted()).toEqual(codes.toSorted())
  expect(readdirSync(join(repository, 'test/zones')).toSorted()).toEqual([...codes, 'ten'].toSorted())
})

test('ten faults in one folder: all ten are reported, in order, each with its place', async () => {
  const path = join(folder, 'ten')
  const { problems } = await loadFolder(path)
  expect(problems.map((problem) => brief(path, problem))).toEqual([
    'defaults.yaml:1:18 key-unknown',
    'defaults.yaml:3:8 check-timing',
    'example.com.yaml:2:6 service-unknown',
    'example.com.yaml:4:26 rdata-invalid',
    'example.com.yaml:5:14 value-invalid',
    'example.net.yaml:2:1 yaml-syntax',
    'example.org.yaml:1:25 ns-without-address',
    'services/web.yaml:3:39 value-invalid',
    'services/web.yaml:4:18 value-invalid',
    'sites.yaml:2:17 value-invalid',
  ])
})

test('a problem in words: place, code, message, and what to do', async () => {
  const { problems } = await loadFolder(join(folder, 'service-unknown/bad'))
  expect(formatProblem({ ...problems[0]!, file: 'zones/example.com.yaml' })).toBe(
    'zones/example.com.yaml:3:7 service-unknown there is no service “wbe”\n    Did you mean web?',
  )
})

test('a folder that is not there is one problem, not a crash', async () => {
  const { problems, model } = await loadFolder(join(folder, 'nowhere'))
  expect(model).toBeUndefined()
  expect(problems.map(({ code }) => code)).toEqual(['file-unreadable'])
})
