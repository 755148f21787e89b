/** Scheduled drills in virtual time: one node of a fleet begins each, once, in its window and not on blocked dates. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeEach, expect, test, vi } from 'vitest'
import { Turns } from '../../src/events/notify/turns.ts'
import { LEASE_MS, type NodeIdentity, type SendingBoard } from '../../src/health/store.ts'
import type { DrillReport, DrillRequest } from '../../src/node/drill-report.ts'
import { DrillSchedule, SCHEDULER } from '../../src/node/schedule.ts'
import { MemorySendings } from '../../src/store/sendings.ts'
import type { DrillModel, DrillsModel } from '../../src/zone/drills.ts'
import { parseDayRange, parseDayRule, parseMinutes } from '../../src/zone/windows.ts'

const MINUTE = 60_000
const HOUR = 60 * MINUTE
/** A Tuesday. */
const OPENS = Date.parse('2026-12-01T10:00:00Z')
/** What its window is claimed by. */
const ID = `drill.one.${OPENS}`
const folder = mkdtempSync(join(tmpdir(), 'meridian-schedule-'))
afterAll(() => rmSync(folder, { recursive: true }))

const drill = (
  more: Partial<DrillModel & { from: string; to: string; days: string; zone: string }> = {},
): DrillModel => {
  const { from = '10:00', to = '12:00', days = 'tue', zone = 'UTC', ...rest } = more
  const window = {
    days: days.split(' ').map((day) => parseDayRule(day)!),
    fromMinutes: parseMinutes(from)!,
    toMinutes: parseMinutes(to)!,
    zone,
  }
  const at = { file: 'drills.yaml', line: 1, column: 1, width: 1 }
  return { name: 'one', site: 'fra', window, forMs: 30 * MINUTE, abortIf: [{ kind: 'last-resort' }], at, ...rest }
}

let plan: DrillsModel
let sendings: MemorySendings
let told: string[]
let live: NodeIdentity[]
let trouble: string | undefined
let frozen: string | undefined
let refusal: string | undefined
let isReady: boolean
/** The drills of each node, which it knows when it is back. */
let reports: Map<string, Pick<DrillReport, 'who' | 'why' | 'beganMs'>[]>
/** The drain of a drill, which all nodes see. */
let drain: DrillRequest | undefined
let boots = 0
let runs: DrillSchedule[] = []

const at = () => new Date().toISOString().slice(5, 16)

class TestNode {
  readonly identity: NodeIdentity
  readonly schedule: DrillSchedule

  constructor(name: string, change: (board: SendingBoard) => SendingBoard = (board) => board) {
    this.identity = { name, bootId: `b${boots++}` }
    live = [...live.filter((one) => one.name !== name), this.identity]
    const own = reports.get(name) ?? []
    reports.set(name, own)
    this.schedule = new DrillSchedule({
      file: fileOf(name),
      plan: () => plan,
      isReady: () => isReady,
      turns: new Turns({ self: this.identity, live: () => live, trouble: () => trouble }),
      board: change(sendings.board(this.identity)),
      freeze: () => frozen,
      onUnheld: ({ outcome, why }) => told.push(`${name} ${at()} ${outcome}: ${why}`),
      log: () => {},
      onTrouble: (text) => told.push(`trouble ${text}`),
      drills: {
        reports: own,
        begin: (request) => {
          if (refusal !== undefined) return { refused: refusal }
          told.push(`${name} ${at()} begun: ${request.pattern} for ${request.forMs / MINUTE} min by ${request.who}`)
          own.push({ who: request.who, why: request.why, beganMs: Date.now() })
          drain = request
          setTimeout(() => (drain = undefined), request.forMs)
          return {}
        },
        adopt: () => {
          if (drain !== undefined) told.push(`${name} ${at()} adopts`)
          return drain !== undefined
        },
      },
    })
    this.schedule.start()
    runs.push(this.schedule)
  }

  async kill(): Promise<void> {
    live = live.filter(({ bootId }) => bootId !== this.identity.bootId)
    await this.schedule.stop()
  }
}

const startNode = (...args: ConstructorParameters<typeof TestNode>): TestNode => new TestNode(...args)

let files = 0
const fileOf = (name: string): string => join(folder, `${name}-${files}.json`)
beforeEach(() => {
  vi.useFakeTimers({ now: OPENS - MINUTE })
  files++
  plan = { drills: [drill()], blocked: [] }
  sendings = new MemorySendings()
  told = []
  live = []
  runs = []
  reports = new Map()
  isReady = true
  trouble = frozen = refusal = drain = undefined
})
afterEach(async () => {
  vi.useRealTimers()
  await Promise.all(runs.map((one) => one.stop()))
})

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms)
/** The wall clock goes on to so long after the window opens; nodes are not called meanwhile. */
async function skipTo(afterMs: number): Promise<void> {
  vi.setSystemTime(OPENS + afterMs)
  await pass(2000)
}
/** A node that is cut off when it would say what it has decided. */
const mute = (board: SendingBoard): SendingBoard => ({ ...board, done: () => Promise.reject(new Error('cut off')) })
/** Which node has claimed the window of OPENS. */
const claimant = async (): Promise<NodeIdentity> => (await sendings.board(live[0]!).sendings([ID])).get(ID)!.node
/** Without the name of the node that told it. */
const anonymous = () => told.map((line) => line.slice(line.indexOf(' ') + 1))

test('one of three nodes begins it when its window opens, each week', async () => {
  for (const name of ['a', 'b', 'c']) startNode(name)
  await pass(MINUTE - 2000)
  expect(told).toEqual([])
  await pass(10 * MINUTE)
  await skipTo(7 * 24 * HOUR - MINUTE)
  await pass(2 * MINUTE)
  expect(anonymous()).toEqual([
    '12-01T10:00 begun: fra for 30 min by drills.yaml',
    '12-08T10:00 begun: fra for 30 min by drills.yaml',
  ])
})

test.each([
  ['2026-12-01', 'skipped: 2026-12-01 is blocked'],
  ['2026-11-20..2026-12-06', 'skipped: 2026-11-20..2026-12-06 is blocked'],
])('on the blocked dates %s it is skipped, and that is told once', async (blocked, words) => {
  plan = { ...plan, blocked: [parseDayRange(blocked)!] }
  const nodes = new Map(['a', 'b', 'c'].map((name) => [name, startNode(name)]))
  await pass(5 * MINUTE)
  await nodes.get((await claimant()).name)!.kill() // what it has told is not told again
  await pass(5 * MINUTE)
  await skipTo(HOUR)
  await skipTo(7 * 24 * HOUR - MINUTE)
  await pass(2 * MINUTE)
  expect(anonymous()).toEqual([`12-01T10:00 ${words}`, '12-08T10:00 begun: fra for 30 min by drills.yaml'])
})

test('a freeze skips it, also one that ends within the window', async () => {
  frozen = 'by kim: the probers move'
  startNode('a')
  await pass(2 * MINUTE)
  frozen = undefined
  await pass(10 * MINUTE)
  expect(told).toEqual(['a 12-01T10:00 skipped: the automation is frozen by kim: the probers move'])
})

test('one that is refused waits, while it fits into its window', async () => {
  refusal = 'iad has an override of lee: disks'
  for (const name of ['a', 'b']) startNode(name)
  await pass(21 * MINUTE)
  refusal = undefined
  await pass(10 * MINUTE)
  expect(anonymous()).toEqual(['12-01T10:20 begun: fra for 30 min by drills.yaml'])
  plan = { drills: [drill({ forMs: 119 * MINUTE })], blocked: [] }
  await pass(2000)
  await skipTo(7 * 24 * HOUR + 5 * MINUTE)
  // what it was refused for the week before is no reason
  expect(anonymous()[1]).toBe('12-08T10:05 missed: no node was there to begin it in its window')
})

test('one that was refused until it fits no longer is missed, and not made up for', async () => {
  refusal = 'iad has an override of lee: disks'
  for (const name of ['a', 'b']) startNode(name)
  await pass(2 * MINUTE)
  await skipTo(1.5 * HOUR - 2000)
  expect(told).toEqual([])
  await pass(2000)
  refusal = undefined
  await pass(5 * MINUTE)
  await skipTo(3 * HOUR)
  expect(anonymous()).toEqual(['12-01T11:30 missed: iad has an override of lee: disks'])
})

test.each(['tue', '2026-12-01'])(
  'a window (%s) in which no node was there is told by one that comes back',
  async (days) => {
    plan = { drills: [drill({ days })], blocked: [] }
    const first = startNode('a')
    const second = startNode('b')
    await pass(3000)
    await Promise.all([first.kill(), second.kill()])
    vi.setSystemTime(OPENS + 2 * HOUR)
    startNode('a')
    startNode('b')
    await pass(5 * MINUTE)
    expect(anonymous()).toEqual(['12-01T12:00 missed: no node was there to begin it in its window'])
  },
)

test('a window that was over before a node first heard of the drill is none of its business', async () => {
  vi.setSystemTime(OPENS + 4 * HOUR)
  startNode('a')
  await pass(MINUTE)
  expect(told).toEqual([])
})

test('nor is one that was over before a merge moved the drill there', async () => {
  plan = { drills: [drill({ from: '14:00', to: '16:00' })], blocked: [] }
  startNode('a')
  await pass(MINUTE)
  await skipTo(2.5 * HOUR)
  plan = { drills: [drill()], blocked: [] }
  await pass(MINUTE)
  expect(told).toEqual([])
})

test.each(['Redis is away', 'no node is ready'])(
  'while %s nobody begins it; when that is over in time, one does',
  async (why) => {
    trouble = why === 'Redis is away' ? why : undefined
    isReady = trouble !== undefined
    for (const name of ['a', 'b', 'c']) startNode(name)
    await pass(11 * MINUTE)
    expect(told).toEqual([])
    trouble = undefined
    isReady = true
    await pass(10 * MINUTE)
    expect(anonymous()).toEqual(['12-01T10:10 begun: fra for 30 min by drills.yaml'])
  },
)

test('a node that is killed in the middle, and is back, begins it no second time', async () => {
  const node = startNode('a')
  await pass(MINUTE + 5000)
  await node.kill()
  await pass(MINUTE)
  startNode('a')
  await pass(5 * MINUTE)
  await skipTo(HOUR)
  await skipTo(3 * HOUR)
  expect(told.filter((line) => line.includes('begun'))).toHaveLength(1)
})

test.each([30, 10])('nor where the Store has forgotten all of it, now that it is for %i min', async (minutes) => {
  const node = startNode('a')
  await pass(MINUTE + 5000)
  await node.kill()
  plan = { drills: [drill({ forMs: minutes * MINUTE })], blocked: [] }
  sendings = new MemorySendings()
  startNode('a')
  await pass(5 * MINUTE)
  await skipTo(HOUR)
  await skipTo(3 * HOUR)
  expect(told).toEqual(['a 12-01T10:00 begun: fra for 30 min by drills.yaml'])
})

test('a node that is killed between its claim and the begin forgets nothing', async () => {
  reports.set('a', [{ who: SCHEDULER, why: 'one', beganMs: OPENS - 7 * 24 * HOUR }])
  refusal = 'not yet'
  const node = startNode('a')
  await pass(MINUTE + 5000) // it has claimed the window
  await node.kill()
  refusal = undefined
  startNode('a')
  await pass(5 * MINUTE)
  await skipTo(HOUR)
  expect(told).toEqual(['a 12-01T10:00 begun: fra for 30 min by drills.yaml'])
})

test('another node begins it in place of one that is gone with its claim', async () => {
  refusal = 'not yet'
  const nodes = new Map(['a', 'b', 'c'].map((name) => [name, startNode(name)]))
  await pass(MINUTE + 5000)
  const owner = await claimant()
  await nodes.get(owner.name)!.kill()
  refusal = undefined
  await pass(20_000)
  expect(told).toHaveLength(1)
  expect(told[0]).toMatch(/10:00 begun/)
  expect(told[0]!.startsWith(owner.name)).toBe(false)
  await pass(5 * MINUTE)
  await skipTo(HOUR)
  expect(told).toHaveLength(1)
})

test('it is the first in turn that does, or another one a lease later; one that is heard again is not gone', async () => {
  refusal = 'not yet'
  const nodes = new Map(['a', 'b', 'c'].map((name) => [name, startNode(name)]))
  await pass(MINUTE + 5000)
  const owner = await claimant()
  const all = live
  const others = live.filter(({ name }) => name !== owner.name)
  const rankOf = (self: NodeIdentity): number => {
    const turns = new Turns({ self, live: () => others, trouble: () => undefined })
    turns.look()
    return turns.rank(ID)
  }
  const [first, second] = others.toSorted((one, other) => rankOf(one) - rankOf(other))
  await nodes.get(first!.name)!.schedule.stop() // it is heard, and does nothing
  live = others
  await pass(LEASE_MS - 1000)
  live = all
  await pass(5000)
  await nodes.get(owner.name)!.kill()
  refusal = undefined
  await pass(LEASE_MS)
  expect(told).toEqual([])
  await pass(2000)
  expect(told).toEqual([`${second!.name} 12-01T10:00 begun: fra for 30 min by drills.yaml`])
})

test('and watches one that has begun, as long as its drain is in force', async () => {
  const nodes = new Map(['a', 'b', 'c'].map((name) => [name, startNode(name)]))
  await pass(6 * MINUTE)
  const owner = told[0]!.split(' ')[0]!
  await nodes.get(owner)!.kill()
  await pass(20_000)
  expect(anonymous()).toEqual(['12-01T10:00 begun: fra for 30 min by drills.yaml', '12-01T10:05 adopts'])
  await pass(5 * MINUTE)
  await skipTo(HOUR)
  expect(told).toHaveLength(2)
})

test('one that its node began without saying so is watched, and not begun again', async () => {
  const node = startNode('a', mute)
  await pass(MINUTE + 1000)
  expect(told).toHaveLength(1)
  const other = startNode('b')
  await node.kill()
  await pass(20_000)
  expect(anonymous()).toEqual(['12-01T10:00 begun: fra for 30 min by drills.yaml', '12-01T10:00 adopts'])
  startNode('c')
  drain = undefined // an operator has ended it
  await pass(5000)
  await other.kill()
  await pass(20_000)
  expect(told).toHaveLength(2)
})

test('nor by itself, where all that it knows of it is its report', async () => {
  const node = startNode('a', mute)
  await pass(MINUTE + 1000)
  await node.kill()
  drain = undefined
  files++
  startNode('a')
  await pass(20_000)
  expect(told).toEqual(['a 12-01T10:00 begun: fra for 30 min by drills.yaml'])
})

test('one that is over is not asked about any more', async () => {
  const asked: (readonly string[])[] = []
  startNode('a')
  startNode('b', (board) => ({
    ...board,
    sendings: (ids) => {
      asked.push(ids)
      return board.sendings(ids)
    },
  }))
  await pass(32 * MINUTE)
  expect(asked.length).toBeGreaterThan(29 * 60)
  asked.length = 0
  await pass(MINUTE)
  expect(asked).toEqual([])
})

/** Another drill, that is not yet. */
const other = (forMs: number) => ({ drills: [drill({ name: 'other', days: '2026-12-31', forMs })], blocked: [] })
/** The drills that a node knows of, in its file. */
const knownTo = (name: string) => Object.keys(JSON.parse(readFileSync(fileOf(name), 'utf8')).drills)

test('what is known of a drill that is gone is kept for ten days', async () => {
  const node = startNode('a')
  await pass(MINUTE + 5000)
  plan = other(10 * MINUTE)
  await skipTo(9 * 24 * HOUR)
  await node.kill()
  expect(knownTo('a')).toEqual(['one', 'other'])
  const next = startNode('a')
  plan = other(20 * MINUTE)
  await skipTo(11 * 24 * HOUR)
  await next.kill()
  expect(knownTo('a')).toEqual(['other'])
})

test('a merge within its window lets it begin, and one that changes it does not begin it again', async () => {
  plan = { drills: [], blocked: [] }
  startNode('a')
  await pass(2 * MINUTE)
  plan = { drills: [drill()], blocked: [] }
  await pass(MINUTE)
  plan = { drills: [drill({ forMs: 10 * MINUTE })], blocked: [] }
  await pass(5 * MINUTE)
  await skipTo(HOUR)
  expect(told).toEqual(['a 12-01T10:01 begun: fra for 30 min by drills.yaml'])
})

test('on a day when clocks change it is at local time, and skipped where its window is too short', async () => {
  const zone = 'Europe/Berlin'
  vi.setSystemTime(Date.parse('2027-03-28T00:59:00Z'))
  plan = {
    drills: [
      drill({ name: 'day', days: 'sun', zone }),
      drill({ name: 'gap', days: 'sun', from: '02:00', to: '03:00', zone }),
    ],
    blocked: [],
  }
  startNode('a')
  await pass(2 * MINUTE)
  vi.setSystemTime(Date.parse('2027-03-28T07:59:30Z'))
  await pass(2 * MINUTE)
  expect(told).toEqual([
    'a 03-28T01:00 skipped: clocks change in its window, which is too short today',
    'a 03-28T08:00 begun: fra for 30 min by drills.yaml',
  ])
})
