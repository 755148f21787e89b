/**
 * `npm run bench -- check [RUNS]`: `meridian check` as an operator runs it, a process of its own, over 10,000, 100,000 and
 * 1,000,000 names, one in ten of them steered: seconds, and memory at its highest, in all and for each name.
 */
import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

/** Names and files. */
const CASES = [
  [10_000, 100],
  [100_000, 1000],
  [1_000_000, 1000],
] as const
const MAIN = resolve(import.meta.dirname, '../../src/main.ts')

export async function run(args: string[]): Promise<void> {
  const runs = Number(args[0] ?? 3)
  const folder = mkdtempSync(join(tmpdir(), 'meridian-bench-check-'))
  try {
    console.log('     names  files   wall s    CPU s  µs a name   peak MB  bytes a name beyond the smallest')
    const empty = await measure(generate(join(folder, 'empty'), 1, 1))
    for (const [names, files] of CASES) {
      const path = generate(join(folder, String(names)), names, files)
      for (let i = 0; i < runs; i++) tell(names, files, await measure(path), empty)
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

interface Measured {
  readonly wallMs: number
  /** User and system, all threads. */
  readonly cpuMs: number
  readonly peakBytes: number
}

function tell(names: number, files: number, { wallMs, cpuMs, peakBytes }: Measured, empty: Measured): void {
  const columns = [
    String(names).padStart(10),
    String(files).padStart(6),
    (wallMs / 1000).toFixed(2).padStart(8),
    (cpuMs / 1000).toFixed(2).padStart(8),
    ((1000 * wallMs) / names).toFixed(1).padStart(10),
    (peakBytes / 1e6).toFixed(0).padStart(9),
    ((peakBytes - empty.peakBytes) / names).toFixed(0).padStart(13),
  ]
  console.log(columns.join(' '))
}

function generate(folder: string, names: number, files: number): string {
  mkdirSync(folder, { recursive: true })
  const put = (name: string, text: string): void => writeFileSync(join(folder, name), text)
  put('defaults.yaml', 'soa: {serial: 1}\n')
  put('sites.yaml', 'fra: {location: [50.11, 8.68]}\niad: {location: [38.95, -77.45]}\n')
  const sites = 'sites: {fra: {vips: [192.0.2.10]}, iad: {vips: [198.51.100.10]}}'
  put('services.yaml', `web: {${sites}, check: {type: tcp, port: 443}}\n`)
  for (let file = 0; file < files; file++) {
    const lines = ['"": {type: NS, values: [ns1.example.net., ns2.example.net.]}']
    for (let i = 0; i < names / files; i++) {
      const record =
        i % 10 === 0 ? '{type: GSLB, service: web}' : `{type: A, values: [10.${file & 255}.${i >> 8}.${i & 255}]}`
      lines.push(`host-${String(i).padStart(6, '0')}: ${record}`)
    }
    put(`zone-${String(file).padStart(4, '0')}.example.yaml`, `${lines.join('\n')}\n`)
  }
  return folder
}

/** One run, looked at in /proc while it is there. */
async function measure(folder: string): Promise<Measured> {
  const from = performance.now()
  const child = spawn(process.execPath, [MAIN, 'check', folder], { stdio: ['ignore', 'ignore', 'inherit'] })
  let cpuMs = 0
  let peakBytes = 0
  const look = (): void => {
    try {
      const stat = readFileSync(`/proc/${child.pid}/stat`, 'utf8').split(') ')[1]!.split(' ')
      cpuMs = Math.max(cpuMs, 10 * (Number(stat[11]) + Number(stat[12]))) // ticks of 10 ms
      const peak = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1]
      peakBytes = Math.max(peakBytes, 1024 * Number(peak ?? 0))
    } catch {
      // it has ended
    }
  }
  const timer = setInterval(look, 20)
  const code = await new Promise<number | null>((done) => child.once('close', done))
  clearInterval(timer)
  if (code !== 0) throw new Error(`check ended with ${code}`)
  return { wallMs: performance.now() - from, cpuMs, peakBytes }
}
