/** A node under a service manager: a real socket hears what systemd would, and a signal upgrades the node in place. */
import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { Asking, NodeProcess, PARIS, Scene } from '../support/scene.ts'
import { until } from '../support/until.ts'

let scene: Scene
let listener: ChildProcess | undefined
const pids: number[] = []
beforeEach(() => {
  scene = new Scene()
})
afterEach(async () => {
  for (const pid of pids.splice(0)) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch {
      // it has ended
    }
  }
  listener?.kill('SIGKILL')
  await scene.close()
})

const parentOf = (pid: number): number =>
  Number(/^PPid:\s*(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1])

/** Listens on a socket for datagrams; `heard` has their lines. */
async function listen(socket: string): Promise<{ readonly heard: string[] }> {
  const heard: string[] = []
  listener = spawn('socat', ['-u', `UNIX-RECV:${socket}`, '-'], { stdio: ['ignore', 'pipe', 'inherit'] })
  let rest = ''
  listener.stdout!.on('data', (data: Buffer) => {
    const lines = (rest + data.toString()).split('\n')
    rest = lines.pop()!
    heard.push(...lines)
  })
  await until('the socket', () => existsSync(socket))
  return { heard }
}

test('it is told when the node serves, that its threads work, of a reload, of its successor and of the end', async () => {
  scene.write('services.yaml', scene.servicesYaml('all', '{use: healthz, fall: 10}'))
  await scene.startSites()
  const socket = join(scene.folder, 'notify')
  const { heard } = await listen(socket)
  const first = new NodeProcess(['serve', ...scene.flags()], scene.state, {
    env: { NOTIFY_SOCKET: socket, WATCHDOG_USEC: '2000000' },
  })
  pids.push(first.pid)
  const told = (line: RegExp, from = 0): Promise<string> =>
    until(
      () => `${line} among: ${heard.join(', ')}; ${first.err}${first.out}`,
      () => heard.slice(from).find((one) => line.test(one)),
    )
  await told(/^READY=1$/)
  expect(heard[0]).toBe('READY=1')
  expect((await scene.dig(PARIS, 'www.demo.example', 'A')).status).toBe('NOERROR')
  await told(/^WATCHDOG=1$/)
  await told(/^STATUS=ready$/)
  await first.ready()

  const atReload = heard.length
  first.kill('SIGHUP')
  await told(/^READY=1$/, atReload)
  const reload = heard.slice(atReload).filter((line) => !/^(?:WATCHDOG|STATUS)=/.test(line))
  expect(reload.map((line) => line.replace(/\d{4,}/, 'N'))).toEqual(['RELOADING=1', 'MONOTONIC_USEC=N', 'READY=1'])

  const client = new Asking(scene, PARIS, 5)
  const atUpgrade = heard.length
  first.kill('SIGUSR2')
  const successor = Number((await told(/^MAINPID=/, atUpgrade)).slice('MAINPID='.length))
  pids.push(successor)
  expect(successor).not.toBe(first.pid)
  // else systemd would kill it at a stop, without waiting for its end
  expect(parentOf(successor)).not.toBe(first.pid)
  // its output stays open: the successor writes there, too
  await until('the end of the predecessor', () => !first.runs)
  expect(first.lines.map(({ msg }) => msg)).toContain('stopped')
  const answered = client.answered
  await until('answers of the successor', () => client.answered > answered + 50)
  expect(await client.stop()).toBe(0)
  expect(client.wrong).toEqual([])
  expect((await first.status())?.node).toMatchObject({ pid: successor, ready: true })
  const atEnd = heard.length
  await told(/^WATCHDOG=1$/, atEnd) // of the successor: the variable that names its predecessor is not its own
  expect(heard).not.toContain('STOPPING=1')

  process.kill(successor, 'SIGTERM')
  await told(/^STOPPING=1$/)
})

test('it is told what is announced, that somebody looks, and the end', async () => {
  const socket = join(scene.folder, 'notify')
  const { heard } = await listen(socket)
  const file = join(scene.folder, 'announced')
  const flags = ['--state', scene.state, '--announce-form', 'file', '--announce-file', file]
  const announcer = new NodeProcess(
    ['announce', ...flags, '--listen', `${scene.address(0)}:53`, '--announce-addresses', scene.address(0)],
    scene.state,
    { env: { NOTIFY_SOCKET: socket, WATCHDOG_USEC: '2000000' } },
  )
  pids.push(announcer.pid)
  const told = (line: RegExp): Promise<string> =>
    until(
      () => `${line} among: ${heard.join(', ')}; ${announcer.err}${announcer.out}`,
      () => heard.find((one) => line.test(one)),
    )
  await told(/^READY=1$/)
  await told(/^WATCHDOG=1$/)
  await told(/^STATUS=withdrawn: the node does not run$/)
  announcer.kill('SIGTERM')
  await told(/^STOPPING=1$/)
})

/** Processes that were started with an argument. */
const pidsWith = (...args: readonly string[]): number[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        const own = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split(/[\0 ]/)
        return args.every((arg) => own.includes(arg))
      } catch {
        return false // it has ended
      }
    })
    .map(Number)

test('a successor that is not ready ends with a node that is told to end', async () => {
  await scene.startSites()
  const first = await scene.startReady()
  first.kill('SIGUSR2')
  await until('the successor', () => pidsWith(scene.state, '--takeover').length > 0)
  pids.push(...pidsWith(scene.state, '--takeover'))
  first.kill('SIGTERM')
  await until('the end of both', () => !first.runs && pidsWith(scene.state).length === 0)
})

test('a successor that can’t serve is told of, and the node goes on', async () => {
  await scene.startSites()
  const first = await scene.startReady()
  scene.write('demo.example.yaml', 'www: {type: A}\n')
  first.kill('SIGUSR2')
  await until('its end in the log', () => first.lines.some(({ msg }) => msg.startsWith('the successor ended before')))
  expect((await first.status())?.node.pid).toBe(first.pid)
  expect(await scene.siteFor(PARIS)).toBe('fra')
})
