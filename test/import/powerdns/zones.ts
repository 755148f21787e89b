/** A zones file of PowerDNS's geoip backend with what its documentation has, so far as Meridian can say it, and the questions. */
export const ZONES = `
domains:
- domain: geo.example.com
  ttl: 30
  mapping_lookup_formats: ['%cc-%re', '%cc']
  custom_mapping:
    us-ca: west
    us: east
    de: central
    fr: central
  records:
    geo.example.com:
      - soa: ns1.example.com hostmaster.example.com 2014090125 7200 3600 1209600 3600
      - ns:
          content: ns1.example.com
          ttl: 600
      - ns: {content: ns2.example.com, ttl: 600}
      - mx: 10 mx.example.com
      - txt: hello world; and more
    de.eu.service.geo.example.com:
      - a: 192.0.2.2
      - aaaa: 2001:db8::12:34de:3
      - txt: the same
    se.eu.service.geo.example.com:
      - a: 192.0.2.3
      - a: 192.0.2.33
      - aaaa: 2001:db8::3
      - txt: the same
    us.na.service.geo.example.com:
      - a: 192.0.2.4
      - aaaa: 2001:db8::4
      - txt: the same
    cy.eu.service.geo.example.com:
      - a: 192.0.2.5
      - aaaa: 2001:db8::5
      - txt: the same
    internal.service.geo.example.com:
      - a: 10.0.0.1
      - aaaa: 2001:db8::10
      - txt: the same
    rest.geo.example.com:
      - a: 192.0.2.99
      - aaaa: 2001:db8::99
      - txt: the same
    west.mp.geo.example.com: [{a: 192.0.2.41}]
    east.mp.geo.example.com: [{a: 192.0.2.42}]
    central.mp.geo.example.com: [{a: 192.0.2.43}]
    unknown.mp.geo.example.com: [{a: 192.0.2.44}]
    ca.us.re.geo.example.com: [{a: 192.0.2.51}]
    us.re.geo.example.com: [{a: 192.0.2.52}]
    eu.cont.geo.example.com: [{cname: eu.example.net}]
    na.cont.geo.example.com: [{cname: na.example.net}]
    other.cont.geo.example.com: [{cname: other.example.net}]
    plain.geo.example.com:
      - a: 192.0.2.61
        # two addresses
      - a: 192.0.2.62
      - txt: '"a" "b \\"c\\""'
      - caa: 0 issue "ca.example.net"
      - srv: 10 20 443 plain.geo.example.com
    "*.wild.geo.example.com":
      - a: 192.0.2.63
    both.geo.example.com:
      - mx: 20 mx.example.com
    weighted.geo.example.com:
      - a: {content: 192.0.2.71, weight: 50}
      - a: 192.0.2.72
      - aaaa: {content: "2001:db8::71", weight: 30}
      - aaaa: {content: "2001:db8::72", weight: 10}
    one.geo.example.com:
      - a: {content: 192.0.2.73, weight: 50}
      - a: {content: 192.0.2.74, weight: 50}
      - aaaa: "2001:db8::73"
      - aaaa: "2001:db8::74"
  services:
    service.geo.example.com:
      default: ['%cc.%cn.service.geo.example.com', 'rest.geo.example.com']
      10.0.0.0/8: internal.service.geo.example.com
      10.1.0.0/16: rest.geo.example.com
      2001:db8::/32: internal.service.geo.example.com
    mp.geo.example.com: '%mp.mp.geo.example.com'
    re.geo.example.com: ['%re.%cc.re.geo.example.com', '%co.re.geo.example.com', 'unknown.mp.geo.example.com']
    cont.geo.example.com: ['%cn.cont.geo.example.com', 'other.cont.geo.example.com']
    cdn.geo.example.com: ['%cc.cdn.example.net']
    both.geo.example.com: ['%cc.%cn.service.geo.example.com', 'rest.geo.example.com']
    same.geo.example.com: weighted.geo.example.com
`

export const DRAWN = ['weighted', 'one', 'same'].map((name) => `${name}.geo.example.com`)

export const NAMES =
  '@ service service both both mp mp re re cont cdn plain rest x.wild wild none de.eu.service eu.service west.mp ca.us.re us.re eu.cont'
    .split(' ')
    .map((name) => (name === '@' ? 'geo.example.com' : `${name}.geo.example.com`))
