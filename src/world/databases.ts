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
import { type LockWait, unsettled } from './folder.ts'
import { PATIENT, PROMPT, settled, stampFiles } from './stable-read.ts'

/** See BuildSettings. */
interface DatabaseSettings {
  readonly city: readonly string[]
  readonly asn?: readonly string[]
  readonly follows?: LockWait
}

/** A database, as people know it. */
export type PlaceSource = Pick<Database, 'path' | 'type' | 'builtSeconds' | 'ipVersion'>

/** What builders of one process may share, one build at a time: `plan` decodes the databases of both its sides once. */
export interface Ground {
  placed: Placed | undefined
  maps: ReadonlyMap<string, ClientMap>
}

export const makeGround = (): Ground => ({ placed: undefined, maps: new Map() })

export interface Placed {
  readonly city: Opened<Places>
  readonly asn: Opened<Asns> | undefined
  /** Both together. */
  readonly places: Places
}

/** What was made of some files, and what they looked like: while they look the same they are not read again. */
interface Opened<T> {
  readonly made: T
  readonly sources: readonly PlaceSource[]
  readonly stamp: string
}

/**
 * What the files on disk tell, or without `placed` nothing, for one of them is of no use: that has been reported. With
 * `remembered` (what is to stand for them: of the last run) there are always places, `stale` when they are not those on
 * disk: those before, those remembered, or else none.
 */
export async function openPlaces(
  settings: DatabaseSettings,
  before: Placed | undefined,
  cache: Cache,
  report: Report,
  remembered?: () => Places | undefined,
): Promise<{ readonly placed?: Placed; readonly stale: boolean }> {
  const { asn: asnFiles = [], follows } = settings
  const makePlaces = (found: readonly Database[]) => loadPlaces(found, cache, report)
  const makeAsns = (found: readonly Database[]) => loadAsns(found, cache, report)
  const city = await openFiles(settings.city, before?.city, placesKey, makePlaces, follows, report)
  const asn =
    asnFiles.length > 0 ? await openFiles(asnFiles, before?.asn, asnsKey, makeAsns, follows, report) : undefined
  const stale = city === undefined || (asn === undefined && asnFiles.length > 0)
  if (!stale) return { placed: together(city, asn, before), stale }
  if (remembered === undefined) return { stale }
  const last = lastPlaces(before, remembered, cache, report)
  return { placed: together(city ?? last.city, asnFiles.length > 0 ? (asn ?? last.asn) : undefined, before), stale }
}

function together(city: Opened<Places>, asn: Opened<Asns> | undefined, before: Placed | undefined): Placed {
  const same = before !== undefined && city.made === before.city.made && asn?.made === before.asn?.made
  return { city, asn, places: same ? before.places : { ...city.made, ...(asn && { asns: asn.made }) } }
}

/**
 * Those before, or those remembered, or none, without a look at the files. What is remembered bears no stamp, so that the
 * next look reads the files.
 */
export function lastPlaces(
  before: Placed | undefined,
  remembered: () => Places | undefined,
  cache: Cache,
  report: Report,
): Placed {
  if (before !== undefined) return before
  const { asns, ...made } = remembered() ?? loadPlaces([], cache, report)!
  const city = { made, sources: [], stamp: '' }
  const asn = asns && { made: asns, sources: [], stamp: '' }
  return together(city, asn, undefined)
}

async function openFiles<T extends { readonly id: string }>(
  files: readonly string[],
  before: Opened<T> | undefined,
  keyOf: (databases: readonly Database[]) => string,
  load: (databases: readonly Database[]) => T | undefined,
  follows: LockWait | undefined,
  report: Report,
): Promise<Opened<T> | undefined> {
  const { text: stamp } = await stampFiles(files)
  if (before?.stamp === stamp) return before
  const databases = await readDatabases(files, follows, report)
  if (databases === undefined) return undefined
  const sources = databases.map(({ path, type, builtSeconds, ipVersion }) => ({ path, type, builtSeconds, ipVersion }))
  if (before !== undefined && before.made.id === keyOf(databases)) return { ...before, sources, stamp }
  const made = load(databases)
  return made && { made, sources, stamp }
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
  const found = await settled(() => stampFiles(files), read, follows === undefined ? PROMPT : PATIENT)
  for (const problem of found?.problems ?? [unsettled(files.join(', '))]) report(problem)
  return found?.databases
}
