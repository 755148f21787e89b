import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { recordRun } from '../../src/node/last-run.ts'

let folder = ''
let file = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'meridian-run-'))
  file = join(folder, 'run.json')
})
afterEach(() => rmSync(folder, { recursive: true }))

const leave = (pid: number): void =>
  writeFileSync(
    file,
    JSON.stringify({ format: 'meridian run 1', pid, startedMs: 0, aliveMs: 60_000, residentBytes: 500 << 20 }),
  )
const written = (): { readonly pid: number } => JSON.parse(readFileSync(file, 'utf8'))

test('a run that was killed is told by the next one, and one that ended in order is not', async () => {
  const killed = spawn('sleep', ['60'])
  killed.kill('SIGKILL')
  await once(killed, 'close')
  leave(killed.pid!)
  const second = recordRun(folder, false)
  expect(second.lastRunCrash).toMatch(
    /^the last run \(since 1970-01-01T00:00:00.000Z, last seen 1970-01-01T00:01:00.000Z with 500 MB\) did not end in order/,
  )
  await expect.poll(() => written().pid, { timeout: 60_000 }).toBe(process.pid)
  await second.end()
  expect(existsSync(file)).toBe(false)
  const third = recordRun(folder, false)
  expect(third.lastRunCrash).toBeUndefined()
  await third.end()
})

test('in a container every run has the same number', async () => {
  leave(process.pid)
  const run = recordRun(folder, false)
  expect(run.lastRunCrash).toContain('did not end in order')
  await run.end()
})

test('the record of a living process is its own, and its successor takes its turn', async () => {
  const living = spawn('sleep', ['60'])
  try {
    leave(living.pid!)
    const refused = recordRun(folder, false)
    expect(refused.lastRunCrash).toBeUndefined()
    await refused.end()
    expect(written().pid).toBe(living.pid)
    const successor = recordRun(folder, true)
    expect(successor.lastRunCrash).toBeUndefined()
    await expect.poll(() => written().pid, { timeout: 60_000 }).toBe(process.pid)
    await successor.end()
    expect(existsSync(file)).toBe(false)
  } finally {
    living.kill()
  }
})

test.each(['', '{"format":"meridian run 1"}', '[]'])('a record that says %j is nothing', async (text) => {
  writeFileSync(file, text)
  const run = recordRun(folder, false)
  expect(run.lastRunCrash).toBeUndefined()
  await run.end()
})
