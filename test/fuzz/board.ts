/**
 * Hostile boards: what someone who may write anything into Redis writes there (heads, heartbeats, votes, lines of logs,
 * overrides, forgotten probers, indexes, hints), from a seed, through a real Reader and Listener into a real NodeHealth and a
 * prober's OwnTargets. Each text is of the right form at first, and then mutated. What must hold: nothing throws, nothing that is
 * shown has a control character or no end, names stay few, and a true prober is heard as before.
 */
import { Redis } from 'ioredis'
import { NodeHealth } from '../../src/health/node-health.ts'
import { Refusals } from '../../src/health/refusals.ts'
import { type StoreSubscriber, MOST_NODES, MOST_PROBERS, type Store } from '../../src/health/store.ts'
import { makeHealthTable } from '../../src/health/table.ts'
import { OwnTargets } from '../../src/probe/own-targets.ts'
import { MemoryStore } from '../../src/store/memory.ts'
import { indexKey, NOW_FIELD, OVERRIDES_KEY } from '../../src/store/redis/keys.ts'
import { Listener } from '../../src/store/redis/listener.ts'
import { Reader } from '../../src/store/redis/reader.ts'
import { Signer } from '../../src/store/redis/signer.ts'
import { changeText, Intern, nodeBeatText, proberBeatText, readKnown, voteText } from '../../src/store/redis/text.ts'
import { member, spec, vote } from '../support/specs.ts'
import { makeRandom, type Random } from './packets.ts'

export interface BoardFuzzed {
  /** Texts of hostile boards that were read. */
  readonly items: number
  readonly refused: number
  readonly findings: readonly string[]
}

const TARGETS = Array.from({ length: 40 }, (_, i) => i.toString(16).padStart(16, '0'))
const MEMBERS = TARGETS.map((_, i) => `fra/web/192.0.2.${i}`)
const TRUE = ['true-1', 'true-2', 'true-3']
/** What means something somewhere, or is of an odd size. */
const TELLING = [
  ...' .!"\\[]{},:/@%-0129auduxe\n\r\t'.split(''),
  '\0',
  '\u001b[2J',
  '\u202e',
  '\ud800',
  '𝕏',
  '1e308',
  '-1',
  '9007199254740993',
  'NaN',
  'null',
  '__proto__',
  'constructor',
  '',
]
const FEW_TURNS = 200

/** Texts of each kind, of the right form for the most part. */
function makeTexts(random: Random) {
  const pick = <T>(list: readonly T[]): T => list[random(list.length)]!
  const number = (): number => pick([0, 1, 2, random(100), random(1e6), 1e15, 2 ** 53, 1e308, -1, 1.5, Number.NaN])
  const mutated = (text: string): string => {
    if (random(3) > 0) return text
    let other = text
    for (let times = 1 + random(3); times > 0; times--) {
      const at = random(other.length + 1)
      const cut = pick([0, 0, 1, random(20)])
      other = other.slice(0, at) + pick(TELLING) + other.slice(at + cut)
    }
    const turn = random(500)
    return turn === 0 ? other.padEnd(70_000, 'x') : turn < 5 ? other.padEnd(5000, '1') : other
  }
  const name = (): string => mutated(`forged-${random(3000)}`)
  const hash = (): string => mutated(random(2 ** 30).toString(16))
  const target = (): string => mutated(random(3) === 0 ? pick(TARGETS) : random(2 ** 20).toString(16))
  const said = (): string =>
    mutated(
      voteText(
        vote('t', pick(['up', 'down', 'abstain']), {
          moving: random(2) === 0,
          share: random(1001),
          rttMs: random(5000) / 7,
          reason: pick(['200', 'connection refused', `status ${random(1000)}`, '\u001b]0;x\u0007', 'ü'.repeat(300)]),
        }),
      ),
    )
  const identity = { name: 'x', region: 'eu', bootId: 'b' }
  const proberBeat = () =>
    mutated(
      proberBeatText({
        prober: identity,
        sequence: number(),
        configHash: hash(),
        overdue: number(),
        overdueAgeMs: number(),
      }),
    )
  const nodeBeat = () =>
    mutated(
      nodeBeatText({
        node: identity,
        sequence: number(),
        version: '1',
        view: hash(),
        plan: hash(),
        verdicts: hash(),
        revision: hash(),
        overrides: hash(),
        clockMs: number(),
        ends: random(4) === 0,
      }),
    )
  const votes = (most: number): string[] => Array.from({ length: random(most) }, () => [target(), said()]).flat()
  const line = () => mutated(changeText({ n: number(), mac: '', fields: votes(6) }))
  const message = () => mutated(pick(['beat', 'change', `change ${pick(['b1', 'b2', 'b3'])} ${line()}`]))
  const head = (beat: string): string[] => [
    mutated(pick(['b1', 'b2', 'b3'])),
    mutated(pick(['eu', 'us', 'r1'])),
    mutated(String(random(2) === 0 ? random(50) : number())),
    beat,
    '',
    '',
  ]
  const override = (): [string, string] => {
    const pattern = mutated(pick(['fra', 'iad', 'fra/web', 'fra/web/192.0.2.1', 'sin/x']))
    const action = pick(['drain', 'up', 'undone', 'down', 'reboot'])
    const [who, why] = [mutated('ann'), mutated('rack moves')]
    const entry = {
      pattern,
      action,
      version: number(),
      node: name(),
      who,
      why,
      madeMs: number(),
      untilMs: pick([null, number()]),
    }
    return [pattern, mutated(`${number()} ${JSON.stringify(entry)}`)]
  }
  const known = (): string => mutated(`${pick(['u', 'd', 'a'])} ${target()} ${target()}`)
  return { pick, number, mutated, name, votes, line, message, head, override, known, proberBeat, nodeBeat, hash }
}

/** Answers of Redis: hostile but for TRUE, whose votes are `value`. Counts the texts that it gave out. */
class HostileBoard {
  items = 0
  value: 'up' | 'down' = 'up'
  n = 1
  sequence = 1
  readonly #random: Random
  readonly #texts: ReturnType<typeof makeTexts>

  constructor(random: Random) {
    this.#random = random
    this.#texts = makeTexts(random)
  }

  get texts() {
    return this.#texts
  }

  /** A client whose every call is answered here. */
  client(): Redis {
    const client = new Redis({ lazyConnect: true })
    return Object.assign(client, {
      call: async (command: string, ...args: readonly (string | readonly string[])[]) =>
        command === 'hgetall'
          ? this.#hash(String(args[0]))
          : args.flat().includes(OVERRIDES_KEY)
            ? this.#overrides()
            : this.#since(args.flat()),
      zrange: async (key: string, _from: string, _to: string, ...rest: readonly string[]) => {
        const names = Array.from({ length: this.#random(10) }, () => this.#texts.name())
        if (key === indexKey('prober')) names.push(...TRUE)
        return rest.includes('WITHSCORES') ? names.flatMap((name) => [name, String(this.#texts.number())]) : names
      },
      hget: async () => this.#texts.hash(),
      time: async () => [String(this.#texts.number()), String(this.#texts.number())],
    })
  }

  #trueHead(name: string): string[] {
    const prober = { name, region: 'eu', bootId: 'true' }
    const beat = { prober, sequence: this.sequence, configHash: 'c', overdue: 0, overdueAgeMs: 0 }
    return ['true', 'eu', String(this.n), proberBeatText(beat), '', '']
  }

  /** As lua/since.n.lua: hash, number of keys, keys, lease, boot id and n of each. */
  #since(words: readonly string[]): unknown[] {
    const count = Number(words[1])
    return words.slice(2, 2 + count).map((key, i) => {
      const name = key.split(':').at(-1)!
      const [boot, n] = words.slice(3 + count + 2 * i, 5 + count + 2 * i)
      this.items += 4
      if (TRUE.includes(name)) {
        const same = boot === 'true' && n === String(this.n)
        return [same ? 'same' : 'whole', 48, ...this.#trueHead(name)]
      }
      const { pick, line, head, proberBeat, nodeBeat, mutated } = this.#texts
      const turn = this.#random(20)
      if (turn === 0) return pick<unknown>([[], null, 7, 'x', ['its head is too long'], [''], {}])
      const lines = Array.from({ length: this.#random(4) }, line)
      this.items += lines.length
      const size = pick([10, 48, 150, 1e6, Number.NaN, -1, 2 ** 53])
      return [
        mutated(pick(['same', 'some', 'whole'])),
        size,
        ...head(key.includes(':node:') ? nodeBeat() : proberBeat()),
        ...lines,
      ]
    })
  }

  /** As lua/overrides.1.lua. */
  #overrides(): unknown {
    const fields = this.#hash(OVERRIDES_KEY)
    return Array.isArray(fields) ? [NOW_FIELD, String(this.#texts.number()), ...fields] : fields
  }

  #hash(key: string): unknown {
    const { pick, head, votes, override, name, hash, proberBeat, number } = this.#texts
    const owner = key.split(':').at(-1)!
    if (TRUE.includes(owner)) {
      const names = ['@boot', '@region', '@n', '@beat', '@sum', '@mac']
      const own = this.#trueHead(owner).flatMap((value, i) => [names[i]!, value])
      return [...own, ...TARGETS.flatMap((target) => [target, voteText(vote(target, this.value))])]
    }
    let fields: string[]
    if (key === OVERRIDES_KEY) fields = ['@rev', hash(), ...Array.from({ length: this.#random(6) }, override).flat()]
    else if (key.includes(':prober:')) {
      const values = head(proberBeat())
      fields = ['@boot', '@region', '@n', '@beat', '@sum', '@mac'].flatMap((field, i) => [field, values[i]!])
      fields.push(...votes(12))
    } else
      fields = Array.from({ length: this.#random(6) }, () => [
        name(),
        `${number()} ${pick(['b1', '', hash()])} `,
      ]).flat()
    this.items += fields.length / 2
    if (this.#random(30) === 0) fields.pop()
    return this.#random(200) === 0 ? pick([null, 'x', 7, [], ['a']]) : fields
  }
}

/** As a RedisStore is to those who listen, without Redis. */
function makeStore(refusals: Refusals, listeners: Listener[], open: (subscriber: StoreSubscriber) => Listener): Store {
  const inner = new MemoryStore()
  return {
    shared: true,
    trouble: undefined,
    refusals,
    proberWriter: (prober) => inner.proberWriter(prober),
    nodeWriter: (node) => inner.nodeWriter(node),
    readMembers: async () => [],
    listen: async (subscriber) => void listeners.push(open(subscriber)),
    repeat: (prober) => listeners.forEach((listener) => listener.repeat(prober)),
    close: async () => {},
  }
}

const nextTurn = () => new Promise<void>((resolve) => setImmediate(resolve))

/** Until `done` says so of the number of texts, or something breaks. */
export async function fuzzBoard(seed: number, done: (items: number) => boolean): Promise<BoardFuzzed> {
  const random = makeRandom(seed)
  const board = new HostileBoard(random)
  const findings: string[] = []
  const lines: string[] = []
  const refusals = new Refusals((line) => lines.push(line))
  const client = board.client()
  const reader = new Reader({ quick: client, slow: client, ready: () => true, leaseMs: 3000, onTrouble: () => {} })
  const intern = new Intern()
  const listeners: Listener[] = []
  let turn = 0
  const store = makeStore(refusals, listeners, (subscriber) => {
    const settings = {
      subscriber: subscriber,
      reader,
      intern,
      refusals,
      signer: new Signer(),
      turn: () => turn,
      leaseTurns: 12,
    }
    return new Listener({ ...settings, admit: () => {} })
  })
  const onUncaught = (error: unknown) => void findings.push(`uncaught: ${String(error)}`)
  process.on('uncaughtException', onUncaught)
  const health = new NodeHealth({ table: makeHealthTable(), store, node: { name: 'self', version: '1' } })
  const wanted = spec(...MEMBERS.map((name, i) => member(name, [TARGETS[i]!], { probers: 3 })))
  const identity = { name: 'own', region: 'eu', bootId: 'b' }
  const ownTargets = new OwnTargets({
    identity,
    store,
    capacity: { threads: 1, rate: 1e9 },
    onTargets: () => {},
    onTrouble: () => {},
  })
  try {
    await health.start()
    health.adopt(
      wanted,
      Int32Array.from(MEMBERS, (_, i) => i),
    )
    ownTargets.start()
    ownTargets.setTargets(wanted.targets)
    for (const listener of listeners) await listener.sync()
    while (!done(board.items) && findings.length === 0) {
      for (let i = 0; i < FEW_TURNS && findings.length === 0; i++) {
        turn++
        board.sequence++
        for (const listener of listeners) {
          for (let k = 0; k < 8; k++) listener.hint(board.texts.name(), board.texts.message())
          if (random(4) === 0) listener.hintOverrides()
          if (random(4) === 0) listener.hintForgotten()
          listener.tick()
        }
        readKnown([board.texts.name(), board.texts.known()], 'x', intern, refusals)
        await nextTurn()
      }
      board.value = random(2) === 0 ? 'up' : 'down'
      board.n++
      await heard(health, board, listeners, () => turn++, findings)
      findings.push(...judge(health, refusals, lines))
    }
  } finally {
    ownTargets.stop()
    await health.stop()
    for (const listener of listeners) listener.close()
    reader.close()
    client.disconnect()
    await nextTurn()
    process.off('uncaughtException', onUncaught)
  }
  return { items: board.items, refused: refusals.counts.reduce((sum, [, n]) => sum + n, 0), findings }
}

/** Whether the true probers' votes of now are heard within some leases. */
async function heard(
  health: NodeHealth,
  board: HostileBoard,
  listeners: readonly Listener[],
  tick: () => void,
  findings: string[],
): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    tick()
    board.sequence++
    for (const listener of listeners) listener.tick()
    await nextTurn()
    const said = health.snapshot().members.flatMap(({ targets }) => targets.flatMap(({ votes }) => votes))
    const own = said.filter(({ prober, value }) => TRUE.includes(prober) && value === board.value)
    if (own.length === TRUE.length * TARGETS.length) return
  }
  findings.push('the true probers are not heard')
}

/** What is wrong with what is shown. */
function judge(health: NodeHealth, refusals: Refusals, lines: string[]): string[] {
  const { probers, nodes, overrides, members } = health.snapshot()
  const wrong: string[] = []
  if (refusals.of('fault') > 0) wrong.push(`a fault: ${lines.find((line) => line.includes('fault')) ?? ''}`)
  if (probers.length > MOST_PROBERS) wrong.push(`${probers.length} probers`)
  if (nodes.length > MOST_NODES + 1) wrong.push(`${nodes.length} nodes`)
  // without backslashes of their own, which JSON doubles
  const shown = JSON.stringify([probers, nodes, overrides, members]).replaceAll('\\\\', '')
  // JSON escapes the control characters of ASCII
  const odd = /\\u|\\[nrtbf]|\p{C}/u.exec(shown)
  if (odd !== null) wrong.push(`shown: ${JSON.stringify(shown.slice(Math.max(0, odd.index - 80), odd.index + 20))}`)
  const long = /"[^"]{600,}"/.exec(shown)
  if (long !== null) wrong.push(`${long[0].length} characters: ${long[0].slice(0, 80)}`)
  for (const line of lines.splice(0))
    if (line.length > 1300 || /\p{C}/u.test(line)) wrong.push(`told: ${line.slice(0, 100)}`)
  return wrong
}
