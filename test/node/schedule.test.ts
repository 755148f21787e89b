/** Scheduled drills in virtual time: one node of a fleet begins each, once, in its window and not on blocked dates. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeEach, expect, test, vi } from 'vitest'
import { Turns } from '../../src/events/notify/turns.ts'
import type { NodeIdentity, SendingBoard } from '../../src/health/store.ts'
import type { DrillRequest } from '../../src/node/drill-report.ts'
import { DrillSchedule } from '../../src/node/schedule.ts'
import { MemorySendings } from '../../src/store/sendings.ts'
import type { DrillModel, DrillsModel } from '../../src/zone/drills.ts'
import { parseDayRange, parseDayRule, parseMinutes } from '../../src/zone/windows.ts'

const MINUTE = 60_000
const HOUR = 60 * MINUTE
/** A Tuesday. */
const OPENS = Date.parse('2026-12-01T10:00:00Z')
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
    this.schedule = new DrillSchedule({
      file: join(folder, `${name}-${files}.json`),
      plan: () => plan,
      isReady: () => true,
      turns: new Turns({ self: this.identity, live: () => live, trouble: () => trouble }),
      board: change(sendings.board(this.identity)),
      freeze: () => frozen,
      onUnheld: ({ outcome, why }) => told.push(`${name} ${at()} ${outcome}: ${why}`),
      log: () => {},
      onTrouble: (text) => told.push(`trouble ${text}`),
      drills: {
        reports: [],
        begin: (request) => {
          if (refusal !== undefined) return { refused: refusal }
          told.push(`${name} ${at()} begun: ${request.pattern} for ${request.forMs / MINUTE} min by ${request.who}`)
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
beforeEach(() => {
  vi.useFakeTimers({ now: OPENS - MINUTE })
  files++
  plan = { drills: [drill()], blocked: [] }
  sendings = new MemorySendings()
  told = []
  live = []
  runs = []
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
  for (const name of ['a', 'b', 'c']) startNode(name)
  await pass(10 * MINUTE)
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

test('a window in which no node was there is told by one that comes back, and not made up for', async () => {
  const first = startNode('a')
  const second = startNode('b')
  await pass(2000)
  await Promise.all([first.kill(), second.kill()])
  vi.setSystemTime(OPENS + 2 * HOUR)
  startNode('a')
  startNode('b')
  await pass(5 * MINUTE)
  expect(anonymous()).toEqual(['12-01T12:00 missed: no node was there to begin it in its window'])
})

test('a window that was over before a node first heard of the drill is none of its business', async () => {
  vi.setSystemTime(OPENS + 4 * HOUR)
  startNode('a')
  await pass(MINUTE)
  expect(told).toEqual([])
})

test('while Redis is away nobody begins it; back in time, one does', async () => {
  trouble = 'Redis is away'
  for (const name of ['a', 'b', 'c']) startNode(name)
  await pass(11 * MINUTE)
  expect(told).toEqual([])
  trouble = undefined
  await pass(10 * MINUTE)
  expect(anonymous()).toEqual(['12-01T10:10 begun: fra for 30 min by drills.yaml'])
})

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

test('nor where the Store has forgotten all of it', async () => {
  const node = startNode('a')
  await pass(MINUTE + 5000)
  await node.kill()
  sendings = new MemorySendings()
  startNode('a')
  await pass(5 * MINUTE)
  await skipTo(HOUR)
  await skipTo(3 * HOUR)
  expect(told).toEqual(['a 12-01T10:00 begun: fra for 30 min by drills.yaml'])
})

test('a node that is killed between its claim and the begin forgets nothing', async () => {
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
  const [owner] = (
    await sendings.board(live[0]!).sendings([`drill.one.${Date.parse('2026-12-01T10:00:00Z')}`])
  ).values()
  await nodes.get(owner!.node.name)!.kill()
  refusal = undefined
  await pass(20_000)
  expect(told).toHaveLength(1)
  expect(told[0]).toMatch(/10:00 begun/)
  expect(told[0]!.startsWith(owner!.node.name)).toBe(false)
  await pass(5 * MINUTE)
  await skipTo(HOUR)
  expect(told).toHaveLength(1)
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
  await other.kill()
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
