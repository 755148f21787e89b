/** The serial that was served last outlives restarts, and a disk that takes nothing keeps nobody from serving. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { serialOf } from '../../src/load/soa.ts'
import { SerialFile } from '../../src/node/serial.ts'
import { makeBuilder } from '../../src/world/build.ts'
import { madeOf } from '../support/build.ts'
import { writeFiles } from '../support/repository.ts'
import { until } from '../support/until.ts'

let folder: string
let file: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'meridian-serial-'))
  file = join(folder, 'state', 'serial.json')
})
afterEach(() => rmSync(folder, { recursive: true }))

const quiet = (trouble: string): never => expect.unreachable(trouble)

test('it is known again after a restart', async () => {
  const first = new SerialFile(file, quiet)
  expect(first.floor).toBeUndefined()
  first.serve(4_294_967_295)
  await first.stop()
  expect(new SerialFile(file, quiet).floor).toBe(4_294_967_295)
  expect(readdirSync(join(folder, 'state'))).toEqual(['serial.json'])
})

test.each([
  ['{"format": "meridian serial 1", "serial": 12', 'damaged'],
  ['{"format": "meridian serial 1", "serial": -1}', 'damaged'],
  ['{"format": "meridian health 1", "serial": 12}', 'damaged or foreign'],
])('a file with %s in it is trouble until there is a new one', async (text, trouble) => {
  writeFiles(folder, { 'state/serial.json': text })
  const told: string[] = []
  const serial = new SerialFile(file, (line) => void told.push(line))
  expect(serial.floor).toBeUndefined()
  expect(told).toEqual([expect.stringContaining(trouble)])
  expect(serial.troubles).toEqual(told)
  serial.serve(12)
  await serial.stop()
  expect(serial.troubles).toEqual([])
  expect(new SerialFile(file, quiet).floor).toBe(12)
})

test('where nothing can be written it is trouble, the floor holds, and it is written once that works', async () => {
  const told: string[] = []
  const serial = new SerialFile(file, (line) => void told.push(line))
  writeFileSync(join(folder, 'state'), '') // in the way
  serial.serve(12)
  await until('the trouble', () => told.length > 0)
  expect(told[0]).toContain(`serial can't be saved to ${file}`)
  expect(serial.troubles).toEqual(told)
  expect(serial.floor).toBe(12)
  rmSync(join(folder, 'state'))
  await until('no trouble', () => serial.troubles.length === 0)
  expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject({ serial: 12 })
  await serial.stop()
})

test('a floor, or another serial, changes the serial that is answered, and not the view, which nodes compare', async () => {
  const zones = join(folder, 'zones')
  writeFiles(zones, {
    'defaults.yaml': 'soa: {serial: 7}\n',
    'example.com.yaml': '"": {type: NS, values: [ns1.example.net.]}\n',
  })
  const builder = makeBuilder({ zones, city: [] })
  const first = await builder.build()
  expect(first.problems).toEqual([])
  const free = madeOf(first)
  expect(free.serial).toBe(7)
  for (const [serialFloor, serial, codes] of [
    [7, 7, []],
    [6, 7, []],
    [0xffff_ffff, 7, []], // RFC 1982: 7 is newer
    [8, 8, ['serial-backwards']],
    [2 ** 31 + 7, 2 ** 31 + 7, ['serial-backwards']],
  ] as const) {
    const built = await builder.build({ serialFloor })
    expect(built.problems.map(({ code }) => code)).toEqual(codes)
    expect(madeOf(built).view).toBe(free.view)
    expect(madeOf(built).serial).toBe(serial)
    const bytes = Buffer.from(madeOf(built).world.image.bytes)
    const soa = bytes.subarray(bytes.length - 20)
    expect(serialOf({ rdata: soa, ttlSeconds: 0, negativeTtlSeconds: 0 })).toBe(serial)
  }
  writeFileSync(join(zones, 'defaults.yaml'), 'soa: {serial: 8}\n')
  // nor does another serial in the file: git gives one to each commit, whatever it changes
  expect(madeOf(await builder.build())).toMatchObject({ serial: 8, view: free.view })
})

test('what would be the same is not made again, unless asked for; another floor is not the same', async () => {
  const zones = join(folder, 'zones')
  writeFiles(zones, {
    'defaults.yaml': 'soa: {serial: 7}\n',
    'example.com.yaml': '"": {type: NS, values: [ns1.example.net.]}\n',
  })
  const builder = makeBuilder({ zones, city: [] })
  expect((await builder.build({ ifChanged: true })).kind).toBe('made')
  expect(await builder.build({ ifChanged: true })).toMatchObject({ kind: 'unchanged', parsed: 0, problems: [] })
  expect((await builder.build()).kind).toBe('made')
  expect(madeOf(await builder.build({ ifChanged: true, serialFloor: 9 })).serial).toBe(9)
  writeFileSync(join(zones, 'example.com.yaml'), 'nonsense')
  const broken = await builder.build({ ifChanged: true, serialFloor: 9 })
  expect(broken.kind).toBe('refused')
  writeFileSync(join(zones, 'example.com.yaml'), '"": {type: NS, values: [ns1.example.net.]}\n')
  expect(await builder.build({ ifChanged: true, serialFloor: 9 })).toMatchObject({ kind: 'unchanged', parsed: 1 })
})
