/** Imports go leftwards only (DESIGN §3); a file of the same folder may be imported freely. */
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { expect, test } from 'vitest'

const ORDER =
  'problem units state git config metrics dns linux geo zone health policy answer probe server http cli main'.split(' ')
const src = resolve(import.meta.dirname, '../src')
const files = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'))
const partOf = (path: string): string => relative(src, path).split('/')[0]!.replace(/\.ts$/, '')

test('every file belongs to a known part', () => {
  expect(files.length).toBeGreaterThan(10)
  expect(files.map((file) => partOf(join(src, file))).filter((part) => !ORDER.includes(part))).toEqual([])
})

test('imports go leftwards only', () => {
  const wrong: string[] = []
  for (const file of files) {
    const path = join(src, file)
    for (const [, target] of readFileSync(path, 'utf8').matchAll(/\bfrom\s+'(\.[^']+)'|\bimport\(\s*'(\.[^']+)'/g)) {
      if (target === undefined) continue
      const from = ORDER.indexOf(partOf(path))
      const to = ORDER.indexOf(partOf(resolve(dirname(path), target)))
      if (to > from || to < 0) wrong.push(`${file} imports ${target}`)
    }
  }
  expect(wrong).toEqual([])
})

test('only ioredis users live in health, only main exits', () => {
  const exits = files.filter((file) => /process\.exit\(/.test(readFileSync(join(src, file), 'utf8')))
  expect(exits.filter((file) => file !== 'main.ts')).toEqual([])
})

test('one file runs git, one the commands of checks, one the demo', () => {
  const starters = files.filter((file) => /\bfrom 'node:child_process'/.test(readFileSync(join(src, file), 'utf8')))
  expect(starters.toSorted()).toEqual(['cli/demo.ts', 'git.ts', 'probe/exec.ts'])
})
