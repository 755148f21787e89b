/** The units for systemd: what systemd itself says of them. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { helpOf } from '../../scripts/manual.ts'
import { STOP_MS } from '../../src/node/service-manager.ts'

const ROOT = resolve(import.meta.dirname, '../..')
const UNITS = ['meridian.service', 'meridian-probe.service', 'meridian-announce.service'] as const
/** Of 10: the most that a unit may be exposed to. */
const MOST_EXPOSURE = 3

let folder = ''
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'meridian-units-'))
  // the program is where a package puts it: systemd looks whether it is there
  for (const unit of UNITS)
    writeFileSync(join(folder, unit), textOf(unit).replaceAll('/usr/bin/meridian', join(ROOT, 'bin/meridian')))
})
afterAll(() => rmSync(folder, { recursive: true }))

const textOf = (unit: string): string => readFileSync(join(ROOT, 'deploy/systemd', unit), 'utf8')
/** The values of a key, in order. */
const valuesOf = (unit: string, key: string): string[] =>
  [...textOf(unit).matchAll(new RegExp(`^${key}=(.*)$`, 'gm'))].map(([, value]) => value!)

const analyze = (...args: readonly string[]) => {
  const { status, stdout, stderr } = spawnSync('systemd-analyze', ['--no-pager', ...args], { encoding: 'utf8' })
  return { status, stdout, stderr }
}

describe.each(UNITS)('%s', (unit) => {
  test('systemd has nothing to say against it', () => {
    expect(analyze('verify', '--man=no', join(folder, unit))).toEqual({ status: 0, stdout: '', stderr: '' })
  })

  test('it is exposed to little', () => {
    const { stdout } = analyze('security', '--offline=true', join(folder, unit))
    const exposure = Number(/Overall exposure level for \S+: ([\d.]+)/.exec(stdout)?.[1])
    console.log(`${unit}: exposure ${exposure}`)
    expect(exposure).toBeGreaterThan(0)
    expect(exposure).toBeLessThanOrEqual(MOST_EXPOSURE)
  })

  test('it starts a command that there is, again for as long as it takes, as the user of the package', () => {
    const [start] = valuesOf(unit, 'ExecStart')
    const [, command] = start!.split(' ')
    expect(helpOf([command!])).toContain('-c, --config')
    expect(start).toBe(`/usr/bin/meridian ${command} -c /etc/meridian/meridian.yaml`)
    expect(valuesOf(unit, 'StartLimitIntervalSec')).toEqual(['0'])
    expect(valuesOf(unit, 'Restart')).toEqual(['always'])
    const [, user] = /^u (\S+)/m.exec(readFileSync(join(ROOT, 'deploy/sysusers.d/meridian.conf'), 'utf8'))!
    expect(valuesOf(unit, 'User')).toEqual([user])
    expect(valuesOf(unit, 'ConfigurationDirectory')).toEqual([user])
    expect(valuesOf(unit, 'TimeoutStopSec')).toEqual([String(STOP_MS / 1_000)])
  })
})

test('what is announced: the node ends before its announcer, which ends before what passes that on', () => {
  const unit = 'meridian-announce.service'
  expect(valuesOf(unit, 'Before')).toEqual(['meridian.service'])
  const after = valuesOf(unit, 'After').flatMap((value) => value.split(' '))
  expect(after).toEqual(expect.arrayContaining(['bird.service', 'frr.service', 'redis-server.service']))
  // neither ends, starts or needs the other
  const all = textOf(unit) + textOf('meridian.service')
  expect(all).not.toMatch(/^(?:PartOf|BindsTo|Requires|Requisite|Wants|Upholds|Conflicts)=.*meridian/m)
  const [left] = valuesOf(unit, 'ExecStopPost')
  expect(left).toBe('/usr/bin/meridian announce --withdraw -c /etc/meridian/meridian.yaml')
  expect(helpOf(['announce'])).toContain('--withdraw')
})

test('each has the capability that it needs, and no other', () => {
  const capabilities = Object.fromEntries(
    UNITS.map((unit) => [unit, [...valuesOf(unit, 'AmbientCapabilities'), ...valuesOf(unit, 'CapabilityBoundingSet')]]),
  )
  expect(capabilities).toEqual({
    'meridian.service': ['CAP_NET_BIND_SERVICE', 'CAP_NET_BIND_SERVICE'],
    'meridian-probe.service': [''],
    'meridian-announce.service': ['CAP_NET_ADMIN', 'CAP_NET_ADMIN'],
  })
})
