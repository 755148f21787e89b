/**
 * A client without a place borrows its resolver's: coordinates and geo rules, and nothing that is said of the resolver's
 * own address. A client whose country is known borrows nothing.
 */
import { describe, expect, test } from 'vitest'
import { explain } from '../../src/explain/explain.ts'
import type { Steering } from '../../src/explain/steering.ts'
import { CLIENTS, FIXTURE } from '../support/mmdb.ts'
import { makeNode, type TestNode } from './fixture.ts'

/** A node with sites fra and sin, in this order, and a service with these lines. */
const nodeWith = (...lines: readonly string[]): Promise<TestNode> =>
  makeNode({
    'defaults.yaml': 'soa: {mname: ns1.example.net., rname: h.example.net., serial: 1}\n',
    'sites.yaml': 'fra: {location: [50.11, 8.68]}\nsin: {location: [1.36, 103.99]}\n',
    'services.yaml': `web:
  sites: {fra: {vips: [192.0.2.1]}, sin: {vips: [192.0.2.2]}}
  check: none
${lines.map((line) => `  ${line}\n`).join('')}`,
    'example.com.yaml': '"": {type: NS, value: ns1.example.net.}\nwww: {type: GSLB, service: web}\n',
  })

/** How a client is steered, as the answer was made; the resolver's address is the client's unless given. */
function steeringOf(node: TestNode, client: string, resolver?: string): Steering {
  const question = { name: 'www.example.com', client, type: 'A', down: [], ...(resolver && { resolver }) }
  const told = explain(node.made.world, node.health, node.made.context, question)
  if (typeof told === 'string') throw new Error(told)
  return told.steering!
}

const addressIn = (prefix: string): string => prefix.split('/')[0]!
const bare = FIXTURE.find(({ latitude, country }) => latitude === undefined && country !== '')!

test('codes without coordinates: the service’s listed order, whoever resolves', async () => {
  const node = await nodeWith('rules: [{geos: [AS-JP], order: [sin], only: true}]')
  const steering = steeringOf(node, addressIn(bare.prefix), CLIENTS.tokyo.v4)
  expect(steering.class).not.toBe(0)
  expect(steering).toMatchObject({ rule: null, fence: false, pick: 'fra' })
})

describe.each(['nearest', '[fra, sin]'])('order %s', (order) => {
  const { paris, tokyo, nowhere } = CLIENTS
  const embedded = '::ffff:126.1.1.1'

  test.each([
    ['subnet', `{subnets: [126.0.0.0/8, "2400:2000::/20", 127.0.0.0/8], order: [sin], only: true}`],
    ['AS number', '{asns: [64500], order: [sin], only: true}'],
  ])('a rule by %s speaks of the client, never of its resolver', async (_, rule) => {
    const node = await nodeWith(`order: ${order}`, `rules: [${rule}]`)
    const fenced = rule.includes('asns')
      ? [paris.v4, paris.v6, '::ffff:82.64.1.1']
      : [tokyo.v4, tokyo.v6, embedded, '127.0.0.1']
    for (const resolver of fenced) {
      expect(steeringOf(node, resolver), `${resolver} itself`).toMatchObject({ fence: true, pick: 'sin' })
      for (const client of [`${nowhere.v4}/32`, `${nowhere.v6}/56`, `${addressIn(bare.prefix)}/24`]) {
        // 198.51.100.0/24 has AS 64500 itself
        if (rule.includes('asns') && client.startsWith(nowhere.v4)) continue
        expect(steeringOf(node, client, resolver), `${client} by ${resolver}`).toMatchObject({
          rule: null,
          matched: null,
          fence: false,
        })
      }
    }
  })

  test('the resolver’s place counts, though a rule by its subnet stands before it', async () => {
    const rules = '[{subnets: [126.0.0.0/8], geos: [EU-GB], order: [fra]}, {geos: [AS-JP], order: [sin], only: true}]'
    const node = await nodeWith(`order: ${order}`, `rules: ${rules}`)
    expect(steeringOf(node, tokyo.v4)).toMatchObject({ matched: { by: 'subnet' }, pick: 'fra' })
    expect(steeringOf(node, `${nowhere.v4}/32`, tokyo.v4)).toMatchObject({
      place: { of: 'resolver', country: 'JP' },
      matched: { by: 'geo', text: 'AS-JP' },
      fence: true,
      pick: 'sin',
    })
  })

  test('a rule with both keys matches by the borrowed place, and explain says so', async () => {
    const node = await nodeWith(`order: ${order}`, 'rules: [{subnets: [126.0.0.0/8], geos: [AS], order: [sin]}]')
    const steering = steeringOf(node, `${nowhere.v4}/32`, tokyo.v4)
    expect(steering).toMatchObject({ matched: { by: 'geo', text: 'AS' }, pick: 'sin' })
  })
})

test('a client that a rule by its own subnet holds borrows nothing: what follows its sites is the same by any resolver', async () => {
  const { nowhere, paris, tokyo } = CLIENTS
  const client = `${nowhere.v4}/32`
  const node = await nodeWith(`rules: [{subnets: [${client}], order: [sin]}]`)
  const [first, ...others] = [undefined, paris.v4, tokyo.v4].map((resolver) => steeringOf(node, client, resolver))
  expect(first).toMatchObject({ matched: { by: 'subnet' }, place: { latitude: null }, pick: 'sin' })
  for (const other of others) expect(other).toMatchObject({ place: { latitude: null }, class: first!.class })
})

test('two addresses of one resolver, one of them in a fence, give a client the same answer', async () => {
  const node = await nodeWith('rules: [{subnets: [127.0.0.0/8], order: [sin], only: true}]')
  const picks = ['127.0.0.1', '::1'].map((resolver) => steeringOf(node, `${CLIENTS.nowhere.v4}/32`, resolver).pick)
  expect(picks).toEqual(['fra', 'fra'])
})
