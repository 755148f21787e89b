/**
 * What an author of zones may not make a prober do: reach its own host whatever the kind of check, write a second line, speak
 * to its own HTTP port. Denied checks open nothing, and are abstentions.
 */
import { createSocket } from 'node:dgram'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Vote } from '../../src/health/vote.ts'
import { CHECK_TYPES } from '../../src/load/check-keys.ts'
import { runCheck } from '../../src/probe/checks/check.ts'
import { startProber } from '../../src/probe/thread.ts'
import { MemoryStore } from '../../src/store/memory.ts'
import type { CheckKind } from '../../src/zone/model.ts'
import { until } from '../support/until.ts'
import { ADDRESS, portOf, sees, targetOf } from './peers.ts'

const http = { method: 'GET', path: '/', statuses: [200], verify: false } as const
const KINDS: Readonly<Record<(typeof CHECK_TYPES)[number], CheckKind>> = {
  http: { type: 'http', ...http },
  https: { type: 'https', ...http },
  tcp: { type: 'tcp' },
  tls: { type: 'tls', verify: false, validFor: { failMs: 0 } },
  grpc: { type: 'grpc', tls: false, verify: true, service: '' },
  dns: { type: 'dns', name: 'www.example.com.', rrtype: 'A', rcodes: ['NOERROR'] },
  icmp: { type: 'icmp' },
  exec: { type: 'exec', command: 'mark' },
  agent: { type: 'agent', send: 'SET pwned yes' },
}

let server: Server
const datagrams = createSocket('udp4')
let port = 0
const heard: string[] = []
let folder = ''

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'meridian-reach-'))
  server = createServer((socket) => {
    heard.push('connection')
    socket.on('error', () => {})
    socket.on('data', (data) => heard.push(data.toString()))
  })
  datagrams.on('message', () => heard.push('datagram'))
  await new Promise<void>((resolve) => server.listen(0, ADDRESS, resolve))
  port = portOf(server)
  await new Promise<void>((resolve) => datagrams.bind(port, ADDRESS, resolve))
})
afterAll(() => {
  server.close()
  datagrams.close()
  rmSync(folder, { recursive: true })
})

test.each(CHECK_TYPES)('%s: a denied address is an abstention, and nothing is opened', async (type) => {
  const mark = join(folder, type)
  const commands = { mark: ['/usr/bin/touch', mark] }
  for (const address of [ADDRESS, `::ffff:${ADDRESS}`]) {
    const seen = await runCheck(targetOf(KINDS[type], port, 500, address), { commands })
    expect(seen).toMatchObject({ kind: 'unable', rttMs: 0 })
    expect(seen.reason).toContain('127.77.1.1, a loopback address, unless probe.allow has 127.0.0.0/8')
  }
  expect([heard, existsSync(mark)]).toEqual([[], false])
})

test('a prober without settings votes neither up nor down on loopback', async () => {
  const store = new MemoryStore()
  const votes: Vote[] = []
  const ending = new AbortController()
  const deaf = { retired: () => {}, heartbeat: () => {}, gone: () => {} }
  await store.listen({ ...deaf, votes: (_, some) => void votes.push(...some) }, ending.signal)
  const prober = startProber({ name: 'eu-1', region: 'eu', store })
  try {
    const target = targetOf(KINDS.tcp, port)
    prober.setTargets([{ ...target, check: { ...target.check, intervalMs: 200, timeoutMs: 100, fastMs: 100 } }])
    await until('a vote', () => votes.length > 0)
    expect(votes).toMatchObject([{ value: 'abstain', reason: expect.stringContaining('a loopback address') }])
    expect(heard).toEqual([])
  } finally {
    ending.abort()
    await prober.stop()
    await store.close()
  }
})

test('Redis by its name is denied too, on its port alone', async () => {
  const store = new MemoryStore()
  const votes = new Map<string, Vote>()
  const ending = new AbortController()
  const deaf = { retired: () => {}, heartbeat: () => {}, gone: () => {} }
  const note = (some: readonly Vote[]) => some.forEach((vote) => votes.set(vote.target, vote))
  await store.listen({ ...deaf, votes: (_, some) => note(some) }, ending.signal)
  const own = [{ address: 'localhost', port: 9, what: 'where Redis of this node is' }]
  const reach = { allow: ['127.0.0.0/8'], deny: [], own }
  const prober = startProber({ name: 'eu-1', region: 'eu', store, reach })
  try {
    const check = { ...targetOf(KINDS.tcp, 9).check, intervalMs: 200, timeoutMs: 100, fastMs: 100, fall: 1 }
    const target = { check, address: '127.0.0.1', probers: 1 }
    prober.setTargets([
      { ...target, id: 'redis', port: 9 },
      { ...target, id: 'other', port: 10 },
    ])
    await until('votes', () => votes.size === 2)
    expect(votes.get('redis')).toMatchObject({ value: 'abstain', reason: expect.stringContaining('where Redis') })
    expect(votes.get('other')!.reason).toBe('connection refused')
  } finally {
    ending.abort()
    await prober.stop()
    await store.close()
  }
})

test('the agent gets one line', async () => {
  heard.length = 0
  await sees(targetOf(KINDS.agent, port, 300), 'timeout', 'no line of the agent in 300ms')
  expect(heard).toEqual(['connection', 'SET pwned yes\n'])
})
