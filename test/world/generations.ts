/**
 * A process that writes generation after generation into a folder, file by file and each in place, some quickly, some with a
 * pause in the middle, and rests now and then: `node generations.ts ZONES CITY`. Whole generations agree in the serial, two
 * addresses, and which half of a test database has which coordinates. It says each number on a line of its own when it begins.
 */
import { closeSync, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

const [zones = '', city = ''] = process.argv.slice(2)
const databases = [readFileSync(`${city}.0`), readFileSync(`${city}.1`)]

/** Both sides of this have bytes that differ from one database to the other. */
const differing = [...databases[0]!.keys()].filter((at) => databases[0]![at] !== databases[1]![at])
const half = differing[differing.length >> 1]!

/** In place and in two halves, as `cp` of a large file does. */
async function writeCity(generation: number, pauseMs: number): Promise<void> {
  const bytes = databases[generation % 2]!
  const file = openSync(city, 'r+')
  writeSync(file, bytes, 0, half, 0)
  await sleep(pauseMs)
  writeSync(file, bytes, half, bytes.length - half, half)
  closeSync(file)
}

export const zoneOf = (generation: number): string =>
  `"": {type: NS, values: [ns1.example.net.]}\nwww: {type: A, value: 192.0.${generation >> 8}.${generation & 255}}\n`

for (let generation = 1; ; generation++) {
  console.log(generation)
  const pauseMs = generation % 3 === 0 ? 60 : 0
  writeFileSync(join(zones, 'a.example.yaml'), zoneOf(generation))
  await sleep(pauseMs)
  writeFileSync(join(zones, 'defaults.yaml'), `soa: {serial: ${generation}}\n`)
  await writeCity(generation, pauseMs)
  writeFileSync(
    join(zones, 'services', 'web.yaml'),
    `s${generation}: {sites: {fra: {vips: [192.0.2.1]}}, check: none}\n`,
  )
  await sleep(pauseMs)
  writeFileSync(join(zones, 'z.example.yaml'), zoneOf(generation))
  await sleep(generation % 5 === 0 ? 900 : 20)
}
