/** The forms of announcing; that of routes is in test/e2e/announce.test.ts, with a router that follows them. */
import { execFileSync } from 'node:child_process'
import {
  existsSync,
  lstatSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { type Config, readConfig, type RawSetting } from '../../../src/config.ts'
import { announcedPrefixes, formOf } from '../../../src/node/announce/forms.ts'

const folder = mkdtempSync(join(tmpdir(), 'meridian-forms-'))
afterAll(() => rmSync(folder, { recursive: true }))

const ADDRESSES = ['192.0.2.53/24', '2001:db8::53']
const PREFIXES = ['192.0.2.0/24', '2001:db8::53/128']

function settings(more: Readonly<Record<string, readonly string[]>>): Config {
  const given = Object.entries({ 'announce.addresses': ADDRESSES, ...more }).map(([key, values]): RawSetting => {
    const place = { source: 'test', folder, line: 0, column: 0 }
    return { key, values: values.map((text) => ({ text, line: 0, column: 0 })), ...place }
  })
  return readConfig(given, ({ message }) => {
    throw new Error(message)
  })!
}

const said: string[] = []
const make = (more: Readonly<Record<string, readonly string[]>>) =>
  formOf(settings(more), (line) => void said.push(line))

test('prefixes are those of the networks', () => {
  expect(announcedPrefixes(settings({})['announce.addresses'])).toEqual(PREFIXES)
})

test('a file is there while it is up, and its time is that of the last second', async () => {
  const form = make({ 'announce.form': ['file'], 'announce.file': ['announced'] })
  const path = join(folder, 'announced')
  expect(await form.isUp()).toBe(false)
  await form.up()
  expect(readFileSync(path, 'utf8')).toBe(PREFIXES.map((prefix) => `${prefix}\n`).join(''))
  utimesSync(path, 1, 1)
  await form.again!()
  expect(Date.now() - statSync(path).mtimeMs).toBeLessThan(60_000)
  expect(await form.isUp()).toBe(true)
  await form.down()
  await form.down()
  expect(existsSync(path)).toBe(false)
})

test('a file can be read by others, and is written to no link', async () => {
  const form = make({ 'announce.form': ['file'], 'announce.file': ['seen'] })
  const [path, other] = [join(folder, 'seen'), join(folder, 'other')]
  writeFileSync(other, 'mine')
  symlinkSync(other, `${path}.new`)
  const before = process.umask(0o077)
  await form.up().finally(() => process.umask(before))
  expect([readFileSync(other, 'utf8'), lstatSync(path).isFile(), statSync(path).mode & 0o777]).toEqual([
    'mine',
    true,
    0o644,
  ])
})

test('a program gets up or down, and what it says when it fails is told', async () => {
  const log = join(folder, 'log')
  const exec = ['/bin/sh', '-c', `echo "$0" >> ${log}; [ "$0" = up ] || { echo not now >&2; exit 3; }`]
  const form = make({ 'announce.form': ['exec'], 'announce.exec': exec })
  await form.up()
  await expect(form.down()).rejects.toThrow(/down: not now$/)
  expect(readFileSync(log, 'utf8')).toBe('up\ndown\n')
})

test('one that does not end is killed', async () => {
  const form = make({ 'announce.form': ['exec'], 'announce.exec': ['/bin/sh', '-c', 'exec sleep 600'] })
  await expect(form.up()).rejects.toThrow(/sleep 600 up: took longer than 3 s$/)
})

test('ExaBGP is told in its own words', async () => {
  const form = make({ 'announce.form': ['exabgp'] })
  await form.up()
  await form.down()
  expect(said).toEqual([
    ...PREFIXES.map((prefix) => `announce route ${prefix} next-hop self`),
    ...PREFIXES.map((prefix) => `withdraw route ${prefix} next-hop self`),
  ])
})

test('routes of both families, in a network namespace of their own', async () => {
  const program = `
    import { execSync } from 'node:child_process'
    import { formOf } from '${join(import.meta.dirname, '../../../src/node/announce/forms.ts')}'
    const form = formOf({ 'announce.form': 'route', 'announce.table': 54, 'announce.addresses': [
      { address: '192.0.2.53', bits: 24 }, { address: '2001:db8::53', bits: 128 }] }, () => {})
    const seen = [await form.isUp()]
    await form.down()
    await form.up()
    seen.push(await form.isUp())
    execSync('ip route flush table 54; ip -6 route flush table 54')
    for (let second = 0; second < 5; second++) { seen.push(await form.isUp()); await form.again() }
    seen.push(await form.isUp())
    await form.down()
    seen.push(await form.isUp())
    console.log(seen.join())`
  const script = 'ip link set lo up; exec "$0" --input-type=module -e "$1"'
  const out = execFileSync('unshare', ['-n', 'sh', '-c', script, process.execPath, program], { encoding: 'utf8' })
  expect(out.trim()).toBe('false,true,false,false,false,false,false,true,false')
})
