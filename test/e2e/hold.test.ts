/** A new database, and a commit, that moves too many clients, under a running node, over a restart, until an operator accepts it. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { FIXTURE, writeTestDatabase } from '../support/mmdb.ts'
import { meridian, type NodeProcess, PARIS, Scene, ZONE } from '../support/scene.ts'
import { until } from '../support/until.ts'

let scene: Scene
beforeEach(() => {
  scene = new Scene()
})
afterEach(() => scene.close())

const FLAGS = { 'geo-maxMove': '0.1%', 'probe-enabled': 'true' }
const isHeld = async (node: NodeProcess): Promise<boolean> =>
  ((await node.status())?.troubles ?? []).some((trouble) => trouble.includes('HELD BACK'))
const isWaiting = async (node: NodeProcess): Promise<boolean> =>
  ((await node.status())?.node.warnings ?? []).some((warning) => warning.includes('HELD BACK'))

test('it is held back, the restart too, and used once it is accepted', async () => {
  await scene.startSites()
  const node = await scene.startReady(FLAGS)
  expect(await scene.siteFor(PARIS)).toBe('fra')
  expect(await scene.metrics()).toContain('meridian_geo_held 0')

  const networks = FIXTURE.map((network) =>
    network.country === 'FR' ? { ...network, latitude: 40.71, longitude: -74.01 } : network,
  )
  writeTestDatabase(scene.city, { schema: 'maxmind', networks, buildEpoch: 1_790_000_007 })
  await until('the hold', async () => await isHeld(node))
  expect(await scene.metrics()).toContain('meridian_geo_held 1')
  expect(await scene.siteFor(PARIS)).toBe('fra')
  expect((await node.status())!.load).toMatchObject({ ok: true, problems: [{ code: 'geo-held', severity: 'warning' }] })

  // zones are loaded all the same
  scene.write('demo.example.yaml', `${ZONE}new: {type: A, values: [192.0.2.81]}\n`)
  await until('the new name', async () => {
    const { answer } = await scene.dig(undefined, 'new.demo.example', 'A')
    return answer[0] === '192.0.2.81' ? true : undefined
  })
  expect(await isHeld(node)).toBe(true)

  node.kill('SIGTERM')
  expect(await node.ended).toBe(0)
  const next = await scene.startReady(FLAGS)
  expect(await isHeld(next)).toBe(true)
  expect(await scene.siteFor(PARIS)).toBe('fra')

  const accepted = await meridian(['geo', 'accept', '--state', scene.state, '--who', 'kim'])
  expect(accepted).toMatchObject({ code: 0, out: expect.stringMatching(/fra\s+→ iad/) })
  await until('the accepted database', async () => (await scene.siteFor(PARIS)) === 'iad')
  expect(await isHeld(next)).toBe(false)
  expect(await meridian(['geo', 'accept', '--state', scene.state])).toMatchObject({
    code: 1,
    err: 'meridian: refused: no database waits to be accepted\n',
  })
})

test('a commit that moves too many is held back, the restart too, and used once it is accepted', async () => {
  const flags = { 'zones-maxMove': '1%', 'probe-enabled': 'true' }
  await scene.startSites()
  const node = await scene.startReady(flags)
  expect(await scene.siteFor(PARIS)).toBe('fra')
  expect(await scene.metrics()).toContain('meridian_zones_held 0')

  const sites = readFileSync(join(scene.zones, 'sites.yaml'), 'utf8')
  scene.write('sites.yaml', sites.replace(/^fra: \{/m, 'fra: {drained: true, '))
  expect(readFileSync(join(scene.zones, 'sites.yaml'), 'utf8')).not.toBe(sites)
  await until('the hold', async () => await isWaiting(node))
  expect(await scene.metrics()).toContain('meridian_zones_held 1')
  expect(await scene.siteFor(PARIS)).toBe('fra')

  node.kill('SIGTERM')
  expect(await node.ended).toBe(0)
  const next = await scene.startReady(flags)
  expect(await isWaiting(next)).toBe(true)
  expect(await scene.siteFor(PARIS)).toBe('fra')

  const accepted = await meridian(['zones', 'accept', '--state', scene.state, '--who', 'kim'])
  expect(accepted).toMatchObject({ code: 0, out: expect.stringMatching(/fra\s+→/) })
  await until('the accepted zones', async () => (await scene.siteFor(PARIS)) !== 'fra')
  expect(await isWaiting(next)).toBe(false)
  expect(await scene.metrics()).toContain('meridian_zones_held 0')
  expect(await meridian(['zones', 'accept', '--state', scene.state])).toMatchObject({
    code: 1,
    err: 'meridian: refused: no zones wait to be accepted\n',
  })
})
