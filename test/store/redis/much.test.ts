/**
 * A prober that says much, as often as it may: what is taken in of it in a turn is bounded, its heartbeats are heard all the
 * same, and what it said last is heard in the end.
 */
import { Redis } from 'ioredis'
import { expect, test } from 'vitest'
import { Refusals } from '../../../src/health/refusals.ts'
import { Listener, type ListenerSettings } from '../../../src/store/redis/listener.ts'
import { Reader, type Since } from '../../../src/store/redis/reader.ts'
import { Signer } from '../../../src/store/redis/signer.ts'
import { changeText, Intern } from '../../../src/store/redis/text.ts'
import { Listener as Heard } from '../store.suite.ts'

/** The hash of one prober, in place of Redis. */
class Board extends Reader {
  n = 1
  fields: readonly string[] = ['t', 'u.1000 1 200']
  #log: string | undefined
  reads = 0
  boot = 'b'
  /** The size that is told; undefined: the true one. */
  told: number | undefined

  constructor() {
    const none = new Redis({ lazyConnect: true }) // never asked
    super({ quick: none, slow: none, ready: () => false, leaseMs: 3000, onTrouble: () => {} })
  }

  /** Of a head and a log, or of a head alone. */
  say(fields: readonly string[], isLogged: boolean): void {
    this.fields = fields
    this.n++
    this.#log = isLogged ? changeText({ n: this.n, mac: '', fields }) : undefined
  }

  /** What is published of the last change. */
  get message(): string {
    return this.#log === undefined ? 'change' : `change ${this.boot} ${this.#log}`
  }

  get #head(): string[] {
    return [this.boot, 'eu', String(this.n), `[${this.n},"c",0,0]`, '', '']
  }

  override since(_: string, __: string, boot: string, n: string): Promise<Since> {
    const state =
      boot !== this.boot ? 'whole' : n === String(this.n) ? 'same' : this.#log === undefined ? 'whole' : 'some'
    const lines = state === 'some' ? [this.#log!] : []
    return Promise.resolve({ state, size: this.told ?? this.fields.length / 2, head: this.#head, lines })
  }

  override hash(): Promise<readonly string[]> {
    this.reads++
    const head = this.#head
    const names = ['@boot', '@region', '@n', '@beat', '@sum', '@mac']
    return Promise.resolve([...names.flatMap((name, i) => [name, head[i]!]), ...this.fields])
  }

  override names = (): Promise<readonly string[]> => Promise.resolve(['p'])
  override seen = (): Promise<ReadonlyMap<string, number>> => Promise.resolve(new Map([['p', 0]]))
  override overrides = (): Promise<readonly string[]> => Promise.resolve([])
  override forgotten = (): Promise<readonly string[]> => Promise.resolve([])
  override rev = (): Promise<string> => Promise.resolve('')
}

const settled = async (): Promise<void> => {
  for (let i = 0; i < 50; i++) await Promise.resolve()
}

async function listening() {
  const writer = new Board()
  const heard = new Heard()
  const clock = { turn: 0 }
  const settings: ListenerSettings = {
    subscriber: heard,
    reader: writer,
    intern: new Intern(),
    refusals: new Refusals(),
    signer: new Signer(),
    turn: () => clock.turn,
    leaseTurns: 12,
    admit: undefined,
  }
  const listener = new Listener(settings)
  await listener.sync()
  const turn = async () => {
    clock.turn++
    listener.tick()
    await settled()
  }
  return { writer, heard, listener, turn }
}

const flips = (count: number, letter: string): string[] =>
  Array.from({ length: count }, (_, i) => [`t${i}`, `${letter}.1000 1 x`]).flat()

test.each([
  ['hints', () => 'change'],
  ['messages with the change', (writer: Board) => writer.message],
])('changes: so many fields a turn, whatever %s there are', async (_, messageOf) => {
  const { writer, heard, listener, turn } = await listening()
  await turn()
  let taken = 0
  for (let turns = 0; turns < 20; turns++) {
    for (let hints = 0; hints < 25; hints++) {
      const before = heard.lines.filter((line) => line.startsWith('p/b some')).length
      writer.say(flips(900, hints % 2 === 0 ? 'd' : 'u'), true)
      listener.hint('p', messageOf(writer))
      await settled()
      if (heard.lines.filter((line) => line.startsWith('p/b some')).length > before) taken += 900
    }
    await turn()
  }
  expect(taken).toBeGreaterThan(20_000)
  expect(taken).toBeLessThan(20 * 5900)
  expect(heard.lines).not.toContain('p/b gone')
  writer.say(flips(900, 'd'), true)
  for (let turns = 0; turns < 5; turns++) await turn()
  expect(new Set(heard.said.get('p')!.values())).toEqual(new Set(['down']))
})

test('a hash of few long values: it is read again as seldom as it is long, and its prober lives meanwhile', async () => {
  const { writer, heard, turn } = await listening()
  await turn()
  const before = writer.reads
  const long = Array.from({ length: 60 }, (_, i) => [`t${i}`, `d.1000 1 ${'x'.repeat(100_000)}`]).flat()
  for (let turns = 0; turns < 40; turns++) {
    writer.say(long, false)
    await turn()
  }
  expect(writer.reads - before).toBeLessThanOrEqual(5)
  expect(heard.lines).not.toContain('p/b gone')
})

test('a hash that has grown since its size was told is not taken in', async () => {
  const { writer, heard, turn } = await listening()
  await turn()
  const large = flips(100_001, 'd')
  writer.say(large, false)
  writer.told = 1
  for (let turns = 0; turns < 4; turns++) await turn()
  expect(heard.said.get('p')!.has('t1')).toBe(false)
})

test('boots: the first is heard at once, the next after a lease, whatever region each claims', async () => {
  const { writer, heard, listener, turn } = await listening()
  for (let turns = 0; turns < 36; turns++) {
    for (let hints = 0; hints < 25; hints++) {
      writer.boot = `b${turns}-${hints}`
      writer.say(['t', 'd.1000 1 200'], false)
      listener.hint('p', 'change')
      await settled()
    }
    await turn()
  }
  const boots = new Set(heard.lines.flatMap((line) => /^p\/(b\S*) all/.exec(line)?.[1] ?? []))
  expect([...boots].slice(0, 2)).toEqual(['b', 'b0-0'])
  expect(boots.size).toBeLessThanOrEqual(2 + 3)
})

test('a hash whose values were left out, for they were too long, is not read again for half a minute', async () => {
  const { writer, heard, turn } = await listening()
  await turn()
  const before = writer.reads
  for (let turns = 0; turns < 40; turns++) {
    writer.say(['t', 'd.1000 1 200', '@any', ''], false)
    await turn()
  }
  expect([writer.reads - before, heard.said.get('p')!.get('t')]).toEqual([1, 'up'])
  expect(heard.lines).not.toContain('p/b gone')
})
