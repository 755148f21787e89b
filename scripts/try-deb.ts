/**
 * `npm run deb -- --try`: the package in a Debian of its own. lintian is asked, mmdebstrap makes a minimal root, apt installs
 * the package there, and the node runs as its unit starts it, with the unit's user and capability. As root; takes minutes.
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

const HERE = '127.0.0.53'
const DEADLINE_MS = 60_000

/** Throws at the first thing that is not as it should be. */
export async function tryDeb(deb: string): Promise<void> {
  if (process.getuid?.() !== 0) throw new Error('--try makes a root of its own: run it as root')
  say('lintian', lintian(deb))
  const root = mkdtempSync(join(tmpdir(), 'meridian-root-'))
  try {
    const [, suite] = /^VERSION_CODENAME=(\w+)/m.exec(readFileSync('/etc/os-release', 'utf8'))!
    run('mmdebstrap', '--variant=apt', '--quiet', suite!, root)
    say('root', suite!)
    cpSync(deb, join(root, basename(deb)))
    const inside = (...words: readonly string[]): string => run('chroot', root, ...words)
    inside(
      'env',
      'DEBIAN_FRONTEND=noninteractive',
      'apt-get',
      'install',
      '-qq',
      '-y',
      '--no-install-recommends',
      `/${basename(deb)}`,
    )
    say('installed', inside('dpkg-query', '-W', '-f=${Status}, ${Installed-Size} KiB', 'meridian'))
    say('user', inside('getent', 'passwd', 'meridian').trim())
    say('version', inside('meridian', '--version'))
    inside('cp', '-r', '/usr/share/doc/meridian/examples/zones', '/etc/meridian/zones')
    say('check', inside('meridian', 'check').trim().split('\n').at(-1)!)
    await serve(root, inside)
    inside('dpkg', '--remove', 'meridian')
    if (!existsSync(join(root, 'etc/meridian/meridian.yaml'))) throw new Error('a removal takes the settings away')
    inside('dpkg', '--purge', 'meridian')
    for (const path of ['etc/meridian/meridian.yaml', 'var/lib/meridian', 'usr/lib/meridian'])
      if (existsSync(join(root, path))) throw new Error(`a purge leaves /${path} behind`)
    say('purged', 'nothing is left but the zones')
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
}

const say = (what: string, told: string): void => console.log(`${what}: ${told}`)
const run = (command: string, ...args: readonly string[]): string =>
  execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] })

/** Errors and warnings fail; what is overridden has its reason in the file of overrides. */
function lintian(deb: string): string {
  const { status, stdout, stderr } = spawnSync('lintian', ['--fail-on', 'error,warning', '--allow-root', deb], {
    encoding: 'utf8',
  })
  if (status !== 0) throw new Error(`lintian: ${stdout}${stderr}`)
  return 'clean'
}

/** Serves as the unit does, on port 53 of a loopback address, and asks with dig. */
async function serve(root: string, inside: (...words: readonly string[]) => string): Promise<void> {
  const settings = join(root, 'etc/meridian/meridian.yaml')
  writeFileSync(
    settings,
    `${readFileSync(settings, 'utf8')}listen: ["${HERE}:53"]\nprobe.enabled: false\nredis: redis://127.0.0.1:1\n`,
  )
  inside('install', '-d', '-o', 'meridian', '-g', 'meridian', '-m', '750', '/var/lib/meridian')
  const bind = '+net_bind_service'
  const asUser = [
    '--reuid=meridian',
    '--regid=meridian',
    '--init-groups',
    `--inh-caps=${bind}`,
    `--ambient-caps=${bind}`,
    '--no-new-privs',
  ]
  const node = spawn('chroot', [root, 'setpriv', ...asUser, 'meridian', 'serve', '-c', '/etc/meridian/meridian.yaml'], {
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  const ended = new Promise<number | null>((done) => node.once('exit', done))
  try {
    const untilMs = performance.now() + DEADLINE_MS
    for (;;) {
      const { stdout } = spawnSync('dig', ['+short', '+time=1', '+tries=1', `@${HERE}`, 'www.example.com', 'A'], {
        encoding: 'utf8',
      })
      if (/^\d+\.\d+\.\d+\.\d+$/m.test(stdout)) {
        say('dig', `www.example.com A ${stdout.trim().replaceAll('\n', ' ')}`)
        break
      }
      if (node.exitCode !== null || performance.now() > untilMs) throw new Error('the node does not answer')
      await sleep(200)
    }
    say('status', inside('meridian', 'status').split('\n')[0]!)
  } finally {
    node.kill('SIGTERM')
  }
  const code = await ended
  if (code !== 0) throw new Error(`serve ends with ${code}`)
}
