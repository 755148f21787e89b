/** Several nodes over one bus: overrides, memory, rosters and beats between them. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { NodeHealth } from '../../src/health/node-health.ts'
import type { OverrideRequest } from '../../src/health/override.ts'
import { makeHealthTable, shareOf, SlotRegistry, stateOf } from '../../src/health/table.ts'
import type { HealthSpec } from '../../src/health/target.ts'
import { nodeBeat } from '../store/store.suite.ts'
import { member, spec, specOf, serviceSpec, vote } from '../support/specs.ts'
import { Bus, type Link } from './bus.ts'

const folder = mkdtempSync(join(tmpdir(), 'meridian-fleet-'))
afterAll(() => rmSync(folder, { recursive: true }))
const STATES = ['unproven', 'up', 'down', 'drained', 'forced', 'recovered']
const EVER = 3_600_000

class Node {
  readonly table = makeHealthTable()
  readonly slots = new SlotRegistry()
  readonly health: NodeHealth
  readonly link: Link
  readonly changes: string[] = []
  readonly news: string[] = []
  #generation = 0

  constructor(bus: Bus, name: string, file?: string, maxForMs?: number) {
    this.link = bus.link(EVER)
    this.health = new NodeHealth({
      table: this.table,
      store: this.link,
      node: { name, version: '1' },
      ...(file === undefined ? {} : { file }),
      ...(maxForMs === undefined ? {} : { maxForMs }),
      onChange: ({ member: which, before, after, braked }) =>
        this.changes.push(`${which} ${before} → ${after}${braked ? ' braked' : ''}`),
      onNews: (level, news) => this.news.push(`${level} ${news}`),
    })
  }

  async start(next: HealthSpec, view = 'v1'): Promise<this> {
    await this.health.start()
    this.adopt(next, view)
    return this
  }

  adopt(next: HealthSpec, view = 'v1'): void {
    const names = next.members.map((one) => one.name)
    this.health.adopt(next, this.slots.assign(names, ++this.#generation)!, view)
  }

  word(name: string): number {
    return this.table[this.slots.slotOf(name)!]!
  }

  state(name: string): string {
    return STATES[stateOf(this.word(name))]!
  }

  status(name: string) {
    return this.health.snapshot().members.find((one) => one.member === name)!
  }

  async stop(): Promise<void> {
    await this.health.stop()
    await this.link.close()
  }
}

const A = 'fra/web/192.0.2.1'
const B = 'iad/web/192.0.2.2'
const WEB = spec(member(A, ['t1']), member(B, ['t2']))
const P1 = { name: 'eu-1', region: 'eu', bootId: 'b1' }
const drain = (pattern: string, more: Partial<OverrideRequest> = {}): OverrideRequest => {
  return { pattern, action: 'drain', forMs: undefined, who: 'ann', why: 'works', yes: true, ...more }
}
const undo = (pattern: string) => drain(pattern, { action: 'undone' })

let bus: Bus
let nodes: Node[]
const make = async (name: string, next: HealthSpec = WEB, file?: string, maxForMs?: number): Promise<Node> => {
  const node = await new Node(bus, name, file, maxForMs).start(next)
  nodes.push(node)
  return node
}
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
const stateAt = (name: string): string[] => nodes.map((node) => node.state(name))

beforeEach(() => {
  bus = new Bus()
  nodes = []
  bus.say(P1, [vote('t1', 'up'), vote('t2', 'up')])
})
afterEach(async () => {
  vi.useRealTimers()
  for (const node of nodes) await node.stop()
})

describe('overrides', () => {
  test('reach all nodes, and undoing does', async () => {
    const [a] = [await make('a'), await make('b')]
    expect(a.health.override(drain('fra'))).toMatchObject({ done: [{ version: 1, node: 'a' }], members: [[A]] })
    await settle()
    expect(stateAt(A)).toEqual(['drained', 'drained'])
    expect(nodes[1]!.status(A).why).toContain('drained by ann (fra: works)')
    expect(nodes[1]!.status(A).override).toMatchObject({ pattern: 'fra', who: 'ann' })
    nodes[1]!.health.override(undo('fra'))
    await settle()
    expect(stateAt(A)).toEqual(['up', 'up'])
    expect(a.health.snapshot().overrides).toEqual([])
  })

  test('set and undone while a node is away: it learns of both, and undoes nothing by not knowing', async () => {
    const [a, b] = [await make('a'), await make('b')]
    a.health.override(drain('fra'))
    await settle()
    b.link.cut = true
    a.health.override(undo('fra'))
    a.health.override(drain('iad'))
    await settle()
    expect([b.state(A), b.state(B)]).toEqual(['drained', 'up'])
    b.health.override(drain('iad/web', { action: 'down' }))
    b.link.cut = false
    await settle()
    expect(stateAt(A)).toEqual(['up', 'up'])
    expect(stateAt(B)).toEqual(['forced', 'forced'])
  })

  test('a Store that lost everything gets them again', async () => {
    const a = await make('a')
    a.health.override(drain('fra'))
    await settle()
    bus.flush()
    await settle()
    expect([...bus.overrides.keys()]).toEqual(['fra'])
    expect((await make('c')).state(A)).toBe('drained')
  })

  test('one set while the Store is away is put up when it is back', async () => {
    const [a, b] = [await make('a'), await make('b')]
    bus.away = true
    a.health.override(drain('fra'))
    await settle()
    expect([a.state(A), b.state(A)]).toEqual(['drained', 'up'])
    bus.away = false
    await settle()
    expect(stateAt(A)).toEqual(['drained', 'drained'])
  })

  test('one set by a node that lost its file, before it reached the Store, stands over what was there before', async () => {
    const a = await make('a')
    a.health.override(drain('fra'))
    a.health.override(undo('fra'))
    await settle()
    bus.away = true
    const b = await make('b')
    b.health.override(drain('fra'))
    b.health.override(drain('iad'))
    b.health.override(undo('iad'))
    expect(b.state(A)).toBe('drained')
    bus.away = false
    await settle()
    expect(stateAt(A)).toEqual(['drained', 'drained'])
    expect(stateAt(B)).toEqual(['up', 'up'])
    expect(bus.overrides.get('fra')).toMatchObject({ version: 4, node: 'b' })
  })

  test('outlive a restart without the Store, and a damaged file is trouble', async () => {
    const file = join(folder, 'a', 'health.json')
    const a = await make('a', WEB, file)
    a.health.override(drain('fra'))
    await a.stop()
    bus = new Bus()
    nodes = []
    const again = await make('a', WEB, file)
    expect(again.state(A)).toBe('drained')
    expect(again.health.override(undo('fra'))).toMatchObject({ done: [{ version: 2 }] })
    await again.stop()
    writeFileSync(join(folder, 'a', 'overrides.json'), '{"format":"meridian overrides 1","highest":"x"}')
    nodes = []
    const third = await make('a', WEB, file)
    expect(third.health.snapshot().troubles).toEqual([expect.stringContaining('overrides.json is damaged')])
  })

  test('end after their time, whatever a clock is set to meanwhile', async () => {
    vi.useFakeTimers()
    const a = await make('a')
    a.health.override(drain('fra', { forMs: 3_600_000 }))
    vi.setSystemTime(Date.now() + 7_200_000)
    await vi.advanceTimersByTimeAsync(3_599_000)
    expect(a.state(A)).toBe('drained')
    vi.setSystemTime(Date.now() - 86_400_000)
    await vi.advanceTimersByTimeAsync(1_000)
    expect(a.state(A)).toBe('up')
  })

  test('that are to last too long are refused where that is set, and shown if they are there', async () => {
    const [a] = [await make('a'), await make('b', WEB, undefined, 3_600_000)]
    const [, b] = nodes
    a.health.override(drain('fra'), drain('iad', { forMs: 3_600_000 }))
    expect(nodes.map(({ health }) => health.snapshot().overrides.map(({ overlong }) => overlong))).toEqual([
      [false, false],
      [true, false],
    ])
    expect(b!.health.override(drain('fra/web'))).toMatchObject({ refused: expect.stringContaining('maxFor is 1h') })
    expect(b!.health.override(drain('fra/web', { forMs: 3_600_001 }))).toHaveProperty('refused')
    expect(b!.health.override(undo('fra'), drain('iad', { forMs: 60_000 }))).toHaveProperty('done')
  })

  test('say which nodes acknowledge them, and wait for them a little', async () => {
    vi.useFakeTimers()
    const [a, b] = [await make('a'), await make('b')]
    const said = async (request: OverrideRequest) => {
      const outcome = a.health.override(request)
      if ('refused' in outcome) throw new Error(outcome.refused)
      const begunMs = performance.now()
      let waitedMs = 0
      const saved = outcome.saved.finally(() => (waitedMs = performance.now() - begunMs))
      await vi.advanceTimersByTimeAsync(5_000)
      const { reached, unreached } = await saved
      return { reached, unreached, waitedMs }
    }
    expect(await said(drain('fra'))).toEqual({ reached: ['a', 'b'], unreached: [], waitedMs: 0 })
    b.link.cut = true
    const late = await said(drain('iad'))
    expect(late).toMatchObject({
      reached: ['a'],
      unreached: [{ node: 'b', why: 'has not acknowledged it so far' }],
    })
    expect(late.waitedMs).toBeGreaterThan(2000)
    b.link.cut = false
    await vi.advanceTimersByTimeAsync(2_000)
    expect(await said(undo('iad'))).toMatchObject({ reached: ['a', 'b'], unreached: [] })
    const old = bus.link().nodeWriter({ name: 'old', bootId: 'one' })
    await old.heartbeat(nodeBeat('old', 1))
    expect(await said(undo('fra'))).toEqual({
      reached: ['a', 'b'],
      unreached: [{ node: 'old', why: 'version 0.1.0, which does not acknowledge overrides' }],
      waitedMs: 0, // it never will
    })
    a.link.cut = true
    expect(await said(drain('fra'))).toMatchObject({ reached: ['a'], waitedMs: 0 }) // the Store has not got it
  })

  test('end by the clock, without a vote, and are shown as orphaned when they match nothing', async () => {
    vi.useFakeTimers()
    const a = await make('a')
    a.health.override(drain('fra', { forMs: 60_000 }))
    a.health.override(drain('iad'))
    await vi.advanceTimersByTimeAsync(59_000)
    expect(a.state(A)).toBe('drained')
    await vi.advanceTimersByTimeAsync(1100)
    expect(a.state(A)).toBe('up')
    a.adopt(spec(member(A, ['t1'])))
    expect(a.health.snapshot().overrides).toMatchObject([{ override: { pattern: 'iad' }, members: 0, orphaned: true }])
    expect(a.health.override(undo('iad'))).toHaveProperty('done')
    a.adopt(WEB)
    expect(a.state(B)).not.toBe('drained')
  })

  test('force > drain > brake > verdict: forced up, forced down, a drain only drains what is up', async () => {
    const a = await make('a')
    bus.say(P1, [vote('t1', 'down'), vote('t2', 'up')])
    expect(a.state(A)).toBe('down')
    a.health.override(drain('fra'))
    expect(a.state(A)).toBe('down')
    a.health.override(drain('fra/web', { action: 'up' }))
    expect(a.state(A)).toBe('up')
    expect(a.status(A)).toMatchObject({
      calm: false,
      verdict: 'down',
      why: expect.stringContaining('forced up by ann'),
    })
    expect(a.health.snapshot().services).toMatchObject([{ leftPercent: 100 }])
    a.health.override(drain(`fra/web/192.0.2.1`, { action: 'down' }))
    expect(a.state(A)).toBe('forced')
    expect(a.health.outlook(['iad'])).toMatchObject({ safe: false, members: [B] })
    expect(a.health.override(drain('iad', { yes: false }))).toMatchObject({
      refused: 'nothing of web would be left up',
    })
    expect(a.health.override(drain('lon'))).toMatchObject({ refused: 'lon matches no member' })
    expect(a.health.outlook(['lon'])).toBe('lon matches no member')
    expect(a.health.outlook(['a/b/c/d'])).toContain('is no SITE')
    expect(a.health.snapshot().services).toMatchObject([{ service: 'web', leftPercent: 50, lastResort: false }])
    a.health.override(drain('iad', { action: 'down' }))
    expect(a.health.snapshot().services).toMatchObject([{ leftPercent: 0, lastResort: true }])
  })
})

describe('memory of others', () => {
  test('a node without state takes what most of the others say, and is decided by it', async () => {
    for (const name of ['a', 'b', 'c']) await make(name)
    bus.say(P1, [vote('t1', 'down'), vote('t2', 'up')])
    nodes[2]!.link.cut = true
    bus.say(P1, [vote('t1', 'down'), vote('t2', 'down')])
    await settle()
    bus.posted.clear()
    const fresh = await make('d')
    expect([fresh.state(A), fresh.state(B)]).toEqual(['down', 'down'])
    expect(fresh.health.decided).toBe(true)
    bus.say(P1, [vote('t1', 'down'), vote('t2', 'up')])
    expect([fresh.state(A), fresh.state(B)]).toEqual(['down', 'up'])
    bus.say(P1, [vote('t1', 'down'), vote('t2', 'down')]) // the proof came too: its DOWN counts
    expect(fresh.state(B)).toBe('down')
  })

  test('a node that starts while the Store is away learns of the others when it is back', async () => {
    vi.useFakeTimers()
    for (const name of ['a', 'b', 'c']) await make(name)
    bus.say(P1, [vote('t1', 'down'), vote('t2', 'up')])
    bus.away = true
    const fresh = await make('d')
    expect([fresh.state(A), fresh.state(B)]).toEqual(['unproven', 'unproven'])
    bus.posted.clear()
    bus.away = false
    await vi.advanceTimersByTimeAsync(5000)
    expect([fresh.state(A), fresh.state(B)]).toEqual(['down', 'up'])
    bus.say(P1, [vote('t1', 'down'), vote('t2', 'down')]) // the proof came too: its DOWN counts
    expect(fresh.state(B)).toBe('down')
  })

  test('and also when the others are back a little later', async () => {
    vi.useFakeTimers()
    const others = [await make('a'), await make('b')]
    bus.say(P1, [vote('t1', 'down'), vote('t2', 'up')])
    bus.away = true
    const fresh = await make('d')
    bus.flush() // a new, empty one comes up, and the others reach it after this node
    for (const { link } of others) link.cut = true
    bus.away = false
    await vi.advanceTimersByTimeAsync(3000)
    expect(fresh.state(A)).toBe('unproven')
    for (const { link } of others) link.cut = false
    await vi.advanceTimersByTimeAsync(4000)
    expect([fresh.state(A), fresh.state(B)]).toEqual(['down', 'up'])
  })

  test('its own comes first, and what came back while it was away does not ramp up', async () => {
    const file = join(folder, 'own', 'health.json')
    const ramps = specOf([member(A, ['t1']), member(B, ['t2'])], [serviceSpec('web', { rampUpMs: 60_000 })])
    for (const name of ['b', 'c']) await make(name, ramps)
    const a = await make('a', ramps, file)
    bus.say(P1, [vote('t1', 'down'), vote('t2', 'down')])
    nodes.pop()
    await a.stop()
    bus.say(P1, [vote('t1', 'up'), vote('t2', 'up')])
    bus.posted.get('eu-1')!.votes.delete('t2')
    const again = await make('a', ramps, file)
    expect([again.state(A), again.state(B)]).toEqual(['up', 'down'])
    expect(shareOf(again.word(A))).toBe(1000)
    bus.say(P1, [vote('t1', 'up'), vote('t2', 'up')])
    expect(shareOf(again.word(B))).toBe(100)
  })

  test('none of it when they are even', async () => {
    const [a] = [await make('a'), await make('b')]
    a.link.cut = true
    bus.say(P1, [vote('t1', 'down'), vote('t2', 'up')])
    await settle()
    bus.posted.clear()
    const fresh = await make('d')
    expect([fresh.state(A), fresh.state(B)]).toEqual(['unproven', 'up'])
    expect(fresh.health.decided).toBe(false)
  })
})

describe('other nodes', () => {
  test('that serve or judge otherwise are told apart, and for how long', async () => {
    vi.useFakeTimers()
    const [a, b] = [await make('a'), await make('b')]
    await vi.advanceTimersByTimeAsync(3000)
    const other = () => a.health.snapshot().nodes.find(({ self }) => !self)!
    expect(a.health.snapshot().nodes.map(({ beat, self, live }) => [beat.node.name, self, live])).toEqual([
      ['a', true, true],
      ['b', false, true],
    ])
    expect(other()).toMatchObject({ viewDiffersMs: 0, verdictsDifferMs: 0, beat: { view: 'v1', plan: WEB.hash } })
    b.adopt(WEB, 'v2')
    a.health.override(drain('fra'))
    await vi.advanceTimersByTimeAsync(6500)
    expect(other().viewDiffersMs).toBeGreaterThan(5000)
    expect(other().verdictsDifferMs).toBe(0)
    b.adopt(spec(member(A, ['t1'])), 'v1')
    await vi.advanceTimersByTimeAsync(6500)
    expect(other().viewDiffersMs).toBe(0)
    expect(other().verdictsDifferMs).toBeGreaterThan(5000)
  })
})

const nodesSeen = (): string[][] =>
  nodes.map(({ health }) =>
    health
      .snapshot()
      .nodes.map(({ beat }) => beat.node.name)
      .toSorted(),
  )
const aProber = (name: string) => ({ kind: 'prober', name }) as const

describe('the roster', () => {
  test('a prober that is gone for good is taken out on all nodes; a live one is not', async () => {
    const [a, b] = [await make('a'), await make('b')]
    const P2 = { name: 'us-1', region: 'us', bootId: 'b2' }
    bus.say(P2, [])
    bus.say(P1, [vote('t1', 'down'), vote('t2', 'up')])
    expect(stateAt(A)).toEqual(['up', 'up']) // one of two
    expect(a.health.forget(aProber('us-1'))).toContain('is alive')
    await bus.link(EVER).nodeWriter({ name: 'x', bootId: 'x' }).forget(aProber('us-1'), 'r1') // by a node that doesn't hear it
    expect(a.health.snapshot().probers).toHaveLength(2)
    expect(a.health.forget(aProber('nobody'))).toContain('no prober named nobody')
    for (const { link } of nodes) link.silence(P2)
    expect(a.news.at(-1)).toBe('warn prober us-1 (us) has fallen silent: its votes no longer count')
    expect(a.health.forget(aProber('us-1'))).toEqual({ saved: expect.any(Promise) })
    await settle()
    expect(stateAt(A)).toEqual(['down', 'down']) // one of one
    expect(b.health.snapshot().probers.map(({ prober }) => prober)).toEqual(['eu-1'])
  })
})

describe('a node that is gone for good', () => {
  test('holds up every order until it is forgotten on all nodes, which acknowledge it', async () => {
    vi.useFakeTimers()
    const [a, b] = [await make('a'), await make('b')]
    await bus.link(EVER).nodeWriter({ name: 'c', bootId: 'one' }).heartbeat(nodeBeat('c', 1))
    const forget = async (name: string) => {
      const outcome = a.health.forget({ kind: 'node', name })
      if (typeof outcome === 'string') return outcome
      await vi.advanceTimersByTimeAsync(5_000)
      return outcome.saved
    }
    expect(await forget('c')).toContain('c is alive')
    expect(await forget('a')).toContain('a is alive')
    expect(await forget('d')).toBe('no node named d was seen in the last 24 h')
    for (const { link } of nodes) link.silenceNode({ name: 'c', bootId: 'one' })
    const drained = a.health.override(drain('fra'))
    if ('refused' in drained) throw new Error(drained.refused)
    const why = expect.stringMatching(/^silent for .*; if it is gone for good: meridian node forget c$/)
    expect((await drained.saved).unreached).toEqual([{ node: 'c', why }])
    a.link.cut = true
    const away = a.health.override(drain('iad'))
    if ('refused' in away) throw new Error(away.refused)
    const lacks = (await away.saved).unreached
    expect(lacks.find(({ node }) => node === 'c')?.why).toBe('Redis is away, by which it would hear of it')
    a.link.cut = false
    b.link.cut = true
    expect(await forget('c')).toMatchObject({
      reached: ['a'],
      unreached: [{ node: 'b', why: 'has not acknowledged it so far' }],
    })
    b.link.cut = false
    await vi.advanceTimersByTimeAsync(2_000)
    expect(nodesSeen()).toEqual([
      ['a', 'b'],
      ['a', 'b'],
    ])
    expect(b.news.at(-1)).toBe('info node c is gone for good: removed')
    const undrained = a.health.override(undo('fra'))
    if ('refused' in undrained) throw new Error(undrained.refused)
    expect(await undrained.saved).toMatchObject({ reached: ['a', 'b'], unreached: [] })
  })

  test('a prober is acknowledged the same way', async () => {
    const [a] = [await make('a'), await make('b')]
    for (const { link } of nodes) link.silence(P1)
    const outcome = a.health.forget(aProber('eu-1'))
    if (typeof outcome === 'string') throw new Error(outcome)
    expect(await outcome.saved).toEqual({ disk: undefined, store: undefined, reached: ['a', 'b'], unreached: [] })
  })
})

describe('brake, ramp and agents', () => {
  const members = ['fra', 'iad', 'sin', 'syd'].map((site, i) => member(`${site}/web/192.0.2.${i}`, [`t${i}`]))
  const service = serviceSpec('web', { keepPercent: 50, rampUpMs: 60_000 })
  const say = (...downs: number[]) => {
    bus.say(
      P1,
      members.map((_, i) => vote(`t${i}`, downs.includes(i) ? 'down' : 'up')),
    )
  }
  const states = (node: Node) => members.map(({ name }) => node.state(name))
  const braked = (node: Node) => members.filter(({ name }) => node.status(name).braked).map(({ site }) => site)

  test('less than `keep` waits, alike on all nodes; nothing left is the last resort', async () => {
    say()
    const [a, b] = [
      await make('a', specOf(members, [service])),
      await make('b', specOf(members.toReversed(), [service])),
    ]
    say(0, 1)
    expect(braked(a)).toEqual([])
    say(0, 1, 2)
    expect(braked(a)).toHaveLength(1)
    expect(braked(a)).toEqual(braked(b))
    expect(states(a).filter((state) => state === 'down')).toHaveLength(2)
    const held = members.find(({ site }) => site === braked(a)[0])!.name
    expect(a.status(held)).toMatchObject({
      state: 'up',
      calm: false,
      why: expect.stringContaining('the brake keeps it in the answers'),
    })
    expect(a.changes.some((change) => change.startsWith(held) && change.endsWith(' up braked'))).toBe(true)
    expect(a.health.snapshot().services).toMatchObject([{ braked: [held], leftPercent: 25, keepPercent: 50 }])
    say(0, 1, 2, 3)
    expect(states(a)).toEqual(['down', 'down', 'down', 'down'])
    expect(a.health.snapshot().services).toMatchObject([{ lastResort: true, leftPercent: 0 }])
    expect(members.some(({ name }) => a.status(name).calm)).toBe(false)
    say()
    expect(a.news).toEqual([
      expect.stringMatching(/^warn service web: the brake keeps \w{3} in the answers although DOWN: .* 50 %/),
      'warn service web: no member is usable, its last resort answers',
      'info service web: the brake is released',
      'info service web: its last resort is over',
    ])
  })

  test('who comes back starts with a tenth and takes all by the end of rampUp, over a restart too', async () => {
    vi.useFakeTimers()
    const next = specOf([member(members[0]!.name, ['t0'], { settleMs: 0 }), ...members.slice(1)], [service])
    const file = join(folder, 'ramp', 'health.json')
    const name = members[0]!.name
    say()
    let a = await make('a', next, file)
    expect(shareOf(a.word(name))).toBe(1000) // the first verdict
    bus.say(P1, [vote('t9', 'down')])
    a.adopt(specOf([...next.members, member('lon/web/192.0.2.9', ['t9'])], [service]))
    bus.say(P1, [...members.map(({ targets }) => vote(targets[0]!, 'up')), vote('t9', 'up')])
    expect([a.state('lon/web/192.0.2.9'), shareOf(a.word('lon/web/192.0.2.9'))]).toEqual(['up', 1000]) // unproven before
    a.adopt(next)
    say(0)
    say()
    expect(shareOf(a.word(name))).toBe(100)
    expect(a.status(name)).toMatchObject({ share: 100, shareWhy: 'ramps up, 10 % so far', calm: false })
    await vi.advanceTimersByTimeAsync(30_000)
    expect(shareOf(a.word(name))).toBeGreaterThanOrEqual(530)
    expect(shareOf(a.word(name))).toBeLessThanOrEqual(550)
    await a.stop()
    nodes = []
    a = await make('a', next, file)
    expect(shareOf(a.word(name))).toBeGreaterThanOrEqual(530)
    expect(shareOf(a.word(name))).toBeLessThan(600)
    await vi.advanceTimersByTimeAsync(31_000)
    expect(shareOf(a.word(name))).toBe(1000)
    a.health.override(drain('fra'))
    a.health.override(undo('fra'))
    expect(shareOf(a.word(name))).toBe(100)
    await a.stop()
    nodes = []
  })

  test('an agent gets its share: the median of its voters, 0 at once, other steps two TTLs apart', async () => {
    vi.useFakeTimers()
    const P2 = { name: 'us-1', region: 'us', bootId: 'b2' }
    const asks = (...shares: number[]) =>
      shares.forEach((share, i) => bus.say([P1, P2][i]!, [vote('t1', 'up', { share }), vote('t2', 'up')]))
    asks(400, 600)
    const a = await make('a')
    expect(a.status(A)).toMatchObject({ share: 500, shareWhy: 'its agent asks for 50 %' })
    asks(900, 900)
    expect(shareOf(a.word(A))).toBe(500)
    await vi.advanceTimersByTimeAsync(119_000)
    expect(shareOf(a.word(A))).toBe(500)
    await vi.advanceTimersByTimeAsync(2000)
    expect(shareOf(a.word(A))).toBe(900)
    asks(0, 0)
    expect(shareOf(a.word(A))).toBe(0)
    expect(a.state(A)).toBe('up')
  })
})

const both = (value: 'up' | 'down') => [vote('t1', value, { reason: value }), vote('t2', 'up')]

describe('a verdict that stands for lack of votes alone', () => {
  const probers = ['eu', 'us', 'ap'].map((region) => ({ name: `${region}-1`, region, bootId: 'b1' }))
  const three = specOf([member(A, ['t1'], { probers: 3 }), member(B, ['t2'], { probers: 3 })], [serviceSpec('web')])
  const scene = async () => {
    for (const prober of probers) bus.say(prober, both('up'))
    const a = await make('a', three)
    for (const prober of probers.slice(1)) a.link.silence(prober)
    return a
  }

  test('is told as such, with what is missing and what to do, once, and when it is over', async () => {
    vi.useFakeTimers()
    const a = await scene()
    expect(a.status(A)).toMatchObject({ state: 'up', held: true, dissent: undefined })
    const before = a.news.length
    bus.say(probers[0]!, both('down'))
    bus.say(probers[0]!, both('down'))
    expect(a.status(A)).toMatchObject({
      state: 'up',
      held: true,
      dissent: { says: 'down', lack: '1 of 2 needed', ageMs: expect.any(Number) },
      why: 'HELD UP for lack of votes (1 of 2 needed): down (0 up, 1 down of 3 probers)',
    })
    expect(a.status(B).dissent).toBeUndefined()
    expect(a.news.slice(before)).toEqual([
      'warn fra is HELD UP: all votes that there are say DOWN (1 of 2 needed), of web. Bring back the silent ' +
        'probers us-1, ap-1, or decide by hand: meridian force fra down',
    ])
    bus.say(probers[1]!, both('down'))
    expect(a.state(A)).toBe('up') // it was silent, so it has the time for another look
    await vi.advanceTimersByTimeAsync(15_000)
    expect(a.status(A)).toMatchObject({ state: 'down', dissent: undefined })
    expect(a.news.at(-1)).toBe('info fra: no verdict is held against all votes any more')
  })

  test('is told after a restart too, and of a member that is held down', async () => {
    const file = join(folder, 'dissent', 'health.json')
    for (const prober of probers) bus.say(prober, both('up'))
    const a = await make('a', three, file)
    await a.stop()
    nodes = []
    bus.posted.clear()
    bus.say(probers[0]!, both('down'))
    const again = await make('a', three, file)
    expect(again.status(A)).toMatchObject({ state: 'up', dissent: { says: 'down', lack: '1 of 2 needed' } })
    for (const prober of probers) bus.say(prober, both('down'))
    expect(again.status(A)).toMatchObject({ state: 'down', dissent: undefined })
    for (const prober of probers.slice(1)) again.link.silence(prober)
    bus.say(probers[0]!, both('up'))
    expect(again.status(A)).toMatchObject({ state: 'down', dissent: { says: 'up', lack: '1 of 2 needed' } })
    expect(again.news.at(-1)).toMatch(/^warn fra is HELD DOWN: .* say UP .*meridian force fra up$/)
  })

  test('is none where an operator decides, nor where one vote says otherwise', async () => {
    const a = await scene()
    bus.say(probers[0]!, both('down'))
    a.health.override(drain('fra', { action: 'down' }))
    expect(a.status(A)).toMatchObject({ state: 'forced', dissent: undefined })
    a.health.override(undo('fra'))
    expect(a.status(A).dissent).toBeDefined()
    bus.say(probers[1]!, both('up'))
    expect(a.status(A)).toMatchObject({ state: 'up', held: true, dissent: undefined })
  })
})
