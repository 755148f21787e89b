/** The compile thread and the watcher, on real folders. */
import fs, {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { type Compiler, startCompiler } from '../../src/server/compile.ts'
import { makeAdoption } from '../../src/server/pool.ts'
import { watchPaths } from '../../src/server/watch.ts'
import { until } from './client.ts'
import { runInThread } from './inspect.ts'

const ending: (() => Promise<void> | void)[] = []
afterEach(async () => {
  for (const end of ending.splice(0).toReversed()) await end()
})

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'meridian-compile-'))
  ending.push(() => rmSync(path, { recursive: true }))
  return path
}

const zone = (address: string): string =>
  `"": {type: NS, values: [ns1.example.com.]}\nns1: {type: A, values: [${address}]}\n`

function compiler(): { readonly zones: string; readonly compiler: Compiler; readonly adoption: Int32Array } {
  const zones = folder()
  writeFileSync(join(zones, 'defaults.yaml'), 'ttl: 300\nsoa: {serial: 1}\n')
  writeFileSync(join(zones, 'example.com.yaml'), zone('192.0.2.1'))
  const adoption = makeAdoption()
  const made = startCompiler({ zones, city: [] }, adoption)
  ending.push(() => made.stop())
  return { zones, compiler: made, adoption }
}

/** The nice value of each of this process's threads of that name. */
const niceOf = (name: string): number[] =>
  readdirSync('/proc/self/task')
    .map((tid) => readFileSync(`/proc/self/task/${tid}/stat`, 'utf8'))
    .filter((stat) => stat.includes(`(${name})`))
    .map((stat) => Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[16]))

describe('the compile thread', () => {
  test('numbers Worlds, tells faults and goes on, uses memory again', async () => {
    const { zones, compiler: made, adoption } = compiler()
    const first = await made.build()
    expect(first.made?.world.generation).toBe(1)
    expect(first.made?.world.image.bytes.buffer).toBeInstanceOf(SharedArrayBuffer)
    writeFileSync(join(zones, 'example.com.yaml'), 'www: {type: NONSENSE}\n')
    const broken = await made.build()
    expect(broken.made).toBeUndefined()
    expect(broken.problems.some(({ severity }) => severity === 'error')).toBe(true)
    const buffers = new Set<number>()
    for (let generation = 2; generation < 30; generation++) {
      writeFileSync(join(zones, 'example.com.yaml'), zone(`192.0.2.${generation}`))
      const { world } = (await made.build()).made!
      expect(world.generation).toBe(generation)
      const bytes = Buffer.from(world.image.bytes)
      expect(bytes.includes(Buffer.from([192, 0, 2, generation]))).toBe(true)
      adoption[0] = generation
      // each of our views has its own wrapper of the buffer: write into it to know it again
      const mark = new Int32Array(world.image.bytes.buffer, world.image.bytes.buffer.byteLength - 4)
      if (mark[0] === 0) mark[0] = generation
      buffers.add(mark[0]!)
    }
    expect(buffers.size).toBeLessThanOrEqual(3)
  })

  test('is nice, and only it', async () => {
    const { compiler: made } = compiler()
    await made.build()
    expect(niceOf('compile')).toContain(15)
    expect(niceOf('libuv-worker').every((nice) => nice === 0)).toBe(true)
    expect(niceOf('MainThread')).toEqual([0])
  })

  test('calls during a build share the one after it', async () => {
    const { compiler: made } = compiler()
    const built = await Promise.all([made.build(), made.build(), made.build()])
    expect(built.map((each) => each.made?.world.generation)).toEqual([1, 2, 2])
  })

  test('when it dies the build says so, and the next one has a new thread', async () => {
    const { compiler: made } = compiler()
    await made.build()
    await runInThread('compile', 'setTimeout(() => { throw new Error("a bug") })')
    const outcomes: string[] = []
    await until('the next generation', () => {
      if (outcomes.length === 0 || outcomes.at(-1) === 'failed') {
        outcomes.push('asked')
        made.build().then(
          (built) => outcomes.push(String(built.made?.world.generation)),
          () => outcomes.push('failed'),
        )
      }
      return /^\d+$/.test(outcomes.at(-1)!)
    })
    expect(Number(outcomes.at(-1))).toBeGreaterThan(1)
  })
})

const unwatched = (why: string): void => {
  throw new Error(`not watched: ${why}`)
}

describe('the watcher', () => {
  test('without inotify it looks again and again, and says why', async () => {
    const { watch } = fs
    fs.watch = () => {
      throw Object.assign(new Error('ENOSPC: System limit for number of file watchers reached'), { code: 'ENOSPC' })
    }
    syncBuiltinESMExports()
    ending.push(() => {
      fs.watch = watch
      syncBuiltinESMExports()
    })
    const zones = folder()
    writeFileSync(join(zones, 'a.yaml'), '1')
    let told = 0
    const reasons: string[] = []
    const watcher = await watchPaths([zones], {
      changed: () => told++,
      blind: (why) => reasons.push(why),
      quietMs: 100,
    })
    ending.push(() => watcher.stop())
    await until('the reason', () => reasons.length === 1)
    await until('quiet after the start', () => told > 0)
    told = 0
    writeFileSync(join(zones, 'a.yaml'), '22')
    await until('the change', () => told > 0)
    expect(reasons).toEqual([expect.stringContaining('ENOSPC')])
  })

  test('tells once of many changes: files new, changed, replaced and gone', async () => {
    const zones = folder()
    const city = join(folder(), 'city.mmdb')
    writeFileSync(city, '1')
    writeFileSync(join(zones, 'a.yaml'), '1')
    let told = 0
    const watcher = await watchPaths([zones, city], { changed: () => told++, blind: unwatched, quietMs: 150 })
    ending.push(() => watcher.stop())
    const expectOne = async (what: string, change: () => void): Promise<void> => {
      told = 0
      change()
      await until(what, () => told > 0)
      await new Promise((resolve) => setTimeout(resolve, 300))
      expect([what, told]).toEqual([what, 1])
    }
    await expectOne('new files', () => {
      for (let i = 0; i < 20; i++) writeFileSync(join(zones, `n${i}.yaml`), '1')
      mkdirSync(join(zones, 'services'))
      writeFileSync(join(zones, 'services', 'web.yaml'), '1')
    })
    await expectOne('a changed file', () => writeFileSync(join(zones, 'services', 'web.yaml'), '22'))
    await expectOne('a file gone', () => rmSync(join(zones, 'n3.yaml')))
    await expectOne('a database replaced', () => {
      writeFileSync(city + '.new', '22')
      renameSync(city + '.new', city)
    })
    await expectOne('and again', () => {
      writeFileSync(city + '.new', '333')
      renameSync(city + '.new', city)
    })
  })

  test('sees the link swap of a Kubernetes volume', async () => {
    const volume = folder()
    const put = (version: string): void => {
      mkdirSync(join(volume, version))
      writeFileSync(join(volume, version, 'a.yaml'), version)
      symlinkSync(version, join(volume, '..data_tmp'))
      renameSync(join(volume, '..data_tmp'), join(volume, '..data'))
    }
    put('..1')
    symlinkSync('..data/a.yaml', join(volume, 'a.yaml'))
    let told = 0
    const watcher = await watchPaths([volume], { changed: () => told++, blind: unwatched, quietMs: 100 })
    ending.push(() => watcher.stop())
    put('..2')
    await until('the swap', () => told > 0)
  })
})
