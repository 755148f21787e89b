import { expect, test } from 'vitest'
import { formatPrefix, parseAddress, parsePrefix } from '../../src/dns/address.ts'
import { PrefixTableBuilder } from '../../src/geo/prefixes.ts'
import { deadRules, subnetHolding } from '../../src/zone/rules.ts'

/** `10.0.0.0/8 AS64500 EU-FR` → a rule with these keys. */
function rule(text: string): Parameters<typeof deadRules>[0][number] {
  const keys = text.split(' ').filter((key) => key !== '')
  return {
    subnets: keys.filter((key) => key.includes('/')).map((key) => parsePrefix(key)!),
    asns: keys.filter((key) => /^AS\d/.test(key)).map((key) => Number(key.slice(2))),
    geos: keys
      .filter((key) => !/\/|\d/.test(key))
      .map((key) => {
        const [continent = '', country, subdivision] = key.split('-')
        return { continent, ...(country && { country }), ...(subdivision && { subdivision }) }
      }),
  }
}

test.each([
  ['nested either way', ['10.0.0.0/8', '10.1.0.0/16', '10.0.0.0/7'], []],
  ['the same again', ['10.0.0.0/8', '10.0.0.0/8'], ['1 by 0']],
  ['halves of others', ['10.0.0.0/8', '10.0.0.0/9', '10.128.0.0/9'], ['0 by 1']],
  ['all but one address', ['10.0.0.0/30', '10.0.0.0/31', '10.0.0.2/32'], []],
  ['one of two subnets lives', ['10.0.0.0/8', '10.0.0.0/8 11.0.0.0/8'], []],
  ['families apart', ['0.0.0.0/0', '::/0', '2001:db8::/32'], []],
  ['IPv6 halves', ['2001:db8::/32', '2001:db8::/33', '2001:db8:8000::/33'], ['0 by 1']],
  ['an IPv4 subnet in IPv6 clothes', ['10.0.0.0/8', '::ffff:10.0.0.0/104'], ['1 by 0']],
  ['geos in order', ['AS', 'AS-CN', 'EU-DE', 'EU', 'EU-FR'], ['1 by 0', '4 by 3']],
  ['the same geo again', ['NA-US-CA', 'NA-US-NY', 'NA-US-CA'], ['2 by 0']],
  ['a territory is a country of its own', ['NA-US', 'NA-US-PR', 'NA', 'NA-US-PR'], ['3 by 1']],
  ['several geos', ['AS EU', 'AS-JP OC', 'EU-FR AS-CN'], ['2 by 0']],
  ['subnets go first wherever they are', ['AS', '10.0.0.0/8'], []],
  ['dead by subnet, alive by geo', ['10.0.0.0/8', '10.0.0.0/8 AF', '10.0.0.0/8 AF-EG'], ['2 by 0']],
  ['numbers in order', ['AS1 AS2', 'AS2', 'AS2 AS3', 'AS3 AS1'], ['1 by 0', '3 by 2']],
  ['dead by number, alive by geo or subnet', ['AS1', 'AS1 EU', 'AS1 10.0.0.0/8', 'AS1 EU-FR'], ['3 by 0']],
  ['subnets and numbers do not take each other’s', ['10.0.0.0/8 EU', 'AS1', '10.0.0.0/8 AS1'], ['2 by 0']],
  ['no keys at all is another fault', ['', '10.0.0.0/8'], []],
])('%s', (_, rules, dead) => {
  expect(deadRules(rules.map(rule)).map(({ index, by }) => `${index} by ${by}`)).toEqual(dead)
})

test('the subnet that holds a client is the longest, from wherever it comes', () => {
  const builder = new PrefixTableBuilder()
  for (const text of ['10.1.0.0/16', '2001:db8::/32', '2001:db8:1::/48']) builder.add(parsePrefix(text)!)
  const files = { ...rule('10.0.0.0/8 10.1.2.0/24 ::ffff:192.0.2.0/120'), subnetFiles: [builder.done()] }
  const held = (address: string): string | undefined => {
    const found = subnetHolding(files, parseAddress(address)!)
    return found && formatPrefix(found)
  }
  const addresses = ['10.2.0.1', '10.1.0.1', '10.1.2.1', '11.0.0.1', '192.0.2.1', '2001:db8:1::1', '2001:db8:2::1']
  expect(addresses.map(held)).toEqual([
    '10.0.0.0/8',
    '10.1.0.0/16',
    '10.1.2.0/24',
    undefined,
    '192.0.2.0/24',
    '2001:db8:1::/48',
    '2001:db8::/32',
  ])
})
