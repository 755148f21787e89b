/** Zones in several files: octoDNS's split folders, alone and beside a zone file (its hybrid), and what goes wrong there. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { loadFolder } from '../../src/load/load.ts'
import { buildImage } from '../../src/zone/link.ts'
import { briefs, briefsOf, DEFAULTS, linesOf, load, masterLines, NS, writeZones } from '../support/folder.ts'
import { recordsOf } from '../support/records.ts'

const A = (last: number): string => `{type: A, value: 192.0.2.${last}}`

describe('octodns/provider/yaml.py, Split Details', () => {
  test('a folder named with the last dot: every *.yaml of it, whatever its name', async () => {
    const files = {
      'example.com./$example.com.yaml': `---\n${NS}"*": ${A(1)}\n`,
      'example.com./www.yaml': `---\nwww: ${A(2)}\n`,
      'example.com./www.sub.yaml': `---\nwww.sub: ${A(3)}\n`,
      'example.com./many.yaml': `---\na: ${A(4)}\nb: ${A(5)}\n`,
      'example.com./empty.yaml': '---\n',
    }
    expect((await linesOf(files)).toSorted()).toEqual([
      '*.example.com. 3600 A 192.0.2.1',
      'a.example.com. 3600 A 192.0.2.4',
      'b.example.com. 3600 A 192.0.2.5',
      'www.example.com. 3600 A 192.0.2.2',
      'www.sub.example.com. 3600 A 192.0.2.3',
    ])
  })

  test('split_catchall: false writes the apex to .yaml and the wildcard to *.yaml', async () => {
    const files = { 'example.com./.yaml': NS, 'example.com./*.yaml': `"*": ${A(1)}\n` }
    expect(await linesOf(files)).toEqual(['*.example.com. 3600 A 192.0.2.1'])
  })

  test('tests/config/hybrid: one zone as a file, another as a folder, and both for a third', async () => {
    const files = {
      'one.example.yaml': `${NS}flat-zone-file: {type: TXT, value: non-split flat zone file}\n`,
      'two.example./$two.example.yaml': NS,
      'two.example./split-zone-file.yaml': 'split-zone-file: {type: TXT, value: split zone file}\n',
      'three.example.yaml': `only-zone-file: ${A(1)}\n`,
      'three.example./$three.example.yaml': NS,
      'three.example./only-split.yaml': `only-split: ${A(2)}\n`,
    }
    expect((await linesOf(files)).toSorted()).toEqual([
      'flat-zone-file.one.example. 3600 TXT "non-split flat zone file"',
      'only-split.three.example. 3600 A 192.0.2.2',
      'only-zone-file.three.example. 3600 A 192.0.2.1',
      'split-zone-file.two.example. 3600 TXT "split zone file"',
    ])
  })

  test('names of folders and files have no case, and may be written in Unicode', async () => {
    const files = { 'Bücher.example./a.yaml': NS, 'xn--bcher-kva.example.yaml': `a: ${A(1)}\n` }
    expect(await linesOf(files)).toEqual(['a.xn--bcher-kva.example. 3600 A 192.0.2.1'])
  })
})

describe('a name in several files', () => {
  test('is one name when the types differ, and each set knows its file', async () => {
    const folder = writeZones({
      ...DEFAULTS,
      'example.com.yaml': `${NS}www: ${A(1)}\nmail: ${A(2)}\n`,
      'example.com./more.yaml':
        '\nwww: {type: TXT, value: more}\nMAIL:\n  - {type: MX, value: {preference: 1, exchange: .}}\n',
    })
    const { model, problems } = await loadFolder(folder)
    expect(problems).toEqual([])
    const places = [...recordsOf(model!.zones[0]!)].map(
      ({ at }) => `${relative(folder, at.file)}:${at.line}:${at.column}`,
    )
    expect(places).toEqual([
      'example.com./more.yaml:1:1', // the zone, and its SOA
      'example.com./more.yaml:2:6',
      'example.com./more.yaml:4:5',
      'example.com.yaml:1:5',
      'example.com.yaml:2:6',
      'example.com.yaml:3:7',
    ])
    expect(model!.zones[0]!.files.map((file) => relative(folder, file))).toEqual([
      'example.com./more.yaml',
      'example.com.yaml',
    ])
    const { names } = buildImage(model!.zones, new Map(), (bytes) => new SharedArrayBuffer(bytes))
    expect(names).toBe(3)
  })

  test('has each type once: the later place is told, and names the other', async () => {
    const { problems } = await load({
      'example.com.yaml': `${NS}\n\nwww: [{type: TXT, value: x}, ${A(1)}]\n`,
      'example.com./a.yaml': `www: ${A(2)}\n`,
    })
    expect(problems.map(({ file, line, column, code }) => [file.split('/').at(-1), line, column, code])).toEqual([
      ['example.com.yaml', 4, 30, 'rrset-duplicate'],
    ])
    expect(problems[0]!.message).toMatch(/at \S+example\.com\.\/a\.yaml:1$/)
  })

  test.each([
    [
      'a CNAME in one and an address in the other',
      'www: {type: CNAME, value: a.example.net.}',
      `www: ${A(1)}`,
      'a.yaml:1:6 cname-conflict',
    ],
    [
      'two CNAMEs',
      'www: {type: CNAME, value: a.example.net.}',
      'www: {type: CNAME, value: b.example.net.}',
      'a.yaml:1:6 cname-conflict',
    ],
    [
      'steered in one, an address in the other',
      'www: {type: GSLB, service: web}',
      `www: ${A(1)}`,
      'a.yaml:1:6 gslb-conflict',
    ],
    [
      'a delegation in one, a name below it in the other',
      'sub: {type: NS, value: ns1.example.net.}',
      'a.sub: {type: TXT, value: x}',
      'b.yaml:1:8 below-cut',
    ],
  ])('%s', async (_, a, b, place) => {
    const files = {
      'example.com./$example.com.yaml': NS,
      'example.com./a.yaml': `${a}\n`,
      'example.com./b.yaml': `${b}\n`,
    }
    const service = {
      'sites.yaml': 'fra: {location: [50.11, 8.68]}\n',
      'services.yaml': 'web: {sites: {fra: {vips: [192.0.2.10]}}, check: none}\n',
    }
    expect(await briefsOf({ ...files, ...service })).toEqual([`example.com./${place}`])
  })

  test('within one file it is twice the same name, as ever', async () => {
    expect(await briefsOf({ 'example.com./a.yaml': `${NS}www: ${A(1)}\nWWW: {type: TXT, value: x}\n` })).toEqual([
      'example.com./a.yaml:3:1 name-duplicate',
    ])
  })
})

describe('faults', () => {
  test('are told in their own files; a file that is no YAML keeps the zone from being read, and each of them is told', async () => {
    const files = {
      'example.com./$.yaml': NS,
      'example.com./a.yaml': 'a: {type: Q}\n',
      'example.com./b.yaml': '\nb: {type: A}\n',
    }
    expect(await briefsOf(files)).toEqual([
      'example.com./a.yaml:1:11 value-invalid',
      'example.com./b.yaml:2:4 key-missing',
    ])
    expect(await briefsOf({ ...files, 'example.com./a.yaml': 'a: [\n', 'example.com./b.yaml': '{\n' })).toEqual([
      'example.com./a.yaml:1:4 yaml-syntax',
      'example.com./b.yaml:1:1 yaml-syntax',
    ])
  })

  test('a folder without NS anywhere, an empty one, one that is no name, and files that are none', async () => {
    const folder = writeZones({
      ...DEFAULTS,
      'example.com./a.yaml': `a: ${A(1)}\n`,
      'example.net./notes.txt': '',
      'example.net./sub/a.yaml': '',
      'example..org./a.yaml': NS,
      'example.edu/a.yaml': NS,
    })
    mkdirSync(join(folder, 'empty.example.'))
    expect(briefs(folder, await loadFolder(folder))).toEqual([
      'empty.example. zones-missing',
      'example..org. zone-name',
      'example.com./a.yaml:1:1 ns-missing',
      'example.edu file-unknown',
      'example.net. zones-missing',
      'example.net./notes.txt file-unknown',
      'example.net./sub file-unknown',
    ])
  })

  test('two folders of one zone are two', async () => {
    const files = { 'Example.com./a.yaml': NS, 'example.com./a.yaml': NS, 'example.com.yaml': `a: ${A(1)}\n` }
    const told = await briefsOf(files)
    expect(told.filter((brief) => brief.includes('zone-duplicate'))).toHaveLength(1)
  })

  test('split files include, and what they include may lie beside them in a folder of its own', async () => {
    const files = { 'example.com./a.yaml': `${NS}a: !include parts/a.yaml\n`, 'example.com./parts/a.yaml': `${A(1)}\n` }
    expect(await linesOf(files)).toEqual(['a.example.com. 3600 A 192.0.2.1'])
  })
})

test('a reload reads again the zone whose file changed, came or went, and no other', async () => {
  const folder = writeZones({
    ...DEFAULTS,
    'example.com./a.yaml': NS,
    'example.com./b.yaml': `b: ${A(1)}\n`,
    'example.org./a.yaml': NS,
  })
  const first = await loadFolder(folder)
  const linesNow = (loaded: typeof first): string[] => loaded.model!.zones.flatMap(masterLines)
  expect(linesNow(first)).toEqual(['b.example.com. 3600 A 192.0.2.1'])
  const org = [...first.files.keys()].find((key) => key.includes('org'))!
  writeFileSync(join(folder, 'example.com./b.yaml'), `b: ${A(2)}\n`)
  const changed = await loadFolder(folder, first)
  expect(linesNow(changed)).toEqual(['b.example.com. 3600 A 192.0.2.2'])
  expect(changed.files.get(org)).toBe(first.files.get(org))
  writeFileSync(join(folder, 'example.com./c.yaml'), `c: ${A(3)}\n`)
  const more = await loadFolder(folder, changed)
  expect(linesNow(more)).toEqual(['b.example.com. 3600 A 192.0.2.2', 'c.example.com. 3600 A 192.0.2.3'])
  rmSync(join(folder, 'example.com./b.yaml'))
  expect(linesNow(await loadFolder(folder, more))).toEqual(['c.example.com. 3600 A 192.0.2.3'])
})

const textOf = (file: ReadonlyMap<string, string[]>): string =>
  [...file].map(([owner, records]) => `"${owner}": [${records.join(', ')}]\n`).join('')

test('however a zone is divided into files, it is the same zone', async () => {
  const names = fc.uniqueArray(fc.stringMatching(/^[a-z]{1,2}(\.[a-z])?$/), { minLength: 1, maxLength: 8 })
  const types = ['A', 'TXT', 'MX'] as const
  const values = { A: '192.0.2.1', TXT: 'text', MX: '{preference: 1, exchange: mx.example.net.}' }
  await fc.assert(
    fc.asyncProperty(names, fc.array(fc.nat(3), { minLength: 24, maxLength: 24 }), async (owners, places) => {
      const parts = ['example.com.yaml', 'example.com./a.yaml', 'example.com./b.yaml', 'example.com./c d.yaml']
      const byFile = parts.map(() => new Map<string, string[]>())
      for (const [i, owner] of owners.entries()) {
        for (const [k, type] of types.entries()) {
          const file = byFile[places[i * 3 + k]!]!
          file.set(owner, [...(file.get(owner) ?? []), `{type: ${type}, value: ${values[type]}}`])
        }
      }
      const divided = Object.fromEntries(parts.map((name, i) => [name, textOf(byFile[i]!) + (i === 0 ? NS : '')]))
      const whole = owners.map(
        (owner) => `"${owner}": [${types.map((type) => `{type: ${type}, value: ${values[type]}}`).join(', ')}]\n`,
      )
      const [a, b] = [await linesOf(divided), await linesOf({ 'example.com.yaml': whole.join('') + NS })]
      expect(a.toSorted()).toEqual(b.toSorted())
    }),
    { numRuns: 40 },
  )
})
