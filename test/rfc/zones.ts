/**
 * The zones of the RFC tests and of fuzzing: every type, wildcards, empty non-terminals, delegations with and without
 * glue, CNAMEs of all fates, sets too large for UDP, and steered names of every kind. As YAML, for the real loader.
 */

const DEFAULTS = `soa: {mname: ns1.example.com., rname: hostmaster.example.com., serial: 7, minimum: 60}
ttl: 3600
`

const SITES = `fra: {location: [50.11, 8.68], region: eu, capacity: 300}
ams: {location: [52.31, 4.76], region: eu, capacity: 100}
iad: {location: [38.95, -77.45], region: us, capacity: 200}
sin: {location: [1.36, 103.99], region: ap, capacity: 200}
`

const SERVICES = `
web:
  sites:
    fra: {vips: [192.0.2.10, "2001:db8:1::10"]}
    iad: {vips: [198.51.100.10, "2001:db8:2::10"]}
    sin: {vips: [203.0.113.10, "2001:db8:3::10"]}
  order: nearest
  spill: 1
  ttl: {max: 60, min: 15}
  check: none
four:
  sites:
    fra: {vips: [192.0.2.20, 192.0.2.21], weight: 10}
    ams: {vips: [192.0.2.30], weight: 20}
    sin: {vips: [203.0.113.20]}
  order: nearest
  spread: 500km
  ttl: {max: 90, min: 20}
  check: none
dice:
  sites:
    fra: {vips: [192.0.2.40, 192.0.2.41, 192.0.2.42], weight: 10}
    sin: {vips: [203.0.113.40], weight: 1}
  order: [[fra, sin]]
  pick: random
  answers: 2
  check: none
gone:
  sites:
    fra: {vips: [192.0.2.50]}
  order: [fra]
  lastResort: nodata
  ttl: {max: 60, min: 15}
  check: none
cdn:
  sites:
    fra: {vips: [{name: fra.cdn.example.org.}, {name: fra2.cdn.example.org.}]}
    sin: {vips: [{name: host.example.com.}]}
  order: [[fra, sin]]
  lastResort: {name: www.example.net.}
  check: none
page:
  sites:
    fra: {vips: [192.0.2.60, "2001:db8:1::60"]}
  order: [fra]
  lastResort: {values: [192.0.2.66, "2001:db8::66"]}
  check: none
`

const list = (count: number, value: (i: number) => string): string =>
  `[${Array.from({ length: count }, (_, i) => value(i)).join(', ')}]`

const EXAMPLE_COM = `
"":
  - {type: NS, values: [ns1.example.com., ns2.example.com.]}
  - {type: MX, values: [{preference: 10, exchange: mail.example.com.}, {preference: 20, exchange: mail.example.net.}]}
  - {type: CAA, value: {flags: 0, tag: issue, value: ca.example.net}}
  - {type: TXT, values: ['v=spf1 -all', 'second']}
  - {type: GSLB, service: web}
ns1: [{type: A, value: 192.0.2.53}, {type: AAAA, value: "2001:db8::53"}]
ns2: {type: A, value: 198.51.100.53}
mail: {type: A, ttl: 300, values: [192.0.2.25, 192.0.2.26]}
www: {type: GSLB, service: web}
four: {type: GSLB, service: four}
capped: {type: GSLB, service: web, ttl: 10}
only4: {type: GSLB, service: web, types: [A]}
dice: {type: GSLB, service: dice}
gone: {type: GSLB, service: gone}
page: {type: GSLB, service: page}
mixed: [{type: GSLB, service: four}, {type: TXT, value: beside}]
"*.apps": {type: GSLB, service: web}

host: [{type: A, ttl: 300, value: 192.0.2.80}, {type: AAAA, ttl: 300, value: "2001:db8::80"}]
MixedCase: {type: A, value: 192.0.2.81}
_sip._tcp: {type: SRV, values: [{priority: 1, weight: 2, port: 5060, target: host.example.com.}]}
ptr: {type: PTR, value: host.example.com.}
text: {type: TXT, value: 'semi\\; "quoted" colon'}

"*.wild": [{type: A, value: 192.0.2.90}, {type: MX, value: {preference: 5, exchange: mail.example.com.}}]
exists.wild: {type: TXT, value: here}
a.ent.wild: {type: TXT, value: deep}
sub.*.star: {type: TXT, value: under an asterisk}
"*.star": {type: TXT, value: asterisk}
"*.cname": {type: CNAME, value: host.example.com.}
"*.cut.wildcut": {type: A, value: 192.0.2.91}
x.y.z: {type: A, value: 192.0.2.82}

alias: {type: CNAME, ttl: 120, value: host.example.com.}
chain1: {type: CNAME, value: chain2.example.com.}
chain2: {type: CNAME, value: alias.example.com.}
loop1: {type: CNAME, value: loop2.example.com.}
loop2: {type: CNAME, value: loop1.example.com.}
self: {type: CNAME, value: self.example.com.}
outside: {type: CNAME, value: www.example.org.}
other: {type: CNAME, value: host.example.net.}
missing: {type: CNAME, value: nothing.example.com.}
nodata: {type: CNAME, value: text.example.com.}
below: {type: CNAME, value: www.child.example.com.}
steered: {type: CNAME, value: www.example.com.}
toapex: {type: CNAME, value: example.com.}
towild: {type: CNAME, value: any.wild.example.com.}
long: {type: CNAME, value: long1.example.com.}
${Array.from({ length: 20 }, (_, i) => `long${i + 1}: {type: CNAME, value: long${i + 2}.example.com.}`).join('\n')}
long21: {type: A, value: 192.0.2.83}

old: [{type: DNAME, value: wild.example.com.}, {type: A, value: 192.0.2.84}]
grow: {type: DNAME, value: a.grow.example.com.}
turn: {type: DNAME, value: example.net.}
toold: {type: CNAME, value: any.old.example.com.}
cdn: {type: GSLB, service: cdn}
hinted:
  - {type: GSLB, service: web}
  - {type: HTTPS, hints: web, value: {svcpriority: 1, targetname: ., svcparams: {alpn: [h2], ech: AEj+DQBE}}}
  - {type: SVCB, hints: page, values: ${list(20, (i) => `{svcpriority: ${i + 1}, targetname: t${i}.example.net.}`)}}

many: {type: A, values: ${list(60, (i) => `192.0.2.${i + 100}`)}}
huge: {type: TXT, values: ${list(12, (i) => `'${String.fromCharCode(97 + i).repeat(200)}'`)}}

child:
  - {type: NS, values: [ns1.child.example.com., ns2.child.example.com.]}
ns1.child: [{type: A, value: 192.0.2.101}, {type: AAAA, value: "2001:db8::101"}]
ns2.child: {type: A, value: 192.0.2.102}
away: {type: NS, values: [ns.example.org., ns1.example.com.]}
sibling: {type: NS, values: [ns1.child.example.com.]}
bulky: {type: NS, values: ${list(12, (i) => `n${i}.bulky.example.com.`)}}
${Array.from({ length: 12 }, (_, i) => `n${i}.bulky: {type: AAAA, value: "2001:db8:b::${(i + 1).toString(16)}"}`).join('\n')}
`

const EXAMPLE_NET = `
"": {type: NS, values: [ns1.example.com., ns2.example.com.]}
host: {type: A, value: 192.0.2.180}
mail: {type: A, value: 192.0.2.125}
back: {type: CNAME, value: host.example.com.}
away: {type: CNAME, value: www.example.com.}
"*": {type: TXT, value: everywhere}
inner: {type: NS, values: [ns1.example.com.]}
into: {type: CNAME, value: www.inner.example.net.}
`

/** Zones below a zone that is here too: delegated there, and not. */
const INNER = `
"": {type: NS, values: [ns1.example.com., ns2.example.com.]}
www: {type: A, value: 192.0.2.200}
`
const HIDDEN = `
"": {type: NS, values: [ns2.example.com.]}
www: {type: A, value: 192.0.2.201}
`

export const ZONES: Readonly<Record<string, string>> = {
  'defaults.yaml': DEFAULTS,
  'sites.yaml': SITES,
  'services.yaml': SERVICES,
  'example.com.yaml': EXAMPLE_COM,
  'example.net.yaml': EXAMPLE_NET,
  'inner.example.net.yaml': INNER,
  'hidden.example.net.yaml': HIDDEN,
}

/** Names in and around them, for fuzzing. */
export const NAMES: readonly string[] = [
  ...[...EXAMPLE_COM.matchAll(/^"?([\w.*]+)"?:/gm)].map(([, name]) => `${name}.example.com`),
  ...['host', 'back', 'away', 'anything', 'mail', 'inner', 'www.inner', 'x.inner', 'hidden', 'x.hidden', 'into'].map(
    (name) => `${name}.example.net`,
  ),
  ...[
    'any.wild',
    'ent.wild',
    'a.b.c.wild',
    'x.exists.wild',
    'z',
    'y.z',
    'q.apps',
    'any.cname',
    'x.old',
    'x.y.grow',
    'mail.turn',
  ].map((name) => `${name}.example.com`),
  ...['www.child', 'a.b.c.child', 'www.sibling', 'n0.bulky'].map((name) => `${name}.example.com`),
  'example.com',
  'example.net',
  'com',
  '.',
  'example.org',
]
