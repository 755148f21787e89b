/** docs/lab.md has the scenes as a run has printed them. */
import { readFileSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'

export const LAB_DOCS = resolve(import.meta.dirname, '../../docs/lab.md')
/** What is behind it is printed. */
export const MARK = '<!-- printed by npm run lab -- --write -->\n'

/** Replaces the tables. */
export function writeDocs(tables: readonly string[]): void {
  const [head] = readFileSync(LAB_DOCS, 'utf8').split(MARK)
  writeFileSync(LAB_DOCS, `${head}${MARK}\n${tables.join('\n')}`)
}
