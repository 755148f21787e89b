/**
 * Every code of a problem is shown by a folder in test/zones, `bad` beside a valid twin `good`. The loader's are tried in
 * problems.test.ts, the linter's in lint.test.ts, those that need settings, databases or a prober in cli/check.test.ts, and a
 * parent zone's in cli/parent.test.ts.
 */
import { existsSync, readdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { expect, test } from 'vitest'
import { PROBLEM_CODES } from '../../src/problem.ts'

const zones = resolve(import.meta.dirname, '../zones')

/** Codes that no folder as it lies there can show, and why. */
const NO_FOLDER: Readonly<Record<string, string>> = {
  'problems-many': 'it takes more than a thousand faults, which hostile.test.ts writes',
  'folder-unsettled': 'it takes a folder that changes while it is read',
  'serial-backwards': 'it takes two loads, one after the other',
  'geo-memory': 'it takes a control group with little memory',
  'merge-conflict': 'it would stop every tool that looks for unfinished merges: problems.test.ts writes it',
  'host-buffers': 'it takes a host, which host.test.ts makes up',
  'host-files': 'it takes a host, which host.test.ts makes up',
  'geo-held': 'it takes two databases, one after the other',
  'zones-held': 'it takes two loads, one after the other',
}

/** No code: ten faults at once. */
const NO_CODE = ['ten']

test('every code has a folder and its twin', () => {
  const shown = Object.keys(PROBLEM_CODES).filter((code) => !(code in NO_FOLDER))
  const lacking = shown
    .flatMap((code) => [`${code}/bad`, `${code}/good`])
    .filter((path) => !existsSync(join(zones, path)))
  expect(lacking).toEqual([])
})

test('every folder is a code', () => {
  const strange = readdirSync(zones).filter((name) => !(name in PROBLEM_CODES) && !NO_CODE.includes(name))
  expect(strange).toEqual([])
})

test('the exceptions are codes', () => {
  expect(Object.keys(NO_FOLDER).filter((code) => !(code in PROBLEM_CODES))).toEqual([])
})
