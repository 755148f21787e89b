/** Master files: what becomes of each part of them, and what is told of what is wrong. server.test.ts asks BIND. */
import { expect, test } from 'vitest'
import { imported } from '../imported.ts'

const HEAD = '$TTL 300\n@ SOA ns1 host 1 2 3 4 5\n  NS ns1\nns1 A 192.0.2.1\n'
const zone = async (lines: string) => imported('bind', { 'db.example.com': HEAD + lines }, { path: 'db.example.com' })
/** The zone's names below those of HEAD. */
const namesOf = async (lines: string): Promise<string> => {
  const { files, notes, errors } = await zone(lines)
  expect([...notes, ...errors]).toEqual([])
  return files['example.com.yaml']!.split('\n').slice(2, -1).join('\n')
}

test('the SOA and its TTL are settings of the zone', async () => {
  const { files } = await zone('')
  expect(files['defaults.yaml']).toBe(
    'soa: {mname: ns1.example.com., rname: host.example.com., refresh: 2, retry: 3, expire: 4, minimum: 5}\nttl: 300\n',
  )
  expect(files['example.com.yaml']).toBe(`'': {type: NS, value: ns1.example.com.}
ns1: {type: A, value: 192.0.2.1}
`)
})

test.each([
  ['a 60 IN A 192.0.2.2\n  IN 60 A 192.0.2.3', 'a: {type: A, ttl: 60, values: [192.0.2.2, 192.0.2.3]}'],
  ['a A 192.0.2.2\nA A 192.0.2.2', 'a: {type: A, value: 192.0.2.2}'],
  ['a TXT "x y" z\\;', `a: {type: TXT, value: '"x y" "z\\;"'}`],
  ['a TXT "it\'s \\"so\\""', `a: {type: TXT, value: 'it''s \\"so\\"'}`],
  ['a TXT "\xc3\xa4"', `a: {type: TXT, value: '\\195\\164'}`],
  ['a MX ( 10 ; behind\n @ )', 'a: {type: MX, value: {preference: 10, exchange: example.com.}}'],
  ['$ORIGIN b\na A 192.0.2.2', 'a.b: {type: A, value: 192.0.2.2}'],
  ['a.b\\.c A 192.0.2.2', `'a.b\\.c': {type: A, value: 192.0.2.2}`],
  ['null A 192.0.2.2', `'null': {type: A, value: 192.0.2.2}`],
  [
    '$GENERATE 0-4/2 x${1,2,d} CNAME y$',
    'x01: {type: CNAME, value: y0.example.com.}\nx03: {type: CNAME, value: y2.example.com.}\nx05: {type: CNAME, value: y4.example.com.}',
  ],
  ['$GENERATE 1-1 m$ MX "10 m$"', 'm1: {type: MX, value: {preference: 10, exchange: m1.example.com.}}'],
  ['a TYPE16 \\# 3 02 6869', 'a: {type: TXT, value: hi}'],
  ['a TYPE999 \\# 2 ABCD', `a: {type: TYPE999, value: '\\# 2 ABCD'}`],
  [
    'a HTTPS 1 . alpn="h2,h\\\\,3" no-default-alpn',
    `a:\n  type: HTTPS\n  value: {svcpriority: 1, targetname: '.', svcparams: {alpn: [h2, 'h,3'], no-default-alpn: ''}}`,
  ],
  ['__proto__ A 192.0.2.2', '__proto__: {type: A, value: 192.0.2.2}'],
])('%j', async (lines, yaml) => {
  expect(await namesOf(lines)).toBe(yaml)
})

test.each([
  ['a A', 'db.example.com:5: error: a.example.com. A: it takes 1 word, and has 0'],
  ['a A 300.0.0.1', 'db.example.com:5: error: a.example.com. A: “300.0.0.1” is no IPv4 address'],
  ['a NOSUCH x', 'db.example.com:5: error: “NOSUCH” is no type of a record'],
  ['\n\na TXT "x', 'db.example.com:7: error: a quoted string has no end on its line'],
  ['a TXT ( x', 'db.example.com:5: error: a parenthesis is never closed'],
  ['a TXT x )', 'db.example.com:5: error: a parenthesis closes that none has opened'],
  [`${'a'.repeat(64)} A 192.0.2.2`, `db.example.com:5: error: “${'a'.repeat(64)}” has a label longer than 63 bytes`],
  ['$TTL x', 'db.example.com:5: error: $TTL: “x” is no TTL'],
  ['$NOSUCH x', 'db.example.com:5: error: $NOSUCH is no directive that is known here'],
  ['$GENERATE 1-99999 a$ A 192.0.2.2', 'db.example.com:5: error: $GENERATE: more than 65536 records'],
  [
    '$GENERATE 1-2/0 a$ A 192.0.2.2',
    'db.example.com:5: error: $GENERATE takes FROM-TO[/STEP], a name, a type and data',
  ],
  ['a CNAME b\na A 192.0.2.2', 'db.example.com:5: error: a.example.com. has a CNAME beside other records'],
  [
    '$INCLUDE none.inc',
    "db.example.com:5: error: none.inc cannot be read: ENOENT: no such file or directory, lstat 'none.inc'",
  ],
])('%j is an error', async (lines, note) => {
  const { notes, failed } = await zone(lines)
  expect(notes).toContain(note)
  expect(failed).toBe(true)
})

test.each([
  ['a CH TXT x', 'db.example.com:5: warning: left out: Meridian serves class IN alone'],
  ['a.example.net. A 192.0.2.2', 'db.example.com:5: warning: left out: its name is outside of the zone'],
  [
    's NS ns1\nx.s TXT x',
    'db.example.com:6: warning: x.s.example.com. TXT is left out: s.example.com. is delegated, and only its glue is here',
  ],
  [
    'd DNAME x.\nx.d A 192.0.2.2',
    'db.example.com:6: warning: x.d.example.com. A is left out: the DNAME of d.example.com. redirects it',
  ],
  [
    'a 60 A 192.0.2.2\na 90 A 192.0.2.3',
    'db.example.com:6: warning: a set has one TTL (RFC 2181 §5.2): this record gets 60, that of line 5',
  ],
  [
    'a RRSIG A x\nb RRSIG A x',
    "db.example.com:5: warning: 2 records of type RRSIG, from here on, are left out: Meridian's zones hold no keys and signatures",
  ],
  [
    '*.a NS ns1',
    'db.example.com:5: warning: *.a.example.com. NS is left out: a wildcard cannot be delegated (RFC 4592 §4.2)',
  ],
])('%j is told, and the rest is taken over', async (lines, note) => {
  const { notes, errors, failed } = await zone(lines)
  expect(notes).toEqual([note])
  expect(errors).toEqual([])
  expect(failed).toBe(false)
})

test('a zone without SOA or NS is no zone', async () => {
  const { notes } = await imported('bind', { 'db.example.com': '$TTL 5\na A 192.0.2.1\n' })
  expect(notes).toEqual([
    'db.example.com: error: zone example.com. has no SOA at its apex',
    'db.example.com: error: zone example.com. has no NS at its apex',
  ])
})

test('nothing outside of the folder is included, by links neither', async () => {
  const files = { 'in/db.example.com': `${HEAD}$INCLUDE ../out\n$INCLUDE /etc/passwd\n`, out: 'a A 192.0.2.9\n' }
  const { notes, files: made } = await imported('bind', files, { path: 'in' })
  expect(notes).toEqual([
    'in/db.example.com:5: error: out cannot be read: it is outside of in',
    'in/db.example.com:6: error: /etc/passwd cannot be read: it is outside of in',
  ])
  expect(made['example.com.yaml']).not.toContain('192.0.2.9')
})

test('an include that includes itself ends', async () => {
  const { notes } = await imported(
    'bind',
    { 'db.example.com': `${HEAD}$INCLUDE db.example.com\n` },
    { path: 'db.example.com' },
  )
  expect(notes.filter((note) => note.includes('16 files deep'))).toHaveLength(1)
})

test('the zone is named by --origin, or by the file; a file of a folder that is not named like a zone is left out', async () => {
  const named = await imported('bind', { named: HEAD }, { path: 'named', origin: 'example.org' })
  expect(Object.keys(named.files)).toEqual(['defaults.yaml', 'example.org.yaml'])
  expect((await imported('bind', { named: HEAD }, { path: 'named' })).notes).toEqual([
    'named: error: the zone is not known: name it with --origin',
  ])
  const several = await imported('bind', {
    'example.com.zone': HEAD,
    'db.example.net': HEAD.replace('300', '60'),
    'README.md': '',
  })
  expect(Object.keys(several.files)).toEqual(['defaults.yaml', 'example.com.yaml', 'example.net.yaml'])
  expect(several.files['defaults.yaml']).toContain('ttl: 60')
  expect(several.notes).toEqual([
    'README.md: warning: not read: it is not named like a zone (db.example.com, example.com.zone)',
  ])
  expect(Object.keys((await imported('bind', { corp: HEAD }, { path: 'corp', origin: 'corp' })).files)).toContain(
    'corp./zone.yaml',
  )
})

test('a serial above Unix time is told', async () => {
  const { notes } = await imported('bind', { 'db.example.com': HEAD.replace('host 1', 'host 2026113001') })
  expect(notes).toEqual([expect.stringContaining('db.example.com:2: warning: the serial is not taken over')])
})

test('what an inner zone has a file for stays there', async () => {
  const { notes, errors, files } = await imported('bind', {
    'example.com.zone': `${HEAD}sub NS ns1\nsub DS 1 13 2 ${'00'.repeat(32)}\na.sub A 192.0.2.2\na.sub TXT x\n`,
    'sub.example.com.zone': HEAD,
  })
  expect(errors).toEqual([])
  expect(notes).toEqual([
    'example.com.zone:6: warning: sub.example.com. DS is left out: the zone sub.example.com. has a file of its own',
    'example.com.zone:8: warning: a.sub.example.com. TXT is left out: the zone sub.example.com. has a file of its own',
  ])
  expect(files['example.com.yaml']).toContain('a.sub: {type: A, value: 192.0.2.2}')
})
