/** RFC 1995: incremental zone transfers (IXFR). */
import { beforeAll, describe, expect, test } from 'vitest'
import { type Files, Primary, type Taken } from '../support/transfers.ts'

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

let primary: Primary
/** The zone as AXFR gives it, by serial. */
const whole = new Map<number, readonly string[]>()
const take = (serial: number, zone = 'example.com'): Taken => primary.take({ type: 'IXFR', serial, zone })

beforeAll(async () => {
  primary = await Primary.start(files(10))
  const note = (serial: number): void => void whole.set(serial, primary.take().records.slice(0, -1).toSorted())
  note(10)
  const steps: readonly [number, string, string][] = [
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
  for (const [serial, zone, services] of steps) {
    await primary.load(files(serial, zone, services))
    note(serial)
  }
})

describe('§4: the response', () => {
  test('is the differences from the serial of the client on, each between an old and a new SOA', () => {
    const { records, messages } = take(12)
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

  test('makes, of the zone that the client has, the zone that there is', () => {
    for (const serial of [10, 11, 12, 13, 14])
      expect(applied(whole.get(serial)!, take(serial)), `from ${serial}`).toEqual(whole.get(15))
  })

  test('says that only the serial has changed, where that is so', () => {
    expect(take(14).records).toEqual([soa(15), soa(14), soa(15), soa(15)])
    const still = (serial: number) => soa(serial, 'still.example')
    expect(take(10, 'still.example').records).toEqual([still(15), still(10), still(15), still(15)])
  })
})

describe('§2: one SOA', () => {
  test('to a client that has this serial, or a newer one (RFC 1982)', () => {
    for (const serial of [15, 16, 15 + 0x7fffffff]) expect(take(serial).records, String(serial)).toEqual([soa(15)])
  })

  test('over UDP, whatever the client has: it asks over TCP then', () => {
    const udp = (serial: number): Taken => primary.take({ type: 'IXFR', serial, over: 'udp' })
    for (const serial of [1, 10, 15]) {
      expect(udp(serial).records).toEqual([soa(15)])
      expect(udp(serial).messages).toMatchObject([{ rcode: 'NOERROR', aa: true, tc: false }])
    }
    expect(primary.take({ type: 'IXFR', serial: 10, over: 'udp', from: '192.0.2.1' }).messages[0]!.rcode).toBe(
      'REFUSED',
    )
  })
})

describe('§4: the whole zone', () => {
  test('to a client whose serial is not known', () => {
    for (const serial of [9, 1, (15 - 0x7fffffff) >>> 0]) {
      const { records, messages } = take(serial)
      expect(records.slice(0, -1).toSorted(), String(serial)).toEqual(whole.get(15))
      expect(records.at(-1)).toBe(soa(15))
      expect(messages[0]!.question[0]!.type).toBe('IXFR')
    }
  })

  test('once its content has changed without a new serial, until the serial changes', async () => {
    const other = await Primary.start(files(10))
    await other.load(files(11))
    expect(other.take({ type: 'IXFR', serial: 10 }).records).toHaveLength(4)
    await other.load(files(11, ZONE.replace('192.0.2.1}', '192.0.2.5}')))
    expect(other.take({ type: 'IXFR', serial: 10 }).records).toHaveLength(WHOLE)
    await other.load(files(12, ZONE.replace('192.0.2.1}', '192.0.2.6}')))
    for (const serial of [10, 11]) expect(other.take({ type: 'IXFR', serial }).records).toHaveLength(WHOLE)
    await other.load(files(13, ZONE.replace('192.0.2.1}', '192.0.2.7}')))
    expect(other.take({ type: 'IXFR', serial: 12 }).records).toHaveLength(6)
  })

  test('once the SOA itself has changed', async () => {
    const other = await Primary.start(files(10))
    await other.load({
      ...files(11),
      'defaults.yaml': 'soa: {serial: 11, retry: 60}\ntransfer: {allow: [192.0.2.53]}\n',
    })
    expect(other.take({ type: 'IXFR', serial: 10 }).records).toHaveLength(WHOLE)
  })

  test('§5: once the differences are more than the zone', async () => {
    const other = await Primary.start(files(10))
    for (let serial = 11; serial < 100; serial++)
      await other.load(files(serial, ZONE.replace('192.0.2.1}', `192.0.2.${serial}}`)))
    expect(other.take({ type: 'IXFR', serial: 10 }).records).toHaveLength(WHOLE)
    expect(other.take({ type: 'IXFR', serial: 98 }).records).toHaveLength(6)
  })
})

test('§3: a query without the SOA of the client is FORMERR', () => {
  expect(primary.take({ type: 'IXFR' }).messages).toMatchObject([{ rcode: 'FORMERR', answer: [] }])
})
