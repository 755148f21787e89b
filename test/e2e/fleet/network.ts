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
import { execFileSync, spawnSync } from 'node:child_process'

const PREFIX = 'meridian-'
/** The gateway of every host, on its own cable. */
const GATEWAY = '169.254.1.1'

let networks = 0

export class Network {
  readonly #name = `${PREFIX}${process.pid}-${networks++}-`
  readonly #addresses = new Map<string, string>()
  readonly #cuts = new Set<string>()

  /** Hosts by name, each with its IPv4 address. Names have at most 10 characters. */
  constructor(hosts: Readonly<Record<string, string>>) {
    sweep()
    const names = Object.keys(hosts)
    for (const [name, address] of Object.entries(hosts)) this.#addresses.set(name, address)
    try {
      for (const name of ['hub', ...names]) addNamespace(this.#name + name)
      this.#batch(
        'hub',
        names.map((name) => `link add name h-${name} type veth peer name eth0 netns ${this.#name}${name}`),
      )
      for (const [name, address] of Object.entries(hosts)) this.#plug(name, address)
      const forward = 'echo 1 > /proc/sys/net/ipv4/ip_forward'
      execFileSync('ip', ['netns', 'exec', `${this.#name}hub`, 'sh', '-c', forward])
    } catch (error) {
      this.close()
      throw error
    }
  }

  #plug(name: string, address: string): void {
    this.#batch('hub', [
      `addr add ${GATEWAY}/32 dev h-${name}`,
      `link set h-${name} up`,
      `route add ${address} dev h-${name}`,
    ])
    this.#batch(name, [
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
    return ['ip', 'netns', 'exec', this.#name + host]
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
    this.#batch(
      'hub',
      turned.map((way) => `rule ${verb} ${way} blackhole`),
    )
  }

  #batch(host: string, lines: readonly string[]): void {
    if (lines.length > 0) execFileSync('ip', ['-n', this.#name + host, '-batch', '-'], { input: lines.join('\n') })
  }

  /** Ends whatever still runs there. */
  close(): void {
    for (const name of ['hub', ...this.#addresses.keys()]) removeNamespace(this.#name + name)
  }
}

function addNamespace(name: string): void {
  const { status, stderr, error } = spawnSync('ip', ['netns', 'add', name], { encoding: 'utf8' })
  if (status === 0) return
  const why = error?.message ?? stderr.trim()
  throw new Error(`these tests need network namespaces (root, iproute2, CAP_SYS_ADMIN in a container): ${why}`)
}

/** With the processes in it, which nobody can reach any more. */
function removeNamespace(name: string): void {
  const { stdout } = spawnSync('ip', ['netns', 'pids', name], { encoding: 'utf8' })
  for (const pid of (stdout ?? '').split('\n').filter((line) => line !== '')) kill(Number(pid))
  spawnSync('ip', ['netns', 'del', name])
}

/** Removes what test processes left that could not clean up. */
function sweep(): void {
  const { stdout } = spawnSync('ip', ['netns', 'list'], { encoding: 'utf8' })
  for (const [name = ''] of (stdout ?? '').split('\n').map((line) => line.split(' '))) {
    const owner = new RegExp(`^${PREFIX}(\\d+)-`).exec(name)?.[1]
    if (owner !== undefined && !isRunning(Number(owner))) removeNamespace(name)
  }
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // it has just ended
  }
}
