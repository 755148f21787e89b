/**
 * `npm run bench -- health`: what a node's own side of shared health costs, without the network: 50 probers × 10,000
 * targets heard at the start, again, and after a cut, the memory they take, and votes one by one and in one batch where all
 * members are of one service.
 */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { NodeHealth } from '../../src/health/node-health.ts'
import { Refusals } from '../../src/health/refusals.ts'
import type { StoreSubscriber, KnownMember, NodeWriter, ProberIdentity, Store } from '../../src/health/store.ts'
import { makeHealthTable } from '../../src/health/table.ts'
import type { Vote } from '../../src/health/vote.ts'
import { member, specOf, serviceSpec, vote } from '../support/specs.ts'

const PROBERS = 50
const TARGETS = 10_000

/** A Store that hands its audience over: the bench says everything itself. */
class Mouth implements Store {
  readonly shared = true
  readonly trouble = undefined
  readonly refusals = new Refusals()
  subscriber: StoreSubscriber | undefined
  proberWriter(): never {
    throw new Error('nobody probes here')
  }
  nodeWriter(): NodeWriter {
    return {
      heartbeat: async () => {},
      writeMembers: async () => {},
      override: async (entries) => entries,
      forget: async () => {},
    }
  }
  async readMembers(): Promise<readonly ReadonlyMap<string, KnownMember>[]> {
    return []
  }
  async listen(subscriber: StoreSubscriber): Promise<void> {
    this.subscriber = subscriber
  }
  repeat(): void {}
  async close(): Promise<void> {}
}

/** As they come from a wire: every string its own. */
function votesOf(value: Vote['value']): Vote[] {
  const all = Array.from({ length: TARGETS }, (_, i) =>
    vote(`target ${i}`, value, { rttMs: i / 7, reason: `200 of ${i % 20}` }),
  )
  const copy: Vote[] = JSON.parse(JSON.stringify(all))
  return copy
}

const took = (work: () => void): number => {
  const startMs = performance.now()
  work()
  return performance.now() - startMs
}
const ms = (work: () => void): string => `${took(work).toFixed(0)} ms`
setFlagsFromString('--expose-gc')
const collect: () => void = runInNewContext('gc')
const heldMb = (): number => {
  collect()
  return process.memoryUsage().heapUsed / 2 ** 20
}

export async function run(): Promise<void> {
  const store = new Mouth()
  const health = new NodeHealth({ table: makeHealthTable(), store, node: { name: 'a', version: '1' } })
  await health.start()
  const probers: ProberIdentity[] = Array.from({ length: PROBERS }, (_, i) => {
    return { name: `p${i}`, region: `r${i % 5}`, bootId: `b${i}` }
  })
  const emptyMb = heldMb()
  const hearAll = (): string => {
    let tookMs = 0
    for (const prober of probers) {
      const votes = votesOf('up')
      tookMs += took(() => store.subscriber!.votes(prober, votes, true))
    }
    return `${tookMs.toFixed(0)} ms`
  }
  const startTook = hearAll()
  console.log(`${PROBERS} × ${TARGETS} votes heard at the start: ${startTook}, ${(heldMb() - emptyMb).toFixed(0)} MB`)

  const sites = 50
  const members = Array.from({ length: TARGETS }, (_, i) => member(`s${i % sites}/web/v${i}`, [`target ${i}`]))
  const service = serviceSpec('web', { keepPercent: 25, rampUpMs: 60_000 })
  const plan = specOf(members, [service])
  const slots = Int32Array.from(members, (_, i) => i)
  console.log(`adopted, ${TARGETS} members of one service: ${ms(() => health.adopt(plan, slots))}`)
  console.log(`all of it heard again: ${hearAll()}`)
  const gone = ms(() => probers.forEach((prober) => store.subscriber!.gone(prober)))
  console.log(`all probers gone: ${gone}, and heard again: ${hearAll()}`)
  for (const prober of probers) store.subscriber!.votes(prober, [], true)
  const three = probers.slice(0, 3)
  for (const prober of three) store.subscriber!.votes(prober, votesOf('up'), true)
  const downs = votesOf('down')
  store.subscriber!.votes(three[0]!, downs, false)
  console.log(`a batch of ${TARGETS} deciding votes: ${ms(() => store.subscriber!.votes(three[1]!, downs, false))}`)
  const ups = votesOf('up').slice(0, 1000)
  store.subscriber!.votes(three[0]!, ups, false)
  console.log(
    `1000 deciding votes one by one: ${ms(() => ups.forEach((one) => store.subscriber!.votes(three[1]!, [one], false)))}`,
  )
  console.log(`a snapshot: ${ms(() => health.snapshot())}; all of it holds ${(heldMb() - emptyMb).toFixed(0)} MB`)
  await health.stop()
}
