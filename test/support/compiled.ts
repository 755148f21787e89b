/**
 * What Node compiled of TypeScript, shared by all processes of a run: a start of Meridian then costs half the CPU time, about
 * what it costs of the package, which is JavaScript. https://nodejs.org/api/module.html#module-compile-cache
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** From now on, in processes that are started from this one; returns what takes it away again. */
export function shareCompiled(): () => void {
  if (process.env['NODE_COMPILE_CACHE'] !== undefined) return () => {}
  const folder = mkdtempSync(join(tmpdir(), 'meridian-compiled-'))
  process.env['NODE_COMPILE_CACHE'] = folder
  return () => rmSync(folder, { recursive: true, force: true })
}
