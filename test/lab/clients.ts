/** The clients of all regions: their processes (client.ts), and what became of every query, second by second. */
import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { until } from '../support/until.ts'
import { type Asked, type Fates, nowMs, type Order, type Second, type Way, WAYS } from './client.ts'
import type { Network } from './network.ts'
import { address, ANYCAST, type Region, REGIONS, SITE_OF, ZONE } from './plan.ts'

const CLIENT = join(import.meta.dirname, 'client.ts')

/** Queries of a region's clients, when nothing else is asked of them. */
export const CALM: Order = { perSecond: 40, mayCache: true }

export class Clients {
  readonly #children: ChildProcess[] = []
  readonly #zeroMs = nowMs()
  /** By region, then by second. */
  readonly #seconds = new Map<Region, Map<number, Second>>(REGIONS.map((region) => [region, new Map()]))

  constructor(network: Network) {
    const sites = Object.fromEntries(
      REGIONS.flatMap((region) => Object.values(address(region, 'vip')).map((vip) => [vip, SITE_OF[region]])),
    )
    for (const region of REGIONS) {
      const asked: Asked = {
        to: { resolver: address(region, 'resolver'), bare: ANYCAST },
        name: `www.${ZONE}`,
        below: `load.${ZONE}`,
        sites,
        zeroMs: this.#zeroMs,
      }
      const [command, ...args] = [
        ...network.on(`${region}-client`),
        process.execPath,
        '--disable-warning=ExperimentalWarning',
        CLIENT,
        JSON.stringify(asked),
      ]
      const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] })
      this.#children.push(child)
      createInterface({ input: child.stdout }).on('line', (line) => {
        const second: Second = JSON.parse(line)
        this.#seconds.get(region)!.set(second.second, second)
      })
    }
    this.order(CALM)
  }

  get pids(): number[] {
    return this.#children.flatMap(({ pid }) => pid ?? [])
  }

  /** From now on all regions' clients ask like this. */
  order(order: Order): void {
    for (const child of this.#children) child.stdin!.write(`${JSON.stringify(order)}\n`)
  }

  /** The number of the second that it is. */
  get second(): number {
    return this.secondOf(nowMs())
  }

  secondOf(ms: number): number {
    return Math.floor((ms - this.#zeroMs) / 1_000)
  }

  /** What is known of a second; undefined: not all of it so far. */
  at(region: Region, second: number): Second | undefined {
    return this.#seconds.get(region)!.get(second)
  }

  /** The last second of which all is known in all regions; -1: none. */
  get known(): number {
    return Math.min(...REGIONS.map((region) => Math.max(-1, ...this.#seconds.get(region)!.keys())))
  }

  /** What the clients of all regions saw, from one second to another, both included; waits for the last query's fate. */
  async between(from: number, to: number): Promise<Seen> {
    const all = (): boolean => REGIONS.every((region) => this.#seconds.get(region)!.has(to))
    await until(`the fates of second ${to}`, all)
    return new Seen(this, from, to)
  }

  close(): void {
    for (const child of this.#children) child.kill('SIGKILL')
  }
}

/** Which queries are meant. */
export interface Part {
  readonly region?: Region
  readonly way?: Way
  /** Sent at this time or later, in ms of the monotonic clock; of sums, from the first whole second on. */
  readonly fromMs?: number
}

/** A query that failed, and whose. */
export interface Failed {
  readonly region: Region
  readonly way: Way
  readonly why: string
  readonly sentMs: number
}

/** What clients saw in a span of seconds. */
export class Seen {
  readonly #clients: Clients
  readonly from: number
  readonly to: number

  constructor(clients: Clients, from: number, to: number) {
    this.#clients = clients
    this.from = from
    this.to = to
  }

  #fates({ region, way, fromMs = -Infinity }: Part): { region: Region; way: Way; fates: Fates }[] {
    const first = Math.max(this.from, fromMs === -Infinity ? this.from : this.#clients.secondOf(fromMs) + 1)
    return REGIONS.filter((one) => region === undefined || one === region).flatMap((one) =>
      Array.from({ length: Math.max(0, this.to - first + 1) }, (_, i) => this.#clients.at(one, first + i)).flatMap(
        (second) =>
          WAYS.filter((each) => way === undefined || each === way).flatMap((each) =>
            second === undefined ? [] : [{ region: one, way: each, fates: second.ways[each] }],
          ),
      ),
    )
  }

  failures(part: Part = {}): Failed[] {
    return this.#fates({ ...part, fromMs: -Infinity })
      .flatMap(({ region, way, fates }) => fates.failures.map((failure) => ({ region, way, ...failure })))
      .filter(({ sentMs }) => sentMs >= (part.fromMs ?? -Infinity))
  }

  sent(part: Part = {}): number {
    return this.#fates(part).reduce((sum, { fates }) => sum + fates.sent, 0)
  }

  /** Answers by site. */
  sites(part: Part = {}): Record<string, number> {
    return added(this.#fates(part).map(({ fates }) => fates.sites))
  }

  /** Answers to bare clients, by node. */
  nodes(part: Part = {}): Record<string, number> {
    return added(this.#fates(part).map(({ fates }) => fates.nodes))
  }

  rttMs(part: Part = {}): number {
    return Math.max(0, ...this.#fates(part).map(({ fates }) => fates.rttMs))
  }

  /** When the last query was sent whose answer was this site; -Infinity: none. */
  lastMs(site: string, part: Part = {}): number {
    return Math.max(...this.#fates(part).map(({ fates }) => fates.lastMs[site] ?? -Infinity), -Infinity)
  }
}

function added(counts: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  const all: Record<string, number> = {}
  for (const [key, n] of counts.flatMap((one) => Object.entries(one))) all[key] = (all[key] ?? 0) + n
  return all
}
