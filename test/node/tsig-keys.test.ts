/** The files of the setting `tsig.keys`: what they may be, and how a change is noticed. */
import { chmodSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { TsigKey } from '../../src/dns/tsig.ts'
import { loadSettings } from '../../src/node/settings.ts'
import { readKeyFile, TsigKeys } from '../../src/node/tsig-keys.ts'
import { emptyFolder } from '../support/folder.ts'
import { until } from '../support/until.ts'

const textOf = (name: string, fill: number): string =>
  `hmac-sha256:${name}:${Buffer.alloc(32, fill).toString('base64')}\n`

function write(file: string, text: string, mode = 0o640): string {
  writeFileSync(file, text)
  chmodSync(file, mode)
  return file
}

const firstByte = (all: readonly TsigKey[]): number => all[0]!.secret[0]!

describe('a key file', () => {
  const folder = emptyFolder()

  test('is read with its name in any case', () => {
    const file = write(join(folder, 'xfr'), textOf('XFR.example.', 1))
    expect(readKeyFile('xfr.Example', file)).toMatchObject({
      algorithm: 'hmac-sha256',
      secret: new Uint8Array(32).fill(1),
    })
  })

  test.each([
    [0o644, true],
    [0o641, true],
    [0o660, true],
    [0o640, false],
    [0o600, false],
    [0o400, false],
  ])('of mode %o: refused %s', (mode, isRefused) => {
    const key = readKeyFile('k', write(join(folder, `mode-${mode}`), textOf('k', 1), mode))
    expect(typeof key === 'string').toBe(isRefused)
    if (isRefused) expect(key).toMatch(new RegExp(`has mode 0${mode.toString(8)}: others can read it`))
  })

  test('that is not there, has no key or another one is named, and its contents are not shown', () => {
    expect(readKeyFile('k', join(folder, 'none'))).toMatch(/none can't be read: ENOENT/)
    const other = write(join(folder, 'other'), textOf('other', 1))
    expect(readKeyFile('k', other)).toBe(`${other}: its key is called other., and not k`)
    const wrong = write(join(folder, 'wrong'), 'hmac-md5:k:c2VjcmV0c2VjcmV0c2VjcmV0')
    expect(readKeyFile('k', wrong)).toBe(`${wrong}: its algorithm is not hmac-sha256 or hmac-sha512`)
  })

  test('with a fault is an error of the settings of a node, at its line, and of no command', () => {
    write(join(folder, 'bad'), textOf('bad', 1), 0o644)
    const file = write(join(folder, 'meridian.yaml'), `tsig:\n  keys:\n    xfr: xfr\n    bad: bad\n`)
    const sources = { file, env: {}, flags: [] }
    write(join(folder, 'xfr'), textOf('xfr', 1))
    const { problems, config } = loadSettings({ ...sources, role: 'serve' })
    expect(problems).toMatchObject([
      { code: 'setting-invalid', file, line: 4, message: expect.stringMatching(/^tsig\.keys: .*0644/) },
    ])
    expect(config).toBeUndefined()
    expect(loadSettings(sources).problems).toEqual([])
  })
})

test('a change is noticed; a file that is damaged or gone leaves the key before, and is named', async () => {
  const folder = emptyFolder()
  const file = write(join(folder, 'k'), textOf('k', 1))
  const changes: number[] = []
  const said: string[] = []
  const keys = new TsigKeys(
    { k: [file] },
    {
      onChange: (all) => void changes.push(firstByte(all)),
      log: (level, line) => void said.push(`${level} ${line}`),
    },
  )
  try {
    await keys.watch()
    expect(firstByte(keys.keys)).toBe(1)
    renameSync(write(join(folder, 'next'), textOf('k', 2)), file)
    await until('the new key', () => changes.length === 1)
    expect([changes, firstByte(keys.keys), said]).toEqual([[2], 2, ['info tsig.keys: the key k was replaced']])
    rmSync(file)
    await until('the trouble', () => keys.troubles.length === 1)
    expect(keys.troubles).toEqual([`tsig.keys: ${file} can't be read: ENOENT; the key before stays in use`])
    expect(firstByte(keys.keys)).toBe(2)
    write(file, textOf('k', 3))
    await until('the third key', () => changes.length === 2)
    expect([changes, keys.troubles]).toEqual([[2, 3], []])
  } finally {
    await keys.stop()
  }
})
