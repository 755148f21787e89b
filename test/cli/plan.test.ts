/** `meridian plan` as it is typed, in real repositories: what its sides may be, what it says, and how it ends. */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readlinkSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join, resolve } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { run } from '../../src/cli/commands.ts'
import { MOST_CHARACTERS } from '../../src/cli/words/plan-markdown.ts'
import { parseAddress } from '../../src/dns/address.ts'
import { encodeQuery } from '../../src/dns/message.ts'
import type { Plan } from '../../src/plan/plan.ts'
import { Revisions } from '../../src/plan/revision.ts'
import type { Problem } from '../../src/problem.ts'
import { lineOf } from '../../src/querylog/file.ts'
import { recordOf } from '../querylog/records.ts'
import { FIXTURE, writeTestDatabase } from '../support/mmdb.ts'

const DEFAULTS = 'soa: {mname: ns1.demo.example., rname: h.demo.example.}\n'
const SITES =
  'fra: {location: [50.11, 8.68], region: eu}\niad: {location: [38.95, -77.45], region: us}\nsin: {location: [1.36, 103.99], region: ap}\n'
const WEB = 'web:\n  sites:\n    fra: {vips: [192.0.2.1]}\n    iad: {vips: [192.0.2.2]}\n  check: none\n'
const MORE = WEB.replace('  check', '    sin: {vips: [192.0.2.3]}\n  check')
const ZONE =
  '"": {type: NS, values: [ns1.demo.example.]}\nns1: {type: A, values: [192.0.2.53]}\nwww: {type: GSLB, service: web}\n'
const ZONES = { 'defaults.yaml': DEFAULTS, 'sites.yaml': SITES, 'services.yaml': WEB, 'demo.example.yaml': ZONE }

let folder = ''
let temporary: string | undefined
let city = ''

beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'meridian-plan-test-')))
  temporary = process.env['TMPDIR']
  mkdirSync(join(folder, 'tmp'))
  process.env['TMPDIR'] = join(folder, 'tmp') // what is taken out of git is taken out here
  city = join(folder, 'city.mmdb')
  cpSync(template, folder, { recursive: true })
})

/** A repository with one commit, and a database: made once, copied for each test. */
let template = ''
beforeAll(() => {
  template = folder = mkdtempSync(join(tmpdir(), 'meridian-plan-template-'))
  writeTestDatabase(join(folder, 'city.mmdb'), { schema: 'maxmind' })
  write('repo/deep/zones', ZONES)
  git('init', '-q', '-b', 'main')
  commit('first')
})
afterAll(() => rmSync(template, { recursive: true }))
afterEach(() => {
  if (temporary === undefined) delete process.env['TMPDIR']
  else process.env['TMPDIR'] = temporary
  rmSync(folder, { recursive: true })
})

function write(at: string, files: Readonly<Record<string, string>>): void {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, at, name)), { recursive: true })
    writeFileSync(join(folder, at, name), text)
  }
}

const git = (...words: readonly string[]): string =>
  execFileSync('git', ['-c', 'user.name=t', '-c', 'user.email=t@example.com', ...words], {
    cwd: join(folder, 'repo'),
    encoding: 'utf8',
  })

function commit(message: string): void {
  git('add', '-A')
  git('commit', '-q', '-m', message)
}

const edit = (files: Readonly<Record<string, string>>): void => write('repo/deep/zones', files)

async function type(...args: readonly string[]): Promise<{ code: number; out: string; err: string }> {
  const out: string[] = []
  const err: string[] = []
  const output = { out: (line: string) => void out.push(line), err: (line: string) => void err.push(line) }
  const settings = ['--zones', join(folder, 'repo/deep/zones'), '--state', join(folder, 'state')]
  const code = await run(['plan', ...settings, ...args], output, () => Promise.resolve())
  expect(readdirSync(join(folder, 'tmp'))).toEqual([]) // however it ends, nothing stays
  return { code, out: out.join('\n'), err: err.join('\n') }
}

type Told = Plan & { readonly ok: boolean; readonly problems: readonly (Problem & { readonly side: string })[] }
async function planned(...args: readonly string[]): Promise<Told> {
  const { code, out } = await type(...args, '--geo-city', city, '--json')
  const told: Told = JSON.parse(out)
  expect(code).toBe(told.ok ? 0 : 1)
  return told
}

test('a revision against the working folder, two revisions, two folders: the same change', async () => {
  edit({ 'services.yaml': MORE })
  const working = await planned('main')
  expect(working).toMatchObject({
    ok: true,
    quiet: false,
    before: { name: 'main' },
    moves: [{ before: 'web', after: 'web' }],
  })
  expect(working.most).toBeGreaterThan(0.1)
  git('checkout', '-q', '-b', 'more')
  commit('a site more')
  git('tag', 'v1.2')
  write('old', ZONES)
  write('new', { ...ZONES, 'services.yaml': MORE })
  for (const sides of [
    ['main', 'more'],
    ['HEAD~1', 'v1.2'],
    ['main:deep/zones', 'HEAD:deep/zones'],
    [join(folder, 'old'), join(folder, 'new')],
    [join(folder, 'old'), 'more:deep/zones'],
  ]) {
    expect((await planned(...sides)).moves).toEqual(working.moves)
  }
  // a folder wins over a revision of its name
  const here = process.cwd()
  try {
    process.chdir(folder)
    write('main', { ...ZONES, 'services.yaml': MORE })
    expect(await planned('main')).toMatchObject({ quiet: true })
  } finally {
    process.chdir(here)
  }
})

test('the zones may have moved, or be gone from the work tree', async () => {
  git('mv', 'deep/zones', 'moved')
  edit({ 'README.md': '' })
  rmSync(join(folder, 'repo/deep'), { recursive: true })
  commit('moved')
  expect(await planned('HEAD~1', 'HEAD:moved')).toMatchObject({ ok: true, quiet: true })
})

test('in a hook of a linked work tree, where git names its own repository, revisions are those of the zones', async () => {
  vi.stubEnv('GIT_DIR', join(folder, 'repo/.git'))
  try {
    expect(await planned('HEAD')).toMatchObject({ ok: true, quiet: true })
  } finally {
    vi.unstubAllEnvs()
  }
})

const noteOf = (name: string): string => `${ZONE}note: {type: TXT, value: !include ${name}}\n`

test('a revision includes what lies beside the folder of zones, and nothing beyond the repository', async () => {
  write('repo/shared', { 'note.yaml': 'one' })
  write('', { 'secret.yaml': 'two' })
  edit({ 'demo.example.yaml': noteOf('../../shared/note.yaml') })
  commit('an include')
  expect(await planned('HEAD')).toMatchObject({ ok: true, quiet: true })
  edit({ 'demo.example.yaml': noteOf('../../../secret.yaml') })
  commit('out of the repository')
  const { ok, problems } = await planned('HEAD')
  expect([ok, problems.map(({ code }) => code)]).toEqual([false, ['include-invalid', 'include-invalid']])
})

test('of a revision, the zones and what they lead to are taken out, and nothing else', async () => {
  write('repo', {
    'shared/note.yaml': 'note: {type: TXT, value: !include deeper/text.yaml}',
    'shared/deeper/text.yaml': 'one',
    'shared/unused.yaml': 'two',
    'offices/lists/all.txt': '192.0.2.0/24\n',
    'video/zeros': 'zeros',
  })
  edit({
    'demo.example.yaml': `${ZONE}<<: !include link/note.yaml\n`,
    'services.yaml': WEB.replace('  check', '  rules: [{subnets: {file: lists/all.txt}, order: [iad]}]\n  check'),
    '.gitattributes': '* export-ignore\n', // which is for archives
  })
  symlinkSync('../../shared', join(folder, 'repo/deep/zones/link'))
  symlinkSync('../../offices/lists', join(folder, 'repo/deep/zones/lists'))
  symlinkSync('/etc/hostname', join(folder, 'repo/deep/zones/out.example.yaml'))
  commit('links')
  const revisions = new Revisions()
  try {
    const at = await revisions.take('main', [join(folder, 'repo/deep/zones')])
    const taken = 'taken' in at ? at.taken : ''
    const there = readdirSync(taken, { recursive: true, encoding: 'utf8' }).filter((path) => !path.includes('/zones/'))
    expect(there).toEqual(
      expect.arrayContaining(['shared/note.yaml', 'shared/deeper/text.yaml', 'offices/lists/all.txt']),
    )
    expect(there.filter((path) => path.startsWith('video'))).toEqual([])
    expect(readlinkSync(join(taken, 'deep/zones/out.example.yaml'))).toBe('/etc/hostname')
  } finally {
    revisions.end()
  }
  const { ok, problems } = await planned('HEAD')
  const told = problems.filter(({ side }) => side === 'new').map(({ code, file }) => [code, basename(file)])
  expect(problems.filter(({ side }) => side === 'old')).toHaveLength(told.length)
  expect([ok, told]).toEqual([
    false,
    [
      ['file-unreadable', 'out.example.yaml'],
      ['file-unknown', 'lists'],
    ],
  ])
})

/** A commit of a tree with these entries, of which git itself would make none. */
function commitOf(...entries: readonly (readonly [mode: string, name: string, hash: string])[]): string {
  const raw = entries.map(([mode, name, hash]) => [Buffer.from(`${mode} ${name}\0`), Buffer.from(hash, 'hex')])
  const input = Buffer.concat(raw.flat())
  const options = { cwd: join(folder, 'repo'), input }
  const tree = execFileSync('git', ['hash-object', '-t', 'tree', '-w', '--stdin', '--literally'], options)
  return git('commit-tree', '-m', 'strange', tree.toString().trim()).trim()
}

const hash = (name: string): string => git('rev-parse', name).trim()

test('what a revision holds is summed before any of it is written, and no file leads out of its folder', async () => {
  const blob = (input: string | Buffer): string =>
    execFileSync('git', ['hash-object', '-w', '--stdin'], { cwd: join(folder, 'repo'), input })
      .toString()
      .trim()
  const zeros = blob(Buffer.alloc(16 << 20))
  const many = Array.from({ length: 36 }, (_, i) => ['100644', `z${i}.example.yaml`, zeros] as const)
  const heavy = await type(`${commitOf(...many)}:`)
  expect(heavy).toMatchObject({ code: 1, out: '' })
  expect(heavy.err).toContain('cannot be taken out of git: its zones and what they include have 576 MiB, more than 512')

  const note = blob('x: {type: TXT, value: a}\n')
  const inner = hash('HEAD:deep/zones')
  const out = blob(join(folder, 'escaped'))
  const linked = hash(
    `${commitOf(['120000', 'link', out], ['40000', 'b', hash(`${commitOf(['120000', 'link', out])}^{tree}`)])}^{tree}`,
  )
  mkdirSync(join(folder, 'escaped'))
  for (const [strange, message] of [
    [commitOf(['40000', '..', inner]), 'a file that no checkout makes: ../'],
    [commitOf(['40000', '.GIT', inner]), 'a file that no checkout makes: .GIT/'],
    [commitOf(['100644', '../x', note]), 'a file that no checkout makes: ../x'],
    [commitOf(['120000', 'a', out], ['40000', 'a', inner]), 'EEXIST'],
    [commitOf(['120000', 'a', out], ['40000', 'a', linked]), 'a file that no checkout makes: a/'],
    [commitOf(['40000', 'a', linked], ['120000', 'a', out]), 'a file that no checkout makes: a/'],
  ] as const) {
    const { code, err } = await type(`${strange}:`)
    expect([code, err]).toEqual([1, expect.stringContaining(message)])
  }
  expect(readdirSync(join(folder, 'escaped'))).toEqual([])

  // a tree of trees of trees: 10 entries each, 10 deep
  let bomb = note
  for (let depth = 0; depth < 10; depth++) {
    const mode = depth === 0 ? '100644' : '40000'
    bomb = hash(`${commitOf(...Array.from({ length: 10 }, (_, i) => [mode, `f${i}`, bomb] as const))}^{tree}`)
  }
  const endless = await type(`${commitOf(['40000', 'zones', bomb])}:zones`)
  expect(endless.err).toContain('cannot be taken out of git: it prints more than 64 MiB')
})

test('nothing to report is one line', async () => {
  edit({ 'demo.example.yaml': `# a remark\n${ZONE}` })
  expect(await type('main')).toEqual({ code: 0, out: 'no record and no client changes', err: '' })
  expect((await type('main', '--format', 'markdown')).out).toBe('**Meridian:** no record and no client changes')
})

test('text and Markdown begin with what matters', async () => {
  edit({ 'services.yaml': MORE, 'demo.example.yaml': `${ZONE}note: {type: TXT, value: "a | b <i>`.concat('`x`"}\n') })
  const { out, code } = await type('main', '--geo-city', city)
  expect(code).toBe(0)
  const lines = out.split('\n')
  expect(lines[0]).toMatch(/^[\d.]+ % of the IPv\d clients of web \(A\) move; records: 1 added$/)
  expect(lines).toContain('  ~ service web: site sin added')
  expect(lines).toContain('  +  note.demo.example.  TXT  3600 "a | b <i>`x`"')
  expect(out).toMatch(
    /^web \(www\.demo\.example\.; A\): [\d.]+ % of IPv4 clients move: [\d.]+ % fra → sin, [\d.]+ % iad → sin;/m,
  )
  expect(out).toMatch(/^ {4}site +load before +after +capacity/m)
  const markdown = (await type('main', '--geo-city', city, '--format', 'markdown')).out
  expect(markdown).toMatch(/^\*\*Meridian:\*\* [\d.]+ % of the IPv\d clients of web \(A\) move; records: 1 added\n/)
  expect(markdown.match(/<details>/g)).toHaveLength(markdown.match(/<\/details>/g)!.length)
  expect(markdown).toContain('| added | <code>note.demo.example.</code> | TXT |')
  expect(markdown).not.toContain('<i>')
  // the same plan is the same text
  expect((await type('main', '--geo-city', city, '--format', 'markdown')).out).toBe(markdown)
})

test('a comment is never longer than GitHub takes, and says what is missing', async () => {
  const services = Array.from({ length: 60 }, (_, i) => `s${i}`)
  const yaml = (sites: string): string =>
    services.map((name) => `${name}:\n  sites: {${sites}}\n  check: none\n`).join('')
  const names = services.map((name) => `${name}: {type: GSLB, service: ${name}}\n`).join('')
  const records = Array.from({ length: 5_000 }, (_, i) => `r${i}: {type: TXT, value: ${'x'.repeat(100)}}\n`).join('')
  const two = 'fra: {vips: [192.0.2.1]}, iad: {vips: [192.0.2.2]}'
  write('old', { ...ZONES, 'services.yaml': WEB + yaml(two), 'demo.example.yaml': ZONE + names })
  write('new', {
    ...ZONES,
    'services.yaml': WEB + yaml(`${two}, sin: {vips: [192.0.2.3]}`),
    'demo.example.yaml': ZONE + names + records,
  })
  const sides = [join(folder, 'old'), join(folder, 'new'), '--geo-city', city]
  const { out } = await type(...sides, '--format', 'markdown')
  expect(out.length).toBeLessThanOrEqual(MOST_CHARACTERS)
  expect(out.length).toBeGreaterThan(MOST_CHARACTERS / 2)
  expect(out).toMatch(/\n\d+ more sections are too long for a comment/)
  const { out: text } = await type(...sides)
  expect(text).toContain('… and 4,980 more')
  expect(text.length).toBeLessThan(200_000)
  const whole = await planned(...sides.slice(0, 2))
  expect([whole.records.list.length, whole.records.added, whole.moves.length]).toEqual([5_000, 5_000, 60])
})

test('databases are compared on the zones that there are', async () => {
  const other = join(folder, 'other.mmdb')
  const networks = FIXTURE.filter(({ continent }) => continent !== 'NA')
  writeTestDatabase(other, { schema: 'maxmind', networks, buildEpoch: 1_790_000_001 })
  const told = await planned('--geo', city, other)
  expect(told).toMatchObject({
    ok: true,
    records: { added: 0 },
    services: [],
    moves: [{ before: 'web', after: 'web' }],
  })
  expect(told.moves[0]!.measures[0]!.moves).toMatchObject([{ from: 'iad', to: 'fra' }])
  expect(told.moves[0]!.measures[0]!.continents.map(({ place }) => place)).toEqual(['NA'])
  edit({ 'services.yaml': MORE })
  expect((await planned('--geo', city, other, 'main')).services).toHaveLength(1)
  expect(await planned('--geo', city, city)).toMatchObject({ quiet: true })
})

test('a site dead or drained on the new side', async () => {
  const dead = await planned('--down', 'iad')
  expect(dead).toMatchObject({ down: ['iad'], quiet: false })
  expect((await type('--down', 'iad', '--geo-city', city)).out).toMatch(/^with iad down: /)
  expect(dead.moves[0]!.measures[0]!.moves).toMatchObject([{ from: 'iad', to: 'fra' }])
  expect((await planned('--drain', 'iad')).moves).toEqual(dead.moves)
  const unknown = await type('--down', 'iat')
  expect(unknown).toMatchObject({ code: 1, out: '' })
  expect(unknown.err).toContain('new: --down site-unknown the new side has no site “iat”\n    Did you mean iad?')
})

test('more than may move is exit code 1', async () => {
  edit({ 'services.yaml': MORE })
  const beyond = await type('main', '--geo-city', city, '--max-move', '5%')
  expect(beyond.code).toBe(1)
  expect(beyond.err).toMatch(/^meridian: [\d.]+ % of the clients of web move, more than 5 %$/)
  expect((await type('main', '--geo-city', city, '--max-move', '99%')).code).toBe(0)
})

test('problems are told of the side they are on, by names that an operator knows', async () => {
  edit({ 'demo.example.yaml': `${ZONE}bad: {type: A, values: [192.0.2.999]}\n` })
  commit('broken')
  edit({ 'demo.example.yaml': ZONE, 'services.yaml': WEB.replace('fra: {', 'far: {') })
  const told = await planned('main')
  expect(told.ok).toBe(false)
  expect(told.problems.map(({ side, file, line, code }) => [side, file, line, code])).toEqual([
    ['old', 'main:deep/zones/demo.example.yaml', 4, 'rdata-invalid'],
    ['new', join(folder, 'repo/deep/zones/services.yaml'), 3, 'site-unknown'],
  ])
  const { code, out, err } = await type('main')
  expect([code, out]).toEqual([1, ''])
  expect(err).toContain('old: main:deep/zones/demo.example.yaml:4:')
  expect(err).not.toContain(join(folder, 'tmp'))
  const comment = await type('main', '--format', 'markdown')
  expect(comment.code).toBe(1)
  expect(comment.out).toMatch(/^\*\*Meridian:\*\* there are errors, so there is no plan\n\n- old: main:deep/)
})

test.each([
  [['nowhere'], 'old: nowhere file-unreadable it is no folder, and no revision either'],
  [['main', 'v9'], 'new: v9 file-unreadable'],
  [['main:nowhere'], 'old: main:nowhere file-unreadable'],
  [['main:../zones'], 'is outside of'],
  [['--output=/tmp/x', 'main'], 'unknown option'],
  [['--', '--output=x'], 'old: --output=x file-unreadable'],
])('%j is told as it is', async (args, message) => {
  const { code, err, out } = await type(...args)
  expect(code).not.toBe(0)
  expect(err).toContain(message)
  expect(out).toBe('')
})

test.each([
  [[], /nothing to compare/],
  [['a', 'b', 'c'], /too many arguments/],
  [['--geo', 'a'], /--geo takes two/],
  [['--geo', 'a', 'b', 'c', 'd', 'e'], /plan compares two sides, not 3/],
  [['main', '--max-move', '5'], /percentage like 5%/],
  [['main', '--format', 'html'], /text, json, markdown/],
  [['main', '--population', 'a', '--clients', 'b'], /not both/],
])('%j is wrong usage', async (args, error) => {
  const { code, err } = await type(...args)
  expect(code).toBe(2)
  expect(err).toMatch(error)
})

test('people and counted clients, from CSV with or without a header', async () => {
  edit({ 'services.yaml': MORE })
  const people = join(folder, 'people.csv')
  writeFileSync(people, '\u{feff}country,weight\r\nJP,125e6\r\n"FR",68\r\n\r\n# a remark\r\nXX,1\r\n')
  const weighed = await planned('main', '--population', people)
  expect(weighed.weighing).toBe('population')
  expect(weighed.moves[0]!.measures[0]).toMatchObject({ total: 125e6 + 68 })
  expect(weighed.problems).toMatchObject([
    { severity: 'warning', message: expect.stringContaining('no network of XX') },
  ])
  const clients = join(folder, 'clients.csv')
  writeFileSync(clients, '126.0.0.0/9,3\n82.64.1.1 , 1\n2400:2000::/32,0\n')
  const counted = await planned('main', '--clients', clients)
  expect(counted.moves[0]!.measures).toMatchObject([{ clients: 'clients', total: 4, moved: 0.75 }])
})

test('faults in CSV are told all at once, where they are', async () => {
  const file = join(folder, 'clients.csv')
  writeFileSync(file, 'prefix,clients\n192.0.2.0/24,1\n192.0.2.1/24,1\n10.0.0.0/8, -3\n10.0.0.0/8\n,1\n')
  const told = await planned('main', '--clients', file)
  expect(told.problems.map(({ line, column, width, code }) => [line, column, width, code])).toEqual([
    [3, 1, 12, 'value-invalid'],
    [4, 13, 2, 'value-invalid'],
    [5, 1, 10, 'value-invalid'],
    [6, 1, 1, 'value-invalid'],
  ])
  writeFileSync(file, 'FR,1\nFR,2\nfr,1\n')
  expect((await planned('main', '--population', file)).problems.map(({ line }) => line)).toEqual([2, 3])
  writeFileSync(file, 'x,y\n'.repeat(3_000))
  const many = (await planned('main', '--clients', file)).problems
  expect(many).toHaveLength(1_001)
  expect(many.at(-1)!.message).toBe('and 1999 more lines like these')
  expect((await type('main', '--clients', join(folder, 'none.csv'))).err).toContain('none.csv file-unreadable')
})

/** Lines of a query log as a node writes them: one for each of `clients`, a resolver's address or `resolver subnet`. */
const logged = (clients: readonly string[], rcode = 0): string[] =>
  clients.map((asked) => {
    const [from, ecs] = asked.split(' ')
    const query = encodeQuery({ name: 'www.demo.example.', type: 'A', ...(ecs !== undefined && { edns: { ecs } }) })
    const response = query.map((byte, i) => (i === 2 ? 0x84 : i === 3 ? rcode : byte))
    return lineOf(recordOf({ query, response, client: parseAddress(from!)!, service: 'web', site: 'fra' }))
  })

test('clients counted by a query log: by subnet, else by resolver, those that were answered', async () => {
  edit({ 'services.yaml': MORE })
  const log = join(folder, 'queries.log')
  const lines = [
    ...logged(
      Array.from({ length: 50 }, () => '126.1.1.1'),
      3,
    ), // NXDOMAIN: a flood
    ...logged(['126.1.1.1', '126.1.1.1', '82.64.1.1 126.0.0.0/24']), // to sin, which is new
    ...logged(['82.64.1.1', '126.1.1.1 82.64.1.0/24', '82.64.1.1 0.0.0.0/0', '2a01:e0a:1::1']), // these stay
  ]
  const others = ['', '{"time":"2026-11-30T01:02:03.045Z","client":"126.1.1.1","rcode":"dropped","bytes":0}\n']
  writeFileSync(log, `${lines.join('')}${others.join('\n')}${logged(['126.1.1.1'])[0]!.slice(0, 40)}`)
  const counted = await planned('main', '--clients', log)
  expect(counted.weighing).toBe('clients')
  expect(counted.moves[0]!.measures).toMatchObject([{ clients: 'clients', total: 7 }])
  expect(counted.moves[0]!.measures[0]!.moved).toBeCloseTo(3 / 7, 10)
  // the last line may lack its end, and the log may be far longer than what is read at once
  writeFileSync(log, lines.join('').repeat(2_000).slice(0, -1))
  const many = await planned('main', '--clients', log)
  expect(many.moves[0]!.measures).toMatchObject([{ total: 14_000 }])
  expect(many.moves[0]!.measures[0]!.moved).toBeCloseTo(3 / 7, 10)
})

test('faults in a query log are told with their lines', async () => {
  const log = join(folder, 'queries.log')
  const [good] = logged(['126.1.1.1'])
  writeFileSync(
    log,
    [good, '{"client":"126.1.1.1"}\n', good, 'x\n', '{"client":"host","rcode":"NOERROR"}\n', '[]\n'].join(''),
  )
  const told = await planned('main', '--clients', log)
  expect(told.problems.map(({ line, column, message }) => [line, column, message])).toEqual([
    [2, 1, 'not a line of a query log: it has no `client` or no `rcode`'],
    [4, 1, 'not a line of a query log: it is no JSON'],
    [5, 1, '“host” is no address or prefix'],
    [6, 1, 'not a line of a query log: it has no `client` or no `rcode`'],
  ])
  writeFileSync(log, logged(['126.1.1.1'], 5).join(''))
  expect((await planned('main', '--clients', log)).problems).toMatchObject([
    { line: 0, message: 'no query in it was answered NOERROR, so it has no clients' },
  ])
  writeFileSync(log, `{"client":"${'1'.repeat(100_000)}`)
  expect((await planned('main', '--clients', log)).problems).toMatchObject([
    { line: 1, message: expect.stringContaining('too long') },
  ])
  writeFileSync(log, Buffer.from('1f8b0800', 'hex'))
  expect((await planned('main', '--clients', log)).problems).toMatchObject([
    { code: 'file-unreadable', message: 'this file is compressed', hint: expect.stringContaining('zcat') },
  ])
})

test('a signal leaves nothing behind', async () => {
  const script = `
    import { Revisions } from ${JSON.stringify(resolve(import.meta.dirname, '../../src/plan/revision.ts'))}
    console.log((await new Revisions().take('main', ${JSON.stringify([join(folder, 'repo/deep/zones')])})).taken)
    setInterval(() => {}, 1000)
  `
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
  const [data]: Buffer[] = await once(child.stdout, 'data')
  const taken = data!.toString().trim()
  expect(existsSync(join(taken, 'deep/zones/services.yaml'))).toBe(true)
  child.kill('SIGTERM')
  expect(await once(child, 'exit')).toEqual([null, 'SIGTERM'])
  expect(existsSync(taken)).toBe(false)
})
