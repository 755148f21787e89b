/** The prober on a clock of the test's own, with checks whose outcomes the test decides. */
import { createServer } from 'node:net'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { ProberWriter, Heartbeat } from '../../src/health/store.ts'
import type { Target } from '../../src/health/target.ts'
import type { Vote } from '../../src/health/vote.ts'
import type { Observation } from '../../src/probe/checks/observation.ts'
import { Prober } from '../../src/probe/prober.ts'
import { Schedule } from '../../src/probe/schedule.ts'
import { WEAR_MS } from '../../src/probe/track.ts'
import { networkOf, reachCanary, survey, type Witness } from '../../src/probe/trust.ts'
import type { Endpoint } from '../../src/units.ts'
import type { CheckModel } from '../../src/zone/model.ts'
import { httpCheck, tcpCheck } from '../support/specs.ts'
import { until } from '../support/until.ts'

const CHECK = tcpCheck({ intervalMs: 5000, timeoutMs: 2000, fastMs: 1000, fall: 3, rise: 2 })
const targetAt = (address: string, check: CheckModel = CHECK): Target => ({
  id: address,
  check,
  address,
  port: 443,
  probers: 1,
})

/** Everything a prober posts, and the world it looks at. */
class Rig {
  readonly votes = new Map<string, Vote>()
  readonly posts: string[] = []
  readonly certificates: (readonly [target: string, certificate: Observation['certificate']])[] = []
  readonly beats: Heartbeat[] = []
  readonly checked: { readonly target: string; readonly atMs: number }[] = []
  /** What a check of an address sees; 'pass' after 5 ms where nothing is said. */
  readonly world = new Map<
    string,
    Pick<Observation, 'share' | 'certificate'> & {
      kind: Observation['kind'] | 'hang'
      afterMs: number
      reason?: string
    }
  >()
  throws: string | undefined
  most = 0
  #inFlight = new Map<string, number>()
  readonly prober: Prober

  constructor(canaries: Endpoint[] = [], reach: () => Promise<void> = async () => {}, rate = Infinity) {
    const writer: ProberWriter = {
      replace: async () => this.votes.clear(),
      change: async (vote) => {
        this.votes.set(vote.target, vote)
        this.posts.push(`${vote.target} ${vote.value}${vote.moving ? ' moving' : ''}`)
      },
      retire: async (targets) => targets.forEach((target) => this.votes.delete(target)),
      heartbeat: async (beat) => void this.beats.push(beat),
    }
    const identity = { name: 'eu-1', region: 'eu', bootId: 'boot' }
    this.prober = new Prober({
      identity,
      writer: writer,
      canaries,
      tryCanary: reach,
      rate,
      onTrouble: (trouble) => this.posts.push(trouble),
      onCertificate: (...seen) => this.certificates.push(seen),
      check: (target) => this.#check(target),
    })
    this.prober.start()
  }

  async #check({ id, check }: Target): Promise<Observation> {
    if (id === this.throws) throw new Error('broken')
    this.checked.push({ target: id, atMs: performance.now() })
    const flying = (this.#inFlight.get(id) ?? 0) + 1
    this.#inFlight.set(id, flying)
    this.most = Math.max(this.most, flying)
    const { kind, afterMs, reason = kind, ...more } = this.world.get(id) ?? { kind: 'pass', afterMs: 5 }
    await new Promise((resolve) => setTimeout(resolve, kind === 'hang' ? check.timeoutMs : afterMs))
    this.#inFlight.set(id, flying - 1)
    return { kind: kind === 'hang' ? 'timeout' : kind, reason, rttMs: afterMs, ...more }
  }

  value(id: string): string | undefined {
    return this.votes.get(id)?.value
  }
}

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms)
/** Advances until it holds; milliseconds that took. */
async function passUntil(holds: () => boolean, mostMs: number): Promise<number> {
  for (let ms = 0; ms <= mostMs; ms += 10) {
    if (holds()) return ms
    await pass(10)
  }
  throw new Error(`not within ${mostMs} ms`)
}

let rig: Rig
beforeEach(() => {
  vi.useFakeTimers()
  rig = new Rig()
})
afterEach(() => {
  rig.prober.stop()
  vi.useRealTimers()
})

const BOUND = 5000 + 2 * 2000 + 2000 + 100

describe('votes', () => {
  test('one pass is UP within an interval; failing takes the bound at most, from any moment on', async () => {
    rig.prober.setTargets([targetAt('192.0.2.1')])
    await passUntil(() => rig.value('192.0.2.1') === 'up', 5100)
    for (const wait of [0, 700, 1900, 3300, 4900]) {
      await pass(WEAR_MS + wait) // each is a first outage: no hold-down
      rig.world.set('192.0.2.1', { kind: 'hang', afterMs: 0 })
      expect(await passUntil(() => rig.value('192.0.2.1') === 'down', 60_000)).toBeLessThanOrEqual(BOUND)
      rig.world.delete('192.0.2.1')
      await passUntil(() => rig.value('192.0.2.1') === 'up', 5000 + 1000 + 100)
    }
    expect(rig.most).toBe(1)
  })

  test('a failure changes nothing of the share: what its agent has drained stays so until it passes again', async () => {
    rig.world.set('192.0.2.1', { kind: 'pass', afterMs: 1, share: 0 })
    rig.prober.setTargets([targetAt('192.0.2.1')])
    await passUntil(() => rig.votes.get('192.0.2.1')?.share === 0, 5100)
    await passUntil(() => rig.votes.get('192.0.2.1')?.moving === false, 5100)
    rig.world.set('192.0.2.1', { kind: 'fail', afterMs: 1 })
    await passUntil(() => rig.votes.get('192.0.2.1')?.moving === true, 5100)
    expect(rig.votes.get('192.0.2.1')).toMatchObject({ value: 'up', share: 0 })
    rig.world.delete('192.0.2.1')
    await passUntil(() => rig.votes.get('192.0.2.1')?.share === 1000, 5100)
  })

  test('a refusal is rechecked fast: interval + (fall − 1) × fast', async () => {
    rig.prober.setTargets([targetAt('192.0.2.1')])
    await pass(20_000)
    rig.world.set('192.0.2.1', { kind: 'fail', afterMs: 1 })
    expect(await passUntil(() => rig.value('192.0.2.1') === 'down', 60_000)).toBeLessThanOrEqual(5000 + 2000 + 50)
  })

  test('never up: DOWN within the bound', async () => {
    rig.world.set('192.0.2.1', { kind: 'hang', afterMs: 0 })
    rig.prober.setTargets([targetAt('192.0.2.1')])
    expect(await passUntil(() => rig.value('192.0.2.1') === 'down', 60_000)).toBeLessThanOrEqual(BOUND)
  })

  test('posts only what changes: value, moving, reason', async () => {
    rig.prober.setTargets([targetAt('192.0.2.1')])
    await pass(60_000)
    expect(rig.posts).toEqual(['192.0.2.1 up moving', '192.0.2.1 up'])
    rig.world.set('192.0.2.1', { kind: 'fail', afterMs: 1, reason: 'connection refused' })
    await pass(60_000)
    expect(rig.posts.slice(2)).toEqual(['192.0.2.1 up moving', '192.0.2.1 down moving', '192.0.2.1 down'])
    rig.world.set('192.0.2.1', { kind: 'fail', afterMs: 1, reason: '503' })
    await pass(10_000)
    expect(rig.votes.get('192.0.2.1')).toMatchObject({ value: 'down', reason: '503' })
  })

  test('checks stay in their phase, none overlaps, and a target that leaves is left alone', async () => {
    const targets = ['192.0.2.1', '192.0.2.2', '192.0.2.3'].map((address) => targetAt(address))
    rig.prober.setTargets(targets)
    await pass(100_000)
    const times = rig.checked.filter((one) => one.target === '192.0.2.1').map((one) => one.atMs)
    expect(times.length).toBe(20)
    for (const [i, ms] of times.entries()) expect(Math.abs(ms - times[0]! - i * 5000)).toBeLessThanOrEqual(3)
    rig.prober.setTargets(targets.slice(1))
    expect(rig.votes.has('192.0.2.1')).toBe(false)
    rig.checked.length = 0
    await pass(20_000)
    expect(new Set(rig.checked.map((one) => one.target))).toEqual(new Set(['192.0.2.2', '192.0.2.3']))
  })

  test('a target of a long interval is checked soon at first, then in its phase', async () => {
    const daily = tcpCheck({ intervalMs: 86_400_000, timeoutMs: 2000, fastMs: 2000 })
    const ids = Array.from({ length: 50 }, (_, i) => `192.0.2.${i}`)
    rig.prober.setTargets(ids.map((id) => targetAt(id, daily)))
    await pass(10_100)
    expect([...rig.votes.values()].map(({ value }) => value)).toEqual(Array(50).fill('up'))
    const times = rig.checked.map(({ atMs }) => Math.floor(atMs / 1000))
    expect(new Set(times).size).toBeGreaterThan(7) // not all at once
    expect(rig.checked).toHaveLength(50)
  })

  test('a new interval applies to a target that stays, with its state', async () => {
    rig.prober.setTargets([targetAt('192.0.2.1', { ...CHECK, intervalMs: 60_000 })])
    await pass(120_000)
    rig.prober.setTargets([targetAt('192.0.2.1')])
    rig.checked.length = 0
    await pass(50_000)
    expect(rig.checked.length).toBe(10)
    expect(rig.posts).toEqual(['192.0.2.1 up moving', '192.0.2.1 up'])
  })
})

describe('an agent that says nothing of health', () => {
  const silence = { kind: 'silence', afterMs: 1, reason: 'agent says no word of health: maxconn:30' } as const

  test('changes nothing, neither UP nor DOWN, and is probed all the while', async () => {
    rig.world.set('192.0.2.1', { kind: 'pass', afterMs: 1, reason: 'agent says up' })
    rig.prober.setTargets([targetAt('192.0.2.1')])
    await passUntil(() => rig.votes.get('192.0.2.1')?.moving === false, 15_000)
    rig.world.set('192.0.2.1', silence)
    await pass(60_000)
    expect(rig.votes.get('192.0.2.1')).toMatchObject({ value: 'up', reason: 'agent says up', moving: false })
    rig.world.set('192.0.2.1', { kind: 'fail', afterMs: 1, reason: 'agent says down' })
    await passUntil(() => rig.value('192.0.2.1') === 'down', 20_000)
    rig.world.set('192.0.2.1', silence)
    await pass(60_000)
    expect(rig.votes.get('192.0.2.1')).toMatchObject({ value: 'down', reason: 'agent says down' })
    expect(rig.beats.at(-1)!.overdue).toBe(0)
  })

  test('from the start: an abstention that says why, until its first word', async () => {
    rig.world.set('192.0.2.1', silence)
    rig.prober.setTargets([targetAt('192.0.2.1')])
    await pass(30_000)
    expect(rig.votes.get('192.0.2.1')).toMatchObject({ value: 'abstain', reason: silence.reason })
    rig.world.delete('192.0.2.1')
    await passUntil(() => rig.value('192.0.2.1') === 'up', 5100)
  })
})

test('a certificate that ends soon: told once a day for all addresses, and the certificate once each', async () => {
  const endMs = Date.now() + 10 * 86_400_000
  const certificate = { endMs, warnMs: endMs - 9 * 86_400_000 }
  const addresses = ['192.0.2.1', '192.0.2.2']
  for (const address of addresses) rig.world.set(address, { kind: 'pass', afterMs: 1, certificate })
  const check = httpCheck({ type: 'https', host: 'www.example.com', port: 443, intervalMs: 5000 })
  rig.prober.setTargets(addresses.map((address) => targetAt(address, check)))
  await pass(20_000)
  const once = addresses.map((address) => [address, certificate])
  expect(rig.certificates.toSorted(([a], [b]) => (a < b ? -1 : 1))).toEqual(once)
  const told = () => rig.posts.filter((post) => post.startsWith('the certificate'))
  expect(told()).toEqual([])
  vi.setSystemTime(certificate.warnMs + 1)
  await pass(10_000)
  const text = `, ends ${new Date(endMs).toISOString()}: renew it`
  expect(told()).toEqual([expect.stringMatching(/^the certificate of www\.example\.com, at 192\.0\.2\.[12]:443/)])
  expect(told()[0]).toContain(text)
  vi.setSystemTime(certificate.warnMs + 86_500_000)
  await pass(10_000)
  expect(told()).toHaveLength(2)
})

const heldMs = () => rig.prober.activity().targets[0]!.heldDownMs

describe('hold-down', () => {
  const ID = '192.0.2.1'
  const outage = async () => {
    rig.world.set(ID, { kind: 'fail', afterMs: 1 })
    await passUntil(() => rig.value(ID) === 'down', 10_000)
    rig.world.delete(ID)
    return passUntil(() => rig.value(ID) === 'up', 60_000)
  }

  test('each further outage delays UP by twice as long; DOWN is never delayed', async () => {
    rig.prober.setTargets([targetAt(ID)])
    await pass(20_000)
    const back: number[] = []
    for (let i = 0; i < 4; i++) back.push(await outage())
    expect(back[0]).toBeLessThanOrEqual(6100)
    for (const [i, ms] of back.slice(1).entries()) {
      expect(ms).toBeGreaterThan(5000 * 2 ** i)
      expect(ms).toBeLessThanOrEqual(5000 * 2 ** i + 6100)
    }
    await pass(10_000)
    expect(rig.posts.slice(-3)).toEqual([`${ID} down moving`, `${ID} up moving`, `${ID} up`])
  })

  test('it is seen: DOWN, moving, why, for how long; and ends without waiting for the next check', async () => {
    const slow = { ...CHECK, intervalMs: 60_000, fastMs: 1000 }
    rig.prober.setTargets([targetAt(ID, slow)])
    await pass(130_000)
    for (let i = 0; i < 2; i++) {
      rig.world.set(ID, { kind: 'fail', afterMs: 1 })
      await passUntil(() => rig.value(ID) === 'down', 70_000)
      expect(heldMs()).toBe(0)
      rig.world.delete(ID)
      await passUntil(() => rig.value(ID) === 'up' || heldMs() > 0, 70_000)
    }
    expect(rig.votes.get(ID)).toMatchObject({
      value: 'down',
      moving: true,
      reason: 'pass, held down: has flapped 2 times',
    })
    expect(heldMs()).toBeGreaterThan(59_900)
    const beganMs = performance.now()
    await passUntil(() => rig.value(ID) === 'up', 61_000)
    expect(performance.now() - beganMs).toBeGreaterThan(59_900)
    const last = rig.checked.at(-1)!.atMs
    expect(performance.now() - last).toBeGreaterThan(100) // no check ended just now
    expect(rig.votes.get(ID)).toMatchObject({ value: 'up', moving: true, reason: 'pass' })
    expect(heldMs()).toBe(0)
  })

  test('a target that is given up while it is held down says nothing more', async () => {
    rig.prober.setTargets([targetAt(ID)])
    await pass(20_000)
    await outage()
    rig.world.set(ID, { kind: 'fail', afterMs: 1 })
    await passUntil(() => rig.value(ID) === 'down', 10_000)
    rig.world.delete(ID)
    await passUntil(() => heldMs() > 0, 10_000)
    rig.prober.setTargets([])
    await pass(20_000)
    expect(rig.votes.size).toBe(0)
  })
})

describe('the pace', () => {
  const many = Array.from({ length: 200 }, (_, i) => targetAt(`192.0.${i}.1`))
  const paced = (rate: number) => {
    rig.prober.stop()
    rig = new Rig([], async () => {}, rate)
    rig.prober.setTargets(many)
  }

  test('what fits is not delayed', async () => {
    paced(60)
    await pass(30_000)
    expect(rig.checked.length).toBeGreaterThanOrEqual(1199)
    expect(rig.beats.at(-1)).toMatchObject({ overdue: 0 })
  })

  test('beyond it checks wait in order, none is lost, the heartbeat goes on, and overdue tells it', async () => {
    paced(20) // 40 are asked for
    await pass(60_000)
    for (let second = 1; second < 60; second++) {
      const began = rig.checked.filter(({ atMs }) => atMs >= rig.checked[0]!.atMs + second * 1000 - 1000)
      const within = began.filter(({ atMs }) => atMs < rig.checked[0]!.atMs + second * 1000)
      expect(within.length).toBeLessThanOrEqual(21)
    }
    expect(rig.checked.length).toBeGreaterThan(1150)
    const counts = new Map<string, number>()
    for (const { target } of rig.checked) counts.set(target, (counts.get(target) ?? 0) + 1)
    expect([...counts.values()].every((n) => n >= 5 && n <= 7)).toBe(true) // in turn: nobody starves
    expect(rig.beats.length).toBeGreaterThanOrEqual(60)
    expect(rig.beats.at(-1)!.overdue).toBeGreaterThan(50)
    expect(rig.prober.activity().checksPerSecond).toBeCloseTo(20, -1)
  })

  test('rechecks of everything that fails at once keep to it', async () => {
    paced(60)
    await pass(20_000)
    rig.checked.length = 0
    for (const { id } of many) rig.world.set(id, { kind: 'fail', afterMs: 1 }) // they ask for 200 a second
    await pass(10_000)
    const firstMs = rig.checked[0]!.atMs
    for (let i = 0; i < 10; i++) {
      const within = rig.checked.filter(({ atMs }) => atMs >= firstMs + i * 1000 && atMs < firstMs + i * 1000 + 1000)
      expect(within.length).toBeLessThanOrEqual(63)
    }
  })
})

test('the heartbeat is of the loop that runs the checks: when that stands still, so does it', async () => {
  rig.prober.setTargets([targetAt('192.0.2.1')])
  await pass(20_000)
  expect(rig.beats.length).toBeGreaterThanOrEqual(20)
  const wedged = vi.spyOn(Schedule.prototype, 'plan').mockImplementation(() => {})
  await pass(10_000)
  const [beats, checks] = [rig.beats.length, rig.checked.length]
  await pass(60_000)
  wedged.mockRestore()
  expect([rig.beats.length, rig.checked.length]).toEqual([beats, checks])
})

test('activity tells when each target was last checked', async () => {
  rig.prober.setTargets([targetAt('192.0.2.1'), targetAt('192.0.2.2')])
  expect(rig.prober.activity().targets.map(({ lastRunMs }) => lastRunMs)).toEqual([undefined, undefined])
  rig.world.set('192.0.2.2', { kind: 'unable', afterMs: 1 })
  await pass(30_000)
  for (const { id, lastRunMs } of rig.prober.activity().targets) {
    const began = rig.checked.findLast(({ target }) => target === id)!.atMs
    expect(performance.now() - began - lastRunMs!).toBeGreaterThanOrEqual(0)
    expect(performance.now() - began - lastRunMs!).toBeLessThan(20)
  }
})

/** The loop stands still again and again. */
async function stall(forMs: number, eachMs = 60, gapMs = 10): Promise<void> {
  const endMs = performance.now() + forMs
  while (performance.now() < endMs) {
    const spunUntil = performance.now() + eachMs
    while (performance.now() < spunUntil);
    await new Promise((resolve) => setTimeout(resolve, gapMs))
  }
}

describe('abstaining', () => {
  test('what this host can not do is no vote against the site', async () => {
    rig.prober.setTargets([targetAt('192.0.2.1')])
    await pass(20_000)
    rig.world.set('192.0.2.1', { kind: 'unable', afterMs: 1, reason: 'this host is out of file descriptors' })
    await pass(60_000)
    expect(rig.votes.get('192.0.2.1')).toMatchObject({ value: 'abstain' })
    expect(rig.beats.at(-1)).toMatchObject({ overdue: 1 })
    rig.world.delete('192.0.2.1')
    await pass(5100)
    expect(rig.value('192.0.2.1')).toBe('up')
    expect(rig.posts.some((post) => post.includes(' down'))).toBe(false)
  })

  test('a check that throws is told, is no vote, and ends no other', async () => {
    rig.prober.stop()
    rig = new Rig()
    rig.throws = '192.0.2.1'
    rig.prober.setTargets([targetAt('192.0.2.1'), targetAt('192.0.2.2')])
    await pass(12_000)
    expect([rig.value('192.0.2.1'), rig.value('192.0.2.2')]).toEqual(['abstain', 'up'])
    expect(rig.posts.filter((post) => post.includes("can't be made: Error: broken"))).not.toEqual([])
  })

  test('an unreachable network is the site, unless no target of the family has a route', async () => {
    vi.useRealTimers()
    rig.prober.stop()
    rig = new Rig()
    const quick = tcpCheck({ intervalMs: 60, timeoutMs: 50, fastMs: 30, fall: 2, rise: 2 })
    const nowhere = targetAt('255.255.255.255', quick) // no socket may be connected there
    rig.world.set(nowhere.id, { kind: 'unroutable', afterMs: 1 })
    rig.prober.setTargets([nowhere])
    await until('no way out is no vote', () => rig.value(nowhere.id) === 'abstain')
    expect(rig.votes.get(nowhere.id)?.reason).toBe('this host has no IPv4 route')
    rig.prober.setTargets([nowhere, targetAt('127.77.1.3', quick)])
    await until('with a way out it is the site', () => rig.value(nowhere.id) === 'down')
  })

  test('timeouts while the loop lags by a quarter of the timeout are void; what the site answered is not', async () => {
    vi.useRealTimers()
    rig.prober.stop()
    rig = new Rig()
    const quick = tcpCheck({ intervalMs: 200, timeoutMs: 150, fastMs: 100, fall: 2, rise: 2 })
    rig.prober.setTargets(['192.0.2.1', '192.0.2.2', '192.0.2.3'].map((address) => targetAt(address, quick)))
    rig.world.set('192.0.2.1', { kind: 'hang', afterMs: 0 })
    rig.world.set('192.0.2.2', { kind: 'pass', afterMs: 30 })
    rig.world.set('192.0.2.3', { kind: 'fail', afterMs: 30 })
    await stall(1500)
    expect(rig.votes.get('192.0.2.1')).toMatchObject({ value: 'abstain', reason: 'not probed for 3 intervals' })
    expect([rig.value('192.0.2.2'), rig.value('192.0.2.3')]).toEqual(['up', 'down'])
    expect(rig.beats.at(-1)).toMatchObject({ overdue: 1 })
    await until('DOWN once the loop is free', () => rig.value('192.0.2.1') === 'down')
  })
})

test('many short stalls that fill half of the timeout are as void as a long one', async () => {
  vi.useRealTimers()
  rig.prober.stop()
  rig = new Rig()
  const quick = tcpCheck({ intervalMs: 300, timeoutMs: 240, fastMs: 100, fall: 2, rise: 2 })
  rig.prober.setTargets([targetAt('192.0.2.1', quick)])
  await until('UP', () => rig.value('192.0.2.1') === 'up')
  rig.world.set('192.0.2.1', { kind: 'hang', afterMs: 0 })
  await stall(2000, 50, 1)
  expect(rig.posts.some((post) => post.includes(' down'))).toBe(false)
  expect(rig.value('192.0.2.1')).toBe('abstain')
})

test('void checks are rechecked fast once, so that an overloaded host can come out of it', async () => {
  vi.useRealTimers()
  rig.prober.stop()
  rig = new Rig()
  const slow = tcpCheck({ intervalMs: 400, timeoutMs: 60, fastMs: 70, fall: 2, rise: 2 })
  rig.world.set('192.0.2.1', { kind: 'hang', afterMs: 0 })
  rig.prober.setTargets([targetAt('192.0.2.1', slow)])
  await stall(2000)
  expect(rig.checked.length).toBeGreaterThan(4)
  expect(rig.checked.length).toBeLessThanOrEqual(12) // two an interval
})

test('nor is a change that had begun before the host was overloaded', async () => {
  vi.useRealTimers()
  rig.prober.stop()
  rig = new Rig()
  const slow = tcpCheck({ intervalMs: 400, timeoutMs: 60, fastMs: 70, fall: 3, rise: 2 })
  rig.world.set('192.0.2.1', { kind: 'fail', afterMs: 1 })
  rig.prober.setTargets([targetAt('192.0.2.1', slow)])
  await until('a failure', () => rig.checked.length === 1)
  rig.world.set('192.0.2.1', { kind: 'hang', afterMs: 0 })
  await stall(2000)
  expect(rig.checked.length).toBeLessThanOrEqual(13)
})

const addresses = (networks: number) => Array.from({ length: networks }, (_, i) => `192.0.${i}.1`)
const fail = (...failing: string[]) => failing.forEach((id) => rig.world.set(id, { kind: 'hang', afterMs: 0 }))
const values = () => [...rig.votes.values()].map(({ value }) => value)
const start = async (fleet: string[]) => {
  rig.prober.setTargets(fleet.map((address) => targetAt(address)))
  await pass(30_000)
  rig.posts.length = 0
}

const seen = (network: string, seenMs: number, failingMs?: number): Witness => ({
  network,
  intervalMs: 10,
  seenMs,
  failingMs,
})

describe('trust', () => {
  test('three sites that die together are believed, within the bound', async () => {
    const fleet = addresses(3)
    await start(fleet)
    fail(...fleet)
    await passUntil(() => values().every((value) => value === 'down'), BOUND)
  })

  test('one of many is believed, within the bound', async () => {
    await start(addresses(20))
    fail('192.0.7.1')
    await passUntil(() => rig.value('192.0.7.1') === 'down', BOUND)
    expect(values().filter((value) => value === 'up')).toHaveLength(19)
  })

  test.each([
    ['by silence', 'hang' as const],
    ['by refusals', 'fail' as const],
  ])(
    'all of many at once %s: it is this prober; nobody goes DOWN, and UP comes back with the first pass',
    async (_, kind) => {
      const fleet = addresses(10)
      await start(fleet)
      for (const id of fleet) rig.world.set(id, { kind, afterMs: 1 })
      await passUntil(() => values().every((value) => value === 'abstain'), 30_000)
      await pass(600_000)
      expect(rig.posts.some((post) => post.includes(' down'))).toBe(false)
      expect(rig.votes.get(fleet[0]!)?.reason).toContain('unrelated networks')
      expect(rig.posts.filter((post) => post.includes('casts no'))).toHaveLength(1)
      rig.world.clear()
      await passUntil(() => values().every((value) => value === 'up'), 5100)
      expect(rig.posts.some((post) => post.includes(' down'))).toBe(false)
    },
  )

  test('most of many at once: suspected for a minute while others pass, then believed', async () => {
    const fleet = addresses(12)
    await start(fleet)
    const dead = fleet.slice(0, 9)
    fail(...dead)
    await pass(30_000)
    expect(rig.posts.some((post) => post.includes(' down'))).toBe(false)
    await passUntil(() => dead.every((id) => rig.value(id) === 'down'), 60_000)
    expect(fleet.slice(9).map((id) => rig.value(id))).toEqual(['up', 'up', 'up'])
  })

  test('many addresses of one network are one witness', async () => {
    const fleet = Array.from({ length: 40 }, (_, i) => `192.0.2.${i}`)
    await start(fleet)
    fail(...fleet)
    await passUntil(() => values().every((value) => value === 'down'), BOUND)
  })

  test('who has been dead for long says nothing', async () => {
    const fleet = addresses(16)
    for (const id of fleet.slice(0, 9)) {
      rig.world.set(id, { kind: 'fail', afterMs: 1 })
    }
    rig.prober.setTargets(fleet.map((address) => targetAt(address)))
    await pass(180_000)
    fail(fleet[10]!)
    await passUntil(() => rig.value(fleet[10]!) === 'down', BOUND)
  })

  test('canaries decide where there are some', async () => {
    let reached = true
    let tries = 0
    rig.prober.stop()
    rig = new Rig([{ address: '198.51.100.1', port: 53 }], async () => {
      tries++
      await new Promise((resolve) => setTimeout(resolve, 20))
      if (!reached) throw new Error('timeout')
    })
    const fleet = addresses(3)
    await start(fleet)
    fail(...fleet)
    reached = false
    await passUntil(() => values().every((value) => value === 'abstain'), 30_000)
    await pass(120_000)
    expect(rig.posts.some((post) => post.includes(' down'))).toBe(false)
    expect(rig.votes.get(fleet[0]!)?.reason).toContain('the canary')
    reached = true
    rig.world.delete(fleet[0]!) // the way is back, one site of three, too
    await passUntil(() => rig.value(fleet[0]!) === 'up' && rig.value(fleet[1]!) === 'down', BOUND + 1000)
    rig.world.clear()
    await pass(30_000)
    expect(values()).toEqual(['up', 'up', 'up'])
    tries = 0
    await pass(60_000)
    expect(tries).toBeLessThanOrEqual(7) // quiet when nothing fails
    fail(fleet[2]!)
    expect(await passUntil(() => rig.value(fleet[2]!) === 'down', 60_000)).toBeLessThanOrEqual(BOUND)
  })

  test('where one failure is enough, the vote waits for the canaries and no longer', async () => {
    rig.prober.stop()
    rig = new Rig([{ address: '198.51.100.1', port: 53 }], () => new Promise((resolve) => setTimeout(resolve, 50)))
    rig.prober.setTargets([targetAt('192.0.2.1', { ...CHECK, fall: 1 })])
    await pass(30_000)
    rig.world.set('192.0.2.1', { kind: 'hang', afterMs: 0 })
    await passUntil(() => rig.value('192.0.2.1') === 'down', 5000 + 2000 + 250 + 100)
  })

  test('networks are /24 and /48', () => {
    expect(networkOf('192.0.2.77')).toBe('192.0.2')
    expect(['2001:db8:1:2::3', '2001:db8:1::', '2001:db8:1:ffff:0:0:0:1'].map(networkOf)).toEqual(
      Array(3).fill('2001:db8:1'),
    )
    expect(['::1', '2001:db8::1', '2001::'].map(networkOf)).toEqual(['0:0:0', '2001:db8:0', '2001:0:0'])
  })

  test('the survey counts networks that were seen since, and new failures only', () => {
    const witnesses = [
      seen('a', 105),
      seen('a', 105, 103),
      seen('b', 105, 95),
      seen('c', 105, 80),
      seen('d', 99),
      seen('e', 101),
    ]
    expect(survey(witnesses, 100)).toEqual({ failing: 1, passing: 2 })
  })
})

test('a canary is reached by an answer of any kind', async () => {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.77.1.4', resolve))
  const address = server.address()
  const endpoint = { address: '127.77.1.4', port: typeof address === 'object' && address !== null ? address.port : 0 }
  vi.useRealTimers()
  await reachCanary(endpoint)
  await new Promise((resolve) => server.close(resolve))
  await reachCanary(endpoint) // refused: it was there to refuse
  await expect(reachCanary({ address: '255.255.255.255', port: 9 })).rejects.toThrow()
})
