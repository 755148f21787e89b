/**
 * What operators get wrong, each tried through `meridian check`: the first line that it prints names the cause at its
 * place, and one mistake never drowns the operator in its consequences. The base is a folder without a problem, in
 * which a hundred names are steered and every file refers to others.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { run } from '../../src/cli/commands.ts'

const MANY = Array.from({ length: 100 }, (_, i) => `p${i}: {type: GSLB, service: web}\n`).join('')

const BASE: Readonly<Record<string, string>> = {
  'defaults.yaml': `soa: {serial: 1, minimum: 60}
ttl: 300
checks:
  https: {type: https, port: 8443, path: /healthz, interval: 5s}
`,
  'sites.yaml': `fra: {location: [50.11, 8.68], region: eu}
ams: {location: [52.37, 4.90], region: eu}
lon: {location: [51.51, -0.13], region: eu}
iad: {location: [38.95, -77.45], region: us, capacity: 200}
`,
  'services.yaml': `web:
  sites:
    fra: {vips: [192.0.2.10, "2001:db8::10"]}
    ams: {vips: [203.0.113.10, "2001:db8:1::10"]}
    iad: {vips: [198.51.100.10, "2001:db8:2::10"]}
  check: {use: https}
  order: [[fra, ams], iad]
  rules:
    - {subnets: [10.0.0.0/8], order: [iad, fra]}
    - {subnets: [172.16.0.0/12], order: [fra, ams]}
    - {subnets: [192.168.0.0/16], order: [ams, fra]}
  ttl: {max: 60, min: 30}
  lastResort: {values: [192.0.2.10, "2001:db8::10"]}
api:
  sites:
    fra: {vips: [192.0.2.11, 192.0.2.12]}
    lon: {vips: [203.0.113.11, 203.0.113.12]}
  minVips: 2
  order: [lon, fra]
  check: {use: https}
`,
  'example.com.yaml': `"":
  - {type: NS, values: [ns1.example.com., ns2.example.net.]}
  - {type: MX, values: [{preference: 10, exchange: mail.example.com.}]}
  - {type: TXT, values: ["v=spf1 mx -all"]}
ns1: {type: A, value: 198.51.100.53}
mail:
  type: A
  ttl: 600
  value: 192.0.2.25
www: {type: GSLB, service: web}
api: {type: GSLB, service: api, types: [A]}
blog: {type: CNAME, value: www.example.com.}
_dmarc: {type: TXT, value: "v=DMARC1; p=none"}
"*.apps": {type: GSLB, service: web}
${MANY}`,
}

/** A mistake: one text of one file replaced by another, or a file that has another name. */
interface Mistake {
  readonly file: string
  /** What is replaced; a file's name as a whole: the file is renamed. */
  readonly from: string
  readonly to: string
  /** The first line: `line:column code` of the file, or what stands in place of it, and words of the message. */
  readonly first: string
  readonly says: string
  /** How many faults there are; unless given, one. */
  readonly faults?: number
}

const at = (file: string, from: string, to: string, first: string, says: string, faults = 1): Mistake => ({
  file,
  from,
  to,
  first,
  says,
  faults,
})
/** git's marks, which must not stand at the beginning of a line of this file. */
const [OURS, BASE_MARK, THEIRS] = ['<'.repeat(7), '='.repeat(7), '>'.repeat(7)]
const ZONE = 'example.com.yaml'

const MISTAKES: Readonly<Record<string, Mistake>> = {
  // syntax
  'a missing bracket in services.yaml': at(
    'services.yaml',
    'fra: {vips: [192.0.2.10, "2001:db8::10"]}',
    'fra: {vips: [192.0.2.10, "2001:db8::10"}',
    '3:17 yaml-syntax',
    'this [ is never closed',
  ),
  'a missing brace in sites.yaml': at(
    'sites.yaml',
    'ams: {location: [52.37, 4.90], region: eu}',
    'ams: {location: [52.37, 4.90], region: eu',
    '2:6 yaml-syntax',
    'this { is never closed',
  ),
  'a missing bracket in defaults.yaml': at(
    'defaults.yaml',
    'interval: 5s}',
    'interval: 5s',
    '4:10 yaml-syntax',
    'this { is never closed',
  ),
  'a missing brace in a zone': at(
    ZONE,
    'exchange: mail.example.com.}]}',
    'exchange: mail.example.com.]}',
    '3:25 yaml-syntax',
    'this { is never closed',
  ),
  'a bracket too many': at(ZONE, 'types: [A]}', 'types: [A]]}', '11:43 yaml-syntax', 'this ] closes nothing'),
  'a list whose bracket closes in the first column': at(
    ZONE,
    'www: {type: GSLB, service: web}',
    'www: {\n  type: GSLB, service: web\n}',
    '12:1 yaml-syntax',
    'this } must be indented further',
  ),
  'a missing comma': at(
    ZONE,
    'blog: {type: CNAME, value: www.example.com.}',
    'blog: {type: "CNAME" value: www.example.com.}',
    '12:22 yaml-syntax',
    'a comma is missing',
  ),
  'a tab': at(
    'services.yaml',
    '  check: {use: https}\n  order',
    '\tcheck: {use: https}\n  order',
    '6:1 yaml-syntax',
    'a tab',
  ),
  'a text with a colon': at(
    ZONE,
    '  ttl: 600\n  value: 192.0.2.25',
    '  value: 192.0.2.25\nnote:\n  type: TXT\n  value: see also: www.example.com',
    '11:18 yaml-syntax',
    'needs quotes',
  ),
  'a text with a colon in braces': at(
    ZONE,
    'value: "v=DMARC1; p=none"',
    'value: v=DMARC1: p=none',
    '13:36 yaml-syntax',
    'needs quotes',
  ),
  'a quote that is not closed': at(
    ZONE,
    'value: "v=DMARC1; p=none"',
    'value: "v=DMARC1; p=none',
    '13:28 yaml-syntax',
    'this " is never closed',
  ),
  'strings as a master file has them': at(
    ZONE,
    'mail:\n  type: A\n  ttl: 600\n  value: 192.0.2.25',
    'mail: {type: A, value: 192.0.2.25}\nspf:\n  type: TXT\n  value: "v=spf1" "-all"',
    '9:19 yaml-syntax',
    'the quoted text ends before this',
  ),
  'a backslash between double quotes': at(
    ZONE,
    'v=DMARC1; p=none',
    'v=DMARC1\\; p=none',
    '13:37 yaml-syntax',
    '“\\;” means nothing between double quotes',
  ),
  'a line that is indented too far': at(
    'services.yaml',
    '  check: {use: https}\n  order',
    '   check: {use: https}\n  order',
    '6:4 yaml-syntax',
    'indented',
  ),
  'a line that is indented too little': at(
    'services.yaml',
    '    ams: {vips: [203.0.113.10, "2001:db8:1::10"]}',
    '   ams: {vips: [203.0.113.10, "2001:db8:1::10"]}',
    '4:4 yaml-syntax',
    'no line above is indented like this one',
  ),
  'no blank behind a colon': at(
    ZONE,
    '  type: A\n',
    '  type:A\n',
    '7:7 yaml-syntax',
    'a colon needs a blank behind it',
  ),
  'no colon behind a key': at(ZONE, 'mail:\n', 'mail\n', '6:1 yaml-syntax', '“mail” has no colon'),
  'a wildcard without quotes': at(ZONE, '"*.apps":', '*.apps:', '14:1 yaml-syntax', '“*.apps” begins with *'),
  'an unfinished merge': at(
    'services.yaml',
    '  check: {use: https}\n  order',
    `${OURS} HEAD\n  check: {use: https}\n${BASE_MARK}\n  check: none\n${THEIRS} other\n  order`,
    '6:1 merge-conflict',
    'a merge or rebase is unfinished',
  ),
  'an anchor and its alias': at(
    ZONE,
    'www: {type: GSLB, service: web}\n',
    'www: &web {type: GSLB, service: web}\nshop: *web\n',
    '10:6 yaml-unsupported',
    'anchors are not supported',
    2,
  ),
  // keys
  'a key twice': at(
    ZONE,
    'blog: {type: CNAME',
    '"": {type: CAA, value: {tag: issue, value: ca.example.net}}\nblog: {type: CNAME',
    '12:1 duplicate-key',
    '“” is there twice; first in line 1',
  ),
  'the apex twice, the NS in the second': at(
    ZONE,
    '"":\n',
    '"": {type: CAA, value: {tag: issue, value: ca.example.net}}\n"":\n',
    '2:1 duplicate-key',
    'first in line 1',
  ),
  'a mistyped key that must be there': at(
    'services.yaml',
    '  check: {use: https}\n  order',
    '  chek: {use: https}\n  order',
    '6:3 key-unknown',
    'has no key “chek”',
  ),
  'a mistyped key of defaults.yaml': at(
    'defaults.yaml',
    'checks:',
    'chekcs:',
    '3:1 key-unknown',
    'has no key “chekcs”',
  ),
  'a mistyped “type” of a name server': at(
    ZONE,
    'ns1: {type: A',
    'ns1: {tpye: A',
    '5:7 key-unknown',
    'a record has no key “tpye”',
  ),
  'a key among the sites': at(
    'services.yaml',
    '  check: {use: https}\n  order',
    '    check: {use: https}\n  order',
    '6:5 key-unknown',
    '“check” is a key of a service, and stands among its sites',
  ),
  // names of other things
  'a site that is mistyped in a service': at(
    'services.yaml',
    '    fra: {vips: [192.0.2.10',
    '    far: {vips: [192.0.2.10',
    '3:5 site-unknown',
    'there is no site “far”',
  ),
  'a site that is mistyped in sites.yaml': at(
    'sites.yaml',
    'fra: {',
    'far: {',
    '1:1 site-unknown',
    'nothing names site far, and “fra”, which there is not, is named 2 times, first at',
  ),
  'a service that is mistyped in services.yaml': at(
    'services.yaml',
    'web:\n',
    'wbe:\n',
    '1:1 service-unknown',
    'nothing names service wbe, and “web”, which there is not, is named 102 times, first at',
  ),
  'a service that is mistyped at a name': at(
    ZONE,
    'api: {type: GSLB, service: api',
    'api: {type: GSLB, service: aip',
    '11:6 service-unknown',
    'there is no service “aip”',
  ),
  'a check that is mistyped in defaults.yaml': at(
    'defaults.yaml',
    '  https: {type',
    '  htps: {type',
    '4:3 check-unknown',
    'nothing names check htps, and “https”, which there is not, is named 2 times, first at',
  ),
  'a site twice in an order': at(
    'services.yaml',
    'order: [[fra, ams], iad]',
    'order: [[fra, ams], fra, iad]',
    '7:23 site-duplicate',
    '“fra” is twice',
  ),
  'services.yaml with the other ending': at(
    'services.yaml',
    'services.yaml',
    'services.yml',
    'services.yml file-unknown',
    'a folder of zones has no such file',
  ),
  'a zone with the other ending': at(
    ZONE,
    ZONE,
    'example.com.yml',
    'example.com.yml file-unknown',
    'a folder of zones has no such file',
  ),
  'an include of a file that there is not': at(
    ZONE,
    'mail:\n  type: A\n  ttl: 600\n  value: 192.0.2.25',
    'mail: !include mail.yaml',
    '6:16 file-unreadable',
    'there is no file',
  ),
  // values
  'an IPv6 address in an A record': at(
    ZONE,
    'ns1: {type: A, value: 198.51.100.53}',
    'ns1: {type: A, value: "2001:db8::53"}',
    '5:23 rdata-invalid',
    'is no IPv4 address',
  ),
  'a mistyped type of a name server': at(
    ZONE,
    'ns1: {type: A,',
    'ns1: {type: AA,',
    '5:13 value-invalid',
    '“AA” is no type of record',
  ),
  'NS without the last dot': at(
    ZONE,
    '[ns1.example.com., ns2.example.net.]',
    '[ns1.example.com, ns2.example.net]',
    '2:25 rdata-invalid',
    '“ns1.example.com” must end with a dot',
    2,
  ),
  'MX without the last dot': at(
    ZONE,
    'exchange: mail.example.com.',
    'exchange: mail',
    '3:52 rdata-invalid',
    '“mail” must end with a dot',
  ),
  'a TTL in words': at(ZONE, 'ttl: 600', 'ttl: 5 min', '8:8 value-invalid', '“5 min” where seconds'),
  'a negative TTL': at(ZONE, 'ttl: 600', 'ttl: -1', '8:8 value-invalid', '“-1” where seconds'),
  'an address with a port': at(
    'services.yaml',
    'fra: {vips: [192.0.2.11, ',
    'fra: {vips: ["192.0.2.11:443", ',
    '16:18 value-invalid',
    '“192.0.2.11:443” is no IP address',
  ),
  'an address without the middle': at(
    'services.yaml',
    'fra: {vips: [192.0.2.10, "2001:db8::10"]}',
    'fra: {vips: [192.0.2.10, "2001:db8:10"]}',
    '3:30 value-invalid',
    '“2001:db8:10” is no IP address',
  ),
  'a weight in percent': at(
    'services.yaml',
    'fra: {vips: [192.0.2.10, "2001:db8::10"]}',
    'fra: {weight: 50%, vips: [192.0.2.10, "2001:db8::10"]}',
    '3:19 value-invalid',
    '“50%” where a whole number from 0 to 1000',
  ),
  'an order by its kind': at(
    'services.yaml',
    'order: [[fra, ams], iad]',
    'order: listed',
    '7:10 value-invalid',
    'where nearest or a list of sites is wanted',
  ),
  'a list where one value is wanted': at(
    ZONE,
    '  value: 192.0.2.25',
    '  value: [192.0.2.25]',
    '9:10 value-kind',
    'a value is a list',
  ),
  'one value where a list is wanted': at(
    ZONE,
    '  value: 192.0.2.25',
    '  values: 192.0.2.25',
    '9:11 value-kind',
    '“values” is a text or number where a list is wanted',
  ),
  'sites as a list': at(
    'services.yaml',
    '  sites:\n    fra: {vips: [192.0.2.11, 192.0.2.12]}\n    lon: {vips: [203.0.113.11, 203.0.113.12]}',
    '  sites: [fra, lon]',
    '15:10 value-kind',
    '“sites” is a list where a mapping is wanted',
  ),
  'an interval without a unit': at(
    'defaults.yaml',
    'interval: 5s',
    'interval: 5',
    '4:62 value-invalid',
    '“5” where a duration',
  ),
  'coordinates beyond the pole': at(
    'sites.yaml',
    '[38.95, -77.45]',
    '[-177.45, 38.95]',
    '4:17 value-invalid',
    'no pair of latitude and longitude',
  ),
  'coordinates the other way round': at(
    'sites.yaml',
    '[50.11, 8.68]',
    '[8.68, 50.11]',
    '1:1 site-far (warning)',
    'site fra is',
  ),
  // records together
  'a CNAME beside others': at(
    ZONE,
    'blog: {type: CNAME, value: www.example.com.}',
    'blog: [{type: CNAME, value: www.example.com.}, {type: TXT, value: x}]',
    '12:8 cname-conflict',
    'a CNAME stands alone',
  ),
  'a steered name with an address': at(
    ZONE,
    'www: {type: GSLB, service: web}',
    'www: [{type: GSLB, service: web}, {type: A, value: 192.0.2.1}]',
    '10:7 gslb-conflict',
    'a steered name cannot have',
  ),
  'a name server without glue': at(
    ZONE,
    'ns1: {type: A',
    'ns3: {type: A',
    '2:25 ns-without-address',
    'ns1.example.com. is a name server within the zone',
  ),
  'no NS at the apex': at(
    ZONE,
    '  - {type: NS, values: [ns1.example.com., ns2.example.net.]}\n',
    '',
    '1:1 ns-missing',
    'has no NS at its apex',
  ),
  'a delegation above other names': at(
    ZONE,
    'mail:\n',
    'apps: {type: NS, value: ns1.example.net.}\nx.apps: {type: GSLB, service: web}\nmail:\n',
    '7:9 below-cut',
    'a steered name and 1 more record at or below the delegation of apps.example.com.: only',
  ),
  'a name in full': at(
    ZONE,
    'blog: {',
    'blog.example.com: {',
    '12:19 name-doubled (warning)',
    'blog.example.com.example.com. ends with the name of its zone twice',
  ),
}

const folders: string[] = []
afterEach(() => folders.splice(0).forEach((folder) => rmSync(folder, { recursive: true })))

/** The lines of `meridian check` that say where a problem is, without the folder; and those that belong to each. */
async function check(files: Readonly<Record<string, string>>): Promise<{ lines: string[]; problems: string[] }> {
  const folder = mkdtempSync(join(tmpdir(), 'meridian-mistakes-'))
  folders.push(folder)
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text)
  const err: string[] = []
  const output = { out: () => undefined, err: (text: string) => void err.push(text) }
  await run(['check', folder], output, () => Promise.resolve())
  const problems = err.map((text) => text.replaceAll(`${folder}/`, ''))
  return { lines: problems.map((text) => text.split('\n')[0]!), problems }
}

test('the folder that mistakes are made in has none', async () => {
  expect((await check(BASE)).problems).toEqual([])
})

test('there are thirty mistakes at least', () => {
  expect(Object.keys(MISTAKES).length).toBeGreaterThanOrEqual(30)
})

test.each(Object.entries(MISTAKES))('%s', async (_, { file, from, to, first, says, faults = 1 }) => {
  const { [file]: text, ...others } = BASE
  if (from !== file) expect(text!.split(from).length, 'the text that is replaced is there once').toBe(2)
  const files = from === file ? { ...others, [to]: text! } : { ...others, [file]: text!.replace(from, () => to) }
  const { lines, problems } = await check(files)
  const place = /^[\d]/.test(first) ? `${file}:${first}` : first
  expect(lines[0]).toContain(says)
  expect(lines[0]!.slice(0, place.length + 1)).toBe(`${place} `)
  expect(lines.length, lines.join('\n')).toBeLessThanOrEqual(2 * faults)
  // each says what would be right: in a hint, or in itself
  for (const problem of problems) expect(problem).toMatch(/\n {4}\S|where .* is wanted/)
})
