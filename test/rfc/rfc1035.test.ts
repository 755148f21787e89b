/** RFC 1035 §4.1: headers and questions that are wrong, and what becomes of them. RFC 9619, RFC 4343. */
import { describe, expect } from 'vitest'
import { encode } from '../support/ask.ts'
import { rule } from './world.ts'

const query = (): Uint8Array => encode({ q: 'host.example.com A', id: 77, rd: true })

describe('what is not answered', () => {
  rule('a response, and less than a header', async ({ all }) => {
    const response = query()
    response[2]! |= 0x80
    expect(await all(response)).toEqual([])
    for (let length = 0; length < 12; length++) expect(await all(query().slice(0, length))).toEqual([])
    expect(await all(query())).toHaveLength(1)
  })
})

describe('what is answered with an rcode', () => {
  rule('§4.1.1: other opcodes are NOTIMP and keep their opcode', async ({ tell }) => {
    for (let opcode = 1; opcode < 16; opcode++) {
      const packet = query()
      packet[2] = (opcode << 3) | 1
      expect(await tell(packet)).toMatchObject({ id: 77, qr: true, opcode, rcode: 'NOTIMP', rd: true, answer: [] })
    }
  })

  rule('no question, two questions (RFC 9619), half a question: FORMERR', async ({ tell }) => {
    const none = query().slice(0, 12)
    none[5] = 0
    expect(await tell(none)).toMatchObject({ id: 77, rcode: 'FORMERR', question: [] })
    const two = Uint8Array.of(...query(), ...query().slice(12))
    two[5] = 2
    expect(await tell(two)).toMatchObject({ rcode: 'FORMERR', answer: [] })
    expect(await tell(query().slice(0, -1))).toMatchObject({ id: 77, rcode: 'FORMERR', question: [] })
    expect(await tell(query().slice(0, 12))).toMatchObject({ id: 77, rcode: 'FORMERR' })
  })

  rule('§4.1.4: a compressed question name: FORMERR', async ({ tell }) => {
    const packet = Uint8Array.of(...query().slice(0, 12), 1, 97, 0xc0, 12, 0, 1, 0, 1)
    expect(await tell(packet)).toMatchObject({ id: 77, rcode: 'FORMERR', question: [] })
  })

  rule('bytes behind the last record, records that are not there: FORMERR with the question', async ({ tell }) => {
    const question = [{ name: 'host.example.com.', type: 'A', class: 'IN' }]
    expect(await tell(Uint8Array.of(...query(), 0))).toMatchObject({ rcode: 'FORMERR', question })
    for (const at of [7, 9, 11]) {
      const packet = query()
      packet[at] = 1
      expect(await tell(packet)).toMatchObject({ rcode: 'FORMERR', question, answer: [] })
    }
  })

  rule('flags that mean nothing here change nothing; RD is copied, RA and AD never set', async ({ tell }) => {
    const packet = query()
    packet[3] = 0xf0 // RA, Z, AD, CD
    packet[2]! |= 0x06 // AA, TC
    expect(await tell(packet)).toMatchObject({ rcode: 'NOERROR', aa: true, tc: false, rd: true, ra: false, ad: false })
  })
})

describe('RFC 4343: case', () => {
  rule('is no matter for the match, and the question and its owner come back as they were asked', async ({ ask }) => {
    for (const name of ['HOST.EXAMPLE.COM', 'hOsT.eXaMpLe.CoM']) {
      await ask({ q: `${name} A`, rcode: 'NOERROR', answer: [`${name}. 300 IN A 192.0.2.80`] })
    }
    await ask({
      q: 'mixedcase.example.com A',
      rcode: 'NOERROR',
      answer: ['mixedcase.example.com. 3600 IN A 192.0.2.81'],
    })
    await ask({
      q: 'WWW.example.COM A',
      from: '82.64.1.1',
      rcode: 'NOERROR',
      answer: ['WWW.example.COM. 60 IN A 192.0.2.10'],
    })
    await ask({ q: 'ANY.wILD.example.com A', rcode: 'NOERROR', answer: ['ANY.wILD.example.com. 3600 IN A 192.0.2.90'] })
    await ask({ q: 'NOTHING.example.com A', rcode: 'NXDOMAIN' })
    await ask({ q: 'WWW.CHILD.example.com A', rcode: 'NOERROR', aa: false, answer: [] })
  })

  rule('only A to Z fold: bytes that differ by 32 elsewhere are other names', async ({ ask }) => {
    await ask({ q: '\\104\\111\\115\\116.example.com A', rcode: 'NOERROR' }) // host
    for (const q of [
      '\\136ost.example.com A',
      '@.example.com A',
      '\\000.example.com A',
      '\\072\\239st.example.com A',
    ]) {
      await ask({ q, rcode: 'NXDOMAIN' })
    }
  })
})
