import { mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { HEALTH_FILE, MEMORY_MS, readSaved, Saver, type SavedHealth } from '../../src/health/saved.ts'
import { until } from './until.ts'

const folder = mkdtempSync(join(tmpdir(), 'meridian-saved-'))
afterAll(() => rmSync(folder, { recursive: true }))
const NOW = Date.parse('2026-06-01T00:00:00Z')
const state: SavedHealth = {
  savedMs: NOW,
  roster: { 'fra-1': { region: 'eu', heardMs: NOW - 5 } },
  members: { 'fra/web/192.0.2.1': { verdict: 'down', sinceMs: NOW - 10, plannedMs: NOW, proven: ['t1'] } },
}
const save = async (file: string) => {
  const troubles: (string | undefined)[] = []
  const saver = new Saver({
    file,
    kind: HEALTH_FILE,
    collect: () => state,
    onTrouble: (t) => troubles.push(t),
    everyMs: 20,
  })
  await saver.stop()
  return troubles
}

describe('saved health', () => {
  test('comes back as it was, and leaves nothing beside it', async () => {
    const file = join(folder, 'deep', 'health.json')
    expect(await save(file)).toEqual([])
    expect(readSaved(file, NOW + 1000)).toEqual({ saved: expect.objectContaining({ ...state }) })
    expect(readdirSync(join(folder, 'deep'))).toEqual(['health.json'])
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

  test('a folder in its place is trouble and no crash', () => {
    expect(readSaved(folder, NOW).trouble).toContain("can't be read")
  })

  test('a full disk is told once, loses nothing that was saved, and its end is told', async () => {
    const file = join(folder, 'full.json')
    await save(file)
    const before = readFileSync(file, 'utf8')
    symlinkSync('/dev/full', `${file}.${process.pid}.new`)
    const troubles: (string | undefined)[] = []
    const saver = new Saver({
      file,
      kind: HEALTH_FILE,
      collect: () => state,
      onTrouble: (t) => troubles.push(t),
      everyMs: 5,
    })
    saver.start()
    await until(() => troubles.length > 0, 'trouble')
    await saver.save()
    await saver.save()
    expect(troubles).toEqual([expect.stringContaining('ENOSPC')])
    expect(readFileSync(file, 'utf8')).toBe(before)
    rmSync(`${file}.${process.pid}.new`)
    await until(() => troubles.length > 1, 'the end of it')
    expect(troubles[1]).toBe(undefined)
    await saver.stop()
    expect(readSaved(file, NOW).saved).toBeDefined()
  })

  test('changes are saved soon, and many of them seldom', async () => {
    const file = join(folder, 'often.json')
    let collected = 0
    const saver = new Saver({
      file,
      kind: HEALTH_FILE,
      collect: () => ({ ...state, savedMs: ++collected }),
      onTrouble: () => {},
      everyMs: 60,
    })
    saver.start()
    const startMs = performance.now()
    while (performance.now() < startMs + 300) {
      saver.touch()
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
    const most = (performance.now() - startMs) / 60 + 1
    expect(collected).toBeGreaterThan(0)
    expect(collected).toBeLessThanOrEqual(most)
    await saver.stop()
    expect(JSON.parse(readFileSync(file, 'utf8')).savedMs).toBe(collected)
  })
})
