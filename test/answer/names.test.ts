/**
 * Answers of random zones against an encoder that knows nothing of numbers: the same records, compressed as far, in the same
 * room truncated alike. And what one query may cost, counted and not timed: health words read, names looked up.
 */
import { expect, test } from 'vitest'
import { respond } from '../../src/answer/answer.ts'
import { makeRequest, TCP, UDP } from '../../src/answer/responder.ts'
import { decodeMessage, encodeQuery } from '../../src/dns/message.ts'
import { isFault, readName } from '../../src/dns/name.ts'
import { makeRandom } from '../fuzz/packets.ts'
import { randomName, randomZones, zoneYaml } from '../rfc/reference.ts'
import { makeNode, type TestNode } from './fixture.ts'

const DEFAULTS = 'soa: {mname: ns1.z0.test., rname: Host.a.z1.test., serial: 7, minimum: 60}\nttl: 3600\n'
const TYPES = ['A', 'AAAA', 'TXT', 'MX', 'CNAME', 'NS', 'SOA', 'DS', 'ANY', 'PTR']
/** Types whose RDATA may be compressed (RFC 3597 §4): how many bytes are ahead of the names, and how many names. */
const NAMED: Readonly<Record<number, readonly [number, number]>> = {
  2: [0, 1],
  5: [0, 1],
  6: [0, 2],
  12: [0, 1],
  15: [2, 1],
  39: [0, 1],
}

function ask(node: TestNode, packet: Uint8Array, transport: typeof UDP | typeof TCP, room = 65_535): Uint8Array {
  const out = new Uint8Array(room)
  const client = Uint8Array.of(192, 0, 2, 1)
  node.responder.chance = 0
  return out.slice(0, respond(node.responder, makeRequest({ input: packet, client, transport, output: out, room })))
}

/** Its target is written whole (RFC 6672 §2.5), and may be pointed to. */
const DNAME = 39

/**
 * The message again, every name written anew: as a pointer to the first place where the longest suffix of it stands among the
 * names so far, byte for byte. Of the question, which any name may point to, lower-case letters count, as the zones have them.
 */
function encodeAgain(message: Uint8Array): Uint8Array {
  const view = Buffer.from(message)
  const out: number[] = [...message.subarray(0, 12)]
  const places = new Map<string, number>()
  const put = (name: Uint8Array, whole = false): void => {
    for (let i = 0; name[i] !== 0; i += 1 + name[i]!) {
      const suffix = Buffer.from(name.subarray(i)).toString('latin1')
      const place = places.get(suffix)
      if (place !== undefined && !whole) return void out.push(0xc0 | (place >> 8), place & 255)
      if (place === undefined && out.length < 0x4000) places.set(suffix, out.length)
      out.push(...name.subarray(i, i + 1 + name[i]!))
    }
    out.push(0)
  }
  const read = (at: number) => {
    const found = readName(message, at)
    if (isFault(found)) throw new Error(found.fault)
    return found
  }
  let at = 12
  const question = read(at)
  put(question.name, true)
  out.push(...message.subarray(question.next, question.next + 4))
  at = question.next + 4
  for (let left = view.readUInt16BE(6) + view.readUInt16BE(8) + view.readUInt16BE(10); left > 0; left--) {
    const owner = read(at)
    const type = view.readUInt16BE(owner.next)
    const end = owner.next + 10 + view.readUInt16BE(owner.next + 8)
    put(owner.name)
    out.push(...message.subarray(owner.next, owner.next + 10))
    const rdataAt = out.length
    const [ahead, names] = NAMED[type] ?? [0, 0]
    out.push(...message.subarray(owner.next + 10, owner.next + 10 + ahead))
    at = owner.next + 10 + ahead
    for (let n = 0; n < names; n++) {
      const name = read(at)
      put(name.name, type === DNAME)
      at = name.next
    }
    out.push(...message.subarray(at, end))
    at = end
    out[rdataAt - 2] = (out.length - rdataAt) >> 8
    out[rdataAt - 1] = (out.length - rdataAt) & 255
  }
  return Uint8Array.from(out)
}

/** The size of the names that DNAMEs made: of them, too, only what the zones have is pointed to. */
function madeBytes(bytes: Uint8Array): number {
  const message = decodeMessage(bytes)
  if (isFault(message) || !message.answer.some(({ type }) => type === 'DNAME')) return 0
  return message.answer.reduce((sum, { type, rdata }) => sum + (type === 'CNAME' ? rdata.length : 0), 0)
}

test.each([4, 5])(
  'seed %i: names are compressed as a naive encoder would, and cut off where they do not fit',
  async (seed) => {
    const random = makeRandom(seed)
    const zones = randomZones(random, 60)
    const files = zones.map((zone) => [`${zone.apex.slice(0, -1)}.yaml`, zoneYaml(zone)])
    const node = await makeNode({ 'defaults.yaml': DEFAULTS, ...Object.fromEntries(files) })
    let compressed = 0
    let cut = 0
    for (const zone of zones) {
      const owners = zone.sets.flatMap(({ owner, values }) => [
        owner,
        `q.${owner}`,
        ...values.filter((value) => value.endsWith('.test.')),
      ])
      for (const name of [...owners, ...Array.from({ length: 10 }, () => randomName(random, zone.apex))]) {
        if (/[^a-z0-9_.*-]/.test(name)) continue
        const query = encodeQuery({ name, type: TYPES[random(TYPES.length)]! })
        const whole = ask(node, query, TCP)
        const again = encodeAgain(whole)
        // a query name's labels that no zone has are not pointed to: the naive encoder may save them
        expect(whole.length, name).toBeGreaterThanOrEqual(again.length)
        expect(whole.length - again.length, name).toBeLessThanOrEqual(name.length + madeBytes(whole))
        expect(decodeMessage(again)).toEqual(decodeMessage(whole))
        if (Buffer.compare(whole, again) === 0) compressed++
        // in any room: whole, or without what is optional, or nothing but the question and TC
        for (const room of [whole.length, whole.length - 1, 12 + random(whole.length)]) {
          const less = ask(node, query, TCP, room)
          if (less.length === 0) continue
          const message = decodeMessage(less)
          if (isFault(message)) throw new Error(message.fault)
          if (message.tc) cut++
          if (message.tc) expect([message.answer, message.authority, message.additional]).toEqual([[], [], []])
          else expect(Buffer.compare(less.subarray(12), whole.subarray(12, less.length))).toBe(0)
          expect(room < whole.length || !message.tc).toBe(true)
        }
      }
    }
    expect(compressed).toBeGreaterThan(500)
    expect(cut).toBeGreaterThan(200)
  },
)

const long = (letter: string, zone: string): string => `${`${letter}.`.repeat((250 - zone.length) / 2)}${zone}`

test('no answer reads more of the Image than a few ints a record and a byte for each that it writes', async () => {
  const glue = Array.from(
    { length: 24 },
    (_, i) => `"${i}.cut": [{type: A, value: 192.0.2.${i}}, {type: AAAA, value: "2001:db8::${i}"}]\n`,
  )
  const chain = Array.from(
    { length: 8 },
    (_, i) =>
      `"${long('s', `${i}.example.net`).slice(0, -12)}": {type: CNAME, value: "${long('s', `${i + 1}.example.net`)}."}\n`,
  )
  const node = await makeNode({
    'defaults.yaml': `soa: {mname: "${long('m', 'm.test')}.", rname: "${long('r', 'r.test')}.", serial: 7, minimum: 60}\nttl: 3600\n`,
    'example.com.yaml':
      `"": {type: NS, value: ns.example.net.}\n"${long('d', 'deep.example.com').slice(0, -12)}": {type: A, value: 192.0.2.1}\n` +
      `cut: {type: NS, values: [${Array.from({ length: 24 }, (_, i) => `${i}.cut.example.com.`).join(', ')}]}\n${glue.join('')}` +
      `many: {type: MX, values: [${Array.from({ length: 60 }, (_, i) => `{preference: ${i}, exchange: ${i}.many.example.com.}`).join(', ')}]}\n`,
    'example.net.yaml': `"": {type: NS, value: ns.example.org.}\n${chain.join('')}`,
  })
  const { world } = node.responder
  const { image } = world
  let reads = 0
  let probes = 0
  const counted = <T extends Int32Array | Uint8Array>(array: T): T =>
    new Proxy(array, {
      get(target, key) {
        reads++
        if (target === image.table) probes++
        return Reflect.get(target, key, target)
      },
    })
  node.responder.world = {
    ...world,
    image: {
      ...image,
      table: counted(image.table),
      nodes: counted(image.nodes),
      rrsets: counted(image.rrsets),
      refs: counted(image.refs),
      bytes: counted(image.bytes),
    },
  }
  const asked: readonly (readonly [string, string])[] = [
    ['www.cut.example.com', 'A'],
    [long('q', 'cut.example.com'), 'A'],
    ['many.example.com', 'MX'],
    [long('d', 'deep.example.com'), 'MX'],
    [long('x', 'd.d.d.deep.example.com'), 'A'],
    [long('x', 'nowhere.test'), 'A'],
    [long('s', '0.example.net'), 'A'],
    [long('s', '5.example.net'), 'TXT'],
  ]
  for (const [name, type] of asked) {
    for (const transport of [UDP, TCP] as const) {
      const query = encodeQuery({ name, type, edns: { payload: 1232 } })
      reads = probes = 0
      const reply = ask(node, query, transport)
      const [answers, authority, additional] = [6, 8, 10].map((at) => Buffer.from(reply).readUInt16BE(at))
      const records = answers! + authority! + additional!
      // a truncated reply has read what did not fit
      const bytes = (reply[2]! & 2) === 0 ? reply.length : 1232
      // a name of 127 labels is found by halves: nine looks at most, each at a slot or a few
      expect(probes, `${name} ${type}`).toBeLessThanOrEqual(60)
      expect(reads, `${name} ${type}`).toBeLessThanOrEqual(700 + 30 * records + 4 * bytes)
    }
  }
})
