/** A system that gives no thread, as to a control group that has as many as it may (pids.max): what dies meanwhile comes back. */
import { mkdtempSync, readdirSync } from 'node:fs'
import { createRequire, syncBuiltinESMExports } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { startTargetCompiler } from '../../src/world/compiler.ts'
import { answersOf, query, TcpClient, UdpClient } from '../server/client.ts'
import { makeWorld, start } from '../server/fixture.ts'
import { runInThread } from '../server/inspect.ts'
import { until } from '../support/until.ts'

const threads: { Worker: unknown } = createRequire(import.meta.url)('node:worker_threads')
const { Worker } = threads
let refused = 0

function give(worker: unknown): void {
  threads.Worker = worker
  syncBuiltinESMExports()
}
const giveNone = (): void =>
  give(function refuse() {
    refused++
    throw new Error('EAGAIN')
  })
afterEach(() => give(Worker))

const descriptors = (): number => readdirSync('/proc/self/fd').length

test('threads that answer are tried again until there are some, and leave no descriptors', async () => {
  const { server, logged } = await start({ world: await makeWorld(1) })
  try {
    giveNone()
    await runInThread('answering', 'process.exit(1)') // the spare takes its place
    await until('the first death', () => server.stats().udp.died === 1)
    await runInThread('answering', 'process.exit(1)')
    await runInThread('tcp', 'process.exit(1)')
    await until('the deaths', () => server.stats().udp.died > 1 && server.stats().tcp.died > 0)
    const before = descriptors()
    const refusedBefore = refused
    await until('more tries', () => refused > refusedBefore + 3)
    await until('no more descriptors', () => descriptors() <= before)
    expect(logged.join()).toContain('the system gives no thread: Error: EAGAIN')
    give(Worker)
    const udp = await UdpClient.to(server.listen[0]!)
    const tcp = new TcpClient(server.listen[0]!)
    tcp.send(query(1, 'a.example.com'))
    expect(answersOf(await udp.ask(query(1, 'a.example.com')))).toBe(1)
    await until('an answer', () => tcp.answers.length === 1)
    udp.close()
    tcp.socket.destroy()
  } finally {
    give(Worker)
    await server.stop(0)
  }
})

test('a load without a thread fails, and the next has one', async () => {
  const compiler = startTargetCompiler({ zones: mkdtempSync(join(tmpdir(), 'meridian-threads-')) })
  giveNone()
  await expect(compiler.build()).rejects.toThrow('the compile thread died: Error: the system gives no thread')
  give(Worker)
  await expect(compiler.build()).resolves.toMatchObject({ problems: expect.anything() })
  await compiler.stop()
})
