/** Commands are real programs: scripts in a folder of the test's own. */
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { until } from '../../support/until.ts'
import { runCheck } from '../loopback.ts'
import { ADDRESS, countDescriptors, runs, sees, targetOf } from '../peers.ts'

let folder = ''
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'meridian-exec-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

/** The name of a command that runs this script of sh, and the commands with it. */
function script(text: string, ...words: string[]) {
  const file = join(mkdtempSync(join(folder, 'one-')), 'check')
  chmodSync(dirname(file), 0o755)
  writeFileSync(file, `#!/bin/sh\n${text}\n`)
  chmodSync(file, 0o755)
  return { mine: [file, ...words] }
}
const target = (timeoutMs = 5000, port = 0) => targetOf({ type: 'exec', command: 'mine' }, port, timeoutMs)
const ofFile = (file: string): string => (existsSync(file) ? readFileSync(file, 'utf8').trim() : '')
/** Lines of `env`, without what a shell adds. */
const variables = (text: string) => text.split('\n').filter((line) => !/^(PWD|_|SHLVL|OLDPWD)=/.test(line))

test('exit code 0 passes, whatever it says', async () => {
  await sees(target(), 'pass', 'exit 0', script('echo bad >&2'))
})

test('another fails with the first line of its output, printable and short', async () => {
  await sees(target(), 'fail', 'exit 2: no disk', script('echo no disk; echo more; exit 2'))
  await sees(target(), 'fail', 'exit 127: on stderr', script('echo on stderr >&2; exit 127'))
  await sees(target(), 'fail', 'exit 1', script('exit 1'))
  await sees(target(), 'fail', 'exit 1: a [31m b', script("printf '\\n a\\033[31m\\tb'; exit 1"))
  await sees(target(), 'fail', `exit 1: ${'é'.repeat(200)}`, script(`echo ${'é'.repeat(300)}; exit 1`))
  await sees(target(), 'fail', 'killed by SIGSEGV', script('kill -SEGV $$'))
})

test('it gets its words as they are, and no shell reads them', async () => {
  const words = ['$HOME', '; exit 0', 'a  b', '']
  const commands = script(`[ "$#" = 4 ] && [ "$1" = '$HOME' ] && [ "$2" = '; exit 0' ] && [ "$3" = 'a  b' ]`, ...words)
  await sees(target(), 'pass', 'exit 0', commands)
})

test("its environment tells what to check, and nothing of the prober's", async () => {
  process.env['MERIDIAN_HTTP_TOKEN'] = 'a secret'
  try {
    const file = join(folder, 'environment')
    const commands = script('env > "$1"; pwd >> "$1"', file)
    await sees(target(4000, 8443), 'pass', 'exit 0', commands)
    const common = [`MERIDIAN_ADDRESS=${ADDRESS}`, 'MERIDIAN_FAMILY=4', 'MERIDIAN_TIMEOUT_MS=4000']
    const path = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
    expect(variables(ofFile(file)).toSorted()).toEqual(['/', ...common, 'MERIDIAN_PORT=8443', path].toSorted())
    await sees({ ...target(4000), address: '2001:db8::1' }, 'pass', 'exit 0', commands)
    const other = ['MERIDIAN_ADDRESS=2001:db8::1', 'MERIDIAN_FAMILY=6', 'MERIDIAN_TIMEOUT_MS=4000']
    expect(variables(ofFile(file)).toSorted()).toEqual(['/', ...other, path].toSorted())
  } finally {
    delete process.env['MERIDIAN_HTTP_TOKEN']
  }
})

test('a command that probe.exec lacks, or that cannot be started, is no failure of the site', async () => {
  await sees(target(), 'unable', 'probe.exec of this prober has no command mine')
  for (const command of ['constructor', 'toString', 'hasOwnProperty']) {
    const words = `probe.exec of this prober has no command ${command}`
    await sees(targetOf({ type: 'exec', command }, 0), 'unable', words, script('exit 0'))
  }
  const nowhere = join(folder, 'nowhere')
  await sees(target(), 'unable', `command mine can't be started: spawn ${nowhere} ENOENT`, { mine: [nowhere] })
  const plain = join(folder, 'plain')
  writeFileSync(plain, '#!/bin/sh\n')
  await sees(target(), 'unable', `command mine can't be started: spawn ${plain} EACCES`, { mine: [plain] })
  const { kind } = await runCheck(target(), { mine: ['/bin/echo', 'a\0b'] })
  expect(kind).toBe('unable')
})

/** Under a limit (prlimit(1)), and as a user whom it binds: root it does not. */
const limited = (limit: string, text: string) => {
  const commands = script(text)
  const drop = process.getuid?.() === 0 ? ['setpriv', '--reuid=54321', '--regid=54321', '--clear-groups'] : []
  return { mine: ['/usr/bin/env', ...drop, 'prlimit', limit, ...commands.mine] }
}

test('a host that is out of processes, memory or descriptors is no failure of the site', async () => {
  chmodSync(folder, 0o755)
  const lacks = async (limit: string, text: string, words: RegExp, timeoutMs = 5000) => {
    const { kind, reason } = await runCheck(target(timeoutMs), limited(limit, text))
    expect([kind, reason]).toEqual(['unable', expect.stringMatching(words)])
    expect(reason).toMatch(/^command mine says of this host: /)
  }
  await lacks('--nproc=1', 'true | cat; exit 1', /Cannot fork/)
  await lacks('--nproc=1', 'exec bash -c "true | cat; exit 1"', /fork: retry/, 1500) // it tries again and again
  await lacks('--nofile=3', 'exit 1', /error while loading shared libraries/)
  await lacks('--nofile=11', 'exec bash -c "exec {a}</dev/null {b}</dev/null || exit 1"', /Too many open files/)
  await lacks('--as=40000000', 'exec dd if=/dev/zero of=/dev/null bs=1G count=1', /memory/)
  const silent = 'redis-cli: Resource temporarily unavailable' // a site's: it speaks of no process
  await sees(target(), 'fail', `exit 1: ${silent}`, script(`echo "${silent}" >&2; exit 1`))
  const page = '500 PHP: Out of memory' // a site's too: it came on stdout
  await sees(target(), 'fail', `exit 1: ${page}`, script(`echo "${page}"; exit 1`))
  await sees(target(), 'pass', 'exit 0', script('echo "Cannot fork"'))
})

test.each(['KILL', 'TERM', 'INT', 'HUP'])(
  'ended by SIG%s from elsewhere: by the kernel out of memory, or with this host',
  async (signal) => {
    const words = `command mine was ended by SIG${signal}, and not by the check: is memory short?`
    await sees(target(), 'unable', words, script(`kill -${signal} $$; sleep 5`))
  },
)

test('at the timeout it is killed, and its children with it', async () => {
  const pids = join(folder, 'pids')
  const commands = script('trap "" TERM; sleep 60 & echo "$$ $!" > "$1"; wait; sleep 60', pids)
  const { rttMs } = await sees(target(500), 'timeout', 'no end of the command in 500ms', commands)
  expect(rttMs).toBeLessThan(2500)
  const started = ofFile(pids).split(' ')
  expect(started).toHaveLength(2)
  await until('both are gone', () => !started.some(runs))
})

test('children that it leaves behind end with it, and hold nothing up', async () => {
  const pids = join(folder, 'left')
  await sees(target(), 'pass', 'exit 0', script('sleep 60 & echo $! > "$1"', pids))
  await until('the child is gone', () => !runs(ofFile(pids)))
  await sees(target(), 'fail', 'exit 3: bad', script('echo bad; sleep 60 & echo $! > "$1"; exit 3', pids))
  await until('the child is gone', () => !runs(ofFile(pids)))
  const { rttMs } = await sees(target(), 'pass', 'exit 0', script('setsid sleep 5 & exit 0'))
  expect(rttMs).toBeLessThan(2500)
})

test('long and endless output: what comes first is kept, and the rest is read', async () => {
  // 64 KiB at a time
  await sees(target(), 'fail', `exit 1: ${'y'.repeat(200)}`, script("head -c 2000000 /dev/zero | tr '\\0' y; exit 1"))
  await sees(target(300), 'timeout', 'no end of the command in 300ms', script('exec yes'))
})

test('no check keeps a descriptor', async () => {
  const [ends, hangs] = [script('exit 1'), script('exec sleep 60')]
  await runCheck(target(), ends)
  const before = countDescriptors()
  for (let n = 0; n < 10; n++) await Promise.all([runCheck(target(), ends), runCheck(target(50), hangs)])
  await until('as many descriptors as before', () => countDescriptors() <= before)
})
