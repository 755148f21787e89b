/**
 * Configurations of other servers → a folder of zones: gdnsd, master files (BIND, NSD, Knot), PowerDNS's geoip backend,
 * Route 53. Called by cli/import.ts. Nothing is changed in silence: what Meridian cannot say, or does otherwise, is a Note
 * with file and line. The same input gives the same bytes.
 *
 *   files ─▶ input (bounds) ─▶ the reader of the format ─▶ draft: sites, services, zones ─▶ YAML ─▶ Meridian's own loader
 */
import { messageOf, type Problem } from '../problem.ts'
import { importBind, type Into } from './bind.ts'
import { importGdnsd } from './gdnsd/gdnsd.ts'
import { FolderDraft, problemsOf } from './folder.ts'
import { Input } from './input.ts'
import { type Note, Notes } from './notes.ts'
import { importPowerdns } from './powerdns/powerdns.ts'
import { importRoute53 } from './route53/route53.ts'

export interface ImportOptions {
  readonly format: 'bind' | 'gdnsd' | 'powerdns' | 'route53'
  /** A file, or a folder. */
  readonly path: string
  /** The zone of a single file that does not say it. */
  readonly origin?: string
  /** How messages name the folder that is made. */
  readonly folder: string
}

export interface Imported {
  /** By path below the folder, sorted. */
  readonly files: ReadonlyMap<string, string>
  readonly notes: readonly Note[]
  /** What Meridian's loader says of the files. */
  readonly problems: readonly Problem[]
  /** Something could not be read: the files are not whole. */
  readonly failed: boolean
}

/** Imports a configuration. Never throws for what is in it. */
export async function importZones({ format, path, origin, folder }: ImportOptions): Promise<Imported> {
  const notes = new Notes()
  const draft = new FolderDraft([`from ${FORMAT_NAMES[format]}, by meridian import`])
  const input = inputOf(path, notes)
  if (input !== undefined) READERS[format](path, { input, draft, notes }, origin)
  const files = draft.files(notes)
  const problems = notes.failed ? [] : await problemsOf(files, folder)
  return { files, notes: notes.list(), problems, failed: notes.failed }
}

/** The input; undefined if there is none, which is reported. */
function inputOf(path: string, notes: Notes): Input | undefined {
  try {
    return new Input(path)
  } catch (error) {
    notes.error({ file: path, line: 0 }, messageOf(error))
    return undefined
  }
}

type Read = (path: string, into: Into, origin: string | undefined) => void

const READERS: Readonly<Record<ImportOptions['format'], Read>> = {
  bind: importBind,
  gdnsd: importGdnsd,
  powerdns: importPowerdns,
  route53: importRoute53,
}

const FORMAT_NAMES = { bind: 'master files', gdnsd: 'gdnsd', powerdns: 'PowerDNS', route53: 'Route 53' } as const
