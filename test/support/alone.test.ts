/** What the project `unit` is: its tests start nothing and wait for nothing, but for a clock of their own. */
import { readdirSync, readFileSync } from 'node:fs'
import { join, matchesGlob, resolve } from 'node:path'
import { expect, test } from 'vitest'
import { ALSO, RFC_TESTS, systemTests } from './projects.ts'

const refused = 'a unit test starts nothing'

// what imports them is of the project `system`, and this is not
test('processes, threads, sockets and sleep are refused', async () => {
  const { exec, spawn, spawnSync } = await import('node:child_process')
  for (const start of [exec, spawn, spawnSync]) expect(() => start('true')).toThrow(refused)
  const { Worker } = await import('node:worker_threads')
  expect(() => new Worker('', { eval: true })).toThrow(refused)
  const { connect, createServer } = await import('node:net')
  expect(() => connect(53, '127.0.0.1')).toThrow(refused)
  expect(() => createServer().listen(0)).toThrow(refused)
  const { createServer: createHttpServer } = await import('node:http')
  expect(() => createHttpServer().listen(0)).toThrow(refused)
  const { createSocket } = await import('node:dgram')
  expect(() => createSocket('udp4')).toThrow(refused)
  const { setTimeout: sleep } = await import('node:timers/promises')
  expect(() => sleep(1)).toThrow(refused)
})

test('who has timers has a clock of its own', () => {
  const root = resolve(import.meta.dirname, '../..')
  const system = new Set(systemTests())
  const unit = readdirSync(join(root, 'test'), { recursive: true, encoding: 'utf8' })
    .map((file) => `test/${file}`)
    .filter((file) => file.endsWith('.test.ts') && !system.has(file) && !matchesGlob(file, RFC_TESTS))
  expect(unit.length).toBeGreaterThan(60)
  expect(ALSO.filter((file) => !system.has(file))).toEqual([]) // it has another name by now
  const waiting = unit.filter((file) => {
    const text = readFileSync(join(root, file), 'utf8')
    return /\bset(?:Timeout|Interval)\(|\.poll\(|waitFor\(/.test(text) && !text.includes('vi.useFakeTimers(')
  })
  expect(waiting).toEqual([])
})
