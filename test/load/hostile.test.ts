/**
 * Files that are small, or soon written, and whose load would be large: each is refused with its place and what to do, in little
 * time and memory, or loads. What took minutes here before its bound was set fails by this suite's own time limits.
 */
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type LoadResult, loadFolder } from '../../src/load/load.ts'
import { formatProblem, type Problem } from '../../src/problem.ts'
import { Source } from '../../src/yaml/source.ts'
import { parseYaml } from '../../src/yaml/tree.ts'
import { deadRules } from '../../src/zone/rules.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'meridian-hostile-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

const NS = '"": {type: NS, values: [ns1.example.net.]}\n'
const repeat = (count: number, line: (i: number) => string): string =>
  Array.from({ length: count }, (_, i) => line(i)).join('')
const RECORD = (i: number): string => `n${i}: {type: A, value: 192.0.2.1}\n`
const FAULT = (i: number): string => `n${i}: {type: A, value: x}\n`
const SITES = 'fra: {location: [50.11, 8.68], region: eu}\n'

function load(files: Readonly<Record<string, string>>, previous?: LoadResult): Promise<LoadResult> {
  const written = { 'defaults.yaml': 'soa: {serial: 1}\n', ...files }
  for (const [name, text] of Object.entries(written)) writeFileSync(join(folder, name), text)
  return loadFolder(folder, previous)
}

/** `file:line:column code`, errors alone. */
const brief = ({ problems }: LoadResult): string[] =>
  problems
    .filter(({ severity }) => severity === 'error')
    .map(({ file, line, column, code }) => `${basename(file)}:${line}:${column} ${code}`)

const codes = (loaded: LoadResult): string[] => [...new Set(loaded.problems.map(({ code }) => code))]
const first = (loaded: LoadResult): string => formatProblem(loaded.problems[0]!)

const siteName = (i: number): string => `site-${'abcdefghij'.repeat(5)}-${i}`
const backslashes = (count: number): string => `'${'\\'.repeat(count)}x': {type: A, value: 192.0.2.1}\n`
const ruleOf = (asns: readonly number[]) => ({ subnets: [], asns, geos: [] })
const service = (rules: string): Readonly<Record<string, string>> => ({
  'sites.yaml': SITES,
  'services.yaml': `web:\n  sites: {fra: {vips: [192.0.2.1]}}\n  check: none\n  rules:\n${rules}`,
  'example.com.yaml': `${NS}www: {type: GSLB, service: web}\n`,
})

const loadRules = (count: number) => load(service(repeat(count, (i) => `  - {asns: [${i + 1}], order: [fra]}\n`)))

describe('includes', () => {
  test('a file that is included 60 times is parsed once, and stands in all 60 places', () => {
    const source = new Source(
      'a.yaml',
      repeat(60, (i) => `x${i}: !include big.yaml\n`),
    )
    const problems: Problem[] = []
    const big = { file: 'big.yaml', text: repeat(10, RECORD), id: '/big.yaml' }
    const tree = parseYaml(
      source,
      (problem) => problems.push(problem),
      () => big,
    )
    expect(problems).toEqual([])
    expect(source.texts.map(({ file }) => file)).toEqual(['a.yaml', 'big.yaml'])
    const values = tree?.kind === 'mapping' ? tree.entries.map(({ value }) => value) : []
    expect(values.map((value) => (value.kind === 'mapping' ? value.entries.length : 0))).toEqual(Array(60).fill(10))
    expect(source.locate(values[59]!.offset)).toEqual({ file: 'big.yaml', line: 1, column: 1 })
  })

  test('what it holds counts as often as it is included, also through others', async () => {
    const chain = Array.from(
      { length: 10 },
      (_, i) => [`c${i}.inc`, `!include [c${i + 1}.inc, c${i + 1}.inc]\n`] as const,
    )
    const leaf = `# ${'x'.repeat(100_000)}\n- {type: A, value: 192.0.2.1}\n`
    const loaded = await load({
      'example.com.yaml': `${NS}x: !include c0.inc\n`,
      ...Object.fromEntries(chain),
      'c10.inc': leaf,
    })
    expect(codes(loaded)).toEqual(['include-invalid'])
    expect(first(loaded)).toContain('this file includes too much')
  })

  test('all files together include so much and no more', async () => {
    const big = `# ${'x'.repeat(1_000_000)}\nx: {type: A, value: 192.0.2.1}\n`
    const zone = `${NS}<<: !include [${'big.inc, '.repeat(60)}]\n`
    const loaded = await load({
      ...Object.fromEntries(Array.from('abcdef', (name) => [`${name}.example.yaml`, zone])),
      'big.inc': big,
    })
    expect(brief(loaded)).toContain('f.example.yaml:2:15 include-invalid')
    expect(brief(loaded).some((line) => line.startsWith('a.example'))).toBe(false)
    expect(first(loaded)).toContain('all files together include more than 256 million characters')
  })
})

describe('faults', () => {
  test('of one file, the first thousand are told, and no more looked for', async () => {
    const loaded = await load({ 'example.com.yaml': NS + repeat(1_000, FAULT) })
    expect(loaded.problems).toHaveLength(1_000)
    const more = await load({ 'example.com.yaml': NS + repeat(1_001, FAULT) }, loaded)
    expect(more.problems).toHaveLength(1_001)
    expect(first(more)).toContain('problems-many there are more than 1,000 errors: the load stopped there')
    expect(more.problems.at(-1)).toMatchObject({ code: 'rdata-invalid', line: 1_001 })
    const mended = await load({ 'example.com.yaml': NS + repeat(1_001, RECORD) }, more)
    expect([mended.problems, mended.model?.zones.length]).toEqual([[], 1])
  })

  test('of many files together too; what was not read to its end is read again when others are mended', async () => {
    const names = Array.from({ length: 30 }, (_, i) => `z${i + 10}.example.yaml`)
    const bad = Object.fromEntries(names.map((name) => [name, NS + repeat(100, FAULT)]))
    const loaded = await load(bad)
    expect(loaded.problems).toHaveLength(1_001)
    expect(codes(loaded)).toEqual(['problems-many', 'rdata-invalid'])
    const mended = await load(Object.fromEntries(names.slice(0, 29).map((name) => [name, NS])), loaded)
    expect(brief(mended)).toHaveLength(100)
  })

  test('one fault that a thousand zones include is one', async () => {
    const zones = Array.from(
      { length: 1_001 },
      (_, i) => [`z${i}.example.yaml`, `${NS}<<: !include bad.inc\n`] as const,
    )
    expect(brief(await load({ ...Object.fromEntries(zones), 'bad.inc': FAULT(0) }))).toEqual([
      'bad.inc:1:22 rdata-invalid',
    ])
  })

  test('warnings and notices keep nothing from being served; a thousand are told', async () => {
    const loaded = await load({
      'example.com.yaml': NS + repeat(1_500, (i) => `n${i}: {type: A, value: 192.0.2.1, octodns: {lenient: true}}\n`),
    })
    expect(loaded.model?.zones).toHaveLength(1)
    expect(loaded.problems).toHaveLength(1_001)
    expect(first(loaded)).toContain('problems-many (notice) 500 more notices are not told')
  })

  test('a name that is nearly one of many', async () => {
    const loaded = await load({
      'example.com.yaml': NS,
      'sites.yaml': repeat(2_000, (i) => `${siteName(i)}: {location: [50.11, 8.68], region: eu}\n`),
      'services.yaml': `web:\n  sites: {${repeat(100, (i) => `${siteName(i)}x: {vips: [192.0.2.1]},`)}}\n  check: none\n`,
    })
    expect(codes(loaded)).toContain('site-unknown')
  })
})

describe('one file', () => {
  test.each([
    ['double quotes', `"${'a'.repeat(10_000_000)}"`, 'example.com.yaml:2:6 value-kind'],
    ['single quotes', `'${"''".repeat(1_000_000)}'`, 'example.com.yaml:2:6 value-kind'],
    ['no quotes', 'a'.repeat(1_000_000), 'example.com.yaml:2:6 value-kind'],
    ['many escapes', `"${'\\x41'.repeat(1_000_000)}"`, 'example.com.yaml:2:6 value-kind'],
    ['a TXT', `{type: TXT, value: ${'a'.repeat(1_000_000)}}`, 'example.com.yaml:2:25 rdata-invalid'],
    ['lists in lists', '['.repeat(1_000_000), 'example.com.yaml:2:105 yaml-syntax'],
    ['mappings in mappings', '{a: '.repeat(500_000), 'example.com.yaml:2:399 yaml-syntax'],
    ['a list of everything', `[${'a,'.repeat(13_000_000)}]`, 'example.com.yaml:0:0 yaml-unsupported'],
    [
      'a target of backslashes',
      `{type: CNAME, value: '${'\\'.repeat(300_000)}x'}`,
      'example.com.yaml:2:27 rdata-invalid',
    ],
  ])('%s', async (_, value, place) => {
    expect(brief(await load({ 'example.com.yaml': `${NS}www: ${value}\n` }))).toEqual([place])
  })

  test('keys of backslashes, and longer ones than any name', async () => {
    expect(brief(await load({ 'example.com.yaml': NS + backslashes(4_000) + backslashes(300_000) }))).toEqual([
      'example.com.yaml:2:1 name-invalid',
      'example.com.yaml:3:1 yaml-unsupported',
    ])
  })

  test('millions of empty lines', async () => {
    expect(brief(await load({ 'example.com.yaml': `${'\n'.repeat(2_000_000)}x: {type: A, value: x}\n` }))).toEqual([
      'example.com.yaml:2000001:1 ns-missing',
      'example.com.yaml:2000001:21 rdata-invalid',
    ])
  })

  test('twenty thousand anchors and aliases', async () => {
    const loaded = await load({ 'example.com.yaml': NS + repeat(20_000, (i) => `n${i}: &a${i} [*a${i}]\n`) })
    expect([loaded.problems.length, ...codes(loaded)]).toEqual([1_001, 'problems-many', 'yaml-unsupported'])
  })

  test('a FIFO, as a zone and included', async () => {
    execFileSync('mkfifo', [join(folder, 'pipe.example.yaml'), join(folder, 'pipe.inc')])
    const loaded = await load({ 'example.com.yaml': `${NS}x: !include pipe.inc\ny: !include ../../../dev/zero\n` })
    expect(brief(loaded)).toEqual([
      'pipe.example.yaml:0:0 file-unreadable',
      'example.com.yaml:2:13 include-invalid',
      'example.com.yaml:3:13 include-invalid',
    ])
  })

  test('fifteen hundred files that belong nowhere', async () => {
    mkdirSync(join(folder, 'inner'))
    const files = Array.from({ length: 1_500 }, (_, i) => [`f${i}`, ''] as const)
    const loaded = await load({ 'example.com.yaml': NS, ...Object.fromEntries(files) })
    expect([loaded.problems.length, ...codes(loaded)]).toEqual([1_001, 'problems-many', 'file-unknown'])
  })
})

describe('rules', () => {
  test('a thousand to a service', async () => {
    expect(brief(await loadRules(1_000))).toEqual([])
    const more = await loadRules(5_000)
    expect(brief(more)).toEqual(['services.yaml:4:3 value-invalid'])
    expect(first(more)).toContain('a service has 1000 rules at most; here are 5000')
  })

  test('those that can never match are found among a hundred thousand numbers', () => {
    const numbers = Array.from({ length: 100_000 }, (_, i) => i + 1)
    const rules = [ruleOf(numbers), ruleOf(numbers.map((one) => one + 100_000)), ruleOf(numbers)]
    expect(deadRules(rules)).toEqual([{ index: 2, by: 0 }])
  })
})
