/**
 * Names whose addresses depend on the client or on chance → services. Used by powerdns.ts, which reads the file.
 */
import { type Fault, formatName, isFault, isWithin, lowerName, parseName } from '../../dns/name.ts'
import { TYPE, typeName } from '../../dns/types.ts'
import type { Into } from '../bind.ts'
import { linesOf } from '../master.ts'
import type { Place } from '../notes.ts'
import { readRdata } from '../rdata.ts'
import { NameTable, type RulePlan, type ServicePlan, ServiceTable, type SitePlan } from '../steering.ts'
import type { ZoneDraft } from '../zone.ts'
import { type ClientPlace, expand, type Mapping } from './places.ts'

/** A record of a name. */
export interface Written {
  readonly type: number
  readonly content: string
  readonly ttlSeconds: number
  readonly weight: number | undefined
  readonly at: Place
}

/** A domain, as far as services look at it. */
export interface Domain {
  readonly zone: ZoneDraft
  readonly ttlSeconds: number
  /** By lower-case name without the last dot. */
  readonly records: ReadonlyMap<string, readonly Written[]>
  /** Names that exist: those with records, and their parents. */
  readonly there: ReadonlySet<string>
  readonly mapping: Mapping
}

/** What clients of a place get. */
export type Outcome =
  | { readonly kind: 'records'; readonly name: string }
  | { readonly kind: 'alias'; readonly target: string }
  | { readonly kind: 'nothing'; readonly why: string }

/** What clients of a network get. */
export interface NetOutcome {
  readonly net: string
  readonly outcome: Outcome
  readonly at: Place
}

/** Makes services, and steers names by them. */
export class ServiceMaker {
  readonly #into: Into
  readonly #services = new ServiceTable()
  readonly #sites = new NameTable()

  constructor(into: Into) {
    this.#into = into
  }

  /** Puts all services into the draft. */
  finish(): void {
    this.#services.finish(this.#into.draft, this.#into.notes)
  }

  /** The sites that a name's addresses become: one, or one for each address where they have weights. */
  sitesOf(zone: ZoneDraft, owner: string, all: readonly Written[], types: readonly number[]): readonly SitePlan[] {
    const addresses = all.filter(({ type }) => types.includes(type))
    const whole = addresses.filter(({ type }) => !isDrawn(all, type))
    const label = labelOf(zone, owner)
    const parts = [
      ...(whole.length > 0
        ? [{ name: label, vips: whole.map(({ content }) => content), weight: 100, at: whole[0]!.at }]
        : []),
      ...addresses
        .filter(({ type }) => isDrawn(all, type))
        .map(({ content, weight = 100, at }) => ({ name: `${label}-${content}`, vips: [content], weight, at })),
    ]
    return parts.map((part) => {
      const name = this.#sites.of(part.name, `${owner} ${part.name}`)
      this.#into.draft.site(name, undefined)
      return { ...part, name, isDown: false }
    })
  }

  steer(
    zone: ZoneDraft,
    wire: Uint8Array,
    owner: string,
    records: readonly Written[],
    plan: () => ServicePlan,
    types?: readonly string[],
  ): void {
    const ttls = new Set(records.map(({ ttlSeconds }) => ttlSeconds))
    const least = Math.max(1, Math.min(...ttls))
    if (ttls.size > 1)
      this.#into.notes.warn(records[0]!.at, `the TTL of ${owner} is ${least}, the least of those of its records`)
    this.#services.use(`${zone.name} ${owner}`, labelOf(zone, owner), plan, {
      ttl: { most: least, least },
      steer: (service) => zone.steer(wire, { service, ...(types !== undefined && { types }), at: records[0]!.at }),
    })
  }

  /** Makes the service of all outcomes, or reports why there is none. */
  make(
    domain: Domain,
    owner: string,
    at: Place,
    outcomes: ReadonlyMap<ClientPlace, Outcome>,
    nets: readonly NetOutcome[],
  ): void {
    const { notes } = this.#into
    const { zone, records } = domain
    const all = [...outcomes.values(), ...nets.map(({ outcome }) => outcome)]
    const named = [...new Set(all.flatMap((outcome) => (outcome.kind === 'records' ? [outcome.name] : [])))]
    const aliases = [...new Set(all.flatMap((outcome) => (outcome.kind === 'alias' ? [outcome.target] : [])))]
    if (named.length === 0 && aliases.length === 0)
      return notes.warn(at, `service ${owner} is left out: none of its names has addresses`)
    if (named.length === 0 && aliases.length > MOST_ALIASES) {
      return notes.warn(
        at,
        `service ${owner} is left out: its clients get more than ${MOST_ALIASES} different names, such as ${aliases[0]}`,
      )
    }
    const isAlias = named.length === 0
    for (const type of ADDRESSES) {
      const own = (records.get(owner) ?? []).find((record) => record.type === type)
      if (own === undefined) continue
      notes.warn(own.at, `left out: PowerDNS adds these to what service ${owner} answers; here the service is all`)
      zone.drop(wireOf(owner), type)
    }
    const pools = new Map<string, readonly SitePlan[]>()
    const types = isAlias ? undefined : this.#commonTypes(owner, at, named, records)
    if (types?.length === 0) return notes.warn(at, `service ${owner} is left out: its names have no type in common`)
    const ofType = (name: string): readonly Written[] =>
      (records.get(name) ?? []).filter(({ type }) => types!.includes(type))
    for (const name of isAlias ? aliases : named) {
      const site = isAlias ? this.#sites.of(name.replace(/\.$/, ''), `alias ${name}`) : ''
      if (isAlias) this.#into.draft.site(site, undefined)
      pools.set(
        name,
        isAlias
          ? [{ name: site, vips: [name], weight: 100, isDown: false, at }]
          : this.sitesOf(zone, name, records.get(name) ?? [], types!),
      )
    }
    const poolOf = (outcome: Outcome): readonly SitePlan[] | undefined =>
      pools.get(outcome.kind === 'records' ? outcome.name : outcome.kind === 'alias' ? outcome.target : '')
    const lost = [...outcomes].filter(([, outcome]) => poolOf(outcome) === undefined)
    const rest = [...outcomes].find(([place]) => place.geo === '')![1]
    const usual = poolOf(rest) ?? [...pools.values()][0]!
    if (lost.length > 0) {
      const [place, outcome] = lost[0]!
      const what =
        outcome.kind === 'alias' ? `a CNAME to ${outcome.target}` : outcome.kind === 'nothing' ? outcome.why : ''
      const where = place.geo === '' ? 'of unknown places' : `of ${place.geo}`
      const more = lost.length > 1 ? `, and those of ${lost.length - 1} more places` : ''
      notes.warn(
        at,
        `service ${owner}: clients ${where}${more} get ${what} from PowerDNS; here they get ${usual[0]!.name}`,
      )
    }
    this.#otherTypes(domain, owner, at, named, types ?? [])
    const rules = [
      ...this.#netRules(nets, poolOf),
      ...rulesOf(outcomes, (outcome) => poolOf(outcome) ?? usual, usual, at),
    ]
    const used = isAlias
      ? [{ type: TYPE.CNAME, content: '', ttlSeconds: domain.ttlSeconds, weight: undefined, at }]
      : named.flatMap(ofType)
    const sites = [...pools.values()].flat()
    const plan = (): ServicePlan => ({
      sites: [...usual, ...sites.filter((site) => !usual.includes(site))],
      order: [usual.map(({ name }) => name)],
      rules,
      isRandom: sites.some(({ weight }) => weight !== 100) || [...pools.values()].some((pool) => pool.length > 1),
      checks: [],
      comments: [`service ${owner}`],
      at,
    })
    const wire = wireOf(owner)
    this.steer(
      zone,
      wire,
      owner,
      used.map((record) => ({ ...record, at })),
      plan,
    )
  }

  #netRules(
    nets: readonly NetOutcome[],
    poolOf: (outcome: Outcome) => readonly SitePlan[] | undefined,
  ): readonly RulePlan[] {
    return nets.flatMap(({ net, outcome, at }) => {
      const pool = poolOf(outcome)
      if (pool === undefined)
        this.#into.notes.warn(
          at,
          `${net} is left out: its name has no addresses; its clients get what others of their place do`,
        )
      return pool === undefined ? [] : [{ subnets: [net], order: [pool.map(({ name }) => name)], at }]
    })
  }

  /** The families that all names have: which types a name has does not depend on the client. */
  #commonTypes(owner: string, at: Place, named: readonly string[], records: Domain['records']): readonly number[] {
    const has = (name: string, type: number): boolean =>
      (records.get(name) ?? []).some((record) => record.type === type)
    const { notes } = this.#into
    return ADDRESSES.filter((type) => {
      const lacking = named.filter((name) => !has(name, type))
      if (lacking.length === 0) return true
      if (lacking.length < named.length) {
        notes.warn(
          at,
          `service ${owner}: ${typeName(type)} is left out: ${lacking[0]} has none, and which types a name has does not depend on the client`,
        )
      }
      return false
    })
  }

  /** Records of other types are taken over if they are the same for all clients. */
  #otherTypes(
    { zone, records, there }: Domain,
    owner: string,
    at: Place,
    named: readonly string[],
    types: readonly number[],
  ): void {
    const others = new Map<number, string>()
    for (const name of named) {
      for (const { type, at: place } of records.get(name) ?? []) {
        if (!types.includes(type) && type !== TYPE.A && type !== TYPE.AAAA) others.set(type, `${place.line}`)
      }
    }
    for (const type of others.keys()) {
      const sets = named.map((name) => (records.get(name) ?? []).filter((record) => record.type === type))
      const texts = new Set(
        sets.map((set) =>
          set
            .map(({ content }) => content)
            .toSorted()
            .join('\n'),
        ),
      )
      if (texts.size > 1) {
        this.#into.notes.warn(
          at,
          `service ${owner}: ${typeName(type)} is left out: its records differ by client, and Meridian steers addresses`,
        )
      } else if (!there.has(owner) || !(records.get(owner) ?? []).some((record) => record.type === type)) {
        for (const { content, ttlSeconds, at: place } of sets[0]!) {
          const read = readRdata(type, wordsOf(type, content), nameOf)
          if (!isFault(read)) zone.add(wireOf(owner), type, ttlSeconds, read, place)
        }
      }
    }
  }
}

export const ADDRESSES: readonly number[] = [TYPE.A, TYPE.AAAA]
/** The most names that a service is made of. */
const MOST_ALIASES = 300

/** What clients of a place get: the records of the first name that there is, or a CNAME to the last one. */
export function outcomeOf(
  { records, there, zone, mapping }: Domain,
  formats: readonly string[],
  place: ClientPlace,
): Outcome {
  const names = formats.map((format) => expand(format, place, mapping))
  const found = names.find((name) => there.has(name.toLowerCase().replace(/\.$/, '')))
  if (found === undefined) {
    const last = nameOf(names.at(-1)!)
    return isFault(last)
      ? { kind: 'nothing', why: `no name: ${last.fault}` }
      : isWithin(lowerName(last), zone.apex)
        ? { kind: 'nothing', why: `a CNAME to ${formatName(last)}` }
        : { kind: 'alias', target: formatName(last) }
  }
  const all = records.get(found.toLowerCase().replace(/\.$/, '')) ?? []
  const alias = all.find(({ type }) => type === TYPE.CNAME)
  if (alias !== undefined) {
    const target = nameOf(alias.content)
    return isFault(target) ? { kind: 'nothing', why: target.fault } : { kind: 'alias', target: formatName(target) }
  }
  const hasAddress = all.some(({ type }) => type === TYPE.A || type === TYPE.AAAA)
  return hasAddress
    ? { kind: 'records', name: found.toLowerCase().replace(/\.$/, '') }
    : { kind: 'nothing', why: `no addresses, of ${found},` }
}

/** Rules for all places that do not get what is around them, the smallest first; places with the same sites are one rule. */
function rulesOf(
  outcomes: ReadonlyMap<ClientPlace, Outcome>,
  poolOf: (outcome: Outcome) => readonly SitePlan[],
  usual: readonly SitePlan[],
  at: Place,
): readonly RulePlan[] {
  const byGeo = new Map([...outcomes].map(([{ geo }, outcome]) => [geo, poolOf(outcome)]))
  const rules = new Map<string, { readonly geos: string[]; readonly pool: readonly SitePlan[] }>()
  for (const [geo, pool] of byGeo) {
    const around = geo === '' ? pool : geo.includes('-') ? byGeo.get(geo.slice(0, geo.lastIndexOf('-')))! : usual
    if (pool === around) continue
    const key = `${geo.split('-').length} ${pool[0]!.name}`
    const rule = rules.get(key) ?? { geos: [], pool }
    rule.geos.push(geo)
    rules.set(key, rule)
  }
  return [...rules.values()].map(({ geos, pool }) => ({ geos, order: [pool.map(({ name }) => name)], at }))
}

/** Whether an answer has one of a name's records of a type: a weight of any of its records draws all its types. */
export const isDrawn = (records: readonly Written[], type: number): boolean =>
  records.filter((record) => record.type === type).length > 1 && records.some(({ weight }) => weight !== undefined)

/** The words of a record's content: TXT need no quotes. */
export const wordsOf = (type: number, content: string): readonly string[] => {
  const isBare = (type === TYPE.TXT || type === TYPE.SPF) && !content.trimStart().startsWith('"')
  return isBare ? [`"${content}"`] : [...linesOf(content)].flatMap(({ words }) => words)
}

/** Names are whole, with or without the last dot. */
export const nameOf = (text: string): Uint8Array | Fault => parseName(text.endsWith('.') ? text : `${text}.`)

/** The wire form of a name that textOf() has given. */
export function wireOf(text: string): Uint8Array {
  const name = nameOf(text)
  if (isFault(name)) throw new Error(name.fault)
  return lowerName(name)
}

/** A name without its last dot, in lower case. */
export const textOf = (wire: Uint8Array): string => formatName(lowerName(wire)).slice(0, -1)

/** A name below its zone; the apex is itself. */
const labelOf = (zone: ZoneDraft, owner: string): string =>
  owner.length < zone.name.length ? owner : owner.slice(0, -zone.name.length)
