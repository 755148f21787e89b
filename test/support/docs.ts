/** Docs as tests read them: their fenced blocks, the calls of meridian in them, and whether the command line takes these. */
import { globSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { CommanderError, type Command } from 'commander'
import { makeProgram } from '../../src/cli/commands.ts'

/** The root of the repository. */
export const ROOT: string = resolve(import.meta.dirname, '../..')

/** All docs, by their paths from the root. */
export const DOCS: readonly string[] = globSync(['*.md', 'docs/**/*.md', 'docker/*.md', 'deploy/**/*.md'], {
  cwd: ROOT,
})
  .filter((file) => file !== 'CHANGELOG.md')
  .toSorted()

/** A fenced block. */
export interface Block {
  readonly file: string
  readonly language: string
  /** What stands behind the language. */
  readonly mark: string
  readonly text: string
  /** Of its first line. */
  readonly line: number
}

/** The fenced blocks of a file; its path is from the root. */
export function blocksOf(file: string): Block[] {
  const text = readFileSync(resolve(ROOT, file), 'utf8')
  return [...text.matchAll(/^```(\w*)(.*)\n([^]*?)^```$/gm)].map(
    ({ 1: language = '', 2: mark = '', 3: block = '', index }) => ({
      file,
      language,
      mark: mark.trim(),
      text: block,
      line: text.slice(0, index).split('\n').length + 1,
    }),
  )
}

/** A call of meridian. */
export interface Call {
  readonly where: string
  readonly words: readonly string[]
}

/** Each call of meridian in a block: words up to what the shell takes for itself. */
export function callsOf({ file, text, line }: Block): Call[] {
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
export function wordsOf(part: string): string[] {
  const words: string[] = []
  for (const [word, single, double] of part.matchAll(/'([^']*)'|"([^"]*)"|[^\s'"]+/g)) {
    if (/^(#|>|<|2>)/.test(word)) break
    words.push(single ?? double ?? word)
  }
  return words
}

const silent = { out: () => undefined, err: () => undefined }

/** The whole command line with nothing behind it: why it refuses these words; undefined: it takes them. */
export function parse(words: readonly string[]): string | undefined {
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
