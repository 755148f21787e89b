/**
 * A name that is steered for A and for AAAA apart: by two dynamic records, by a GSLB and a dynamic record, or for one of them
 * while the other is static. Which types it has never depends on health, and what is negative lives as briefly as the
 * shorter of the two.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeEach, expect, test } from 'vitest'
import { explain } from '../../src/explain/explain.ts'
import { DOWN, healthWord, UP } from '../../src/health/table.ts'
import { loadFolder } from '../../src/load/load.ts'
import { makeAsk, memory } from '../support/ask.ts'
import { CLIENTS } from '../support/mmdb.ts'
import { recordsOf } from '../support/records.ts'
import { makeNode } from './fixture.ts'

const dynamic = (type: string, ttl: number, eu: string, na: string, value: string): string =>
  `{type: ${type}, ttl: ${ttl}, value: "${value}", dynamic: {pools: {eu: {values: [{value: "${eu}"}]}, na: {values: [{value: "${na}"}]}}, rules: [{geos: [EU], pool: eu}, {pool: na}]}}`
const A = dynamic('A', 30, '192.0.2.1', '192.0.2.2', '192.0.2.80')
const AAAA = dynamic('AAAA', 20, '2001:db8::1', '2001:db8::2', '2001:db8::80')
const ZONES = {
  'defaults.yaml': 'soa: {mname: ns1.example.net., rname: hostmaster.example.net., serial: 7, minimum: 300}\n',
  'sites.yaml': 'fra: {location: [50.11, 8.68]}\n',
  'services.yaml': `web: {sites: {fra: {vips: [192.0.2.10, "2001:db8:1::10"]}}, check: none, ttl: {max: 90, min: 40}}
gone: {sites: {fra: {vips: [192.0.2.50]}}, check: none, ttl: {max: 90, min: 40}, lastResort: nodata}
`,
  'example.com.yaml': `"":
  - {type: NS, values: [ns1.example.net.]}
  - ${AAAA}
  - ${A}
both: [${A}, ${AAAA}, {type: TXT, value: text}]
four: [${A}, {type: AAAA, ttl: 600, value: "2001:db8::99"}]
gslb: [${AAAA}, {type: GSLB, service: web, types: [A]}]
gone: [{type: GSLB, service: gone, types: [A]}, {type: AAAA, value: "2001:db8::99"}]
short: [{type: GSLB, service: gone, types: [A]}, ${AAAA}]
alias: {type: CNAME, value: both.example.com.}
"*.wild": [${A}, ${AAAA}]
`,
}
const node = await makeNode(ZONES)
const ask = makeAsk(memory(node.responder))
const soa = (ttl: number): string =>
  `example.com. ${ttl} IN SOA ns1.example.net. hostmaster.example.net. 7 7200 900 1209600 300`
const { v4, v6 } = CLIENTS.paris

function kill(pattern: RegExp): void {
  for (const member of node.slots.keys()) if (pattern.test(member)) node.set(member, healthWord(DOWN, 1000, true))
}

beforeEach(() => {
  for (const member of node.slots.keys()) node.set(member, healthWord(UP, 1000, true))
})

test.each(['both', 'q.wild', ''])('two dynamic records: each answers for its type (%s)', async (label) => {
  const name = label === '' ? 'example.com' : `${label}.example.com`
  for (const from of [v4, v6]) {
    await ask({ q: `${name} A`, from, rcode: 'NOERROR', aa: true, answer: [`${name}. 30 IN A 192.0.2.1`] })
    await ask({ q: `${name} AAAA`, from, rcode: 'NOERROR', aa: true, answer: [`${name}. 20 IN AAAA 2001:db8::1`] })
  }
  const from = CLIENTS.tokyo.v4
  await ask({ q: `${name} A`, from, rcode: 'NOERROR', answer: [`${name}. 30 IN A 192.0.2.2`] })
  await ask({ q: `${name} AAAA`, from, rcode: 'NOERROR', answer: [`${name}. 20 IN AAAA 2001:db8::2`] })
  await ask({ q: `${name} MX`, rcode: 'NOERROR', aa: true, answer: [], authority: [soa(20)] })
  await ask({ q: `${name} ANY`, rcode: 'NOERROR', answer: [`${name}. 3600 IN HINFO "RFC8482" ""`] })
})

test('the health of the one says nothing of the other', async () => {
  kill(/both\.example\.com:A\//)
  await ask({ q: 'both.example.com A', from: v4, rcode: 'NOERROR', answer: ['both.example.com. 30 IN A 192.0.2.80'] })
  await ask({
    q: 'both.example.com AAAA',
    from: v4,
    rcode: 'NOERROR',
    answer: ['both.example.com. 20 IN AAAA 2001:db8::1'],
  })
  await ask({ q: 'both.example.com TXT', rcode: 'NOERROR', answer: ['both.example.com. 3600 IN TXT "text"'] })
})

test('steered for A, static for AAAA: that has the whole world for its scope', async () => {
  const ecs = '82.64.1.0/24'
  const { edns } = await ask({
    q: 'four.example.com A',
    ecs,
    rcode: 'NOERROR',
    answer: ['four.example.com. 30 IN A 192.0.2.1'],
  })
  expect(edns!.ecs!.scope).toBeGreaterThan(0)
  const answer = ['four.example.com. 600 IN AAAA 2001:db8::99']
  await ask({ q: 'four.example.com AAAA', ecs, rcode: 'NOERROR', answer, scope: 0 })
})

test('a service for A, a dynamic record for AAAA: each with its TTL', async () => {
  await ask({ q: 'gslb.example.com A', from: v4, rcode: 'NOERROR', answer: ['gslb.example.com. 90 IN A 192.0.2.10'] })
  await ask({
    q: 'gslb.example.com AAAA',
    from: v4,
    rcode: 'NOERROR',
    answer: ['gslb.example.com. 20 IN AAAA 2001:db8::1'],
  })
  await ask({ q: 'gslb.example.com MX', rcode: 'NOERROR', answer: [], authority: [soa(20)] })
})

test('NODATA lives as briefly as the least of the name’s services says, whichever type was asked for', async () => {
  kill(/\/gone\//)
  await ask({ q: 'gone.example.com A', from: v4, rcode: 'NOERROR', answer: [], authority: [soa(40)] })
  await ask({
    q: 'gone.example.com AAAA',
    from: v4,
    rcode: 'NOERROR',
    answer: ['gone.example.com. 3600 IN AAAA 2001:db8::99'],
  })
  await ask({ q: 'short.example.com A', from: v4, rcode: 'NOERROR', answer: [], authority: [soa(20)] })
})

test('a CNAME to it stands alone', async () => {
  for (const type of ['A', 'AAAA', 'TXT']) {
    await ask({
      q: `alias.example.com ${type}`,
      rcode: 'NOERROR',
      answer: ['alias.example.com. 3600 IN CNAME both.example.com.'],
    })
  }
})

test('explain tells the service that answers for the type', () => {
  const { world, context } = node.made
  for (const [type, service] of [
    ['A', 'both.example.com:A'],
    ['AAAA', 'both.example.com:AAAA'],
  ] as const) {
    const told = explain(world, node.health, context, { name: 'both.example.com', client: v4, type, down: [] })
    expect(told).toMatchObject({ steering: { service, pick: 'eu', fence: true, place: { country: 'FR' } } })
    const down = explain(world, node.health, context, { name: 'both.example.com', client: v4, type, down: ['eu'] })
    expect(down).toMatchObject({ steering: { service, pick: null, lastResort: true } })
  }
})

test('the packed zone holds both entries, each with its own type', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'meridian-two-'))
  try {
    for (const [name, text] of Object.entries(ZONES)) writeFileSync(join(folder, name), text)
    const { model } = await loadFolder(folder)
    const steered = [...recordsOf(model!.zones[0]!)].flatMap((record) => record.steered ?? [])
    expect(steered.filter(({ service }) => service.startsWith('both.'))).toEqual([
      { service: 'both.example.com:A', types: 1, ttlSeconds: 0 },
      { service: 'both.example.com:AAAA', types: 2, ttlSeconds: 0 },
    ])
  } finally {
    rmSync(folder, { recursive: true })
  }
})
