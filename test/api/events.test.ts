/** GET /api/events: pages, streams over a real connection, and what is refused. `meridian events` against it. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { get as httpGet, type IncomingMessage } from 'node:http'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { makeApp } from '../../src/api/app.ts'
import type { Node } from '../../src/api/contract.ts'
import { readSince } from '../../src/api/events.ts'
import { listenSocket } from '../../src/api/listen.ts'
import { events as eventsCommand } from '../../src/cli/events.ts'
import type { FleetEvent } from '../../src/events/event.ts'
import { Events } from '../../src/events/events.ts'
import { emptyFolder } from '../support/folder.ts'
import { MAIN } from '../support/program.ts'
import { until } from '../support/until.ts'
import { node } from './double.ts'

const ending: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ending.splice(0).toReversed()) await end()
})

/** A node that has events. */
const nodeOf = (events: Events): Node => ({
  ...node,
  events: (query) => events.recent(query),
  eventFeed: (afterId) => events.feed(afterId),
})

async function serve(folder = emptyFolder()) {
  const events = new Events({ node: 'fra1', folder, board: undefined, onTrouble: () => {} })
  const app = makeApp(nodeOf(events), 'open')
  const server = await listenSocket(app, join(folder, 'control.sock'))
  ending.push(
    () => events.stop(),
    () => server.stop(),
  )
  return { events, app, server, folder }
}

interface Answer {
  readonly events: readonly FleetEvent[]
  readonly next: string | null
}

const down = { kind: 'verdict', severity: 'warning', before: 'up', after: 'down', why: 'timeout' } as const

test('a page is what was asked for, newest first, and leads to the next one', async () => {
  const { events, app } = await serve()
  for (const site of ['fra', 'iad', 'fra', 'iad'])
    events.add({ ...down, subject: `${site}/web/192.0.2.1`, site, service: 'web' })
  events.add({ kind: 'brake', severity: 'critical', subject: 'web', service: 'web' })
  const ask = async (query: string) => {
    const response = await app.request(`/api/events${query}`)
    const body: Answer = JSON.parse(await response.text())
    return { status: response.status, body }
  }
  const numbers = async (query: string): Promise<number[]> => {
    const { body } = await ask(query)
    return body.events.map(({ id }) => Number(id.split('.')[2]))
  }
  expect(await numbers('')).toEqual([5, 4, 3, 2, 1])
  expect(await numbers('?site=fra')).toEqual([3, 1])
  expect(await numbers('?service=web&kind=brake&kind=zones')).toEqual([5])
  expect(await numbers('?since=1h&limit=2')).toEqual([5, 4])
  expect(await numbers('?since=2999-01-01T00:00:00Z')).toEqual([])
  const first = await ask('?limit=3')
  expect(await numbers(`?limit=3&cursor=${first.body.next}`)).toEqual([2, 1])
  expect((await ask('?limit=5')).body.next).toBe(null)
  expect(await numbers(`?since=${first.body.events[2]!.id}`)).toEqual([5, 4])
  for (const query of [
    '?since=soon',
    '?kind=wedding',
    '?limit=0',
    '?limit=1001',
    '?limit=x',
    '?cursor=x',
    '?nosuch=1',
    '?site=' + 'x'.repeat(1025),
  ])
    expect(await ask(query), query).toMatchObject({ status: 400 })
})

test('since is a duration, a time or an id', () => {
  expect(readSince('90m', 6_000_000)).toEqual({ sinceMs: 600_000 })
  expect(readSince('2026-11-30T02:00Z')).toEqual({ sinceMs: Date.UTC(2026, 10, 30, 2) })
  expect(readSince('fra1.m1x2.7')).toEqual({ afterId: 'fra1.m1x2.7' })
  for (const text of ['', 'yesterday', '12', '2026-99-99', 'fra1']) expect(readSince(text), text).toBe(undefined)
})

/** Opens a stream over the socket. */
function stream(folder: string, path = '/api/events', headers: Readonly<Record<string, string>> = {}) {
  const opened = { text: '', response: undefined as IncomingMessage | undefined }
  const request = httpGet(
    {
      socketPath: join(folder, 'control.sock'),
      path,
      headers: { accept: 'text/event-stream', ...headers },
      agent: false,
    },
    (response) => {
      opened.response = response
      response.setEncoding('utf8').on('data', (text: string) => (opened.text += text))
    },
  )
  request.on('error', () => undefined)
  ending.push(() => request.destroy())
  const numbers = (): number[] =>
    [...opened.text.matchAll(/^id: fra1\.\w+\.(\d+)\nevent: event\ndata: \{.*\}$/gm)].map(([, n]) => Number(n))
  return {
    opened,
    numbers,
    close: () => request.destroy(),
    open: () => until('a stream', () => opened.response !== undefined),
  }
}

test('a stream has what comes, with heartbeats, and goes on after Last-Event-ID', async () => {
  const { events, folder } = await serve()
  const first = events.add({ ...down, subject: 'a', site: 'fra' })
  const live = stream(folder)
  await live.open()
  expect(live.opened.response!.headers['content-type']).toBe('text/event-stream')
  events.add({ ...down, subject: 'b', site: 'iad' })
  await until('the event', () => live.numbers().join() === '2')
  const [later, fra] = [
    stream(folder, '/api/events', { 'last-event-id': first.id }),
    stream(folder, '/api/events?site=fra'),
  ]
  await Promise.all([later.open(), fra.open()])
  events.add({ ...down, subject: 'c', site: 'fra' })
  await until('what was missed', () => later.numbers().join() === '2,3' && fra.numbers().join() === '3')
  const unknown = stream(folder, '/api/events', { 'last-event-id': 'fra1.gone.99' })
  await until('all that there is', () => unknown.numbers().join() === '1,2,3')
  const whole = live.opened.text.length
  await until('a heartbeat', () => live.opened.text.slice(whole).includes(':\n\n'), 15_000)
  expect(live.opened.response!.complete).toBe(false)
})

test('streams are few, and a client that goes makes room', async () => {
  const { app, folder } = await serve()
  // what is asked for without its body is no stream
  for (let i = 0; i < 40; i++) {
    const { status, headers } = await app.request('/api/events', {
      method: 'HEAD',
      headers: { accept: 'text/event-stream' },
    })
    expect([status, headers.get('content-type')]).toEqual([200, 'text/event-stream'])
  }
  const streams = Array.from({ length: 32 }, () => stream(folder))
  await Promise.all(streams.map((one) => one.open()))
  expect(streams.map(({ opened }) => opened.response!.statusCode).every((code) => code === 200)).toBe(true)
  const refused = stream(folder)
  await refused.open()
  expect(refused.opened.response!.statusCode).toBe(503)
  streams[0]!.close()
  await until('room', async () => {
    const again = stream(folder)
    await again.open()
    return again.opened.response!.statusCode === 200 || undefined
  })
})

test('meridian events shows them, and without a node what it left', async () => {
  const { events, folder, server } = await serve()
  events.add({ ...down, subject: 'fra/web/192.0.2.1', site: 'fra', service: 'web' })
  events.add({ kind: 'process', severity: 'info', subject: 'fra1', after: 'started' })
  const run = async (more: object = {}) => {
    const said: { out: string[]; err: string[] } = { out: [], err: [] }
    const output = { out: (line: string) => void said.out.push(line), err: (line: string) => void said.err.push(line) }
    const options = { state: folder, kinds: [], limit: 100, follow: false, json: false, ...more }
    const code = await eventsCommand(options, output)
    return { ...said, code }
  }
  const { out, code } = await run()
  expect(code).toBe(0)
  const time = String.raw`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d`
  expect(out[0]).toMatch(new RegExp(`^${time} ! verdict fra/web/192.0.2.1: up → down: timeout \\[fra1\\]$`))
  expect(out[1]).toMatch(new RegExp(`^${time}   process fra1: started \\[fra1\\]$`))
  expect((await run({ site: 'fra' })).out).toEqual([out[0]])
  const json = await run({ json: true })
  expect(json.out.map((line) => JSON.parse(line).witnesses)).toEqual([['fra1'], ['fra1']])
  await expect(run({ since: 'soon' })).rejects.toThrow(/since: is no duration/)

  await events.stop()
  await server.stop()
  const left = await run({ site: 'fra' })
  expect(left.out).toEqual([out[0]])
  expect(left.err.join('\n')).toContain('from the file that it left')
  await expect(run({ since: 'soon' })).rejects.toThrow(/since: is no duration/)
  await expect(run({ state: emptyFolder() })).rejects.toThrow(/no node answers/)
})

test('meridian events --follow goes on with each event once, also when the node restarts', async () => {
  const { events, folder, server } = await serve()
  events.add({ ...down, subject: 'one' })
  const child = spawn(process.execPath, [MAIN, 'events', '--follow', '--state', folder], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  ending.push(async () => {
    if (child.exitCode !== null) return
    child.kill('SIGKILL')
    await once(child, 'exit')
  })
  let [out, err] = ['', '']
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text))
  const subjects = (): string => [...out.matchAll(/verdict (\w+):/g)].map(([, subject]) => subject).join()
  await until('the last one', () => subjects() === 'one')
  events.add({ ...down, subject: 'two' })
  await until('the next one', () => subjects() === 'one,two')
  await events.stop()
  await server.stop()
  await until(
    () => `it is told: ${err}`,
    () => err !== '',
  )
  const again = await serve(folder)
  await again.events.start()
  again.events.add({ ...down, subject: 'three' })
  await until(
    () => `the one after the restart: ${out}${err}`,
    () => subjects() === 'one,two,three',
  )
})
