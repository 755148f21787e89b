/** A zone with what master files may have, written anew: directives, units, escapes, and a record of most types. */
export const ZONE = `$TTL 1h
$ORIGIN com.
example IN SOA ns1.example hostmaster.example (
        2026113001 ; serial
        2h 15m     ; refresh, retry
        2w 1m )
        NS ns1.example
        NS ns2.example.net.
$ORIGIN example.com.
ns1     A 192.0.2.1
        AAAA 2001:db8::1
www     300 IN A 192.0.2.10
        IN 300 A 192.0.2.11
WWW     300 A 192.0.2.11 ; the same once more
txt     TXT "a \\"quoted\\" one; with a semicolon" second\\;word
spf     TXT ( "v=spf1"
              " -all" )
long    TXT ${'"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" '.repeat(5)}
bytes   TXT "\\195\\164\\000"
empty   TXT ""
@       MX 10 mail
mail    A 192.0.2.25
$GENERATE 1-4/2 host-\${0,3,d} A 192.0.2.$
$GENERATE 10-17 h\${-10,2,x}.gen 120 CNAME host-\${-9,3}
$GENERATE 1-2 $.ptr PTR host-$
_sip._tcp SRV 10 20 5060 www
uri     URI 10 1 "https://www.example.com/a;b"
caa     CAA 0 issue "ca.example.net; policy=ev"
https   HTTPS 1 . alpn="h2,h3" port=8443 ipv4hint=192.0.2.1,192.0.2.2 key65280=ab\\032c
alias   HTTPS 0 www
loc     LOC 52 22 23.5 N 4 53 32 E -2.00m 10m 100m 10m
loc2    LOC 52 N 4 W 0m
naptr   NAPTR 100 10 "s" "SIP+D2U" "!^.*$!sip:info@example.com!" _sip._udp
opaque  TYPE65280 \\# 4 0A000001
known   TYPE1 \\# 4 c0000263
afs     AFSDB 1 afs
rp      RP admin.people @
hinfo   HINFO "PC i386" linux
apl     APL 1:192.0.2.0/24 !2:2001:db8::/32
tlsa    TLSA 3 1 1 ( 0123456789ABCDEF0123456789ABCDEF
                     0123456789ABCDEF0123456789ABCDEF )
sshfp   SSHFP 4 2 0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF
key     IPSECKEY 10 3 2 gateway AQNRU3mG7TVTO2BkR47usntb102uFJtugbo6BSGvgqt4AQ==
px      PX 10 map822 mapx400.example.net.
dname   DNAME www.example.net.
*.wild  CNAME www
we\\.ird\\032name A 192.0.2.77
sub     NS ns.sub
sub     DS 60485 13 2 ( 0123456789ABCDEF0123456789ABCDEF
                        0123456789ABCDEF0123456789ABCDEF )
ns.sub  A 192.0.2.53
hidden.sub TXT "behind a delegation"
$INCLUDE more/more.inc more
after   A 192.0.2.102
`

export const MORE = `a  A 192.0.2.100
$TTL 60
b  A 192.0.2.101
`

/** A question for each name and type. */
export const QUESTIONS = (
  'example.com SOA,example.com NS,example.com MX,ns1 A,ns1 AAAA,www A,wWw A,txt TXT,spf TXT,long TXT,bytes TXT,empty TXT,mail A,' +
  'host-001 A,host-003 A,host-002 A,h00.gen A,h07.gen CNAME,1.ptr PTR,2.ptr PTR,_sip._tcp SRV,_tcp SRV,uri URI,caa CAA,' +
  'https HTTPS,alias HTTPS,loc LOC,loc2 LOC,naptr NAPTR,opaque TYPE65280,known A,afs AFSDB,rp RP,hinfo HINFO,apl APL,tlsa TLSA,' +
  'sshfp SSHFP,key IPSECKEY,px PX,dname DNAME,x.dname A,x.wild A,x.wild TXT,wild A,we\\.ird\\032name A,sub NS,x.sub A,sub DS,' +
  'hidden.sub TXT,a.more A,b.more A,after A,none A'
)
  .split(',')
  .map((line) => (line.startsWith('example.com') ? line : line.replace(' ', '.example.com ')))
