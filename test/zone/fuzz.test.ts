/** Whatever an operator types, the loader ends, throws nothing, and what it lets through compiles. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import * as fc from 'fast-check'
import { afterAll, expect, test } from 'vitest'
import { buildImage } from '../../src/zone/image.ts'
import { type Loaded, loadFolder } from '../../src/zone/load.ts'

const example = resolve(import.meta.dirname, '../../zones')
const shown = readdirSync(example).filter((file) => file.endsWith('.yaml'))
const files = [...shown, 'dynamic.example.yaml']
const texts = [
  ...shown.map((file) => readFileSync(join(example, file), 'utf8').replace('soa: {', 'soa: {serial: 1, ')), // no git runs
  readFileSync(resolve(import.meta.dirname, '../zones/subnet-covered/good/example.com.yaml'), 'utf8'),
]
const folder = mkdtempSync(join(tmpdir(), 'meridian-fuzz-'))
afterAll(() => rmSync(folder, { recursive: true }))

const scrap = fc.oneof(
  fc.constantFrom(
    '{',
    '}',
    '[',
    ']',
    ':',
    ' ',
    '\n',
    '  ',
    '"',
    "'",
    '- ',
    '&a ',
    '*a',
    '!t ',
    '# ',
    '|\n',
    '...',
    '---\n',
  ),
  fc.constantFrom(
    'null',
    '-1',
    '0',
    '99999999999',
    '1.5',
    'true',
    '\\',
    '\\999',
    '.',
    '*',
    '..',
    '@',
    '__proto__',
    'ü',
    '\u0000',
  ),
  fc.constantFrom(
    'type: ',
    'GSLB',
    'CNAME',
    'NS',
    'TXT',
    'values',
    'service',
    'check',
    'rules',
    'only',
    'vips',
    'dynamic',
    'pool',
    'fallback: eu',
    'geos',
    '"": ',
  ),
  fc.string({ maxLength: 4 }),
)
/** Which file, where (in thousandths), how much goes, and what comes. */
const edit = fc.tuple(
  fc.nat(files.length - 1),
  fc.nat(999),
  fc.constantFrom(0, 0, 1, 5, 40),
  fc.array(scrap, { maxLength: 3 }),
)

test('random edits of a valid folder', async () => {
  let previous: Loaded | undefined
  let valid = 0
  await fc.assert(
    fc.asyncProperty(fc.array(edit, { minLength: 1, maxLength: 3 }), async (edits) => {
      const edited = [...texts]
      for (const [file, where, gone, come] of edits) {
        const text = edited[file]!
        const at = Math.floor((where * text.length) / 1000)
        edited[file] = text.slice(0, at) + come.join('') + text.slice(at + gone)
      }
      for (const [i, text] of edited.entries()) writeFileSync(join(folder, files[i]!), text)
      previous = await loadFolder(folder, previous)
      const { model, problems } = previous
      expect(model === undefined).toBe(problems.some(({ severity }) => severity === 'error'))
      for (const { line, column, file } of problems) {
        const lines = line === 0 ? [] : edited[files.indexOf(file.slice(folder.length + 1))]!.split(/\r\n|\n|\r/)
        expect(lines.length).toBeGreaterThanOrEqual(line)
        if (line > 0) expect(column).toBeLessThanOrEqual(lines[line - 1]!.length + 1)
      }
      if (model === undefined) return
      valid++
      const index = new Map(model.services.map(({ name }, i) => [name, i]))
      buildImage(model.zones, index, (bytes) => new SharedArrayBuffer(bytes))
    }),
    { numRuns: 400 },
  )
  expect(valid).toBeGreaterThan(15) // otherwise nothing but refusals was tried
})
