/** The node's engine over a real memory store: what is in the HealthTable after which votes. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { type Change, NodeHealth } from '../../src/health/node-health.ts'
import type { StoreSubscriber, ProberWriter, Store } from '../../src/health/store.ts'
import { isCalm, makeHealthTable, SlotRegistry, stateOf } from '../../src/health/table.ts'
import type { HealthSpec } from '../../src/health/target.ts'
import type { VoteValue } from '../../src/health/vote.ts'
import { MemoryStore } from '../../src/store/memory.ts'
import { member, spec, vote } from '../support/specs.ts'

const folder = mkdtempSync(join(tmpdir(), 'meridian-node-'))
const file = join(folder, 'health.json')
afterAll(() => rmSync(folder, { recursive: true }))
const STATES = ['unproven', 'up', 'down', 'drained', 'forced', 'recovered']

/** A node, its store, and probers that never fall silent by themselves. */
class Rig {
  readonly store: MemoryStore
  readonly table = makeHealthTable()
  readonly slots = new SlotRegistry()
  readonly changes: string[] = []
  readonly troubles: string[] = []
  readonly news: string[] = []
  readonly health: NodeHealth
  readonly writers = new Map<string, ProberWriter>()
  #generation = 0

  constructor(settings: { file?: string; store?: Store } = {}) {
    this.store = new MemoryStore(3_600_000)
    this.health = new NodeHealth({
      table: this.table,
      store: this.store,
      ...settings,
      onChange: ({ member: name, before, after }: Change) => this.changes.push(`${name} ${before} → ${after}`),
      onTrouble: (trouble) => this.troubles.push(trouble),
      onNews: (level, news) => this.news.push(`${level}: ${news}`),
    })
  }

  adopt(next: HealthSpec): void {
    const names = next.members.map((one) => one.name)
    this.health.adopt(next, this.slots.assign(names, ++this.#generation)!)
  }

  writer(prober: string): ProberWriter {
    const region = prober.split('-')[0]!
    const writer =
      this.writers.get(prober) ?? this.store.proberWriter({ name: prober, region, bootId: `${prober} boot` })
    this.writers.set(prober, writer)
    return writer
  }

  async say(prober: string, target: string, value: VoteValue, moving = false): Promise<void> {
    await this.writer(prober).change(vote(target, value, { moving }))
  }

  state(name: string): string {
    return STATES[stateOf(this.table[this.slots.slotOf(name)!]!)]!
  }

  calm(name: string): boolean {
    return isCalm(this.table[this.slots.slotOf(name)!]!)
  }

  status(name: string) {
    return this.health.snapshot().members.find((one) => one.member === name)!
  }
}

const A = 'fra/web/192.0.2.1'
const B = 'iad/web/192.0.2.2'
let rig: Rig
beforeEach(async () => {
  rig = new Rig()
  await rig.health.start()
})
afterEach(async () => {
  await rig.health.stop()
  vi.useRealTimers()
})

describe('verdicts', () => {
  test('unproven, up, down, up again, each told with before and after', async () => {
    rig.adopt(spec(member(A, ['t1'])))
    expect(rig.state(A)).toBe('unproven')
    await rig.say('eu-1', 't1', 'up')
    expect(rig.state(A)).toBe('up')
    await rig.say('eu-1', 't1', 'down')
    expect(rig.state(A)).toBe('down')
    await rig.say('eu-1', 't1', 'up')
    expect(rig.changes).toEqual([`${A} unproven → up`, `${A} up → down`, `${A} down → up`])
  })

  test('a type without a usable member while the other has one is told, and ends; the last resort is told alone', async () => {
    const C = 'fra/web/2001:db8::1'
    const unanswered = () => rig.health.snapshot().services[0]!.unanswered
    rig.adopt(spec(member(A, ['t1']), member(B, ['t2']), member(C, ['t3'])))
    for (const target of ['t1', 't2', 't3']) await rig.say('eu-1', target, 'up')
    await rig.say('eu-1', 't1', 'down')
    expect(unanswered()).toEqual([])
    await rig.say('eu-1', 't2', 'down')
    expect(unanswered()).toEqual(['A'])
    expect(rig.news).toEqual(['warn: service web: no member is usable for A: its answers of this type have no address'])
    await rig.say('eu-1', 't3', 'down')
    expect(unanswered()).toEqual([])
    expect(rig.news.slice(1)).toEqual(['warn: service web: no member is usable, its last resort answers'])
    await rig.say('eu-1', 't1', 'up')
    expect(unanswered()).toEqual(['AAAA'])
    await rig.say('eu-1', 't3', 'up')
    expect(unanswered()).toEqual([])
    expect(rig.news.at(-1)).toBe('info: service web: a member is usable for AAAA again')
  })

  test('never seen up is unproven, whatever the votes', async () => {
    rig.adopt(spec(member(A, ['t1'])))
    await rig.say('eu-1', 't1', 'down')
    expect(rig.state(A)).toBe('unproven')
    expect(rig.status(A).why).toContain('never seen up: connection refused')
    expect(rig.health.decided).toBe(true)
  })

  test('all targets must pass, and one that fails is enough', async () => {
    rig.adopt(spec(member(A, ['t1', 't2'])))
    await rig.say('eu-1', 't1', 'up')
    expect(rig.state(A)).toBe('unproven')
    expect(rig.health.decided).toBe(false)
    await rig.say('eu-1', 't2', 'up')
    expect(rig.state(A)).toBe('up')
    await rig.say('eu-1', 't2', 'down')
    expect(rig.state(A)).toBe('down')
    await rig.say('eu-1', 't1', 'down')
    await rig.say('eu-1', 't2', 'up')
    expect(rig.state(A)).toBe('down')
    await rig.say('eu-1', 't1', 'up')
    expect(rig.state(A)).toBe('up')
  })

  test('no check: up from the start', () => {
    rig.adopt(spec(member(A, [])))
    expect(rig.state(A)).toBe('up')
    expect(rig.calm(A)).toBe(true)
    expect(rig.health.decided).toBe(true)
  })

  test('abstaining, retired votes and silence hold the verdict', async () => {
    rig.adopt(spec(member(A, ['t1']), member(B, ['t2'])))
    await rig.say('eu-1', 't1', 'up')
    await rig.say('eu-1', 't2', 'up')
    await rig.say('eu-1', 't2', 'down')
    for (const value of ['abstain', 'retire', 'silence']) {
      if (value === 'abstain') for (const id of ['t1', 't2']) await rig.say('eu-1', id, 'abstain')
      else if (value === 'retire') await rig.writer('eu-1').retire(['t1', 't2'])
      else await rig.writer('eu-1').replace([])
      expect([rig.state(A), rig.state(B)]).toEqual(['up', 'down'])
      expect([rig.status(A).held, rig.status(B).held]).toEqual([true, true])
    }
  })

  test('a lease that runs out is no vote; two of three go on deciding', async () => {
    vi.useFakeTimers()
    const store = new MemoryStore(3000)
    const other = new Rig({ store })
    await other.health.start()
    other.adopt(spec(member(A, ['t1'])))
    const probers = ['eu-1', 'us-1', 'ap-1'].map((name) => ({ name, region: name.slice(0, 2), bootId: name }))
    const writers = probers.map((prober) => store.proberWriter(prober))
    for (const writer of writers) await writer.replace([vote('t1', 'up')])
    await vi.advanceTimersByTimeAsync(2900)
    await writers[0]!.replace([vote('t1', 'down')])
    await vi.advanceTimersByTimeAsync(200)
    expect(other.health.snapshot().probers.map(({ live }) => live)).toEqual([true, false, false])
    expect(other.state(A)).toBe('up') // one of three in the roster is not enough
    expect(other.status(A)).toMatchObject({ held: true }) // and what the silent ones said last counts no more
    // who is heard again may not have seen the site since: he has the time for another look
    for (let s = 0; s < 8; s += 2) {
      for (const writer of writers.slice(0, 2)) await writer.replace([vote('t1', 'down')])
      expect(other.state(A)).toBe('up')
      await vi.advanceTimersByTimeAsync(2_000)
    }
    for (const writer of writers.slice(0, 2)) await writer.replace([vote('t1', 'down')])
    await vi.advanceTimersByTimeAsync(2_000)
    expect(other.state(A)).toBe('down')
    await vi.advanceTimersByTimeAsync(25 * 3_600_000)
    expect(other.state(A)).toBe('down')
    expect(other.health.snapshot().probers).toEqual([]) // forgotten after a day
    await other.health.stop()
    await store.close()
  })

  test('drained by its file: drained while up or unproven, down when down', async () => {
    rig.adopt(spec(member(A, ['t1'], { drained: true })))
    expect(rig.state(A)).toBe('drained')
    await rig.say('eu-1', 't1', 'up')
    expect(rig.state(A)).toBe('drained')
    await rig.say('eu-1', 't1', 'down')
    expect(rig.state(A)).toBe('down')
    rig.adopt(spec(member(A, ['t1'])))
    await rig.say('eu-1', 't1', 'up')
    expect(rig.state(A)).toBe('up')
    rig.adopt(spec(member(A, ['t1'], { drained: true })))
    expect(rig.changes.at(-1)).toBe(`${A} up → drained`)
  })

  test('the status tells who voted what and why', async () => {
    rig.adopt(spec(member(A, ['t1'])))
    await rig.say('eu-1', 't1', 'up')
    await rig.say('us-1', 't1', 'down')
    const { targets, held, why } = rig.status(A)
    expect(targets[0]!.votes).toMatchObject([
      { prober: 'eu-1', region: 'eu', value: 'up', reason: '200', rttMs: 3 },
      { prober: 'us-1', region: 'us', value: 'down', reason: 'connection refused' },
    ])
    expect(held).toBe(true)
    expect(why).toContain('1 up, 1 down of 2 probers')
  })
})

describe('a reload', () => {
  test('words are written before it returns; slots and verdicts stay', async () => {
    rig.adopt(spec(member(A, ['t1'])))
    await rig.say('eu-1', 't1', 'up')
    await rig.say('eu-1', 't2', 'up')
    const slot = rig.slots.slotOf(A)
    rig.adopt(spec(member(B, ['t2']), member(A, ['t1'])))
    expect([rig.state(A), rig.state(B)]).toEqual(['up', 'up'])
    expect(rig.slots.slotOf(A)).toBe(slot)
  })

  test('the verdict outlives a change of the check, until the new one decides', async () => {
    rig.adopt(spec(member(A, ['t1']), member(B, ['t2'])))
    await rig.say('eu-1', 't1', 'up')
    await rig.say('eu-1', 't2', 'up')
    await rig.say('eu-1', 't2', 'down')
    rig.adopt(spec(member(A, ['t3']), member(B, ['t4'])))
    await rig.writer('eu-1').retire(['t1', 't2'])
    expect([rig.state(A), rig.state(B)]).toEqual(['up', 'down'])
    expect(rig.status(A).held).toBe(true)
    await rig.say('eu-1', 't3', 'up')
    await rig.say('eu-1', 't3', 'down')
    await rig.say('eu-1', 't4', 'up')
    expect([rig.state(A), rig.state(B)]).toEqual(['down', 'up'])
  })

  test('a new check that never passed takes nothing down, and says so', async () => {
    rig.adopt(spec(member(A, ['t1'])))
    await rig.say('eu-1', 't1', 'up')
    rig.adopt(spec(member(A, ['t2'])))
    await rig.say('eu-1', 't2', 'down')
    expect(rig.state(A)).toBe('up')
    expect(rig.status(A).why).toContain('never passed')
    expect(rig.status(A).calm).toBe(false)
  })

  test('former checks decide until all new ones have, then count no more', async () => {
    rig.adopt(spec(member(A, ['t1', 't2'])))
    for (const id of ['t1', 't2']) await rig.say('eu-1', id, 'up')
    rig.adopt(spec(member(A, ['t2', 't3', 't4'])))
    expect(rig.status(A)).toMatchObject({ state: 'up', held: false, calm: false })
    expect(rig.status(A).why).toContain('by the former check, as the new one has not decided yet')
    await rig.say('eu-1', 't1', 'down')
    expect(rig.state(A)).toBe('down')
    await rig.say('eu-1', 't1', 'up')
    expect(rig.state(A)).toBe('up')
    await rig.say('eu-1', 't3', 'up')
    await rig.say('eu-1', 't1', 'down')
    expect(rig.state(A)).toBe('down') // t4 is still to come
    expect(rig.status(A).targets.map(({ target }) => target.id)).toEqual(['t2', 't3', 't4', 't1'])
    await rig.say('eu-1', 't4', 'up')
    expect(rig.state(A)).toBe('up')
    expect(rig.status(A).why).not.toContain('former')
    await rig.say('eu-1', 't1', 'up')
    await rig.say('eu-1', 't4', 'down')
    expect(rig.state(A)).toBe('down')
  })

  test('a new check that never passes leaves the former one deciding, however often it is edited', async () => {
    rig.adopt(spec(member(A, ['t1'])))
    await rig.say('eu-1', 't1', 'up')
    for (const id of ['t2', 't3']) {
      rig.adopt(spec(member(A, [id])))
      await rig.say('eu-1', id, 'down')
      expect(rig.status(A)).toMatchObject({ state: 'up', calm: false, why: expect.stringContaining('never passed') })
    }
    await rig.say('eu-1', 't1', 'down')
    expect(rig.state(A)).toBe('down')
    await rig.say('eu-1', 't1', 'up')
    await rig.writer('eu-1').retire(['t1'])
    expect(rig.status(A)).toMatchObject({ state: 'up', held: true })
    rig.adopt(spec(member(A, ['t1'])))
    await rig.say('eu-1', 't1', 'down')
    expect(rig.state(A)).toBe('down') // it had passed
  })

  test('a check that becomes none makes its member up; one that comes back takes nothing down before it has passed', async () => {
    rig.adopt(spec(member(A, ['t1'])))
    await rig.say('eu-1', 't1', 'up')
    await rig.say('eu-1', 't1', 'down')
    rig.adopt(spec(member(A, [])))
    expect(rig.state(A)).toBe('up')
    await rig.writer('eu-1').retire(['t1'])
    rig.adopt(spec(member(A, ['t1'])))
    expect(rig.status(A)).toMatchObject({ state: 'up', held: true })
    await rig.say('eu-1', 't1', 'down')
    expect(rig.state(A)).toBe('down')
    rig.adopt(spec(member(A, [])))
    rig.adopt(spec(member(A, ['t2'])))
    await rig.say('eu-1', 't2', 'down')
    expect(rig.status(A)).toMatchObject({ state: 'up', held: true, why: expect.stringContaining('never passed') })
  })

  test('a member that leaves and comes back has its verdict', async () => {
    rig.adopt(spec(member(A, ['t1'])))
    await rig.say('eu-1', 't1', 'up')
    await rig.say('eu-1', 't1', 'down')
    rig.adopt(spec())
    await rig.writer('eu-1').retire(['t1'])
    rig.adopt(spec(member(A, ['t1'])))
    expect(rig.state(A)).toBe('down')
  })
})

describe('calm', () => {
  const settle = { settleMs: 10_000 }
  const start = async () => {
    vi.useFakeTimers()
    rig = new Rig()
    await rig.health.start()
    rig.adopt(spec(member(A, ['t1'], settle), member(B, ['t2'], { settleMs: 20_000 })))
    for (const id of ['t1', 't2']) await rig.say('eu-1', id, 'up')
  }

  test('comes when the verdict has stood for `settle`, by itself', async () => {
    await start()
    await vi.advanceTimersByTimeAsync(9900)
    expect([rig.calm(A), rig.calm(B)]).toEqual([false, false])
    await vi.advanceTimersByTimeAsync(500)
    expect([rig.calm(A), rig.calm(B)]).toEqual([true, false])
    await vi.advanceTimersByTimeAsync(10_000)
    expect([rig.calm(A), rig.calm(B)]).toEqual([true, true])
  })

  test('a moving voter, a hold and a change end it; a down member is calm as well', async () => {
    await start()
    await vi.advanceTimersByTimeAsync(10_400)
    await rig.say('eu-1', 't1', 'up', true)
    expect(rig.calm(A)).toBe(false)
    await rig.say('eu-1', 't1', 'up')
    expect(rig.calm(A)).toBe(true)
    await rig.say('eu-1', 't1', 'abstain')
    expect(rig.calm(A)).toBe(false)
    await rig.say('eu-1', 't1', 'down')
    expect(rig.calm(A)).toBe(false)
    await vi.advanceTimersByTimeAsync(10_400)
    expect([rig.state(A), rig.calm(A)]).toEqual(['down', true])
  })

  test('never in the last resort, under an override, or while a former check decides', async () => {
    await start()
    await vi.advanceTimersByTimeAsync(20_400)
    expect([rig.calm(A), rig.calm(B)]).toEqual([true, true])
    const drain = { action: 'up', pattern: 'fra', forMs: undefined, who: 'ann', why: '', yes: true } as const
    rig.health.override(drain)
    expect([rig.calm(A), rig.calm(B)]).toEqual([false, true])
    rig.health.override({ ...drain, action: 'undone' })
    expect([rig.calm(A), rig.calm(B)]).toEqual([true, true])
    for (const id of ['t1', 't2']) await rig.say('eu-1', id, 'down')
    await vi.advanceTimersByTimeAsync(60_000)
    expect([rig.state(A), rig.state(B), rig.calm(A), rig.calm(B)]).toEqual(['down', 'down', false, false])
    await rig.say('eu-1', 't1', 'up')
    expect([rig.calm(A), rig.calm(B)]).toEqual([false, true])
  })

  test('never for what is drained or unproven', async () => {
    await start()
    rig.adopt(spec(member(A, ['t1'], { ...settle, drained: true }), member(B, ['t3'], settle)))
    await rig.say('eu-1', 't3', 'down')
    await vi.advanceTimersByTimeAsync(60_000)
    expect([rig.calm(A), rig.calm(B)]).toEqual([false, false])
  })
})

async function restart(): Promise<void> {
  await rig.health.stop()
  rig = new Rig({ file })
  await rig.health.start()
}

describe('a restart', () => {
  test('has its verdicts before the first vote, and is decided', async () => {
    await restart()
    expect(rig.health.decided).toBe(true) // nothing to decide yet
    rig.adopt(spec(member(A, ['t1']), member(B, ['t2'])))
    expect(rig.health.decided).toBe(false)
    for (const id of ['t1', 't2']) await rig.say('eu-1', id, 'up')
    await rig.say('eu-1', 't2', 'down')
    await restart()
    rig.adopt(spec(member(A, ['t1']), member(B, ['t2'])))
    expect([rig.state(A), rig.state(B)]).toEqual(['up', 'down'])
    expect(rig.health.decided).toBe(true)
    expect([rig.status(A).held, rig.calm(A)]).toEqual([true, false])
    await rig.say('eu-1', 't1', 'down') // a check that passed before the restart counts after it
    expect(rig.state(A)).toBe('down')
    await restart()
    rig.adopt(spec(member(B, ['t2'])))
    await restart()
    rig.adopt(spec(member(A, ['t1'])))
    expect(rig.state(A)).toBe('down') // also for who was not in the plan meanwhile
  })

  test('with new zones while the probers have the old: the former check decides', async () => {
    await restart()
    rig.adopt(spec(member(A, ['t1'])))
    await rig.say('eu-1', 't1', 'up')
    await restart()
    rig.adopt(spec(member(A, ['t2'])))
    expect(rig.state(A)).toBe('up')
    await rig.say('eu-1', 't1', 'down')
    expect(rig.state(A)).toBe('down')
    await rig.say('eu-1', 't2', 'up')
    expect(rig.state(A)).toBe('up')
  })

  test('with a damaged file is a start without one, and shown', async () => {
    writeFileSync(file, '{"format":')
    await restart()
    rig.adopt(spec(member(A, ['t1'])))
    expect(rig.state(A)).toBe('unproven')
    expect(rig.health.decided).toBe(false)
    expect(rig.health.snapshot().troubles).toEqual([expect.stringContaining('damaged')])
    expect(rig.troubles).toHaveLength(1)
  })

  test('a roster of the process itself is not kept, a shared one is', async () => {
    const use = async (shared: boolean) => {
      const path = join(folder, `shared-${shared}.json`)
      for (const name of ['eu-1', 'eu-2']) {
        const memory = new MemoryStore(3_600_000)
        const store = Object.assign(memory, { shared })
        rig = new Rig({ file: path, store })
        await rig.health.start()
        rig.adopt(spec(member(A, ['t1'])))
        await store.proberWriter({ name, region: 'eu', bootId: name }).replace([vote('t1', 'up')])
        await store.proberWriter({ name, region: 'eu', bootId: name }).replace([vote('t1', 'down')])
        if (name === 'eu-1') await rig.health.stop()
      }
      expect(Object.keys(JSON.parse(readFileSync(path, 'utf8')).roster)).toEqual(['eu-1'])
      return rig.status(A)
    }
    expect((await use(false)).held).toBe(false) // one prober, and its name has changed: it decides
    await rig.health.stop()
    expect((await use(true)).held).toBe(true) // the other one is only silent: one of two
  })

  test('what was silent or gone for a day by then is not restored', async () => {
    const path = join(folder, 'long.json')
    const savedMs = Date.now() - 10 * 3_600_000
    const ago = (hours: number) => ({ region: 'eu', heardMs: savedMs - hours * 3_600_000 })
    const roster = { old: ago(15), young: ago(13) }
    writeFileSync(path, JSON.stringify({ format: 'meridian health 1', savedMs, roster, members: {} }))
    rig = new Rig({ file: path, store: Object.assign(new MemoryStore(3_600_000), { shared: true }) })
    await rig.health.start()
    expect(rig.health.snapshot().probers.map(({ prober }) => prober)).toEqual(['young'])
  })

  test('without a saved roster, the probers that the Store remembers count: one that is heard is not all there are', async () => {
    const store = new MemoryStore(3_600_000)
    const listen = store.listen.bind(store)
    let heard: StoreSubscriber | undefined
    store.listen = (subscriber, signal) => listen((heard = subscriber), signal)
    rig = new Rig({ store })
    await rig.health.start()
    rig.adopt(spec(member(A, ['t1'])))
    const writer = store.proberWriter({ name: 'eu-1', region: 'eu', bootId: 'one' })
    await writer.replace([vote('t1', 'up')])
    heard!.absent!('eu-1', 0)
    heard!.absent!('eu-2', 3_600_000)
    heard!.absent!('eu-3', 25 * 3_600_000)
    expect(rig.health.snapshot().probers).toMatchObject([
      { prober: 'eu-1', region: 'eu', live: true },
      { prober: 'eu-2', live: false },
    ])
    await writer.replace([vote('t1', 'down')])
    expect(rig.status(A)).toMatchObject({ state: 'up', held: true })
  })

  test('who is silent for a day leaves the roster, and a member that left the plan the memory', async () => {
    vi.useFakeTimers()
    const path = join(folder, 'day.json')
    const store = new MemoryStore(3000)
    rig = new Rig({ file: path, store })
    await rig.health.start()
    rig.adopt(spec(member(A, ['t1'])))
    await store.proberWriter({ name: 'eu-1', region: 'eu', bootId: 'one' }).replace([vote('t1', 'up')])
    await vi.advanceTimersByTimeAsync(3600)
    rig.adopt(spec())
    await vi.advanceTimersByTimeAsync(23.9 * 3_600_000)
    expect(rig.health.snapshot().probers).toMatchObject([{ prober: 'eu-1', live: false }])
    await vi.advanceTimersByTimeAsync(0.2 * 3_600_000)
    expect(rig.health.snapshot().probers).toEqual([])
    rig.adopt(spec(member(A, ['t1'])))
    expect(rig.state(A)).toBe('unproven')
  })
})
