/**
 * Two nodes with one anycast address, each with BIRD as docs/anycast.md has it, and a router that follows them by BGP:
 *
 *   n1 ── BIRD ─┐
 *               ├─ router (BIRD on the hub) ── clients ask 192.0.2.53
 *   n2 ── BIRD ─┘
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { countWaits } from '../support/cpu.ts'
import { meridian, NodeProcess } from '../support/scene.ts'
import { until } from '../support/until.ts'
import { Network } from './fleet/network.ts'
import { Redis, REDIS_PORT } from './fleet/redis.ts'

const HOSTS = { n1: '198.51.100.21', n2: '198.51.100.22', redis: '198.51.100.9', clients: '198.51.100.99' } as const
type Name = 'n1' | 'n2'
const NAMES = ['n1', 'n2'] as const
const ANYCAST = '192.0.2.53'
const PREFIX = '192.0.2.0/24'
const GATEWAY = '169.254.1.1'

const DOCS = readFileSync(resolve(import.meta.dirname, '../../docs/anycast.md'), 'utf8')
const NODE_CONF = /```bird\n([^`]*)```/.exec(DOCS)![1]!

/** The docs' file for a node; here it has one cable, to a router that is in no network of its own. */
const nodeConf = (name: Name): string =>
  NODE_CONF.replaceAll('198.51.100.21', HOSTS[name])
    .replaceAll('198.51.100.1 ', `${GATEWAY} `)
    .replaceAll('64521', name === 'n1' ? '64521' : '64522')
    .replace('neighbor 169.254.1.1', 'multihop; neighbor 169.254.1.1')
    .replace(/protocol bgp upstream6 [^]*?\n\}\n/, '')

/** The router prefers n1. */
const ROUTER_CONF = `
router id 198.51.100.1;
protocol device { }
protocol static { ipv4; ${NAMES.map((name) => `route ${HOSTS[name]}/32 via "h-${name}";`).join(' ')} }
protocol kernel { scan time 1; ipv4 { import none; export where source = RTS_BGP; }; }
${NAMES.map(
  (name, i) => `protocol bgp ${name} {
  local ${GATEWAY} as 64500; neighbor ${HOSTS[name]} as ${64521 + i}; multihop; hold time 9; keepalive time 3;
  ipv4 { import filter { bgp_local_pref = ${200 - i}; accept; }; export none; };
}`,
).join('\n')}`

const folder = mkdtempSync(join(tmpdir(), 'meridian-announce-'))
let network: Network
let redis: Redis
const birds: ChildProcess[] = []
const started = new Map<string, NodeProcess>()
const serving = (name: Name): NodeProcess => started.get(`serve ${name}`)!
const announcing = (name: Name): NodeProcess => started.get(`announce ${name}`)!

const stateOf = (name: Name): string => join(folder, name, 'state')
const on = (host: string, ...words: readonly string[]): string => {
  const [command, ...args] = [...network.on(host), ...words]
  return execFileSync(command!, args, { encoding: 'utf8' })
}

/** To which node the router sends queries. */
function routed(): Name | undefined {
  const route = on('hub', 'ip', 'route', 'show', PREFIX)
  return NAMES.find((name) => route.includes(`h-${name} `))
}

/** The node that answers a query to the anycast address. */
function answering(host = 'clients'): string | undefined {
  try {
    const out = on(host, 'dig', `@${ANYCAST}`, '+nsid', '+time=1', '+tries=1', 'www.demo.example', 'A')
    return out.includes('192.0.2.80') ? /NSID: .*\("(\w+)"\)/.exec(out)?.[1] : undefined
  } catch {
    return undefined
  }
}

function startBird(host: string, conf: string): void {
  const at = join(folder, host)
  mkdirSync(at, { recursive: true })
  writeFileSync(join(at, 'bird.conf'), conf)
  const args = ['-f', '-c', join(at, 'bird.conf'), '-s', join(at, 'bird.ctl'), '-P', join(at, 'bird.pid')]
  const [command, ...words] = [...network.on(host), 'bird', ...args]
  birds.push(spawn(command!, words, { stdio: ['ignore', 'ignore', 'inherit'] }))
}

const settingsOf = (name: Name): string => join(folder, name, 'meridian.yaml')

/** Starts a command beside the others of a host. */
function start(command: 'serve' | 'announce', name: Name, ...more: readonly string[]): NodeProcess {
  const process = new NodeProcess([command, '-c', settingsOf(name), ...more], stateOf(name), { via: network.on(name) })
  started.set(`${command} ${name}`, process)
  return process
}

const pids = (): number[] => [
  process.pid,
  ...[...started.values()].filter(({ runs }) => runs).map(({ pid }) => pid),
  ...birds.flatMap(({ pid }) => pid ?? []),
]

/** The time from now until the router sends queries to that node. */
async function untilRouted(name: Name, withinMs: number): Promise<void> {
  await until(
    () => `a route to ${name}: ${routed()}; ${said()}`,
    () => routed() === name,
    withinMs,
    countWaits(pids),
  )
}

const said = (): string => [...started].map(([what, { out, err }]) => `${what}: ${out.slice(-800)}${err}`).join('\n')

const reported = async (name: Name) => (await serving(name).status())?.announce?.report

beforeAll(async () => {
  network = new Network(HOSTS)
  redis = new Redis({ via: network.on('redis'), folder: join(folder, 'redis'), address: HOSTS.redis })
  await redis.start()
  for (const name of NAMES) {
    mkdirSync(join(folder, name, 'zones'), { recursive: true })
    writeFileSync(join(folder, name, 'zones/demo.example.yaml'), ZONE)
    writeFileSync(join(folder, name, 'zones/services.yaml'), SERVICES)
    writeFileSync(join(folder, name, 'zones/sites.yaml'), SITES)
    writeFileSync(settingsOf(name), settingsYaml(name))
    on(name, 'ip', 'address', 'add', `${ANYCAST}/32`, 'dev', 'lo')
    startBird(name, nodeConf(name))
  }
  startBird('hub', ROUTER_CONF)
  for (const name of NAMES) start('serve', name)
  await Promise.all(NAMES.map((name) => serving(name).ready()))
  await meridian(['force', 'fra', 'down', '--why', 'a test', '--yes', '--state', stateOf('n1')])
  for (const name of NAMES)
    await until('all sites are down', async () => (await serving(name).status())?.services[0]?.lastResort)
}, 120_000)

afterAll(async () => {
  const all = [...started.values()]
  for (const one of all) one.kill('SIGKILL')
  for (const bird of birds) bird.kill('SIGKILL')
  await redis?.kill()
  network?.close()
  await Promise.all(all.map(({ ended }) => ended))
  rmSync(folder, { recursive: true, force: true })
})

const ZONE = `"": {type: NS, values: [ns1.demo.example.]}
ns1: {type: A, values: [192.0.2.53]}
www: {type: GSLB, service: web}
`
/** Its only site is down from the start: no test here may notice. */
const SERVICES = 'web: {sites: {fra: {vips: [192.0.2.80]}}, check: none}\n'
const SITES = 'fra: {location: [50.11, 8.68]}\n'

const settingsYaml = (name: Name): string => `
listen: ["${HOSTS[name]}:53", "${ANYCAST}:53"]
zones: zones
state: state
threads: 1
node: {name: ${name}, nsid: ${name}}
probe.enabled: false
redis: redis://${HOSTS.redis}:${REDIS_PORT}
limits.exempt: ${HOSTS.clients}
announce: {form: route, addresses: ["${ANYCAST}/24"], wait: 3s}
`

test('a node that answers is announced, at the router too, although all sites are down', async () => {
  expect(routed()).toBe(undefined)
  expect((await serving('n1').status())?.announce).toMatchObject({ addresses: [PREFIX], report: null, heard: false })
  for (const name of NAMES) start('announce', name)
  await untilRouted('n1', 60_000)
  expect(answering()).toBe('n1')
  await until('both know of each other', async () => {
    const reports = await Promise.all(NAMES.map(reported))
    return reports.every((report) => report?.state === 'announced' && report.others === 1)
  })
  expect(await serving('n1').metrics()).toMatch(/^meridian_announced 1$/m)
}, 90_000)

test('one that is stopped loses its route within 3 s, and has it back when it goes on', async () => {
  serving('n1').kill('SIGSTOP')
  await untilRouted('n2', 3_000)
  expect(answering()).toBe('n2')
  serving('n1').kill('SIGCONT')
  await untilRouted('n1', 60_000)
  await until('the node knows what has happened', async () => {
    const { out } = await eventsOf('n1')
    return /announced → withdrawn: the node does not answer[^]*withdrawn → announced/.test(out)
  })
}, 90_000)

const eventsOf = (name: Name) => meridian(['events', '--kind', 'announce', '--state', stateOf(name)])

test('one that ends loses its route first, and answers for announce.wait', async () => {
  serving('n1').kill('SIGTERM')
  await untilRouted('n2', 60_000)
  expect(serving('n1').runs).toBe(true)
  // what was on its way when the route changed
  expect(answering('n1')).toBe('n1')
  expect(serving('n1').runs).toBe(true)
  expect(await serving('n1').ended).toBe(0)
  expect(serving('n1').lines.map(({ msg }) => msg)).toContain('withdrawn; answering goes on for 3s')
  expect(answering()).toBe('n2')
}, 90_000)

const staying = () => announcing('n2').lines.find(({ msg }) => msg.startsWith('STAYS ANNOUNCED'))

test('the last one stays, and says so, until another one is announced', async () => {
  await until('n1 does not count', async () => (await reported('n2'))?.others === 0)
  serving('n2').kill('SIGSTOP')
  await until('it stays', staying)
  expect(staying()).toMatchObject({
    level: 'error',
    msg: expect.stringContaining('no other node is announced and answers'),
  })
  expect(routed()).toBe('n2')
  serving('n2').kill('SIGCONT')
  await until('it is announced as ever', async () => (await reported('n2'))?.state === 'announced')
  expect(answering()).toBe('n2')
  const { out } = await eventsOf('n2')
  expect(out).toMatch(/kept/)
  // ended in order it goes all the same
  serving('n2').kill('SIGTERM')
  expect(await serving('n2').ended).toBe(0)
  expect(serving('n2').lines.map(({ msg }) => msg)).toContainEqual(
    expect.stringContaining('the address STAYS ANNOUNCED'),
  )
  expect(routed()).toBe('n2')
  await start('serve', 'n1').ready()
  await untilRouted('n1', 60_000)
  await until('n2 is withdrawn', () => !inTable('n2'))
  expect(answering()).toBe('n1')
}, 120_000)

/** What BIRD learns of. */
const inTable = (name: Name): boolean => on(name, 'ip', 'route', 'show', 'table', '53') !== ''

test('the end of announce withdraws, and what it leaves behind when it is killed is withdrawn by --withdraw', async () => {
  await start('serve', 'n2').ready()
  await until('n2 is announced', async () => (await reported('n2'))?.state === 'announced')
  announcing('n1').kill('SIGTERM')
  expect(await announcing('n1').ended).toBe(0)
  expect(inTable('n1')).toBe(false)
  start('announce', 'n1')
  await until('n1 is announced', () => inTable('n1'))
  announcing('n1').kill('SIGKILL')
  await announcing('n1').ended
  expect(inTable('n1')).toBe(true)
  await until('the node says so', async () => (await serving('n1').status())?.announce?.heard === false)
  const after = start('announce', 'n1', '--withdraw')
  expect(await after.ended, after.err).toBe(0)
  expect(inTable('n1')).toBe(false)
  // n2 is the last now
  await until('n1 does not count', async () => (await reported('n2'))?.others === 0)
  announcing('n2').kill('SIGKILL')
  await announcing('n2').ended
  const last = start('announce', 'n2', '--withdraw')
  expect(await last.ended, last.err).toBe(0)
  expect(inTable('n2')).toBe(true)
  expect(last.lines.map(({ msg }) => msg)).toContainEqual(expect.stringMatching(/^STAYS ANNOUNCED: .* no other node/))
}, 120_000)
