import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { HEALTH_FILE, MEMORY_MS, readSaved, type SavedHealth } from '../../src/health/saved.ts'
import { Saver } from '../../src/state.ts'

const folder = mkdtempSync(join(tmpdir(), 'meridian-saved-'))
afterAll(() => rmSync(folder, { recursive: true }))
const NOW = Date.parse('2026-06-01T00:00:00Z')
const state: SavedHealth = {
  savedMs: NOW,
  roster: { 'fra-1': { region: 'eu', heardMs: NOW - 5 } },
  members: { 'fra/web/192.0.2.1': { verdict: 'down', sinceMs: NOW - 10, plannedMs: NOW, proven: ['t1'] } },
}
const save = (file: string) => new Saver({ file, kind: HEALTH_FILE, collect: () => state, onTrouble: () => {} }).save()

describe('saved health', () => {
  test('comes back as it was', async () => {
    const file = join(folder, 'deep', 'health.json')
    expect(await save(file)).toBe(undefined)
    expect(readSaved(file, NOW + 1000)).toEqual({ saved: expect.objectContaining({ ...state }) })
  })

  test('is not used when it is older than a day, or of a clock far ahead', async () => {
    const file = join(folder, 'old.json')
    await save(file)
    expect(readSaved(file, NOW + MEMORY_MS - 1).saved).toBeDefined()
    for (const now of [NOW + MEMORY_MS + 1, NOW - MEMORY_MS - 1]) {
      const { saved, trouble } = readSaved(file, now)
      expect(saved).toBeUndefined()
      expect(trouble).toContain('was not used')
    }
  })

  test('no file is no trouble', () => {
    expect(readSaved(join(folder, 'none.json'), NOW)).toEqual({})
  })

  test.each([
    ['empty', ''],
    ['cut short', '{"format":"meridian health 1","savedMs":17'],
    ['foreign', '{"servers":["a"]}'],
    ['another version', JSON.stringify({ ...state, format: 'meridian health 2' })],
    ['a wrong verdict', JSON.stringify({ format: 'meridian health 1', ...state }).replace('"down"', '"sideways"')],
    ['a wrong time', JSON.stringify({ format: 'meridian health 1', ...state }).replace(String(NOW - 10), '"noon"')],
    ['no object', '[]'],
    ['null inside', '{"format":"meridian health 1","savedMs":1,"roster":null,"members":{}}'],
  ])('a file that is %s is trouble and no state', (_, text) => {
    const file = join(folder, 'bad.json')
    writeFileSync(file, text)
    expect(readSaved(file, NOW)).toEqual({ trouble: expect.stringContaining('damaged or foreign') })
  })
})
