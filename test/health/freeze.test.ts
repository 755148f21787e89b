/** A freeze: verdicts change no answers on any node, until it ends; forces, drains and returns do. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { downList, isTooLong } from '../../src/health/freeze.ts'
import type { OverrideRequest } from '../../src/health/override.ts'
import type { HealthSpec, MemberSpec, ServiceSpec } from '../../src/health/target.ts'
import { member, serviceSpec, specOf, vote } from '../support/specs.ts'
import { Bus } from './bus.ts'
import { BusNode } from './bus-node.ts'

const folder = mkdtempSync(join(tmpdir(), 'meridian-freeze-'))
afterAll(() => rmSync(folder, { recursive: true }))

const [FRA, IAD, SIN] = ['fra/web/192.0.2.1', 'iad/web/192.0.2.2', 'sin/web/192.0.2.3'] as const
const ALL = [FRA, IAD, SIN]
const P1 = { name: 'eu-1', region: 'eu', bootId: 'b1' }
const HOUR = 3_600_000
const memberAt = (name: string, more: Partial<MemberSpec> = {}): MemberSpec =>
  member(name, [name], { settleMs: 0, ...more })
const plan = (names: readonly string[] = ALL, more: Partial<ServiceSpec> = {}): HealthSpec =>
  specOf(
    names.map((name) => memberAt(name)),
    [serviceSpec('web', more)],
  )

let bus: Bus
let nodes: Node[] = []
beforeEach(() => {
  vi.useFakeTimers()
  bus = new Bus()
  say({})
})
afterEach(async () => {
  for (const node of nodes.splice(0)) await node.stop()
  vi.useRealTimers()
})

class Node extends BusNode {
  constructor(name: string, file?: string) {
    super(bus, name, file)
  }

  override async start(spec: HealthSpec = plan()): Promise<this> {
    nodes.push(this)
    return super.start(spec)
  }

  states(): string {
    return this.health
      .snapshot()
      .members.map(({ site, state, frozen, braked }) => `${site} ${braked ? 'braked' : state}${frozen ? '!' : ''}`)
      .join(', ')
  }

  /** As its heartbeats say. */
  overridesHash(): string {
    const own = this.health.snapshot().nodes.find(({ self }) => self)
    return own!.beat.overrides!
  }

  share(name: string): number {
    return this.health.snapshot().members.find((one) => one.member === name)!.share
  }

  override async stop(): Promise<void> {
    nodes = nodes.filter((one) => one !== this)
    await super.stop()
  }
}

function say(values: Readonly<Record<string, 'up' | 'down'>>): void {
  bus.say(
    P1,
    [...new Set([...ALL, ...Object.keys(values)])].map((name) => vote(name, values[name] ?? 'up')),
  )
}
const fleet = async (spec = plan()): Promise<readonly [Node, Node]> => {
  const [a, b] = [new Node('a'), new Node('b')]
  for (const node of [a, b]) await node.start(spec)
  await later()
  return [a, b]
}
const later = (ms = 400): Promise<unknown> => vi.advanceTimersByTimeAsync(ms)
const states = (): string[] => [...new Set(nodes.map((node) => node.states()))]
const freeze = ({ health }: Node, forMs = 2 * HOUR) =>
  expect(health.controls.freeze({ forMs, who: 'ann', why: 'move' })).toHaveProperty('entry')
const override = ({ health }: Node, pattern: string, action: OverrideRequest['action']) =>
  expect(health.override({ pattern, action, forMs: undefined, who: 'ann', why: 'w', yes: true })).toHaveProperty('done')

test('verdicts change nothing until it ends by itself; then all changes are made', async () => {
  const [a, b] = await fleet()
  say({ [SIN]: 'down' })
  freeze(a)
  await later()
  say({ [FRA]: 'down' })
  expect(states()).toEqual(['fra up!, iad up, sin down!'])
  expect(b.health.snapshot().members[0]).toMatchObject({
    verdict: 'down',
    state: 'up',
    calm: false,
    unrest: 'the freeze keeps it as it is',
    why: expect.stringMatching(/^FROZEN UP by ann \(move\); its verdict is DOWN: connection refused/),
  })
  expect(b.health.snapshot().freeze).toMatchObject({ who: 'ann', why: 'move', down: 1, kept: 2, yields: [] })
  await later(2 * HOUR - 2000)
  expect(states()).toEqual(['fra up!, iad up, sin down!'])
  await later(2000)
  expect(states()).toEqual(['fra down, iad up, sin up'])
  expect(b.health.snapshot().freeze).toBeNull()
})

test('ends at once by unfreeze, at any node, and is no override', async () => {
  const [a, b] = await fleet()
  expect(a.health.controls.unfreeze({ who: 'ann', why: '' })).toHaveProperty('refused', 'there is no freeze in force')
  freeze(a)
  await later()
  say({ [FRA]: 'down' })
  expect(b.health.snapshot().overrides).toEqual([])
  expect(b.health.override({ pattern: '*', action: 'undone', forMs: undefined, who: 'x', why: '', yes: true })).toEqual(
    {
      refused: 'there is no override on *',
      hint: 'There are no overrides',
    },
  )
  expect(b.health.controls.unfreeze({ who: 'bob', why: '' })).toHaveProperty('entry')
  await later()
  expect(states()).toEqual(['fra down, iad up, sin up'])
})

test('a day at most', async () => {
  const [a] = await fleet()
  expect(a.health.controls.freeze({ forMs: 25 * HOUR, who: 'ann', why: 'w' })).toMatchObject({
    refused: 'a freeze lasts for 1d at most',
  })
})

test('forces, drains and their ends act', async () => {
  const [a, b] = await fleet()
  freeze(a)
  await later()
  say({ [SIN]: 'down' })
  override(b, 'fra', 'drain')
  override(b, 'sin', 'down')
  await later()
  expect(states()).toEqual(['fra drained, iad up, sin forced'])
  override(a, 'fra', 'undone')
  override(a, 'sin', 'undone')
  await later()
  expect(states()).toEqual(['fra up, iad up, sin up!'])
})

describe('all nodes hold alike', () => {
  test('also one that had heard a change before it heard of the freeze', async () => {
    const [a, b] = await fleet()
    b.link.cut = true
    void b.link.writerOf(P1).change(vote(FRA, 'down'))
    expect(b.states()).toBe('fra down, iad up, sin up')
    freeze(a)
    b.link.cut = false
    say({ [FRA]: 'down' })
    await later()
    expect(states()).toEqual(['fra up!, iad up, sin up'])
  })

  test('one that restarts with its files and without the Store, one without files, and one that is new', async () => {
    const file = join(folder, 'again', 'health.json')
    const [a] = await fleet()
    const c = await new Node('c', file).start()
    say({ [SIN]: 'down' })
    await later()
    freeze(a)
    await later()
    say({ [FRA]: 'down' })
    await c.stop()
    bus.away = true
    expect((await new Node('c', file).start()).states()).toBe('fra up!, iad up, sin down!')
    bus.away = false
    await later(1000)
    say({ [FRA]: 'down' })
    await new Node('d').start()
    await later(3000)
    expect(states()).toEqual(['fra up!, iad up, sin down!'])
  })

  test('a node of a version before, which moves on, is named', async () => {
    const [a] = await fleet()
    const old = { name: 'old', bootId: 'x' }
    const said = { sequence: 1, version: '0.9', view: 'v1', plan: '', verdicts: '', overrides: a.overridesHash() }
    await bus
      .link()
      .nodeWriter(old)
      .heartbeat({ node: old, ...said })
    const done = a.health.controls.freeze({ forMs: HOUR, who: 'ann', why: 'w' })
    if ('refused' in done) throw new Error(done.refused)
    const saved = expect(done.saved).resolves.toMatchObject({
      reached: ['a', 'b'],
      unreached: [{ node: 'old', why: 'version 0.9, which knows no freeze and no return' }],
    })
    await later(3000)
    await saved
    // overrides reach it as before
    const drain = { action: 'drain', forMs: undefined, who: 'ann', why: 'w', yes: true } as const
    const drained = a.health.override({ pattern: 'fra', ...drain })
    if ('refused' in drained) throw new Error(drained.refused)
    await bus
      .link()
      .nodeWriter(old)
      .heartbeat({ node: old, ...said, sequence: 2, overrides: a.overridesHash() })
    const all = expect(drained.saved).resolves.toMatchObject({ unreached: [] })
    await later(3000)
    await all
  })

  test('one that is extended goes on from what is frozen', async () => {
    const [a, b] = await fleet()
    freeze(a, HOUR)
    await later()
    say({ [FRA]: 'down' })
    freeze(b, HOUR)
    await later(HOUR - 1000)
    expect(states()).toEqual(['fra up!, iad up, sin up'])
  })
})

test('a member that is new is unproven until its first verdict, which stays', async () => {
  const all = await fleet()
  const next = plan([...ALL, 'nrt/web/192.0.2.4'])
  freeze(all[0])
  await later()
  for (const node of all) node.adopt(next)
  expect(states()).toEqual(['fra up, iad up, sin up, nrt unproven'])
  say({ 'nrt/web/192.0.2.4': 'up' })
  expect(states()).toEqual(['fra up, iad up, sin up, nrt up'])
  say({ 'nrt/web/192.0.2.4': 'down' })
  expect(states()).toEqual(['fra up, iad up, sin up, nrt up!'])
})

test('a service goes by its verdicts while all that the freeze names is down and others are up', async () => {
  const [a] = await fleet()
  say({ [FRA]: 'down' })
  await later()
  freeze(a)
  say({ [IAD]: 'down', [SIN]: 'down' })
  expect(states()).toEqual(['fra up, iad down, sin down'])
  expect(a.health.snapshot().freeze).toMatchObject({ yields: ['web'] })
  expect(a.health.snapshot().services[0]).toMatchObject({ yields: true, lastResort: false })
  expect(a.news.some((line) => line.startsWith('service web: all that the freeze would name is DOWN'))).toBe(true)
  say({ [IAD]: 'down' })
  expect(states()).toEqual(['fra down!, iad up!, sin up'])
  say({ [FRA]: 'down', [IAD]: 'down', [SIN]: 'down' }) // nothing is up: it stands
  expect(states()).toEqual(['fra down, iad up!, sin up!'])
})

test('what was all down at its begin is answered when it is up', async () => {
  const [a] = await fleet()
  say({ [FRA]: 'down', [IAD]: 'down', [SIN]: 'down' })
  freeze(a)
  await later()
  expect(states()).toEqual(['fra down, iad down, sin down'])
  say({ [FRA]: 'down', [IAD]: 'down' })
  expect(states()).toEqual(['fra down, iad down, sin up'])
})

test('a type of address of which nothing is left is as good as all of it', async () => {
  const six = ['fra/web/2001:db8::1', 'iad/web/2001:db8::2']
  const [a] = await fleet(plan([...ALL, ...six]))
  say({ [six[0]!]: 'up', [six[1]!]: 'up' })
  say({ [six[0]!]: 'down', [six[1]!]: 'up' })
  freeze(a)
  say({ [six[0]!]: 'up', [six[1]!]: 'down' })
  await later()
  expect(states()).toEqual(['fra up, iad up, sin up, fra up, iad down'])
})

test('the brake goes by what is frozen, and what an operator takes out', async () => {
  const [a] = await fleet(plan(ALL, { keepPercent: 60 }))
  freeze(a)
  await later()
  say({ [FRA]: 'down', [IAD]: 'down' })
  expect(states()).toEqual(['fra up!, iad up!, sin up'])
  await later(2 * HOUR)
  expect(states()[0]).toMatch(/braked/)
})

test('a ramp stands still, and goes on from there', async () => {
  const [a, b] = await fleet(plan(ALL, { rampUpMs: 100_000 }))
  say({ [FRA]: 'down' })
  await later()
  say({})
  await later(50_000)
  const half = a.share(FRA)
  expect(half).toBeGreaterThan(500)
  expect(half).toBeLessThan(600)
  freeze(b)
  await later(HOUR)
  expect(Math.abs(a.share(FRA) - half)).toBeLessThanOrEqual(10)
  await later(HOUR + 1000)
  expect(a.share(FRA)).toBeLessThan(620)
  await later(50_000)
  expect(a.share(FRA)).toBe(1000)
})

describe('what is written down', () => {
  const members = ['fra/web/192.0.2.1', 'fra/api/192.0.2.2', 'iad/web/192.0.2.3', 'iad/web/192.0.2.4'].map((name) =>
    memberAt(name),
  )
  const list = (...down: string[]): readonly string[] => downList(members, ({ name }) => down.includes(name))

  test('is as short as can be', () => {
    expect(list()).toEqual([])
    expect(list('fra/web/192.0.2.1', 'fra/api/192.0.2.2')).toEqual(['fra'])
    expect(list('fra/web/192.0.2.1', 'iad/web/192.0.2.4')).toEqual(['fra/web', 'iad/web/192.0.2.4'])
  })

  test('has a limit, beyond which there is no freeze', () => {
    const many = Array.from({ length: 5000 }, (_, i) => `site-${i}/web-${i}/192.0.2.1`)
    expect([isTooLong(many.slice(0, 1000)), isTooLong(many)]).toEqual([false, true])
  })
})
