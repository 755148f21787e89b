/**
 * The GeoIP databases that give clients their places. The builder calls place(); files are opened and decoded again
 * only when they look different. Unusable files never take places away from a running node: the last good databases
 * stand in for them. Builders of one process may share the result: `plan` decodes the databases of both its sides once.
 */
import { asnsKey, loadAsns, type Asns } from '../geo/asn.ts'
import type { Cache } from '../geo/cache.ts'
import { openDatabases, type Database } from '../geo/database.ts'
import { loadPlaces, placesKey, type Places } from '../geo/place.ts'
import type { ClientMap } from '../policy/map.ts'
import type { Problem, Report } from '../problem.ts'
import { type LockWait, unsettledProblem } from './folder.ts'
import { WAIT_FOR_REST, READ_AT_ONCE, readWhenStable, stampFiles } from './stable-read.ts'

/** The part of BuildSettings that is about databases. */
interface DatabaseSettings {
  readonly city: readonly string[]
  readonly asn?: readonly string[]
  readonly follows?: LockWait
}

/** What identifies a database to an operator. */
export type DatabaseFile = Pick<Database, 'path' | 'type' | 'builtSeconds' | 'ipVersion'>

/** The databases of the last build, and the maps in use. Builders of one process may share it, one build at a time. */
export interface GeoState {
  databases: PlaceDatabases | undefined
  maps: ReadonlyMap<string, ClientMap>
}

/** The state before the first build. */
export const makeGeoState = (): GeoState => ({ databases: undefined, maps: new Map() })

/** The decoded databases of one build. */
export interface PlaceDatabases {
  readonly city: DatabaseSet<Places>
  readonly asn: DatabaseSet<Asns> | undefined
  /** What both say, as the client maps need it. */
  readonly places: Places
}

/** What was decoded from some files, and their stamp: while it stays the same they are not read again. */
interface DatabaseSet<T> {
  readonly content: T
  readonly sources: readonly DatabaseFile[]
  readonly stamp: string
}

/** The result of place(). */
export interface Placement {
  /** undefined: a file is unusable, which has been reported, and there is no fallback. */
  readonly databases: PlaceDatabases | undefined
  /** Not the databases on disk, but those of the last build or of the last run, or none. */
  readonly areLastGood: boolean
}

/** What place() starts from. */
export interface PlaceInput {
  /** The databases of the last build. */
  readonly before: PlaceDatabases | undefined
  /**
   * Gives the fallback for unusable files: the places of the last run, or undefined if they are lost (then clients have
   * no places). undefined: no fallback is allowed.
   */
  readonly lastUsed: (() => Places | undefined) | undefined
  /** See BuildRequest. */
  readonly lastGood: boolean
  readonly cache: Cache
  readonly report: Report
}

/** Stage 3 of a build: opens the databases, or finds their fallback. Reports what is wrong with the files. */
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
 * The databases of the last build, else of the last run, else none; the files are not read. An empty stamp makes the
 * next build read them.
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

/** Opens databases that did not change while they were read; undefined when one of them is unusable. */
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
