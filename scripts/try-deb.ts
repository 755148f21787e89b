/**
 * `npm run deb -- --try`: the package in a Debian of its own, as root. lintian is asked; apt installs the package in a minimal
 * root, with what it depends on; systemd is booted there, without a network, and everything is done that is done to a
 * package: start, upgrade, stop, shutdown, removal, purge. Takes some minutes.
 *
 * The minimal root is kept for the next time: BASE.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import {
  cpSync,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

const [, SUITE] = /^VERSION_CODENAME=(\w+)/m.exec(readFileSync('/etc/os-release', 'utf8'))!
const BASE = join(tmpdir(), `meridian-deb-root-${SUITE}`)
const ADDRESS = '192.0.2.53'
const PREFIX = '192.0.2.0/24'
const DEADLINE_MS = 120_000
const UNITS = ['meridian', 'meridian-announce'] as const
const TOOLS = ['systemd-sysv', 'dbus', 'iproute2', 'procps', 'bind9-dnsutils']
const SETTINGS = `listen: ["${ADDRESS}:53"]
announce: {form: route, addresses: [${ADDRESS}/24], wait: 1s}
`

/** Tells each thing that was tried. Throws at the first that is not as it should be. */
export async function tryDeb(deb: string): Promise<void> {
  if (process.getuid?.() !== 0) throw new Error('--try makes a root of its own: run it as root')
  say('lintian', lintian(deb))
  makeBase()
  const root = mkdtempSync(join(tmpdir(), 'meridian-root-'))
  try {
    run('cp', '-a', `${BASE}/.`, root)
    cpSync('/etc/resolv.conf', join(root, 'etc/resolv.conf'), { dereference: true })
    cpSync(deb, join(root, basename(deb)))
    mkdirSync(join(root, 'var/log/journal'), { recursive: true }) // so that it outlives the shutdown
    const before = traces(root)
    const inRoot = (...words: readonly string[]): string => run('chroot', root, ...words)
    inRoot('apt-get', 'update', '-qq')
    inRoot(...APT, 'install', `/${basename(deb)}`, ...TOOLS)
    say('installed', inRoot('dpkg-query', '-W', '-f=${Version}, ${Installed-Size} KiB', 'meridian'))
    say('user', inRoot('getent', 'passwd', 'meridian').trim())
    say('enabled', unitsEnabled(root).join(', ') || 'no unit')
    if (unitsEnabled(root).length > 0) throw new Error('an installation enables a unit')
    inRoot('cp', '-r', '/usr/share/doc/meridian/examples/zones', '/etc/meridian/zones')
    const settings = join(root, 'etc/meridian/meridian.yaml')
    writeFileSync(settings, readFileSync(settings, 'utf8') + SETTINGS)
    await inBooted(root, async (inside) => {
      say('check', inside('meridian', 'check').trim().split('\n').at(-1)!)
      await serve(inside)
      await upgrade(inside, () => void inside(...APT, '--reinstall', 'install', `/${basename(deb)}`))
      stop(inside)
    })
    shutdown(inRoot('journalctl', '--no-pager', '--output=cat'))
    inRoot('dpkg', '--remove', 'meridian')
    if (!existsSync(settings)) throw new Error('a removal takes the settings away')
    say('removed', 'the settings, the zones and the state stay')
    inRoot('dpkg', '--purge', 'meridian')
    const left = traces(root).filter((path) => !before.includes(path) && !/^etc\/meridian(?:\/zones|$)/.test(path))
    if (left.length > 0) throw new Error(`a purge leaves behind: ${left.join(', ')}`)
    say('purged', 'nothing is left but the zones, and the user as Debian has it')
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
}

const APT = ['env', 'DEBIAN_FRONTEND=noninteractive', 'apt-get', '-qq', '-y', '--no-install-recommends']
const say = (what: string, told: string): void => console.log(`${what}: ${told}`)
/** Runs a program; its output is shown only if it fails. */
function run(command: string, ...args: readonly string[]): string {
  const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: 'utf8' })
  if (status === 0) return stdout
  throw new Error(`${[command, ...args].join(' ')}: ${error?.message ?? `exit code ${status}`}\n${stdout}${stderr}`)
}

type Inside = (...words: readonly string[]) => string

/** Errors and warnings fail; what is overridden has its reason in the file of overrides. */
function lintian(deb: string): string {
  const { status, stdout, stderr } = spawnSync(
    'lintian',
    ['--profile', 'debian', '--fail-on', 'error,warning', '--tag-display-limit', '0', '--allow-root', deb],
    { encoding: 'utf8' },
  )
  if (status !== 0) throw new Error(`lintian: ${stdout}${stderr}`)
  return 'no errors, no warnings'
}

/** A minimal Debian, under its name only when it is whole. */
function makeBase(): void {
  if (!existsSync(BASE)) {
    const unfinished = mkdtempSync(`${BASE}-`)
    run('mmdebstrap', '--variant=apt', '--quiet', SUITE!, unfinished)
    renameSync(unfinished, BASE)
  }
  say('root', `${SUITE}, ${BASE}`)
}

/** Everything below a root that is named after the package; not what dpkg and apt themselves keep. */
const traces = (root: string): readonly string[] =>
  globSync('{etc,lib,usr,var,run,opt}/**/{*meridian*,*meridian*/**}', { cwd: root })
    .filter((path) => !/^var\/(?:log\/(?:apt|journal)|lib\/(?:apt|dpkg)|cache)\//.test(path))
    .toSorted()

/** Links that would start a unit of the package. */
const unitsEnabled = (root: string): readonly string[] =>
  globSync('etc/systemd/system/*.wants/meridian*', { cwd: root }).map((path) => basename(path))

/** Boots the root with systemd as process 1 and no network but lo, for as long as `use` takes; then shuts it down. */
async function inBooted(root: string, use: (inside: Inside) => Promise<void>): Promise<void> {
  const flags = ['--boot', '--private-network', '--register=no', '--keep-unit', '--console=pipe', '--quiet']
  const machine = spawn('systemd-nspawn', ['-D', root, ...flags], { stdio: 'ignore' })
  const ended = new Promise<void>((done) => machine.once('exit', () => done()))
  try {
    const first = await until('process 1', () => childOf(machine))
    const inside: Inside = (...words) => run('nsenter', '--target', first, '--all', ...words)
    await until('systemd', () => /running|degraded/.test(attempt(inside, 'systemctl', 'is-system-running')))
    inside('ip', 'link', 'set', 'lo', 'up')
    inside('ip', 'address', 'add', `${ADDRESS}/32`, 'dev', 'lo')
    await use(inside)
    attempt(inside, 'systemctl', 'poweroff')
    await Promise.race([ended, sleep(DEADLINE_MS, undefined, { ref: false })])
  } finally {
    machine.kill('SIGKILL')
  }
}

const childOf = ({ pid }: ChildProcess): string | undefined =>
  readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ')[0] || undefined

const attempt = (inside: Inside, ...words: readonly string[]): string => {
  try {
    return inside(...words)
  } catch (error) {
    return String(error)
  }
}

async function until<T>(what: string, look: () => T | undefined | false): Promise<T> {
  const untilMs = performance.now() + DEADLINE_MS
  for (;;) {
    const seen = look()
    if (seen !== undefined && seen !== false) return seen
    if (performance.now() > untilMs) throw new Error(`after ${DEADLINE_MS / 1000} s there is no ${what}`)
    await sleep(200)
  }
}

const property = (inside: Inside, unit: string, name: string): string =>
  inside('systemctl', 'show', '--property', name, '--value', unit).trim()
const routes = (inside: Inside): string => attempt(inside, 'ip', 'route', 'show', 'table', '53')
/** How often the announcer has withdrawn the node. */
const withdrawals = (inside: Inside): number =>
  inside('journalctl', '--no-pager', '--output=cat', '--unit', UNITS[1]).split('"after":"withdrawn"').length - 1
const answer = (inside: Inside): string =>
  attempt(inside, 'dig', '+short', '+time=2', '+tries=1', `@${ADDRESS}`, 'www.example.com', 'A').trim()
const isAnswer = (text: string): boolean => /^[\d.]+$/m.test(text) && !text.includes(';;')

/** Started by their units, the node answers and is announced. */
async function serve(inside: Inside): Promise<void> {
  inside('systemctl', 'enable', '--now', ...UNITS)
  const told = answer(inside)
  if (!isAnswer(told)) throw new Error(`systemctl start has ended, and the node does not answer: ${told}`)
  say('dig', `www.example.com A ${told.replaceAll('\n', ' ')}`)
  await until('route', () => routes(inside).includes(PREFIX))
  for (const unit of UNITS)
    say(unit, `${property(inside, unit, 'ActiveState')}, ${property(inside, unit, 'StatusText')}`)
  say('status', inside('meridian', 'status').split('\n')[0]!)
}

/** An upgrade: another process, the same unit; it answers, and was never withdrawn. */
async function upgrade(inside: Inside, install: () => void): Promise<void> {
  const [unit] = UNITS
  const before = property(inside, unit, 'MainPID')
  const changes = withdrawals(inside)
  install()
  const after = await until('successor', () => {
    const pid = property(inside, unit, 'MainPID')
    return pid !== before && pid
  })
  await until('end of the old process', () => !inside('ps', '-A', '-o', 'pid=').split(/\s+/).includes(before))
  const told = answer(inside)
  if (!isAnswer(told)) throw new Error(`after the upgrade it does not answer: ${told}`)
  if (withdrawals(inside) !== changes) throw new Error('an upgrade withdraws the node')
  if (property(inside, unit, 'NRestarts') !== '0') throw new Error('systemd has started the node again')
  say('upgraded', `main process ${before} → ${after}, never withdrawn`)
}

/** A stop withdraws the node first, ends in order, and leaves its announcer running. */
function stop(inside: Inside): void {
  const [unit, announcer] = UNITS
  inside('systemctl', 'stop', unit)
  const result = property(inside, unit, 'Result')
  if (result !== 'success') throw new Error(`systemctl stop ends with: ${result}`)
  if (routes(inside).includes(PREFIX)) throw new Error('a node that is stopped stays announced')
  if (property(inside, announcer, 'ActiveState') !== 'active') throw new Error('its announcer has ended with it')
  inside('systemctl', 'start', unit)
  say('stopped', 'withdrawn first, ended in order, and started again')
}

/** At the shutdown of the machine the announcer ended after the node. */
function shutdown(log: string): void {
  const [node, announcer] = UNITS.map((unit) =>
    ['Stopped', 'Stopping'].map((word) => log.lastIndexOf(`${word} ${unit}.service`)),
  )
  if (!(node![0]! > 0 && announcer![1]! > node![0]!))
    throw new Error(`at a shutdown the node is not the first to end: ${log}`)
  say('shut down', 'the node first, then its announcer')
}
