/** What happens when the prober's thread dies or stands still: it is replaced, and what it said stands. */
import { createServer, type Server } from 'node:net'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { MemoryStore } from '../../src/health/memory.ts'
import { NodeHealth } from '../../src/health/node.ts'
import { isCalm, makeHealthTable, stateOf, UP } from '../../src/health/table.ts'
import { type ProberThread, type ProberThreadSettings, startProber } from '../../src/probe/thread.ts'
import { httpCheck, member, plan, tcpCheck } from '../health/plans.ts'
import { until } from '../health/until.ts'

const A = 'fra/web/192.0.2.1'
const ADDRESS = '127.77.4.1'
let server: Server
let port: number
let store: MemoryStore
let health: NodeHealth
const table = makeHealthTable()
let prober: ProberThread | undefined
const troubles: string[] = []

beforeEach(async () => {
  server = createServer((socket) => {
    socket.on('error', () => {})
    socket.end('HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n')
  })
  await new Promise<void>((resolve) => server.listen(0, ADDRESS, resolve))
  const bound = server.address()
  port = typeof bound === 'object' && bound !== null ? bound.port : 0
  store = new MemoryStore()
  health = new NodeHealth({ table, store })
  troubles.length = 0
  await health.start()
  health.adopt(plan(member(A, ['t1'])), Int32Array.of(0))
})
afterEach(async () => {
  await prober?.stop()
  await health.stop()
  await store.close()
  server.close()
})

const start = (more: Partial<ProberThreadSettings> = {}) => {
  prober = startProber({ name: 'eu-1', region: 'eu', store, onTrouble: (trouble) => troubles.push(trouble), ...more })
  return prober
}
const quick = { intervalMs: 200, timeoutMs: 150, fastMs: 100, fall: 2, rise: 2 }
const votes = () => health.snapshot().members[0]!.targets[0]!.votes
const live = () => health.snapshot().probers.map((one) => one.live)

test('it probes, beats, and stops', async () => {
  const thread = start()
  thread.setTargets([{ id: 't1', check: tcpCheck(quick), address: ADDRESS, port, probers: 1 }])
  await until(() => stateOf(table[0]!) === UP, 'UP')
  await until(() => (thread.lastHeartbeat?.sequence ?? 0) >= 2, 'heartbeats')
  expect(thread.lastHeartbeat).toMatchObject({ overdue: 0, prober: { name: 'eu-1', region: 'eu' } })
  expect(thread.lastHeartbeat!.configHash).not.toBe('')
  await thread.stop()
  expect(troubles).toEqual([])
  await until(() => live()[0] === false, 'its lease runs out')
  expect(stateOf(table[0]!)).toBe(UP)
})

test('a bug in a check kills the thread: it is replaced, knows its targets, and the verdict stands meanwhile', async () => {
  const thread = start()
  thread.setTargets([{ id: 't1', check: tcpCheck(quick), address: ADDRESS, port, probers: 1 }])
  await until(() => stateOf(table[0]!) === UP, 'UP')
  const broken = JSON.parse(JSON.stringify(httpCheck({ ...quick, port })).replace('"statuses"', '"nothing"'))
  thread.setTargets([{ id: 't2', check: broken, address: ADDRESS, port, probers: 1 }])
  await until(() => thread.restarts >= 2, 'it dies again and again', 10_000)
  expect(troubles[0]).toContain('being replaced: TypeError')
  expect(stateOf(table[0]!)).toBe(UP)
  thread.setTargets([{ id: 't1', check: tcpCheck(quick), address: ADDRESS, port, probers: 1 }])
  await until(() => votes()[0]?.value === 'up' && live()[0] === true, 'the new thread votes', 10_000)
})

test('a thread that stands still falls silent and is replaced; silence is no vote', async () => {
  const thread = start({ entry: new URL('./wedge.ts', import.meta.url) })
  await until(() => stateOf(table[0]!) === UP, 'UP')
  await until(() => live()[0] === false, 'silence noticed')
  expect([stateOf(table[0]!), isCalm(table[0]!)]).toEqual([UP, false])
  await until(() => thread.restarts > 0, 'it is replaced', 10_000)
  expect(troubles[0]).toContain('stood still')
  expect(stateOf(table[0]!)).toBe(UP)
  await until(() => live()[0] === true, 'the new thread is heard')
})
