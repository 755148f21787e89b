/**
 * The lab: the plan (plan.ts) with all its programs running, and clients that never stop asking. Scenes take hold of its parts;
 * close() ends all of it, and may be called at any time.
 */
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Status } from '../../src/api/status.ts'
import { encodeTestDatabase, type TestNetwork } from '../support/mmdb.ts'
import { git, makeRepository, writeFiles } from '../support/repository.ts'
import { meridian, NodeProcess } from '../support/scene.ts'
import { until } from '../support/until.ts'
import { nodeConf, routerConf } from './bgp.ts'
import { Clients } from './clients.ts'
import { bird, Daemon, gitDaemon, gitSync, keepalived, nsd, redis, siteOf, unbound } from './daemons.ts'
import { Network, routerOf } from './network.ts'
import { Routes } from './routes.ts'
import { Starvation } from './starvation.ts'
import { clientAt, GIT, GIT_PORT, type Region, REGIONS, SITE_OF } from './plan.ts'
import { nodeSettings, proberSettings, ZONES } from './settings.ts'

/** Where the clients are, for the GeoIP database. */
const PLACES = {
  eu: { continent: 'EU', country: 'DE', city: 'Frankfurt', latitude: 50.11, longitude: 8.68 },
  us: { continent: 'NA', country: 'US', city: 'Ashburn', latitude: 38.95, longitude: -77.45 },
  ap: { continent: 'AS', country: 'SG', city: 'Singapore', latitude: 1.36, longitude: 103.99 },
} as const

export interface LabSettings {
  /** Queries a second of all regions together, half of them behind resolvers, in the scene that has a load. */
  readonly load: number
}

export class Lab {
  readonly folder = mkdtempSync(join(tmpdir(), 'meridian-lab-'))
  readonly network: Network
  readonly routes: Routes
  readonly starvation: Starvation
  /** By name: `redis`, `eu-bird`, `eu-resolver`, `eu-lb1`, … */
  readonly #daemons = new Map<string, Daemon>()
  /** By what they are and where: `serve eu`. */
  readonly #processes = new Map<string, NodeProcess>()
  readonly #builtS = Math.floor(Date.now() / 1_000)
  #clients: Clients | undefined

  readonly load: number

  /** The network alone. */
  constructor({ load }: LabSettings = { load: 2_000 }) {
    this.load = load
    this.network = new Network()
    this.routes = new Routes(this.network)
    this.starvation = new Starvation(() => this.#onTheWay())
  }

  /** All of it, started and well. Throws with what the programs said. */
  async start(say: (line: string) => void = () => {}): Promise<void> {
    try {
      await this.#start(say)
    } catch (error) {
      throw new Error(`${String(error)}\n${this.describe()}`, { cause: error })
    }
  }

  async #start(say: (line: string) => void): Promise<void> {
    this.#makeRepository()
    for (const region of REGIONS) this.putDatabase(region)
    say('network, routers, resolvers, sites')
    this.#daemon('redis', redis).start()
    this.#daemon('git', () => gitDaemon(this.folder)).start()
    this.#daemon('parent', nsd).start()
    for (const region of REGIONS) {
      const lbs = region === 'ap' ? (['lb1', 'lb2'] as const) : (['lb1'] as const)
      for (const lb of lbs) this.#daemon(`${region}-${lb}`, (folder) => siteOf(folder, region, lb)).start()
      if (region === 'ap')
        for (const lb of ['lb1', 'lb2'] as const)
          this.#daemon(`ap-${lb}-keepalived`, (folder) => keepalived(folder, lb)).start()
      this.#daemon(`${region}-bird`, (folder) => bird(folder, `${region}-node`, nodeConf(region))).start()
      this.#daemon(`${region}-router`, (folder) => bird(folder, routerOf(region), routerConf(region))).start()
      this.#daemon(`${region}-resolver`, (folder) => unbound(folder, region)).start()
    }
    await until('routes between the regions', () => REGIONS.every((region) => this.#reachesAll(region)))
    say('clones of the zones, nodes, probers')
    for (const region of REGIONS) {
      this.network.run(
        `${region}-node`,
        'git',
        'clone',
        '-q',
        `git://${GIT.v4}:${GIT_PORT}/zones.git`,
        this.zones(region),
      )
      this.#daemon(`${region}-git-sync`, () => gitSync(`${region}-node`, this.zones(region))).start()
      mkdirSync(join(this.folder, region), { recursive: true })
      writeFileSync(this.settings(region), nodeSettings(region, this.zones(region)))
      writeFileSync(this.settings(region, 'prober'), proberSettings(region, this.zones(region)))
      this.startProber(region)
      this.startNode(region)
      this.startAnnounce(region)
    }
    await Promise.all(REGIONS.map((region) => this.node(region).ready(120_000)))
    await until('all nodes are announced', async () => (await this.announced()).length === REGIONS.length, 180_000)
    this.#clients = new Clients(this.network)
    await this.calm()
  }

  #reachesAll(region: Region): boolean {
    return ['-4', '-6'].every(
      (family) =>
        this.network.run(routerOf(region), 'ip', family, 'route', 'show', 'proto', 'bird').split('\n').length > 4,
    )
  }

  /** The repository, bare, and a working copy that somebody edits. */
  #makeRepository(): void {
    const work = this.work
    mkdirSync(work)
    makeRepository(work)
    writeFiles(work, ZONES)
    git(work, 'add', '--all')
    git(work, 'commit', '-q', '-m', 'zones of the lab')
    git(this.folder, 'clone', '-q', '--bare', work, 'zones.git')
    git(work, 'remote', 'add', 'origin', join(this.folder, 'zones.git'))
  }

  #daemon(name: string, program: (folder: string) => ConstructorParameters<typeof Daemon>[2]): Daemon {
    const folder = join(this.folder, name)
    mkdirSync(folder, { recursive: true })
    const daemon = new Daemon(this.network, folder, program(folder))
    this.#daemons.set(name, daemon)
    return daemon
  }

  get clients(): Clients {
    return this.#clients!
  }

  /** Of somebody who edits zones, and pushes. */
  get work(): string {
    return join(this.folder, 'work')
  }

  /** A region's clone of the zones, of its node and its prober. */
  zones(region: Region): string {
    return join(this.folder, region, 'zones')
  }

  state(region: Region, of: 'node' | 'prober' = 'node'): string {
    return join(this.folder, region, of === 'node' ? 'state' : 'prober-state')
  }

  settings(region: Region, of: 'node' | 'prober' = 'node'): string {
    return join(this.folder, region, of === 'node' ? 'meridian.yaml' : 'prober.yaml')
  }

  database(region: Region): string {
    return join(this.folder, region, 'city.mmdb')
  }

  /** Puts a database in the place of a region's, as one is replaced: whole. Unless given, the right one. */
  putDatabase(region: Region, bytes = this.encodeDatabase()): void {
    mkdirSync(join(this.folder, region), { recursive: true })
    writeFileSync(`${this.database(region)}.new`, bytes)
    renameSync(`${this.database(region)}.new`, this.database(region))
  }

  /** A database that has the clients of each region where `of` says. */
  encodeDatabase(of: Readonly<Record<Region, Region>> = { eu: 'eu', us: 'us', ap: 'ap' }): Buffer {
    const networks = REGIONS.flatMap((region): TestNetwork[] => {
      const { v4, v6 } = clientAt(region, 0)
      return [`${v4}/24`, `${v6.replace(/0$/, '')}/64`].map((prefix) => ({ prefix, ...PLACES[of[region]] }))
    })
    return encodeTestDatabase({ schema: 'maxmind', networks, ipVersion: 6, buildEpoch: this.#builtS })
  }

  daemon(name: string): Daemon {
    return this.#daemons.get(name)!
  }

  node(region: Region): NodeProcess {
    return this.#processes.get(`serve ${region}`)!
  }

  announcing(region: Region): NodeProcess {
    return this.#processes.get(`announce ${region}`)!
  }

  #meridian(command: string, region: Region, of: 'node' | 'prober'): NodeProcess {
    const started = new NodeProcess([command, '-c', this.settings(region, of)], this.state(region, of), {
      via: this.network.on(`${region}-${of}`),
    })
    this.#processes.set(`${command} ${region}`, started)
    return started
  }

  startNode(region: Region): NodeProcess {
    return this.#meridian('serve', region, 'node')
  }

  startAnnounce(region: Region): NodeProcess {
    return this.#meridian('announce', region, 'node')
  }

  startProber(region: Region): NodeProcess {
    return this.#meridian('probe', region, 'prober')
  }

  status(region: Region): Promise<Status | undefined> {
    return this.node(region).status()
  }

  /** A command of `meridian` to a region's node. */
  command(region: Region, ...args: readonly string[]) {
    return meridian([...args, '--state', this.state(region)])
  }

  /** Whether the route is in the table that BIRD learns from. */
  hasRoute(region: Region): boolean {
    return this.network.run(`${region}-node`, 'ip', 'route', 'show', 'table', '53') !== ''
  }

  /** The regions whose nodes are announced, as they say themselves. */
  async announced(): Promise<Region[]> {
    const states = await Promise.all(
      REGIONS.map(async (region) => (await this.status(region))?.announce?.report?.state),
    )
    return REGIONS.filter((_, i) => states[i] === 'announced')
  }

  /** All that run: for countWaits(). */
  readonly pids = (): number[] => [
    process.pid,
    ...[...this.#daemons.values()].flatMap(({ pid }) => pid ?? []),
    ...[...this.#processes.values()].filter(({ runs }) => runs).map(({ pid }) => pid),
    ...this.routes.pids,
    ...(this.#clients?.pids ?? []),
  ]

  /** What a query meets on its way, and what decides on the way. */
  #onTheWay(): number[] {
    const resolvers = REGIONS.flatMap((region) => this.#daemons.get(`${region}-resolver`)?.pid ?? [])
    return [...REGIONS.flatMap((region) => this.pidsOf(region)), ...resolvers, ...(this.#clients?.pids ?? [])]
  }

  /** What announces a region's node. */
  pidsOf(region: Region): number[] {
    const processes = [this.#processes.get(`serve ${region}`), this.#processes.get(`announce ${region}`)]
    const daemons = [`${region}-bird`, `${region}-router`, 'redis'].map((name) => this.#daemons.get(name))
    return [...processes.filter((one) => one?.runs === true), ...daemons].flatMap((one) => one?.pid ?? [])
  }

  /**
   * Waits until all is as ever: for a whole second, the clients of each region get their own site's VIP from their own node, and no
   * query fails.
   */
  async calm(): Promise<void> {
    const from = this.clients.second + 1
    const isCalm = (region: Region): boolean => {
      const { known } = this.clients
      if (known < from) return false
      const ways = Object.values(this.clients.at(region, known)!.ways)
      return ways.every(
        ({ sent, sites, nodes, failures }) =>
          sent > 0 &&
          failures.length === 0 &&
          sites[SITE_OF[region]] === sent &&
          Object.keys(nodes).every((node) => node === region),
      )
    }
    await until(
      () => `all is as ever: ${JSON.stringify(REGIONS.map((region) => this.clients.at(region, this.clients.known)))}`,
      () => REGIONS.every(isCalm),
      180_000,
    )
  }

  /** What there is to say when something has gone wrong. */
  describe(): string {
    return [
      ...[...this.#daemons]
        .filter(([, { said }]) => said !== '')
        .map(([name, { said }]) => `--- ${name}\n${last(said)}`),
      ...[...this.#processes].map(([name, { out, err }]) => `--- ${name}\n${last(out + err)}`),
    ].join('\n')
  }

  async close(): Promise<void> {
    this.#clients?.close()
    this.routes.close()
    this.starvation.stop()
    for (const one of this.#processes.values()) one.kill('SIGKILL')
    await Promise.all([...this.#daemons.values()].map((daemon) => daemon.end()))
    this.network.close()
    await Promise.all([...this.#processes.values()].map(({ ended }) => ended))
    rmSync(this.folder, { recursive: true, force: true })
  }
}

const last = (text: string): string => text.trimEnd().split('\n').slice(-8).join('\n')
