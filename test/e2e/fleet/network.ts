/**
 * A network that can be cut: Linux network namespaces, one a host, each with one cable to a hub that forwards between them.
 *
 *   p1 10.77.0.11 ──┐
 *   n1 10.77.0.21 ──┤ hub: a route to each host, and a blackhole rule for each cut
 *   fra 192.0.2.1 ──┘
 *
 * What a blackhole takes is gone without a trace, as in a broken backbone: no RST, no ICMP. It needs root. Namespaces are
 * named after this process; those of processes that are no more are swept away by the next one.
 */
import { Namespaces } from '../../support/namespaces.ts'

/** The gateway of every host, on its own cable. */
const GATEWAY = '169.254.1.1'

export class Network {
  readonly #spaces: Namespaces
  readonly #addresses = new Map<string, string>()
  readonly #cuts = new Set<string>()

  /** Hosts by name, each with its IPv4 address. Names have at most 10 characters. */
  constructor(hosts: Readonly<Record<string, string>>) {
    const names = Object.keys(hosts)
    for (const [name, address] of Object.entries(hosts)) this.#addresses.set(name, address)
    this.#spaces = new Namespaces('meridian', ['hub', ...names])
    try {
      this.#spaces.batch(
        'hub',
        names.map((name) => `link add name h-${name} type veth peer name eth0 netns ${this.#spaces.of(name)}`),
      )
      for (const [name, address] of Object.entries(hosts)) this.#plug(name, address)
      this.#spaces.sysctl('hub', { 'net/ipv4/ip_forward': 1 })
    } catch (error) {
      this.close()
      throw error
    }
  }

  #plug(name: string, address: string): void {
    this.#spaces.batch('hub', [
      `addr add ${GATEWAY}/32 dev h-${name}`,
      `link set h-${name} up`,
      `route add ${address} dev h-${name}`,
    ])
    this.#spaces.batch(name, [
      'link set lo up',
      `addr add ${address}/32 dev eth0`,
      'link set eth0 up',
      `route add ${GATEWAY} dev eth0`,
      `route add default via ${GATEWAY} src ${address}`,
    ])
  }

  address(host: string): string {
    const address = this.#addresses.get(host)
    if (address === undefined) throw new Error(`no host ${host}`)
    return address
  }

  /** Before a command: runs it on the host. */
  on(host: string): string[] {
    return this.#spaces.on(host)
  }

  /** No packet passes between any of `some` and any of `others` any more. */
  cut(some: readonly string[], others: readonly string[]): void {
    this.#turn('add', some, others)
  }

  heal(some: readonly string[], others: readonly string[]): void {
    this.#turn('del', some, others)
  }

  /** Every cut there is. */
  healAll(): void {
    this.#rules('del', [...this.#cuts])
  }

  #turn(verb: 'add' | 'del', some: readonly string[], others: readonly string[]): void {
    const pairs = some.flatMap((a) => others.map((b) => [this.address(a), this.address(b)] as const))
    this.#rules(
      verb,
      pairs.flatMap(([a, b]) => [`from ${a} to ${b}`, `from ${b} to ${a}`]),
    )
  }

  #rules(verb: 'add' | 'del', ways: readonly string[]): void {
    const turned = ways.filter((way) => this.#cuts.has(way) === (verb === 'del'))
    for (const way of turned) this.#cuts[verb === 'add' ? 'add' : 'delete'](way)
    this.#spaces.batch(
      'hub',
      turned.map((way) => `rule ${verb} ${way} blackhole`),
    )
  }

  /** Ends whatever still runs there. */
  close(): void {
    this.#spaces.close()
  }
}
