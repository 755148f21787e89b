/** `explain` says what the wire says, and why. */
import { beforeAll, expect, test } from 'vitest'
import { respond } from '../../src/answer/answer.ts'
import { makeRequest } from '../../src/answer/responder.ts'
import { decodeMessage, encodeQuery, formatRr } from '../../src/dns/message.ts'
import { isFault } from '../../src/dns/name.ts'
import { explain, type Explanation } from '../../src/explain/explain.ts'
import { DOWN, FORCED_DOWN, healthWord, UNPROVEN, UP, type HealthState } from '../../src/health/table.ts'
import { makeNode, seeded, type TestNode } from '../answer/fixture.ts'
import { CLIENTS } from '../support/mmdb.ts'

let node: TestNode

beforeAll(async () => {
  node = await makeNode({
    'defaults.yaml': 'soa: {mname: ns1.example.net., rname: hostmaster.example.net., serial: 7, minimum: 60}\n',
    'sites.yaml': `fra: {location: [50.11, 8.68], region: eu}
iad: {location: [38.95, -77.45], region: us}
sin: {location: [1.36, 103.99], region: ap}
`,
    'services.yaml': `web:
  sites:
    fra: {vips: [192.0.2.10, "2001:db8:1::10"], weight: 100}
    iad: {vips: [192.0.2.20], weight: 50}
    sin: {vips: [192.0.2.30, "2001:db8:3::10"]}
  order: nearest
  spread: 7000km
  check: none
  rules:
    - {geos: [AS-JP], order: [sin], only: true}
`,
    'example.com.yaml': `"": {type: NS, values: [ns1.example.net.]}
www: {type: GSLB, service: web, types: [A]}
static: {type: A, values: [192.0.2.80]}
`,
  })
})

const ask = (name: string, client: string, down: readonly string[] = [], chance = 0): Explanation => {
  const told = explain(node.made.world, node.health, node.made.context, { name, client, type: 'A', down, chance })
  if (typeof told === 'string') throw new Error(told)
  return told
}

/** What the wire says to the same client. */
function wire(
  name: string,
  client: string,
  chance: number,
): { readonly answer: readonly string[]; readonly scope: number } {
  const bits = client.includes(':') ? 128 : 32
  const query = encodeQuery({ name: `${name}.`, type: 'A', edns: { payload: 1232, ecs: `${client}/${bits}` } })
  const out = new Uint8Array(4096)
  node.responder.chance = chance
  const size = respond(
    node.responder,
    makeRequest({ input: query, client: Uint8Array.of(127, 0, 0, 1), output: out, room: 4096 }),
  )
  const message = decodeMessage(out.subarray(0, size))
  if (isFault(message)) throw new Error(message.fault)
  return { answer: message.answer.map(formatRr), scope: message.edns!.ecs!.scope }
}

const states: readonly HealthState[] = [UP, UP, DOWN, UNPROVEN]

test('answer, scope and pick agree with the wire, whatever client and health', () => {
  const random = seeded(11)
  const clients = Object.values(CLIENTS).flatMap((city) => Object.values(city))
  for (let i = 0; i < 2000; i++) {
    for (const slot of node.slots.values()) node.health[slot] = healthWord(states[random() % 4]!, 1000, false)
    const client = clients[random() % clients.length]!
    const chance = random()
    const told = ask('www.example.com', client, [], chance)
    const got = wire('www.example.com', client, chance)
    expect({ answer: told.answer, scope: told.scope }).toEqual(got)
    const picked = told.steering!.sites.find(({ site }) => site === told.steering!.pick)
    for (const rr of told.answer) expect(picked!.vips.map(({ address }) => address)).toContain(rr.split(' ').at(-1))
  }
})

test('tells place, rule, distances and the walk', () => {
  for (const slot of node.slots.values()) node.health[slot] = healthWord(UP, 1000, true)
  const paris = ask('www.example.com', CLIENTS.paris.v4)
  expect(paris.steering).toMatchObject({
    service: 'web',
    place: { continent: 'EU', country: 'FR' },
    rule: null,
    fence: false,
    stage: 'up',
    hashed: true,
    calm: true,
  })
  expect(paris.ttl).toMatchObject({ seconds: 60, from: 'max', maxSeconds: 60, minSeconds: 15, capSeconds: null })
  expect(paris.steering!.sites.map(({ site, group }) => [site, group])).toEqual([
    ['fra', 1],
    ['iad', 1],
    ['sin', 2],
  ])
  const [fra] = paris.steering!.sites
  expect(fra!.distanceKm).toBeGreaterThan(440)
  expect(fra!.distanceKm).toBeLessThan(500)
  const tokyo = ask('www.example.com', CLIENTS.tokyo.v4)
  expect(tokyo.steering).toMatchObject({ rule: expect.stringMatching(/services\.yaml:10$/), fence: true, pick: 'sin' })
})

test('--down asks what would be, and changes nothing', () => {
  for (const slot of node.slots.values()) node.health[slot] = healthWord(UP, 1000, true)
  const before = wire('www.example.com', CLIENTS.paris.v4, 0)
  expect(ask('www.example.com', CLIENTS.paris.v4, ['fra', 'iad']).steering!.pick).toBe('sin')
  expect(wire('www.example.com', CLIENTS.paris.v4, 0)).toEqual(before)
})

test('--drain takes for drained what is up, and leaves what is down or forced down', () => {
  for (const slot of node.slots.values()) node.health[slot] = healthWord(UP, 700, true)
  node.set('iad/web/192.0.2.20', healthWord(FORCED_DOWN, 1000, false))
  node.set('sin/web/192.0.2.30', healthWord(DOWN, 1000, true))
  const question = {
    name: 'www.example.com',
    client: CLIENTS.paris.v4,
    type: 'A',
    down: [],
    drain: ['fra', 'iad', 'sin'],
  }
  const told = explain(node.made.world, node.health, node.made.context, question)
  if (typeof told === 'string') throw new Error(told)
  const found = told.steering!.sites.map(({ site, vips }) => [site, vips.map(({ state, calm }) => `${state} ${calm}`)])
  expect(Object.fromEntries(found)).toEqual({
    fra: ['drained false', 'drained false'],
    iad: ['forced down false'],
    sin: ['down true', 'drained false'],
  })
  expect(told).toMatchObject({ ttl: { from: 'min' }, steering: { pick: 'fra', stage: 'drained' } })
})

test('a static name has no steering, and a wrong question is told', () => {
  expect(ask('static.example.com', CLIENTS.paris.v4)).toMatchObject({
    rcode: 'NOERROR',
    scope: 0,
    answer: ['static.example.com. 3600 IN A 192.0.2.80'],
  })
  expect(ask('static.example.com', CLIENTS.paris.v4)).not.toHaveProperty('steering')
  const wrong = { name: 'www.example.com', client: 'nobody', type: 'A', down: [] }
  const told = (question: object) => explain(node.made.world, node.health, node.made.context, { ...wrong, ...question })
  expect(told({})).toMatch(/“nobody” is no IP address/)
  expect(told({ client: '192.0.2.1', name: 'a..b' })).toMatch(/a\.\.b/)
  expect(told({ client: '192.0.2.1', type: 'WHAT' })).toMatch(/“WHAT” is no record type/)
  expect(told({ client: '192.0.2.1', down: ['ams'] })).toMatch(/no such site: ams; sites: fra, iad, sin/)
})
