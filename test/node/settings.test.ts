import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { settingFromText } from '../../src/config.ts'
import { parseAddress } from '../../src/dns/address.ts'
import { leafValue, walk } from '../../src/geo/trie.ts'
import { LiveProtocol } from '../../src/node/protocol.ts'
import { loadSettings, type Role, SETTINGS_FILES } from '../../src/node/settings.ts'
import { probeSettings } from '../../src/node/wiring.ts'

let folder = ''
let file = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'meridian-settings-'))
  file = join(folder, 'meridian.yaml')
})
afterEach(() => rmSync(folder, { recursive: true }))

const load = (text: string, env = {}, flags: Parameters<typeof loadSettings>[0]['flags'] = []) => {
  writeFileSync(file, text)
  return loadSettings({ file, env, flags })
}

test('file, then variables, then flags', () => {
  const text = 'threads: 2\nnode: {name: file, site: fra}\nhttp.listen: "127.0.0.1:81"\ngeo: {city: [a.mmdb, b.mmdb]}\n'
  const flags = [settingFromText('node.name', 'flag', '--node-name')]
  const { config, problems } = load(text, { MERIDIAN_THREADS: '3', MERIDIAN_NODE_NAME: 'variable' }, flags)
  expect(problems).toEqual([])
  expect(config).toMatchObject({
    threads: 3,
    'node.name': 'flag',
    'node.site': 'fra',
    'http.listen': { address: '127.0.0.1', port: 81 },
    'geo.city': [join(folder, 'a.mmdb'), join(folder, 'b.mmdb')],
  })
})

test('scalars are the text that was written', () => {
  expect(load('node: {name: 010}\nzones: 1e3\n').config).toMatchObject({
    'node.name': '010',
    zones: join(folder, '1e3'),
  })
})

test('every fault has its place', () => {
  const { config, problems } = load('threads: many\nhttp:\n  listn: x\n  listen: [a, {b: c}]\nnode.name:\n')
  expect(config).toBeUndefined()
  expect(problems.map(({ code, line, column }) => [code, line, column])).toEqual([
    ['value-kind', 4, 15],
    ['value-kind', 5, 1],
    ['setting-invalid', 1, 10],
    ['setting-unknown', 3, 3],
    ['setting-invalid', 4, 12],
    ['setting-invalid', 5, 1],
  ])
})

test('a file that is named must be there; the default one need not', () => {
  const missing = loadSettings({ file: join(folder, 'none.yaml'), env: {}, flags: [] })
  expect(missing.config).toBeUndefined()
  expect(missing.problems).toMatchObject([{ code: 'file-unreadable', file: join(folder, 'none.yaml') }])
  expect(loadSettings({ env: {}, flags: [] }).problems).toEqual([])
})

test('without a name it is the first place that has a file, and of the others none is read', () => {
  const places = [join(folder, 'here.yaml'), join(folder, 'etc.yaml')]
  writeFileSync(places[1]!, 'node.name: etc\nzones: z\n')
  const found = loadSettings({ places, env: {}, flags: [] })
  expect(found.config).toMatchObject({ 'node.name': 'etc', zones: join(folder, 'z') })
  writeFileSync(places[0]!, 'node.name: here\n')
  expect(loadSettings({ places, env: {}, flags: [] }).config).toMatchObject({ 'node.name': 'here' })
  expect(SETTINGS_FILES).toEqual(['meridian.yaml', '/etc/meridian/meridian.yaml'])
})

test.runIf(process.getuid?.() === 0)(
  'a file that this user may not read stops a node, and only warns a command',
  () => {
    const places = [join(folder, 'here.yaml')]
    writeFileSync(places[0]!, 'node.name: here\n', { mode: 0o600 })
    chmodSync(folder, 0o755)
    process.seteuid!(65_532)
    try {
      const command = loadSettings({ places, env: {}, flags: [] })
      expect(command.problems).toMatchObject([{ code: 'file-unreadable', severity: 'warning', file: places[0] }])
      expect(command.config).toBeDefined()
      const node = loadSettings({ places, env: {}, flags: [], role: 'serve' })
      expect(node.problems).toMatchObject([{ code: 'file-unreadable', severity: 'error', file: places[0] }])
      expect(node.config).toBeUndefined()
    } finally {
      process.seteuid!(0)
    }
  },
)

test('a group of the control socket that this machine lacks is told where it stands, to a process that makes one', () => {
  writeFileSync(file, 'control:\n  group: no-such-group-here\n')
  expect(loadSettings({ file, env: {}, flags: [] }).problems).toEqual([])
  const { config, problems } = loadSettings({ file, env: {}, flags: [], role: 'serve' })
  expect(config).toBeUndefined()
  expect(problems).toMatchObject([{ code: 'setting-invalid', line: 2, column: 10 }])
})

test('a list is no file of settings', () => {
  expect(load('- threads\n').problems).toMatchObject([{ code: 'value-kind', line: 1 }])
})

test('prefixes that are none are told where they stand, from whatever source', () => {
  const { config, problems } = load('probe:\n  allow: [127.0.0.0/8, 10.0.0.1/8]\n', {
    MERIDIAN_PROBE_DENY: '::/0,1.2.3/8',
  })
  expect(config).toBeUndefined()
  expect(problems).toMatchObject([
    { code: 'setting-invalid', line: 2, column: 24, hint: 'Write 10.0.0.0/8, or 10.0.0.1/32 if one address is meant' },
    { code: 'setting-invalid', file: 'MERIDIAN_PROBE_DENY', message: 'probe.deny: “1.2.3/8” is no prefix' },
  ])
  expect(load('probe: {allow: [loopback]}\n').problems).toMatchObject([{ code: 'setting-invalid', line: 1 }])
  expect(load('probe: {deny: "2001:db8::/32"}\n').config?.['probe.deny']).toEqual(['2001:db8::/32'])
  expect(load('limits: {exempt: [192.0.2.1/24]}\n').problems).toMatchObject([{ code: 'setting-invalid', line: 1 }])
})

test('rate limits reach the answering threads, each in its place, and stay the same object of state', () => {
  const limits = '{answers: 1, negatives: 2, referrals: 3, errors: 4, unproven: 5, slip: 6, exempt: [192.0.2.0/24]}'
  const { config } = load(`threads: 7\nlimits: ${limits}\n`)
  const live = new LiveProtocol(config!, pino({ level: 'silent' }), () => {})
  expect(live.protocol.limits).toMatchObject({ perSecond: [1, 2, 3, 4], unproven: 5, slip: 6, threads: 7 })
  const { exempt } = live.protocol.limits!
  const isExempt = (address: string) => leafValue(walk(exempt.v4, parseAddress(address)!, 0))
  expect(['192.0.2.9', '192.0.3.9', '127.1.2.3'].map(isExempt)).toEqual([1, 0, 1])
  expect(live.protocol.limits).toBe(live.protocol.limits)
})

const ownOf = (text: string) => {
  const { own } = probeSettings(load(text).config!).reach
  return own.map(({ address, port }) => `${address} ${port}`)
}

test("the node's own ports and its Redis are what checks may not reach", () => {
  expect(ownOf('http.listen: "192.0.2.53:8053"\n')).toEqual(['192.0.2.53 8053'])
  expect(ownOf('redis: redis+sentinel://a:1,192.0.2.6/m\n')).toEqual(['127.0.0.1 8053', 'a 1', '192.0.2.6 26379'])
  const all = ownOf('http.listen: "[::]:80"\n')
  expect([all.includes('127.0.0.1 80'), ownOf('http.listen: "0.0.0.0:80"\n').includes('127.0.0.1 80')]).toEqual([
    true,
    true,
  ])
  expect(all).toContain('127.0.0.0/8 80') // where no interface says so
})

test('commands: names and words, the program relative to the file', () => {
  const text = `probe:
  region: eu
  exec:
    login: [bin/login, --deep, "a, b", ""]
    ping: /bin/true
`
  expect(load(text).config).toMatchObject({
    'probe.region': 'eu',
    'probe.exec': { login: [join(folder, 'bin/login'), '--deep', 'a, b', ''], ping: ['/bin/true'] },
  })
  expect(load('probe.exec: {a: /bin/a}\n', { MERIDIAN_PROBE_EXEC: 'b=/bin/b' }).config?.['probe.exec']).toEqual({
    b: ['/bin/b'],
  })
  expect(load('').config?.['probe.exec']).toEqual({})
})

test('authorities and values of headers by name, files relative to the file of settings', () => {
  const text = `probe:
  ca: {lab: lab.pem, both: [/etc/a.pem, b.pem]}
  headers: {token: "Bearer a, b", file: "file:run/token"}
tls: {ca: own.pem}
`
  const { config } = load(text)
  expect(config).toMatchObject({
    'probe.ca': { lab: [join(folder, 'lab.pem')], both: ['/etc/a.pem', join(folder, 'b.pem')] },
    'tls.ca': [join(folder, 'own.pem')],
  })
  const revealed = Object.entries(config!['probe.headers']).map(([name, value]) => [name, value.reveal()])
  expect(revealed).toEqual([
    ['token', 'Bearer a, b'],
    ['file', `file:${join(folder, 'run/token')}`],
  ])
  expect(JSON.stringify(config)).not.toContain('Bearer')
  const given = load('', { MERIDIAN_PROBE_CA: 'lab=/etc/lab.pem', MERIDIAN_PROBE_HEADERS: 'a=x y,b=file:/run/b' })
  expect(given.config!['probe.ca']).toEqual({ lab: ['/etc/lab.pem'] })
  expect(Object.values(given.config!['probe.headers']).map((value) => value.reveal())).toEqual(['x y', 'file:/run/b'])
})

test('a header value of more than one line is refused and not shown; so is an authority that can not be read', () => {
  const [problem] = load('probe: {headers: {token: "se\\ncret"}}\n').problems
  expect(problem).toMatchObject({ code: 'setting-invalid', line: 1 })
  expect(JSON.stringify(problem)).not.toContain('cret')
  expect(problemsOf('serve', 'tls: {ca: gone.pem}\nprobe: {ca: {lab: [none.pem]}}\n')).toMatchObject([
    {
      code: 'setting-invalid',
      line: 1,
      column: 11,
      message: expect.stringContaining("gone.pem can't be read: ENOENT"),
    },
    { code: 'setting-invalid', line: 2, message: expect.stringContaining("none.pem can't be read: ENOENT") },
  ])
})

test('a file of cookie secrets that is of no use is refused at its place, and nothing of it is shown', () => {
  const secret = 'e5e973e5a6b2a43f48e7dc849e37bfcf'
  const faults: [text: string, fault: string][] = [
    ['', 'has no secret'],
    [`${secret}\n${secret}\n${secret}\n`, 'has 3 secrets, at most 2'],
    [`${secret}\n${secret}0\n`, ':2 is not 32 hexadecimal digits'],
  ]
  for (const [text, fault] of faults) {
    writeFileSync(join(folder, 'secrets'), text, { mode: 0o640 })
    const problems = problemsOf('serve', 'cookies: {secretFile: secrets}\n')
    expect(problems).toMatchObject([
      { code: 'setting-invalid', line: 1, column: 23, message: expect.stringContaining(fault) },
    ])
    expect(JSON.stringify(problems)).not.toContain(secret.slice(0, 8))
  }
  writeFileSync(join(folder, 'secrets'), `${secret}\r\n\n ${secret.toUpperCase()}\n`)
  expect(problemsOf('serve', 'cookies: {secretFile: secrets}\n')).toEqual([])
  chmodSync(join(folder, 'secrets'), 0o644)
  expect(problemsOf('serve', 'cookies: {secretFile: secrets}\n')).toMatchObject([
    { severity: 'error', line: 1, column: 23, message: expect.stringContaining('has mode 0644: others can read it') },
  ])
  expect(problemsOf('serve', 'cookies: {secretFile: gone}\n')[0]!.message).toContain("can't be read: ENOENT")
  // a prober answers nobody
  expect(problemsOf('probe', 'redis: redis://192.0.2.6\ncookies: {secretFile: gone}\n')).toEqual([])
})

test('every fault of a command has its place', () => {
  const text = `probe:
  exec:
    -x: [/bin/true]
    none: []
    deep: [/bin/true, [a]]
    empty:
    ok: [/bin/true]
`
  const { config, problems } = load(text)
  expect(config).toBeUndefined()
  expect(problems.map(({ code, line, column }) => [code, line, column])).toEqual([
    ['value-kind', 5, 23],
    ['value-kind', 6, 5],
    ['setting-invalid', 3, 5],
    ['setting-invalid', 4, 5],
    ['setting-invalid', 6, 5],
  ])
  expect(load('probe: {exec: [/bin/true]}\n').problems).toMatchObject([
    { code: 'value-kind', line: 1, hint: expect.stringContaining('NAME') },
  ])
})

const problemsOf = (role: Role | undefined, text: string) => {
  writeFileSync(file, text)
  return loadSettings({ file, env: {}, flags: [], role }).problems
}

describe('Redis', () => {
  test('a prober without it can tell nobody', () => {
    expect(problemsOf('probe', 'threads: 1\n')).toMatchObject([{ code: 'redis-missing', severity: 'error', file }])
    expect(problemsOf('probe', 'redis: redis://192.0.2.6:6379\n')).toEqual([])
  })

  test('a node that neither probes nor has it would hear of nothing', () => {
    expect(problemsOf('serve', 'probe: {enabled: false}\n')).toMatchObject([
      { code: 'redis-missing', severity: 'error', file, line: 1, column: 18 },
    ])
    expect(problemsOf('serve', 'probe: {enabled: false}\nredis: redis://192.0.2.6:6379\n')).toEqual([])
    expect(problemsOf('serve', 'threads: 1\n')).toEqual([])
  })

  test('a URL that can not be read is told with its place, and without the password', () => {
    const [problem] = problemsOf('serve', 'redis: "redis://user:secret@pw@192.0.2.6:6379"\n')
    expect(problem).toMatchObject({ code: 'setting-invalid', file, line: 1, column: 8 })
    expect(problem!.message).toContain('%40')
    expect(JSON.stringify(problem)).not.toContain('secret')
  })

  test('a command that only asks needs none of it', () => {
    expect(problemsOf(undefined, 'probe: {enabled: false}\nredis: "redis://a@b@c"\n')).toEqual([])
  })
})

test('a receiver of notifications without what its type needs is told where it stands, to a node alone', () => {
  const text = `notify:
  chat: {type: slack}
  pager: {type: pagerduty, severity: critical}
  mail: {type: mail, url: "smtp://192.0.2.1", from: a@example.com, secret: 0123456789abcdef}
  hook: {url: "file:nowhere", to: [b@example.com]}
  wrong: {type: mail, url: "https://192.0.2.1", from: a@example.com, to: [b@example.com]}
  empty: {}
`
  writeFileSync(file, text)
  const { config, problems } = loadSettings({ file, env: {}, flags: [], role: 'serve' })
  expect(config).toBeUndefined()
  expect(problems).toMatchObject([{ code: 'setting-unknown', line: 7, message: 'there is no setting notify.empty' }])
  writeFileSync(file, text.replace(/ {2}empty.*\n/, ''))
  const found = loadSettings({ file, env: {}, flags: [], role: 'serve' }).problems
  expect(found.map(({ line, message }) => `${line} ${message}`)).toEqual([
    '2 notify.chat: type slack needs a url',
    '3 notify.pager: type pagerduty needs key',
    '4 notify.mail: type mail needs to',
    '4 notify.mail: a mail is not signed',
    '5 notify.hook: to is for type mail, and this is of type webhook',
    `5 notify.hook: ${join(folder, 'nowhere')} can't be read: ENOENT`,
    '6 notify.wrong: url is no smtps://… or smtp://…',
  ])
  expect(loadSettings({ file, env: {}, flags: [] }).problems).toEqual([])
})

describe('announcing', () => {
  const LISTEN = 'listen: ["198.51.100.1:53", "192.0.2.53:53"]\n'
  test.each([
    ['form: route, addresses: [192.0.2.53/24]', undefined],
    ['form: http', undefined],
    ['form: file, addresses: [192.0.2.53], file: here', undefined],
    ['form: exec, addresses: [192.0.2.53], exec: [/bin/sh, -c, "…"]', undefined],
    ['form: route', /there is nothing to announce/],
    ['addresses: [192.0.2.53]', /nothing says how they are announced/],
    ['form: route, addresses: [192.0.2.54]', /nothing listens at 192\.0\.2\.54/],
    ['form: route, addresses: ["2001:db8::53"]', /nothing listens at 2001:db8::53/],
    ['form: file, addresses: [192.0.2.53]', /announce\.file is missing/],
    ['form: exec, addresses: [192.0.2.53], exec: [sh, -c]', /must begin with a path/],
    ['form: route, addresses: [192.0.2.0/33]', /can't be/],
  ])('%s', (settings, fault) => {
    for (const role of ['serve', 'announce'] as const) {
      const problems = problemsOf(role, `${LISTEN}announce: {${settings}}\n`)
      expect(problems.map(({ message }) => message)).toEqual(fault === undefined ? [] : [expect.stringMatching(fault)])
    }
    expect(problemsOf(undefined, `${LISTEN}announce: {form: route}\n`), 'for other commands').toEqual([])
  })

  test('a wildcard listens at every address of its family', () => {
    const announce = 'announce: {form: route, addresses: [192.0.2.53, "2001:db8::53"]}\n'
    expect(problemsOf('serve', announce)).toEqual([])
    expect(problemsOf('serve', `listen: ["0.0.0.0:53"]\n${announce}`)).toHaveLength(1)
  })
})
