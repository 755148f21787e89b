/** RFC 6891: EDNS(0). RFC 1035 §4.2.1 and RFC 2181 §9: sizes and truncation. */
import { describe, expect } from 'vitest'
import { encode } from '../support/ask.ts'
import { rule, STREAMS } from './world.ts'

const HOST = 'host.example.com. 300 IN A 192.0.2.80'

describe('§6.1.1, §7: OPT in the response exactly when it was in the query', () => {
  rule('with our own payload, version 0, and without options nobody asked for', async ({ ask }) => {
    expect((await ask({ q: 'host.example.com A', rcode: 'NOERROR', answer: [HOST] })).edns).toBeUndefined()
    const { edns } = await ask({ q: 'host.example.com A', edns: true, rcode: 'NOERROR', answer: [HOST] })
    expect(edns).toEqual({ payload: 1232, version: 0, dnssecOk: false, options: [] })
  })

  rule('on every outcome', async ({ ask, kind }) => {
    for (const [q, rcode] of [
      ['nothing.example.com A', 'NXDOMAIN'],
      ['text.example.com A', 'NOERROR'],
      ['www.child.example.com A', 'NOERROR'],
      ['www.example.org A', 'REFUSED'],
      ['www.example.com A', 'NOERROR'],
      ['host.example.com ANY', 'NOERROR'],
      ['many.example.com A', 'NOERROR'],
      ['huge.example.com TXT', 'NOERROR'],
    ] as const) {
      await ask({ q, edns: true, rcode, tc: kind === 'udp' && q.startsWith('huge') })
    }
  })

  rule('with NOTIMP, to messages of all other opcodes, whatever stands before it', async ({ tell }) => {
    const plain = encode({ q: 'example.com SOA' })
    const opt = encode({ q: 'example.com SOA', ecs: '198.51.100.0/24' }).subarray(plain.length)
    const records = Buffer.from('c00c00010001000000000004c0000201'.repeat(20), 'hex')
    for (let opcode = 1; opcode < 16; opcode++) {
      for (const [before, edns] of [
        [Buffer.alloc(0), { payload: 1232, version: 0, dnssecOk: false, options: [] }],
        [records, { payload: 1232, version: 0, dnssecOk: false, options: [] }],
        [records, undefined],
      ] as const) {
        const message = Buffer.concat([plain, before, edns === undefined ? Buffer.alloc(0) : opt])
        message[2] = opcode << 3
        message[9] = before.length / 16
        message[11] = edns === undefined ? 0 : 1
        const reply = await tell(message)
        expect(reply).toMatchObject({ rcode: 'NOTIMP', opcode, question: [], answer: [], authority: [] })
        expect(reply.edns).toEqual(edns)
      }
    }
  })

  rule('DO is copied (RFC 3225 §3)', async ({ ask }) => {
    expect((await ask({ q: 'host.example.com A', do: true, rcode: 'NOERROR' })).edns?.dnssecOk).toBe(true)
  })
})

rule('§6.1.2: options that nobody knows are passed over', async ({ ask }) => {
  const options = [3, 10, 65_001].map((code) => ({ code, data: new Uint8Array(8) }))
  const { edns } = await ask({ q: 'host.example.com A', options, rcode: 'NOERROR', answer: [HOST] })
  expect(edns?.options).toEqual([])
})

describe('§6.1.3: versions', () => {
  rule('above 0 are BADVERS, with ours in the OPT and no data', async ({ ask }) => {
    for (const version of [1, 255]) {
      const { edns } = await ask({
        q: 'host.example.com A',
        version,
        rcode: 'BADVERS',
        answer: [],
        authority: [],
        additional: [],
      })
      expect(edns?.version).toBe(0)
    }
  })
})

rule('§6.1.4: flags that nobody knows mean nothing, and are not sent back', async ({ send }) => {
  const query = encode({ q: 'host.example.com A', do: true })
  query[query.length - 4]! |= 0x7f // Z
  query[query.length - 3] = 0xff
  const reply = await send(query)
  expect([reply[3]! & 15, reply[7]]).toEqual([0, 1])
  expect([...reply.subarray(-4)]).toEqual([0x80, 0, 0, 0]) // DO, and no options
})

describe('§6.1.1: more than one OPT, or an OPT out of its place', () => {
  const asked = encode({ q: 'host.example.com A', edns: true })
  const opt = asked.slice(-11)

  rule('is FORMERR, and carries OPT', async ({ tell }) => {
    const two = Uint8Array.of(...asked, ...opt)
    two[11] = 2
    expect(await tell(two)).toMatchObject({ rcode: 'FORMERR', answer: [], edns: { version: 0 } })
    const owned = Uint8Array.of(...asked.slice(0, -11), 1, 97, ...opt)
    expect(await tell(owned)).toMatchObject({ rcode: 'FORMERR', answer: [] })
  })

  rule('§7: so is an option whose length lies, with OPT', async ({ tell }) => {
    const lying = encode({ q: 'host.example.com A', options: [{ code: 10, data: new Uint8Array(8) }] })
    lying[lying.length - 9] = 9
    expect(await tell(lying)).toMatchObject({ rcode: 'FORMERR', answer: [], edns: { payload: 1232, options: [] } })
  })
})

describe('§6.2.3 to §6.2.5: the size of a response', () => {
  rule.over(['udp'])('512 bytes without EDNS, or with a payload below', async ({ ask }) => {
    await ask({ q: 'many.example.com A', rcode: 'NOERROR', tc: true, answer: [] })
    await ask({ q: 'many.example.com A', payload: 100, rcode: 'NOERROR', tc: true, answer: [] })
  })

  rule.over(['udp'])('what the client takes, at most 1232 bytes', async ({ ask }) => {
    const all = Array.from({ length: 60 }, (_, i) => `many.example.com. 3600 IN A 192.0.2.${i + 100}`)
    await ask({ q: 'many.example.com A', payload: 1232, rcode: 'NOERROR', answer: all })
    await ask({ q: 'many.example.com A', payload: 1000, rcode: 'NOERROR', tc: true, answer: [] })
    await ask({ q: 'huge.example.com TXT', payload: 65_535, rcode: 'NOERROR', tc: true, answer: [] })
  })

  rule.over(STREAMS)('TCP has no such bounds, nor has what runs on it', async ({ ask }) => {
    const all = Array.from(
      { length: 12 },
      (_, i) => `huge.example.com. 3600 IN TXT "${String.fromCharCode(97 + i).repeat(200)}"`,
    )
    for (const payload of [{}, { payload: 512 }])
      await ask({ q: 'huge.example.com TXT', ...payload, rcode: 'NOERROR', answer: all })
  })

  rule.over(['udp'])('a truncated response keeps its OPT and its ECS (§7, RFC 2181 §9)', async ({ ask }) => {
    const { edns } = await ask({
      q: 'huge.example.com TXT',
      ecs: '82.64.1.0/24',
      rcode: 'NOERROR',
      tc: true,
      answer: [],
      scope: 0,
    })
    expect(edns?.payload).toBe(1232)
  })
})
