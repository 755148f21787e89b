/** Sites die in every way there is; their clients get the next nearest in time, come back, and never get nothing. */
import { afterEach, beforeEach, expect, test } from 'vitest'
import { countWaits } from '../support/cpu.ts'
import {
  Asking,
  FAILOVER_MS,
  JAKARTA,
  NEW_YORK,
  type NodeProcess,
  PARIS,
  Scene,
  SITE_NAMES,
  type SiteName,
  VIPS,
} from '../support/scene.ts'
import { until } from '../support/until.ts'

let scene: Scene
let node: NodeProcess
let asking: Asking | undefined

beforeEach(() => {
  scene = new Scene()
})
afterEach(async () => {
  asking = undefined
  await scene.close()
})

async function begin(...sites: readonly SiteName[]): Promise<void> {
  await scene.startSites(...sites)
  node = await scene.startReady()
  await until('up', async () => {
    const states = await node.states()
    return sites.every((site) => states[site] === 'up') ? true : undefined
  })
}

const serves = (subnet: string, site: SiteName) => async (): Promise<true | undefined> =>
  (await scene.siteFor(subnet)) === site ? true : undefined

/** The client has been asking all along: nothing was empty, wrong or missing. */
async function nothingWasWrong(): Promise<void> {
  const lost = await asking!.stop()
  expect(asking!.wrong).toEqual([])
  expect(lost).toBe(0)
  expect(asking!.answered).toBeGreaterThan(50)
}

test.each<[string, NodeJS.Signals, 'SIGCONT' | 'SIGUSR2' | 'start']>([
  ['killed', 'SIGKILL', 'start'],
  ['frozen', 'SIGSTOP', 'SIGCONT'],
  ['dripping its body', 'SIGUSR2', 'SIGUSR2'],
])('a site that is %s: Paris goes to iad in time, and back after rise', async (_how, signal, back) => {
  await begin(...SITE_NAMES)
  asking = new Asking(scene, PARIS)
  await until('fra answers', () => asking!.last.has(VIPS.fra))

  const died = performance.now()
  const diedAt = Date.now()
  const waits = countWaits(scene.pids)
  scene.signalSite('fra', signal)
  await until('Paris on iad', () => asking!.last.has(VIPS.iad), FAILOVER_MS, waits)
  await until('no answer names fra', () => performance.now() - asking!.last.get(VIPS.fra)! > 200)
  expect(asking.last.get(VIPS.fra)! - died).toBeLessThan(FAILOVER_MS + waits())
  expect(await scene.siteFor(JAKARTA)).toBe('sin')
  const metrics = await scene.metrics()
  const [start, last] = ['start', 'last_answer'].map((name) => {
    const series = `meridian_outage_${name}_time_seconds{service="web",site="fra"} `
    return 1000 * Number(metrics.split(series)[1]?.split('\n')[0])
  })
  expect(start).toBeGreaterThan(diedAt - FAILOVER_MS) // it may have been up for less than an interval: its votes still moved
  expect(last).toBeGreaterThan(start!)
  expect(last! - diedAt).toBeLessThan(FAILOVER_MS + 250 + waits())

  asking.last.clear()
  if (back === 'start') await scene.startSite('fra')
  else scene.signalSite('fra', back)
  await until('Paris back on fra', () => asking!.last.has(VIPS.fra))
  await nothingWasWrong()
  const changes = node.lines.filter(({ msg }) => /^fra\/web\/\S+ is (up|down)/.test(msg))
  expect(changes.map(({ msg }) => / is (\w+)/.exec(msg)?.[1])).toEqual(['up', 'down', 'up'])
})

test('a site that never was up is unproven and passed over from the start, and serves once it is there', async () => {
  await begin('iad', 'sin')
  asking = new Asking(scene, PARIS)
  expect(await scene.siteFor(PARIS)).toBe('iad')
  await until('fra has failed', async () => {
    const fra = (await node.status())?.services[0]?.members.find(({ site }) => site === 'fra')
    return fra?.state === 'unproven' && fra.targets[0]?.votes[0]?.value === 'down' ? true : undefined
  })
  expect(await scene.siteFor(PARIS)).toBe('iad')
  expect(asking.last.has(VIPS.fra)).toBe(false)
  await scene.startSite('fra')
  await until('Paris on fra', serves(PARIS, 'fra'))
  await nothingWasWrong()
})

test('fra, then 5 s later iad: everyone is on sin; then sin too: the last resort; then back', async () => {
  await begin(...SITE_NAMES)
  asking = new Asking(scene, NEW_YORK)
  scene.signalSite('fra', 'SIGSTOP')
  const first = performance.now()
  let waits = countWaits(scene.pids)
  await until('Paris on iad', serves(PARIS, 'iad'), FAILOVER_MS, waits)
  await until('5 s', () => performance.now() - first > 5_000) // the second disaster begins when the first is dealt with
  scene.signalSite('iad', 'SIGKILL')
  waits = countWaits(scene.pids)
  await until('New York on sin', serves(NEW_YORK, 'sin'), FAILOVER_MS, waits)
  for (const subnet of [PARIS, JAKARTA]) expect(await scene.siteFor(subnet)).toBe('sin')

  scene.signalSite('sin', 'SIGSTOP')
  await until('the last resort', async () => (await node.status())?.services[0]?.lastResort === true)
  // `all`: as if all were up, each client in its own order
  expect(await Promise.all([PARIS, NEW_YORK, JAKARTA].map((subnet) => scene.siteFor(subnet)))).toEqual([...SITE_NAMES])
  expect(await scene.metrics()).toContain('meridian_service_last_resort{service="web"} 1')
  expect((await scene.dig(PARIS, 'www.demo.example', 'A')).text).toContain('last resort: no site is usable')
  expect((await fetch(`http://${scene.address(0)}:8053/ready`)).status).toBe(200)

  scene.signalSite('sin', 'SIGCONT')
  await until('everyone on sin', serves(PARIS, 'sin'))
  scene.signalSite('fra', 'SIGCONT')
  await until('Paris on fra', serves(PARIS, 'fra'))
  await nothingWasWrong()
})

test.each([
  ['nodata', []],
  ['{values: [198.51.100.99]}', ['198.51.100.99']],
])('all down with lastResort: %s', async (lastResort, answer) => {
  scene.write('services.yaml', scene.servicesYaml(lastResort))
  await begin(...SITE_NAMES)
  for (const site of SITE_NAMES) scene.signalSite(site, 'SIGKILL')
  await until('the last resort', async () => {
    const dug = await scene.dig(PARIS, 'www.demo.example', 'A')
    return dug.status === 'NOERROR' && dug.answer.join() === answer.join()
  })
})
