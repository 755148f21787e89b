/** A drill of a running node: its clients go elsewhere, and are back when the second site dies. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { meridian, type NodeProcess, PARIS, Scene } from '../support/scene.ts'
import { until } from '../support/until.ts'

const scene = new Scene()
let node: NodeProcess
beforeAll(async () => {
  await scene.startSites()
  node = await scene.startReady()
  await until('all are up', async () => Object.values(await node.states()).every((state) => state === 'up'))
}, 120_000)
afterAll(() => scene.close())

const COMMAND = ['drill', 'fra', '--for', '10m', '--why', 'quarterly', '--abort-if', 'left<60%', '--state', scene.state]
const said = (text: string) => node.lines.find(({ msg }) => msg.includes(text))

test('it aborts within a heartbeat of the second site’s death, and leaves a report', async () => {
  expect(await scene.siteFor(PARIS)).toBe('fra')
  const drilling = meridian(COMMAND)
  await until('clients go elsewhere', async () => (await scene.siteFor(PARIS)) !== 'fra')
  scene.signalSite('iad', 'SIGKILL')
  const { code, out, err } = await drilling
  expect([code, err]).toEqual([1, ''])
  expect(out).toMatch(/^the drill of fra runs[^]*fra: drill of .* ABORTED after \d+ s: 33 % of web is left/)
  expect(out).toMatch(/\n {2}web +100 % +33 %\n/)
  expect(await scene.siteFor(PARIS)).toBe('fra')
  const died = Date.parse(said('iad/web/192.0.2.2 is down')!.time)
  expect(Date.parse(said('the drill of')!.time) - died).toBeLessThan(1000)
  const reports: { drills: object[] } = JSON.parse((await meridian(['drill', '--json', '--state', scene.state])).out)
  expect(reports.drills).toMatchObject([{ pattern: 'fra', outcome: 'aborted', answers: expect.any(Array) }])
})
