/** The package as it is installed: compiled by tsc, started by bin/meridian, threads and all. */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, mkdirSync, renameSync, symlinkSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { RedisServer } from '../support/redis-server.ts'
import { PARIS, Scene, VIPS } from '../support/scene.ts'
import { until } from '../support/until.ts'

const ROOT = resolve(import.meta.dirname, '../..')

const NODE_ARGUMENTS = ['--input-type=module', '--eval']

let scene: Scene
beforeEach(() => {
  scene = new Scene()
})
afterEach(() => scene.close())

test('built, it checks and serves as the source does', async () => {
  const root = join(scene.folder, 'package')
  mkdirSync(root)
  const build = join(scene.folder, 'build')
  mkdirSync(build)
  const sources = ['src', 'package.json', 'tsconfig.json', 'tsconfig.build.json']
  for (const file of sources) cpSync(join(ROOT, file), join(build, file), { recursive: true })
  for (const file of ['bin', 'package.json']) cpSync(join(ROOT, file), join(root, file), { recursive: true })
  for (const folder of [build, root]) symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
  execFileSync('npm', ['run', 'build'], { cwd: build, stdio: 'ignore' })
  renameSync(join(build, 'dist'), join(root, 'dist'))

  const meridian = join(root, 'bin/meridian')
  expect(execFileSync(meridian, ['check', scene.zones], { encoding: 'utf8' })).toContain('1 zone, ')

  const redis = await RedisServer.start()
  try {
    const program = [...NODE_ARGUMENTS, SPEAK, join(root, 'dist/store/redis/store.js'), redis.url()]
    expect(execFileSync(process.execPath, program, { encoding: 'utf8', timeout: 60_000 })).toBe('heard\n')
  } finally {
    await redis.stop()
  }

  await scene.startSites()
  const node = spawn(meridian, ['serve', ...scene.flags()], { stdio: 'ignore' })
  const ended = once(node, 'close')
  try {
    await until('fra answers', async () => {
      const dug = await scene.dig(PARIS, 'www.demo.example', 'A').catch(() => undefined)
      return dug?.answer[0] === VIPS.fra ? true : undefined
    })
    await until('fra is up', async () => (await scene.metrics()).includes('site="fra",vip="192.0.2.1",state="up"'))
  } finally {
    node.kill('SIGTERM')
  }
  expect((await ended)[0]).toBe(0)
})

/** A prober of the built package tells its votes to one who listens to them, through a real Redis. */
const SPEAK = `
  const { openRedisStore } = await import(process.argv[1])
  const store = openRedisStore(process.argv[2])
  const prober = { name: 'a', region: 'eu', bootId: 'one' }
  const votes = () => { console.log('heard'); void store.close() }
  await store.listen({ votes, retired() {}, heartbeat() {}, gone() {} }, new AbortController().signal)
  await store.proberWriter(prober).replace([{ target: 't', value: 'up', moving: false, reason: '', rttMs: 1, share: 1000 }])`

test('it holds what a user needs, and nothing else', () => {
  const told = execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], { cwd: ROOT, encoding: 'utf8' })
  expect(() => execFileSync('npm', ['pack', '--dry-run'], { cwd: ROOT, stdio: 'ignore' })).toThrow() // nothing would be pinned
  const [{ files }]: [{ files: { path: string; mode: number }[] }] = JSON.parse(told)
  const paths = files.map(({ path }) => path)
  for (const path of ['bin/meridian', 'README.md', 'LICENSE', 'CHANGELOG.md', 'zones/defaults.yaml', 'geo/refresh.sh'])
    expect(paths).toContain(path)
  expect(files.find(({ path }) => path === 'bin/meridian')!.mode & 0o111).toBe(0o111)
  const folders = [
    'bin',
    'dist',
    'zones',
    'geo',
    'schemas',
    'docs',
    'deploy',
    'README.md',
    'LICENSE',
    'CHANGELOG.md',
    'SECURITY.md',
    'package.json',
  ]
  expect(paths.filter((path) => !folders.includes(path.split('/')[0]!))).toEqual([])
})
