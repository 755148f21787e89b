/**
 * Hundreds of TCP connections that ask without end, while a site falls silent: its clients go to the next one in time,
 * `/live` is answered, and neither UDP nor other clients of TCP wait.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { query, TcpClient } from '../server/client.ts'
import { Asking, DNS_PORT, HTTP_PORT, PARIS, Scene, SITE_NAMES, VIPS } from '../support/scene.ts'
import { until } from '../support/until.ts'
import type { Attack, Scale } from './attack.ts'
import { type Kind, startLoad, writeZone } from './tcp-load.ts'

/** Interval + (fall − 1) × max(fast, timeout) + timeout + 100 ms, of the scene's check; and what the attack may add. */
const BOUND_MS = 1000 + 500 + 500 + 100
const ADDED_MS = 200
/** Beside other tests, on a machine that does other things too, all may take so much longer. */
const BUSY_MS = 2000
const LIVE_MS = 1000
const TCP_MS = 5000
const START_MS = 120_000

interface Run {
  readonly kind: Kind
  readonly connections: number
  readonly addresses: number
  readonly times: number
}

const RUNS: Readonly<Record<Scale, readonly Run[]>> = {
  smoke: [{ kind: 'pipeline', connections: 600, addresses: 6, times: 1 }],
  full: [
    { kind: 'pipeline', connections: 0, addresses: 1, times: 5 },
    { kind: 'pipeline', connections: 100, addresses: 1, times: 5 },
    { kind: 'garbage', connections: 100, addresses: 1, times: 5 },
    { kind: 'pipeline', connections: 600, addresses: 6, times: 5 },
    { kind: 'garbage', connections: 600, addresses: 6, times: 5 },
    { kind: 'pipeline', connections: 600, addresses: 600, times: 5 },
    { kind: 'garbage', connections: 600, addresses: 600, times: 5 },
    { kind: 'churn', connections: 600, addresses: 600, times: 5 },
  ],
}

async function run(scale: Scale, print: (line: string) => void): Promise<void> {
  const busyMs = scale === 'smoke' ? BUSY_MS : 0
  const most = BOUND_MS + ADDED_MS + busyMs
  const trouble: string[] = []
  for (const { kind, connections, addresses, times } of RUNS[scale]) {
    const took: number[] = []
    const live: number[] = []
    const tcp: number[] = []
    let answered = 0
    for (let i = 0; i < times; i++) {
      const seen = await failOver(kind, connections, addresses, busyMs)
      took.push(seen.failoverMs)
      live.push(...seen.liveMs)
      tcp.push(...seen.tcpMs)
      answered += seen.answered
      if (seen.lost > 0 || seen.wrong > 0) trouble.push(`UDP: ${seen.lost} answers lost, ${seen.wrong} wrong`)
    }
    print(
      `${kind}, ${connections} connections of ${addresses} addresses: failover ${figures(took)} (${most} allowed); /live ${figures(live)}; ` +
        `an honest client of TCP ${figures(tcp)}; ${answered} answers over UDP`,
    )
    const slow = took.filter((ms) => ms > most).length
    if (slow > 0)
      trouble.push(`${kind}, ${connections} connections: ${slow} of ${times} failovers took longer than ${most} ms`)
    if (live.includes(Infinity)) trouble.push(`${kind}, ${connections} connections: /live was not answered in time`)
    if (tcp.includes(Infinity))
      trouble.push(`${kind}, ${connections} connections: an honest client of TCP got no answer`)
  }
  if (trouble.length > 0) throw new Error(trouble.join('; '))
}

interface Seen {
  readonly failoverMs: number
  /** Infinity: not answered. */
  readonly liveMs: readonly number[]
  readonly tcpMs: readonly number[]
  readonly answered: number
  readonly lost: number
  readonly wrong: number
}

/** A node of its own each time: a site that flaps is held down. */
async function failOver(kind: Kind, connections: number, addresses: number, busyMs: number): Promise<Seen> {
  const scene = new Scene()
  writeZone(scene)
  const to = { address: scene.address(0), port: DNS_PORT }
  const done = new AbortController()
  let load: Awaited<ReturnType<typeof startLoad>> | undefined
  try {
    await scene.startSites()
    const node = scene.start()
    await node.ready(START_MS)
    await until(
      'all up',
      async () => {
        const states = await node.states()
        return SITE_NAMES.every((site) => states[site] === 'up') ? true : undefined
      },
      START_MS,
    )
    if (connections > 0) load = await startLoad({ kind, to, connections, addresses })
    const asking = new Asking(scene, PARIS, 5)
    const live = everySoOften(done.signal, () => fetchLive(scene.address(0), LIVE_MS + busyMs))
    const tcp = everySoOften(done.signal, () => askOverTcp(to, TCP_MS + 5 * busyMs))
    await until('fra is named', () => asking.last.has(VIPS.fra), START_MS)
    await sleep(1500 + 1000 * Math.random()) // the attack is at its height, and the check at any point of its interval
    const diedMs = performance.now()
    scene.signalSite('fra', 'SIGSTOP')
    const named = (): number => asking.last.get(VIPS.fra)! - diedMs
    await until('fra is not named', () => performance.now() - diedMs - named() > 300)
    done.abort()
    const [liveMs, tcpMs, lost] = await Promise.all([live, tcp, asking.stop()])
    return { failoverMs: named(), liveMs, tcpMs, answered: asking.answered, lost, wrong: asking.wrong.length }
  } finally {
    done.abort()
    await load?.stop()
    await scene.close()
  }
}

/** How long each took, in ms; Infinity = it failed. */
async function everySoOften(signal: AbortSignal, act: () => Promise<void>): Promise<number[]> {
  const took: number[] = []
  while (!signal.aborted) {
    const startedMs = performance.now()
    await act().then(
      () => took.push(performance.now() - startedMs),
      () => took.push(Infinity),
    )
    await sleep(50)
  }
  return took
}

async function fetchLive(address: string, withinMs: number): Promise<void> {
  const response = await fetch(`http://${address}:${HTTP_PORT}/live`, { signal: AbortSignal.timeout(withinMs) })
  if (response.status !== 200) throw new Error(String(response.status))
  await response.text()
}

async function askOverTcp(to: { readonly address: string; readonly port: number }, withinMs: number): Promise<void> {
  const client = new TcpClient(to, '127.20.0.1')
  try {
    client.send(query(7, 'www.demo.example'))
    await until('an answer', () => client.answers.length > 0, withinMs)
  } finally {
    client.socket.destroy()
  }
}

function figures(values: readonly number[]): string {
  const sorted = values.toSorted((a, b) => a - b)
  if (sorted.length === 0) return 'none'
  return `median ${sorted[sorted.length >> 1]!.toFixed(0)}, max ${sorted.at(-1)!.toFixed(0)} ms of ${sorted.length}`
}

export const attack: Attack = {
  tries: '600 connections that ask without end, so that a site that dies goes on being named',
  run,
}
