/**
 * A network with addresses that nobody has: four namespaces on two links, IPv4 and IPv6.
 *
 *   server ───┐
 *             ├─ 10.88.0.0/16, fd88::/64 ── attacker ── 10.89.0.0/24, fd89::/64 ── routed client
 *   on-link ──┘        (a bridge)          (gateway)
 *   client
 *
 * The attacker is the server's gateway too. It sends in the names of addresses of the first link that never answer ARP or
 * neighbour discovery. It needs root.
 */
import { type ChildProcess, execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { get, type IncomingMessage } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { MAIN } from '../../support/program.ts'
import { Hosts } from '../hosts.ts'

export type Family = 4 | 6
/** `newcomer`: on-link, and the server has not heard of it when the flood begins. */
export type Honest = 'on-link' | 'routed' | 'newcomer'
export type Peer = 'meridian' | 'gdnsd' | 'knot'

export interface Flood {
  readonly family: Family
  readonly honest: Honest
  /** Dead addresses that the flood comes from. */
  readonly sources: number
  /** Packets a second; queries a second of the honest client. */
  readonly rate: number
  readonly honestRate: number
  readonly seconds: number
}

export interface Outcome {
  readonly sent: number
  readonly lost: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly mostMs: number
  /** Packets that the flood sent. */
  readonly flooded: number
}

export interface Started {
  readonly process: ChildProcess
  readonly folder: string
}

export interface StartOptions {
  /** With CAP_NET_ADMIN. */
  readonly privileged?: boolean
  /** On every address, not on one of each family. */
  readonly wildcard?: boolean
  /** Send buffers of the kernel's default size at most: sets net.core.wmem_max of the machine while the server starts. */
  readonly smallBuffer?: boolean
  /** Beside the server that has the port. */
  readonly takeover?: boolean
}

const PORT = 53
const SERVER = { 4: '10.88.0.1', 6: 'fd88::1' } as const
const HOSTS = ['server', 'attacker', 'on-link', 'routed'] as const
type Host = (typeof HOSTS)[number]
const FIRST_DEAD = { 4: '10.88.9.0', 6: 'fd88::9:0' } as const
const START_MS = 60_000
/** The flood begins before the honest client does, and ends after it. */
const LEAD_MS = 300
/** What SO_SNDBUF gets without CAP_NET_ADMIN where nobody changed the kernel's default. */
const DEFAULT_WMEM_MAX = '212992'
const WMEM_MAX = '/proc/sys/net/core/wmem_max'

const ZONE = `$ORIGIN example.com.
$TTL 300
@ SOA ns1 hostmaster 1 3600 600 86400 60
@ NS ns1
ns1 A 192.0.2.53
www A 192.0.2.1
`

/** A successor has an HTTP port of its own. */
let starts = 0

export class NeighbourScene {
  readonly #hosts = new Hosts('udp', HOSTS)
  readonly #folder = mkdtempSync(join(tmpdir(), 'meridian-neighbours-'))
  #newcomers = 0

  constructor() {
    try {
      this.#hosts.batch('attacker', [
        'link add bridge type bridge',
        ...['server', 'on-link', 'routed'].map(
          (host, i) => `link add eth${i} type veth peer name eth0 netns ${this.#hosts.prefix}${host}`,
        ),
        'link set eth0 master bridge up',
        'link set eth1 master bridge up',
      ])
      this.#configure('server', 'eth0', ['10.88.0.1/16', 'fd88::1/64'], ['10.88.0.2', 'fd88::2'])
      this.#configure('attacker', 'bridge', ['10.88.0.2/16', 'fd88::2/64'])
      this.#configure('on-link', 'eth0', ['10.88.0.3/16', 'fd88::3/64'])
      this.#configure('attacker', 'eth2', ['10.89.0.1/24', 'fd89::1/64'])
      this.#configure('routed', 'eth0', ['10.89.0.2/24', 'fd89::2/64'], ['10.89.0.1', 'fd89::1'])
      const forward = 'echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding'
      execFileSync('ip', ['netns', 'exec', `${this.#hosts.prefix}attacker`, 'sh', '-c', forward])
    } catch (error) {
      this.close()
      throw error
    }
  }

  #configure(host: Host, link: string, addresses: readonly string[], gateways: readonly string[] = []): void {
    this.#hosts.batch(host, [
      'link set lo up',
      `link set ${link} up`,
      ...addresses.map((address) => `addr add ${address} dev ${link}${address.includes(':') ? ' nodad' : ''}`),
      ...gateways.map((gateway) => `route add default via ${gateway}`),
    ])
  }

  /** Gives the on-link client addresses that the server has not heard of; it has forgotten the server's, too. */
  #renew(): void {
    const n = ++this.#newcomers
    this.#hosts.batch('on-link', [
      `addr add 10.88.1.${n}/32 dev eth0`,
      `addr add fd88::1:${n}/128 dev eth0 nodad`,
      `route replace ${SERVER[4]} dev eth0 src 10.88.1.${n}`,
      `route replace ${SERVER[6]} dev eth0 src fd88::1:${n}`,
      'neigh flush dev eth0',
    ])
  }

  /** Starts a server with one UDP thread on port 53 and waits until it answers. */
  async start(peer: Peer, options: StartOptions = {}): Promise<Started> {
    const { privileged = true, wildcard = false, smallBuffer = false, takeover = false } = options
    const folder = mkdtempSync(join(this.#folder, `${peer}-`))
    const addresses = wildcard ? ['0.0.0.0', '::'] : [SERVER[4], SERVER[6]]
    const drop = privileged ? [] : ['setpriv', '--bounding-set=-net_admin', '--inh-caps=-net_admin', '--']
    const command = [...drop, ...COMMANDS[peer](folder, addresses), ...(takeover ? ['--takeover'] : [])]
    const log = join(folder, 'log')
    const wmemMax = readFileSync(WMEM_MAX, 'latin1')
    if (smallBuffer) writeFileSync(WMEM_MAX, DEFAULT_WMEM_MAX)
    try {
      const child = this.#hosts.run('server', command, openSync(log, 'w'))
      const deadline = performance.now() + START_MS
      while (!(peer === 'meridian' ? await isReady(folder) : await this.#answers())) {
        if (child.exitCode !== null || performance.now() > deadline)
          throw new Error(`${peer} does not answer; its log: ${readFileSync(log, 'utf8').slice(-2000)}`)
        await sleep(50)
      }
      return { process: child, folder }
    } finally {
      if (smallBuffer) writeFileSync(WMEM_MAX, wmemMax)
    }
  }

  async #answers(): Promise<boolean> {
    const asked = [SERVER[4], SERVER[6]].map(async (address) => {
      const asking = this.#node('routed', 'client.ts', [address, PORT, 1, 0, 'routed'])
      asking.stdin!.end('go')
      return (await text(asking.stdout!)).startsWith('ready')
    })
    return (await Promise.all(asked)).every(Boolean)
  }

  /** What becomes of an honest client in a flood. `meanwhile` runs beside it. */
  async flood(flood: Flood, meanwhile: () => Promise<unknown> = () => Promise.resolve()): Promise<Outcome> {
    const { family, honest, sources, rate, honestRate, seconds } = flood
    const asking = this.#node(honest === 'routed' ? 'routed' : 'on-link', 'client.ts', [
      SERVER[family],
      PORT,
      honestRate,
      seconds,
      honest,
    ])
    await once(asking.stdout!, 'data')
    const floodSeconds = seconds + (2 * LEAD_MS) / 1000
    const flooding = this.#node('attacker', 'flood.ts', [
      SERVER[family],
      PORT,
      FIRST_DEAD[family],
      sources,
      rate,
      floodSeconds,
    ])
    const flooded = text(flooding.stdout!)
    await sleep(LEAD_MS)
    if (honest === 'newcomer') this.#renew()
    asking.stdin!.end('go')
    const asked = text(asking.stdout!)
    await meanwhile()
    const outcome: Omit<Outcome, 'flooded'> = JSON.parse(await asked)
    const { sent }: { readonly sent: number } = JSON.parse(await flooded)
    return { ...outcome, flooded: sent }
  }

  #node(host: Host, file: string, args: readonly (string | number)[]): ChildProcess {
    return this.#hosts.run(host, [process.execPath, join(import.meta.dirname, file), ...args.map(String)], 'pipe')
  }

  close(): void {
    this.#hosts.close()
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

/** Over a Meridian's control socket, which a namespace of the network does not hide. */
async function control(folder: string, path: string): Promise<{ readonly status: number; readonly body: string }> {
  const asked = get({ socketPath: join(folder, 'state/control.sock'), path, headers: { host: 'localhost' } })
  const [response]: IncomingMessage[] = await once(asked, 'response')
  return { status: response!.statusCode!, body: await text(response!) }
}

/** Whether a Meridian in this folder is ready. */
export const isReady = (folder: string): Promise<boolean> =>
  control(folder, '/ready').then(
    ({ status }) => status === 200,
    () => false,
  )

/** The samples of a Meridian's metric by their labels, as they are written. */
export async function readMetric({ folder }: Started, name: string): Promise<ReadonlyMap<string, number>> {
  const { body } = await control(folder, '/metrics')
  const lines = body.split('\n').filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `))
  return new Map(
    lines.map((line) => {
      const end = line.lastIndexOf(' ')
      return [line.slice(name.length, end), Number(line.slice(end))]
    }),
  )
}

type Command = (folder: string, addresses: readonly string[]) => string[]

/** Each server's files, and the command that starts it in the foreground. */
const COMMANDS: Readonly<Record<Peer, Command>> = {
  meridian(folder, addresses) {
    const zones = join(folder, 'zones')
    mkdirSync(zones)
    writeFileSync(
      join(zones, 'example.com.yaml'),
      '"": {type: NS, values: [ns1.example.com.]}\nns1: {type: A, values: [192.0.2.53]}\nwww: {type: A, values: [192.0.2.1]}\n',
    )
    const settings = {
      listen: addresses.map((address) => (address.includes(':') ? `[${address}]:${PORT}` : `${address}:${PORT}`)),
      zones,
      threads: 1,
      state: join(folder, 'state'),
      http: { listen: `127.0.0.1:${8053 + starts++}` },
    }
    writeFileSync(join(folder, 'meridian.yaml'), JSON.stringify(settings))
    return [process.execPath, MAIN, 'serve', '-c', join(folder, 'meridian.yaml')]
  },
  gdnsd(folder, addresses) {
    mkdirSync(join(folder, 'zones'))
    writeFileSync(join(folder, 'zones/example.com'), ZONE)
    const listen = addresses.map((address) => (address.includes(':') ? `[${address}]:${PORT}` : `${address}:${PORT}`))
    writeFileSync(
      join(folder, 'config'),
      `options => { listen => [ ${listen.map((address) => `"${address}"`).join(', ')} ], udp_threads = 1, tcp_threads = 1
  run_dir = ${folder}/run, state_dir = ${folder}/state }\n`,
    )
    return ['gdnsd', '-c', folder, 'start']
  },
  knot(folder, addresses) {
    writeFileSync(join(folder, 'example.com.zone'), ZONE)
    writeFileSync(
      join(folder, 'knot.conf'),
      `server:
  rundir: ${folder}
  listen: [${addresses.map((address) => `"${address}@${PORT}"`).join(', ')}]
  udp-workers: 1
  tcp-workers: 1
  background-workers: 1
database:
  storage: ${folder}
log:
  - target: stderr
    any: info
zone:
  - domain: example.com.
    file: ${folder}/example.com.zone
`,
    )
    return ['knotd', '-c', join(folder, 'knot.conf')]
  },
}
