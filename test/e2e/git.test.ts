/** A real node on zones that git brings: one reload for a pull, the revision everywhere, a serial that never goes back. */
import { execFile } from 'node:child_process'
import { mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { commit, git, makeRepository, pathOfStranger, writeFiles } from '../support/repository.ts'
import { type NodeProcess, Scene, SITES_YAML, VIPS } from '../support/scene.ts'
import { until } from '../support/until.ts'

let scene: Scene
beforeEach(() => {
  scene = new Scene()
})
afterEach(() => scene.close())

const BEGIN = 1_700_000_000
const NS = '"": {type: NS, values: [ns1.demo.example.]}\n'
const FILES = {
  'defaults.yaml': 'soa: {mname: ns1.demo.example., rname: hostmaster.demo.example.}\nttl: 300\n',
  'sites.yaml': SITES_YAML,
  'services.yaml': `web:\n  sites: {fra: {vips: [${VIPS.fra}]}}\n  check: none\n`,
  'demo.example.yaml': `${NS}ns1: {type: A, value: 192.0.2.53}\nwww: {type: GSLB, service: web}\n`,
}

/** An origin with the zones, and the node's clone of it in the scene's folder. */
function repositories(): { readonly origin: string; readonly clone: string } {
  const origin = join(scene.folder, 'origin')
  mkdirSync(origin)
  makeRepository(origin)
  writeFiles(origin, Object.fromEntries(Object.entries(FILES).map(([name, text]) => [`zones/${name}`, text])))
  commit(origin, BEGIN)
  const clone = join(scene.folder, 'clone')
  git(origin, 'clone', '-q', origin, clone)
  return { origin, clone }
}

const startIn = (zones: string): Promise<NodeProcess> =>
  scene.startReady({ zones, 'probe-enabled': 'true', 'log-level': 'info' })

const serial = async (): Promise<number> =>
  Number((await scene.dig(undefined, 'demo.example', 'SOA')).answer[0]?.split(' ')[2])

/** Threads take a World up when they next look. */
const serves = (expected: number) => until(`serial ${expected}`, async () => (await serial()) === expected)

/** Loads that took. */
async function taken(node: NodeProcess): Promise<number> {
  return Number(/^meridian_reloads_total\{result="ok"\} (\d+)$/m.exec(await node.metrics())?.[1])
}

const worldAt = (node: NodeProcess, revision: string) =>
  until(
    () => `revision ${revision}; ${node.out}`,
    async () => {
      const world = (await node.status())?.world
      return world?.revision === revision ? world : undefined
    },
  )

const said = (node: NodeProcess, text: string): boolean => node.lines.some(({ msg }) => msg.includes(text))

// a pull and a reload of 2,000 files beside four busy loops took 93 s
const MANY_FILES = { timeout: 240_000 }

test(
  'git pull of 2,000 files is one reload; revision, view and serial are in status, metrics and log',
  MANY_FILES,
  async () => {
    const { origin, clone } = repositories()
    const first = git(clone, 'rev-parse', '--short=7', 'HEAD')
    const node = await startIn(join(clone, 'zones'))
    const before = await worldAt(node, first)
    expect(await serial()).toBe(BEGIN)
    expect(before).toMatchObject({ serial: BEGIN, commit: git(clone, 'rev-parse', 'HEAD'), generation: 1 })
    expect(said(node, `, at ${first}`)).toBe(true)

    const zones = Array.from({ length: 2000 }, (_, i) => [`zones/z${i}.example.yaml`, NS] as const)
    writeFiles(origin, Object.fromEntries(zones))
    writeFiles(origin, {
      'zones/services.yaml': `${FILES['services.yaml']}api:\n  sites: {iad: {vips: [${VIPS.iad}]}}\n  check: none\n`,
    })
    const hash = commit(origin, BEGIN + 1000)
    const second = hash.slice(0, 7)
    await promisify(execFile)('git', ['pull', '-q'], { cwd: clone })
    const after = await worldAt(node, second)
    expect(after).toMatchObject({ zones: 2001, serial: BEGIN + 1000, commit: hash, generation: 2 })
    expect(after.view).not.toBe(before.view)
    await serves(BEGIN + 1000)
    const metrics = await node.metrics()
    expect(metrics).toContain(`meridian_view_info{view="${after.view}",revision="${second}"} 1`)
    expect(metrics).toContain(`meridian_soa_serial ${BEGIN + 1000}`)
    const line = node.lines.find(({ msg }) => msg.startsWith('reloaded (files changed): generation 2'))
    expect(line?.msg).toMatch(
      new RegExp(
        `from ${first} to ${second}, 2001 files parsed, \\d+ ms: zones \\+z0\\.example\\., .*\\+1995 more; names \\+2000; services \\+api; no clients move$`,
      ),
    )

    // SIGHUP is a reload also of what is served already: exactly one more
    node.kill('SIGHUP')
    await until('the reload by SIGHUP', () => said(node, 'reloaded (SIGHUP)'))
    expect(await taken(node)).toBe(3)
    expect((await node.status())!.world).toMatchObject({ generation: 3, view: after.view })
    expect(node.lines.find(({ msg }) => msg.startsWith('reloaded (SIGHUP)'))?.msg).toMatch(
      new RegExp(` at ${second}, 0 files parsed, \\d+ ms: the same zones, names, services and sites; no clients move$`),
    )
  },
)

test('an older commit, a restart, and git gone: the serial stays; a commit without a change is only another revision', async () => {
  const { origin, clone } = repositories()
  writeFiles(origin, { 'zones/new.example.yaml': NS })
  const second = commit(origin, BEGIN + 1000).slice(0, 7)
  git(clone, 'pull', '-q')
  const node = await startIn(join(clone, 'zones'))
  await worldAt(node, second)
  expect(await serial()).toBe(BEGIN + 1000)

  git(clone, 'checkout', '-q', 'HEAD~1')
  const first = git(clone, 'rev-parse', '--short=7', 'HEAD')
  const back = await worldAt(node, first)
  expect(back).toMatchObject({ zones: 1, serial: BEGIN + 1000 })
  expect(await serial()).toBe(BEGIN + 1000)
  const { load } = (await node.status())!
  expect(load).toMatchObject({ ok: true, problems: [{ code: 'serial-backwards', severity: 'warning' }] })

  const empty = commit(clone, BEGIN + 2000).slice(0, 7)
  expect(await worldAt(node, empty)).toMatchObject({ generation: back.generation, view: back.view })
  expect(await node.metrics()).toContain(`meridian_view_info{view="${back.view}",revision="${empty}"} 1`)

  node.kill('SIGTERM')
  expect(await node.ended).toBe(0)
  rmSync(join(clone, '.git'), { recursive: true })
  const again = await startIn(join(clone, 'zones'))
  expect(await serial()).toBe(BEGIN + 1000)
  const { world, load: loadAgain } = (await again.status())!
  expect(world).toMatchObject({ revision: null, commit: null, serial: BEGIN + 1000 })
  expect(loadAgain!.problems.map(({ code }) => code).toSorted()).toEqual(['serial-backwards', 'serial-unknown'])
  expect(JSON.parse(readFileSync(join(scene.state, 'serial.json'), 'utf8'))).toMatchObject({ serial: BEGIN + 1000 })
})

test('while git has its lock nothing is loaded, SIGHUP or not, and the end does not wait for it', async () => {
  const { clone } = repositories()
  const zones = join(clone, 'zones')
  const node = await startIn(zones)
  const lock = join(clone, '.git/index.lock')
  writeFileSync(lock, '')
  // half of a checkout: a service that no file has yet
  writeFileSync(join(zones, 'half.example.yaml'), `${NS}www: {type: GSLB, service: late}\n`)
  await until('that it waits', () => said(node, 'git is at work'))
  node.kill('SIGHUP')
  expect((await node.status())!.load).toMatchObject({ ok: true, why: 'start' })
  writeFileSync(
    join(zones, 'services.yaml'),
    `${FILES['services.yaml']}late:\n  sites: {iad: {vips: [${VIPS.iad}]}}\n  check: none\n`,
  )
  rmSync(lock)
  const world = await until('the whole of it', async () => {
    const status = await node.status()
    return status?.world?.zones === 2 ? status.world : undefined
  })
  expect(world.revision).toMatch(/-dirty$/)
  expect(await node.metrics()).toContain('meridian_reloads_total{result="failed"} 0')

  writeFileSync(lock, '')
  node.kill('SIGHUP')
  await until('that it waits again', () => node.lines.filter(({ msg }) => msg.includes('git is at work')).length > 1)
  node.kill('SIGTERM')
  const ended = await Promise.race([node.ended, new Promise((done) => setTimeout(done, 60_000, 'too late').unref())])
  expect(ended).toBe(0)
  expect(node.lines.filter(({ level }) => level === 'error')).toEqual([])
})

test('a repository of another user: it serves, without a revision, and says once what to do', async () => {
  const { clone } = repositories()
  vi.stubEnv('PATH', pathOfStranger(scene.folder))
  const node = await startIn(join(clone, 'zones'))
  vi.unstubAllEnvs()
  node.kill('SIGHUP')
  await until('the reload by SIGHUP', () => said(node, 'reloaded (SIGHUP)'))
  const told = node.lines.filter(({ msg }) => msg.includes('safe.directory') && msg.startsWith('the revision'))
  expect(told).toMatchObject([
    {
      level: 'info',
      msg: `the revision is not known: git refuses to read the repository of another user: git config --system --add safe.directory ${clone}`,
    },
  ])
  expect((await node.status())!.world).toMatchObject({ revision: null, serial: 1, generation: 2 })
})

test('a ConfigMap that is swapped is one reload', async () => {
  const volume = join(scene.folder, 'volume')
  const put = (version: string, files: Readonly<Record<string, string>>): void => {
    writeFiles(join(volume, version), files)
    symlinkSync(version, join(volume, '..data_tmp'))
    renameSync(join(volume, '..data_tmp'), join(volume, '..data'))
    for (const name of Object.keys(files)) {
      rmSync(join(volume, name), { force: true })
      symlinkSync(`..data/${name}`, join(volume, name))
    }
  }
  const files = { ...FILES, 'defaults.yaml': 'soa: {serial: 7}\n' }
  put('..1', files)
  const node = await startIn(volume)
  put('..2', { ...files, 'defaults.yaml': 'soa: {serial: 8}\n', 'new.example.yaml': NS })
  rmSync(join(volume, '..1'), { recursive: true })
  await until('the new serial', async () => (await serial()) === 8)
  node.kill('SIGHUP')
  await until('the reload by SIGHUP', () => said(node, 'reloaded (SIGHUP)'))
  expect(await taken(node)).toBe(3)
})
