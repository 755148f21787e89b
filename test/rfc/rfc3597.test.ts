/** RFC 3597: types that nobody knows. */
import { expect } from 'vitest'
import { encode } from '../support/ask.ts'
import { nodeOf, rule, rules, SOA } from './world.ts'

/** As RDATA: host.example.com in wire form, a pointer, and zeros. */
const NAME = '04686f7374076578616d706c6503636f6d00'
const BYTES = `${NAME}c00c0000`
const node = await nodeOf({
  'defaults.yaml': 'soa: {mname: ns1.example.net., rname: h.example.net., serial: 1}\n',
  'example.com.yaml': `
"": {type: NS, value: ns1.example.net.}
host: [{type: TYPE65280, ttl: 60, value: '\\# ${BYTES.length / 2} ${BYTES}'}, {type: TYPE65281, value: '\\# 0'}]
a: {type: AFSDB, value: '\\# 21 0001 05616673646207 6578616d706c65 036e657400'}
alias: {type: CNAME, value: host.example.com.}
`,
})
const known = rules({ node })

known('§3: their RDATA is bytes, which come back as they are written', async ({ ask }) => {
  const answer = [`host.example.com. 60 IN TYPE65280 \\# ${BYTES.length / 2} ${BYTES}`]
  await ask({ q: 'host.example.com TYPE65280', rcode: 'NOERROR', aa: true, answer, authority: [] })
  const empty = ['host.example.com. 3600 IN TYPE65281 \\# 0']
  await ask({ q: 'host.example.com TYPE65281', rcode: 'NOERROR', aa: true, answer: empty })
  await ask({ q: 'host.example.com TYPE65282', rcode: 'NOERROR', aa: true, answer: [] })
})

known('§4: what looks like a name in it is not compressed', async ({ send }) => {
  const reply = await send(encode({ q: 'host.example.com TYPE65280' }))
  expect(
    Buffer.from(reply)
      .subarray(-BYTES.length / 2)
      .toString('hex'),
  ).toBe(BYTES)
})

rule('§4: nor are names in the RDATA of types that RFC 1035 does not have', async ({ send }) => {
  const reply = await send(encode({ q: '_sip._tcp.example.com SRV' }))
  expect(Buffer.from(reply).includes('\u0004host\u0007example\u0003com\0', 'latin1')).toBe(true)
})

known('§5: the generic form of a known type is that type', async ({ ask }) => {
  const { answer } = await ask({ q: 'a.example.com AFSDB', rcode: 'NOERROR' })
  expect(answer).toMatchObject([{ type: 'AFSDB', rdata: '1 afsdb.example.net.' }])
})

known('a CNAME is followed for them', async ({ ask }) => {
  const { answer } = await ask({ q: 'alias.example.com TYPE65280', rcode: 'NOERROR' })
  expect(answer.map(({ type }) => type)).toEqual(['CNAME', 'TYPE65280'])
})

rule('where there are none, they are NODATA or NXDOMAIN as any other', async ({ ask }) => {
  await ask({ q: 'host.example.com TYPE65280', rcode: 'NOERROR', aa: true, answer: [], authority: [SOA] })
  await ask({ q: 'www.example.com TYPE65280', rcode: 'NOERROR', aa: true, answer: [] })
  await ask({ q: 'nothing.example.com TYPE65280', rcode: 'NXDOMAIN', aa: true, answer: [], authority: [SOA] })
  const answer = ['alias.example.com. 120 IN CNAME host.example.com.']
  await ask({ q: 'alias.example.com TYPE65280', rcode: 'NOERROR', answer })
})
