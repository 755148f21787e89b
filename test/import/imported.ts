/** Imports of files that a test writes: what they become, and what is told of them. */
import { rmSync } from 'node:fs'
import { join, relative } from 'node:path'
import { importZones, type ImportOptions } from '../../src/import/import.ts'
import { formatNote } from '../../src/import/notes.ts'
import { formatProblem } from '../../src/problem.ts'
import { folderOf } from './folder.ts'

export interface Told {
  /** Without their headings. */
  readonly files: Readonly<Record<string, string>>
  /** `FILE:LINE: SEVERITY: MESSAGE`, relative to the folder, by line; columns are left out. */
  readonly notes: readonly string[]
  /** With their columns, and without their messages. */
  readonly places: readonly string[]
  /** Errors of Meridian's loader. */
  readonly errors: readonly string[]
  readonly failed: boolean
}

/** Imports `path` of a folder with these files. */
export async function imported(
  format: ImportOptions['format'],
  files: Readonly<Record<string, string>>,
  { path = '', origin }: { readonly path?: string; readonly origin?: string } = {},
): Promise<Told> {
  const folder = folderOf(files)
  try {
    const options = { format, path: join(folder, path), folder: 'zones', ...(origin !== undefined && { origin }) }
    const result = await importZones(options)
    return {
      files: Object.fromEntries([...result.files].map(([name, text]) => [name, text.replace(/^(?:#.*\n)+\n/, '')])),
      notes: result.notes.map((note) =>
        formatNote({ ...note, file: relative(folder, note.file), column: undefined }).replaceAll(`${folder}/`, ''),
      ),
      places: result.notes.map(
        (note) => formatNote({ ...note, file: relative(folder, note.file) }).split(/: (?:error|warning): /)[0]!,
      ),
      errors: result.problems.filter(({ severity }) => severity === 'error').map(formatProblem),
      failed: result.failed,
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
}
