/** `meridian explain` as it is typed: against a node that serves and probes, from afar with the token, and from files. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { makeApp } from '../../src/api/app.ts'
import type { Node } from '../../src/api/contract.ts'
import type { ExplainResponse } from '../../src/api/explained.ts'
import { listenSocket } from '../../src/api/listen.ts'
import { ROUTES } from '../../src/api/routes.ts'
import { run } from '../../src/cli/commands.ts'
import { explanationInWords } from '../../src/cli/words/explanation.ts'
import { RunningNode } from '../../src/node/node.ts'
import { printable } from '../../src/problem.ts'
import { CASES } from '../api/cases.ts'
import { CLIENTS, writeTestDatabase } from '../support/mmdb.ts'
import { until } from '../support/until.ts'
import { configOf } from './fleet.ts'

const HOST = '127.43.7.1'
const HTTP = `${HOST}:8163`
const TOKEN = 'a-token-of-this-test'
const folder = mkdtempSync(join(tmpdir(), 'meridian-explain-'))
const zones = join(folder, 'zones')
const city = join(folder, 'city.mmdb')
const state = join(folder, 'state')
const ZONES = {
  'defaults.yaml': 'soa: {mname: ns1.example.net., rname: h.example.net., minimum: 60, serial: 1}\nttl: 300\n',
  'sites.yaml': `fra: {location: [50.11, 8.68], region: eu}
iad: {location: [38.95, -77.45], region: us}
sin: {location: [1.36, 103.99], region: ap, drained: true}
`,
  // fra answers; nothing listens at iad and sin
  'services.yaml': `web:
  sites:
    fra: {vips: [127.43.7.11]}
    iad: {vips: [127.43.7.12], bias: 10}
    sin: {vips: [127.43.7.13]}
  check: {type: tcp, port: 8164, interval: 500ms, timeout: 200ms, fall: 1, rise: 1}
  keep: 0%
  ttl: {max: 60, min: 15, settle: 1h}
  rules:
    - {subnets: [82.64.1.0/24], geos: [AS-JP], order: [iad, fra]}
cdn: {sites: {fra: {vips: [{name: fra.cdn.example.}]}, iad: {vips: [{name: iad.cdn.example.}]}}, check: none}
`,
  'example.com.yaml': `"":
  - {type: NS, values: [ns1.example.net.]}
www: {type: GSLB, service: web, ttl: 20}
static: {type: A, values: [192.0.2.80]}
alias: {type: CNAME, value: static.example.com.}
"*.wild": {type: A, values: [192.0.2.81]}
lab: {type: NS, values: [ns.example.org.]}
old: {type: DNAME, ttl: 90, value: example.org.}
big: {type: TXT, values: [${Array.from({ length: 9 }, (_, i) => `"${`${i}`.padStart(180, 'x')}"`).join(', ')}]}
cdn: {type: GSLB, service: cdn}
svc: {type: HTTPS, ttl: 5, hints: web, value: {svcpriority: 1, targetname: ., svcparams: {alpn: [h2]}}}
`,
}

let site: Server
let node: RunningNode
beforeAll(async () => {
  mkdirSync(zones)
  for (const [name, text] of Object.entries(ZONES)) writeFileSync(join(zones, name), text)
  writeTestDatabase(city, { schema: 'maxmind' })
  site = createServer((socket) => socket.on('error', () => undefined).end()).listen(8164, '127.43.7.11')
  const settings = { 'node.name': 'n1', 'http.listen': HTTP, 'http.token': TOKEN, listen: `${HOST}:5363`, threads: '1' }
  const config = configOf({
    ...settings,
    zones,
    state,
    'geo.city': city,
    'probe.region': 'eu',
    'probe.allow': '127.0.0.0/8',
  })
  node = await RunningNode.start({ config, takeover: false, log: pino({ level: 'silent' }) })
  // until a vote on each, and that of the site that answers no longer moves
  const settled = async (): Promise<boolean> => {
    const members = (await node.status()).services.flatMap((service) => service.members)
    return node.readiness().ready && members.some(({ unrest }) => unrest === 'it settles')
  }
  await until('it settles', settled)
})
afterAll(async () => {
  await node.stop()
  site.close()
  rmSync(folder, { recursive: true })
})

/** A file that holds it. */
function tokenFile(token: string): string {
  const file = join(folder, 'token')
  writeFileSync(file, `${token}\n`)
  return file
}

interface Typed {
  readonly code: number
  readonly out: string
  readonly err: string
}

/** Types a command line. */
async function type(...args: string[]): Promise<Typed> {
  const out: string[] = []
  const err: string[] = []
  const output = {
    out: (line: string) => void out.push(line),
    err: (line: string) => void err.push(printable(line)),
  }
  const code = await run(args, output, () => Promise.resolve())
  return { code, out: out.join('\n'), err: err.join('\n') }
}

const files = ['--zones', zones, '--geo-city', city]
const here = ['--state', state]
const nowhere = ['--state', join(folder, 'none')]
const PARIS = ['--client', CLIENTS.paris.v4]

/** The text of a key, its further lines behind it. */
function keyed(out: string, key: string): string[] {
  const found: string[] = []
  let within = false
  for (const line of out.split('\n')) {
    if (/^ {12}\S/.test(line) && within) found.push(`${found.pop()} ${line.trim()}`)
    else if ((within = line.startsWith(`  ${key.padEnd(10)}`))) found.push(line.slice(12))
  }
  return found
}

describe('a node that runs', () => {
  test('place, rule, walk, pick, TTL, scope, votes, the bytes: each is there, on 100 columns', async () => {
    const { code, out, err } = await type('explain', 'www.example.com', ...PARIS, '--wire', ...here)
    expect([code, err]).toEqual([0, ''])
    const [source, head, blank] = out.split('\n')
    expect(source).toMatch(/^node n1, generation 1, view [0-9a-f]{16}$/)
    expect(head).toBe(`www.example.com. A for ${CLIENTS.paris.v4}: NOERROR, steered, scope /24`)
    expect(blank).toBe('')
    expect(keyed(out, 'place')).toEqual([
      expect.stringMatching(
        /^EU-FR-IDF at 48\.86, 2\.35: 82\.64\.0\.0\/14 in .*city\.mmdb \(test maxmind, built 2026-/,
      ),
    ])
    expect(keyed(out, 'rule')).toEqual([expect.stringMatching(/services\.yaml:10, by its subnet 82\.64\.1\.0\/24$/)])
    expect(keyed(out, 'walk')).toEqual([
      'up: group 1, iad: not enough usable VIPs',
      expect.stringMatching(/^up: group 2, fra: eligible, score [\d.]+ at weight 100$/),
    ])
    expect(keyed(out, 'pick')).toEqual(['fra (up), the first eligible site'])
    expect(keyed(out, 'VIPs')).toEqual(['127.43.7.11, the only usable one of its type'])
    const [ttl] = keyed(out, 'TTL')
    expect(ttl).toMatch(/^15 s, the service’s min: not every member consulted is calm \(/)
    expect(ttl).toMatch(/fra\/web\/127\.43\.7\.11: it settles, calm in (60|59) min/)
    expect(ttl).toMatch(/iad\/web\/127\.43\.7\.12: it is unproven; .*max 60 s, min 15 s, the name’s own cap 20 s$/)
    expect(keyed(out, 'scope')).toEqual([
      '/24: all of /24 is in this class; caches may reuse the answer for 82.64.1.0/24',
    ])
    expect(keyed(out, 'failover')[0]).toMatch(/^21\.3 s at worst: 0\.8 s to detect it, .* TTL 20 s$/)
    expect(out).toMatch(/\n {2}1 {2}iad {2}6\d{3} km \(5\d{3} by bias 10\)/)
    expect(out).toMatch(/\n {4}127\.43\.7\.11 {2}up {2}for \d+ s {2}in the answer\n/)
    expect(out).toMatch(/\n +n1 \(eu\) {2}up {2}for \d+ s /)
    expect(out).toMatch(/\n +n1 \(eu\) {2}DOWN {2}for \d+ s .*connection refused/)
    expect(out).toMatch(/\n +quorum of 1 prober: DOWN takes 1, UP takes 1\n/)
    expect(out).toMatch(/\n;; ANSWER\nwww\.example\.com\. 15 IN A 127\.43\.7\.11\n/)
    expect(out).toMatch(/\n0000 {2}00 00 84 00 00 01 00 01 /)
    for (const line of out.split('\n')) expect(line.length, line).toBeLessThanOrEqual(100)
  })

  test('--json is the same with stable names, and the bytes', async () => {
    const { out } = await type('explain', 'www.example.com', ...PARIS, '--json', ...here)
    const told: ExplainResponse = JSON.parse(out)
    expect(told).toMatchObject({
      source: { kind: 'node', node: 'n1', generation: 1 },
      outcome: 'steered',
      scope: 24,
      ttl: { seconds: 15, from: 'min', capSeconds: 20 },
      steering: { pick: 'fra', named: ['127.43.7.11'], usable: 1, matched: { by: 'subnet', text: '82.64.1.0/24' } },
    })
    expect(told.wire.hex.slice(0, 8)).toBe('00008400')
    const [iad] = told.steering!.sites
    expect(iad!.vips[0]!.health!.targets[0]!.votes).toMatchObject([{ prober: 'n1', region: 'eu', value: 'down' }])
  })

  test('from afar, as host:port or as a URL, with the token and not without', async () => {
    const asked = ['explain', 'www.example.com', ...PARIS]
    for (const at of [HTTP, `http://${HTTP}`]) {
      const told = await type(...asked, '--at', at, '--token-file', tokenFile(TOKEN), ...nowhere)
      expect(told).toMatchObject({ code: 0, err: '', out: expect.stringMatching(/^node n1, /) })
    }
    const refused = await type(...asked, '--at', HTTP, '--token-file', tokenFile(`${TOKEN}s`), ...nowhere, ...files)
    expect(refused).toMatchObject({ code: 1, out: '', err: expect.stringContaining('the token is unknown') })
    // another node that is not there is no reason to tell of these files
    const gone = await type(...asked, '--at', `${HOST}:8165`, ...nowhere, ...files)
    expect(gone).toMatchObject({ code: 1, out: '', err: expect.stringContaining('no node answers on http://') })
    for (const at of ['8053', 'ftp://x', 'http://', ':1', '2001:db8::1:8053']) {
      expect(await type(...asked, '--at', at, ...nowhere), at).toMatchObject({ code: 1, out: '' })
    }
    expect(await type(...asked, '--at', HTTP, '--offline', ...nowhere)).toMatchObject({ code: 2 })
  })

  test('what ifs: down and drained, of sites, services and VIPs; what there is not is refused', async () => {
    const asked = ['explain', 'www.example.com', '--client', CLIENTS.newYork.v4, ...here]
    const down = await type(...asked, '--down', 'fra/web')
    expect(keyed(down.out, 'what if')).toEqual(['fra/web were down'])
    expect(keyed(down.out, 'pick')).toEqual(['iad (unproven), the first eligible site'])
    expect(down.out).toMatch(/127\.43\.7\.11 {2}DOWN +taken for down\n/)
    const drained = await type(...asked, '--drain', 'fra/web/127.43.7.11', '--drain', 'iad')
    expect(drained.out).toMatch(/127\.43\.7\.11 {2}DRAINED +.*taken for drained\n/)
    const unknown = await type(...asked, '--down', 'lhr')
    expect(unknown).toMatchObject({ code: 2, err: expect.stringContaining('no such site: lhr; sites: fra, iad, sin') })
    expect((await type(...asked, '--drain', 'fra/api')).err).toContain(
      'fra/api matches no member; services at fra: cdn, web',
    )
    expect((await type(...asked, '--drain', 'a/b/c/d')).err).toContain('is no SITE, SITE/SERVICE')
    // and nothing has changed
    expect(keyed((await type(...asked)).out, 'pick')).toEqual(['fra (up), the first eligible site'])
  })

  test('who does not tell a client is answered by where the query comes from', async () => {
    const asked = ['explain', 'www.example.com', ...here, '--no-ecs']
    const told = await type(...asked, '--client', '198.51.100.1', '--resolver', CLIENTS.tokyo.v4)
    expect(told.out).toContain(`for ${CLIENTS.tokyo.v4}, which sends no client subnet: NOERROR, steered\n`)
    expect(keyed(told.out, 'place')[0]).toMatch(/^AS-JP-13 at .*, of the resolver: 126\.0\.0\.0\/8 /)
    expect(keyed(told.out, 'rule')[0]).toMatch(/services\.yaml:10, by its geo AS-JP$/)
    expect(keyed(told.out, 'scope')).toEqual(['none: the query has no client subnet'])
    expect((await type(...asked, '--client', '198.51.100.0/24')).err).toContain('name the resolver’s')
  })

  test('its responses have the forms that the description of the API tells', async () => {
    const app = makeApp(node, 'open')
    const who = { who: 'kim', why: 'a test', yes: true }
    const asked: Readonly<Record<string, string | object>> = {
      'GET /api/explain': `?name=www.example.com&client=${CLIENTS.paris.v4}`,
      'GET /api/outlook': '?pattern=fra',
      'POST /api/overrides': { pattern: 'fra', action: 'drain', for: '1h', ...who },
      'POST /api/forget': { node: 'n2', who: 'kim' },
      'POST /api/geo/accept': { who: 'kim' },
      'POST /api/zones/accept': { who: 'kim' },
    }
    const refused: string[] = []
    for (const { method, path, response: form } of ROUTES.toReversed()) {
      const name = `${method} ${path}`
      const given = asked[name] ?? CASES[name]![0].body ?? ''
      const headers = { 'content-type': 'application/json' }
      const response = await (typeof given === 'string'
        ? app.request(path + given)
        : app.request(path, { method, headers, body: JSON.stringify(given) }))
      if (response.status === 409) refused.push(path)
      else expect([path, response.status]).toEqual([path, 200])
      if (typeof form === 'string') expect(response.headers.get('content-type')).toContain(form)
      else if (response.status === 200)
        expect(form.safeParse(await response.json()), path).toMatchObject({ success: true })
    }
    // nothing waits, nobody is n2, and a drill would leave too little
    expect(refused).toEqual(['/api/zones/accept', '/api/geo/accept', '/api/forget', '/api/return', '/api/drills'])
    expect(node.overrides()).toMatchObject([{ override: { pattern: 'fra', who: 'kim' } }])
    await node.freeze({ action: 'unfreeze', who: 'kim', why: '' })
    await node.override({ pattern: 'fra', action: 'undrain', forMs: undefined, who: 'kim', why: '', yes: false })
  })

  test('one that has loaded nothing yet, and one of another version', async () => {
    const early = join(folder, 'early')
    mkdirSync(early)
    const shown: Node = {
      readiness: () => node.readiness(),
      metrics: () => node.metrics(),
      status: () => node.status(),
      summary: () => node.summary(),
      explain: () => undefined,
      members: (filter) => node.members(filter),
      overrides: () => node.overrides(),
      events: () => ({ events: [], next: null }),
      eventFeed: () => ({ next: async () => undefined }),
      board: (known, waits) => node.board(known, waits),
      world: (service, clients) => node.world(service, clients),
      outlook: (patterns, to) => node.outlook(patterns, to),
      override: (order) => node.override(order),
      overrideAll: (orders) => node.overrideAll(orders),
      freeze: (freezing) => node.freeze(freezing),
      return: (returning) => node.return(returning),
      drill: (body) => node.drill(body),
      drills: () => node.drills(),
      forget: (forgetting) => node.forget(forgetting),
      acceptGeo: (acceptance) => node.acceptGeo(acceptance),
      acceptZones: (acceptance) => node.acceptZones(acceptance),
      announce: (report) => node.announce(report),
      announcement: () => node.announcement(),
    }
    const path = join(early, 'control.sock')
    const typed = ['explain', 'www.example.com', ...PARIS, '--state', early, ...files]
    const unloaded = await listenSocket(makeApp(shown, 'open'), path)
    expect(await type(...typed)).toMatchObject({
      code: 1,
      out: '',
      err: expect.stringContaining('no zones are loaded'),
    })
    await unloaded.stop()
    const other = await listenSocket(makeApp({ ...shown, explain: () => ({ rcode: 'NOERROR' }) }, 'open'), path)
    expect(await type(...typed)).toMatchObject({ code: 1, out: '', err: expect.stringContaining('another version') })
    expect(await type(...typed, '--json')).toMatchObject({ code: 0, out: '{"rcode":"NOERROR"}' })
    await other.stop()
  })
})

/** Of the files: no node is there. */
const ask = (...args: string[]): Promise<Typed> => type('explain', ...args, ...files, ...nowhere)

test('a node that is there and does not answer is no reason to tell of the files', async () => {
  const wedged = join(folder, 'wedged')
  mkdirSync(wedged)
  const server = createServer((socket) => void socket.destroy()).listen(join(wedged, 'control.sock'))
  const told = await type('explain', 'www.example.com', ...PARIS, '--state', wedged, ...files)
  server.close()
  expect(told).toMatchObject({ code: 1, out: '', err: expect.stringContaining('no node answers on') })
})

describe('files', () => {
  test('where no node answers, and with --offline: every member is taken for up, but for those that are drained', async () => {
    const told = await ask('www.example.com', '--client', CLIENTS.jakarta.v4)
    expect(told.err).toBe('')
    expect(told.out.replaceAll(/\s+/g, ' ')).toMatch(
      /^files of \S+ \(no node\), view \w+: every member is assumed up, except 1 that the files drain /,
    )
    expect(keyed(told.out, 'walk')[0]).toMatch(/sin: not enough usable VIPs/)
    expect(keyed(told.out, 'pick')).toEqual(['fra (up), the first eligible site'])
    const offline = await type('explain', 'www.example.com', ...PARIS, '--offline', ...files, ...here)
    expect(offline.out).toMatch(/^files of \S+ \(--offline\)/)
    expect(keyed(offline.out, 'pick')).toEqual(['iad (up), the first eligible site'])
    const json = await ask('www.example.com', ...PARIS, '--offline', '--json')
    expect(JSON.parse(json.out)).toMatchObject({ source: { kind: 'files', drained: 1 }, steering: { health: null } })
  })

  test.each([
    [
      'static.example.com',
      [],
      'NOERROR, records as written',
      /in the zone example\.com\.: A \S*example\.com\.yaml:4$/,
      '300 s',
    ],
    ['x.wild.example.com', [], 'as written', /by the wildcard \*\.wild\.example\.com\. .*: A \S+:6$/, '300 s'],
    ['wild.example.com', [], 'no records of this type', /an empty non-terminal/, '60 s: negative'],
    [
      'none.example.com',
      [],
      'NXDOMAIN, no such name',
      /does not exist.*closest existing name is example\.com\.$/,
      '60 s',
    ],
    [
      'x.lab.example.com',
      [],
      'delegated',
      /delegated by the zone example\.com\. at lab\.example\.com\.: NS \S+:7$/,
      '300 s',
    ],
    [
      'www.old.example.com',
      [],
      'only an alias',
      /redirected by the DNAME of old\.example\.com\. in the zone example\.com\.: DNAME \S+:8$/,
      '90 s',
    ],
    ['www.example.org', [], 'REFUSED, not answered', /in none of the zones served here/, 'none'],
    ['static.example.com', ['--type', 'ANY'], 'RFC 8482', /in the zone/, '3600 s'],
    ['www.example.com', ['--type', 'MX'], 'no records of this type', /GSLB \S+:3$/, '15 s, the service’s min'],
    ['alias.example.com', [], 'as written', /CNAME \S+:5$/, '300 s'],
    ['static.example.com', ['--type', 'AXFR'], 'NOTAUTH, not answered', /AXFR is answered over TCP to those/, 'none'],
    ['example.com', ['--type', 'AXFR'], 'REFUSED, not answered', /AXFR is answered over TCP to those/, 'none'],
  ] as const)('%s %s: %s', async (name, args, head, lookup, ttl) => {
    const { code, out } = await ask(name, ...PARIS, ...args)
    expect(code).toBe(0)
    expect(out.split('\n').find((line) => line.includes(` for ${CLIENTS.paris.v4}: `))).toContain(head)
    expect(keyed(out, 'name')[0]).toMatch(lookup)
    expect(keyed(out, 'TTL')[0]).toContain(ttl)
  })

  test('hints of a service are steered as its addresses are', async () => {
    const { out } = await ask('svc.example.com', ...PARIS, '--type', 'HTTPS')
    expect(out).toContain('NOERROR, steered')
    expect(keyed(out, 'name')[0]).toMatch(/^svc\.example\.com\. in the zone example\.com\.: HTTPS \S+:11$/)
    expect(keyed(out, 'pick')[0]).toMatch(/^iad /)
    expect(keyed(out, 'TTL')[0]).toMatch(/^5 s, /)
    expect(out).toContain('svc.example.com. 5 IN HTTPS 1 . alpn="h2" ipv4hint=127.43.7.12')
  })

  test('a service of names: which of them, and why', async () => {
    const { out } = await ask('cdn.example.com', ...PARIS, '--type', 'MX')
    expect(out).toContain('NOERROR, steered')
    expect(keyed(out, 'pick')[0]).toMatch(/^fra /)
    expect(out).toContain('cdn.example.com. 60 IN CNAME fra.cdn.example.')
    const down = await ask('cdn.example.com', ...PARIS, '--down', 'fra')
    expect(down.out).toContain('cdn.example.com. 15 IN CNAME iad.cdn.example.')
  })

  test('an alias is followed, and what has no room over UDP is told from TCP', async () => {
    const alias = await ask('alias.example.com', ...PARIS)
    expect(keyed(alias.out, 'alias')[0]).toMatch(/^static\.example\.com\. in the zone example\.com\.: A /)
    const big = await ask('big.example.com', ...PARIS, '--type', 'TXT')
    expect(big.out).toMatch(/;; truncated over UDP \(TC, \d+ bytes\); \d{4} bytes over TCP, flags qr aa\n/)
    expect(big.out.match(/ IN TXT /g)).toHaveLength(9)
  })

  test('with errors in them: the problems, and that no node answered; exit 1', async () => {
    const broken = join(folder, 'broken')
    mkdirSync(broken)
    for (const [name, text] of Object.entries(ZONES))
      writeFileSync(join(broken, name), text.replace('[iad, fra]', '[ams]'))
    const args = ['explain', 'www.example.com', ...PARIS, '--zones', broken, ...nowhere]
    const told = await type(...args)
    expect(told).toMatchObject({ code: 1, out: '' })
    expect(told.err).toMatch(/services\.yaml:10:\d+ site-unknown/)
    expect(told.err).toContain('no node answers on')
    expect((await type(...args, '--offline')).err).not.toContain('no node answers')
    const json = await type(...args, '--json')
    expect(JSON.parse(json.out)).toMatchObject({ problems: [{ code: 'site-unknown' }] })
  })

  test.each([
    [['a..b', ...PARIS], /a\.\.b/],
    [[`${'x'.repeat(64)}.example.com`, ...PARIS], /63|label/],
    [[`${'abcdefgh.'.repeat(40)}example.com`, ...PARIS], /255/],
    [['www.example.com', '--client', '1.2.3'], /“1\.2\.3” is no IP address/],
    [['www.example.com', '--client', '1.2.3.4/33'], /is no IP prefix/],
    [['www.example.com', '--client', '::1%eth0'], /is no IP address/],
    [['www.example.com', '--client', '1.2.3.4/-1'], /is no IP prefix/],
    [['www.example.com', ...PARIS, '--resolver', 'localhost'], /“localhost” is no IP address/],
    [['www.example.com', ...PARIS, '--type', 'A B'], /“A B” is no record type/],
    [['www.example.com', ...PARIS, '--type', 'AXFR&client=::1'], /is no record type/],
    [['\u001b]0;x\u0007.example.com', ...PARIS], /\ufffd\]0;x\ufffd\.example\.com/],
    [['www.example.com', '--client', '\u001b[31m1.2.3.4'], /“\ufffd\[31m1\.2\.3\.4” is no IP address/],
  ])('a wrong question is told: %j', async (args, message) => {
    for (const asked of [await ask(...args), await type('explain', ...args, ...here)]) {
      expect(asked).toMatchObject({ code: 2, out: '' })
      expect(asked.err).toMatch(message)
      expect(asked.err).not.toContain('control.sock') // it is the question that is wrong
    }
  })

  test('hostile names are told in full and steer no terminal', async () => {
    for (const name of [String.raw`a\.b\000.example.com`, '%0d%0a.example.com', '<b>.wild.example.com']) {
      for (const { code, out } of [await ask(name, ...PARIS), await type('explain', name, ...PARIS, ...here)]) {
        expect(code).toBe(0)
        expect(out).toMatch(name.includes('wild') ? /NOERROR/ : /NXDOMAIN/)
        expect(out).toBe(printable(out))
      }
    }
  })
})

test('a verdict that this version has no words for is told as it is', async () => {
  const { out } = await type('explain', 'www.example.com', ...PARIS, '--offline', '--json', ...files, ...nowhere)
  const told: ExplainResponse = JSON.parse(out)
  const [first, ...rest] = told.steering!.walk
  const walk = [{ ...first!, verdict: 'spilled over, by capacity' }, ...rest]
  const steering = { ...told.steering!, walk, stage: null, pick: null }
  expect(explanationInWords({ ...told, steering }, '')).toContain('iad: spilled over, by capacity')
})

test('stages that end alike are one line, and a closed order is said to be one', async () => {
  const { out } = await type('explain', 'www.example.com', ...PARIS, '--offline', '--json', ...files, ...nowhere)
  const told: ExplainResponse = JSON.parse(out)
  const step = { ...told.steering!.walk[0]!, verdict: 'not enough usable VIPs' }
  const walk = [...['up', 'unproven', 'drained'].map((stage) => ({ ...step, stage })), { ...step, verdict: 'eligible' }]
  const stages = walk.map((one, i) => (i === 3 ? { ...one, stage: 'last resort' } : one))
  const steering = { ...told.steering!, walk: stages, rule: null, fence: true }
  const text = explanationInWords({ ...told, steering }, '')
  expect(keyed(text, 'walk')).toEqual([
    `from “up” to “drained”: ${step.site}: not enough usable VIPs`,
    expect.stringMatching(/^last resort: group 1, .*: eligible/),
  ])
  expect(keyed(text, 'rule')[0]).toContain('only these sites, no others')
})
