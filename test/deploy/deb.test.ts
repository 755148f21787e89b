/** The Debian package, as far as it can be looked at without building it; `npm run deb -- --try` builds and installs it. */
import { spawnSync } from 'node:child_process'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { expect, test } from 'vitest'
import { changelog, controlOf, copyright, PLACES, SCRIPTS } from '../../scripts/deb.ts'
import { shippedPackages } from '../../scripts/shipped.ts'
import { loadSettings } from '../../src/node/settings.ts'
import { RECEIVE_BUFFER, SEND_BUFFER } from '../../src/server/sockets.ts'

const ROOT = resolve(import.meta.dirname, '../..')
const BUILT = ['dist', 'dashboard/dist', 'schemas']
const read = (file: string): string => readFileSync(join(ROOT, file), 'utf8')

test('it takes files that there are, and all of deploy/', () => {
  const sources = Object.keys(PLACES)
  expect(sources.filter((file) => !BUILT.includes(file) && !existsSync(join(ROOT, file)))).toEqual([])
  const taken = [...sources, ...SCRIPTS.map((script) => `deploy/deb/${script}`)]
  const files = globSync('deploy/**', { cwd: ROOT, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(ROOT.length + 1))
  expect(files.length).toBeGreaterThan(8)
  expect(files.filter((file) => !taken.some((one) => file === one || file.startsWith(`${one}/`)))).toEqual([])
})

test.each(SCRIPTS)('the maintainer script %s is valid for sh, and ends at an error', (script) => {
  expect(spawnSync('sh', ['-n', join(ROOT, 'deploy/deb', script)], { encoding: 'utf8' })).toMatchObject({
    status: 0,
    stderr: '',
  })
  expect(read(`deploy/deb/${script}`)).toMatch(/^#!\/bin\/sh\nset -e\n/)
})

test('control has its fields, each in one line, and a description of lines that fit', () => {
  const own = {
    version: '1-1',
    architecture: 'amd64',
    maintainer: 'A <a@example.net>',
    installedSize: 9,
    bundlesRuntime: true,
  }
  const lines = controlOf(own).split('\n')
  const fields = lines.filter((line) => /^\S/.test(line)).map((line) => line.split(':')[0])
  for (const field of [
    'Package',
    'Version',
    'Architecture',
    'Maintainer',
    'Depends',
    'Section',
    'Priority',
    'Description',
  ])
    expect(fields).toContain(field)
  expect(lines.filter((line) => line.startsWith(' ') && line.length > 80)).toEqual([])
  const depends = (bundlesRuntime: boolean): string => /^Depends: .*$/m.exec(controlOf({ ...own, bundlesRuntime }))![0]
  expect(depends(true)).not.toContain('nodejs')
  expect(depends(false)).toContain('nodejs (>= 22.22)')
})

test('the settings that it brings are valid, and name its folders', () => {
  const { config, problems } = loadSettings({ file: join(ROOT, 'deploy/deb/meridian.yaml'), env: {}, flags: [] })
  expect(problems).toEqual([])
  expect(config).toMatchObject({
    state: '/var/lib/meridian',
    zones: '/etc/meridian/zones',
    'control.group': 'meridian',
  })
})

test('its sysctls are the buffers that sockets ask for', () => {
  const text = read('deploy/sysctl.d/50-meridian.conf')
  const values = [...text.matchAll(/^([\w.]+) = (\d+)$/gm)].map(([, key, value]) => [key!, Number(value)] as const)
  expect(Object.fromEntries(values)).toEqual({ 'net.core.rmem_max': RECEIVE_BUFFER, 'net.core.wmem_max': SEND_BUFFER })
  const docs = read('docs/install.md')
  for (const [key, value] of values) expect(docs).toContain(`| \`${key}\` | ${value} |`)
})

test('copyright has the licence of each package that it brings along', () => {
  const text = copyright()
  for (const [path, { license }] of shippedPackages()) {
    if (!existsSync(join(ROOT, path))) continue
    expect(license, path).toBeDefined()
    const paragraph = new RegExp(
      `^Files: usr/lib/meridian/${path}/\\*\\nCopyright: .+\\nLicense: ${license}\\n .+`,
      'm',
    )
    expect(text).toMatch(paragraph)
  }
})

test('its changelog is in the form of Debian', () => {
  expect(changelog('0.1.0-1', 'A <a@example.net>', new Date(0))).toMatch(
    /^meridian \(0\.1\.0-1\) \w+; urgency=\w+\n\n {2}\* .*\n\n -- A <a@example\.net> {2}Thu, 01 Jan 1970 00:00:00 \+0000\n$/,
  )
})
