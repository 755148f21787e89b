/** What is on disk changes under a running node, rightly and wrongly. */
import { copyFileSync, readFileSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { FIXTURE, writeTestDatabase } from '../support/mmdb.ts'
import { Asking, JAKARTA, meridian, PARIS, Scene, ZONE } from '../support/scene.ts'
import { until } from '../support/until.ts'

let scene: Scene
beforeEach(() => {
  scene = new Scene()
})
afterEach(() => scene.close())

const answerOf = async (name: string): Promise<string | undefined> => (await scene.dig(undefined, name, 'A')).answer[0]

test('a changed zone is served, a broken one is not: the old World stays and says so', async () => {
  await scene.startSites()
  const node = await scene.startReady()
  const asking = new Asking(scene, PARIS)

  scene.write('demo.example.yaml', `${ZONE}new: {type: A, values: [192.0.2.81]}\n`)
  await until('the new name', async () => (await answerOf('new.demo.example')) === '192.0.2.81')
  const before = (await node.status())!.world!

  scene.write('demo.example.yaml', `${ZONE}new: {type: A, values: [192.0.2.821]}\nother: {type: GSLB, service: none}\n`)
  const refused = await until('the refusal', async () => {
    const { load } = (await node.status())!
    return load?.ok === false ? load : undefined
  })
  expect(refused.problems.filter(({ severity }) => severity === 'error')).toMatchObject([
    { code: 'rdata-invalid', line: 6 },
    { code: 'service-unknown', line: 7 },
  ])
  expect((await node.status())!.world).toEqual(before)
  expect(await answerOf('new.demo.example')).toBe('192.0.2.81')
  const metrics = await scene.metrics()
  expect(metrics).toContain('meridian_reload_failing 1')
  expect(metrics).toContain('meridian_reloads_total{result="failed"} 1')
  expect(metrics).toContain('meridian_problems{severity="error"} 2')
  expect(node.lines.some(({ level, msg }) => level === 'error' && msg.includes('2 errors; '))).toBe(true)
  expect(node.lines.some(({ msg }) => /demo\.example\.yaml:6:\d+ rdata-invalid/.test(msg))).toBe(true)

  // repaired, and with something new: the next load takes it
  scene.write('demo.example.yaml', `${ZONE}fresh: {type: A, values: [192.0.2.82]}\n`)
  await until('the name gone', async () => (await answerOf('new.demo.example')) === undefined)
  expect(await answerOf('fresh.demo.example')).toBe('192.0.2.82')
  expect((await node.status())!.load!.ok).toBe(true)
  expect(await scene.metrics()).toContain('meridian_reload_failing 0')
  expect(await asking.stop()).toBe(0)
  expect(asking.wrong).toEqual([])
})

test('SIGHUP loads again, and keeps health', async () => {
  await scene.startSites()
  const node = await scene.startReady()
  await until('sin is up', async () => (await node.states())['sin'] === 'up')
  scene.signalSite('sin', 'SIGKILL')
  await until('sin is down', async () => (await node.states())['sin'] === 'down')
  node.kill('SIGHUP')
  await until('generation 2', async () => (await node.status())!.world!.generation >= 2)
  expect((await node.states())['sin']).toBe('down')
  expect(await scene.siteFor(JAKARTA)).not.toBe('sin')
})

test('a new database moves clients; a half-written one moves nobody', async () => {
  await scene.startSites()
  const node = await scene.startReady()
  await until('Jakarta on sin', async () => (await scene.siteFor(JAKARTA)) === 'sin')

  const whole = readFileSync(scene.city)
  writeFileSync(`${scene.city}.new`, whole.subarray(0, whole.length >> 1))
  renameSync(`${scene.city}.new`, scene.city)
  const refused = await until('the refusal', async () => {
    const { load } = (await node.status())!
    return load?.ok === false ? load : undefined
  })
  expect(refused.problems.filter(({ severity }) => severity === 'error')).toMatchObject([{ file: scene.city }])
  expect(await scene.siteFor(JAKARTA)).toBe('sin')

  const moved = FIXTURE.map((network) =>
    network.prefix === '114.120.0.0/13' ? { ...network, latitude: 40.71, longitude: -74.01 } : network,
  )
  writeTestDatabase(`${scene.city}.new`, { schema: 'maxmind', networks: moved, ipVersion: 6 })
  renameSync(`${scene.city}.new`, scene.city)
  await until('Jakarta on iad', async () => (await scene.siteFor(JAKARTA)) === 'iad')
})

test.each<[string, (file: string) => void]>([
  ['missing', (file) => rmSync(file)],
  ['truncated', (file) => truncateSync(file, readFileSync(file).length - 50)],
  ['half written', (file) => truncateSync(file, readFileSync(file).length >> 1)],
  ['no database at all', (file) => writeFileSync(file, 'not a database\n'.repeat(1000))],
])('a database that is %s at the first start is one clear error, and blocks no zones', async (_what, spoil) => {
  spoil(scene.city)
  const node = scene.start()
  await until('an answer', async () => {
    expect(node.runs, node.err).toBe(true)
    return (await scene.dig(undefined, 'static.demo.example', 'A').catch(() => undefined))?.status === 'NOERROR'
  })
  const told = node.lines.filter(({ level, msg }) => level === 'error' && msg.includes(scene.city))
  expect(told).toEqual([expect.objectContaining({ msg: expect.stringMatching(/geo-(unreadable|corrupt|schema)/) })])
  expect((await node.status())?.node.warnings).toEqual([expect.stringContaining('NO CLIENT HAS A PLACE')])
  expect(node.err).toBe('')
})

test('check tells what serve would: all faults at once, with their places', async () => {
  const good = await meridian(['check', scene.zones, '--geo-city', scene.city])
  expect(good).toMatchObject({ code: 0, err: '' })
  expect(good.out).toContain('1 zone, 4 names, 1 service, 3 members')
  scene.write(
    'demo.example.yaml',
    `${ZONE}a: {type: A, values: [300.0.0.1]}\nb: {type: GSLB, service: none}\nc: {tpye: A}\n`,
  )
  const bad = await meridian(['check', 'zones'], scene.folder)
  expect(bad.code).toBe(1)
  for (const place of ['6:', '7:', '8:']) expect(bad.err).toMatch(new RegExp(`^zones/demo.example.yaml:${place}`, 'm'))
  const node = scene.start()
  expect(await node.ended).toBe(1)
  for (const place of ['6:', '7:', '8:']) expect(node.err).toContain(`demo.example.yaml:${place}`)
})

test('a fault in the settings is told with its place, and nothing starts', async () => {
  const file = join(scene.folder, 'meridian.yaml')
  copyFileSync('/dev/null', file)
  writeFileSync(file, 'listen: [127.0.0.1]\nhttp: {listn: "127.0.0.1:1"}\nthreads: many\n')
  const { code, err } = await meridian(['serve', '-c', 'meridian.yaml'], scene.folder)
  expect(code).toBe(1)
  expect(err).toContain('meridian.yaml:1:10 setting-invalid')
  expect(err).toContain('meridian.yaml:2:8 setting-unknown')
  expect(err).toContain('meridian.yaml:3:10 setting-invalid')
})
