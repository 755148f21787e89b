/**
 * `meridian import FORMAT PATH`: the configuration of another server as a folder of zones, printed or written. Notes of what
 * was not taken over, with file and line, go to stderr. Nothing is written that Meridian's loader refuses, nor over a file.
 */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { type Imported, importZones, type ImportOptions } from '../import/import.ts'
import { formatNote } from '../import/notes.ts'
import { formatProblem, messageOf } from '../problem.ts'
import { count } from '../units.ts'
import type { Output } from './output.ts'

export interface ImportCommand extends Omit<ImportOptions, 'folder'> {
  /** A folder to write to; undefined: the files are printed. */
  readonly out?: string
}

/** Imports; returns the exit code: 1 where something could not be read, loaded or written, 0 else. */
export async function importFiles({ out, ...options }: ImportCommand, output: Output): Promise<number> {
  const imported = await importZones({ ...options, folder: out ?? 'zones' })
  const { files, notes, problems } = imported
  for (const note of notes) output.err(formatNote(note))
  for (const problem of problems) output.err(formatProblem(problem))
  const isWhole = !imported.failed && problems.every(({ severity }) => severity !== 'error')
  if (out === undefined) print(files, output)
  else if (!isWhole) output.err(`meridian: nothing is written: ${out} would not be whole`)
  else if (!write(files, out, output)) return 1
  const counts = summary(imported)
  output.err(out !== undefined && !isWhole ? counts : `${count(files.size, 'file')}; ${counts}`)
  return isWhole ? 0 : 1
}

function print(files: ReadonlyMap<string, string>, output: Output): void {
  for (const [path, text] of files) {
    output.out(`# --- ${path}`)
    for (const line of text.trimEnd().split('\n')) output.out(line)
  }
}

/** Writes all files, or none over another; false if that failed, which is told. */
function write(files: ReadonlyMap<string, string>, folder: string, output: Output): boolean {
  try {
    const there = [...files.keys()].find((path) => existsSync(join(folder, path)))
    if (there !== undefined) throw new Error(`${join(folder, there)} is there already; name a folder without it`)
    for (const [path, text] of files) {
      mkdirSync(dirname(join(folder, path)), { recursive: true })
      writeFileSync(join(folder, path), text, { flag: 'wx' })
    }
    return true
  } catch (error) {
    output.err(`meridian: nothing more is written: ${messageOf(error)}`)
    return false
  }
}

function summary({ notes }: Imported): string {
  const errors = notes.filter(({ severity }) => severity === 'error').length
  return `${count(errors, 'error')}, ${count(notes.length - errors, 'warning')}`
}
