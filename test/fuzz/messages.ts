/**
 * Structure-aware queries, from a seed: names, sections, EDNS options, cookies, subnets, signatures and PROXY headers as they should
 * be, with one thing or another that should not. Most are right in most parts, so that what is wrong is reached.
 */
import { createHmac } from 'node:crypto'
import { isFault, parseName } from '../../src/dns/name.ts'
import type { TsigKey } from '../../src/dns/tsig.ts'
import { makePackets, type Random } from './packets.ts'
import { keyOf, sip } from './wire.ts'

/** What the queries of a run refer to. */
export interface Subject {
  readonly names: readonly string[]
  /** Zones that may be asked to be transferred. */
  readonly zones: readonly string[]
  readonly secrets: readonly Uint8Array[]
  readonly keys: readonly TsigKey[]
  readonly unknown: TsigKey
}

/** Makes a query by a client at a Unix time. Its first two bytes are the id that is asked for. */
export type NextQuery = (client: Uint8Array, nowSeconds: number, id: number) => Uint8Array

const TYPES = [1, 1, 1, 28, 28, 2, 5, 6, 12, 15, 16, 33, 35, 39, 43, 44, 46, 48, 52, 64, 65, 255, 257]
const RARE_TYPES = [0, 10, 41, 100, 128, 249, 250, 251, 252, 253, 254, 256, 32_768, 65_280, 65_535]
const CLASSES = [3, 3, 4, 254, 255, 0, 2, 65_535]
const OPCODES = [1, 2, 3, 4, 4, 5, 5, 6, 7, 15]
const PAYLOADS = [0, 1, 511, 512, 513, 599, 600, 1100, 1231, 1232, 1233, 1400, 4096, 8192, 65_535]
const OTHER_OPTIONS = [0, 1, 2, 4, 5, 6, 7, 9, 13, 14, 15, 16, 17, 18, 20, 26_946, 65_001, 65_535]
/** The bytes that mean something somewhere in a message. */
const TELLING = [0, 1, 2, 4, 8, 11, 12, 13, 16, 32, 41, 63, 64, 127, 128, 191, 192, 193, 224, 250, 254, 255]

/** A buffer that is written to from the left. */
class Writer {
  readonly bytes = new Uint8Array(1 << 17)
  at = 0
  u8(value: number): void {
    this.bytes[this.at++] = value
  }
  u16(value: number): void {
    this.bytes[this.at++] = value >> 8
    this.bytes[this.at++] = value
  }
  u32(value: number): void {
    this.u16(value >>> 16)
    this.u16(value & 0xffff)
  }
  put(bytes: ArrayLike<number>): void {
    this.bytes.set(bytes, this.at)
    this.at += bytes.length
  }
  count(at: number): void {
    if (++this.bytes[at + 1]! === 256) this.bytes[at]!++
  }
}

const wireOf = (text: string): Uint8Array => {
  const name = parseName(text)
  if (isFault(name)) throw new Error(name.fault)
  return name
}

/** Queries for one subject. */
export function makeMessages(random: Random, subject: Subject): NextQuery {
  const names = subject.names.map(wireOf)
  const zones = subject.zones.map(wireOf)
  const others = makePackets(random, subject.names)
  const out = new Writer()
  const oneIn = (n: number): boolean => random(n) === 0
  const pick = <T>(list: readonly T[]): T => list[random(list.length)]!
  const noise = (bytes: number): void => {
    for (let i = 0; i < bytes; i++) out.u8(random(256))
  }
  const lie = (honest: number, n = 40): number =>
    oneIn(n) ? pick([0, 1, honest + 1, honest - 1, 255, 65_535, random(65_536)]) : honest

  const label = (): void => {
    const size = pick([1, 1, 2, 3, 8, 62, 63])
    out.u8(size)
    noise(size)
  }
  /** A name of the list, at times with something before it or cut short, in any case; or no name at all. */
  const name = (): void => {
    const from = out.at
    const turn = random(48)
    if (turn < 8) label()
    if (turn === 8) for (let n = random(126); n > 0; n--) out.put([1, 97 + random(26)])
    if (turn === 9) for (let n = 2 + random(3); n > 0; n--) label()
    if (turn === 10) return out.put([0xc0, pick([0, 12, 12, 13, 20, 255])])
    if (turn === 11) return out.put([0xc0, out.at & 255])
    if (turn === 12) out.put([3, 97, 98, 99, 0xc0, out.at & 255, 0xc0, (out.at + 2) & 255])
    if (turn === 13) out.put([pick([64, 65, 127, 128, 191])])
    const chosen = pick(names)
    out.put(turn === 14 ? chosen.subarray(1 + chosen[0]!) : chosen)
    if (turn === 14 && chosen.length === 1) out.u8(0)
    if (oneIn(3)) {
      for (let i = from; i < out.at; i++) {
        const byte = out.bytes[i]!
        if (byte >= 97 && byte <= 122 && oneIn(2)) out.bytes[i] = byte - 32
      }
    }
  }

  const record = (section: number, type: number): void => {
    out.count(4 + 2 * section)
    if (oneIn(2)) out.put([0xc0, 12])
    else name()
    out.u16(type)
    out.u16(oneIn(6) ? pick(CLASSES) : 1)
    out.u32(random(2 ** 31))
    const size = type === 1 ? 4 : type === 6 ? 22 : random(24)
    out.u16(lie(size))
    if (type === 6) {
      out.put([0, 0])
      out.u32(random(10))
      noise(16)
    } else noise(size)
  }

  const option = (code: number, write: () => void): void => {
    out.u16(code)
    const at = (out.at += 2) - 2
    write()
    const size = lie(out.at - at - 2, 150)
    out.bytes[at] = size >> 8
    out.bytes[at + 1] = size
  }
  const cookie = (client: Uint8Array, nowSeconds: number): void => {
    const turn = random(16)
    const from = out.at
    noise(8)
    if (turn < 3) return
    if (turn === 3) return void (out.at = from + random(8))
    if (turn === 4) return noise(pick([1, 7, 33, 40, 200]))
    if (turn === 5) return noise(pick([8, 15, 17, 32]))
    out.put([turn === 6 ? 2 : 1, 0, 0, turn === 7 ? 1 : 0])
    const age = turn === 8 ? pick([3700, -400, 100_000, 2 ** 31]) : turn === 9 ? 2000 : random(1700) - 100
    out.u32((nowSeconds - age) >>> 0)
    const whose = turn === 10 ? client.map((byte) => byte ^ 1) : client
    const secret = turn === 11 ? subject.secrets.at(-1)! : subject.secrets[0]!
    out.put(sip(secret, Uint8Array.of(...out.bytes.subarray(from, out.at), ...whose)))
    if (turn === 12) out.bytes[out.at - 1]! ^= 1
  }
  const subnet = (): void => {
    const family = pick([1, 1, 1, 1, 2, 2, 0, 3])
    const most = family === 2 ? 128 : 32
    const source = family === 0 ? 0 : lie(pick([0, 8, 16, 20, 24, 24, 25, 32, 48, 56, 64, 128]) % (most + 1)) & 255
    out.u16(family)
    out.u8(source)
    out.u8(oneIn(30) ? random(256) : 0)
    const bytes = Math.max(0, lie(Math.ceil(source / 8)) & 31)
    noise(bytes)
    if (source % 8 > 0 && bytes > 0 && !oneIn(20)) out.bytes[out.at - 1]! &= 0xff00 >> (source % 8)
  }
  const anOption = (client: Uint8Array, nowSeconds: number): void => {
    const turn = random(16)
    if (turn < 5) option(10, () => cookie(client, nowSeconds))
    else if (turn < 9) option(8, subnet)
    else if (turn === 9) option(3, () => noise(pick([0, 0, 4])))
    else if (turn === 10) option(11, () => noise(pick([0, 0, 2, 3])))
    else if (turn < 13) option(12, () => noise(pick([0, 1, 100, 400])))
    else if (turn === 13) option(19, () => noise(pick([0, 0, 6])))
    else option(pick(OTHER_OPTIONS), () => noise(random(12)))
  }
  const opt = (client: Uint8Array, nowSeconds: number): void => {
    const section = oneIn(80) ? random(2) : 2
    out.count(6 + 2 * section)
    if (oneIn(80)) name()
    else out.u8(0)
    out.u16(41)
    out.u16(oneIn(4) ? random(65_536) : pick(PAYLOADS))
    out.u8(oneIn(40) ? random(256) : 0)
    out.u8(oneIn(40) ? 1 + random(255) : 0)
    out.u8(oneIn(2) ? 128 : oneIn(20) ? random(256) : 0)
    out.u8(oneIn(40) ? random(256) : 0)
    const at = (out.at += 2) - 2
    for (let n = pick([0, 1, 1, 1, 2, 2, 3, 5, oneIn(20) ? 70 : 1]); n > 0; n--) anOption(client, nowSeconds)
    const size = lie(out.at - at - 2, 150)
    out.bytes[at] = size >> 8
    out.bytes[at + 1] = size
  }

  const ALGORITHMS = {
    'hmac-sha256': wireOf('hmac-sha256'),
    'hmac-sha512': wireOf('hmac-sha512'),
    'hmac-md5': wireOf('hmac-md5.sig-alg.reg.int'),
  }
  const sign = (from: number, nowSeconds: number): void => {
    const turn = random(24)
    const key = turn === 0 ? subject.unknown : pick(subject.keys)
    const algorithm =
      turn === 1 ? ALGORITHMS['hmac-md5'] : turn === 2 ? ALGORITHMS['hmac-sha512'] : ALGORITHMS[key.algorithm]
    const late = turn === 3 ? pick([301, -301, 4000, -(2 ** 31), nowSeconds]) : turn === 4 ? 100 : random(100)
    const signedAt = nowSeconds - late + (turn === 3 ? Math.sign(-late) * 100 : 0)
    const fudge = turn === 4 ? pick([0, 1, 65_535]) : 300
    const times = [
      0,
      0,
      (signedAt >>> 24) & 255,
      (signedAt >>> 16) & 255,
      (signedAt >>> 8) & 255,
      signedAt & 255,
      fudge >> 8,
      fudge & 255,
    ]
    const other = turn === 5 ? [1, 2, 3, 4, 5, 6] : []
    const error = turn === 6 ? pick([16, 17, 18]) : 0
    const hash = createHmac(key.algorithm === 'hmac-sha512' ? 'sha512' : 'sha256', keyOf(key.secret))
    hash
      .update(out.bytes.subarray(from, out.at))
      .update(key.name)
      .update(Uint8Array.of(0, 255, 0, 0, 0, 0))
    hash
      .update(algorithm)
      .update(Uint8Array.from(times))
      .update(Uint8Array.of(error >> 8, error, 0, other.length))
    let mac = hash.update(Uint8Array.from(other)).digest()
    if (turn === 7) mac = mac.subarray(0, pick([0, 1, 9, 10, 15, 16, 20, 31, 32]))
    if (turn === 8) mac[random(mac.length)]! ^= 1
    if (turn === 9) mac = Buffer.concat([mac, mac])
    out.count(from + 10)
    const owner = out.at
    if (turn === 10) name()
    else out.put(key.name)
    if (oneIn(4)) for (let i = owner; i < out.at; i++) if (out.bytes[i]! >= 97) out.bytes[i]! -= 32
    out.u16(250)
    out.u16(turn === 11 ? 1 : 255)
    out.u32(turn === 12 ? 5 : 0)
    out.u16(lie(algorithm.length + 16 + mac.length + other.length, 100))
    out.put(algorithm)
    out.put(times)
    out.u16(lie(mac.length, 100))
    out.put(mac)
    out.put(turn === 13 ? [random(256), random(256)] : out.bytes.subarray(from, from + 2))
    out.u16(error)
    out.u16(lie(other.length, 100))
    out.put(other)
  }

  const message = (client: Uint8Array, nowSeconds: number, id: number): Uint8Array => {
    out.at = 0
    out.u16(id)
    const isOther = oneIn(24)
    out.u8((isOther ? pick(OPCODES) << 3 : 0) | random(2) | (oneIn(20) ? random(8) & 6 : 0) | (oneIn(100) ? 128 : 0))
    out.u8(oneIn(4) ? random(256) : oneIn(4) ? 0x20 : 0)
    out.u32(0)
    out.u32(0)
    const transfer = oneIn(24) ? pick([251, 252]) : 0
    for (let n = oneIn(40) ? random(4) : 1; n > 0; n--) {
      out.count(4)
      if (transfer > 0 && !oneIn(8)) out.put(pick(zones))
      else name()
      out.u16(transfer > 0 ? transfer : oneIn(12) ? pick(RARE_TYPES) : pick(TYPES))
      out.u16(oneIn(24) ? pick(CLASSES) : 1)
    }
    if (transfer === 251 && !oneIn(6)) record(2, 6)
    else if (isOther)
      for (let section = 1; section < 4; section++)
        for (let n = random(3); n > 0; n--) record(section, pick([6, 1, 255, 16]))
    else if (oneIn(24))
      for (let n = 1 + random(oneIn(4) ? 20 : 3); n > 0; n--) record(1 + random(3), pick([1, 2, 5, 6, 16, 24, 39]))
    if (!oneIn(4)) opt(client, nowSeconds)
    if (oneIn(60)) opt(client, nowSeconds)
    if (oneIn(transfer > 0 ? 2 : 12)) {
      sign(0, nowSeconds)
      if (oneIn(30)) sign(0, nowSeconds)
      if (oneIn(40)) record(3, 1)
    }
    if (oneIn(60)) noise(1 + random(20))
    if (oneIn(16)) mutate()
    if (oneIn(200)) out.bytes[4 + random(8)] = random(256)
    if (oneIn(2000)) noise(pick([400, 1300, 1600, 4000]))
    return out.bytes.slice(0, out.at)
  }

  const mutate = (): void => {
    for (let n = 1 + random(3); n > 0; n--) {
      const at = random(out.at + 1)
      const turn = random(6)
      if (turn === 0) out.at = at
      else if (turn === 1) out.bytes[at]! ^= 1 << random(8)
      else if (turn === 2) out.bytes[at] = random(256)
      else if (turn === 3) out.bytes[at] = pick(TELLING)
      else {
        const size = Math.min(1 + random(8), out.at - at)
        out.bytes.copyWithin(turn === 4 ? at + size : at, turn === 4 ? at : at + size, out.at)
        out.at += turn === 4 ? size : -size
      }
    }
  }

  return (client, nowSeconds, id) => {
    const bytes = oneIn(40) ? others().bytes.slice() : message(client, nowSeconds, id)
    if (bytes.length >= 2) bytes.set([id >> 8, id & 255])
    return bytes
  }
}

const SIGNATURE = Uint8Array.of(0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a)

/** A PROXY header, version 2, for most of the time one that names `client`; `isStream`: over TCP. */
export function proxyHeader(random: Random, client: Uint8Array, isStream: boolean): Uint8Array {
  const turn = random(20)
  if (turn === 0) return new Uint8Array(Buffer.from('PROXY TCP4 192.0.2.1 192.0.2.2 1 53\r\n'))
  const four = client.length === 4
  const addresses = [...client, ...client, 1, 2, 0, 53]
  const tlvs: number[] = []
  if (random(3) === 0)
    for (let n = random(4); n > 0; n--) {
      const size = random(20)
      tlvs.push(random(256), 0, random(12) === 0 ? 255 : size, ...Array.from({ length: size }, () => random(256)))
    }
  if (turn === 1) tlvs.push(...Array.from({ length: 4200 }, () => 4))
  const body = turn === 2 ? addresses.slice(0, random(addresses.length)) : [...addresses, ...tlvs]
  const command = turn === 3 ? 0x20 : turn === 4 ? random(256) : 0x21
  const transport = isStream ? 1 : 2
  const family =
    turn === 5
      ? random(256)
      : turn === 6
        ? 0
        : turn === 7
          ? 0x31
          : turn === 8
            ? 0x13
            : ((four ? 1 : 2) << 4) | transport
  const size = turn === 9 ? random(65_536) : turn === 10 ? body.length + random(9) - 4 : body.length
  const header = Uint8Array.from([...SIGNATURE, command, family, (size >> 8) & 255, size & 255, ...body])
  if (turn === 11) header[random(header.length)]! ^= 1 << random(8)
  if (turn === 12) return header.subarray(0, random(header.length))
  return turn === 13 ? Uint8Array.of(...header, ...header) : header
}
