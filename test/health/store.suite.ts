/**
 * The Store contract: what every form of it must do. Each form's test calls storeSuite with a way to make one; `lease` is
 * the time after which silence is noticed, made short.
 */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Audience, Board, Heartbeat, ProberIdentity, Store } from '../../src/health/store.ts'
import { vote } from './plans.ts'
import { until } from './until.ts'

export interface StoreForm {
  readonly store: Store
  /** A prober's side, as it is made where the prober lives. */
  board(prober: ProberIdentity): Board
  close(): Promise<void>
}

/** Keeps what it hears as text lines, and what is being said now. */
class Listener implements Audience {
  readonly lines: string[] = []
  readonly said = new Map<string, Map<string, string>>()

  votes(prober: ProberIdentity, votes: readonly { target: string; value: string }[], whole: boolean): void {
    const now = (whole ? undefined : this.said.get(prober.name)) ?? new Map<string, string>()
    for (const { target, value } of votes) now.set(target, value)
    this.said.set(prober.name, now)
    const list = votes.map(({ target, value }) => ` ${target} ${value}`).join('')
    this.lines.push(`${prober.name}/${prober.bootId} ${whole ? 'all' : 'some'}${list}`)
  }
  retired(prober: ProberIdentity, targets: readonly string[]): void {
    for (const target of targets) this.said.get(prober.name)?.delete(target)
    this.lines.push(`${prober.name}/${prober.bootId} retired ${targets.join(' ')}`)
  }
  heartbeat({ prober, sequence }: Heartbeat): void {
    this.lines.push(`${prober.name}/${prober.bootId} beat ${sequence}`)
  }
  gone(prober: ProberIdentity): void {
    this.lines.push(`${prober.name}/${prober.bootId} gone`)
  }
}

const identity = (name: string, bootId = 'one'): ProberIdentity => ({ name, region: 'eu', bootId })
const beat = (prober: ProberIdentity, sequence: number): Heartbeat => ({
  prober,
  sequence,
  configHash: 'c',
  overdue: 0,
  overdueAgeMs: 0,
})

export function storeSuite(form: string, lease: number, make: () => Promise<StoreForm>): void {
  describe(`the store in its form ${form}`, () => {
    let made: StoreForm
    const ending = new AbortController()
    beforeEach(async () => {
      made = await make()
    })
    afterEach(() => made.close())
    const listen = async () => {
      const listener = new Listener()
      await made.store.listen(listener, ending.signal)
      return listener
    }

    test('what a prober says is heard in its order', async () => {
      const listener = await listen()
      const a = identity('a')
      const board = made.board(a)
      await board.replace([vote('t1', 'up'), vote('t2', 'down')])
      await board.heartbeat(beat(a, 1))
      await board.change(vote('t1', 'down'))
      await board.retire(['t2'])
      await board.heartbeat(beat(a, 2))
      await until(() => listener.lines.length >= 5, 'five calls heard')
      expect(listener.lines).toEqual([
        'a/one all t1 up t2 down',
        'a/one beat 1',
        'a/one some t1 down',
        'a/one retired t2',
        'a/one beat 2',
      ])
    })

    test('whoever listens late hears what is there', async () => {
      const first = await listen()
      const a = identity('a')
      const board = made.board(a)
      await board.replace([vote('t1', 'up'), vote('t2', 'up'), vote('t3', 'up')])
      await board.change(vote('t1', 'down', { reason: 'timeout', moving: true }))
      await board.retire(['t2'])
      await board.heartbeat(beat(a, 1))
      await until(() => first.lines.includes('a/one beat 1'), 'everything heard')
      const late = await listen()
      expect(late.said.get('a')).toEqual(
        new Map([
          ['t1', 'down'],
          ['t3', 'up'],
        ]),
      )
    })

    test('silence is told once, brings no vote, and ends with all votes', async () => {
      const listener = await listen()
      const a = identity('a')
      const board = made.board(a)
      await board.replace([vote('t1', 'up')])
      await board.heartbeat(beat(a, 1))
      await until(() => listener.lines.includes('a/one gone'), 'silence noticed', lease + 2000)
      expect(listener.lines.filter((line) => line.endsWith('gone'))).toHaveLength(1)
      expect(listener.said.get('a')).toEqual(new Map([['t1', 'up']]))
      const late = await listen()
      expect(late.said.get('a')?.size ?? 0).toBe(0)
      listener.lines.length = 0
      await board.change(vote('t1', 'down'))
      await board.heartbeat(beat(a, 2))
      await until(() => listener.lines.includes('a/one beat 2'), 'heard again')
      expect(listener.lines.slice(-2)).toEqual(['a/one all t1 down', 'a/one beat 2'])
      expect(late.said.get('a')).toEqual(new Map([['t1', 'down']]))
    })

    test('heartbeats keep the lease', async () => {
      const listener = await listen()
      const a = identity('a')
      const board = made.board(a)
      await board.replace([])
      const endMs = performance.now() + 3 * lease
      for (let sequence = 1; performance.now() < endMs; sequence++) {
        await board.heartbeat(beat(a, sequence))
        const waited = sequence
        await until(() => listener.lines.includes(`a/one beat ${waited}`), 'the beat')
        await new Promise((resolve) => setTimeout(resolve, lease / 10))
      }
      expect(listener.lines.filter((line) => line.endsWith('gone'))).toEqual([])
    })

    test('a new boot ends what the old one said, and the old one is not heard again', async () => {
      const listener = await listen()
      const old = made.board(identity('a', 'one'))
      await old.replace([vote('t1', 'up'), vote('t2', 'up')])
      await until(() => listener.lines.length > 0, 'the old boot heard')
      const young = made.board(identity('a', 'two'))
      await young.replace([vote('t1', 'down')])
      await until(() => listener.said.get('a')?.get('t1') === 'down', 'the new boot heard')
      await old.change(vote('t1', 'up'))
      await old.heartbeat(beat(identity('a', 'one'), 99))
      await young.heartbeat(beat(identity('a', 'two'), 1))
      await until(() => listener.lines.includes('a/two beat 1'), 'the new boot beats')
      expect(listener.said.get('a')).toEqual(new Map([['t1', 'down']]))
      expect(listener.lines.some((line) => line === 'a/one beat 99')).toBe(false)
    })

    test('sequences never go backwards', async () => {
      const listener = await listen()
      const a = identity('a')
      const board = made.board(a)
      await board.replace([])
      for (const sequence of [5, 4, 5, 6]) await board.heartbeat(beat(a, sequence))
      await until(() => listener.lines.includes('a/one beat 6'), 'the last beat')
      expect(listener.lines.filter((line) => line.includes('beat'))).toEqual(['a/one beat 5', 'a/one beat 6'])
    })

    test('probers are apart', async () => {
      const listener = await listen()
      const [a, b] = [made.board(identity('a')), made.board(identity('b'))]
      await a.replace([vote('t1', 'up')])
      await b.replace([vote('t1', 'down')])
      await a.retire(['t1'])
      await until(() => listener.lines.length >= 3, 'all heard')
      expect(listener.said.get('a')!.size).toBe(0)
      expect(listener.said.get('b')).toEqual(new Map([['t1', 'down']]))
    })

    test('an aborted listener hears nothing more, others do', async () => {
      const leaving = new AbortController()
      const left = new Listener()
      await made.store.listen(left, leaving.signal)
      const stays = await listen()
      leaving.abort()
      await made.board(identity('a')).replace([vote('t1', 'up')])
      await until(() => stays.lines.length > 0, 'the other hears')
      expect(left.lines).toEqual([])
    })
  })
}
