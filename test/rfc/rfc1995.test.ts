/** RFC 1995: incremental zone transfers (IXFR). */
import { describe, expect } from 'vitest'
import type { World } from '../../src/answer/world.ts'
import { type Asked, type Files, Primary, type Taken } from '../support/transfers.ts'
import { type Asking, rules, take as takeAsked, TRANSFERS } from './world.ts'

const SERVICES = 'web: {sites: {fra: {vips: [192.0.2.10]}}, check: none, ttl: {max: 60, min: 15}}\n'
const ZONE = `"": {type: NS, value: ns1.example.net.}
a: {type: A, value: 192.0.2.1}
b: {type: A, values: [192.0.2.2, 192.0.2.3]}
c: {type: TXT, value: see}
www: {type: GSLB, service: web}
${Array.from({ length: 20 }, (_, i) => `filler${i}: {type: TXT, value: ${'x'.repeat(50)}}\n`).join('')}`
const WHOLE = 28
const files = (serial: number, zone = ZONE, services = SERVICES): Files => ({
  'defaults.yaml': `soa: {serial: ${serial}}\ntransfer: {allow: [192.0.2.53]}\n`,
  'sites.yaml': 'fra: {location: [50.11, 8.68]}\n',
  'services.yaml': services,
  'example.com.yaml': zone,
  // it never changes
  'still.example.yaml': '"": {type: NS, value: ns1.example.net.}\n',
})
const soa = (serial: number, zone = 'example.com'): string =>
  `${zone}. 3600 IN SOA ns1.example.net. hostmaster.${zone}. ${serial} 7200 900 1209600 60`

/** Records as a set would have them, after the changes of an incremental response. Throws where one does not apply. */
function applied(before: readonly string[], { records }: Taken): readonly string[] {
  const zone = new Set(before)
  let isRemoving = false
  for (const record of records.slice(1, -1)) {
    if (record.includes(' SOA ')) isRemoving = !isRemoving
    if (isRemoving ? !zone.delete(record) : zone.has(record)) throw new Error(`${record} does not apply`)
    if (!isRemoving) zone.add(record)
  }
  return [...zone].toSorted()
}

const primary = await Primary.start(files(10))
/** The zone as AXFR gives it, by serial. */
const whole = new Map<number, readonly string[]>()
const note = (serial: number): void => void whole.set(serial, primary.take().records.slice(0, -1).toSorted())
note(10)
const STEPS: readonly [number, string, string][] = [
  [11, ZONE.replace('192.0.2.1}', '192.0.2.99}'), SERVICES],
  [12, ZONE.replace('192.0.2.1}', '192.0.2.99}'), SERVICES],
  [
    13,
    ZONE.replace('192.0.2.3]', '192.0.2.4]').replace('c: {', 'new: {type: A, value: 192.0.2.77}\nc: {ttl: 60, '),
    SERVICES,
  ],
  [14, ZONE, SERVICES.replace('192.0.2.10', '192.0.2.11')],
  [15, ZONE, SERVICES.replace('192.0.2.10', '192.0.2.11')],
]
for (const [serial, zone, services] of STEPS) {
  await primary.load(files(serial, zone, services))
  note(serial)
}

const every = rules({ world: primary.responder.world })
const rule = every.over(TRANSFERS)
const take = (on: Asking, serial: number, more: Asked = {}): Promise<Taken> =>
  takeAsked(on, { type: 'IXFR', serial, ...more })

/** The Worlds that come of these files, one after the other. */
async function worldsOf(steps: readonly Files[]): Promise<readonly World[]> {
  const other = await Primary.start(steps[0]!)
  const worlds = [other.responder.world]
  for (const step of steps.slice(1)) {
    await other.load(step)
    worlds.push(other.responder.world)
  }
  return worlds
}

describe('§4: the response', () => {
  rule('is the differences from the serial of the client on, each between an old and a new SOA', async (on) => {
    const { records, messages } = await take(on, 12)
    expect(records).toEqual([
      soa(15),
      soa(12),
      'a.example.com. 3600 IN A 192.0.2.99',
      'b.example.com. 3600 IN A 192.0.2.3',
      'c.example.com. 3600 IN TXT "see"',
      soa(13),
      'a.example.com. 3600 IN A 192.0.2.1',
      'b.example.com. 3600 IN A 192.0.2.4',
      'new.example.com. 3600 IN A 192.0.2.77',
      'c.example.com. 60 IN TXT "see"',
      soa(13),
      'b.example.com. 3600 IN A 192.0.2.4',
      'new.example.com. 3600 IN A 192.0.2.77',
      'c.example.com. 60 IN TXT "see"',
      'www.example.com. 15 IN A 192.0.2.10',
      soa(14),
      'b.example.com. 3600 IN A 192.0.2.3',
      'c.example.com. 3600 IN TXT "see"',
      'www.example.com. 15 IN A 192.0.2.11',
      soa(14),
      soa(15),
      soa(15),
    ])
    expect(messages).toMatchObject([{ rcode: 'NOERROR', aa: true, question: [{ type: 'IXFR' }] }])
  })

  rule('makes, of the zone that the client has, the zone that there is', async (on) => {
    for (const serial of [10, 11, 12, 13, 14])
      expect(applied(whole.get(serial)!, await take(on, serial)), `from ${serial}`).toEqual(whole.get(15))
  })

  rule('says that only the serial has changed, where that is so', async (on) => {
    expect((await take(on, 14)).records).toEqual([soa(15), soa(14), soa(15), soa(15)])
    const still = (serial: number) => soa(serial, 'still.example')
    expect((await take(on, 10, { zone: 'still.example' })).records).toEqual([
      still(15),
      still(10),
      still(15),
      still(15),
    ])
  })
})

describe('§2: one SOA', () => {
  rule('to a client that has this serial, or a newer one (RFC 1982)', async (on) => {
    for (const serial of [15, 16, 15 + 0x7fffffff])
      expect((await take(on, serial)).records, String(serial)).toEqual([soa(15)])
  })

  every.over(['udp'])('over UDP, whatever the client has: it asks over TCP then', async (on) => {
    for (const serial of [1, 10, 15]) {
      const { records, messages } = await take(on, serial)
      expect(records).toEqual([soa(15)])
      expect(messages).toMatchObject([{ rcode: 'NOERROR', aa: true, tc: false }])
    }
    expect((await take(on, 10, { from: '192.0.2.1' })).messages[0]!.rcode).toBe('REFUSED')
  })
})

describe('§4: the whole zone', async () => {
  rule('to a client whose serial is not known', async (on) => {
    for (const serial of [9, 1, (15 - 0x7fffffff) >>> 0]) {
      const { records, messages } = await take(on, serial)
      expect(records.slice(0, -1).toSorted(), String(serial)).toEqual(whole.get(15))
      expect(records.at(-1)).toBe(soa(15))
      expect(messages[0]!.question[0]!.type).toBe('IXFR')
    }
  })

  const changed = await worldsOf([
    files(10),
    files(11),
    files(11, ZONE.replace('192.0.2.1}', '192.0.2.5}')),
    files(12, ZONE.replace('192.0.2.1}', '192.0.2.6}')),
    files(13, ZONE.replace('192.0.2.1}', '192.0.2.7}')),
  ])
  rule('once its content has changed without a new serial, until the serial changes', async (on) => {
    for (const [world, serial, length] of [
      [1, 10, 4],
      [2, 10, WHOLE],
      [3, 10, WHOLE],
      [3, 11, WHOLE],
      [4, 12, 6],
    ] as const) {
      const { records } = await take(on.serving(changed[world]!), serial)
      expect([world, serial, records.length]).toEqual([world, serial, length])
    }
  })

  const retry = 'soa: {serial: 11, retry: 60}\ntransfer: {allow: [192.0.2.53]}\n'
  const [, retrying] = await worldsOf([files(10), { ...files(11), 'defaults.yaml': retry }])
  rule('once the SOA itself has changed', async (on) => {
    expect((await take(on.serving(retrying!), 10)).records).toHaveLength(WHOLE)
  })

  const serials = Array.from({ length: 90 }, (_, i) => i + 10)
  const many = await worldsOf(serials.map((serial) => files(serial, ZONE.replace('192.0.2.1}', `192.0.2.${serial}}`))))
  rule('§5: once the differences are more than the zone', async (on) => {
    const last = on.serving(many.at(-1)!)
    expect((await take(last, 10)).records).toHaveLength(WHOLE)
    expect((await take(last, 98)).records).toHaveLength(6)
  })
})

rule('§3: a query without the SOA of the client is FORMERR', async (on) => {
  expect((await takeAsked(on, { type: 'IXFR' })).messages).toMatchObject([{ rcode: 'FORMERR', answer: [] }])
})
