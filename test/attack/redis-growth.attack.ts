/**
 * Growth by what is published: 20,000 made-up probers and nodes, and votes on a million targets that no plan has, heard by a
 * node and by a prober. What was the fleet's before keeps its place; memory and the thread stay within bounds.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { NodeHealth } from '../../src/health/node-health.ts'
import { Refusals } from '../../src/health/refusals.ts'
import {
  type StoreSubscriber,
  MOST_NODES,
  MOST_PROBERS,
  type NodeIdentity,
  type Store,
} from '../../src/health/store.ts'
import { makeHealthTable } from '../../src/health/table.ts'
import { OwnTargets } from '../../src/probe/own-targets.ts'
import { MemoryStore } from '../../src/store/memory.ts'
import { member, spec, vote } from '../support/specs.ts'
import type { Attack } from './attack.ts'

const SIZES = {
  smoke: { targets: 500, names: 2000, votes: 150_000 },
  full: { targets: 10_000, names: 20_000, votes: 1_000_000 },
}
/** Of one turn of the thread; the machine may be doing other things. */
const MOST_STALL_MS = 3000
const MOST_MB = 250
const MINE = ['own', 'true-1', 'true-2']

/** Says everything to whoever listens; keeps nothing. */
class Mouth implements Store {
  readonly shared = true
  readonly trouble = undefined
  readonly refusals = new Refusals()
  readonly subscribers: StoreSubscriber[] = []
  /** Nobody listens there. */
  readonly #inner = new MemoryStore()
  proberWriter(): never {
    throw new Error('nobody probes here')
  }
  nodeWriter(identity: NodeIdentity) {
    return this.#inner.nodeWriter(identity)
  }
  async readMembers() {
    return []
  }
  async listen(subscriber: StoreSubscriber): Promise<void> {
    this.subscribers.push(subscriber)
  }
  repeat(): void {}
  async close(): Promise<void> {}
}

const memoryMb = (): number => {
  globalThis.gc?.()
  return process.memoryUsage().rss / 2 ** 20
}

export const attack: Attack = {
  tries: 'made-up probers, nodes and targets without end fill a node’s memory and stand its thread still',
  run: async (scale, print) => {
    const { targets, names, votes } = SIZES[scale]
    const store = new Mouth()
    const ids = Array.from({ length: targets }, (_, i) => `t${i}`)
    const wanted = spec(...ids.map((id, i) => member(`fra/web/10.0.${i >> 8}.${i & 255}`, [id], { probers: 3 })))
    const health = new NodeHealth({ table: makeHealthTable(), store, node: { name: 'n', version: '1' } })
    await health.start()
    health.adopt(
      wanted,
      Int32Array.from(ids, (_, i) => i),
    )
    const ownTargets = new OwnTargets({
      identity: { name: 'own', region: 'eu', bootId: 'b' },
      store,
      capacity: { threads: 1, rate: 1e9 },
      onTargets: () => {},
      onTrouble: () => {},
    })
    ownTargets.start()
    ownTargets.setTargets(wanted.targets)
    const say = (to: (subscriber: StoreSubscriber) => void) => store.subscribers.forEach(to)
    const beat = (name: string, region: string) => {
      const prober = { name, region, bootId: 'b' }
      say((subscriber) => subscriber.heartbeat({ prober, sequence: 1, configHash: 'c', overdue: 0, overdueAgeMs: 0 }))
      return prober
    }
    for (const name of MINE) {
      const prober = beat(name, 'eu')
      say((subscriber) =>
        subscriber.votes(
          prober,
          ids.map((id) => vote(id, 'up')),
          true,
        ),
      )
    }
    let longestMs = 0
    const turn = async (act: () => void) => {
      const startMs = performance.now()
      act()
      await sleep(0)
      longestMs = Math.max(longestMs, performance.now() - startMs)
    }
    const beforeMb = memoryMb()
    for (let i = 0; i < names; i += 50)
      await turn(() => {
        for (let k = i; k < i + 50; k++) {
          const prober = beat(`forged-${k}`, `r${k % 500}`)
          say((subscriber) => subscriber.votes(prober, [vote(ids[k % targets]!, 'up')], true))
          const node = { name: `forged-${k}`, bootId: 'b' }
          say((subscriber) =>
            subscriber.node?.({ node, sequence: 1, version: '1', view: 'v', plan: 'p', verdicts: 'h' }),
          )
        }
      })
    for (let i = 0; i < votes; i += 1000)
      await turn(() => {
        const prober = { name: `forged-${(i / 1000) % 7}`, region: 'r0', bootId: 'b' }
        const list = Array.from({ length: 1000 }, (_, k) => vote(`x${i + k}`, 'down', { reason: `for ${i + k}` }))
        say((subscriber) => subscriber.votes(prober, list, false))
      })
    const moreMb = memoryMb() - beforeMb
    const { probers, nodes, members } = health.snapshot()
    const { assigned } = ownTargets
    ownTargets.stop()
    await health.stop()
    print(`${names} names of probers and nodes, ${votes} votes on targets of no plan; ${targets} targets of the plan`)
    print(`the longest turn ${Math.round(longestMs)} ms, ${Math.round(moreMb)} MB more`)
    print(`refused: ${store.refusals.counts.flatMap(([kind, n]) => (n === 0 ? [] : `${kind} ${n}`)).join(', ')}`)
    print(`${assigned} targets are still the prober’s`)
    if (probers.length > MOST_PROBERS || nodes.length > MOST_NODES + 1) throw new Error('more names than have room')
    if (!MINE.every((name) => probers.some(({ prober }) => prober === name)))
      throw new Error('a true prober lost its place')
    if (!members.every(({ state }) => state === 'up')) throw new Error('a member is not up')
    if (longestMs > MOST_STALL_MS) throw new Error(`the thread stood still for ${Math.round(longestMs)} ms`)
    if (moreMb > MOST_MB) throw new Error(`${Math.round(moreMb)} MB more`)
  },
}
