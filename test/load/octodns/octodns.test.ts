/**
 * octoDNS's zones as they are: the examples of its documentation without `dynamic`, by page and section, and the shapes of its own
 * test zones, written anew. Keys and meanings from octodns/octodns (docs/records.md, docs/records.rst, octodns/record/*.py,
 * tests/config). Includes and split folders have files of their own.
 */
import { describe, expect, test } from 'vitest'
import { PROBLEM_CODES } from '../../../src/problem.ts'
import { briefsOf, linesOf, load, NS } from '../../support/folder.ts'

const zone = (text: string): Record<string, string> => ({ 'example.com.yaml': NS + text })

describe('docs/records.md and docs/records.rst', () => {
  test('Names: the root, a wildcard, and names of several labels', async () => {
    const text = `---
'':
  - type: A
    values:
      - 192.0.2.4
      - 192.0.2.5
  - type: NS
    value: ns1.example.net.
'*':
  type: CNAME
  value: www.example.com.
www:
  type: A
  values:
    - 192.0.2.4
    - 192.0.2.5
www.sub:
  type: A
  values:
    - 192.0.2.6
    - 192.0.2.7
`
    expect(await linesOf({ 'example.com.yaml': text })).toEqual([
      'example.com. 3600 A 192.0.2.4',
      'example.com. 3600 A 192.0.2.5',
      '*.example.com. 3600 CNAME www.example.com.',
      'www.example.com. 3600 A 192.0.2.4',
      'www.example.com. 3600 A 192.0.2.5',
      'www.sub.example.com. 3600 A 192.0.2.6',
      'www.sub.example.com. 3600 A 192.0.2.7',
    ])
  })

  test('Multiple records: a list at a name', async () => {
    const text = `
'':
  - type: NS
    value: ns1.example.net.
  - type: MX
    values:
      - exchange: mx1.example.net.
        preference: 10
      - exchange: mx2.example.net.
        preference: 10
`
    expect(await linesOf({ 'example.com.yaml': text })).toEqual([
      'example.com. 3600 MX 10 mx1.example.net.',
      'example.com. 3600 MX 10 mx2.example.net.',
    ])
  })

  test('Record data: a TTL is optional and 3600 then; one value stands as `value`', async () => {
    expect(await linesOf(zone('a: {type: A, value: 192.0.2.1}\nb: {type: A, ttl: 60, values: [192.0.2.1]}\n'))).toEqual(
      ['a.example.com. 3600 A 192.0.2.1', 'b.example.com. 60 A 192.0.2.1'],
    )
  })

  test('Record priority for AutoArpa: a notice at the key, and the record is served', async () => {
    const text = 'test:\n- type: A\n  value: 192.0.2.4\n  octodns:\n    auto_arpa_priority: 1\n'
    const { problems, model } = await load(zone(text))
    expect(problems.map(({ code, severity, line, column }) => [code, severity, line, column])).toEqual([
      ['octodns-ignored', 'notice', 6, 5],
    ])
    expect(model!.zones[0]!.sets.length).toBeGreaterThan(0)
  })

  test('Record level lenience: a notice, and what is wrong stays wrong', async () => {
    const text = "'not-root':\n  octodns:\n    lenient: true\n  type: ALIAS\n  values: something.example.net.\n"
    expect(await briefsOf(zone(text))).toEqual([
      'example.com.yaml:5:9 unsupported-type',
      'example.com.yaml:4:5 octodns-ignored',
    ])
  })

  test('Provider specific record types: unsupported, at the type, with what to do', async () => {
    const text = 'alias:\n  type: Route53Provider/ALIAS\n  values:\n    - name: www\n      type: A\n'
    const { problems } = await load(zone(text))
    expect(problems.map(({ code, line, column, hint }) => [code, line, column, hint])).toEqual([
      ['unsupported-type', 3, 9, 'It is a provider’s own: write what it stands for'],
    ])
  })

  test.each([
    ['v=DKIM1;k=rsa', 'v=DKIM1;k=rsa'],
    ['"v=DKIM1;k=rsa"', 'v=DKIM1;k=rsa'],
    [String.raw`v=DKIM1\;k=rsa`, 'v=DKIM1;k=rsa'],
    ['"a;b" "c"', 'a;b" "c'],
    [';foo', ';foo'],
    [String.raw`"a\;b"`, 'a;b'],
  ])('Semicolons in TXT and SPF values: %s', async (written, text) => {
    expect(await linesOf(zone(`a: {type: TXT, value: '${written}'}\nb: {type: SPF, value: '${written}'}\n`))).toEqual([
      `a.example.com. 3600 TXT "${text}"`,
      `b.example.com. 3600 SPF "${text}"`,
    ])
  })
})

describe('octodns/record', () => {
  test.each(['true', 'True', 'yes', 'on'])('base.py, ignored: %s is published nowhere', async (flag) => {
    const { model, problems } = await load(zone(`x: {type: A, value: 9.9.9.9.9, octodns: {ignored: ${flag}}}\n`))
    expect(problems.map(({ code, severity, line, column }) => [code, severity, line, column])).toEqual([
      ['octodns-ignored', 'notice', 2, 42],
    ])
    expect(model!.zones[0]!.sets.length).toBe((await load(zone(''))).model!.zones[0]!.sets.length)
  })

  test('ignored: false means nothing, and an ignored record is no conflict and no delegation', async () => {
    expect(await linesOf(zone('x: {type: A, value: 192.0.2.1, octodns: {ignored: false}}\n'))).toHaveLength(1)
    const text =
      'x: [{type: CNAME, value: a.example.net.}, {type: A, value: 192.0.2.1, octodns: {ignored: true}}]\n' +
      'y: {type: NS, value: ns1.example.net., octodns: {ignored: true}}\na.y: {type: TXT, value: x}\n'
    const { problems } = await load(zone(text))
    expect(problems.map(({ code }) => code)).toEqual(['octodns-ignored', 'octodns-ignored'])
  })

  test.each([
    'excluded: [test]',
    'included: [test]',
    'lenient: true',
    'cloudflare: {proxied: true}',
    'healthcheck: {path: /}',
    'toString: x',
  ])('octodns: {%s} of a record with values: one notice, that says what it would mean', async (key) => {
    const { problems, model } = await load(zone(`x: {type: A, value: 192.0.2.1, octodns: {${key}}}\n`))
    expect(problems.map(({ code, severity }) => [code, severity])).toEqual([['octodns-ignored', 'notice']])
    expect(problems[0]!.message).toMatch(new RegExp(`^“${key.split(':')[0]}” says [a-z ,’:]+$`, 'i'))
    expect(model).toBeDefined()
  })

  test('names are the source text, whatever YAML would make of it', async () => {
    const names = ['1e3', '010', 'null', 'true', 'yes', '0x1f', '~a', '1_000', '2001-01-01']
    const lines = await linesOf(zone(names.map((name) => `${name}: {type: A, value: 192.0.2.1}\n`).join('')))
    expect(lines).toEqual(names.map((name) => `${name}.example.com. 3600 A 192.0.2.1`))
  })

  test('idna.py: names, wildcards, zones and targets; labels in ASCII stay as they are', async () => {
    const text = `"": {type: NS, value: ns1.bücher.example.}
"*.Ünder_score-free": {type: CNAME, value: www.BÜCHER.example.}
_dmarc.faß: {type: MX, value: {preference: 1, exchange: mail.日本.example.}}
_sip._tcp: {type: SRV, value: {priority: 1, weight: 1, port: 1, target: Ä.example.}}
`
    const { model, problems } = await load({ 'bücher.example.yaml': text })
    expect(problems.map(({ code, line }) => [code, line])).toEqual([
      ['name-invalid', 2], // an underscore has no place beside a character that is encoded
    ])
    expect(model).toBeUndefined()
    const readable = text.replace('Ünder_score-free', 'Ünder')
    expect(await briefsOf({ 'bücher.example.yaml': readable })).toEqual(['bücher.example.yaml:1:23 ns-without-address'])
    const fine = readable.replace('ns1.bücher', 'ns1.bär')
    expect(await linesOf({ 'bücher.example.yaml': fine })).toEqual([
      '*.xn--nder-zra.xn--bcher-kva.example. 3600 CNAME www.xn--bcher-kva.example.',
      '_dmarc.xn--fa-hia.xn--bcher-kva.example. 3600 MX 1 mail.xn--wgv71a.example.',
      '_sip._tcp.xn--bcher-kva.example. 3600 SRV 1 1 1 xn--4ca.example.',
    ])
  })

  test.each([
    ['１２: {type: A, value: 192.0.2.1}', 'name-invalid'],
    ['a。b: {type: A, value: 192.0.2.1}', 'name-invalid'],
    [`${'ü'.repeat(64)}: {type: A, value: 192.0.2.1}`, 'name-invalid'],
    ['"ü b": {type: A, value: 192.0.2.1}', 'name-invalid'],
    ['a: {type: CNAME, value: "ü b.example."}', 'rdata-invalid'],
    ['a: {type: CNAME, value: ü.example}', 'rdata-invalid'],
    [String.raw`"ü\\046": {type: A, value: 192.0.2.1}`, 'name-invalid'],
    ['ü/x: {type: A, value: 192.0.2.1}', 'name-invalid'],
    ['ü／x: {type: A, value: 192.0.2.1}', 'name-invalid'],
    ['"ü:80": {type: A, value: 192.0.2.1}', 'name-invalid'],
    ['"ü%41": {type: A, value: 192.0.2.1}', 'name-invalid'],
  ])('what IDNA cannot encode: %s', async (text, code) => {
    const { problems } = await load(zone(`${text}\n`))
    expect(problems.map((problem) => problem.code)).toEqual([code])
  })

  test('ds.py: only where NS delegate, beside them', async () => {
    const ds = '{type: DS, value: {key_tag: 1, algorithm: 13, digest_type: 2, digest: %}}'.replace('%', 'ab'.repeat(32))
    const ns = '{type: NS, value: ns1.example.net.}'
    expect(await briefsOf(zone(`sub: [${ns}, ${ds}]\n`))).toEqual([])
    expect(await briefsOf(zone(`sub: ${ds}\n`))).toEqual(['example.com.yaml:2:6 below-cut'])
    expect(await briefsOf({ 'example.com.yaml': `"": [${ns}, ${ds}]\n` })).toEqual(['example.com.yaml:1:43 below-cut'])
    expect(await briefsOf(zone(`sub: ${ns}\na.sub: ${ds}\n`))).toEqual(['example.com.yaml:3:8 below-cut'])
  })

  test('what cannot be served says what to do instead; a word that is no type is another fault', async () => {
    const types = ['ALIAS', 'URLFWD', 'SomeProvider/SPECIFIC', 'CNAM', 'SOA', 'DNSKEY']
    const { problems } = await load(zone(types.map((type, i) => `n${i}: {type: ${type}, value: x}\n`).join('')))
    expect(problems.map(({ code, hint }) => [code, hint !== undefined])).toEqual([
      ['unsupported-type', true],
      ['unsupported-type', true],
      ['unsupported-type', true],
      ['value-invalid', true],
      ['soa-in-zone', true],
      ['not-supported', true],
    ])
    expect(problems[3]!.hint).toBe('Did you mean CNAME?')
    expect(PROBLEM_CODES['unsupported-type']).toContain('octoDNS')
  })
})

/** The shape of tests/config/unit.tests.yaml: every type, with other names and addresses, as octoDNS writes and sorts them. */
const UNIT = `---
? ''
: - geo:
      AF:
      - 192.0.2.4
      NA-US-CA:
      - 192.0.2.5
    ttl: 300
    type: A
    values:
    - 192.0.2.1
    - 192.0.2.2
  - ttl: 3600
    type: SSHFP
    values:
    - algorithm: 1
      fingerprint: bf6b6825d2977c511a475bbefb88aad54a92ac73
      fingerprint_type: 1
    - algorithm: 1
      fingerprint: 7491973e5f8b39d5327cd4e08bc81b05f7710b49
      fingerprint_type: 1
  - type: NS
    values:
    - 4.2.0.192.
    - 5.2.0.192.
  - type: CAA
    values:
    - flags: 0
      tag: issue
      value: ca.example.com
_imap._tcp:
  ttl: 600
  type: SRV
  values:
  - port: 0
    priority: 0
    target: .
    weight: 0
aaaa:
  ttl: 600
  type: AAAA
  value: 2001:db8::947a
cname:
  ttl: 300
  type: CNAME
  value: example.com.
dname:
  ttl: 300
  type: DNAME
  value: example.com.
excluded:
  octodns:
    excluded:
    - test
  type: CNAME
  value: example.com.
ignored:
  octodns:
    ignored: true
  type: A
  value: 192.0.2.99
included:
  octodns:
    included:
    - test
  type: CNAME
  value: example.com.
loc:
  ttl: 300
  type: LOC
  values:
  - altitude: 20
    lat_degrees: 31
    lat_direction: S
    lat_minutes: 58
    lat_seconds: 52.1
    long_degrees: 115
    long_direction: E
    long_minutes: 49
    long_seconds: 11.7
    precision_horz: 10
    precision_vert: 2
    size: 10
mx:
  ttl: 300
  type: MX
  values:
  - exchange: smtp-1.example.com.
    preference: 40
  - priority: 10
    value: smtp-4.example.com.
naptr:
  ttl: 600
  type: NAPTR
  values:
  - flags: U
    order: 100
    preference: 100
    regexp: '!^.*$!sip:info@bar.example.com!'
    replacement: .
    service: SIP+D2U
ptr:
  ttl: 300
  type: PTR
  values: [foo.example.net.]
spf:
  ttl: 600
  type: SPF
  value: v=spf1 ip4:192.0.2.1/16-all
sub:
  type: 'NS'
  values:
  - 4.2.0.192.
  - 5.2.0.192.
sub.txt:
  type: 'NS'
  values:
  - ns1.example.net.
txt:
  ttl: 600
  type: TXT
  values:
    - A plain text
    - with a full stop.
    - 'v=DKIM1\\;k=rsa\\;s=email\\;h=sha256\\;p=A/kinda+of/long/string+with+numb3rs'
urlfwd:
  ttl: 300
  type: URLFWD
  values:
  - code: 302
    masking: 2
    path: '/'
    query: 0
    target: 'http://www.example.com'
www.sub.more:
  ttl: 300
  type: A
  value: 192.0.2.6
`

describe('tests/config/unit.tests.yaml', () => {
  test('has two things that cannot be served, and three notices', async () => {
    expect(await briefsOf({ 'example.com.yaml': UNIT })).toEqual([
      'example.com.yaml:3:5 not-supported',
      'example.com.yaml:128:9 unsupported-type',
      'example.com.yaml:53:5 octodns-ignored',
      'example.com.yaml:59:5 octodns-ignored',
      'example.com.yaml:64:5 octodns-ignored',
    ])
  })

  test('is served without these', async () => {
    const text = UNIT.replace(/geo:[^]*?ttl/, 'ttl').replace(/^urlfwd:[^]*?(?=^www)/m, '')
    const { model, problems } = await load({ 'example.com.yaml': text })
    expect(problems.map(({ code }) => code)).toEqual(Array.from({ length: 3 }, () => 'octodns-ignored'))
    const notices = text
      .replaceAll(/ {2}octodns:\n {4}(?:ex|in)cluded:\n {4}- test\n/g, '')
      .replace(/^ignored:[^]*?(?=^included:)/m, '')
    expect(await linesOf({ 'example.com.yaml': notices })).toEqual([
      'example.com. 300 A 192.0.2.1',
      'example.com. 300 A 192.0.2.2',
      'example.com. 3600 SSHFP 1 1 BF6B6825D2977C511A475BBEFB88AAD54A92AC73',
      'example.com. 3600 SSHFP 1 1 7491973E5F8B39D5327CD4E08BC81B05F7710B49',
      'example.com. 3600 CAA 0 issue "ca.example.com"',
      '_imap._tcp.example.com. 600 SRV 0 0 0 .',
      'aaaa.example.com. 600 AAAA 2001:db8::947a',
      'cname.example.com. 300 CNAME example.com.',
      'dname.example.com. 300 DNAME example.com.',
      'excluded.example.com. 3600 CNAME example.com.',
      'included.example.com. 3600 CNAME example.com.',
      'loc.example.com. 300 LOC 31 58 52.100 S 115 49 11.700 E 20.00m 10m 10m 2m',
      'mx.example.com. 300 MX 40 smtp-1.example.com.',
      'mx.example.com. 300 MX 10 smtp-4.example.com.',
      'naptr.example.com. 600 NAPTR 100 100 "U" "SIP+D2U" "!^.*$!sip:info@bar.example.com!" .',
      'ptr.example.com. 300 PTR foo.example.net.',
      'spf.example.com. 600 SPF "v=spf1 ip4:192.0.2.1/16-all"',
      'txt.example.com. 600 TXT "A plain text"',
      'txt.example.com. 600 TXT "with a full stop."',
      'txt.example.com. 600 TXT "v=DKIM1;k=rsa;s=email;h=sha256;p=A/kinda+of/long/string+with+numb3rs"',
      'www.sub.more.example.com. 300 A 192.0.2.6',
    ])
    expect(model!.zones).toHaveLength(1)
  })
})
