/** README, docs/commands.md and docs/problems.md against the code, both ways. */
import { readdirSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Command } from 'commander'
import { expect, test } from 'vitest'
import { makeProgram } from '../../src/cli/commands.ts'
import { EXIT_CODES, SIGNALS } from '../../src/cli/outcomes.ts'
import { PROBLEM_CODES } from '../../src/problem.ts'

const read = (file: string): string => readFileSync(resolve(import.meta.dirname, '../..', file), 'utf8')

test('README begins with the two lines that a newcomer needs', () => {
  const block = /```sh.*\n([^]*?)```/.exec(read('README.md'))
  expect(block?.[1]).toBe('npm ci && npm run demo\nnpm ci && npm test\n')
  expect(block!.index).toBeLessThan(600)
  expect(read('README.md').split('\n').length).toBeLessThan(160)
})

test('docs/commands.md tells every command, and no other', () => {
  const silent = { out: () => undefined, err: () => undefined }
  const program = makeProgram(
    silent,
    () => Promise.resolve(),
    () => undefined,
  )
  const rows = [...read('docs/commands.md').matchAll(/^\| `meridian ([a-z -]+)` \| (.*?) \|$/gm)].map(
    ([, ...row]) => row,
  )
  const leaves = (command: Command, before: string): string[][] =>
    command.commands.length === 0
      ? [[`${before}${command.name()}`, command.summary()]]
      : command.commands.flatMap((sub) => leaves(sub, `${before}${command.name()} `))
  expect(rows).toEqual(program.commands.flatMap((command) => leaves(command, '')))
})

test('docs/commands.md tells every exit code and signal, in the words of meridian(1)', () => {
  const rows = [...read('docs/commands.md').matchAll(/^\| (\d+|SIG[A-Z0-9, ]+) \| (.*?) \|$/gm)].map(
    ([, ...row]) => row,
  )
  expect(rows).toEqual([...EXIT_CODES.map(([code, meaning]) => [String(code), meaning]), ...SIGNALS])
})

test('docs/problems.md tells every code, and no other', () => {
  const [, codes] = read('docs/problems.md').split('\n## Every code\n')
  const rows = [...codes!.matchAll(/^\| `([a-z-]+)` \| (.*?) \|$/gm)].map(([, ...row]) => row)
  expect(rows).toEqual(Object.entries(PROBLEM_CODES))
})

test('links in README and docs lead somewhere', () => {
  const docs = readdirSync(resolve(import.meta.dirname, '../../docs')).filter((file) => file.endsWith('.md'))
  for (const file of ['README.md', 'CONTRIBUTING.md', 'SECURITY.md', ...docs.map((doc) => `docs/${doc}`)]) {
    for (const [, link] of read(file).matchAll(/\]\((?!http)([^)#]+)\)/g)) {
      expect(() => read(resolve(import.meta.dirname, '../..', file, '..', link!)), link).not.toThrow(/ENOENT/)
    }
  }
})

test('docs/protocol.md has a row for each RFC that test/rfc has a file for, and names files that speak of theirs', () => {
  const folder = resolve(import.meta.dirname, '../rfc')
  const rows = [...read('docs/protocol.md').matchAll(/^\| (\d+) \|.*\| (\S+\.test\.ts) \|$/gm)]
  const named = new Map(rows.map(([, rfc, file]) => [rfc!, file!]))
  expect(rows.map(([, rfc]) => Number(rfc))).toEqual(rows.map(([, rfc]) => Number(rfc)).toSorted((a, b) => a - b))
  const files = readdirSync(folder).filter((file) => /^rfc\d+\.test\.ts$/.test(file))
  expect(files.length).toBeGreaterThan(20)
  expect(files.filter((file) => named.get(/\d+/.exec(file)![0]) !== file)).toEqual([])
  const silent = [...named].filter(([rfc, file]) => !read(`test/rfc/${file}`).includes(`RFC ${rfc}`))
  expect(silent.map(([rfc, file]) => `${file} does not speak of RFC ${rfc}`)).toEqual([])
})
