/** Secret settings are never printed, whatever is wrong with them: by each source, in each command that reads settings. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { run } from '../../src/cli/commands.ts'
import { SETTING_KEYS, SETTING_ROWS, variableOf } from '../../src/config.ts'
import { Secret } from '../../src/config/setting.ts'
import { explain } from '../../src/store/redis/trouble.ts'
import { parseRedisUrl } from '../../src/store/redis/url.ts'

/** Of every secret here; 16 characters, so that the token is one but for what is wrong with it. */
const SECRET = 'hunter2hunter2xy'
const LOGIN = `redis://fra:${SECRET}@127.0.0.1:1`

let folder = ''
let printed = ''
const output = {
  out: (line: string) => void (printed += `${line}\n`),
  err: (line: string) => void (printed += `${line}\n`),
}
beforeEach(() => {
  printed = ''
  folder = mkdtempSync(join(tmpdir(), 'meridian-secrets-'))
})
afterEach(() => {
  for (const key of SETTING_KEYS) delete process.env[variableOf(key)]
  rmSync(folder, { recursive: true })
})

/** What the command prints, and its exit code: settings that can't be used end it. */
async function told(...args: string[]): Promise<string> {
  printed = ''
  expect(await run([...args, '--state', folder], output, () => Promise.resolve()), printed).not.toBe(0)
  expect(printed).not.toBe('')
  for (const part of [SECRET, 'hunter2', 'hunter', '2xy']) expect(printed).not.toContain(part)
  return printed
}

const URLS = [
  `redis:/fra:${SECRET}@127.0.0.1`,
  `redis://fra:${SECRET}@x@127.0.0.1`,
  `redis://fra:${SECRET}/@127.0.0.1`,
  `redis://fra:12/${SECRET}@127.0.0.1`,
  `redis+sentinel://fra:12/${SECRET}@127.0.0.1:26379/0`,
  `redis://fra:12?${SECRET}@127.0.0.1`,
  `redis://:${SECRET}`,
  `redis://${SECRET}@127.0.0.1`,
  `redis://127.0.0.1/${SECRET}`,
  `redis://127.0.0.1?${SECRET}`,
  `redis://127.0.0.1?${SECRET}=x`,
  `redis://fra:%zz${SECRET}@127.0.0.1`,
  `http://fra:${SECRET}@127.0.0.1`,
  `redis://fra:${SECRET} x@127.0.0.1`,
  `redis://fra:${SECRET}\u0007@127.0.0.1`,
]

test.each(URLS)('%j by file, variable and flag', async (url) => {
  const file = join(folder, 'meridian.yaml')
  writeFileSync(file, `redis: ${JSON.stringify(url)}\n`)
  expect(await told('serve', '-c', file)).toMatch(/setting-invalid redis/)
  await told('probe', '-c', file)
  await told('serve', '--redis', url)
  process.env['MERIDIAN_REDIS'] = url
  await told('serve')
})

test.each([
  ['a list', `redis: ["${LOGIN}", "${LOGIN}"]`],
  ['a mapping', `redis: {"${LOGIN}": ${SECRET}}`],
  ['a list of mappings', `redis: [{${SECRET}: x}]`],
  ['a mapping below', `http: {token: {${SECRET}: ${SECRET}}}`],
  ['a token with blanks', `http: {token: "${SECRET} x"}`],
  ['a token and more', `http: {token: [${SECRET}, {a: ${SECRET}}]}`],
  ['a key that there is not', `redsi: ${LOGIN}`],
  ['a group that there is not', `https: {token: {${SECRET}: x}}`],
  ['the URL as a key', `"${LOGIN}": x`],
  ['the URL as a key of a list', `? "${LOGIN}"\n: [a, {b: c}]`],
  ['the URL alone', LOGIN],
  ['twice', `redis: ${LOGIN}\nredis: ${LOGIN}`],
  ['keys twice', `"${LOGIN}": x\n"${LOGIN}": x`],
  ['a tag', `http.token: !${SECRET}!x ${SECRET}`],
  ['a tag that is none', `http.token: !<${SECRET} y>`],
  ['a tag’s name', `http.token: !{${SECRET}`],
  ['an alias', `http.token: *${SECRET}`],
  ['an anchor', `http.token: &${SECRET} x`],
  ['not closed', `http: {token: ${SECRET}`],
  ['a quote that is not closed', `http.token: "${SECRET}`],
  ['a wrong escape', `http.token: "\\q${SECRET}"`],
  ['a mapping in a line', `http: token: ${SECRET}`],
  ['a tab', `http:\n\ttoken: ${SECRET}`],
  ['a directive', `%TAG ${SECRET} ${SECRET}\n---\nx: y`],
  ['a control character', `http.token: ${SECRET}\u0007`],
  ['a value of another setting', `zones: z\nlisten: ${LOGIN}`],
  ['a header of two lines', `probe: {headers: {token: "${SECRET}\\nx"}}`],
  ['a header that is a list', `probe: {headers: {token: [${SECRET}, x]}}`],
  ['a header without a name', `probe: {headers: ${SECRET}}`],
  ['two documents', `redis: 1\n---\nredis: ${LOGIN}`],
])('a settings file that has %s', async (_, text) => {
  const file = join(folder, 'meridian.yaml')
  writeFileSync(file, `${text}\n`)
  await told('serve', '-c', file)
  await told('check', '-c', file)
  await told('check', '-c', file, '--format', 'github')
  await told('check', '-c', file, '--format', 'json')
})

test.each([
  [`--redsi=${LOGIN}`],
  [`--http-tokn=${SECRET}`],
  [LOGIN],
  ['--probe-headers', `token=${SECRET}`],
  ['--http-token', `${SECRET} x`],
  ['--http-token', SECRET, SECRET, SECRET],
  ['--listen', LOGIN],
])('a command line with %s', async (...args) => {
  await told('serve', ...args)
})

test('a URL in the place of a command', async () => {
  await told(LOGIN)
})

test('every secret setting is a Secret: printed, logged or serialized it is not shown', () => {
  const secret = SETTING_ROWS.filter(([, row]) => row.secret === true && row.keys === undefined)
  expect(secret.map(([key]) => key)).toEqual([
    'redis',
    'redis.secret',
    'probe.headers',
    'notify.NAME.url',
    'notify.NAME.key',
    'notify.NAME.secret',
    'http.token',
  ])
  for (const [key, row] of secret) {
    const isNamed = key === 'probe.headers'
    const isUrl = key === 'redis' || key === 'notify.NAME.url'
    const written = isUrl ? LOGIN : isNamed ? `token=${SECRET}` : SECRET
    const value = row.read(key === 'notify.NAME.url' ? written.replace(/^rediss?/, 'https') : written, '.')
    expect(isNamed && Array.isArray(value) ? value[1] : value).toBeInstanceOf(Secret)
    for (const text of [String(value), JSON.stringify({ value }), inspect({ value }, { depth: 9, showHidden: true })])
      expect(text).not.toContain('hunter2')
  }
})

test('help names the settings, and no values', async () => {
  process.env['MERIDIAN_REDIS'] = LOGIN
  expect(await run(['serve', '--help'], output, () => Promise.resolve())).toBe(0)
  expect(printed).toContain('--redis')
  expect(printed).not.toContain('hunter2')
})

describe('what a server says of a login', () => {
  const place = parseRedisUrl(`redis://fra:${SECRET}@127.0.0.1?sentinel-password=other${SECRET}`)
  test.each([
    `ERR unknown command \`HELLO\`, with args beginning with: \`3\` \`AUTH\` \`fra\` \`${SECRET}\``,
    `ERR unknown command 'auth', with args beginning with: 'fra' '${SECRET.slice(0, 9)}`,
    `ERR wrong password ${SECRET}`,
    `NOPERM ${SECRET}\u001b[2J`,
  ])('%j', (text) => {
    if (typeof place === 'string') throw new Error(place)
    const line = explain(new Error(text), place)
    expect(line).toMatch(/^Redis at 127\.0\.0\.1:6379/)
    for (const part of ['hunter2', '\u001b']) expect(line).not.toContain(part)
  })
})
