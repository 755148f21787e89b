/** The watcher, on real folders: one burst is told once, whoever makes it, and nothing is missed. */
import { execFile } from 'node:child_process'
import fs, {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, describe, expect, test } from 'vitest'
import { findWorkTree, gitFiles } from '../../src/git.ts'
import { watchPaths } from '../../src/world/watch.ts'
import { commit, git, makeRepository, writeFiles } from '../support/repository.ts'
import { until } from '../support/until.ts'

const ending: (() => Promise<void> | void)[] = []
afterEach(async () => {
  for (const end of ending.splice(0).toReversed()) await end()
})

function folder(): string {
  const path = realpathSync(mkdtempSync(join(tmpdir(), 'meridian-watch-')))
  ending.push(() => rmSync(path, { recursive: true }))
  return path
}

const unwatched = (why: string): void => {
  throw new Error(`not watched: ${why}`)
}

/** Watches as a process does that goes on. */
const watching = async (zones: string, timing: { readonly quietMs?: number } = { quietMs: 150 }) => {
  const seen = { told: 0 }
  const tree = findWorkTree(zones)
  const paths = [zones, ...(tree === undefined ? [] : gitFiles(tree))]
  const watcher = await watchPaths(paths, { onChange: () => void seen.told++, onPolling: unwatched, ...timing })
  ending.push(() => watcher.stop())
  return { seen, watcher }
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
      onChange: () => told++,
      onPolling: (why) => reasons.push(why),
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
    const watcher = await watchPaths([zones, city], { onChange: () => told++, onPolling: unwatched, quietMs: 150 })
    ending.push(() => watcher.stop())
    const expectOne = async (what: string, change: () => void): Promise<void> => {
      told = 0
      change()
      await until(what, () => told > 0)
      await new Promise((resolve) => setTimeout(resolve, 300)) // a second telling would be here by now
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
    const watcher = await watchPaths([volume], { onChange: () => told++, onPolling: unwatched, quietMs: 100 })
    ending.push(() => watcher.stop())
    put('..2')
    await until('the swap', () => told > 0)
  })

  test('what is ignored is not walked, however much is behind it', async () => {
    const zones = folder()
    const behind = folder()
    writeFileSync(join(zones, 'a.yaml'), '1')
    writeFileSync(join(behind, 'b.yaml'), '1')
    symlinkSync(behind, join(zones, 'out'))
    let told = 0
    const asked: string[] = []
    const ignores = (path: string): boolean => {
      asked.push(path)
      return path === join(zones, 'out')
    }
    const watcher = await watchPaths([zones], { onChange: () => told++, onPolling: unwatched, ignores, quietMs: 50 })
    ending.push(() => watcher.stop())
    writeFileSync(join(behind, 'b.yaml'), '22')
    writeFileSync(join(zones, 'a.yaml'), '22')
    await until('the change', () => told > 0)
    expect(asked).toContain(join(zones, 'out'))
    expect(asked.filter((path) => path.includes('b.yaml'))).toEqual([])
  })

  describe('with git', () => {
    test('a pull of 300 files in place is told once, and so is the next', async () => {
      const origin = makeRepository(folder())
      writeFiles(origin, { 'zones/first.example.yaml': '1' })
      commit(origin, 1_700_000_000)
      const clone = join(folder(), 'clone')
      git(origin, 'clone', '-q', origin, clone)
      const { seen } = await watching(join(clone, 'zones'), {})
      for (const [round, length] of [
        [1, 300],
        [2, 50],
      ] as const) {
        const files = Array.from({ length }, (_, i) => [`zones/z${i}.example.yaml`, `${round}`] as const)
        writeFiles(origin, Object.fromEntries(files))
        commit(origin, 1_700_000_000 + round)
        // not in this process: its events must come while it writes
        await promisify(execFile)('git', ['pull', '-q'], { cwd: clone })
        await until(`pull ${round}`, () => seen.told === round)
      }
      // what was told twice would be three now
      appendFileSync(join(clone, 'zones/first.example.yaml'), '1')
      await until('a change after it', () => seen.told >= 3)
      expect(seen.told).toBe(3)
    })

    test.each<[string, (top: string) => void]>([
      ['a commit of what is there already', (top) => void commit(top, 1_700_000_001)],
      ['another branch of the same', (top) => void git(top, 'checkout', '-q', '-b', 'other')],
      ['a detached HEAD of the same', (top) => void git(top, 'checkout', '-q', '--detach')],
      ['the index alone', (top) => void git(top, 'rm', '-q', '--cached', 'zones/a.example.yaml')],
    ])('%s is told, and can be told again', async (_what, change) => {
      const top = makeRepository(folder())
      writeFiles(top, { 'zones/a.example.yaml': '1' })
      commit(top, 1_700_000_000)
      const { seen } = await watching(join(top, 'zones'))
      change(top)
      await until('the change', () => seen.told === 1)
      commit(top, 1_700_000_002)
      await until('the next', () => seen.told === 2)
    })

    test('a link above the folder that moves to another work tree, as git-sync does it', async () => {
      const root = folder()
      for (const version of ['1', '2']) writeFiles(root, { [`${version}/zones/a.example.yaml`]: version })
      symlinkSync('1', join(root, 'current'))
      const { seen } = await watching(join(root, 'current/zones'))
      symlinkSync('2', join(root, 'new'))
      renameSync(join(root, 'new'), join(root, 'current'))
      await until('the move', () => seen.told > 0)
      // the watch is on what is there now; the first of these may be told for the watch being new
      for (const text of ['one', 'two', 'three']) {
        const before = seen.told
        writeFileSync(join(root, '2/zones/a.example.yaml'), text)
        await until('a change in the new place', () => seen.told > before)
      }
    })

    test('what else is named later is watched too, and instead of what was before', async () => {
      const zones = folder()
      const outside = folder()
      writeFiles(outside, { 'a.txt': '1', 'b.txt': '1' })
      const { seen, watcher } = await watching(zones)
      watcher.follow([zones, join(outside, 'a.txt')])
      await until('that it may have changed', () => seen.told === 1)
      for (let n = 2; n < 4; n++) {
        writeFileSync(join(outside, 'new'), String(n))
        renameSync(join(outside, 'new'), join(outside, 'a.txt'))
        await until('the file that is included', () => seen.told === n)
      }
      watcher.follow([zones, join(outside, 'b.txt')])
      await until('that the other may have changed', () => seen.told === 4)
      writeFileSync(join(outside, 'b.txt'), '2')
      await until('the other file', () => seen.told === 5)
    })
  })

  test('a folder that never rests is told of all the same', async () => {
    const zones = folder()
    let told = 0
    const watcher = await watchPaths([zones], {
      onChange: () => told++,
      onPolling: unwatched,
      quietMs: 500,
      mostMs: 700,
    })
    ending.push(() => watcher.stop())
    let n = 0
    const restless = setInterval(() => writeFileSync(join(zones, 'a.example.yaml'), String(n++)), 20)
    ending.push(() => clearInterval(restless))
    await until('two times', () => told >= 2)
  })
})
