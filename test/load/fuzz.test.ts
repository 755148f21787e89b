/** Whatever an operator types, the loader ends, throws nothing, and what it lets through compiles. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import * as fc from 'fast-check'
import { afterAll, expect, test } from 'vitest'
import { type LoadResult, loadFolder } from '../../src/load/load.ts'
import { buildImage } from '../../src/zone/link.ts'

const example = resolve(import.meta.dirname, '../../zones')
const examples = readdirSync(example).filter((file) => file.endsWith('.yaml'))
/** A split zone of parts that include each other, with records of many types. */
const more: Readonly<Record<string, string>> = {
  'fuzz.example./$fuzz.example.yaml': `"": !include ../parts/apex.yaml
www: {<<: !include ../parts/www.yaml, ttl: 5}
`,
  'fuzz.example./more.yaml': `naptr: {type: NAPTR, value: {order: 1, preference: 1, flags: U, service: S, regexp: "!a!b!", replacement: .}}
svc: {type: HTTPS, value: {svcpriority: 1, targetname: ., svcparams: {alpn: [h2], port: 8443, mandatory: [alpn]}}}
bü: {type: TXT, values: !include [../parts/texts.yaml, ../parts/texts2.yaml], octodns: {lenient: true}}
sub: [{type: NS, value: ns1.example.net.}, {type: DS, value: {key_tag: 1, algorithm: 1, digest_type: 1, digest: 2BB183AF5F22588179A53B0A98631FAD1A292118}}]
`,
  'parts/apex.yaml': '- {type: NS, value: ns1.example.net.}\n- !include www.yaml\n',
  'parts/www.yaml': '{type: A, ttl: 60, value: 192.0.2.1}\n',
  'parts/texts.yaml': '- a\n- b\\;c\n',
  'parts/texts2.yaml': '- "\\"d\\" \\"e\\""\n',
}
const files = [...examples, ...Object.keys(more), 'dynamic.example.yaml']
const texts = [
  ...examples.map((file) => readFileSync(join(example, file), 'utf8').replace('soa: {', 'soa: {serial: 1, ')), // no git runs
  ...Object.values(more),
  readFileSync(resolve(import.meta.dirname, '../zones/subnet-covered/good/example.com.yaml'), 'utf8'),
]
const folder = mkdtempSync(join(tmpdir(), 'meridian-fuzz-'))
for (const file of files) mkdirSync(dirname(join(folder, file)), { recursive: true })
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
    '!include ',
    '!include [www.yaml, ../parts/apex.yaml]',
    '../parts/apex.yaml',
    '<<: ',
    'octodns: {ignored: true}',
    'svcparams: {',
    'SSHFP',
    '\\1',
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
  let previous: LoadResult | undefined
  let valid = 0
  let written: readonly string[] = []
  await fc.assert(
    fc.asyncProperty(fc.array(edit, { minLength: 1, maxLength: 3 }), async (edits) => {
      const edited = [...texts]
      for (const [file, where, gone, come] of edits) {
        const text = edited[file]!
        const at = Math.floor((where * text.length) / 1000)
        edited[file] = text.slice(0, at) + come.join('') + text.slice(at + gone)
      }
      for (const [i, text] of edited.entries()) if (text !== written[i]) writeFileSync(join(folder, files[i]!), text)
      written = edited
      previous = await loadFolder(folder, previous)
      const { model, problems } = previous
      expect(model === undefined).toBe(problems.some(({ severity }) => severity === 'error'))
      for (const { line, column, file } of problems) {
        const at = files.indexOf(file.slice(folder.length + 1))
        const lines = line === 0 ? [] : edited[at]!.split(/\r\n|\n|\r/)
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
