/** The package as it is installed: bundled, started by bin/meridian, threads and all. */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, mkdirSync, symlinkSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { RedisServer } from '../support/redis-server.ts'
import { PARIS, Scene, VIPS } from '../support/scene.ts'
import { until } from '../support/until.ts'

const ROOT = resolve(import.meta.dirname, '../..')

let scene: Scene
beforeEach(() => {
  scene = new Scene()
})
afterEach(() => scene.close())

test('built, it checks and serves as the source does', async () => {
  const root = join(scene.folder, 'package')
  mkdirSync(root)
  for (const file of ['bin', 'package.json']) cpSync(join(ROOT, file), join(root, file), { recursive: true })
  symlinkSync(join(ROOT, 'node_modules'), join(root, 'node_modules'))
  execFileSync('npm', ['run', 'build', '--', join(root, 'dist')], { cwd: ROOT, stdio: 'ignore' })

  const meridian = join(root, 'bin/meridian')
  expect(execFileSync(meridian, ['check', scene.zones], { encoding: 'utf8' })).toContain('1 zone, ')

  const redis = await RedisServer.start()
  await scene.startSites()
  const node = spawn(meridian, ['serve', ...scene.flags({ redis: redis.url() })], { stdio: 'ignore' })
  const ended = once(node, 'close')
  try {
    await until('fra answers', async () => {
      const dug = await scene.dig(PARIS, 'www.demo.example', 'A').catch(() => undefined)
      return dug?.answer[0] === VIPS.fra ? true : undefined
    })
    await until('fra is up', async () => (await scene.metrics()).includes('site="fra",vip="192.0.2.1",state="up"'))
    // its scripts are found: its prober tells others what it says through them
    await until('votes in Redis', () => redis.cli('--scan').includes('{meridian}:prober:n1') || undefined)
  } finally {
    node.kill('SIGTERM')
  }
  expect((await ended)[0]).toBe(0)
  await redis.stop()
})

test('it holds what a user needs, and nothing else', () => {
  const told = execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], { cwd: ROOT, encoding: 'utf8' })
  expect(() => execFileSync('npm', ['pack', '--dry-run'], { cwd: ROOT, stdio: 'ignore' })).toThrow() // nothing would be pinned
  const [{ files }]: [{ files: { path: string; mode: number }[] }] = JSON.parse(told)
  const paths = files.map(({ path }) => path)
  for (const path of ['bin/meridian', 'README.md', 'LICENSE', 'CHANGELOG.md', 'zones/defaults.yaml', 'geo/refresh.sh'])
    expect(paths).toContain(path)
  expect(files.find(({ path }) => path === 'bin/meridian')!.mode & 0o111).toBe(0o111)
  expect(paths.filter((path) => path.startsWith('dashboard/') && !path.startsWith('dashboard/dist/'))).toEqual([])
  const folders = [
    'bin',
    'dist',
    'dashboard',
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
