/** A client whose country is known but whose coordinates are not is not fenced by its resolver's rule. */
import { expect, test } from 'vitest'
import { explain } from '../../src/explain/explain.ts'
import { CLIENTS, FIXTURE } from '../support/mmdb.ts'
import { makeNode } from './fixture.ts'

test('codes without coordinates: the service’s listed order, whoever resolves', async () => {
  const bare = FIXTURE.find(({ latitude, country }) => latitude === undefined && country !== '')!
  const node = await makeNode({
    'defaults.yaml': 'soa: {mname: ns1.example.net., rname: h.example.net., serial: 1}\n',
    'sites.yaml': 'fra: {location: [50.11, 8.68]}\nsin: {location: [1.36, 103.99]}\n',
    'services.yaml': `web:
  sites: {fra: {vips: [192.0.2.1]}, sin: {vips: [192.0.2.2]}}
  check: none
  rules: [{geos: [AS-JP], order: [sin], only: true}]
`,
    'example.com.yaml': '"": {type: NS, value: ns1.example.net.}\nwww: {type: GSLB, service: web}\n',
  })
  const client = bare.prefix.split('/')[0]!
  const told = explain(node.made.world, node.health, node.made.context, {
    name: 'www.example.com',
    client,
    type: 'A',
    down: [],
  })
  if (typeof told === 'string') throw new Error(told)
  expect(told.steering!.class).not.toBe(0)
  expect(told.steering).toMatchObject({ rule: null, fence: false, pick: 'fra' })
})

test.each(['nearest', '[fra, sin]'])(
  'order %s, rules by subnet alone: a client who is known has not his resolver’s rule',
  async (order) => {
    const [located, resolver] = FIXTURE.filter(
      ({ prefix, latitude }) => latitude !== undefined && !prefix.includes(':'),
    )
    const bare = FIXTURE.find(({ latitude, country }) => latitude === undefined && country !== '')!
    const node = await makeNode({
      'defaults.yaml': 'soa: {mname: ns1.example.net., rname: h.example.net., serial: 1}\n',
      'sites.yaml': 'fra: {location: [50.11, 8.68]}\nsin: {location: [1.36, 103.99]}\n',
      'services.yaml': `web:
  sites: {fra: {vips: [192.0.2.1]}, sin: {vips: [192.0.2.2]}}
  check: none
  order: ${order}
  rules: [{subnets: [${resolver!.prefix}], order: [sin], only: true}]
`,
      'example.com.yaml': '"": {type: NS, value: ns1.example.net.}\nwww: {type: GSLB, service: web}\n',
    })
    const ruleFor = (client: string): string | null => {
      const question = {
        name: 'www.example.com',
        client,
        resolver: resolver!.prefix.split('/')[0]!,
        type: 'A',
        down: [],
      }
      const told = explain(node.made.world, node.health, node.made.context, question)
      if (typeof told === 'string') throw new Error(told)
      return told.steering!.rule
    }
    expect(ruleFor(`${located!.prefix.split('/')[0]!}/24`)).toBeNull()
    expect(ruleFor(`${bare.prefix.split('/')[0]!}/24`)).toBeNull()
    expect(ruleFor(`${CLIENTS.nowhere.v4}/32`), 'whom nobody can place').not.toBeNull()
  },
)
