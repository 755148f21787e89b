/**
 * `meridian schema`: prints or writes the JSON Schemas of the YAML files, for editors. `npm ci` and the package's build
 * run it, too. The schemas come from the loader's own tables.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { jsonSchema, type SchemaFile } from '../load/schema.ts'
import { messageOf } from '../problem.ts'
import { SCHEMA_FILES } from './formats.ts'
import type { Output } from './output.ts'

/** Which schemas, and where to write them. */
export interface SchemaOptions {
  /** One schema; undefined: all. */
  readonly file?: SchemaFile
  /** A folder that gets a file for each, such as `zone.json`; undefined: they are printed. */
  readonly out?: string
}

/** Prints or writes schemas; returns the exit code, 1 if the folder can't be written. */
export function schema({ file, out }: SchemaOptions, output: Output): number {
  const files = file === undefined ? SCHEMA_FILES : [file]
  if (out === undefined) {
    const all = Object.fromEntries(files.map((name) => [name, jsonSchema(name)]))
    output.out(JSON.stringify(file === undefined ? all : all[file], null, 2))
    return 0
  }
  try {
    mkdirSync(out, { recursive: true })
    for (const name of files) writeFileSync(join(out, `${name}.json`), `${JSON.stringify(jsonSchema(name), null, 2)}\n`)
  } catch (error) {
    output.err(`meridian: the schemas can't be written: ${messageOf(error)}`)
    return 1
  }
  return 0
}
