/**
 * What the tests need beyond npm. vitest runs this once before the first test: what is missing is installed where
 * apt-get and root allow, and otherwise named in one error.
 */
import { spawnSync } from 'node:child_process'
import { shareCompiled } from './compiled.ts'
import { writeToMemory } from './in-memory.ts'
import { buildProgram } from './program.ts'

/** Program → Debian packages that hold it, and what it needs besides. */
const TOOLS: Readonly<Record<string, string>> = {
  bird: 'bird2',
  'chromium-headless-shell': 'chromium-headless-shell',
  curl: 'curl',
  delv: 'bind9-dnsutils',
  dig: 'bind9-dnsutils',
  dnsdist: 'dnsdist',
  drill: 'ldnsutils',
  'dnstap-read': 'bind9-utils',
  fish: 'fish',
  fstrm_capture: 'fstrm-bin',
  gdnsd: 'gdnsd',
  groff: 'groff-base',
  haproxy: 'haproxy',
  ip: 'iproute2',
  jq: 'jq',
  kdig: 'knot-dnsutils',
  mandoc: 'mandoc',
  mmdblookup: 'mmdb-bin',
  keepalived: 'keepalived',
  knotd: 'knot',
  named: 'bind9',
  nginx: 'nginx',
  nsd: 'nsd',
  openssl: 'openssl',
  pdns_server: 'pdns-server pdns-backend-geoip',
  pdns_recursor: 'pdns-recursor',
  promtool: 'prometheus',
  'systemd-analyze': 'systemd',
  'redis-server': 'redis-server',
  'redis-sentinel': 'redis-sentinel',
  'redis-cli': 'redis-tools',
  script: 'bsdutils',
  socat: 'socat',
  unbound: 'unbound',
  unzip: 'unzip',
  zsh: 'zsh',
}

const has = (program: string): boolean => spawnSync('sh', ['-c', `command -v ${program}`]).status === 0

/** Returns what runs behind the last test. */
export async function setup(): Promise<() => void> {
  installTools()
  const ends = [writeToMemory(), shareCompiled(), await buildProgram()]
  return () => ends.toReversed().forEach((end) => end())
}

function installTools(): void {
  const missing = Object.keys(TOOLS).filter((program) => !has(program))
  if (missing.length === 0) return
  const packages = [...new Set(missing.flatMap((program) => TOOLS[program]!.split(' ')))]
  if (has('apt-get') && process.getuid?.() === 0) {
    // offline, systemd starts none of the services that packages bring along
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', SYSTEMD_OFFLINE: '1' }
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
