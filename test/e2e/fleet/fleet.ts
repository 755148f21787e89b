/**
 * A fleet in a network that can be cut: three probers in three regions, two serving nodes, Redis between them, three
 * sites, clients that never stop asking. Every part is a real process on a host of its own; close() ends all of it.
 *
 *   p1 eu ┐                ┌ n1 ┐
 *   p2 us ┼─ redis ────────┤    ├── clients in Paris, New York, Jakarta
 *   p3 ap ┘  (or sentinel) └ n2 ┘
 *     └── fra iad sin, and a canary that is no site
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Status } from '../../../src/api/status.ts'
import { authority } from '../../support/certificates.ts'
import { FIXTURE, writeTestDatabase } from '../../support/mmdb.ts'
import {
  JAKARTA,
  meridian,
  NEW_YORK,
  NodeProcess,
  PARIS,
  SITE,
  SITE_NAMES,
  SITE_PORT,
  type SiteName,
  SITES_YAML,
  TTL,
  VIPS,
  ZONE,
} from '../../support/scene.ts'
import { Askers } from './askers.ts'
import { Network } from './network.ts'
import { MASTER, Redis, REDIS_PORT, SENTINEL_PORT } from './redis.ts'

export const PROBERS = ['p1', 'p2', 'p3'] as const
export type ProberName = (typeof PROBERS)[number]
export const NODES = ['n1', 'n2'] as const
export type NodeName = (typeof NODES)[number]
const REGIONS: Readonly<Record<ProberName, string>> = { p1: 'eu', p2: 'us', p3: 'ap' }

export const PLACES = { paris: PARIS, newYork: NEW_YORK, jakarta: JAKARTA }
export type Place = keyof typeof PLACES
export const PLACE_NAMES = ['paris', 'newYork', 'jakarta'] as const
/** Nearest first. */
export const SITES_OF: Readonly<Record<Place, readonly [SiteName, SiteName]>> = {
  paris: ['fra', 'iad'],
  newYork: ['iad', 'fra'],
  jakarta: ['sin', 'fra'],
}

const HOSTS = {
  redis: '10.77.0.2',
  replica: '10.77.0.3',
  sentinel: '10.77.0.4',
  canary: '10.77.0.5',
  clients: '10.77.0.6',
  p1: '10.77.0.11',
  p2: '10.77.0.12',
  p3: '10.77.0.13',
  n1: '10.77.0.21',
  n2: '10.77.0.22',
  ...VIPS,
} as const
export type Host = keyof typeof HOSTS

/** All that have zones. */
export const EVERYONE: readonly (NodeName | ProberName)[] = [...PROBERS, ...NODES]

export const CITY = { schema: 'maxmind', networks: FIXTURE, ipVersion: 6 } as const

const isNode = (name: string): name is NodeName => NODES.some((node) => node === name)

const TIMING = 'interval: 1s, timeout: 500ms, fast: 250ms, fall: 2, rise: 2'

/** The service `web`, which every site has. */
export function servicesYaml(path = '/healthz', timing = TIMING): string {
  const sites = SITE_NAMES.map((site) => `    ${site}: {vips: [${VIPS[site]}]}`)
  return [
    'web:',
    '  sites:',
    ...sites,
    `  check: {type: http, port: ${SITE_PORT}, path: "${path}", ${timing}}`,
    TTL,
  ].join('\n')
}

export interface FleetOptions {
  /** Redis is a master with a replica, watched by a sentinel. */
  readonly sentinel?: boolean
  /** Of all sites' check: `interval: 1s, …`. */
  readonly timing?: string
  readonly askEveryMs?: number
}

export class Fleet {
  readonly folder: string = mkdtempSync(join(tmpdir(), 'meridian-fleet-'))
  readonly network: Network
  readonly redis: Redis
  readonly replica: Redis
  readonly #sentinel: Redis
  readonly #options: FleetOptions
  readonly #sites = new Map<SiteName, ChildProcess>()
  readonly #processes = new Map<string, NodeProcess>()
  readonly #builtS = Math.floor(Date.now() / 1000)
  #askers: Askers | undefined

  /** All of it, started and well. */
  static async start(options: FleetOptions = {}): Promise<Fleet> {
    const fleet = new Fleet(options)
    try {
      await fleet.#start()
      return fleet
    } catch (error) {
      const told = await fleet.describe()
      await fleet.close()
      throw new Error(`${String(error)}\n${told}`, { cause: error })
    }
  }

  private constructor(options: FleetOptions) {
    this.#options = options
    this.network = new Network(HOSTS)
    this.redis = this.#redis('redis')
    this.replica = this.#redis('replica', '--replicaof', HOSTS.redis, String(REDIS_PORT))
    this.#sentinel = this.#redis('sentinel')
  }

  #redis(host: Host, ...flags: readonly string[]): Redis {
    const settings = { via: this.network.on(host), folder: join(this.folder, host), address: HOSTS[host] }
    return new Redis(settings, ...flags)
  }

  async #start(): Promise<void> {
    for (const host of EVERYONE) mkdirSync(this.zones(host), { recursive: true })
    this.writeAll()
    writeFileSync(this.#authority, authority)
    await Promise.all([this.redis.start(), ...SITE_NAMES.map((site) => this.startSite(site))])
    if (this.#options.sentinel === true) {
      await this.replica.start()
      await this.#sentinel.startSentinel(HOSTS.redis)
    }
    for (const node of NODES) this.startNode(node)
    for (const prober of PROBERS) this.startProber(prober)
    const nodes = Object.fromEntries(NODES.map((node) => [node, HOSTS[node]]))
    await Promise.all(NODES.map((node) => this.process(node).ready(120_000)))
    this.#askers = new Askers(this.network.on('clients'), {
      name: 'www.demo.example.',
      everyMs: this.#options.askEveryMs ?? 20,
      nodes,
      places: PLACES,
    })
  }

  get askers(): Askers {
    return this.#askers!
  }

  /** The URL that nodes and probers are given. */
  get url(): string {
    return this.#options.sentinel === true
      ? `redis+sentinel://${HOSTS.sentinel}:${SENTINEL_PORT}/${MASTER}`
      : `redis://${HOSTS.redis}:${REDIS_PORT}`
  }

  zones(host: string): string {
    return join(this.folder, host, 'zones')
  }

  state(host: string): string {
    return join(this.folder, host, 'state')
  }

  /** The GeoIP database of the nodes. */
  get city(): string {
    return join(this.folder, 'city.mmdb')
  }

  /** Of the certificates in test/support. */
  get #authority(): string {
    return join(this.folder, 'authority.pem')
  }

  /** A file of the zones of these hosts. A running process loads it by itself. */
  put(hosts: readonly string[], file: string, text: string): void {
    for (const host of hosts) writeFileSync(join(this.zones(host), file), text)
  }

  /** All files as they are when all is well. */
  writeAll(): void {
    writeTestDatabase(this.city, { ...CITY, buildEpoch: this.#builtS })
    this.put(EVERYONE, 'defaults.yaml', 'soa: {minimum: 30, serial: 7}\n')
    this.put(EVERYONE, 'sites.yaml', SITES_YAML)
    this.put(EVERYONE, 'demo.example.yaml', ZONE)
    this.write(EVERYONE)
  }

  /** The zones of these hosts, with the check's path. A running process loads them by itself. */
  write(hosts: readonly string[], path = '/healthz'): void {
    this.put(hosts, 'services.yaml', servicesYaml(path, this.#options.timing))
  }

  async startSite(site: SiteName): Promise<void> {
    const [command, ...args] = [...this.network.on(site), process.execPath, SITE, VIPS[site], String(SITE_PORT)]
    const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] })
    this.#sites.set(site, child)
    await once(child.stdout, 'data')
  }

  signalSite(site: SiteName, signal: NodeJS.Signals): void {
    this.#sites.get(site)!.kill(signal)
  }

  /** Of all that it runs: for countWaits(). */
  readonly pids = (): number[] =>
    [
      this.askers,
      this.redis,
      this.replica,
      this.#sentinel,
      ...this.#processes.values(),
      ...this.#sites.values(),
    ].flatMap(({ pid }) => pid ?? [])

  startNode(name: NodeName, env: Readonly<Record<string, string>> = {}): NodeProcess {
    // all clients are of one network, and ask at once after what held them up
    const limits = { 'limits-exempt': `${HOSTS.clients}/32` }
    const serve = { listen: `${HOSTS[name]}:53`, threads: '1', 'probe-enabled': 'false', ...limits }
    return this.#launch('serve', name, { ...serve, 'geo-city': this.city }, env)
  }

  startProber(name: ProberName, env: Readonly<Record<string, string>> = {}): NodeProcess {
    const probe = { 'probe-region': REGIONS[name], 'probe-canaries': `${HOSTS.canary}:80`, 'tls-ca': this.#authority }
    return this.#launch('probe', name, probe, env)
  }

  #launch(
    command: 'serve' | 'probe',
    name: string,
    more: Readonly<Record<string, string>>,
    env: Readonly<Record<string, string>>,
  ): NodeProcess {
    const all = { zones: this.zones(name), state: this.state(name), 'node-name': name, redis: this.url, ...more }
    const flags = Object.entries(all).flatMap(([flag, value]) => [`--${flag}`, value])
    const via = this.network.on(name)
    const started = new NodeProcess([command, ...flags], this.state(name), { via, env })
    this.#processes.set(name, started)
    return started
  }

  process(name: NodeName | ProberName): NodeProcess {
    return this.#processes.get(name)!
  }

  /** Ends a node or a prober; resolves when it has ended. */
  async end(name: NodeName | ProberName, signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    this.process(name).kill(signal)
    await this.process(name).ended
  }

  forgetState(name: NodeName): void {
    rmSync(this.state(name), { recursive: true, force: true })
  }

  async status(node: NodeName): Promise<Status | undefined> {
    return this.process(node).status()
  }

  async metrics(node: NodeName): Promise<string> {
    return this.process(node).metrics()
  }

  /** A command of `meridian` to the node. */
  async command(node: NodeName, ...args: readonly string[]) {
    return meridian([...args, '--state', this.state(node)])
  }

  /** After a row that failed: everything is made as it was, so that the next one says something of its own. */
  async restore(): Promise<void> {
    this.network.healAll()
    this.writeAll()
    this.redis.signal('SIGCONT')
    if (!this.redis.runs && this.#options.sentinel !== true) await this.redis.start()
    for (const site of SITE_NAMES) {
      const child = this.#sites.get(site)!
      child.kill('SIGCONT')
      if (child.exitCode !== null || child.signalCode !== null) await this.startSite(site)
    }
    for (const name of EVERYONE) {
      this.process(name).kill('SIGCONT')
      if (this.process(name).runs) continue
      if (isNode(name)) this.startNode(name)
      else this.startProber(name)
    }
    await this.command('n1', 'unfreeze')
    for (const { override } of (await this.status('n1'))?.overrides ?? [])
      await this.command(
        'n1',
        ...(override.action === 'drain' ? ['undrain', override.pattern] : ['force', override.pattern, 'off']),
      )
  }

  /** What there is to say when something has gone wrong. */
  async describe(): Promise<string> {
    const parts: string[] = []
    for (const node of NODES) {
      const status = await this.process(node)?.status()
      const members = status?.services.flatMap((service) => service.members) ?? []
      parts.push(
        `${node}: ${JSON.stringify(members.map(({ site, state, held, why }) => ({ site, state, held, why })))}`,
      )
      parts.push(`${node}: ${JSON.stringify(status?.probers)} ${JSON.stringify(status?.troubles)}`)
    }
    for (const [name, { out, err }] of this.#processes) {
      parts.push(`--- ${name}`, ...`${out}${err}`.trimEnd().split('\n').slice(-12))
    }
    return parts.join('\n')
  }

  async close(): Promise<void> {
    this.#askers?.close()
    for (const started of this.#processes.values()) started.kill('SIGKILL')
    for (const child of this.#sites.values()) child.kill('SIGKILL')
    await Promise.all([...this.#processes.values()].map(({ ended }) => ended))
    await Promise.all([this.redis, this.replica, this.#sentinel].map((redis) => redis.kill()))
    this.network.close()
    rmSync(this.folder, { recursive: true, force: true })
  }
}
