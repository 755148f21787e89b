/**
 * Route 53's record sets, as JSON that AWS's command line prints, → records and services of a zone. Called by the import of
 * Route 53, and by external-dns/, whose endpoints say the same in other words.
 */
import { type Fault, formatName, isFault, keyOf, lowerName, parseName } from '../../dns/name.ts'
import { TYPE, typeName, typeNumber } from '../../dns/types.ts'
import type { FolderDraft } from '../folder.ts'
import { linesOf } from '../master.ts'
import type { Notes, Place } from '../notes.ts'
import { readRdata } from '../rdata.ts'
import { ServiceTable } from '../steering.ts'
import type { ZoneDraft } from '../zone.ts'
import type { Checked } from './health.ts'
import type { Json } from './json.ts'
import { planOf, policyOf, type RoutedSet, selectorOf, type SiteNaming } from './policies.ts'

/** A record set with its name and type. */
export interface RecordSet {
  readonly owner: Uint8Array
  readonly type: number
  readonly ttlSeconds: number
  readonly json: Json
}

/** How sites, services and checks of routed sets are called. */
export interface Naming extends SiteNaming {
  /** The service of a name. */
  readonly service: (zone: ZoneDraft, owner: Uint8Array) => string
  /** What the health check of a set becomes. */
  readonly check: (id: string, at: Place) => Checked
}

/** Where sets are put. */
export interface SetsInto {
  readonly draft: Pick<FolderDraft, 'service'>
  readonly notes: Notes
}

/** Reads the record sets of zones: those that are alone as records, those that are chosen between as services. */
export class SetsReader {
  readonly #naming: Naming
  readonly #into: SetsInto
  readonly #services = new ServiceTable()
  /** Aliases of names that are steered: by owner and target, the types. */
  readonly #aliases = new Map<
    string,
    { readonly owner: Uint8Array; readonly sets: readonly RecordSet[]; readonly types: number[] }
  >()

  constructor(naming: Naming, into: SetsInto) {
    this.#naming = naming
    this.#into = into
  }

  /** Puts all services into the draft, and steers the names. */
  finish(): void {
    this.#services.finish(this.#into.draft, this.#into.notes)
  }

  /** The record sets of a list; what is none is reported. */
  sets(list: readonly Json[]): readonly RecordSet[] {
    return list.flatMap((json) => this.#set(json) ?? [])
  }

  /** Reads record sets of one zone. */
  zone(zone: ZoneDraft, sets: readonly RecordSet[]): void {
    const names = Map.groupBy(sets, ({ owner }) => keyOf(owner))
    for (const all of names.values()) {
      const routed = all.filter(({ json }) => policyOf(json) !== undefined)
      for (const set of all) if (!routed.includes(set)) this.#alone(zone, set, names)
      if (routed.length > 0) this.#routed(zone, routed, routed[0]!.owner, undefined)
    }
    for (const { owner, sets: targets, types } of this.#aliases.values()) this.#routed(zone, targets, owner, types)
    this.#aliases.clear()
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
      const label = this.#naming.service(zone, target)
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
        () => planOf(formatName(target), name, all, this.#naming, this.#into.notes),
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
      const checked = check === undefined ? undefined : this.#naming.check(check, json.at)
      return wrong === undefined && values.length > 0
        ? [{ id, name, policy: policyOf(json)!, values, checked, json, at: json.at }]
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

/** The values of a record set. */
export const valuesOf = (json: Json): readonly string[] =>
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
