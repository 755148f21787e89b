/** The tokens of a running process: their file changes while it runs; and HTTP at http.listen, guarded by them. */
import { chmodSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { makeToken } from '../../src/api/token.ts'
import { Doors } from '../../src/node/doors.ts'
import { loadSettings } from '../../src/node/settings.ts'
import { Tokens } from '../../src/node/tokens.ts'
import { node } from '../api/double.ts'
import { configOf } from '../cli/fleet.ts'
import { until } from '../support/until.ts'

const ADDRESS = '127.0.61.7'
let folder = ''
let file = ''
let lines: { readonly level: number; readonly msg: string }[] = []
const log = pino({ base: null }, { write: (line: string) => void lines.push(JSON.parse(line)) })
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'meridian-tokens-'))
  file = join(folder, 'tokens')
  lines = []
})
afterEach(() => rmSync(folder, { recursive: true }))

function write(text: string, mode = 0o640): void {
  writeFileSync(`${file}.new`, `${text}\n`)
  chmodSync(`${file}.new`, mode)
  renameSync(`${file}.new`, file)
}
const ops = makeToken('ops', ['read', 'drain'])
const board = makeToken('board', ['read'])

test('a token that is taken away is refused, a new one is known, and a file with a fault changes nothing', async () => {
  write(`${ops.line}\n${board.line}`)
  const tokens = new Tokens(configOf({ 'http.tokens': file, 'http.token': 'a-token-of-this-test' }), log)
  const known = () =>
    [ops.secret, board.secret, 'a-token-of-this-test', 'x'].map((secret) => tokens.callerOf(secret)?.token)
  await tokens.watch()
  try {
    expect(known()).toEqual(['ops', 'board', 'http.token', undefined])
    expect(tokens.callerOf('a-token-of-this-test')?.scopes).toEqual(['read', 'drain', 'force', 'admin'])
    write(board.line)
    await until('ops is refused', () => known()[0] === undefined)
    expect(known()).toEqual([undefined, 'board', 'http.token', undefined])
    write(`${board.line}\nops ${ops.secret} read`)
    await until('trouble', () => tokens.trouble !== undefined)
    tokens.read() // SIGHUP
    expect(known()).toEqual([undefined, 'board', 'http.token', undefined])
    expect(tokens.trouble).toBe(
      `http.tokens: ${file}, line 2: ops has no hash: sha256: and 64 hexadecimal digits; the tokens before stay in force`,
    )
    write(ops.line, 0o644)
    await until('another trouble', () => tokens.trouble?.includes('mode 0644') === true)
    write('')
    await until('all are refused', () => known()[1] === undefined)
    expect([tokens.trouble, tokens.areThere]).toEqual([undefined, true])
    const texts = lines.map(({ level, msg }) => `${level} ${msg.replaceAll(file, 'FILE')}`)
    expect(texts).toEqual([
      '30 2 tokens of the API in force, from FILE',
      '30 1 token of the API in force, from FILE',
      expect.stringMatching(/^40 http.tokens: FILE, line 2: /),
      expect.stringMatching(/^40 http.tokens: FILE has mode 0644: /),
      '30 0 tokens of the API in force, from FILE',
    ])
    expect(JSON.stringify(lines)).not.toContain(ops.secret)
  } finally {
    await tokens.stop()
  }
})

test('the file is checked at the start', () => {
  const settings = join(folder, 'meridian.yaml')
  writeFileSync(settings, 'http: {tokens: tokens}\n')
  const problems = () =>
    (['serve', 'probe', undefined] as const).map((role) =>
      loadSettings({ file: settings, env: { MERIDIAN_REDIS: 'redis://127.0.0.1' }, flags: [], role }).problems.map(
        ({ line, column, message }) => `${line}:${column} ${message.replaceAll(folder, '')}`,
      ),
    )
  const missing = "1:16 http.tokens: /tokens can't be read: ENOENT"
  expect(problems()).toEqual([[missing], [missing], []])
  write('ops')
  const wrong = '1:16 http.tokens: /tokens, line 1: ops has no hash: sha256: and 64 hexadecimal digits'
  expect(problems()).toEqual([[wrong], [wrong], []])
  write(ops.line)
  expect(problems()).toEqual([[], [], []])
})

test('at http.listen: a token counts until its line is gone; attempts are counted, and logged once', async () => {
  write(ops.line)
  const config = configOf({ state: join(folder, 'state'), 'http.listen': `${ADDRESS}:8057`, 'http.tokens': file })
  const doors = new Doors({ config, log, takeover: false, shown: node })
  await doors.listenHttp()
  try {
    const url = `http://${ADDRESS}:8057/api/summary`
    const ask = async (headers: Record<string, string>, more: RequestInit = {}) =>
      (await fetch(url, { headers, ...more })).status
    const authorization = `Bearer ${ops.secret}`
    expect(await ask({ authorization })).toBe(200)
    expect(await ask({ authorization, origin: `http://${ADDRESS}:8057` })).toBe(200)
    expect(await ask({ authorization, origin: 'http://evil.example' })).toBe(403)
    expect(await ask({})).toBe(401)
    const forget = { method: 'POST', body: '{"node":"n2","who":"kim"}' }
    expect(
      (
        await fetch(`http://${ADDRESS}:8057/api/forget`, {
          ...forget,
          headers: { authorization, 'content-type': 'application/json' },
        })
      ).status,
    ).toBe(403)
    for (let i = 0; i < 50; i++) expect(await ask({ authorization: `Bearer guess-${i}` })).toBe(401)
    write(board.line)
    await until('the token is refused', async () => (await ask({ authorization })) === 401)
    const { token, ...rest } = Object.fromEntries(doors.http.refused)
    expect(rest).toEqual({ host: 0, origin: 1, scope: 1 })
    expect(token).toBeGreaterThan(50)
    const told = lines.filter(({ level }) => level === 40).map(({ msg }) => msg)
    expect(told).toEqual([
      '1 HTTP request refused, from a web page of another origin; the last came from 127.0.0.1',
      '1 HTTP request refused, with a token that lacks the scope; the last came from 127.0.0.1',
      '1 HTTP request refused, with an unknown token; the last came from 127.0.0.1',
    ])
  } finally {
    await doors.stop()
  }
})
