/** `meridian import`: what it prints and writes, and its exit codes. What becomes of each format is in test/import. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { run } from '../../src/cli/commands.ts'

const ZONE = '$TTL 300\n@ SOA ns1 host 1 2 3 4 5\n  NS ns1\nns1 A 192.0.2.1\n'
let folder = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'meridian-import-'))
  writeFileSync(join(folder, 'db.example.com'), ZONE)
})
afterEach(() => rmSync(folder, { recursive: true }))

async function meridian(...args: readonly string[]): Promise<{ code: number; out: string; err: string }> {
  const out: string[] = []
  const err: string[] = []
  const output = { out: (line: string) => void out.push(line), err: (line: string) => void err.push(line) }
  const code = await run(['import', ...args], output, () => Promise.resolve())
  return { code, out: out.join('\n'), err: err.join('\n') }
}

const zone = (): string => join(folder, 'db.example.com')

test('prints the files, twice the same', async () => {
  const told = await meridian('bind', zone())
  expect(told).toEqual({
    code: 0,
    out: `# --- defaults.yaml
# from master files, by meridian import

soa: {mname: ns1.example.com., rname: host.example.com., refresh: 2, retry: 3, expire: 4, minimum: 5}
ttl: 300
# --- example.com.yaml
# from master files, by meridian import

'': {type: NS, value: ns1.example.com.}
ns1: {type: A, value: 192.0.2.1}`,
    err: '2 files; 0 errors, 0 warnings',
  })
  expect(await meridian('bind', zone())).toEqual(told)
})

test('writes them to a folder that check takes, and over no file', async () => {
  const out = join(folder, 'zones')
  expect((await meridian('bind', zone(), '--out', out)).code).toBe(0)
  expect(readdirSync(out)).toEqual(['defaults.yaml', 'example.com.yaml'])
  const again = await meridian('bind', zone(), '--out', out)
  expect(again.code).toBe(1)
  expect(again.err).toContain('defaults.yaml is there already; name a folder without it')
  rmSync(join(out, 'defaults.yaml'))
  writeFileSync(join(out, 'example.com.yaml'), 'mine')
  expect((await meridian('bind', zone(), '--out', out)).code).toBe(1)
  expect(readdirSync(out)).toEqual(['example.com.yaml'])
  expect(readFileSync(join(out, 'example.com.yaml'), 'utf8')).toBe('mine')
})

test('what could not be read is told with its line, exits with 1, and nothing is written', async () => {
  writeFileSync(zone(), `${ZONE}a A x\n`)
  const out = join(folder, 'zones')
  const told = await meridian('bind', zone(), '--out', out)
  expect(told.code).toBe(1)
  expect(told.err).toBe(`${zone()}:5: error: a.example.com. A: “x” is no IPv4 address
meridian: nothing is written: ${out} would not be whole
1 error, 0 warnings`)
  expect(readdirSync(folder)).toEqual(['db.example.com'])
  // without --out the rest is shown
  expect((await meridian('bind', zone())).out).toContain('ns1: {type: A')
})

test('warnings exit with 0', async () => {
  writeFileSync(zone(), `${ZONE}a CH TXT x\n`)
  const told = await meridian('bind', zone())
  expect(told.code).toBe(0)
  expect(told.err).toBe(`${zone()}:5: warning: left out: Meridian serves class IN alone
2 files; 0 errors, 1 warning`)
})

test('what the loader refuses is not written', async () => {
  const big = ['a', 'b', 'c'].map((letter) => `big TXT ${`"${letter.repeat(255)}" `.repeat(100)}\n`)
  writeFileSync(zone(), ZONE + big.join(''))
  const told = await meridian('bind', zone(), '--out', join(folder, 'zones'))
  expect(told.code).toBe(1)
  expect(told.err).toContain('rrset-too-large')
  expect(readdirSync(folder)).toEqual(['db.example.com'])
})

test('control characters of the input reach no terminal', async () => {
  writeFileSync(zone(), `${ZONE}a\u001b[31m NOSUCH x\n`)
  const { err } = await meridian('bind', zone())
  expect(err.includes('\u001b')).toBe(false)
})

test.each([[['nosuch', '/']], [['bind']], [['bind', '/', 'more']]])('%j is wrong usage', async (args) => {
  expect((await meridian(...args)).code).toBe(2)
})

test('a path that there is not is an error', async () => {
  for (const format of ['gdnsd', 'bind', 'powerdns', 'route53']) {
    const told = await meridian(format, join(folder, 'none'))
    expect(told.code).toBe(1)
    expect(told.err).toContain(`${join(folder, 'none')}: error: ENOENT`)
  }
})
