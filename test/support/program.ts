/**
 * The program that tests start: src/, bundled once a run, because a start then costs a fifth less of CPU time than one that
 * loads each module by itself, and a run starts Meridian some 200 times. The demo's test starts src/ as it is, the
 * package's what is installed of it.
 */
import { chmodSync, cpSync, mkdtempSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'

const ROOT = resolve(import.meta.dirname, '../..')
const SRC = join(ROOT, 'src')
/** Programs of processes and threads: each is looked for beside the module that starts it. */
const ENTRIES = [
  'main.ts',
  'server/thread.ts',
  'server/tcp-thread.ts',
  'probe/worker.ts',
  'world/compiler-thread.ts',
  'cli/demo-site.ts',
]
const VARIABLE = 'PROGRAM_UNDER_TEST'

/** The program to start: what bundleProgram() made, or src/ itself. */
export const MAIN = process.env[VARIABLE] ?? join(SRC, 'main.ts')

/** Bundles src/, without packages, for all processes that are started from this one; returns what takes it away again. */
export async function bundleProgram(): Promise<() => void> {
  const { rolldown } = await import('rolldown') // here: most that import this file want MAIN alone
  const folder = mkdtempSync(join(ROOT, '.program-')) // its packages and its ../package.json are found from here
  chmodSync(folder, 0o755) // some tests start it as another user
  const input = ENTRIES.map((entry) => join(SRC, entry))
  const bundle = await rolldown({ cwd: ROOT, platform: 'node', external: /^[^./]/, input })
  await bundle.write({ dir: folder, format: 'esm' })
  cpSync(join(SRC, 'store/redis/lua'), join(folder, 'lua'), { recursive: true })
  process.env[VARIABLE] = join(folder, 'main.js')
  return () => {
    delete process.env[VARIABLE]
    rmSync(folder, { recursive: true, force: true })
  }
}
