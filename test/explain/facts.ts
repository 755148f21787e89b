/**
 * What an explanation claims, held against facts that come from elsewhere: the YAML as data, MaxMind's own reader, a
 * haversine, the words that a test has set, plain arithmetic. Gives what is wrong, in words.
 */
import { type AsnResponse, type CityResponse, Reader } from 'maxmind'
import { formatAddress, maskAddress, parseAddress, parsePrefix } from '../../src/dns/address.ts'
import type { Message } from '../../src/dns/message.ts'
import { formatRr } from '../../src/dns/message.ts'
import type { Explanation } from '../../src/explain/explain.ts'
import type { Steering } from '../../src/explain/steering.ts'
import { ELSEWHERE } from '../support/mmdb.ts'
import { ASN_DATABASE, DATABASE, NAMES, RULE_LINES, type RuleFacts, SERVICES, type ServiceFacts, SITES } from './rig.ts'

/** An address of which so many bits are known; IPv6 ones that carry an IPv4 address have it as `inner`. */
export interface Network {
  readonly text: string
  readonly bits: number
  readonly fold?: 'IPv4-mapped' | 'NAT64' | '6to4' | 'Teredo'
}

export interface Case {
  readonly name: string
  readonly type: string
  /** undefined: the query tells no client. */
  readonly client: Network | undefined
  readonly resolver: string
  readonly nodeSite: string | undefined
  /** State and share as set: by member. */
  readonly words: ReadonlyMap<string, { readonly state: string; readonly share: number; readonly calm: boolean }>
}

const reader = new Reader<CityResponse>(DATABASE)
const asnReader = new Reader<AsnResponse>(ASN_DATABASE)

interface Known {
  readonly family: 4 | 6
  readonly bytes: Uint8Array
  readonly bits: number
  readonly continent: string
  readonly country: string
  readonly subdivision: string
  readonly at: readonly [number, number] | undefined
  readonly readerBits: number
  /** 0 = unknown. */
  readonly asn: number
  /** Bits before the IPv4 address; undefined: it doesn't fold. */
  readonly offset: number | undefined
}

const OFFSETS = { 'IPv4-mapped': 96, NAT64: 96, '6to4': 16, Teredo: 96 } as const

/** What MaxMind's reader knows of a network, whose IPv4 address counts where enough of it is known. */
function lookUp({ text, bits, fold }: Network): Known {
  const whole = maskAddress(parseAddress(text)!, bits)
  const offset = fold === undefined ? undefined : OFFSETS[fold]
  const folds = offset !== undefined && bits - offset >= 8
  const known = folds ? bits - offset : bits
  const from = folds ? offset / 8 : 0
  const inner = folds ? whole.slice(from, from + 4).map((byte) => (fold === 'Teredo' ? byte ^ 255 : byte)) : whole
  const bytes = maskAddress(inner, Math.min(known, inner.length * 8))
  // of networks whose clients fold nothing is told to those that can't
  const silent = fold !== undefined && !folds
  const [city, readerBits] = silent ? [null, 128] : reader.getWithPrefixLength(formatAddress(bytes))
  const { location } = city ?? {}
  return {
    family: bytes.length === 4 ? 4 : 6,
    bytes,
    bits: known,
    continent: ELSEWHERE.get(city?.country?.iso_code ?? '') ?? city?.continent?.code ?? '',
    country: city?.country?.iso_code ?? '',
    subdivision: city?.subdivisions?.[0]?.iso_code ?? '',
    at: location?.latitude === undefined ? undefined : [location.latitude, location.longitude],
    readerBits,
    asn: silent ? 0 : (asnReader.get(formatAddress(bytes))?.autonomous_system_number ?? 0),
    offset: folds ? offset : undefined,
  }
}

/** Index of the rule that a network's subnet, or its place, falls under; −1 = none. */
function subnetRule(rules: readonly RuleFacts[], known: Known): { readonly index: number; readonly text: string } {
  let best = { index: -1, bits: -1, text: '' }
  for (const [index, { subnets = [] }] of rules.entries()) {
    for (const text of subnets) {
      let { bytes, bits } = parsePrefix(text)!
      if (bytes[0] === 0x20 && bytes[1] === 2) {
        bytes = bytes.slice(2, 6)
        bits -= 16
      }
      if (bytes.length !== known.bytes.length || bits <= best.bits) continue
      if (Buffer.compare(maskAddress(known.bytes, bits), bytes) === 0) best = { index, bits, text }
    }
  }
  return best
}

function asnRule(rules: readonly RuleFacts[], { asn }: Known): { readonly index: number; readonly text: string } {
  return { index: rules.findIndex(({ asns = [] }) => asns.includes(asn)), text: `AS${asn}` }
}

function geoRule(rules: readonly RuleFacts[], { continent, country, subdivision }: Known) {
  for (const [index, { geos = [] }] of rules.entries()) {
    for (const text of geos) {
      const [c, n, s] = text.split('-')
      const fits = n === undefined ? c === continent : n === country && (s === undefined || s === subdivision)
      if (fits) return { index, text }
    }
  }
  return { index: -1, text: '' }
}

const radians = (degrees: number): number => (degrees * Math.PI) / 180

/** Great circle by the spherical law of cosines. */
function kilometres([a, b]: readonly [number, number], [c, d]: readonly [number, number]): number {
  const cosine =
    Math.sin(radians(a)) * Math.sin(radians(c)) + Math.cos(radians(a)) * Math.cos(radians(c)) * Math.cos(radians(d - b))
  return 6371.0088 * Math.acos(Math.min(1, Math.max(-1, cosine)))
}

/** The kinds of claims that are wrong, each with what was told and what holds. */
export function wrongIn(told: Explanation, asked: Case, reply: Message): string[] {
  const wrong: string[] = []
  const equal = (claim: string, said: unknown, holds: unknown): void => {
    if (JSON.stringify(said) !== JSON.stringify(holds)) {
      wrong.push(`${claim}: told ${JSON.stringify(said)}, holds ${JSON.stringify(holds)}`)
    }
  }
  const { steering } = told
  equal('rcode', told.rcode, reply.rcode)
  equal('scope', told.scope, reply.edns?.ecs?.scope ?? null)
  equal('truncation', told.wire.truncated, reply.tc)
  const named = NAMES[asked.name]
  if (named === undefined || steering === undefined) {
    if (!reply.tc) equal('answer', told.answer.toSorted(), reply.answer.map(formatRr).toSorted())
    equal(
      'authority',
      told.wire.truncated || told.wire.authority.join(),
      reply.tc || reply.authority.map(formatRr).join(),
    )
    return wrong
  }
  const service = SERVICES[named.service]!
  equal('service', steering.service, named.service)
  const decider = placeFacts(steering, service, asked, equal)
  siteFacts(steering, service, asked, decider, equal)
  pickFacts(told, steering, service, asked, equal)
  scopeFacts(told, steering, asked, equal)
  ttlFacts(told, steering, service, named.cap, asked, equal)
  if (steering.pickBy === 'random') return wrong // drawn anew for every query: see the test over memory
  equal('answer', told.answer.toSorted(), reply.answer.map(formatRr).toSorted())
  equal('ttl on the wire', told.ttl?.seconds, (reply.answer[0] ?? reply.authority[0])?.ttlSeconds)
  return wrong
}

type Equal = (claim: string, said: unknown, holds: unknown) => void

/** Place, folding, rule, fence, and whose place it is. Returns where distances are counted from. */
function placeFacts(
  { place, rule, matched, fence, pickBy, class: number }: Steering,
  { listed, random, rules = [] }: ServiceFacts,
  { client, resolver, nodeSite }: Case,
  equal: Equal,
): readonly [number, number] | undefined {
  const asks = lookUp({ text: resolver, bits: 32 })
  const told = client === undefined || client.bits === 0 ? undefined : lookUp(client)
  const isPlaced = (known: Known): boolean =>
    (rules.length > 0 && (known.country + known.continent !== '' || known.at !== undefined)) ||
    (listed !== true && known.at !== undefined)
  const decides = (known: Known): boolean =>
    subnetRule(rules, known).index >= 0 || asnRule(rules, known).index >= 0 || isPlaced(known)
  // only the place is borrowed: subnets and numbers speak of the client alone
  const borrowed = told !== undefined && !decides(told) && isPlaced(asks)
  const resolved = told === undefined || borrowed
  const decider = resolved ? asks : told
  const home = listed !== true && nodeSite !== undefined ? SITES[nodeSite] : undefined
  const self = resolved && client?.text !== resolver ? (client === undefined ? 'client' : 'resolver') : 'client'
  const codes = decider.continent + decider.country
  const isKnown = decides(decider) || (listed === true && codes !== '')
  const of = decider.at !== undefined ? self : home !== undefined ? 'node.site' : isKnown ? self : 'nobody'
  equal('place of', place.of, of)
  equal(
    'place',
    [place.continent, place.country, place.subdivision],
    [decider.continent, decider.country, decider.subdivision],
  )
  const at = decider.at ?? home
  equal('coordinates', [place.latitude, place.longitude], at ?? [null, null])
  const prefix = parsePrefix(place.prefix)!
  equal('prefix holds the client', Buffer.compare(maskAddress(decider.bytes, prefix.bits), prefix.bytes), 0)
  // equal neighbours are one, so it may be wider than the database’s own
  const whole = codes === '' ? prefix.bits : decider.readerBits
  equal(`prefix ${place.prefix} within the database’s /${whole}`, prefix.bits <= whole, true)
  equal('database', place.database?.type, 'test maxmind')
  equal('asn', place.asn?.number ?? 0, decider.asn)
  if (place.asn !== null) equal('asn database', place.asn.database?.file.split('/').at(-1), 'asn.mmdb')
  const folded = resolved || decider.offset === undefined ? null : client!.fold
  equal('folded', place.folded?.from ?? null, folded)
  if (folded !== null) equal('folded to', place.folded?.to.split('/')[0], formatAddress(decider.bytes))
  const bySubnet = subnetRule(rules, decider)
  const byAsn = asnRule(rules, decider)
  const by = borrowed ? 'geo' : bySubnet.index >= 0 ? 'subnet' : byAsn.index >= 0 ? 'asn' : 'geo'
  const found = { subnet: bySubnet, asn: byAsn, geo: geoRule(rules, decider) }[by]
  const line = RULE_LINES.get(Object.entries(SERVICES).find(([, one]) => one.rules === rules)?.[0] ?? '')?.[found.index]
  equal('rule', rule?.split(':').at(-1) ?? null, line === undefined ? null : `${line}`)
  equal('matched', matched, found.index < 0 ? null : { by, text: found.text })
  equal('fence', fence, rules[found.index]?.only === true)
  equal('pick by', pickBy, rules[found.index]?.pick ?? (random === true ? 'random' : 'hash'))
  equal('unplaced', number === 0, !decides(decider))
  return at
}

/** Distances, biases, weights, states and shares; and that a nearest order begins with the nearest. */
function siteFacts(
  { sites, fence, rule, named }: Steering,
  service: ServiceFacts,
  { words, name }: Case,
  from: readonly [number, number] | undefined,
  equal: Equal,
): void {
  const all = Object.keys(service.sites).toSorted()
  const told = sites.map(({ site }) => site).toSorted()
  if (!fence) equal('sites', told, all)
  for (const { site, distanceKm, biasedKm, bias, weight, capacity, vips } of sites) {
    const facts = service.sites[site]!
    equal(`weight of ${site}`, [weight, bias, capacity], [facts.weight ?? 100, facts.bias ?? 0, 100])
    const far = from === undefined ? undefined : kilometres(from, SITES[site]!)
    equal(`distance of ${site} ${distanceKm} ${far}`, isNear(distanceKm, far), true)
    equal(`biased distance of ${site}`, isNear(biasedKm, far && far * (1 - (facts.bias ?? 0) / 100)), true)
    equal(`VIPs of ${site}`, vips.map(({ address }) => address).toSorted(), facts.vips.toSorted())
    for (const { address, state, share, calm, member } of vips) {
      equal(`member ${address}`, member, `${site}/${NAMES[name]!.service}/${address}`)
      equal(`word of ${member}`, { state, share, calm }, words.get(member))
    }
  }
  equal('named', vipsNamed(sites), named.toSorted())
  if (rule !== null || service.listed === true || from === undefined) return
  const nearest = Math.min(...sites.map(({ biasedKm }) => biasedKm!))
  equal(
    'the nearest is in the first group',
    sites.some(({ group, biasedKm }) => group === 1 && biasedKm === nearest),
    true,
  )
}

const isNear = (said: number | null, holds: number | undefined): boolean =>
  holds === undefined ? said === null : said !== null && Math.abs(said - holds) < 0.2

const vipsNamed = (sites: Steering['sites']): string[] =>
  sites.flatMap(({ vips }) => vips.filter(({ named }) => named).map(({ address }) => address)).toSorted()

/** The site that is named has the least score of those that may be, and the answer is VIPs of it. */
function pickFacts(
  told: Explanation,
  steering: Steering,
  service: ServiceFacts,
  { type, words }: Case,
  equal: Equal,
): void {
  const { pick, stage, walk, named, usable, values, sites } = steering
  const addresses = told.answer.map((line) => line.split(' ').at(-1)!)
  if (pick === null) {
    equal('no VIP', [named, told.answer.length > 0], [[], values && told.rcode === 'NOERROR' && told.answer.length > 0])
    return
  }
  const rivals = walk.filter((step) => step.stage === stage && step.verdict.startsWith('eligible'))
  const least = rivals.reduce((best, step) => (step.score! < best.score! ? step : best))
  equal('pick', pick, least.site)
  for (const { site, verdict, weight } of rivals) {
    const own = service.sites[site]!.weight ?? 100
    // what a dead group leaves is divided by capacity, which nobody declares here; and so is the tail
    equal(`draw of ${site}`, weight === 100 || (weight === own && verdict === 'eligible'), true)
  }
  equal('answer of the pick', addresses.toSorted(), named.toSorted())
  const family = service.sites[pick]!.vips.filter((vip) => vip.includes(':') === (type === 'AAAA'))
  equal(
    'VIPs of the pick',
    named.every((vip) => family.includes(vip)),
    true,
  )
  const own = sites.find(({ site }) => site === pick)!
  equal('pick is consulted', own.consulted, true)
  if (!stage!.startsWith('up')) return
  const up = family.filter((vip) => words.get(own.vips.find(({ address }) => address === vip)!.member)!.state === 'up')
  equal('usable', usable, up.length)
  const most = service.also.map((line) => /^answers: (\d)/.exec(line)?.[1]).find((digit) => digit !== undefined) ?? '8'
  equal('named of usable', named.length, Math.min(up.length, Number(most)))
}

/** Scope = depth of the walk, or what was hashed; caches never use it beyond what was asked for. */
function scopeFacts(told: Explanation, steering: Steering, asked: Case, equal: Equal): void {
  const { scope, hashed, walk, stage, named, usable, sites, pickBy } = steering
  const rivals = walk.filter((step) => step.stage === stage && step.verdict.startsWith('eligible')).length
  const shared = walk.some(
    (step) =>
      step.stage === 'up' &&
      (step.verdict.startsWith('eligible') || step.verdict.includes('share')) &&
      sites.find(({ site }) => site === step.site)!.vips.some(({ state, share }) => state === 'up' && share < 1000),
  )
  equal('hashed', hashed, pickBy === 'hash' && (rivals > 1 || shared || named.length < usable))
  const { client } = asked
  if (client === undefined || client.bits === 0) {
    equal('no scope', [scope, told.scope], [null, client === undefined ? null : 0])
    return
  }
  const known = lookUp(client)
  const before = client.fold === 'Teredo' && known.offset !== undefined ? 128 : (known.offset ?? 0)
  const hashBits = known.family === 4 ? Math.min(128, before + 24) : 56
  equal('hash bits', scope?.hashBits, hashed ? hashBits : null)
  equal('scope by its terms', told.scope, hashed ? Math.max(scope!.walkBits, hashBits) : scope?.walkBits)
  const kept = Math.min(told.scope!, client.bits)
  equal('caches', scope?.caches, `${formatAddress(maskAddress(parseAddress(client.text)!, kept))}/${kept}`)
}

/** TTL = max while all that was consulted is calm and something up is named, else min; the name's cap; SOA for negatives. */
function ttlFacts(
  { ttl, outcome, rcode }: Explanation,
  { walk, stage, sites }: Steering,
  { max, min }: ServiceFacts,
  cap: number | undefined,
  { words }: Case,
  equal: Equal,
): void {
  equal('rcode of a steered name', rcode, 'NOERROR')
  if (outcome === 'nodata') {
    equal('negative TTL', [ttl?.seconds, ttl?.negativeSeconds, ttl?.minSeconds], [Math.min(45, min), 45, min])
    return
  }
  const consulted = new Set(walk.map(({ site }) => site))
  const members = sites
    .filter(({ site }) => consulted.has(site))
    .flatMap(({ vips }) => vips.map(({ member }) => member))
  const restless = members.filter((member) => !words.get(member)!.calm)
  equal('unrest', ttl?.unrest.map(({ member }) => member).toSorted(), restless.toSorted())
  const longest = stage !== null && stage.startsWith('up') && restless.length === 0
  equal('TTL', ttl?.seconds, Math.min(longest ? max : min, cap ?? Infinity))
  equal('TTL terms', [ttl?.maxSeconds, ttl?.minSeconds, ttl?.capSeconds], [max, min, cap ?? null])
}
