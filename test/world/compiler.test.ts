/** The compile thread, on real folders. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { getPriority, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { makeAdoption } from '../../src/answer/adoption.ts'
import type { WorldBuild } from '../../src/world/build.ts'
import { type Compiler, startCompiler, startTargetCompiler } from '../../src/world/compiler.ts'
import { runInThread } from '../server/inspect.ts'
import { madeOf } from '../support/build.ts'
import { until } from '../support/until.ts'

/** Of the compile thread; this process may be nicer still. */
const NICE = Math.max(15, getPriority())

const ending: (() => Promise<void> | void)[] = []
afterEach(async () => {
  for (const end of ending.splice(0).toReversed()) await end()
})

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'meridian-compile-'))
  ending.push(() => rmSync(path, { recursive: true }))
  return path
}

const zone = (address: string): string =>
  `"": {type: NS, values: [ns1.example.com.]}\nns1: {type: A, values: [${address}]}\n`

function compiler(): {
  readonly zones: string
  readonly compiler: Compiler<WorldBuild>
  readonly adoption: Int32Array
} {
  const zones = folder()
  writeFileSync(join(zones, 'defaults.yaml'), 'ttl: 300\nsoa: {serial: 1}\n')
  writeFileSync(join(zones, 'example.com.yaml'), zone('192.0.2.1'))
  const adoption = makeAdoption()
  const made = startCompiler({ zones, city: [] }, adoption)
  ending.push(() => made.stop())
  return { zones, compiler: made, adoption }
}

/** The nice value of each of this process's threads of that name. */
const niceOf = (name: string): number[] =>
  readdirSync('/proc/self/task')
    .map((tid) => readFileSync(`/proc/self/task/${tid}/stat`, 'utf8'))
    .filter((stat) => stat.includes(`(${name})`))
    .map((stat) => Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[16]))

describe('the compile thread', () => {
  test('numbers Worlds, tells faults and goes on, uses memory again', async () => {
    const { zones, compiler: made, adoption } = compiler()
    const first = await made.build()
    expect(madeOf(first).world.generation).toBe(1)
    expect(madeOf(first).world.image.bytes.buffer).toBeInstanceOf(SharedArrayBuffer)
    writeFileSync(join(zones, 'example.com.yaml'), 'www: {type: NONSENSE}\n')
    const broken = await made.build()
    expect(broken.kind).toBe('refused')
    expect(broken.problems.some(({ severity }) => severity === 'error')).toBe(true)
    const buffers = new Set<number>()
    for (let generation = 2; generation < 30; generation++) {
      writeFileSync(join(zones, 'example.com.yaml'), zone(`192.0.2.${generation}`))
      const { world } = madeOf(await made.build())
      expect(world.generation).toBe(generation)
      const bytes = Buffer.from(world.image.bytes)
      expect(bytes.includes(Buffer.from([192, 0, 2, generation]))).toBe(true)
      adoption[0] = generation
      // each of our views has its own wrapper of the buffer: write into it to know it again
      const mark = new Int32Array(world.image.bytes.buffer, world.image.bytes.buffer.byteLength - 4)
      if (mark[0] === 0) mark[0] = generation
      buffers.add(mark[0]!)
    }
    expect(buffers.size).toBeLessThanOrEqual(3)
  })

  test('a load that takes too long is ended in the middle of its work, and the next one has a new thread', async () => {
    const { zones, compiler: made } = compiler()
    const file = join(zones, 'example.com.yaml')
    const good = readFileSync(file)
    writeFileSync(file, Array.from({ length: 400_000 }, (_, i) => `n${i}: {type: A, value: 192.0.2.1}\n`).join(''))
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }) // here alone: the thread has its own
    const late = made.build()
    const failure = expect(late).rejects.toThrow('the load took longer than 600 s and was ended')
    await until('it loads', () => niceOf('compile').includes(NICE))
    vi.advanceTimersByTime(600_000)
    vi.useRealTimers()
    await failure
    writeFileSync(file, good)
    expect(madeOf(await made.build()).world.generation).toBe(1)
  })

  test('is nice, and only it', async () => {
    const { compiler: made } = compiler()
    await made.build()
    expect(niceOf('compile')).toContain(NICE)
    expect(niceOf('libuv-worker').every((nice) => nice === getPriority())).toBe(true)
    expect(niceOf('MainThread')).toEqual([getPriority()])
  })

  test('calls during a build share the one after it', async () => {
    const { compiler: made } = compiler()
    const built = await Promise.all([made.build(), made.build(), made.build()])
    expect(built.map((each) => madeOf(each).world.generation)).toEqual([1, 2, 2])
  })

  test('when it dies behind a build, while it keeps its zones, that is told', async () => {
    const told: (string | undefined)[] = []
    const made = startTargetCompiler(
      { zones: folder() },
      {
        onSaved: (trouble) => void told.push(trouble),
      },
    )
    ending.push(() => made.stop())
    await made.build()
    await until('kept', () => told.length === 1)
    await runInThread('compile', 'setTimeout(() => { throw new Error("a bug") })')
    await until('news', () => told.length === 2)
    expect(told).toEqual([undefined, expect.stringMatching(/^the compile thread died after a load.*a bug$/)])
  })

  test('when it dies the build says so, and the next one has a new thread', async () => {
    const { compiler: made } = compiler()
    await made.build()
    await runInThread('compile', 'setTimeout(() => { throw new Error("a bug") })')
    const outcomes: string[] = []
    await until('the next generation', () => {
      if (outcomes.length === 0 || outcomes.at(-1) === 'failed') {
        outcomes.push('asked')
        made.build().then(
          (built) => outcomes.push(String(madeOf(built).world.generation)),
          () => outcomes.push('failed'),
        )
      }
      return /^\d+$/.test(outcomes.at(-1)!)
    })
    expect(Number(outcomes.at(-1))).toBeGreaterThan(1)
  })
})

test('a thread that waits ends when it is stopped, and says what it waits for', async () => {
  const { zones } = compiler()
  mkdirSync(join(zones, '.git'))
  writeFileSync(join(zones, '.git/HEAD'), 'ref: refs/heads/main\n')
  writeFileSync(join(zones, '.git/index.lock'), '')
  const news: string[] = []
  const follows = { firstMs: 600_000, ms: 600_000 }
  const made = startCompiler({ zones, city: [], follows }, makeAdoption(), { onWait: (line) => void news.push(line) })
  const built = made.build()
  await until('the news', () => news.length > 0)
  expect(news[0]).toContain('index.lock')
  await Promise.all([expect(built).rejects.toThrow('the compile thread died'), made.stop()])
})
