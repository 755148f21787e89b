/** Starts beside others, takes over, ends, starts again. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { readSaved } from '../../src/health/saved.ts'
import { countWaits } from '../support/cpu.ts'
import { Asking, JAKARTA, meridian, PARIS, Scene, VIPS } from '../support/scene.ts'
import { until } from '../support/until.ts'

let scene: Scene
beforeEach(() => {
  scene = new Scene()
})
afterEach(() => scene.close())

const allUp = (node: { states(): Promise<Readonly<Record<string, string>>> }) =>
  until('all up', async () => {
    const states = Object.values(await node.states())
    return states.length === 3 && states.every((state) => state === 'up') ? true : undefined
  })

/** Members that are up in the saved health. */
function savedUp(): number {
  const { saved } = readSaved(join(scene.state, 'health.json'), Date.now())
  return Object.values(saved?.members ?? {}).filter(({ verdict }) => verdict === 'up').length
}

test('a second node is an error, whichever thing of the first it would take, and the first goes on', async () => {
  await scene.startSites()
  const first = await scene.startReady()
  const sameState = scene.start()
  expect(await sameState.ended).toBe(1)
  expect(sameState.err).toContain('control.sock')
  const sameHttp = scene.start({ state: join(scene.folder, 'state2') })
  expect(await sameHttp.ended).toBe(1)
  expect(sameHttp.err).toContain(`${scene.address(0)}:8053 (HTTP)`)
  const sameDns = scene.start({ state: join(scene.folder, 'state2'), 'http-listen': `${scene.address(4)}:8053` })
  expect(await sameDns.ended, sameDns.err).toBe(1)
  expect(sameDns.err).toMatch(new RegExp(`${scene.address(0)}:5300 \\((UDP|TCP)\\): .*--takeover`))
  for (const { err } of [sameState, sameHttp, sameDns]) expect(err.trim().split('\n')).toHaveLength(1)
  expect((await first.status())?.node.pid).toBe(first.pid)
  expect(await scene.siteFor(PARIS)).toBe('fra')
})

test('a successor takes over under load, and no query is lost', async () => {
  // a site that a busy machine delays moves nobody
  scene.write('services.yaml', scene.servicesYaml('all', '{use: healthz, fall: 10}'))
  await scene.startSites()
  const first = await scene.startReady()
  await allUp(first)
  await until('its health is saved', () => savedUp() === 3) // a successor knows what is saved, and no more
  const clients = [PARIS, JAKARTA].map((subnet) => new Asking(scene, subnet, 2))
  const second = await scene.startReady({}, '--takeover')
  await allUp(second)
  first.kill('SIGTERM')
  expect(await first.ended).toBe(0)
  const answered = clients[0]!.answered
  await until('answers of the second', () => clients[0]!.answered > answered + 100)
  for (const client of clients) {
    expect(await client.stop()).toBe(0)
    expect(client.wrong).toEqual([])
  }
  expect([...clients[0]!.last.keys()]).toEqual([VIPS.fra])
  // http and the control socket are the successor's now
  await until('http of the second', () =>
    fetch(`http://${scene.address(0)}:8053/ready`).then(
      ({ ok }) => ok || undefined,
      () => undefined,
    ),
  )
  expect((await second.status())?.node.pid).toBe(second.pid)
})

test('what the predecessor is told while its successor starts is not lost', async () => {
  await scene.startSites()
  const token = 'a-token-of-this-test'
  const first = await scene.startReady({ 'http-token': token })
  const second = await scene.startReady({ 'http-token': token }, '--takeover')
  // http is the predecessor's until it leaves
  const at = ['--at', `http://${scene.address(0)}:8053`]
  const told = await meridian(['drain', 'sin', '--why', 'works', '--yes', ...at], undefined, { MERIDIAN_TOKEN: token })
  expect(told).toMatchObject({ code: 0, err: '' })
  expect((await second.status())?.overrides).toEqual([])
  first.kill('SIGTERM')
  expect(await first.ended).toBe(0)
  await until('the successor has it', async () => (await second.status())?.overrides.length === 1)
})

test('a successor that cannot start leaves its predecessor as it was', async () => {
  await scene.startSites()
  const first = await scene.startReady()
  scene.write('demo.example.yaml', 'www: {type: A}\n')
  const second = scene.start({}, '--takeover')
  expect(await second.ended).toBe(1)
  expect((await first.status())?.node.pid).toBe(first.pid)
  expect(await scene.siteFor(PARIS)).toBe('fra')
})

test('SIGTERM under load: ready goes off, nothing that was in is lost, exit code 0, no traces', async () => {
  await scene.startSites()
  const node = await scene.startReady()
  await scene.dig(PARIS, 'www.demo.example', 'A', '+tcp')
  node.kill('SIGTERM')
  const began = performance.now()
  const waits = countWaits(scene.pids)
  expect(await node.ended).toBe(0)
  expect(performance.now() - began).toBeLessThan(6_000 + waits())
  expect(node.err).toBe('')
  expect(node.lines.at(-1)?.msg).toBe('stopped')
  expect(existsSync(join(scene.state, 'control.sock'))).toBe(false)
  const again = await scene.startReady()
  expect(await scene.siteFor(PARIS)).toBe('fra')
  again.kill('SIGINT')
  expect(await again.ended).toBe(0)
})

test('a restart keeps what was known: a dead site is not named while its checks have not run again', async () => {
  await scene.startSites()
  const first = await scene.startReady()
  await allUp(first)
  scene.signalSite('fra', 'SIGKILL')
  await until('fra is down', async () => (await first.states())['fra'] === 'down')
  first.kill('SIGTERM')
  await first.ended
  // without a prober, and with Redis away, nothing but the saved state can say so
  const alone = { 'probe-enabled': 'false', redis: `redis://${scene.address(4)}:6379` }
  const second = await scene.startReady(alone)
  expect(await second.states()).toEqual({ fra: 'down', iad: 'up', sin: 'up' })
  expect(await scene.siteFor(PARIS)).toBe('iad')
  expect((await scene.dig(PARIS, 'www.demo.example', 'A')).text).toContain('EDE: 3 (Stale Answer)')
  // not even a crash loses it
  second.kill('SIGKILL')
  await second.ended
  const third = await scene.startReady(alone)
  expect(await scene.siteFor(PARIS)).toBe('iad')
  expect((await third.states())['fra']).toBe('down')
  const said = third.lines.map(({ msg }) => msg)
  expect(said).toContainEqual(expect.stringContaining('did not end in order'))
  expect(said.some((line) => line.startsWith('running as root'))).toBe(process.getuid?.() === 0)
  expect(second.lines.map(({ msg }) => msg)).not.toContainEqual(expect.stringContaining('did not end in order'))
})

test('a node without any site is alive at once, and ready when that is known', async () => {
  const node = scene.start()
  const get = (path: string): Promise<Response | undefined> =>
    fetch(`http://${scene.address(0)}:8053${path}`).catch(() => undefined)
  const early = await until('http', () => get('/ready'))
  expect(early.status).toBe(503)
  expect(await early.json()).toMatchObject({ ready: false, reasons: [expect.any(String)] })
  expect((await get('/live'))?.status).toBe(200)
  const told = (): Promise<string> => scene.dig(PARIS, 'www.demo.example', 'A').then(({ text }) => text, String)
  await until('an answer that says so', async () => (await told()).includes('EDE: 14 (Not Ready)'))
  await node.ready()
  expect((await get('/ready'))?.status).toBe(200)
  // never seen up is not down: used as if up while nobody is up
  expect(await scene.siteFor(PARIS)).toBe('fra')
})

test('zones that do not load are told, and nothing is left behind', async () => {
  scene.write('sites.yaml', 'fra: {')
  const broken = scene.start()
  expect(await broken.ended).toBe(1)
  expect(broken.err).toContain('yaml-syntax')
  expect(broken.err.trim().split('\n').at(-1)).toContain('nothing to serve')
  expect(existsSync(join(scene.state, 'control.sock'))).toBe(false)
})

test('GET /announce: 200 while it answers; at its end 503 first, and it answers on; a takeover withdraws nothing', async () => {
  await scene.startSites()
  const announcing = { 'announce-form': 'http', 'announce-wait': '2s' }
  const probe = async () => {
    const response = await fetch(`http://${scene.address(0)}:8053/announce`).catch(() => undefined)
    return response && { status: response.status, body: await response.json() }
  }
  const first = await scene.startReady(announcing)
  const isReported = async (node: typeof first) => (await node.status())?.announce?.report?.state === 'announced'
  await until('it is announced', () => isReported(first))
  expect(await probe()).toEqual({ status: 200, body: { announced: true, why: '' } })
  expect(await first.metrics()).toMatch(/^meridian_announced 1$/m)

  const second = await scene.startReady(announcing, '--takeover')
  first.kill('SIGTERM')
  expect(await first.ended).toBe(0)
  expect(first.lines.filter(({ msg }) => msg.includes('answering goes on'))).toEqual([])
  await until('the second is announced', () => isReported(second))

  second.kill('SIGTERM')
  const down = await until('503', async () => {
    const seen = await probe()
    return seen?.status === 503 ? seen : undefined
  })
  expect(down.body).toEqual({ announced: false, why: 'the node ends' })
  expect(await scene.siteFor(PARIS)).toBe('fra')
  expect(await second.ended).toBe(0)
  expect(second.lines.map(({ msg }) => msg)).toContain('withdrawn; answering goes on for 2s')
})
