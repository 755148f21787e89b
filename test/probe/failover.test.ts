/**
 * From a site's death to the member's word in the HealthTable, with real processes, the prober's own thread, the store and
 * the node's engine: the promised bound, with room for a busy machine (the bench measures it exactly).
 */
import { type ChildProcess, fork } from 'node:child_process'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { NodeHealth } from '../../src/health/node-health.ts'
import { makeHealthTable, SlotRegistry } from '../../src/health/table.ts'
import { makeHealthSpec } from '../../src/health/target.ts'
import { type ProberThread, startProber } from '../../src/probe/thread.ts'
import { MemoryStore } from '../../src/store/memory.ts'
import { countWaits } from '../support/cpu.ts'
import { httpCheck, service, site } from '../support/specs.ts'
import { until } from '../support/until.ts'
import { LOOPBACK } from './loopback.ts'

const PORT = 8077
const CHECK = { intervalMs: 1200, timeoutMs: 1000, fastMs: 100, fall: 2, rise: 2, port: PORT }
const BOUND = 1200 + Math.max(100, 1000) + 1000 + 100
const REFUSED_BOUND = 1200 + 100 + 100
const RETURN_BOUND = 1200 + 100 + 100
/** A check that the prober voids, because its host was busy, is made anew an interval later. */
const BUSY = 3000
const ADDRESSES = {
  killed: '127.77.3.1',
  frozen: '127.77.3.2',
  drips: '127.77.3.3',
  never: '127.77.3.4',
  well: '127.77.3.5',
}
type Name = keyof typeof ADDRESSES
const NAMES: readonly Name[] = ['killed', 'frozen', 'drips', 'never', 'well']

const children = new Map<Name, ChildProcess>()
const spawn = (name: Name) =>
  new Promise<void>((resolve, reject) => {
    const child = fork(join(import.meta.dirname, 'site.ts'), [ADDRESSES[name], String(PORT)])
    children.set(name, child)
    child.once('message', () => resolve())
    child.once('error', reject)
  })

const pids = (): number[] => [process.pid, ...[...children.values()].map(({ pid }) => pid!)]

const store = new MemoryStore()
const changes: { readonly site: string; readonly after: string; readonly atMs: number }[] = []
const health = new NodeHealth({
  table: makeHealthTable(),
  store,
  onChange: ({ site: name, after }) => changes.push({ site: name, after, atMs: performance.now() }),
})
let prober: ProberThread

/** Milliseconds from `sinceMs` until the site's member became so. */
async function took(name: Name, after: string, sinceMs: number): Promise<number> {
  const find = () => changes.find((change) => change.site === name && change.after === after && change.atMs >= sinceMs)
  await until(`${name} ${after}`, () => find() !== undefined)
  return find()!.atMs - sinceMs
}
const state = (name: Name) => health.snapshot().members.find((member) => member.site === name)!

beforeAll(async () => {
  await Promise.all(NAMES.filter((name) => name !== 'never').map(spawn))
  await health.start()
  const sites = NAMES.map((name) => ({
    site: name,
    vips: [{ address: ADDRESSES[name], bytes: new Uint8Array(4) }],
    weight: 100,
    bias: 0,
    drained: false,
  }))
  const plan = makeHealthSpec({
    zones: [],
    drills: { drills: [], blocked: [] },
    sites: new Map(NAMES.map((name) => [name, site(name)])),
    services: [service({ sites, checks: [httpCheck({ ...CHECK, body: 'well' })] })],
  })
  health.adopt(
    plan,
    new SlotRegistry().assign(
      plan.members.map((member) => member.name),
      1,
    )!,
  )
  prober = startProber({ name: 'eu-1', region: 'eu', store, reach: LOOPBACK })
  prober.setTargets(plan.targets)
})
afterAll(async () => {
  for (const child of children.values()) child.kill('SIGKILL')
  await prober.stop()
  await health.stop()
  await store.close()
})

test('every way to die is seen within its bound, and every way back', async () => {
  await until('every member decided', () => health.decided)
  expect(NAMES.map((name) => state(name).state)).toEqual(['up', 'up', 'up', 'unproven', 'up'])
  expect(state('never').why).toContain('connection refused')

  const diedMs = performance.now()
  let waits = countWaits(pids)
  children.get('killed')!.kill('SIGKILL')
  children.get('frozen')!.kill('SIGSTOP')
  children.get('drips')!.send('drip')
  expect(await took('killed', 'down', diedMs)).toBeLessThan(REFUSED_BOUND + BUSY + waits())
  expect(await took('frozen', 'down', diedMs)).toBeLessThan(BOUND + BUSY + waits())
  expect(await took('drips', 'down', diedMs)).toBeLessThan(BOUND + BUSY + waits())
  expect(state('killed').why).toContain('connection refused')
  expect(state('frozen').why).toContain('no response in 1s')
  expect(state('drips').why).toContain('no end of the response in 1s')

  const backMs = performance.now()
  waits = countWaits(pids)
  children.get('frozen')!.kill('SIGCONT')
  children.get('drips')!.send('well')
  expect(await took('frozen', 'up', backMs)).toBeLessThan(RETURN_BOUND + BUSY + waits())
  expect(await took('drips', 'up', backMs)).toBeLessThan(RETURN_BOUND + BUSY + waits())
  // one of them may be seen while the other still starts
  const spawnedMs = performance.now()
  waits = countWaits(pids)
  await Promise.all([spawn('killed'), spawn('never')])
  const startsMs = performance.now() - spawnedMs
  expect(await took('killed', 'up', spawnedMs)).toBeLessThan(startsMs + RETURN_BOUND + BUSY + waits())
  expect(await took('never', 'up', spawnedMs)).toBeLessThan(startsMs + RETURN_BOUND + BUSY + waits())

  expect(changes.filter((change) => change.site === 'well').map((change) => change.after)).toEqual(['up'])
})

test('all at once are believed: so few sites say nothing about the prober', async () => {
  const diedMs = performance.now()
  const waits = countWaits(pids)
  for (const child of children.values()) child.kill('SIGKILL')
  for (const name of NAMES) expect(await took(name, 'down', diedMs)).toBeLessThan(REFUSED_BOUND + BUSY + waits())
})
