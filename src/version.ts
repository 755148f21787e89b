/** The version of Meridian, and where its package is. Used by the command line, and by what a process says of itself. */
import { readFileSync } from 'node:fs'

/** The folder of package.json: of the sources and, installed, of the package. */
export const PACKAGE = new URL('../', import.meta.url)

const manifest: { readonly version: string } = JSON.parse(readFileSync(new URL('package.json', PACKAGE), 'utf8'))
/** The version of Meridian, from package.json. */
export const VERSION = manifest.version
