/**
 * defaults.yaml → what zones, records and services take where they say nothing. A zone may have settings of its own
 * under `zones`, which replace those for all. Called by load.ts.
 */
import { parseUnicodeName } from '../dns/idna.ts'
import { formatName, isFault, keyOf, lowerName } from '../dns/name.ts'
import { encodeRdata } from '../dns/rdata.ts'
import { TYPE } from '../dns/types.ts'
import { didYouMean, type Position } from '../problem.ts'
import type { Reader } from '../yaml/read.ts'
import type { Entry, Node, Scalar } from '../yaml/source.ts'
import type { SiteModel } from '../zone/model.ts'
import type { TransferModel } from '../zone/pack.ts'
import type { PartialCheck } from './check-keys.ts'
import { readNamedChecks } from './checks.ts'
import { readKeys, type Rows, withDefaults, type Written } from './forms.ts'
import { DEFAULTS, SOA, ZONE_SETTINGS, ZONE_SOA } from './keys.ts'
import type { RecordDefaults } from './records.ts'
import type { References } from './references.ts'
import { readSoa, type SoaFields } from './soa.ts'
import { readTransfer, type WrittenTransfer } from './transfer.ts'

/** What a zone takes where its file says nothing. */
export interface ZoneDefaults extends RecordDefaults {
  readonly soa: SoaFields
  /** undefined: nobody may take copies of it. */
  readonly transfer: TransferModel | undefined
}

/** A tree, to be read. `isWhole`: all that is written in its file is in it. */
export interface Tree {
  readonly read: Reader
  readonly root: Node
  readonly isWhole: boolean
}

interface Settings {
  readonly transfer: WrittenTransfer | undefined
  readonly ttlSeconds: number
  readonly servers: readonly Uint8Array[]
  readonly soa: Written<typeof SOA>
}

/** The contents of defaults.yaml. */
export class Defaults {
  readonly checks: ReadonlyMap<string, PartialCheck>
  /** Where they are written. */
  readonly checksAt: ReadonlyMap<string, Position>
  /** The SOA serial of all zones; undefined: none is written. */
  readonly serial: number | undefined
  readonly #all: Settings
  /** By the key of their apex. */
  readonly #zones = new Map<string, { readonly settings: Settings; readonly key: Scalar }>()
  readonly #tree: Tree | undefined
  /** Whether what is not in these defaults is not in the file either: false if something in it could not be read. */
  readonly isWhole: boolean

  /** `tree`: of the file; undefined: there is none, or it could not be read. `isThere`: whether there is a file. */
  constructor(tree: Tree | undefined, isThere: boolean) {
    this.#tree = tree
    const none = { transfer: undefined, ttlSeconds: DEFAULTS.ttl.missing, servers: [], soa: {} }
    if (tree === undefined) {
      this.checks = new Map()
      this.checksAt = new Map()
      this.#all = none
      this.isWhole = !isThere
      return
    }
    const { read, root } = tree
    const { values } = readKeys(read, root, 'defaults.yaml', DEFAULTS)
    this.#all = readSettings(read, values, none)
    this.serial = this.#all.soa.serial
    this.#readZones(read, values.zones)
    this.isWhole = tree.isWhole && read.errors === 0 && (values.checks?.value.kind ?? 'mapping') === 'mapping'
    this.checks = values.checks === undefined ? new Map() : readNamedChecks(read, values.checks.value)
    const checks = values.checks?.value.kind === 'mapping' ? values.checks.value.entries : []
    this.checksAt = new Map(checks.map(({ key }) => [key.text, read.at(key)]))
  }

  /** The defaults of a zone. `apex`: lower-case wire form. */
  of(apex: Uint8Array): ZoneDefaults {
    const { ttlSeconds, servers, soa, transfer } = this.#zones.get(keyOf(apex))?.settings ?? this.#all
    const areKnown = servers.length > 0 || this.isWhole
    return {
      ttlSeconds,
      servers: areKnown ? servers : undefined,
      soa: withDefaults(SOA, soa),
      transfer: transfer?.transfer,
    }
  }

  /** Reports settings of zones that there are not. `apexes`: of the zones that there are, in lower-case wire form. */
  reportUnknownZones(apexes: readonly Uint8Array[]): void {
    if (this.#zones.size === 0) return
    const known = new Set(apexes.map(keyOf))
    for (const [apex, { key }] of this.#zones) {
      if (known.has(apex)) continue
      const names = apexes.map((one) => formatName(one).slice(0, -1))
      const hint = didYouMean(key.text, names) ?? 'A zone is a file named like example.com.yaml'
      this.#tree!.read.fault('key-unknown', key, `there is no zone “${key.text}” in this folder`, hint)
    }
  }

  /** Notes the sites that transfers name. */
  addReferences(sites: ReadonlyMap<string, SiteModel>, references: References): void {
    const all = [this.#all, ...[...this.#zones.values()].map(({ settings }) => settings)]
    for (const site of new Set(all.map(({ transfer }) => transfer?.site))) {
      if (site === undefined) continue
      if (sites.has(site.text)) references.add('site', site.text)
      else {
        references.addUnknown('site', site.text, () =>
          this.#tree!.read.problem(
            'site-unknown',
            site,
            `there is no site “${site.text}”`,
            didYouMean(site.text, sites.keys()) ?? 'Write it into sites.yaml',
          ),
        )
      }
    }
  }

  #readZones(read: Reader, zones: Entry | undefined): void {
    if (zones === undefined) return
    for (const { key, value } of read.entries(zones.value, '“zones”', '{example.com: {ttl: 300}}')) {
      const name = parseUnicodeName(key.text)
      if (isFault(name)) {
        read.fault('name-invalid', key, name.fault, 'The name of a zone: example.com')
        continue
      }
      const { values } = readKeys(read, value, `zone ${key.text}`, ZONE_SETTINGS)
      this.#zones.set(keyOf(lowerName(name)), { key, settings: readSettings(read, values, this.#all, ZONE_SOA) })
    }
  }
}

/** Reads the settings that may be those of all zones, or of one. What is not written is taken from `like`. */
function readSettings(
  read: Reader,
  {
    ttl,
    ns,
    soa,
    transfer,
  }: {
    readonly ttl: number | undefined
    readonly ns: Entry | undefined
    readonly soa: Entry | undefined
    readonly transfer: Entry | undefined
  },
  like: Settings,
  rows: Rows = SOA,
): Settings {
  return {
    ttlSeconds: ttl ?? like.ttlSeconds,
    servers: ns === undefined ? like.servers : readServers(read, ns),
    transfer: transfer === undefined ? like.transfer : readTransfer(read, transfer),
    soa: soa === undefined ? like.soa : readSoa(read, soa.value, rows, like.soa),
  }
}

function readServers(read: Reader, { value }: Entry): readonly Uint8Array[] {
  const servers: Uint8Array[] = []
  for (const node of read.filledItems(value, '“ns”', EXAMPLE)) {
    const text = read.scalar(node, 'a name server', EXAMPLE)?.text
    const wire = text === undefined ? undefined : encodeRdata(TYPE.NS, text)
    if (wire === undefined) continue
    if (isFault(wire)) read.fault('rdata-invalid', node, wire.fault, EXAMPLE)
    else if (servers.some((other) => keyOf(lowerName(other)) === keyOf(lowerName(wire)))) {
      read.fault('rdata-duplicate', node, `${formatName(wire)} is there twice`, 'Remove one of them')
    } else servers.push(wire)
  }
  return servers
}

const EXAMPLE = 'ns: [ns1.example.net., ns2.example.net.]'
