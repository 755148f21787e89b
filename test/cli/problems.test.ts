/** How `check` shows a problem: the line, its fault underlined, and GitHub's annotations. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { GithubWriter, ProblemWriter, underline } from '../../src/cli/words/problems.ts'
import { loadFolder } from '../../src/load/load.ts'
import { formatProblem, type Problem } from '../../src/problem.ts'

let folder = ''
beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'meridian-problems-')))
})
afterEach(() => rmSync(folder, { recursive: true }))

const problem = (more: Partial<Problem>): Problem => ({
  code: 'key-unknown',
  severity: 'error',
  file: 'a.yaml',
  line: 2,
  column: 3,
  message: 'what',
  ...more,
})

/** Both lines, for the eye. */
const shown = (line: string, column: number, width?: number): string[] => {
  const { text, indent, marked } = underline(line, column, width)
  return [text, indent + marked]
}

test('the fault is underlined over its width, or by one caret', () => {
  expect(shown('  spraed: 500km', 3, 6)).toEqual(['  spraed: 500km', '  ^^^^^^'])
  expect(shown('  spraed: 500km', 3)).toEqual(['  spraed: 500km', '  ^'])
})

test('a fault at the end of a line stands behind it, one beyond the line ends with it', () => {
  expect(shown('a:', 3)).toEqual(['a:', '  ^'])
  expect(shown('a: bc', 4, 20)).toEqual(['a: bc', '   ^^'])
  expect(shown('', 1)).toEqual(['', '^'])
})

test('tabs, wide characters, combining ones and pairs of units take the columns they take', () => {
  expect(shown('a:\tx', 4, 1)).toEqual(['a:  x', '    ^'])
  expect(shown('東京: xyz', 5, 3)).toEqual(['東京: xyz', '      ^^^'])
  expect(shown('a: 東京', 4, 2)).toEqual(['a: 東京', '   ^^^^'])
  expect(shown('🦊: x', 5, 1)).toEqual(['🦊: x', '    ^'])
  expect(shown('e\u0301: x', 5, 1)).toEqual(['e\u0301: x', '   ^'])
})

test('what would steer a terminal is shown as what it is', () => {
  expect(shown('a: \u001B[2Jx', 4, 5)).toEqual(['a: \uFFFD[2Jx', '   ^^^^^'])
})

test.each([1, 400, 990])('of a long line a window around the fault is left, at %i', (at) => {
  const line = Array.from({ length: 1000 }, (_, i) => String.fromCharCode(97 + (i % 26))).join('')
  const { text, indent, marked } = underline(line, at, 3)
  expect(text.length).toBeLessThanOrEqual(102)
  expect(text.slice(indent.length, indent.length + 3)).toBe(line.slice(at - 1, at + 2))
  expect(marked).toBe('^^^')
  expect(text.startsWith('…')).toBe(at > 100)
  expect(text.endsWith('…')).toBe(at < 900)
})

test('a file that is one line with thousands of faults takes no longer than one of many lines', () => {
  const line = 'a: 東京, '.repeat(200_000)
  for (let i = 1; i <= 300; i++) {
    const { text, indent, marked } = underline(line, 7 * 60 * i + 4, 2)
    expect([text.at(0), text.at(-1), indent.length, marked]).toEqual(['…', '…', 33, '^^^^'])
  }
})

test('a fault longer than the window is underlined as far as it is seen', () => {
  const { text, indent, marked } = underline(`a: ${'x'.repeat(500)}`, 4, 500)
  expect(indent.length + marked.length).toBe(text.length - 1) // all but the last …
})

test('in text: place, code, message, line, hint; CRLF or not', () => {
  const file = join(folder, 'a.yaml')
  writeFileSync(file, 'web:\r\n  spraed: 500km\r\n')
  const writer = new ProblemWriter(false)
  expect(writer.format(problem({ file, width: 6, hint: 'Did you mean spread?' })).split('\n')).toEqual([
    `${file}:2:3 key-unknown what`,
    '    2 |   spraed: 500km',
    '      |   ^^^^^^',
    '    Did you mean spread?',
  ])
  expect(writer.format(problem({ file, severity: 'warning', line: 0 }))).toBe(`${file} key-unknown (warning) what`)
  expect(writer.format(problem({ file: join(folder, 'gone.yaml') })).split('\n')).toHaveLength(1)
  expect(new ProblemWriter(true).format(problem({ file, width: 6 }))).toContain('\u001B[31m^^^^^^\u001B[0m')
})

test('what is written in a zone begins no line, which CI would take for a command', () => {
  const said = 'x\r\n::add-mask::y\u001B[2J'
  const hostile = problem({ file: `a${said}`, line: 0, message: said, hint: said })
  for (const text of [formatProblem(hostile), new ProblemWriter(false).format(hostile)]) {
    expect(text.split('\n')).toHaveLength(2)
    expect(text.replace('\n', '')).not.toMatch(/\p{C}/u)
  }
})

test('keys and values know their width, in quotes and out of them', async () => {
  const files: Readonly<Record<string, string>> = {
    'sites.yaml': 'fra: {location: [50.11, 8.68], "reg\\u0069on2": eu}\n',
    'services.yaml': "web:\n  sites: {fra: {vips: [192.0.2.300]}}\n  'che''ck': none\n  check: none\n",
    'example.com.yaml': '"": {type: NS, values: [a.example.net.]}\nw: {type: GSLB, service: wbe}\n',
  }
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text)
  const { problems } = await loadFolder(folder)
  const found = problems.filter(({ width }) => width !== undefined)
  const texts = found.map(({ file, line, column, width }) => {
    const text = files[file.slice(folder.length + 1)]!.split('\n')[line - 1]!
    return text.slice(column - 1, column - 1 + width!)
  })
  expect(texts.toSorted()).toEqual(['"reg\\u0069on2"', "'che''ck'", '192.0.2.300'])
})

test('for GitHub: paths from the top of the work tree, and every character that means something escaped', () => {
  execFileSync('git', ['init', '-q', folder])
  const zones = join(folder, 'dns/zones')
  mkdirSync(zones, { recursive: true })
  const writer = new GithubWriter(zones)
  const file = join(zones, 'a,b:c.yaml')
  writeFileSync(file, '')
  expect(writer.format(problem({ file, width: 6, message: '50% of\r\nit, all: this', hint: 'Do' }))).toBe(
    '::error file=dns/zones/a%2Cb%3Ac.yaml,line=2,col=3,endColumn=9,title=key-unknown::50%25 of%0D%0Ait, all: this%0ADo',
  )
  expect(writer.format(problem({ file: zones, line: 0, severity: 'notice' }))).toBe(
    '::notice file=dns/zones,title=key-unknown::what',
  )
  const variable = problem({ file: 'MERIDIAN_NOTHING', line: 0, severity: 'warning' })
  expect(writer.format(variable)).toBe('::warning title=key-unknown::what')
})

/** Characters and the columns that they take on a terminal. */
const WIDTHS: Readonly<Record<string, number>> = { a: 1, ' ': 1, é: 1, '\u0301': 0, 東: 2, Ａ: 2, '🦊': 2, '\u202E': 1 }

test('whatever stands before the fault, the carets begin below it and end with it, within 102 columns', () => {
  const line = fc.array(fc.constantFrom(...Object.keys(WIDTHS)), { maxLength: 150 })
  const widthOf = (characters: readonly string[]): number =>
    characters.reduce((sum, character) => sum + WIDTHS[character]!, 0)
  fc.assert(
    fc.property(line, line, line, (before, fault, behind) => {
      const characters = [...before, 'a', ...fault, ...behind, 'a']
      const marks = ['a', ...fault].join('').length
      const { text, indent, marked } = underline(characters.join(''), before.join('').length + 1, marks)
      const seen = Array.from(text)
        .filter((character) => character !== '…')
        .map((one) => (one === '\uFFFD' ? '\u202E' : one))
      // the window that is shown begins so many characters into the line
      const start = characters.findIndex(
        (_, i) =>
          i <= before.length &&
          seen.every((character, j) => character === characters[i + j]) &&
          i > 0 === text.startsWith('…') &&
          indent.length === (i > 0 ? 1 : 0) + widthOf(characters.slice(i, before.length)),
      )
      expect(start).toBeGreaterThanOrEqual(0)
      const shownFault = characters.slice(
        before.length,
        Math.min(before.length + 1 + fault.length, start + seen.length),
      )
      expect(marked.length).toBe(widthOf(shownFault))
      expect(widthOf(seen) + (text.startsWith('…') ? 1 : 0)).toBeLessThanOrEqual(101)
    }),
    { seed: 7, numRuns: 500 },
  )
})
