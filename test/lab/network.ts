/**
 * The lab's network, of Linux namespaces: a bridge at each router is the region's network, with a cable to each host and one to
 * each other router. BIRD at the routers brings the rest (bgp.ts). It needs root.
 */
import { execFileSync } from 'node:child_process'
import { Namespaces } from '../support/namespaces.ts'
import { address, ANYCAST, CABLES, cableAt, clientAt, HOSTS, type Region, REGIONS } from './plan.ts'

export const routerOf = (region: Region): string => `${region}-router`

const NO_WAITING = { 'net/ipv6/conf/all/accept_dad': 0, 'net/ipv6/conf/default/accept_dad': 0 }

export class Network {
  readonly #spaces = new Namespaces('lab', [...REGIONS.map(routerOf), ...HOSTS.map(({ name }) => name)])

  constructor() {
    try {
      for (const region of REGIONS) this.#makeRouter(region)
      for (const host of HOSTS) this.#plug(host)
      for (const [a, b] of CABLES) this.#join(a, b)
    } catch (error) {
      this.close()
      throw error
    }
  }

  #makeRouter(region: Region): void {
    const forward = { 'net/ipv4/ip_forward': 1, 'net/ipv6/conf/all/forwarding': 1 }
    // both paths of a change are as good as one: it is not the neighbour's task to say so
    const quiet = { 'net/ipv4/conf/all/send_redirects': 0, 'net/ipv4/conf/default/send_redirects': 0 }
    this.#spaces.sysctl(routerOf(region), { ...NO_WAITING, ...forward, ...quiet })
    const own = [address(region, 'router'), clientAt(region, 1)]
    this.#spaces.batch(routerOf(region), [
      'link set lo up',
      'link add br0 type bridge mcast_snooping 0',
      'link set br0 up',
      ...own.flatMap(({ v4, v6 }) => [`addr add ${v4}/24 dev br0`, `addr add ${v6}/64 dev br0`]),
    ])
  }

  #plug({ name, region, addresses, router }: (typeof HOSTS)[number]): void {
    this.#spaces.sysctl(name, NO_WAITING)
    this.#spaces.batch(routerOf(region), [
      `link add name ${name} type veth peer name eth0 netns ${this.#spaces.of(name)}`,
      `link set ${name} master br0 up`,
    ])
    const anycast = name.endsWith('-node') ? [`${ANYCAST.v4}/32`, `${ANYCAST.v6}/128`] : []
    this.#spaces.batch(name, [
      'link set lo up',
      ...anycast.map((one) => `addr add ${one} dev lo`),
      `addr add ${addresses.v4}/24 dev eth0`,
      `addr add ${addresses.v6}/64 dev eth0`,
      'link set eth0 up',
      `route add default via ${router.v4}`,
      `route add ::/0 via ${router.v6}`,
    ])
  }

  #join(a: Region, b: Region): void {
    this.#spaces.batch(routerOf(a), [
      `link add name to-${b} type veth peer name to-${a} netns ${this.#spaces.of(routerOf(b))}`,
    ])
    for (const [here, there] of [
      [a, b],
      [b, a],
    ] as const) {
      const { v4, v6 } = cableAt(here, there)
      this.#spaces.batch(routerOf(here), [
        `addr add ${v4}/30 dev to-${there}`,
        `addr add ${v6}/64 dev to-${there}`,
        `link set to-${there} up`,
      ])
    }
  }

  /** The name of a host's namespace. */
  spaceOf(host: string): string {
    return this.#spaces.of(host)
  }

  /** Before a command: runs it on the host. */
  on(host: string): string[] {
    return this.#spaces.on(host)
  }

  /** What a short command prints on a host. */
  run(host: string, ...words: readonly string[]): string {
    const [command, ...args] = [...this.on(host), ...words]
    return execFileSync(command!, args, { encoding: 'utf8' })
  }

  /** A region's cables to the others; what is sent over one that is cut is gone. */
  cutRegion(region: Region, isCut: boolean): void {
    const others = REGIONS.filter((other) => other !== region)
    this.#spaces.batch(
      routerOf(region),
      others.map((other) => `link set to-${other} ${isCut ? 'down' : 'up'}`),
    )
    // the kernel forgets the addresses of IPv6 with the link
    if (isCut) return
    this.#spaces.batch(
      routerOf(region),
      others.map((other) => `addr replace ${cableAt(region, other).v6}/64 dev to-${other}`),
    )
  }

  /** A host's cable to its bridge. */
  cutHost(host: string, isCut: boolean): void {
    const { region } = HOSTS.find(({ name }) => name === host)!
    this.#spaces.batch(routerOf(region), [`link set ${host} ${isCut ? 'down' : 'up'}`])
  }

  /** What a region's router sends to an address vanishes. */
  swallow(region: Region, to: string, isCut: boolean): void {
    this.#spaces.batch(routerOf(region), [`rule ${isCut ? 'add' : 'del'} to ${to} blackhole`])
  }

  close(): void {
    this.#spaces.close()
  }
}
