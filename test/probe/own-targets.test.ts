/**
 * Who probes what as probers come, go and fall silent, and as zones change: several OwnTargets around one Store, each voting
 * on what it is given, on a clock of the test's own.
 */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import {
  type StoreSubscriber,
  type ProberWriter,
  HEARTBEAT_MS,
  LEASE_MS,
  type ProberIdentity,
  type Store,
} from '../../src/health/store.ts'
import { hashTargets, type Target } from '../../src/health/target.ts'
import { assign } from '../../src/probe/assignment.ts'
import { OwnTargets } from '../../src/probe/own-targets.ts'
import { MemoryStore } from '../../src/store/memory.ts'
import { httpCheck, vote } from '../support/specs.ts'

/** The memory store as probers of several hosts would share it, with trouble on the way to it when a test says so. */
class SharedStore {
  readonly inner = new MemoryStore()
  trouble: string | undefined
  readonly shared: boolean
  constructor(shared = true) {
    this.shared = shared
  }
  /** A way to it of its own. */
  way(): Store {
    const { inner } = this
    const trouble = () => this.trouble
    return {
      shared: this.shared,
      get trouble() {
        return trouble()
      },
      refusals: inner.refusals,
      repeat: (prober) => inner.repeat(prober),
      proberWriter: (prober) => inner.proberWriter(prober),
      nodeWriter: (node) => inner.nodeWriter(node),
      readMembers: () => inner.readMembers(),
      listen: (subscriber, signal) => inner.listen(subscriber, signal),
      close: () => inner.close(),
    }
  }
}

const INTERVAL_MS = 5000

/** A prober without threads: votes UP on every target an interval after it was given, beats, and retires what it gives up. */
class Peer {
  readonly identity: ProberIdentity
  readonly troubles: string[] = []
  readonly ownTargets: OwnTargets
  given: readonly string[] = []
  votes = true
  sees = (_id: string): 'up' | 'down' => 'up'
  readonly #writer: ProberWriter
  readonly #pending = new Map<string, NodeJS.Timeout>()
  readonly #beats: NodeJS.Timeout
  #sequence = 0
  beats = true

  constructor(store: SharedStore, name: string, region = 'eu', boot = 'one', rate = 5000) {
    this.identity = { name, region, bootId: boot }
    const way = store.way()
    this.#writer = way.proberWriter(this.identity)
    void this.#writer.replace([])
    this.ownTargets = new OwnTargets({
      identity: this.identity,
      store: way,
      capacity: { threads: 1, rate },
      onTargets: (targets) => this.#give(targets.map(({ id }) => id)),
      onTrouble: (trouble) => this.troubles.push(trouble),
    })
    this.#beats = setInterval(() => this.#beat(), HEARTBEAT_MS)
    this.ownTargets.start()
  }

  #beat(): void {
    const beat = { prober: this.identity, sequence: ++this.#sequence, configHash: '', overdue: 0, overdueAgeMs: 0 }
    if (this.beats) void this.#writer.heartbeat(beat)
  }

  #give(ids: readonly string[]): void {
    const wanted = new Set(ids)
    const retired = this.given.filter((id) => !wanted.has(id))
    for (const id of retired) clearTimeout(this.#pending.get(id))
    if (retired.length > 0) void this.#writer.retire(retired)
    for (const id of ids) {
      if (this.given.includes(id)) continue
      const say = () => {
        if (this.votes) void this.#writer.change(vote(id, this.sees(id)))
      }
      this.#pending.set(id, setTimeout(say, INTERVAL_MS))
    }
    this.given = ids
  }

  stop(): void {
    this.ownTargets.stop()
    clearInterval(this.#beats)
    for (const timer of this.#pending.values()) clearTimeout(timer)
  }
}

/** Hears what nodes hear: the live votes on each target. */
class Ear {
  readonly #votes = new Map<string, Set<string>>()
  constructor(store: SharedStore) {
    void store.inner.listen(
      {
        votes: ({ name }, votes, whole) => {
          const said = (whole ? undefined : this.#votes.get(name)) ?? new Set()
          for (const { target } of votes) said.add(target)
          this.#votes.set(name, said)
        },
        retired: ({ name }, targets) => targets.forEach((target) => this.#votes.get(name)?.delete(target)),
        heartbeat: () => {},
        gone: ({ name }) => void this.#votes.delete(name),
      },
      new AbortController().signal,
    )
  }
  on(target: string): readonly string[] {
    return [...this.#votes].filter(([, said]) => said.has(target)).map(([name]) => name)
  }
}

const targets = (count: number, probers = 2, prefix = 't'): Target[] =>
  Array.from({ length: count }, (_, i) => ({
    id: `${prefix}${i}`,
    check: httpCheck({ intervalMs: INTERVAL_MS }),
    address: `127.79.${i >>> 8}.${i & 255}`,
    port: 80,
    probers,
  }))
const ids = (list: readonly Target[]) => list.map(({ id }) => id)
const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms)

let store: SharedStore
let ear: Ear
let peers: Peer[]
const nodes = new Map<string, NodeJS.Timeout>()
const join = (name: string, region?: string, boot?: string) => {
  const peer = new Peer(store, name, region, boot)
  peers.push(peer)
  return peer
}
/** What each should probe by the assignment among those named. */
const due = (peer: Peer, among: readonly Peer[], plan: readonly Target[]) =>
  ids(
    plan.filter(({ id, probers }) =>
      assign(
        id,
        probers,
        among.map((one) => one.identity),
      ).includes(peer.identity.name),
    ),
  )

/** The fewest votes that any target of the plan has at any time while `ms` pass. */
async function fewest(plan: readonly Target[], ms: number): Promise<number> {
  let least = Infinity
  for (let passed = 0; passed < ms; passed += 50) {
    await pass(50)
    for (const { id } of plan) least = Math.min(least, ear.on(id).length)
  }
  return least
}

beforeEach(() => {
  vi.useFakeTimers()
  store = new SharedStore()
  ear = new Ear(store)
  peers = []
})
afterEach(async () => {
  for (const peer of peers) peer.stop()
  for (const beats of nodes.values()) clearInterval(beats)
  nodes.clear()
  await store.inner.close()
  vi.useRealTimers()
})

describe('spreading', () => {
  test('probers of one plan share it by the assignment, each target with as many as it asks', async () => {
    const plan = targets(200, 2)
    const all = [join('a', 'eu'), join('b', 'us'), join('c', 'eu'), join('d', 'ap')]
    for (const peer of all) peer.ownTargets.setTargets(plan)
    await pass(20_000)
    for (const peer of all) {
      expect(peer.given.toSorted()).toEqual(due(peer, all, plan).toSorted())
      expect([peer.ownTargets.planned, peer.ownTargets.assigned, peer.ownTargets.leaving]).toEqual([
        200,
        peer.given.length,
        0,
      ])
      expect(peer.troubles).toEqual([])
    }
    expect(plan.every(({ id }) => ear.on(id).length === 2)).toBe(true)
  })

  test('one that joins takes its share, and nobody gives a target up before it has voted', async () => {
    const plan = targets(100, 2)
    const [a, b] = [join('a'), join('b')]
    for (const peer of [a, b]) peer.ownTargets.setTargets(plan)
    await pass(20_000)
    const c = join('c')
    c.votes = false
    c.ownTargets.setTargets(plan)
    expect(await fewest(plan, 30_000)).toBe(2)
    expect([a.given.length, b.given.length, a.ownTargets.leaving + b.ownTargets.leaving]).toEqual([
      100,
      100,
      c.given.length,
    ])
    expect(c.given.toSorted()).toEqual(due(c, peers, plan).toSorted())
    c.stop()
    peers.pop()
    await pass(LEASE_MS + 200)
    expect(a.ownTargets.leaving).toBe(0)
    join('c', 'eu', 'two').ownTargets.setTargets(plan)
    expect(await fewest(plan, 20_000)).toBe(2)
    expect(plan.every(({ id }) => ear.on(id).length === 2)).toBe(true)
    for (const peer of peers) expect(peer.given.toSorted()).toEqual(due(peer, peers, plan).toSorted())
  })

  test('a successor that never votes is waited for as long as that, and named after five minutes', async () => {
    const plan = targets(40, 1)
    const a = join('a')
    a.ownTargets.setTargets(plan)
    await pass(20_000)
    const b = join('b')
    b.votes = false
    b.ownTargets.setTargets(plan)
    await pass(5 * 60_000 - 2000)
    expect([a.given.length, a.troubles]).toEqual([40, []])
    await pass(60 * 60_000)
    expect(a.given).toHaveLength(40)
    expect(a.troubles).toHaveLength(1)
    expect(a.troubles[0]).toMatch(new RegExp(`^${b.given.length} targets are assigned to b, .* 5m`))
  })

  test('when one falls silent its targets go to the next in the order at once', async () => {
    const plan = targets(100, 1)
    const [a, b, c] = [join('a'), join('b'), join('c')]
    for (const peer of [a, b, c]) peer.ownTargets.setTargets(plan)
    await pass(30_000)
    b.beats = false
    b.stop()
    await pass(LEASE_MS + 100)
    expect(a.given.toSorted()).toEqual(due(a, [a, c], plan).toSorted())
    expect(c.given.toSorted()).toEqual(due(c, [a, c], plan).toSorted())
    expect(a.given.length + c.given.length).toBe(100)
  })

  test('a prober that starts again moves nothing', async () => {
    const plan = targets(100, 2)
    const [a, b, c] = [join('a'), join('b'), join('c')]
    for (const peer of [a, b, c]) peer.ownTargets.setTargets(plan)
    await pass(30_000)
    const before = [a.given, b.given]
    c.stop()
    const again = join('c', 'eu', 'two')
    again.ownTargets.setTargets(plan)
    await pass(20_000)
    expect([a.given, b.given]).toEqual(before)
    expect(again.given.toSorted()).toEqual(c.given.toSorted())
  })

  test('alone without a shared store everything is its own, at once', () => {
    const alone = new Peer(new SharedStore(false), 'a')
    peers.push(alone)
    alone.ownTargets.setTargets(targets(10, 3))
    expect(alone.given).toHaveLength(10)
  })
})

describe('trouble with the store', () => {
  test('while it lasts, and for a lease after it, silence moves nothing; what is silent then is gone', async () => {
    const plan = targets(60, 1)
    const [a, b] = [join('a'), join('b')]
    for (const peer of [a, b]) peer.ownTargets.setTargets(plan)
    await pass(30_000)
    const before = a.given
    expect(before.length).toBeLessThan(60)
    store.trouble = 'no connection for 1s'
    await pass(1000)
    b.beats = false
    await pass(10 * 60_000)
    expect(a.given).toEqual(before)
    store.trouble = undefined
    await pass(LEASE_MS)
    expect(a.given).toEqual(before)
    await pass(HEARTBEAT_MS + 2000)
    expect(a.given).toHaveLength(60)
  })

  test('who is heard again after it keeps its targets', async () => {
    const plan = targets(60, 1)
    const [a, b] = [join('a'), join('b')]
    for (const peer of [a, b]) peer.ownTargets.setTargets(plan)
    await pass(30_000)
    const before = [a.given, b.given]
    store.trouble = 'no connection for 1s'
    a.beats = b.beats = false
    await pass(60_000)
    store.trouble = undefined
    await pass(1000)
    a.beats = b.beats = true
    await pass(60_000)
    expect([a.given, b.given]).toEqual(before)
  })

  test('the time of those that leave does not run in it', async () => {
    const plan = targets(40, 1)
    const a = join('a')
    a.ownTargets.setTargets(plan)
    await pass(20_000)
    const b = join('b')
    b.votes = false
    b.ownTargets.setTargets(plan)
    await pass(1000)
    store.trouble = 'no connection for 1s'
    await pass(20 * 60_000)
    store.trouble = undefined
    await pass(60_000)
    expect([a.given.length, a.troubles]).toEqual([40, []])
  })

  test('a prober that starts in it takes nothing before it has read whose the targets are', async () => {
    const plan = targets(60, 1)
    const a = join('a')
    a.ownTargets.setTargets(plan)
    await pass(20_000)
    store.trouble = 'connection refused for 3s'
    const b = join('b')
    b.ownTargets.setTargets(plan)
    await pass(60_000)
    expect(b.given).toEqual([])
    expect(b.troubles).toEqual([]) // the store tells its own
    store.trouble = undefined
    await pass(LEASE_MS + 3000)
    expect(b.given.toSorted()).toEqual(due(b, [a, b], plan).toSorted())
  })
})

const [old, edited] = [targets(20, 2, 'old'), targets(20, 2, 'new')]
/** A node that serves the plan, and says so from now on. */
const node = async (plan: readonly Target[], name = 'n1') => {
  const identity = { name, bootId: 'one' }
  const writer = store.inner.nodeWriter(identity)
  let sequence = performance.now()
  const beat = { node: identity, version: '', view: '', plan: hashTargets(ids(plan)), verdicts: '' }
  const say = () => writer.heartbeat({ ...beat, sequence: sequence++ })
  clearInterval(nodes.get(name))
  nodes.set(
    name,
    setInterval(() => void say(), HEARTBEAT_MS),
  )
  await say()
}

describe('zones that change', () => {
  test('an edited check: the old one is probed until the new one has all its votes and every node serves it', async () => {
    const all = [join('a', 'eu'), join('b', 'us'), join('c', 'ap')]
    for (const peer of all) peer.ownTargets.setTargets(old)
    await node(old)
    await node(old, 'n2')
    await pass(20_000)
    for (const peer of all) peer.ownTargets.setTargets(edited)
    expect(await fewest(old, 30_000)).toBe(2) // the nodes serve the old ones still
    await node(edited)
    expect(await fewest(old, 30_000)).toBe(2)
    await node(edited, 'n2')
    await pass(1000)
    expect(old.some(({ id }) => ear.on(id).length > 0)).toBe(false)
    expect(edited.every(({ id }) => ear.on(id).length === 2)).toBe(true)
    for (const peer of all) expect(peer.ownTargets.leaving).toBe(0)
  })

  test('nodes first: the old one stays until the new one has votes, though not of this prober alone', async () => {
    const all = [join('a', 'eu'), join('b', 'us'), join('c', 'ap')]
    for (const peer of all) peer.ownTargets.setTargets(old)
    await pass(20_000)
    await node(edited)
    all[1]!.votes = false
    for (const peer of all) peer.ownTargets.setTargets(edited)
    expect(await fewest(old, 30_000)).toBe(2)
    await pass(60 * 60_000) // for an hour at the most
    expect(old.some(({ id }) => ear.on(id).length > 0)).toBe(false)
  })

  test('an edited check that never passes decides nothing: the old one stays, an hour at the most', async () => {
    const all = [join('a', 'eu'), join('b', 'us'), join('c', 'ap')]
    for (const peer of all) peer.ownTargets.setTargets(old)
    await node(old)
    await pass(20_000)
    for (const peer of all) peer.sees = (id) => (id === 'new7' ? 'down' : 'up')
    await node(edited)
    for (const peer of all) peer.ownTargets.setTargets(edited)
    expect(await fewest(old, 60_000)).toBe(2)
    expect(ear.on('new7')).toHaveLength(2)
    await pass(60 * 60_000)
    expect(old.some(({ id }) => ear.on(id).length > 0)).toBe(false)
  })

  test('where no node beats, the new votes are enough', async () => {
    const alone = new Peer(new SharedStore(false), 'a')
    peers.push(alone)
    alone.ownTargets.setTargets(old)
    await pass(10_000)
    alone.ownTargets.setTargets(edited)
    await pass(INTERVAL_MS - 1000)
    expect(alone.given).toHaveLength(40)
    await pass(3000)
    expect(alone.given).toEqual(ids(edited))
  })

  test('what is removed and nothing put in its place goes when the nodes have caught up', async () => {
    const a = join('a')
    a.ownTargets.setTargets(old)
    await node(old)
    await pass(20_000)
    a.ownTargets.setTargets(old.slice(5))
    await pass(20_000)
    expect(a.given).toHaveLength(20)
    await node(old.slice(5))
    await pass(100)
    expect(a.given).toEqual(ids(old.slice(5)))
  })

  test('what comes back before it went keeps being probed; new timing reaches the threads', async () => {
    const a = join('a')
    a.ownTargets.setTargets(old)
    await node(old)
    await pass(20_000)
    a.ownTargets.setTargets(edited)
    await pass(2000)
    const faster = old.map((target) => ({ ...target, check: httpCheck({ intervalMs: 1000 }) }))
    a.ownTargets.setTargets(faster)
    await pass(2000)
    expect(a.ownTargets.targets).toEqual(expect.arrayContaining(faster))
    expect(old.every(({ id }) => ear.on(id).includes('a'))).toBe(true)
  })
})

test('a prober that starts takes its targets as soon as the Store has been read', async () => {
  store.trouble = 'is being connected to'
  const a = join('a')
  a.ownTargets.setTargets(old)
  await pass(2000)
  expect(a.given).toEqual([])
  store.trouble = undefined
  await pass(1500)
  expect(a.given).toHaveLength(20)
})

describe('what an operator should read', () => {
  test('a prober without targets, once, after a lease, and why', async () => {
    const plan = targets(3, 1)
    const all = ['a', 'b', 'c', 'd', 'e', 'f', 'g'].map((name) => join(name))
    for (const peer of all) peer.ownTargets.setTargets(plan)
    await pass(60_000)
    const idle = all.filter((peer) => peer.given.length === 0)
    expect(idle.length).toBeGreaterThanOrEqual(4)
    for (const peer of idle) {
      expect(peer.troubles).toEqual([
        'this prober has no targets: its zones have 3, and 6 other probers check them; `probers` of a service says how many check each',
      ])
    }
    const lone = join('z')
    lone.ownTargets.setTargets([])
    await pass(LEASE_MS - 500)
    expect(lone.troubles).toEqual([])
    await pass(60_000)
    expect(lone.troubles).toEqual(['this prober has no targets: the zones ask for no checks'])
  })

  test('more than it can check, once each time', async () => {
    const slow = new Peer(store, 'a', 'eu', 'one', 3)
    peers.push(slow)
    slow.ownTargets.setTargets(targets(20, 1))
    await pass(5000)
    slow.ownTargets.setTargets(targets(30, 1))
    await pass(5000)
    expect(slow.troubles).toHaveLength(1)
    expect(slow.troubles[0]).toContain('20 targets ask for 4 checks a second, and this prober begins at most 3')
    slow.ownTargets.setTargets(targets(5, 1))
    await pass(60_000)
    slow.ownTargets.setTargets(targets(50, 1))
    await pass(5000)
    expect(slow.troubles).toHaveLength(2)
  })
})

const beat = (prober: ProberIdentity) => ({ prober, sequence: 1, configHash: '', overdue: 0, overdueAgeMs: 0 })

describe('what it hears', () => {
  const a = { name: 'a', region: 'eu', bootId: 'one' }
  const b = { ...a, name: 'b' }
  const one = targets(50, 1).find(({ id }) => assign(id, 1, [a, b])[0] === 'b')!
  let given: readonly string[]
  let say: StoreSubscriber
  let ownTargets: OwnTargets

  /** Probes `one` though b, who has not voted on it yet, is to. */
  beforeEach(async () => {
    const way: Store = { ...store.way(), listen: async (subscriber) => void (say = subscriber) }
    const quiet = { capacity: { threads: 1, rate: 5000 }, onTrouble: () => {} }
    ownTargets = new OwnTargets({ ...quiet, identity: a, store: way, onTargets: (list) => void (given = ids(list)) })
    ownTargets.start()
    ownTargets.setTargets([one])
    await pass(100)
    say.heartbeat(beat(b))
    await pass(100)
    expect([given, ownTargets.leaving]).toEqual([[one.id], 1])
  })
  afterEach(() => ownTargets.stop())

  test('a vote ends the wait, an abstention does not, nor a vote that became one', async () => {
    say.votes(b, [vote(one.id, 'abstain')], false)
    await pass(2000)
    expect(given).toEqual([one.id])
    say.votes(b, [vote(one.id, 'down')], false)
    say.votes(b, [vote(one.id, 'abstain')], false)
    await pass(2000)
    expect(given).toEqual([one.id])
    say.votes(b, [vote(one.id, 'down')], false)
    await pass(100)
    expect(given).toEqual([])
  })

  test('a vote that is not said any more is none: not among all votes, or retired', async () => {
    say.votes(b, [vote(one.id, 'up')], false)
    say.votes(b, [vote('other', 'up')], true)
    await pass(2000)
    expect(given).toEqual([one.id])
    say.votes(b, [vote(one.id, 'up')], false)
    say.retired(b, [one.id])
    await pass(2000)
    expect(given).toEqual([one.id])
  })

  test('a new boot has said nothing yet, and the end of an old one is not its own', async () => {
    say.votes(b, [vote(one.id, 'up')], false)
    const again = { ...b, bootId: 'two' }
    say.heartbeat(beat(again))
    say.gone(b)
    await pass(2000)
    expect([given, ownTargets.leaving]).toEqual([[one.id], 1])
    say.gone(again)
    await pass(100)
    expect([given, ownTargets.leaving]).toEqual([[one.id], 0])
  })

  test('its own name at another boot is no vote of its own', async () => {
    say.gone(b)
    await pass(100)
    ownTargets.setTargets(targets(1, 1, 'new'))
    say.votes({ ...a, bootId: 'zero' }, [vote('new0', 'up')], false)
    await pass(2000)
    expect(given).toContain(one.id)
    say.votes(a, [vote('new0', 'up')], false)
    await pass(100)
    expect(given).toEqual(['new0'])
  })

  test('what the plan takes back, and is no more its own, waits for the votes of those who have it', async () => {
    ownTargets.setTargets(targets(1, 1, 'new'))
    await pass(2000)
    ownTargets.setTargets([one])
    await pass(2000)
    expect([given, ownTargets.leaving]).toEqual([[one.id], 1])
  })
})
