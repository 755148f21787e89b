/**
 * docker/ without an engine: the image's own steps in a clean folder, then the deployment of compose.yaml with its own
 * commands, environment and configurations, as the image's user. 10.53.x.y is an address of loopback here, /tmp and the
 * image's folders are below a temporary one.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { basename, join, resolve } from 'node:path'
import { text as textOf } from 'node:stream/consumers'
import { load, YAML11_SCHEMA } from 'js-yaml'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Status } from '../../src/api/status.ts'
import { ask } from '../../src/cli/control.ts'
import { until } from '../support/until.ts'

const ROOT = resolve(import.meta.dirname, '../..')
const DOCKER = join(ROOT, 'docker')
const read = (file: string): string => readFileSync(join(DOCKER, file), 'utf8')

interface Service {
  readonly image: string
  readonly command: readonly string[]
  readonly environment?: Readonly<Record<string, string>>
  readonly hostname?: string
  readonly volumes: readonly string[]
  readonly networks: { readonly fleet: { readonly ipv4_address: string } }
}
const parsed: ReturnType<typeof JSON.parse> = load(read('compose.yaml'), { schema: YAML11_SCHEMA })
const compose: { readonly services: Readonly<Record<string, Service>> } = parsed
const instructions = read('Dockerfile')
  .split('\n')
  .filter((line) => /^[A-Z]/.test(line))
const of = (word: string): string[] =>
  instructions.filter((line) => line.startsWith(`${word} `)).map((line) => line.slice(word.length + 1))
const [UID, GID] = of('USER')[0]!.split(':').map(Number)

const folder = mkdtempSync(join(tmpdir(), 'meridian-docker-'))
const NETWORK = `127.${192 + (process.pid % 60)}.`
const addressOf = (name: string): string => here(compose.services[name]!.networks.fleet.ipv4_address)
const running = new Map<string, { readonly child: ChildProcess; said: string }>()

/** What the image or the compose file says, as it is on this machine. */
const here = (text: string): string =>
  text
    .replaceAll('10.53.', NETWORK)
    .replaceAll(/(?<![\w.])\/(opt|tmp|src|etc|var\/lib)(?=\/|$|\s)/g, (path) => `${folder}${path}`)

const isRoot = process.getuid?.() === 0
const asUser = isRoot ? { uid: UID!, gid: GID! } : {}

/** Folders that the image's user may write, as volumes and tmpfs are. */
function makeWritable(path: string): string {
  mkdirSync(path, { recursive: true })
  if (isRoot) execFileSync('chown', [`${UID}:${GID}`, path])
  return path
}

function start(name: string, program: string, args: readonly string[], env: Record<string, string>): void {
  const child = spawn(program, args, { cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'], detached: true, ...asUser })
  const started = { child, said: '' }
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (data: Buffer) => (started.said += data.toString()))
  running.set(name, started)
}

/** A file that the compose file mounts, where the mount puts it, written for this machine. */
function mount(name: string, edit: (text: string) => string = (text) => text): void {
  for (const volume of compose.services[name]!.volumes) {
    const [from, to] = volume.split(':')
    if (!from!.startsWith('./')) continue
    mkdirSync(resolve(here(to!), '..'), { recursive: true })
    if (/\.\w+$/.test(from!)) writeFileSync(here(to!), edit(here(read(from!))))
    else
      for (const file of ['defaults', 'sites', 'services', 'gslb.example']) {
        mkdirSync(here(to!), { recursive: true })
        writeFileSync(join(here(to!), `${file}.yaml`), here(read(join(from!, `${file}.yaml`))))
      }
  }
}

/** The process of a node or prober: the image's entry point, the compose file's command and environment. */
function startMeridian(name: string): string {
  const { command, environment } = compose.services[name]!
  mount(name)
  const state = makeWritable(join(folder, 'state', name))
  const given = Object.entries(environment!).map(([key, value]) => [key, here(value)] as const)
  const env = {
    ...imageEnv(),
    ...Object.fromEntries(given),
    MERIDIAN_STATE: state,
    MERIDIAN_PROBE_ALLOW: `${NETWORK}0.0/16`,
  }
  start(name, join(folder, 'opt/meridian/bin/meridian'), command, env)
  return state
}

/** ENV of the image; its Node is a copy of this one. */
function imageEnv(): Record<string, string> {
  const pairs = of('ENV').flatMap((line) =>
    line.split(' ').map((pair): [string, string] => [pair.split('=')[0]!, here(pair.split('=')[1]!)]),
  )
  const env = Object.fromEntries(pairs)
  return { ...env, PATH: `${join(folder, 'node')}:${env['PATH']}` }
}

beforeAll(() => {
  chmodSync(folder, 0o755)
  for (const path of ['node', 'src', 'tmp', 'etc']) mkdirSync(join(folder, path))
  makeWritable(join(folder, 'tmp'))
  copyFileSync(process.execPath, join(folder, 'node/node'))
  const ignored = new Set(read('Dockerfile.dockerignore').trim().split('\n'))
  cpSync(ROOT, join(folder, 'src'), {
    recursive: true,
    filter: (path) => resolve(path, '..') !== ROOT || !ignored.has(basename(path)),
  })
})

/** With its workers, which nginx's would outlive it. */
async function kill(name: string): Promise<void> {
  const { child } = running.get(name)!
  if (child.exitCode !== null || child.signalCode !== null) return
  const closed = once(child, 'close')
  process.kill(-child.pid!, 'SIGKILL')
  await closed
}

afterAll(async () => {
  await Promise.all([...running.keys()].map(kill))
  rmSync(folder, { recursive: true, force: true })
})

test('the steps of the image make a program that its user can run', () => {
  const [install, ...steps] = of('RUN')
  expect(install).toBe('npm ci --ignore-scripts') // which the machine of this test has behind it
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'src/node_modules'))
  for (const step of steps.filter((line) => !line.includes('chown'))) {
    execFileSync('sh', ['-c', here(step)], {
      cwd: join(folder, 'src'),
      env: {
        ...process.env,
        npm_config_prefer_offline: 'true',
        npm_config_audit: 'false',
        npm_config_loglevel: 'error',
      },
      stdio: ['ignore', 'ignore', 'inherit'],
    })
  }
  expect(UID).toBeGreaterThan(0)
  const meridian = join(folder, 'opt/meridian/bin/meridian')
  const told = execFileSync(meridian, ['--version'], { env: imageEnv(), encoding: 'utf8', ...asUser })
  const { version }: { version: string } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))
  expect(told).toBe(`${version}\n`)
})

const json = (...path: string[]): ReturnType<typeof JSON.parse> => JSON.parse(readFileSync(join(...path), 'utf8'))

test('every package that comes along is the one that is locked, and is asked for by its exact version', () => {
  const locked: Readonly<
    Record<string, { readonly version: string; readonly integrity?: string; readonly dev?: true }>
  > = json(ROOT, 'package-lock.json').packages
  const installed = join(folder, 'opt/meridian/lib/node_modules/meridian')
  const { dependencies, optionalDependencies } = json(installed, 'package.json')
  const wanted: Record<string, string> = {}
  for (const [path, { version, integrity, dev }] of Object.entries(locked)) {
    if (path === '' || dev === true) continue
    wanted[path.slice('node_modules/'.length)] = version
    expect(integrity).toMatch(/^sha512-/)
    const there = join(installed, path, 'package.json')
    if (existsSync(there)) expect(json(there).version).toBe(version) // those of other platforms are not
  }
  expect({ ...dependencies, ...optionalDependencies }).toEqual(wanted)
  const shipped = Object.keys(json(installed, 'npm-shrinkwrap.json').packages)
  expect(shipped.toSorted()).toEqual(['', ...Object.keys(wanted).map((name) => `node_modules/${name}`)].toSorted())
  expect(existsSync(join(installed, 'node_modules/vitest'))).toBe(false)
})

/** The users' lines, without names and passwords. */
const rules = (text: string): string[] =>
  [...text.matchAll(/^user (meridian-(?:node|prober)\S*) .*$/gm)].map(([line, user]) =>
    line
      .replace(/>\S+/, '>')
      .replace(user!, '')
      .replaceAll(/(prober|0):(prober-\w+|fra) /g, '$1:NAME '),
  )

test('Redis allows what docs/redis.md says, and no more: one user for nodes, one for each prober', () => {
  const [node, prober] = rules(read('../docs/redis.md'))
  expect(rules(read('users.acl'))).toEqual([node, prober, prober, prober])
  for (const region of ['eu', 'us', 'ap'])
    expect(read('users.acl')).toContain(`%RW~{meridian}:prober:prober-${region} `)
  expect(read('users.acl')).toMatch(/^user default off$/m)
})

test('every service of the compose file is one of region, and each is confined', () => {
  const names = Object.keys(compose.services)
  const regions = ['eu', 'us', 'ap']
  expect(names.toSorted()).toEqual(
    ['redis', ...['node', 'prober', 'site'].flatMap((kind) => regions.map((region) => `${kind}-${region}`))].toSorted(),
  )
  for (const service of Object.values(compose.services)) expect(service).toMatchObject({ read_only: true })
  expect(of('ENTRYPOINT')).toEqual(['["meridian"]'])
})

/** Starts a site as the compose file does, after its own program has checked the configuration. */
async function startSite(name: string): Promise<void> {
  const { command } = compose.services[name]!
  const address = addressOf(name)
  mkdirSync(join(folder, 'etc', name), { recursive: true })
  const own = (text: string): string => here(text).replaceAll(`${folder}/etc/site`, join(folder, 'etc', name))
  const [file] = compose.services[name]!.volumes[0]!.slice(2).split(':')
  const tmp = makeWritable(join(folder, 'tmp', name))
  const text = read(file!)
    .replaceAll('/tmp/', `${tmp}/`)
    .replace('listen 8080;', `listen ${address}:8080;`)
    .replace('bind :8080', `bind ${address}:8080`)
  expect(text).toContain(`${address}:8080`)
  writeFileSync(join(folder, 'etc', name, file!), text)
  const [program, ...args] = command.map(own)
  const path = { PATH: `${process.env['PATH']}:/usr/sbin` }
  const check = program === 'nginx' ? ['-t', '-c', args[1]!] : ['-c', '-f', args[1]!]
  execFileSync(program!, check, { env: path, stdio: ['ignore', 'ignore', 'inherit'], ...asUser })
  start(name, program!, args, path)
  await until(`${name} answers`, async () => (await fetch(`http://${address}:8080/healthz`).catch(() => undefined))?.ok)
}

async function startRedis(): Promise<void> {
  mount('redis')
  const [program, ...args] = compose.services['redis']!.command.map(here)
  const address = addressOf('redis')
  start('redis', program!, [...args, '--bind', address], { PATH: process.env['PATH']! })
  await until('redis is ready', () => running.get('redis')!.said.includes('Ready to accept connections'))
}

const answerOf = (node: string): string => {
  const { environment } = compose.services[node]!
  const [address, port] = here(environment!['MERIDIAN_LISTEN']!).split(':')
  const words = [`@${address}`, '-p', port!, '+short', '+time=1', '+tries=1', 'www.gslb.example', 'A']
  return execFileSync('dig', words, { encoding: 'utf8' }).trim()
}

const seen = (): string => [...running].map(([name, { said }]) => `${name}: ${said}`).join('\n')

/** Runs the image's health check beside a process with this state folder; resolves to its exit code and what it says. */
async function checkHealth(state: string): Promise<readonly [code: number, said: string]> {
  const [from, to] = of('COPY')
    .find((line) => line.startsWith('docker/'))!
    .split(' ')
  copyFileSync(join(ROOT, from!), here(to!))
  const command: readonly string[] = JSON.parse(here(/ CMD (\[.*\])$/.exec(of('HEALTHCHECK')[0]!)![1]!))
  const [program, ...args] = command
  const env = { ...imageEnv(), MERIDIAN_STATE: state, MERIDIAN_HTTP_LISTEN: `${addressOf('node-us')}:8053` }
  const child = spawn(program!, args, { env, stdio: ['ignore', 'ignore', 'pipe'], ...asUser })
  const [[code], said] = await Promise.all([once(child, 'close'), textOf(child.stderr)])
  return [Number(code), said]
}

test('the health check tells a process that answers from one that is frozen, and from none', async () => {
  const state = makeWritable(join(folder, 'state', 'health'))
  expect(await checkHealth(state)).toEqual([1, expect.stringContaining('control.sock')])
  const asked: string[] = []
  const answering = createServer((request, response) => {
    asked.push(request.url!)
    if (asked.length < 3) response.writeHead(asked.length === 1 ? 200 : 500).end()
  })
  await new Promise<void>((done) => answering.listen(join(state, 'control.sock'), done))
  execFileSync('chmod', ['0666', join(state, 'control.sock')])
  expect(await checkHealth(state)).toEqual([0, ''])
  expect(await checkHealth(state)).toEqual([1, '500\n'])
  const begunMs = performance.now()
  expect((await checkHealth(state))[0]).toBe(1)
  expect(performance.now() - begunMs).toBeGreaterThan(4_000) // it waited: the compose file's engine would at 6 s
  expect(asked).toEqual(['/live', '/live', '/live'])
  answering.closeAllConnections()
  answering.close()
  // without a control socket
  const http = createServer((_request, response) => response.end())
  await new Promise<void>((done) => http.listen(8053, addressOf('node-us'), done))
  expect(await checkHealth(join(state, 'none'))).toEqual([0, ''])
  http.close()
})

test('the fleet answers with its own site, and with another when two regions see it dead', async () => {
  const sites = ['site-eu', 'site-us', 'site-ap']
  await Promise.all([startRedis(), ...sites.map(startSite)])
  const state = startMeridian('node-eu')
  for (const name of ['prober-eu', 'prober-us']) startMeridian(name)
  await until('all sites are up', async () => {
    const status = await ask<Status>({ state }, '/api/status').catch(() => undefined)
    const states = status?.services[0]?.members.map((member) => member.state)
    return status?.node.ready === true && states?.length === 3 && states.every((one) => one === 'up')
  }).catch((error: unknown) => {
    throw new Error(seen(), { cause: error })
  })
  expect(await checkHealth(state)).toEqual([0, ''])
  const told = execFileSync(join(folder, 'opt/meridian/bin/meridian'), ['status'], {
    env: { ...imageEnv(), MERIDIAN_STATE: state },
    encoding: 'utf8',
    ...asUser,
  })
  expect(told).toContain('node-eu  ready')
  expect(answerOf('node-eu')).toBe(addressOf('site-eu'))
  await kill('site-eu')
  await until('another site is named', () => {
    const answer = answerOf('node-eu')
    return answer !== '' && answer !== addressOf('site-eu')
  })
})
