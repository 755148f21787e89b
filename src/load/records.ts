/**
 * A zone's files → packed records (zone/pack.ts), in octoDNS's format: names at the root, and at each a record or a
 * list of records. Checked here: everything that the zone alone decides. What depends on services and inner zones is
 * checked afterwards, in resolve.ts.
 */
import { parseAddress } from '../dns/address.ts'
import type { RdataValue } from '../dns/fields.ts'
import { parseUnicodeName } from '../dns/idna.ts'
import { formatName, isAbsolute, isFault, isTooLong, joinName, keyOf, lowerName, TOO_LONG } from '../dns/name.ts'
import { encodeRdata, exampleOf, ZONE_TYPES } from '../dns/rdata.ts'
import { hasHints, isAliasMode } from '../dns/svcb.ts'
import { isOpaque, TYPE, typeName, typeNumber } from '../dns/types.ts'
import type { Report } from '../problem.ts'
import { type Fields, type MissingKey, Reader } from '../yaml/read.ts'
import { type Entry, isEmpty, type Node, type Scalar, type Source } from '../yaml/source.ts'
import { type Include, parseYaml } from '../yaml/tree.ts'
import type { ServiceModel } from '../zone/model.ts'
import { HINTS_HTTPS, HINTS_SVCB, Packer, RECORD_HEAD, STEERS_A, STEERS_AAAA, type ZoneModel } from '../zone/pack.ts'
import { Cuts, GSLB, type Owner, type RecordEntry, type ServerTarget, type UnresolvedServer } from './cuts.ts'
import { checkDnames } from './dnames.ts'
import { readKeys } from './forms.ts'
import { GSLB as STEERED, HINTED, RECORD, steeredType } from './keys.ts'
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
  readonly unresolved: readonly UnresolvedServer[]
}

/** What a zone's records take from defaults.yaml. */
export interface RecordDefaults {
  /** Of records without a TTL, and of the SOA. */
  readonly ttlSeconds: number
  /** Name servers of a zone without NS at its apex, in wire form; undefined: unknown, for defaults.yaml has faults. */
  readonly servers: readonly Uint8Array[] | undefined
}

/** The keys of a record with values, and those of octoDNS's other forms of steering, which are reported. */
const HINTED_KEYS = [...Object.keys(RECORD), 'geo', 'dynamic']
const RECORD_KEYS = HINTED_KEYS.filter((key) => key !== 'hints')
const TYPE_NUMBERS: ReadonlyMap<string, number> = new Map(ZONE_TYPES.map((name) => [name, typeNumber(name)!]))
/** What a header, a question and an OPT leave of the largest message, in bytes. */
const MAX_RRSET_BYTES = 65_535 - 12 - 259 - 64
/** ipv4hint and ipv6hint of one record, with eight addresses each. */
const MAX_HINTS_BYTES = 4 + 8 * 4 + 4 + 8 * 16
const STEERS_BOTH = STEERS_A | STEERS_AAAA

const ZONE = '{"": {type: NS, values: [ns1.example.net.]}, www: {type: A, value: 192.0.2.1}}'
const RECORD_FORM = '{type: A, value: 192.0.2.1}, or a list of such'
const WILDCARD = 'Delegate each name by its own NS'
const MISSING_TYPE: MissingKey = { keys: ['type'], known: RECORD_KEYS, what: 'a record', hint: 'type: A' }

/**
 * Reads a zone. `source`: the text of its file, or of all its files; `ids`: of these files, see IncludeResult; `apex`:
 * lower-case wire form. undefined when one of the files is no YAML.
 */
export function readZone(
  source: Source,
  apex: Uint8Array,
  defaults: RecordDefaults,
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
  return roots.length < parts.length ? undefined : new ZoneReader(source, apex, defaults, report).zone(roots)
}

class ZoneReader {
  readonly #source: Source
  readonly #read: Reader
  readonly #apex: Uint8Array
  readonly #defaults: RecordDefaults
  readonly #packer = new Packer()
  readonly #owners = new Map<string, Owner>()
  readonly #servers: ServerTarget[] = []
  readonly #dynamics: ServiceModel[] = []
  /** A name could not be read: what seems to be missing may stand at it. */
  #hasLostName = false

  constructor(source: Source, apex: Uint8Array, defaults: RecordDefaults, report: Report) {
    this.#source = source
    this.#read = new Reader(source, report)
    this.#apex = apex
    this.#defaults = defaults
  }

  zone(roots: readonly Node[]): ZoneFile {
    const zoneName = formatName(this.#apex)
    for (const root of roots) {
      for (const { key, value } of this.#read.entries(root, `zone ${zoneName}`, ZONE)) this.#name(key, value)
      if (root.kind !== 'mapping') this.#hasLostName = true
    }
    for (const owner of this.#owners.values()) this.#checkConflicts(owner)
    this.#addServers(roots[0]!)
    const server = this.#servers.find(({ owner }) => owner.wire.length === this.#apex.length)
    const names = { apex: this.#apex, owners: this.#owners, servers: this.#servers, hasLoss: this.#hasLoss }
    const cuts = new Cuts(names, this.#read)
    cuts.check()
    checkDnames(names, this.#read)
    return {
      apex: this.#apex,
      ...this.#packer.finish(),
      at: this.#source.locate(0),
      names: this.#owners.size,
      dynamics: this.#dynamics,
      firstServer: server && formatName(server.wire),
      unresolved: cuts.unresolved(),
    }
  }

  /** Gives an apex without NS those of defaults.yaml, or reports that it has none. */
  #addServers(root: Node): void {
    const own = this.#owners.get(keyOf(this.#apex))
    if (own?.records.some(({ type }) => type === TYPE.NS)) return
    const { servers, ttlSeconds } = this.#defaults
    if (servers !== undefined && servers.length > 0) {
      const owner = own ?? this.#owner(this.#apex, root)
      owner.records.push({ type: TYPE.NS, addresses: 0, node: root })
      for (const wire of servers) this.#servers.push({ owner, wire: lowerName(wire), node: root })
      this.#packer.begin(this.#apex)
      this.#packer.add(TYPE.NS, ttlSeconds, servers, this.#read.at(root))
    } else if (servers !== undefined && own?.isFaulty !== true && !this.#hasLoss) {
      const message = `zone ${formatName(this.#apex)} has no NS at its apex, and defaults.yaml has none for it`
      const hint =
        'For all zones, in defaults.yaml: `ns: [ns1.example.net., ns2.example.net.]`; or here: `"": {type: NS, values: […]}`'
      this.#read.fault('ns-missing', root, message, hint)
    }
  }

  /** Whether something that is written is in no name: what seems to be missing may be in it. */
  get #hasLoss(): boolean {
    return this.#hasLostName || this.#source.isIncomplete
  }

  #name(key: Scalar, value: Node): void {
    const wire = this.#ownerName(key)
    if (wire === undefined) {
      this.#hasLostName = true
      return
    }
    const nodes = value.kind === 'list' ? value.items : [value]
    if (value.kind === 'list' && nodes.length === 0) {
      this.#read.fault('value-kind', value, `“${key.text}” has no records`, RECORD_FORM)
    }
    const owner = this.#owner(wire, key)
    this.#packer.begin(wire)
    for (const node of nodes) {
      const { errors } = this.#read
      const record = this.#record(owner, node)
      if (record === undefined) {
        if (this.#read.errors > errors) owner.isFaulty = true
        continue
      }
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
  #owner(wire: Uint8Array, key: Node): Owner {
    const id = keyOf(wire)
    const owner = this.#owners.get(id)
    if (owner === undefined) {
      const first = { wire, node: key, records: [], isFaulty: false }
      this.#owners.set(id, first)
      return first
    }
    if (this.#read.at(owner.node).file === this.#read.at(key).file) {
      const message = `${formatName(wire)} is the same name as one above`
      this.#read.fault('name-duplicate', key, message, 'Names have no case: put all its records under one')
    }
    return owner
  }

  #ownerName(key: Scalar): Uint8Array | undefined {
    if (key.text === '') return this.#apex
    const hint = 'Names are relative to the zone, like www; "" is the zone itself'
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
    const entries = this.#read.entries(node, 'a record', RECORD_FORM)
    const find = (wanted: string): Entry | undefined => entries.find(({ key }) => key.text === wanted)
    const typeEntry = find('type')
    if (typeEntry === undefined) {
      if (node.kind === 'mapping') this.#read.missing(node, MISSING_TYPE, false)
      return undefined
    }
    const name = this.#read.text(typeEntry)
    if (name === undefined) return undefined
    if (name === 'GSLB') return this.#steered(node)
    const type = TYPE_NUMBERS.get(name) ?? opaqueType(name)
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
    if (one === undefined && many === undefined && !isSteered) {
      const hint = exampleOf(type)
      this.#read.missing(node, { keys: ['values', 'value'], known: RECORD_KEYS, what: 'a record', hint })
    }
    const nodes = many !== undefined ? this.#values(many.value, type) : one !== undefined ? [one.value] : []
    const rdata: Uint8Array[] = []
    const seen = new Set<string>()
    let bytes = 0
    for (const value of nodes) {
      const encoded = this.#rdata(type, value)
      if (encoded === undefined) continue
      const key = keyOf(encoded)
      if (seen.has(key)) {
        this.#read.fault('rdata-duplicate', value, 'this value is there twice', 'Remove one of them')
        continue
      }
      seen.add(key)
      rdata.push(encoded)
      bytes += RECORD_HEAD + encoded.length + (fields.has('hints') ? MAX_HINTS_BYTES : 0)
      if (type === TYPE.NS) this.#servers.push({ owner, wire: lowerName(encoded), node: value })
    }
    if (type === TYPE.CNAME && rdata.length > 1) {
      const hint = 'Write one: `value: www.example.net.`; of several addresses, write A and AAAA, or a service'
      this.#read.fault('cname-conflict', node, 'a CNAME has one value', hint)
    }
    if (type === TYPE.DNAME && rdata.length > 1) {
      const message = 'a DNAME has one value (RFC 6672 §2.4)'
      this.#read.fault('dname-conflict', node, message, 'Write one: `value: example.net.`')
    }
    if (bytes > MAX_RRSET_BYTES) {
      const message = `this RRset has ${bytes} bytes; a message holds ${MAX_RRSET_BYTES}`
      this.#read.fault('rrset-too-large', node, message, 'Divide its values among several names')
    } else if (rdata.length > 0) this.#packer.add(type, ttlSeconds, rdata, this.#read.at(node))
    const hints = fields.get('hints')
    if (hints !== undefined && rdata.length > 0) this.#hints(hints, type, ttlSeconds, rdata)
  }

  /** Reads `hints` of HTTPS or SVCB records: the service that gives them is an entry behind theirs. */
  #hints(entry: Entry, type: number, ttlSeconds: number, rdata: readonly Uint8Array[]): void {
    const service = RECORD.hints.form.read(this.#read, entry)
    if (rdata.some(isAliasMode)) {
      const message = 'an alias, svcpriority 0, has no parameters, and so no hints (RFC 9460 §2.4.2)'
      this.#read.fault('hints-conflict', entry.key, message, 'Leave `hints` out, or give the records a priority')
    } else if (rdata.some(hasHints)) {
      const message = '“hints” gives ipv4hint and ipv6hint, which are written here too'
      this.#read.fault('hints-conflict', entry.key, message, 'Leave them out of svcparams, or leave `hints` out')
    } else if (service !== undefined) {
      const types = type === TYPE.HTTPS ? HINTS_HTTPS : HINTS_SVCB
      this.#packer.addSteered(service, types, ttlSeconds, this.#read.at(entry.value))
    }
  }

  #values(node: Node, type: number): readonly Node[] {
    if (node.kind === 'list' && node.items.length > 0) return node.items
    return this.#read.filledItems(node, '“values”', exampleOf(type).replace(/^value: (.*)$/, 'values: [$1]'))
  }

  /** Reads the keys of a record with values. For octoDNS's other forms of steering it reports what to write instead. */
  #recordFields(node: Node, type: number): Fields {
    const what = `a record of type ${typeName(type)}`
    const fields = this.#read.fields(node, what, HINTED.has(typeName(type)) ? HINTED_KEYS : RECORD_KEYS)!
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
    return (entry && RECORD.ttl.form.read(this.#read, entry)) ?? this.#defaults.ttlSeconds
  }

  #rdata(type: number, node: Node): Uint8Array | undefined {
    const nodes = new Map<string, Node>()
    const value = this.#value(type, node, '', nodes)
    if (value === undefined) return undefined
    const encoded = encodeRdata(type, value)
    if (!isFault(encoded)) return encoded
    const at = nodes.get(encoded.field ?? '') ?? node
    this.#read.fault('rdata-invalid', at, encoded.fault, this.#rdataHint(type, at, encoded.fault))
    return undefined
  }

  /** What would be right in place of a faulty value, or of a faulty field of it. */
  #rdataHint(type: number, node: Node, fault: string): string {
    const text = node.kind === 'scalar' ? node.text : ''
    if (fault.endsWith('end with a dot')) {
      const name = text.includes('.') ? `${text}.` : `${text}.${formatName(this.#apex)}`
      return `Targets are full names, with the last dot: ${name}`
    }
    const address = type === TYPE.A || type === TYPE.AAAA ? parseAddress(text) : undefined
    if (address === undefined) return `A value of ${typeName(type)}: \`${exampleOf(type)}\``
    return `Write it in a record of its own: {type: ${type === TYPE.A ? 'AAAA' : 'A'}, value: ${text}}`
  }

  /**
   * Reads a value: a text, or texts by key. Fills `nodes` with the node of each key. `svcparams` may have lists and
   * empty keys.
   */
  #value(type: number, node: Node, path: string, nodes: Map<string, Node>): RdataValue | undefined {
    nodes.set(path, node)
    if (node.kind === 'scalar' && !isEmpty(node)) return node.text
    const isDeep = path.startsWith('svcparams')
    if (node.kind === 'list' && isDeep) {
      const items = node.items.map((item) => this.#value(type, item, path, new Map()))
      return items.every((item) => item !== undefined) ? items : undefined
    }
    if (node.kind !== 'mapping' || (path !== '' && path !== 'svcparams')) {
      if (isDeep && isEmpty(node) && !this.#source.isFaulty(node)) return ''
      const isList = node.kind === 'list' && path === ''
      const example = isList ? exampleOf(type).replace(/^value: (.*)$/, 'values: [$1, …]') : exampleOf(type)
      return this.#read.scalar(node, path === '' ? 'a value' : `“${path}”`, example)?.text
    }
    const values = new Map<string, RdataValue>()
    for (const { key, value: field } of node.entries) {
      const value = this.#value(type, field, path === '' ? key.text : `${path}.${key.text}`, nodes)
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
    const nodes = list === undefined ? [] : this.#read.items(list.value, '“types”', 'types: [A]')
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
      const hint = alias === undefined ? 'Beside an AAAA record, steer A alone: `types: [A]`' : 'Remove the CNAME'
      const message = 'a steered name cannot have a CNAME, nor a record of a type that it is steered for'
      this.#read.fault('gslb-conflict', steered[0]!.node, message, hint)
    } else if (alias !== undefined && (records.length > 1 || wire.length === this.#apex.length)) {
      const isApex = wire.length === this.#apex.length
      const hint = isApex
        ? 'Write A and AAAA records, or steer the apex by GSLB'
        : 'Remove the CNAME, or all else of this name'
      this.#read.fault('cname-conflict', alias, 'a CNAME stands alone at its name, and never at an apex', hint)
    }
    const server = wire[0] === 1 && wire[1] === 42 ? find(TYPE.NS) : undefined
    if (server !== undefined) this.#read.fault('ns-wildcard', server, 'a wildcard cannot be delegated', WILDCARD)
  }
}

const addressBit = (type: number): number => (type === TYPE.A ? STEERS_A : type === TYPE.AAAA ? STEERS_AAAA : 0)

/** `TYPE65280`: the number of a type that is known by its number alone. */
function opaqueType(name: string): number | undefined {
  const type = name.startsWith('TYPE') ? typeNumber(name) : undefined
  return type !== undefined && isOpaque(type) ? type : undefined
}
