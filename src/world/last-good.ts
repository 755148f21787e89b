/**
 * The zones that were served last, saved in the state folder as the files that they were loaded from. A start that
 * finds errors on disk loads these instead, through the same loader, in any version of Meridian. The compile thread
 * saves them after each load without errors, if they differ from those saved.
 *
 *   SHA-256 of the next line ⏎ that line: JSON of Header ⏎ each file as it was
 *
 * They are not compressed: Node aborts the process when it ends while a thread has made a (de)compressor, but not yet
 * initialized it ("close before init" in node_zlib.cc).
 *
 * A file that can't be read or written is shown as trouble; it never stops zones from being served.
 */
import { hash as hashOf } from 'node:crypto'
import { writeSync } from 'node:fs'
import { join } from 'node:path'
import type { Revision } from '../git.ts'
import { makeHealthSpec, type HealthSpec } from '../health/target.ts'
import { Files, type SavedFile } from '../load/files.ts'
import type { LoadResult, SavedZones } from '../load/load.ts'
import { messageOf, type Report } from '../problem.ts'
import { isCount, isRecord, isTime, readBytes, replaceFileSync } from '../state.ts'
import type { Model } from '../zone/model.ts'
import type { Folder, FolderRead } from './folder.ts'

/** Zones without errors: they may be served. */
export interface ValidZones {
  readonly model: Model
  readonly plan: HealthSpec
  /** LoadResult.hash. */
  readonly hash: string
  /** The revision at which they were first loaded; later revisions may have the same zones. */
  readonly revision: Revision | undefined
  /** Unix time of that load, in ms. */
  readonly loadedMs: number
}

/** The zones of a load; undefined if it had errors. */
export const validZones = (
  { model, hash }: LoadResult,
  revision: Revision | undefined,
  loadedMs = Date.now(),
): ValidZones | undefined => model && { model, plan: makeHealthSpec(model), hash, revision, loadedMs }

const GONE = 'It is written again once the zones on disk load'

/** Saves zones for the next start, and reads those that were saved for this one. */
export class LastGood {
  readonly #file: string
  readonly #path: string
  readonly #folder: Folder
  /** The last load without errors. */
  #loaded: LoadResult | undefined
  #revision: Revision | undefined
  /** Hash of the zones in the file; undefined = none that can be used, null = not looked at yet. */
  #savedHash: string | undefined | null = null

  /** `file`: where the zones are saved. `path`: the folder of zones that `folder` reads. */
  constructor(file: string, path: string, folder: Folder) {
    this.#file = file
    this.#path = path
    this.#folder = folder
  }

  /** Notes a load without errors: the next save() writes it. */
  note({ loaded, revision }: FolderRead): void {
    this.#loaded = loaded
    this.#revision = revision
  }

  /** Writes the noted load, if the file holds other zones. Returns why it could not, in words. */
  save(): string | undefined {
    const loaded = this.#loaded
    if (loaded === undefined) return undefined
    if (this.#savedHash === null) this.#savedHash = hashOfLastGood(this.#file)
    if (this.#savedHash === loaded.hash) return undefined
    try {
      writeLastGood(this.#file, this.#path, loaded, this.#revision)
      this.#savedHash = loaded.hash
      return undefined
    } catch (error) {
      return `the zones that are served can't be kept for the next start in ${this.#file}: ${messageOf(error)}`
    }
  }

  /** As recall(), unless the saved zones have this hash: then undefined, and they are not loaded. */
  async recallUnless(hash: string, report: Report): Promise<ValidZones | undefined> {
    if (this.#savedHash === null) this.#savedHash = hashOfLastGood(this.#file)
    return this.#savedHash === hash ? undefined : await this.recall(report)
  }

  /** The saved zones; undefined if there are none, or none that can be used, which is reported as a warning. */
  async recall(report: Report): Promise<ValidZones | undefined> {
    const warn = (message: string): void =>
      report({
        code: 'file-unreadable',
        severity: 'warning',
        file: this.#file,
        line: 0,
        column: 0,
        message,
        hint: GONE,
      })
    try {
      const saved = readLastGood(this.#file)
      if (saved === undefined) return undefined
      const loaded = await this.#folder.readSaved(saved)
      const zones = validZones(loaded, saved.revision, saved.loadedMs)
      if (zones === undefined) warn(`this version finds errors in the zones that were served last`)
      return zones
    } catch (error) {
      warn(`the zones that were served last can't be read: ${messageOf(error)}`)
      return undefined
    }
  }
}

interface SavedLastGood extends SavedZones {
  readonly hash: string
  readonly revision: Revision | undefined
  readonly loadedMs: number
}

/** The number goes up when this version can't read older files any more. */
const FORMAT = 'meridian zones 2'
interface Header {
  readonly format: typeof FORMAT
  readonly hash: string
  readonly serial: number
  readonly revision?: Revision | undefined
  readonly loadedMs: number
  readonly files: readonly {
    readonly path: string
    readonly id: string
    readonly hash: string
    readonly bytes: number
  }[]
}

const isHeader = (value: unknown): value is Header =>
  isRecord(value) &&
  value['format'] === FORMAT &&
  typeof value['hash'] === 'string' &&
  isCount(value['serial']) &&
  (value['revision'] === undefined || isRevision(value['revision'])) &&
  isTime(value['loadedMs']) &&
  Array.isArray(value['files']) &&
  value['files'].every(isFile)

const isRevision = (value: unknown): value is Revision =>
  isRecord(value) && typeof value['commit'] === 'string' && typeof value['dirty'] === 'boolean'

const isFile = (value: unknown): value is Header['files'][number] =>
  isRecord(value) && ['path', 'id', 'hash'].every((key) => typeof value[key] === 'string') && isCount(value['bytes'])

const DIGEST = 64

/**
 * Replaces the file by what was loaded from the folder. Throws when it can't be written, or when a zone file has
 * changed since: then another load is on its way.
 */
function writeLastGood(
  file: string,
  folder: string,
  { hash, serial, sources }: Pick<LoadResult, 'hash' | 'serial' | 'sources'>,
  revision: Revision | undefined,
): void {
  const now = new Files(folder)
  const files: Header['files'][number][] = []
  const parts: Buffer[] = []
  for (const [path, source] of sources) {
    const read = now.read(join(folder, path))
    if ('why' in read || read.hash !== source.hash) throw new Error(`${folder}/${path} has changed meanwhile`)
    const part = Buffer.from(read.decode().text)
    files.push({ path, ...source, bytes: part.length })
    parts.push(part)
  }
  const loadedMs = Date.now()
  const header = JSON.stringify({ format: FORMAT, hash, serial, revision, loadedMs, files } satisfies Header)
  replaceFileSync(file, (descriptor) => {
    for (const part of [Buffer.from(`${digestOf(header)}\n${header}\n`), ...parts]) {
      for (let at = 0; at < part.length;) at += writeSync(descriptor, part, at)
    }
  })
}

const digestOf = (header: string): string => hashOf('sha256', header, 'hex')

/** The hash of the zones in the file; undefined if any of it can't be used. */
function hashOfLastGood(file: string): string | undefined {
  try {
    return readLastGood(file)?.hash
  } catch {
    return undefined
  }
}

/** The contents of the file; undefined if there is none. Throws an error in words if it can't be used. */
function readLastGood(file: string): SavedLastGood | undefined {
  const whole = readFile(file)
  if (whole === undefined) return undefined
  const { header, rest } = whole
  const { hash, serial, revision, loadedMs } = header
  const files = new Map<string, SavedFile>()
  let at = 0
  for (const { path, id, hash: wanted, bytes } of header.files) {
    const text = rest.toString('utf8', at, at + bytes)
    if (hashOf('sha256', text, 'base64') !== wanted) throw new Error(`${path} is damaged in it`)
    files.set(path, { text, hash: wanted, id })
    at += bytes
  }
  return { hash, serial, revision, loadedMs, files }
}

function readFile(file: string): { readonly header: Header; readonly rest: Buffer } | undefined {
  const bytes = readBytes(file)
  if (bytes === undefined) return undefined
  const end = bytes.indexOf(10, DIGEST + 1)
  const header = bytes.toString('utf8', DIGEST + 1, end)
  if (end < 0 || bytes.toString('latin1', 0, DIGEST) !== digestOf(header)) throw new Error('it is damaged or foreign')
  const parsed: unknown = JSON.parse(header)
  if (!isHeader(parsed)) throw new Error('another version wrote it')
  return { header: parsed, rest: bytes.subarray(end + 1) }
}
