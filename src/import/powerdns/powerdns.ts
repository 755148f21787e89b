/**
 * The zones file of PowerDNS's geoip backend → a folder of zones. Records are records; a service whose names are made of
 * where a client is becomes a service with a site for each name that there is, and rules that send each place to its own.
 *
 *   service: [ '%cc.%cn.www.example.com', 'rest.example.com' ]
 *     de.eu.www.example.com   ◀── rule {geos: [EU-DE], order: [de.eu.www], only: true}
 *     rest.example.com        ◀── everybody else
 *
 * PowerDNS takes the first of several names that exists, also as the parent of others only, and answers with its records;
 * the last one it names in a CNAME if there is no such name.
 */
import { isFault, isWithin, lowerName, parentName } from '../../dns/name.ts'
import { typeName, typeNumber } from '../../dns/types.ts'
import { decodeText, faultInWords } from '../../text.ts'
import { isEmpty, type Node, Source } from '../../yaml/source.ts'
import { parseYaml } from '../../yaml/tree.ts'
import { parsePrefix } from '../../dns/address.ts'
import type { Into } from '../bind.ts'
import { parseTtl } from '../master.ts'
import type { Place } from '../notes.ts'
import { readRdata } from '../rdata.ts'
import type { ServicePlan } from '../steering.ts'
import { ZoneDraft } from '../zone.ts'
import { foreignPlaceholders, hasPlaceholder, type Mapping, NOWHERE, placesFor } from './places.ts'
import {
  ADDRESSES,
  isDrawn,
  nameOf,
  type NetOutcome,
  outcomeOf,
  ServiceMaker,
  textOf,
  wireOf,
  wordsOf,
  type Domain,
  type Written,
} from './services.ts'

/** Imports a zones file. */
export function importPowerdns(path: string, into: Into): void {
  const { input, notes } = into
  const read = input.isFolder ? { why: 'a file is wanted: that of the setting geoip-zones-file' } : input.read(path)
  if ('why' in read) return notes.error({ file: path, line: 0 }, read.why)
  const decoded = decodeText(read.bytes)
  if (decoded.fault !== undefined) return notes.error({ file: path, line: 0 }, faultInWords(decoded.fault)[0])
  const source = new Source(path, decoded.text)
  const root = parseYaml(source, (problem) => notes.error(problem, problem.message))
  if (root === undefined) return
  new ZonesReader(source, into).read(root)
}

class ZonesReader {
  readonly #source: Source
  readonly #into: Into
  readonly #maker: ServiceMaker

  constructor(source: Source, into: Into) {
    this.#source = source
    this.#into = into
    this.#maker = new ServiceMaker(into)
  }

  read(root: Node): void {
    const { notes } = this.#into
    const fields = this.#fields(root, 'the file')
    const domains = fields.get('domains')
    if (domains?.kind !== 'list') return notes.error(this.#at(root), 'there is no list “domains”')
    for (const [key, node] of fields) {
      if (!['domains', 'mapping_lookup_formats', 'custom_mapping'].includes(key))
        notes.warn(this.#at(node), `“${key}” is left out: it is not known here`)
    }
    const mapping = this.#mapping(fields, { formats: [], values: new Map() })
    for (const domain of domains.items) this.#domain(domain, mapping)
    this.#maker.finish()
  }

  #at(node: Node): Place {
    const { file, line, column } = this.#source.place(node)
    return { file, line, column }
  }

  #fields(node: Node, what: string): ReadonlyMap<string, Node> {
    if (node.kind === 'mapping') return new Map(node.entries.map(({ key, value }) => [key.text, value]))
    this.#into.notes.error(this.#at(node), `${what} is no mapping`)
    return new Map()
  }

  #mapping(fields: ReadonlyMap<string, Node>, above: Mapping): Mapping {
    const formats = fields.get('mapping_lookup_formats')
    const values = fields.get('custom_mapping')
    return {
      formats: formats === undefined ? above.formats : textsOf(formats),
      values:
        values?.kind === 'mapping'
          ? new Map(values.entries.map(({ key, value }) => [key.text.toLowerCase(), textsOf(value)[0] ?? '']))
          : above.values,
    }
  }

  #domain(node: Node, above: Mapping): void {
    const { notes, draft } = this.#into
    const fields = this.#fields(node, 'a domain')
    const name = textsOf(fields.get('domain'))[0] ?? ''
    const apex = nameOf(name)
    if (isFault(apex) || name === '')
      return notes.error(this.#at(node), `a domain has no name: ${isFault(apex) ? apex.fault : ''}`)
    for (const key of fields.keys()) {
      if (!['domain', 'ttl', 'records', 'services', 'mapping_lookup_formats', 'custom_mapping'].includes(key)) {
        notes.warn(this.#at(fields.get(key)!), `“${key}” of a domain is left out: it is not known here`)
      }
    }
    const ttl = fields.get('ttl')
    const ttlSeconds = parseTtl(textsOf(ttl)[0] ?? '')
    if (ttlSeconds === undefined) notes.error(this.#at(ttl ?? node), `domain ${name} has no TTL`)
    const zone = new ZoneDraft(lowerName(apex), this.#at(node), notes)
    const records = new Map<string, readonly Written[]>()
    const there = new Set<string>()
    const written = fields.get('records')
    for (const { key, value } of written?.kind === 'mapping' ? written.entries : []) {
      const wire = nameOf(key.text)
      if (isFault(wire) || hasPlaceholder(key.text) || !isWithin(lowerName(wire), zone.apex)) {
        const why = isFault(wire)
          ? wire.fault
          : hasPlaceholder(key.text)
            ? 'its name is made of placeholders'
            : 'it is outside of the domain'
        notes.warn(this.#at(key), `${key.text} is left out: ${why}`)
        continue
      }
      records.set(textOf(wire), this.#records(value, ttlSeconds ?? 0))
      for (let at = lowerName(wire); at.length > zone.apex.length; at = parentName(at)) there.add(textOf(at))
    }
    const domain = { zone, ttlSeconds: ttlSeconds ?? 0, records, there, mapping: this.#mapping(fields, above) }
    for (const [owner, all] of records) this.#static(domain, owner, all)
    const services = fields.get('services')
    for (const { key, value } of services?.kind === 'mapping' ? services.entries : [])
      this.#service(domain, key.text, value)
    draft.zone(zone)
  }

  /** The records of a name: a list of `TYPE: CONTENT`, or `TYPE: {content, ttl, weight}`. */
  #records(node: Node, ttlSeconds: number): readonly Written[] {
    const { notes } = this.#into
    if (node.kind !== 'list') {
      if (!isEmpty(node)) notes.error(this.#at(node), 'the records of a name are a list')
      return []
    }
    return node.items.flatMap((item): readonly Written[] => {
      if (item.kind !== 'mapping') {
        notes.error(this.#at(item), 'a record is TYPE: CONTENT')
        return []
      }
      return item.entries.flatMap(({ key, value }) => {
        const at = this.#at(key)
        const parts = value.kind === 'mapping' ? this.#fields(value, 'a record') : new Map([['content', value]])
        const content = textsOf(parts.get('content'))[0]
        const type = typeNumber(key.text)
        const ttl = parts.has('ttl') ? parseTtl(textsOf(parts.get('ttl'))[0] ?? '') : ttlSeconds
        const weight = parts.has('weight') ? Number(textsOf(parts.get('weight'))[0]) : undefined
        if (type === undefined || content === undefined) {
          notes.warn(at, `left out: Meridian has no records of type ${key.text.toUpperCase()}`)
          return []
        }
        if (ttl === undefined || (weight !== undefined && !(weight >= 0))) {
          notes.error(at, 'its TTL or weight is no number')
          return []
        }
        if (hasPlaceholder(content)) {
          notes.warn(at, `left out: Meridian's records do not depend on the client: ${content}`)
          return []
        }
        return [{ type, content, ttlSeconds: ttl, weight, at }]
      })
    })
  }

  /** Puts records into the zone. Addresses with weights are steered: each answer has one of them. */
  #static({ zone }: Domain, owner: string, all: readonly Written[]): void {
    const { notes } = this.#into
    const wire = wireOf(owner)
    const steered = new Set(ADDRESSES.filter((type) => isDrawn(all, type)))
    for (const { type, content, ttlSeconds, at } of all) {
      if (steered.has(type)) continue
      if (isDrawn(all, type))
        notes.warn(
          at,
          `${owner} ${typeName(type)}: an answer has all records, not one by weight: Meridian steers addresses`,
        )
      const words = wordsOf(type, content)
      const read = readRdata(type, words, nameOf)
      if (isFault(read)) notes.error(at, `${owner}: ${read.fault}`)
      else zone.add(wire, type, ttlSeconds, read, at)
    }
    const drawn = all.filter(({ type }) => steered.has(type))
    if (drawn.length === 0) return
    const sites = this.#maker.sitesOf(zone, owner, all, [...steered])
    const plan = (): ServicePlan => ({
      sites,
      order: [sites.map(({ name }) => name)],
      rules: [],
      isRandom: true,
      checks: [],
      comments: [`weights of ${owner}`],
      at: drawn[0]!.at,
    })
    const isWhole = steered.size === 2 || !all.some(({ type }) => ADDRESSES.includes(type) && !steered.has(type))
    this.#maker.steer(zone, wire, owner, drawn, plan, isWhole ? undefined : [...steered].map(typeName))
  }

  #service(domain: Domain, key: string, node: Node): void {
    const { notes } = this.#into
    const { zone } = domain
    const at = this.#at(node)
    const wire = nameOf(key)
    if (isFault(wire) || !isWithin(lowerName(wire), zone.apex) || hasPlaceholder(key)) {
      return notes.warn(
        at,
        `service ${key} is left out: ${isFault(wire) ? wire.fault : 'its name is none of the domain'}`,
      )
    }
    const owner = textOf(wire)
    const parts = node.kind === 'mapping' ? node.entries : []
    const usual = node.kind === 'mapping' ? parts.find(({ key: { text } }) => text === 'default')?.value : node
    const formats = textsOf(usual)
    const foreign = [...new Set(formats.flatMap(foreignPlaceholders))]
    if (formats.length === 0 || foreign.length > 0) {
      const why =
        foreign.length > 0 ? `Meridian's rules do not go by ${foreign.join(', ')}` : 'it has no names for all clients'
      return notes.warn(at, `service ${key} is left out: ${why}`)
    }
    if (formats.some((format) => format.includes('%co')))
      notes.warn(at, `service ${key}: %co is taken for two letters, as with databases in MaxMind's format`)
    const words = new Set([...domain.there, ...domain.mapping.values.keys()].flatMap((name) => name.split(/[^a-z0-9]/)))
    const places = placesFor(
      words,
      formats.some((format) => /%(?:re|mp)/.test(format)),
    )
    const outcomes = new Map(places.map((place) => [place, outcomeOf(domain, formats, place)]))
    const nets = parts.flatMap(({ key: { text }, value }) =>
      text === 'default' ? [] : (this.#net(domain, text, value) ?? []),
    )
    this.#maker.make(domain, owner, at, outcomes, nets)
  }

  /** What clients of a network get: a name that is the same for all of them. */
  #net(domain: Domain, net: string, value: Node): NetOutcome | undefined {
    const at = this.#at(value)
    const formats = textsOf(value)
    if (parsePrefix(net) === undefined) this.#into.notes.error(at, `“${net}” is no network`)
    else if (formats.length === 0 || formats.some(hasPlaceholder)) {
      this.#into.notes.warn(
        at,
        `${net} is left out: its clients' names are made of placeholders; they get what others of their place do`,
      )
    } else return { net, outcome: outcomeOf(domain, formats, NOWHERE), at }
    return undefined
  }
}

/** The texts of a scalar, or of a list of scalars. */
function textsOf(node: Node | undefined): readonly string[] {
  const items = node === undefined ? [] : node.kind === 'list' ? node.items : [node]
  return items.flatMap((item) => (item.kind === 'scalar' && item.text !== '' ? [item.text] : []))
}
