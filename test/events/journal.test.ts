/** The file of events: what a killed process leaves, a torn line, a file that is full, and a disk that is. */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { rolldown } from 'rolldown'
import { beforeAll, expect, test } from 'vitest'
import type { Event } from '../../src/events/event.ts'
import { eventFiles, Journal, readEvents } from '../../src/events/journal.ts'
import { emptyFolder } from '../support/folder.ts'
import { until } from '../support/until.ts'

const event = (n: number, more: Partial<Event> = {}): Event => ({
  id: `n1.a.${n}`,
  atMs: n,
  node: 'n1',
  kind: 'verdict',
  severity: 'warning',
  subject: `fra/web/${n}`,
  before: 'up',
  after: 'down',
  why: 'connection refused — früh',
  sinceMs: null,
  ...more,
})
const numbersIn = async (folder: string): Promise<number[]> =>
  (await readEvents(folder, 1_000_000)).events.map(({ id }) => Number(id.split('.').at(-1)))

let writer = ''
beforeAll(async () => {
  writer = join(emptyFolder(), 'writer.mjs')
  const bundle = await rolldown({
    input: join(import.meta.dirname, 'journal-writer.ts'),
    platform: 'node',
    external: /^[^./]/,
  })
  await bundle.write({ file: writer, format: 'esm' })
})

/** Starts the writer; `before`: the command that starts it, with a limit. */
function startWriter(folder: string, run: number, mostBytes: number, before: readonly string[] = []) {
  const [command, ...args] = [...before, process.execPath, writer, folder, String(run), String(mostBytes)]
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  let said = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (said += text))
  const lines = (): string[] => said.split('\n').slice(0, -1)
  return { child, lines, saved: () => Number(lines().findLast((line) => /^\d/.test(line)) ?? 0) }
}

test('of a process that is killed, 50 times and at any moment, every whole line is kept and none is garbled', async () => {
  const MOST_BYTES = 800_000 // some become full meanwhile
  const folder = emptyFolder()
  let torn = 0
  for (let run = 1; run <= 50; run++) {
    const { child, saved } = startWriter(folder, run, MOST_BYTES)
    await until('it writes', () => saved() > 0)
    await sleep(Math.random() * 12)
    child.kill('SIGKILL')
    await once(child, 'close')
    const { events, unread } = await readEvents(folder, 1_000_000)
    const own = events.filter(({ node }) => node === `run${run}`)
    const numbers = own.map(({ subject }) => Number(subject.split('/')[2]))
    // in order, without a gap, each as it was; from the first one unless the file with it has gone
    const first = numbers[0]!
    expect(numbers).toEqual(Array.from({ length: numbers.length }, (_, i) => first + i))
    if (events[0]!.node !== `run${run}`) expect(first).toBe(1)
    expect(numbers.at(-1)).toBeGreaterThanOrEqual(saved())
    for (const { subject, why } of own)
      expect(why.length).toBe('früh „am“ Morgen → '.length * (1 + (Number(subject.split('/')[2]) % 20)))
    torn = Math.max(torn, unread)
    expect(unread).toBeLessThanOrEqual(run)
  }
  const [full, current] = eventFiles(folder)
  for (const path of [full, current].filter(existsSync)) expect(statSync(path).mode & 0o777).toBe(0o600)
  expect(statSync(full).size).toBeLessThan(MOST_BYTES + (256 << 10) + 1)
})

test('a torn last line costs that line alone: the next one begins on a line of its own', async () => {
  const folder = emptyFolder()
  const [, current] = eventFiles(folder)
  const first = new Journal({ folder, onTrouble: () => {} })
  for (const n of [1, 2, 3]) first.append(event(n))
  await first.close()
  truncateSync(current, statSync(current).size - 40) // within the ü of früh or behind it: as a power cut leaves it
  const second = new Journal({ folder, onTrouble: () => {} })
  second.append(event(4))
  await second.close()
  expect(await numbersIn(folder)).toEqual([1, 2, 4])
  expect(await readEvents(folder, 100)).toMatchObject({ unread: 1 })
  appendFileSync(current, Buffer.from([0, 0, 0xc3, 0x0a, 0x7b, 0x0a])) // what a disk may have in place of a line
  expect(await numbersIn(folder)).toEqual([1, 2, 4])
  expect((await readEvents(folder, 2)).events).toEqual([]) // the last two lines are none
})

test('a full file makes room: the one before it goes', async () => {
  const folder = emptyFolder()
  const journal = new Journal({ folder, mostBytes: 2_000, onTrouble: () => {} })
  for (let n = 1; n <= 60; n++) {
    journal.append(event(n))
    await journal.flush()
  }
  await journal.close()
  const numbers = await numbersIn(folder)
  expect(numbers).toEqual(Array.from({ length: numbers.length }, (_, i) => 60 - numbers.length + 1 + i))
  expect(numbers.length).toBeGreaterThan(10)
  const [full, current] = eventFiles(folder)
  for (const path of [full, current].filter(existsSync)) expect(statSync(path).size).toBeLessThan(2_500)
})

test('a file that was moved away is made anew, and a folder that is missing is made', async () => {
  const folder = join(emptyFolder(), 'state')
  const journal = new Journal({ folder, onTrouble: () => {} })
  journal.append(event(1))
  await journal.flush()
  rmSync(eventFiles(folder)[1])
  journal.append(event(2))
  await journal.close()
  expect(await numbersIn(folder)).toEqual([2])
})

test('what can’t be written is told once, waits, and is written when it can be', async () => {
  const folder = emptyFolder()
  const [, current] = eventFiles(folder)
  mkdirSync(current) // a folder where the file must be
  const told: unknown[] = []
  const journal = new Journal({ folder, retryMs: 5, onTrouble: (...trouble) => told.push(trouble) })
  for (let n = 1; n <= 20; n++) {
    journal.append(event(n))
    await sleep(1)
  }
  await until('it is told', () => told.length > 0)
  expect(journal.trouble).toContain('it is a folder')
  rmSync(current, { recursive: true })
  await until('it is written', () => journal.trouble === undefined)
  await journal.close()
  expect(told).toEqual([
    [`events can’t be written to ${current}: it is a folder`, 0],
    [undefined, 0],
  ])
  expect(await numbersIn(folder)).toEqual(Array.from({ length: 20 }, (_, i) => i + 1))
})

test('what waits is bounded: the oldest events are lost, and that is told', async () => {
  const folder = emptyFolder()
  const [, current] = eventFiles(folder)
  mkdirSync(current)
  const told: unknown[] = []
  const journal = new Journal({ folder, retryMs: 5, onTrouble: (...trouble) => told.push(trouble) })
  for (let n = 1; n <= 50; n++) journal.append(event(n, { why: 'x'.repeat(100_000) }))
  await until('it is told', () => told.length > 0)
  rmSync(current, { recursive: true })
  await until('it is written', () => journal.trouble === undefined)
  await journal.close()
  const numbers = await numbersIn(folder)
  expect(numbers.at(-1)).toBe(50)
  expect(numbers.length).toBeLessThan(22)
  expect(told.at(-1)).toEqual([undefined, 50 - numbers.length])
})

test('a full disk is told once, and every line is whole when there is room again', async () => {
  const folder = emptyFolder()
  // no room behind 100,000 bytes: the write that gets there is cut
  const { child, lines } = startWriter(folder, 1, 100_000_000, ['prlimit', '--fsize=100000:unlimited'])
  try {
    await until('it is told', () => lines().some((line) => line.startsWith('trouble')))
    const size = statSync(eventFiles(folder)[1]).size
    expect(size).toBe(100_000)
    await sleep(100) // several tries
    execFileSync('prlimit', [`--pid=${child.pid!}`, '--fsize=unlimited:'])
    await until('it works again', () => lines().some((line) => line.startsWith('works')))
    const told = lines().filter((line) => !/^\d/.test(line))
    expect(told).toHaveLength(2)
    expect(told[0]).toContain('largest size that this process may write')
    const before = lines().length
    await until('it goes on', () => lines().length > before)
  } finally {
    child.kill('SIGKILL')
    await once(child, 'close')
  }
  const text = readFileSync(eventFiles(folder)[1], 'utf8')
  const { unread } = await readEvents(folder, 1_000_000)
  expect(unread).toBeLessThanOrEqual(text.endsWith('\n') ? 0 : 1)
})
