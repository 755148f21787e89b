/**
 * Queries in the names of dead addresses of the server's own link. The kernel keeps each reply for some 3 s while it asks for
 * a link address that nobody has, charged to the socket that it was sent from: 270 small ones fill its send buffer, and
 * every further one waits, or is refused, whoever it is for.
 */
import { spawnSync } from 'node:child_process'
import type { Attack, Scale } from './attack.ts'
import { stop } from './hosts.ts'
import {
  type Family,
  type Flood,
  NeighbourScene,
  type Outcome,
  type Peer,
  readMetric,
  type Started,
  type StartOptions,
} from './neighbours/scene.ts'

/** What an honest client is promised, on a machine without other work. */
const MAX_P99_MS = 5
/** A neighbour that nobody knew loses what it asks until the next look at the kernel's table. */
const NEWCOMER_LOSES_MS = 150
const SOURCES = { 4: 200, 6: 2000 } as const
const FULL = { rate: 20_000, honestRate: 1_000, seconds: 10 } as const
/** Fast enough to fill the largest send buffer that a process may have asked for. */
const SMOKE = { rate: 20_000, honestRate: 200, seconds: 1.5 } as const

type Print = (line: string) => void

export const attack: Attack = {
  tries: 'floods from dead on-link addresses, IPv4 and IPv6, to keep honest clients without answers',
  needsRoot: true,
  async run(scale: Scale, print: Print) {
    const scene = new NeighbourScene()
    try {
      if (scale === 'smoke') await smoke(scene, print)
      else await everything(scene, print)
    } finally {
      scene.close()
    }
  },
}

/** The send buffer that a process without privilege gets, an on-link client: what fails first. */
async function smoke(scene: NeighbourScene, print: Print): Promise<void> {
  const started = await scene.start('meridian', { privileged: false })
  const outcome = await scene.flood({ family: 4, honest: 'on-link', sources: SOURCES[4], ...SMOKE })
  print(row('meridian', '', 4, 'on-link', outcome))
  if (outcome.lost > 0) throw new Error(`an honest client lost ${outcome.lost} of ${outcome.sent} answers`)
  await expectNoThreadReplaced(started)
}

async function everything(scene: NeighbourScene, print: Print): Promise<void> {
  const wrong: string[] = []
  print(row('server', 'started', 'IP', 'honest client', undefined))
  for (const privileged of [true, false]) {
    for (const wildcard of [false, true]) {
      const how = `${privileged ? 'with' : 'without'} CAP_NET_ADMIN, ${wildcard ? 'wildcard' : 'one address'}`
      await attackServer(scene, 'meridian', { privileged, wildcard, smallBuffer: !privileged }, how, print, wrong)
    }
  }
  await takeover(scene, print, wrong)
  for (const peer of ['gdnsd', 'knot'] as const) {
    const program = peer === 'knot' ? 'knotd' : peer
    if (spawnSync('sh', ['-c', `command -v ${program}`]).status !== 0) print(`${peer}: not installed, not measured`)
    else await attackServer(scene, peer, {}, 'with CAP_NET_ADMIN, one address', print, undefined)
  }
  if (wrong.length > 0) throw new Error(wrong.join('; '))
}

/** Every family and place of the honest client; `wrong` takes what is not as promised, where something is. */
async function attackServer(
  scene: NeighbourScene,
  peer: Peer,
  options: StartOptions,
  how: string,
  print: Print,
  wrong: string[] | undefined,
): Promise<void> {
  const started = await scene.start(peer, options)
  const calm = await scene.flood({ family: 4, honest: 'on-link', sources: SOURCES[4], ...FULL, rate: 0 })
  print(row(peer, `${how}, no flood`, 4, 'on-link', calm))
  for (const family of [4, 6] as const) {
    for (const honest of ['on-link', 'routed', 'newcomer'] as const) {
      if (honest === 'newcomer' && peer !== 'meridian') continue
      const flood: Flood = { family, honest, sources: SOURCES[family], ...FULL }
      const outcome = await scene.flood(flood)
      print(row(peer, how, family, honest, outcome))
      wrong?.push(...faultsOf(`${how}, IPv${family}, ${honest}`, flood, outcome))
    }
  }
  if (peer === 'meridian') await expectNoThreadReplaced(started)
  await stop(started)
}

async function takeover(scene: NeighbourScene, print: Print, wrong: string[]): Promise<void> {
  let now = await scene.start('meridian')
  for (const family of [4, 6] as const) {
    const flood: Flood = { family, honest: 'on-link', sources: SOURCES[family], ...FULL }
    const outcome = await scene.flood(flood, async () => {
      const next = await scene.start('meridian', { takeover: true })
      await stop(now)
      now = next
    })
    print(row('meridian', 'a successor takes over meanwhile', family, 'on-link', outcome))
    // a process starts on the same cores: nothing is promised of p99
    if (outcome.lost > 0) wrong.push(`takeover, IPv${family}: ${outcome.lost} of ${outcome.sent} answers lost`)
  }
  await stop(now)
}

function faultsOf(what: string, { honest, honestRate }: Flood, { sent, lost, p99Ms }: Outcome): string[] {
  const allowed = honest === 'newcomer' ? (honestRate * NEWCOMER_LOSES_MS) / 1000 : 0
  return [
    ...(lost > allowed ? [`${what}: ${lost} of ${sent} answers lost`] : []),
    ...(p99Ms >= MAX_P99_MS ? [`${what}: p99 ${p99Ms.toFixed(1)} ms`] : []),
  ]
}

async function expectNoThreadReplaced(started: Started): Promise<void> {
  const replaced = [...(await readMetric(started, 'meridian_threads_replaced_total')).values()]
  if (replaced.some((count) => count > 0)) throw new Error(`answering threads were replaced: ${replaced.join(', ')}`)
}

function row(server: string, how: string, family: Family | 'IP', honest: string, outcome: Outcome | undefined): string {
  const figures =
    outcome === undefined
      ? ['asked', 'lost', 'p50 ms', 'p99 ms', 'most']
      : [
          String(outcome.sent),
          String(outcome.lost),
          ...[outcome.p50Ms, outcome.p99Ms, outcome.mostMs].map((ms) => ms.toFixed(2)),
        ]
  const where = family === 'IP' ? family : `IPv${family}`
  return `| ${[server, how, where, honest, ...figures].join(' | ')} |`
}
