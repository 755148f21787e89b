/** Where each region's router sends what is for the anycast address, and each change of it: read from `ip monitor`, as it happens. */
import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { nowMs } from './client.ts'
import { type Network, routerOf } from './network.ts'
import { ANYCAST, type Region, REGIONS } from './plan.ts'

const FAMILIES = ['IPv4', 'IPv6'] as const
export type Family = (typeof FAMILIES)[number]

/** A change at a region's router. `to`: the region whose way packets go; undefined: nowhere. Ms of the monotonic clock. */
export interface Change {
  readonly atMs: number
  readonly region: Region
  readonly family: Family
  readonly to: Region | undefined
}

export class Routes {
  readonly #children: ChildProcess[] = []
  readonly #now = new Map<string, Region>()
  readonly changes: Change[] = []

  constructor(network: Network) {
    for (const region of REGIONS) {
      const [command, ...args] = [...network.on(routerOf(region)), 'ip', 'monitor', 'route']
      const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] })
      this.#children.push(child)
      createInterface({ input: child.stdout }).on('line', (line) => this.#read(region, line))
    }
  }

  /** `192.0.2.0/24 via 198.19.12.2 dev to-us proto bird metric 32`, perhaps with `Deleted ` before it. */
  #read(region: Region, line: string): void {
    const [, deleted, prefix, device] = /^(Deleted )?(\S+) via \S+ dev (\S+) /.exec(line) ?? []
    const family = prefix === ANYCAST.net4 ? 'IPv4' : prefix === ANYCAST.net6 ? 'IPv6' : undefined
    if (family === undefined || device === undefined) return
    const through = device === 'br0' ? region : REGIONS.find((other) => device === `to-${other}`)
    const to = deleted === undefined ? through : undefined
    const key = `${region} ${family}`
    if (this.#now.get(key) === to) return
    if (to === undefined) this.#now.delete(key)
    else this.#now.set(key, to)
    this.changes.push({ atMs: nowMs(), region, family, to })
  }

  /** undefined: nowhere. */
  of(region: Region, family: Family): Region | undefined {
    return this.#now.get(`${region} ${family}`)
  }

  /** Where both families go; undefined: nowhere, or not the same way. */
  to(region: Region): Region | undefined {
    const [v4, v6] = FAMILIES.map((family) => this.of(region, family))
    return v4 === v6 ? v4 : undefined
  }

  /** Those behind a time, in ms of the monotonic clock; IPv6's way over nowhere is left out, because BIRD replaces it so. */
  since(ms: number): Change[] {
    return this.changes.filter(
      (change, i) =>
        change.atMs >= ms &&
        !(
          change.to === undefined &&
          this.changes
            .slice(i + 1)
            .some(
              ({ region, family, to, atMs }) =>
                region === change.region && family === change.family && to !== undefined && atMs - change.atMs < 100,
            )
        ),
    )
  }

  get pids(): number[] {
    return this.#children.flatMap(({ pid }) => pid ?? [])
  }

  close(): void {
    for (const child of this.#children) child.kill('SIGKILL')
  }
}
