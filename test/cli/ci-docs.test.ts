/**
 * What docs tell operators to run: each line with `meridian …` in README, the guide and docs/ci.md is taken by the real command
 * line, and what is YAML there is YAML.
 */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { load } from 'js-yaml'
import { describe, expect, test } from 'vitest'
import { blocksOf, callsOf, DOCS, parse } from '../support/docs.ts'

const FILES = DOCS

const blocks = FILES.flatMap(blocksOf)

const calls = blocks.flatMap(callsOf)

test('calls are found in scripts, pipelines, hooks and units', () => {
  const found = (file: string) => calls.filter(({ where }) => where.startsWith(`${file}:`)).length
  expect(found('README.md')).toBeGreaterThanOrEqual(6)
  expect(found('docs/guide.md')).toBeGreaterThanOrEqual(8)
  // a pipeline’s run, a script’s line, a block in a pipeline, a hook, an entry
  const told = calls.filter(({ where }) => where.startsWith('docs/ci.md:')).map(({ words }) => words.join(' '))
  for (const call of [
    'check zones --format github --strict',
    'check zones --strict',
    'plan $BASE HEAD --format markdown --max-move 10%',
    'plan $base HEAD --format markdown --max-move 10%',
    'check $staged/zones',
    'status --json',
  ]) {
    expect(told).toContain(call)
  }
})

describe('the command line takes', () => {
  test.each(calls)('$where: $words', ({ where, words }) => {
    const refused = parse(words)
    if (refused !== undefined) expect.fail(`${where}: meridian ${words.join(' ')}: ${refused}`)
  })

  test('but not what it has not', () => {
    expect(parse(['check', 'zones', '--no-such-flag'])).toContain('--no-such-flag')
    expect(parse(['no-such-command'])).toContain('no-such-command')
  })
})

test('what is YAML in docs/ci.md is YAML, and a pipeline', () => {
  const trees = blocks
    .filter(({ file, language }) => file === 'docs/ci.md' && language === 'yaml')
    .map(({ text }): unknown => load(text))
  expect(trees).toHaveLength(3)
  const [github, gitlab, hooks] = trees
  expect(github).toMatchObject({
    permissions: { contents: 'read' },
    jobs: {
      zones: {
        steps: expect.arrayContaining([
          { uses: 'actions/checkout@v4', with: { 'fetch-depth': 0, 'persist-credentials': false } },
        ]),
      },
    },
  })
  expect(gitlab).toMatchObject({ zones: { variables: { GIT_DEPTH: '0' }, script: expect.any(Array) } })
  expect(hooks).toMatchObject({ repos: [{ hooks: [{ pass_filenames: false }] }] })
})

test('links in docs/ci.md lead somewhere, headings included', () => {
  const text = readFileSync(resolve(import.meta.dirname, '../../docs/ci.md'), 'utf8')
  for (const [, file, heading] of text.matchAll(/\]\((?!http)([^)#]+)(?:#([^)]+))?\)/g)) {
    const linked = readFileSync(resolve(import.meta.dirname, '../../docs', file!), 'utf8')
    const headings = [...linked.matchAll(/^#+ (.*)$/gm)].map(([, words]) => words!.toLowerCase().replaceAll(' ', '-'))
    if (heading !== undefined) expect(headings).toContain(heading)
  }
})
