/**
 * What a plan says against what the server answers: a reference asks respond() itself, before and after, once in every
 * network in which neither the databases nor the rules change their mind, and adds up.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { respond } from '../../src/answer/answer.ts'
import { makeRequest, makeResponder, TCP } from '../../src/answer/responder.ts'
import { makeCounters } from '../../src/counters.ts'
import { formatAddress, parsePrefix, type Prefix } from '../../src/dns/address.ts'
import { decodeMessage, encodeQuery } from '../../src/dns/message.ts'
import { isFault } from '../../src/dns/name.ts'
import { planInMarkdown } from '../../src/cli/words/plan-markdown.ts'
import { planInText } from '../../src/cli/words/plan-text.ts'
import { makePlan, type Plan, type PlanOptions, type PlanSide } from '../../src/plan/plan.ts'
import { allUp } from '../../src/policy/service.ts'
import { ClientCounts } from '../../src/traffic/flows.ts'
import type { MeasuredMoves } from '../../src/traffic/moves.ts'
import { makeBuilder } from '../../src/world/build.ts'
import { type GeoState, makeGeoState } from '../../src/world/databases.ts'
import { madeOf } from '../support/build.ts'
import { FIXTURE, type TestNetwork, writeTestDatabase } from '../support/mmdb.ts'

const folder = mkdtempSync(join(tmpdir(), 'meridian-plan-'))
afterAll(() => rmSync(folder, { recursive: true }))

const DEFAULTS = 'soa: {mname: ns1.demo.example., rname: h.demo.example., serial: 7}\nttl: 300\n'
const SITES = `fra: {location: [50.11, 8.68], region: eu, capacity: 300}
iad: {location: [38.95, -77.45], region: us, capacity: 200}
sin: {location: [1.36, 103.99], region: ap, capacity: 100}
gru: {location: [-23.43, -46.47], region: sa, capacity: 100}
`
const WEB = `web:
  sites:
    fra: {vips: [192.0.2.1, "2001:db8::1"]}
    iad: {vips: [192.0.2.2, "2001:db8::2"]}
    sin: {vips: [192.0.2.3]}
  check: none
`
const ZONE = `"":
  - {type: NS, values: [ns1.demo.example.]}
ns1: {type: A, values: [192.0.2.53]}
www: {type: GSLB, service: web}
static: {type: A, values: [192.0.2.80, 192.0.2.81]}
`
const OLD = { 'defaults.yaml': DEFAULTS, 'sites.yaml': SITES, 'services.yaml': WEB, 'demo.example.yaml': ZONE }
const MORE_GRU = WEB.replace('  check', '    gru: {vips: [192.0.2.4]}\n  check')

const city = join(folder, 'city.mmdb')
writeTestDatabase(city, { schema: 'maxmind' })
const geo = makeGeoState()
let sides = 0

async function load(files: Readonly<Record<string, string>>, database = city, on: GeoState = geo): Promise<PlanSide> {
  const zones = join(folder, String(sides++))
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(zones, name)), { recursive: true })
    writeFileSync(join(zones, name), text)
  }
  const builder = makeBuilder({ zones, city: database === '' ? [] : [database] }, undefined, on)
  return { name: zones, made: madeOf(await builder.build()), model: builder.model()! }
}

const ADDRESSES: PlanOptions = { weighing: { by: 'addresses' }, down: [], drain: [] }
const planOf = async (now: Readonly<Record<string, string>>, options: Partial<PlanOptions> = {}): Promise<Plan> =>
  makePlan(await load(OLD), await load({ ...OLD, ...now }), { ...ADDRESSES, ...options })

const prefixesOf = (networks: readonly TestNetwork[]): readonly Prefix[] =>
  networks.map(({ prefix }) => parsePrefix(prefix)!)

/** The address right behind a prefix; undefined at the end of the space. */
function behind({ bytes, bits }: Prefix): Uint8Array | undefined {
  const next = bytes.slice()
  for (let i = bits - 1; i >= 0; i--) {
    next[i >> 3]! ^= 128 >> (i & 7)
    if ((next[i >> 3]! & (128 >> (i & 7))) !== 0) return next
  }
  return undefined
}

const bigOf = (bytes: Uint8Array): bigint => BigInt(`0x${Buffer.from(bytes).toString('hex')}`)

interface Stretch {
  readonly bytes: Uint8Array
  readonly from: bigint
  readonly to: bigint
}

/** Stretches of the address space in which nothing changes. */
function stretches(prefixes: readonly Prefix[], family: 4 | 6): readonly Stretch[] {
  const own = prefixes.filter((prefix) => prefix.family === family)
  const starts = [new Uint8Array(family === 4 ? 4 : 16), ...own.flatMap((prefix) => [prefix.bytes, behind(prefix)!])]
  const distinct = [...new Map(starts.map((bytes) => [bigOf(bytes), bytes]))].toSorted(([a], [b]) => (a < b ? -1 : 1))
  return distinct.map(([from, bytes], i) => {
    return { bytes, from, to: distinct[i + 1]?.[0] ?? (family === 4 ? 2n ** 32n : 2n ** 128n) }
  })
}

/** What stretches of IPv6 weigh: networks of /48, and a block that is one place is one of them at most. */
function sizesV6(
  those: readonly Stretch[],
  placeOf: (stretch: Stretch) => string,
  from = 0n,
  bits = 0,
  sums = new Map<Stretch, number>(),
): ReadonlyMap<Stretch, number> {
  const size = 2n ** BigInt(128 - bits)
  if (new Set(those.map(placeOf)).size > 1) {
    for (const half of [from, from + size / 2n]) {
      const inside = those.filter((one) => one.from < half + size / 2n && one.to > half)
      sizesV6(inside, placeOf, half, bits + 1, sums)
    }
    return sums
  }
  for (const one of those) {
    const [first, end] = [one.from > from ? one.from : from, one.to < from + size ? one.to : from + size]
    const part = Number(end - first) / Number(size)
    sums.set(one, (sums.get(one) ?? 0) + part * Math.min(1, 2 ** (48 - bits)))
  }
  return sums
}

/** The network of the database that holds an address, longest first, the plain way. */
function networkOf(networks: readonly TestNetwork[], bytes: Uint8Array): TestNetwork | undefined {
  const holding = networks.filter((network) => {
    const { bytes: from, bits } = parsePrefix(network.prefix)!
    if (from.length !== bytes.length) return false
    return bigOf(from) >> BigInt(8 * from.length - bits) === bigOf(bytes) >> BigInt(8 * from.length - bits)
  })
  // of equal ones the writer keeps the last
  return holding.toSorted((a, b) => parsePrefix(a.prefix)!.bits - parsePrefix(b.prefix)!.bits).at(-1)
}

/** Asks as a client at the address would; the sites whose VIP is answered. */
function asking({ made }: PlanSide, type: string): (bytes: Uint8Array) => string {
  const responder = makeResponder(made.world, allUp(made.world.services, made.plan), makeCounters())
  const out = new Uint8Array(65_535)
  const siteOf = new Map(
    made.world.services.flatMap(({ members }) =>
      members.map((member) => {
        const [site, , address] = member.split('/')
        return [address!, site!]
      }),
    ),
  )
  return (bytes) => {
    const text = formatAddress(bytes)
    const query = encodeQuery({ name: 'www.demo.example.', type, edns: { ecs: `${text}/${8 * bytes.length}` } })
    const size = respond(
      responder,
      makeRequest({ input: query, client: bytes, family: bytes.length === 4 ? 4 : 6, transport: TCP, output: out }),
    )
    const message = decodeMessage(out.subarray(0, size))
    if (isFault(message)) throw new Error(message.fault)
    const [first] = message.answer
    return first === undefined ? '(no answer)' : (siteOf.get(first.rdata) ?? '(static)')
  }
}

interface Counted {
  total: number
  readonly moves: Map<string, number>
  readonly countries: Map<string, { here: number; moved: number }>
  readonly before: Map<string, number>
  readonly after: Map<string, number>
}

const add = (sums: Map<string, number>, key: string, by: number): void => void sums.set(key, (sums.get(key) ?? 0) + by)

function count(
  before: (bytes: Uint8Array) => string,
  after: (bytes: Uint8Array) => string,
  family: 4 | 6,
  networks: readonly TestNetwork[],
  others: readonly Prefix[] = [],
): Counted {
  const counted: Counted = { total: 0, moves: new Map(), countries: new Map(), before: new Map(), after: new Map() }
  const all = stretches([...prefixesOf(networks), ...others], family)
  const networksOf = new Map(all.map((one) => [one, networkOf(networks, one.bytes)]))
  const placeOf = (one: Stretch): string => {
    const { continent, country, subdivision, latitude, longitude } = networksOf.get(one) ?? {}
    return [continent, country, subdivision, latitude, longitude].join()
  }
  const sizes = family === 6 ? sizesV6(all, placeOf) : undefined
  for (const one of all) {
    const network = networksOf.get(one)
    if (network === undefined) continue
    const { bytes } = one
    const size = sizes?.get(one) ?? Number(one.to - one.from)
    const [from, to] = [before(bytes), after(bytes)]
    counted.total += size
    const country = counted.countries.get(network.country) ?? { here: 0, moved: 0 }
    counted.countries.set(network.country, country)
    country.here += size
    add(counted.before, from, size)
    add(counted.after, to, size)
    if (from === to) continue
    country.moved += size
    add(counted.moves, `${from} → ${to}`, size)
  }
  return counted
}

function expectCounted(measure: MeasuredMoves, counted: Counted): void {
  const { total } = counted
  const close = (told: number, size: number): void => expect(told).toBeCloseTo(size / total, 12)
  expect(measure.total).toBeCloseTo(total, 3)
  expect(measure.moves.map(({ from, to }) => `${from} → ${to}`).toSorted()).toEqual(
    [...counted.moves.keys()].toSorted(),
  )
  for (const { from, to, share } of measure.moves) close(share, counted.moves.get(`${from} → ${to}`)!)
  close(
    measure.moved,
    [...counted.moves.values()].reduce((sum, size) => sum + size, 0),
  )
  const moving = [...counted.countries].filter(([, { moved }]) => moved > 0)
  expect(measure.countries.map(({ place }) => place).toSorted()).toEqual(moving.map(([country]) => country).toSorted())
  for (const { place, clients, moved } of measure.countries) {
    const country = counted.countries.get(place)!
    close(clients, country.here)
    expect(moved).toBeCloseTo(country.moved / country.here, 12)
  }
  for (const { site, before, after } of measure.sites) {
    close(before, counted.before.get(site) ?? 0)
    close(after, counted.after.get(site) ?? 0)
  }
}

const FAMILIES = [
  ['ipv4', 4],
  ['ipv6', 6],
] as const

test.each(FAMILIES)('a site more: every share of %s is what the server answers', async (clients, family) => {
  const [old, now] = [await load(OLD), await load({ ...OLD, 'services.yaml': MORE_GRU })]
  const plan = makePlan(old, now, ADDRESSES)
  expect(plan.moves).toHaveLength(1) // nothing of AAAA: gru has none
  const [web] = plan.moves
  expect(web).toMatchObject({
    before: 'web',
    after: 'web',
    types: ['A'],
    names: { count: 1, some: ['www.demo.example.'] },
  })
  const measure = web!.measures.find((one) => one.clients === clients)!
  const counted = count(asking(old, 'A'), asking(now, 'A'), family, FIXTURE)
  expect(counted.moves.size).toBeGreaterThan(0)
  expectCounted(measure, counted)
  expect(measure.moves.every(({ to }) => to === 'gru')).toBe(true)
  expect(measure.sites.map(({ site, capacityBefore, capacityAfter }) => [site, capacityBefore, capacityAfter])).toEqual(
    [
      ['fra', 300 / 600, 300 / 700],
      ['gru', null, 100 / 700],
      ['iad', 200 / 600, 200 / 700],
      ['sin', 100 / 600, 100 / 700],
    ],
  )
})

test('a rule: geos and subnets move whom they name, and a site without the type is passed', async () => {
  const rules = `  rules:
    - {subnets: [82.64.0.0/15, 5.0.0.0/9, "2a01:e00::/27"], order: [sin], only: false}
    - {geos: [AF, NA-US], order: [sin, fra]}
`
  const [old, now] = [await load(OLD), await load({ ...OLD, 'services.yaml': WEB + rules })]
  const plan = makePlan(old, now, ADDRESSES)
  const subnets = ['82.64.0.0/15', '5.0.0.0/9', '2a01:e00::/27'].map((text) => parsePrefix(text)!)
  expect(plan.moves.map(({ types }) => types)).toEqual([['A'], ['AAAA']])
  for (const { types, measures } of plan.moves) {
    for (const [clients, family] of FAMILIES) {
      const counted = count(asking(old, types[0]!), asking(now, types[0]!), family, FIXTURE, subnets)
      expectCounted(
        measures.find((one) => one.clients === clients)!,
        counted,
      )
    }
  }
  expect(plan.services).toEqual([{ name: 'web', change: 'changed', details: ['rules changed'] }])
})

test('a site that goes moves its own clients and no others; so does one that dies', async () => {
  const alone = WEB.replace('  check', '  spill: 1\n  check')
  const old = await load({ ...OLD, 'services.yaml': alone })
  const now = await load({ ...OLD, 'services.yaml': alone.replace(/ +iad: .*\n/, '') })
  const same = await load({ ...OLD, 'services.yaml': alone })
  for (const plan of [
    makePlan(old, now, ADDRESSES),
    makePlan(old, same, { ...ADDRESSES, down: ['iad'] }),
    makePlan(old, same, { ...ADDRESSES, drain: ['iad'] }),
  ]) {
    const web = plan.moves.find(({ types }) => types.includes('A'))
    expectCounted(web!.measures[0]!, count(asking(old, 'A'), asking(now, 'A'), 4, FIXTURE))
    expect(web!.measures.flatMap(({ moves }) => moves.map(({ from }) => from))).not.toContain('fra')
    const iad = web!.measures[0]!.sites.find(({ site }) => site === 'iad')!
    expect(iad.before).toBeCloseTo(web!.measures[0]!.moved, 12)
    expect(iad.after).toBe(0)
  }
})

test('the clients of a dead site are divided over the next ones by their capacity', async () => {
  const { moves } = makePlan(await load(OLD), await load(OLD), { ...ADDRESSES, down: ['iad'] })
  const [measure] = moves.find(({ types }) => types.includes('A'))!.measures
  expect(measure!.moves.map(({ from, to, share }) => [from, to, share / measure!.moved])).toEqual([
    ['iad', 'fra', expect.closeTo(0.75, 12)],
    ['iad', 'sin', expect.closeTo(0.25, 12)],
  ])
})

test('the brake keeps a dead site in the answers, and the plan says so', async () => {
  const [old, now] = [
    await load(OLD),
    await load({ ...OLD, 'services.yaml': WEB.replace('  check', '  keep: 60%\n  check') }),
  ]
  const plan = (side: PlanSide) => makePlan(old, side, { ...ADDRESSES, down: ['fra'] })
  const passed = plan(old) // half of the capacity is left
  expect(passed.braked).toEqual([])
  expect(passed.moves.map(({ before }) => before)).toContain('web')
  // all at once: no brake, and whom the last resort names is no move
  const all = makePlan(old, old, { ...ADDRESSES, down: ['fra', 'iad', 'sin'] })
  expect(all).toMatchObject({ quiet: false, braked: [], dead: ['web'], moves: [] })
  expect(plan(now)).toMatchObject({ quiet: false, dead: [], braked: [{ service: 'web', sites: ['fra'] }], moves: [] })
})

test('a weight moves what the formula says, everywhere alike', async () => {
  const listed = `web:
  sites:
    fra: {vips: [192.0.2.1], weight: 100}
    iad: {vips: [192.0.2.2], weight: 100}
    sin: {vips: [192.0.2.3], weight: 100}
  order: [[fra, iad, sin]]
  check: none
`
  const old = await load({ ...OLD, 'services.yaml': listed })
  const now = await load({
    ...OLD,
    'services.yaml': listed.replace('iad: {vips: [192.0.2.2], weight: 100', 'iad: {vips: [192.0.2.2], weight: 50'),
  })
  const { moves, services } = makePlan(old, now, ADDRESSES)
  expect(services).toEqual([{ name: 'web', change: 'changed', details: ['iad: weight 100 → 50'] }])
  for (const measure of moves[0]!.measures) {
    expect(measure.moves.map(({ from, to }) => [from, to])).toEqual([
      ['iad', 'fra'],
      ['iad', 'sin'],
    ])
    for (const { share } of measure.moves) expect(share).toBeCloseTo((1 / 3 - 1 / 5) / 2, 12)
    expect(measure.sites.map(({ after }) => after)).toEqual([0.4, 0.2, 0.4].map((share) => expect.closeTo(share, 12)))
    for (const { moved } of measure.continents) expect(moved).toBeCloseTo(1 / 3 - 1 / 5, 12)
  }
  // zero: nobody is left with it
  const zero = await load({
    ...OLD,
    'services.yaml': listed.replace('iad: {vips: [192.0.2.2], weight: 100', 'iad: {vips: [192.0.2.2], weight: 0'),
  })
  expect(makePlan(old, zero, ADDRESSES).most).toBeCloseTo(1 / 3, 12)
})

test('another database: who it places elsewhere, no more, or at last', async () => {
  const networks = FIXTURE.map((network, i): TestNetwork => {
    if (network.country !== 'FR') return network
    return i % 2 === 0 ? { ...network, country: 'BR', continent: 'SA', latitude: -23.5, longitude: -46.6 } : network
  }).filter(({ country }) => country !== 'GB')
  networks.push({ ...FIXTURE[4]!, prefix: '100.64.0.0/10' })
  const later = join(folder, 'later.mmdb')
  writeTestDatabase(later, { schema: 'maxmind', networks, buildEpoch: 1_790_000_001 })
  const [old, now] = [await load(OLD), await load(OLD, later, makeGeoState())]
  const plan = makePlan(old, now, ADDRESSES)
  expect(plan.before.databases).not.toBe(plan.after.databases)
  expect(plan).toMatchObject({ services: [], records: { added: 0, removed: 0, changed: 0 } })
  // both say where the clients are: the one in use first
  const both = [...FIXTURE, ...networks.filter(({ prefix }) => prefix === '100.64.0.0/10')]
  for (const [clients, family] of FAMILIES) {
    const [before, after] = [asking(old, 'A'), asking(now, 'A')]
    const counted = count(before, after, family, both, prefixesOf(networks))
    expect(counted.moves.size).toBeGreaterThan(0)
    expectCounted(
      plan.moves.find(({ types }) => types.includes('A'))!.measures.find((one) => one.clients === clients)!,
      counted,
    )
  }
})

test('IPv6 that is told in one piece is one network, however wide: what nobody holds outweighs nobody', async () => {
  const seat = { ...FIXTURE.find(({ country }) => country === 'JP')!, latitude: 46.9, longitude: 7.4 }
  const filled = join(folder, 'filled.mmdb')
  const networks = [...FIXTURE, ...['3000::/7', '2d00::/20'].map((prefix) => ({ ...seat, prefix }))]
  writeTestDatabase(filled, { schema: 'maxmind', networks, buildEpoch: 1_790_000_002 })
  const on = makeGeoState()
  const [old, now] = [await load(OLD, filled, on), await load({ ...OLD, 'services.yaml': MORE_GRU }, filled, on)]
  const measure = makePlan(old, now, ADDRESSES).moves[0]!.measures.find(({ clients }) => clients === 'ipv6')!
  expectCounted(measure, count(asking(old, 'A'), asking(now, 'A'), 6, networks))
  expect(measure.total).toBeLessThan(2 ** 20)
})

test('without a database everybody counts, and nobody has a place', async () => {
  const bare = makeGeoState()
  const [old, now] = [
    await load(OLD, '', bare),
    await load(
      { ...OLD, 'services.yaml': WEB.replace('    fra:', '    gru: {vips: [192.0.2.9]}\n    fra:') },
      '',
      bare,
    ),
  ]
  const plan = makePlan(old, now, ADDRESSES)
  expect(plan.moves[0]!.measures.map(({ total, moved, unplaced }) => [total, moved, unplaced])).toEqual([
    [2 ** 32, 1, null],
    [expect.closeTo(2 ** 48 * (1 - 2 ** -16 - 2 ** -32), -3), 1, null],
  ])
})

test('what is written otherwise and means the same is no change, nor is a serial', async () => {
  const plan = await planOf({
    'defaults.yaml': DEFAULTS.replace('serial: 7', 'serial: 8'),
    'demo.example.yaml': `${ZONE.replace('[192.0.2.80, 192.0.2.81]', '[192.0.2.81, 192.0.2.80]')}# a remark\n`,
  })
  expect(plan).toMatchObject({ quiet: true, most: 0, moves: [], services: [], sites: [], budgets: [] })
  expect(plan.before.view).toBe(plan.after.view)
})

test('records: added, removed, changed, by TTL and by value', async () => {
  const plan = await planOf({
    'demo.example.yaml': `${ZONE.replace('[192.0.2.80, 192.0.2.81]', '[192.0.2.80], ttl: 60').replace('53', '54').replace('service: web', 'service: web, ttl: 20')}new: {type: TXT, value: hello}\n`,
  })
  const text = plan.records.list.map(({ name, type, before, after }) => [name, type, before, after])
  expect(text).toEqual([
    [
      'ns1.demo.example.',
      'A',
      { ttlSeconds: 300, values: ['192.0.2.53'] },
      { ttlSeconds: 300, values: ['192.0.2.54'] },
    ],
    [
      'www.demo.example.',
      'A',
      { service: 'web', ttlSeconds: 0, values: [] },
      { service: 'web', ttlSeconds: 20, values: [] },
    ],
    [
      'www.demo.example.',
      'AAAA',
      { service: 'web', ttlSeconds: 0, values: [] },
      { service: 'web', ttlSeconds: 20, values: [] },
    ],
    [
      'static.demo.example.',
      'A',
      { ttlSeconds: 300, values: ['192.0.2.80', '192.0.2.81'] },
      { ttlSeconds: 60, values: ['192.0.2.80'] },
    ],
    ['new.demo.example.', 'TXT', null, { ttlSeconds: 300, values: ['"hello"'] }],
  ])
  expect(plan).toMatchObject({ quiet: false, most: 0, records: { added: 1, removed: 0, changed: 4, leftOut: 0 } })
  const gone = await planOf({ 'demo.example.yaml': ZONE.replace(/^static.*\n/m, '') })
  expect(gone.records.list).toMatchObject([{ name: 'static.demo.example.', after: null }])
})

const zoneWithHttps = (hints: string): string =>
  `${ZONE}svc: {type: HTTPS, ${hints}value: {svcpriority: 1, targetname: ., svcparams: {alpn: [h2]}}}\n`
const httpsValues = (hints: string): unknown => ({ ttlSeconds: 300, values: [`1 . alpn="h2"${hints}`] })

test('hints of another service are a change of the records, and move nobody', async () => {
  const services = { 'services.yaml': WEB + WEB.replace('web:', 'other:') }
  const of = async (hints: string) => await load({ ...OLD, ...services, 'demo.example.yaml': zoneWithHttps(hints) })
  const plan = makePlan(await of('hints: web, '), await of('hints: other, '), ADDRESSES)
  expect(plan.records.list).toMatchObject([
    {
      name: 'svc.demo.example.',
      type: 'HTTPS',
      before: httpsValues(', hints of web'),
      after: httpsValues(', hints of other'),
    },
  ])
  expect(plan.moves).toEqual([])
  const none = makePlan(await of('hints: web, '), await of(''), ADDRESSES)
  expect(none.records.list).toMatchObject([{ after: httpsValues('') }])
  expect(makePlan(await of('hints: web, '), await of('hints: web, '), ADDRESSES).quiet).toBe(true)
})

test('a name that is steered by names: a record of type CNAME, and its clients move as any', async () => {
  const cdn = WEB.replace('web:', 'cdn:').replaceAll(
    /^ {4}(\w+): \{vips: \[[^\]]*\]/gm,
    '    $1: {vips: [{name: $1.cdn.example.}]',
  )
  const other = { ...OLD, 'services.yaml': WEB + cdn }
  const zone = ZONE.replace('service: web', 'service: cdn')
  const switched = makePlan(await load(other), await load({ ...other, 'demo.example.yaml': zone }), ADDRESSES)
  expect(switched.records.list).toMatchObject([
    { type: 'CNAME', before: null, after: { service: 'cdn' } },
    { type: 'A', before: { service: 'web' }, after: null },
    { type: 'AAAA', before: { service: 'web' }, after: null },
  ])
  const named = await load({ ...other, 'demo.example.yaml': zone })
  const without = cdn.replace(/^ {4}sin: .*\n/m, '')
  expect(without).not.toBe(cdn)
  const gone = makePlan(
    named,
    await load({ ...other, 'services.yaml': WEB + without, 'demo.example.yaml': zone }),
    ADDRESSES,
  )
  expect(gone.records.list).toEqual([])
  expect(gone.moves).toMatchObject([{ before: 'cdn', after: 'cdn', types: ['CNAME'], names: { count: 1 } }])
  expect(gone.moves[0]!.measures[0]!.moves.every(({ from }) => from === 'sin')).toBe(true)
  expect(gone.moves[0]!.moved).toBeGreaterThan(0)
})

test('the SOA changes with its numbers, and not with its serial', async () => {
  const plan = await planOf({ 'defaults.yaml': DEFAULTS.replace('serial: 7', 'serial: 8, minimum: 30') })
  expect(plan.records.list).toEqual([
    {
      zone: 'demo.example.',
      name: 'demo.example.',
      type: 'SOA',
      before: { ttlSeconds: 300, values: ['ns1.demo.example. h.demo.example. 7200 900 1209600 60'] },
      after: { ttlSeconds: 300, values: ['ns1.demo.example. h.demo.example. 7200 900 1209600 30'] },
    },
  ])
})

test('a name that becomes steered, or no longer is: its clients come from (static), or go there', async () => {
  const zone = ZONE.replace(
    'static: {type: A, values: [192.0.2.80, 192.0.2.81]}',
    'static: {type: GSLB, service: web, types: [A]}',
  )
  const there = await planOf({ 'demo.example.yaml': zone })
  expect(there.records).toMatchObject({ added: 0, removed: 0, changed: 1 })
  expect(there.moves).toMatchObject([
    { before: null, after: 'web', types: ['A'], names: { count: 1, some: ['static.demo.example.'] }, moved: 1 },
  ])
  expect(there.moves[0]!.measures[0]!.moves.map(({ from }) => from)).toEqual(['(static)', '(static)', '(static)'])
  const back = makePlan(await load({ ...OLD, 'demo.example.yaml': zone }), await load(OLD), ADDRESSES)
  expect(back.moves).toMatchObject([{ before: 'web', after: null, moved: 1 }])
  expect(back.moves[0]!.measures[0]!.moves.every(({ to }) => to === '(static)')).toBe(true)
  // through a CNAME too; and a name that comes or goes has no clients on one side
  const alias = await planOf({
    'demo.example.yaml': ZONE.replace('{type: GSLB, service: web}', '{type: CNAME, value: static.demo.example.}'),
  })
  expect(alias.moves).toMatchObject([
    { before: 'web', after: null, types: ['A'], moved: 1 },
    { before: 'web', after: null, types: ['AAAA'], moved: 1 },
  ])
  const aliased = ZONE.replace('{type: GSLB, service: web}', '{type: CNAME, value: static.demo.example.}')
  const named = makePlan(await load({ ...OLD, 'demo.example.yaml': aliased }), await load(OLD), ADDRESSES)
  expect(named.moves.map(({ before, after, moved }) => [before, after, moved])).toEqual([
    [null, 'web', 1],
    [null, 'web', 1],
  ])
  const more = await planOf({ 'demo.example.yaml': `${ZONE}more: {type: GSLB, service: web}\n` })
  expect(more).toMatchObject({ moves: [], records: { added: 2 } })
})

const namesOf = (plan: Plan): unknown =>
  plan.moves.map(({ before, after, types, names }) => [before, after, types, names.some])

test('a name that a wildcard answered before it was written had clients, and has when it is gone', async () => {
  const wild = `${ZONE}"*.apps": {type: GSLB, service: web}\n`
  const old = await load({ ...OLD, 'demo.example.yaml': wild })
  const now = await load({
    ...OLD,
    'demo.example.yaml': `${wild}a.apps: {type: A, values: [192.0.2.9]}\nb.apps: {type: CNAME, value: static.demo.example.}\nc.apps: {type: GSLB, service: web}\nd.apps: {type: TXT, value: x}\n`,
  })
  expect(namesOf(makePlan(old, now, ADDRESSES))).toEqual([
    ['web', null, ['A'], ['a.apps.demo.example.', 'b.apps.demo.example.']],
    ['web', null, ['AAAA'], ['b.apps.demo.example.']],
  ])
  expect(namesOf(makePlan(now, old, ADDRESSES))).toEqual([
    [null, 'web', ['A'], ['a.apps.demo.example.', 'b.apps.demo.example.']],
    [null, 'web', ['AAAA'], ['b.apps.demo.example.']],
  ])
  // what another zone's servers answer is not ours to tell
  const cut = await load({
    ...OLD,
    'demo.example.yaml': `${ZONE}"apps": {type: NS, values: [ns.apps.demo.example.]}\nns.apps: {type: A, values: [192.0.2.54]}\n`,
  })
  expect(makePlan(old, cut, ADDRESSES).moves).toEqual([])
  // whom a DNAME redirects is an alias
  const away = await load({ ...OLD, 'demo.example.yaml': `${ZONE}apps: {type: DNAME, value: demo.test.}\n` })
  expect(namesOf(makePlan(old, away, ADDRESSES))).toEqual([
    ['web', null, ['A'], ['*.apps.demo.example.']],
    ['web', null, ['AAAA'], ['*.apps.demo.example.']],
  ])
})

const dynamic = (type: string, value: string): string =>
  `  - {type: ${type}, value: "${value}", dynamic: {pools: {p: {values: [{value: "${value}"}]}}, rules: [{pool: p}]}}\n`

test('a wildcard that two services steer, one for each type, answered names of either type', async () => {
  const wild = `${ZONE}"*.dyn":\n${dynamic('A', '192.0.2.21')}${dynamic('AAAA', '2001:db8::21')}`
  const old = await load({ ...OLD, 'demo.example.yaml': wild })
  const now = await load({
    ...OLD,
    'demo.example.yaml': `${wild}a.dyn: {type: A, values: [192.0.2.9]}\nb.dyn: {type: AAAA, values: ["2001:db8::9"]}\n`,
  })
  expect(namesOf(makePlan(old, now, ADDRESSES))).toEqual([
    ['*.dyn.demo.example:A', null, ['A'], ['a.dyn.demo.example.']],
    ['*.dyn.demo.example:AAAA', null, ['AAAA'], ['b.dyn.demo.example.']],
  ])
})

test('a name that moves to another zone keeps its clients; one with another service meets other hashes', async () => {
  const inner = `"":\n  - {type: NS, values: [ns1.demo.example.]}\nwww: {type: GSLB, service: web}\n`
  const outer = ZONE.replace('www: ', 'www.in: ')
  const nested = await load({ ...OLD, 'demo.example.yaml': outer })
  const split = await load({
    ...OLD,
    'demo.example.yaml': `${ZONE.replace(/^www.*\n/m, '')}in: {type: NS, values: [ns1.demo.example.]}\n`,
    'in.demo.example.yaml': inner,
  })
  const plan = makePlan(nested, split, ADDRESSES)
  expect(plan).toMatchObject({ moves: [], zones: { added: ['in.demo.example.'], removed: [] } })

  const two = ['a', 'b']
    .map(
      (name) =>
        `${name}:\n  sites:\n    fra: {vips: [192.0.2.1]}\n    iad: {vips: [192.0.2.2]}\n  order: [[fra, iad]]\n  check: none\n`,
    )
    .join('')
  const zones = ['a', 'b'].map((name) => ZONE.replace('service: web', `service: ${name}`))
  const [a, b] = await Promise.all(
    zones.map((zone) => load({ ...OLD, 'services.yaml': two, 'demo.example.yaml': zone }, city, makeGeoState())),
  )
  expect(makePlan(a!, b!, ADDRESSES)).toMatchObject({
    most: expect.closeTo(0.5, 12),
    services: [],
    records: { changed: 1 },
  })
})

test('weights of clients: by country, and as they were counted', async () => {
  const old = await load(OLD)
  const now = await load({ ...OLD, 'services.yaml': MORE_GRU })
  const space = makePlan(old, now, ADDRESSES).moves[0]!.measures[0]!
  const weights = new Map([
    ['BR', 30],
    ['FR', 70],
    ['XX', 5],
  ])
  const people = makePlan(old, now, { ...ADDRESSES, weighing: { by: 'population', weights } }).moves[0]!.measures[0]!
  const brazil = space.countries.find(({ place }) => place === 'BR')!
  expect(people.total).toBeCloseTo(100, 9)
  expect(people.moved).toBeCloseTo(0.3 * brazil.moved, 12)
  expect(people.countries.map(({ place, clients }) => [place, clients])).toEqual([['BR', expect.closeTo(0.3, 12)]])

  // twice in Brazil by the same line, once in a prefix that reaches beyond it, and once nowhere
  const siteOf = asking(now, 'A')
  const wide = FIXTURE.filter(({ country, prefix }) => country === 'BR' && !prefix.includes(':'))
    .map(({ prefix }) => parsePrefix(prefix)!)
    .find(({ bytes }) => siteOf(bytes) === 'gru')!
  const counts = new ClientCounts()
  counts.add(wide, 10)
  counts.add(wide, 5)
  counts.add(parsePrefix('198.51.100.0/24')!, 5)
  counts.add(parsePrefix('2001:db8::1')!, 20)
  const [counted, ...none] = makePlan(old, now, { ...ADDRESSES, weighing: { by: 'clients', counts } }).moves[0]!
    .measures
  expect(none).toEqual([])
  expect(counted).toMatchObject({ clients: 'clients', total: 40, unplaced: null })
  expect(counted!.moved).toBeGreaterThan(0)
  expect(counted!.countries.find(({ place }) => place === 'BR')?.clients).toBeCloseTo(15 / 40, 2)
})

const random = (weight: number): string => `web:
  sites:
    fra: {vips: [192.0.2.1], weight: 100}
    iad: {vips: [192.0.2.2], weight: ${weight}}
  order: [[fra, iad]]
  pick: random
  check: none
`

test('random draws: what must change of the shares, and no more', async () => {
  const [old, now] = [
    await load({ ...OLD, 'services.yaml': random(100) }),
    await load({ ...OLD, 'services.yaml': random(300) }),
  ]
  expect(makePlan(old, now, ADDRESSES).moves[0]).toMatchObject({ random: true, moved: expect.closeTo(0.25, 12) })
})

const picked = (pick: string): string => `web:
  sites:
    fra: {vips: [192.0.2.1], weight: 100}
    iad: {vips: [192.0.2.2], weight: 100}
  order: [[fra, iad]]
  rules:
    - {geos: [AS], order: [[fra, iad]], pick: ${pick}}
  check: none
`

test('a rule’s own pick is the one that counts', async () => {
  const old = await load({ ...OLD, 'services.yaml': picked('hash') })
  const now = await load({ ...OLD, 'services.yaml': picked('random') })
  const [measure] = makePlan(old, now, ADDRESSES).moves[0]!.measures
  // who stood at one of two sites is drawn away from it every other time
  expect(measure!.continents.map(({ place, moved }) => [place, moved])).toEqual([['AS', expect.closeTo(0.5, 12)]])
})

test('budgets that change are told, with whom they concern', async () => {
  const checked = WEB.replace('check: none', 'check: {type: tcp, port: 80, interval: 5s, timeout: 1s, fast: 1s}')
  const old = await load({ ...OLD, 'services.yaml': checked })
  const slower = checked.replace('interval: 5s', 'interval: 30s')
  const plan = makePlan(old, await load({ ...OLD, 'services.yaml': slower }), ADDRESSES)
  expect(plan.moves).toEqual([])
  expect(plan.budgets).toMatchObject([{ service: 'web', names: { some: ['www.demo.example.'] } }])
  expect(plan.budgets[0]!.afterMs! - plan.budgets[0]!.beforeMs!).toBe(25_000)
})

const pooled = (values: string): string =>
  `${ZONE}dyn: {type: A, value: 192.0.2.99, dynamic: {pools: {p: {values: [${values}]}}, rules: [{pool: p}]}}\n`

test('weights and checks of a pool’s values are told one by one; their order in the file is nothing', async () => {
  const old = await load({ ...OLD, 'demo.example.yaml': pooled('{value: 192.0.2.21, weight: 2}, {value: 192.0.2.22}') })
  const now = await load({
    ...OLD,
    'demo.example.yaml': pooled('{value: 192.0.2.22, weight: 9, status: up}, {value: 192.0.2.21, weight: 2}'),
  })
  const turned = await load({
    ...OLD,
    'demo.example.yaml': pooled('{value: 192.0.2.22}, {value: 192.0.2.21, weight: 2}'),
  })
  expect(makePlan(old, turned, ADDRESSES).quiet).toBe(true)
  expect(makePlan(old, now, ADDRESSES).services[0]!.details).toEqual([
    'p: VIP 192.0.2.22: weight 1 → 9',
    'p: VIP 192.0.2.22: never checked false → true',
  ])
})

test('what moves nobody and changes answers all the same is told: VIPs, TTLs, capacity', async () => {
  const plan = await planOf({
    'services.yaml': `${WEB.replace('192.0.2.1,', '192.0.2.11,')}  ttl: {max: 120, min: 15}\n`,
    'sites.yaml': SITES.replace('capacity: 300', 'capacity: 600'),
  })
  expect(plan.services[0]!.details).toEqual([
    'fra: VIPs −192.0.2.1 +192.0.2.11',
    expect.stringMatching(/^ttl\.max \d+ → 120$/),
  ])
  expect(plan.sites).toEqual([{ name: 'fra', change: 'changed', details: ['capacity 300 → 600'] }])
  expect(plan).toMatchObject({ quiet: false, most: 0 })
  const fra = plan.moves[0]!.measures[0]!.sites[0]!
  expect([fra.capacityBefore, fra.capacityAfter]).toEqual([0.5, 600 / 900])
})

const drills = (text: string) => ({ 'drills.yaml': `drills: {${text}}\nblocked: [2026-12-24]\n` })

test('scheduled drills that a merge adds, changes or removes are in the plan, in words', async () => {
  const one = 'one: {site: fra, days: [tue], from: 10:00, to: 12:00, for: 30m}'
  const plan = await planOf(drills(one))
  expect(plan).toMatchObject({ quiet: false, moves: [], sites: [], services: [] })
  expect(planInText(plan).split('\n').slice(1)).toEqual([
    '  + drill one: fra for 30m, Tuesdays 10:00–12:00 UTC, until last-resort',
    '  ~ drill blocked dates: none → 2026-12-24',
  ])
  expect(planInMarkdown(plan)).toContain('- drill <code>one</code> added: fra for 30m, Tuesdays')
  const [before, changed, gone] = await Promise.all(
    [drills(one), drills(one.replace('30m', '1h')), drills('')].map((files) => load({ ...OLD, ...files })),
  )
  const words = (a: PlanSide, b: PlanSide) =>
    planInText(makePlan(a, b, ADDRESSES))
      .split('\n')
      .slice(1)
      .join(' ')
  expect(words(before!, changed!)).toMatch(/~ drill one: fra for 30m, .* → fra for 1h, /)
  expect(words(before!, gone!)).toMatch(/- drill one: fra for 30m/)
  expect(makePlan(before!, before!, ADDRESSES).quiet).toBe(true)
})
