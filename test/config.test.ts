import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { describe, expect, test } from 'vitest'
import {
  flagOf,
  type RawSetting,
  settingsFromEnvironment,
  settingFromText,
  readConfig,
  SETTING_KEYS,
  SETTING_ROWS,
  SETTINGS,
  variableOf,
} from '../src/config.ts'
import type { Problem } from '../src/problem.ts'
import { parseEndpoint } from '../src/units.ts'

const written = (key: string, ...texts: string[]): RawSetting => ({
  key,
  values: texts.map((text, i) => ({ text, line: 3 + i, column: 5 })),
  source: 'meridian.yaml',
  folder: '/etc/meridian',
  line: 3,
  column: 1,
})

function read(...given: RawSetting[]) {
  const problems: Problem[] = []
  return { config: readConfig(given, (problem) => problems.push(problem)), problems }
}

describe('defaults', () => {
  test('nothing given is a whole, frozen config', () => {
    const { config, problems } = read()
    expect(problems).toEqual([])
    expect(Object.isFrozen(config)).toBe(true)
    expect(config).toMatchObject({
      listen: [
        { address: '0.0.0.0', port: 53 },
        { address: '::', port: 53 },
      ],
      zones: resolve('zones'),
      'geo.city': [],
      'node.site': undefined,
      'probe.enabled': true,
      'probe.canaries': [],
      'http.listen': { address: '127.0.0.1', port: 8053 },
      'http.token': undefined,
      'log.level': 'info',
    })
  })

  test.each(SETTING_KEYS)('the default of %s is of its own type', (key) => {
    for (const value of SETTINGS[key].default) expect(SETTINGS[key].read(value, '/')).toBeDefined()
  })
})

describe('sources', () => {
  test('the strongest is the last, and replaces a list whole', () => {
    const { config } = read(
      written('listen', '192.0.2.1:53', '[2001:db8::1]:53'),
      written('threads', '2'),
      ...settingsFromEnvironment({ MERIDIAN_THREADS: '3' }, () => undefined),
      settingFromText('listen', '127.0.0.1:5353', '--listen'),
    )
    expect(config).toMatchObject({ threads: 3, listen: [{ address: '127.0.0.1', port: 5353 }] })
  })

  test('paths in a file are relative to it, others to where the command runs', () => {
    expect(read(written('zones', 'z')).config?.zones).toBe('/etc/meridian/z')
    expect(read(settingFromText('zones', 'z', '--zones')).config?.zones).toBe(resolve('z'))
  })

  test('lists in variables are written with commas', () => {
    const given = settingsFromEnvironment({ MERIDIAN_GEO_CITY: '/a.mmdb, /b.mmdb', PATH: '/bin' }, () => undefined)
    expect(read(...given).config?.['geo.city']).toEqual(['/a.mmdb', '/b.mmdb'])
  })

  test('commands in variables and flags: NAME=program and its words, between commas', () => {
    const text = 'login=/bin/login --deep  x=1, ping=bin/ping'
    const expected = { login: ['/bin/login', '--deep', 'x=1'], ping: [resolve('bin/ping')] }
    expect(read(settingFromText('probe.exec', text, '--probe-exec')).config?.['probe.exec']).toEqual(expected)
    const given = settingsFromEnvironment({ MERIDIAN_PROBE_EXEC: text }, () => undefined)
    expect(read(...given).config?.['probe.exec']).toEqual(expected)
    for (const wrong of ['login', 'login=', '=/bin/login', 'a b=/bin/login', '/bin/login']) {
      const { problems } = read(settingFromText('probe.exec', wrong, '--probe-exec'))
      expect(problems, wrong).toMatchObject([{ code: 'setting-invalid', file: '--probe-exec' }])
    }
  })

  test('a variable that is no setting is a warning with a hint', () => {
    const problems: Problem[] = []
    const given = settingsFromEnvironment({ MERIDIAN_THREAD: '3' }, (problem) => problems.push(problem))
    expect(given).toEqual([])
    expect(problems).toMatchObject([
      {
        code: 'setting-unknown',
        severity: 'warning',
        file: 'MERIDIAN_THREAD',
        hint: expect.stringMatching(/MERIDIAN_THREADS/),
      },
    ])
  })
})

describe('receivers of notifications', () => {
  test('from the file and from variables; what is not written has its default', () => {
    const variables = { MERIDIAN_NOTIFY_ON_CALL_KEY: 'k1', MERIDIAN_NOTIFY_ON_CALL_KINDS: 'verdict,last-resort' }
    const problems: Problem[] = []
    const given = settingsFromEnvironment(variables, (problem) => problems.push(problem))
    const { config } = read(
      written('notify.on-call.type', 'pagerduty'),
      written('notify.chat.url', 'file:slack-url'),
      ...given,
    )
    expect(problems).toEqual([])
    expect(config?.notify).toMatchObject({
      'on-call': {
        type: 'pagerduty',
        kinds: ['verdict', 'last-resort'],
        severity: 'warning',
        sites: [],
        url: undefined,
      },
      chat: { type: 'webhook', kinds: [] },
    })
    expect(config?.notify['on-call']?.key?.reveal()).toBe('k1')
    expect(config?.notify['chat']?.url?.reveal()).toBe('file:/etc/meridian/slack-url')
    expect(read().config?.notify).toEqual({})
  })

  test.each([
    ['notify.ops.url', 'ftp://192.0.2.1/secret', /^notify\.ops\.url can't be what is written$/, /https:\/\//],
    ['notify.ops.type', 'pager', /^notify\.ops\.type can't be "pager"$/, /pagerduty/],
    ['notify.ops.ulr', 'https://192.0.2.1', /^there is no setting notify\.ops\.ulr$/, /notify\.ops\.url/],
    ['notify.Ops.url', 'https://192.0.2.1', /^there is no setting notify\.Ops\.url$/, /lower-case/],
    ['notify.ops', 'https://192.0.2.1', /^there is no setting notify\.ops$/, /a mapping of one or more of: type, url/],
    ['notify', 'https://192.0.2.1', /^notify can't be what is written$/, /by name, a mapping/],
  ])('%s: %s', (key, value, message, hint) => {
    const { config, problems } = read(written(key, value))
    expect(config).toBeUndefined()
    expect(problems).toMatchObject([
      { message: expect.stringMatching(message), hint: expect.stringMatching(hint), file: 'meridian.yaml', line: 3 },
    ])
    expect(JSON.stringify(problems)).not.toContain('/secret')
  })
})

describe('faults', () => {
  test('all are told at once, each where it stands', () => {
    const { config, problems } = read(
      written('treads', '2'),
      written('listen', '192.0.2.1:53', '192.0.2.1'),
      written('threads', '2', '3'),
      written('log.level', 'loud'),
    )
    expect(config).toBeUndefined()
    expect(problems).toMatchObject([
      { code: 'setting-unknown', file: 'meridian.yaml', line: 3, column: 1, hint: expect.stringMatching(/threads/) },
      { code: 'setting-invalid', line: 4, column: 5, message: expect.stringMatching(/192\.0\.2\.1"$/) },
      { code: 'setting-invalid', line: 3, column: 1 },
      { code: 'setting-invalid', line: 3, column: 5 },
    ])
  })

  test('a setting that is like no other is not taken for one', () => {
    expect(read(written('grafana', '2')).problems).toMatchObject([{ hint: 'All settings are in docs/settings.md' }])
  })

  test('a token that is refused is not shown', () => {
    const { problems } = read(written('http.token', 'my secret'))
    expect(problems).toMatchObject([{ code: 'setting-invalid' }])
    expect(JSON.stringify(problems)).not.toContain('secret')
  })

  test.each([
    ['threads', '0'],
    ['threads', '65'],
    ['threads', '1.5'],
    ['http.token', 'short'],
    ['http.token', 'with blanks in its text'],
    ['node.name', '-x'],
    ['probe.enabled', 'yes'],
    ['zones', ''],
    ['listen', '[192.0.2.1]:53'],
  ])('%s is never %s', (key, value) => {
    const { config, problems } = read(written(key, value))
    expect(config).toBeUndefined()
    expect(problems).toMatchObject([{ code: 'setting-invalid' }])
  })

  test('a node that listens nowhere is a fault', () => {
    expect(read(written('listen')).problems).toMatchObject([{ code: 'setting-invalid' }])
  })
})

test('endpoints', () => {
  expect(parseEndpoint('127.0.0.1:53')).toEqual({ address: '127.0.0.1', port: 53 })
  expect(parseEndpoint('[::1]:5300')).toEqual({ address: '::1', port: 5300 })
  for (const wrong of ['127.0.0.1', '::1:53', '127.0.0.1:0', '127.0.0.1:65536', '1.2.3:53', 'host:53', '[::1]'])
    expect(parseEndpoint(wrong)).toBeUndefined()
})

test('docs/settings.md tells every setting, and no other', () => {
  const text = readFileSync(resolve(import.meta.dirname, '../docs/settings.md'), 'utf8')
  const rows = [...text.matchAll(/^\| `([^`]+)` \| (.*?) \| (.*?) \| (.*?) \|$/gm)].map(([, ...cells]) => cells)
  const expected = SETTING_ROWS.map(([key, setting]) => {
    const byDefault = setting.defaultInWords ?? setting.default.map((value) => `\`${value}\``).join(', ')
    return [key, setting.type, byDefault === '' ? '-' : byDefault, setting.meaning]
  })
  expect(rows).toEqual(expected)
  for (const key of SETTING_KEYS) {
    const row =
      key === 'notify' ? '| `MERIDIAN_NOTIFY_NAME_KEY` | - |' : `| \`${variableOf(key)}\` | \`${flagOf(key)}\` |`
    expect(text).toContain(row)
  }
})
