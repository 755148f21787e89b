/** Servers on loopback addresses, with Worlds made from YAML as `serve` makes them. */
import { randomBytes } from 'node:crypto'
import { makeAdoption } from '../../src/answer/adoption.ts'
import { PLAIN_PROTOCOL } from '../../src/answer/protocol.ts'
import { TCP } from '../../src/answer/responder.ts'
import type { World } from '../../src/answer/world.ts'
import { sumCounters } from '../../src/counters.ts'
import { makeHealthTable } from '../../src/health/table.ts'
import { linux } from '../../src/linux/calls.ts'
import { type Server, type ServerOptions, startServer } from '../../src/server/server.ts'
import { bindAll } from '../../src/server/sockets.ts'
import { TCP_LIMITS, TcpFront, type TcpOptions } from '../../src/server/tcp.ts'
import type { Credentials } from '../../src/server/handshakes.ts'
import type { Endpoint } from '../../src/units.ts'
import { makeNode } from '../answer/fixture.ts'
import { good } from '../support/certificates.ts'

/** Bytes of the TXT set of `big.example.com`: too much for UDP, and near what TCP can carry. */
const BIG = 60_000

const FILES = {
  'defaults.yaml': 'soa: {mname: ns1.example.com., rname: h.example.com., minimum: 60, serial: 1}\nttl: 300\n',
  'sites.yaml': 'fra: {location: [50.11, 8.68], region: eu}\n',
  'services.yaml': 'web:\n  sites:\n    fra: {vips: [192.0.2.10]}\n  check: none\n',
}

/** Zone example.com: `a` A, `ns1` A, `www` steered, `big` TXT, and as many addresses at `v` as the generation says. */
export async function makeWorld(generation: number): Promise<World> {
  const texts = Array.from({ length: Math.floor(BIG / 212) }, (_, i) => `"${String(i).padStart(199, 'x')}"`)
  const addresses = Array.from({ length: generation }, (_, i) => `192.0.2.${i + 1}`)
  const zone = [
    '"": {type: NS, values: [ns1.example.com.]}',
    'ns1: {type: A, values: [192.0.2.53]}',
    'a: {type: A, values: [192.0.2.1]}',
    `v: {type: A, values: [${addresses.join(', ')}]}`,
    'www: {type: GSLB, service: web}',
    `big: {type: TXT, values: [${texts.join(', ')}]}`,
  ]
  const { made } = await makeNode({ ...FILES, 'example.com.yaml': zone.join('\n') + '\n' })
  return { ...made.world, generation }
}

export interface Running {
  readonly server: Server
  readonly logged: string[]
  /** Sum of a cell of counters.ts over all threads. */
  readonly count: (cell: number) => number
}

export async function start(options: Partial<ServerOptions> & Pick<ServerOptions, 'world'>): Promise<Running> {
  const logged: string[] = []
  const server = await startServer({
    listen: [{ address: '127.0.0.1', port: 0 }],
    threads: 1,
    tcpConnections: TCP_LIMITS.connections,
    tcpMemory: TCP_LIMITS.memory,
    protocol: PLAIN_PROTOCOL,
    health: makeHealthTable(),
    adoption: makeAdoption(),
    takeover: false,
    portable: false,
    log: (level, message) => void logged.push(`${level} ${message}`),
    ...options,
  })
  return { server, logged, count: (cell) => sumCounters(server.counters())[cell]! }
}

/** What TLS and HTTPS show in tests. */
export const makeCredentials = ({ cert, key } = good): Credentials => ({
  certificate: cert,
  key,
  ticketKeys: randomBytes(48),
})

/** TCP alone, or TLS or HTTPS with `transport`, on a port of the kernel's choice: on a socket that is bound here, or (`portable`) by the thread. */
export async function startTcp(
  options: Partial<TcpOptions> & Pick<TcpOptions, 'world'> & { readonly address?: string; readonly portable?: boolean },
): Promise<{ readonly front: TcpFront; readonly to: Endpoint }> {
  const asked = { address: options.address ?? '127.0.0.1', port: 0 }
  if ('missing' in linux) throw new Error(linux.missing)
  const bound = options.portable === true ? [] : bindAll(linux, [asked], 0, false)
  const front = new TcpFront({
    transport: TCP,
    credentials: makeCredentials(),
    sources: options.portable === true ? [asked] : bound.map(({ endpoint, tcp }) => ({ ...endpoint, fd: tcp })),
    calls: linux,
    limits: TCP_LIMITS,
    protocol: PLAIN_PROTOCOL,
    health: makeHealthTable(),
    adoption: makeAdoption(),
    reader: 1,
    log: () => {},
    ...options,
  })
  return { front, to: (await front.listening())[0]! }
}
