/** `meridian probe`, whole: real zones, a real Redis, a real site; what it shows, and what a broken reload changes. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { ProberStatusView } from '../../src/api/prober-status.ts'
import { ask } from '../../src/cli/control.ts'
import type { Vote } from '../../src/health/vote.ts'
import { RunningProber } from '../../src/node/prober.ts'
import { openRedisStore } from '../../src/store/redis/store.ts'
import { makeBuilder, makeTargetBuilder } from '../../src/world/build.ts'
import { configOf } from '../cli/fleet.ts'
import { madeOf } from '../support/build.ts'
import { RedisServer } from '../support/redis-server.ts'
import { until } from '../support/until.ts'

const ADDRESS = `127.${100 + (process.pid % 100)}.62.1`
const SITE = `127.${100 + (process.pid % 100)}.62.2`
const HTTP = `http://${ADDRESS}:8053`

let folder = ''
let redis: RedisServer
let site: Server
let prober: RunningProber | undefined
let lines: { level: string; msg: string }[] = []
const log = pino(
  { formatters: { level: (level) => ({ level }) } },
  { write: (line: string) => void lines.push(JSON.parse(line)) },
)

beforeEach(async () => {
  lines = []
  folder = mkdtempSync(join(tmpdir(), 'meridian-probe-'))
  mkdirSync(join(folder, 'zones'))
  write('defaults.yaml', 'soa: {serial: 1}\nttl: 300\n')
  write('sites.yaml', 'fra: {location: [50.11, 8.68], region: eu}\n')
  write(
    'example.com.yaml',
    '"": {type: NS, values: [ns1.example.com.]}\nns1: {type: A, values: [192.0.2.53]}\nwww: {type: GSLB, service: web}\n',
  )
  services(check('/healthz'))
  redis = await RedisServer.start()
  site = createServer((_request, response) => response.end('ok'))
  await new Promise<void>((done) => site.listen(8080, SITE, done))
})
afterEach(async () => {
  await prober?.stop()
  prober = undefined
  site.close()
  site.closeAllConnections()
  await redis.stop()
  rmSync(folder, { recursive: true })
})

/** An audience but for the votes. */
const DEAF = { retired: () => undefined, heartbeat: () => undefined, gone: () => undefined }

const write = (file: string, text: string): void => writeFileSync(join(folder, 'zones', file), text)
const check = (path: string): string => `{type: http, port: 8080, path: ${path}, interval: 1s, timeout: 500ms}`
const services = (checked: string): void =>
  write('services.yaml', `web:\n  sites:\n    fra: {vips: [${SITE}]}\n  check: ${checked}\n`)

async function start(url = redis.url()): Promise<RunningProber> {
  const config = configOf({
    redis: url,
    zones: join(folder, 'zones'),
    state: join(folder, 'state'),
    'node.name': 'p1',
    'probe.region': 'eu',
    'probe.allow': '127.0.0.0/8',
    'http.listen': `${ADDRESS}:8053`,
  })
  prober = await RunningProber.start({ config, log })
  return prober
}

const status = (): Promise<ProberStatusView> => ask<ProberStatusView>({ state: join(folder, 'state') }, '/api/status')
const text = async (path: string): Promise<string> => (await fetch(`${HTTP}${path}`)).text()
const warnings = (): string[] => lines.filter(({ level }) => level === 'warn').map(({ msg }) => msg)
const logged = (part: string): boolean => lines.some(({ msg }) => msg.includes(part))

test('it says what it is, where it may be asked, and its votes reach Redis', async () => {
  await start()
  expect((await fetch(`${HTTP}/live`)).status).toBe(200)
  expect((await fetch(`${HTTP}/ready`)).status).toBe(200)
  expect((await fetch(`${HTTP}/api/status`)).status).toBe(404) // no token, no API
  // on a busy machine Redis may be late at first
  await until('Redis', async () => (await status()).store.trouble === null)
  expect(await status()).toMatchObject({
    role: 'probe',
    node: { name: 'p1', region: 'eu', ready: true },
    plan: { zones: 1 },
    load: { ok: true },
    store: { kind: 'redis', trouble: null },
    probing: { planned: 1 },
  })
  const metrics = await text('/metrics')
  expect(metrics).toContain('meridian_ready 1\n')
  expect(metrics).toContain('meridian_store_up{kind="redis"} 1\n')
  expect(metrics).toContain('meridian_probe_targets{what="planned"} 1\n')
  const heard: Vote[] = []
  const store = openRedisStore(redis.url())
  const ending = new AbortController()
  await store.listen({ ...DEAF, votes: (_prober, votes) => void heard.push(...votes) }, ending.signal)
  await until('its vote is heard', () => heard.some(({ value }) => value === 'up'))
  ending.abort()
  await store.close()
})

test('a reload with a problem keeps the old targets; the next without one brings the new', async () => {
  const running = await start()
  const before = (await status()).plan!.hash
  services('{type: http, port: eighty}')
  running.reload('SIGHUP')
  await until('refused', () =>
    logged('reload refused (SIGHUP): 1 error; probing goes on with the 1 target loaded before'),
  )
  expect(await status()).toMatchObject({ plan: { hash: before }, load: { ok: false }, node: { ready: true } })
  expect(await text('/metrics')).toContain('meridian_reload_failing 1\n')
  services(check('/other'))
  running.reload('SIGHUP')
  await until('taken', async () => (await status()).load!.ok)
  expect((await status()).plan!.hash).not.toBe(before)
})

test('it probes what a node of the same files wants probed, without their maps and Image', async () => {
  const settings = { zones: join(folder, 'zones') }
  const { plan } = madeOf(await makeBuilder({ ...settings, city: [] }).build())
  const result = await makeTargetBuilder(settings).build()
  expect(madeOf(result)).toEqual({ plan, zoneCount: 1 })
  expect(Object.keys(result.stagesMs)).toEqual(['load'])
})

test('changed files are seen without being told', async () => {
  await start()
  const before = (await status()).plan!.hash
  services(check('/changed'))
  await until('the new plan', async () => (await status()).plan!.hash !== before)
})

test('zones without a check are one clear line', async () => {
  services('none')
  await start()
  await until('it says so', () => warnings().length > 0)
  expect(warnings()).toEqual(['this prober has no targets: the zones ask for no checks'])
})

test('broken zones at the start are told, and nothing is left running', async () => {
  services('{type: http, port: eighty}')
  await expect(start()).rejects.toMatchObject({ message: 'nothing to probe', problems: [{ code: 'value-invalid' }] })
  await expect(fetch(`${HTTP}/live`)).rejects.toThrow()
})

test('a second one on the same state folder is refused', async () => {
  await start()
  const first = prober
  await expect(start()).rejects.toThrow('already runs')
  prober = first
})

test('Redis away is trouble, not an end: it starts, probes, and is ready', async () => {
  await redis.stop()
  await start()
  await until('trouble', async () => (await status()).store.trouble !== null)
  expect((await status()).store.trouble).toContain(redis.address)
  expect(await text('/metrics')).toContain('meridian_store_up{kind="redis"} 0\n')
  expect((await fetch(`${HTTP}/ready`)).status).toBe(200)
  // told when it has lasted for a moment, and once
  const told = () => lines.filter(({ level, msg }) => level === 'warn' && msg.includes(redis.address))
  await until('the line', () => told().length > 0)
  expect(told()).toHaveLength(1)
})
