/**
 * What the page's test looks at: three nodes, three probers and a real Redis, each on a host of a network that can be cut,
 * three sites with three services, and a browser on a host of its own.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFileSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { hashSecret } from '../../src/api/token.ts'
import { FIXTURE, writeTestDatabase } from '../support/mmdb.ts'
import { NodeProcess, SITE, SITE_NAMES, SITE_PORT, type SiteName, SITES_YAML, TTL, VIPS } from '../support/scene.ts'
import { Network } from '../e2e/fleet/network.ts'
import { Redis, REDIS_PORT } from '../e2e/fleet/redis.ts'

export const PROBERS = ['p1', 'p2', 'p3'] as const
export const NODES = ['n1', 'n2', 'n3'] as const
export type NodeName = (typeof NODES)[number]
export type ProberName = (typeof PROBERS)[number]
const REGIONS: Readonly<Record<ProberName, string>> = { p1: 'eu', p2: 'us', p3: 'ap' }

/** Tokens of the nodes' API: one for everything, and one to look. */
export const TOKEN = 'a-token-of-this-test'
export const READER = 'a-token-that-only-reads'

const HOSTS = {
  redis: '10.78.0.2',
  browser: '10.78.0.3',
  p1: '10.78.0.11',
  p2: '10.78.0.12',
  p3: '10.78.0.13',
  n1: '10.78.0.21',
  n2: '10.78.0.22',
  n3: '10.78.0.23',
  large: '10.78.0.24',
  ...VIPS,
} as const

/** interval + (fall − 1) × max(fast, timeout) + timeout + 100 ms, and 10 ms through Redis. */
export const FAILOVER_MS = 1_000 + 500 + 500 + 100 + 10

const CHECK = `{type: http, port: ${SITE_PORT}, path: /healthz, interval: 1s, timeout: 500ms, fast: 250ms, fall: 2, rise: 2}`

/** A service with a VIP at each site; all of a site are checked at the same place. */
function serviceYaml(name: string, network: string, more = ''): string {
  const sites = SITE_NAMES.map(
    (site, i) => `    ${site}: {vips: [{address: ${network}.${i + 1}, check: {address: ${VIPS[site]}}}]}`,
  )
  return [`${name}:`, '  sites:', ...sites, `  check: ${CHECK}`, more, TTL].join('\n')
}

/** Of a service of the large node. */
const nameOf = (n: number): string => `s${String(n).padStart(3, '0')}`

const VIEWERS = join(import.meta.dirname, 'viewers.ts')

/** CPU time that a process has used, in ms: proc_pid_stat(5), in ticks of 10 ms. */
function cpuMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ')
  return 10 * (Number(fields[11]) + Number(fields[12]))
}

export class PageFleet {
  readonly folder = mkdtempSync(join(tmpdir(), 'meridian-page-'))
  readonly network = new Network(HOSTS)
  readonly #redis: Redis
  readonly #processes = new Map<string, NodeProcess>()
  readonly #sites = new Map<SiteName, ChildProcess>()
  readonly #children = new Set<ChildProcess>()

  /** Nothing yet but its network, for startLarge() alone. */
  static ofLarge(): PageFleet {
    const fleet = new PageFleet()
    fleet.writeDatabase('2026-10-01')
    return fleet
  }

  /** All of it, ready. */
  static async start(): Promise<PageFleet> {
    const fleet = new PageFleet()
    try {
      await fleet.#start()
      return fleet
    } catch (error) {
      await fleet.close()
      throw error
    }
  }

  private constructor() {
    this.#redis = new Redis({ via: this.network.on('redis'), folder: join(this.folder, 'redis'), address: HOSTS.redis })
  }

  get zones(): string {
    return join(this.folder, 'zones')
  }

  async #start(): Promise<void> {
    mkdirSync(this.zones)
    const files = {
      'defaults.yaml': 'soa: {mname: ns1.demo.example., rname: hostmaster.demo.example., minimum: 30, serial: 7}\n',
      'sites.yaml': SITES_YAML,
      'services.yaml': [
        serviceYaml('web', '198.51.100', '  spill: 2'),
        serviceYaml('api', '203.0.113', '  keep: 40%'),
        serviceYaml('static', '192.0.2', '  failback: manual'),
      ].join('\n'),
      'demo.example.yaml': `"":
  - {type: NS, values: [ns1.demo.example., ns2.example.net.]}
ns1: {type: A, values: [192.0.2.53]}
www: {type: GSLB, service: web}
api: {type: GSLB, service: api}
static: {type: GSLB, service: static}
`,
    }
    for (const [file, text] of Object.entries(files)) writeFileSync(join(this.zones, file), text)
    const tokens = join(this.folder, 'tokens')
    writeFileSync(tokens, `reader sha256:${Buffer.from(hashSecret(READER)).toString('hex')} read\n`, { mode: 0o600 })
    this.writeDatabase('2026-10-01')
    await Promise.all([this.#redis.start(), ...SITE_NAMES.map((site) => this.startSite(site))])
    for (const prober of PROBERS) this.#launch('probe', prober, { 'probe-region': REGIONS[prober] })
    for (const node of NODES) {
      const http = { 'http-listen': `${HOSTS[node]}:80`, 'http-tokens': tokens }
      const listens = { listen: `${HOSTS[node]}:53`, ...http, 'probe-enabled': 'false' }
      this.#launch('serve', node, { ...listens, threads: '1', 'geo-city': this.#city })
    }
    await Promise.all(NODES.map((node) => this.process(node).ready(300_000)))
  }

  #launch(command: 'serve' | 'probe', name: string, more: Readonly<Record<string, string>>): void {
    const state = join(this.folder, name)
    const flags = {
      zones: this.zones,
      state,
      'node-name': name,
      redis: `redis://${HOSTS.redis}:${REDIS_PORT}`,
      ...more,
    }
    const args = Object.entries(flags).flatMap(([flag, value]) => [`--${flag}`, value])
    const elsewhere = { via: this.network.on(name), env: { MERIDIAN_HTTP_TOKEN: TOKEN } }
    this.#processes.set(name, new NodeProcess([command, ...args], state, elsewhere))
  }

  /** Members and services of the large node. */
  static readonly MEMBERS = 10_020
  static readonly SERVICES = 334

  /** A node of its own with 10 members of each service at each of the three sites; returns the URL of its page. */
  async startLarge(): Promise<string> {
    const zones = join(this.folder, 'large-zones')
    mkdirSync(zones)
    const services = Array.from({ length: PageFleet.SERVICES }, (_, n) => {
      const vips = (i: number): string[] =>
        Array.from({ length: 10 }, (_none, k) => `10.${10 * i + k}.${n >> 8}.${n & 255}`)
      const sites = SITE_NAMES.map((site, i) => `    ${site}: {vips: [${vips(i).join(', ')}]}`)
      const check = `{type: tcp, port: ${SITE_PORT}, address: ${VIPS.fra}, interval: 5s}`
      return [`${nameOf(n)}:`, '  sites:', ...sites, `  check: ${check}`].join('\n')
    })
    const names = services.map((_, n) => `n${n}: {type: GSLB, service: ${nameOf(n)}}`)
    writeFileSync(
      join(zones, 'defaults.yaml'),
      'soa: {mname: ns1.demo.example., rname: hostmaster.demo.example., serial: 7}\n',
    )
    writeFileSync(join(zones, 'sites.yaml'), SITES_YAML)
    writeFileSync(join(zones, 'services.yaml'), `${services.join('\n')}\n`)
    const apex =
      '"":\n  - {type: NS, values: [ns1.demo.example., ns2.example.net.]}\nns1: {type: A, values: [192.0.2.53]}'
    writeFileSync(join(zones, 'demo.example.yaml'), `${apex}\n${names.join('\n')}\n`)
    const flags = { zones, state: this.state('large'), 'node-name': 'large', listen: `${HOSTS.large}:53`, threads: '1' }
    const http = { 'http-listen': `${HOSTS.large}:80`, 'geo-city': this.#city }
    const args = Object.entries({ ...flags, ...http }).flatMap(([flag, value]) => [`--${flag}`, value])
    const elsewhere = { via: this.network.on('large'), env: { MERIDIAN_HTTP_TOKEN: TOKEN } }
    const node = new NodeProcess(['serve', ...args], this.state('large'), elsewhere)
    this.#processes.set('large', node)
    await node.ready(300_000)
    return `http://${HOSTS.large}/`
  }

  /** How much of a core that node takes while something else happens. */
  async loadOfLarge(happens: () => Promise<unknown>): Promise<number> {
    const { pid } = this.#processes.get('large')!
    const [beganMs, before] = [performance.now(), cpuMs(pid)]
    await happens()
    return (cpuMs(pid) - before) / (performance.now() - beganMs)
  }

  /** So many who watch that node as its page does. */
  startViewers(viewers: number): { readonly boards: readonly string[]; stop(): void } {
    const args = [VIEWERS, `http://${HOSTS.large}/`, TOKEN, String(viewers)]
    const [command, ...words] = [...this.network.on('browser'), process.execPath, ...args]
    const child = spawn(command!, words, { stdio: ['pipe', 'pipe', 'inherit'] })
    let said = ''
    child.stdout.on('data', (data: Buffer) => (said += data.toString()))
    this.#children.add(child)
    return {
      /** The ETag of each board that one of them got. */
      get boards() {
        return said.split('\n').slice(0, -1)
      },
      stop: () => void child.kill('SIGKILL'),
    }
  }

  process(name: NodeName | ProberName): NodeProcess {
    return this.#processes.get(name)!
  }

  /** Of the page of a node, for the browser. */
  url(node: NodeName): string {
    return `http://${HOSTS[node]}/`
  }

  /** Asks a node for the site of a client `times` times, over DNS. */
  async query(node: NodeName, name: string, subnet: string, times: number): Promise<void> {
    const file = join(this.folder, 'queries')
    writeFileSync(file, `${name} A\n`.repeat(times))
    const options = [`@${HOSTS[node]}`, `+subnet=${subnet}`, '+time=5', '+short', '-f', file]
    const [command, ...words] = [...this.network.on('browser'), 'dig', ...options]
    await promisify(execFile)(command!, words)
  }

  /** Another revision of the zones: a deploy. */
  deploy(): void {
    appendFileSync(join(this.zones, 'demo.example.yaml'), 'new: {type: A, values: [192.0.2.54]}\n')
  }

  get #city(): string {
    return join(this.folder, 'city.mmdb')
  }

  /** The city database as it was built on that day (ISO 8601), the same each time, in place of the one before. */
  writeDatabase(day: string): void {
    const made = { schema: 'maxmind', networks: FIXTURE, ipVersion: 6, buildEpoch: Date.parse(day) / 1000 } as const
    writeTestDatabase(`${this.#city}.new`, made)
    renameSync(`${this.#city}.new`, this.#city)
  }

  state(node: NodeName | 'large'): string {
    return join(this.folder, node)
  }

  async startSite(site: SiteName): Promise<void> {
    const [command, ...args] = [...this.network.on(site), process.execPath, SITE, VIPS[site], String(SITE_PORT)]
    const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] })
    this.#sites.set(site, child)
    await once(child.stdout, 'data')
  }

  killSite(site: SiteName): void {
    this.#sites.get(site)!.kill('SIGKILL')
  }

  /** Of all that it runs: for countWaits(). */
  readonly pids = (): number[] =>
    [...this.#processes.values(), ...this.#sites.values(), this.#redis].flatMap(({ pid }) => pid ?? [])

  async close(): Promise<void> {
    for (const one of this.#processes.values()) one.kill('SIGKILL')
    for (const child of [...this.#sites.values(), ...this.#children]) child.kill('SIGKILL')
    await Promise.all([...this.#processes.values()].map(({ ended }) => ended))
    await this.#redis.kill()
    this.network.close()
    rmSync(this.folder, { recursive: true, force: true })
  }
}
