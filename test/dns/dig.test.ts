/** RDATA as BIND's dig reads it off the wire, and as octoDNS's YAML has it: what we write and print is what others read. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { formatName } from '../../src/dns/name.ts'
import { ZONE_TYPES } from '../../src/dns/rdata.ts'
import { typeName } from '../../src/dns/types.ts'
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
const FILES = { 'defaults.yaml': 'soa: {serial: 1}\n', 'example.com.yaml': ZONE }

let running: Running

beforeAll(async () => {
  const { made } = await makeNode(FILES)
  running = await start({ world: made.world })
})
afterAll(() => running.server.stop())

async function dig(name: string, type: string): Promise<string[]> {
  const { address, port } = running.server.listen[0]!
  const asked = [`@${address}`, '-p', String(port), '+short', '+nosplit', '+tries=3', '+time=5', name, type]
  const { stdout } = await promisify(execFile)('dig', asked)
  return stdout.split('\n').filter((line) => line !== '')
}

test('every type that a zone may hold is printed by dig as by us', async () => {
  const { model } = await loadFolder(writeZones(FILES))
  const types = new Set<string>()
  for (const { owner, type, rdata } of recordsOf(model!.zones[0]!)) {
    const full = formatName(owner)
    const ours = rdata.map((bytes) => presented(type, bytes))
    if (full === 'sec.example.com.' && typeName(type) === 'NS') continue // a referral: dig +short shows answers
    types.add(typeName(type))
    expect((await dig(full, typeName(type))).toSorted(), full).toEqual(ours.toSorted())
  }
  expect([...types].toSorted()).toEqual([...ZONE_TYPES, 'TYPE65280'].toSorted())
})
