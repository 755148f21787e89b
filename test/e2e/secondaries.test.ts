/**
 * nsd and Knot as secondaries of a node: they take a zone whole and then its changes, signed, as soon as they are told of a
 * new serial; what they have is what the node answers.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { DNS_PORT, type NodeProcess, Scene, ZONE } from '../support/scene.ts'
import { until } from '../support/until.ts'

const SECRET = Buffer.alloc(32, 1).toString('base64')
const STATIC = `${ZONE}mail: {type: MX, value: {preference: 10, exchange: Mail.example.net.}}
"*.wild": {type: TXT, values: ['one "two"', 'three']}
cut: {type: NS, values: [ns.cut.demo.example., ns.example.net.]}
ns.cut: [{type: A, value: 192.0.2.54}, {type: AAAA, value: "2001:db8::54"}]
odd: {type: TYPE65280, value: '\\# 3 abcdef'}
srv._tcp: {type: SRV, value: {priority: 1, weight: 2, port: 53, target: ns.example.net.}}
`
const NAMES = Array.from({ length: 2000 }, (_, i) => `n${i}: {type: A, value: 10.1.${i >> 8}.${i & 255}}\n`).join('')
const QUESTIONS = [
  'demo.example SOA',
  'demo.example NS',
  'mail.demo.example MX',
  'a.wild.demo.example TXT',
  'cut.demo.example NS +authority',
  'odd.demo.example TYPE65280',
  'srv._tcp.demo.example SRV',
  'n1999.demo.example A',
  'none.demo.example A +authority',
]

let scene: Scene
let node: NodeProcess
const children: ChildProcess[] = []
const run = promisify(execFile)

const defaults = (serial: number): string => `soa: {serial: ${serial}, refresh: 3600, retry: 3600}
transfer: {key: xfr, notify: ["${scene.address(4)}:${DNS_PORT}", "${scene.address(5)}:${DNS_PORT}"], steered: {site: fra}}
`
const keyLine = (secret: string): string => `hmac-sha256:xfr:${secret}`

/** Asks a server: the lines of the answer section, or what the question says with `+authority`, and its rcode. */
async function ask(n: number, question: string): Promise<string> {
  const words = [`@${scene.address(n)}`, '-p', String(DNS_PORT), '+noedns', '+norec', '+time=2', '+tries=1', '+noall']
  const { stdout } = await run('dig', [
    ...words,
    '+comments',
    ...(question.includes('+') ? [] : ['+answer']),
    ...question.split(' '),
  ])
  const status = /status: (\w+)/.exec(stdout)?.[1] ?? ''
  const rrs = stdout.split('\n').filter((line) => line !== '' && !line.startsWith(';'))
  return [status, ...rrs.map((line) => line.replaceAll(/\s+/g, ' ').toLowerCase()).toSorted()].join('\n')
}

/** The whole zone of a server, as it gives it to whoever may take it. */
async function zoneOf(n: number, ...key: readonly string[]): Promise<readonly string[]> {
  const { stdout } = await run('dig', [
    `@${scene.address(n)}`,
    '-p',
    String(DNS_PORT),
    ...key,
    '+noall',
    '+answer',
    '+onesoa',
    'demo.example',
    'AXFR',
  ])
  const rrs = stdout.split('\n').filter((line) => line !== '' && !line.startsWith(';') && !/\sTSIG\s/.test(line))
  return rrs.map((line) => line.replaceAll(/\s+/g, ' ').toLowerCase()).toSorted()
}

const serialOf = async (n: number): Promise<string | undefined> =>
  / soa \S+ \S+ (\d+) /.exec(await ask(n, 'demo.example SOA').catch(() => ''))?.[1]
const haveSerial = async (serial: number): Promise<void> => {
  let serials: readonly (string | undefined)[] = []
  const both = async (): Promise<boolean> => {
    serials = [await serialOf(4), await serialOf(5)]
    return serials.every((one) => one === String(serial))
  }
  await until(() => `serial ${serial} at both: ${serials.join(' ')}, ${node.out}`, both, 25_000)
}
const transfers = (): readonly string[] =>
  node.lines.map(({ msg }) => msg).filter((msg) => msg.includes('was transferred to'))

function startSecondary(program: string, config: string, ...args: readonly string[]): void {
  const file = join(scene.folder, `${program}.conf`)
  writeFileSync(file, config)
  children.push(spawn(program, [...args, '-c', file], { stdio: 'ignore' }))
}

beforeAll(async () => {
  scene = new Scene()
  scene.write('defaults.yaml', defaults(1))
  scene.write('services.yaml', scene.servicesYaml('all', 'none'))
  scene.write('demo.example.yaml', STATIC + NAMES)
  writeFileSync(join(scene.folder, 'xfr.key'), keyLine(SECRET), { mode: 0o600 })
  node = await scene.startReady({ 'tsig-keys': `xfr=${join(scene.folder, 'xfr.key')}` })
  const primary = `${scene.address(0)}@${DNS_PORT}`
  for (const folder of ['nsd', 'knot']) mkdirSync(join(scene.folder, folder))
  startSecondary(
    'nsd',
    `server:
  ip-address: ${scene.address(4)}@${DNS_PORT}
  username: ""
  database: ""
  zonesdir: "${scene.folder}/nsd"
  xfrdir: "${scene.folder}/nsd"
  pidfile: "${scene.folder}/nsd/pid"
  xfrdfile: "${scene.folder}/nsd/xfrd.state"
  zonelistfile: "${scene.folder}/nsd/zone.list"
  server-count: 1
remote-control:
  control-enable: no
key:
  name: "xfr"
  algorithm: hmac-sha256
  secret: "${SECRET}"
zone:
  name: "demo.example"
  zonefile: "demo.example.zone"
  request-xfr: ${primary} xfr
  allow-notify: 127.0.0.0/8 xfr
  provide-xfr: 127.0.0.0/8 NOKEY
`,
    '-d',
  )
  startSecondary(
    'knotd',
    `server:
  listen: ${scene.address(5)}@${DNS_PORT}
  rundir: ${scene.folder}/knot
  tcp-workers: 1
  udp-workers: 1
  background-workers: 1
database:
  storage: ${scene.folder}/knot
key:
  - id: xfr
    algorithm: hmac-sha256
    secret: ${SECRET}
remote:
  - id: primary
    address: ${primary}
    key: xfr
acl:
  - id: notify
    address: 127.0.0.0/8
    key: xfr
    action: notify
  - id: all
    address: 127.0.0.0/8
    action: transfer
template:
  - id: default
    storage: ${scene.folder}/knot
zone:
  - domain: demo.example
    master: primary
    acl: [notify, all]
`,
  )
})
afterAll(async () => {
  const ended = children.map((child) => new Promise((resolve) => child.once('exit', resolve)))
  for (const child of children) child.kill('SIGTERM')
  await Promise.all(ended)
  await scene.close()
})

test('they take the zone whole, then what changes, and answer what the node answers', async () => {
  await haveSerial(1)
  const key = ['-y', keyLine(SECRET)]
  const whole = await zoneOf(0, ...key)
  expect(whole.length).toBeGreaterThan(2010)
  expect(await zoneOf(4)).toEqual(whole)
  expect(await zoneOf(5)).toEqual(whole)
  for (const question of QUESTIONS) {
    const own = await ask(0, question)
    expect(await ask(4, question), question).toBe(own)
    expect(await ask(5, question), question).toBe(own)
  }
  expect(transfers().filter((line) => line.endsWith('AXFR, serial 1')).length).toBeGreaterThanOrEqual(2)

  // the node reloads, tells them, and they take the difference
  scene.write(
    'demo.example.yaml',
    STATIC + NAMES.replace('n7: {type: A, value: 10.1.0.7}\n', 'new: {type: A, value: 192.0.2.77}\n'),
  )
  scene.write('defaults.yaml', defaults(2))
  await haveSerial(2)
  const changed = await zoneOf(0, ...key)
  expect(changed).toContain('new.demo.example. 3600 in a 192.0.2.77')
  expect(changed).not.toEqual(whole)
  expect(await zoneOf(4)).toEqual(changed)
  expect(await zoneOf(5)).toEqual(changed)
  expect(await ask(4, 'n7.demo.example A')).toBe(await ask(0, 'n7.demo.example A'))
  const incremental = (): readonly string[] => transfers().filter((line) => line.endsWith('IXFR, serial 2'))
  await until('two incremental transfers', () => incremental().length >= 2)
  await until('both confirmations', async () => (await node.metrics()).includes('meridian_notifies_pending 0'))

  // only the serial changes
  scene.write('defaults.yaml', defaults(3))
  await haveSerial(3)
  expect((await zoneOf(4)).filter((line) => !line.includes(' soa '))).toEqual(
    changed.filter((line) => !line.includes(' soa ')),
  )
  expect((await zoneOf(5)).filter((line) => !line.includes(' soa '))).toEqual(
    changed.filter((line) => !line.includes(' soa ')),
  )
})

const refused = (): readonly string[] => node.lines.map(({ msg }) => msg).filter((msg) => msg.includes('was refused'))

test('nobody takes it without the key, and the log has the reason once', async () => {
  expect(await zoneOf(0)).toEqual([])
  expect(await zoneOf(0)).toEqual([])
  await until('the log', () => refused().length > 0)
  expect(refused()).toEqual(['the transfer of demo.example. was refused to 127.0.0.1: it is not signed with xfr.'])
})

test('a key that is replaced counts at once', async () => {
  const other = Buffer.alloc(32, 2).toString('base64')
  const signed = async (secret: string): Promise<boolean> =>
    (await zoneOf(0, '-y', keyLine(secret)).catch(() => [])).length > 0
  expect(await signed(other)).toBe(false)
  writeFileSync(join(scene.folder, 'xfr.key'), keyLine(other))
  await until('the new key', () => signed(other))
  expect(await signed(SECRET)).toBe(false)
})
