/**
 * Packets for fuzzing, from a seed: well-formed queries of every shape, the same mutated, structures whose counts,
 * lengths and pointers lie, and plain noise. The same seed gives the same packets.
 */
import { encodeQuery } from '../../src/dns/message.ts'

/** Uniform whole numbers below `n`, from a seed (xorshift32 over a mixed seed). */
export type Random = (n: number) => number

export function makeRandom(seed: number): Random {
  let state = Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) || 1
  return (n) => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return Math.floor(((state >>> 0) / 2 ** 32) * n)
  }
}

export interface Packet {
  readonly bytes: Uint8Array
  /** A query that nobody may find fault with: opcode QUERY, one question, EDNS version 0 or none. */
  readonly wellFormed: boolean
}

const ZONEVERSION = 19
const TYPES = ['A', 'AAAA', 'NS', 'SOA', 'CNAME', 'MX', 'TXT', 'SRV', 'CAA', 'PTR', 'ANY', 'DS', 'HTTPS', 'TYPE65280']
TYPES.push('AXFR', 'IXFR', 'OPT', 'TYPE0', 'TYPE65535')
const CLASSES = ['IN', 'IN', 'IN', 'IN', 'IN', 'CH', 'ANY', 'NONE', 'CLASS0', 'HS']
/** The bytes that mean something somewhere in a message. */
const TELLING = [0, 1, 2, 4, 8, 12, 15, 16, 28, 41, 63, 64, 127, 128, 191, 192, 193, 224, 254, 255]

const word = (value: number): number[] => [(value >> 8) & 255, value & 255]

/** Packets that ask for one of `names` or for names near them. */
export function makePackets(random: Random, names: readonly string[]): () => Packet {
  const pick = <T>(list: readonly T[]): T => list[random(list.length)]!
  const noise = (bytes: number): Uint8Array => Uint8Array.from({ length: bytes }, () => random(256))

  const label = (): string => {
    const length = pick([1, 1, 2, 3, 8, 62, 63])
    return Array.from({ length }, () => `\\${String(random(256)).padStart(3, '0')}`).join('')
  }

  /** A name of the list, one below, above or beside it, in any case; at times any name at all. */
  const name = (): string => {
    let text = pick(names)
    const turn = random(12)
    if (turn === 0) text = `${label()}.${text}`
    else if (turn === 1) text = text.split('.').slice(1).join('.') || '.'
    else if (turn === 2) text = `${pick(['www', '*', 'a.b.c.d', '_tcp', 'x'.repeat(63)])}.${text}`
    else if (turn === 3) text = Array.from({ length: 1 + random(60) }, () => pick(['a', 'b', 'www'])).join('.')
    else if (turn === 4) text = `${label()}.${label()}`
    if (text.startsWith('.')) text = text.slice(1) || '.'
    if (random(3) === 0) text = text.replace(/[a-z]/g, (letter) => (random(2) === 0 ? letter.toUpperCase() : letter))
    return text
  }

  const ecs = (): string => {
    const turn = random(10)
    if (turn === 0) return '0/0'
    if (turn < 6) return `${random(256)}.${random(256)}.${random(256)}.${random(256)}/${random(33)}`
    const words = Array.from({ length: 8 }, () => random(65_536).toString(16))
    const special = pick([
      '',
      '',
      `::ffff:${random(256)}.2.3.4`,
      '2002:c633:6401::',
      '64:ff9b::c633:6401',
      '2001:0:1:2::3',
    ])
    return `${special === '' ? words.join(':') : special}/${random(129)}`
  }

  // RFC 9660 §3.2.1: it is empty, and there once
  const options = (): { code: number; data: Uint8Array }[] =>
    Array.from({ length: random(4) }, () => {
      const code = pick([3, 10, 10, 11, 12, 15, ZONEVERSION, 65_001])
      const data = noise(code === 10 ? pick([8, 8, 16, 24, 40]) : random(20))
      return { code, data: code === ZONEVERSION ? new Uint8Array(0) : data }
    }).filter(({ code }, i, all) => code !== ZONEVERSION || all.findIndex((one) => one.code === code) === i)

  const query = (): Uint8Array => {
    for (;;) {
      const edns = {
        payload: pick([0, 511, 512, 513, 600, 1232, 1400, 4096, 65_535]),
        do: random(2) === 0,
        ...(random(3) === 0 ? {} : { ecs: ecs() }),
        options: random(3) === 0 ? options() : [],
      }
      try {
        const type = random(2) === 0 ? pick(['A', 'AAAA']) : pick(TYPES)
        const spec = { name: name(), type, class: pick(CLASSES), id: random(65_536), rd: random(2) === 0 }
        const bytes = encodeQuery(random(4) === 0 ? spec : { ...spec, edns })
        if (random(4) === 0) bytes[3]! |= pick([0x10, 0x20, 0x30, 0x80, 0x40]) // CD, AD, RA, Z
        return bytes
      } catch {
        // a name too long: draw again
      }
    }
  }

  const mutate = (from: Uint8Array): Uint8Array => {
    let bytes = from.slice()
    for (let n = 1 + random(4); n > 0; n--) {
      const at = random(bytes.length + 1)
      const turn = random(7)
      if (turn === 0) bytes = bytes.slice(0, at)
      else if (turn === 1)
        bytes = Uint8Array.of(...bytes.subarray(0, at), ...noise(1 + random(8)), ...bytes.subarray(at))
      else if (turn === 2) bytes = Uint8Array.of(...bytes.subarray(0, at), ...bytes.subarray(at + 1 + random(8)))
      else if (turn === 3) bytes = Uint8Array.of(...bytes, ...bytes.subarray(at))
      else if (at < bytes.length) {
        if (turn === 4) bytes[at]! ^= 1 << random(8)
        else bytes[at] = turn === 5 ? pick(TELLING) : random(256)
      }
    }
    return bytes
  }

  /** A message built piece by piece, each of which may lie. */
  const built = (): Uint8Array => {
    const lie = (honest: number): number => (random(5) === 0 ? pick([0, 1, 2, 3, 255, 65_535, random(65_536)]) : honest)
    const wire = (): number[] => {
      const turn = random(8)
      if (turn === 0) return [0xc0, pick([0, 12, 12, 13, 20, 29, 40, 255])]
      if (turn === 1) return [pick(TELLING), ...noise(random(6))]
      if (turn < 4) return [0]
      const part = () => [1 + random(3)].flatMap((size) => [lie(size) & 255, ...noise(size)])
      return [...part(), ...part(), ...(random(4) === 0 ? [0xc0, 12 + random(30)] : [0])]
    }
    const option = (): number[] => {
      const size = random(12)
      if (random(2) === 0) return [...word(pick([3, 8, 10, 11, 12, 19])), ...word(lie(size)), ...noise(size)]
      const [family, source] = [pick([0, 1, 1, 2, 2, 3]), pick([0, 1, 8, 20, 24, 32, 33, 56, 64, 128, 129])]
      const bytes = lie(Math.ceil(source / 8)) % 20
      return [...word(8), ...word(lie(4 + bytes)), ...word(family), source, lie(0) & 255, ...noise(bytes)]
    }
    const record = (): number[] => {
      if (random(2) === 0) {
        const data = Array.from({ length: random(4) }, option).flat()
        const owner = random(6) === 0 ? wire() : [0]
        const ttl = random(6) === 0 ? [...noise(4)] : [0, pick([0, 0, 0, 1]), pick([0, 128]), 0]
        return [...owner, ...word(41), ...word(pick([512, 1232, 4096])), ...ttl, ...word(lie(data.length)), ...data]
      }
      const size = random(20)
      const type = pick([1, 2, 5, 6, 12, 15, 16, 28, 33, 250, 257, random(65_536)])
      return [...wire(), ...word(type), ...word(1), ...noise(4), ...word(lie(size)), ...noise(size)]
    }
    const sections = [1, 0, 0, 1].map((usual) => (random(3) === 0 ? random(4) : usual))
    const flags = random(4) === 0 ? random(65_536) : pick([0, 0x100, 0x120])
    const questions = Array.from({ length: sections[0]! }, () => {
      const asked = random(3) === 0 ? wire() : query().slice(12, -4)
      return [...asked, ...word(pick([1, 2, 28, 255, random(65_536)])), ...word(pick([1, 1, 1, 3, 255]))]
    })
    const rest = Array.from({ length: sections[1]! + sections[2]! + sections[3]! }, record)
    const header = [random(65_536), flags, ...sections.map(lie)].flatMap(word)
    return Uint8Array.from([...header, ...questions.flat(), ...rest.flat()])
  }

  return () => {
    const turn = random(16)
    if (turn < 6) return { bytes: query(), wellFormed: true }
    if (turn < 11) return { bytes: mutate(query()), wellFormed: false }
    if (turn < 14) return { bytes: built(), wellFormed: false }
    if (turn < 15) return { bytes: mutate(built()), wellFormed: false }
    return { bytes: noise(pick([0, 1, 11, 12, 13, 40, random(600)])), wellFormed: false }
  }
}
