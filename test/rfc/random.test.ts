/** Whole answers over random zones, against the naive reference: rcode, AA and all three sections. */
import { expect, test } from 'vitest'
import { makeNode } from '../answer/fixture.ts'
import { makeRandom } from '../fuzz/packets.ts'
import { makeAsk, memory } from '../support/ask.ts'
import { type Reply, randomName, randomZones, resolve, zoneYaml } from './reference.ts'

const DEFAULTS = 'soa: {mname: ns1.example.com., rname: hostmaster.example.com., serial: 7, minimum: 60}\nttl: 3600\n'
const TYPES = ['A', 'AAAA', 'TXT', 'MX', 'CNAME', 'NS', 'DS', 'DNAME', 'ANY']

test.each([1, 2, 3])('seed %i', async (seed) => {
  const random = makeRandom(seed)
  const zones = randomZones(random, 60)
  const files = zones.map((zone) => [`${zone.apex.slice(0, -1)}.yaml`, zoneYaml(zone)])
  const { responder } = await makeNode({ 'defaults.yaml': DEFAULTS, ...Object.fromEntries(files) })
  const ask = makeAsk(memory(responder, 'tcp'))
  const seen = new Map<string, number>()
  const count = (what: string): Map<string, number> => seen.set(what, (seen.get(what) ?? 0) + 1)
  for (const zone of zones) {
    const owners = zone.sets.flatMap(({ owner }) => [
      owner,
      `q.${owner}`,
      `a.${owner}`,
      owner.slice(owner.indexOf('.') + 1),
    ])
    const others = Array.from({ length: 20 }, () => randomName(random, zone.apex))
    for (const name of new Set([...owners, ...others])) {
      if (name === 'test.') continue
      const type = TYPES[random(TYPES.length)]!
      const reply = resolve(zones, name, type)
      if (reply === undefined) {
        count('loop')
        continue
      }
      count(kindOf(reply))
      // oxlint-disable-next-line no-await-in-loop -- in memory: nothing to wait for
      await ask({ q: `${name} ${type}`, ...reply })
    }
  }
  // the zones must be crowded enough to meet all of it
  for (const kind of ['answer', 'alias', 'redirect', 'referral', 'NODATA', 'NXDOMAIN'])
    expect(seen.get(kind), kind).toBeGreaterThan(20)
})

function kindOf(reply: Reply): string {
  if (reply.answer.some((line) => line.includes(' IN DNAME ')) && reply.answer.length > 1) return 'redirect'
  if (reply.answer.some((line) => line.includes(' IN CNAME '))) return 'alias'
  if (reply.answer.length > 0) return 'answer'
  if (!reply.aa) return 'referral'
  return reply.rcode === 'NOERROR' ? 'NODATA' : reply.rcode
}
