/** Redis fails in every way: what was heard last stands, nothing goes down, trouble is told in a line, and all comes back. */
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { StoreSubscriber, ProberWriter, NodeWriter, ProberIdentity } from '../../../src/health/store.ts'
import { channelOf, FORGOTTEN_KEY, hashKey, indexKey, OVERRIDES_KEY } from '../../../src/store/redis/keys.ts'
import { openRedisStore, type RedisStore, type RedisStoreSettings } from '../../../src/store/redis/store.ts'
import { countWaits } from '../../support/cpu.ts'
import { RedisServer } from '../../support/redis-server.ts'
import { vote } from '../../support/specs.ts'
import { until } from '../../support/until.ts'
import { beat, drain, identity, Listener, nodeBeat } from '../store.suite.ts'

const LEASE_MS = 600
const HEARTBEAT_MS = LEASE_MS / 3

/** Of a read; below what a heartbeat would take to show what was missed. */
const HELD_MS = 300

let server: RedisServer
const ending: (() => void | Promise<void>)[] = []
beforeEach(async () => {
  server = await RedisServer.start()
  ending.push(() => server.stop())
})
afterEach(async () => {
  for (const end of ending.splice(0).toReversed()) await end()
})

function open(settings: RedisStoreSettings = {}, url = server.url()): RedisStore {
  const store = openRedisStore(url, { leaseMs: LEASE_MS, ...settings })
  ending.push(() => store.close())
  return store
}

async function listen(store: RedisStore): Promise<Listener> {
  const listener = new Listener()
  const leaving = new AbortController()
  ending.push(() => leaving.abort())
  await store.listen(listener, leaving.signal)
  return listener
}

/** Says its heartbeats until the test ends, as a prober does; returns its way to fall silent. */
function beating(writer: ProberWriter, prober: ProberIdentity): () => void {
  let sequence = 0
  const timer = setInterval(() => void writer.heartbeat(beat(prober, ++sequence)), HEARTBEAT_MS)
  ending.push(() => clearInterval(timer))
  void writer.heartbeat(beat(prober, ++sequence))
  return () => clearInterval(timer)
}

function beatingNode(writer: NodeWriter, name: string): void {
  let sequence = 0
  const timer = setInterval(() => void writer.heartbeat(nodeBeat(name, ++sequence)), HEARTBEAT_MS)
  ending.push(() => clearInterval(timer))
  void writer.heartbeat(nodeBeat(name, ++sequence))
}

/** A prober with two votes, and a node elsewhere that has heard them. */
async function scene(settings: RedisStoreSettings = {}) {
  const troubles: (string | undefined)[] = []
  const store = open({ ...settings, onTrouble: (trouble) => troubles.push(trouble) })
  const a = identity('a')
  const writer = store.proberWriter(a)
  await writer.replace([vote('t1', 'up'), vote('t2', 'up')])
  const silence = beating(writer, a)
  const far = open(settings)
  const heard = await listen(far)
  await until('its votes', () => heard.said.get('a')?.size === 2)
  return { store, writer, a, far, heard, troubles, silence }
}

/**
 * A way to the server. mute() lets nothing more through to whoever has subscribed by then, and ends nothing; swallow() ends the
 * connection on which the next script is called, before the server has seen the call. The whole hash of a prober `slow` comes
 * HELD_MS late.
 */
async function muting(to: RedisServer) {
  const subscribed = new Set<Socket>()
  const all = new Set<Socket>()
  let swallows = false
  let held = 0
  const host = `${to.host.slice(0, to.host.lastIndexOf('.'))}.254`
  const proxy = createServer((client) => {
    const upstream = connect({ host: to.host, port: to.port })
    client.on('data', (data) => {
      if (data.includes('subscribe')) subscribed.add(client)
      if (data.includes(hashKey('prober', 'slow')) && data.includes('hgetall')) {
        held++
        upstream.pause()
        setTimeout(() => upstream.resume(), HELD_MS)
      }
      if (!swallows || !data.includes('evalsha')) return upstream.write(data)
      swallows = false
      return client.destroy()
    })
    upstream.pipe(client)
    for (const socket of [client, upstream]) socket.on('error', () => {})
    client.on('close', () => upstream.destroy())
    upstream.on('close', () => client.destroy())
    client.on('mute', () => upstream.unpipe(client).resume())
    client.on('vanish', () => client.removeAllListeners('data').on('data', () => {}))
    all.add(client)
  })
  proxy.listen(to.port, host)
  await once(proxy, 'listening')
  ending.push(() => void proxy.close())
  return {
    address: `${host}:${to.port}`,
    /** As when its host loses its power: nothing comes any more of whoever is connected, nothing reaches it, nothing ends. */
    vanish: () => {
      for (const socket of all) {
        socket.emit('mute')
        socket.emit('vanish')
      }
    },
    mute: () => subscribed.forEach((socket) => socket.emit('mute')),
    swallow: () => void (swallows = true),
    held: () => held,
  }
}

/** A request to forget a prober that was heard under the boot `one`. */
function forget(name: string, id: string): void {
  server.cli('hset', FORGOTTEN_KEY, name, `${Date.now()} one ${id} `)
  server.cli('publish', channelOf(0), 'forgotten')
}

function cutSubscriptions(): void {
  for (const line of server.cli('client', 'list', 'type', 'pubsub').split('\n'))
    if (line !== '') server.cli('client', 'kill', 'id', /id=(\d+)/.exec(line)![1]!)
}

const troubleOf = async (url: string, form: RegExp) => {
  const store = open({}, url)
  await until(String(form), () => form.test(store.trouble ?? '')).catch((error: unknown) => {
    throw new Error(`${String(error)}; it says: ${store.trouble}`)
  })
  expect(store.trouble).toContain(new URL(url).host)
  expect(store.trouble).not.toContain('secret')
  return store
}

describe('Redis', () => {
  test('killed: votes stand, silence is noticed, trouble is told; restarted empty: all is written again', async () => {
    const { store, writer, heard, troubles } = await scene()
    await server.kill()
    await until('silence', () => heard.lines.includes('a/one gone'), LEASE_MS + 2000, countWaits())
    await until('the trouble', () => /refuses connections: is it running/.test(store.trouble ?? ''))
    expect(heard.said.get('a')).toEqual(
      new Map([
        ['t1', 'up'],
        ['t2', 'up'],
      ]),
    )
    await writer.change(vote('t2', 'down')) // nobody waits for a Redis that is away
    await writer.retire(['t1'])
    await server.start()
    await until('what was said meanwhile', () => heard.said.get('a')?.get('t2') === 'down')
    expect([...heard.said.get('a')!.keys()]).toEqual(['t2'])
    await until('no trouble', () => store.trouble === undefined)
    expect(troubles.at(-1)).toBeUndefined()
    expect(troubles.join()).not.toContain('TLS') // it spoke with us before
    expect(troubles.slice(1).filter((trouble, i) => trouble === troubles[i])).toEqual([])
  })

  test('frozen and thawed: silence, no votes lost, no vote from the past', async () => {
    const { store, writer, far, heard } = await scene({ silentMs: 2_000 })
    server.freeze()
    await until('silence', () => heard.lines.includes('a/one gone'), LEASE_MS + 2000, countWaits())
    await until('trouble of who speaks', () => /does not answer/.test(store.trouble ?? ''))
    await until('trouble of who listens', () => /does not answer/.test(far.trouble ?? ''))
    for (const value of ['down', 'up', 'down'] as const) await writer.change(vote('t1', value))
    server.thaw()
    await until('the last word', () => heard.said.get('a')?.get('t1') === 'down')
    await until('no trouble', () => store.trouble === undefined && far.trouble === undefined)
    const beats = heard.lines.filter((line) => line.includes('/one beat')).map((line) => Number(line.split(' ')[2]))
    expect(beats).toEqual(beats.toSorted((x, y) => x - y))
    expect([...heard.said.get('a')!]).toEqual([
      ['t1', 'down'],
      ['t2', 'up'],
    ])
  })

  test('frozen for long: one line, however often the connection is made anew', async () => {
    const { troubles } = await scene()
    server.freeze()
    const begunMs = performance.now()
    await until('connections made anew', () => performance.now() - begunMs > 6000)
    server.thaw()
    expect(troubles.slice(-1)).toEqual([expect.stringContaining('does not answer')])
    expect(troubles.filter((trouble) => trouble !== undefined)).toHaveLength(1)
  })

  test('flushed: votes, known members and overrides are back within a heartbeat, and nobody was gone', async () => {
    const { store, heard } = await scene()
    const node = store.nodeWriter({ name: 'n1', bootId: 'one' })
    beatingNode(node, 'n1')
    await node.writeMembers(new Map([['fra/web/192.0.2.1', { verdict: 'down', proven: ['t1', 't2'] }]]))
    await node.override([drain('fra', 7)])
    await until('the override', () => heard.overridden.has('fra'))
    heard.lines.length = 0
    server.cli('flushall')
    await until('all is back', () => server.cli('exists', hashKey('prober', 'a'), OVERRIDES_KEY) === '2')
    await until('its votes', () => heard.lines.includes('a/one all t1 up t2 up'))
    const other = open()
    await until('another node', () => other.trouble === undefined)
    expect(await other.readMembers()).toEqual([
      new Map([['fra/web/192.0.2.1', { verdict: 'down', proven: ['t1', 't2'] }]]),
    ])
    expect((await listen(other)).overridden.get('fra')).toEqual(drain('fra', 7))
    expect(heard.lines.filter((line) => line.endsWith('gone'))).toEqual([])
  })

  test('a lost change shows at the next heartbeat', async () => {
    const { writer, heard } = await scene()
    // As if the notice had been lost on its way: the hash moves on, and nobody is told.
    const n = Number(server.cli('hget', hashKey('prober', 'a'), '@n'))
    server.cli('hset', hashKey('prober', 'a'), 't9', 'd.1000 1 timeout', '@n', String(n + 1))
    await until('seen', () => heard.said.get('a')?.has('t9') === true || server.cli('hget', hashKey('prober', 'a'), '@n') !== String(n + 1)) // prettier-ignore
    await writer.change(vote('t1', 'down'))
    await until('heard', () => heard.said.get('a')?.get('t1') === 'down')
    await until('what the prober never said is gone', () => heard.said.get('a')?.has('t9') === false)
    await until('there too', () => server.cli('hexists', hashKey('prober', 'a'), 't9') === '0')
  })

  test('a change made while the subscription was cut is heard', async () => {
    const { writer, heard, far } = await scene()
    const node = far.nodeWriter({ name: 'n9', bootId: 'one' })
    beatingNode(node, 'n9') // an override that Redis did not take in time is tried again at a heartbeat
    for (const [i, value] of (['down', 'up', 'down', 'abstain'] as const).entries()) {
      cutSubscriptions()
      await writer.change(vote('t1', value))
      await node.override([drain(`site${i}`, 1)])
      await until(`t1 is ${value}`, () => heard.said.get('a')?.get('t1') === value)
      await until('the override', () => heard.overridden.has(`site${i}`))
    }
    expect(heard.lines.filter((line) => line.endsWith('gone'))).toEqual([])
  })

  test.each(['with a node of its own', 'without'])(
    'a subscription that is dead without a word is made anew, %s',
    async (own) => {
      const { writer } = await scene()
      const proxy = await muting(server)
      const store = open({}, `redis://${proxy.address}`)
      const heard = await listen(store)
      if (own !== 'without') beatingNode(store.nodeWriter({ name: 'n1', bootId: 'one' }), 'n1')
      await until('its votes', () => heard.said.get('a')?.size === 2)
      proxy.mute()
      await writer.change(vote('t2', 'down'))
      await until('heard again', () => heard.said.get('a')?.get('t2') === 'down')
      await until('no trouble', () => store.trouble === undefined)
    },
  )

  test('all connections to a host that is gone without a word are made anew, the one that reads too', async () => {
    const { store: near } = await scene()
    const proxy = await muting(server)
    const store = open({ silentMs: 400 }, `redis://${proxy.address}`)
    const heard = await listen(store)
    beatingNode(store.nodeWriter({ name: 'n1', bootId: 'one' }), 'n1')
    proxy.vanish()
    const large = Array.from({ length: 300 }, (_, i) => vote(`t${i}`, 'up'))
    const b = near.proberWriter(identity('b'))
    await b.replace(large)
    beating(b, identity('b'))
    await until('a hash that is read', () => heard.said.get('b')?.size === 300)
    await until('no trouble', () => store.trouble === undefined)
  })

  test('a call that was lost on its way is made good', async () => {
    const proxy = await muting(server)
    const store = open({}, `redis://${proxy.address}`)
    const heard = await listen(open())
    const writer = store.proberWriter(identity('b'))
    await writer.replace([vote('t1', 'up'), vote('t2', 'up')])
    await until('its votes', () => heard.said.get('b')?.size === 2)
    proxy.swallow()
    await writer.change(vote('t1', 'down'))
    beating(writer, identity('b'))
    await until('heard', () => heard.said.get('b')?.get('t1') === 'down')
    expect(heard.said.get('b')?.get('t2')).toBe('up')
  })

  test('who was there and is silent is told to whoever comes later, until it is forgotten', async () => {
    const { heard } = await scene()
    const gone = open()
    await gone.proberWriter(identity('gone')).replace([vote('t1', 'up')])
    await until('its silence', () => heard.lines.includes('gone/one gone'), 8 * LEASE_MS, countWaits())
    const absentOf = async () => {
      const absent: [string, number][] = []
      const leaving = new AbortController()
      const subscriber: StoreSubscriber = {
        votes() {},
        retired() {},
        heartbeat() {},
        gone() {},
        absent: (...said) => absent.push(said),
      }
      await open().listen(subscriber, leaving.signal)
      leaving.abort()
      return absent
    }
    expect(await absentOf()).toEqual([['gone', expect.any(Number)]])
    expect((await absentOf())[0]![1]).toBeGreaterThan(LEASE_MS / 2)
    const teller = open()
    await listen(teller)
    await teller.nodeWriter({ name: 'n1', bootId: 'one' }).forget({ kind: 'prober', name: 'gone' }, 'r1')
    expect(await absentOf()).toEqual([])
  })

  test('a request to forget means whatever boot each has heard last, but none that came back later', async () => {
    const { heard } = await scene()
    await open().proberWriter(identity('gone', 'two')).replace([])
    await until('its silence', () => heard.lines.includes('gone/two gone'), 8 * LEASE_MS, countWaits())
    forget('gone', 'r1')
    await until('it is forgotten', () => heard.lines.includes('gone forgotten'))
    // who hears of a boot later than of the request
    forget('back', 'r2')
    await until('it is read', () => heard.lines.includes('back forgotten'))
    await open().proberWriter(identity('back', 'two')).replace([])
    await until('its silence', () => heard.lines.includes('back/two gone'), 8 * LEASE_MS, countWaits())
    forget('other', 'r3')
    await until('the next request', () => heard.lines.includes('other forgotten'))
    expect(heard.lines.filter((line) => line === 'back forgotten')).toHaveLength(1)
  })

  test('what an operator says while Redis is away reaches everyone with a later heartbeat', async () => {
    const { store, heard } = await scene()
    await server.kill()
    await until('the trouble', () => /refuses connections/.test(store.trouble ?? ''))
    const node = store.nodeWriter({ name: 'n1', bootId: 'one' })
    await expect(node.override([drain('fra', 1)])).rejects.toThrow(/refuses connections/)
    await expect(node.forget({ kind: 'prober', name: 'gone' }, 'r1')).rejects.toThrow(/refuses connections/)
    await server.start()
    beatingNode(node, 'n1')
    // two connections are made anew, each up to 2 s after the last try
    await until('both', () => heard.overridden.has('fra') && heard.lines.includes('gone forgotten'))
  })

  test('a boot that has long fallen silent says nothing any more when Redis is back', async () => {
    const store = open()
    const heard = await listen(store)
    const writer = store.proberWriter(identity('over'))
    await writer.replace([vote('t1', 'up')])
    await server.kill()
    await until('the trouble', () => /refuses connections/.test(store.trouble ?? ''))
    await writer.change(vote('t1', 'down'))
    const silentMs = performance.now()
    await until('a lease of silence', () => performance.now() > silentMs + LEASE_MS)
    await server.start()
    await until('Redis', () => store.trouble === undefined)
    await store.proberWriter(identity('lives')).replace([])
    await until('who lives', () => heard.lines.includes('lives/one all'))
    await until('it is in the index', () => server.cli('zrange', indexKey('prober'), '0', '-1') === 'lives')
    expect(server.cli('exists', hashKey('prober', 'over'))).toBe('0')
  })

  test('what an ended boot still says is not heard, though a Redis that was flushed takes it', async () => {
    const heard = await listen(open({ leaseMs: 3000 }))
    const [one, two] = (['one', 'two'] as const).map((boot) =>
      open({ leaseMs: 3000 }).proberWriter(identity('a', boot)),
    )
    await one!.replace([vote('t1', 'up')])
    await until('the first boot', () => heard.lines.includes('a/one all t1 up'))
    await two!.replace([vote('t1', 'up')])
    await until('the second boot', () => heard.lines.includes('a/two all t1 up'))
    server.cli('flushall')
    await one!.change(vote('t1', 'down'))
    await one!.heartbeat(beat(identity('a', 'one'), 1))
    expect(server.cli('hget', hashKey('prober', 'a'), '@boot')).toBe('one')
    await open({ leaseMs: 3000 }).proberWriter(identity('b')).replace([]) // heard after it
    await until('what came later', () => heard.lines.includes('b/one all'))
    await two!.heartbeat(beat(identity('a', 'two'), 2))
    await until('the last', () => heard.lines.includes('a/two beat 2'))
    expect(heard.lines.filter((line) => line.startsWith('a/one'))).toHaveLength(1)
    expect(heard.said.get('a')?.get('t1')).toBe('up')
  })

  test('flushed, overrides of a node that is gone are told to be gone: who has them can put them up again', async () => {
    const [gone, stays] = [open(), open()]
    const heard = await listen(stays)
    await gone.nodeWriter({ name: 'n1', bootId: 'one' }).override([drain('fra', 1)])
    await until('the override', () => heard.overridden.has('fra'))
    await gone.close()
    beatingNode(stays.nodeWriter({ name: 'n2', bootId: 'one' }), 'n2')
    await until('a beat', () => heard.lines.some((line) => line.startsWith('node n2/one beat')))
    server.cli('flushall')
    await until('told', () => heard.overrideLines.at(-1) === 'overrides all')
  })

  test('what is said during a read is heard after it', async () => {
    const patient = { leaseMs: 30_000 } // nothing beats here
    const proxy = await muting(server)
    const heard = await listen(open(patient, `redis://${proxy.address}`))
    await open(patient).proberWriter(identity('first')).replace([])
    await until('Redis has the scripts', () => heard.said.has('first'))
    const writer = open(patient).proberWriter(identity('slow')) // without heartbeats
    await writer.replace(Array.from({ length: 300 }, (_, i) => vote(`t${i}`, 'up')))
    await until('the read', () => proxy.held() > 0)
    await writer.change(vote('t0', 'down'))
    await writer.retire(['t1'])
    await until('the change', () => heard.said.get('slow')?.get('t0') === 'down')
    await until('the retirement', () => heard.said.get('slow')?.size === 299)
    expect(proxy.held()).toBe(1)
  })

  test('more than 200 votes are read after a notice, and changes that come meanwhile are not lost', async () => {
    const patient = { leaseMs: 30_000 }
    const store = open(patient)
    const [heard, second] = [await listen(open(patient)), await listen(store)]
    const writer = store.proberWriter(identity('a')) // without heartbeats, which would show what was missed
    const targets = Array.from({ length: 3000 }, (_, i) => `big${i}`)
    const whole = writer.replace(targets.map((target) => vote(target, 'up')))
    const changes = targets.slice(0, 50).map((target, i) => writer.change(vote(target, i % 2 ? 'down' : 'abstain')))
    await Promise.all([whole, ...changes])
    for (const target of targets.slice(50, 100)) await writer.change(vote(target, 'down'))
    await writer.retire(targets.slice(100, 200))
    const expected = new Map<string, string>()
    for (const [i, target] of targets.entries()) {
      if (i >= 200) expected.set(target, 'up')
      else if (i < 50) expected.set(target, i % 2 ? 'down' : 'abstain')
      else if (i < 100) expected.set(target, 'down')
    }
    for (const listener of [heard, second])
      await until('all', () => listener.said.get('a')?.size === 2900 && listener.said.get('a')?.get('big99') === 'down')
    expect(heard.said.get('a')).toEqual(expected)
    expect(second.said.get('a')).toEqual(expected)
  })

  test('two with one name: only the later is heard, both are told, and it ends with either', async () => {
    const { store, heard, silence } = await scene()
    const rival = open()
    const young = identity('a', 'two')
    const writer = rival.proberWriter(young)
    await writer.replace([vote('t1', 'down')])
    const silenceYoung = beating(writer, young)
    const line = /two probers call themselves a, .*give each its own node\.name/
    await until(
      'both know',
      () => line.test(store.trouble ?? '') && line.test(rival.trouble ?? ''),
      8 * LEASE_MS,
      countWaits(),
    )
    expect([...heard.said.get('a')!]).toEqual([['t1', 'down']])
    silenceYoung()
    await until('over', () => store.trouble === undefined && rival.trouble === undefined, 8 * LEASE_MS, countWaits())
    await until('the first is heard again', () => heard.said.get('a')?.size === 2)
    silence()
  })

  test('a node beside its successor is no trouble while an operator looks, and trouble when both stay', async () => {
    const leaseMs = 150
    const troubles: (string | undefined)[] = []
    const onTrouble = (trouble: string | undefined) => troubles.push(trouble)
    const [old, next] = [open({ leaseMs, onTrouble }), open({ leaseMs, onTrouble })]
    let sequence = 0
    const writers = [old, next].map((store, i) => store.nodeWriter({ name: 'n', bootId: `boot ${i}` }))
    const timer = setInterval(() => {
      sequence++
      writers.forEach(
        (writer, i) => void writer.heartbeat({ ...nodeBeat('n', sequence), node: { name: 'n', bootId: `boot ${i}` } }),
      )
    }, leaseMs / 3)
    ending.push(() => clearInterval(timer))
    const begunMs = performance.now()
    await until('it is told', () => troubles.some((trouble) => /two nodes call themselves n/.test(trouble ?? '')))
    expect(performance.now() - begunMs).toBeGreaterThan(15 * leaseMs)
  })

  test('a successor of the same name is no trouble', async () => {
    const { store, silence } = await scene()
    const next = open()
    await until('it is connected', () => next.trouble === undefined)
    const writer = next.proberWriter(identity('a', 'two'))
    await writer.replace([])
    beating(writer, identity('a', 'two'))
    const told: string[] = []
    const endMs = performance.now() + LEASE_MS
    setTimeout(silence, LEASE_MS / 2)
    await until('two leases', () => {
      for (const each of [store, next]) if (each.trouble !== undefined) told.push(each.trouble)
      return performance.now() > endMs + LEASE_MS
    })
    expect(told).toEqual([])
  })
})

describe('one line each', () => {
  test('a wrong password, none at all, and an unknown user', async () => {
    server.cli('config', 'set', 'requirepass', 'right')
    await troubleOf(server.url(':secret'), /refuses the password of user default: correct the setting `redis`/)
    await troubleOf(server.url(), /wants a password: write it into the setting `redis`/)
    await troubleOf(server.url('fra:secret'), /refuses the password of user fra/)
  })

  test('a user without permissions', async () => {
    server.cli('acl', 'setuser', 'fra', 'on', '>secret', '+info', '~*', '&*')
    const store = await troubleOf(
      server.url('fra:secret'),
      /forbids user fra what is needed: .*(subscribe|hget|zrange).*ACL/,
    )
    server.cli('acl', 'setuser', 'fra', '+@all')
    await until('it heals by itself', () => store.trouble === undefined)
  })

  test('a user who may do one thing and not another: one line, and one when it is over', async () => {
    server.cli('acl', 'setuser', 'fra', 'on', '>secret', '+@all', '~{meridian}:node*', '~{meridian}:overrides', '&*')
    const troubles: (string | undefined)[] = []
    const store = open({ onTrouble: (trouble) => troubles.push(trouble) }, server.url('fra:secret'))
    const a = identity('a')
    const node = store.nodeWriter({ name: 'n', bootId: 'boot-n' })
    beatingNode(node, 'n')
    beating(store.proberWriter(a), a)
    let refusals = 0
    const refused = () =>
      Number(/cmdstat_evalsha:.*rejected_calls=(\d+)/.exec(server.cli('info', 'commandstats'))?.[1] ?? 0)
    await until(`many refusals, not ${refusals}`, () => (refusals = refused()) >= 5)
    expect(troubles).toEqual([expect.stringContaining('forbids user fra what is needed')])
    server.cli('acl', 'setuser', 'fra', '~*')
    await until('it heals by itself', () => store.trouble === undefined)
    expect(troubles).toHaveLength(2)
  })

  test('no memory left', async () => {
    const { writer, store } = await scene()
    server.cli('config', 'set', 'maxmemory', '1')
    await writer.change(vote('t1', 'down'))
    await until('OOM', () => /has no memory left: raise its maxmemory/.test(store.trouble ?? ''))
    server.cli('config', 'set', 'maxmemory', '0')
    await until('it heals by itself', () => store.trouble === undefined)
  })

  test('a read-only replica', async () => {
    const { writer, store } = await scene()
    server.cli('replicaof', '127.0.0.1', '1')
    await writer.change(vote('t1', 'down'))
    await until('READONLY', () => /is a read-only replica/.test(store.trouble ?? ''))
    server.cli('replicaof', 'no', 'one')
    await until('it heals by itself', () => store.trouble === undefined)
  })

  test('a server that is too old', async () => {
    const old = createServer((socket) => {
      socket.on('error', () => {})
      socket.on('data', (data) => {
        for (const [, name] of data.toString().matchAll(/\*\d+\r\n\$\d+\r\n(\w+)\r\n/g)) {
          const info = 'redis_version:5.0.3\r\nloading:0\r\n'
          if (name!.toLowerCase() === 'info') socket.write(`$${info.length}\r\n${info}\r\n`)
          else socket.write(`-ERR unknown command \`${name}\`, with args beginning with: \r\n`)
        }
      })
    })
    old.listen(server.port + 1, server.host)
    await once(old, 'listening')
    ending.push(() => void old.close())
    const store = await troubleOf(
      `redis://${server.host}:${server.port + 1}`,
      /Redis 5\.0\.3 is too old: 6\.2 or newer is needed/,
    )
    const writer = store.proberWriter(identity('a'))
    await writer.replace([vote('t1', 'up')]) // and nobody waits for it
  })

  test('a read-only replica: one line with its reason, though the connection is made anew with each heartbeat', async () => {
    server.cli('replicaof', '127.0.0.1', '1')
    const troubles: (string | undefined)[] = []
    const store = open({ onTrouble: (trouble) => troubles.push(trouble) })
    beatingNode(store.nodeWriter({ name: 'n', bootId: 'boot-n' }), 'n')
    const connections = () => Number(/total_connections_received:(\d+)/.exec(server.cli('info', 'stats'))![1])
    const before = connections()
    await until('connections made anew', () => connections() > before + 50) // one is of redis-cli each time
    expect(troubles).toEqual([expect.stringContaining('is a read-only replica')])
  })

  test('a database that is not there is no other one', async () => {
    const store = await troubleOf(server.url('', 99), /has no database 99/)
    const writer = store.nodeWriter({ name: 'n', bootId: 'boot-n' })
    beatingNode(writer, 'n')
    const begunMs = performance.now()
    await until('some tries', () => performance.now() - begunMs > 2500)
    expect(store.trouble).toContain('has no database 99')
    expect(server.cli('dbsize')).toBe('0')
  })

  test('another program, and a server that is no cluster', async () => {
    const other = createServer((socket) => socket.on('error', () => {}).end('HTTP/1.1 400 Bad Request\r\n\r\n'))
    other.listen(server.port + 2, server.host)
    await once(other, 'listening')
    ending.push(() => void other.close())
    await troubleOf(`redis://${server.host}:${server.port + 2}`, /does not speak Redis's protocol/)
    await troubleOf(server.url().replace('redis:', 'redis+cluster:'), /is no cluster: write redis:/)
  })

  test('no server, and a name that is none', async () => {
    await troubleOf(`redis://${server.host}:1`, /refuses connections: is it running, and is this its address\?/)
    await troubleOf('redis://no.such.host.invalid:6379', /can't be found: its name has no address here/)
  })

  test('whoever listens while Redis is away goes on within two seconds, and hears all when it comes', async () => {
    await server.kill()
    const store = open()
    const startMs = performance.now()
    const waits = countWaits()
    const listener = await listen(store)
    expect(performance.now() - startMs).toBeLessThan(3500 + waits())
    const writer = store.proberWriter(identity('a'))
    await writer.replace([vote('t1', 'up')])
    beating(writer, identity('a'))
    await server.start()
    await until('heard', () => listener.said.get('a')?.get('t1') === 'up')
  })
})
