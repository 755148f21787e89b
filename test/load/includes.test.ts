/**
 * `!include`: octoDNS's documented examples by their section (docs/include_directive.rst), places of faults, bounds, loops,
 * reloads, and what is hostile.
 */
import { execFileSync } from 'node:child_process'
import { mkdirSync, renameSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { typeName } from '../../src/dns/types.ts'
import { type LoadResult, loadFolder } from '../../src/load/load.ts'
import { formatProblem } from '../../src/problem.ts'
import { Source } from '../../src/yaml/source.ts'
import { parseYaml } from '../../src/yaml/tree.ts'
import { briefs, briefsOf, DEFAULTS, linesOf, load, NS, writeZones } from '../support/folder.ts'
import { recordsOf } from '../support/records.ts'

/** A zone whose `www` is what a file has. */
const zoneOf = (name: string): string => `${NS}www: !include ${JSON.stringify(name)}\n`

/** Last byte of the zone's last record. */
const address = (loaded: LoadResult): unknown => [...recordsOf(loaded.model!.zones[0]!)].at(-1)!.rdata[0]!.at(-1)

/** What was not read again. */
const same = (before: LoadResult, after: LoadResult): string[] =>
  [...after.files].flatMap(([key, file]) => (before.files.get(key) === file ? [key] : []))

const filesOf = (name: string): Record<string, string> => ({
  ...DEFAULTS,
  'example.com.yaml': `${NS}a: !include ${name}\n`,
})

const plain = (loaded: LoadResult): unknown =>
  [...recordsOf(loaded.model!.zones[0]!)].map(({ owner, type, ttlSeconds, rdata }) => [owner, type, ttlSeconds, rdata])

describe('octoDNS, docs/include_directive.rst', () => {
  test('Single File Include: the whole content, of any kind', async () => {
    const files = {
      'example.com.yaml': `${NS}www: !include www.yaml\na: {type: TXT, value: !include text.yaml}\n`,
      'www.yaml': '---\ntype: A\nttl: !include ttl.yaml\nvalues: !include list.yaml\n',
      'list.yaml': '---\n- 192.0.2.1\n- 192.0.2.2\n',
      'ttl.yaml': '42\n',
      'text.yaml': '"hello there"\n',
    }
    expect(await linesOf(files)).toEqual([
      'www.example.com. 42 A 192.0.2.1',
      'www.example.com. 42 A 192.0.2.2',
      'a.example.com. 3600 TXT "hello there"',
    ])
  })

  test('Merging Dictionaries: later files override, keys that only one has stay', async () => {
    const files = {
      'example.com.yaml': `${NS}www: !include\n  - base.yaml\n  - more.yaml\n`,
      'base.yaml': 'type: A\nttl: 30\nvalue: 192.0.2.1\n',
      'more.yaml': 'ttl: 60\nvalue: 192.0.2.2\n',
    }
    expect(await linesOf(files)).toEqual(['www.example.com. 60 A 192.0.2.2'])
  })

  test('Merging Arrays: one behind the other', async () => {
    const files = {
      'example.com.yaml': `${NS}www: {type: A, values: !include [one.yaml, two.yaml]}\n`,
      'one.yaml': '- 192.0.2.1\n- 192.0.2.2\n',
      'two.yaml': '- 192.0.2.3\n- 192.0.2.4\n',
    }
    expect(await linesOf(files)).toEqual([1, 2, 3, 4].map((i) => `www.example.com. 3600 A 192.0.2.${i}`))
  })

  test('Empty Arrays: nothing, as an empty file is', async () => {
    const zone = `${NS}a: {type: A, value: !include []}\nb: {type: A, value: !include empty.yaml}\n`
    expect(await briefsOf({ 'example.com.yaml': zone, 'empty.yaml': '# nothing\n' })).toEqual([
      'empty.yaml:1:1 value-kind',
      'example.com.yaml:2:21 value-kind',
    ])
  })

  test('Shared APEX Records', async () => {
    const apex = `---
- {type: A, value: 192.0.2.1}
- type: MX
  values:
    - {exchange: mail1.example.net., preference: 10}
    - {exchange: mail2.example.net., preference: 20}
- {type: NS, values: [6.2.0.192., 7.2.0.192.]}
- {type: TXT, values: [some-domain-claiming-value=gimme, v=spf1 -all]}
`
    const zone = "---\n'': !include common/apex.yaml\napi: {type: A, value: 192.0.2.4}\n"
    const files = { 'example.com.yaml': zone, 'example.org.yaml': zone, 'common/apex.yaml': apex }
    expect(await linesOf(files)).toEqual(
      ['com', 'org'].flatMap((top) => [
        `example.${top}. 3600 A 192.0.2.1`,
        `example.${top}. 3600 MX 10 mail1.example.net.`,
        `example.${top}. 3600 MX 20 mail2.example.net.`,
        `example.${top}. 3600 TXT "some-domain-claiming-value=gimme"`,
        `example.${top}. 3600 TXT "v=spf1 -all"`,
        `api.example.${top}. 3600 A 192.0.2.4`,
      ]),
    )
  })

  test('Common Record Values, and Example 2: Composing TXT Records', async () => {
    const files = {
      'example.com.yaml':
        "'':\n  - {type: NS, value: ns1.example.net.}\n  - type: TXT\n    values: !include\n      - txt-records/spf.yaml\n      - txt-records/verification.yaml\n",
      'txt-records/spf.yaml': '---\n- "v=spf1 include:_spf.example.net ~all"\n',
      'txt-records/verification.yaml': '---\n- "site-verification=abc123"\n- "domain-verification=xyz789"\n',
    }
    expect(await linesOf(files)).toEqual([
      'example.com. 3600 TXT "v=spf1 include:_spf.example.net ~all"',
      'example.com. 3600 TXT "site-verification=abc123"',
      'example.com. 3600 TXT "domain-verification=xyz789"',
    ])
  })

  test('Subdirectories: relative to the file that includes, and up again', async () => {
    const files = {
      'example.com.yaml': `${NS}www: !include sub/another/deep.yaml\n`,
      'sub/another/deep.yaml': '{type: TXT, values: !include ../values.yaml}\n',
      'sub/values.yaml': '- !include another/value.yaml\n',
      'sub/another/value.yaml': 'deep\n',
    }
    expect(await linesOf(files)).toEqual(['www.example.com. 3600 TXT "deep"'])
  })

  test.each([
    ['[map.yaml, list.yaml]', 24],
    ['[list.yaml, map.yaml]', 25],
    ['[text.yaml, list.yaml]', 14],
    ['[list.yaml, empty.yaml]', 25],
    ['{a: list.yaml}', 13],
    ['[[list.yaml]]', 14],
    ['""', 13],
    ['', 1],
  ])('Type Requirements: !include %s is told at the member that does not fit', async (names, column) => {
    const files = {
      'example.com.yaml': `${NS}a: !include ${names}\n`,
      'map.yaml': '{type: A}\n',
      'list.yaml': '- {type: A}\n',
      'text.yaml': 'A\n',
      'empty.yaml': '',
    }
    const told = await briefsOf(files)
    expect(told.filter((brief) => !brief.includes('file-unknown'))).toEqual([
      `example.com.yaml:2:${column} include-invalid`,
    ])
  })

  test('merge key: what is written beside it wins, and the rest comes along', async () => {
    const files = {
      'example.com.yaml': `${NS}www:\n  ttl: 30\n  <<: !include base.yaml\n  value: 192.0.2.9\nmail:\n  <<: [!include base.yaml, !include other.yaml]\n`,
      'base.yaml': 'type: A\nttl: 60\nvalue: 192.0.2.1\n',
      'other.yaml': 'value: 192.0.2.2\n',
    }
    expect(await linesOf(files)).toEqual(['www.example.com. 30 A 192.0.2.9', 'mail.example.com. 60 A 192.0.2.1'])
    const wrong = {
      'example.com.yaml': `${NS}www: {<<: !include list.yaml, type: A, value: 192.0.2.1}\n`,
      'list.yaml': '[a]\n',
    }
    expect(await briefsOf(wrong)).toEqual(['list.yaml:1:2 include-invalid'])
    expect(await linesOf({ 'example.com.yaml': `${NS}"<<": {type: A, value: 192.0.2.1}\n` })).toEqual([
      '<<.example.com. 3600 A 192.0.2.1',
    ])
  })
})

describe('where', () => {
  test('in sites, services, defaults and their parts', async () => {
    const { model, problems } = await load({
      'defaults.yaml': 'soa: !include common/soa.yaml\nchecks: {web: !include common/check.yaml}\n',
      'common/soa.yaml': '{serial: 7}\n',
      'common/check.yaml': '{type: tcp, port: 81}\n',
      'sites.yaml': '!include common/sites.yaml\n',
      'common/sites.yaml': 'fra: {location: [50.11, 8.68]}\n',
      'services/web.yaml': 'web: !include [base.yaml, ../common/vips.yaml]\n',
      'services/base.yaml': 'check: {use: web}\n',
      'common/vips.yaml': 'sites: {fra: {vips: [192.0.2.1]}}\n',
      'example.com.yaml': `${NS}www: {type: GSLB, service: web}\n`,
    })
    expect(problems.map(formatProblem)).toEqual([])
    expect(model!.services.map(({ name, checks }) => [name, checks[0]!.port])).toEqual([['web', 81]])
  })

  test('settings take none', () => {
    const problems: string[] = []
    parseYaml(new Source('meridian.yaml', 'a: !include x\n<<: 1\n'), (problem) => problems.push(problem.code))
    expect(problems).toEqual(['yaml-unsupported'])
  })

  test('a fault is told where it is: file, line and column, however deep; once, however often it is included', async () => {
    const files = {
      'example.com.yaml': `${NS}www: !include a/www.yaml\n\n\nx: {type: Q}\n`,
      'example.org.yaml': `${NS}www: !include a/www.yaml\n`,
      'a/www.yaml': '\n\n  - !include b.yaml\n  - {type: TXT, vlaue: x}\n',
      'a/b.yaml': '# c\ntype: A\nvalues:\n- 192.0.2.1\n- nonsense\n',
    }
    expect(await briefsOf(files)).toEqual([
      'a/b.yaml:5:3 rdata-invalid',
      'a/www.yaml:4:17 key-unknown',
      'example.com.yaml:5:11 value-invalid',
    ])
  })

  test('at the very end of a text, and of the last one', async () => {
    const files = {
      'example.com.yaml': `${NS}a: !include a.yaml\nb: !include b.yaml`,
      'a.yaml': 'type:',
      'b.yaml': '{',
    }
    expect(await briefsOf(files)).toEqual(['b.yaml:1:1 yaml-syntax', 'a.yaml:1:1 value-kind'])
  })

  test('the record of a problem found later knows its file', async () => {
    const folder = writeZones({
      ...DEFAULTS,
      'example.com.yaml': `${NS}www: !include steer.yaml\n`,
      'steer.yaml': '\n- {type: GSLB, service: nobody}\n',
    })
    expect(briefs(folder, await loadFolder(folder))).toEqual(['steer.yaml:2:3 service-unknown'])
  })

  test('what fails is one problem, and the rest of the zone is read all the same', async () => {
    const zone = `"": !include nowhere.yaml\nwww: {type: A, values: !include [no.yaml, list.yaml]}\nx: {type: Q}\n`
    expect(await briefsOf({ 'example.com.yaml': zone, 'list.yaml': '[192.0.2.1]\n' })).toEqual([
      'example.com.yaml:1:14 file-unreadable',
      'example.com.yaml:2:34 file-unreadable',
      'example.com.yaml:3:11 value-invalid',
    ])
    expect(await briefsOf({ 'example.com.yaml': '!include nowhere.yaml\n' })).toEqual([
      'example.com.yaml:1:10 file-unreadable',
    ])
  })
})

describe('bounds', () => {
  const secret = { 'secret.yaml': 'type: A\nvalue: 192.0.2.1\n' }

  async function underGit(name: string, isGit = true): Promise<LoadResult & { readonly folder: string }> {
    const top = writeZones({
      ...secret,
      'repository/shared/a.yaml': secret['secret.yaml'],
      'repository/.git/HEAD': 'ref: refs/heads/main\n',
      'repository/.git/config': 'x\n',
    })
    if (!isGit) rmSync(join(top, 'repository/.git'), { recursive: true })
    const folder = join(top, 'repository/zones')
    writeZones({ ...DEFAULTS, 'example.com.yaml': zoneOf(name.replace('TOP', top)) }, folder)
    symlinkSync('../../secret.yaml', join(folder, 'out'))
    symlinkSync('../shared/a.yaml', join(folder, 'in'))
    return { ...(await loadFolder(folder)), folder }
  }

  test.each([
    ['../shared/a.yaml', 'fine'],
    ['in', 'fine'],
    ['../../secret.yaml', 'include-invalid'],
    ['../../nowhere.yaml', 'include-invalid'],
    ['TOP/repository/shared/a.yaml', 'include-invalid'],
    ['/etc/passwd', 'include-invalid'],
    ['out', 'include-invalid'],
    ['../.git/config', 'include-invalid'],
    ['../shared', 'include-invalid'],
    ['../shared/nowhere.yaml', 'file-unreadable'],
    ['a\0b', 'file-unreadable'],
  ])('within a git work tree: %j is %s', async (name, expected) => {
    const { problems, folder } = await underGit(name)
    // links that nothing includes are files of no meaning
    const told = problems.filter(({ file }) => file === join(folder, 'example.com.yaml')).map(({ code }) => code)
    expect(told).toEqual(expected === 'fine' ? [] : [expected])
    expect(JSON.stringify(problems)).not.toContain('192.0.2.1')
  })

  test.each([
    ['../shared/a.yaml', 'include-invalid'],
    ['in', 'include-invalid'],
    ['out', 'include-invalid'],
    ['../zones/defaults.yaml', 'key-missing'],
  ])('outside of git only the folder itself: %j is %s', async (name, expected) => {
    const { problems, folder } = await underGit(name, false)
    expect(problems.filter(({ code }) => code !== 'file-unknown').map(({ code }) => code)).toContain(expected)
    expect(folder).toContain('zones')
  })

  test("Kubernetes' volumes, whose files are links into ..data, and a swap of that", async () => {
    const folder = writeZones({
      '..1/defaults.yaml': DEFAULTS['defaults.yaml'],
      '..1/example.com.yaml': zoneOf('www.yaml'),
      '..1/www.yaml': '{type: A, value: 192.0.2.1}\n',
    })
    symlinkSync('..1', join(folder, '..data'))
    for (const file of ['defaults.yaml', 'example.com.yaml', 'www.yaml'])
      symlinkSync(`..data/${file}`, join(folder, file))
    const before = await loadFolder(folder)
    expect(briefs(folder, before)).toEqual([])
    writeZones(
      {
        '..2/defaults.yaml': DEFAULTS['defaults.yaml'],
        '..2/example.com.yaml': zoneOf('www.yaml'),
        '..2/www.yaml': '{type: A, value: 192.0.2.2}\n',
      },
      folder,
    )
    symlinkSync('..2', join(folder, '..new'))
    renameSync(join(folder, '..new'), join(folder, '..data'))
    const after = await loadFolder(folder, before)
    expect(briefs(folder, after)).toEqual([])
    expect([address(before), address(after)]).toEqual([1, 2])
  })

  test('what was read from outside of the folder is told, and what was sought there', async () => {
    expect((await underGit('../shared/a.yaml')).outside.map((file) => file.split('/').at(-1))).toEqual(['a.yaml'])
    const { outside, folder } = await underGit('../shared/new.yaml')
    expect(outside).toEqual([join(folder, '../shared/new.yaml')])
    expect((await underGit('in')).outside).toEqual([])
    // a watch on these would be one on far too much
    for (const refused of ['../../secret.yaml', '../..', '../shared', '..', '/']) {
      expect((await underGit(refused)).outside).toEqual([])
    }
  })
})

describe('loops', () => {
  test.each([
    [{ 'example.com.yaml': `${NS}a: !include example.com.yaml\n` }, 'example.com.yaml:2:13'],
    [{ 'example.com.yaml': `${NS}a: !include ./b/../example.com.yaml\n` }, 'example.com.yaml:2:13'],
    [{ 'example.com.yaml': `${NS}a: !include a.yaml\n`, 'a.yaml': '[!include a.yaml]\n' }, 'a.yaml:1:11'],
    [
      {
        'example.com.yaml': `${NS}a: !include a.yaml\n`,
        'a.yaml': '{type: A, values: !include b.yaml}\n',
        'b.yaml': '- !include a.yaml\n',
      },
      'b.yaml:1:12',
    ],
  ])('%j', async (files: Readonly<Record<string, string>>, place) => {
    expect(await briefsOf(files)).toEqual([`${place} include-loop`])
  })

  test('zones that include each other do not vanish', async () => {
    const files = {
      'example.com.yaml': '!include example.net.yaml\n',
      'example.net.yaml': '!include example.com.yaml\n',
    }
    expect(await briefsOf(files)).toEqual(['example.com.yaml:1:10 include-loop', 'example.com.yaml zone-included'])
  })

  test('a file may be included twice, when it is no loop', async () => {
    const zone = `${NS}a: !include a.yaml\nb: !include a.yaml\n`
    expect(await linesOf({ 'example.com.yaml': zone, 'a.yaml': '{type: A, value: 192.0.2.1}\n' })).toHaveLength(2)
  })
})

describe('files that nobody includes', () => {
  const zone = {
    'example.com.yaml': `${NS}a: !include parts/a/one.yaml\n`,
    'parts/a/one.yaml': '{type: A, value: 192.0.2.1}\n',
  }

  test('beside included ones a warning each, alone an error', async () => {
    const files = { ...zone, 'parts/two.yaml': '', 'parts/b/three.txt': '', 'parts/README.md': '', 'other/x.yaml': '' }
    expect(await briefsOf({ ...files, 'loose.yaml': '' })).toEqual([
      'loose.yaml file-unknown',
      'other file-unknown',
      'parts/b/three.txt include-unused',
      'parts/two.yaml include-unused',
    ])
  })

  test('a file included by another name, through a link, is not unused', async () => {
    const folder = writeZones({ ...DEFAULTS, ...zone, 'real/one.yaml': '{type: A, value: 192.0.2.1}\n' })
    rmSync(join(folder, 'parts'), { recursive: true })
    mkdirSync(join(folder, 'parts'))
    symlinkSync('../real', join(folder, 'parts/a'))
    expect(briefs(folder, await loadFolder(folder))).toEqual([])
  })

  test('a folder whose only zone is a part of something else has none', async () => {
    const files = { 'example.com.yaml': NS, 'services.yaml': 'web: !include example.com.yaml\n' }
    const told = await briefsOf(files)
    expect([told.at(0), told.at(-1)]).toEqual([' zones-missing', 'example.com.yaml zone-included'])
  })

  test('an included file is no zone and no services, even one that would be broken as such', async () => {
    const files = {
      'example.com.yaml': `${NS}a: !include a.b.yaml\nc: !include c..d.yaml\n`,
      'a.b.yaml': '{type: A, value: 192.0.2.1}\n',
      'c..d.yaml': '{type: A, value: 192.0.2.1}\n',
      'services/web.yaml': '{}\n',
    }
    expect(await briefsOf(files)).toEqual(['a.b.yaml zone-included'])
  })
})

describe('reload', () => {
  const files = {
    ...DEFAULTS,
    'example.com.yaml': `${NS}a: !include a.yaml\n`,
    'example.net.yaml': `"": {type: NS, values: [ns1.example.org.]}\nb: !include b.yaml\n`,
    'example.org.yaml': NS,
    'a.yaml': '!include c.yaml\n',
    'b.yaml': '{type: A, value: 192.0.2.1}\n',
    'c.yaml': '{type: A, value: 192.0.2.1}\n',
  }
  test('a changed file makes its includers be read again, also by way of others, and nobody else', async () => {
    const folder = writeZones(files)
    const first = await loadFolder(folder)
    const idle = await loadFolder(folder, first)
    expect(same(first, idle)).toEqual(['defaults.yaml', 'example.com.yaml', 'example.net.yaml', 'example.org.yaml'])
    expect(idle.hash).toBe(first.hash)
    writeFileSync(join(folder, 'c.yaml'), '{type: A, value: 192.0.2.2}\n')
    const changed = await loadFolder(folder, idle)
    expect(same(idle, changed)).toEqual(['defaults.yaml', 'example.net.yaml', 'example.org.yaml'])
    expect(changed.hash).not.toBe(first.hash)
  })

  test('a missing file that comes, and one that goes', async () => {
    const folder = writeZones(files)
    rmSync(join(folder, 'b.yaml'))
    const missing = await loadFolder(folder)
    expect(briefs(folder, missing)).toEqual(['example.net.yaml:2:13 file-unreadable'])
    writeZones({ 'b.yaml': files['b.yaml'] }, folder)
    const whole = await loadFolder(folder, missing)
    expect(briefs(folder, whole)).toEqual([])
    rmSync(join(folder, 'b.yaml'))
    expect(briefs(folder, await loadFolder(folder, whole))).toEqual(['example.net.yaml:2:13 file-unreadable'])
  })

  test('a link that leads from a zone to a copy of it makes that a zone again: another hash', async () => {
    const text = `${NS}www: {type: A, value: 192.0.2.1}\n`
    const folder = writeZones({
      ...DEFAULTS,
      'example.com.yaml': '!include link\n',
      'example.org.yaml': text,
      '.copy': text,
    })
    symlinkSync('example.org.yaml', join(folder, 'link'))
    const before = await loadFolder(folder)
    rmSync(join(folder, 'link'))
    symlinkSync('.copy', join(folder, 'link'))
    const after = await loadFolder(folder, before)
    expect([before, after].map(({ model }) => model?.zones.length)).toEqual([1, 2])
    expect(after.hash).not.toBe(before.hash)
  })

  test('equal folders of other names have equal hashes', async () => {
    expect((await loadFolder(writeZones(files))).hash).toBe((await loadFolder(writeZones(files))).hash)
  })
})

describe('hostile folders end', () => {
  test('FIFOs and folders, as a zone and as an include', async () => {
    const folder = writeZones({ ...filesOf('[pipe, sub]'), 'sub/x.yaml': '[a]\n' })
    execFileSync('mkfifo', [join(folder, 'pipe'), join(folder, 'example.net.yaml')])
    mkdirSync(join(folder, 'example.org.yaml'))
    expect(briefs(folder, await loadFolder(folder))).toEqual([
      'example.net.yaml file-unreadable',
      'example.com.yaml:2:14 include-invalid',
      'example.com.yaml:2:20 include-invalid',
      'example.org.yaml file-unknown',
      'sub file-unknown',
    ])
  })

  test('links out of the repository, as zones, services and sites, in a folder and to one', async () => {
    const top = writeZones({ 'secret.yaml': 'token: 192.0.2.1\n', 'repository/.git/config': 'password\n' })
    const folder = writeZones({ ...DEFAULTS, 'example.com.yaml': NS }, join(top, 'repository/zones'))
    for (const name of ['a.example.com.yaml', 'sites.yaml', 'services.yaml']) {
      symlinkSync('../../secret.yaml', join(folder, name))
    }
    symlinkSync('../.git/config', join(folder, 'b.example.com.yaml'))
    symlinkSync('../..', join(folder, 'c.example.com.'))
    const loaded = await loadFolder(folder)
    expect(briefs(folder, loaded)).toEqual([
      'a.example.com.yaml file-unreadable',
      'b.example.com.yaml file-unreadable',
      'c.example.com. file-unreadable',
      'services.yaml file-unreadable',
      'sites.yaml file-unreadable',
    ])
    expect(JSON.stringify(loaded.problems)).not.toMatch(/192|password/)
    expect(loaded.problems[0]!.message).toBe('is a link out of the git work tree')
  })

  test('links to folders that lead round, and to the whole machine, are not walked', async () => {
    const folder = writeZones({ ...filesOf('parts/disk/x.yaml'), 'parts/x.yaml': '' })
    for (const name of ['one', 'two']) symlinkSync('.', join(folder, 'parts', name))
    symlinkSync('.', join(folder, 'parts/disk'))
    symlinkSync('/', join(folder, 'root'))
    expect(briefs(folder, await loadFolder(folder))).toEqual([
      'parts/disk/x.yaml:1:1 value-kind',
      'root file-unknown',
      'parts/one include-unused',
      'parts/two include-unused',
    ])
  })

  test('a chain of a thousand files stops at its depth', async () => {
    const chain = Array.from({ length: 1000 }, (_, i) => [`c/${i}.yaml`, `!include ${i + 1}.yaml\n`] as const)
    const folder = writeZones({ ...filesOf('c/0.yaml'), ...Object.fromEntries(chain) })
    expect(briefs(folder, await loadFolder(folder)).filter((brief) => !brief.includes('unused'))).toEqual([
      'c/15.yaml:1:10 include-invalid',
    ])
  })

  test('files that double at each level stop before they fill the memory', async () => {
    const bomb = Array.from({ length: 16 }, (_, i) => {
      const next = `!include ${i + 1}.yaml`
      return [`c/${i}.yaml`, i === 15 ? '[x]\n' : `[${next}, ${next}, ${next}, ${next}]\n`] as const
    })
    const folder = writeZones({ ...filesOf('c/0.yaml'), ...Object.fromEntries(bomb) })
    const codes = new Set((await loadFolder(folder)).problems.map(({ code }) => code))
    expect(codes).toContain('include-invalid')
  })

  test('files of 10 MB are read, a sparse one of a gigabyte is refused', async () => {
    const size = 10_000_000
    const files = {
      ...DEFAULTS,
      'example.com.yaml': `${NS}a: !include comment\nb: {type: TXT, value: !include text}\nc: {type: A, values: !include [huge, text]}\n${'n'.repeat(2000)}: {type: A, value: 192.0.2.1}\n`,
      comment: `# ${'x'.repeat(size)}\n{type: A, value: 192.0.2.1}\n`,
      text: 'y'.repeat(size),
      huge: '',
    }
    const folder = writeZones(files)
    truncateSync(join(folder, 'huge'), 2 ** 30)
    const loaded = await loadFolder(folder)
    expect(briefs(folder, loaded)).toEqual([
      'example.com.yaml:4:32 include-invalid',
      'example.com.yaml:5:1 name-invalid',
      'text:1:1 rdata-invalid',
    ])
    // what is told of it is no larger for that
    expect(Math.max(...loaded.problems.map(({ message }) => message.length))).toBeLessThan(2000)
  })
})

/** A value of a zone, as JSON: any of its parts may be a file of its own. */
type Json = string | number | readonly Json[] | { readonly [key: string]: Json }

test('any parts of a zone may be files: the same records, each at the place where it is written', async () => {
  const record = fc.oneof(
    fc.record({
      type: fc.constant('A'),
      ttl: fc.nat(99),
      values: fc.uniqueArray(
        fc.nat(255).map((i) => `192.0.2.${i}`),
        { minLength: 1, maxLength: 3 },
      ),
    }),
    fc.record({ type: fc.constant('TXT'), value: fc.constantFrom('a; b', 'c', 'é') }),
  )
  const zone = fc.dictionary(
    fc.stringMatching(/^[a-z]{1,3}$/),
    fc.uniqueArray(record, { maxLength: 2, minLength: 1, selector: ({ type }) => type }),
    {
      maxKeys: 4,
    },
  )
  /** For each part in turn: whether it is a file, and in which folder. */
  const cuts = fc.array(fc.constantFrom('', '', '', 'x/', 'y/', './'), { minLength: 40, maxLength: 40 })
  await fc.assert(
    fc.asyncProperty(zone, cuts, async (names, folders) => {
      const files: Record<string, string> = { ...DEFAULTS }
      let next = 0
      const write = (value: Json, from: string): string => {
        const cut = folders[next % folders.length]!
        const name = `${next++}.yaml`
        if (cut !== '') {
          const file = join(cut, name)
          files[file] = `# part\n\n${render(value, cut === './' ? '' : cut)}\n`
          return `!include ${relative(from === '' ? '.' : from, file)}`
        }
        return render(value, from)
      }
      const render = (value: Json, from: string): string => {
        if (typeof value !== 'object') return JSON.stringify(value)
        if (Array.isArray(value)) return `[${value.map((one: Json) => write(one, from)).join(', ')}]`
        return `{${Object.entries(value)
          .map(([key, one]) => `${JSON.stringify(key)}: ${key === 'type' ? JSON.stringify(one) : write(one, from)}`)
          .join(', ')}}`
      }
      const all: Json = { '': [{ type: 'NS', values: ['ns1.example.net.'] }], ...names }
      files['example.com.yaml'] = render(all, '')
      const parted = writeZones(files)
      const one = await load({ 'example.com.yaml': JSON.stringify(all) })
      const many = await loadFolder(parted)
      expect(many.problems.map(formatProblem)).toEqual([])
      expect(plain(many)).toEqual(plain(one))
      for (const { type, at } of recordsOf(many.model!.zones[0]!)) {
        if (typeName(type) === 'SOA') continue
        const line = files[relative(parted, at.file)]!.split('\n')[at.line - 1]!
        expect(line.slice(at.column - 1)).toMatch(new RegExp(`^\\{"type": "${typeName(type)}"`))
      }
    }),
    { numRuns: 60 },
  )
})
