/** A smoke of `npm run fuzz -- packets`, and of the oracle: whatever rule a server broke, a run would say so. */
import { expect, test } from 'vitest'
import { respond } from '../../src/answer/answer.ts'
import type { Request, Responder } from '../../src/answer/responder.ts'
import { fuzzMemory, makeSubject } from './memory.ts'
import { factsOf } from './oracle.ts'
import { readWire } from './wire.ts'

const node = await makeSubject()

test('respond() stands 5,000 structure-aware packets', () => {
  const { packets, answered, findings } = fuzzMemory(node, 2026, 5000)
  expect(findings).toEqual([])
  expect(packets).toBe(5000)
  expect(answered).toBeGreaterThan(4500)
})

/** A respond() that goes wrong where `spoil` returns another size. */
const spoilt =
  (spoil: (reply: Uint8Array, size: number, request: Request, responder: Responder) => number | undefined) =>
  (responder: Responder, request: Request): number => {
    const size = respond(responder, request)
    const reply = request.output.subarray(request.outAt)
    return spoil(reply, size, request, responder) ?? size
  }
type Spoil = Parameters<typeof spoilt>[0]

const or =
  (at: number, bits: number): Spoil =>
  (reply, size) =>
    void (size > at && (reply[at]! |= bits))
const xor =
  (at: number, bits: number): Spoil =>
  (reply, size) =>
    void (size > at && (reply[at]! ^= bits))

/** Changes what comes `offset` bytes behind the last place where these bytes are. */
const behind =
  (bytes: readonly number[], offset: number, change: (byte: number) => number): Spoil =>
  (reply, size) => {
    const at = Buffer.from(reply.subarray(0, size)).lastIndexOf(Buffer.from(bytes))
    if (at >= 0) reply[at + bytes.length + offset] = change(reply[at + bytes.length + offset]!)
    return undefined
  }
const COOKIE = [0, 10, 0, 24]
const OPT = [0, 0, 41, 4, 208]
const TSIG = [0, 0, 250, 0, 255]

/** The records of a reply gone. */
function emptied(reply: Uint8Array, size: number): number | undefined {
  const { questionEnd, questions } = readWire(reply.subarray(0, Math.max(size, 12)))
  if (size === 0 || questions !== 1 || reply[7] === 0 || reply[11] !== 0) return undefined
  reply.fill(0, 6, 12)
  return questionEnd
}

/** The OPT that ends a reply gone; or one more option in it. */
function changeOpt(reply: Uint8Array, size: number, option: readonly number[] | undefined): number | undefined {
  const opt = size < 12 ? undefined : readWire(reply.subarray(0, size)).records.at(-1)
  if (opt?.type !== 41) return undefined
  if (option === undefined) {
    reply[11]!--
    return opt.at
  }
  reply.set(option, size)
  reply[opt.fixed + 9]! += option.length
  return size + option.length
}

test.each<[string, Spoil, RegExp]>([
  ['another id', xor(1, 1), /another id/],
  ['a query for a reply', xor(2, 0x80), /QR is not set/],
  ['RA', or(3, 0x80), /RA, Z, AD or CD/],
  ['Z', or(3, 0x40), /RA, Z, AD or CD/],
  ['AD', or(3, 0x20), /RA, Z, AD or CD/],
  ['CD', or(3, 0x10), /RA, Z, AD or CD/],
  ['another opcode', xor(2, 0x10), /another opcode/],
  ['RD', xor(2, 1), /RD is not copied/],
  ['TC beside records', or(2, 2), /truncated, and with records/],
  ['AA beside an error', or(2, 4), /authoritative with rcode/],
  ['another rcode', xor(3, 2), /rcode \d+ (?:and not|for a good query|beside)/],
  ['no question', xor(5, 1), /questions where/],
  ['the question in another case', xor(14, 0x20), /in another case/],
  ['no answer', () => 0, /no answer to a query/],
  [
    'an answer to everything',
    (reply, size, { input, at, length }) => {
      if (size > 0) return undefined
      reply.set(input.subarray(at, at + length))
      return length
    },
    /answered what must be dropped/,
  ],
  ['a byte too many', (_, size) => size && size + 1, /cannot be read: bytes behind/],
  ['a byte too few', (_, size) => size && size - 1, /cannot be read: (?:record|data)/],
  ['an empty answer', (reply, size) => emptied(reply, size), /an empty answer/],
  [
    'cookies that prove nothing and count',
    (_, size, request, responder) => {
      const { protocol } = responder
      responder.protocol = { ...protocol, unprovenBytes: 1232 }
      const large = size && respond(responder, request)
      responder.protocol = protocol
      return large
    },
    /bytes where \d+ are allowed/,
  ],
  [
    'as much over UDP as over TCP',
    (_, size, at, to) => size && respond(to, { ...at, transport: 1, room: 4096 }),
    /bytes where/,
  ],
  ['an OPT that is left out', (reply, size) => changeOpt(reply, size, undefined), /OPT exactly when/],
  [
    'an option that nobody wants',
    (reply, size) => changeOpt(reply, size, [0, 77, 0, 0]),
    /option 77, which the query has not/,
  ],
  ['an option beside an error', (reply, size) => changeOpt(reply, size, [0, 77, 0, 0]), /options beside an error/],
  [
    'a cookie for who has none',
    (reply, size) => changeOpt(reply, size, [0, 10, 0, 1, 0]),
    /option 10, which the query has not/,
  ],
  [
    'a cookie twice',
    (reply, size) => changeOpt(reply, size, [...COOKIE, ...Array.from({ length: 24 }, () => 0)]),
    /option 10 twice/,
  ],
  ["another client's cookie", behind(COOKIE, 0, (byte) => byte ^ 1), /another client's cookie/],
  ['a cookie of another version', behind(COOKIE, 8, () => 2), /a cookie of another version/],
  ['a cookie of another time', behind(COOKIE, 12, (byte) => byte ^ 64), /a cookie that is -?\d+ s old/],
  ['a cookie that is not valid', behind(COOKIE, 16, (byte) => byte ^ 1), /a cookie that is not valid/],
  ['no cookie', behind([0, 10, 0], -2, () => 19), /no cookie for a cookie|which the query has not|of another form/],
  ['keepalive in any transport', (_, size, at, to) => size && respond(to, { ...at, transport: 1 }), /keepalive over/],
  ['another subnet', behind([0, 8, 0, 7, 0, 1], 3, (byte) => byte ^ 1), /ECS is not echoed exactly/],
  ['a scope too long', behind([0, 8, 0, 7, 0, 1], 1, () => 255), /a scope of 255/],
  ['another NSID', behind([0, 3, 0, 3], 0, () => 9), /another NSID/],
  [
    'another size of padding',
    (_, size, at, to) => size && respond(to, { ...at, transport: 2 }),
    /padded to|not padded/,
  ],
  ['another version of EDNS', behind(OPT, 1, () => 1), /an EDNS version other than 0/],
  ['DO', behind(OPT, 2, (byte) => byte ^ 128), /DO is not copied/],
  ['Z in OPT', behind(OPT, 3, () => 1), /Z bits of OPT/],
  ['a payload of 208', behind([0, 0, 41], 0, () => 0), /a payload below 512/],
  ['another signature', behind(TSIG, 29, (byte) => byte ^ 1), /a signature that does not verify/],
  [
    'a signature that is not checked',
    (_, size, request, responder) => {
      const at = responder.query.tsigAt
      if (size === 0 || at === 0 || factsOf(request.input).verdict !== 'signed') return undefined
      const bare = request.input.slice(0, at)
      bare[11]!--
      return respond(responder, { ...request, input: bare, length: bare.length })
    },
    /for a signature of fault|no signature for a signature/,
  ],
])('the oracle sees %s', (_, spoil, told) => {
  const { findings } = fuzzMemory(node, 2026, 20_000, spoilt(spoil))
  expect(findings.filter((finding) => told.test(finding)).length, findings.join('\n')).toBeGreaterThan(0)
})

const failing = (): number => {
  throw new RangeError('offset')
}

test('a call that takes 6 ms each time, one that throws, and memory that is kept', () => {
  let slow: Uint8Array | undefined
  const isSlow = ({ input }: Request): boolean => input === (slow ??= input)
  const wait = (responder: Responder, request: Request): number => {
    for (const from = process.threadCpuUsage(); isSlow(request);) {
      const { user, system } = process.threadCpuUsage(from)
      if (user + system > 6000) break
    }
    return respond(responder, request)
  }
  // more than the 5 ms that are allowed: clocks differ by how they count
  expect(fuzzMemory(node, 1, 1000, wait).findings).toEqual([expect.stringMatching(/took [5-9]/)])
  expect(fuzzMemory(node, 1, 100, failing).findings[0]).toContain('threw RangeError: offset')
  const kept: number[][] = []
  const keep = (responder: Responder, request: Request): number => {
    kept.push(Array.from({ length: 500 }, (_, i) => i / 7))
    return respond(responder, request)
  }
  expect(fuzzMemory(node, 1, 2000, keep).findings).toEqual([expect.stringContaining('memory grew by')])
})

test.each<[string, number, (message: Uint8Array, size: number) => number, RegExp]>([
  [
    'a signature',
    20_000,
    (message, size) => (message[size - 7]! ^= 1),
    /message \d+: a signature that does not verify/,
  ],
  ['an id', 6000, (message) => (message[1]! ^= 1), /message \d+: another id/],
  ['AA', 6000, (message) => (message[2]! &= 0xfb), /message \d+: its head/],
  ['a count', 6000, (message) => (message[7]! ^= 1), /message \d+ cannot be read/],
])('the oracle sees %s that is changed in a transfer', (_, count, change, told) => {
  const changed = (responder: Responder, request: Request): number => {
    const size = respond(responder, request)
    const { transfer } = responder
    if (transfer === null) return size
    const next = transfer.next.bind(transfer)
    transfer.next = (out, at) => {
      const bytes = next(out, at)
      if (bytes > 0) change(out.subarray(at), bytes)
      return bytes
    }
    return size
  }
  const { findings } = fuzzMemory(node, 2026, count, changed)
  expect(findings.filter((finding) => told.test(finding)).length, findings.join('\n')).toBeGreaterThan(0)
})
