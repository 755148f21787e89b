/**
 * A server whose way to the world is an attacker, and honest resolvers on a link of their own: three namespaces. It needs
 * root.
 *
 *   attacker ── 10.92.0.0/30 ── server ── 10.93.0.0/30 ── resolvers, 10.94.0.1, 10.94.1.1, …, each in its own /24
 *
 * The attacker sends in anybody's name and gets all that is sent to the victims; what is on its link is counted.
 */
import { type ChildProcess, execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { MAIN } from '../../support/program.ts'
import { Hosts } from '../hosts.ts'
import { isReady } from '../neighbours/scene.ts'

/** What the attacker asks, over EDNS. */
export interface Bait {
  readonly name: string
  readonly type: number
}

/** What is asked by most attackers, and what is nearly as large as is sent to clients without a cookie: 512 bytes. */
export const BAITS = {
  A: { name: 'www.example.com', type: 1 },
  TXT: { name: 'text.example.com', type: 16 },
  NXDOMAIN: { name: 'no.example.com', type: 1 },
  referral: { name: 'www.below.example.com', type: 1 },
  REFUSED: { name: 'www.example.org', type: 1 },
} as const satisfies Readonly<Record<string, Bait>>

export interface Reflection {
  readonly bait: Bait
  /** Each in a /24 of its own. */
  readonly sources: number
  /** Packets a second; queries a second of the resolvers. */
  readonly rate: number
  readonly honestRate: number
  /** After the first. */
  readonly seconds: number
}

export interface Outcome {
  /** Bytes of DNS over UDP on the attacker's link from the second second on, and packets. */
  readonly bytesIn: number
  readonly bytesOut: number
  readonly packetsIn: number
  readonly honest: Resolvers
  /** CPU of the server for each packet, in µs, the resolvers' included. */
  readonly microseconds: number
}

export interface Resolvers {
  readonly sent: number
  readonly lost: number
  readonly overTcp: number
  readonly p50Ms: number
  readonly p99Ms: number
}

export interface Started {
  readonly process: ChildProcess
  readonly folder: string
  readonly log: string
}

const HOSTS = ['server', 'attacker', 'resolvers'] as const
type Host = (typeof HOSTS)[number]
const SERVER = '10.92.0.1'
const PORT = 53
const RESOLVERS = Array.from({ length: 20 }, (_, i) => `10.94.${i}.1`)
/** Ethernet, IPv4 and UDP headers of a packet. */
const HEADERS_BYTES = 14 + 20 + 8
const FIRST_SOURCE = '11.0.0.77'
const START_MS = 60_000
const TICKS_PER_SECOND = 100
const FLOOD = join(import.meta.dirname, '../neighbours/flood.ts')
const CLIENT = join(import.meta.dirname, 'client.ts')

const ZONE = `
"": {type: NS, values: [ns1.example.com.]}
ns1: {type: A, values: [192.0.2.53]}
www: {type: A, values: [192.0.2.1]}
text: {type: TXT, values: [${Array.from({ length: 2 }, (_, i) => `"${String(i).padStart(200, 'x')}"`).join(', ')}]}
below: {type: NS, values: [${Array.from({ length: 6 }, (_, i) => `ns${i}.below.example.com.`).join(', ')}]}
${Array.from({ length: 6 }, (_, i) => `ns${i}.below: [{type: A, values: [192.0.2.9${i}]}, {type: AAAA, values: ["2001:db8::${i}"]}]`).join('\n')}
`

export class ReflectionScene {
  readonly #hosts = new Hosts('rrl', HOSTS)
  readonly #folder = mkdtempSync(join(tmpdir(), 'meridian-reflection-'))

  constructor() {
    try {
      this.#hosts.batch('server', [
        `link add eth0 type veth peer name eth0 netns ${this.#hosts.prefix}attacker`,
        `link add eth1 type veth peer name eth0 netns ${this.#hosts.prefix}resolvers`,
        'link set lo up',
        'link set eth0 up',
        'link set eth1 up',
        `addr add ${SERVER}/30 dev eth0`,
        'addr add 10.93.0.1/30 dev eth1',
      ])
      this.#hosts.batch('attacker', ['link set eth0 up', 'addr add 10.92.0.2/30 dev eth0'])
      this.#hosts.batch('resolvers', [
        'link set lo up',
        'link set eth0 up',
        'addr add 10.93.0.2/30 dev eth0',
        ...RESOLVERS.map((address) => `addr add ${address}/32 dev lo`),
        'route add default via 10.93.0.1',
      ])
      this.#hosts.batch('server', ['route add default via 10.92.0.2', 'route add 10.94.0.0/16 via 10.93.0.2'])
    } catch (error) {
      this.close()
      throw error
    }
  }

  /** Starts a node with one UDP thread and these settings `limits`, and waits until it is ready. */
  async start(limits: Readonly<Record<string, number>> = {}): Promise<Started> {
    const folder = mkdtempSync(join(this.#folder, 'node-'))
    mkdirSync(join(folder, 'zones'))
    writeFileSync(join(folder, 'zones/example.com.yaml'), ZONE)
    const settings = {
      listen: [`${SERVER}:${PORT}`],
      zones: join(folder, 'zones'),
      threads: 1,
      state: join(folder, 'state'),
      limits,
    }
    writeFileSync(join(folder, 'meridian.yaml'), JSON.stringify(settings))
    const log = join(folder, 'log')
    const child = this.#node('server', [MAIN, 'serve', '-c', join(folder, 'meridian.yaml')], openSync(log, 'w'))
    for (const deadline = performance.now() + START_MS; !(await isReady(folder)); await sleep(50)) {
      if (child.exitCode !== null || performance.now() > deadline)
        throw new Error(`the node does not answer; its log: ${readFileSync(log, 'utf8').slice(-2000)}`)
    }
    return { process: child, folder, log }
  }

  /** What becomes of the victims and of honest resolvers. */
  async reflect({ process: server }: Started, reflection: Reflection): Promise<Outcome> {
    const { bait, sources, rate, honestRate, seconds } = reflection
    const honest = this.#node('resolvers', [CLIENT, SERVER, PORT, honestRate, seconds, ...RESOLVERS], 'pipe')
    await once(honest.stdout!, 'data')
    const flood = [SERVER, PORT, FIRST_SOURCE, sources, rate, seconds + 1.2, 256, bait.name, bait.type]
    const flooding = this.#node('attacker', [FLOOD, ...flood], 'pipe')
    const flooded = text(flooding.stdout!)
    const idle = this.#counters()
    for (const deadline = performance.now() + START_MS; this.#counters().packetsIn < idle.packetsIn + 100;) {
      if (performance.now() > deadline) throw new Error('the flood does not begin')
      await sleep(5)
    }
    honest.stdin!.end('go')
    const asked = text(honest.stdout!)
    await sleep(1000)
    const from = this.#counters()
    const cpuFrom = cpuSeconds(server)
    await sleep(seconds * 1000 - 100)
    const to = this.#counters()
    const cpuTo = cpuSeconds(server)
    const packetsIn = to.packetsIn - from.packetsIn
    const resolvers: Resolvers = JSON.parse(await asked)
    await flooded
    return {
      bytesIn: to.bytesIn - from.bytesIn,
      bytesOut: to.bytesOut - from.bytesOut,
      packetsIn,
      honest: resolvers,
      microseconds: ((cpuTo - cpuFrom) * 1e6) / packetsIn,
    }
  }

  /** What the server received and sent on the attacker's link, without the headers of its packets. */
  #counters(): { readonly bytesIn: number; readonly bytesOut: number; readonly packetsIn: number } {
    const args = ['-n', `${this.#hosts.prefix}server`, '-j', '-s', 'link', 'show', 'eth0']
    const [link]: readonly [{ readonly stats64: Readonly<Record<'rx' | 'tx', Readonly<Record<string, number>>>> }] =
      JSON.parse(execFileSync('ip', args, { encoding: 'utf8' }))
    const payload = (way: 'rx' | 'tx'): number =>
      link.stats64[way]['bytes']! - HEADERS_BYTES * link.stats64[way]['packets']!
    return { bytesIn: payload('rx'), bytesOut: payload('tx'), packetsIn: link.stats64.rx['packets']! }
  }

  #node(host: Host, args: readonly (string | number)[], out: number | 'pipe'): ChildProcess {
    return this.#hosts.run(host, [process.execPath, ...args.map(String)], out)
  }

  close(): void {
    this.#hosts.close()
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

/** CPU time of all threads of a process (proc(5)). */
function cpuSeconds({ pid }: ChildProcess): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'latin1')
    .replace(/^.*\) /s, '')
    .split(' ')
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND
}

/** Resident memory of a process, in MB. */
export function residentMb({ process: { pid } }: Started): number {
  return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))![1]) / 1024
}
