/** TSIG (RFC 8945) against messages that another implementation signed, and the forms of key files. */
import { describe, expect, test } from 'vitest'
import { parseKey, readTsig, sign, TSIG_ERROR, tsigBytes, type TsigKey, unsigned, verify } from '../../src/dns/tsig.ts'
import { SIGNED_AT, VECTORS } from './tsig-vectors.ts'

const bytesOf = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex, 'hex'))
const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
/** Where the record begins: its owner, `xfr.example.`, is nowhere else in the vectors. */
const recordAt = (message: Uint8Array): number => Buffer.from(message).indexOf('\x03xfr\x07example\0', 0, 'latin1')
const read = (message: Uint8Array) => readTsig(message, recordAt(message))!

function keyOf({ algorithm, secret }: (typeof VECTORS)[number]): TsigKey {
  const key = parseKey(`${algorithm}:xfr.example.:${secret}`)
  if (typeof key === 'string') throw new Error(key)
  return key
}

/** Signs a message as it was before it was signed. */
function signAgain(bare: Uint8Array, key: TsigKey, prior: Uint8Array | undefined, follows: boolean) {
  const out = new Uint8Array(bare.length + tsigBytes(key))
  out.set(bare)
  const signing = { key, nowSeconds: SIGNED_AT, follows, ...(prior !== undefined && { prior }) }
  const { size, mac } = sign(out, 0, bare.length, signing)
  return { wire: out.subarray(0, size), mac }
}

describe.each(VECTORS)('$algorithm, signed elsewhere', (vector) => {
  const key = keyOf(vector)
  const query = bytesOf(vector.query)
  const asked = read(query)

  test('a query verifies, and is signed to the same bytes', () => {
    expect(verify(unsigned(query, asked), asked, key, SIGNED_AT)).toBe(0)
    const bare = unsigned(query, asked)
    expect(hexOf(signAgain(bare, key, undefined, false).wire)).toBe(vector.query)
  })

  test('a message in a Buffer, as it comes over TCP, keeps the id that a forwarder gave it', () => {
    const forwarded = Buffer.from(query)
    forwarded.set([0xab, 0xcd])
    expect(hexOf(unsigned(forwarded, read(forwarded)))).toBe(hexOf(unsigned(query, asked)))
    expect(hexOf(forwarded)).toBe(`abcd${vector.query.slice(4)}`)
  })

  test('the messages of a response are signed to the same bytes, each with the MAC before it', () => {
    let prior = asked.mac
    for (const [i, hex] of vector.stream.entries()) {
      const wire = bytesOf(hex)
      const again = signAgain(unsigned(wire, read(wire)), key, prior, i > 0)
      expect(hexOf(again.wire), `message ${i}`).toBe(hex)
      prior = again.mac
    }
    expect(prior).not.toEqual(asked.mac)
  })

  test('any other byte, key, query or time is found', () => {
    const bare = unsigned(query, asked)
    for (let at = 0; at < bare.length; at++) {
      const other = bare.slice()
      other[at]! ^= 1
      expect(verify(other, asked, key, SIGNED_AT), `byte ${at}`).toBe(TSIG_ERROR.BADSIG)
    }
    const secret = key.secret.slice()
    secret[0]! ^= 1
    expect(verify(bare, asked, { ...key, secret }, SIGNED_AT)).toBe(TSIG_ERROR.BADSIG)
    const reply = bytesOf(vector.stream[0])
    expect(verify(unsigned(reply, read(reply)), read(reply), key, SIGNED_AT, asked.mac)).toBe(0)
    expect(verify(unsigned(reply, read(reply)), read(reply), key, SIGNED_AT)).toBe(TSIG_ERROR.BADSIG)
    for (const [away, fault] of [
      [300, 0],
      [-300, 0],
      [301, TSIG_ERROR.BADTIME],
      [-301, TSIG_ERROR.BADTIME],
    ] as const)
      expect(verify(bare, asked, key, SIGNED_AT + away)).toBe(fault)
  })

  test('a truncated MAC is BADTRUNC if it is right, and malformed if it is too short or too long', () => {
    const bare = unsigned(query, asked)
    const half = asked.mac.length / 2
    const cut = (bytes: number) => verify(bare, { ...asked, mac: asked.mac.subarray(0, bytes) }, key, SIGNED_AT)
    expect(cut(half)).toBe(TSIG_ERROR.BADTRUNC)
    expect(cut(half - 1)).toBe(-1)
    expect(verify(bare, { ...asked, mac: new Uint8Array(half) }, key, SIGNED_AT)).toBe(TSIG_ERROR.BADSIG)
    expect(verify(bare, { ...asked, mac: Uint8Array.of(...asked.mac, 0) }, key, SIGNED_AT)).toBe(-1)
  })
})

test('a record that is cut short, or of another form, is none', () => {
  const query = bytesOf(VECTORS[0].query)
  const at = recordAt(query)
  for (let length = at; length < query.length; length++)
    expect(readTsig(query.slice(0, length), at), `${length} bytes`).toBeUndefined()
  expect(readTsig(Uint8Array.of(...query, 0), at)).toBeUndefined()
  const ttl = query.slice()
  ttl[at + 13 + 7] = 1
  expect(readTsig(ttl, at)).toBeUndefined()
})

describe('the file of a key', () => {
  const secret = Buffer.alloc(32, 7).toString('base64')
  const key = { name: new Uint8Array(Buffer.from('\x03xfr\0', 'latin1')), algorithm: 'hmac-sha512' }

  test.each([
    ['of kdig', `hmac-sha512:xfr.:${secret}\n`],
    [
      'of keymgr',
      `# hmac-sha512:xfr:${secret}\nkey:\n  - id: xfr\n    algorithm: hmac-sha512\n    secret: ${secret}\n`,
    ],
    ['of tsig-keygen', `key "XFR" {\n\talgorithm hmac-sha512;\n\tsecret "${secret}";\n};\n`],
  ])('in the form %s', (_form, text) => {
    expect(parseKey(text)).toEqual({ ...key, secret: new Uint8Array(32).fill(7) })
  })

  test.each([
    ['', 'it has no key: algorithm:name:secret, or what tsig-keygen writes'],
    [`hmac-md5:xfr:${secret}`, 'its algorithm is not hmac-sha256 or hmac-sha512'],
    ['hmac-sha256:xfr:AAAA', 'its secret has 3 bytes; at least 16'],
    ['hmac-sha256:xfr:AAA', 'its secret has 2 bytes; at least 16'],
    ['hmac-sha256:xfr:AAAAA', 'its secret is not base64'],
    [`hmac-sha256:a..b:${secret}`, '“a..b” has an empty label'],
  ])('%j: %s', (text, fault) => {
    expect(parseKey(text)).toBe(fault)
  })
})
