/**
 * What the password of one prober is worth: a real Redis with the users of docs/redis.md, two nodes, three honest probers,
 * and a fourth whose password somebody else has, who tries everything with it. Verdicts move by its own vote and no more;
 * when its user is deleted and it is forgotten, nothing of it is left.
 */
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { NodeHealth } from '../../src/health/node-health.ts'
import type { ProberWriter } from '../../src/health/store.ts'
import { makeHealthTable } from '../../src/health/table.ts'
import type { VoteValue } from '../../src/health/vote.ts'
import { FORGOTTEN_KEY, hashKey, indexKey, OVERRIDES_KEY } from '../../src/store/redis/keys.ts'
import { openRedisStore, type RedisStore } from '../../src/store/redis/store.ts'
import { RedisServer } from '../support/redis-server.ts'
import { member, specOf, serviceSpec, vote } from '../support/specs.ts'
import type { Attack } from './attack.ts'

const HONEST = [
  ['eu-1', 'eu'],
  ['us-1', 'us'],
  ['ap-1', 'ap'],
] as const
const LIAR = 'mallory'
const TARGETS = ['t1', 't2'] as const
const HEARTBEAT_MS = 1000
/** A flood may cost a turn of the Store's clock; what is waited for beyond guards against hanging. */
const HANG_MS = 60_000

const docs = readFileSync(join(import.meta.dirname, '../../docs/redis.md'), 'utf8')
const [NODE_LINE, PROBER_LINE] = /```acl\n([^`]*)```/.exec(docs)![1]!.trim().split('\n')

async function until(holds: () => boolean, what: string): Promise<number> {
  const sinceMs = performance.now()
  while (!holds()) {
    if (performance.now() - sinceMs > HANG_MS) throw new Error(`not within ${HANG_MS} ms: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
  return performance.now() - sinceMs
}

const plan = specOf(
  TARGETS.map((target, i) => member(`site${i}/web/192.0.2.${i + 1}`, [target])),
  [serviceSpec('web', { keepPercent: 0 })],
)

class Fleet {
  readonly server: RedisServer
  readonly nodes: { readonly health: NodeHealth; readonly store: RedisStore }[] = []
  readonly writers: ProberWriter[] = []
  readonly #folder = mkdtempSync(join(tmpdir(), 'meridian-password-'))
  readonly #stores: RedisStore[] = []
  readonly #timers: NodeJS.Timeout[] = []

  constructor(server: RedisServer) {
    this.server = server
  }

  static async start(): Promise<Fleet> {
    const probers = [...HONEST.map(([name]) => name), LIAR].map((name) => PROBER_LINE!.replaceAll('fra', name))
    const fleet = new Fleet(await RedisServer.start(['user default on >admin ~* &* +@all', NODE_LINE!, ...probers]))
    for (const name of ['n1', 'n2']) await fleet.startNode(name)
    for (const [name, region] of HONEST) {
      const store = openRedisStore(fleet.login(`meridian-prober-${name}`, name), { role: 'prober' })
      fleet.#stores.push(store)
      const identity = { name, region, bootId: `${name}-boot` }
      const writer = store.proberWriter(identity)
      fleet.writers.push(writer)
      let sequence = 0
      const beat = () =>
        void writer.heartbeat({ prober: identity, sequence: ++sequence, configHash: 'c', overdue: 0, overdueAgeMs: 0 })
      await writer.replace(TARGETS.map((target) => vote(target, 'up')))
      beat()
      fleet.#timers.push(setInterval(beat, HEARTBEAT_MS))
    }
    await until(() => fleet.all('up'), 'every node has heard the honest')
    return fleet
  }

  login(user: string, name: string): string {
    return this.server.url(`${user}:${name}-password`)
  }

  async startNode(name: string): Promise<NodeHealth> {
    const store = openRedisStore(this.login('meridian-node', 'node'))
    const health = new NodeHealth({
      table: makeHealthTable(),
      store,
      node: { name, version: '1' },
      file: join(this.#folder, name, 'health.json'),
    })
    await health.start()
    health.adopt(
      plan,
      Int32Array.from(plan.members, (_, i) => i),
    )
    this.nodes.push({ health, store })
    return health
  }

  /** At every node. */
  all(state: 'up' | 'down', site = 'site'): boolean {
    return this.nodes.every(({ health }) =>
      health
        .snapshot()
        .members.filter((one) => one.site.startsWith(site))
        .every((one) => one.state === state),
    )
  }

  expectUp(after: string): void {
    for (const [i, { health, store }] of this.nodes.entries()) {
      const { members, probers, overrides } = health.snapshot()
      const hurt = members.filter(({ state }) => state !== 'up')
      if (hurt.length > 0)
        throw new Error(`after ${after}: ${hurt.map((one) => `${one.member} is ${one.state}: ${one.why}`).join()}`)
      const silent = probers.filter(({ prober, live }) => prober !== LIAR && !live)
      if (silent.length > 0) throw new Error(`after ${after}: ${silent.map(({ prober }) => prober).join()} is muted`)
      if (probers.length > HONEST.length + 1)
        throw new Error(`after ${after}: ${probers.length} probers are believed in`)
      if (overrides.length > 0) throw new Error(`after ${after}: an override is in force`)
      if (store.trouble !== undefined) throw new Error(`after ${after}: n${i + 1}: ${store.trouble}`)
    }
  }

  admin(...args: string[]): string {
    return this.server.cli('--user', 'default', '--pass', 'admin', '--no-auth-warning', ...args)
  }

  async close(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer)
    for (const { health, store } of this.nodes) {
      await health.stop()
      await store.close()
    }
    for (const store of this.#stores) await store.close()
    await this.server.stop()
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

/** Whoever has the password: commands as they are, many at once. */
class Mallory {
  readonly #socket: Socket
  #replies = ''

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.on('data', (data) => (this.#replies += data.toString('latin1')))
    socket.on('error', () => {})
  }

  static async login({ host, port }: RedisServer): Promise<Mallory> {
    const socket = connect({ host, port })
    await once(socket, 'connect')
    const mallory = new Mallory(socket)
    await mallory.say(['AUTH', `meridian-prober-${LIAR}`, `${LIAR}-password`])
    return mallory
  }

  /** What is answered, an error or not, one line for each command that has one. */
  async say(...commands: readonly (readonly string[])[]): Promise<string> {
    this.#replies = ''
    this.#socket.write([...commands, ['PING', 'end']].map(frame).join(''))
    await until(() => this.#replies.endsWith('$3\r\nend\r\n') || this.#socket.destroyed, 'Redis answers')
    return this.#replies
  }

  close(): void {
    this.#socket.destroy()
  }
}

const frame = (words: readonly string[]): string =>
  `*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('')}`

const override = JSON.stringify({
  pattern: 'site0',
  action: 'down',
  version: 7,
  node: 'n1',
  who: 'x',
  why: 'x',
  madeMs: Date.now(),
  untilMs: null,
})

/** Commands that touch what is not its own. Each must be refused. */
function trespasses(): (readonly string[])[] {
  const [victim] = HONEST[0]
  const foreign = [hashKey('prober', victim), hashKey('node', 'n1'), OVERRIDES_KEY, FORGOTTEN_KEY]
  const indexes = [indexKey('prober'), indexKey('node')]
  const commands: (readonly string[])[] = [
    ...['{meridian}:0', `{meridian}:0:${victim}`, '{meridian}:0:*'].flatMap((channel) =>
      ['change', 'overrides', 'forgotten', JSON.stringify(['f', victim])].map((text) => ['PUBLISH', channel, text]),
    ),
    ...foreign.flatMap((key) => [
      ['DEL', key],
      ['HSET', key, '@n', '1000000000000000', '@beat', '[1000000000000000,"c",0,0]', 't1', 'd.1000 1 down'],
      ['HDEL', key, '@boot'],
      ['PEXPIRE', key, '1'],
      ['EVAL', `return redis.call('DEL', KEYS[1])`, '1', key],
      ['EVAL', `return redis.call('HSET', '${key}', 't1', 'd.1000 1 down')`, '0'],
    ]),
    ['HSET', OVERRIDES_KEY, 'site0', `1 ${override}`, '@rev', '9.9'],
    ['HSET', FORGOTTEN_KEY, victim, '1 x'],
    ...indexes.flatMap((key) => [
      ['ZADD', key, '1', 'nobody'],
      ['ZREM', key, victim],
      ['DEL', key],
    ]),
    ['SUBSCRIBE', '{meridian}:0'],
    ['PSUBSCRIBE', '*'],
  ]
  const server = ['FLUSHALL', 'FLUSHDB', 'SCRIPT FLUSH', 'CONFIG SET maxmemory 1', 'KEYS *', 'SCAN 0', 'CLIENT LIST']
  const more = ['CLIENT KILL TYPE normal', 'ACL SETUSER x on', 'ACL LIST', 'SHUTDOWN NOSAVE', 'REPLICAOF 127.0.0.1 1']
  commands.push(...[...server, ...more, 'DEBUG SLEEP 1', 'MONITOR', 'SAVE'].map((text) => text.split(' ')))
  commands.push(['RENAME', hashKey('prober', LIAR), hashKey('prober', victim)])
  return commands
}

/** Its own hash, as nothing of Meridian would write it. */
function ownHash(value: VoteValue, more: readonly string[] = []): (readonly string[])[] {
  const key = hashKey('prober', LIAR)
  const letter = value.charAt(0)
  const votes = TARGETS.flatMap((target) => [target, `${letter}!1000 1 mallory says so`])
  const boot = `boot-${Math.random().toString(36).slice(2)}`
  const head = [
    '@boot',
    boot,
    '@region',
    ['eu', 'nowhere'][Math.floor(Math.random() * 2)]!,
    '@n',
    '1',
    '@beat',
    '[1,"c",0,0]',
  ]
  return [
    ['HSET', key, ...head, ...votes, ...more],
    ['PEXPIRE', key, '3000'],
    ['PUBLISH', `{meridian}:0:${LIAR}`, 'change'],
  ]
}

async function lieAlone(fleet: Fleet, mallory: Mallory): Promise<void> {
  const key = hashKey('prober', LIAR)
  const odd: (readonly string[])[] = [
    ['@n', '1000000000000000'],
    ['@n', '1e308'],
    ['@n', '-1'],
    ['@beat', '[9007199254740991,"c",0,0]'],
    ['@beat', '[1e308,"c",0,0]'],
    ['@log', '2 - ["t1","d.1000 1 x"]\n9 - x\n'],
    ['@region', 'x'.repeat(10_000)],
    ['@ended', 'eu-1-boot us-1-boot ap-1-boot'],
    ['@boot', 'eu-1-boot'],
    ['@rev', '1.1', '@overrides', override],
  ]
  for (const more of odd) {
    await mallory.say(...ownHash('down', more))
    await mallory.say(['HSET', key, ...more], ['PUBLISH', `{meridian}:0:${LIAR}`, 'change'])
    fleet.expectUp(`${more.join(' ').slice(0, 40)} in its own hash`)
  }
  await mallory.say(...ownHash('down'))
  await until(
    () =>
      fleet.nodes.every(({ health }) => health.snapshot().probers.some(({ prober, live }) => prober === LIAR && live)),
    'its vote is heard',
  )
  fleet.expectUp('its own vote of DOWN')
}

/** Its vote with those of the honest: what the rules make of one vote of four, and nothing else. Keeps it alive meanwhile. */
async function voteTogether(fleet: Fleet, mallory: Mallory, lies: VoteValue): Promise<number> {
  const alive = setInterval(() => void mallory.say(...ownHash(lies)), 700)
  try {
    await mallory.say(...ownHash(lies))
    await fleet.writers[0]!.change(vote('t1', 'down'))
    // two DOWN of four decide nothing
    await until(
      () => fleet.nodes.every(({ health }) => /2 up, 2 down|3 up, 1 down/.test(health.snapshot().members[0]!.why)),
      'both votes are heard',
    )
    fleet.expectUp('one honest DOWN beside its own')
    const sinceMs = performance.now()
    for (const writer of fleet.writers) await writer.change(vote('t1', 'down'))
    await until(() => fleet.all('down', 'site0'), 'three honest DOWN take it down')
    const tookMs = performance.now() - sinceMs
    if (!fleet.all('up', 'site1')) throw new Error('another member went down with it')
    for (const writer of fleet.writers) await writer.change(vote('t1', 'up'))
    await until(() => fleet.all('up'), 'three honest UP bring it back')
    return tookMs
  } finally {
    clearInterval(alive)
  }
}

/** Hints and changes as fast as Redis takes them, for so long. */
async function flood(fleet: Fleet, mallory: Mallory, forMs: number, meanwhile: () => Promise<void>): Promise<number> {
  let sent = 0
  const floods = async () => {
    const endMs = performance.now() + forMs
    while (performance.now() < endMs) {
      const texts = ['change', 'change x 2 - ["t1","d.1000 1 x"]', `change boot 2 - ${'x'.repeat(5000)}`]
      const hints = Array.from({ length: 500 }, (_, i) => ['PUBLISH', `{meridian}:0:${LIAR}`, texts[i % texts.length]!])
      const fields = Array.from({ length: 500 }, (_, i) => [`x${sent + i}`, 'd.1000 1 x']).flat()
      await mallory.say(...ownHash('down', fields), ...hints)
      sent += hints.length
    }
  }
  await Promise.all([floods(), meanwhile()])
  fleet.expectUp('a flood')
  return sent
}

async function removed(fleet: Fleet, mallory: Mallory): Promise<void> {
  await mallory.say(...ownHash('down'), ['PEXPIRE', hashKey('prober', LIAR), '999999999'])
  fleet.admin('ACL', 'DELUSER', `meridian-prober-${LIAR}`)
  const [first] = fleet.nodes
  const knows = ({ health }: { readonly health: NodeHealth }) =>
    health.snapshot().probers.find(({ prober }) => prober === LIAR)
  await until(() => fleet.nodes.every((node) => knows(node)?.live === false), 'it is silent')
  const late = { health: await fleet.startNode('n3') }
  if (knows(late)?.live === true) throw new Error('a node that starts then hears it')
  const forgotten = first!.health.forget({ kind: 'prober', name: LIAR })
  if (typeof forgotten === 'string') throw new Error(forgotten)
  const { disk, store } = await forgotten.saved
  if (disk !== undefined || store !== undefined) throw new Error(`forgetting is not kept: ${disk ?? store}`)
  await until(() => fleet.nodes.every((node) => knows(node) === undefined), 'every node has forgotten it')
  const next = { health: await fleet.startNode('n4') }
  if (knows(next) !== undefined) throw new Error('a node that starts afterwards knows it')
  if (fleet.admin('EXISTS', hashKey('prober', LIAR)) !== '0') throw new Error('its hash is still there')
  if (fleet.admin('ZSCORE', indexKey('prober'), LIAR) !== '') throw new Error('it is still in the index')
}

export const attack: Attack = {
  tries: 'whatever the Redis password of one prober allows: forged votes, hints, overrides, indexes, scripts, floods',
  run: async (scale, print) => {
    const fleet = await Fleet.start()
    try {
      const mallory = await Mallory.login(fleet.server)
      const tried = trespasses()
      for (const command of tried) {
        const answer = await mallory.say(command)
        if (!/^-(NOPERM|ERR|NOSCRIPT)/.test(answer))
          throw new Error(`${command.join(' ')} was taken: ${answer.slice(0, 80)}`)
      }
      fleet.expectUp('what is not its own')
      print(`${tried.length} commands on what is not its own, each refused`)
      await lieAlone(fleet, mallory)
      const rounds = scale === 'full' ? 20 : 1
      for (let round = 0; round < rounds; round++)
        for (const lies of ['down', 'up'] as const) await voteTogether(fleet, mallory, lies)
      print(`${2 * rounds} rounds of votes: three honest decide, with one of them it decides nothing`)
      let tookMs = 0
      const sent = await flood(fleet, mallory, scale === 'full' ? 60_000 : 1000, async () => {
        for (let round = 0; round < rounds; round++) {
          const sinceMs = performance.now()
          for (const writer of fleet.writers) await writer.change(vote('t1', 'down'))
          await until(() => fleet.all('down', 'site0'), 'a site goes down in the flood')
          tookMs = Math.max(tookMs, performance.now() - sinceMs)
          for (const writer of fleet.writers) await writer.change(vote('t1', 'up'))
          await until(() => fleet.all('up'), 'it comes back in the flood')
        }
      })
      print(`${sent} hints in a flood; meanwhile a failover took ${Math.round(tookMs)} ms from the votes to all nodes`)
      await removed(fleet, mallory)
      mallory.close()
      print('its user deleted and it forgotten: no node, no index and no hash has anything of it')
    } finally {
      await fleet.close()
    }
  },
}
