/**
 * The program that tests start: src/, built once a run as the package has it. A run starts Meridian some 200 times, and
 * a start of the bundle takes less. The demo's test starts src/ as it is.
 */
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'

const ROOT = resolve(import.meta.dirname, '../..')
const VARIABLE = 'PROGRAM_UNDER_TEST'

/** The program to start: what buildProgram() made, or src/ itself. */
export const MAIN = process.env[VARIABLE] ?? join(ROOT, 'src/main.ts')

/** Builds it for all processes that are started from this one; returns what takes it away again. */
export async function buildProgram(): Promise<() => void> {
  const { build } = await import('../../scripts/build.ts') // here: most that import this file want MAIN alone
  const folder = mkdtempSync(join(ROOT, '.program-')) // packages and ../package.json are found from here
  process.env[VARIABLE] = await build(folder)
  chmodSync(folder, 0o755) // some tests start it as another user
  return () => {
    delete process.env[VARIABLE]
    rmSync(folder, { recursive: true, force: true })
  }
}
