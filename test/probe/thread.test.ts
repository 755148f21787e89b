/** What happens when the prober's thread dies or stands still: it is replaced, and what it said stands. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { hashText } from '../../src/hash.ts'
import { NodeHealth } from '../../src/health/node-health.ts'
import { isCalm, makeHealthTable, stateOf, UP } from '../../src/health/table.ts'
import type { Target } from '../../src/health/target.ts'
import { type ProberThread, type ProberThreadSettings, startProber } from '../../src/probe/thread.ts'
import { MemoryStore } from '../../src/store/memory.ts'
import { countWaits } from '../support/cpu.ts'
import { httpCheck, member, spec, tcpCheck } from '../support/specs.ts'
import { until } from '../support/until.ts'
import { LOOPBACK } from './loopback.ts'
import { runs } from './peers.ts'

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
  health.adopt(spec(member(A, ['t1'])), Int32Array.of(0))
})
afterEach(async () => {
  await prober?.stop()
  await health.stop()
  await store.close()
  server.close()
})

const start = (more: Partial<ProberThreadSettings> = {}) => {
  prober = startProber({
    name: 'eu-1',
    region: 'eu',
    store,
    reach: LOOPBACK,
    onTrouble: (trouble) => troubles.push(trouble),
    ...more,
  })
  return prober
}
const quick = { intervalMs: 200, timeoutMs: 150, fastMs: 100, fall: 2, rise: 2 }
const votes = () => health.snapshot().members[0]!.targets[0]!.votes
const live = () => health.snapshot().probers.map((one) => one.live)

test('it probes, beats, and stops', async () => {
  const thread = start()
  thread.setTargets([{ id: 't1', check: tcpCheck(quick), address: ADDRESS, port, probers: 1 }])
  await until('UP', () => stateOf(table[0]!) === UP)
  await until('heartbeats', () => (thread.lastHeartbeat?.sequence ?? 0) >= 2)
  expect(thread.lastHeartbeat).toMatchObject({ overdue: 0, prober: { name: 'eu-1', region: 'eu' } })
  expect(thread.lastHeartbeat!.configHash).not.toBe('')
  await thread.stop()
  expect(troubles).toEqual([])
  await until('its lease runs out', () => live()[0] === false)
  expect(stateOf(table[0]!)).toBe(UP)
})

test('its votes are told as they change, with the target and the vote before', async () => {
  const told: string[] = []
  const thread = start({
    onVote: ({ address }, { value, reason }, before) =>
      void told.push(`${address} ${before?.value ?? 'none'} → ${value}: ${reason}`),
  })
  thread.setTargets([{ id: 't1', check: tcpCheck(quick), address: ADDRESS, port, probers: 1 }])
  await until('UP', () => stateOf(table[0]!) === UP)
  expect(told[0]).toBe(`${ADDRESS} none → up: connected`)
  server.close()
  await until('its vote is down', () => votes()[0]?.value === 'down')
  expect(told).toContain(`${ADDRESS} up → down: connection refused`)
})

test('a bug in a check kills the thread: it is replaced, knows its targets, and the verdict stands meanwhile', async () => {
  const thread = start()
  thread.setTargets([{ id: 't1', check: tcpCheck(quick), address: ADDRESS, port, probers: 1 }])
  await until('UP', () => stateOf(table[0]!) === UP)
  const broken = JSON.parse(JSON.stringify(httpCheck({ ...quick, port })).replace('"statuses"', '"nothing"'))
  thread.setTargets([{ id: 't2', check: broken, address: ADDRESS, port, probers: 1 }])
  await until('it dies again and again', () => thread.restarts >= 2)
  expect(troubles[0]).toContain('being replaced: TypeError')
  expect(stateOf(table[0]!)).toBe(UP)
  thread.setTargets([{ id: 't1', check: tcpCheck(quick), address: ADDRESS, port, probers: 1 }])
  await until('the new thread votes', () => votes()[0]?.value === 'up' && live()[0] === true)
})

test('a thread that stands still falls silent and is replaced; silence is no vote', async () => {
  const thread = start({ entry: new URL('./wedge.ts', import.meta.url) })
  await until('UP', () => stateOf(table[0]!) === UP)
  await until('silence noticed', () => live()[0] === false)
  expect([stateOf(table[0]!), isCalm(table[0]!)]).toEqual([UP, false])
  await until('it is replaced', () => thread.restarts > 0)
  expect(troubles[0]).toContain('stood still')
  expect(stateOf(table[0]!)).toBe(UP)
  await until('the new thread is heard', () => live()[0] === true)
})

const on = (index: number) =>
  Array.from({ length: 40 }, (_, i) => `m${i}`).filter((id) => (hashText(id) >>> 0) % 2 === index)
const target = (id: string): Target => ({ id, check: tcpCheck(quick), address: ADDRESS, port, probers: 1 })
/** What the store tells of each prober. */
const listen = async () => {
  const heard = { voted: new Map<string, string>(), whole: [] as string[], boots: new Set<string>(), beats: 0 }
  await store.listen(
    {
      votes: ({ bootId }, said, whole) => {
        heard.boots.add(bootId)
        if (whole) heard.whole = said.map(({ target: id }) => id)
        for (const { target: id, value } of said) heard.voted.set(id, value)
      },
      retired: () => {},
      heartbeat: () => void heard.beats++,
      gone: () => {},
    },
    new AbortController().signal,
  )
  return heard
}

describe('several threads', () => {
  test('they are one prober, share its targets, and its report knows them all', async () => {
    const heard = await listen()
    const thread = start({ threads: 2 })
    const ids = [...on(0), ...on(1)].toSorted()
    thread.setTargets(ids.map(target))
    await until('a vote on each', () => heard.voted.size === 40)
    await until('heartbeats', () => heard.beats >= 2)
    expect(heard.boots.size).toBe(1)
    expect(health.snapshot().probers).toHaveLength(1)
    const report = await until('its full pace', async () => {
      const told = await thread.report()
      return told.checksPerSecond > 100 ? told : undefined
    })
    expect(report).toMatchObject({ name: 'eu-1', region: 'eu', planned: 40, assigned: 40, leaving: 0 })
    expect(report.wantedPerSecond).toBeCloseTo(200)
    expect(report.targets.map((one) => one.target.id)).toEqual(ids)
    for (const { lastRunMs, vote, heldDownMs } of report.targets) {
      expect(lastRunMs).toBeLessThan(2000)
      expect([vote?.value, heldDownMs]).toEqual(['up', 0])
    }
  })

  test('one that stands still silences the prober; it is replaced, and the votes of its targets alone are retired', async () => {
    const heard = await listen()
    const retired: string[] = []
    const writerOf = store.proberWriter.bind(store)
    store.proberWriter = (identity) => {
      const writer = writerOf(identity)
      return {
        ...writer,
        retire: (ids) => {
          retired.push(...ids)
          return writer.retire(ids)
        },
      }
    }
    const thread = start({ threads: 2, entry: new URL('./wedge-at.ts', import.meta.url) })
    const wedged = (hashText('wedge') >>> 0) % 2
    const [lost, kept] = [on(wedged), on(1 - wedged)]
    thread.setTargets([...lost, ...kept].map(target))
    await until('a vote on each', () => heard.voted.size === 40 && heard.beats >= 2)
    const before = await thread.report()
    thread.setTargets([...lost, ...kept, 'wedge'].map(target))
    await until('silence noticed', () => live()[0] === false)
    const startMs = performance.now()
    const waits = countWaits()
    const report = await thread.report()
    expect(performance.now() - startMs).toBeLessThan(1000 + waits())
    const late = report.targets.filter((one) => lost.includes(one.target.id)).map((one) => one.lastRunMs!)
    expect(Math.min(...late)).toBeGreaterThan(Math.max(...before.targets.map((one) => one.lastRunMs!)))
    thread.setTargets([...lost, ...kept].map(target))
    heard.voted.clear()
    await until('it is replaced', () => thread.restarts === 1)
    await until('heard again', () => live()[0] === true && lost.every((id) => heard.voted.get(id) === 'up'))
    expect(retired.filter((id) => id !== 'wedge').toSorted()).toEqual(lost.toSorted())
    expect(heard.whole).toEqual(expect.arrayContaining(kept))
    expect(heard.boots.size).toBe(1)
    expect(troubles).toEqual(["the prober's thread is being replaced: its heartbeat stood still for 5 s"])
  })
})

test('a report during which a reload takes targets away tells what is left; two at once tell the same', async () => {
  const thread = start()
  thread.setTargets([{ id: 't1', check: tcpCheck(quick), address: ADDRESS, port, probers: 1 }])
  await until('heartbeats', () => (thread.lastHeartbeat?.sequence ?? 0) >= 2)
  const both = await Promise.all([thread.report(), thread.report()])
  expect(both.map((report) => report.checksPerSecond > 0)).toEqual([true, true])
  const report = thread.report()
  thread.setTargets([])
  expect((await report).targets).toEqual([])
})

test('a command that runs when its thread ends is ended too, and its children', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'meridian-thread-'))
  const pids = () => readdirSync(folder)
  try {
    const script = `: > "${folder}/$$"; sleep 600 & : > "${folder}/$!"; wait`
    const thread = start({ checks: { commands: { long: ['/bin/sh', '-c', script] } } })
    const check = {
      ...tcpCheck({ ...quick, timeoutMs: 60_000, intervalMs: 500 }),
      type: 'exec',
      command: 'long',
    } as const
    thread.setTargets([{ id: 't1', check, address: ADDRESS, port: 0, probers: 1 }])
    await until('it runs', () => pids().length === 2 && pids().every(runs))
    await thread.stop()
    await until('it and its child have ended', () => !pids().some(runs))
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('stopping retires nothing: a restart must not look like a withdrawal', async () => {
  const thread = start()
  thread.setTargets([{ id: 't1', check: tcpCheck(quick), address: ADDRESS, port, probers: 1 }])
  await until('UP', () => votes()[0]?.value === 'up')
  const retired: string[] = []
  const heard = { votes: () => {}, heartbeat: () => {}, gone: () => {} }
  await store.listen({ ...heard, retired: (_, ids) => void retired.push(...ids) }, new AbortController().signal)
  await thread.stop()
  await until('its lease runs out', () => live()[0] === false)
  expect(retired).toEqual([])
})
