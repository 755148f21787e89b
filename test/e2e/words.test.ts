/** What a running node says of itself to the system and to its log: names of process and threads, fatal errors, votes. */
import { readdirSync, readFileSync } from 'node:fs'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { meridian, Scene } from '../support/scene.ts'
import { until } from '../support/until.ts'

let scene: Scene
beforeEach(() => {
  scene = new Scene()
})
afterEach(() => scene.close())

const read = (path: string): string => readFileSync(path, 'utf8')

test.runIf(process.platform === 'linux')('the process is called meridian, its threads by what they do', async () => {
  const node = await scene.startReady({ threads: '2', 'probe-enabled': 'true' })
  expect(read(`/proc/${node.pid}/comm`)).toBe('meridian\n')
  expect(read(`/proc/${node.pid}/cmdline`)).toMatch(/^meridian serve --listen /)
  const threads = readdirSync(`/proc/${node.pid}/task`).map((thread) =>
    read(`/proc/${node.pid}/task/${thread}/comm`).trim(),
  )
  const number = (name: string): number => threads.filter((thread) => thread === name).length
  expect(number('answering')).toBe(3) // one of them is the spare
  expect([number('tcp'), number('prober'), number('compile')]).toEqual([1, 1, 1])
})

test('why a node does not start is told in the form of its log, each line with its name and process', async () => {
  const started = scene.start({ 'http-listen': '192.0.2.99:8053' })
  expect(await started.ended).toBe(1)
  const lines = started.err.trim().split('\n')
  expect(lines).toHaveLength(1)
  expect(JSON.parse(lines[0]!)).toMatchObject({
    level: 'fatal',
    node: 'n1',
    pid: started.pid,
    msg: expect.stringContaining('192.0.2.99:8053 (HTTP)'),
  })
  const text = scene.start({ 'http-listen': '192.0.2.99:8053', 'log-format': 'text' })
  await text.ended
  expect(text.err).toMatch(/^\S+Z n1\[\d+\] fatal 192\.0\.2\.99:8053 \(HTTP\)/)
  const wrong = scene.start({ threads: 'many' })
  expect(await wrong.ended).toBe(1)
  expect(JSON.parse(wrong.err.trim())).toMatchObject({ level: 'fatal', code: 'setting-invalid' })
  // a start that failed in order is no crash of which the next one tells
  const node = await scene.startReady()
  expect(node.lines.filter(({ msg }) => msg.includes('did not end in order'))).toEqual([])
})

test('a vote that changes is a line of the prober, and so is what follows from it', async () => {
  await scene.startSites()
  const node = await scene.startReady({ 'probe-enabled': 'true' })
  const up = async () => Object.values(await node.states()).filter((state) => state === 'up').length
  await until('all up', async () => (await up()) === 3)
  const votes = () => node.lines.filter(({ msg }) => msg.includes('this prober votes')).map(({ msg }) => msg)
  expect(votes()).toEqual([]) // that a site is up, as expected, is no news
  scene.signalSite('fra', 'SIGKILL')
  await until('fra is down', async () => (await node.states())['fra'] === 'down')
  expect(votes()).toEqual([
    `http ${scene.address(1)}:8080 /healthz: this prober votes down (up before): connection refused`,
  ])
})

test('status shows the dead site on its first lines, a service with its votes, and refuses names that there are not', async () => {
  await scene.startSites('fra', 'iad')
  const node = await scene.startReady({ 'probe-enabled': 'true' })
  await until('sin is known to be dead', async () => (await node.states())['fra'] === 'up')
  const status = (...words: readonly string[]) => meridian(['status', '--state', scene.state, ...words])
  scene.signalSite('fra', 'SIGKILL')
  await until('fra is down', async () => (await node.states())['fra'] === 'down')
  const { code, out } = await status()
  expect(code).toBe(0)
  expect(out.split('\n').length).toBeLessThan(24)
  expect(out.split('\n')[1]).toMatch(/^! fra: 1 of 1 service DOWN since \d\d:\d\d UTC \(\d+ s\): connection refused/)
  expect(out).toMatch(/fra\/web\/192\.0\.2\.1 is DOWN \(up before\): connection refused/)
  const web = await status('web', '--site', 'fra')
  expect(web.out).toMatch(/^service web {2}/m)
  expect(web.out).toContain('n1 (local)')
  expect(web.out).not.toContain('192.0.2.2')
  const hurt: unknown = JSON.parse((await status('--hurt', '--site', 'fra', '--json')).out)
  expect(hurt).toMatchObject({ services: [{ members: [{ site: 'fra', state: 'down' }] }] })
  const wrong = await status('wbe')
  expect([wrong.code, wrong.err]).toEqual([2, expect.stringContaining('there is no service “wbe”')])
  expect((await status('--watch')).err).toContain('--watch needs a terminal')
  expect((await status('--watch', '0')).code).toBe(2)
})
