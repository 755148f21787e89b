/** RDATA as BIND's dig reads it off the wire, and as octoDNS's YAML has it: what we write and print is what others read. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { formatName } from '../../src/dns/name.ts'
import { ZONE_TYPES } from '../../src/dns/rdata.ts'
import { typeName, typeNumber } from '../../src/dns/types.ts'
import { WORD_FORMS } from '../../src/dns/words.ts'
import { loadFolder } from '../../src/load/load.ts'
import { makeNode } from '../answer/fixture.ts'
import { type Running, start } from '../server/fixture.ts'
import { presented, writeZones } from '../support/folder.ts'
import { recordsOf } from '../support/records.ts'

/** Each type, in octoDNS's keys and with documentation's names and addresses. */
const ZONE = String.raw`
"":
  - {type: NS, values: [ns1.example.net.]}
  - {type: CAA, value: {flags: 128, tag: issue, value: "ca.example.net; policy=ev"}}
a: {type: A, values: [192.0.2.1, 192.0.2.2]}
aaaa: {type: AAAA, value: "2001:db8::1"}
cname: {type: CNAME, value: www.bücher.example.}
ptr: {type: PTR, value: host.example.net.}
mx: {type: MX, values: [{preference: 10, exchange: mx.example.net.}, {preference: 0, exchange: .}]}
_sip._tcp: {type: SRV, value: {priority: 1, weight: 2, port: 5060, target: sip.example.net.}}
spf: {type: SPF, value: v=spf1 ip4:192.0.2.0/24 -all}
txt: {type: TXT, values: ['v=DKIM1\; k=rsa', '"a;b" "c"', 'é']}
loc:
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
    - altitude: -20.5
      lat_degrees: 90
      lat_direction: N
      lat_minutes: 0
      lat_seconds: 0
      long_degrees: 2
      long_direction: W
      long_minutes: 18
      long_seconds: 26.999
      precision_horz: 0.25
      precision_vert: 0
      size: 90000000
sshfp: {type: SSHFP, value: {algorithm: 4, fingerprint_type: 2, fingerprint: 7491973e5f8b39d5327cd4e08bc81b05f7710b49aabbccddeeff001122334455}}
_443._tcp.tlsa: {type: TLSA, value: {certificate_usage: 3, selector: 1, matching_type: 1, certificate_association_data: 7491973e5f8b39d5327cd4e08bc81b05f7710b49aabbccddeeff001122334455}}
naptr: {type: NAPTR, value: {order: 100, preference: 50, flags: U, service: SIP+D2U, regexp: '!^(.*)$!sip:\\1@example.com!', replacement: .}}
pgp: {type: OPENPGPKEY, value: mQINBFit2jsBEADrbl5vjVxYeAE0g0IDYCBpHirv1Sjlqxx5gjtPhb2YhvyDMXjqmBxbkZ3m}
hinfo: {type: HINFO, value: {cpu: amd64, os: "linux 6"}}
rp: {type: RP, value: {mbox: admin.example.net., txt: who.example.net.}}
dname: {type: DNAME, value: example.net.}
strings: {type: TXT, value: '"v=spf1" " -all" ""'}
opaque: {type: TYPE65280, values: ['\# 4 01020304', '\# 0']}
_ftp._tcp: {type: URI, value: {priority: 10, weight: 1, target: "ftp://ftp1.example.com/public"}}
sec: [{type: NS, value: ns.example.org.}, {type: DS, value: {key_tag: 60485, algorithm: 5, digest_type: 1, digest: 2BB183AF5F22588179A53B0A98631FAD1A292118}}]
svc:
  type: SVCB
  values:
    - svcpriority: 1
      targetname: svc4.example.net.
      svcparams:
        port: 8443
        alpn: [h2, 'f\\oo,bar', h3]
        key667: hello\210x
        mandatory: [port, alpn]
        ipv6hint: ["2001:db8::1"]
        ipv4hint: [192.0.2.1, 192.0.2.2]
        ech: AEj+DQBE
        no-default-alpn:
    - {svcpriority: 0, targetname: svc.example.org.}
https: {type: HTTPS, value: {svcpriority: 1, targetname: ., svcparams: {key65280: , alpn: [h3], no-default-alpn: null}}}
`
/** The types that are written as dig prints them: an example of each, and more of those that have variants. */
const WORDS: Readonly<Record<string, readonly string[]>> = {
  ...Object.fromEntries([...WORD_FORMS].map(([type, { example }]) => [typeName(type), [example]])),
  WKS: ['192.0.2.1 6 25 80 443 65535', '192.0.2.1 17 53', '192.0.2.2 6'],
  ISDN: ['"150862028003217"', '"150862028003217" "004"'],
  CERT: ['PKIX 0 0 AQIDBA==', 'PGP 1 RSASHA256 AQID', '65280 65535 255 BA=='],
  APL: ['1:192.0.2.0/24 !1:192.0.2.64/28 2:ff00::/8', '1:0.0.0.0/0', '!2:2001:db8::1/128'],
  IPSECKEY: [
    '10 0 2 . AQNRU3mG7TVTO2BkR47usntb102uFJtugbo6BSGvgqt4AQ==',
    '10 1 2 192.0.2.38 AQNR',
    '0 2 2 2001:db8::8 AQNR',
    '255 3 2 mygateway.example.net. AQNR',
  ],
  HIP: [
    '2 200100107B1A74DF365639CC39F1D578 AwEAAbdx',
    '2 200100107B1A74DF365639CC39F1D578 AwEAAbdx rvs1.example.net. rvs2.example.net.',
  ],
  CSYNC: ['66 3 A NS AAAA', '0 0 SOA TYPE65280'],
  AMTRELAY: ['10 0 0 .', '10 1 1 203.0.113.15', '10 0 2 2001:db8::15', '10 1 3 amtrelays.example.net.'],
  NSAP: ['0x47000580ffff000000321099991111222233334444'],
  AVC: ['"app-name:WOLFGANG|app-class:OAM" "more"'],
}
const WORD_ZONE = Object.entries(WORDS)
  .map(
    ([type, values]) =>
      `w-${type.toLowerCase()}: {type: ${type}, values: [${values.map((value) => `'${value}'`).join(', ')}]}\n`,
  )
  .join('')

const FILES = { 'defaults.yaml': 'soa: {serial: 1}\n', 'example.com.yaml': ZONE + WORD_ZONE }

let running: Running

beforeAll(async () => {
  const { made } = await makeNode(FILES)
  running = await start({ world: made.world })
})
afterAll(() => running.server.stop())

/** Asks dig for all of them at once: the answers, by name and type's number, as dig prints them. */
async function dig(asked: readonly (readonly [name: string, type: number])[]): Promise<Map<string, string[]>> {
  const { address, port } = running.server.listen[0]!
  const global = [`@${address}`, '-p', String(port), '+noall', '+answer', '+nosplit', '+tries=3', '+time=5']
  // by numbers, for older digs do not know all mnemonics
  const questions = asked.flatMap(([name, type]) => [name, `TYPE${type}`])
  const { stdout } = await promisify(execFile)('dig', [...global, ...questions])
  const lines = stdout.split('\n').map((line) => /^(\S+)\s+\d+\s+IN\s+(\S+)\s+(.*)$/.exec(line)?.slice(1))
  const answers = Map.groupBy(
    lines.filter((line) => line !== undefined),
    ([owner, type]) => `${owner!.toLowerCase()} ${typeNumber(type!)}`,
  )
  return new Map([...answers].map(([key, all]) => [key, all.map((line) => line[2]!)]))
}

test('every type that a zone may hold is printed by dig as by us', async () => {
  const { model } = await loadFolder(writeZones(FILES))
  const records = [...recordsOf(model!.zones[0]!)]
    .map(({ owner, type, rdata }) => ({
      owner: formatName(owner),
      type,
      ours: rdata.map((one) => presented(type, one)),
    }))
    .filter(({ owner, type }) => owner !== 'sec.example.com.' || typeName(type) !== 'NS') // a referral, and no answer
  const answers = await dig(records.map(({ owner, type }) => [owner, type]))
  for (const { owner, type, ours } of records) {
    expect(answers.get(`${owner} ${type}`)?.toSorted(), `${owner} ${typeName(type)}`).toEqual(ours.toSorted())
    if (WORD_FORMS.has(type)) expect(ours, typeName(type)).toEqual(WORDS[typeName(type)])
  }
  const types = new Set(records.map(({ type }) => typeName(type)))
  expect([...types].toSorted()).toEqual([...ZONE_TYPES, 'TYPE65280'].toSorted())
})
