/**
 * Partial drains: who moves, and when, on two nodes that answer from one World. 200,000 client networks ask the real
 * respond(); bounds of chance are five standard deviations.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { respond } from '../../src/answer/answer.ts'
import { makeRequest, makeResponder, type Responder, UDP } from '../../src/answer/responder.ts'
import { makeCounters } from '../../src/counters.ts'
import { encodeQuery } from '../../src/dns/message.ts'
import { NodeHealth } from '../../src/health/node-health.ts'
import { isOverrideRecord, type OverrideRequest, recordOf } from '../../src/health/override.ts'
import { nextStepMs, shiftedShare } from '../../src/health/share.ts'
import { DOWN, DRAINED, HEALTH_SLOTS, makeHealthTable, shareOf, stateOf, UP } from '../../src/health/table.ts'
import { makeNode, type TestNode } from '../answer/fixture.ts'
import { vote } from '../support/specs.ts'
import { Bus, type Link } from './bus.ts'

const FILES = {
  'defaults.yaml': 'soa: {mname: ns1.example.net., rname: h.example.net., serial: 1}\n',
  'sites.yaml': 'fra: {location: [50.11, 8.68]}\niad: {location: [38.95, -77.45]}\nsin: {location: [1.36, 103.99]}\n',
  'services.yaml': `web:
  sites: {fra: {vips: [192.0.2.1, 192.0.2.11]}, iad: {vips: [192.0.2.2]}, sin: {vips: [192.0.2.3]}}
  order: [[fra, iad], sin]
  check: {type: tcp, port: 80}
  keep: 70%
api:
  sites: {fra: {vips: [192.0.2.1]}, iad: {vips: [192.0.2.2]}, sin: {vips: [192.0.2.3]}}
  order: [iad, fra, sin]
  check: {type: tcp, port: 80}
  keep: 60%
`,
  'example.com.yaml':
    '"": {type: NS, value: ns1.example.net.}\nwww: {type: GSLB, service: web}\napi: {type: GSLB, service: api}\n',
}
const [FRA, IAD] = [0, 1]
const VIP = 'fra/web/192.0.2.1'
const PROBER = { name: 'eu-1', region: 'eu', bootId: 'b1' }
const MINUTE = 60_000
const CLIENTS = 200_000

let world: TestNode
let bus: Bus
const nodes: Node[] = []
const folder = mkdtempSync(join(tmpdir(), 'meridian-shift-'))
beforeAll(async () => {
  world = await makeNode(FILES)
  for (const [i, service] of world.made.world.services.entries()) service.word = HEALTH_SLOTS + i
})
afterAll(() => rmSync(folder, { recursive: true }))
beforeEach(() => {
  vi.useFakeTimers()
  bus = new Bus()
  say('up')
})
afterEach(async () => {
  vi.useRealTimers()
  for (const node of nodes.splice(0)) await node.stop()
})

/** All targets, but those at an address that is down. */
function say(value: 'up' | 'down', address = ''): void {
  const votes = world.made.plan.targets.map((target) => vote(target.id, target.address === address ? 'down' : value))
  bus.say(PROBER, votes)
}

class Node {
  readonly table = makeHealthTable()
  readonly responder: Responder = makeResponder(world.made.world, this.table, makeCounters())
  readonly link: Link = bus.link(1e9)
  readonly changes: string[] = []
  readonly health: NodeHealth

  constructor(name: string, file?: string) {
    this.health = new NodeHealth({
      table: this.table,
      store: this.link,
      node: { name, version: '1' },
      ...(file !== undefined && { file }),
      onChange: ({ member, after }) => this.changes.push(`${member} ${after}`),
    })
  }

  async start(): Promise<this> {
    await this.health.start()
    const { plan, world: served } = world.made
    const slots = Int32Array.from(plan.members, ({ name }) => world.slots.get(name)!)
    this.health.adopt(plan, slots, '', new Map(served.services.map(({ name, word }) => [name, word])))
    return this
  }

  async stop(): Promise<void> {
    await this.health.stop()
    await this.link.close()
  }

  /** State and share of a member. */
  word(member = VIP): [number, number] {
    const word = this.table[world.slots.get(member)!]!
    return [stateOf(word), shareOf(word)]
  }

  get share(): number {
    return this.word()[1]
  }

  shareWhy(member = VIP): string {
    return this.health.snapshot().members.find((one) => one.member === member)!.shareWhy
  }

  left(service = 'web'): number {
    return this.health.snapshot().services.find((one) => one.service === service)!.leftPercent
  }

  /** The site of each client that asks for a name. */
  sites(name: string, clients = CLIENTS): Uint8Array {
    const query = Uint8Array.from(encodeQuery({ name, type: 'A', edns: { ecs: '11.22.33.0/24' } }))
    const at = query.findIndex((byte, i) => byte === 11 && query[i + 1] === 22 && query[i + 2] === 33)
    const output = new Uint8Array(512)
    const client = Uint8Array.of(192, 0, 2, 99)
    const rest = { input: query, at: 0, length: query.length, client, family: 4, transport: UDP, output } as const
    const request = makeRequest({ ...rest, outAt: 0, room: 512 })
    return Uint8Array.from({ length: clients }, (_, i) => {
      query.set([11 + (i >> 16), (i >> 8) & 255, i & 255], at)
      if (respond(this.responder, request) === 0) throw new Error('no answer')
      return this.responder.selection.site
    })
  }
}

const make = async (name: string, file?: string): Promise<Node> => {
  const node = await new Node(name, file).start()
  nodes.push(node)
  return node
}
const ASKED = { forMs: undefined, who: 'ann', why: 'works', yes: true }
/** A drain to a share, or to 1000: the way back. */
const drain = (pattern: string, to: number, overMs = 0): OverrideRequest => {
  const forMs = to === 1000 ? overMs : undefined
  return { ...ASKED, pattern, action: 'shift', shift: { to, overMs }, forMs }
}
const undo = (pattern: string): OverrideRequest => ({ ...ASKED, pattern, action: 'undone' })
const given = (node: Node, ...requests: OverrideRequest[]): void => {
  const outcome = node.health.override(...requests)
  if ('refused' in outcome) throw new Error(outcome.refused)
}
/** A time, and as much as words are written later. */
const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms + 300)
const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0
const number = (sites: Uint8Array, site: number): number => sites.reduce((sum, one) => sum + Number(one === site), 0)

describe('a share that moves', () => {
  const shifts = fc.record({
    from: fc.integer({ min: 0, max: 1000 }),
    to: fc.integer({ min: 0, max: 1000 }),
    overMs: fc.integer({ min: 0, max: 24 * 60 * MINUTE }),
  })

  test('is monotone, ends exactly, and steps at most every 5 s', () => {
    fc.assert(
      fc.property(shifts, fc.integer({ min: 0, max: 1_000_000 }), (shift, startMs) => {
        const { from, to, overMs } = shift
        expect(shiftedShare(shift, overMs)).toBe(to)
        expect(nextStepMs(shift, overMs)).toBe(Infinity)
        if (overMs > 0) expect(shiftedShare(shift, 0)).toBe(from)
        let before = shiftedShare(shift, startMs)
        let atMs = startMs
        for (let nextMs = nextStepMs(shift, atMs), steps = 0; nextMs < Infinity; nextMs = nextStepMs(shift, atMs)) {
          if (overMs >= 5000 && steps++ > 0) expect(nextMs - atMs).toBeGreaterThanOrEqual(4999)
          expect(shiftedShare(shift, nextMs - 1)).toBe(before)
          const now = shiftedShare(shift, nextMs)
          expect((now - before) * Math.sign(to - from)).toBeGreaterThanOrEqual(0)
          if (Math.abs(to - from) >= 10 && overMs >= 5000) expect(now).not.toBe(before)
          before = now
          atMs = nextMs
        }
        return before === to
      }),
      { numRuns: 200 },
    )
  })

  test('over 15 minutes moves by 1 % each 13 seconds', () => {
    const shares = Array.from({ length: 901 }, (_, s) =>
      shiftedShare({ from: 1000, to: 300, overMs: 900_000 }, s * 1000),
    )
    expect(new Set(shares).size).toBe(71)
    expect([shares[0], shares[12], shares[13], shares[450], shares[899], shares[900]]).toEqual([
      1000, 1000, 990, 650, 310, 300,
    ])
  })
})

describe('who moves', () => {
  test('70 % of the site’s clients by a drain to 30 %, nobody else, and the same on two nodes', async () => {
    const [a, b] = [await make('a'), await make('b')]
    const before = a.sites('www.example.com.')
    const beside = a.sites('api.example.com.', 20_000)
    expect(same(b.sites('www.example.com.'), before)).toBe(true)
    given(a, drain('fra', 300))
    const after = a.sites('www.example.com.')
    expect(same(b.sites('www.example.com.'), after)).toBe(true)
    const whole = number(before, FRA)
    expect(Math.abs(whole - CLIENTS / 2)).toBeLessThan(5 * Math.sqrt(CLIENTS / 4))
    expect(Math.abs(number(after, FRA) - 0.3 * whole)).toBeLessThan(5 * Math.sqrt(whole * 0.3 * 0.7))
    const moved = before.map((site, i) => (site === after[i] ? 255 : site)).filter((site) => site !== 255)
    expect(new Set(moved)).toEqual(new Set([FRA]))
    expect(number(after, IAD)).toBe(CLIENTS - number(after, FRA)) // they go to the other of the group
    expect(same(a.sites('api.example.com.', 20_000), beside)).toBe(true)
    given(b, undo('fra'))
    expect(same(a.sites('www.example.com.'), before)).toBe(true)
  })

  test('over 15 minutes each client once, by the same step on two nodes, and exactly to the end', async () => {
    const [a, b] = [await make('a'), await make('b')]
    const before = a.sites('www.example.com.', 20_000)
    given(a, drain('fra', 300, 15 * MINUTE))
    let last = 1000
    let sites = before
    for (let second = 2; second <= 902; second += 2) {
      await vi.advanceTimersByTimeAsync(2000)
      expect(b.share).toBe(a.share)
      expect(a.share).toBeLessThanOrEqual(last)
      expect(Math.abs(a.share - (1000 - (700 * Math.min(second, 900)) / 900))).toBeLessThan(11)
      last = a.share
      if (second % 90 !== 0) continue
      const now = a.sites('www.example.com.', 20_000)
      expect(now.every((site, i) => site === sites[i] || (sites[i] === FRA && site === IAD))).toBe(true)
      sites = now
    }
    expect([a.word(), b.word('fra/api/192.0.2.1')]).toEqual([
      [UP, 300],
      [UP, 300],
    ])
    expect(a.shareWhy()).toBe('drained to 30 %')
    expect(a.changes).toEqual([]) // it is up all the while
    given(b, drain('fra', 1000, 10 * MINUTE))
    await pass(5 * MINUTE)
    expect([a.share, b.share]).toEqual([650, 650])
    expect(b.shareWhy()).toBe('on the way back from 30 %, at 65 % now')
    await pass(5 * MINUTE)
    expect([a.share, a.health.snapshot().overrides]).toEqual([1000, []])
    expect(same(a.sites('www.example.com.', 20_000), before)).toBe(true)
  })

  test('to nothing, in steps, ends as a drain', async () => {
    const a = await make('a')
    given(a, drain('fra', 0, 10 * MINUTE))
    await pass(9 * MINUTE + 59_000)
    expect(a.word()).toEqual([UP, 10])
    await pass(1000)
    expect(a.word()).toEqual([DRAINED, 1000])
    expect(number(a.sites('www.example.com.', 10_000), FRA)).toBe(0)
    expect(a.changes.toSorted()).toEqual(
      ['fra/api/192.0.2.1', 'fra/web/192.0.2.1', 'fra/web/192.0.2.11'].map((member) => `${member} drained`),
    )
    given(a, drain('fra', 1000, 10 * MINUTE))
    expect(a.word()).toEqual([DRAINED, 1000])
    await pass(MINUTE)
    expect(a.word()).toEqual([UP, 100])
  })
})

describe('in the middle', () => {
  test('it is undone, at once or in steps from where it is, or aims elsewhere', async () => {
    const a = await make('a')
    given(a, drain('fra', 300, 15 * MINUTE))
    await pass(8 * MINUTE + 10_000)
    expect([a.share, a.shareWhy()]).toEqual([620, 'drained to 30 %, at 62 % now'])
    expect(a.health.snapshot().overrides[0]!.override).toMatchObject({ shift: { from: 1000, to: 300, now: 620 } })
    given(a, drain('fra', 500, 4 * MINUTE))
    expect(a.share).toBe(620)
    await pass(2 * MINUTE)
    expect(a.share).toBe(560)
    given(a, drain('fra', 1000, 10 * MINUTE))
    await pass(5 * MINUTE)
    expect(a.share).toBe(780)
    given(a, undo('fra'))
    expect([a.share, a.health.snapshot().overrides]).toEqual([1000, []])
    expect(a.health.override(drain('fra', 1000, MINUTE))).toMatchObject({ refused: 'there is no override on fra' })
  })

  test('a service or a VIP starts from what the drain of its site leaves it', async () => {
    const a = await make('a')
    given(a, drain('fra', 400))
    given(a, drain('fra/web', 200, 10 * MINUTE))
    await pass(5 * MINUTE)
    expect([a.share, a.word('fra/api/192.0.2.1')[1]]).toEqual([300, 400])
    given(a, drain(VIP, 100))
    given(a, drain('fra/web/192.0.2.11', 600))
    expect([a.share, a.word('fra/web/192.0.2.11')[1]]).toEqual([100, 300]) // of several the least counts
    given(a, drain('fra', 0, 10 * MINUTE))
    await pass(10 * MINUTE - 6000)
    expect([a.share, a.word('fra/web/192.0.2.11')[1], a.word('fra/api/192.0.2.1')[1]]).toEqual([10, 10, 10])
    expect(a.health.override(drain(VIP, 0, MINUTE))).toMatchObject({ refused: expect.stringContaining('twice') })
    given(a, drain('fra/api/192.0.2.1', 0, MINUTE)) // the only one of its service there
  })

  test('a restart goes on where it was, also while the Store is away', async () => {
    const file = join(folder, 'a', 'health.json')
    const a = await make('a', file)
    given(a, drain('fra', 300, 15 * MINUTE))
    await pass(5 * MINUTE)
    expect(a.share).toBe(770)
    await nodes.pop()!.stop()
    await pass(3 * MINUTE + 10_000)
    bus = new Bus()
    const again = await make('a', file)
    say('up')
    expect(again.share).toBe(620)
    await pass(7 * MINUTE)
    expect(again.share).toBe(300)
  })

  test('one that dies is down, and back with the share that it has by then', async () => {
    const a = await make('a')
    given(a, drain('fra', 0, 10 * MINUTE))
    await pass(5 * MINUTE)
    const what = 'drained to 0 % by ann (fra: works); '
    const why = () => a.health.snapshot().members.find(({ member }) => member === VIP)!.why
    expect(why()).toMatch(what)
    say('up', '192.0.2.1')
    expect([a.word()[0], why().includes('drained')]).toEqual([DOWN, false])
    await pass(MINUTE)
    say('up')
    expect(a.word()).toEqual([UP, 400])
  })
})

describe('the brake and `keep`', () => {
  test('count what the drain leaves of a site', async () => {
    const a = await make('a')
    expect(a.health.override({ ...drain('fra', 0), yes: false })).toMatchObject({
      refused: expect.stringMatching(/only 67 % of (web|api) would be left \(now 100 %\); it keeps 70 %/),
    })
    expect(a.health.override({ ...drain('fra', 0, 10 * MINUTE), yes: false })).toHaveProperty('refused')
    expect(a.health.outlook(['fra'], 50)).toMatchObject({ safe: false })
    expect(a.health.outlook(['fra'], 300)).toMatchObject({
      safe: true,
      why: expect.stringContaining('77 % of web would be left'),
    })
    given(a, { ...drain('fra', 300, 10 * MINUTE), yes: false })
    await pass(5 * MINUTE)
    expect(Math.round(a.left())).toBe(88)
    await pass(6 * MINUTE)
    expect(Math.round(a.left())).toBe(77)
    expect(a.health.override({ ...drain('iad', 500), yes: false })).toMatchObject({
      refused: expect.stringContaining('only 60 % of'),
    })
    expect(a.health.outlook(['iad', 'fra/web'])).toMatchObject({ overrides: [{ pattern: 'fra', shift: { now: 300 } }] })
    expect(a.health.outlook(['iad'])).toMatchObject({ overrides: [] })
    given(a, drain('fra', 1000, 10 * MINUTE)) // on the way back it counts for what it has by now
    expect(a.health.outlook(['iad'], 500)).toMatchObject({ safe: false })
  })

  test('hold a dead site, if what is left beside it is too little; and a site that is drained in part', async () => {
    const a = await make('a')
    const braked = () => a.health.snapshot().services.find(({ service }) => service === 'api')!.braked
    say('up', '192.0.2.3')
    expect(braked()).toEqual([])
    given(a, drain('iad', 300)) // then 130 of 230 are less than 60 %
    expect(braked()).toEqual(['sin/api/192.0.2.3'])
    given(a, undo('iad'))
    expect(braked()).toEqual([])
    say('up')
    given(a, drain('fra', 300), drain('sin', 300), drain('iad', 100))
    say('up', '192.0.2.3')
    expect(braked()).toEqual(['sin/api/192.0.2.3'])
    expect(a.word('sin/api/192.0.2.3')).toEqual([UP, 300])
  })
})

describe('several in one order', () => {
  test('are all done, with one version, or none is', async () => {
    const [a, b] = [await make('a'), await make('b')]
    given(a, drain('sin', 950))
    for (const requests of [
      [drain('fra', 800), drain('lon', 800)],
      [drain('fra', 800), { ...drain('iad', 800), forMs: 10 }],
      [drain('fra', 800), undo('iad')],
      [drain('fra', 800), drain('fra', 700)],
    ])
      expect(a.health.override(...requests)).toHaveProperty('refused')
    const careful = { yes: false }
    for (const pattern of ['fra', 'iad']) expect(a.health.outlook([pattern], 500)).toMatchObject({ safe: true })
    expect(a.health.override({ ...drain('fra', 500), ...careful }, { ...drain('iad', 500), ...careful })).toMatchObject(
      { refused: expect.stringMatching(/only 65 % of/) },
    )
    expect(b.health.snapshot().overrides.map(({ override }) => override.pattern)).toEqual(['sin'])
    const outcome = a.health.override(drain('fra', 500), drain('iad', 0), undo('sin'))
    expect(outcome).toMatchObject({ done: [{ version: 2 }, { version: 2 }, { version: 2 }] })
    expect([b.word()[1], b.word('iad/web/192.0.2.2')[0], b.word('sin/web/192.0.2.3')[1]]).toEqual([500, DRAINED, 1000])
  })
})

test('a version that knows no shift rejects the record, and takes nobody for drained', async () => {
  const a = await make('a')
  const outcome = a.health.override(drain('fra', 300))
  if ('refused' in outcome) throw new Error(outcome.refused)
  const record = recordOf(outcome.done[0]!)
  expect(isOverrideRecord(record)).toBe(true)
  expect(['drain', 'up', 'down', 'undone']).not.toContain(record.action) // all that it takes
  for (const shift of [undefined, {}, { from: 0, to: 1001, overMs: 0 }, { from: 0, to: 1, overMs: 0.5 }])
    expect(isOverrideRecord({ ...record, shift })).toBe(false)
  expect(isOverrideRecord({ ...record, action: 'drain' })).toBe(false)
})
