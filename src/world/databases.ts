/**
 * The databases that clients are placed by, opened and decoded once, and again when their files change. What builders of one
 * process may share: `plan` decodes them once for both its sides.
 */
import { asnsKey, loadAsns, type Asns } from '../geo/asn.ts'
import type { Cache } from '../geo/cache.ts'
import { openDatabases, type Database } from '../geo/database.ts'
import { loadPlaces, placesKey, type Places } from '../geo/place.ts'
import type { ClientMap } from '../policy/map.ts'
import type { Problem, Report } from '../problem.ts'
import { type LockWait, unsettledProblem } from './folder.ts'
import { WAIT_FOR_REST, READ_AT_ONCE, readWhenStable, stampFiles } from './stable-read.ts'

/** See BuildSettings. */
interface DatabaseSettings {
  readonly city: readonly string[]
  readonly asn?: readonly string[]
  readonly follows?: LockWait
}

/** A database, as people know it. */
export type DatabaseFile = Pick<Database, 'path' | 'type' | 'builtSeconds' | 'ipVersion'>

/**
 * The databases of the last build, and the maps in use. Builders of one process may share it, one build at a time: `plan`
 * decodes the databases of both its sides once.
 */
export interface GeoState {
  databases: PlaceDatabases | undefined
  maps: ReadonlyMap<string, ClientMap>
}

export const makeGeoState = (): GeoState => ({ databases: undefined, maps: new Map() })

export interface PlaceDatabases {
  readonly city: DatabaseSet<Places>
  readonly asn: DatabaseSet<Asns> | undefined
  /** Both together. */
  readonly places: Places
}

/** What was decoded of some files, and what they looked like: while they look the same they are not read again. */
interface DatabaseSet<T> {
  readonly content: T
  readonly sources: readonly DatabaseFile[]
  readonly stamp: string
}

export interface Placement {
  /** undefined: one of the files is of no use, which has been reported, and nothing may stand in for it. */
  readonly databases: PlaceDatabases | undefined
  /** They are not those on disk: those of the last build, of the last run, or none. */
  readonly areLastGood: boolean
}

/** What the databases are opened with. */
export interface PlaceInput {
  /** Those of the last build. */
  readonly before: PlaceDatabases | undefined
  /** What stands in for files of no use: the places of the last run, or where they are lost, none. undefined: nothing may. */
  readonly lastUsed: (() => Places | undefined) | undefined
  /** See BuildRequest. */
  readonly lastGood: boolean
  readonly cache: Cache
  readonly report: Report
}

/** Stage 3 of a build: where clients are. */
export async function place(settings: DatabaseSettings, input: PlaceInput): Promise<Placement> {
  const { before, lastUsed, lastGood, cache, report } = input
  const { city: cityFiles, asn: asnFiles = [], follows } = settings
  if (lastGood && lastUsed !== undefined) {
    const databases = lastDatabases(before, lastUsed, cache, report)
    return { databases, areLastGood: cityFiles.length + asnFiles.length > 0 }
  }
  const makePlaces = (found: readonly Database[]) => loadPlaces(found, cache, report)
  const makeAsns = (found: readonly Database[]) => loadAsns(found, cache, report)
  const city = await openFiles(cityFiles, before?.city, placesKey, makePlaces, follows, report)
  const asn =
    asnFiles.length > 0 ? await openFiles(asnFiles, before?.asn, asnsKey, makeAsns, follows, report) : undefined
  if (city !== undefined && (asn !== undefined || asnFiles.length === 0)) {
    return { databases: combine(city, asn, before), areLastGood: false }
  }
  if (lastUsed === undefined) return { databases: undefined, areLastGood: false }
  const last = lastDatabases(before, lastUsed, cache, report)
  const databases = combine(city ?? last.city, asnFiles.length > 0 ? (asn ?? last.asn) : undefined, before)
  return { databases, areLastGood: true }
}

function combine(
  city: DatabaseSet<Places>,
  asn: DatabaseSet<Asns> | undefined,
  before: PlaceDatabases | undefined,
): PlaceDatabases {
  const same = before !== undefined && city.content === before.city.content && asn?.content === before.asn?.content
  return { city, asn, places: same ? before.places : { ...city.content, ...(asn && { asns: asn.content }) } }
}

/**
 * Those before, or those remembered, or none, without a look at the files. What is remembered bears no stamp, so that the
 * next look reads the files.
 */
function lastDatabases(
  before: PlaceDatabases | undefined,
  lastUsed: () => Places | undefined,
  cache: Cache,
  report: Report,
): PlaceDatabases {
  if (before !== undefined) return before
  const { asns, ...content } = lastUsed() ?? loadPlaces([], cache, report)!
  const city = { content, sources: [], stamp: '' }
  const asn = asns && { content: asns, sources: [], stamp: '' }
  return combine(city, asn, undefined)
}

async function openFiles<T extends { readonly id: string }>(
  files: readonly string[],
  before: DatabaseSet<T> | undefined,
  keyOf: (databases: readonly Database[]) => string,
  load: (databases: readonly Database[]) => T | undefined,
  follows: LockWait | undefined,
  report: Report,
): Promise<DatabaseSet<T> | undefined> {
  const { text: stamp } = await stampFiles(files)
  if (before?.stamp === stamp) return before
  const databases = await readDatabases(files, follows, report)
  if (databases === undefined) return undefined
  const sources = databases.map(({ path, type, builtSeconds, ipVersion }) => ({ path, type, builtSeconds, ipVersion }))
  if (before !== undefined && before.content.id === keyOf(databases)) return { ...before, sources, stamp }
  const content = load(databases)
  return content && { content, sources, stamp }
}

/** Databases that nobody wrote to while they were read; undefined when one of them is of no use. */
async function readDatabases(
  files: readonly string[],
  follows: LockWait | undefined,
  report: Report,
): Promise<ReturnType<typeof openDatabases>> {
  const read = async () => {
    const problems: Problem[] = []
    return { problems, databases: openDatabases(files, (problem) => void problems.push(problem)) }
  }
  const found = await readWhenStable(
    () => stampFiles(files),
    read,
    follows === undefined ? READ_AT_ONCE : WAIT_FOR_REST,
  )
  for (const problem of found?.problems ?? [unsettledProblem(files.join(', '))]) report(problem)
  return found?.databases
}
