/**
 * Each command block of the docs is run, or says why not: ```sh norun: REASON. GitHub shows both alike. The commands of all blocks
 * share one folder and one node (scene.ts).
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { blocksOf, type Block, DOCS } from '../support/docs.ts'
import { until } from '../support/until.ts'
import { DocsScene } from './scene.ts'

const blocks = DOCS.flatMap(blocksOf).filter(({ language }) => /^(?:sh|console|bash|shell|zsh)$/.test(language))
const whereOf = ({ file, line }: Block): string => `${file}:${line}`

/** What does not end by itself, and what it says by then. */
const ENDLESS: readonly (readonly [RegExp, RegExp])[] = [
  [/\bmeridian serve\b/, /serving /],
  [/^script .*--watch\b/, /members?/],
  [/^meridian drill .*--for/, /the drill of fra runs/],
  [/ --follow\b| -N /, /\S/],
]

/** What has to be done before some. */
const BEFORE: readonly (readonly [RegExp, string])[] = [
  [/"pattern": "lon", "action": "undrain"/, "meridian drain lon --why 'it was drained before'"],
]

/** What changes nothing is run once, in however many blocks it stands. */
const READS = /^meridian (?:plan|check|explain|status|events|schema) (?!.*(?:&&|\|))/

/** Commands whose question has a bad answer here, with their exit code. */
const CODES: readonly (readonly [RegExp, number])[] = [
  [/^meridian check zones --strict --parent/, 1], // nobody delegates here
  [/^meridian return fra/, 1], // nothing has failed over
]

/** The commands of a block: a script, or what has files in it, is one; a line with \ goes on. */
const commandsOf = ({ text }: Block): string[] =>
  text.startsWith('#!') || text.includes('<<')
    ? [text]
    : text
        .replaceAll('\\\n', ' ')
        .split('\n')
        .map((line) => line.replace(/ +# .*$/, ''))
        .filter((line) => line.trim() !== '')
        .map((line) => (line.includes('--watch') ? `script --quiet --return --command '${line}' /dev/null` : line)) // it wants a terminal

test('blocks are found in many files; one that is not run says why', () => {
  expect(new Set(blocks.map(({ file }) => file)).size).toBeGreaterThan(10)
  for (const block of blocks.filter(({ mark }) => mark !== ''))
    expect(block.mark, whereOf(block)).toMatch(/^norun: \S.{9,}$/)
  expect(blocks.filter(({ mark }) => mark === '').length).toBeGreaterThan(20)
})

describe('runs', () => {
  const scene = new DocsScene()
  const read = new Set<string>()
  beforeAll(() => scene.start())
  afterEach(() => scene.reset())
  afterAll(() => scene.close())

  test.each(blocks.filter(({ mark }) => mark === '').map((block) => [whereOf(block), block] as const))(
    '%s',
    async (_, block) => {
      let cwd: string | undefined
      for (const command of commandsOf(block)) {
        const [, says] = ENDLESS.find(([like]) => like.test(command)) ?? []
        if (says !== undefined) {
          await scene.runUntil(command, says)
          continue
        }
        if (cwd === undefined && READS.test(command)) {
          if (read.has(command)) continue
          read.add(command)
        }
        for (const [like, first] of BEFORE)
          if (like.test(command)) expect(await scene.run(first)).toMatchObject({ code: 0 })
        if (command.startsWith('meridian import')) cwd = scene.importing()
        const [, code = 0] = CODES.find(([like]) => like.test(command)) ?? []
        const run = () => scene.run(command, cwd)
        // a token is taken up when its file is read again
        const said = command.includes('--token-file')
          ? await until(command, async () => {
              const tried = await run()
              return tried.code === 0 ? tried : undefined
            })
          : await run()
        expect(said.code, `${command}\n${said.out}${said.err}`).toBe(code)
        if (command.startsWith('meridian token')) scene.addToken(said.err.trim().split('\n').at(-1)!.trim())
      }
    },
  )
})
