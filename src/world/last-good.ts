/**
 * The zones that were served last, kept in the state folder as the files that they were loaded from: a start that finds
 * errors on disk loads these instead, through the same loader, by whatever version. Written by the compile thread after a
 * load that took, only when something is other than what is kept.
 *
 *   SHA-256 of the next line ⏎ that line: JSON of Header ⏎ each file, compressed (zstd)
 *
 * A file that cannot be read or written is trouble to be shown, and keeps no zones from being served.
 */
import { hash as hashOf } from 'node:crypto'
import { writeSync } from 'node:fs'
import { join } from 'node:path'
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import { z } from 'zod'
import type { Revision } from '../git.ts'
import { makeHealthSpec, type HealthSpec } from '../health/target.ts'
import { Files, type SavedFile } from '../load/files.ts'
import type { LoadResult, SavedZones } from '../load/load.ts'
import { messageOf, type Report } from '../problem.ts'
import { readBytes, replaceFileSync } from '../state.ts'
import type { Model } from '../zone/model.ts'
import type { Folder, FolderRead } from './folder.ts'

/** Zones that may be served. */
export interface ValidZones {
  readonly model: Model
  readonly plan: HealthSpec
  /** LoadResult.hash. */
  readonly hash: string
  /** Of the commit that they were first loaded of; later ones may have the same. */
  readonly revision: Revision | undefined
  /** Unix time of that load, in ms. */
  readonly loadedMs: number
}

/** undefined where what was loaded has errors. */
export const validZones = (
  { model, hash }: LoadResult,
  revision: Revision | undefined,
  loadedMs = Date.now(),
): ValidZones | undefined => model && { model, plan: makeHealthSpec(model), hash, revision, loadedMs }

/** What is kept for the next start, and what was kept for this one. */
export class LastGood {
  readonly #file: string
  readonly #path: string
  readonly #folder: Folder
  /** LoadResult since, and good. */
  #loaded: LoadResult | undefined
  #revision: Revision | undefined
  /** Hash of what is kept whole; null = not looked at yet. */
  #savedHash: string | undefined | null = null

  /** `path`: of the folder of zones, as `folder` has it. */
  constructor(file: string, path: string, folder: Folder) {
    this.#file = file
    this.#path = path
    this.#folder = folder
  }

  /** These are good: the next save() is of them. */
  note({ loaded, revision }: FolderRead): void {
    this.#loaded = loaded
    this.#revision = revision
  }

  /** Writes what was noted, if other zones are kept. Returns in words why that could not be. */
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

  /** The zones that were served last; undefined where none are kept, or none of use: that is told as a warning. */
  async recall(report: Report): Promise<ValidZones | undefined> {
    const warn = (message: string): void =>
      report({ code: 'file-unreadable', severity: 'warning', file: this.#file, line: 0, column: 0, message })
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

/** Counted up when older files can't be read any more. */
const FORMAT = 'meridian zones 1'
const HEADER = z.strictObject({
  format: z.literal(FORMAT),
  hash: z.string(),
  serial: z.int(),
  revision: z.optional(z.strictObject({ commit: z.string(), dirty: z.boolean() })),
  loadedMs: z.number(),
  files: z.array(z.strictObject({ path: z.string(), id: z.string(), hash: z.string(), bytes: z.int().min(0) })),
})
type Header = z.infer<typeof HEADER>

/** More than the loader takes of one file there cannot be. */
const MOST_BYTES = 256 << 20
const DIGEST = 64

/**
 * Puts what was loaded from the folder in the file's place. Throws when it can't be written, or when a file is not what was
 * loaded any more: then another load is on its way.
 */
function writeLastGood(
  file: string,
  folder: string,
  { hash, serial, sources }: Pick<LoadResult, 'hash' | 'serial' | 'sources'>,
  revision: Revision | undefined,
): void {
  const now = new Files(folder)
  const files: Header['files'] = []
  const parts: Buffer[] = []
  for (const [path, source] of sources) {
    const read = now.read(join(folder, path))
    if (!('text' in read) || read.hash !== source.hash) throw new Error(`${folder}/${path} has changed meanwhile`)
    const part = zstdCompressSync(read.text)
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

/** LoadResult.hash of what the file has; undefined where anything in it is of no use. */
function hashOfLastGood(file: string): string | undefined {
  try {
    return readLastGood(file)?.hash
  } catch {
    return undefined
  }
}

/** undefined where there is none. Throws in words. */
function readLastGood(file: string): SavedLastGood | undefined {
  const whole = readFile(file)
  if (whole === undefined) return undefined
  const { header, rest } = whole
  const { hash, serial, revision, loadedMs } = header
  const files = new Map<string, SavedFile>()
  let at = 0
  for (const { path, id, hash: wanted, bytes } of header.files) {
    const text = unpack(rest.subarray(at, at + bytes))
    if (text === undefined || hashOf('sha256', text, 'base64') !== wanted) throw new Error(`${path} is damaged in it`)
    files.set(path, { text, hash: wanted, id })
    at += bytes
  }
  return { hash, serial, revision, loadedMs, files }
}

function unpack(bytes: Buffer): string | undefined {
  try {
    return zstdDecompressSync(bytes, { maxOutputLength: MOST_BYTES }).toString()
  } catch {
    return undefined
  }
}

function readFile(file: string): { readonly header: Header; readonly rest: Buffer } | undefined {
  const bytes = readBytes(file)
  if (bytes === undefined) return undefined
  const end = bytes.indexOf(10, DIGEST + 1)
  const header = bytes.toString('utf8', DIGEST + 1, end)
  if (end < 0 || bytes.toString('latin1', 0, DIGEST) !== digestOf(header)) throw new Error('it is damaged or foreign')
  const parsed = HEADER.safeParse(JSON.parse(header))
  if (!parsed.success) throw new Error('another version wrote it')
  return { header: parsed.data, rest: bytes.subarray(end + 1) }
}
