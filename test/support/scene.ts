/**
 * A scene of an e2e test: real site processes and real nodes on loopback addresses that no other test uses, a small GeoIP
 * database, dig. Everything it started ends with close().
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { get } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text as textOf } from 'node:stream/consumers'
import { promisify } from 'node:util'
import { decodeMessage, encodeQuery } from '../../src/dns/message.ts'
import { isFault } from '../../src/dns/name.ts'
import { CLIENTS, FIXTURE, writeTestDatabase } from './mmdb.ts'
import { MAIN } from './program.ts'
import { until } from './until.ts'

export const SITE = join(import.meta.dirname, 'site.ts')

export const DNS_PORT = 5300
export const HTTP_PORT = 8053
export const SITE_PORT = 8080

export const PARIS = `${CLIENTS.paris.v4.replace(/\d+$/, '0')}/24`
export const NEW_YORK = `${CLIENTS.newYork.v4.replace(/\d+$/, '0')}/24`
export const JAKARTA = `${CLIENTS.jakarta.v4.replace(/\d+$/, '0')}/24`

export const SITE_NAMES = ['fra', 'iad', 'sin'] as const
export type SiteName = (typeof SITE_NAMES)[number]
export const VIPS: Readonly<Record<SiteName, string>> = { fra: '192.0.2.1', iad: '192.0.2.2', sin: '192.0.2.3' }

/** Secrets are no flags: they go by variables. */
const isSecret = (flag: string): boolean => /^(?:http-token|redis|notify-.*)$/.test(flag)

/** Interval 1 s, fall 2: the bound for a site that falls silent, and what this machine may be late. */
export const FAILOVER_MS = 1_000 + 500 + 500 + 100 + 900

export interface Dug {
  readonly status: string
  readonly flags: readonly string[]
  /** RDATA of the answer section. */
  readonly answer: readonly string[]
  readonly ttl: number | undefined
  /** Source and scope of the client subnet that came back. */
  readonly source: number | undefined
  readonly scope: number | undefined
  readonly text: string
}

let scenes = 0

export class Scene {
  readonly folder: string = mkdtempSync(join(tmpdir(), 'meridian-e2e-'))
  readonly zones: string = join(this.folder, 'zones')
  readonly state: string = join(this.folder, 'state')
  readonly city: string = join(this.folder, 'city.mmdb')
  readonly #prefix = `127.${64 + ((process.pid >>> 8) & 63)}.${process.pid & 255}`
  readonly #first = 1 + 8 * (scenes++ % 30)
  readonly #sites = new Map<SiteName, ChildProcess>()
  readonly #nodes = new Set<NodeProcess>()

  constructor() {
    mkdirSync(this.zones)
    writeTestDatabase(this.city, { schema: 'maxmind', networks: FIXTURE, ipVersion: 6 })
    this.write('defaults.yaml', DEFAULTS)
    this.write('sites.yaml', SITES_YAML)
    this.write('services.yaml', this.servicesYaml())
    this.write('demo.example.yaml', ZONE)
  }

  /** 0: the node; 1–3: the sites; 4 and up: free. */
  address(n: number): string {
    return `${this.#prefix}.${this.#first + n}`
  }

  servicesYaml(lastResort = 'all', check = '{use: healthz}'): string {
    const sites = SITE_NAMES.map(
      (site, i) => `    ${site}: {vips: [{address: ${VIPS[site]}, check: {address: ${this.address(1 + i)}}}]}`,
    )
    return ['web:', '  sites:', ...sites, `  check: ${check}`, `  lastResort: ${lastResort}`, TTL].join('\n')
  }

  write(file: string, text: string): void {
    writeFileSync(join(this.zones, file), text)
  }

  async startSite(site: SiteName): Promise<void> {
    const child = spawn(process.execPath, [SITE, this.address(1 + SITE_NAMES.indexOf(site)), String(SITE_PORT)], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    this.#sites.set(site, child)
    await once(child.stdout, 'data')
  }

  async startSites(...sites: readonly SiteName[]): Promise<void> {
    await Promise.all((sites.length > 0 ? sites : SITE_NAMES).map((site) => this.startSite(site)))
  }

  signalSite(site: SiteName, signal: NodeJS.Signals): void {
    this.#sites.get(site)!.kill(signal)
  }

  /** Of all that it started, and of who asks: for countWaits(). */
  readonly pids = (): number[] => [
    process.pid,
    ...[...this.#nodes].map(({ pid }) => pid),
    ...[...this.#sites.values()].map(({ pid }) => pid!),
  ]

  /** What `serve` is started with. */
  flags(more: Readonly<Record<string, string>> = {}): string[] {
    const flags = {
      listen: `${this.address(0)}:${DNS_PORT}`,
      'http-listen': `${this.address(0)}:${HTTP_PORT}`,
      'geo-city': this.city,
      'probe-allow': '127.0.0.0/8',
      'node-name': 'n1',
      threads: '1',
      zones: this.zones,
      state: this.state,
      ...more,
    }
    return Object.entries(flags).flatMap(([flag, value]) => [`--${flag}`, value])
  }

  start(more: Readonly<Record<string, string>> = {}, ...args: readonly string[]): NodeProcess {
    const [secrets, plain] = [true, false].map((wanted) =>
      Object.entries(more).filter(([flag]) => isSecret(flag) === wanted),
    )
    const flags = Object.fromEntries(plain!)
    const env = Object.fromEntries(
      secrets!.map(([flag, value]) => [`MERIDIAN_${flag.toUpperCase().replaceAll('-', '_')}`, value]),
    )
    const node = new NodeProcess(['serve', ...this.flags(flags), ...args], more['state'] ?? this.state, { env })
    this.#nodes.add(node)
    return node
  }

  /** A node that serves and is ready. */
  async startReady(more: Readonly<Record<string, string>> = {}, ...args: readonly string[]): Promise<NodeProcess> {
    const node = this.start(more, ...args)
    await node.ready()
    return node
  }

  /** Asks the node, or who is named by `@address`. */
  async dig(subnet: string | undefined, ...args: readonly string[]): Promise<Dug> {
    const words = args.some((arg) => arg.startsWith('@')) ? [] : [`@${this.address(0)}`]
    words.push('-p', String(DNS_PORT), '+time=2', '+tries=1', '+noall')
    words.push('+comments', '+answer', '+authority', ...(subnet === undefined ? [] : [`+subnet=${subnet}`]), ...args)
    const { stdout } = await promisify(execFile)('dig', words)
    const ecs = /CLIENT-SUBNET: \S+?\/(\d+)\/(\d+)/.exec(stdout)
    const section = /;; ANSWER SECTION:\n([^]*?)(?:\n\n|$)/.exec(stdout)?.[1] ?? ''
    const rrs = section
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => line.split(/\s+/))
    return {
      status: /status: (\w+)/.exec(stdout)?.[1] ?? '',
      flags: (/;; flags: ([^;]*);/.exec(stdout)?.[1] ?? '').split(' '),
      answer: rrs.map((fields) => fields.slice(4).join(' ')),
      ttl: rrs[0] === undefined ? undefined : Number(rrs[0][1]),
      source: ecs === null ? undefined : Number(ecs[1]),
      scope: ecs === null ? undefined : Number(ecs[2]),
      text: stdout,
    }
  }

  /** The site whose VIP a client of the subnet gets; undefined when it gets none. */
  async siteFor(subnet: string): Promise<SiteName | undefined> {
    const { answer } = await this.dig(subnet, 'www.demo.example', 'A')
    return SITE_NAMES.find((site) => answer[0] === VIPS[site])
  }

  async metrics(): Promise<string> {
    return (await fetch(`http://${this.address(0)}:${HTTP_PORT}/metrics`)).text()
  }

  async close(): Promise<void> {
    for (const node of this.#nodes) node.kill('SIGKILL')
    for (const child of this.#sites.values()) child.kill('SIGKILL')
    await Promise.all([...this.#nodes].map((node) => node.ended))
    rmSync(this.folder, { recursive: true, force: true })
  }
}

/** Runs a command of meridian to its end. */
export async function meridian(
  args: readonly string[],
  cwd = tmpdir(),
  env: Readonly<Record<string, string>> = {},
): Promise<{ readonly code: number; readonly out: string; readonly err: string }> {
  const stdio = ['ignore', 'pipe', 'pipe'] as const
  const child = spawn(process.execPath, [MAIN, ...args], { cwd, env: { ...process.env, ...env }, stdio: [...stdio] })
  let out = ''
  let err = ''
  child.stdout.on('data', (data: Buffer) => (out += data.toString()))
  child.stderr.on('data', (data: Buffer) => (err += data.toString()))
  const [code] = await once(child, 'close')
  return { code: Number(code), out, err }
}

/** How a process is started elsewhere than here. */
export interface Elsewhere {
  /** Before the command: runs it in another place. */
  readonly via?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
}

export class NodeProcess {
  readonly #child: ChildProcess
  readonly #state: string
  /** Exit code, or the name of the signal. */
  readonly ended: Promise<number | string>
  out = ''
  err = ''

  constructor(args: readonly string[], state: string, { via = [], env = {} }: Elsewhere = {}) {
    this.#state = state
    const [command, ...words] = [...via, process.execPath, MAIN, ...args]
    const stdio = ['ignore', 'pipe', 'pipe'] as const
    this.#child = spawn(command!, words, { cwd: tmpdir(), env: { ...process.env, ...env }, stdio: [...stdio] })
    this.#child.stdout!.on('data', (data: Buffer) => (this.out += data.toString()))
    this.#child.stderr!.on('data', (data: Buffer) => (this.err += data.toString()))
    this.ended = once(this.#child, 'close').then(([code, signal]): number | string => code ?? signal)
  }

  get pid(): number {
    return this.#child.pid!
  }

  get runs(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null
  }

  get lines(): readonly { readonly level: string; readonly time: string; readonly msg: string }[] {
    return this.out
      .split('\n')
      .slice(0, -1)
      .map((line): { level: string; time: string; msg: string } => JSON.parse(line))
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  async ready(withinMs?: number): Promise<void> {
    const said = (): string => `ready; ${this.err}${this.out}`
    const isReady = async (): Promise<boolean> => {
      if (this.#child.exitCode !== null) throw new Error(`ended: ${this.err}${this.out}`)
      const status = await this.status()
      return status?.node.pid === this.pid && status.node.ready
    }
    await until(said, isReady, withinMs)
  }

  /** Of the node that answers on the state folder's socket. */
  async status(): Promise<import('../../src/api/status.ts').Status | undefined> {
    const { ask } = await import('../../src/cli/control.ts')
    return ask<import('../../src/api/status.ts').Status>({ state: this.#state }, '/api/status').catch(() => undefined)
  }

  /** In Prometheus' text format, through the control socket. */
  async metrics(): Promise<string> {
    const { promise, resolve: done, reject } = Promise.withResolvers<string>()
    const sent = get({ socketPath: join(this.#state, 'control.sock'), path: '/metrics', agent: false }, (response) => {
      textOf(response).then(done, reject)
    })
    sent.once('error', reject)
    return promise
  }

  /** The states of members by site. */
  async states(): Promise<Readonly<Record<string, string>>> {
    const members = (await this.status())?.services[0]?.members ?? []
    return Object.fromEntries(members.map(({ site, state }) => [site, state]))
  }
}

/** A client that never stops asking, as a resolver with a short cache would; what it saw is kept. */
export class Asking {
  readonly #socket: Socket = createSocket('udp4')
  readonly #waiting = new Map<number, number>()
  readonly #timer: NodeJS.Timeout
  #id = 0
  /** Answers that were empty, no NOERROR, or unreadable. */
  readonly wrong: string[] = []
  /** By VIP: when it was answered last, in ms of performance.now(). */
  readonly last = new Map<string, number>()
  sent = 0
  answered = 0
  #maxId = 65_536

  constructor(scene: Scene, subnet: string, everyMs = 10) {
    const query = Buffer.from(encodeQuery({ name: 'www.demo.example.', type: 'A', edns: { ecs: subnet } }))
    this.#socket.on('message', (bytes) => {
      if (!this.#waiting.delete(bytes.readUInt16BE(0))) return
      this.answered++
      const message = decodeMessage(bytes)
      if (isFault(message)) this.wrong.push(message.fault)
      else if (message.rcode !== 'NOERROR' || message.answer.length === 0) this.wrong.push(JSON.stringify(message))
      else this.last.set(message.answer[0]!.rdata, performance.now())
    })
    this.#timer = setInterval(() => {
      const id = this.#id++ % this.#maxId
      const bytes = Buffer.from(query)
      bytes.writeUInt16BE(id, 0)
      this.#waiting.set(id, performance.now())
      this.sent++
      this.#socket.send(bytes, DNS_PORT, scene.address(0))
    }, everyMs)
  }

  /** Ends it; returns how many queries never got an answer. */
  async stop(): Promise<number> {
    clearInterval(this.#timer)
    await until('all answers', () => this.#waiting.size === 0, 10_000).catch(() => {})
    this.#socket.close()
    return this.#waiting.size
  }
}

export const TTL = '  ttl: {max: 30, min: 5, settle: 30s}\n'
const DEFAULTS = `soa: {mname: ns1.demo.example., rname: hostmaster.demo.example., minimum: 30, serial: 7}
ttl: 300
checks:
  healthz: {type: http, port: ${SITE_PORT}, path: /healthz, interval: 1s, timeout: 500ms, fast: 500ms, fall: 2, rise: 2}
`
export const SITES_YAML = `fra: {location: [50.11, 8.68], region: eu}
iad: {location: [38.95, -77.45], region: us}
sin: {location: [1.36, 103.99], region: ap}
`
export const ZONE = `"":
  - {type: NS, values: [ns1.demo.example., ns2.example.net.]}
ns1: {type: A, values: [192.0.2.53]}
www: {type: GSLB, service: web}
static: {type: A, values: [192.0.2.80]}
`
