/** Words that options and arguments may have, apart from the commands that they are for: to parse them loads nothing. */
import type { ImportOptions } from '../import/import.ts'
import type { SchemaFile } from '../load/schema.ts'

/** The formats of the problems of `check`. */
export const FORMATS = ['text', 'json', 'github'] as const
/** One of FORMATS. */
export type Format = (typeof FORMATS)[number]

/** The formats of a plan. */
export const PLAN_FORMATS = ['text', 'json', 'markdown'] as const
/** One of PLAN_FORMATS. */
export type PlanFormat = (typeof PLAN_FORMATS)[number]

/** A configuration that `import` reads. */
export type ImportFormat = ImportOptions['format']
export const IMPORT_FORMATS: readonly ImportFormat[] = ['gdnsd', 'bind', 'powerdns', 'route53']

/** The files that `schema` has a JSON Schema of. */
export const SCHEMA_FILES: readonly SchemaFile[] = ['zone', 'defaults', 'sites', 'services', 'drills', 'meridian']

/** The shells that `completion` has a script for. */
export const SHELLS = ['bash', 'zsh', 'fish'] as const
/** One of SHELLS. */
export type Shell = (typeof SHELLS)[number]
