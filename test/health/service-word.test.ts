/**
 * A service's own word changes behind each change of a member's word, so that queries need not ask the members while it is the same.
 * Threads may look at any moment, so what they would have seen and kept is noted behind every single store.
 */
import { afterEach, expect, test } from 'vitest'
import { NodeHealth } from '../../src/health/node-health.ts'
import { HEALTH_SLOTS, makeHealthTable, SlotRegistry, UNWATCHED } from '../../src/health/table.ts'
import { MemoryStore } from '../../src/store/memory.ts'
import { makeRandom } from '../fuzz/packets.ts'
import { member, spec, vote } from '../support/specs.ts'

const { store } = Atomics
afterEach(() => void Object.assign(Atomics, { store }))

const SERVICES = ['api', 'web']
const SITES = ['ams', 'fra', 'iad']
const members = SERVICES.flatMap((service, s) =>
  SITES.flatMap((site, i) =>
    [`192.0.2.${s * 10 + i}`, `2001:db8::${s * 10 + i + 1}`].map((address) =>
      member(`${site}/${service}/${address}`, [`${service} ${site} ${address.includes(':') ? 6 : 4}`], { address }),
    ),
  ),
)

test.each([1, 2, 3])('seed %i: nobody keeps what is no longer true', async (seed) => {
  const random = makeRandom(seed)
  const table = makeHealthTable()
  const slots = new SlotRegistry()
  /** Members of the plan that the node has now. */
  let present = members
  const wordsOf = (service: string): string =>
    present
      .filter(({ name }) => name.split('/')[1] === service)
      .map(({ name }) => table[slots.slotOf(name)!]!)
      .join(' ')
  let words = new Map<string, number>()
  /** By service and its word: what a thread that looked last under that word has kept. */
  const kept = new Map<string, string>()
  let stores = 0
  Object.assign(Atomics, {
    store(array: Int32Array, index: number, value: number): number {
      const stored = store(array, index, value)
      if (array !== table) return stored
      stores++
      for (const [service, word] of words) {
        const key = `${word} ${table[word]}`
        if (!kept.has(key)) kept.set(key, wordsOf(service))
      }
      return stored
    },
  })
  const memory = new MemoryStore(3_600_000)
  const health = new NodeHealth({ table, store: memory })
  await health.start()
  const left: number[] = []
  const adopt = (generation: number): void => {
    // as the node does: threads at the World before may have other members, so the words are others
    for (const word of words.values()) left.push(word)
    words = new Map(SERVICES.map((service, i) => [service, HEALTH_SLOTS + 2 * generation + i]))
    const names = present.map(({ name }) => name)
    health.adopt(spec(...present), slots.assign(names, generation)!, '', words)
  }
  adopt(1)
  const writer = memory.proberWriter({ name: 'eu-1', region: 'eu', bootId: 'boot' })
  for (let step = 0; step < 150; step++) {
    const one = present[random(present.length)]!
    const turn = random(12)
    if (turn < 2) {
      const action = (['drain', 'up', 'down', 'undone'] as const)[random(4)]!
      health.override({ pattern: one.name, action, forMs: undefined, who: 'test', why: '', yes: true })
    } else if (turn === 2) {
      present = members.filter(() => random(4) > 0)
      if (SERVICES.some((service) => !present.some(({ name }) => name.includes(`/${service}/`)))) present = members
      adopt(step + 2)
    } else await writer.change(vote(one.targets[0]!, random(5) > 0 ? 'down' : 'up'))
    for (const [service, word] of words) {
      expect(table[word], service).not.toBe(UNWATCHED)
      expect(kept.get(`${word} ${table[word]}`) ?? wordsOf(service), service).toBe(wordsOf(service))
    }
    for (const word of left) expect(table[word]).toBe(UNWATCHED)
  }
  expect(stores).toBeGreaterThan(60)
  await health.stop()
})
