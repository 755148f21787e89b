/** The forms in which Redis comes: users with the ACLs of docs/redis.md, TLS, sentinels, a cluster. Real servers, all of them. */
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { getCACertificates, setDefaultCACertificates } from 'node:tls'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { trustAuthorities } from '../../../src/authorities.ts'
import type { StoreSubscriber, ProberWriter, NodeWriter } from '../../../src/health/store.ts'
import { hashKey, OVERRIDES_KEY } from '../../../src/store/redis/keys.ts'
import { openRedisStore, type RedisStore } from '../../../src/store/redis/store.ts'
import { RedisServer } from '../../support/redis-server.ts'
import { vote } from '../../support/specs.ts'
import { until } from '../../support/until.ts'
import { beat, drain, identity, Listener, nodeBeat, storeSuite } from '../store.suite.ts'

const LEASE_MS = 400
const DOCS = readFileSync(resolve(import.meta.dirname, '../../../docs/redis.md'), 'utf8')
const ACL = /```acl\n([^`]*)```/.exec(DOCS)![1]!.trim().split('\n')

const closing: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close()
})
const open = (url: string): RedisStore => {
  const store = openRedisStore(url, { leaseMs: LEASE_MS })
  closing.push(() => store.close())
  return store
}

/** Says that it lives until the test ends, as a prober does, and as node n1. */
function beats(writer: ProberWriter, name: string, node?: NodeWriter): void {
  let sequence = 0
  const say = (): void => {
    sequence++
    void writer.heartbeat(beat(identity(name), sequence))
    void node?.heartbeat(nodeBeat('n1', sequence))
  }
  say()
  const timer = setInterval(say, LEASE_MS / 3)
  closing.push(async () => clearInterval(timer))
}

/** A prober's: overrides and who is forgotten are no business of one. */
const proberAudience = (listener: Listener): StoreSubscriber => ({
  votes: (...said) => listener.votes(...said),
  retired: (...said) => listener.retired(...said),
  heartbeat: (said) => listener.heartbeat(said),
  gone: (prober) => listener.gone(prober),
  node: (said) => listener.node(said),
  nodeGone: (node) => listener.nodeGone(node),
})

/** What every form must do: votes, beats, overrides and known members get from one to another. */
async function works(a: RedisStore, b: RedisStore): Promise<void> {
  const [heard, leaving] = [new Listener(), new AbortController()]
  await b.listen(heard, leaving.signal)
  const writer = a.proberWriter(identity('a'))
  await writer.replace(Array.from({ length: 500 }, (_, i) => vote(`t${i}`, 'up')))
  const node = a.nodeWriter({ name: 'n1', bootId: 'one' })
  await node.writeMembers(new Map([['m', { verdict: 'up', proven: [] }]]))
  beats(writer, 'a', node)
  await writer.change(vote('t0', 'down'))
  await until('votes', () => heard.said.get('a')?.get('t0') === 'down')
  await node.override([drain('fra', 1)]).catch(() => {}) // what Redis does not take in time is put up by a heartbeat
  await until('an override', () => heard.overridden.has('fra'))
  await until('a node', () => heard.lines.some((line) => line.startsWith('node n1/one beat ')))
  expect(heard.said.get('a')?.size).toBe(500)
  expect(await b.readMembers()).toEqual([new Map([['m', { verdict: 'up', proven: [] }]])])
  await until(`no trouble`, () => a.trouble === undefined && b.trouble === undefined)
  leaving.abort()
}

describe('with the ACLs of docs/redis.md', () => {
  const probers = ['a', 'b', 'fra'].map((name) => ACL[1]!.replaceAll('fra', name))
  let server: RedisServer
  beforeAll(async () => {
    server = await RedisServer.start(['user default on >admin ~* &* +@all', ACL[0]!, ...probers])
  })
  afterAll(() => server.stop())
  const nodeUrl = () => server.url('meridian-node:node-password')
  const proberUrl = (name: string) => server.url(`meridian-prober-${name}:${name}-password`)
  const admin = (...args: string[]) => server.cli('--user', 'default', '--pass', 'admin', '--no-auth-warning', ...args)
  const openProber = (name: string): RedisStore => {
    const store = openRedisStore(proberUrl(name), { leaseMs: LEASE_MS, role: 'prober' })
    closing.push(() => store.close())
    return store
  }

  // oxlint-disable-next-line typescript/require-await
  storeSuite('Redis, a node and probers with users of their own', LEASE_MS, async () => {
    admin('flushall')
    const store = openRedisStore(nodeUrl(), { leaseMs: LEASE_MS })
    const stores: RedisStore[] = []
    return {
      store,
      writer: (prober) => {
        const own = openRedisStore(proberUrl(prober.name), { leaseMs: LEASE_MS, role: 'prober' })
        stores.push(own)
        return own.proberWriter(prober)
      },
      close: async () => {
        await Promise.all([store, ...stores].map((each) => each.close()))
        expect(admin('acl', 'log')).toBe('')
      },
    }
  })

  test('a process that serves and probes has the user of nodes', async () => {
    admin('flushall')
    await works(open(nodeUrl()), open(nodeUrl()))
    expect(admin('acl', 'log')).toBe('')
  })

  test('a prober hears the others and the nodes without a channel; it can neither override nor write for others', async () => {
    admin('flushall')
    const node = open(nodeUrl())
    const leaving = new AbortController()
    closing.push(async () => leaving.abort())
    await node.listen(new Listener(), leaving.signal) // who listens keeps the index
    const [fra, heard] = [openProber('fra'), new Listener()]
    await fra.listen(proberAudience(heard), leaving.signal)
    const writer = openProber('a').proberWriter(identity('a'))
    await writer.replace([vote('t1', 'up')])
    beats(writer, 'a')
    await node.nodeWriter({ name: 'n1', bootId: 'one' }).heartbeat(nodeBeat('n1', 1))
    await until('a vote', () => heard.said.get('a')?.get('t1') === 'up')
    await until('a node', () => heard.lines.some((line) => line.startsWith('node n1/one beat 1')))
    expect(fra.trouble).toBeUndefined()
    expect(admin('acl', 'log')).toBe('')
    await fra.proberWriter(identity('b')).replace([vote('t1', 'down')])
    await until('refused', () => /forbids user meridian-prober-fra/.test(fra.trouble ?? ''))
    const said = fra.nodeWriter({ name: 'n1', bootId: 'two' })
    await expect(said.override([drain('fra', 1)])).rejects.toThrow(/forbids user meridian-prober-fra/)
    await expect(said.forget({ kind: 'prober', name: 'a' }, 'r1')).rejects.toThrow(/forbids user meridian-prober-fra/)
    expect(admin('exists', OVERRIDES_KEY, hashKey('prober', 'b'))).toBe('0')
    admin('acl', 'log', 'reset')
  })
})

const openssl = (...args: string[]) => execFileSync('openssl', args, { stdio: 'ignore' })

test('TLS: with its authority, without it, and where TLS is not spoken', async () => {
  const server = new RedisServer([], 'redis-server')
  const file = (name: string) => join(server.folder, name)
  const fresh = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  openssl(
    'req',
    '-x509',
    ...fresh,
    '-keyout',
    file('ca.key'),
    '-out',
    file('ca.pem'),
    '-days',
    '2',
    '-subj',
    '/CN=test',
  )
  openssl('req', ...fresh, '-keyout', file('own.key'), '-out', file('own.csr'), '-subj', '/CN=redis')
  writeFileSync(file('ext'), `subjectAltName=IP:${server.host}`)
  openssl('x509', '-req', '-in', file('own.csr'), '-CA', file('ca.pem'), '-CAkey', file('ca.key'), '-CAcreateserial', '-out', file('own.pem'), '-days', '2', '-extfile', file('ext')) // prettier-ignore
  const secured = new RedisServer(
    [
      `tls-port ${server.port + 1}`,
      `tls-cert-file ${file('own.pem')}`,
      `tls-key-file ${file('own.key')}`,
      `tls-ca-cert-file ${file('ca.pem')}`,
    ],
    'redis-server',
    server.host,
  )
  closing.push(
    () => server.stop(),
    () => secured.stop(),
  )
  await secured.start()
  const tls = `rediss://${server.host}:${server.port + 1}`
  const own = `cert=${file('own.pem')}&key=${file('own.key')}`
  await works(open(`${tls}?ca=${file('ca.pem')}&${own}`), open(`${tls}?ca=${file('ca.pem')}&${own}`))
  const wrong: readonly (readonly [string, RegExp])[] = [
    [`${tls}?${own}`, /has a certificate that can't be trusted: .*\?ca=FILE or the setting tls.ca names its authority/],
    [`rediss://${secured.address}`, /can't be reached: no route, a firewall drops packets, or it speaks no TLS there/],
    [`redis://${server.host}:${server.port + 1}`, /ends the connection: if it wants TLS, rediss:\/\/ is meant/],
  ]
  for (const [url, line] of wrong) {
    const store = open(url)
    await until(String(line), () => line.test(store.trouble ?? '')).catch((error: unknown) => {
      throw new Error(`${String(error)}: ${store.trouble}`)
    })
  }
  const before = getCACertificates()
  trustAuthorities([file('ca.pem')])
  await works(open(`${tls}?${own}`), open(`${tls}?${own}`)).finally(() => setDefaultCACertificates(before))
})

/** Empty while it ends all connections, as it does when its role changes. */
function roleOf(server: RedisServer): string {
  try {
    return server.cli('role')
  } catch {
    return ''
  }
}

test('sentinels: killed, the master is followed to an empty replica; votes stand and come back', async () => {
  const master = await RedisServer.start()
  const replica = await RedisServer.start()
  const watch = [`sentinel monitor eu ${master.host} ${master.port} 2`, 'sentinel down-after-milliseconds eu 300']
  watch.push('sentinel failover-timeout eu 2000', 'sentinel parallel-syncs eu 1')
  const sentinels = [0, 1, 2].map(() => new RedisServer(watch, 'redis-sentinel'))
  for (const each of [master, replica, ...sentinels]) closing.push(() => each.stop())
  replica.cli('replicaof', master.host, String(master.port))
  await Promise.all(sentinels.map((each) => each.start()))
  await until('the sentinels know all', () =>
    sentinels.every((each) => {
      const seen = each.cli('sentinel', 'master', 'eu').split('\n')
      const value = (key: string) => seen[seen.indexOf(key) + 1]
      return value('num-slaves') === '1' && value('num-other-sentinels') === '2'
    }),
  )
  const url = `redis+sentinel://${sentinels.map((each) => each.address).join(',')}/eu`
  const [a, b] = [open(url), open(url)]
  await works(a, b)
  const heard = new Listener()
  await b.listen(heard, new AbortController().signal)
  const writer = a.proberWriter(identity('p'))
  await writer.replace([vote('t1', 'up')])
  beats(writer, 'p')
  await until('its vote', () => heard.said.get('p')?.size === 1)
  await master.kill()
  await until('the failover', () => roleOf(replica).startsWith('master'))
  replica.cli('flushall')
  await writer.change(vote('t1', 'down'))
  await until('followed', () => heard.said.get('p')?.get('t1') === 'down')
  await until('no trouble', () => a.trouble === undefined && b.trouble === undefined)
  // its lease may end while this process waits for redis-cli: then the next heartbeat puts it up again
  await until('the prober on the replica', () => replica.cli('exists', hashKey('prober', 'p')) === '1')
  const nobody = open(`redis+sentinel://${sentinels[0]!.address}/us`)
  await until('a name that no sentinel watches', () =>
    /has no sentinel that knows the master/.test(nobody.trouble ?? ''),
  )
})

test('a cluster of three masters', async () => {
  const servers = [0, 1, 2].map(() => new RedisServer(['cluster-enabled yes'])) // each failed for all after 15 s of silence
  for (const each of servers) closing.push(() => each.stop())
  const ranges = ['0 5461', '5462 10922', '10923 16383']
  for (const [i, each] of servers.entries()) {
    await each.start()
    each.cli('cluster', 'addslotsrange', ...ranges[i]!.split(' '))
    each.cli('cluster', 'set-config-epoch', String(i + 1))
    each.cli('cluster', 'meet', servers[0]!.host, String(servers[0]!.port))
  }
  const addresses = servers.map((each) => each.address)
  await until('it is up', () => servers.every((each) => each.cli('cluster', 'info').includes('cluster_state:ok')))
  const url = `redis+cluster://${addresses.join(',')}`
  await works(open(url), open(url))
  const known = servers.filter((each) => !each.cli('exists', hashKey('prober', 'a')).startsWith('MOVED'))
  expect(known).toHaveLength(1)
  const [a, b] = [open(url), open(`redis+cluster://${addresses[1]},${addresses[2]}`)]
  const heard = new Listener()
  await b.listen(heard, new AbortController().signal)
  servers[1]!.cli('client', 'kill', 'type', 'pubsub')
  const writer = a.proberWriter(identity('c'))
  await writer.replace([vote('t1', 'up')])
  beats(writer, 'c')
  await until('heard by another node of the cluster', () => heard.said.get('c')?.size === 1)
})
