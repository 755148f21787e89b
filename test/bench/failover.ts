/**
 * `npm run bench -- failover [redis] [RUNS]`: how long a dead site is still named, at the DNS answer, against its
 * bound. Three real sites, a real node, a client in Paris that asks 500 times a second. Each run waits a random part of the
 * interval, lets fra die in one way, and takes the time until the last answer that named it; then it comes back.
 * With `redis`: a fleet of three probers and two nodes with Redis between them, which has 10 ms more; of the nodes the later
 * one counts. It needs root, for its network namespaces.
 */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { nowMs } from '../e2e/fleet/asker.ts'
import { Fleet, NODES, PROBERS } from '../e2e/fleet/fleet.ts'
import { Asking, PARIS, Scene, SITE_PORT, VIPS } from '../support/scene.ts'
import { until } from '../support/until.ts'

const INTERVAL_MS = 1000
const TIMEOUT_MS = 500
const FAST_MS = 250
const FALL = 2
const RISE = 2
const BOUND_MS = INTERVAL_MS + (FALL - 1) * Math.max(FAST_MS, TIMEOUT_MS) + TIMEOUT_MS + 100
/** A site that is back passes its next check and RISE − 1 fast ones. */
const BACK_MS = INTERVAL_MS + (RISE - 1) * FAST_MS + 100
const TIMING = `interval: ${INTERVAL_MS}ms, timeout: ${TIMEOUT_MS}ms, fast: ${FAST_MS}ms, fall: ${FALL}, rise: ${RISE}`
const CHECK = `type: http, port: ${SITE_PORT}, path: /healthz, ${TIMING}`
const ASK_EVERY_MS = 2
/** What the way through Redis may add. */
const REDIS_MS = 10

/** How fra dies, and how it comes back. */
const KINDS: readonly (readonly [string, NodeJS.Signals, NodeJS.Signals | 'start'])[] = [
  ['killed (RST)', 'SIGKILL', 'start'],
  ['frozen (SIGSTOP)', 'SIGSTOP', 'SIGCONT'],
  ['drips its body', 'SIGUSR2', 'SIGUSR2'],
]

interface Took {
  readonly away: number[]
  readonly back: number[]
}

export async function run(args: string[]): Promise<void> {
  if (args[0] === 'redis') return runFleet(Number(args[1] ?? 10))
  const runs = Number(args[0] ?? 10)
  const scene = new Scene()
  scene.write(
    'defaults.yaml',
    `soa: {mname: ns1.demo.example., rname: hostmaster.demo.example., minimum: 30, serial: 7}\nttl: 300\nchecks:\n  healthz: {${CHECK}}\n`,
  )
  console.log(`check: interval ${INTERVAL_MS}, timeout ${TIMEOUT_MS}, fast ${FAST_MS} ms, fall ${FALL}, rise ${RISE}`)
  console.log(
    `until the last answer that named the dead site: bound ${BOUND_MS} ms; until it is named again: ${BACK_MS} ms`,
  )
  try {
    await scene.startSites()
    for (const [kind, dies, revives] of KINDS) print(kind, await measure(scene, runs, dies, revives))
    scene.signalSite('fra', 'SIGKILL')
    print('never up (from the first answer on)', await measureNever(scene, runs))
  } finally {
    await scene.close()
  }
}

/** Each run has a node of its own, which remembers no outage: a site that flaps is held down. */
async function measure(
  scene: Scene,
  runs: number,
  dies: NodeJS.Signals,
  revives: NodeJS.Signals | 'start',
): Promise<Took> {
  const took: Took = { away: [], back: [] }
  for (let i = 0; i < runs; i++) {
    const node = await scene.startReady()
    const asking = new Asking(scene, PARIS, ASK_EVERY_MS)
    const named = () => asking.last.get(VIPS.fra) ?? -Infinity
    await until('fra is named', () => performance.now() - named() < 50)
    await wait(2 * INTERVAL_MS + Math.random() * INTERVAL_MS) // settled, and at any point of the interval
    const diedMs = performance.now()
    scene.signalSite('fra', dies)
    await until('fra is not named', () => performance.now() - named() > 100)
    took.away.push(Math.max(0, named() - diedMs))
    await wait(INTERVAL_MS + Math.random() * INTERVAL_MS)
    if (revives === 'start') await scene.startSite('fra')
    else scene.signalSite('fra', revives)
    const backMs = performance.now()
    await until('fra is named again', () => named() > backMs)
    took.back.push(named() - backMs)
    await told(asking)
    node.kill('SIGTERM')
    await node.ended
  }
  return took
}

/** Each run is a node that has never heard of fra: it is passed over as soon as another site is up. */
async function measureNever(scene: Scene, runs: number): Promise<Took> {
  const took: Took = { away: [], back: [] }
  for (let i = 0; i < runs; i++) {
    rmSync(join(scene.state, 'health.json'), { force: true })
    const asking = new Asking(scene, PARIS, ASK_EVERY_MS)
    const node = scene.start()
    await until('an answer', () => asking.last.size > 0)
    const firstMs = Math.min(...asking.last.values())
    const named = () => asking.last.get(VIPS.fra) ?? firstMs
    await until('another site', () => asking.last.has(VIPS.iad))
    await until('fra is not named', () => performance.now() - named() > 100)
    took.away.push(named() - firstMs)
    node.kill('SIGTERM')
    await node.ended
    await asking.stop()
  }
  return took
}

type Turn = (fleet: Fleet) => Promise<void> | void

/** How fra dies in a fleet, and how it comes back. */
const FLEET_KINDS: readonly (readonly [string, Turn, Turn])[] = [
  ['killed (RST)', (fleet) => fleet.signalSite('fra', 'SIGKILL'), (fleet) => fleet.startSite('fra')],
  ['frozen (SIGSTOP)', (fleet) => fleet.signalSite('fra', 'SIGSTOP'), (fleet) => fleet.signalSite('fra', 'SIGCONT')],
  ['its packets are dropped', ({ network }) => network.cut(['fra'], PROBERS), ({ network }) => network.healAll()],
]

async function runFleet(runs: number): Promise<void> {
  const bound = BOUND_MS + REDIS_MS
  console.log(`${PROBERS.length} probers, Redis, ${NODES.length} nodes; ${TIMING}`)
  console.log(`until the last answer of any node that named the dead site: bound ${bound} ms`)
  const fleet = await Fleet.start({ askEveryMs: ASK_EVERY_MS, timing: TIMING })
  try {
    for (const [kind, dies, revives] of FLEET_KINDS) {
      const took: Took = { away: [], back: [] }
      for (let i = 0; i < runs; i++) {
        const path = `/healthz?${kind.split(' ')[0]}${i}` // a new check has not flapped
        fleet.write([...PROBERS, ...NODES], path)
        await until('the new check', () => isProbed(fleet, path))
        await measureFleet(fleet, took, dies, revives)
      }
      print(kind, took, bound)
    }
    const lost = fleet.askers.lost(0, nowMs()).length
    if (lost > 0) console.log(`  ${lost} answers lost`)
  } finally {
    await fleet.close()
  }
}

/** Every prober says up of every member, by the check of this path alone. */
async function isProbed(fleet: Fleet, path: string): Promise<boolean> {
  for (const node of NODES) {
    const members = (await fleet.status(node))?.services[0]?.members ?? []
    const isUp = ({ target: { check }, votes }: (typeof members)[number]['targets'][number]): boolean =>
      'path' in check && check.path === path && votes.filter(({ value }) => value === 'up').length === PROBERS.length
    if (members.length === 0 || !members.every(({ targets }) => targets.every(isUp))) return false
  }
  return true
}

async function measureFleet(fleet: Fleet, { away, back }: Took, dies: Turn, revives: Turn): Promise<void> {
  const on = (vip: string) => NODES.every((node) => fleet.askers.answer(node, 'paris') === vip)
  await until('fra is named', () => on(VIPS.fra))
  await wait(2 * INTERVAL_MS + Math.random() * INTERVAL_MS)
  const diedMs = nowMs()
  await dies(fleet)
  await until('fra is not named', () => on(VIPS.iad))
  await wait(INTERVAL_MS + Math.random() * INTERVAL_MS)
  const named = fleet.askers.during(diedMs, nowMs()).filter(({ answer }) => answer === VIPS.fra)
  away.push(Math.max(...named.map(({ untilMs }) => untilMs - diedMs)))
  await revives(fleet)
  const backMs = nowMs()
  await until('fra is named again', () => on(VIPS.fra))
  const again = fleet.askers.during(backMs, nowMs()).filter(({ answer }) => answer === VIPS.fra)
  back.push(Math.max(...again.map(({ fromMs }) => fromMs - backMs)))
}

async function told(asking: Asking): Promise<void> {
  const lost = await asking.stop()
  if (lost > 0 || asking.wrong.length > 0) console.log(`  ${lost} answers lost, ${asking.wrong.length} wrong or empty`)
}

function print(kind: string, { away, back }: Took, bound = BOUND_MS): void {
  const returned = back.length === 0 ? '' : `; back: ${figures(back, BACK_MS)}`
  console.log(`${kind.padEnd(36)} ${figures(away, bound)}${returned}`)
}

function figures(values: readonly number[], bound: number): string {
  const sorted = values.toSorted((a, b) => a - b)
  const median = sorted[Math.floor(sorted.length / 2)]!
  const over = sorted.filter((value) => value > bound).length
  return `median ${median.toFixed(0)} max ${sorted.at(-1)!.toFixed(0)} ms of ${sorted.length}, ${over} over ${bound}`
}

const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))
