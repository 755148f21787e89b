/**
 * Whoever holds a password of Redis publishes and writes anything there: who listens drops it, counts it, says so in bounded
 * lines, and hears what is true as before. (What is believed of what can be read is another matter.)
 */
import { afterEach, beforeEach, expect, test } from 'vitest'
import { channelOf, hashKey, indexKey, OVERRIDES_KEY, proberChannel } from '../../../src/store/redis/keys.ts'
import { openRedisStore, type RedisStore } from '../../../src/store/redis/store.ts'
import { RedisServer } from '../../support/redis-server.ts'
import { vote } from '../../support/specs.ts'
import { until } from '../../support/until.ts'
import { identity, Listener } from '../store.suite.ts'

const LEASE_MS = 3000
const lines: string[] = []
let server: RedisServer
let store: RedisStore
beforeEach(async () => {
  lines.length = 0
  server = await RedisServer.start()
  store = openRedisStore(server.url(), { leaseMs: LEASE_MS, onRefused: (line) => lines.push(line) })
})
afterEach(async () => {
  await store.close()
  await server.stop()
})

const listening = async (): Promise<Listener> => {
  const listener = new Listener()
  await store.listen(listener, new AbortController().signal)
  return listener
}

test('no message on a channel is believed, whatever is in it: the next truth is heard', async () => {
  const heard = await listening()
  const hostile: readonly unknown[] = [
    ['p', 'x', 'b', 'r', '1', 'all', '', '', 't'],
    ['p', 'a', 'b', 'r', '1e15', 'all', '', '[1000000000000000,"c",0,0]', 't1', 'd.1000 1 down'],
    ['n', 'x', 'b', '', '1', 'beat', '', '[1]'],
    ['o', '', '', '{"pattern":null}'],
    ['f', 'a'],
    { length: 9 },
  ]
  const channels = [channelOf(0), proberChannel(0, 'a'), proberChannel(0, 'no name!'), proberChannel(0, '')]
  for (const channel of channels)
    for (const text of [...hostile.map((each) => JSON.stringify(each)), '', 'change', 'forgotten', 'overrides'])
      server.cli('publish', channel, text)
  await store.proberWriter(identity('a')).replace([vote('t1', 'up')])
  await until('the vote', () => heard.said.get('a')?.get('t1') === 'up')
  expect([...heard.said.keys()]).toEqual(['a'])
  expect(heard.lines.filter((line) => /forgotten|overrides some|down/.test(line))).toEqual([])
  expect(lines).toEqual([])
  expect(store.trouble).toBeUndefined()
})

/** With the lease that its poster would give it. */
function put(key: string, ...fields: string[]): void {
  server.cli('hset', key, ...fields)
  server.cli('pexpire', key, String(LEASE_MS))
}

test('hashes of others: names, votes and overrides that can’t be read are left out, each for itself', async () => {
  put(
    hashKey('prober', 'p1'),
    '@boot',
    'b',
    '@region',
    'eu',
    '@n',
    '1',
    '@beat',
    'x',
    't1',
    'u.1000 1 200',
    't2',
    'what',
  )
  put(hashKey('prober', 'p2'), '@boot', 'b', '@region', 'eu', '@n', '1e15', 't1', 'u.1000 1 200')
  put(hashKey('prober', 'p 3'), '@boot', 'b', '@region', 'eu', '@n', '1', 't1', 'u.1000 1 200')
  for (const name of ['p1', 'p2', 'p 3']) server.cli('zadd', indexKey('prober'), '1', name)
  const entry = { pattern: 'fra', action: 'drain', version: 1, node: 'n1', who: 'a', why: '', madeMs: 1, untilMs: null }
  put(OVERRIDES_KEY, '@rev', '1.1', 'fra', `1 ${JSON.stringify(entry)}`, 'iad', '1 {')
  const heard = await listening()
  expect([...(heard.said.get('p1')?.keys() ?? [])]).toEqual(['t1'])
  expect([...heard.said.keys()]).toEqual(['p1'])
  expect([...heard.overridden.keys()]).toEqual(['fra'])
  for (const kind of ['vote', 'heartbeat', 'override'] as const)
    expect(store.refusals.of(kind), kind).toBeGreaterThan(0)
  expect(store.refusals.of('head')).toBe(2)
})

test('messages of megabytes and hashes of a million fields are not taken in; connections and all else go on', async () => {
  const heard = await listening()
  const [a, b] = [store.proberWriter(identity('a')), store.proberWriter(identity('b'))]
  await a.replace([vote('t1', 'up')])
  const connections = () => /total_connections_received:(\d+)/.exec(server.cli('info', 'stats'))![1]!
  const before = Number(connections())
  server.cli('eval', `redis.call('publish', KEYS[1], string.rep('x', 3000000))`, '1', channelOf(0))
  const fill = `local t = {} for i = 1, 4000 do t[i] = i end
    for k = 1, 151 do t[1] = 'k' .. k for i = 3, 3999, 2 do t[i] = k .. '.' .. i end redis.call('hset', KEYS[1], unpack(t)) end`
  server.cli('eval', fill, '1', hashKey('prober', 'big'))
  put(hashKey('prober', 'big'), '@boot', 'b', '@region', 'eu', '@n', '7')
  server.cli('publish', proberChannel(0, 'big'), 'change')
  await until('both are dropped', () => store.refusals.of('oversized') >= 2)
  await Promise.all([a.change(vote('t1', 'down')), b.replace([vote('t2', 'up')])])
  await until('the votes of others', () => heard.said.get('a')?.get('t1') === 'down' && heard.said.has('b'))
  expect(heard.said.has('big')).toBe(false)
  expect(Number(connections()) - before).toBeLessThanOrEqual(6) // those of redis-cli
  expect(store.trouble).toBeUndefined()
})

test('a key of another type in the place of a prober’s hash is passed over, and others are heard', async () => {
  server.cli('set', hashKey('prober', 'odd'), 'text', 'px', String(LEASE_MS))
  server.cli('zadd', indexKey('prober'), '1', 'odd')
  const heard = await listening()
  await store.proberWriter(identity('a')).replace([vote('t1', 'up')])
  await until('the vote', () => heard.said.get('a')?.get('t1') === 'up')
  expect(store.refusals.of('oversized')).toBeGreaterThan(0)
  expect(store.trouble).toBeUndefined()
})
