/**
 * The disk cache of compiled arrays, for restarts. It may lose anything: a file that is foreign, cut off or damaged
 * counts as missing, and one that cannot be written costs the next start some seconds.
 *
 *   magic (8 bytes) · CRC-32 of the rest · size of the header · header: key, length of each array in ints · the arrays
 *
 * The header is padded to 8 bytes. Readers see whole files (state.ts).
 */
import { createHash } from 'node:crypto'
import { closeSync, fstatSync, readdirSync, readSync, rmSync, writeSync } from 'node:fs'
import { endianness } from 'node:os'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { attempt, isCount, isRecord, openRegular, replaceFileSync } from '../state.ts'
import type { Allocate } from './memory.ts'

/** One more whenever the file format changes. */
const VERSION = 1
const MAGIC = Buffer.from(`MRDN${endianness()}\0${String.fromCharCode(VERSION)}`, 'latin1')
const SUFFIX = '.cache'
const PREFIX_BYTES = 16

/** An array from the cache. Doubles are read through another view of its buffer, in which they begin at 0. */
export type SharedInts = Int32Array<SharedArrayBuffer>

interface Header {
  readonly key: string
  /** Length of each array. */
  readonly ints: readonly number[]
}

const isHeader = (value: unknown): value is Header =>
  isRecord(value) && typeof value['key'] === 'string' && Array.isArray(value['ints']) && value['ints'].every(isCount)

/** The cache. None of its methods throws. */
export interface Cache {
  /** The arrays stored under a key, each in memory of its own; undefined when there are none, or damaged ones. */
  read(key: string, allocate: Allocate): readonly SharedInts[] | undefined
  /** Stores arrays under a key. A failure only gets a warning. */
  write(key: string, arrays: readonly (Int32Array | Float64Array)[]): void
  /** Removes everything that is stored under other keys. */
  retain(keys: Iterable<string>): void
}

/** The cache in a folder; without a folder it never stores anything. `warn`: takes a message when writing fails. */
export function openCache(folder: string | undefined, warn: (message: string) => void): Cache {
  if (folder === undefined) return { read: () => undefined, write: () => {}, retain: () => {} }
  const pathOf = (key: string): string => join(folder, fileOf(key))
  return {
    read: (key, allocate) => attempt(() => readFile(pathOf(key), key, allocate)),
    write(key, arrays) {
      try {
        replaceFileSync(pathOf(key), (file) => writeArrays(file, key, arrays))
      } catch (error) {
        warn(
          `the compiled GeoIP data could not be kept in ${folder}, the next start will take longer: ${String(error)}`,
        )
      }
    },
    retain(keys) {
      const kept = new Set([...keys].map(fileOf))
      for (const file of attempt(() => readdirSync(folder)) ?? []) {
        if (file.endsWith(SUFFIX) && !kept.has(file)) attempt(() => rmSync(join(folder, file), { force: true }))
      }
    },
  }
}

const fileOf = (key: string): string => createHash('sha256').update(key).digest('hex').slice(0, 32) + SUFFIX

function writeArrays(file: number, key: string, arrays: readonly (Int32Array | Float64Array)[]): void {
  const parts = arrays.map((array) => new Uint8Array(array.buffer, array.byteOffset, array.byteLength))
  const text = JSON.stringify({ key, ints: parts.map((part) => part.length / 4) })
  const header = Buffer.from(text.padEnd(Math.ceil(Buffer.byteLength(text) / 8) * 8))
  const prefix = Buffer.alloc(PREFIX_BYTES)
  MAGIC.copy(prefix)
  prefix.writeUInt32LE(
    [header, ...parts].reduce((sum, part) => crc32(part, sum), 0),
    8,
  )
  prefix.writeUInt32LE(header.length, 12)
  for (const part of [prefix, header, ...parts]) {
    for (let at = 0; at < part.length;) at += writeSync(file, part, at)
  }
}

function readFile(path: string, key: string, allocate: Allocate): readonly SharedInts[] | undefined {
  const file = openRegular(path)
  try {
    const prefix = Buffer.alloc(PREFIX_BYTES)
    if (!fill(file, prefix) || !prefix.subarray(0, 8).equals(MAGIC)) return undefined
    const header = Buffer.alloc(Math.min(prefix.readUInt32LE(12), 65_536))
    if (!fill(file, header)) return undefined
    const parsed: unknown = JSON.parse(header.toString())
    if (!isHeader(parsed)) return undefined
    const { key: stored, ints } = parsed
    const bytes = ints.reduce((sum, length) => sum + 4 * length, PREFIX_BYTES + header.length)
    if (stored !== key || fstatSync(file).size !== bytes) return undefined
    let sum = crc32(header)
    const arrays: SharedInts[] = []
    for (const length of ints) {
      const array = new Int32Array(allocate(4 * length), 0, length)
      const view = new Uint8Array(array.buffer, 0, 4 * length)
      if (!fill(file, view)) return undefined
      sum = crc32(view, sum)
      arrays.push(array)
    }
    return sum === prefix.readUInt32LE(8) ? arrays : undefined
  } finally {
    closeSync(file)
  }
}

/** Fills the view from the file; false when the file ends first. */
function fill(file: number, view: Uint8Array): boolean {
  for (let at = 0; at < view.length;) {
    const got = readSync(file, view, at, view.length - at, null)
    if (got === 0) return false
    at += got
  }
  return true
}
