/**
 * `npm run bench -- names [NAMES] [FILES]`: a million static names in a thousand files. How long they take from YAML to
 * Image (reading aside), what they weigh, whether memory stays flat when that is done again and again, and what reloads do
 * to a running server's answers.
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { type LoadResult, loadFolder } from '../../src/load/load.ts'
import type { Image } from '../../src/zone/image.ts'
import { buildImage } from '../../src/zone/link.ts'
import type { Model } from '../../src/zone/model.ts'
import { benchReloads } from './names/reload.ts'

const REBUILDS = 100
setFlagsFromString('--expose-gc')
/** Resident memory is to show what is kept, not what is garbage. */
const collect = (): void => void runInNewContext('gc()')
const seconds = (ms: number): string => (ms / 1000).toFixed(2)
const allocate = (bytes: number): SharedArrayBuffer => new SharedArrayBuffer(bytes)

export async function run(args: string[]): Promise<void> {
  const names = Number(args[0] ?? 1_000_000)
  const files = Number(args[1] ?? 1000)
  const each = Math.ceil(names / files)
  const folder = mkdtempSync(join(tmpdir(), 'meridian-names-'))
  const zones = join(folder, 'zones')
  try {
    generate(zones, each, files)
    await compileOnce(zones)
    generate(zones, each, files)
    const asked = Array.from(
      { length: 10_000 },
      (_, i) => `${hostName((i * 7919) % each)}.${zoneName((i * 31) % files)}`,
    )
    await benchReloads({
      folder,
      names: asked,
      files: Array.from({ length: files }, (_, file) => `${zoneName(file)}.yaml`),
      content: (file, round) => zoneText(file, each, round),
    })
  } finally {
    rmSync(folder, { recursive: true })
  }
}

const hostName = (i: number): string => `host-${String(i).padStart(6, '0')}`
const zoneName = (file: number): string => `zone-${String(file).padStart(4, '0')}.example`

/** Names like host-000123.zone-0042.example, one A record each. */
function zoneText(file: number, names: number, round: number): string {
  const lines = [`# ${round}`, '"": {type: NS, values: [ns1.example.net., ns2.example.net.]}']
  for (let i = 0; i < names; i++) {
    lines.push(`${hostName(i)}: {type: A, values: [10.${file & 255}.${(i >> 8) & 255}.${i & 255}]}`)
  }
  return lines.join('\n') + '\n'
}

function generate(folder: string, names: number, files: number): void {
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'defaults.yaml'), 'soa: {serial: 1}\nttl: 300\n')
  for (let file = 0; file < files; file++) {
    writeFileSync(join(folder, `${zoneName(file)}.yaml`), zoneText(file, names, 0))
  }
}

/** CPU of this process (all its threads) beside the wall: the machine is rarely alone. */
async function timed<T>(what: string, work: () => T | Promise<T>): Promise<T> {
  const cpu = process.cpuUsage()
  const wall = performance.now()
  const result = await work()
  const { user, system } = process.cpuUsage(cpu)
  console.log(
    `${what.padEnd(48)} ${seconds(performance.now() - wall)} s wall, ${seconds((user + system) / 1000)} s CPU`,
  )
  return result
}

async function compileOnce(folder: string): Promise<void> {
  await timed('reading the files alone', () => {
    for (const file of readdirSync(folder)) readFileSync(join(folder, file))
  })
  const loaded = await timed('parse and check (reading included)', () => loadFolder(folder))
  if (loaded.model === undefined) throw new Error('the generated zones are not valid')
  const { model } = loaded
  const image = await timed('model to Image', () => buildImage(model.zones, new Map(), allocate))
  weigh(model, image)
  const again = await timed('reload, nothing changed', () => loadFolder(folder, loaded))
  writeFileSync(join(folder, 'zone-0000.example.yaml'), '"": {type: NS, values: [ns1.example.net.]}\n')
  await timed('reload, one file changed', () => loadFolder(folder, again))
  await rebuild(folder, again)
}

function weigh({ zones }: Model, image: Image): void {
  const packed = zones.reduce((sum, { sets, bytes }) => sum + sets.byteLength + bytes.byteLength, 0)
  const parts = ['table', 'nodes', 'rrsets', 'steered', 'bytes'] as const
  const sizes = parts.map((part) => image[part].byteLength)
  const total = sizes.reduce((sum, size) => sum + size, 0)
  const each = (bytes: number): string => (bytes / image.names).toFixed(1)
  console.log(`names ${image.names}, Image ${each(total)} bytes a name:`)
  console.log(
    `  ${parts.map((part, i) => `${part} ${each(sizes[i]!)}`).join(', ')}; model ${each(packed)} bytes a name`,
  )
  console.log(`resident ${megabytes(process.memoryUsage.rss())}`)
}

const megabytes = (bytes: number): string => `${Math.round(bytes / 1e6)} MB`

/** Load and link a hundred times into the same two sets of buffers, as a pool gives them. */
async function rebuild(folder: string, first: LoadResult): Promise<void> {
  const pool: SharedArrayBuffer[][] = [[], []]
  const resident: number[] = []
  const kept: number[] = []
  let loaded = first
  await timed(`${REBUILDS} reloads, one file changed each`, async () => {
    for (let round = 0; round < REBUILDS; round++) {
      const text = `"": {type: NS, values: [ns1.example.net.]}\nround: {type: TXT, values: [${round}]}\n`
      writeFileSync(join(folder, 'zone-0000.example.yaml'), text)
      loaded = await loadFolder(folder, loaded)
      const buffers = pool[round % 2]!
      let used = 0
      buildImage(loaded.model!.zones, new Map(), (bytes) => {
        const index = used++
        if ((buffers[index]?.byteLength ?? 0) < bytes) buffers[index] = new SharedArrayBuffer(Math.ceil(bytes * 1.1))
        return buffers[index]!
      })
      collect()
      const { rss, heapUsed, external } = process.memoryUsage()
      resident.push(rss)
      kept.push(heapUsed + external)
    }
  })
  for (const round of [0, 9, 24, 49, 74, 99]) {
    const kinds = `resident ${megabytes(resident[round]!)}, heap and buffers ${megabytes(kept[round]!)}`
    console.log(`  after reload ${String(round + 1).padStart(3)}: ${kinds}`)
  }
}
