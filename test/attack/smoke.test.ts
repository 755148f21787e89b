/** Each attack for some seconds, so that no defence is lost unseen; and SECURITY.md tells of each. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { isRoot, loadAttacks } from './attack.ts'

const attacks = await loadAttacks()
const security = readFileSync(join(import.meta.dirname, '../../SECURITY.md'), 'utf8')

describe('each attack fails', () => {
  for (const [name, { tries, needsRoot, run }] of attacks) {
    test.skipIf(needsRoot === true && !isRoot())(`${name}: ${tries}`, () => run('smoke', () => {}))
  }
})

test('SECURITY.md names each attack, and no other', () => {
  const named = [...security.matchAll(/`npm run attack -- ([a-z0-9-]+)`/g)].map((match) => match[1]!)
  expect([...new Set(named)].toSorted()).toEqual([...attacks.keys()])
})
