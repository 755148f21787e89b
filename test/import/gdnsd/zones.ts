/**
 * A configuration of gdnsd with what its manual pages have: each plugin, maps by place and by distance, networks, datacenters of
 * addresses, of pools and of names. Nothing of it is probed: it is up, or down for good.
 */
export const ZONE = `
@         SOA ns1 hostmaster ( 1 7200 30M 3D 900 )
@         NS ns1
ns1       A 192.0.2.53
          AAAA 2001:db8::53
$TTL 300
@         300/300 DYNA geoip!prod_www
www       600/600 DYNA geoip!prod_www
www-de    600/600 DYNA geoip!prod_www/de-01
app       60/60 DYNA geoip!prod_app
app       MX 10 mail
second    60/60 DYNA geoip!second
mail      A 192.0.2.25
alias     CNAME app
cdn       600/600 DYNC geoip!cdn
web4      180/180 DYNA multifo!pool4
both      180/180 DYNA multifo!both
pair      180/180 DYNA simplefo!pair
meta      600/600 DYNA metafo!prod
meta-m2   600/600 DYNA metafo!prod/m2
foo       700/700 DYNC metafo!foo
nested    600/600 DYNA metafo!nested
last      600/600 DYNC metafo!www
nearest   60/60 DYNA geoip!auto
dead1     60/60 DYNA metafo!dead1
dead2     60/60 DYNA metafo!dead2
dead3     60/60 DYNC metafo!dead3
dead4     60/60 DYNA geoip!dead4
fixed     42 DYNA static!fixed
acname    400 DYNC static!elsewhere
zeros     600 DYNA null
deep.@Z   A 192.0.2.54
text      TXT "one \\"two\\"" three
_sip._tcp SRV 10 20 5060 mail
naptr     NAPTR 100 10 "s" "SIP+D2U" "" _sip._tcp
caa       CAA 0 issue "ca.example.net"
unknown   TYPE65280 \\# 4 0A000001
sub       NS ns.sub
ns.sub    A 192.0.2.60
*.wild    300/300 DYNA geoip!auto
cnames    300/300 DYNC weighted!cnames
weighted  300/300 DYNA weighted!addrs
groups    300/300 DYNA weighted!groups
families  300/300 DYNA weighted!families
`

/** Names whose answers chance decides. */
export const DRAWN = ['cnames', 'weighted', 'groups', 'families'].map((name) => `${name}.example.com`)

/** All other names, and some that there are not. */
export const NAMES = (
  '@ ns1 www www-de app second mail alias cdn web4 both pair meta meta-m2 dead1 dead2 dead3 dead4 foo nested last nearest fixed acname zeros deep text ' +
  '_sip._tcp naptr caa unknown www.sub x.wild none _tcp wild'
)
  .split(' ')
  .map((name) => (name === '@' ? 'example.com' : `${name}.example.com`))

export const NETS = `
198.51.100.0/24 => [ br-01, sg-01 ] ; a comment
2001:db8:1::/48 => de-01
`

/** The file \`config\`. */
export const config = (database: string, port: number, run: string): string => `
options => { listen => 127.0.0.1:${port}, zones_default_ttl = 7200, udp_threads = 1, tcp_threads = 1, run_dir = ${run}/run, state_dir = ${run}/state }
plugins => {
  static => { fixed = 192.0.2.200, elsewhere => www.example.net. }
  null => {}
  multifo => {
    up_thresh => 0.3
    pool4 => { lb01 => 192.0.2.1, lb02 => 192.0.2.2, lb03 => 192.0.2.3 }
    both => { service_types => up, addrs_v4 => [ 192.0.2.4, 192.0.2.5 ], addrs_v6 => { a => 2001:db8::4 } }
  }
  simplefo => { pair => { primary => 192.0.2.6, secondary => 192.0.2.7 } }
  weighted => {
    cnames => { one = [ lb01.example.org., 30 ], two = [ lb02.example.org., 10 ] }
    addrs => { a = [ 192.0.2.8, 44 ], b = [ 192.0.2.9, 11 ] }
    groups => { g1 => { x = [ 192.0.2.11, 2 ], y = [ 192.0.2.12, 2 ] }, g2 => { z = [ 192.0.2.13, 1 ], w = [ 192.0.2.14, 1 ] } }
    families => { addrs_v4 => { a = [ 192.0.2.15, 3 ], b = [ 192.0.2.16, 1 ] }, addrs_v6 => { a = [ 2001:db8::15, 1 ], b = [ 2001:db8::16, 1 ] } }
  }
  metafo => { resources => {
    prod => { datacenters => [ m1, m2, m3 ]
      dcmap => { m1 => 192.0.2.21, m2 => { lb01 => 192.0.2.22, lb02 => 192.0.2.23 }, m3 => [ 192.0.2.24, 192.0.2.25 ] } }
    foo => { datacenters => [ m1, bk ], dcmap => { m1 => { lb01 => 192.0.2.26 }, bk => fallback.example.org. } }
    nested => { datacenters => [ a, b, c ]
      dcmap => { a => %simplefo!pair, b => !pool4, c => { plugin => weighted, l1 => [ 192.0.2.27, 3 ], l2 => [ 192.0.2.28, 1 ] } } }
    dead1 => { datacenters => [ m1, m2 ], dcmap => { m1 => { service_types => down, a => 192.0.2.31 }, m2 => 192.0.2.32 } }
    dead2 => { datacenters => [ m1, m2 ], service_types => down, dcmap => { m1 => 192.0.2.33, m2 => 192.0.2.34 } }
    dead3 => { datacenters => [ m1, bk ], service_types => down, dcmap => { m1 => 192.0.2.35, bk => fallback.example.org. } }
    www => { datacenters => [ real, backup ], dcmap => { real => %geoip!auto, backup => backup.example.org. } }
  } }
  geoip => {
    maps => {
      prod_map => {
        geoip2_db => ${database}
        datacenters => [ us-01, de-01, sg-01 ]
        map => {
          # by continent, country and subdivision
          NA => { US => { CA => [ sg-01, us-01 ] }, MX => [ de-01 ] }
          SA => [ us-01, sg-01, de-01 ]
          EU => { default => [ de-01, us-01, sg-01 ], CH => [ sg-01 ], GB => { default => [ us-01 ], SCT => [ de-01 ] } }
          AF => [ de-01, us-01, sg-01 ]
          AS => { default => [ sg-01, de-01, us-01 ], JP => [ us-01, sg-01 ] }
          OC => [ sg-01, us-01, de-01 ]
        }
        nets => { 10.0.0.0/8 => [ de-01 ], 2001:DB8::/32 => us-01, 10.1.0.0/16 => [ sg-01, us-01 ] }
      }
      auto_map => {
        geoip2_db => ${database}
        datacenters => [ us-01, de-01, sg-01, br-01 ]
        auto_dc_coords => { us-01 => [ 38.9, -77 ], de-01 => [ 50.1, 8.7 ], sg-01 => [ 1.3, 103.9 ], br-01 => [ -23.5, -46.6 ] }
        map => { EU => { GB => [ us-01, de-01 ] }, AF => { default => [ de-01, br-01 ], ZA => auto } }
        nets => nets-file
      }
    }
    resources => {
      prod_www => { map => prod_map
        dcmap => { us-01 => 192.0.2.101, de-01 => { lb01 => 192.0.2.102, lb02 => 192.0.2.103 }, sg-01 => [ 192.0.2.104, 192.0.2.105, 192.0.2.106 ] } }
      second => { map => prod_map, skip_first => true, dcmap => { us-01 => 192.0.2.111, de-01 => 192.0.2.112, sg-01 => 192.0.2.113 } }
      prod_app => { map => auto_map, up_thresh => 0.4
        dcmap => {
          us-01 => { addrs_v4 => { lb01 => 198.51.100.1, lb02 => 198.51.100.2 }, addrs_v6 => [ 2001:db8::11 ] }
          de-01 => { addrs_v4 => { lb01 => 198.51.100.3, lb02 => 198.51.100.4 }, addrs_v6 => [ 2001:db8::12 ] }
          sg-01 => { addrs_v4 => { lb01 => 198.51.100.5, lb02 => 198.51.100.6 }, addrs_v6 => [ 2001:db8::13 ] }
          br-01 => { addrs_v4 => { lb01 => 198.51.100.7, lb02 => 198.51.100.8 }, addrs_v6 => [ 2001:db8::14 ] } } }
      cdn => { map => prod_map, dcmap => { us-01 => us.cdn.example.net., de-01 => de.cdn.example.net., sg-01 => sg.cdn.example.net. } }
      dead4 => { map => auto_map, dcmap => {
        us-01 => { service_types => down, a => 203.0.113.11 }, de-01 => 203.0.113.12, sg-01 => { service_types => down, a => 203.0.113.13 }, br-01 => 203.0.113.14 } }
      auto => { map => auto_map, dcmap => { us-01 => 203.0.113.1, de-01 => 203.0.113.2, sg-01 => 203.0.113.3, br-01 => 203.0.113.4 } }
    }
  }
}
`
