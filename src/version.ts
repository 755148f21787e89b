/** The version of Meridian. Used by the command line, and by what a process says of itself. */
import { readFileSync } from 'node:fs'

const manifest: { readonly version: string } = JSON.parse(
  readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
)
/** The version of Meridian, from package.json. */
export const VERSION = manifest.version
