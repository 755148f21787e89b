/** What a prober may reach, against the rule of docs/settings.md and a naive reading of it. */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { formatAddress, parseAddress } from '../../src/dns/address.ts'
import { DEFAULT_REACH, makeReach, type ReachSettings } from '../../src/health/reach.ts'

const reachOf = (more: Partial<ReachSettings> = {}) => makeReach({ allow: [], deny: [], own: [], ...more })
const may = (address: string, more: Partial<ReachSettings> = {}, port = 80) =>
  reachOf(more).refusal(address, port) === undefined

describe('without settings', () => {
  test.each([
    '0.0.0.0',
    '0.1.2.3',
    '127.0.0.1',
    '127.255.255.255',
    '169.254.1.1',
    '169.254.169.254',
    '169.254.170.2',
    '224.0.0.1',
    '239.255.255.255',
    '255.255.255.255',
    '100.100.100.200',
    '168.63.129.16',
    '192.0.0.192',
    '::',
    '::1',
    'fe80::1',
    'febf:ffff::1',
    'fe80::a9fe:a9fe',
    'ff02::1',
    'fd00:ec2::254',
    'fd00:ec2::23',
    'fd20:ce::254',
    'fd00:c1::a9fe:a9fe',
    'fd00:42::42',
    'fd00:a9fe:a9fe::1',
    'fd00:100::100:200',
    // what carries 127.0.0.1, 169.254.169.254 or 0.0.0.0
    '::ffff:127.0.0.1',
    '::ffff:0.0.0.0',
    '::127.0.0.1',
    '::ffff:0:7f00:1',
    '64:ff9b::7f00:1',
    '64:ff9b::a9fe:a9fe',
    '64:ff9b:1::7f00:1',
    '64:ff9b:1:7f00:0:100::',
    '64:ff9b:1:a9:fe:a9fe::',
    '64:ff9b:1:0:7f:0:100:0',
    '2002:7f00:1::1',
    '2002:a9fe:a9fe::',
    '2001:0:7f00:1::',
    '2001::80ff:fffe',
    '2001:db8::5efe:7f00:1',
    '2001:db8::200:5efe:a9fe:a9fe',
  ])('%s is denied', (address) => expect(may(address)).toBe(false))

  test.each([
    '192.0.2.1',
    '10.0.0.1',
    '172.16.0.1',
    '192.168.1.1',
    '100.64.0.1',
    '1.1.1.1',
    '128.0.0.1',
    '169.253.255.255',
    '223.255.255.255',
    '240.0.0.1',
    '2001:db8::1',
    'fd00::1',
    'fec0::1',
    '::ffff:192.0.2.1',
    '64:ff9b::c000:201',
    '64:ff9b:1::c000:201',
    '2002:c000:201::1',
    '2001:db8::5efe:c000:201',
    '2001:db8:0:1:7f00:1:7f00:1',
  ])('%s is not', (address) => expect(may(address)).toBe(true))

  test('the docs have every prefix that is built in', () => {
    const docs = readFileSync(resolve(import.meta.dirname, '../../docs/settings.md'), 'utf8')
    const source = readFileSync(resolve(import.meta.dirname, '../../src/health/reach.ts'), 'utf8')
    const table = source.slice(source.indexOf('const BUILT_IN'), source.indexOf('const LAST'))
    const prefixes = [...table.matchAll(/'([0-9a-f:.]+)\/(\d+)'/g)].map(([, address, bits]) =>
      Number(bits) === 8 * parseAddress(address!)!.length ? address : `${address}/${bits}`,
    )
    expect(prefixes.length).toBeGreaterThan(20)
    expect(prefixes.filter((prefix) => !docs.includes(`\`${prefix}\``))).toEqual([])
  })
})

describe('with settings', () => {
  test('the longest decides', () => {
    const loopback = { allow: ['127.0.0.0/8', '169.254.0.0/16'] }
    expect([may('127.0.0.1', loopback), may('169.254.1.1', loopback)]).toEqual([true, true])
    expect(may('169.254.169.254', loopback)).toBe(false)
    expect(may('169.254.169.254', { allow: ['169.254.169.254'] })).toBe(true)
    expect(may('127.0.0.1', { allow: ['0.0.0.0/0'] })).toBe(false)
    const part = { deny: ['10.0.0.0/8'], allow: ['10.1.0.0/16'] }
    expect([may('10.1.2.3', part), may('10.2.2.3', part), may('192.0.2.1', part)]).toEqual([true, false, true])
    const only = { deny: ['0.0.0.0/0', '::/0'], allow: ['192.0.2.0/24'] }
    expect(['192.0.2.1', '192.0.3.1', '2001:db8::1'].map((address) => may(address, only))).toEqual([true, false, false])
  })

  test('of equally long ones deny, then allow, then what is built in', () => {
    expect(may('127.0.0.1', { allow: ['127.0.0.0/8'], deny: ['127.0.0.0/8'] })).toBe(false)
    expect(may('127.0.0.1', { allow: ['127.0.0.0/8'] })).toBe(true)
  })

  test('an address that carries another needs both', () => {
    expect(may('::ffff:10.0.0.1', { deny: ['10.0.0.0/8'] })).toBe(false)
    expect(may('64:ff9b::a00:1', { deny: ['10.0.0.0/8'] })).toBe(false)
    expect(may('64:ff9b::c000:201', { deny: ['64:ff9b::/96'] })).toBe(false)
    expect(may('::ffff:127.0.0.1', { allow: ['127.0.0.0/8'] })).toBe(true)
    expect(may('::ffff:127.0.0.1', { allow: ['::ffff:0:0/96'] })).toBe(false)
    expect(may('::1', { allow: ['::1'] })).toBe(true)
  })

  test('own ports are denied, other ports of the address are not; named alone it is allowed', () => {
    const own = [{ address: '127.0.0.1', port: 8053, what: 'where http.listen of this node is' }]
    const more = { own, allow: ['127.0.0.0/8'] }
    expect([may('127.0.0.1', more, 8053), may('127.0.0.1', more, 8054)]).toEqual([false, true])
    expect([may('::ffff:127.0.0.1', more, 8053), may('127.0.0.2', more, 8053)]).toEqual([false, true])
    expect(may('127.0.0.1', { own, allow: ['127.0.0.1'] }, 8053)).toBe(true)
    const all = { own: [{ address: '127.0.0.0/8', port: 8053, what: 'all' }], allow: ['127.0.0.0/16', '127.0.0.9'] }
    expect(['127.0.0.2', '::ffff:127.0.0.2', '127.0.0.9'].map((address) => may(address, all, 8053))).toEqual([
      false,
      false,
      true,
    ])
    expect([may('127.0.0.2', all, 8054), reachOf(all).refusal('127.0.0.2', 8053)]).toEqual([
      true,
      'this prober does not probe 127.0.0.2, all (port 8053), unless probe.allow has 127.0.0.2/32',
    ])
    expect(may('192.0.2.6', { own: [{ address: 'redis', port: 6379, what: '' }] }, 6379)).toBe(true) // no address yet
  })

  test('it says why, and what would allow it', () => {
    expect(reachOf().refusal('127.0.0.1', 80)).toBe(
      'this prober does not probe 127.0.0.1, a loopback address, unless probe.allow has 127.0.0.0/8',
    )
    expect(reachOf({ deny: ['10.0.0.0/8'] }).refusal('10.1.1.1', 80)).toBe(
      'this prober does not probe 10.1.1.1, in 10.0.0.0/8, which probe.deny has',
    )
    expect(reachOf().refusal('64:ff9b::a9fe:a9fe', 80)).toBe(
      "this prober does not probe 64:ff9b::a9fe:a9fe, which carries 169.254.169.254, the address of a cloud's metadata service, unless probe.allow has 169.254.169.254/32",
    )
  })

  test('what is named is what probe.allow decides', () => {
    const { isNamed } = reachOf({ allow: ['10.0.0.0/8'], deny: ['10.1.0.0/16'] })
    expect(['10.0.0.1', '10.1.0.1', '192.0.2.1', '::ffff:10.0.0.1'].map((address) => isNamed(address, 80))).toEqual([
      true,
      false,
      false,
      true,
    ])
  })
})

test('whatever the IPv4 address: mapped, translated or tunnelled it is denied where it is denied itself', () => {
  const first = fc.oneof(fc.constantFrom(127, 169, 224, 100, 168, 10, 192), fc.integer({ min: 1, max: 255 }))
  const second = fc.oneof(fc.constantFrom(254, 0, 63, 100), fc.nat(255))
  const address = fc.tuple(first, second, fc.nat(255), fc.nat(255))
  fc.assert(
    fc.property(address, (bytes) => {
      const is = may(bytes.join('.'))
      const at = (head: string, place: number, flip = 0) => {
        const whole = parseAddress(head)!
        bytes.forEach((byte, i) => (whole[place + i] = byte ^ flip))
        return formatAddress(whole)
      }
      const forms = [at('::ffff:0:0', 12), at('::', 12), at('::ffff:0:0:0', 12), at('64:ff9b::', 12), at('2002::', 2)]
      for (const form of [...forms, at('2001:db8::5efe:0:0', 12)]) expect([form, may(form)]).toEqual([form, is])
      if (!is)
        expect([may(at('2001::', 12, 255)), may(at('2001::', 4)), may(at('64:ff9b:1::', 12))]).toEqual(
          Array(3).fill(false),
        )
    }),
  )
})

test('no settings: the one that checks have when nobody gives any', () => {
  expect(DEFAULT_REACH.refusal('127.0.0.1', 80)).toBeDefined()
  expect(DEFAULT_REACH.refusal('192.0.2.1', 80)).toBeUndefined()
})
