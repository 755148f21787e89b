/**
 * The servers of the peers bench, each as its operators would run it on one core: one UDP thread, the same zone, sites
 * and GeoIP database; health checks by HTTP where the server has any. Each gets a folder of its own and a free port of
 * 127.0.0.1, and is a child of this process, stopped with it.
 */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { ask } from './ask.ts'
import { type Client, dotted, encodeQuery, NAMES, ranked, type Site, SITES, ZONE } from './scene.ts'

export interface Daemon {
  readonly name: string
  readonly port: number
  readonly process: ChildProcess
}

/** What all daemons are made from. */
export interface Scene {
  readonly folder: string
  /** MMDB in MaxMind's schema. */
  readonly database: string
  readonly clients: readonly Client[]
  /** Port of the sites' HTTP. */
  readonly healthPort: number
  /** Core that every server is pinned to. */
  readonly core: number
}

const PACKAGES = ['gdnsd', 'knot', 'knot-module-geoip', 'dnsperf', 'util-linux']

const isMissing = (name: string): boolean => {
  const { stdout } = spawnSync('dpkg-query', ['-W', '-f', '${db:Status-Status}', name], { encoding: 'utf8' })
  return stdout !== 'installed'
}

/** Installs what is missing from Debian; one clear error where that can't be done. */
export function installPeers(packages: readonly string[] = PACKAGES): void {
  const missing = packages.filter(isMissing)
  if (missing.length === 0) return
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  if (process.getuid?.() === 0) {
    spawnSync('apt-get', ['update'], { env, stdio: 'inherit' })
    spawnSync('apt-get', ['install', '-y', '--no-install-recommends', ...missing], { env, stdio: 'inherit' })
  }
  const left = missing.filter(isMissing)
  if (left.length > 0)
    throw new Error(`this bench needs the Debian packages ${left.join(', ')}: install them and run again`)
}

/** The eight sites: HTTP on each VIP, /healthz says 200. */
export async function startSites(): Promise<{ readonly port: number; readonly servers: readonly Server[] }> {
  const servers: Server[] = []
  let port = 0
  for (const site of SITES) {
    const server = createServer((_request, response) => response.end('ok'))
    server.listen(port, site.vip)
    await once(server, 'listening')
    const address = server.address()
    if (address !== null && typeof address === 'object') port = address.port
    servers.push(server)
  }
  return { port, servers }
}

/** A port of 127.0.0.1 that nobody has, neither for UDP nor for TCP. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const port = address !== null && typeof address === 'object' ? address.port : 0
  const socket = createSocket('udp4').bind(port, '127.0.0.1')
  const free = await once(socket, 'listening').then(
    () => true,
    () => false,
  )
  server.close()
  socket.close()
  return free ? port : freePort()
}

/**
 * Starts a command pinned to a core, in a session of its own whose scheduling group goes before all other work of the
 * machine where the kernel lets us (root): a busy machine then measures nearly the same.
 */
export function spawnPinned(core: number, command: readonly string[], out: number): ChildProcess {
  const first = 'echo -20 2>/dev/null >/proc/self/autogroup; exec "$@"'
  return spawn('taskset', ['-c', String(core), 'sh', '-c', first, 'sh', ...command], {
    stdio: ['ignore', out, out],
    detached: true,
  })
}

/** Starts a server pinned to the scene's core and waits until it answers a steered name with an address. */
async function start(
  name: string,
  scene: Scene,
  port: number,
  command: readonly string[],
  waitMs: number,
): Promise<Daemon> {
  const log = join(scene.folder, `${name}.log`)
  const out = openSync(log, 'w')
  const child = spawnPinned(scene.core, command, out)
  process.once('exit', () => child.kill('SIGKILL'))
  const endMs = performance.now() + waitMs
  const probe = encodeQuery(NAMES[0]!, scene.clients[0]!.address)
  for (;;) {
    const reply = await ask(port, [probe], 500).catch(() => undefined)
    if (reply?.[0]?.rcode === 0 && reply[0].addresses.length > 0) {
      // Knot pins its workers to cores of its own choice, the load's among them: pin every thread again.
      spawnSync('taskset', ['-a', '-c', '-p', String(scene.core), String(child.pid)])
      return { name, port, process: child }
    }
    if (child.exitCode !== null || performance.now() > endMs) {
      child.kill('SIGKILL')
      throw new Error(`${name} does not answer; its log ${log} ends:\n${readFileSync(log, 'utf8').slice(-2000)}`)
    }
  }
}

export async function stopDaemon(daemon: Daemon): Promise<void> {
  if (daemon.process.exitCode !== null) return
  const gone = once(daemon.process, 'exit')
  daemon.process.kill('SIGTERM')
  const timer = setTimeout(() => daemon.process.kill('SIGKILL'), 5000)
  await gone
  clearTimeout(timer)
}

const zoneFile = (steered: (name: string) => string): string =>
  [
    `$ORIGIN ${ZONE}.`,
    '$TTL 3600',
    '@ SOA ns1 hostmaster 1 3600 600 86400 60',
    '@ NS ns1',
    'ns1 A 127.0.0.1',
    ...NAMES.map(steered),
    '',
  ].join('\n')

const each = (line: (site: Site) => string): string => SITES.map(line).join(' ')

export async function startGdnsd(scene: Scene): Promise<Daemon> {
  const port = await freePort()
  const folder = join(scene.folder, 'gdnsd')
  mkdirSync(join(folder, 'zones'), { recursive: true })
  writeFileSync(
    join(folder, 'config'),
    `options => {
  listen => 127.0.0.1:${port}, udp_threads = 1, tcp_threads = 1, udp_rcvbuf = 1048576, udp_sndbuf = 1048576
  run_dir = ${folder}/run, state_dir = ${folder}/state
}
service_types => { web => {
  plugin => http_status, port => ${scene.healthPort}, url_path => /healthz, interval => 5, timeout => 2
  up_thresh => 2, ok_thresh => 2, down_thresh => 3
} }
plugins => { geoip => {
  maps => { nearest => {
    geoip2_db => ${scene.database}
    datacenters => [ ${SITES.map((site) => site.name).join(', ')} ]
    auto_dc_coords => { ${each((site) => `${site.name} => [ ${site.latitude}, ${site.longitude} ]`)} }
    auto_dc_limit => 4
  } }
  resources => { web => {
    map => nearest, service_types => web
    dcmap => { ${each((site) => `${site.name} => ${site.vip}`)} }
  } }
} }
`,
  )
  writeFileSync(
    join(folder, 'zones', ZONE),
    zoneFile((name) => `${name} 60/15 DYNA geoip!web`),
  )
  return start('gdnsd', scene, port, ['gdnsd', '-c', folder, 'start'], 60_000)
}

/** An entry of mod-geoip's file: what a client must match, and the VIP that it gets. */
interface View {
  readonly match: string
  readonly vip: string
}

/**
 * Knot has no notion of distance. In `subnet` mode its module is given the fewest prefixes that send each of this
 * bench's clients to its nearest site, and never opens the database; in `geodb` mode it reads the client's record there
 * and is given countries, subdivisions and cities, as its operators would write them.
 */
export async function startKnot(scene: Scene, mode: 'subnet' | 'geodb'): Promise<Daemon> {
  const port = await freePort()
  const name = `knot-${mode}`
  const folder = join(scene.folder, name)
  mkdirSync(folder, { recursive: true })
  const views = (mode === 'subnet' ? subnetViews(scene.clients) : placeViews(scene.clients))
    .map(({ match, vip }) => `  - ${match}\n    A: ${vip}\n`)
    .join('')
  writeFileSync(join(folder, 'geo.conf'), NAMES.map((owner) => `${owner}.${ZONE}.:\n${views}`).join(''))
  writeFileSync(
    join(folder, 'zone'),
    zoneFile((owner) => `${owner} 60 A ${SITES[0]!.vip}`),
  )
  const database = `
    geodb-file: ${scene.database}
    geodb-key: [country/iso_code, subdivisions/0/iso_code, city/names/en]`
  writeFileSync(
    join(folder, 'knot.conf'),
    `server:
  rundir: ${folder}
  listen: 127.0.0.1@${port}
  udp-workers: 1
  tcp-workers: 1
  background-workers: 1
  edns-client-subnet: on
database:
  storage: ${folder}
log:
  - target: stderr
    any: info
mod-geoip:
  - id: nearest
    config-file: ${folder}/geo.conf
    ttl: 60
    mode: ${mode}${mode === 'geodb' ? database : ''}
zone:
  - domain: ${ZONE}.
    file: ${folder}/zone
    module: [mod-cookies, mod-geoip/nearest]
`,
  )
  return start(name, scene, port, ['knotd', '-c', join(folder, 'knot.conf')], 120_000)
}

/** Clients' votes below each key, from country to city; a key is listed when it says other than the one above it. */
function placeViews(clients: readonly Client[]): View[] {
  const votes = new Map<string, Map<string, number>>()
  const above = new Map<string, string | undefined>()
  for (const client of clients) {
    const { country, subdivision, city } = client
    const keys = [`${country};*;*`]
    if (subdivision !== undefined) keys.push(`${country};${subdivision};*`)
    if (city !== undefined && !/["\\;]/.test(city)) keys.push(`${country};${subdivision ?? '*'};${city}`)
    const { vip } = ranked(client)[0]!.site
    for (const [i, key] of keys.entries()) {
      above.set(key, keys[i - 1])
      const count = votes.get(key) ?? new Map<string, number>()
      votes.set(key, count.set(vip, (count.get(vip) ?? 0) + 1))
    }
  }
  const choice = (key: string): string => [...votes.get(key)!].toSorted((a, b) => b[1] - a[1])[0]![0]
  return [...votes.keys()]
    .filter((key) => above.get(key) === undefined || choice(above.get(key)!) !== choice(key))
    .map((key) => ({ match: `geo: "${key}"`, vip: choice(key) }))
}

interface TrieNode {
  readonly children: [TrieNode?, TrieNode?]
  /** VIPs that would need the fewest prefixes from here down. */
  best: ReadonlySet<string>
}

/** The fewest prefixes that give every client its VIP, no matter what they give to others (Draves et al. 1999, ORTC). */
function subnetViews(clients: readonly Client[]): View[] {
  const root: TrieNode = { children: [], best: new Set() }
  for (const client of clients) {
    let node = root
    for (let bit = 31; bit > 7; bit--)
      node = node.children[(client.address >>> bit) & 1] ??= { children: [], best: new Set() }
    node.best = new Set([ranked(client)[0]!.site.vip])
  }
  const up = ({ children, ...node }: TrieNode): ReadonlySet<string> => {
    const [left, right] = children.map((child) => child && (child.best = up(child)))
    if (left === undefined || right === undefined) return left ?? right ?? node.best
    const both = [...left].filter((vip) => right.has(vip))
    return new Set(both.length > 0 ? both : [...left, ...right])
  }
  root.best = up(root)
  const views: View[] = []
  const down = (node: TrieNode, address: number, bits: number, inherited: string): void => {
    const vip = node.best.has(inherited) ? inherited : [...node.best][0]!
    if (vip !== inherited) views.push({ match: `net: ${dotted(address)}/${bits}`, vip })
    for (const [i, child] of node.children.entries()) {
      if (child !== undefined) down(child, address + i * 2 ** (31 - bits), bits + 1, vip)
    }
  }
  down(root, 0, 0, '')
  return views
}

const ROOT = resolve(import.meta.dirname, '../../..')

/** Of this checkout, or of another (`root`), whose settings may be fewer. */
export async function startMeridian(scene: Scene, as = 'meridian', root = ROOT): Promise<Daemon> {
  const port = await freePort()
  const httpPort = await freePort()
  const folder = join(scene.folder, as)
  const zones = join(folder, 'zones')
  mkdirSync(zones, { recursive: true })
  const write = (file: string, value: unknown): void => writeFileSync(join(zones, file), `${JSON.stringify(value)}\n`)
  write('defaults.yaml', {
    soa: { mname: `ns1.${ZONE}.`, rname: `hostmaster.${ZONE}.`, minimum: 60, serial: 1 },
    ttl: 3600,
    checks: {
      web: { type: 'http', path: '/healthz', port: scene.healthPort, interval: '5s', timeout: '2s', fall: 3, rise: 2 },
    },
  })
  const siteEntries = SITES.map((site) => [site.name, { location: [site.latitude, site.longitude], region: site.name }])
  write('sites.yaml', Object.fromEntries(siteEntries))
  write('services.yaml', {
    web: {
      sites: Object.fromEntries(SITES.map((site) => [site.name, { vips: [site.vip], weight: 100 }])),
      order: 'nearest',
      ttl: { max: 60, min: 15 },
      check: { use: 'web' },
    },
  })
  write(`${ZONE}.yaml`, {
    '': { type: 'NS', values: [`ns1.${ZONE}.`] },
    ns1: { type: 'A', values: ['127.0.0.1'] },
    ...Object.fromEntries(NAMES.map((name) => [name, { type: 'GSLB', service: 'web' }])),
  })
  const settings = join(folder, 'meridian.yaml')
  writeFileSync(
    settings,
    `${JSON.stringify({
      listen: [`127.0.0.1:${port}`],
      zones,
      geo: { city: scene.database },
      threads: 1,
      ...(settingsOf(root).includes('`probe.allow`') && { probe: { allow: ['127.0.0.0/8'] } }),
      http: { listen: `127.0.0.1:${httpPort}` },
      state: join(folder, 'state'),
    })}\n`,
  )
  const main = join(root, 'src/main.ts')
  const daemon = await start(as, scene, port, [process.execPath, main, 'serve', '-c', settings], 60_000)
  // a site not yet probed is passed over while others are up: compare when all have their verdict
  const deadline = performance.now() + 60_000
  while (!(await isReady(httpPort))) {
    if (performance.now() > deadline) throw new Error('meridian is not ready after 60 s')
    await sleep(100)
  }
  return daemon
}

const settingsOf = (root: string): string => readFileSync(join(root, 'docs/settings.md'), 'utf8')

const isReady = (port: number): Promise<boolean> =>
  fetch(`http://127.0.0.1:${port}/ready`).then(
    ({ ok }) => ok,
    () => false,
  )
