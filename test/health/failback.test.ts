/**
 * Failback by hand: a site that has failed over stays passed over until it is returned, on all nodes alike. Three nodes
 * over one bus; what they write down for each other is a tenth of a second late at most times two.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { NodeHealth } from '../../src/health/node-health.ts'
import type { OverrideRequest } from '../../src/health/override.ts'
import { makeHealthTable } from '../../src/health/table.ts'
import type { HealthSpec, MemberSpec, ServiceSpec } from '../../src/health/target.ts'
import { MemoryStore } from '../../src/store/memory.ts'
import { member, serviceSpec, specOf, vote } from '../support/specs.ts'
import { Bus } from './bus.ts'
import { BusNode } from './bus-node.ts'

const folder = mkdtempSync(join(tmpdir(), 'meridian-failback-'))
afterAll(() => rmSync(folder, { recursive: true }))

const [FRA, IAD, SIN] = ['fra/web/192.0.2.1', 'iad/web/192.0.2.2', 'sin/web/192.0.2.3'] as const
const ALL = [FRA, IAD, SIN]
const SITES = ['fra', 'iad', 'sin']
const P1 = { name: 'eu-1', region: 'eu', bootId: 'b1' }
/** A target for each member, of the same name. */
const manual = (name: string, more: Partial<MemberSpec> = {}): MemberSpec =>
  member(name, [name], { manual: true, settleMs: 0, ...more })
const plan = (names: readonly string[] = ALL, more: Partial<ServiceSpec> = {}): HealthSpec =>
  specOf(
    names.map((name) => manual(name)),
    [serviceSpec('web', more)],
  )

let bus: Bus
let nodes: Node[] = []
beforeEach(() => {
  vi.useFakeTimers()
  bus = new Bus()
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
      .members.toSorted((one, other) => SITES.indexOf(one.site) - SITES.indexOf(other.site))
      .map(({ site, state, braked }) => `${site} ${braked ? 'braked' : state}`)
      .join(', ')
  }

  override async stop(): Promise<void> {
    nodes = nodes.filter((one) => one !== this)
    await super.stop()
  }
}

const fleet = async (spec = plan()): Promise<readonly [Node, Node, Node]> => {
  say({})
  const [c, b, a] = [new Node('c'), new Node('b'), new Node('a')]
  for (const node of [c, b, a]) await node.start(spec) // not in the order of their turns
  await later(1000) // each has heard the others
  return [a, b, c]
}

/** What the prober says from now on; who is not named is up. */
const said = new Map<string, 'up' | 'down'>()
function say(values: Readonly<Record<string, 'up' | 'down'>>): void {
  said.clear()
  for (const name of [...ALL, ...Object.keys(values)]) said.set(name, values[name] ?? 'up')
  bus.say(
    P1,
    Array.from(said, ([name, value]) => vote(name, value)),
  )
}

/** Lets what was sent arrive. */
const later = (ms = 400): Promise<unknown> => vi.advanceTimersByTimeAsync(ms)
const states = (): string[] => [...new Set(nodes.map((node) => node.states()))]
const entries = (): string[] =>
  [...bus.overrides.values()].map(({ pattern, action, node }) => `${pattern} ${action} ${node}`)
const override = ({ health }: Node, pattern: string, action: OverrideRequest['action']) =>
  expect(health.override({ pattern, action, forMs: undefined, who: 'ann', why: 'w', yes: true })).toHaveProperty('done')
const give = ({ health }: Node, pattern: string, yes = false) =>
  health.controls.return({ pattern, who: 'ann', why: '', yes })

describe('a site that died', () => {
  test('is passed over when it is well, on all nodes, until it is returned at any of them', async () => {
    const [a, , c] = await fleet()
    say({ [FRA]: 'down' })
    expect(states()).toEqual(['fra down, iad up, sin up'])
    await later()
    expect(entries()).toEqual(['fra/web/* failover a']) // they take turns: one writes for all
    expect(a.news).toContain(
      'service web: fra has failed over: once well, it is passed over until meridian return fra/web',
    )
    say({})
    expect(states()).toEqual(['fra recovered, iad up, sin up'])
    const [fra] = a.health.snapshot().members
    expect(fra!.why).toMatch(
      /^well again, but passed over until meridian return fra\/web: it had failed over \(connection refused.*; 200/,
    )
    expect(a.health.snapshot().services[0]).toMatchObject({
      leftPercent: expect.closeTo(66.7, 1),
      failedOver: [{ site: 'fra', well: true }],
      lastResort: false,
    })
    expect(a.health.snapshot().overrides).toEqual([])
    expect(give(c, 'fra')).toMatchObject({ returned: ['fra/web'], waiting: [] })
    await later()
    expect(states()).toEqual(['fra up, iad up, sin up'])
    expect(new Set(nodes.map((node) => node.health.snapshot().services[0]!.failedOver.length))).toEqual(new Set([0]))
    say({ [FRA]: 'down' })
    await later()
    say({})
    expect(states()).toEqual(['fra recovered, iad up, sin up']) // the next death is a new one
  })

  test('comes back by itself where failback is not manual', async () => {
    await fleet(
      specOf(
        ALL.map((name) => member(name, [name])),
        [serviceSpec('web')],
      ),
    )
    say({ [FRA]: 'down' })
    await later()
    say({})
    await later()
    expect(states()).toEqual(['fra up, iad up, sin up'])
    expect(entries()).toEqual([])
  })

  test('at which enough VIPs are up has not died, and its VIPs come back by themselves', async () => {
    const six = 'fra/web/192.0.2.11'
    const spec = specOf(
      [...ALL, six].map((name) => manual(name)),
      [serviceSpec('web')],
    )
    await fleet(spec)
    say({ [six]: 'up' })
    say({ [six]: 'down' })
    await later()
    say({ [six]: 'up' })
    expect(states()).toEqual(['fra up, fra up, iad up, sin up'])
    say({ [six]: 'down', [FRA]: 'down' })
    await later()
    say({ [six]: 'up', [FRA]: 'down' })
    expect(states()).toEqual(['fra down, fra recovered, iad up, sin up'])
  })

  test('is drained and forced as any other; undraining is no return', async () => {
    const [a, b] = await fleet()
    say({ [FRA]: 'down' })
    await later()
    say({})
    override(a, 'fra', 'drain')
    await later()
    expect(states()).toEqual(['fra drained, iad up, sin up'])
    override(b, 'fra', 'undone')
    override(b, 'fra/web', 'up')
    await later()
    expect(states()).toEqual(['fra up, iad up, sin up'])
    override(b, 'fra/web', 'undone')
    await later()
    expect(states()).toEqual(['fra recovered, iad up, sin up'])
  })

  test('while it is drained has not failed over: nobody was there', async () => {
    const [a] = await fleet()
    override(a, 'fra', 'drain')
    say({ [FRA]: 'down' })
    await later()
    say({})
    override(a, 'fra', 'undone')
    await later()
    expect(states()).toEqual(['fra up, iad up, sin up'])
  })
})

describe('a return', () => {
  test('is refused where nothing awaits it, or all is still down; --yes returns it for when it is well', async () => {
    const [a] = await fleet()
    expect(give(a, 'fra')).toEqual({ refused: 'nothing of fra awaits a return', hint: 'No site has failed over' })
    say({ [FRA]: 'down' })
    await later()
    expect(give(a, 'iad')).toEqual({ refused: 'nothing of iad awaits a return', hint: 'These await it: fra/web' })
    expect(give(a, 'fra')).toEqual({
      refused: expect.stringContaining('still not well: fra/web: connection refused'),
      hint: 'With --yes it has its clients again as soon as it is well',
    })
    expect(give(a, 'fra/web', true)).toMatchObject({ returned: ['fra/web'] })
    await later()
    expect(states()).toEqual(['fra down, iad up, sin up'])
    say({})
    await later()
    expect(states()).toEqual(['fra up, iad up, sin up'])
  })

  test('of a site returns the services that are well, and names the others', async () => {
    const api = ['fra/api/192.0.2.7', 'iad/api/192.0.2.8']
    const [a] = await fleet(
      specOf(
        [...ALL, ...api].map((name) => manual(name)),
        [],
      ),
    )
    const up = { [api[0]!]: 'up', [api[1]!]: 'up' } as const
    say(up)
    say({ ...up, [FRA]: 'down', [api[0]!]: 'down' })
    await later()
    say({ ...up, [api[0]!]: 'down' })
    expect(give(a, 'fra')).toMatchObject({
      returned: ['fra/web'],
      waiting: [{ subject: 'fra/api', why: expect.stringContaining('connection refused') }],
    })
    await later()
    say(up)
    expect(states()).toEqual(['fra up, fra recovered, iad up, iad up, sin up'])
  })

  test('is not taken back by a node that hears of the death, and of the return, late', async () => {
    const [a, , c] = await fleet()
    c.link.cut = true
    say({ [FRA]: 'down' })
    await later()
    say({})
    give(a, 'fra')
    await later()
    say({ [FRA]: 'down' })
    await later()
    expect(give(a, 'fra', true)).toHaveProperty('returned')
    await later()
    expect(c.states()).toBe('fra up, iad up, sin up')
    c.link.cut = false // hears that it is dead, and what was written meanwhile
    await later(3000)
    say({})
    await later()
    expect(states()).toEqual(['fra up, iad up, sin up'])
  })
})

describe('all nodes hold alike', () => {
  test('also one that restarts with its files, without them, and one that first hears of it now', async () => {
    const file = join(folder, 'again', 'health.json')
    await fleet()
    const d = await new Node('d', file).start()
    say({ [FRA]: 'down' })
    await later()
    say({})
    await d.stop()
    expect(readFileSync(join(folder, 'again', 'overrides.json'), 'utf8')).toContain('"action":"failover"')
    await new Node('d', file).start()
    await new Node('e').start()
    await later()
    expect(states()).toEqual(['fra recovered, iad up, sin up'])
    expect(nodes).toHaveLength(5)
  })

  test('one that starts without the Store goes by its file', async () => {
    const file = join(folder, 'alone', 'health.json')
    await fleet()
    const d = await new Node('d', file).start()
    say({ [FRA]: 'down' })
    await later()
    say({})
    await d.stop()
    bus.away = true
    const again = await new Node('d', file).start()
    expect(again.states()).toBe('fra recovered, iad up, sin up')
    bus.away = false
  })

  test('one that was cut off when it died, and the Store that lost everything', async () => {
    const [, , c] = await fleet()
    c.link.cut = true
    say({ [FRA]: 'down' })
    await later()
    say({})
    expect(c.states()).toBe('fra up, iad up, sin up')
    c.link.cut = false
    await later()
    expect(states()).toEqual(['fra recovered, iad up, sin up'])
    bus.flush()
    say({})
    await later(3000)
    expect(entries()).toEqual(['fra/web/* failover a'])
    expect(states()).toEqual(['fra recovered, iad up, sin up'])
  })

  test('one that was told at the same time writes the same: what it says does not depend on who wrote it', async () => {
    const [a, b, c] = await fleet()
    for (const node of nodes) node.link.cut = true
    bus.say(P1, []) // nothing is heard: each sees the death by itself
    for (const node of [a, b, c]) {
      const own = node.link.writerOf(P1)
      void own.change(vote(FRA, 'down'))
    }
    await later(3000)
    expect(states()).toEqual(['fra down, iad up, sin up'])
    for (const node of nodes) node.link.cut = false
    await later(3000)
    say({})
    await later(3000)
    expect(states()).toEqual(['fra recovered, iad up, sin up'])
    expect(entries()).toHaveLength(1)
  })

  test('in one process without Redis, over a restart', async () => {
    const file = join(folder, 'memory', 'health.json')
    const table = makeHealthTable()
    const start = async (): Promise<NodeHealth> => {
      const store = new MemoryStore(1e9)
      const health = new NodeHealth({ table, store, file })
      await health.start()
      health.adopt(plan(), Int32Array.of(0, 1, 2))
      const writer = store.proberWriter(P1)
      await writer.replace(ALL.map((name) => vote(name, 'up')))
      if (seen === undefined) await writer.change(vote(FRA, 'down'))
      await later()
      await writer.change(vote(FRA, 'up'))
      seen = health.snapshot().members.map(({ state }) => state)
      await health.stop()
      return health
    }
    let seen: string[] | undefined
    await start()
    expect(seen).toEqual(['recovered', 'up', 'up'])
    await start()
    expect(seen).toEqual(['recovered', 'up', 'up'])
  })

  test('a site that died while the only node was away fails over when that is back', async () => {
    const file = join(folder, 'only', 'health.json')
    say({})
    const a = await new Node('a', file).start()
    await later()
    await a.stop()
    say({ [FRA]: 'down' })
    await new Node('a', file).start()
    await later()
    say({})
    expect(states()).toEqual(['fra recovered, iad up, sin up'])
  })
})

describe('a failover lapses', () => {
  test('where nothing else is left; the site that died then is passed over in its turn', async () => {
    const [a] = await fleet(plan([FRA, IAD]))
    say({ [FRA]: 'down' })
    await later()
    say({})
    expect(states()).toEqual(['fra recovered, iad up'])
    say({ [IAD]: 'down' })
    expect(states()).toEqual(['fra up, iad down']) // at once, on all nodes
    await later()
    expect(a.news).toContain(
      'service web: fra has its clients again, as too little else is usable: its failover is over',
    )
    say({})
    await later()
    expect(states()).toEqual(['fra up, iad recovered'])
    expect(entries().toSorted()).toEqual(['fra/web/* undone a', 'iad/web/* failover a'])
  })

  test('before the brake keeps a dead site in the answers', async () => {
    await fleet(plan(ALL, { keepPercent: 60 }))
    say({ [FRA]: 'down' })
    await later()
    say({})
    expect(states()).toEqual(['fra recovered, iad up, sin up'])
    say({ [IAD]: 'down' })
    await later()
    expect(states()).toEqual(['fra up, iad down, sin up'])
  })

  test('not before: a site that the brake keeps has not failed over', async () => {
    await fleet(plan(ALL, { keepPercent: 100 }))
    say({ [FRA]: 'down' })
    await later()
    expect(states()).toEqual(['fra braked, iad up, sin up'])
    say({})
    await later()
    expect(states()).toEqual(['fra up, iad up, sin up'])
    expect(entries()).toEqual([])
  })

  test('for whichever is well first, when all were dead', async () => {
    await fleet()
    say({ [FRA]: 'down', [IAD]: 'down', [SIN]: 'down' })
    await later()
    expect(entries()).toEqual([]) // nobody was there to go to
    say({ [FRA]: 'down', [IAD]: 'down' })
    await later()
    expect(states()).toEqual(['fra down, iad down, sin up'])
    say({})
    await later()
    expect(states()).toEqual(['fra recovered, iad recovered, sin up'])
  })

  test('not at a node that knows nothing of the others yet', async () => {
    await fleet()
    say({ [FRA]: 'down' })
    await later()
    bus.say(P1, [vote(FRA, 'up')]) // of the others nothing is heard any more
    for (const node of nodes) await node.stop()
    bus.known.clear()
    const fresh = await new Node('z').start()
    await later(3000)
    expect(fresh.states()).toBe('fra recovered, iad unproven, sin unproven')
    say({})
    await later()
    expect(fresh.states()).toBe('fra recovered, iad up, sin up')
    expect(entries()).toEqual(['fra/web/* failover a'])
  })
})

/** A fleet of which fra has failed over, and is well again. */
const away = async (): Promise<readonly [Node, Node, Node]> => {
  const all = await fleet()
  say({ [FRA]: 'down' })
  await later()
  say({})
  return all
}

describe('new zones', () => {
  test('a VIP that is new at the site is passed over, too; another check changes nothing', async () => {
    const all = await away()
    const next = specOf(
      [manual(FRA, { targets: ['edited'] }), manual('fra/web/192.0.2.9'), manual(IAD), manual(SIN)],
      [serviceSpec('web')],
    )
    for (const node of all) node.adopt(next)
    say({ edited: 'up', 'fra/web/192.0.2.9': 'up' })
    await later()
    expect(states()).toEqual(['fra recovered, fra recovered, iad up, sin up'])
  })

  test('that take the site out, and bring it back, change nothing', async () => {
    const all = await away()
    for (const node of all) node.adopt(plan([IAD, SIN]))
    await later()
    for (const node of all) node.adopt(plan())
    await later()
    expect(states()).toEqual(['fra recovered, iad up, sin up'])
  })

  test('in which failback is not manual end it, at whichever node they come first', async () => {
    const [a] = await away()
    a.adopt(specOf([member(FRA, [FRA]), manual(IAD), manual(SIN)], [serviceSpec('web')]))
    await later()
    expect(states()).toEqual(['fra up, iad up, sin up'])
    expect(entries()).toEqual(['fra/web/* undone a'])
  })
})
