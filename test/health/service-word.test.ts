/**
 * A service's own word says which families' members are all down, so that queries need not ask them all. Threads may look at any
 * moment, so it is checked behind every single store: what it says must be true, and in the end it says all there is to say.
 */
import { afterEach, expect, test } from 'vitest'
import { MemoryStore } from '../../src/health/memory.ts'
import { NodeHealth } from '../../src/health/node.ts'
import { DOWN_V4, DOWN_V6, HEALTH_SLOTS, isDown, makeHealthTable, SlotRegistry } from '../../src/health/table.ts'
import { makeRandom } from '../fuzz/packets.ts'
import { member, plan, vote } from './plans.ts'

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

test.each([1, 2, 3])('seed %i: no word of a service is ever untrue', async (seed) => {
  const random = makeRandom(seed)
  const table = makeHealthTable()
  const slots = new SlotRegistry()
  /** Members of the plan that the node has now. */
  let present = members
  const truth = (service: string, among = present): number => {
    let down = DOWN_V4 | DOWN_V6
    for (const { name, address } of among) {
      if (name.split('/')[1] !== service || isDown(table[slots.slotOf(name)!]!)) continue
      down &= address.includes(':') ? DOWN_V4 : DOWN_V6
    }
    return down
  }
  let words = new Map<string, number>()
  /** Those before: threads may still look at them. */
  const earlier: { readonly words: typeof words; readonly present: typeof present }[] = []
  let stores = 0
  const check = (): void => {
    stores++
    for (const [service, word] of words)
      expect(table[word]! & ~truth(service), `${service} after store ${stores}`).toBe(0)
    for (const world of earlier)
      for (const [service, word] of world.words)
        expect(table[word]! & ~truth(service, world.present), `${service} of before, after store ${stores}`).toBe(0)
  }
  Object.assign(Atomics, {
    store(array: Int32Array, index: number, value: number): number {
      const stored = store(array, index, value)
      if (array === table) check()
      return stored
    },
  })
  const memory = new MemoryStore(3_600_000)
  const health = new NodeHealth({ table, store: memory })
  await health.start()
  const adopt = (generation: number): void => {
    // as the node does: threads at the World before may have other members, so the words are others
    words = new Map(SERVICES.map((service, i) => [service, HEALTH_SLOTS + 2 * generation + i]))
    const names = present.map(({ name }) => name)
    health.adopt(plan(...present), slots.assign(names, generation)!, '', words)
  }
  adopt(1)
  const board = memory.board({ name: 'eu-1', region: 'eu', bootId: 'boot' })
  let allDown = 0
  for (let step = 0; step < 150; step++) {
    const one = present[random(present.length)]!
    const turn = random(12)
    if (turn < 2) {
      const action = (['drain', 'up', 'down', 'undone'] as const)[random(4)]!
      health.override({ pattern: one.name, action, forMs: undefined, who: 'test', why: '', yes: true })
    } else if (turn === 2) {
      earlier.push({ words, present })
      present = members.filter(() => random(4) > 0)
      if (SERVICES.some((service) => !present.some(({ name }) => name.includes(`/${service}/`)))) present = members
      adopt(step + 2)
    } else await board.change(vote(one.targets[0]!, random(5) > 0 ? 'down' : 'up'))
    for (const service of SERVICES) {
      expect(table[words.get(service)!]!, service).toBe(truth(service))
      if (truth(service) === (DOWN_V4 | DOWN_V6)) allDown++
    }
  }
  expect(stores).toBeGreaterThan(150)
  expect(allDown).toBeGreaterThan(0)
  await health.stop()
})
