/** What is counted of steered answers: service, site and stage, each answer once; and what is counted of others: nothing. */
import { beforeEach, expect, test } from 'vitest'
import { ANSWER_STAGES, AnswerCells, C_ANSWERS } from '../../src/counters.ts'
import { DOWN, DRAINED, healthWord, RECOVERED, UNPROVEN, UP, type HealthState } from '../../src/health/table.ts'
import { makeAsk, memory } from '../support/ask.ts'
import { CLIENTS } from '../support/mmdb.ts'
import { makeNode } from './fixture.ts'

const sites = '{fra: {vips: [192.0.2.1]}, iad: {vips: [192.0.2.2]}, sin: {vips: [192.0.2.3], weight: 0}}'
const node = await makeNode({
  'defaults.yaml': 'soa: {mname: ns1.example.net., rname: hostmaster.example.net., serial: 7, minimum: 60}\n',
  'sites.yaml': 'fra: {location: [50.11, 8.68]}\niad: {location: [38.95, -77.45]}\nsin: {location: [1.36, 103.99]}\n',
  'services.yaml': `
web: {sites: ${sites}, check: none, order: nearest}
pair: {sites: {fra: {vips: [192.0.2.5, 192.0.2.6]}}, minVips: 2, check: none}
page: {sites: {fra: {vips: [192.0.2.7]}}, check: none, lastResort: {values: [192.0.2.99]}}
gone: {sites: {fra: {vips: [192.0.2.8]}}, check: none, lastResort: nodata}
names: {sites: {fra: {vips: [{name: fra.cdn.example.}]}}, check: none, lastResort: {name: sorry.cdn.example.}}
`,
  'example.com.yaml': `
'': {type: NS, values: [ns1.example.net.]}
static: {type: A, value: 192.0.2.50}
names: {type: GSLB, service: names}
${['web', 'pair', 'page', 'gone'].map((name) => `${name}: [{type: GSLB, service: ${name}}, {type: HTTPS, hints: ${name}, value: {svcpriority: 1, targetname: .}}]`).join('\n')}
`,
})
const ask = makeAsk(memory(node.responder))
const cells = new AnswerCells()
for (const { name, siteNames, counter } of node.made.world.services) {
  for (const [i, site] of [...siteNames, ''].entries()) counter[i] = cells.cellOf(name, site)
}

function become(state: HealthState, ...members: readonly string[]): void {
  for (const member of members) node.set(member, healthWord(state, 1000, true))
}

beforeEach(() => become(UP, ...node.slots.keys()))

/** The answers that a query adds, as `service/site stage`; in all cells that answers have. */
async function counted(q: string, from: string = CLIENTS.paris.v4): Promise<string[]> {
  const { counters } = node.responder
  const before = counters.slice(C_ANSWERS)
  await ask({ q, from, rcode: 'NOERROR' })
  return [...cells.pairs()].flatMap(({ service, site, cell }) =>
    ANSWER_STAGES.flatMap((stage, i) => {
      const times = counters[cell + i]! - before[cell + i - C_ANSWERS]!
      return Array.from({ length: times }, () => `${service}/${site} ${stage}`)
    }),
  )
}

const [FRA, IAD, SIN] = ['fra/web/192.0.2.1', 'iad/web/192.0.2.2', 'sin/web/192.0.2.3'] as const

test.each<readonly [string, string, () => void]>([
  ['all well', 'web/fra nearest', () => {}],
  ['the nearest is dead', 'web/iad spill', () => become(DOWN, FRA)],
  ['the nearest is drained', 'web/iad spill', () => become(DRAINED, FRA)],
  ['the nearest admits nobody', 'web/iad spill', () => node.set(FRA, healthWord(UP, 0, true))],
  ['only the one without weight is up', 'web/sin weight 0', () => become(DOWN, FRA, IAD)],
  ['one is passed over', 'web/iad recovered', () => (become(DOWN, FRA, SIN), become(RECOVERED, IAD))],
  ['one was never up', 'web/iad unproven', () => (become(DOWN, FRA, SIN), become(UNPROVEN, IAD))],
  ['one is drained', 'web/fra drained', () => (become(DOWN, IAD, SIN), become(DRAINED, FRA))],
  ['all are dead', 'web/fra last resort', () => become(DOWN, FRA, IAD, SIN)],
])('%s: %s', async (_, answer, arrange) => {
  arrange()
  expect(await counted('web.example.com A')).toEqual([answer])
  expect(await counted('web.example.com HTTPS')).toEqual([answer])
})

test('elsewhere the first site of the order is another one', async () => {
  expect(await counted('web.example.com A', CLIENTS.newYork.v4)).toEqual(['web/iad nearest'])
})

test('below minVips', async () => {
  become(DOWN, 'fra/pair/192.0.2.5')
  expect(await counted('pair.example.com A')).toEqual(['pair/fra below minVips'])
})

test('a last resort that names no site is the service’s', async () => {
  become(DOWN, 'fra/page/192.0.2.7', 'fra/names/fra.cdn.example.')
  expect(await counted('page.example.com A')).toEqual(['page/ last resort'])
  expect(await counted('page.example.com HTTPS')).toEqual(['page/ last resort'])
  expect(await counted('names.example.com A')).toEqual(['names/ last resort'])
})

test('an answer of names is counted as one of addresses', async () => {
  expect(await counted('names.example.com A')).toEqual(['names/fra nearest'])
})

test('what has no steered answer is not counted', async () => {
  become(DOWN, 'fra/gone/192.0.2.8')
  expect(await counted('gone.example.com A')).toEqual([]) // NODATA
  expect(await counted('web.example.com AAAA')).toEqual([])
  expect(await counted('static.example.com A')).toEqual([])
})
