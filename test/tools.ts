/**
 * What the tests need beyond npm. vitest runs this once before the first test: what is missing is installed where
 * apt-get and root allow, and otherwise named in one error. All processes of a run share what Node compiled: a start of
 * Meridian then costs half the CPU time, and the tests start hundreds.
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Program → Debian package that holds it. */
const TOOLS: Readonly<Record<string, string>> = {
  dig: 'bind9-dnsutils',
  haproxy: 'haproxy',
  ip: 'iproute2',
  mmdblookup: 'mmdb-bin',
  nginx: 'nginx',
  openssl: 'openssl',
  'redis-server': 'redis-server',
  'redis-sentinel': 'redis-sentinel',
  'redis-cli': 'redis-tools',
}

const has = (program: string): boolean => spawnSync('sh', ['-c', `command -v ${program}`]).status === 0

let compiled: string | undefined

export function setup(): void {
  installTools()
  if (process.env['NODE_COMPILE_CACHE'] !== undefined) return
  compiled = mkdtempSync(join(tmpdir(), 'meridian-compiled-'))
  process.env['NODE_COMPILE_CACHE'] = compiled
}

export function teardown(): void {
  if (compiled !== undefined) rmSync(compiled, { recursive: true, force: true })
}

function installTools(): void {
  const missing = Object.keys(TOOLS).filter((program) => !has(program))
  if (missing.length === 0) return
  const packages = [...new Set(missing.map((program) => TOOLS[program]!))]
  if (has('apt-get') && process.getuid?.() === 0) {
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
    spawnSync('apt-get', ['update'], { env })
    spawnSync('apt-get', ['install', '-y', '--no-install-recommends', ...packages], { env })
  }
  const left = missing.filter((program) => !has(program))
  if (left.length > 0) {
    throw new Error(
      `the tests need ${left.join(', ')}; install the packages ${packages.join(' ')} (Debian's names) and run again`,
    )
  }
}
