/** Files of subnets that rules name: what a line may be, whose faults are told where, and what a reload reads again. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { formatAddress } from '../../src/dns/address.ts'
import { addressOf, type PackedPrefixes, type PrefixTable } from '../../src/geo/prefixes.ts'
import { type LoadResult, loadFolder } from '../../src/load/load.ts'
import { readSubnets } from '../../src/load/subnets.ts'
import { Source } from '../../src/yaml/source.ts'

const folders: string[] = []
afterEach(() => folders.splice(0).forEach((folder) => rmSync(folder, { recursive: true })))

function write(folder: string, files: Readonly<Record<string, string>>): void {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    writeFileSync(join(folder, name), text)
  }
}

/** A sound folder but for these files. */
function folderOf(files: Readonly<Record<string, string>>): string {
  const folder = mkdtempSync(join(tmpdir(), 'meridian-subnets-'))
  folders.push(folder)
  const sound = {
    'defaults.yaml': 'soa: {serial: 1}\n',
    'sites.yaml': 'fra: {location: [50.11, 8.68]}\niad: {location: [38.95, -77.45]}\n',
    'example.com.yaml': '"": {type: NS, values: [ns1.example.net.]}\nwww: {type: GSLB, service: web}\n',
  }
  write(folder, { ...sound, ...files })
  return folder
}

const web = (rules: string): string =>
  `web:\n  sites: {fra: {vips: [192.0.2.10]}, iad: {vips: [192.0.2.20]}}\n  check: none\n  rules: [${rules}]\n`
const told = (folder: string, { problems }: LoadResult): string[] =>
  problems.map(({ code, file, line, column }) => `${relative(folder, file)}:${line}:${column} ${code}`)
const texts = (packed: PackedPrefixes): string[] =>
  Array.from(packed.bits, (bits, i) => `${formatAddress(addressOf(packed, i))}/${bits}`)

const size = ({ words, bits }: PackedPrefixes): number => words.buffer.byteLength + bits.buffer.byteLength
const tableOf = ({ model }: LoadResult): PrefixTable => model!.services[0]!.rules[0]!.subnetFiles![0]!

const LIST = `# branch offices
10.1.0.0/16

198.51.100.7 # head office
  10.0.0.0/8\t
2001:db8::/32
::ffff:203.0.113.0/120
10.1.0.0/16
2001:db8::1\r
`

function read(text: string): { table: PrefixTable | undefined; problems: string[]; hints: (string | undefined)[] } {
  const problems: string[] = []
  const hints: (string | undefined)[] = []
  const table = readSubnets(new Source('a.txt', text), ({ line, column, width, code, message, hint }) => {
    problems.push(`${line}:${column}+${width ?? ''} ${code} ${message}`)
    hints.push(hint)
  })
  return { table, problems, hints }
}

describe('a file', () => {
  test('has a prefix or an address a line; the table is sorted, folded and holds none twice', () => {
    const { table, problems } = read(LIST)
    expect(problems).toEqual([])
    expect(texts(table!.v4)).toEqual(['10.0.0.0/8', '10.1.0.0/16', '198.51.100.7/32', '203.0.113.0/24'])
    expect(texts(table!.v6)).toEqual(['2001:db8::/32', '2001:db8::1/128'])
  })

  test('in another order, with other comments, is the same set', () => {
    const other = LIST.split('\n').filter((line) => line.includes('.') || line.includes(':'))
    expect(read(other.toReversed().join('\n')).table!.hash).toBe(read(LIST).table!.hash)
    expect(read(other.slice(1).join('\n')).table!.hash).toBe(read(LIST).table!.hash) // one was twice
    expect(read(other.slice(0, 3).join('\n')).table!.hash).not.toBe(read(LIST).table!.hash)
  })

  test('tells each faulty line by its place, and which prefix was meant', () => {
    const { table, problems, hints } = read('10.0.0.0/8\n  10.0.0.1/8\nprefix,site\n10.0.0.0/33\n2001:db8::1/32 # x\n')
    expect(table).toBeUndefined()
    expect(problems).toEqual([
      '2:3+10 value-invalid “10.0.0.1/8” has bits set behind its first 8',
      '3:1+11 value-invalid “prefix,site” is no prefix',
      '4:1+11 value-invalid “10.0.0.0/33” is no prefix',
      '5:1+14 value-invalid “2001:db8::1/32” has bits set behind its first 32',
    ])
    expect(hints[0]).toBe('Write 10.0.0.0/8, or 10.0.0.1/32 if one address is meant')
    expect(hints[3]).toBe('Write 2001:db8::/32, or 2001:db8::1/128 if one address is meant')
  })

  test('of many faulty lines tells the first, and how many more there are', () => {
    const { problems } = read('x\n'.repeat(1000))
    expect(problems).toHaveLength(21)
    expect(problems[20]).toContain('980 more lines')
  })

  test('without a prefix is an error: whoever writes it may have failed', () => {
    expect(read('# none yet\n\n').problems).toEqual([expect.stringContaining('rule-empty')])
  })

  test('that is an unfinished merge is told as such, once', () => {
    const [ours, middle, theirs] = ['<', '=', '>'].map((mark) => mark.repeat(7))
    const text = `10.0.0.0/8\n${ours} HEAD\n10.1.0.0/16\n${middle}\n10.2.0.0/16\n${theirs} other\n`
    const { problems, table } = read(text)
    expect(problems).toEqual([expect.stringContaining('merge-conflict “<<<<<<<” is a conflict marker of git')])
    expect(table).toBeUndefined()
  })

  test('of 100,000 lines takes 5 bytes for one of IPv4 and 17 for one of IPv6', () => {
    const lines: string[] = []
    for (let i = 0; i < 50_000; i++) {
      lines.push(`10.${i >> 8}.${i & 255}.0/24`, `2001:db8:${i.toString(16)}::/48`)
    }
    const { v4, v6 } = read(lines.join('\n')).table!
    expect([size(v4), size(v6)]).toEqual([5 * 50_000, 17 * 50_000])
  })
})

describe('a rule', () => {
  test('names one file, or files and prefixes, each beside its YAML', async () => {
    const folder = folderOf({
      'services/web.yaml': web('{subnets: [192.0.2.0/24, {file: lists/a.txt}, {file: ../b.txt}], order: [iad]}'),
      'services.yaml': web('{subnets: {file: b.txt}, order: [iad]}')
        .replace('web:', 'api:')
        .replaceAll('192.0.2.', '198.51.100.'),
      'services/lists/a.txt': '10.0.0.0/8\n',
      'b.txt': '172.16.0.0/12\n',
    })
    const loaded = await loadFolder(folder)
    expect(told(folder, loaded)).toEqual([])
    const [api, all] = loaded.model!.services.map(({ rules }) => rules[0]!)
    expect(all!.subnets.map(({ bits }) => bits)).toEqual([24])
    expect(all!.subnetFiles!.map(({ v4 }) => texts(v4))).toEqual([['10.0.0.0/8'], ['172.16.0.0/12']])
    expect(api!.subnetFiles![0]).toBe(all!.subnetFiles![1]) // read once
  })

  test.each([
    ['{file: none.txt}', ['services.yaml:4:28 file-unreadable']],
    ['{file: ../a.txt}', ['services.yaml:4:28 value-invalid']],
    ['{file: /etc/hosts}', ['services.yaml:4:28 value-invalid']],
    ['{file: sites.yaml}', ['services.yaml:4:28 value-invalid']],
    ['{file: bad.txt}', ['bad.txt:2:1 value-invalid']],
    ['[{file: bad.txt}, 10.0.0.1/8]', ['bad.txt:2:1 value-invalid', 'services.yaml:4:39 value-invalid']],
  ])('with %s', async (subnets, problems) => {
    const files = subnets.includes('bad') ? { 'bad.txt': '10.0.0.0/8\nx\n' } : {}
    const folder = folderOf({ 'services.yaml': web(`{subnets: ${subnets}, order: [fra]}`), ...files })
    expect(told(folder, await loadFolder(folder))).toEqual(problems)
  })

  test('that another’s file leaves nothing is dead', async () => {
    const rules = '{subnets: {file: a.txt}, order: [fra]}, {subnets: [10.2.0.0/16], order: [iad]}'
    const folder = folderOf({ 'services.yaml': web(rules), 'a.txt': '10.2.0.0/17\n10.2.128.0/17\n' })
    expect(told(folder, await loadFolder(folder))).toEqual(['services.yaml:4:51 rule-dead'])
  })
})

test('a file that no rule names belongs to nobody, beside one that a rule names too', async () => {
  const files = {
    'lists/a.txt': '10.0.0.0/8\n',
    'lists/old/b.txt': '',
    'lists/c.txt': '',
    'other/d.txt': '',
    'e.txt': '',
  }
  const folder = folderOf({ 'services.yaml': web('{subnets: {file: lists/a.txt}, order: [fra]}'), ...files })
  expect(told(folder, await loadFolder(folder))).toEqual([
    'e.txt:0:0 file-unknown',
    'other:0:0 file-unknown',
    'lists/c.txt:0:0 include-unused',
    'lists/old/b.txt:0:0 include-unused',
  ])
})

test('a reload parses a file again when it has changed and not else, and the folder’s hash tells', async () => {
  const folder = folderOf({ 'services.yaml': web('{subnets: {file: a.txt}, order: [fra]}'), 'a.txt': '10.0.0.0/8\n' })
  const first = await loadFolder(folder)
  const same = await loadFolder(folder, first)
  expect([tableOf(same) === tableOf(first), same.hash === first.hash]).toEqual([true, true])
  write(folder, { 'a.txt': '10.0.0.0/9\n' })
  const changed = await loadFolder(folder, same)
  expect(texts(tableOf(changed).v4)).toEqual(['10.0.0.0/9'])
  expect(changed.hash).not.toBe(first.hash)
  write(folder, { 'a.txt': 'x\n' })
  const faulty = await loadFolder(folder, changed)
  expect(told(folder, await loadFolder(folder, faulty))).toEqual(['a.txt:1:1 value-invalid'])
})
