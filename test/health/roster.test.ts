/** Who is alive, and who speaks for a name: boots of probers and of nodes, and how long they are remembered. */
import { expect, test } from 'vitest'
import { Peers } from '../../src/health/peers.ts'
import { Roster } from '../../src/health/roster.ts'
import type { NodeBeat } from '../../src/health/store.ts'
import { vote } from './plans.ts'

const P1 = { name: 'eu-1', region: 'eu', bootId: 'one' }
const P2 = { ...P1, bootId: 'two' }

test('that an earlier boot of a prober is gone says nothing of the one that lives', () => {
  const roster = new Roster()
  roster.take(P1, [vote('t1', 'up')], true, 0)
  expect([...roster.take(P2, [vote('t2', 'up')], true, 1)].toSorted()).toEqual(['t1', 't2'])
  expect([...roster.gone(P1)]).toEqual([])
  expect([roster.isLive('eu-1'), roster.heard('t1').length, roster.heard('t2').length]).toEqual([true, 0, 1])
  expect([...roster.gone(P2)]).toEqual(['t2'])
  expect([roster.isLive('eu-1'), roster.heard('t2').length]).toEqual([false, 0])
})

const beat = (name: string, bootId: string): NodeBeat => {
  return { node: { name, bootId }, sequence: 1, version: '1', view: 'v', plan: 'p', verdicts: 'h' }
}
const never = async (): Promise<void> => {}
const board = { heartbeat: never, know: never, override: async () => [], forget: never }
const peersOf = (name: string, bootId: string): Peers => {
  return new Peers({
    node: { name, bootId },
    version: '1',
    board,
    self: () => ({ view: 'v', plan: 'p', verdicts: 'h' }),
  })
}
const shown = (peers: Peers) => peers.status(2000).map(({ beat: { node }, live }) => [node.name, node.bootId, live])

test('a node speaks for its own name while a successor has it too; another name belongs to its latest boot', () => {
  const peers = peersOf('n1', 'one')
  for (const [name, bootId] of [
    ['n1', 'one'],
    ['n1', 'two'],
    ['n2', 'one'],
    ['n2', 'two'],
  ] as const)
    peers.hear(beat(name, bootId), 0)
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

test('nodes that are gone for too long are shown no more, live ones always', () => {
  const peers = peersOf('n1', 'one')
  for (const name of ['n1', 'n2', 'n3']) peers.hear(beat(name, 'one'), name === 'n3' ? 1000 : 0)
  for (const name of ['n2', 'n3']) peers.gone({ name, bootId: 'one' })
  peers.forget(500)
  expect(shown(peers)).toEqual([
    ['n1', 'one', true],
    ['n3', 'one', false],
  ])
})
