/** The packages that Meridian brings along: those of package-lock.json that are not only for its development. */
import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'

/** A package as package-lock.json has it. */
export interface Locked {
  readonly version: string
  readonly license?: string
  readonly dev?: boolean
  readonly optional?: boolean
}

export const ROOT = resolve(import.meta.dirname, '..')
export const readJson = (file: string): ReturnType<typeof JSON.parse> =>
  JSON.parse(readFileSync(join(ROOT, file), 'utf8'))

/** Path (`node_modules/NAME`) and entry of each; some are for other machines than this, and not installed. */
export function shippedPackages(): readonly (readonly [path: string, locked: Locked])[] {
  const all: [string, Locked][] = Object.entries(readJson('package-lock.json').packages)
  return all.filter(([path, { dev }]) => dev !== true && path !== '')
}
