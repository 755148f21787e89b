/**
 * The Store contract: what every form of it must do. Each form's test calls storeSuite with a way to make one; `lease` is
 * the time after which silence is noticed, made short.
 */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Override } from '../../src/health/override.ts'
import type {
  AnnounceBoard,
  StoreSubscriber,
  ProberWriter,
  Heartbeat,
  NodeHeartbeat,
  NodeIdentity,
  ProberIdentity,
  NodeStore,
  ProcessName,
  Sighting,
} from '../../src/health/store.ts'
import type { Vote } from '../../src/health/vote.ts'
import { countWaits } from '../support/cpu.ts'
import { vote } from '../support/specs.ts'
import { until } from '../support/until.ts'

export interface StoreForm {
  readonly store: NodeStore
  /** A prober's side, as it is made where the prober lives. */
  writer(prober: ProberIdentity): ProberWriter
  close(): Promise<void>
}

/** Without its age, which is measured anew on each way. */
const ageless = (entry: Override): Override => ({ ...entry, setMs: 0 })

/** Keeps what it hears as text lines, and what is being said now. */
export class Listener implements StoreSubscriber {
  readonly lines: string[] = []
  readonly said = new Map<string, Map<string, string>>()
  /** Overrides that were told, by pattern. */
  readonly overridden = new Map<string, Override>()
  last: Vote | undefined

  votes(prober: ProberIdentity, votes: readonly Vote[], whole: boolean): void {
    this.last = votes.at(-1) ?? this.last
    const now = (whole ? undefined : this.said.get(prober.name)) ?? new Map<string, string>()
    for (const { target, value } of votes) now.set(target, value)
    this.said.set(prober.name, now)
    const list = votes.map(({ target, value }) => ` ${target} ${value}`).join('')
    this.lines.push(`${prober.name}/${prober.bootId} ${whole ? 'all' : 'some'}${list}`)
  }
  retired(prober: ProberIdentity, targets: readonly string[]): void {
    for (const target of targets) this.said.get(prober.name)?.delete(target)
    this.lines.push(`${prober.name}/${prober.bootId} retired ${targets.join(' ')}`)
  }
  heartbeat({ prober, sequence }: Heartbeat): void {
    this.lines.push(`${prober.name}/${prober.bootId} beat ${sequence}`)
  }
  gone(prober: ProberIdentity): void {
    this.lines.push(`${prober.name}/${prober.bootId} gone`)
  }
  node({ node, sequence, verdicts }: NodeHeartbeat): void {
    this.lines.push(`node ${node.name}/${node.bootId} beat ${sequence} ${verdicts}`)
  }
  nodeGone(node: NodeIdentity): void {
    this.lines.push(`node ${node.name}/${node.bootId} gone`)
  }
  overrides(entries: readonly Override[], whole: boolean): void {
    if (whole) this.overridden.clear()
    for (const entry of entries) this.overridden.set(entry.pattern, ageless(entry))
    const list = entries
      .map(({ pattern, action, version }) => ` ${pattern} ${action} ${version}`)
      .toSorted()
      .join('')
    this.lines.push(`overrides ${whole ? 'all' : 'some'}${list}`)
  }
  forgotten(news: readonly ProcessName[]): void {
    for (const { kind, name } of news) this.lines.push(`${kind === 'node' ? 'node ' : ''}${name} forgotten`)
  }
  /** The lines about overrides. */
  get overrideLines(): string[] {
    return this.lines.filter((line) => line.startsWith('overrides'))
  }
  /** The lines about probers. */
  get proberLines(): string[] {
    return this.lines.filter((line) => line.includes('/') && !line.startsWith('node') && !line.startsWith('overrides'))
  }
}

export const identity = (name: string, bootId = 'one'): ProberIdentity => ({ name, region: 'eu', bootId })

export const nodeBeat = (name: string, sequence: number, more: Partial<NodeHeartbeat> = {}): NodeHeartbeat => ({
  node: { name, bootId: 'one' },
  sequence,
  version: '0.1.0',
  view: 'v',
  plan: 'p',
  verdicts: 'h',
  ...more,
})

export const drain = (pattern: string, version: number, more: Partial<Override> = {}): Override => ({
  pattern,
  action: 'drain',
  version,
  node: 'n1',
  who: 'ann',
  why: 'rack "B" moves, früh',
  madeMs: 1,
  forMs: null,
  setMs: 0,
  ...more,
})

export const beat = (prober: ProberIdentity, sequence: number): Heartbeat => ({
  prober,
  sequence,
  configHash: 'c',
  overdue: 0,
  overdueAgeMs: 0,
})

const sighting = (about: string, state: string, ageMs: number, sinceAgeMs: number | null = 60_000): Sighting => ({
  about,
  state,
  ageMs,
  sinceAgeMs,
})

export function storeSuite(form: string, lease: number, make: () => Promise<StoreForm>): void {
  describe(`the store in its form ${form}`, () => {
    let made: StoreForm
    const ending = new AbortController()
    beforeEach(async () => {
      made = await make()
    })
    afterEach(() => made.close())
    const listen = async () => {
      const listener = new Listener()
      await made.store.listen(listener, ending.signal)
      return listener
    }

    test('what a prober says is heard in its order', async () => {
      const listener = await listen()
      const a = identity('a')
      const writer = made.writer(a)
      const said: string[] = []
      const isHeard = async (line: string) => {
        said.push(line)
        await until(line, () => listener.proberLines.includes(line))
      }
      await writer.replace([vote('t1', 'up'), vote('t2', 'down')])
      await isHeard('a/one all t1 up t2 down')
      await writer.heartbeat(beat(a, 1))
      await isHeard('a/one beat 1')
      await writer.change(vote('t1', 'down'))
      await isHeard('a/one some t1 down')
      await writer.retire(['t2'])
      await isHeard('a/one retired t2')
      await writer.heartbeat(beat(a, 2))
      await isHeard('a/one beat 2')
      expect(listener.proberLines).toEqual(said)
    })

    test('what is said faster than it is heard comes together: the last of it counts', async () => {
      const listener = await listen()
      const a = identity('a')
      const writer = made.writer(a)
      await writer.replace([vote('t1', 'up'), vote('t2', 'up')])
      for (let i = 1; i <= 40; i++) {
        await writer.change(vote('t1', i % 2 ? 'down' : 'up'))
        await writer.heartbeat(beat(a, i))
      }
      await writer.retire(['t2'])
      await until('the last beat', () => listener.lines.includes('a/one beat 40'))
      await until('the last change', () => listener.said.get('a')?.size === 1)
      expect(listener.said.get('a')).toEqual(new Map([['t1', 'up']]))
    })

    test('whoever listens late hears what is there', async () => {
      const first = await listen()
      const a = identity('a')
      const writer = made.writer(a)
      await writer.replace([vote('t1', 'up'), vote('t2', 'up'), vote('t3', 'up')])
      await writer.change(vote('t1', 'down', { reason: 'timeout', moving: true }))
      await writer.retire(['t2'])
      await writer.heartbeat(beat(a, 1))
      await until('everything heard', () => first.lines.includes('a/one beat 1'))
      const late = await listen()
      await until('it is heard late', () => late.said.has('a'))
      expect(late.said.get('a')).toEqual(
        new Map([
          ['t1', 'down'],
          ['t3', 'up'],
        ]),
      )
    })

    test('silence is told once, brings no vote, and ends with all votes', async () => {
      const listener = await listen()
      const a = identity('a')
      const writer = made.writer(a)
      await writer.replace([vote('t1', 'up')])
      await writer.heartbeat(beat(a, 1))
      await until('silence noticed', () => listener.lines.includes('a/one gone'), lease + 2000, countWaits())
      expect(listener.lines.filter((line) => line.endsWith('gone'))).toHaveLength(1)
      expect(listener.said.get('a')).toEqual(new Map([['t1', 'up']]))
      const late = await listen()
      expect(late.said.get('a')?.size ?? 0).toBe(0)
      listener.lines.length = 0
      await writer.change(vote('t1', 'down'))
      await writer.heartbeat(beat(a, 2))
      await until('heard again', () => listener.lines.includes('a/one beat 2'))
      expect(listener.lines.slice(-2)).toEqual(['a/one all t1 down', 'a/one beat 2'])
      await until('the other hears it', () => late.said.has('a'))
      expect(late.said.get('a')).toEqual(new Map([['t1', 'down']]))
    })

    test('heartbeats keep the lease', async () => {
      const listener = await listen()
      const a = identity('a')
      const writer = made.writer(a)
      await writer.replace([])
      const endMs = performance.now() + 3 * lease
      for (let sequence = 1; performance.now() < endMs; sequence++) {
        await writer.heartbeat(beat(a, sequence))
        const waited = sequence
        await until('the beat', () => listener.lines.includes(`a/one beat ${waited}`))
        await new Promise((resolve) => setTimeout(resolve, lease / 10)) // its pace
      }
      expect(listener.lines.filter((line) => line.endsWith('gone'))).toEqual([])
    })

    test('a new boot ends what the old one said, and the old one is not heard again', async () => {
      const listener = await listen()
      const old = made.writer(identity('a', 'one'))
      await old.replace([vote('t1', 'up'), vote('t2', 'up')])
      await until('the old boot heard', () => listener.said.get('a')?.size === 2)
      const young = made.writer(identity('a', 'two'))
      await young.replace([vote('t1', 'down')])
      await until('the new boot heard', () => listener.said.get('a')?.get('t1') === 'down')
      await old.change(vote('t1', 'up'))
      await old.heartbeat(beat(identity('a', 'one'), 99))
      await young.heartbeat(beat(identity('a', 'two'), 1))
      await until('the new boot beats', () => listener.lines.includes('a/two beat 1'))
      expect(listener.said.get('a')).toEqual(new Map([['t1', 'down']]))
      expect(listener.lines.some((line) => line === 'a/one beat 99')).toBe(false)
    })

    test('sequences never go backwards', async () => {
      const listener = await listen()
      const a = identity('a')
      const writer = made.writer(a)
      await writer.replace([])
      for (const sequence of [5, 4, 5]) await writer.heartbeat(beat(a, sequence))
      await until('the first', () => listener.lines.includes('a/one beat 5'))
      await writer.heartbeat(beat(a, 6))
      await until('the last beat', () => listener.lines.includes('a/one beat 6'))
      expect(listener.lines.filter((line) => line.includes('beat'))).toEqual(['a/one beat 5', 'a/one beat 6'])
    })

    test('probers are apart', async () => {
      const listener = await listen()
      const [a, b] = [made.writer(identity('a')), made.writer(identity('b'))]
      await a.replace([vote('t1', 'up')])
      await b.replace([vote('t1', 'down')])
      await a.retire(['t1'])
      await until('all heard', () => listener.proberLines.length >= 3)
      expect(listener.said.get('a')!.size).toBe(0)
      expect(listener.said.get('b')).toEqual(new Map([['t1', 'down']]))
    })

    test('an aborted listener hears nothing more, others do', async () => {
      const leaving = new AbortController()
      const left = new Listener()
      await made.store.listen(left, leaving.signal)
      const stays = await listen()
      leaving.abort()
      await made.writer(identity('a')).replace([vote('t1', 'up')])
      await until('the other hears', () => stays.proberLines.length > 0)
      expect(left.proberLines).toEqual([])
    })

    test('a vote is heard as it was said', async () => {
      const listener = await listen()
      const said: Vote = {
        target: 't1',
        value: 'abstain',
        moving: true,
        reason: 'this host has no "IPv6" route — späť',
        rttMs: 12.5,
        share: 250,
      }
      await made.writer(identity('a')).replace([vote('t0', 'up'), said])
      await until('it is heard', () => listener.last !== undefined)
      expect(listener.last).toEqual(said)
    })

    test('what is said in one tick is heard, the last on each target', async () => {
      const listener = await listen()
      const a = identity('a')
      const writer = made.writer(a)
      const targets = Array.from({ length: 500 }, (_, i) => `t${i}`)
      const said = [writer.replace(targets.map((target) => vote(target, 'up')))]
      for (const target of targets) said.push(writer.change(vote(target, 'down')))
      said.push(writer.change(vote('t0', 'up')), writer.retire(['t1', 't2']), writer.heartbeat(beat(a, 1)))
      await Promise.all(said)
      await until('the beat', () => listener.lines.includes('a/one beat 1'))
      const heard = listener.said.get('a')!
      expect([heard.size, heard.get('t0'), heard.get('t1'), heard.get('t499')]).toEqual([498, 'up', undefined, 'down'])
    })

    test('nodes hear each other, themselves too, in order, and their silence', async () => {
      const listener = await listen()
      const node = made.store.nodeWriter({ name: 'n1', bootId: 'one' })
      for (const sequence of [1, 2, 2, 1, 3]) {
        await node.heartbeat(nodeBeat('n1', sequence, { verdicts: `h${sequence}` }))
        await until('the beat', () => listener.lines.includes(`node n1/one beat ${sequence} h${sequence}`))
      }
      const late = await listen()
      expect(late.lines).toContain('node n1/one beat 3 h3')
      await until('its silence', () => listener.lines.includes('node n1/one gone'), lease + 2000, countWaits())
      expect(listener.lines.filter((line) => line.startsWith('node'))).toEqual([
        'node n1/one beat 1 h1',
        'node n1/one beat 2 h2',
        'node n1/one beat 3 h3',
        'node n1/one gone',
      ])
      const later = await listen()
      expect(later.lines.filter((line) => line.startsWith('node'))).toEqual([])
      await node.heartbeat(nodeBeat('n1', 4))
      await until('it is back', () => listener.lines.includes('node n1/one beat 4 h'))
    })

    test('of each pattern the newest override stands, whoever puts it, and only news are told', async () => {
      const listener = await listen()
      expect(listener.lines).toContain('overrides all')
      const one = made.store.nodeWriter({ name: 'n1', bootId: 'one' })
      const two = made.store.nodeWriter({ name: 'n2', bootId: 'one' })
      const said: string[] = []
      /** What stands after it, and what is heard of it, if anything. */
      const put = async (by: typeof one, entries: readonly Override[], line?: string) => {
        const stands = (await by.override(entries)).map(ageless)
        if (line !== undefined) said.push(line)
        await until(line ?? 'nothing new', () => listener.overrideLines.at(-1) === said.at(-1)).catch(
          (error: unknown) => {
            throw new Error(`${String(error)}, but ${listener.overrideLines.join('; ')}`)
          },
        )
        return stands
      }
      const down = drain('fra', 2, { node: 'n2', action: 'down' })
      await put(one, [drain('fra', 2), drain('iad/web', 1)], 'overrides some fra drain 2 iad/web drain 1')
      expect(await put(two, [drain('fra', 1, { node: 'n2' })])).toEqual([drain('fra', 2)])
      expect(await put(two, [down], 'overrides some fra down 2')).toEqual([down])
      await put(one, [drain('fra', 2), drain('sin', 1)], 'overrides some sin drain 1')
      // its node lost its file and counts anew
      await put(one, [drain('sin', 1, { action: 'up', madeMs: 2 })], 'overrides some sin up 1')
      await put(one, [drain('sin', 1, { action: 'down', madeMs: 1 })])
      await put(two, [drain('iad/web', 10, { action: 'undone', forMs: 4 })], 'overrides some iad/web undone 10')
      expect(listener.overrideLines.slice(1)).toEqual(said)
      const late = await listen()
      expect(late.overridden).toEqual(
        new Map([
          ['fra', drain('fra', 2, { node: 'n2', action: 'down' })],
          ['iad/web', drain('iad/web', 10, { action: 'undone', forMs: 4 })],
          ['sin', drain('sin', 1, { action: 'up', madeMs: 2 })],
        ]),
      )
    })

    test('a prober is forgotten by all', async () => {
      const listeners = [await listen(), await listen()]
      const node = made.store.nodeWriter({ name: 'n1', bootId: 'one' })
      await made.writer(identity('a')).replace([vote('t1', 'up')])
      await until('its silence', () => listeners[0]!.lines.includes('a/one gone'), lease + 2000, countWaits())
      await node.forget({ kind: 'prober', name: 'a' }, 'r1')
      await until('all have heard', () => listeners.every(({ lines }) => lines.includes('a forgotten')))
      expect((await listen()).said.has('a')).toBe(false)
    })

    test('a node is forgotten by all, and again if it comes back and ends again', async () => {
      const listeners = [await listen(), await listen()]
      const [node, gone] = ['n1', 'n2'].map((name) => made.store.nodeWriter({ name, bootId: 'one' }))
      const times = (line: string) => listeners.map(({ lines }) => lines.filter((one) => one === line).length)
      for (const round of [1, 2]) {
        await gone!.heartbeat(nodeBeat('n2', round))
        await until('it is heard', () => times(`node n2/one beat ${round} h`).every((number) => number === 1))
        await until(
          'its silence',
          () => times('node n2/one gone').every((n) => n === round),
          lease + 2000,
          countWaits(),
        )
        await node!.forget({ kind: 'node', name: 'n2' }, `r${round}`)
        await until('all have heard', () => times('node n2 forgotten').every((number) => number === round))
      }
      expect((await listen()).lines.filter((line) => line.startsWith('node n2/'))).toEqual([])
    })

    test('what a node knows is no news to itself', async () => {
      const node = made.store.nodeWriter({ name: 'n1', bootId: 'one' })
      await node.heartbeat(nodeBeat('n1', 1))
      await node.writeMembers(new Map([['fra/web/192.0.2.1', { verdict: 'up', proven: ['t1'] }]]))
      expect(await made.store.readMembers()).toEqual([])
    })

    describe('what receivers were told', () => {
      const [one, two] = ['n1', 'n2'].map((name) => ({ name, bootId: `${name}-one` }))
      const boards = () => [made.store.sendingBoard(one!), made.store.sendingBoard(two!)] as const
      const isReached = (): Promise<boolean> =>
        boards()[0]
          .sendings(['none'])
          .then(
            () => true,
            () => false,
          )
      beforeEach(() => until('the Store is reached', isReached))
      test('one node claims a change; the others find its message', async () => {
        const [a, b] = boards()
        const changes = [sighting('x', 'down', 100), sighting('y', 'down', 100)]
        expect(await b.claim(undefined, changes)).toEqual([undefined, undefined])
        expect(await a.claim('n1.b.1', changes)).toEqual(['n1.b.1', 'n1.b.1'])
        const late = [...changes, sighting('z', 'down', 0)]
        expect(await b.claim('n2.b.1', late)).toEqual(['n1.b.1', 'n1.b.1', 'n2.b.1'])
        expect(await a.claim('n1.b.1', changes), 'its answer was lost').toEqual(['n1.b.1', 'n1.b.1'])
        const sendings = await b.sendings(['n1.b.1', 'n2.b.1', 'n3.b.1'])
        expect([...sendings].map(([id, { node, done }]) => [id, node, done])).toEqual([
          ['n1.b.1', one, []],
          ['n2.b.1', two, []],
        ])
      })

      test.each([
        ['seen late by another', 'down', 4_000, 60_000, 'first'],
        ['the next time, after it was up in between', 'down', 0, 2_500, 'mine'],
        ['the next time, seconds later', 'down', 1_000, 6_000, 'first'],
        ['another state, later', 'up', 0, 5_000, 'mine'],
        ['another state, before what was told', 'up', 9_000, 60_000, 'first'],
        ['the same, and nobody knows since when, soon', 'down', 0, null, 'first'],
      ])('after “down” 5 s ago: %s', async (_, state, ageMs, sinceAgeMs, told) => {
        const [a, b] = boards()
        expect(await a.claim('first', [sighting('x', 'down', 5_000)])).toEqual(['first'])
        expect(await b.claim('mine', [sighting('x', state, ageMs, sinceAgeMs)])).toEqual([told])
      })

      test('the same state long after, and nobody knows since when, is news', async () => {
        const [a, b] = boards()
        await a.claim('first', [sighting('x', 'down', 20_000)])
        expect(await b.claim('mine', [sighting('x', 'down', 0, null)])).toEqual(['mine'])
      })

      test('its sender says who has it, until another node takes it over: one of those that try', async () => {
        const [a, b] = boards()
        const c = made.store.sendingBoard({ name: 'n3', bootId: 'n3-one' })
        await a.claim('m', [sighting('x', 'down', 0)])
        expect(await a.done('m', ['ops'])).toBe(true)
        const seen = (await b.sendings(['m'])).get('m')!
        expect(seen).toMatchObject({ node: one, done: ['ops'] })
        expect(await Promise.all([b.take('m', seen), c.take('m', seen)])).toEqual([true, false])
        expect((await c.sendings(['m'])).get('m')).toMatchObject({ node: two, done: ['ops'] })
        expect(await a.done('m', ['ops', 'chat'])).toBe(false)
        expect(await b.done('m', ['ops', 'chat'])).toBe(true)
        expect(await Promise.all([b.take('lost', undefined), c.take('lost', undefined)])).toEqual([true, false])
      })
    })

    describe('who is announced', () => {
      let boards: AnnounceBoard[]
      beforeEach(async () => {
        boards = ['n1', 'n2', 'n3'].map((name) => made.store.announceBoard({ name, bootId: `${name}-one` }))
        await until('the Store is reached', () =>
          boards[0]!
            .leave()
            .then(() => true)
            .catch(() => false),
        )
      })
      test('counts the others, until they take it back', async () => {
        const [a, b, c] = boards
        expect(await a!.announced()).toBe(0)
        expect(await a!.announced(), 'not itself').toBe(0)
        expect(await b!.announced()).toBe(1)
        expect(await c!.leave()).toBe(2)
        expect(await b!.leave()).toBe(1)
        expect(await a!.announced()).toBe(0)
      })

      test('of two that leave at the same moment the second does not count the first', async () => {
        const [a, b] = boards
        await Promise.all([a!.announced(), b!.announced()])
        const counts = await Promise.all([a!.leave(), b!.leave()])
        expect(counts.toSorted((x, y) => x - y)).toEqual([0, 1])
      })

      test('who says nothing for a lease does not count', async () => {
        const [a, b] = boards
        await a!.announced()
        await until('a is not counted', async () => (await b!.leave()) === 0)
      })
    })

    test('all is well', async () => {
      await listen()
      await until('no trouble', () => made.store.trouble === undefined)
    })
  })
}
