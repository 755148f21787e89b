/** YAML with positions: source text, order, places of faults, and linear work. */
import { expect, test } from 'vitest'
import { formatProblem, type Problem } from '../../src/problem.ts'
import { type Node, Source } from '../../src/yaml/source.ts'
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
