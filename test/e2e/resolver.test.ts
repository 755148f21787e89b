/**
 * Unbound, BIND and PowerDNS Recursor between clients and one node, each with strict QNAME minimisation: Unbound with mixed case
 * and subnets (RFC 7871), BIND with cookies (9.18 sends no subnets), PowerDNS with subnets. What they and the node say to each other
 * is read on the way.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { OPTION } from '../../src/dns/types.ts'
import { CLIENTS } from '../support/mmdb.ts'
import { Relay, type Relayed } from '../support/relay.ts'
import { DNS_PORT, JAKARTA, NEW_YORK, type NodeProcess, Scene, SITE_NAMES, VIPS, ZONE } from '../support/scene.ts'
import { until } from '../support/until.ts'

const scene = new Scene()
const NODE = scene.address(0)
const UNBOUND = scene.address(4)
const BIND = scene.address(5)
const POWERDNS = scene.address(6)
const RELAY = scene.address(7)
/** BIND listens only on addresses that an interface has. */
const BIND_PORT = 10_000 + (process.pid % 10_000)
/** PowerDNS follows delegations to port 53 only, and only there it minimises names. */
const mayPort53 = process.getuid?.() === 0

interface Resolver {
  readonly name: string
  readonly address: string
  /** Where dig finds it. */
  readonly at: readonly string[]
  /** The VIP of a client that tells no subnet. */
  readonly own: string
  readonly sendsSubnets: boolean
  /** Whether the node knows its address by a cookie, and gives it long answers over UDP. */
  readonly sendsCookies: boolean
  readonly minimises: boolean
  readonly command: readonly string[]
  readonly settings: Readonly<Record<string, string>>
}

const file = (name: string): string => join(scene.folder, name)

const unbound: Resolver = {
  name: 'Unbound',
  address: UNBOUND,
  at: [`@${UNBOUND}`, '-p', String(DNS_PORT)],
  own: VIPS.fra, // it tells the subnet of dig, which is on loopback
  sendsSubnets: true,
  sendsCookies: false,
  minimises: true,
  command: ['unbound', '-d', '-c', file('unbound.conf')],
  settings: {
    'unbound.conf': `server:
  directory: "${scene.folder}"
  chroot: ""
  username: ""
  pidfile: ""
  use-syslog: no
  do-daemonize: no
  interface: ${UNBOUND}@${DNS_PORT}
  outgoing-interface: ${UNBOUND}
  access-control: 127.0.0.0/8 allow
  do-not-query-localhost: no
  module-config: "subnetcache iterator"
  send-client-subnet: ${RELAY}
  client-subnet-zone: demo.example
  qname-minimisation-strict: yes
  use-caps-for-id: yes
stub-zone:
  name: demo.example
  stub-addr: ${RELAY}@${DNS_PORT}
stub-zone:
  name: late.example.net
  stub-addr: ${RELAY}@${DNS_PORT}
`,
  },
}

const bind: Resolver = {
  name: 'BIND',
  address: BIND,
  at: ['@127.0.0.1', '-p', String(BIND_PORT)],
  own: VIPS.sin,
  sendsSubnets: false,
  sendsCookies: true,
  minimises: true,
  command: ['named', '-f', '-n', '1', '-p', String(DNS_PORT), '-c', file('named.conf')], // -p: whom it asks, too
  settings: {
    'named.conf': `options {
  directory "${scene.folder}";
  listen-on port ${BIND_PORT} { 127.0.0.1; };
  listen-on-v6 { none; };
  query-source address ${BIND};
  pid-file none;
  session-keyfile none;
  recursion yes;
  dnssec-validation no;
  empty-zones-enable no;
  qname-minimization strict;
};
controls { };
zone "demo.example" { type static-stub; server-addresses { ${RELAY}; }; };
zone "late.example.net" { type static-stub; server-addresses { ${RELAY}; }; };
`,
  },
}

const forwards = ['demo.example', 'late.example.net'].map((zone) => `${zone}=${RELAY}:${DNS_PORT}`)
const powerdns: Resolver = {
  name: 'PowerDNS Recursor',
  address: POWERDNS,
  at: [`@${POWERDNS}`, '-p', String(DNS_PORT)],
  own: VIPS.iad,
  sendsSubnets: true,
  sendsCookies: false,
  minimises: mayPort53,
  command: ['pdns_recursor', `--config-dir=${file('pdns')}`],
  settings: {
    'pdns/recursor.conf': `socket-dir=${file('pdns')}
write-pid=no
daemon=no
disable-syslog=yes
security-poll-suffix=
local-address=${POWERDNS}
local-port=${DNS_PORT}
query-local-address=${POWERDNS}
dont-query=
dnssec=off
threads=1
nothing-below-nxdomain=yes
edns-subnet-allow-list=demo.example
use-incoming-edns-subnet=yes
${mayPort53 ? `hint-file=${file('pdns/hints')}` : `forward-zones=${forwards.join(',')}`}
`,
    // the node stands for the root, and refuses what it does not serve
    'pdns/hints': `. 3600 IN NS ns.root.\nns.root. 3600 IN A ${RELAY}\n`,
  },
}
const RESOLVERS = [unbound, bind, powerdns]

const strings = (n: number): string => Array.from({ length: n }, (_, i) => `'${String(i).repeat(200)}'`).join(', ')
const NAMES = `${ZONE}alias: {type: CNAME, value: www.demo.example.}
a.b.c: {type: GSLB, service: web}
old: {type: DNAME, value: b.c.demo.example.}
"*.wild": {type: A, value: 192.0.2.81}
long: {type: TXT, values: [${strings(3)}]}
longest: {type: TXT, values: [${strings(8)}]}
odd: {type: TYPE65280, value: '\\# 3 abcdef'}
svc: {type: HTTPS, hints: web, value: {svcpriority: 1, targetname: www.demo.example., svcparams: {alpn: [h2]}}}
`
const texts = (n: number): string[] => Array.from({ length: n }, (_, i) => `"${String(i).repeat(200)}"`)

let node: NodeProcess
const relay = new Relay(RELAY, { address: NODE, port: DNS_PORT })
const programs: ChildProcess[] = []

beforeAll(async () => {
  const sites = SITE_NAMES.map((site) => `    ${site}: {vips: [${VIPS[site]}]}\n`).join('')
  const rules = `  rules: [{subnets: [${BIND}], order: [sin]}, {subnets: [${POWERDNS}], order: [iad]}]\n`
  scene.write('services.yaml', `web:\n  sites:\n${sites}  check: none\n${rules}`)
  scene.write('demo.example.yaml', NAMES)
  mkdirSync(join(scene.zones, 'example.'))
  scene.write('example./apex.yaml', '"": {type: NS, values: [ns1.demo.example., ns2.example.net.]}\n')
  node = await scene.startReady({ 'proxy-from': RELAY })
  await relay.listen(DNS_PORT)
  if (mayPort53) await relay.listen(53)
  for (const { settings, command } of RESOLVERS) {
    for (const [name, text] of Object.entries(settings)) {
      mkdirSync(dirname(file(name)), { recursive: true })
      writeFileSync(file(name), text)
    }
    const [program, ...words] = command
    programs.push(spawn(program!, words, { stdio: 'ignore' }))
  }
  for (const resolver of RESOLVERS)
    await until(resolver.name, async () => (await dig(resolver, 'static.demo.example A'))[0] === 'NOERROR')
})
afterAll(async () => {
  for (const program of programs) program.kill('SIGKILL')
  relay.close()
  await scene.close()
})

/** What dig prints; `question` may have more of dig's words. */
async function said({ at }: Resolver, question: string): Promise<string> {
  const words = [...at, '+time=5', '+tries=1', '+noall', '+comments', '+answer', ...question.split(' ')]
  return (await promisify(execFile)('dig', words).catch(() => ({ stdout: '' }))).stdout
}

/** The status and the RDATA, sorted and in lower case, of what a resolver answers. */
async function dig(resolver: Resolver, question: string): Promise<readonly string[]> {
  const text = await said(resolver, question)
  const rrs = text.split('\n').filter((line) => line !== '' && !line.startsWith(';'))
  const rdata = rrs.map((rr) => rr.split(/\s+/).slice(4).join(' ').toLowerCase())
  return [/status: (\w+)/.exec(text)?.[1] ?? '', ...rdata.toSorted()]
}

/** The address that a client of the subnet gets. */
const vipFor = async (resolver: Resolver, name: string, subnet: string): Promise<string | undefined> =>
  (await dig(resolver, `${name}.demo.example A +subnet=${subnet}`))[1]

/** What a resolver asked, over UDP. */
const asked = ({ address }: Resolver): Required<Relayed>[] =>
  relay.seen.filter((one): one is Required<Relayed> => one.from === address && one.over === 'udp')
const namesAsked = (resolver: Resolver): string[] => asked(resolver).map(({ query }) => query.question[0]!.name)
const optionOf = ({ query }: Required<Relayed>, code: number): Uint8Array | undefined =>
  query.edns?.options.find((option) => option.code === code)?.data

describe.each(RESOLVERS)('$name', (resolver) => {
  const { own, sendsCookies, sendsSubnets, minimises } = resolver

  test('gets and gives every kind of answer', async () => {
    const expected: Readonly<Record<string, readonly string[]>> = {
      'www.demo.example A': ['NOERROR', own],
      'alias.demo.example A': ['NOERROR', own, 'www.demo.example.'],
      'a.old.demo.example A': ['NOERROR', own, 'a.b.c.demo.example.', 'b.c.demo.example.'],
      'x.wild.demo.example A': ['NOERROR', '192.0.2.81'],
      'b.c.demo.example A': ['NOERROR'], // an empty non-terminal
      'static.demo.example AAAA': ['NOERROR'],
      'none.demo.example A': ['NXDOMAIN'],
      'y.none.demo.example A': ['NXDOMAIN'],
      'odd.demo.example TYPE65280': ['NOERROR', String.raw`\# 3 abcdef`],
      'svc.demo.example HTTPS': ['NOERROR', `1 www.demo.example. alpn="h2" ipv4hint=${own}`],
      'long.demo.example TXT': ['NOERROR', ...texts(3)],
      'longest.demo.example TXT': ['NOERROR', ...texts(8)],
    }
    const got: Record<string, readonly string[]> = {}
    for (const question of Object.keys(expected)) got[question] = await dig(resolver, question)
    expect(got).toEqual(expected)
  })

  test('learns in its questions the names between, and never takes one for missing', async () => {
    expect(await dig(resolver, 'A.b.c.demo.example A')).toEqual(['NOERROR', own])
    const names = namesAsked(resolver).map((name) => name.toLowerCase())
    const steps = ['c', 'b.c', 'a.b.c'].map((name) => names.indexOf(`${name}.demo.example.`))
    if (minimises) expect(steps).toEqual(steps.toSorted((a, b) => a - b))
    expect(steps.at(-1)).toBeGreaterThanOrEqual(0)
    expect(minimises ? steps[0] : 0).toBeGreaterThanOrEqual(0)
  })

  test('keeps what is missing in its cache, as long as the SOA says', async () => {
    const questions = ['none.demo.example A', 'static.demo.example AAAA']
    for (const question of questions) await dig(resolver, question)
    const before = asked(resolver).length
    for (const question of questions) {
      const [, soaTtl] = /\s(\d+)\s+IN\s+SOA\s/.exec(await said(resolver, `${question} +authority`)) ?? []
      expect(Number(soaTtl), question).toBeGreaterThan(0) // kept since an earlier test, maybe, and by a busy machine
      expect(Number(soaTtl), question).toBeLessThanOrEqual(30)
    }
    expect(namesAsked(resolver).slice(before)).toEqual([])
  })

  test('takes long answers over UDP if it has a cookie, the longest and others over TCP', async () => {
    await dig(resolver, 'longest.demo.example TXT')
    await dig(resolver, 'long.demo.example TXT')
    const isTruncated = (name: string): boolean | undefined =>
      asked(resolver).find(({ query: { question } }) => {
        const { name: qname, type } = question[0]!
        return qname.toLowerCase() === `${name}.demo.example.` && type === 'TXT'
      })?.reply.tc
    expect([isTruncated('long'), isTruncated('longest')]).toEqual([!sendsCookies, true])
    expect(relay.seen.some(({ from, over }) => from === resolver.address && over === 'tcp')).toBe(true)
  })

  test('gets back the letters of its questions, upper-case and lower-case', async () => {
    expect(await dig(resolver, 'WwW.dEmO.eXaMpLe A')).toEqual(['NOERROR', own])
    for (const { query, reply } of asked(resolver)) expect(reply.question).toEqual(query.question)
  })

  test.runIf(sendsSubnets).each(['www', 'alias', 'a.b.c'])('%s: by subnet, and back again', async (name) => {
    const nobody = await vipFor(resolver, name, '0.0.0.0/0')
    const steps = [
      [NEW_YORK, VIPS.iad],
      [JAKARTA, VIPS.sin],
      ['24.91.7.0/24', VIPS.iad], // New York, from another network
      [`${CLIENTS.jakarta.v6}/56`, VIPS.sin],
      [`${CLIENTS.newYork.v6}/56`, VIPS.iad],
      ['0.0.0.0/0', nobody], // who opts out leaves no answer for others, and gets none of theirs
      [NEW_YORK, VIPS.iad],
    ] as const
    for (const [subnet, address] of steps)
      expect([subnet, await vipFor(resolver, name, subnet)]).toEqual([subnet, address])
  })
})

test('Unbound mixes the case of its questions', () => {
  const mixed = namesAsked(unbound).filter((name) => /[a-z]/.test(name) && /[A-Z]/.test(name))
  expect(mixed.length).toBeGreaterThan(20)
})

test('BIND returns the cookie that it was given, and every one is valid', async () => {
  const cookies = asked(bind).map((one) => optionOf(one, OPTION.COOKIE)?.length)
  expect(cookies.slice(0, 1)).toEqual([8])
  expect(new Set(cookies.slice(1))).toEqual(new Set([24]))
  const metrics = await node.metrics()
  const count = (cookie: string): number => Number(new RegExp(`cookie="${cookie}"} (\\d+)`).exec(metrics)?.[1])
  expect(count('bad')).toBe(0)
  expect(count('valid')).toBeGreaterThanOrEqual(cookies.length - 1) // those over TCP, too
})

test('BIND tells no subnet, and gives its own answer to all', async () => {
  for (const subnet of [NEW_YORK, JAKARTA]) expect(await vipFor(bind, 'www', subnet)).toBe(VIPS.sin)
  expect(asked(bind).some((one) => optionOf(one, OPTION.ECS) !== undefined)).toBe(false)
})

test('all say SERVFAIL of a zone that the node refuses, and find it once it is served', async () => {
  for (const resolver of RESOLVERS) {
    expect([resolver.name, await dig(resolver, 'a.late.example.net A')]).toEqual([resolver.name, ['SERVFAIL']])
    expect(asked(resolver).at(-1)!.reply).toMatchObject({ rcode: 'REFUSED', aa: false })
  }
  const names = '"": {type: NS, values: [ns1.demo.example., ns2.example.net.]}\n"*": {type: A, value: 192.0.2.82}\n'
  scene.write('late.example.net.yaml', names)
  let n = 0
  for (const resolver of RESOLVERS) {
    const found = async (): Promise<boolean> => (await dig(resolver, `b${n++}.late.example.net A`))[1] === '192.0.2.82'
    await until(`the zone through ${resolver.name}`, found)
  }
})
