/**
 * `meridian check` as a whole, in this process: the codes that need settings, databases or a prober beside the zones, each
 * by a folder and its twin; what the exit code is; formats, budgets and the bar.
 *
 * Generated when the test runs, for they are no text: databases (a good one, and one twice over), and of members-too-many the
 * 65,537 VIPs.
 */
import { execFileSync } from 'node:child_process'
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { isFailure } from '../../src/cli/check.ts'
import { run } from '../../src/cli/commands.ts'
import type { Terminal } from '../../src/cli/output.ts'
import { makeProgressBar } from '../../src/cli/words/progress.ts'
import { loadSettings } from '../../src/node/settings.ts'
import type { Problem } from '../../src/problem.ts'
import { COUNTRIES, writeTestDatabase } from '../support/mmdb.ts'

const repository = resolve(import.meta.dirname, '../..')
let folder = ''

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'meridian-check-'))
  cpSync(join(repository, 'test/zones'), folder, { recursive: true, verbatimSymlinks: true })
  for (const code of [
    'asn-database-missing',
    'geo-corrupt',
    'geo-coverage',
    'geo-missing',
    'geo-schema',
    'geo-unmatched',
  ]) {
    for (const kind of ['bad', 'good']) {
      writeTestDatabase(join(folder, code, kind, 'city.mmdb'), { schema: 'maxmind' })
    }
  }
  writeTestDatabase(join(folder, 'geo-schema/bad/again.mmdb'), { schema: 'flat' })
  writeTestDatabase(join(folder, 'geo-coverage/bad/city.mmdb'), { schema: 'maxmind', networks: COUNTRIES })
  for (const [kind, members] of Object.entries({ bad: 65_537, good: 65_536 })) {
    const path = join(folder, 'members-too-many', kind, 'zones/services.yaml')
    const vips = Array.from({ length: members }, (_, i) => `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`)
    writeFileSync(
      path,
      `web:\n  sites: {fra: {vips: [${vips.slice(1).join(', ')}]}, iad: {vips: [${vips[0]}]}}\n  check: none\n`,
    )
  }
})
afterAll(() => rmSync(folder, { recursive: true }))

interface Told {
  readonly code: number
  readonly out: string
  readonly err: string
}

/** A command line, what it wrote, and how it ended. */
async function meridian(args: readonly string[], terminal?: Terminal): Promise<Told> {
  const out: string[] = []
  const err: string[] = []
  const output = {
    out: (line: string) => void out.push(line),
    err: (line: string) => void err.push(line),
    ...(terminal !== undefined && { terminal }),
  }
  const code = await run(args, output, () => Promise.resolve())
  return { code, out: out.join('\n'), err: err.join('\n') }
}

const brief = (path: string, { file, line, column, severity, code }: Problem): string =>
  `${relative(path, file)}${line > 0 ? `:${line}:${column}` : ''} ${severity} ${code}`

/** Where each broken folder is broken, beside the zones. */
const PLACES: Readonly<Record<string, string>> = {
  'asn-database-missing': 'zones/services.yaml:7:7 error',
  'cache-unwritable': 'meridian.yaml/cache warning',
  'ca-unknown': 'zones warning',
  'check-address': 'zones warning',
  'drill-overlong': 'zones/drills.yaml:2:3 warning',
  'exec-unknown': 'zones warning',
  'geo-corrupt': 'meridian.yaml error',
  'geo-coverage': 'city.mmdb warning',
  'geo-missing': 'zones/services.yaml:1:1 warning',
  'geo-schema': 'again.mmdb error',
  'geo-unmatched': 'zones/services.yaml:7:7 warning',
  'geo-unreadable': 'nowhere.mmdb error',
  'header-unknown': 'zones warning',
  'members-too-many': 'zones error',
  'probe-denied': 'zones warning',
  'probe-overload': 'zones warning',
  'redis-missing': 'meridian.yaml:2:18 error',
  'tsig-key-unknown': 'zones/defaults.yaml:2:17 warning',
  'setting-invalid': 'meridian.yaml:2:10 error',
  'setting-unknown': 'meridian.yaml:2:1 error',
}

/** What is checked before anything is served: of a node the settings with its role, and then everything. */
async function problemsOf(path: string): Promise<readonly Problem[]> {
  const file = join(path, 'meridian.yaml')
  const settings = loadSettings({ file, env: {}, flags: [], role: 'serve' })
  if (settings.config === undefined) return settings.problems
  const { out } = await meridian(['check', '-c', file, '--json'])
  const told: { readonly problems: readonly Problem[] } = JSON.parse(out)
  return told.problems.filter(({ code: one }) => !one.startsWith('host-')) // those are of the machine that runs the test
}

describe.each(Object.entries(PLACES))('%s', (code, place) => {
  test('the broken folder reports it, and nothing else', async () => {
    const path = join(folder, code, 'bad')
    const problems = await problemsOf(path)
    expect(problems.map((problem) => brief(path, problem))).toEqual([`${place} ${code}`])
    expect(problems[0]!.hint, 'it says what would be right').toMatch(/\S/)
  })

  test('its twin reports nothing', async () => {
    expect(await problemsOf(join(folder, code, 'good'))).toEqual([])
  })
})

test('a zone whose transfers need a key is well where tsig.keys has it, in any case', async () => {
  const path = mkdtempSync(join(tmpdir(), 'meridian-check-'))
  cpSync(join(folder, 'tsig-key-unknown/bad'), path, { recursive: true })
  writeFileSync(join(path, 'xfr.key'), `hmac-sha256:xfr:${Buffer.alloc(32, 1).toString('base64')}\n`, { mode: 0o600 })
  const keys = (name: string): void =>
    writeFileSync(join(path, 'meridian.yaml'), `zones: zones\ntsig.keys: {${name}: xfr.key}\n`)
  keys('XFR')
  expect(await problemsOf(path)).toEqual([])
  rmSync(path, { recursive: true })
})

test('warnings are no failure unless they are taken strictly', async () => {
  const warned = join(folder, 'single-site/bad')
  expect((await meridian(['check', warned])).code).toBe(0)
  const strict = await meridian(['check', '--strict', warned])
  expect(strict.code).toBe(1)
  expect(strict.err).toContain('single-site (warning)')
  expect((await meridian(['check', '--strict', join(folder, 'single-site/good')])).code).toBe(0)
  expect((await meridian(['check', join(folder, 'key-unknown/bad')])).code).toBe(1)
  expect((await meridian(['check', '--parent', 'ns1.example.net', warned])).code).toBe(2)
})

test('--regions says where there are probers', async () => {
  const few = join(folder, 'regions-few/bad')
  expect((await meridian(['check', few])).err).toContain('regions-few (warning) service web wants DOWN from 3 regions')
  expect((await meridian(['check', '--regions', 'eu, us,ap', few])).err).not.toContain('regions-few (warning)')
  expect((await meridian(['check', '--regions', 'eu', few])).err).toContain('of which 1 is known: eu')
})

test('notices never fail a run', () => {
  const place = { file: 'a.yaml', line: 1, column: 1, message: '' }
  const notice: Problem = { code: 'octodns-ignored', severity: 'notice', ...place }
  expect(isFailure([notice], true)).toBe(false)
  expect(isFailure([notice, { ...notice, severity: 'warning' }], true)).toBe(true)
})

test('the line at fault is shown; the last line sums up', async () => {
  const { err, out } = await meridian(['check', join(folder, 'value-invalid/bad')])
  expect(err.split('\n').slice(1)).toEqual(['    6 |   answers: 9', '      |            ^'])
  expect(out).toMatch(/value-invalid\/bad: 1 error, 0 warnings$/)
})

test('lines of settings are never shown: they hold tokens and passwords', async () => {
  const path = join(folder, 'setting-invalid/bad/secret.yaml')
  writeFileSync(path, 'zones: zones\nhttp.tokn: correct-horse-battery\nhttp: {token: short-one}\n')
  for (const format of ['text', 'github', 'json']) {
    const { code, out, err } = await meridian(['check', '-c', path, '--format', format])
    expect(code).toBe(1)
    expect(out + err).toContain('setting-unknown')
    expect(out + err).not.toMatch(/horse|short-one/)
  }
})

test('JSON counts what it tells, also where the settings cannot be used', async () => {
  const bad = join(folder, 'setting-invalid/bad')
  for (const args of [['-c', join(bad, 'meridian.yaml')], [join(folder, 'ten')]]) {
    const { code, out } = await meridian(['check', ...args, '--json'])
    const told: { ok: boolean; errors: number; warnings: number; notices: number; problems: readonly Problem[] } =
      JSON.parse(out)
    expect([code, told.ok]).toEqual([1, false])
    expect(told.errors).toBeGreaterThan(0)
    expect(told.errors + told.warnings + told.notices).toBe(told.problems.length)
  }
})

test('all formats tell all problems', async () => {
  const path = join(folder, 'ten')
  const json: { ok: boolean; errors: number; problems: readonly Problem[] } = JSON.parse(
    (await meridian(['check', '--format', 'json', path])).out,
  )
  expect(json).toMatchObject({ ok: false, errors: 10 })
  expect(json.problems).toHaveLength(10)
  const github = (await meridian(['check', '--format', 'github', path])).out.split('\n')
  expect(github.filter((line) => line.startsWith('::error file='))).toHaveLength(10)
  const text = (await meridian(['check', path])).err
  for (const { code, message } of json.problems) expect(text).toContain(`${code} ${message}`)
})

test('each steered name has its budget: in JSON every one, in text by service and time', async () => {
  const path = join(repository, 'zones')
  const { budgets }: { budgets: readonly object[] } = JSON.parse((await meridian(['check', '--json', path])).out)
  expect(budgets).toEqual([
    { name: 'example.com.', service: 'web', detectMs: 11_100, spreadMs: 500, ttlMs: 60_000, totalMs: 71_600 },
    { name: 'www.example.com.', service: 'web', detectMs: 11_100, spreadMs: 500, ttlMs: 60_000, totalMs: 71_600 },
    { name: '*.apps.example.com.', service: 'web', detectMs: 11_100, spreadMs: 500, ttlMs: 30_000, totalMs: 41_600 },
  ])
  const table = (await meridian(['check', path])).out.split('\n').map((line) => line.split(/ {2,}/))
  expect(table.slice(1, 3)).toEqual([
    ['example.com. and 1 more', 'web', '11.1 s', '0.5 s', '60 s', '71.6 s', '-'],
    ['*.apps.example.com.', 'web', '11.1 s', '0.5 s', '30 s', '41.6 s', '-'],
  ])
})

test('of many services the table shows the slowest twenty', async () => {
  const path = join(folder, 'many')
  cpSync(join(folder, 'single-site/good'), path, { recursive: true })
  const sites = 'sites: {fra: {vips: [192.0.2.10]}, iad: {vips: [198.51.100.10]}}'
  const numbers = Array.from({ length: 25 }, (_, i) => i + 60)
  writeFileSync(
    join(path, 'services.yaml'),
    numbers.map((i) => `s${i}: {${sites}, check: {type: tcp, port: 1}, ttl: ${i}}\n`).join(''),
  )
  const zone = '"": {type: NS, values: [ns1.example.net., ns2.example.net.]}\n'
  writeFileSync(
    join(path, 'example.com.yaml'),
    zone + numbers.map((i) => `n${i}: {type: GSLB, service: s${i}}\n`).join(''),
  )
  const lines = (await meridian(['check', path])).out.split('\n')
  expect(lines.slice(1, 21).map((line) => line.split(/ +/)[1])).toEqual(
    numbers
      .slice(5)
      .toReversed()
      .map((i) => `s${i}`),
  )
  expect(lines[21]).toBe('… and 5 more')
})

const fake = (): { readonly written: string[]; readonly terminal: Terminal } => {
  const written: string[] = []
  return {
    written,
    terminal: { columns: 60, rows: 24, colours: false, write: (text: string) => void written.push(text) },
  }
}

describe('the bar', () => {
  test('at most ten times a second, cut to the terminal, and gone at the end', () => {
    const { written, terminal } = fake()
    let now = 0
    const bar = makeProgressBar(terminal, () => now)
    for (let parsed = 0; parsed < 1000; parsed++) {
      now = parsed // a file a millisecond
      bar.show({ parsed, files: 1000, names: 100 * parsed })
    }
    expect(written).toHaveLength(9)
    expect(written[3]).toBe('\r\u001B[K[########            ] parsed 400/1,000 files, 40,000 names'.slice(0, 4 + 59))
    bar.erase()
    bar.erase()
    expect(written.slice(9)).toEqual(['\r\u001B[K'])
  })

  test('what is quick needs none', () => {
    const { written, terminal } = fake()
    const bar = makeProgressBar(terminal, () => 0)
    bar.show({ parsed: 1, files: 2, names: 3 })
    bar.erase()
    expect(written).toEqual([])
  })

  test('on a real terminal it is drawn and erased, and nowhere else', () => {
    const path = join(folder, 'large')
    cpSync(join(folder, 'single-site/good'), path, { recursive: true })
    const names = Array.from({ length: 4000 }, (_, i) => `host-${i}: {type: A, values: [192.0.2.1]}\n`).join('')
    const text = `"": {type: NS, values: [ns1.example.net., ns2.example.net.]}\n${names}`
    for (let i = 0; i < 12; i++) writeFileSync(join(path, `zone-${i}.example.yaml`), text)
    const command = `'${process.execPath}' '${join(repository, 'src/main.ts')}' check '${path}' --node-site fra`
    const env = { ...process.env, CI: '', NO_COLOR: '', TERM: 'xterm' }
    const shown = execFileSync('script', ['-qec', command, '/dev/null'], { encoding: 'utf8', env, input: '' })
    expect(shown).toMatch(/\[#* *\] parsed \d+\/13 files, [\d,]+ names/)
    expect(shown).toContain('\r\u001B[Kfailover of ')
    const piped = execFileSync('sh', ['-c', `${command} 2>&1`], { encoding: 'utf8', env })
    expect(piped).not.toContain('\u001B')
    expect(piped).not.toContain('parsed')
  })
})
