/** docs/api.md against the description of the API. */
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { PAGE, withReference } from '../../scripts/api-reference.ts'
import { PROBLEMS } from '../../src/api/problem-details.ts'
import { ROUTES } from '../../src/api/routes.ts'
import { SCOPES } from '../../src/config.ts'

test('docs/api.md has the tables that npm run reference makes', () => {
  const page = readFileSync(PAGE, 'utf8')
  expect(page).toBe(withReference(page))
  for (const { method, path } of ROUTES) expect(page).toContain(`| \`${method} ${path}\` | `)
  for (const { meaning } of ROUTES) expect(page).toContain(meaning)
  for (const type of Object.keys(PROBLEMS)) expect(page).toContain(`| \`${type}\` | `)
})

test('docs/api.md tells every scope, and no other', () => {
  const [, tokens] = readFileSync(PAGE, 'utf8').split('\n## Tokens\n')
  const rows = [...tokens!.split('\n## ')[0]!.matchAll(/^\| `([a-z]+)` \|/gm)].map(([, scope]) => scope)
  expect(rows).toEqual([...SCOPES])
})
