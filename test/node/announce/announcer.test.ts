/** Whether a node is announced: the table of announcer.ts, row by row, in virtual time and on a board in memory. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { AnnounceReport, NodeWord } from '../../../src/api/announcing.ts'
import type { AnnounceBoard } from '../../../src/health/store.ts'
import { Announcer } from '../../../src/node/announce/announcer.ts'
import type { Form } from '../../../src/node/announce/forms.ts'
import { MemoryStore } from '../../../src/store/memory.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const after = (ms: number): Promise<unknown> => vi.advanceTimersByTimeAsync(ms)
const errorOf = (code: string): Error => Object.assign(new Error(code), { code })

interface NodeSettings {
  readonly board?: AnnounceBoard | undefined
  readonly others?: number
  /** What a process before it has left announced. */
  readonly left?: boolean
}

/** A node as its Announcer sees it, and what the router does. */
class TestNode {
  /** It answers its canaries over TCP, and (udp) over UDP. */
  answers = true
  udp = true
  /** Its process: a stopped one says nothing, one that is gone has no control socket. */
  process: 'runs' | 'stopped' | 'gone' = 'runs'
  word: NodeWord = { ready: true, stopping: false, zone: 'example.com.' }
  /** Its main thread hangs. */
  isMute = false
  canChange = true
  fault = 'not permitted'
  /** The form can tell what is announced. */
  knows = true
  /** How long it takes to make sure of a route. */
  againMs = 0
  route: boolean
  readonly reports: AnnounceReport[] = []
  readonly log: string[] = []
  readonly asked = new Set<string>()
  readonly announcer: Announcer

  constructor({ board, others = 1, left = false }: NodeSettings = {}) {
    this.route = left
    const change = async (to: boolean): Promise<void> => {
      if (!this.canChange) throw new Error(this.fault)
      this.route = to
    }
    const form: Form = {
      up: () => change(true),
      down: () => change(false),
      again: async () => {
        if (this.againMs > 0) await new Promise((done) => setTimeout(done, this.againMs))
        if (!this.canChange) throw new Error(this.fault)
        this.route = true
      },
      isUp: async () => (this.knows ? this.route : undefined),
    }
    const canary = (name: string, isWell: () => boolean) => ({
      name,
      ask: async (zone: string, timeoutMs: number) => {
        this.asked.add(zone)
        if (this.process === 'gone') return 'connection refused'
        if (isWell() && this.process === 'runs') return undefined
        await new Promise((done) => setTimeout(done, timeoutMs))
        return 'no answer within 1 s'
      },
    })
    this.announcer = new Announcer({
      canaries: [canary('UDP', () => this.answers && this.udp), canary('TCP', () => this.answers)],
      form,
      board,
      others,
      tell: async (report) => {
        this.reports.push(report)
        if (this.process === 'runs' && !this.isMute) return this.word
        if (this.process === 'gone') throw errorOf('ECONNREFUSED')
        await new Promise((done) => setTimeout(done, 1_000))
        throw errorOf('ABORT_ERR')
      },
      log: (_, message) => void this.log.push(message),
    })
  }

  get state(): AnnounceReport['state'] {
    return this.announcer.report.state
  }
}

const started: TestNode[] = []
afterEach(async () => {
  const ends = Promise.all(started.splice(0).map(({ announcer }) => announcer.stop()))
  await after(2_000)
  await ends
})

async function start(node: TestNode): Promise<TestNode> {
  started.push(node)
  await node.announcer.start()
  return node
}

const store = (): MemoryStore => new MemoryStore()
const boardOf = (of: MemoryStore, name: string): AnnounceBoard => of.announceBoard({ name, bootId: `${name}-1` })
/** Redis is away. */
const AWAY: AnnounceBoard = {
  announced: async () => {
    throw new Error('Redis is away')
  },
  leave: async () => {
    throw new Error('Redis is away')
  },
}
/** Redis takes the connection, and says nothing. */
const DUMB: AnnounceBoard = { announced: () => new Promise(() => {}), leave: () => new Promise(() => {}) }

/** A board with so many others. */
const among = (others: number): AnnounceBoard => ({ announced: async () => others, leave: async () => others })

const W = 'withdrawn'
const K = 'kept'
const A = 'announced'

const BOARDS: readonly (readonly [words: string, board: AnnounceBoard | undefined])[] = [
  ['enough others', among(1)],
  ['too few others', among(0)],
  ['not known: Redis is away', AWAY],
  ['not known: Redis is dumb', DUMB],
  ['not known: no Redis', undefined],
]

/** What happens to a node, and what becomes of its announcement, in the order of BOARDS. */
const TABLE: readonly (readonly [words: string, end: (node: TestNode) => void, states: readonly string[]])[] = [
  ['hangs (SIGSTOP)', (node) => void (node.process = 'stopped'), [W, K, K, K, K]],
  ['answers over TCP, not over UDP', (node) => void (node.udp = false), [W, K, K, K, K]],
  ['does not run', (node) => void (node.process = 'gone'), [W, K, W, W, W]],
  ['ends in order', (node) => void (node.word = { ...node.word, stopping: true }), [W, K, W, W, W]],
  ['is not ready', (node) => void (node.word = { ...node.word, ready: false }), [A, A, A, A, A]],
  ['says nothing, and answers', (node) => void (node.isMute = true), [A, A, A, A, A]],
]

const ROWS = TABLE.flatMap(([words, end, states]) =>
  BOARDS.map(([others, board], i) => [words, others, states[i]!, end, board] as const),
)
test.each(ROWS)('a node that %s; others: %s → %s', async (_words, _others, state, end, board) => {
  const node = await start(new TestNode({ board }))
  await after(2_000)
  expect([node.state, node.route]).toEqual([A, true])
  end(node)
  await after(3_000)
  expect([node.state, node.route]).toEqual([state, state !== W])
  expect(node.announcer.inWords).toMatch(
    { [A]: /^announced$/, [K]: /^STAYS ANNOUNCED: ./, [W]: /^withdrawn: ./ }[state]!,
  )
  expect(node.log.filter((line) => line.startsWith('STAYS ANNOUNCED'))).toHaveLength(state === K ? 1 : 0)
})

test('a node that hangs is withdrawn after 2 s, before 3, and announced again when it has answered for a second', async () => {
  const node = await start(new TestNode({ board: among(2) }))
  await after(2_000)
  node.process = 'stopped'
  await after(1_700)
  expect(node.route, 'not for a moment’s silence').toBe(true)
  await after(1_050)
  expect(node.route).toBe(false)
  expect(node.announcer.report).toMatchObject({ state: W, isPlanned: false, others: 2 })
  expect(node.announcer.report.why).toMatch(/does not answer at UDP, TCP: no answer within 1 s/)
  node.process = 'runs'
  await after(900)
  expect(node.route).toBe(false)
  await after(1_500)
  expect(node.route).toBe(true)
})

test('it is announced only when it is ready, and asks for a zone that the node serves', async () => {
  const node = new TestNode()
  node.word = { ...node.word, ready: false }
  await start(node)
  await after(10_000)
  expect([node.route, node.announcer.inWords]).toEqual([false, 'withdrawn: the node answers, but is not ready'])
  node.word = { ...node.word, ready: true }
  await after(1_000)
  expect(node.route).toBe(true)
  expect([...node.asked]).toEqual(['.', 'example.com.'])
})

test('what a process before it has left announced goes on, and is not withdrawn by its restart', async () => {
  const node = await start(new TestNode({ left: true, board: among(1) }))
  expect(node.state).toBe(A)
  await after(1_500)
  expect(node.log).toEqual(['announced: the node answers'])
  expect(node.route).toBe(true)
})

test('time in which it did not run itself is no silence of the node', async () => {
  const node = await start(new TestNode({ board: among(1) }))
  await after(2_000)
  node.process = 'stopped'
  const jump = vi.spyOn(performance, 'now')
  const realMs = performance.now()
  jump.mockImplementation(() => realMs + 60_000)
  await after(250)
  expect(node.route).toBe(true)
  jump.mockRestore()
})

describe('never the last', () => {
  test.each([
    ['that hang', (node: TestNode) => void (node.process = 'stopped')],
    ['that end in order', (node: TestNode) => void (node.word = { ...node.word, stopping: true })],
  ])('of two %s at the same moment one stays', async (_, end) => {
    const shared = store()
    const [a, b] = [new TestNode({ board: boardOf(shared, 'a') }), new TestNode({ board: boardOf(shared, 'b') })]
    await Promise.all([start(a), start(b)])
    await after(3_000)
    expect(a.announcer.report.others).toBe(1)
    for (const node of [a, b]) end(node)
    for (let i = 0; i < 100; i++) {
      await after(100)
      expect([a, b].some(({ route }) => route)).toBe(true)
    }
    expect([a.state, b.state].toSorted()).toEqual([K, W])
  })

  test('with announce.others: 2, of three one may leave', async () => {
    const shared = store()
    const all = ['a', 'b', 'c'].map((name) => new TestNode({ board: boardOf(shared, name), others: 2 }))
    await Promise.all(all.map(start))
    await after(3_000)
    for (const node of all) node.process = 'stopped'
    await after(5_000)
    expect(all.filter(({ route }) => route)).toHaveLength(2)
    const kept = all.find(({ state }) => state === K)!
    expect(kept.announcer.report.why).toMatch(/only 1 other node of 2 is announced|no other node is announced/)
  })

  test('who is kept does not count, tries again, and leaves when another has come that answers', async () => {
    const shared = store()
    const a = await start(new TestNode({ board: boardOf(shared, 'a') }))
    await after(2_000)
    a.process = 'stopped'
    await after(5_000)
    expect(a.state).toBe(K)
    expect(a.announcer.report).toMatchObject({ others: 0, isPlanned: false })
    expect(a.announcer.report.why).toMatch(/no other node is announced and answers$/)
    const b = await start(new TestNode({ board: boardOf(shared, 'b') }))
    await after(1_500)
    expect(await boardOf(shared, 'x').leave(), 'b alone counts').toBe(1)
    await after(2_000)
    expect([a.state, b.state]).toEqual([W, A])
    // and it is the last now
    b.word = { ...b.word, stopping: true }
    await after(3_000)
    expect([b.state, b.announcer.report.isPlanned]).toEqual([K, true])
  })

  test('who is kept and answers again is announced as ever', async () => {
    const node = await start(new TestNode({ board: among(0) }))
    await after(2_000)
    node.process = 'stopped'
    await after(4_000)
    expect(node.state).toBe(K)
    node.process = 'runs'
    await after(1_000)
    expect(node.announcer.report).toMatchObject({ state: A, why: '' })
  })

  test('a node that was not heard for a lease does not count', async () => {
    const shared = store()
    await boardOf(shared, 'b').announced()
    const a = await start(new TestNode({ board: boardOf(shared, 'a') }))
    await after(4_000)
    a.process = 'gone'
    await after(4_000)
    expect(a.state).toBe(K)
  })
})

test('what is being made sure of is not announced behind its withdrawal', async () => {
  const node = await start(new TestNode({ board: among(1) }))
  await after(2_000)
  node.againMs = 950
  await after(1_000)
  node.word = { ...node.word, stopping: true }
  await after(3_000)
  expect([node.state, node.route]).toEqual([W, false])
})

test('what can’t be made sure of is said once, and again when it was well meanwhile', async () => {
  const node = await start(new TestNode({ board: among(1) }))
  await after(2_000)
  const told = (): number => node.log.filter((line) => line.includes('can’t be made sure of: not permitted')).length
  node.canChange = false
  await after(5_000)
  expect([told(), node.state]).toEqual([1, 'announced'])
  node.canChange = true
  await after(2_000)
  node.canChange = false
  await after(5_000)
  expect(told()).toBe(2)
})

test('what programs say is told as a node takes it', async () => {
  const node = await start(new TestNode({ board: among(1) }))
  await after(2_000)
  node.canChange = false
  node.fault = `no\u0007t ${'x'.repeat(600)}`
  node.process = 'stopped'
  await after(4_000)
  const { why } = node.reports.at(-1)!
  expect(why).toHaveLength(500)
  expect(why).toContain('can’t be withdrawn: no t xxx')
})

test('its own end withdraws, and of the last node does not', async () => {
  for (const [others, route] of [
    [1, false],
    [0, true],
  ] as const) {
    const node = new TestNode({ board: among(others) })
    await node.announcer.start()
    await after(2_000)
    await node.announcer.stop()
    expect(node.route).toBe(route)
  }
})

test('what a killed announce has left is withdrawn, and of the last node is not', async () => {
  for (const [others, route] of [
    [1, false],
    [0, true],
  ] as const) {
    const node = new TestNode({ board: among(others), left: true })
    await node.announcer.withdrawLeft()
    expect(node.route).toBe(route)
  }
})

test('where nobody can tell what a killed announce has left, it is withdrawn all the same', async () => {
  for (const [others, route] of [
    [1, false],
    [0, true],
  ] as const) {
    const board = among(others)
    const [left, again] = [new TestNode({ board, left: true }), new TestNode({ board, left: true })]
    for (const node of [left, again]) node.knows = false
    await left.announcer.withdrawLeft()
    again.process = 'gone'
    await start(again)
    await after(3_000)
    expect([left.route, again.route, again.state]).toEqual([route, route, W])
    expect(again.log, 'nothing that stays is told where perhaps nothing does').not.toContainEqual(
      expect.stringMatching(/STAYS/),
    )
  }
})

test('a node that answers, and says nothing at its control socket, is not announced, and it is said why', async () => {
  const node = new TestNode()
  node.isMute = true
  await start(node)
  await after(5_000)
  expect([node.route, node.announcer.inWords]).toEqual([
    false,
    'withdrawn: the node answers, but says nothing at its control socket: ABORT_ERR',
  ])
})

test('it waits for its first word of Redis, but not for long', async () => {
  let tries = 0
  const leave = async (): Promise<number> => {
    if (++tries < 4) throw new Error('connecting')
    return 0
  }
  const last = new TestNode({ board: { announced: leave, leave }, left: true })
  const alone = new TestNode({ board: AWAY, left: true })
  const ends = Promise.all([last.announcer.withdrawLeft(), alone.announcer.withdrawLeft()])
  await after(4_000)
  await ends
  expect([last.route, alone.route]).toEqual([true, false])
})

test('what can’t be changed is tried again, a second later, and said once', async () => {
  const node = new TestNode({ board: among(1) })
  node.canChange = false
  await start(node)
  await after(6_000)
  expect(node.log).toEqual(['announce: it can’t be announced: not permitted'])
  node.canChange = true
  await after(1_500)
  expect(node.route).toBe(true)
  node.canChange = false
  node.process = 'stopped'
  await after(4_000)
  expect(node.announcer.report).toMatchObject({
    state: K,
    why: expect.stringContaining('can’t be withdrawn: not permitted'),
  })
  node.canChange = true
  await after(1_500)
  expect([node.state, node.route]).toEqual([W, false])
})
