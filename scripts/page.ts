/**
 * `npm run page`, and part of `npm ci`: the page (dashboard/) as files for browsers, in dashboard/dist. Without the packages
 * of developers there is nothing to build it with; a node without it serves its API all the same.
 */
import { readdirSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { codeOf } from '../src/problem.ts'

const FOLDER = resolve(import.meta.dirname, '../dashboard')

/** Builds the page. */
export async function buildPage(): Promise<void> {
  const { build } = await import('vite')
  await build({ configFile: join(FOLDER, 'vite.config.ts'), logLevel: 'warn' })
}

/** Builds the page if a source is newer than what was built. It has some of src/ in it, too. */
export async function buildStalePage(): Promise<void> {
  const built = statSync(join(FOLDER, 'dist/index.html'), { throwIfNoEntry: false })?.mtimeMs ?? 0
  const sources = [
    ...readdirSync(FOLDER, { withFileTypes: true }),
    ...readdirSync(resolve(FOLDER, '../src'), { withFileTypes: true, recursive: true }),
  ].filter((entry) => entry.isFile())
  if (sources.some(({ parentPath, name }) => statSync(join(parentPath, name)).mtimeMs > built)) await buildPage()
}

if (import.meta.main) {
  try {
    await buildPage()
  } catch (error) {
    if (codeOf(error) !== 'ERR_MODULE_NOT_FOUND') throw error
    console.error(`the page is not built: ${String(error)}`)
  }
}
