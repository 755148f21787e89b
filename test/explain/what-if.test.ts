/** What explain's --down and --drain suppose is what comes of it: the same node, then really told so by probers and operators. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { assume } from '../../src/explain/what-if.ts'
import type { ProberWriter } from '../../src/health/store.ts'
import { shareOf, stateOf } from '../../src/health/table.ts'
import { seeded } from '../answer/fixture.ts'
import { vote } from '../support/specs.ts'
import { type Rig, SERVICES, SITES, startRig } from './rig.ts'

let rig: Rig
let writers: ProberWriter[]
beforeAll(async () => {
  rig = await startRig({ real: true })
  writers = ['eu-1', 'us-1', 'ap-1'].map((name) =>
    rig.store.proberWriter({ name, region: name.slice(0, 2), bootId: name }),
  )
  for (const writer of writers) await writer.replace(rig.made.plan.targets.map(({ id }) => vote(id, 'up')))
})
afterAll(() => rig.stop())

const CHECKED = ['near', 'spread', 'listed']

/** States and shares by member; calm is a matter of what comes before. */
const wordsIn = (table: Int32Array): Record<string, string> =>
  Object.fromEntries(
    [...rig.slots].map(([member, slot]) => [member, `${stateOf(table[slot]!)} ${shareOf(table[slot]!)}`]),
  )

const suppose = (down: readonly string[], drain: readonly string[]) => {
  const { world, context } = rig.made
  const assumed = assume(world, rig.table, context, { down, drain }, (service) => rig.health!.service(service))
  if (typeof assumed === 'string') throw new Error(assumed)
  return assumed
}

test('drained and down, under overrides, drains and brakes of every kind', async () => {
  const random = seeded(61)
  const one = <T>(list: readonly T[]): T => list[random() % list.length]!
  const health = rig.health!
  const { members, targets } = rig.made.plan
  const tell = (pattern: string, action: 'drain' | 'shift' | 'up' | 'down' | 'undone'): unknown => {
    const shift = action === 'shift' ? { shift: { to: random() % 1000, overMs: 0 } } : {}
    return health.override({ pattern, action, ...shift, forMs: undefined, who: 'kim', why: 'test', yes: true })
  }
  const seen = { braked: 0, drained: 0, down: 0, forced: 0 }
  for (let i = 0; i < 1000; i++) {
    // some state to begin with
    for (const { id } of targets) {
      const value = random() % 3 === 0 ? 'down' : 'up'
      for (const writer of writers) await writer.change(vote(id, value))
    }
    const service = one(CHECKED)
    const alone = { site: 'lhr', service: one(['near', 'spread']) }
    const vip = SERVICES[alone.service]!.sites[alone.site]!.vips[0]!
    const before =
      random() % 2 === 0
        ? `${alone.site}/${alone.service}/${vip}`
        : `${one(Object.keys(SERVICES[service]!.sites))}/${service}`
    tell(before, one(['drain', 'shift', 'up', 'down', 'undone'] as const))

    const site = one(Object.keys(SITES))
    const there = CHECKED.filter((name) => site in SERVICES[name]!.sites)
    const pattern = there.length === 0 || random() % 3 === 0 ? site : `${site}/${one(there)}`
    if (!members.some((member) => `${member.site}/${member.service}`.startsWith(pattern))) continue
    if (random() % 2 === 0) {
      const assumed = suppose([], [pattern])
      const standing = health.snapshot().members.filter(({ override }) => override !== undefined)
      // of one pattern there is one override: a drain would take its place
      if (standing.some((member) => member.override!.pattern === pattern)) continue
      tell(pattern, 'drain')
      expect(wordsIn(assumed.health), `drain ${pattern}`).toEqual(wordsIn(rig.table))
      tell(pattern, 'undone')
      seen.drained += [...assumed.of.values()].filter((what) => what === 'drained').length
      seen.forced += standing.length
    } else {
      const down = there.map((name) => `${site}/${name}`).filter((name) => name.startsWith(pattern))
      if (down.length === 0) continue
      const assumed = suppose(down, [])
      const hit = members.filter((member) => down.includes(`${member.site}/${member.service}`))
      for (const id of hit.flatMap((member) => member.targets)) {
        for (const writer of writers) await writer.change(vote(id, 'down'))
      }
      expect(wordsIn(assumed.health), `down ${down.join()}`).toEqual(wordsIn(rig.table))
      for (const what of assumed.of.values()) seen[what]++
    }
    tell(before, 'undone')
  }
  for (const count of Object.values(seen)) expect(count).toBeGreaterThan(20)
})

test('supposing changes nothing', () => {
  const before = wordsIn(rig.table)
  const { health } = suppose(['fra'], ['sin'])
  expect(wordsIn(health)).not.toEqual(before)
  expect(wordsIn(rig.table)).toEqual(before)
})
