/**
 * What docs tell operators to run: each line with `meridian …` in README, the guide and docs/ci.md is taken by the real command
 * line, and what is YAML there is YAML.
 */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { CommanderError, type Command } from 'commander'
import { load } from 'js-yaml'
import { describe, expect, test } from 'vitest'
import { makeProgram } from '../../src/cli/commands.ts'

interface Block {
  readonly file: string
  readonly language: string
  readonly text: string
  /** Of its first line. */
  readonly line: number
}

const FILES = ['README.md', 'docs/commands.md', 'docs/guide.md', 'docs/ci.md']

function blocksOf(file: string): Block[] {
  const text = readFileSync(resolve(import.meta.dirname, '../..', file), 'utf8')
  return [...text.matchAll(/^```(\w*)\n([^]*?)^```$/gm)].map(({ 1: language = '', 2: block = '', index }) => ({
    file,
    language,
    text: block,
    line: text.slice(0, index).split('\n').length + 1,
  }))
}

const blocks = FILES.flatMap(blocksOf)

interface Call {
  readonly where: string
  readonly words: readonly string[]
}

/** Each call of meridian in a block: words up to what the shell takes for itself. */
function callsOf({ file, text, line }: Block): Call[] {
  return text.split('\n').flatMap((written, i) => {
    // at the start of a line, behind YAML's key or dash, a path, or another command
    const calls = [...written.matchAll(/(?:^|&& |\|\| |[-:] |=\S*\/|\$\()\s*meridian (.*)$/g)]
    return calls
      .flatMap(({ 1: rest = '' }) => rest.split(/ (?:&&|\|\||\|) /))
      .flatMap((part, n) => {
        const words = wordsOf(n === 0 ? part : part.replace(/^meridian /, ''))
        return n === 0 || part.startsWith('meridian ') ? [{ where: `${file}:${line + i}`, words }] : []
      })
  })
}

/** As sh would cut them; redirections and comments are not of the command. */
function wordsOf(part: string): string[] {
  const words: string[] = []
  for (const [word, single, double] of part.matchAll(/'([^']*)'|"([^"]*)"|[^\s'"]+/g)) {
    if (/^(#|>|<|2>)/.test(word)) break
    words.push(single ?? double ?? word)
  }
  return words
}

const silent = { out: () => undefined, err: () => undefined }

/** The whole command line with nothing behind it. */
function parse(words: readonly string[]): string | undefined {
  const program = makeProgram(
    silent,
    () => Promise.resolve(),
    () => undefined,
  )
  const muted = (command: Command): void => {
    command.action(() => undefined)
    command.commands.forEach(muted)
  }
  program.commands.forEach(muted)
  try {
    program.parse(words, { from: 'user' })
    return undefined
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    return error.exitCode === 0 ? undefined : error.message
  }
}

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
