/** Files of the state folder: replaced whole or not at all, read without blocking, and nothing left of writers that died. */
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import type { FileHandle } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  type FileKind,
  readState,
  readWhole,
  removeLeftovers,
  replaceFiles,
  replaceFileSync,
  Saver,
} from '../src/state.ts'
import { until } from './support/until.ts'

const KIND: FileKind = { what: 'numbers', format: 'meridian numbers 1' }
let folder = ''
const path = (): string => join(folder, 'numbers.json')
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'meridian-state-'))))
afterEach(() => rmSync(folder, { recursive: true }))

const makeSaver = (file: string, collect: () => object = () => ({ n: 1 }), everyMs = 5) => {
  const troubles: (string | undefined)[] = []
  const saver = new Saver({ file, kind: KIND, collect, onTrouble: (trouble) => troubles.push(trouble), everyMs })
  return { saver, troubles }
}

describe('a saver', () => {
  test('writes what is read back, for the owner alone, and leaves nothing beside it', async () => {
    const file = join(folder, 'deep', 'numbers.json')
    const { saver, troubles } = makeSaver(file)
    expect(await saver.save()).toBe(undefined)
    await saver.stop()
    expect(troubles).toEqual([])
    expect(readState(file, KIND)).toEqual({ state: { format: KIND.format, n: 1 } })
    expect(statSync(file).mode & 0o777).toBe(0o600)
    expect(readdirSync(join(folder, 'deep'))).toEqual(['numbers.json'])
  })

  test('that cannot write says so to its caller, once to the log, keeps what was saved, and tells the end of it', async () => {
    const at = join(folder, 'at')
    const file = join(at, 'numbers.json')
    const { saver, troubles } = makeSaver(file)
    await saver.save()
    const before = readFileSync(file, 'utf8')
    execFileSync('mv', [at, `${at}.away`])
    writeFileSync(at, 'a file where the folder was')
    const told = [await saver.save(), await saver.save()]
    expect(told).toEqual([expect.stringMatching(/^numbers can't be saved to .*(ENOTDIR|EEXIST)/), told[0]])
    expect(troubles).toEqual([told[0]])
    rmSync(at)
    execFileSync('mv', [`${at}.away`, at])
    expect(readFileSync(file, 'utf8')).toBe(before)
    await until('the end of it', () => troubles.length > 1)
    expect(troubles[1]).toBe(undefined)
    await saver.stop()
  })

  test('saves changes soon, and many of them seldom', async () => {
    const file = join(folder, 'often.json')
    let collected = 0
    const { saver } = makeSaver(file, () => ({ n: ++collected }), 60)
    saver.start()
    const startMs = performance.now()
    while (performance.now() < startMs + 300) {
      saver.touch()
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
    const most = (performance.now() - startMs) / 60 + 1
    expect(collected).toBeGreaterThan(0)
    expect(collected).toBeLessThanOrEqual(most)
    await saver.stop()
    expect(readState(file, KIND).state).toMatchObject({ n: collected })
  })

  test('is never seen half done, by whoever reads, and by no successor that writes the same file', async () => {
    const file = join(folder, 'numbers.json')
    const savers = [1, 2].map((n) => makeSaver(file, () => ({ n, long: 'x'.repeat(100_000) })).saver)
    await Promise.all(savers.map((saver) => saver.save()))
    const writing = Promise.all(Array.from({ length: 20 }, (_, i) => savers[i % 2]!.save()))
    let read = 0
    const reading = setInterval(() => {
      expect(readState(file, KIND).trouble).toBe(undefined)
      read++
    })
    expect(new Set(await writing)).toEqual(new Set([undefined]))
    clearInterval(reading)
    expect(read).toBeGreaterThan(0)
    await Promise.all(savers.map((saver) => saver.stop()))
  })
})

test('a file and its folder are flushed to the disk, the file before it is renamed', () => {
  const script = `
    import { replaceFileSync, Saver } from ${JSON.stringify(join(import.meta.dirname, '../src/state.ts'))}
    import { writeFileSync } from 'node:fs'
    replaceFileSync(${JSON.stringify(join(folder, 'sync'))}, (file) => writeFileSync(file, 'x'))
    await new Saver({ file: ${JSON.stringify(join(folder, 'async'))}, kind: { what: '', format: '' }, collect: () => ({}), onTrouble: console.log }).save()`
  const trace = join(folder, 'trace')
  const node = [process.execPath, '--input-type=module-typescript', '-e', script]
  // Node's own cache of what it compiled would be among what is seen
  const env = { ...process.env, NODE_DISABLE_COMPILE_CACHE: '1' }
  const { error } = spawnSync('strace', ['-f', '-y', '-e', 'trace=fsync,rename,renameat2', '-o', trace, ...node], {
    env,
  })
  if (error !== undefined) return // no strace here
  const calls = readFileSync(trace, 'utf8').matchAll(/(fsync|rename)\w*\((?:\d+<)?"?(?:[^">,]*\/)?([^/">,]+)/g)
  const seen = [...calls].map(([, call, name]) => `${call} ${name!.replace(/\.\d+\.[0-9a-f]{8}/, '')}`)
  const at = folder.split('/').pop()!
  const wanted = (name: string) => [`fsync ${name}.new`, `rename ${name}.new`, `fsync ${at}`]
  expect(seen).toEqual([...wanted('sync'), ...wanted('async')])
})

describe('what is no file is refused, never opened, and never waited for', () => {
  const kinds: readonly (readonly [string, () => unknown])[] = [
    ['FIFO', () => execFileSync('mkfifo', [path()])],
    ['folder', () => mkdirSync(path())],
    ['device', () => symlinkSync('/dev/zero', path())],
    ['device', () => symlinkSync('/dev/tty', path())],
    ['socket', () => once(createServer().listen(path()).unref(), 'listening')],
  ]
  test.each(kinds)('a %s', async (kind, make) => {
    await make()
    const trouble = `saved numbers ${path()} can't be read: it is a ${kind} where a file must be`
    expect(readState(path(), KIND)).toEqual({ trouble })
  })

  test('a file that none of ours is as large as', () => {
    writeFileSync(path(), '')
    truncateSync(path(), 1e12)
    expect(readState(path(), KIND).trouble).toContain('1000000000000 bytes')
  })

  test('no file is no trouble', () => {
    expect([readState(path(), KIND), readWhole(path())]).toEqual([{}, undefined])
  })
})

test('what writers left that died is removed; what a living one writes, and strangers, stay', async () => {
  const dead = spawnSync('true').pid
  const alive = spawn('sleep', ['60'])
  try {
    const gone = [`health.json.${dead}.new`, `health.json.${dead}.0123abcd.new`, `${dead}.new`, `x.cache.${dead}.tmp`]
    const own = [`serial.json.${process.pid}.0123abcd.new`]
    const old = [`old.${alive.pid}.0123abcd.new`]
    const stay = [`health.json.${alive.pid}.0123abcd.new`, 'health.json', 'health.new', `note.${dead}`, 'README']
    for (const name of [...gone, ...own, ...old, ...stay]) writeFileSync(join(folder, name), '')
    utimesSync(join(folder, old[0]!), 1000, 1000)
    mkdirSync(join(folder, `folder.${dead}.new`))
    removeLeftovers(folder)
    expect(readdirSync(folder).toSorted()).toEqual([...stay, `folder.${dead}.new`].toSorted())
  } finally {
    alive.kill()
  }
  removeLeftovers(join(folder, 'none'))
})

test('a writing that fails leaves the old file and nothing else', () => {
  const file = join(folder, 'mark')
  replaceFileSync(file, (handle) => writeFileSync(handle, 'old'))
  const fail = () =>
    replaceFileSync(file, (handle) => {
      writeFileSync(handle, 'new')
      throw new Error('ENOSPC')
    })
  expect(fail).toThrow('ENOSPC')
  expect(readFileSync(file, 'utf8')).toBe('old')
  expect(readdirSync(folder)).toEqual(['mark'])
  expect(existsSync(file)).toBe(true)
})

const text = (content: string) => (file: FileHandle) => file.writeFile(content)

test('of several files none is replaced when one of them cannot be written, and asides are where they are wanted', async () => {
  const several = join(folder, 'several')
  const aside = join(several, '.aside')
  mkdirSync(aside, { recursive: true })
  const [one, two] = [join(several, 'one'), join(several, 'two')]
  await replaceFiles(new Map([[one, text('old')]]), { mode: 0o644, asideIn: aside })
  expect(statSync(one).mode & 0o777).toBe(0o644)
  const fail = async (): Promise<void> => {
    expect(readdirSync(several).toSorted()).toEqual(['.aside', 'one'])
    throw new Error('ENOSPC')
  }
  const both = new Map<string, (file: FileHandle) => Promise<void>>([
    [one, text('new')],
    [two, fail],
  ])
  await expect(replaceFiles(both, { asideIn: aside })).rejects.toThrow('ENOSPC')
  expect(readFileSync(one, 'utf8')).toBe('old')
  expect([readdirSync(several).toSorted(), readdirSync(aside)]).toEqual([['.aside', 'one'], []])
})
