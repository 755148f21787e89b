/**
 * A World of many kinds of names, a real server that answers from it over UDP on loopback, its health from NodeHealth or as
 * a test writes it; and what the YAML says as data, so that claims can be held against it and not against the code.
 */
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { makeAdoption } from '../../src/answer/adoption.ts'
import { PLAIN_PROTOCOL } from '../../src/answer/protocol.ts'
import { NodeHealth } from '../../src/health/node-health.ts'
import { type HealthTable, makeHealthTable, SlotRegistry } from '../../src/health/table.ts'
import { type Server, startServer } from '../../src/server/server.ts'
import { TCP_LIMITS } from '../../src/server/tcp.ts'
import { MemoryStore } from '../../src/store/memory.ts'
import { makeBuilder, type WorldBuild } from '../../src/world/build.ts'
import { madeOf } from '../support/build.ts'
import { CLIENTS, encodeTestDatabase, FIXTURE, SYSTEMS } from '../support/mmdb.ts'

/** Latitude, longitude. */
export const SITES: Readonly<Record<string, readonly [number, number]>> = {
  fra: [50.11, 8.68],
  gru: [-23.43, -46.47],
  iad: [38.95, -77.45],
  lhr: [51.47, -0.45],
  sin: [1.36, 103.99],
  syd: [-33.95, 151.18],
}

export interface RuleFacts {
  readonly subnets?: readonly string[]
  readonly asns?: readonly number[]
  readonly geos?: readonly string[]
  readonly order: string
  readonly only?: true
  readonly pick?: 'random'
}

export interface ServiceFacts {
  readonly sites: Readonly<Record<string, { readonly vips: readonly string[]; weight?: number; bias?: number }>>
  /** What else it says, as YAML. */
  readonly also: readonly string[]
  readonly listed?: true
  readonly random?: true
  readonly max: number
  readonly min: number
  readonly rules?: readonly RuleFacts[]
}

const v6 = (site: number, vip: number): string => `2001:db8:${site}::${vip}`

export const SERVICES: Readonly<Record<string, ServiceFacts>> = {
  near: {
    sites: {
      fra: { vips: ['192.0.2.10', v6(1, 10)] },
      gru: { vips: ['192.0.2.20'] },
      iad: { vips: ['192.0.2.30', v6(3, 10)], bias: 30 },
      lhr: { vips: ['192.0.2.40', '192.0.2.41'], weight: 70, bias: -20 },
      sin: { vips: [v6(5, 10)] },
      syd: { vips: ['192.0.2.60', v6(6, 10)], weight: 0 },
    },
    also: ['check: {type: tcp, port: 443}', 'probers: 3', 'spill: 2', 'failback: manual'],
    max: 60,
    min: 15,
  },
  spread: {
    sites: {
      fra: { vips: ['198.51.100.10', '198.51.100.11', '198.51.100.12'], weight: 60 },
      iad: { vips: ['198.51.100.30', '198.51.100.31'], weight: 30 },
      lhr: { vips: ['198.51.100.40', '198.51.100.41', '198.51.100.42', v6(14, 1), v6(14, 2)], weight: 200 },
      sin: { vips: ['198.51.100.50', '198.51.100.51'] },
      syd: { vips: ['198.51.100.60', '198.51.100.61'] },
    },
    also: ['spread: 6500km', 'candidates: 2', 'answers: 2', 'minVips: 2', 'check: {type: tcp, port: 80}', 'probers: 2'],
    max: 30,
    min: 5,
  },
  listed: {
    sites: {
      iad: { vips: ['203.0.113.30'] },
      fra: { vips: ['203.0.113.10', v6(21, 10)], weight: 40 },
      sin: { vips: ['203.0.113.50'] },
    },
    also: ['order: [[fra, iad], sin]', 'check: {type: tcp, port: 25}', 'lastResort: nodata', 'keep: 0%'],
    listed: true,
    max: 40,
    min: 40,
    rules: [{ subnets: ['82.64.0.0/16', '2a01:e00::/40'], order: '[sin]' }],
  },
  ruled: {
    sites: {
      fra: { vips: ['192.0.2.110', v6(31, 10)] },
      iad: { vips: ['192.0.2.130', v6(33, 10)] },
      sin: { vips: ['192.0.2.150', v6(35, 10)] },
      syd: { vips: ['192.0.2.160', v6(36, 10)] },
    },
    also: ['check: none', 'lastResort: {values: [192.0.2.199, 192.0.2.200, "2001:db8:ff::1"]}'],
    max: 100,
    min: 10,
    rules: [
      {
        subnets: ['24.90.0.0/15', '24.90.0.0/17', '24.91.0.0/16', '2002:52::/32'],
        geos: ['EU-DE'],
        order: '[[fra, iad]]',
      },
      { subnets: ['24.90.1.0/24', '2604:2000:1::/48'], order: '[syd]', only: true },
      { asns: [64500, 4_200_000_000], order: '[[iad, sin]]', pick: 'random' },
      { geos: ['AS-JP', 'NA-US-NY', 'NA-US-CA'], order: '[sin]', only: true },
      { geos: ['AS', 'EU'], order: '[syd, [fra, sin]]' },
    ],
  },
  random: {
    sites: {
      fra: { vips: ['192.0.2.210', '192.0.2.211'], weight: 10 },
      iad: { vips: ['192.0.2.230'] },
      syd: { vips: ['192.0.2.240'] },
    },
    also: ['pick: random', 'spread: 7000km', 'answers: 1', 'check: none'],
    random: true,
    max: 20,
    min: 2,
  },
}

/** Steered names: service, and its own cap on the TTL. */
export const NAMES: Readonly<Record<string, { readonly service: string; readonly cap?: number }>> = {
  near: { service: 'near' },
  'a.wild': { service: 'near', cap: 20 },
  spread: { service: 'spread' },
  short: { service: 'spread', cap: 3 },
  listed: { service: 'listed' },
  ruled: { service: 'ruled' },
  random: { service: 'random' },
}

export const OTHER_NAMES = [
  'static',
  'big',
  'mid',
  'alias',
  'steeredalias',
  'loop',
  'x.lab',
  'ent',
  'none',
  'b.c.stars',
  '',
] as const

const ZONE = `"":
  - {type: NS, values: [ns1.example.com.]}
  - {type: GSLB, service: near}
ns1: {type: A, values: [192.0.2.53]}
near: {type: GSLB, service: near}
"*.wild": {type: GSLB, service: near, ttl: 20, types: [A]}
spread: {type: GSLB, service: spread}
short: {type: GSLB, service: spread, ttl: 3}
listed: {type: GSLB, service: listed}
ruled: {type: GSLB, service: ruled}
random: {type: GSLB, service: random}
static: {type: A, ttl: 77, values: [192.0.2.80, 192.0.2.81]}
mid: {type: TXT, values: [${Array.from({ length: 4 }, (_, i) => `"${String(i).padStart(180, 'x')}"`).join(', ')}]}
big: {type: TXT, values: [${Array.from({ length: 9 }, (_, i) => `"${String(i).padStart(180, 'x')}"`).join(', ')}]}
alias: {type: CNAME, value: static.example.com.}
steeredalias: {type: CNAME, value: near.example.com.}
loop: {type: CNAME, value: loop.example.com.}
below.ent: {type: A, values: [192.0.2.82]}
"*.stars": {type: A, ttl: 50, values: [192.0.2.83]}
lab: {type: NS, values: [ns.lab.example.com.]}
ns.lab: {type: A, values: [192.0.2.99]}
`

/** `rules` begins on a line of its own, and each rule has one: RULE_LINES. */
function servicesYaml(): { readonly text: string; readonly ruleLines: ReadonlyMap<string, readonly number[]> } {
  const lines: string[] = []
  const ruleLines = new Map<string, number[]>()
  for (const [name, { sites, also, max, min, rules = [] }] of Object.entries(SERVICES)) {
    lines.push(`${name}:`, '  sites:')
    for (const [site, { vips, weight, bias }] of Object.entries(sites)) {
      const more = [
        ...(weight === undefined ? [] : [`weight: ${weight}`]),
        ...(bias === undefined ? [] : [`bias: ${bias}`]),
      ]
      lines.push(`    ${site}: {${[`vips: [${vips.map((vip) => `"${vip}"`).join(', ')}]`, ...more].join(', ')}}`)
    }
    lines.push(...also.map((line) => `  ${line}`), `  ttl: {max: ${max}, min: ${min}, settle: 0s}`)
    if (rules.length > 0) lines.push('  rules:')
    for (const { subnets, asns, geos, order, only, pick } of rules) {
      const keys = [
        ...(subnets === undefined ? [] : [`subnets: [${subnets.map((one) => `"${one}"`).join(', ')}]`]),
        ...(asns === undefined ? [] : [`asns: [${asns.join(', ')}]`]),
        ...(geos === undefined ? [] : [`geos: [${geos.join(', ')}]`]),
        `order: ${order}`,
        ...(only === undefined ? [] : ['only: true']),
        ...(pick === undefined ? [] : [`pick: ${pick}`]),
      ]
      const number = lines.push(`    - {${keys.join(', ')}}`)
      ruleLines.set(name, [...(ruleLines.get(name) ?? []), number])
    }
  }
  return { text: `${lines.join('\n')}\n`, ruleLines }
}

export const { text: SERVICES_YAML, ruleLines: RULE_LINES } = servicesYaml()

/** Resolvers are on loopback: that from 127.64.0.0/10 is in Tokyo, the other nowhere. */
export const RESOLVERS = ['127.0.0.1', '127.64.0.1'] as const
const tokyo = FIXTURE.find(({ city }) => city === 'Tokyo')!
export const NETWORKS = [...FIXTURE, { ...tokyo, prefix: '127.64.0.0/10' }]
export const DATABASE = encodeTestDatabase({ schema: 'maxmind', networks: NETWORKS })
export const ASN_DATABASE = encodeTestDatabase({ schema: 'maxmind', networks: SYSTEMS })
export { CLIENTS }

export interface Rig {
  readonly made: WorldBuild
  readonly table: HealthTable
  readonly slots: ReadonlyMap<string, number>
  readonly nodeSite: string | undefined
  /** undefined: the test writes the table. */
  readonly health: NodeHealth | undefined
  readonly store: MemoryStore
  /** Over UDP, all at once; in the order of the queries. `from`: index into RESOLVERS. Queries need ids of their own. */
  ask(queries: readonly { readonly query: Uint8Array; readonly from: number }[]): Promise<readonly Uint8Array[]>
  stop(): Promise<void>
}

export async function startRig(options: { readonly nodeSite?: string; readonly real: boolean }): Promise<Rig> {
  const folder = mkdtempSync(join(tmpdir(), 'meridian-explain-'))
  const zones = join(folder, 'zones')
  mkdirSync(zones)
  const sites = Object.entries(SITES).map(([site, at]) => `${site}: {location: [${at.join(', ')}]}\n`)
  const soa = 'soa: {mname: ns1.example.com., rname: h.example.com., minimum: 45, serial: 1}\nttl: 600\n'
  const files = {
    'defaults.yaml': soa,
    'sites.yaml': sites.join(''),
    'services.yaml': SERVICES_YAML,
    'example.com.yaml': ZONE,
  }
  for (const [name, text] of Object.entries(files)) writeFileSync(join(zones, name), text)
  const city = join(folder, 'city.mmdb')
  writeFileSync(city, DATABASE)
  const asn = join(folder, 'asn.mmdb')
  writeFileSync(asn, ASN_DATABASE)
  const { nodeSite } = options
  const result = await makeBuilder({
    zones,
    city: [city],
    asn: [asn],
    ...(nodeSite !== undefined && { nodeSite }),
  }).build()
  rmSync(folder, { recursive: true })
  const build = madeOf(result)
  const made = { ...build, world: { ...build.world, generation: 1 } }
  const table = makeHealthTable()
  const registry = new SlotRegistry()
  const names = made.plan.members.map(({ name }) => name)
  const assigned = registry.assign(names, 1)!
  for (const service of made.world.services) {
    for (const [vip, member] of service.members.entries()) service.slot[vip] = registry.slotOf(member)!
  }
  const store = new MemoryStore(3_600_000)
  const health = options.real ? new NodeHealth({ table, store }) : undefined
  await health?.start()
  health?.adopt(made.plan, assigned)
  const server = await startServer({
    listen: [{ address: '127.0.0.1', port: 0 }],
    threads: 1,
    tcpConnections: TCP_LIMITS.connections,
    tcpMemory: TCP_LIMITS.memory,
    world: made.world,
    protocol: PLAIN_PROTOCOL,
    health: table,
    adoption: makeAdoption(),
    takeover: false,
    portable: false,
    log: () => undefined,
  })
  const clients = await Promise.all(RESOLVERS.map((address) => connect(address, server)))
  return {
    made,
    table,
    slots: new Map(names.map((name, i) => [name, assigned[i]!])),
    nodeSite,
    health,
    store,
    ask: (queries) => Promise.all(queries.map(({ query, from }) => clients[from]!.ask(query))),
    async stop() {
      for (const client of clients) client.close()
      await health?.stop()
      await server.stop(0)
    },
  }
}

interface Client {
  ask(query: Uint8Array): Promise<Uint8Array>
  close(): void
}

const PATIENCE_MS = 60_000

const idOf = (message: Uint8Array): number => (message[0]! << 8) | message[1]!

async function connect(address: string, server: Server): Promise<Client> {
  const socket: Socket = createSocket('udp4')
  socket.bind(0, address)
  await once(socket, 'listening')
  const waiting = new Map<number, (reply: Uint8Array) => void>()
  socket.on('message', (reply) => waiting.get(idOf(reply))?.(new Uint8Array(reply)))
  return {
    ask(query) {
      const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>()
      const timer = setTimeout(() => reject(new Error('no reply')), PATIENCE_MS)
      waiting.set(idOf(query), resolve)
      socket.send(query, server.listen[0]!.port, '127.0.0.1')
      return promise.finally(() => clearTimeout(timer))
    },
    close: () => void socket.close(),
  }
}
