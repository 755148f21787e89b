/** What an operator may get wrong when a fleet is set up: one clear line each, and what serves goes on serving. */
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { NodeProcess, PARIS, Scene, SITE_NAMES, VIPS } from '../support/scene.ts'
import { until } from '../support/until.ts'
import { Redis, REDIS_PORT } from './fleet/redis.ts'

let scene: Scene
let redis: Redis
const probers: NodeProcess[] = []
beforeEach(() => {
  scene = new Scene()
  redis = new Redis(
    { via: [], folder: join(scene.folder, 'redis'), address: scene.address(5) },
    '--requirepass',
    'right',
  )
})
afterEach(async () => {
  for (const prober of probers.splice(0)) {
    prober.kill('SIGKILL')
    await prober.ended
  }
  await redis.kill()
  await scene.close()
})

const url = (password = 'right'): string => `redis://:${password}@${scene.address(5)}:${REDIS_PORT}`

function startProber(state: string, redisUrl?: string): NodeProcess {
  const folder = join(scene.folder, state)
  const http = `${scene.address(6 + probers.length)}:8053`
  const flags = {
    zones: scene.zones,
    state: folder,
    'http-listen': http,
    'node-name': 'p1',
    'probe-allow': '127.0.0.0/8',
  }
  const prober = new NodeProcess(
    ['probe', ...Object.entries(flags).flatMap(([flag, value]) => [`--${flag}`, value])],
    folder,
    { env: redisUrl === undefined ? {} : { MERIDIAN_REDIS: redisUrl } },
  )
  probers.push(prober)
  return prober
}

const warnings = (lines: NodeProcess['lines']): string[] =>
  lines.filter(({ level, msg }) => level !== 'info' && !msg.startsWith('running as root')).map(({ msg }) => msg)

/** The log's only line above info (who runs the tests is another matter); a second later still the only one. */
async function onlyWarning(started: NodeProcess): Promise<string> {
  await until(
    () => `a warning; ${started.out}${started.err}`,
    () => warnings(started.lines).length > 0,
  )
  await sleep(1_000)
  const [first, ...others] = warnings(started.lines)
  expect(others).toEqual([])
  return first!
}

test.each([
  ['a prober', () => startProber('p')],
  ['a node that does not probe', () => scene.start({ 'probe-enabled': 'false' })],
])('%s without Redis ends with one line', async (_who, start) => {
  const started = start()
  expect(await started.ended).toBe(1)
  expect(
    started.err
      .trim()
      .split('\n')
      .filter((line) => !line.startsWith('    ')),
  ).toHaveLength(1)
  expect(started.err).toContain('redis-missing')
})

test('a wrong password is one line of a node and of a prober; the node serves', async () => {
  await redis.start()
  const node = scene.start({ redis: url('wrong'), 'probe-enabled': 'false' })
  const prober = startProber('p', url('wrong'))
  expect(await onlyWarning(node)).toMatch(/password/i)
  expect(await onlyWarning(prober)).toMatch(/password/i)
  expect((await node.status())?.store.trouble).toMatch(/password/i)
  await until('an answer', async () => (await scene.siteFor(PARIS).catch(() => undefined)) === 'fra')
  expect(`${node.out}${node.err}${prober.out}${prober.err}`).not.toContain('wrong@')
})

test('a prober without targets says so once', async () => {
  await redis.start()
  const sites = SITE_NAMES.map((site) => `    ${site}: {vips: [${VIPS[site]}]}`)
  scene.write('services.yaml', ['web:', '  sites:', ...sites, '  check: none', ''].join('\n'))
  expect(await onlyWarning(startProber('p', url()))).toMatch(/no targets/)
})

test('two probers with one name say so, each once', async () => {
  await redis.start()
  await scene.startSites()
  const [first, second] = [startProber('one', url()), startProber('two', url())]
  for (const prober of [first, second]) expect(await onlyWarning(prober)).toMatch(/\bp1\b/)
})
