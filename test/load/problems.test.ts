/**
 * One folder per fault beside a valid twin: the broken one reports exactly its code, at its place, and the twin nothing.
 * Folders are copied out of this repository first, so that git knows nothing of them.
 */
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { loadFolder } from '../../src/load/load.ts'
import { formatProblem, type Problem, PROBLEM_CODES, type Severity } from '../../src/problem.ts'

const repository = resolve(import.meta.dirname, '../..')
let folder = ''

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'meridian-zones-'))
  cpSync(join(repository, 'test/zones'), folder, { recursive: true, verbatimSymlinks: true })
  // written here, because it would stop every tool that looks for unfinished merges
  const [bad, good] = ['bad', 'good'].map((kind) => join(folder, 'merge-conflict', kind))
  cpSync(join(folder, 'yaml-syntax/good'), good!, { recursive: true })
  cpSync(good!, bad!, { recursive: true })
  const services = readFileSync(join(bad!, 'services.yaml'), 'utf8')
  const both = `${'<'.repeat(7)} HEAD\n  check: none\n${'='.repeat(7)}\n  check: {type: icmp}\n${'>'.repeat(7)} other\n`
  writeFileSync(join(bad!, 'services.yaml'), services.replace('  check: none\n', both))
})
afterAll(() => rmSync(folder, { recursive: true }))

/** Where each broken folder is broken. */
const PLACES: Readonly<Record<string, string>> = {
  'below-cut': 'example.com.yaml:4:10',
  'budget-exceeded': 'example.com.yaml:2:6',
  'catchall-missing': 'example.com.yaml:11:9',
  'check-timing': 'services.yaml:5:10',
  'check-unknown': 'services.yaml:5:16',
  'cname-conflict': 'example.com.yaml:5:5',
  'dates-order': 'drills.yaml:3:23',
  'dname-conflict': 'example.com.yaml:4:1',
  'drill-long': 'drills.yaml:7:10',
  'duplicate-key': 'example.com.yaml:4:1',
  'fence-type': 'services.yaml:6:11',
  'file-unknown': 'service.yaml',
  'file-unreadable': 'example.org.yaml',
  'geo-covered': 'example.com.yaml:12:21',
  'gslb-conflict': 'example.com.yaml:5:5',
  'gslb-type': 'example.com.yaml:3:6',
  'hints-conflict': 'example.com.yaml:5:19',
  'include-invalid': 'example.com.yaml:2:15',
  'include-loop': 'common/www.yaml:2:12',
  'include-unused': 'common/old.yaml',
  'key-missing': 'sites.yaml:1:1',
  'key-unknown': 'services.yaml:6:3',
  'merge-conflict': 'services.yaml:5:1',
  'name-duplicate': 'example.com.yaml:3:1',
  'name-invalid': 'example.com.yaml:3:1',
  'not-supported': 'example.com.yaml:3:11',
  'text-encoding': 'example.com.yaml:3:29',
  'ns-missing': 'example.com.yaml:1:1',
  'ns-wildcard': 'example.com.yaml:3:10',
  'ns-without-address': 'example.com.yaml:3:44',
  'octodns-ignored': 'example.com.yaml:3:13',
  'pool-loop': 'example.com.yaml:7:22',
  'pool-reused': 'example.com.yaml:11:28',
  'pool-unknown': 'example.com.yaml:7:22',
  'pool-unused': 'example.com.yaml:9:7',
  'rdata-duplicate': 'example.com.yaml:3:43',
  'rdata-invalid': 'example.com.yaml:3:28',
  'resort-type': 'services.yaml:6:37',
  'rrset-duplicate': 'example.com.yaml:5:5',
  'rrset-too-large': 'example.com.yaml:4:3',
  'rule-dead': 'services.yaml:8:7',
  'rule-empty': 'services.yaml:6:11',
  'rule-order': 'example.com.yaml:12:9',
  'serial-unknown': '',
  'service-duplicate': 'services.yaml:1:1',
  'service-unknown': 'example.com.yaml:3:7',
  'service-without-sites': 'services.yaml:6:7',
  'site-duplicate': 'services.yaml:6:22',
  'site-unknown': 'services.yaml:6:16',
  'site-without-vips': 'services.yaml:4:17',
  'soa-in-zone': 'example.com.yaml:3:5',
  'subnet-covered': 'example.com.yaml:12:35',
  'ttl-order': 'services.yaml:6:23',
  'unsupported-type': 'example.com.yaml:2:13',
  'value-invalid': 'services.yaml:6:12',
  'value-kind': 'services.yaml:6:10',
  'vip-duplicate': 'services.yaml:4:33',
  'vip-shared': 'services.yaml:6:1',
  'vips-mixed': 'services.yaml:1:1',
  'vips-too-few': 'services.yaml:3:5',
  'yaml-syntax': 'example.com.yaml:3:24',
  'yaml-unsupported': 'example.com.yaml:3:24',
  'zone-duplicate': 'example.com.yaml:1:1',
  'zone-included': 'example.com.yaml',
  'zone-name': 'example..org.yaml',
  'zone-overlap': 'example.com.yaml:5:10',
  'zones-missing': '',
}
/** Of codes that are no errors. */
const SEVERITIES: Readonly<Record<string, Severity>> = {
  'include-unused': 'warning',
  'octodns-ignored': 'notice',
  'serial-unknown': 'warning',
  'vip-shared': 'warning',
  'zone-included': 'warning',
}

/** `file:line:column code`, the file relative to the folder that was loaded. */
function brief(loaded: string, { file, line, column, code }: Problem): string {
  const path = relative(loaded, file)
  return `${line > 0 ? `${path}:${line}:${column}` : path} ${code}`
}

describe.each(Object.entries(PLACES))('%s', (code, place) => {
  test('the broken folder reports it, and nothing else', async () => {
    const path = join(folder, code, 'bad')
    const { problems, model } = await loadFolder(path)
    expect(problems.map((problem) => brief(path, problem))).toEqual([`${place} ${code}`])
    const severity = SEVERITIES[code] ?? 'error'
    expect(problems[0]!.severity).toBe(severity)
    const { message, hint = '' } = problems[0]!
    expect(hint !== '' || message.includes(' is wanted'), 'it says what would be right').toBe(true)
    expect(model !== undefined).toBe(severity !== 'error')
  })

  test('its twin reports nothing', async () => {
    const { problems, model } = await loadFolder(join(folder, code, 'good'))
    expect(problems.map(formatProblem)).toEqual([])
    expect(model?.zones.length).toBeGreaterThan(0)
  })
})

test('every code that the loader has is shown by a folder', () => {
  // the linter's are shown in codes.test.ts
  const source = ['yaml', 'zone', 'load'].flatMap((room) => {
    const files = readdirSync(join(repository, 'src', room), { recursive: true, encoding: 'utf8' })
    const read = files.filter((file) => file.endsWith('.ts') && file !== 'lint.ts')
    return read.map((file) => readFileSync(join(repository, 'src', room, file), 'utf8'))
  })
  // of a dynamic record: shown in dynamic.test.ts
  const elsewhere = ['weight-unused']
  const codes = Object.keys(PROBLEM_CODES).filter(
    (code) => !elsewhere.includes(code) && source.some((text) => text.includes(`'${code}'`)),
  )
  expect(Object.keys(PLACES).toSorted()).toEqual(codes.toSorted())
})

test('ten faults in one folder: all ten are reported, each with its place, the file that is no YAML first', async () => {
  const path = join(folder, 'ten')
  const { problems } = await loadFolder(path)
  expect(problems.map((problem) => brief(path, problem))).toEqual([
    'example.net.yaml:1:5 yaml-syntax',
    'defaults.yaml:1:18 key-unknown',
    'defaults.yaml:3:8 check-timing',
    'example.com.yaml:2:6 service-unknown',
    'example.com.yaml:4:26 rdata-invalid',
    'example.com.yaml:5:14 value-invalid',
    'example.org.yaml:1:25 ns-without-address',
    'services/web.yaml:3:39 value-invalid',
    'services/web.yaml:4:18 value-invalid',
    'sites.yaml:2:17 value-invalid',
  ])
})

test('a problem in words: place, code, message, and what to do', async () => {
  const { problems } = await loadFolder(join(folder, 'service-unknown/bad'))
  expect(formatProblem({ ...problems[0]!, file: 'zones/example.com.yaml' })).toBe(
    'zones/example.com.yaml:3:7 service-unknown there is no service “wbe”\n    Did you mean web?',
  )
})

test('a folder that is not there is one problem, not a crash', async () => {
  const { problems, model } = await loadFolder(join(folder, 'nowhere'))
  expect(model).toBeUndefined()
  expect(problems.map(({ code }) => code)).toEqual(['file-unreadable'])
})

const NS = '"": {type: NS, values: [ns1.example.net.]}\n'
const SITES = 'fra: {location: [50.11, 8.68]}\n'

/** What a folder with this in it reports: codes in order of place. */
async function codesOf(files: Readonly<Record<string, string>>): Promise<readonly string[]> {
  const path = mkdtempSync(join(folder, 'one-'))
  const whole = { 'defaults.yaml': 'soa: {serial: 1}\n', 'sites.yaml': SITES, 'example.com.yaml': NS, ...files }
  for (const [name, text] of Object.entries(whole)) {
    mkdirSync(join(path, name, '..'), { recursive: true })
    writeFileSync(join(path, name), text)
  }
  return (await loadFolder(path)).problems.map(({ code }) => code)
}

test.each([
  ['lab: {type: NS, values: [n.example.net.]}\na.lab: {type: NS, values: [n.example.net.]}', 'below-cut'],
  ['lab: {type: NS, values: [n.example.net.]}\n"*.lab": {type: A, values: [192.0.2.1]}', 'below-cut'],
  [
    'lab:\n  - {type: NS, values: [n.example.net.]}\n  - {type: MX, values: [{preference: 1, exchange: m.example.net.}]}',
    'below-cut',
  ],
  ['"@": {type: A, value: 192.0.2.1}', 'name-invalid'],
  ['a..b: {type: A, value: 192.0.2.1}', 'name-invalid'],
  [`${'a'.repeat(64)}: {type: A, value: 192.0.2.1}`, 'name-invalid'],
  ['a: {type: CNAME, values: [b.example.com., c.example.com.]}', 'cname-conflict'],
  ['a:\n  - {type: CNAME, value: b.example.com.}\n  - {type: CNAME, value: c.example.com.}', 'cname-conflict'],
  ['a: {type: A, value: 192.0.2.1, values: [192.0.2.2]}', 'value-kind'],
  ['a: {type: A, values: 192.0.2.1}', 'value-kind'],
  ['a: {type: A, values: []}', 'value-kind'],
  ['a: {type: A}', 'key-missing'],
  ['a: {ttl: 60, value: 192.0.2.1}', 'key-missing'],
  ['a: {type: A, value: 192.0.2.1, port: 1}', 'key-unknown'],
  ['a: {type: A, value: 192.0.2.1, hints: web}', 'key-unknown'],
  ['a: {type: SVCB, value: {svcpriority: 1, targetname: .}, hints: web}', 'service-unknown'],
  ['a: {type: HTTPS, value: {svcpriority: 0, targetname: b.example.net.}, hints: web}', 'hints-conflict'],
  [
    'a: {type: HTTPS, value: {svcpriority: 1, targetname: ., svcparams: {ipv6hint: ["2001:db8::1"]}}, hints: web}',
    'hints-conflict',
  ],
  ['a: {type: A, ttl: 2147483648, value: 192.0.2.1}', 'value-invalid'],
  ['a: {type: A, ttl: -1, value: 192.0.2.1}', 'value-invalid'],
  ['a: {type: a, value: 192.0.2.1}', 'value-invalid'],
  ['a: {type: CNAME, dynamic: {pools: {}}}', 'not-supported'],
  ['a: {type: A, geo: {AS: [192.0.2.1]}, value: 192.0.2.2}', 'not-supported'],
  ['a: {type: RRSIG, value: x}', 'not-supported'],
  ['a: {type: ALIAS, value: b.example.com.}', 'unsupported-type'],
  ['a: {type: DNAME, values: [b.example.com., c.example.com.]}', 'dname-conflict'],
  ['"*": {type: DNAME, value: b.example.net.}', 'dname-conflict'],
  ['a: {type: DNAME, value: b.example.net.}\nx.y.a: {type: A, value: 192.0.2.1}', 'dname-conflict'],
  ['a: {type: DNAME, value: b.example.net.}\n"*.a": {type: A, value: 192.0.2.1}', 'dname-conflict'],
  ['a: [{type: DNAME, value: b.example.net.}, {type: CNAME, value: c.example.net.}]', 'cname-conflict'],
  ['a: {type: URLFWD, values: [{path: /}]}', 'unsupported-type'],
  ['a: {type: Route53Provider/ALIAS, values: [{name: www, type: A}]}', 'unsupported-type'],
  ['a: {type: TSLA, value: x}', 'value-invalid'],
  ['a: {type: TLSA, value: x}', 'rdata-invalid'],
  ['a: {type: DS, value: {key_tag: 1, algorithm: 13, digest_type: 9, digest: "00"}}', 'below-cut'],
  ['a: {type: A, value: 192.0.2.1, octodns: true}', 'value-kind'],
  ['a: {type: A, value: 192.0.2.1, octodns: {ignored: maybe}}', 'value-invalid'],
  ['a: {type: A, value: 192.0.2.1, octodns: {healthcheck: {port: 80}}}', 'octodns-ignored'],
  ['a: !include missing.yaml', 'file-unreadable'],
  ['a: {type: !other A, value: 192.0.2.1}', 'yaml-unsupported'],
  ['a: {type: A, value: }', 'value-kind'],
  ['a: [{type: A, value: 192.0.2.1}, text]', 'value-kind'],
  ['a: []', 'value-kind'],
  ['a: {type: GSLB}', 'key-missing'],
  ['a: {type: MX, values: [{preference: 65536, exchange: m.example.net.}]}', 'rdata-invalid'],
  ['a: {type: TXT, values: [{a: b}]}', 'rdata-invalid'],
])('a zone with %j', async (zone, code) => {
  expect(await codesOf({ 'example.com.yaml': `${NS}${zone}\n` })).toEqual([code])
})

test('a zone below a DNAME of another zone is an error, one beside it is none', async () => {
  const inner = { 'a.example.com.yaml': '"": {type: NS, values: [n.example.net.]}\n' }
  const zone = { 'example.com.yaml': `${NS}b: {type: DNAME, value: b.example.net.}\n` }
  expect(await codesOf({ ...inner, ...zone })).toEqual([])
  const apex = '"": [{type: NS, values: [n.example.net.]}, {type: DNAME, value: b.example.net.}]\n'
  expect(await codesOf({ ...inner, 'example.com.yaml': apex })).toEqual(['dname-conflict'])
  const deep = { 'x.b.example.com.yaml': inner['a.example.com.yaml'] }
  expect(await codesOf({ ...deep, ...zone })).toEqual(['dname-conflict'])
})

test('a CNAME at an apex is no way around NS', async () => {
  const zone = '"": {type: CNAME, value: www.example.net.}\n'
  expect(await codesOf({ 'example.com.yaml': zone })).toEqual(['ns-missing', 'cname-conflict'])
})

test.each([
  ['check: {type: tcp}', 'key-missing'],
  ['check: {path: /}', 'key-missing'],
  ['check: {type: icmp, port: 7}', 'key-unknown'],
  ['check: {type: tcp, port: 80, host: www.example.com}', 'key-unknown'],
  ['check: {type: http, validFor: 7d}', 'key-unknown'],
  ['check: {type: https, validFor: {warn: 7}}', 'value-invalid'],
  ['check: {type: https, validFor: {least: 7d}}', 'key-unknown'],
  ['check: {type: https, ca: /etc/ca.pem}', 'value-invalid'],
  ['check: {type: grpc, port: 50051, ca: lab}', 'value-invalid'],
  ['check: {type: http, host: a..b}', 'value-invalid'],
  ['check: {type: http, host: "a b"}', 'value-invalid'],
  ['check: {type: http, follow: 0}', 'value-invalid'],
  ['check: {type: http, follow: 3, expect: {status: 200-399}}', 'value-invalid'],
  ['check: {type: http, expect: {status: 299-200}}', 'value-invalid'],
  ['check: {type: http, expect: {status: 2xx}}', 'value-invalid'],
  ['check: {type: http, expect: {status: 200-600}}', 'value-invalid'],
  ['check: {type: http, expect: {matches: "(a"}}', 'value-invalid'],
  [String.raw`check: {type: http, expect: {matches: '(a)\1'}}`, 'value-invalid'],
  ['check: {type: http, expect: {matches: "(a{30}){30}"}}', 'value-invalid'],
  ['check: {type: http, headers: {Authorization: Bearer secret}}', 'value-invalid'],
  ['check: {type: http, headers: {Host: name}}', 'value-invalid'],
  ['check: {type: http, headers: {Content-Length: name}}', 'value-invalid'],
  ['check: {type: http, headers: {"a b": name}}', 'value-invalid'],
  ['check: {type: http, headers: {Accept: a, accept: b}}', 'value-invalid'],
  ['check: {type: http, headers: [Accept]}', 'value-kind'],
  ['check: {type: http, expect: {rcode: [NOERROR]}}', 'key-unknown'],
  ['check: {type: tls, path: /}', 'key-unknown'],
  ['check: {type: tls, validFor: 7}', 'value-invalid'],
  ['check: {type: tls, validFor: 4000d}', 'value-invalid'],
  ['check: {type: grpc}', 'key-missing'],
  ['check: {type: grpc, port: 50051, verify: false}', 'value-invalid'],
  ['check: {type: grpc, port: 50051, tls: yes}', 'value-invalid'],
  ['check: {type: grpc, port: 50051, service: "a b"}', 'value-invalid'],
  ['check: {type: dns}', 'key-missing'],
  ['check: {type: dns, name: a..b}', 'value-invalid'],
  ['check: {type: dns, name: a.example, rrtype: a}', 'value-invalid'],
  ['check: {type: dns, name: a.example, rrtype: ANY}', 'value-invalid'],
  ['check: {type: dns, name: a.example, expect: {status: 200}}', 'key-unknown'],
  ['check: {type: dns, name: a.example, expect: {rcode: []}}', 'value-kind'],
  ['check: {type: dns, name: a.example, expect: {rcode: NXDOMIAN}}', 'value-invalid'],
  ['check: {type: dns, name: a.example, expect: {value: "2001:db8::1"}}', 'value-invalid'],
  ['check: {type: dns, name: a.example, rrtype: MX, expect: {value: m.example.}}', 'value-invalid'],
  [String.raw`check: {type: dns, name: a.example, rrtype: TXT, expect: {value: '"a\1"'}}`, 'value-invalid'],
  ['check: {type: dns, name: a.example, expect: {rcode: NXDOMAIN, value: 192.0.2.1}}', 'value-invalid'],
  ['check: {type: exec}', 'key-missing'],
  ['check: {type: exec, command: /bin/true}', 'value-invalid'],
  ['check: {type: exec, command: -x}', 'value-invalid'],
  ['check: {type: agent}', 'key-missing'],
  ['check: {type: agent, port: 9707, send: ""}', 'value-invalid'],
  [String.raw`check: {type: agent, port: 9707, send: "SET pwned yes\r\n"}`, 'value-invalid'],
  [String.raw`check: {type: agent, port: 9707, send: "web\n"}`, 'value-invalid'],
  [String.raw`check: {type: agent, port: 9707, send: "a\tb"}`, 'value-invalid'],
  [String.raw`check: {type: agent, port: 9707, send: "a\0b"}`, 'value-invalid'],
  [String.raw`check: {type: agent, port: 9707, send: "a\u0085b"}`, 'value-invalid'],
  [String.raw`check: {type: agent, port: 9707, send: "a\u2028b"}`, 'value-invalid'],
  ['check: {type: agent, port: 9707, send: "a\n\n    b"}', 'value-invalid'],
  [String.raw`check: {type: http, path: "/a\r\nX: y"}`, 'value-invalid'],
  [String.raw`check: {type: http, path: "/a\n"}`, 'value-invalid'],
  [String.raw`check: {type: http, host: "a\r\nX: y"}`, 'value-invalid'],
  [String.raw`check: {type: http, host: "a\n"}`, 'value-invalid'],
  [String.raw`check: {type: https, host: "a\0b"}`, 'value-invalid'],
  [String.raw`check: {type: tls, host: "a\r\nb"}`, 'value-invalid'],
  [String.raw`check: {type: grpc, port: 50051, host: "a\r\nb"}`, 'value-invalid'],
  [String.raw`check: {type: grpc, port: 50051, service: "a\r\nb"}`, 'value-invalid'],
  [String.raw`check: {type: dns, name: "a\013\010flush_all\013\010.example"}`, 'value-invalid'],
  [String.raw`check: {type: dns, name: 'a\010b.example'}`, 'value-invalid'],
  [String.raw`check: {type: dns, name: 'a\032b.example'}`, 'value-invalid'],
  ['check: {type: agent, port: 0}', 'value-invalid'],
  ['check: {type: htp}', 'value-invalid'],
  ['check: []', 'value-kind'],
  ['check: https', 'value-kind'],
  ['check: {type: http, interval: 5}', 'value-invalid'],
  ['check: {type: http, interval: 1s, fast: 2s}', 'check-timing'],
  ['check: {type: http, method: HEAD, expect: {body: ok}}', 'value-invalid'],
  ['check: {type: http, expect: {status: [600]}}', 'value-invalid'],
  ['check: {type: http, path: "/a b"}', 'value-invalid'],
  ['check: {type: http, host: "a:80"}', 'value-invalid'],
  ['check: {type: http, verify: false}', 'key-unknown'],
  ['check: {type: http, address: www.example.com}', 'value-invalid'],
  ['check: none\n  keep: 101%', 'value-invalid'],
  ['check: none\n  keep: 25', 'value-invalid'],
  ['check: none\n  rampUp: 10', 'value-invalid'],
  ['check: none\n  failback: never', 'value-invalid'],
  ['check: none\n  rules: [{geos: [EU-US], order: [fra]}]', 'value-invalid'],
  ['check: none\n  rules: [{geos: [EU-UK], order: [fra]}]', 'value-invalid'],
  ['check: none\n  rules: [{geos: [NA-US-ZZ], order: [fra]}]', 'value-invalid'],
  ['check: none\n  spread: 500', 'value-invalid'],
  ['check: none\n  pick: first', 'value-invalid'],
  ['check: none\n  ttl: 0', 'value-invalid'],
  ['check: none\n  lastResort: none', 'value-invalid'],
  ['check: none\n  lastResort: {values: []}', 'value-kind'],
  ['check: none\n  order: []', 'value-kind'],
  ['check: none\n  rules: [{asns: [0], order: [fra]}]', 'value-invalid'],
  ['check: none\n  rules: [{asns: [4294967296], order: [fra]}]', 'value-invalid'],
  ['check: none\n  rules: [{asns: [as64500], order: [fra]}]', 'value-invalid'],
  ['check: none\n  rules: [{asns: [], order: [fra]}]', 'rule-empty'],
  ['check: none\n  rules: [{asns: 64500, order: [fra]}]', 'value-kind'],
  ['check: none\n  rules: [{geos: [EU], order: [fra], pick: first}]', 'value-invalid'],
  ['check: none\n  rules: [{subnets: {}, order: [fra]}]', 'key-missing'],
  ['check: none\n  rules: [{geos: {file: a.txt}, order: [fra]}]', 'value-kind'],
  ['check: none\n  spill: 0', 'value-invalid'],
  ['check: none\n  spill: 256', 'value-invalid'],
  ['check: none\n  budget: 999ms', 'value-invalid'],
  ['check: none\n  budget: 25h', 'value-invalid'],
  ['check: none\n  rules: [{subnets: [10.0.0.1/8], order: [fra]}]', 'value-invalid'],
  ['check: none\n  rules: [{geos: [XX], order: [fra]}]', 'value-invalid'],
  ['check: none\n  rules: [{geos: [EU]}]', 'key-missing'],
  ['check: none\n  rules: [{geos: [], order: [fra]}]', 'rule-empty'],
])('a service with %j', async (rest, code) => {
  const service = `web:\n  sites: {fra: {vips: [192.0.2.10]}}\n  ${rest}\n`
  expect(await codesOf({ 'services.yaml': service })).toEqual([code])
})

const TWO_SITES = {
  'sites.yaml': `${SITES}iad: {location: [38.95, -77.45]}\n`,
  'services.yaml': `web:
  sites: {fra: {vips: [192.0.2.10, "2001:db8::1"]}, iad: {vips: [198.51.100.10]}}
  rules: [{geos: [EU], order: [iad]}]
  check: {type: https, host: "2001:db8::1"}
`,
}

test.each([
  [TWO_SITES, []],
  // below another cut, a name server's address is that zone's affair
  [
    {
      'example.com.yaml': `${NS}a: {type: NS, values: [ns.b.example.com.]}\nb: {type: NS, values: [ns1.example.net.]}\n`,
    },
    [],
  ],
  [{ 'services.yaml': 'web: {sites: {fra: {vips: [192.0.2.10]}}}\n' }, ['key-missing']],
  [{ 'services.yaml': 'a/b: {sites: {fra: {vips: [192.0.2.10]}}, check: none}\n' }, ['value-invalid']],
  [{ 'services.yaml': 'web: {sites: {fra: {vips: [192.0.2.10], weight: 1.5}}, check: none}\n' }, ['value-invalid']],
  [{ 'services.yaml': 'web: {sites: {fra: {vips: [{check: {}}]}}, check: none}\n' }, ['key-missing']],
  [{ 'services.yaml': 'web: {sites: {fra: {}}, check: none}\n' }, ['site-without-vips']],
  [{ 'sites.yaml': 'fra: {location: [50.11]}\n' }, ['value-invalid']],
  [{ 'sites.yaml': 'fra: {location: [91, 8.68]}\n' }, ['value-invalid']],
  [{ 'sites.yaml': '- fra\n' }, ['value-kind']],
  [{ 'defaults.yaml': 'soa: {serial: 1, mname: ns1.example.net}\n' }, ['rdata-invalid']],
  [{ 'defaults.yaml': 'soa: {serial: 4294967296}\n' }, ['value-invalid']],
  [{ 'defaults.yaml': 'soa: {serial: 1}\nchecks: {web: {type: tcp}}\n' }, ['key-missing']],
  [{ 'example.com.yml': NS }, ['file-unknown']],
  [{ 'services/web.yml': '' }, ['file-unknown']],
])('a folder with %j', async (files: Readonly<Record<string, string>>, codes: readonly string[]) => {
  expect([...(await codesOf(files))].toSorted()).toEqual(codes.toSorted())
})

/** A zone and services that refer to all other files. */
const REFERRING = {
  'example.com.yaml': `www: {type: GSLB, service: web}\nsub: {type: NS, value: ns1.sub.example.com.}\n`,
  'services.yaml': 'web: {sites: {fra: {vips: [192.0.2.10]}}, check: {use: https}}\n',
  'sites.yaml': SITES,
  'defaults.yaml': 'soa: {serial: 1}\nns: [ns1.example.net.]\nchecks: {https: {type: https}}\n',
  'sub.example.com.yaml': 'ns1: {type: A, value: 192.0.2.53}\n',
}

test.each([
  [{}, []],
  [{ 'defaults.yaml': 'soa: {serial: 1\n' }, ['yaml-syntax']],
  [{ 'defaults.yaml': '- soa\n' }, ['value-kind']],
  [{ 'sites.yaml': 'fra: {location: [50.11, 8.68}\n' }, ['yaml-syntax']],
  [{ 'sites.yaml': '<<: !include more.yaml\n' }, ['file-unreadable']],
  [{ 'sites.yaml': '- fra\n' }, ['value-kind']],
  [{ 'services.yaml': 'web: {sites: {fra: {vips: [192.0.2.10}}\n' }, ['yaml-syntax']],
  [{ 'services.yaml': '', 'service/web.yaml': '' }, ['file-unknown']],
  [{ 'sub.example.com.yaml': 'ns1: {type: A\n' }, ['yaml-syntax']],
  [{ 'sub.example.com.yaml': '- ns1\n' }, ['value-kind']],
  // what is there, and does not have the name, is judged
  [{ 'sites.yaml': 'ams: {location: [52.31, 4.76]}\n' }, ['site-unknown']],
  [{ 'services.yaml': '' }, ['service-unknown']],
  [{ 'defaults.yaml': 'soa: {serial: 1}\nns: [ns1.example.net.]\n' }, ['check-unknown']],
])('a file that could not be read silences what refers to it, and nothing else does: %j', async (files, codes) => {
  expect(await codesOf({ ...REFERRING, ...files })).toEqual(codes)
})

const filesWith = (service: string, zone: string): Record<string, string> => ({
  'sites.yaml': 'fra: {location: [50.11, 8.68]}\niad: {location: [38.95, -77.45]}\n',
  'services.yaml': `web: {${service}, check: none}\n`,
  'example.com.yaml': `${NS}${zone}\n`,
})

describe('services of names', () => {
  const sites = 'sites: {fra: {vips: [{name: fra.cdn.example.}]}, iad: {vips: [{name: iad.cdn.example.}]}}'
  const WWW = 'www: {type: GSLB, service: web}'
  const addresses = 'sites: {fra: {vips: [192.0.2.10]}}'

  test.each([
    [sites, WWW, []],
    [sites, '"*.a": {type: GSLB, service: web, ttl: 5}', []],
    [sites, 'www: [{type: GSLB, service: web}, {type: TXT, value: x}]', ['gslb-conflict']],
    [sites, 'www: {type: GSLB, service: web, types: [A]}', ['gslb-conflict']],
    [sites, 'www: {type: HTTPS, hints: web, value: {svcpriority: 1, targetname: .}}', ['hints-conflict']],
    [`${sites}, lastResort: {name: all.cdn.example.}`, WWW, []],
    [`${sites}, lastResort: {values: [192.0.2.1]}`, WWW, ['resort-type']],
    [`${sites}, lastResort: {name: all.cdn.example.net}`, WWW, ['value-invalid']],
    [`${sites}, lastResort: {}`, WWW, ['value-kind']],
    ['sites: {fra: {vips: [{name: fra.cdn.example}]}}', WWW, ['value-invalid']],
    ['sites: {fra: {vips: [{name: "a/b.example."}]}}', WWW, ['value-invalid']],
    ['sites: {fra: {vips: [{name: a.example., address: 192.0.2.1}]}}', WWW, ['value-kind']],
    ['sites: {fra: {vips: [{check: {address: 192.0.2.1}}]}}', WWW, ['key-missing']],
    ['sites: {fra: {vips: [{name: a.example.}]}, iad: {vips: [{name: A.example.}]}}', WWW, ['vip-duplicate']],
    [`${addresses}, lastResort: {name: all.cdn.example.}`, WWW, []],
    [
      `${addresses}, lastResort: {name: all.cdn.example.}`,
      'www: [{type: GSLB, service: web}, {type: MX, value: {preference: 1, exchange: a.example.}}]',
      ['gslb-conflict'],
    ],
  ])('%s with %s', async (service, zone, codes) => {
    expect(await codesOf(filesWith(service, zone))).toEqual(codes)
  })

  test('are never at an apex', async () => {
    const apex = '"": [{type: NS, values: [n.example.net.]}, {type: GSLB, service: web}]\n'
    expect(await codesOf({ ...filesWith(sites, ''), 'example.com.yaml': apex })).toEqual(['gslb-conflict'])
  })
})
