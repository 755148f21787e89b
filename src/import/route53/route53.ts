/**
 * Route 53's record sets and health checks, as the AWS command line prints them → a folder of zones. Record sets that are
 * alone are records; those that Route 53 chooses between become services (sets.ts, policies.ts).
 */
import { join } from 'node:path'
import { formatName } from '../../dns/name.ts'
import { TYPE } from '../../dns/types.ts'
import { decodeText, faultInWords } from '../../text.ts'
import { Source } from '../../yaml/source.ts'
import { parseYaml } from '../../yaml/tree.ts'
import type { Into } from '../bind.ts'
import { NameTable } from '../steering.ts'
import { ZoneDraft } from '../zone.ts'
import { HealthChecks } from './health.ts'
import { Json } from './json.ts'
import { placeOf } from './policies.ts'
import { REGIONS } from './regions.ts'
import { type Naming, SetsReader, valuesOf } from './sets.ts'

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
  const reader = new SetsReader(namingOf(health, into), into)
  for (const zone of sets) readZone(zone, reader, into)
  reader.finish()
}

/** A set is a site of its own; sets of a region, which have its place, share one. */
function namingOf(health: HealthChecks, { draft }: Into): Naming {
  const sites = new NameTable()
  const made = (site: string, place?: readonly [number, number]): string => {
    draft.site(site, place)
    return site
  }
  return {
    site(set, label) {
      const region = set.policy === 'latency' ? set.json.text('Region')! : ''
      const isRegion = REGIONS[region] !== undefined
      return made(
        isRegion ? sites.of(region, 'AWS') : sites.of(`${label}-${set.id}`, `${label} ${set.id} ${set.name}`),
        placeOf(set),
      )
    },
    siteOfAll: (label, name) => made(sites.of(label, name)),
    place: placeOf,
    service: labelOf,
    check: (id, at) => health.of(id, at),
  }
}

/** Reads the record sets of one hosted zone: the one whose SOA is among them. */
function readZone(list: readonly Json[], reader: SetsReader, { draft, notes }: Into): void {
  const sets = reader.sets(list)
  const soa = sets.find(({ type }) => type === TYPE.SOA)
  if (soa === undefined) return notes.error(list[0]!.at, 'these record sets have no SOA: the zone is not known')
  const zone = new ZoneDraft(soa.owner, soa.json.at, notes)
  reader.zone(zone, sets)
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

/** A name below its zone; the apex is itself. */
function labelOf(zone: ZoneDraft, owner: Uint8Array): string {
  const name = formatName(owner)
  return name === zone.name ? name.slice(0, -1) : name.slice(0, -zone.name.length - 1)
}
