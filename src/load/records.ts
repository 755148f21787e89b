/**
 * A zone's files → packed records (zone/pack.ts), in octoDNS's format: names at the root, and at each a record or a
 * list of records. Checked here: everything that the zone alone decides. What depends on services and inner zones is
 * checked afterwards, in resolve.ts.
 */
import type { RdataValue } from '../dns/fields.ts'
import { parseUnicodeName } from '../dns/idna.ts'
import {
  formatName,
  isAbsolute,
  isFault,
  isTooLong,
  joinName,
  keyOf,
  lowerName,
  parentName,
  TOO_LONG,
} from '../dns/name.ts'
import { encodeRdata, ZONE_TYPES } from '../dns/rdata.ts'
import { TYPE, typeName, typeNumber } from '../dns/types.ts'
import type { Problem, Report } from '../problem.ts'
import { type Fields, Reader } from '../yaml/read.ts'
import { type Entry, isEmpty, type Node, type Scalar, type Source } from '../yaml/source.ts'
import { type Include, parseYaml } from '../yaml/tree.ts'
import type { ServiceModel } from '../zone/model.ts'
import { Packer, RECORD_HEAD, STEERS_A, STEERS_AAAA, type ZoneModel } from '../zone/pack.ts'
import { readKeys } from './forms.ts'
import { GSLB as STEERED, RECORD, steeredType } from './keys.ts'
import { type DynamicRecord, readDynamic } from './octodns/dynamic.ts'
import { isIgnored, refuseType } from './octodns/ignored.ts'

/** A zone as its files have it, before its services and inner zones are known. */
export interface ZoneFile extends Pick<ZoneModel, 'apex' | 'sets' | 'bytes' | 'services' | 'at' | 'files'> {
  /** How many owner names it has. */
  readonly names: number
  /** The services that its dynamic records make. */
  readonly dynamics: readonly ServiceModel[]
  /** The first name server of the apex, as text. */
  readonly firstServer: string | undefined
  /** Name servers within the zone without an address in it: a fault, unless an inner zone contains them. */
  readonly unresolved: readonly { readonly target: Uint8Array; readonly problem: Problem }[]
}

/** The keys of a record with values, and those of octoDNS's other forms of steering, which are reported. */
const RECORD_KEYS = [...Object.keys(RECORD), 'geo', 'dynamic']
const TYPE_NUMBERS: ReadonlyMap<string, number> = new Map(ZONE_TYPES.map((name) => [name, typeNumber(name)!]))
/** What a header, a question and an OPT leave of the largest message, in bytes. */
const MAX_RRSET_BYTES = 65_535 - 12 - 259 - 64
/** A steered entry among the types of a name. */
const GSLB = 0
const STEERS_BOTH = STEERS_A | STEERS_AAAA

/** One record of a name. */
interface RecordEntry {
  readonly type: number
  /** Bits STEERS_*: which of A and AAAA it answers, steered or not. A GSLB without `types` may answer both. */
  readonly addresses: number
  readonly node: Node
}

/** A name and its records, kept for the checks that need the whole zone. */
interface Owner {
  readonly wire: Uint8Array
  readonly node: Node
  readonly records: RecordEntry[]
}

/** A name server: the target of an NS record. */
interface ServerTarget {
  readonly owner: Owner
  readonly wire: Uint8Array
  readonly node: Node
}

/**
 * Reads a zone. `source`: the text of its file, or of all its files; `ids`: of these files, see IncludeResult; `apex`:
 * lower-case wire form; `ttlSeconds`: for records without a TTL. undefined when one of the files is no YAML.
 */
export function readZone(
  source: Source,
  apex: Uint8Array,
  ttlSeconds: number,
  report: Report,
  include: Include,
  ids: readonly string[],
): ZoneFile | undefined {
  const roots: Node[] = []
  const parts = [...source.texts] // a copy: included texts will be added
  for (const [i, part] of parts.entries()) {
    const root = parseYaml(source, report, include, part, ids[i])
    if (root !== undefined) roots.push(root)
  }
  return roots.length < parts.length ? undefined : new ZoneReader(source, apex, ttlSeconds, report).zone(roots)
}
class ZoneReader {
  readonly #source: Source
  readonly #read: Reader
  readonly #apex: Uint8Array
  readonly #ttlSeconds: number
  readonly #packer = new Packer()
  readonly #owners = new Map<string, Owner>()
  readonly #servers: ServerTarget[] = []
  /** Owners of DS records. */
  readonly #signed = new Set<Owner>()
  readonly #dynamics: ServiceModel[] = []

  constructor(source: Source, apex: Uint8Array, ttlSeconds: number, report: Report) {
    this.#source = source
    this.#read = new Reader(source, report)
    this.#apex = apex
    this.#ttlSeconds = ttlSeconds
  }

  zone(roots: readonly Node[]): ZoneFile {
    const zoneName = formatName(this.#apex)
    for (const root of roots) {
      for (const { key, value } of this.#read.entries(root, `zone ${zoneName}`)) this.#name(key, value)
    }
    for (const owner of this.#owners.values()) this.#checkConflicts(owner)
    const atApex = this.#servers.filter(({ owner }) => owner.wire.length === this.#apex.length)
    if (atApex.length === 0 && !this.#source.hasFaulty) {
      const hint = `"": {type: NS, values: [ns1.example.com.]}`
      this.#read.fault('ns-missing', roots[0]!, `zone ${zoneName} has no NS at its apex`, hint)
    }
    const cuts = this.#cuts()
    this.#checkCuts(cuts)
    return {
      apex: this.#apex,
      ...this.#packer.finish(),
      at: this.#source.locate(0),
      names: this.#owners.size,
      dynamics: this.#dynamics,
      firstServer: atApex[0] && formatName(atApex[0].wire),
      unresolved: this.#unresolved(cuts),
    }
  }

  #name(key: Scalar, value: Node): void {
    const wire = this.#ownerName(key)
    if (wire === undefined) return
    const nodes = value.kind === 'list' ? value.items : [value]
    if (value.kind === 'list' && nodes.length === 0) {
      this.#read.fault('value-kind', value, `“${key.text}” has no records`)
    }
    const owner = this.#owner(wire, key)
    this.#packer.begin(wire)
    for (const node of nodes) {
      const record = this.#record(owner, node)
      if (record === undefined) continue
      const { type } = record
      const other = owner.records.find((one) => one.type === type)
      if (other === undefined || type === TYPE.CNAME || type === GSLB) {
        owner.records.push(record)
        continue
      }
      const { file, line } = this.#read.at(other.node)
      const place = file === this.#read.at(node).file ? '' : `, at ${file}:${line}`
      const message = `“${key.text}” has another record of type ${typeName(type)}${place}`
      this.#read.fault('rrset-duplicate', node, message, 'Write all its values in one: `values: [...]`')
    }
  }

  /** The Owner of a name. A name may be in several files of a zone, but only once in each. */
  #owner(wire: Uint8Array, key: Scalar): Owner {
    const id = keyOf(wire)
    const owner = this.#owners.get(id)
    if (owner === undefined) {
      const first = { wire, node: key, records: [] }
      this.#owners.set(id, first)
      return first
    }
    if (this.#read.at(owner.node).file === this.#read.at(key).file) {
      this.#read.fault('name-duplicate', key, `“${key.text}” is the same name as one above`, 'Names have no case')
    }
    return owner
  }

  #ownerName(key: Scalar): Uint8Array | undefined {
    if (key.text === '') return this.#apex
    const hint = 'Names are relative to the zone; "" is the zone itself'
    if (isTooLong(key.text)) {
      this.#read.fault('name-invalid', key, TOO_LONG.fault, hint)
      return undefined
    }
    if (isAbsolute(key.text) || key.text === '@') {
      this.#read.fault('name-invalid', key, `“${key.text}” is not relative to the zone`, hint)
      return undefined
    }
    const prefix = parseUnicodeName(key.text)
    const name = isFault(prefix) ? prefix : joinName(lowerName(prefix), this.#apex)
    if (!isFault(name)) return name
    this.#read.fault('name-invalid', key, name.fault, hint)
    return undefined
  }

  /** Reads and packs one record; undefined if it is faulty or not served. */
  #record(owner: Owner, node: Node): RecordEntry | undefined {
    const entries = this.#read.entries(node, 'a record')
    const find = (wanted: string): Entry | undefined => entries.find(({ key }) => key.text === wanted)
    const typeEntry = find('type')
    if (typeEntry === undefined) {
      if (node.kind === 'mapping') this.#read.missing(node, 'a record', 'type')
      return undefined
    }
    const name = this.#read.text(typeEntry)
    if (name === undefined) return undefined
    if (name === 'GSLB') return this.#steered(node)
    const type = TYPE_NUMBERS.get(name)
    const isDynamic = find('dynamic') !== undefined && (type === TYPE.A || type === TYPE.AAAA)
    if (isIgnored(this.#read, find('octodns'), isDynamic)) return undefined
    if (isDynamic) {
      const fields = new Map(entries.map((entry) => [entry.key.text, entry]))
      return this.#dynamic({ owner: owner.wire, type, node, fields })
    }
    if (type !== undefined && type !== TYPE.SOA) {
      this.#rrset(owner, node, type)
      return { type, addresses: addressBit(type), node }
    }
    refuseType(this.#read, node, typeEntry.value, name)
    return undefined
  }

  #rrset(owner: Owner, node: Node, type: number): void {
    const fields = this.#recordFields(node, type)
    const ttlSeconds = this.#ttl(fields)
    const one = fields.get('value')
    const many = fields.get('values')
    if (one !== undefined && many !== undefined) {
      this.#read.fault('value-kind', many.key, '“value” and “values” cannot be used together', 'Write `values` alone')
    }
    const isSteered = fields.has('geo') || fields.has('dynamic')
    if (one === undefined && many === undefined && !isSteered) this.#read.missing(node, 'a record', 'values')
    const nodes = many !== undefined ? this.#read.items(many.value, '“values”') : one !== undefined ? [one.value] : []
    if (many?.value.kind === 'list' && nodes.length === 0) {
      this.#read.fault('value-kind', many.value, '“values” is empty')
    }
    const rdata: Uint8Array[] = []
    const seen = new Set<string>()
    let bytes = 0
    for (const value of nodes) {
      const encoded = this.#rdata(type, value)
      if (encoded === undefined) continue
      const key = keyOf(encoded)
      if (seen.has(key)) {
        this.#read.fault('rdata-duplicate', value, 'this value is there twice')
        continue
      }
      seen.add(key)
      rdata.push(encoded)
      bytes += RECORD_HEAD + encoded.length
      if (type === TYPE.DS) this.#signed.add(owner)
      if (type === TYPE.NS) this.#servers.push({ owner, wire: lowerName(encoded), node: value })
    }
    if (type === TYPE.CNAME && rdata.length > 1) this.#read.fault('cname-conflict', node, 'a CNAME has one value')
    if (bytes > MAX_RRSET_BYTES) {
      this.#read.fault('rrset-too-large', node, `this RRset has ${bytes} bytes; a message holds ${MAX_RRSET_BYTES}`)
    } else if (rdata.length > 0) this.#packer.add(type, ttlSeconds, rdata, this.#read.at(node))
  }

  /** Reads the keys of a record with values. For octoDNS's other forms of steering it reports what to write instead. */
  #recordFields(node: Node, type: number): Fields {
    const what = `a record of type ${typeName(type)}`
    const fields = this.#read.fields(node, what, RECORD_KEYS)!
    const geo = fields.get('geo')
    if (geo)
      this.#read.fault('not-supported', geo.key, '“geo” is octoDNS’s former way to steer', 'Write it as `dynamic`')
    const dynamic = fields.get('dynamic')
    if (dynamic) {
      const hint = 'Steer A and AAAA records, and let a CNAME name what they are at'
      this.#read.fault('not-supported', dynamic.key, `“dynamic” steers addresses, and ${what} has none`, hint)
    }
    return fields
  }

  #ttl(fields: Fields): number {
    const entry = fields.get('ttl')
    return (entry && RECORD.ttl.form.read(this.#read, entry)) ?? this.#ttlSeconds
  }

  #rdata(type: number, node: Node): Uint8Array | undefined {
    const nodes = new Map<string, Node>()
    const value = this.#value(node, '', nodes)
    if (value === undefined) return undefined
    const encoded = encodeRdata(type, value)
    if (!isFault(encoded)) return encoded
    const hint = encoded.fault.endsWith('end with a dot') ? 'Targets are full names: www.example.com.' : undefined
    this.#read.fault('rdata-invalid', nodes.get(encoded.field ?? '') ?? node, encoded.fault, hint)
    return undefined
  }

  /**
   * Reads a value: a text, or texts by key. Fills `nodes` with the node of each key. `svcparams` may have lists and
   * empty keys.
   */
  #value(node: Node, path: string, nodes: Map<string, Node>): RdataValue | undefined {
    nodes.set(path, node)
    const isDeep = path.startsWith('svcparams')
    if (node.kind === 'list' && isDeep) {
      const items = node.items.map((item) => this.#value(item, path, new Map()))
      return items.every((item) => item !== undefined) ? items : undefined
    }
    if (node.kind !== 'mapping' || (path !== '' && path !== 'svcparams')) {
      if (isDeep && isEmpty(node) && !this.#source.isFaulty(node)) return ''
      return this.#read.scalar(node, path === '' ? 'a value' : `“${path}”`)?.text
    }
    const values = new Map<string, RdataValue>()
    for (const { key, value: field } of node.entries) {
      const value = this.#value(field, path === '' ? key.text : `${path}.${key.text}`, nodes)
      if (value === undefined) return undefined
      values.set(key.text, value)
    }
    return Object.fromEntries(values)
  }

  /** Reads a dynamic record: a service of its own, which steers the record's name. */
  #dynamic(record: Omit<DynamicRecord, 'ttlSeconds'>): RecordEntry {
    const ttlSeconds = this.#ttl(record.fields)
    const service = readDynamic(this.#read, { ...record, ttlSeconds })
    if (service !== undefined) {
      this.#dynamics.push(service)
      this.#packer.addSteered(service.name, addressBit(record.type), 0, this.#read.at(record.node))
    }
    return { type: GSLB, addresses: addressBit(record.type), node: record.node }
  }

  #steered(node: Node): RecordEntry {
    const { service, ttl, types: list } = readKeys(this.#read, node, 'a record of type GSLB', STEERED).values
    let types = 0
    const nodes = list === undefined ? [] : this.#read.items(list.value, '“types”')
    for (const value of nodes) {
      const type = list && steeredType.read(this.#read, { key: list.key, value })
      if (type !== undefined) types |= type === 'A' ? STEERS_A : STEERS_AAAA
    }
    if (list?.value.kind === 'list' && nodes.length === 0) {
      this.#read.fault('value-kind', list.value, '“types” is empty', 'Leave it out for all that the service has')
    }
    if (service !== undefined) this.#packer.addSteered(service, types, ttl, this.#read.at(node))
    return { type: GSLB, addresses: types === 0 ? STEERS_BOTH : types, node }
  }

  #checkConflicts({ wire, records }: Owner): void {
    const find = (wanted: number): Node | undefined => records.find(({ type }) => type === wanted)?.node
    const alias = find(TYPE.CNAME)
    const steered = records.filter(({ type }) => type === GSLB)
    const isSteered = steered.length > 0
    let taken = 0
    for (const { addresses, node } of steered) {
      if ((addresses & taken) !== 0) {
        const hint = 'Use one record for both, or one for each of A and AAAA (`types: [A]`)'
        this.#read.fault('rrset-duplicate', node, 'another record of this name steers the same type', hint)
      }
      taken |= addresses
    }
    const address = records.find(({ type, addresses }) => type !== GSLB && (addresses & taken) !== 0)
    if (isSteered && (alias ?? address) !== undefined) {
      const hint = 'Beside an AAAA record, steer A alone: `types: [A]`'
      const message = 'a steered name cannot have a CNAME, nor a record of a type that it is steered for'
      this.#read.fault('gslb-conflict', steered[0]!.node, message, alias === undefined ? hint : undefined)
    } else if (alias !== undefined && (records.length > 1 || wire.length === this.#apex.length)) {
      this.#read.fault('cname-conflict', alias, 'a CNAME stands alone at its name, and never at an apex')
    }
    const server = wire[0] === 1 && wire[1] === 42 ? find(TYPE.NS) : undefined
    if (server !== undefined) this.#read.fault('ns-wildcard', server, 'a wildcard cannot be delegated')
  }

  /** The zone cuts: owners of NS below the apex, by key. */
  #cuts(): ReadonlyMap<string, Owner> {
    const cuts = new Map<string, Owner>()
    for (const { owner } of this.#servers) {
      if (owner.wire.length > this.#apex.length) cuts.set(keyOf(owner.wire), owner)
    }
    return cuts
  }

  /** The highest cut at or above a name within the zone. */
  #cutOf(wire: Uint8Array, cuts: ReadonlyMap<string, Owner>): Owner | undefined {
    let cut: Owner | undefined
    if (cuts.size === 0) return undefined
    for (let name = wire; name.length > this.#apex.length; name = parentName(name)) cut = cuts.get(keyOf(name)) ?? cut
    return cut
  }

  #checkCuts(cuts: ReadonlyMap<string, Owner>): void {
    for (const owner of this.#signed) {
      if (this.#cutOf(owner.wire, cuts) !== undefined) continue
      const { node } = owner.records.find(({ type }) => type === TYPE.DS)!
      const message = 'DS stands where a zone is delegated (RFC 4035 §2.4), and there is no NS here'
      this.#read.fault('below-cut', node, message)
    }
    if (cuts.size === 0) return
    for (const owner of this.#owners.values()) {
      const cut = this.#cutOf(owner.wire, cuts)
      if (cut === undefined) continue
      const wildcard = owner.wire[0] === 1 && owner.wire[1] === 42
      for (const { type, node } of owner.records) {
        const isGlue = (type === TYPE.A || type === TYPE.AAAA) && !wildcard
        if (isGlue || (type === TYPE.NS && (owner === cut || wildcard)) || (type === TYPE.DS && owner === cut)) continue
        const what = type === GSLB ? 'a steered name' : typeName(type)
        const message = `${what} at or below the delegation of ${formatName(cut.wire)}: only its NS and DS, and addresses of name servers, belong here`
        this.#read.fault('below-cut', node, message)
      }
    }
  }

  #unresolved(cuts: ReadonlyMap<string, Owner>): ZoneFile['unresolved'] {
    const unresolved: { target: Uint8Array; problem: Problem }[] = []
    for (const { owner, wire, node } of this.#servers) {
      if (!this.#isWithin(wire)) continue
      const cut = this.#cutOf(wire, cuts)
      if (cut !== undefined && cut !== owner) continue // below another cut: the servers of that zone have its address
      if (this.#hasAddress(wire)) continue
      const message = `${formatName(wire)} is a name server within the zone and has no address here`
      const hint = `Add an A or AAAA record for it${cut === undefined ? '' : ': glue'}`
      unresolved.push({ target: wire, problem: this.#source.problem('ns-without-address', node, message, hint) })
    }
    return unresolved
  }

  #isWithin(wire: Uint8Array): boolean {
    let name = wire
    while (name.length > this.#apex.length) name = parentName(name)
    return keyOf(name) === keyOf(this.#apex)
  }

  /** Whether a name has an address in this zone, of its own or by the wildcard that matches it. */
  #hasAddress(wire: Uint8Array): boolean {
    const own = this.#owners.get(keyOf(wire))
    if (own !== undefined) return hasAddress(own)
    for (let above = parentName(wire); above.length >= this.#apex.length; above = parentName(above)) {
      const key = keyOf(above)
      const wildcard = this.#owners.get(`\u0001*${key}`)
      if (wildcard !== undefined) return hasAddress(wildcard)
      if (this.#owners.has(key)) return false
    }
    return false
  }
}

const addressBit = (type: number): number => (type === TYPE.A ? STEERS_A : type === TYPE.AAAA ? STEERS_AAAA : 0)

const hasAddress = ({ records }: Owner): boolean => records.some(({ addresses }) => addresses !== 0)
