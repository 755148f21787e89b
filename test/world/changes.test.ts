/** What a reload changed, in one line. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type LoadResult, loadFolder } from '../../src/load/load.ts'
import { changesInWords, changesOf } from '../../src/world/changes.ts'
import { writeFiles } from '../support/repository.ts'

const NS = '"": {type: NS, values: [ns1.example.net.]}\n'
const service = (name: string): string => `${name}: {sites: {fra: {vips: [192.0.2.10]}}, check: none}\n`

let folder: string
let loaded: LoadResult
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'meridian-changes-'))
  loaded = await load({
    'defaults.yaml': 'soa: {serial: 7}\n',
    'sites.yaml': 'fra: {location: [50.11, 8.68]}\n',
    'services.yaml': service('web') + service('old'),
    'a.example.yaml': `${NS}www: {type: GSLB, service: web}\nb:\n  - {type: A, value: 192.0.2.1}\n  - {type: AAAA, value: "::1"}\n`,
    'b.example.yaml': NS,
    'gone.example.yaml': `${NS}x: {type: A, value: 192.0.2.1}\n`,
  })
})
afterEach(() => rmSync(folder, { recursive: true }))

async function load(files: Readonly<Record<string, string>>, previous?: LoadResult): Promise<LoadResult> {
  writeFiles(folder, files)
  const now = await loadFolder(folder, previous)
  expect(now.problems).toEqual([])
  return now
}

const inWords = (now: LoadResult): string => changesInWords(changesOf(loaded.model!, now.model!))

test('zones, names and services that came and went; a zone that changed', async () => {
  rmSync(join(folder, 'gone.example.yaml'))
  const now = await load(
    {
      'services.yaml': service('web') + service('api'),
      'a.example.yaml': `${NS}b: {type: A, value: 192.0.2.2}\nc: {type: A, value: 192.0.2.2}\nd: {type: A, value: 192.0.2.2}\n`,
      'new.example.yaml': NS,
    },
    loaded,
  )
  // names: c, d and new’s apex came; www, gone’s apex and x went; b is still there
  expect(inWords(now)).toBe('zones +new.example., −gone.example., 1 changed; names +3, −3; services +api, −old')
})

test('nothing', async () => {
  expect(inWords(await load({}, loaded))).toBe('the same zones, names, services and sites')
})

test('what changes in services and sites, and names that change their service', async () => {
  const now = await load(
    {
      'sites.yaml': 'fra: {location: [1, 103.9]}\n',
      'services.yaml': service('web').replace('192.0.2.10', '192.0.2.11') + service('old'),
      'a.example.yaml': `${NS}www: {type: GSLB, service: old}\nb: {type: A, value: 192.0.2.1}\n`,
    },
    loaded,
  )
  expect(inWords(now)).toBe(
    'zones 1 changed; services web (fra: VIPs −192.0.2.10 +192.0.2.11); sites fra (location 50.11, 8.68 → 1, 103.9)',
  )
  expect(changesOf(loaded.model!, now.model!).switches).toEqual([{ before: 'web', after: 'old' }])
})

test('many are counted, few are named', async () => {
  const files = Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`z${i + 10}.example.yaml`, NS]))
  expect(inWords(await load(files, loaded))).toBe(
    'zones +z10.example., +z11.example., +z12.example., +z13.example., +z14.example., +35 more; names +40',
  )
})
