/** Folders of zones that are small and whose load would be large, each checked by a process of its own with a heap of 2 GiB. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { MAIN } from '../support/program.ts'
import type { Attack, Scale } from './attack.ts'

const NS = '"": {type: NS, value: ns1.example.net.}\n'
const repeat = (count: number, line: (i: number) => string): string =>
  Array.from({ length: count }, (_, i) => line(i)).join('')
const one = (text: string): Readonly<Record<string, string>> => ({ 'example.com.yaml': NS + text })
const steered = (rules: string): Readonly<Record<string, string>> => ({
  ...one('www: {type: GSLB, service: web}\n'),
  'sites.yaml': 'fra: {location: [50, 8], region: eu}\n',
  'services.yaml': `web:\n  sites: {fra: {vips: [192.0.2.1]}}\n  check: none\n  rules:\n${rules}`,
})

/** Those of the smoke first. */
const FOLDERS: Readonly<Record<string, () => Readonly<Record<string, string>>>> = {
  'a 1 MB file included 60 times': () => ({
    ...one(repeat(60, (i) => `x${i}: !include big.inc\n`)),
    'big.inc': repeat(20_000, (i) => `- {type: TXT, value: a${i} xxxxxxxxxxxxxxxxxxxx}\n`),
  }),
  'a scalar of 10 MB in quotes': () => one(`www: "${'a'.repeat(10_000_000)}"\n`),
  'a million faults': () => one(repeat(1_000_000, (i) => `n${i}: {type: A, value: x}\n`)),
  'a million faults in a thousand files': () =>
    Object.fromEntries(
      Array.from({ length: 1000 }, (_, i) => [
        `z${i}.example.yaml`,
        NS + repeat(1000, (k) => `n${k}: {type: A, value: x}\n`),
      ]),
    ),
  'half a million notices': () =>
    one(repeat(500_000, (i) => `n${i}: {type: A, value: 192.0.2.1, octodns: {lenient: true}}\n`)),
  '20 zones that include half a megabyte 60 times each': () => ({
    ...Object.fromEntries(
      Array.from({ length: 20 }, (_, i) => [`z${i}.example.yaml`, NS + repeat(60, (k) => `x${k}: !include big.inc\n`)]),
    ),
    'big.inc': repeat(10_000, (i) => `- {type: TXT, value: a${i} xxxxxxxxxxxxxxxxxxxx}\n`),
  }),
  'lists a million deep': () => one(`www: ${'['.repeat(1_000_000)}`),
  '300,000 anchors and aliases': () => one(repeat(300_000, (i) => `n${i}: &a${i} {type: A, value: *a${i}}\n`)),
  '20 million values': () => one(`www: {type: A, values: [${'a,'.repeat(20_000_000)}]}\n`),
  'a line of 100 MB': () => one(`www: {type: TXT, value: ${'a'.repeat(100_000_000)}}\n`),
  '100 million lines': () => one('\n'.repeat(100_000_000)),
  'a name of 4 million backslashes': () => one(`www: {type: CNAME, value: '${'\\'.repeat(4_000_000)}x'}\n`),
  '50,000 rules': () => steered(repeat(50_000, (i) => `  - {asns: [${i + 1}], order: [fra]}\n`)),
  '200,000 numbers in two rules': () =>
    steered(
      [1, 100_001].map((from) => `  - {asns: [${repeat(100_000, (i) => `${from + i},`)}], order: [fra]}\n`).join(''),
    ),
  '5 million subnets': () => ({
    ...steered('  - {subnets: {file: all.txt}, order: [fra]}\n'),
    'all.txt': repeat(5_000_000, (i) => `2001:db8:${(i >> 16).toString(16)}:${(i & 0xffff).toString(16)}::/64\n`),
  }),
  '30,000 files that belong nowhere': () => ({
    ...one(''),
    ...Object.fromEntries(Array.from({ length: 30_000 }, (_, i) => [`f${i}`, ''])),
  }),
}
const SMOKE = 2

export const attack: Attack = {
  tries: 'folders of zones that are small and whose load would be large',
  async run(scale: Scale, print) {
    const failed: string[] = []
    for (const [name, make] of Object.entries(FOLDERS).slice(0, scale === 'smoke' ? SMOKE : undefined)) {
      const folder = mkdtempSync(join(tmpdir(), 'meridian-attack-zones-'))
      try {
        for (const [file, text] of Object.entries(make())) writeFileSync(join(folder, file), text)
        const started = performance.now()
        const heap = scale === 'smoke' ? 256 : 2048
        const args = [`--max-old-space-size=${heap}`, MAIN, 'check', folder, '--json']
        const { status, signal } = spawnSync(process.execPath, args, { timeout: 300_000, stdio: 'ignore' })
        print(`${name}: exit ${status ?? signal}, ${((performance.now() - started) / 1000).toFixed(1)} s`)
        if (status !== 0 && status !== 1) failed.push(name)
      } finally {
        rmSync(folder, { recursive: true })
      }
    }
    if (failed.length > 0) throw new Error(`no answer in 300 s and a heap of 2 GiB, or a crash: ${failed.join('; ')}`)
  },
}
