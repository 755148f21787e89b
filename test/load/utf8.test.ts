/** Text that is no UTF-8 is refused at its place in every file that a load reads; nobody is served U+FFFD instead. */
import { symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { loadFolder } from '../../src/load/load.ts'
import { loadSettings } from '../../src/node/settings.ts'
import { readClients } from '../../src/plan/client-weights.ts'
import { formatProblem, type Problem } from '../../src/problem.ts'
import { readState } from '../../src/state.ts'
import { briefs, emptyFolder, linesOf, load, NS, writeZones } from '../support/folder.ts'

const FILES: Readonly<Record<string, string>> = {
  'defaults.yaml': 'soa: {serial: 1}\n',
  'sites.yaml': 'fra: {location: [50.11, 8.68]}\niad: {location: [38.95, -77.45]}\n',
  'services.yaml':
    'web:\n  sites: {fra: {vips: [192.0.2.1]}, iad: {vips: [192.0.2.2]}}\n  check: none\n  rules: [{subnets: {file: offices.txt}, order: [iad]}]\n',
  'offices.txt': '10.0.0.0/8\n',
  'common/texts.yaml': 't: {type: TXT, value: text}\n',
  'example.com.yaml': `${NS}www: {type: GSLB, service: web}\n<<: !include common/texts.yaml\n`,
  'example.org./a.yaml': NS,
  'example.org./b.yaml': 'b: {type: TXT, value: text}\n',
}

/** Adds a comment in ISO 8859-1, whose ü is at column 4 of the last line. */
const spoiled = (text: string): Buffer => Buffer.concat([Buffer.from(text), Buffer.from('# x\u00fc\n', 'latin1')])

describe('a byte of another encoding', () => {
  test.each(Object.keys(FILES))('in %s', async (file) => {
    const folder = writeZones(FILES)
    expect((await loadFolder(folder)).problems.map(formatProblem)).toEqual([])
    writeFileSync(join(folder, file), spoiled(FILES[file]!))
    const loaded = await loadFolder(folder)
    const line = FILES[file]!.split('\n').length
    expect(briefs(folder, loaded)).toContain(`${file}:${line}:4 text-encoding`)
    expect(loaded.model).toBeUndefined()
  })

  test('is told once, whoever includes the file, and its repair is seen', async () => {
    const folder = writeZones({ ...FILES, 'example.edu.yaml': FILES['example.com.yaml']! })
    const first = await loadFolder(folder)
    writeFileSync(join(folder, 'common/texts.yaml'), spoiled(FILES['common/texts.yaml']!))
    const broken = await loadFolder(folder, first)
    expect(briefs(folder, broken)).toEqual(['common/texts.yaml:2:4 text-encoding'])
    // U+FFFD as a character of the file is what the decoder puts in the place of the byte
    writeFileSync(join(folder, 'common/texts.yaml'), `${FILES['common/texts.yaml']!}# x\u{fffd}\n`)
    expect((await loadFolder(folder, broken)).problems.map(formatProblem)).toEqual([])
  })

  test('in a file behind a link', async () => {
    const folder = writeZones(FILES)
    writeFileSync(join(folder, 'offices.txt.real'), spoiled('10.0.0.0/8\n'))
    symlinkSync('offices.txt.real', join(folder, 'more.txt'))
    writeFileSync(join(folder, 'services.yaml'), FILES['services.yaml']!.replace('offices.txt', 'more.txt'))
    expect(briefs(folder, await loadFolder(folder))).toContain('more.txt:2:4 text-encoding')
  })
})

test('a file in UTF-16 is called so', async () => {
  const folder = writeZones(FILES)
  writeFileSync(join(folder, 'sites.yaml'), Buffer.from(`\u{feff}${FILES['sites.yaml']}`, 'utf16le'))
  const { problems } = await loadFolder(folder)
  expect(problems.find(({ code }) => code === 'text-encoding')).toMatchObject({
    line: 1,
    column: 1,
    message: 'this file is UTF-16, and no UTF-8',
  })
})

test('an escape of half a character is refused, of a whole one not', async () => {
  const { problems } = await load({ 'example.com.yaml': `${NS}t: {type: TXT, value: "a \\uD83E b"}\n` })
  expect(problems.map(({ code, line, column }) => [code, line, column])).toEqual([['value-invalid', 2, 23]])
  const both = await linesOf({ 'example.com.yaml': `${NS}t: {type: TXT, value: "\\U0001F98A"}\n` })
  expect(both).toEqual(['t.example.com. 3600 TXT "\\240\\159\\166\\138"'])
})

describe('beside the zones', () => {
  const folder = emptyFolder()
  const written = (name: string, text: string): string => {
    const file = join(folder, name)
    writeFileSync(file, spoiled(text))
    return file
  }

  test('in the settings', () => {
    const file = written('meridian.yaml', 'zones: zones\n')
    const { config, problems } = loadSettings({ file, env: {}, flags: [] })
    expect(config).toBeUndefined()
    expect(problems).toMatchObject([{ code: 'text-encoding', file, line: 2, column: 4 }])
  })

  test('in counted clients', () => {
    const file = written('clients.csv', '192.0.2.0/24,5\n')
    const problems: Problem[] = []
    readClients(file, (problem) => void problems.push(problem))
    expect(problems).toMatchObject([{ code: 'text-encoding', file, line: 2, column: 4 }])
  })

  test('in saved state: trouble, and nothing of it is used', () => {
    const file = join(folder, 'health.json')
    const kind = { what: 'health', format: 'test 1' }
    writeFileSync(file, Buffer.from('{"format": "test 1", "who": "Jörg"}'))
    expect(readState(file, kind).state).toMatchObject({ who: 'Jörg' })
    writeFileSync(file, Buffer.from('{"format": "test 1", "who": "Jörg"}', 'latin1'))
    expect(readState(file, kind)).toEqual({ trouble: expect.stringMatching(/^saved health .*the byte F6/) })
  })
})
