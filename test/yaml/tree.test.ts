/** YAML with positions: source text, order, places of faults, and linear work. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { formatProblem, type Problem } from '../../src/problem.ts'
import { type Node, Source } from '../../src/yaml/source.ts'
import { explainSyntax } from '../../src/yaml/syntax.ts'
import { parseYaml } from '../../src/yaml/tree.ts'

function parse(text: string): { root: Node | undefined; problems: string[]; source: Source } {
  const problems: Problem[] = []
  const source = new Source('f.yaml', text)
  const root = parseYaml(source, (problem) => problems.push(problem))
  return { root, source, problems: problems.map(formatProblem) }
}

/** Scalars as [text, line:column]; quoted ones with a mark. */
function plain(node: Node | undefined, source: Source): unknown {
  if (node === undefined) return undefined
  if (node.kind === 'list') return node.items.map((item) => plain(item, source))
  if (node.kind === 'mapping') return node.entries.map(({ key, value }) => [key.text, plain(value, source)])
  const { line, column } = source.locate(node.offset)
  return `${node.quoted ? `'${node.text}'` : node.text} @${line}:${column}`
}

const read = (text: string): unknown => {
  const { root, source, problems } = parse(text)
  expect(problems).toEqual([])
  return plain(root, source)
}

test('scalars are their source text, quoted ones know it', () => {
  expect(read('[010, 1e3, 1.10, null, ~, yes, 0x1F, "010", \'it\'\'s\', "a\\tb"]')).toEqual([
    '010 @1:2',
    '1e3 @1:7',
    '1.10 @1:12',
    'null @1:18',
    '~ @1:24',
    'yes @1:27',
    '0x1F @1:32',
    "'010' @1:38",
    "'it's' @1:45",
    "'a\tb' @1:54",
  ])
})

test('mappings keep the order of the file, numbers among the keys too', () => {
  expect(read('b: 1\n"2": 2\na: 3\n1: 4\n"": 5\n')).toEqual([
    ['b', '1 @1:4'],
    ['2', '2 @2:6'],
    ['a', '3 @3:4'],
    ['1', '4 @4:4'],
    ['', '5 @5:5'],
  ])
})

test('positions: block and flow, CRLF, comments, characters beyond ASCII, nothing behind a key', () => {
  expect(read('# c\r\na:\r\n  - x\r\n  - {k: v,\r\n     l: w}\r\nä: ü\r\nb:\r\n')).toEqual([
    [
      'a',
      [
        'x @3:5',
        [
          ['k', 'v @4:9'],
          ['l', 'w @5:9'],
        ],
      ],
    ],
    ['ä', 'ü @6:4'],
    ['b', ' @7:1'],
  ])
  expect(read('text: |\n  one\n  two\n')).toEqual([['text', "'one\ntwo\n' @2:1"]])
})

test('an empty file is an empty mapping', () => {
  expect(read('')).toEqual([])
  expect(read('# nothing\n')).toEqual([])
  expect(read('---\n')).toEqual([])
})

test.each([
  ['a: 1\nb: 2\na: 3\n', ['f.yaml:3:1 duplicate-key “a” is there twice; first in line 1\n    Merge the two']],
  ['x: {a: 1, "a": 2}\n', ['f.yaml:1:11 duplicate-key “a” is there twice; first in line 1\n    Merge the two']],
  ['a: &x 1\nb: *x\n', ['f.yaml:1:4 yaml-unsupported', 'f.yaml:2:4 yaml-unsupported']],
  ['a: !!str 1\n', ['f.yaml:1:4 yaml-unsupported']],
  ['a: 1\n---\nb: 2\n', ['f.yaml:3:1 yaml-unsupported']],
  ['? [a]\n: 1\n', ['f.yaml:1:3 yaml-unsupported']],
  ['a: [1,\n', ['f.yaml:1:4 yaml-syntax this [ is never closed']],
  ['a: 1\n  b: 2\n', ['f.yaml:2:3 yaml-syntax this line is indented further']],
  ['a: "x\n', ['f.yaml:1:4 yaml-syntax this " is never closed']],
  ['a: \u0000\n', ['f.yaml:1:4 yaml-syntax']],
])('what would mean two things, or nothing, is a problem with a place: %j', (text, expected) => {
  const { problems } = parse(text)
  expect(problems.map((problem, i) => problem.slice(0, expected[i]?.length))).toEqual(expected)
})

test('the rest of a mapping with a duplicate is still read', () => {
  const { root, source } = parse('a: 1\na: 2\nb: 3\n')
  expect(plain(root, source)).toEqual([
    ['a', '1 @1:4'],
    ['b', '3 @3:4'],
  ])
})

const keys = (count: number): string =>
  Array.from({ length: count }, (_, i) => `n${i}: {type: A, values: [1]}`).join('\n')

/** CPU microseconds to parse and to locate every key. */
function cost(text: string): number {
  const begin = process.cpuUsage()
  const { problems, root, source } = parse(text)
  expect(problems).toEqual([])
  for (const { key } of root!.kind === 'mapping' ? root!.entries : []) source.locate(key.offset)
  const { user, system } = process.cpuUsage(begin)
  return user + system
}

test('twenty times the keys take no hundred times as long', () => {
  const [small, large] = [keys(5000), keys(100_000)]
  cost(small)
  expect(cost(large) / Math.min(cost(small), cost(small), cost(small))).toBeLessThan(100) // quadratic: 400
})

/** What is wrong with a text that is no YAML: `line:column message`. */
const wrong = (text: string): string | undefined =>
  /^f\.yaml:(\d+:\d+) yaml-syntax (.*)/
    .exec(parse(text).problems[0] ?? '')
    ?.slice(1)
    .join(' ')

test.each([
  // what opens is told where it opens, however far behind it shows itself
  ['a: {b: [1, 2\nc: 3\nd: 4\n', '1:8 this [ is never closed'],
  ['a:\n  b: [\n    1,\n    2\nc: 3\n', '2:6 this [ is never closed'],
  ['- {a: [1, 2}\n- {a: [3]}\n', '1:7 this [ is never closed'],
  ['a: "x\n  y\nb: "z"\n', '1:4 this " is never closed'],
  ["a: 'it''s\nb: 1\n", "1:4 this ' is never closed"],
  ['\uFEFF# c\r\n\r\na: [1,\r\nb: 2\r\n', '3:4 this [ is never closed'],
  // brackets and quotes that open nothing: in comments, texts, blocks and quotes
  ['a: x [ # {\nb: "[" # \'\nc: |\n  {\nd: don\'t\ne: [1\n', '6:4 this [ is never closed'],
  ['a: [1]]\n', '1:7 this ] closes nothing'],
  ['a: {b: 1}}\n', '1:10 this } closes nothing'],
  ["a: 'it's'\n", '1:8 the quoted text ends before this, and nothing may follow it'],
  ['a:\n  - 1\n  b: 2\n', '3:3 this line is no item of the list above it'],
  ['a: @b\n', '1:4 “@b” begins with @, which means something of its own in YAML'],
  ['"@": 1\n@: 2\n', '2:1 “@” begins with @, which means something of its own in YAML'],
  ['a: "\u0001"\n', undefined],
])('the mistake is told where it is: %j', (text, expected) => {
  if (expected === undefined) expect(wrong(text)).toMatch(/^\d+:\d+ ./)
  else expect(wrong(text)).toBe(expected)
})

const scraps = fc.array(
  fc.constantFrom(
    'a',
    'hunter',
    'b: ',
    ': ',
    ':',
    '\n',
    '\n  ',
    '\r\n',
    '\t',
    '[',
    ']',
    '{',
    '}',
    ', ',
    '"',
    "'",
    '- ',
    '#',
    ' # ',
    '|\n',
    '\\',
    '*',
    '@',
  ),
  { maxLength: 40 },
)

test('whatever is wrong, its place is in the text, and words of the text are told between quotes alone', () => {
  fc.assert(
    fc.property(scraps, fc.nat(40), (parts, at) => {
      const text = parts.join('')
      const found = explainSyntax(text, Math.min(at, text.length), 'bad indentation of a mapping entry')
      expect(found.at).toBeGreaterThanOrEqual(0)
      expect(found.at).toBeLessThanOrEqual(text.length)
      // a file of settings holds passwords: what is between these quotes can be left out
      const words = found.message.replaceAll(/[“"][^”"]*[”"]/g, '')
      expect(words).not.toBe('')
      expect(words + found.hint).not.toContain('hunter')
      wrong(text)
    }),
    { numRuns: 2000 },
  )
})

test.each(['["', '{[', "a: '\n", '- [1\n', '#\n', '"\\', '  \n', 'a: |\n  {\n', '<<<<<<< \n'])(
  'twenty times %j take no hundred times as long',
  (scrap) => {
    const timeOf = (count: number): number => {
      const text = `${scrap.repeat(count)}\n@: [`
      const begin = process.cpuUsage()
      explainSyntax(text, text.length, 'bad indentation of a mapping entry')
      const { user, system } = process.cpuUsage(begin)
      return user + system
    }
    timeOf(20_000)
    const least = Math.max(2000, Math.min(timeOf(20_000), timeOf(20_000), timeOf(20_000))) // µs
    expect(Math.min(timeOf(400_000), timeOf(400_000)) / least).toBeLessThan(100)
  },
)
