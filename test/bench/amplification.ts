/**
 * How many bytes a response has for each byte of its query, by kind of answer: what a victim would get, without rate
 * limits and with them. DNS messages alone, without IP and UDP headers (28 bytes each way, IPv6 48), which make every
 * ratio less. `npm run bench -- amplification` prints the table of docs/abuse.md.
 */
import { makeLimits } from '../../src/answer/abuse/limits.ts'
import { respond } from '../../src/answer/answer.ts'
import { PLAIN_PROTOCOL } from '../../src/answer/protocol.ts'
import { makeRequest, makeResponder, type Responder } from '../../src/answer/responder.ts'
import { makeCounters } from '../../src/counters.ts'
import { sipKey } from '../../src/dns/siphash.ts'
import { OPTION } from '../../src/dns/types.ts'
import { makeNode } from '../answer/fixture.ts'
import { encode, type Question } from '../support/ask.ts'

const addresses = (count: number): string =>
  Array.from({ length: count }, (_, i) => `192.0.2.${i + 1}, "2001:db8::${i + 1}"`).join(', ')
const text = (size: number, count: number): string =>
  Array.from({ length: count }, (_, i) => `"${String(i).padEnd(size, 'x')}"`).join(', ')

const FILES = {
  'sites.yaml': 'fra: {location: [50.11, 8.68], region: eu}\n',
  'services.yaml': [1, 2, 8]
    .map((count) => `web${count}:\n  sites:\n    fra: {vips: [${addresses(count)}]}\n  check: none\n`)
    .join(''),
  'example.com.yaml': `
"":
  - {type: NS, values: [ns1.example.com., ns2.example.com.]}
  - {type: MX, values: [{preference: 10, exchange: mail1.example.com.}, {preference: 20, exchange: mail2.example.com.}]}
ns1: [{type: A, values: [192.0.2.53]}, {type: AAAA, values: ["2001:db8::53"]}]
ns2: [{type: A, values: [192.0.2.54]}, {type: AAAA, values: ["2001:db8::54"]}]
www: {type: GSLB, service: web1}
www2: {type: GSLB, service: web2}
www8: {type: GSLB, service: web8}
alias: {type: CNAME, value: static.example.com.}
static: {type: A, values: [192.0.2.80]}
text: {type: TXT, values: [${text(60, 1)}]}
more: {type: TXT, values: [${text(200, 2)}]}
texts: {type: TXT, values: [${text(200, 5)}]}
below: {type: NS, values: [ns1.below.example.com., ns2.below.example.com.]}
ns1.below: [{type: A, values: [192.0.2.1]}, {type: AAAA, values: ["2001:db8::1"]}]
ns2.below: [{type: A, values: [192.0.2.2]}, {type: AAAA, values: ["2001:db8::2"]}]
wide: {type: NS, values: [${Array.from({ length: 13 }, (_, i) => `ns${i}.wide.example.com.`).join(', ')}]}
${Array.from({ length: 13 }, (_, i) => `ns${i}.wide: [{type: A, values: [192.0.2.${i + 1}]}, {type: AAAA, values: ["2001:db8::${i + 1}"]}]`).join('\n')}
`,
}

const KINDS: readonly (readonly [kind: string, q: string])[] = [
  ['A, steered, one VIP', 'www.example.com A'],
  ['A, steered, two VIPs', 'www2.example.com A'],
  ['A, steered, eight VIPs', 'www8.example.com A'],
  ['AAAA, steered, one VIP', 'www.example.com AAAA'],
  ['AAAA, steered, eight VIPs', 'www8.example.com AAAA'],
  ['CNAME and its A', 'alias.example.com A'],
  ['NS of the zone', 'example.com NS'],
  ['SOA', 'example.com SOA'],
  ['MX, two', 'example.com MX'],
  ['TXT, 60 bytes', 'text.example.com TXT'],
  ['TXT, 400 bytes', 'more.example.com TXT'],
  ['TXT, 1,000 bytes', 'texts.example.com TXT'],
  ['ANY', 'www.example.com ANY'],
  ['DNSKEY, without DNSSEC', 'example.com DNSKEY'],
  ['NODATA', 'www.example.com MX'],
  ['NXDOMAIN', 'no.example.com A'],
  ['referral, 2 servers with glue', 'www.below.example.com A'],
  ['referral, 13 servers with glue', 'www.wide.example.com A'],
  ['REFUSED', 'www.example.org A'],
]

const COLUMNS: readonly (readonly [heading: string, extra: Partial<Question>])[] = [
  ['without EDNS', {}],
  ['EDNS', { payload: 1232 }],
  ['EDNS, ECS', { payload: 1232, ecs: '198.51.100.0/24' }],
  ['EDNS, first cookie', { payload: 1232, options: [{ code: OPTION.COOKIE, data: new Uint8Array(8) }] }],
]
/** As a node is without settings of its own. */
const PROTOCOL = { ...PLAIN_PROTOCOL, cookies: [sipKey(new Uint8Array(16))], unprovenBytes: 512 }

export async function run(): Promise<void> {
  console.log((await amplificationTable()).join('\n'))
}

/** The lines of the table. */
export async function amplificationTable(): Promise<readonly string[]> {
  const { made, health } = await makeNode(FILES)
  const responder = makeResponder(made.world, health, makeCounters(), PROTOCOL)
  const limits = makeLimits({ perSecond: [1, 1, 1, 1], unproven: 0, slip: 1, threads: 1, exempt: [] }, 1)
  const limited = makeResponder(made.world, health, makeCounters(), { ...PROTOCOL, limits })
  const size = sizeOf(responder, encode({ q: 'www.example.com A', ...COLUMNS.at(-1)![1] }))
  const cookie = output.slice(size - 24, size) // the last bytes of a response are its cookie
  const valid = { payload: 1232, options: [{ code: OPTION.COOKIE, data: cookie }] }
  const headings = ['answer', ...COLUMNS.map(([heading]) => heading), 'EDNS, valid cookie', 'beyond a limit']
  const rows = KINDS.map(([kind, q]) => {
    const cells = [...COLUMNS.map(([, extra]) => extra), valid].map((extra) => cell(responder, encode({ q, ...extra })))
    const ratios = COLUMNS.map(([, extra]) => {
      const query = encode({ q, ...extra })
      sizeOf(limited, query)
      sizeOf(limited, query)
      return sizeOf(limited, query) / query.length
    })
    return `| ${[kind, ...cells, Math.max(...ratios).toFixed(1)].join(' | ')} |`
  })
  return [`| ${headings.join(' | ')} |`, `|${'---|'.repeat(headings.length)}`, ...rows]
}

/** Bytes in, bytes out, the ratio; truncated where the answer does not fit. */
function cell(responder: Responder, query: Uint8Array): string {
  const size = sizeOf(responder, query)
  const truncated = (output[2]! & 2) !== 0 ? ', TC' : ''
  return `${query.length} → ${size} (${(size / query.length).toFixed(1)}${truncated})`
}

const output = new Uint8Array(4096)
const client = Uint8Array.of(192, 0, 2, 1)

const sizeOf = (responder: Responder, query: Uint8Array): number =>
  respond(responder, makeRequest({ input: query, client, output }))
