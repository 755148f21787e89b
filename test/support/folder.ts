/** Folders of zones for tests: written below the system's temporary folder, gone with the test file. */
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { afterAll, expect } from 'vitest'
import { formatName } from '../../src/dns/name.ts'
import { formatRdata } from '../../src/dns/rdata.ts'
import { TYPE, typeName } from '../../src/dns/types.ts'
import { type LoadResult, loadFolder } from '../../src/load/load.ts'
import { formatProblem } from '../../src/problem.ts'
import type { ZoneModel } from '../../src/zone/pack.ts'
import { recordsOf } from './records.ts'

const folders: string[] = []
afterAll(() => folders.splice(0).forEach((folder) => rmSync(folder, { recursive: true })))

/** An empty folder, by its path without links. */
export function emptyFolder(): string {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'meridian-zones-')))
  folders.push(folder)
  return folder
}

/** Writes texts by their paths below the folder, and gives it back. */
export function writeZones(files: Readonly<Record<string, string>>, folder = emptyFolder()): string {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    writeFileSync(join(folder, name), text)
  }
  return folder
}

export const DEFAULTS = { 'defaults.yaml': 'soa: {serial: 1}\n' }
/** The apex of any zone but example.net. */
export const NS = '"": {type: NS, values: [ns1.example.net.]}\n'

export const load = (files: Readonly<Record<string, string>>): Promise<LoadResult> =>
  loadFolder(writeZones({ ...DEFAULTS, ...files }))

/** A zone's records as `name TTL type data`, without its SOA and NS. */
export function masterLines(zone: ZoneModel): string[] {
  return [...recordsOf(zone)].flatMap(({ owner, type, rdata, ttlSeconds }) => {
    if (type === TYPE.SOA || type === TYPE.NS) return []
    return rdata.map((bytes) => `${formatName(owner)} ${ttlSeconds} ${typeName(type)} ${presented(type, bytes)}`)
  })
}

export function presented(type: number, bytes: Uint8Array): string {
  const text = formatRdata(type, bytes)
  return typeof text === 'string' ? text : `not ${text.fault}`
}

/** The same of all zones of a folder, which has no problems. */
export async function linesOf(files: Readonly<Record<string, string>>): Promise<string[]> {
  const { model, problems } = await load(files)
  expect(problems.map(formatProblem)).toEqual([])
  return model!.zones.flatMap(masterLines)
}

/** `file:line:column code`, files relative to the folder. */
export const briefs = (folder: string, { problems }: LoadResult): string[] =>
  problems.map(({ file, line, column, code }) => {
    const path = relative(folder, file)
    return line === 0 ? `${path} ${code}` : `${path}:${line}:${column} ${code}`
  })

export async function briefsOf(files: Readonly<Record<string, string>>): Promise<string[]> {
  const folder = writeZones({ ...DEFAULTS, ...files })
  return briefs(folder, await loadFolder(folder))
}
