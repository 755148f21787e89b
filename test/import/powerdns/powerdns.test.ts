/** PowerDNS's zones files: what is told of what Meridian cannot say. server.test.ts asks PowerDNS. */
import { expect, test } from 'vitest'
import { imported, type Told } from '../imported.ts'

const HEAD = `domains:
- domain: example.com
  ttl: 30
  records:
    example.com: [{soa: ns1.example.com host.example.com 1 2 3 4 5}, {ns: ns1.example.com}]
    ns1.example.com: [{a: 192.0.2.1}]
`
const of = async (text: string): Promise<Told> =>
  imported('powerdns', { 'geo.yaml': HEAD + text }, { path: 'geo.yaml' })
const DE_US =
  '    de.w.example.com: [{a: 192.0.2.2}]\n    us.w.example.com: [{a: 192.0.2.3}]\n    o.example.com: [{a: 192.0.2.4}]\n'

test('each place goes to its name, and all others to the last one', async () => {
  const { files, notes, errors } = await of(
    `${DE_US}  services:\n    w.example.com: ['%cc.w.example.com', o.example.com]\n`,
  )
  expect([...notes, ...errors]).toEqual([])
  expect(files['services.yaml']).toBe(`# service w.example.com
w:
  sites: {o: {vips: [192.0.2.4]}, de.w: {vips: [192.0.2.2]}, us.w: {vips: [192.0.2.3]}}
  order: [o]
  rules: [{geos: [EU-DE], order: [de.w], only: true}, {geos: [NA-US], order: [us.w], only: true}]
  ttl: 30
  check: none
`)
  expect(files['example.com.yaml']).toContain('w: {type: GSLB, service: w}')
})

test('a continent is that of the database', async () => {
  const { files } = await of(
    '    eu.w.example.com: [{a: 192.0.2.2}]\n    o.example.com: [{a: 192.0.2.4}]\n  services:\n    w.example.com: [%cn.w.example.com, o.example.com]\n'
      .replace('[%cn', "['%cn")
      .replace('com, o', "com', o"),
  )
  expect(files['services.yaml']).toContain(
    'rules: [{geos: [AS-CY], order: [eu.w], only: true}, {geos: [EU], order: [eu.w], only: true}]',
  )
})

test.each([
  ["    w.example.com: '%cc.w.example.com'", 'service w.example.com: clients of AF-AO, and those of'],
  [
    "    w.example.com: ['%ci.w.example.com', o.example.com]",
    "service w.example.com is left out: Meridian's rules do not go by %ci",
  ],
  ["    w.example.com: ['%co.w.example.com', o.example.com]", 'service w.example.com: %co is taken for two letters'],
  [
    '    w.example.com: {10.0.0.0/8: o.example.com}',
    'service w.example.com is left out: it has no names for all clients',
  ],
  ["    w.example.com: {default: o.example.com, 10.0.0.0/8: '%cc.w.example.com'}", '10.0.0.0/8 is left out'],
  [
    '    w.example.com: {default: o.example.com, 10.0.0.0/8: none.example.com}',
    '10.0.0.0/8 is left out: its name has no addresses',
  ],
  ["    '%cc.example.com': o.example.com", 'service %cc.example.com is left out: its name is none of the domain'],
  ['    w.example.com: none.example.com', 'service w.example.com is left out: none of its names has addresses'],
  [
    "    ns1.example.com: ['%cc.w.example.com', o.example.com]",
    'left out: PowerDNS adds these to what service ns1.example.com answers',
  ],
])('of %s it is told', async (service, message) => {
  const { notes, errors, failed } = await of(`${DE_US}  services:\n${service}\n`)
  expect(notes).toContainEqual(expect.stringMatching(/^geo\.yaml:\d+: warning: /))
  expect(notes.join('\n')).toContain(message)
  expect(errors).toEqual([])
  expect(failed).toBe(false)
})

test.each([
  [
    '    a.example.com: [{txt: "you are %ip"}]\n',
    "geo.yaml:7: warning: left out: Meridian's records do not depend on the client: you are %ip",
  ],
  ['    a.example.com: [{lua: A "x"}]\n', 'geo.yaml:7: warning: left out: Meridian has no records of type LUA'],
  [
    '    a.example.net: [{a: 192.0.2.9}]\n',
    'geo.yaml:7: warning: a.example.net is left out: it is outside of the domain',
  ],
  [
    "    '%cc.example.com': [{a: 192.0.2.9}]\n",
    'geo.yaml:7: warning: %cc.example.com is left out: its name is made of placeholders',
  ],
  [
    '    a.example.com: [{txt: {content: x, weight: 1}}, {txt: y}]\n',
    'geo.yaml:7: warning: a.example.com TXT: an answer has all records, not one by weight: Meridian steers addresses',
  ],
  ['  zonemeta: 1\n', 'geo.yaml:7: warning: “zonemeta” of a domain is left out: it is not known here'],
])('%j: %s', async (text, note) => {
  const { notes, failed } = await of(text)
  expect(notes).toContain(note)
  expect(failed).toBe(false)
})

test('a family that only some of the names have is left out', async () => {
  const { files, notes } = await of(
    `    de.w.example.com: [{a: 192.0.2.2}, {aaaa: "2001:db8::2"}]\n    o.example.com: [{a: 192.0.2.4}]\n  services:\n    w.example.com: ['%cc.w.example.com', o.example.com]\n`,
  )
  expect(notes).toEqual([
    'geo.yaml:10: warning: service w.example.com: AAAA is left out: o.example.com has none, and which types a name has does not depend on the client',
  ])
  expect(files['services.yaml']).not.toContain('2001:db8')
})

test.each([
  ['    a.example.com: [{a: 192.0.2.300}]\n', 'geo.yaml:7: error: a.example.com: “192.0.2.300” is no IPv4 address'],
  ['    a.example.com: x\n', 'geo.yaml:7: error: the records of a name are a list'],
  ['    a.example.com: [{a: {content: 192.0.2.1, ttl: x}}]\n', 'geo.yaml:7: error: its TTL or weight is no number'],
  ['- domain: other.example\n', 'geo.yaml:7: error: domain other.example has no TTL'],
])('%j: %s', async (text, note) => {
  const { notes, failed } = await of(text)
  expect(notes).toContain(note)
  expect(failed).toBe(true)
})

const told = async (text: string): Promise<readonly string[]> =>
  (await imported('powerdns', { 'geo.yaml': text }, { path: 'geo.yaml' })).notes

test('what is no YAML, or no zones file, is an error at its line', async () => {
  expect(await told('domains: [')).toEqual([expect.stringMatching(/^geo\.yaml:\d+: error: /)])
  expect(await told('a: 1')).toEqual(['geo.yaml:1: error: there is no list “domains”'])
  expect((await imported('powerdns', {})).notes).toEqual([
    ': error: a file is wanted: that of the setting geoip-zones-file',
  ])
})
