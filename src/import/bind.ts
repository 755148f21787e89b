/** BIND's and other servers' master files → a folder of zones. Master files know no steering: all is taken over as it is. */
import { basename, join } from 'node:path'
import { formatName, isFault, keyOf, lowerName, parseName } from '../dns/name.ts'
import { TYPE, typeName } from '../dns/types.ts'
import type { FolderDraft } from './folder.ts'
import type { Input } from './input.ts'
import { type Dialect, MasterReader, type MasterRecord, parseTtl, RFC_1035 } from './master.ts'
import type { Notes, Place } from './notes.ts'
import { readRdata } from './rdata.ts'
import { ZoneDraft } from './zone.ts'

/** Imports a zone's file, or each file of a folder that is named like a zone. `origin`: the zone of a single file. */
export function importBind(path: string, into: Into, origin: string | undefined): void {
  const { input, notes } = into
  const files = input.isFolder ? input.list(path).map((name) => join(path, name)) : [path]
  for (const file of files) {
    const place = { file, line: 0 }
    const name = origin ?? zoneOfFile(file)
    if (name === undefined) {
      if (input.isFolder) notes.warn(place, 'not read: it is not named like a zone (db.example.com, example.com.zone)')
      else notes.error(place, 'the zone is not known: name it with --origin')
      continue
    }
    const apex = parseName(name.endsWith('.') ? name : `${name}.`)
    if (isFault(apex) || apex.length === 1)
      notes.error(place, isFault(apex) ? apex.fault : 'the root is no zone for Meridian')
    else importMaster(file, lowerName(apex), RFC_1035, into)
  }
}

/** The zone that a file is named after: `db.example.com`, `example.com.zone`, `example.com.db`, `example.com`. */
function zoneOfFile(file: string): string | undefined {
  const name = basename(file)
    .replace(/^db\./, '')
    .replace(/\.(?:zone|db|hosts)$/, '')
  return /\.(?:inc|include|conf|key|private|jnl|signed|txt|md|ya?ml|json)$|[^\w./-]/.test(name) || !name.includes('.')
    ? undefined
    : name
}

/** Where an import puts things. */
export interface Into {
  readonly input: Input
  readonly draft: FolderDraft
  readonly notes: Notes
}

/** Reads a zone's file. `steer`: takes the records of types of the dialect. */
export function importMaster(
  file: string,
  apex: Uint8Array,
  dialect: Dialect,
  { input, draft, notes }: Into,
  steer: (zone: ZoneDraft, record: MasterRecord) => void = () => {},
): void {
  const zone = new ZoneDraft(apex, { file, line: 0 }, notes)
  const unknown = new Map<number, { readonly at: Place; count: number }>()
  const reader = new MasterReader(input, notes, { apex, dialect }, (record) => {
    const { type, owner, ttlSeconds, words, complete } = record
    if (typeof type === 'string') return steer(zone, record)
    if (SIGNING.has(type)) {
      const known = unknown.get(type)
      if (known === undefined) unknown.set(type, { at: record, count: 1 })
      else known.count++
      return
    }
    if (type === TYPE.SOA && keyOf(owner) !== keyOf(apex)) {
      return notes.warn(record, `left out: an SOA of ${formatName(owner)}, which is not the apex`)
    }
    const read = readRdata(type, type === TYPE.SOA ? inSeconds(words, dialect.mostNegative) : words, complete)
    if (isFault(read)) notes.error(record, `${formatName(owner)} ${typeName(type)}: ${read.fault}`)
    else zone.add(owner, type, ttlSeconds, read, record)
  })
  reader.read(file)
  for (const [type, { at, count }] of unknown) {
    notes.warn(
      at,
      `${count} records of type ${typeName(type)}, from here on, are left out: Meridian's zones hold no keys and signatures`,
    )
  }
  draft.zone(zone)
}

/** What signed zones have beside their data. */
const SIGNING: ReadonlySet<number> = new Set<number>([
  TYPE.RRSIG,
  TYPE.NSEC,
  TYPE.DNSKEY,
  TYPE.NSEC3,
  TYPE.NSEC3PARAM,
  TYPE.CDS,
  TYPE.CDNSKEY,
])

/** The words of an SOA, whose times may have units; the last is at most `most`. */
const inSeconds = (words: readonly string[], most: number): readonly string[] =>
  words.map((word, i) =>
    i < 3 ? word : String(i < 6 ? (parseTtl(word) ?? word) : Math.min(most, parseTtl(word) ?? 0)),
  )
