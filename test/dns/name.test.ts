/** Names: text ⇄ wire, limits, case, compression and its abuses, and the hash that files them. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  ROOT,
  countLabels,
  formatName,
  hashLabel,
  hashName,
  isAbsolute,
  isFault,
  isWithin,
  joinName,
  lowerName,
  lowerWord,
  parentName,
  parseName,
  readName,
  suffixHashes,
} from '../../src/dns/name.ts'
import { mix } from '../../src/hash.ts'
import { labels, wireOf } from './names.ts'

const wire = (text: string): Uint8Array => {
  const name = parseName(text)
  if (isFault(name)) throw new Error(name.fault)
  return name
}
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const fault = (text: string): string => {
  const name = parseName(text)
  return isFault(name) ? name.fault : `no fault: ${hex(name)}`
}

describe('text to wire and back', () => {
  test('plain names, with and without the final dot', () => {
    expect(hex(wire('www.example.com'))).toBe('03777777076578616d706c6503636f6d00')
    expect(hex(wire('www.example.com.'))).toBe('03777777076578616d706c6503636f6d00')
    expect(hex(wire('.'))).toBe('00')
    expect(formatName(wire('Www.Example.COM'))).toBe('Www.Example.COM.')
    expect(formatName(ROOT)).toBe('.')
    expect(formatName(wire('_sip._tcp.*.x'))).toBe('_sip._tcp.*.x.')
  })

  test('escapes: a dot, a backslash, a byte by its number', () => {
    expect(hex(wire('a\\.b.c'))).toBe('03612e62016300')
    expect(hex(wire('a\\\\.c'))).toBe('02615c016300')
    expect(hex(wire('\\000\\255.c'))).toBe('0200ff016300')
    expect(hex(wire('host\\@x.c'))).toBe('06686f73744078016300')
    expect(formatName(Uint8Array.of(4, 46, 92, 0, 200, 0))).toBe('\\.\\\\\\000\\200.')
    expect(formatName(Uint8Array.of(3, 32, 34, 59, 0))).toBe('\\032\\"\\;.')
  })

  test('what is no name', () => {
    expect(fault('')).toContain('empty')
    expect(fault('a..b')).toContain('empty label')
    expect(fault('.a')).toContain('empty label')
    expect(fault('..')).toContain('empty label')
    expect(fault('a b')).toContain('space')
    expect(fault('bücher.de')).toContain('beyond ASCII')
    expect(fault('a\\')).toContain('escape')
    expect(fault('a\\256')).toContain('escape')
    expect(fault('a\\1b')).toContain('escape')
    expect(fault('a\\é')).toContain('escape')
  })

  test('63 bytes a label, 255 a name', () => {
    const long = 'x'.repeat(63)
    expect(wire(long)).toHaveLength(65)
    expect(fault(`${long}x`)).toContain('63')
    const most = `${long}.${long}.${long}.${'x'.repeat(61)}`
    expect(wire(most)).toHaveLength(255)
    expect(wire(`${most}.`)).toHaveLength(255)
    expect(fault(`${most}x`)).toContain('255')
    expect(fault(`${most}.a`)).toContain('255')
    expect(wire('a.'.repeat(127))).toHaveLength(255)
    expect(fault('a.'.repeat(128))).toContain('255')
    expect(fault('x'.repeat(100_000))).toMatch(/63|255/)
  })

  test('any labels survive both ways', () => {
    fc.assert(
      fc.property(labels, (parts) => {
        const name = wireOf(parts)
        expect(wire(formatName(name))).toEqual(name)
        expect(countLabels(name)).toBe(parts.length)
      }),
      { numRuns: 2000 },
    )
  })

  test('any text is a name or a fault, and never throws', () => {
    const code = fc.oneof(fc.constantFrom(46, 92, 48, 50, 53), fc.nat(130), fc.nat(0xffff))
    fc.assert(
      fc.property(fc.array(code, { maxLength: 300 }), (codes) => {
        const name = parseName(String.fromCharCode(...codes))
        if (!isFault(name)) expect(name.length).toBeLessThanOrEqual(255)
      }),
      { numRuns: 300 },
    )
  })

  test('only an unescaped final dot makes a name absolute', () => {
    expect(['a.', '.', 'a\\\\.', 'a', 'a\\.', ''].map(isAbsolute)).toEqual([true, true, true, false, false, false])
  })
})

describe('relations', () => {
  test('only A–Z fold', () => {
    const all = Uint8Array.of(63, ...Array.from({ length: 63 }, (_, i) => i + 64), 0)
    const lower = lowerName(all)
    expect([...lower].filter((byte, i) => byte !== all[i])).toEqual([...Buffer.from('abcdefghijklmnopqrstuvwxyz')])
    expect(lowerName(Uint8Array.of(2, 0xc1, 0xde, 0))).toEqual(Uint8Array.of(2, 0xc1, 0xde, 0))
  })

  test('parent, below, joined', () => {
    expect(formatName(parentName(wire('a.b.c')))).toBe('b.c.')
    expect(parentName(ROOT)).toEqual(ROOT)
    expect(isWithin(wire('a.b.c'), wire('b.c'))).toBe(true)
    expect(isWithin(wire('b.c'), wire('b.c'))).toBe(true)
    expect(isWithin(wire('b.c'), ROOT)).toBe(true)
    expect(isWithin(wire('ab.c'), wire('b.c'))).toBe(false)
    expect(isWithin(wire('c'), wire('b.c'))).toBe(false)
    // the zone's bytes end the name's, but not at a label
    expect(isWithin(wire('x\\001b.c'), wire('b.c'))).toBe(false)
    expect(joinName(wire('a.b'), wire('c.d'))).toEqual(wire('a.b.c.d'))
    expect(joinName(ROOT, wire('c.d'))).toEqual(wire('c.d'))
    const long = wire(`${'x'.repeat(63)}.${'x'.repeat(63)}`)
    expect(isFault(joinName(long, long))).toBe(true)
  })
})

const at12 = (...bytes: number[]): Uint8Array => Uint8Array.of(...Array.from({ length: 12 }, () => 0), ...bytes)
const read = (message: Uint8Array, at: number, end?: number): string => {
  const result = readName(message, at, end)
  return isFault(result) ? result.fault : `${formatName(result.name)} ${result.next}`
}

test('four bytes are lowered at once as each of them is alone', () => {
  const view = new DataView(new ArrayBuffer(4))
  for (const beside of [0x00, 0x40, 0x41, 0x5a, 0x7f, 0xc1, 0xff]) {
    for (let byte = 0; byte < 256; byte++) {
      for (let at = 0; at < 4; at++) {
        const word = new Uint8Array(4).fill(beside)
        word[at] = byte
        view.setInt32(0, lowerWord(new DataView(word.buffer).getInt32(0)))
        expect(new Uint8Array(view.buffer)).toEqual(lowerName(word))
      }
    }
  }
})

describe('names in messages', () => {
  test('pointers lead back', () => {
    const message = at12(1, 97, 1, 98, 0, 1, 99, 0xc0, 12, 0xc0, 14)
    expect(read(message, 12)).toBe('a.b. 17')
    expect(read(message, 17)).toBe('c.a.b. 21')
    expect(read(message, 21)).toBe('b. 23')
  })

  test('loops, forward pointers, cut and unknown labels are faults', () => {
    expect(read(at12(0xc0, 12), 12)).toContain('forward')
    expect(read(at12(1, 97, 0xc0, 12), 12)).toContain('forward')
    expect(read(at12(0xc0, 14, 0), 12)).toContain('forward')
    expect(read(at12(1, 97, 0xc0), 12)).toContain('cut short')
    expect(read(at12(5, 97), 12)).toContain('cut short')
    expect(read(at12(1, 97), 12)).toContain('cut short')
    expect(read(at12(), 12)).toContain('cut short')
    expect(read(at12(0x40, 0), 12)).toContain('known kind')
    expect(read(at12(1, 97, 0), 12, 14)).toContain('cut short')
    // a part that runs into the part that pointed to it
    expect(read(at12(3, 97, 0xc0, 12), 14)).toContain('cut short')
  })

  test('a name of 255 bytes passes through pointers, one of 256 does not', () => {
    const tail = wire(`${'x'.repeat(63)}.${'x'.repeat(63)}.${'x'.repeat(63)}`) // 193 bytes
    const message = (head: number): Uint8Array =>
      Uint8Array.of(...at12(), ...tail, head, ...Buffer.from('y'.repeat(head)), 0xc0, 12)
    expect(read(message(61), 12 + tail.length)).toMatch(/^y{61}\.x/)
    expect(read(message(62), 12 + tail.length)).toContain('255')
  })

  test('any name survives compression at any label', () => {
    fc.assert(
      fc.property(labels, fc.nat(), (parts, cut) => {
        const name = wireOf(parts)
        const kept = cut % (parts.length + 1)
        const head = wireOf(parts.slice(0, kept)).slice(0, -1)
        const target = head.length + 12
        const message = Uint8Array.of(...at12(), ...name, ...head, 0xc0 | (target >> 8), target & 255)
        expect(readName(message, 12 + name.length)).toEqual({ name, next: message.length })
      }),
    )
  })
})

const SEED = 0x2545f491
const tenBits = (seed: number, i: number): number => hashName(wire(`h${i}.example.com`), seed) & 0x3ff

describe('hash', () => {
  test('names that were chosen to meet under one seed spread under another', () => {
    const meeting: number[] = []
    for (let i = 0; i < 100_000; i++) if (tenBits(SEED, i) === 0) meeting.push(i)
    expect(meeting.length).toBeGreaterThan(60)
    const places = new Set(meeting.map((i) => tenBits(SEED + 1, i)))
    expect(places.size).toBeGreaterThan(meeting.length * 0.8)
  })

  test('each suffix is a by-product, and every thread and build agrees on the values', () => {
    const name = wire('www.example.com')
    const hashes = suffixHashes(name, SEED)
    expect([...hashes]).toEqual(
      ['www.example.com', 'example.com', 'com', '.'].map((text) => hashName(wire(text), SEED)),
    )
    expect(hashes[3]).toBe(SEED)
    expect(hashes[0]).toBe(hashLabel(hashes[1]!, name, 0))
    expect([...hashes]).toEqual([...hashes].map((hash) => hash | 0))
  })

  test('few collisions: where labels end matters, and numbered names spread', () => {
    expect(hashName(wire('ab.c'), SEED)).not.toBe(hashName(wire('a.bc'), SEED))
    expect(hashName(wire('a.b.c'), SEED)).not.toBe(hashName(wire('a\\001b.c'), SEED))
    const seen = new Set<number>()
    const low = new Int32Array(1 << 16)
    const count = 300_000
    const zone = hashName(wire('example.com'), SEED)
    const label = Buffer.alloc(8)
    for (let i = 0; i < count; i++) {
      label[0] = label.write(`h${i}`, 1, 'latin1')
      const hash = hashLabel(zone, label, 0)
      seen.add(hash)
      low[mix(hash) & 0xffff]!++
    }
    // chance alone: 300,000² / 2³³ = 10 collisions; per low 16 bits 4.6 ± 2.1 (a Poisson maximum near 17)
    expect(count - seen.size).toBeLessThan(30)
    expect(Math.max(...low)).toBeLessThan(25)
  })

  test('avalanche: one bit of any label flips each bit of the spread hash about half of the time', () => {
    const flips = new Float64Array(32)
    let trials = 0
    for (let i = 0; i < 2000; i++) {
      const name = wireOf([Buffer.from(`w${i}`), Buffer.from('example'), Buffer.from('com')])
      for (const at of [1, name.length - 6]) {
        for (const bit of [1, 2, 16]) {
          const other = name.slice()
          other[at]! ^= bit
          const difference = mix(hashName(name, SEED)) ^ mix(hashName(other, SEED))
          for (let k = 0; k < 32; k++) flips[k]! += (difference >>> k) & 1
          trials++
        }
      }
    }
    for (const count of flips) expect(Math.abs(count / trials - 0.5)).toBeLessThan(0.03)
  })
})
