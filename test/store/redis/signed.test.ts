/** redis.secret: what nobody with the secret has signed is not believed, whoever wrote it into Redis. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { recordOf } from '../../../src/health/override.ts'
import {
  FORGOTTEN_KEY,
  hashKey,
  OVERRIDES_KEY,
  proberChannel,
  ANNOUNCED_KEY,
  SENDINGS_KEY,
  TOLD_KEY,
} from '../../../src/store/redis/keys.ts'
import { Signer, Sum } from '../../../src/store/redis/signer.ts'
import { openRedisStore, type RedisStore } from '../../../src/store/redis/store.ts'
import { RedisServer } from '../../support/redis-server.ts'
import { vote } from '../../support/specs.ts'
import { until } from '../../support/until.ts'
import { beat, drain, identity, Listener, nodeBeat, storeSuite } from '../store.suite.ts'

/** Nobody falls silent while this machine does other things. */
const LEASE_MS = 3000
const SHORT_MS = 900
const [OLD, NEW] = ['an-old-secret-of-ours', 'the-new-secret-of-ours']

let server: RedisServer
beforeAll(async () => {
  server = await RedisServer.start()
})
afterAll(() => server.stop())
const ending: (() => Promise<void>)[] = []
beforeEach(() => void server.cli('flushall'))
afterEach(async () => {
  for (const end of ending.splice(0).toReversed()) await end()
})

function open(...secrets: string[]): RedisStore {
  const store = openRedisStore(server.url(), { leaseMs: LEASE_MS, secrets })
  ending.push(() => store.close())
  return store
}

async function listen(store: RedisStore): Promise<Listener> {
  const [listener, leaving] = [new Listener(), new AbortController()]
  ending.push(async () => leaving.abort())
  await store.listen(listener, leaving.signal)
  return listener
}

// oxlint-disable-next-line typescript/require-await
storeSuite('Redis, signed', SHORT_MS, async () => {
  server.cli('flushall')
  const store = openRedisStore(server.url(), { leaseMs: SHORT_MS, answerMs: 5_000, secrets: [NEW] })
  return { store, writer: (who) => store.proberWriter(who), close: () => store.close() }
})

/** A prober that is signed and lives. */
async function prober(name: string, ...secrets: string[]) {
  const writer = open(...secrets).proberWriter(identity(name))
  await writer.replace([vote('t1', 'up'), vote('t2', 'up')])
  let sequence = 0
  const say = () => void writer.heartbeat(beat(identity(name), ++sequence))
  const timer = setInterval(say, 300)
  ending.push(async () => clearInterval(timer))
  say()
  return writer
}

const key = hashKey('prober', 'a')
const hint = (): string => server.cli('publish', proberChannel(0, 'a'), 'change')

const publish = (text: string): string => server.cli('publish', proberChannel(0, 'a'), text)

const named = (listener: Listener): string => [...listener.said.keys()].toSorted().join(' ')

describe('with a secret', () => {
  test.each([
    ['a vote changed in its place', () => server.cli('hset', key, 't1', 'd.1000 1 forged', '@n', '9')],
    ['a vote taken away', () => server.cli('hdel', key, 't1')],
    ['another boot', () => server.cli('hset', key, '@boot', 'other')],
    ['a heartbeat', () => server.cli('hset', key, '@beat', '[999,"c",0,0]')],
    ['a line of the log', () => server.cli('hset', key, '@n', '2', '@log', '2 - ["t1","d.1000 1 forged"]\n')],
  ])('what is forged in a hash is refused, and told: %s', async (_, forge) => {
    const store = open(NEW)
    const heard = await listen(store)
    await open(NEW)
      .proberWriter(identity('a'))
      .replace([vote('t1', 'up'), vote('t2', 'up')])
    await until('its votes', () => heard.said.get('a')?.size === 2)
    forge()
    const late = open(NEW)
    const heardLate = await listen(late)
    hint()
    await until('refused', () => store.refusals.of('signature') > 0 || late.refusals.of('signature') > 0)
    expect(heard.said.get('a')).toEqual(new Map([['t1', 'up'], ['t2', 'up']])) // prettier-ignore
    expect(heard.lines.filter((line) => /down|999|other/.test(line))).toEqual([])
    expect(heardLate.said.has('a')).toBe(false)
  })

  test('a change that comes as a message is heard only if it is signed, for this boot and this n', async () => {
    const store = open(NEW)
    const heard = await listen(store)
    const writer = await prober('a', NEW)
    await until('its votes', () => heard.said.get('a')?.size === 2)
    const fields = ['t1', 'd.1000 1 200']
    const mac = (boot: string, n: number, name = 'a') => new Signer([NEW]).sign('change', [name, boot, n, fields])
    const line = (n: number, signature: string) => `${n} ${signature} ${JSON.stringify(fields)}`
    for (const [boot, n, signature] of [
      ['one', 2, '-'],
      ['one', 2, mac('two', 2)],
      ['one', 2, mac('one', 2, 'b')],
      ['two', 2, mac('two', 2)],
      ['one', 3, mac('one', 3)],
      ['one', 1, mac('one', 1)],
    ] as const)
      publish(`change ${boot} ${line(n, signature)}`)
    await until('three are refused', () => store.refusals.of('signature') === 3)
    const beats = heard.lines.length
    await until('it is heard further', () => heard.lines.length > beats + 1)
    expect(heard.said.get('a')).toEqual(new Map([['t1', 'up'], ['t2', 'up']])) // prettier-ignore
    publish(`change one ${line(2, mac('one', 2))}`)
    await until('the vote', () => heard.said.get('a')?.get('t1') === 'down')
    await until('the hash has no such change', () => heard.said.get('a')?.get('t1') === 'up')
    await writer.change(vote('t2', 'down'))
    await until('what is true', () => heard.said.get('a')?.get('t2') === 'down')
    expect(heard.said.get('a')?.get('t1')).toBe('up')
  })

  test('what another has signed is not its own: a hash copied to another name', async () => {
    await prober('a', NEW)
    const store = open(NEW)
    const heard = await listen(store)
    await until('its votes', () => heard.said.has('a'))
    server.cli('copy', key, hashKey('prober', 'b'))
    server.cli('publish', proberChannel(0, 'b'), 'change')
    await until('refused', () => store.refusals.of('signature') > 0)
    expect(heard.said.has('b')).toBe(false)
  })

  test('overrides, forgotten probers and nodes that nobody has signed are none', async () => {
    const store = open(NEW)
    const heard = await listen(store)
    await prober('a', NEW)
    await until('its votes', () => heard.said.has('a'))
    const entry = recordOf(drain('fra', 1))
    server.cli('hset', OVERRIDES_KEY, 'fra', `1 ${JSON.stringify(entry)}`, '@rev', '1.1')
    server.cli('hset', FORGOTTEN_KEY, 'gone', `${Date.now()} boot r1 `)
    await open().nodeWriter({ name: 'n9', bootId: 'one' }).heartbeat(nodeBeat('n9', 1))
    await until('both are refused', () => store.refusals.of('override') > 0 && store.refusals.of('forgotten') > 0)
    await until('the node is refused', () => store.refusals.of('signature') > 0)
    const writer = open(NEW).nodeWriter({ name: 'n1', bootId: 'one' })
    // an override is refused while its connection is not there yet
    const override = (): Promise<boolean> =>
      writer.override([drain('iad', 1)]).then(
        () => true,
        () => false,
      )
    await until('the override is written', override)
    await until('one that is signed', () => heard.overridden.has('iad'))
    expect(heard.overridden.has('fra')).toBe(false)
    const shift = { from: 1000, to: 300, overMs: 900_000 }
    await writer.override([drain('sin', 1, { action: 'shift', shift })])
    await until('a drain in part', () => heard.overridden.get('sin')?.shift?.to === 300)
    server.cli('hset', OVERRIDES_KEY, 'sin', server.cli('hget', OVERRIDES_KEY, 'sin').replace('"to":300', '"to":0'))
    const late = await listen(open(NEW))
    expect([late.overridden.has('iad'), late.overridden.has('sin')]).toEqual([true, false])
    expect(heard.lines.filter((line) => /gone forgotten|n9/.test(line))).toEqual([])
  })

  test('the secret is changed while all goes on; who has none hears everyone', async () => {
    const [both, swapped, none] = [open(OLD, NEW), open(NEW, OLD), open()]
    const listeners = [await listen(both), await listen(swapped), await listen(none)]
    const onlyNew = await listen(open(NEW))
    await prober('old', OLD)
    await prober('both', OLD, NEW)
    await prober('swapped', NEW, OLD)
    await prober('new', NEW)
    await prober('none')
    const signed = 'both new old swapped'
    await until('both secrets are in force', () => named(listeners[0]!) === signed && named(listeners[1]!) === signed)
    await until('who has no secret hears all', () => named(listeners[2]!) === 'both new none old swapped')
    await until('who has the new one hears those who sign with it', () => named(onlyNew) === 'new swapped')
  })
})

test('the sum follows changes: it is that of the whole, whatever the order', () => {
  const fields = Array.from({ length: 500 }, (_, i) => [`t${i}`, `u.1000 ${i} 200`])
  const sum = new Sum()
  for (const [field, value] of fields) sum.set(field!, value)
  expect(sum.text).toBe(Sum.of(fields.toReversed().flat()))
  sum.set('t7', 'd.1000 1 refused')
  sum.set('t8', undefined)
  const changed = fields.filter(([field]) => field !== 't8').map(([f, v]) => [f, f === 't7' ? 'd.1000 1 refused' : v])
  expect(sum.text).toBe(Sum.of(changed.flat().map(String)))
  expect(sum.text).not.toBe(Sum.of(fields.flat()))
})

test('a signature of one kind is none of another, and no prefix of one is', () => {
  const signer = new Signer([NEW])
  const mac = signer.sign('override', ['fra', 1])
  expect(signer.verify(mac, 'override', ['fra', 1])).toBe(true)
  expect(signer.verify(mac, 'forgotten', ['fra', 1])).toBe(false)
  for (const odd of ['', mac.slice(1), `${mac}a`]) expect(signer.verify(odd, 'override', ['fra', 1])).toBe(false)
  expect(new Signer([OLD]).verify(mac, 'override', ['fra', 1])).toBe(false)
  expect(new Signer().verify('', 'override', [])).toBe(true)
})

test('what receivers were told counts only if it is signed, and is written over if not', async () => {
  const [a, b] = [open(NEW), open(NEW)]
  const [one, two] = [a.sendingBoard({ name: 'n1', bootId: 'one' }), b.sendingBoard({ name: 'n2', bootId: 'two' })]
  const reached = () => Promise.all([one.sendings(['none']), two.sendings(['none'])]).catch(() => undefined)
  await until('both are connected', reached)
  const down = [{ about: 'x', state: 'down', ageMs: 0, sinceAgeMs: 60_000 }]
  server.cli('hset', TOLD_KEY, 'x', `${Date.now()} down forged -`)
  expect(await two.claim(undefined, down)).toEqual([undefined])
  expect(await one.claim('m', down)).toEqual(['m'])
  expect(await two.claim('other', down)).toEqual(['m'])
  server.cli('hset', SENDINGS_KEY, 'm', `${Date.now()} n1 one ops,chat -`)
  const seen = (await two.sendings(['m'])).get('m')!
  expect(seen).toMatchObject({ node: { name: '', bootId: '' }, done: [] })
  expect(await two.take('m', seen)).toBe(true)
  expect((await one.sendings(['m'])).get('m')).toMatchObject({ node: { name: 'n2', bootId: 'two' }, done: [] })
})

test('who is announced counts only if it is signed', async () => {
  const [a, b] = [open(NEW), open(NEW)]
  const [one, two] = [a.announceBoard({ name: 'n1', bootId: 'one' }), b.announceBoard({ name: 'n2', bootId: 'two' })]
  await until('both are connected', () => Promise.all([one.leave(), two.leave()]).catch(() => undefined))
  server.cli('hset', ANNOUNCED_KEY, 'n3', `${Date.now()} three -`)
  expect(await one.announced()).toBe(0)
  expect(await two.leave()).toBe(1)
  // nor as another node's
  const [, ...words] = server.cli('hget', ANNOUNCED_KEY, 'n1').trim().split(' ')
  server.cli('hset', ANNOUNCED_KEY, 'n4', [Date.now(), ...words].join(' '))
  expect(await two.leave()).toBe(1)
})
