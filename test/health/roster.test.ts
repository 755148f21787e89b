/** Who is alive, and who speaks for a name: boots of probers and of nodes, and how long they are remembered. */
import { expect, test } from 'vitest'
import { OtherNodes } from '../../src/health/other-nodes.ts'
import { Refusals } from '../../src/health/refusals.ts'
import { Roster } from '../../src/health/roster.ts'
import { MOST_NODES, MOST_PROBERS, type NodeHeartbeat } from '../../src/health/store.ts'
import { vote } from '../support/specs.ts'

const P1 = { name: 'eu-1', region: 'eu', bootId: 'one' }
const P2 = { ...P1, bootId: 'two' }

test('that an earlier boot of a prober is gone says nothing of the one that lives', () => {
  const roster = new Roster(new Refusals())
  roster.applyVotes(P1, [vote('t1', 'up')], true, 0)
  expect([...roster.applyVotes(P2, [vote('t2', 'up')], true, 1)].toSorted()).toEqual(['t1', 't2'])
  expect([...roster.gone(P1)]).toEqual([])
  expect([roster.isLive('eu-1'), roster.liveVotes('t1').length, roster.liveVotes('t2').length]).toEqual([true, 0, 1])
  expect([...roster.gone(P2)]).toEqual(['t2'])
  expect([roster.isLive('eu-1'), roster.liveVotes('t2').length]).toEqual([false, 0])
})

test('whether any prober is heard: one that is only remembered is not', () => {
  const roster = new Roster(new Refusals())
  expect(roster.hasLive).toBe(false)
  roster.restore('us-1', 'us', 0)
  expect(roster.hasLive).toBe(false)
  roster.applyVotes(P1, [vote('t1', 'up')], true, 0)
  expect(roster.hasLive).toBe(true)
  roster.gone(P1)
  expect(roster.hasLive).toBe(false)
})

const identity = (name: string) => ({ name, region: 'eu', bootId: 'one' })

test('a prober that is alone with half of what it says is in doubt, and one that can tell nothing where others can', () => {
  const roster = new Roster(new Refusals())
  const say = (name: string, ...values: readonly ('up' | 'down' | 'abstain')[]): void =>
    void roster.applyVotes(
      identity(name),
      values.map((value, i) => vote(`t${i}`, value)),
      true,
      0,
    )
  const doubts = (): string =>
    [...roster.doubts()]
      .map((doubt) => doubt.join(' '))
      .toSorted()
      .join('; ')
  say('a', 'up', 'up', 'up', 'down')
  say('b', 'up', 'up', 'up', 'down')
  say('c', 'down', 'up', 'up', 'down')
  expect(doubts()).toBe('') // one of four: that site may be gone for it alone
  say('c', 'down', 'down', 'up', 'down')
  say('d', 'abstain', 'abstain', 'abstain', 'down')
  expect(doubts()).toBe('') // of those who differ from each other none is alone
  roster.gone(identity('d'))
  expect(doubts()).toBe('c disagrees')
  say('c', 'abstain', 'abstain', 'up', 'down')
  expect(doubts()).toBe('c abstains')
  say('a', 'abstain', 'abstain', 'abstain', 'down')
  say('b', 'abstain', 'abstain', 'abstain', 'down')
  say('c', 'down', 'down', 'down', 'down')
  expect(doubts()).toBe('') // the others say nothing against it
  roster.gone(identity('b'))
  say('a', 'up', 'up', 'up', 'up')
  expect(doubts()).toBe('') // of two nobody knows who is right
})

const beat = (name: string, bootId: string): NodeHeartbeat => {
  return { node: { name, bootId }, sequence: 1, version: '1', view: 'v', plan: 'p', verdicts: 'h' }
}
const never = async (): Promise<void> => {}
const writer = { heartbeat: never, writeMembers: never, override: async () => [], forget: never }
const peersOf = (name: string, bootId: string): OtherNodes => {
  return new OtherNodes({
    node: { name, bootId },
    version: '1',
    writer,
    refusals: new Refusals(),
    self: () => ({ view: 'v', plan: 'p', verdicts: 'h' }),
  })
}
const shown = (peers: OtherNodes) =>
  peers.status(2000).map(({ beat: { node }, live }) => [node.name, node.bootId, live])

test('a node speaks for its own name while a successor has it too; another name belongs to its latest boot', () => {
  const peers = peersOf('n1', 'one')
  for (const [name, bootId] of [
    ['n1', 'one'],
    ['n1', 'two'],
    ['n2', 'one'],
    ['n2', 'two'],
  ] as const)
    peers.receive(beat(name, bootId), 0)
  peers.gone({ name: 'n2', bootId: 'one' })
  expect(shown(peers)).toEqual([
    ['n1', 'one', true],
    ['n2', 'two', true],
  ])
  peers.gone({ name: 'n2', bootId: 'two' })
  expect(shown(peers)).toEqual([
    ['n1', 'one', true],
    ['n2', 'two', false],
  ])
})

test('nodes that are gone for too long can be told and removed, live ones never', () => {
  const peers = peersOf('n1', 'one')
  for (const name of ['n1', 'n2', 'n3']) peers.receive(beat(name, 'one'), name === 'n3' ? 1000 : 0)
  for (const name of ['n2', 'n3']) peers.gone({ name, bootId: 'one' })
  expect(peers.silentSince(500)).toEqual(['n2'])
  expect([peers.forget('n2'), peers.forget('n1'), peers.forget('n9')]).toEqual([true, false, false])
  expect(shown(peers)).toEqual([
    ['n1', 'one', true],
    ['n3', 'one', false],
  ])
})

const named = (name: string) => ({ name, region: `r-${name}`, bootId: 'b' })
const many = (count: number, of: string) => Array.from({ length: count }, (_, i) => vote(`${of} ${i}`, 'up'))

test('1,000 probers have room: a newcomer takes the place of the one silent for longest, or is refused and counted', () => {
  const refusals = new Refusals()
  const roster = new Roster(refusals)
  for (let i = 0; i < MOST_PROBERS; i++) roster.applyVotes(named(`p${i}`), [vote('t1', 'up')], true, i)
  expect(roster.applyVotes(named('new'), [vote('t1', 'down')], true, 5000).size).toBe(0)
  expect([roster.isLive('new'), roster.liveVotes('t1').length, refusals.of('prober')]).toEqual([undefined, 1000, 1])
  expect(roster.retire(named('new'), ['t1'], 5000).size).toBe(0)
  roster.restore('absent', '', 0)
  expect(roster.isLive('absent')).toBeUndefined()
  roster.gone(named('p7'))
  roster.gone(named('p3'))
  roster.applyVotes(named('new'), [vote('t1', 'down')], true, 5000)
  expect([roster.isLive('new'), roster.isLive('p3'), roster.isLive('p7')]).toEqual([true, undefined, false])
  expect(roster.entries).toHaveLength(MOST_PROBERS)
  expect(roster.shape(9999, 9999)).toBe('1000 1000')
  expect(roster.liveVotes('t1')).toHaveLength(999)
  expect(refusals.of('prober')).toBe(2)
})

test('votes on targets of no plan: so many, and with another plan their probers are heard again', () => {
  const refusals = new Refusals()
  const roster = new Roster(refusals)
  const said = (name: string, count: number, of: string) =>
    roster.applyVotes({ name, region: 'eu', bootId: 'b' }, many(count, of), true, 0)
  said('a', 150_000, 'early')
  expect(refusals.of('unplanned')).toBe(0)
  // those of the plan stay, whoever said them first; of the others some have room
  expect(roster.setTargets((target) => target === 'early 149999')).toEqual(['a'])
  expect(roster.liveVotes('early 149999')).toHaveLength(1)
  const held = () =>
    Array.from({ length: 150_000 }, (_, i) => roster.liveVotes(`early ${i}`).length).reduce((a, b) => a + b)
  expect(held()).toBe(100_001)
  said('b', 10, 'junk')
  expect(refusals.of('unplanned')).toBe(10)
  expect(
    roster.applyVotes({ name: 'b', region: 'eu', bootId: 'b' }, [vote('early 149999', 'down')], false, 0).size,
  ).toBe(1)
  expect(roster.setTargets((target) => target.startsWith('junk'))).toEqual(['a', 'b'])
  expect(roster.setTargets(() => true)).toEqual([])
})

test('1,000 nodes have room; this one always', () => {
  const peers = peersOf('self', 'x')
  for (let i = 0; i <= MOST_NODES; i++) peers.receive(beat(`n${i}`, 'b'), i)
  expect(peers.status(0)).toHaveLength(MOST_NODES)
  peers.gone({ name: 'n9', bootId: 'b' })
  peers.receive(beat('late', 'b'), 0)
  peers.receive(beat('self', 'x'), 0)
  const names = peers.status(0).map((node) => node.beat.node.name)
  expect(names).toHaveLength(MOST_NODES + 1)
  expect(names).not.toContain('n9')
})

test('DOWN of a prober that was silent abstains until it has had the time for another look', () => {
  const roster = new Roster(new Refusals())
  roster.setTargets(
    () => true,
    (target) => (target === 'slow' ? 9_000 : 2_000),
  )
  const say = (value: 'up' | 'down', atMs: number): Set<string> =>
    roster.applyVotes(
      P1,
      ['t1', 'slow'].map((target) => vote(target, value)),
      true,
      atMs,
    )
  const values = (): string[] => ['t1', 'slow'].map((target) => roster.liveVotes(target)[0]!.value)
  say('down', 0)
  expect([values(), roster.doubtMs]).toEqual([['down', 'down'], undefined])
  // a silence changes nothing of what was told before
  roster.gone(P1)
  say('down', 10_000)
  expect(values()).toEqual(['down', 'down'])
  say('up', 15_000)
  roster.gone(P1)
  say('down', 20_000)
  expect([values(), roster.doubtMs]).toEqual([['abstain', 'abstain'], 22_000])
  expect(roster.liveVotes('t1')[0]!.reason).toBe('just heard again: connection refused')
  expect([...roster.endDoubts(21_999)]).toEqual([])
  expect([...roster.endDoubts(22_000)]).toEqual(['t1'])
  expect([values(), roster.doubtMs]).toEqual([['down', 'abstain'], 29_000])
  // it has looked, and found it well; and later not
  say('up', 23_000)
  expect([values(), roster.doubtMs]).toEqual([['up', 'up'], undefined])
  say('down', 30_000)
  expect(values()).toEqual(['down', 'down'])
})

test('what a prober with another boot says is new: it counts at once', () => {
  const roster = new Roster(new Refusals())
  roster.setTargets(
    () => true,
    () => 2_000,
  )
  roster.applyVotes(P1, [vote('t1', 'up')], true, 0)
  roster.gone(P1)
  roster.applyVotes(P2, [vote('t1', 'down')], true, 10_000)
  expect(roster.liveVotes('t1')[0]!.value).toBe('down')
})
