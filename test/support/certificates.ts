/**
 * Certificates for the tests of https checks, made once with openssl and good until 2099 (but the expired one). Their keys
 * guard nothing: nobody trusts the authority but these tests.
 */

interface Pair {
  readonly cert: string
  readonly key: string
}

export const authority = `-----BEGIN CERTIFICATE-----
MIIBqzCCAVGgAwIBAgIUFp5DDRL1+g+6j9PwSnn0KMLrVfYwCgYIKoZIzj0EAwIw
IjEgMB4GA1UEAwwXTWVyaWRpYW4gdGVzdCBhdXRob3JpdHkwIBcNMjYxMTIzMDg1
NDI4WhgPMjEyNjEwMzAwODU0MjhaMCIxIDAeBgNVBAMMF01lcmlkaWFuIHRlc3Qg
YXV0aG9yaXR5MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEUf/WL1P7KL5ZHG1G
+ohMZqVxv7cDOgv9KKyscquT+a9YvyJkTXpUMYEIQepWUnano6r2CbmYAXQ4k18l
gotjgKNjMGEwHQYDVR0OBBYEFMfNlk+U4SA5IjDLvujJ398SchZYMB8GA1UdIwQY
MBaAFMfNlk+U4SA5IjDLvujJ398SchZYMA8GA1UdEwEB/wQFMAMBAf8wDgYDVR0P
AQH/BAQDAgIEMAoGCCqGSM49BAMCA0gAMEUCICnEGwqkwZmQOdtrfIiwpjY/0fx3
18PNdEEbt6tphtTgAiEAt2af39LghlCClufCwVZBCaF9Wblwlr679PGhaRt6Gd0=
-----END CERTIFICATE-----`

/** For www.example.com and 127.77.1.1, by the authority, until 2099-12-31. */
export const good: Pair = {
  cert: `-----BEGIN CERTIFICATE-----
MIIBqDCCAU2gAwIBAgICEAAwCgYIKoZIzj0EAwIwIjEgMB4GA1UEAwwXTWVyaWRp
YW4gdGVzdCBhdXRob3JpdHkwIBcNMjAwMTAxMDAwMDAwWhgPMjA5OTEyMzEwMDAw
MDBaMBoxGDAWBgNVBAMMD3d3dy5leGFtcGxlLmNvbTBZMBMGByqGSM49AgEGCCqG
SM49AwEHA0IABI+mQUzNmiOwjt4OWSXsyb5Bb2u8PE1QY/ZO3Dkt49UX63w1td1x
m4Ox/cdVD7CMWl+sJ9xPsW4jqM9Zc5ftI4ejeTB3MCAGA1UdEQQZMBeCD3d3dy5l
eGFtcGxlLmNvbYcEf00BATATBgNVHSUEDDAKBggrBgEFBQcDATAdBgNVHQ4EFgQU
R1e0RuhUjnfxs1GI/POdNyHjU44wHwYDVR0jBBgwFoAUx82WT5ThIDkiMMu+6Mnf
3xJyFlgwCgYIKoZIzj0EAwIDSQAwRgIhAMrJBPVF1BNSkMZtIyrPRWBKdxnNo/xl
/WYh6LeY5d8QAiEA2+fD/3UJLd4o8s6EWIwBULiPc4bIOPm5TkNeAB0/GA8=
-----END CERTIFICATE-----`,
  key: `-----BEGIN EC PRIVATE KEY-----
MHcCAQEEIFEbHkK2VSwQy1nX7qDDz5QV3/b2xjxzDgez0cogCIcyoAoGCCqGSM49
AwEHoUQDQgAEj6ZBTM2aI7CO3g5ZJezJvkFva7w8TVBj9k7cOS3j1RfrfDW13XGb
g7H9x1UPsIxaX6wn3E+xbiOoz1lzl+0jhw==
-----END EC PRIVATE KEY-----`,
}

/** For www.example.com, by the authority, until 2021-01-01. */
export const expired: Pair = {
  cert: `-----BEGIN CERTIFICATE-----
MIIBnjCCAUWgAwIBAgICEAEwCgYIKoZIzj0EAwIwIjEgMB4GA1UEAwwXTWVyaWRp
YW4gdGVzdCBhdXRob3JpdHkwHhcNMjAwMTAxMDAwMDAwWhcNMjEwMTAxMDAwMDAw
WjAaMRgwFgYDVQQDDA93d3cuZXhhbXBsZS5jb20wWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAASethbvCIiLFr5vDuJ7dbkjScNOXNEXIVr6D+zpF02yvMKGdcDeCZAL
K6ookhr++8VtLvXZvbLCQMSfi96+Kemjo3MwcTAaBgNVHREEEzARgg93d3cuZXhh
bXBsZS5jb20wEwYDVR0lBAwwCgYIKwYBBQUHAwEwHQYDVR0OBBYEFBFZSb6SPqz9
Dw4BIBPnJGalECbzMB8GA1UdIwQYMBaAFMfNlk+U4SA5IjDLvujJ398SchZYMAoG
CCqGSM49BAMCA0cAMEQCIBxttHZ0dVXGJu69hn3vl7euFuaZgU6XNNbE0ERmgGKc
AiBZiUC/IyiKU+30SqDRUUnrIqSZ0k4hburKyJWB2O7noQ==
-----END CERTIFICATE-----`,
  key: `-----BEGIN EC PRIVATE KEY-----
MHcCAQEEIMP6meU7oxEkVrtJAevHtil10l14IsRGTeIlP2Pb9w+RoAoGCCqGSM49
AwEHoUQDQgAEnrYW7wiIixa+bw7ie3W5I0nDTlzRFyFa+g/s6RdNsrzChnXA3gmQ
CyuqKJIa/vvFbS712b2ywkDEn4vevinpow==
-----END EC PRIVATE KEY-----`,
}

/** For www.example.com, by itself. */
export const selfSigned: Pair = {
  cert: `-----BEGIN CERTIFICATE-----
MIIBpzCCAU2gAwIBAgIUT+kkHXUxk/y9RKdJxgHIYVI1aM4wCgYIKoZIzj0EAwIw
GjEYMBYGA1UEAwwPd3d3LmV4YW1wbGUuY29tMCAXDTI2MTEyMzA4NTQyOFoYDzIx
MjYxMDMwMDg1NDI4WjAaMRgwFgYDVQQDDA93d3cuZXhhbXBsZS5jb20wWTATBgcq
hkjOPQIBBggqhkjOPQMBBwNCAASTO8gwRdsG5XX8qUFD5UkNegnthZOekA7eSdDa
e8YGDx+o3oYvVwrF6mYoAQ2PP6gCpLE5kpIoAJMHF2JSGSO3o28wbTAdBgNVHQ4E
FgQUri2uEa2qv80AWTufl+QJCcFiufswHwYDVR0jBBgwFoAUri2uEa2qv80AWTuf
l+QJCcFiufswDwYDVR0TAQH/BAUwAwEB/zAaBgNVHREEEzARgg93d3cuZXhhbXBs
ZS5jb20wCgYIKoZIzj0EAwIDSAAwRQIhANb18N9JdPBGO4zipbJ0mKasddfEU8CX
h19ZxCbWeFutAiBknxxTTJCUlTxhtCg2d+a5rwjg+HdSb+bJ/Z9IsW55Qg==
-----END CERTIFICATE-----`,
  key: `-----BEGIN EC PRIVATE KEY-----
MHcCAQEEIBX8Hu4Yi0AY4JF9s2QIbOXfBcVGHkCj3c0pNKxn8mdXoAoGCCqGSM49
AwEHoUQDQgAEkzvIMEXbBuV1/KlBQ+VJDXoJ7YWTnpAO3knQ2nvGBg8fqN6GL1cK
xepmKAENjz+oAqSxOZKSKACTBxdiUhkjtw==
-----END EC PRIVATE KEY-----`,
}

/** The good one with other bytes, of the same length, for its end; what it is signed with doesn't fit any more. */
export function untilText(end: string): string {
  const der = Buffer.from(good.cert.replaceAll(/-----.*-----/g, ''), 'base64')
  der.write(end, der.indexOf('20991231000000Z'), 'latin1')
  return `-----BEGIN CERTIFICATE-----\n${der.toString('base64')}\n-----END CERTIFICATE-----`
}
