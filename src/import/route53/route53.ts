/**
 * Route 53's record sets and health checks, as the AWS command line prints them → a folder of zones. Record sets that are
 * alone are records; those that Route 53 chooses between become services (policies.ts).
 */
import { join } from 'node:path'
import { type Fault, formatName, isFault, keyOf, lowerName, parseName } from '../../dns/name.ts'
import { TYPE, typeName, typeNumber } from '../../dns/types.ts'
import { decodeText, faultInWords } from '../../text.ts'
import { Source } from '../../yaml/source.ts'
import { parseYaml } from '../../yaml/tree.ts'
import type { Into } from '../bind.ts'
import { linesOf } from '../master.ts'
import { readRdata } from '../rdata.ts'
import { NameTable, ServiceTable } from '../steering.ts'
import { ZoneDraft } from '../zone.ts'
import { HealthChecks } from './health.ts'
import { Json } from './json.ts'
import { planOf, policyOf, type RoutedSet, selectorOf } from './policies.ts'

/** Imports a file, or each file `.json` of a folder. */
export function importRoute53(path: string, into: Into): void {
  const { input } = into
  const files = input.isFolder
    ? input.list(path).flatMap((name) => (name.endsWith('.json') ? [join(path, name)] : []))
    : [path]
  const documents = files.flatMap((file) => readJson(file, into) ?? [])
  const health = new HealthChecks(into.notes)
  const lists = documents.flatMap((document) => [document, ...document.items()])
  for (const list of lists) for (const check of list.get('HealthChecks')?.items() ?? []) health.add(check)
  const sets = lists.map((list) => list.get('ResourceRecordSets')?.items() ?? []).filter((list) => list.length > 0)
  if (sets.length === 0) into.notes.error({ file: path, line: 0 }, 'there are no ResourceRecordSets')
  const reader = new SetsReader(health, into)
  for (const zone of sets) reader.zone(zone)
  reader.finish()
}

function readJson(file: string, { input, notes }: Into): Json | undefined {
  const place = { file, line: 0 }
  const read = input.read(file)
  const decoded = 'why' in read ? undefined : decodeText(read.bytes)
  const why = 'why' in read ? read.why : decoded?.fault && faultInWords(decoded.fault)[0]
  if (why !== undefined) notes.error(place, why)
  if (why !== undefined || decoded === undefined) return undefined
  const source = new Source(file, decoded.text)
  const root = parseYaml(source, (problem) => notes.error(problem, problem.message))
  return root && new Json(source, root)
}

/** A record set with its name and type. */
interface RecordSet {
  readonly owner: Uint8Array
  readonly type: number
  readonly ttlSeconds: number
  readonly json: Json
}

class SetsReader {
  readonly #health: HealthChecks
  readonly #into: Into
  readonly #services = new ServiceTable()
  readonly #sites = new NameTable()
  /** Aliases of names that are steered: by owner and target, the types. */
  readonly #aliases = new Map<
    string,
    { readonly owner: Uint8Array; readonly sets: readonly RecordSet[]; readonly types: number[] }
  >()

  constructor(health: HealthChecks, into: Into) {
    this.#health = health
    this.#into = into
  }

  finish(): void {
    this.#services.finish(this.#into.draft, this.#into.notes)
  }

  /** Reads the record sets of one hosted zone: the one whose SOA is among them. */
  zone(list: readonly Json[]): void {
    const { notes, draft } = this.#into
    const sets = list.flatMap((json) => this.#set(json) ?? [])
    const soa = sets.find(({ type }) => type === TYPE.SOA)
    if (soa === undefined) return notes.error(list[0]!.at, 'these record sets have no SOA: the zone is not known')
    const zone = new ZoneDraft(soa.owner, soa.json.at, notes)
    const names = Map.groupBy(sets, ({ owner }) => keyOf(owner))
    for (const all of names.values()) {
      const routed = all.filter(({ json }) => policyOf(json) !== undefined)
      for (const set of all) if (!routed.includes(set)) this.#alone(zone, set, names)
      if (routed.length > 0) this.#routed(zone, routed, routed[0]!.owner, undefined)
    }
    for (const { owner, sets: targets, types } of this.#aliases.values()) this.#routed(zone, targets, owner, types)
    this.#aliases.clear()
    const servers = sets.find(
      ({ type, owner, json }) =>
        type === TYPE.NS &&
        owner.length === zone.apex.length &&
        valuesOf(json).some((value) => /\.awsdns-\d+\./.test(value)),
    )
    if (servers !== undefined)
      notes.warn(
        servers.json.at,
        `the NS of ${zone.name} are Route 53's: write the names of the servers that run Meridian, also in soa`,
      )
    draft.zone(zone)
  }

  #set(json: Json): RecordSet | undefined {
    const { notes } = this.#into
    const name = nameOf(fromOctal(json.text('Name') ?? ''))
    const word = json.text('Type') ?? ''
    const type = typeNumber(word)
    if (isFault(name)) notes.error(json.at, name.fault)
    else if (type === undefined) notes.warn(json.at, `left out: Meridian has no records of type ${word}`)
    else return { owner: lowerName(name), type, ttlSeconds: json.number('TTL') ?? ALIAS_TTL, json }
    return undefined
  }

  /** A record set that is the only one of its name and type. */
  #alone(
    zone: ZoneDraft,
    { owner, type, ttlSeconds, json }: RecordSet,
    names: ReadonlyMap<string, readonly RecordSet[]>,
  ): void {
    const { notes } = this.#into
    if (json.get('HealthCheckId') !== undefined) {
      notes.warn(
        json.at,
        `the health check of ${formatName(owner)} is left out: a record that is alone is always answered`,
      )
    }
    const alias = json.get('AliasTarget')
    if (alias !== undefined) return this.#alias(zone, owner, type, alias, names)
    for (const value of valuesOf(json)) this.#add(zone, owner, type, ttlSeconds, value, json)
  }

  #add(zone: ZoneDraft, owner: Uint8Array, type: number, ttlSeconds: number, value: string, { at }: Json): void {
    const read = readRdata(type, wordsOf(value), nameOf)
    if (isFault(read)) this.#into.notes.error(at, `${formatName(owner)} ${typeName(type)}: ${read.fault}`)
    else zone.add(owner, type, ttlSeconds, read, at)
  }

  /** An alias of a record of the same zone is that record once more; of anything of AWS it is left out. */
  #alias(
    zone: ZoneDraft,
    owner: Uint8Array,
    type: number,
    alias: Json,
    names: ReadonlyMap<string, readonly RecordSet[]>,
  ): void {
    const { notes } = this.#into
    const name = nameOf(fromOctal(alias.text('DNSName') ?? ''))
    const target = isFault(name) ? undefined : lowerName(name)
    const all = target === undefined ? [] : (names.get(keyOf(target)) ?? [])
    const found = all.filter((set) => set.type === type)
    const isAlias = found.some(({ json }) => json.get('AliasTarget') !== undefined)
    if (target === undefined || found.length === 0 || isAlias) {
      const what = target === undefined ? '' : formatName(target)
      const why = isAlias
        ? 'which is an alias itself'
        : 'only AWS knows its addresses; a service of names can name it, but not at an apex'
      return notes.warn(alias.at, `${formatName(owner)} ${typeName(type)} is left out, an alias of ${what}: ${why}`)
    }
    if (found.some(({ json }) => policyOf(json) !== undefined)) {
      const key = `${keyOf(owner)} ${keyOf(target)}`
      const known = this.#aliases.get(key)
      if (known !== undefined) known.types.push(type)
      else
        this.#aliases.set(key, { owner, sets: all.filter(({ json }) => policyOf(json) !== undefined), types: [type] })
      return
    }
    for (const { json, ttlSeconds } of found) {
      for (const value of valuesOf(json)) this.#add(zone, owner, type, ttlSeconds, value, json)
    }
  }

  /**
   * The sets of a name that Route 53 chooses between: one service for A and AAAA where they are chosen alike. `owner`: the
   * name that is steered by it, for these types; undefined: for all.
   */
  #routed(zone: ZoneDraft, sets: readonly RecordSet[], owner: Uint8Array, wanted: readonly number[] | undefined): void {
    const { notes } = this.#into
    const byType = Map.groupBy(sets, ({ type }) => type)
    const read = new Map(
      [...byType].flatMap(([type, all]) => {
        const routed = this.#read(type, all)
        return routed === undefined ? [] : [[type, routed] as const]
      }),
    )
    const [four, six] = [read.get(TYPE.A), read.get(TYPE.AAAA)]
    const isOne = four !== undefined && six !== undefined && selectorsOf(four) === selectorsOf(six)
    for (const [type, routed] of read) {
      if (isOne && type === TYPE.AAAA) continue
      if (wanted !== undefined && !wanted.includes(type) && !isOne) continue
      const target = byType.get(type)![0]!.owner
      const all = isOne ? joined(routed, six) : routed
      if (all.length === 0) continue
      const label = labelOf(zone, target)
      const isApart = !isOne && four !== undefined && six !== undefined
      const name = isApart ? `${label}-${typeName(type)}` : label
      const ttls = (isOne ? [TYPE.A, TYPE.AAAA] : [type]).flatMap((one) =>
        byType.get(one)!.map(({ ttlSeconds }) => ttlSeconds),
      )
      const least = Math.max(1, Math.min(...ttls))
      if (new Set(ttls).size > 1)
        notes.warn(all[0]!.at, `the TTL of ${formatName(target)} is ${least}, the least of those of its sets`)
      const isPart = isApart || (isOne && wanted?.length === 1)
      const types = isPart ? [typeName(isOne ? wanted![0]! : type)] : undefined
      this.#services.use(
        `${formatName(target)} ${type}`,
        name,
        () => planOf(formatName(target), name, all, this.#sites, this.#into),
        {
          ttl: { most: least, least },
          steer: (service) => zone.steer(owner, { service, ...(types !== undefined && { types }), at: all[0]!.at }),
        },
      )
    }
  }

  /** The sets of a name and type; undefined if they cannot be taken over, which is reported. */
  #read(type: number, sets: readonly RecordSet[]): readonly RoutedSet[] | undefined {
    const { notes } = this.#into
    const name = formatName(sets[0]!.owner)
    if (type !== TYPE.A && type !== TYPE.AAAA && type !== TYPE.CNAME) {
      notes.warn(sets[0]!.json.at, `${name} ${typeName(type)} is left out: Meridian steers addresses and aliases`)
      return undefined
    }
    return sets.flatMap(({ json }): readonly RoutedSet[] => {
      const id = json.text('SetIdentifier') ?? ''
      const alias = json.get('AliasTarget')
      if (alias !== undefined) {
        notes.warn(
          json.at,
          `${name}: ${id} is left out, an alias of ${alias.text('DNSName') ?? ''}: Meridian does not look for the addresses of aliases`,
        )
        return []
      }
      const written = valuesOf(json)
      const values = written.map((value) => (type === TYPE.CNAME && !value.endsWith('.') ? `${value}.` : value))
      const wrong = values.find((value) => isFault(readRdata(type, wordsOf(value), nameOf)))
      if (wrong !== undefined) notes.error(json.at, `${name} ${typeName(type)}: “${wrong}” is no value`)
      const check = json.text('HealthCheckId')
      const checked = check === undefined ? undefined : this.#health.of(check, json.at)
      return wrong === undefined && values.length > 0
        ? [{ id, policy: policyOf(json)!, values, checked, json, at: json.at }]
        : []
    })
  }
}

/** Aliases have no TTL of their own: Route 53 answers with 60 s. */
const ALIAS_TTL = 60

const selectorsOf = (sets: readonly RoutedSet[]): string => [...new Set(sets.map(selectorOf))].toSorted().join('\n')

/** Sets of A and AAAA that are chosen alike, as one. */
function joined(four: readonly RoutedSet[], six: readonly RoutedSet[]): readonly RoutedSet[] {
  const others = Map.groupBy(six, selectorOf)
  const all = four.map((set, i) => {
    const isFirst = four.findIndex((one) => selectorOf(one) === selectorOf(set)) === i
    const more = isFirst ? (others.get(selectorOf(set)) ?? []) : []
    return { ...set, values: [...set.values, ...more.flatMap(({ values }) => values)] }
  })
  return all
}

const valuesOf = (json: Json): readonly string[] =>
  (json.get('ResourceRecords')?.items() ?? []).flatMap((record) => {
    const value = record.text('Value')
    return value === undefined ? [] : [fromOctal(value)]
  })

const wordsOf = (value: string): readonly string[] => [...linesOf(value)].flatMap(({ words }) => words)

/** Names are whole, with or without the last dot. */
const nameOf = (text: string): Uint8Array | Fault => parseName(text.endsWith('.') ? text : `${text}.`)

/** Route 53 writes bytes in octal, `\052`; master files in decimal, `\042`. */
const fromOctal = (text: string): string =>
  text.replaceAll(/\\\\|\\([0-3][0-7]{2})/g, (found, octal: string | undefined) =>
    octal === undefined ? found : octal === '052' ? '*' : `\\${String(parseInt(octal, 8)).padStart(3, '0')}`,
  )

/** A name below its zone; the apex is itself. */
function labelOf(zone: ZoneDraft, owner: Uint8Array): string {
  const name = formatName(owner)
  return name === zone.name ? name.slice(0, -1) : name.slice(0, -zone.name.length - 1)
}
