/** What is served while packets are thrown at it: the zones of the RFCs' tests and more, all settings on, and keys. */
import { PLAIN_PROTOCOL, type Protocol } from '../../src/answer/protocol.ts'
import { parsePrefix } from '../../src/dns/address.ts'
import { sipKey } from '../../src/dns/siphash.ts'
import { NAMES, ZONES } from '../rfc/zones.ts'
import { testKey } from '../support/signed.ts'

/** A zone to be transferred. */
const XFR = `"": {type: NS, values: [ns1.example.com.]}
www: {type: GSLB, service: web}
${Array.from({ length: 40 }, (_, i) => `t${i}: {type: TXT, values: [${'x'.repeat(60)}, second]}`).join('\n')}
`

/** Beside the zones of the RFCs' tests: names with two services, pools, spill, and every type of record. */
const MORE: Readonly<Record<string, string>> = {
  'defaults.yaml': `${ZONES['defaults.yaml']}zones:
  xfr.example: {transfer: {key: xfr}}
  open.example: {transfer: {allow: ["0.0.0.0/0", "::/0"]}}
`,
  'xfr.example.yaml': XFR,
  'open.example.yaml': XFR,
  'services/spill.yaml': `spill:
  sites:
    fra: {vips: [192.0.2.110, 192.0.2.111, "2001:db8::110"]}
    iad: {vips: [192.0.2.120]}
    sin: {vips: [192.0.2.130, "2001:db8::130"], weight: 0}
  spill: 3
  answers: 1
  rules: [{geos: [EU], order: [fra, iad], pick: random}]
  check: none
`,
  'pools.example.yaml': `"": {type: NS, values: [ns1.example.net., ns2.example.net.]}
both:
  - type: A
    ttl: 60
    values: [192.0.2.200, 192.0.2.201]
    dynamic:
      pools:
        eu: {fallback: us, values: [{value: 192.0.2.1, weight: 2}, {value: 192.0.2.2}]}
        us: {values: [{value: 192.0.2.3}, {value: 192.0.2.4, status: down}]}
      rules: [{geos: [EU], pool: eu}, {pool: us}]
  - {type: GSLB, service: spill, types: [AAAA]}
half:
  - {type: GSLB, service: spill, types: [A]}
  - {type: AAAA, value: "2001:db8::1"}
"*.pool": {type: A, values: [192.0.2.202], dynamic: {pools: {one: {values: [{value: 192.0.2.5}]}}, rules: [{pool: one}]}}
records:
  - {type: HTTPS, value: {svcpriority: 1, targetname: ., svcparams: {alpn: [h2], port: 8443}}}
  - {type: TLSA, value: {certificate_usage: 3, selector: 1, matching_type: 0, certificate_association_data: 00ff}}
  - {type: NAPTR, value: {order: 1, preference: 1, flags: U, service: S, regexp: "!a!b!", replacement: .}}
  - {type: LOC, value: {lat_degrees: 1, lat_minutes: 2, lat_seconds: 3, lat_direction: N, long_degrees: 1, long_minutes: 2, long_seconds: 3, long_direction: E, altitude: 4, size: 5, precision_horz: 6, precision_vert: 7}}
cut:
  - {type: NS, value: ns1.example.net.}
  - {type: DS, value: {key_tag: 1, algorithm: 13, digest_type: 2, digest: ${'ab'.repeat(32)}}}
`,
}

/** All of them, as files of a folder. */
export const FILES: Readonly<Record<string, string>> = { ...ZONES, ...MORE }

/** Names in and around them. */
export const ALL_NAMES: readonly string[] = [
  ...NAMES,
  ...['both', 'half', 'x.pool', 'records', 'cut', 'below.cut', 'none'].map((name) => `${name}.pools.example`),
  'pools.example',
  'xfr.example',
  'open.example',
  't3.xfr.example',
  'www.open.example',
]

/** Secrets of cookies: the first makes them. 16 bytes each. */
export const SECRETS = [new Uint8Array(16), new Uint8Array(16).fill(9)] as const
/** Keys of TSIG. One is nobody's. */
export const KEYS = [testKey('xfr'), testKey('large', 'hmac-sha512')] as const
export const UNKNOWN_KEY = testKey('unknown')
/** The network whose PROXY headers are believed. */
export const PROXIES = '127.0.7.0/24'

/** Everything on. */
export const PROTOCOL: Protocol = {
  ...PLAIN_PROTOCOL,
  nsid: Uint8Array.of(1, 2, 3),
  identity: Uint8Array.of(1, 65),
  reportChannel: Uint8Array.of(1, 97, 0),
  keepaliveMs: 10_000,
  cookies: SECRETS.map(sipKey),
  unprovenBytes: 600,
  tsigKeys: KEYS,
  proxies: [parsePrefix(PROXIES)!],
}
