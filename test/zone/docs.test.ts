/** docs/zones.md tells every key that the loader takes, and no other. */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { expect, test } from 'vitest'
import { CHECK_KEYS } from '../../src/zone/checks.ts'
import { DYNAMIC_KEYS, DYNAMIC_RECORD_KEYS, POOL_KEYS, POOL_VALUE_KEYS } from '../../src/zone/dynamic.ts'
import { DYNAMIC_RULE_KEYS } from '../../src/zone/dynamic-rules.ts'
import { HEALTHCHECK_KEYS } from '../../src/zone/healthcheck.ts'
import { DEFAULTS_KEYS, SOA_KEYS } from '../../src/zone/load.ts'
import { GSLB_KEYS, RECORD_KEYS } from '../../src/zone/records.ts'
import { RULE_KEYS } from '../../src/zone/rules.ts'
import { SERVICE_KEYS, SERVICE_SITE_KEYS, SITE_KEYS } from '../../src/zone/services.ts'

const text = readFileSync(resolve(import.meta.dirname, '../../docs/zones.md'), 'utf8')

test.each([
  ['record', RECORD_KEYS],
  ['GSLB', GSLB_KEYS],
  ['dynamic record', DYNAMIC_RECORD_KEYS],
  ['dynamic', DYNAMIC_KEYS],
  ['pool', POOL_KEYS],
  ["pool's value", POOL_VALUE_KEYS],
  ['dynamic rule', DYNAMIC_RULE_KEYS],
  ['healthcheck', HEALTHCHECK_KEYS],
  ['defaults', DEFAULTS_KEYS],
  ['soa', SOA_KEYS],
  ['site', SITE_KEYS],
  ['service', SERVICE_KEYS],
  ["service's site", SERVICE_SITE_KEYS],
  ['rule', RULE_KEYS],
  ['check', CHECK_KEYS],
])('the keys of a %s', (what, keys) => {
  const table = text.split(`\n| ${what} | what it is |`)[1]!.split('\n\n')[0]!
  expect([...table.matchAll(/^\| `(\w+)` \|/gm)].map(([, key]) => key!).toSorted()).toEqual(keys.toSorted())
})
