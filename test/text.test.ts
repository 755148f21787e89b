/** Bytes of a file → text; and where they are no UTF-8, the place of the first. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { decodeText, faultInWords } from '../src/text.ts'

const latin = (text: string): Buffer => Buffer.from(text, 'latin1')

test('UTF-8 is its text, U+FFFD in it too', () => {
  for (const text of ['', 'a', 'Grüße', '東京 🦊', '\u{fffd}', '\u{feff}a: b']) {
    expect(decodeText(Buffer.from(text))).toEqual({ text })
  }
})

test.each([
  ['a letter of ISO 8859-1', latin('a: Gr\u00fc\u00dfe\n'), 5, 0xfc],
  ['behind characters of two, three and four bytes', Buffer.concat([Buffer.from('ü東🦊'), latin('\u00e9')]), 4, 0xe9],
  ['behind U+FFFD that is written', Buffer.concat([Buffer.from('a\u{fffd}b\u{fffd}'), latin('\u00ff')]), 4, 0xff],
  ['a character cut off at the end', Buffer.from('aü').subarray(0, 2), 1, 0xc3],
  ['a character cut off before another', Buffer.from([0xe6, 0x9d, 0x61]), 0, 0xe6],
  ['half of a surrogate pair', Buffer.from([0x61, 0xed, 0xa0, 0x80]), 1, 0xed],
  ['more bytes than a character needs', Buffer.from([0x61, 0x62, 0xc0, 0xaf]), 2, 0xc0],
])('%s', (_, bytes, at, byte) => {
  const { text, fault } = decodeText(bytes)
  expect(fault).toEqual({ at, byte })
  expect(Buffer.from(text.slice(0, at)).equals(bytes.subarray(0, bytes.indexOf(byte)))).toBe(true)
})

test('of any bytes: what is before the fault is what is there, and a fault is where a decoder that refuses stops', () => {
  const bytes = fc.array(
    fc.oneof(
      fc.string({ unit: 'grapheme', maxLength: 8 }).map((text) => Buffer.from(text)),
      fc.constant(Buffer.from('\u{fffd}')),
      fc.uint8Array({ maxLength: 3 }).map((array) => Buffer.from(array)),
    ),
    { maxLength: 6 },
  )
  fc.assert(
    fc.property(bytes, (parts) => {
      const whole = Buffer.concat(parts)
      const { text, fault } = decodeText(whole)
      expect(fault === undefined).toBe(isText(whole))
      const before = Buffer.from(text.slice(0, fault?.at))
      expect(whole.subarray(0, before.length).equals(before)).toBe(true)
      expect(whole[before.length]).toBe(fault?.byte)
      expect(fault === undefined || text[fault.at] === '\u{fffd}').toBe(true)
    }),
  )
})

function isText(bytes: Buffer): boolean {
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(bytes)
    return true
  } catch {
    return false
  }
}

test('in words: the byte, and what it is meant to be', () => {
  expect(faultInWords({ at: 3, byte: 0xe9 })[0]).toBe('here is the byte E9 (“é” in ISO 8859-1), which is no UTF-8')
  expect(faultInWords({ at: 3, byte: 0x80 })[0]).toBe('here is the byte 80, which is no UTF-8')
  expect(faultInWords({ at: 0, byte: 0xff })[0]).toContain('UTF-16')
})
