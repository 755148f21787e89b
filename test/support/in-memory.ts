/**
 * Puts the temporary files of tests into memory where there is room. Meridian syncs what it must not lose, a sync of a disk
 * that others use takes 20 ms, and one test has a simulated day with a save each minute.
 */
import { chmodSync, existsSync, mkdtempSync, rmSync, statfsSync } from 'node:fs'

const MEMORY = '/dev/shm'
/** Some ten times what a whole run needs. */
const LEAST_BYTES = 4e9

/** From now on, in processes that are started from this one; returns what takes it away again, with all files. */
export function writeToMemory(): () => void {
  if (process.env['TMPDIR'] !== undefined || !existsSync(MEMORY)) return () => {}
  const { bavail, bsize } = statfsSync(MEMORY)
  if (bavail * bsize < LEAST_BYTES) return () => {}
  const folder = mkdtempSync(`${MEMORY}/meridian-`)
  chmodSync(folder, 0o755) // some tests become another user
  process.env['TMPDIR'] = folder
  return () => rmSync(folder, { recursive: true, force: true })
}
