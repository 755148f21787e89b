/**
 * Queries in the names of victims, who get the answers: more bytes than the attacker sent. From one source, which a limit
 * for each network bounds; and from 50,000 networks, each of which asks less than any such limit.
 */
import { readFileSync } from 'node:fs'
import type { Attack, Scale } from './attack.ts'
import { stop } from './hosts.ts'
import { BAITS, type Outcome, ReflectionScene, residentMb, type Started } from './reflection/scene.ts'

/** What an honest client is promised, on a machine without other work. */
const MAX_P99_MS = 5
const SOURCES = [50_000, 1] as const
const FULL = { rate: 20_000, honestRate: 1_000, seconds: 5 } as const
/** Limits that a flood is far beyond on a busy machine too. */
const SMOKE = { rate: 8_000, honestRate: 200, seconds: 0.8 } as const
const SMOKE_LIMITS = { answers: 300, unproven: 300 } as const
/** What a node may grow by in minutes of floods: garbage and counters, not clients. */
const MAX_GROWTH_MB = 40
/** A limited query costs less than an answer; the machine's noise may hide it. */
const MAX_COST = 1.1

/**
 * Bytes out for each byte in, and the part of the honest that may go unanswered. A little is of the kernel's own packets and
 * of what waited in buffers when the count began; without limits it is 10. A machine that is busy with other tests keeps
 * the server from its buffer for long enough to fill it.
 */
const MOST = { full: { ratio: 1.01, lost: 0 }, smoke: { ratio: 2, lost: 0.2 } } as const

type Print = (line: string) => void

export const attack: Attack = {
  tries: 'floods in the names of 50,000 networks, and of one, to have more sent to them than was asked with',
  needsRoot: true,
  async run(scale: Scale, print: Print) {
    const scene = new ReflectionScene()
    try {
      await (scale === 'smoke' ? smoke(scene, print) : everything(scene, print))
    } finally {
      scene.close()
    }
  },
}

async function smoke(scene: ReflectionScene, print: Print): Promise<void> {
  const started = await scene.start(SMOKE_LIMITS)
  for (const sources of SOURCES) {
    const outcome = await scene.reflect(started, { bait: BAITS.TXT, sources, ...SMOKE })
    print(row('TXT', sources, outcome))
    const [fault] = faultsOf('TXT', sources, outcome, MOST.smoke)
    if (fault !== undefined) throw new Error(fault)
  }
}

async function everything(scene: ReflectionScene, print: Print): Promise<void> {
  const wrong: string[] = []
  print('| asked | sources | bytes out / in | honest | over TCP | lost | p50 ms | p99 ms | CPU µs a query |')
  const unlimited = await scene.start({ answers: 0, negatives: 0, referrals: 0, errors: 0, unproven: 0 })
  const costs = new Map<string, number>()
  await warmUp(scene, unlimited)
  for (const [what, bait] of Object.entries(BAITS)) {
    const outcome = await scene.reflect(unlimited, { bait, sources: SOURCES[0], ...FULL })
    costs.set(what, outcome.microseconds)
    print(row(`${what}, no limits`, SOURCES[0], outcome))
  }
  await stop(unlimited)
  const started = await scene.start()
  await warmUp(scene, started)
  let beforeMb: number | undefined
  for (const sources of SOURCES) {
    for (const [what, bait] of Object.entries(BAITS)) {
      const outcome = await scene.reflect(started, { bait, sources, ...FULL })
      print(row(what, sources, outcome))
      wrong.push(...faultsOf(what, sources, outcome, MOST.full))
      if (outcome.honest.p99Ms >= MAX_P99_MS) wrong.push(`${what}: p99 ${outcome.honest.p99Ms.toFixed(1)} ms`)
      const ratio = outcome.microseconds / costs.get(what)!
      if (ratio > MAX_COST)
        wrong.push(`${what} from ${sources}: a limited query costs ${ratio.toFixed(2)} of an answer`)
      beforeMb ??= residentMb(started)
    }
  }
  const grownMb = residentMb(started) - beforeMb!
  print(
    `memory: ${grownMb.toFixed(1)} MB more than after the first flood; ${reports(started)} lines of the limits in the log`,
  )
  if (grownMb > MAX_GROWTH_MB) wrong.push(`the node grew by ${grownMb.toFixed(0)} MB`)
  if (wrong.length > 0) throw new Error(wrong.join('; '))
}

/** What a process compiles and touches first is not what a query costs. */
async function warmUp(scene: ReflectionScene, started: Started): Promise<void> {
  await scene.reflect(started, { bait: BAITS.NXDOMAIN, sources: SOURCES[0], ...FULL })
}

function faultsOf(
  what: string,
  sources: number,
  { bytesIn, bytesOut, honest }: Outcome,
  most: { readonly ratio: number; readonly lost: number },
): string[] {
  const from = `${what} from ${sources} sources`
  return [
    ...(bytesOut > bytesIn * most.ratio ? [`${from}: ${bytesOut} bytes out for ${bytesIn} in`] : []),
    ...(honest.lost > honest.sent * most.lost
      ? [`${from}: honest resolvers lost ${honest.lost} of ${honest.sent} answers`]
      : []),
  ]
}

const reports = ({ log }: Started): number => readFileSync(log, 'utf8').split('rate limits:').length - 1

function row(what: string, sources: number, { bytesIn, bytesOut, honest, microseconds }: Outcome): string {
  const { sent, overTcp, lost, p50Ms, p99Ms } = honest
  const figures = [(bytesOut / bytesIn).toFixed(3), sent, overTcp, lost, p50Ms.toFixed(2), p99Ms.toFixed(2)]
  return `| ${[what, sources, ...figures, microseconds.toFixed(2)].join(' | ')} |`
}
