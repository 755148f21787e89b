/** No World is ever made of old and new files; git's lock is waited for; what never rests is told. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  appendFileSync,
  copyFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { TYPE } from '../../src/dns/types.ts'
import { type LoadResult, loadFolder } from '../../src/load/load.ts'
import { serialOf } from '../../src/load/soa.ts'
import { makeBuilder } from '../../src/world/build.ts'
import { Folder, LOCK_WAIT } from '../../src/world/folder.ts'
import { WAIT_FOR_REST, READ_AT_ONCE, readWhenStable, stampFiles, StampBuilder } from '../../src/world/stable-read.ts'
import { madeOf } from '../support/build.ts'
import { FIXTURE, writeTestDatabase } from '../support/mmdb.ts'
import { recordsOf } from '../support/records.ts'
import { commit, git, makeRepository, writeFiles } from '../support/repository.ts'

let folder: string
let zones: string
const ending: (() => void)[] = []
beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'meridian-settle-')))
  zones = join(folder, 'zones')
  writeFiles(zones, {
    'defaults.yaml': 'soa: {serial: 0}\n',
    'sites.yaml': 'fra: {location: [50.11, 8.68]}\n',
    'a.example.yaml': zoneOf(0),
    'z.example.yaml': zoneOf(0),
    'services/web.yaml': 's0: {sites: {fra: {vips: [192.0.2.1]}}, check: none}\n',
  })
})
afterEach(() => {
  for (const end of ending.splice(0)) end()
  rmSync(folder, { recursive: true })
})

const zoneOf = (generation: number): string =>
  `"": {type: NS, values: [ns1.example.net.]}\nwww: {type: A, value: 192.0.${generation >> 8}.${generation & 255}}\n`

/** The generations that the parts of a folder are of. */
function generationsOf({ model }: LoadResult): Set<number> {
  const { zones: all, services } = model!
  const addresses = all.flatMap((zone) => [...recordsOf(zone)].filter(({ type }) => type === TYPE.A))
  return new Set([
    serialOf(all[0]!.soa),
    ...addresses.map(({ rdata }) => rdata[0]![2]! * 256 + rdata[0]![3]!),
    ...services.map(({ name }) => Number(name.slice(1))),
  ])
}

const silent = (): void => {}
const lock = (): string => join(folder, '.git/index.lock')
const file = (): string => join(zones, 'a.example.yaml')
const stampOfFile = () => stampFiles([file()])

test('a process that writes whole generations, a reader that never sees a mixture of them: zones and databases', async () => {
  const city = join(folder, 'city.mmdb')
  // equal sizes, other coordinates: a mixture of two halves is a sound database too
  const moved = FIXTURE.map((network) => ({ ...network, latitude: network.latitude === undefined ? 0 : 1.5 }))
  writeTestDatabase(`${city}.0`, { schema: 'maxmind', networks: FIXTURE, ipVersion: 6 })
  writeTestDatabase(`${city}.1`, { schema: 'maxmind', networks: moved, ipVersion: 6 })
  copyFileSync(`${city}.0`, city)
  const places = new Set<string>()
  for (const one of ['0', '1']) {
    places.add(madeOf(await makeBuilder({ zones, city: [`${city}.${one}`] }).build()).context.places.id)
  }
  // nobody writes to these: only the database moves under the builder
  const still = join(folder, 'still')
  cpSync(zones, still, { recursive: true })
  const writer = spawn(process.execPath, [join(import.meta.dirname, 'generations.ts'), zones, city], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  ending.push(() => writer.kill('SIGKILL'))
  let written = 0
  writer.stdout.on('data', (data: Buffer) => (written = Number(data.toString().trim().split('\n').at(-1))))
  await once(writer.stdout, 'data')

  // the bare loader, to see that there are mixtures to be had
  let mixtures = 0
  for (const until = performance.now() + 20_000; mixtures === 0 && performance.now() < until;) {
    const bare = await loadFolder(zones)
    if (bare.model !== undefined && generationsOf(bare).size > 1) mixtures++
  }
  expect(mixtures).toBe(1)

  const reader = new Folder(zones, LOCK_WAIT)
  const builder = makeBuilder({ zones: still, city: [city], follows: LOCK_WAIT })
  // again and again, so that one is always under way when a rest ends
  const seen = new Set<number>()
  const readings = async (): Promise<void> => {
    while (seen.size < 3) {
      const { loaded } = await reader.read(silent)
      if (loaded.model === undefined) continue // never at rest, for once
      const generations = [...generationsOf(loaded)]
      expect(generations).toHaveLength(1)
      seen.add(generations[0]!)
    }
  }
  const builds = async (): Promise<void> => {
    while (seen.size < 3) {
      const result = await builder.build()
      expect(result.problems.filter(({ code }) => code !== 'folder-unsettled')).toEqual([])
      if (result.kind === 'made') expect(places).toContain(result.made.context.places.id)
    }
  }
  await Promise.all([readings(), builds()])
  expect(Math.max(...seen)).toBeGreaterThan(0)
  expect(written).toBeGreaterThanOrEqual(Math.max(...seen))
})

describe('what is read', () => {
  test('is read again while it changes meanwhile, ten times at the most', async () => {
    let reads = 0
    const changing = (times: number) => async () => {
      if (reads++ < times) appendFileSync(file(), '#\n')
      return readFileSync(file(), 'utf8')
    }
    expect(await readWhenStable(stampOfFile, changing(2), READ_AT_ONCE)).toBe(`${zoneOf(0)}#\n#\n`)
    expect(reads).toBe(3)
    reads = 0
    expect(await readWhenStable(stampOfFile, changing(100), READ_AT_ONCE)).toBeUndefined()
    expect(reads).toBe(10)
  })

  test('is waited for until it has been at rest, but not for ever', async () => {
    const began = Date.now()
    writeFileSync(file(), zoneOf(1))
    expect(await readWhenStable(stampOfFile, () => Promise.resolve(Date.now()), WAIT_FOR_REST)).toBeGreaterThanOrEqual(
      began + WAIT_FOR_REST.quietMs - 20, // the clock of files is a tick behind
    )
    appendFileSync(file(), '#\n')
    const restless = setInterval(() => appendFileSync(file(), '#\n'), 20)
    ending.push(() => clearInterval(restless))
    let reads = 0
    const read = () => Promise.resolve(reads++)
    expect(await readWhenStable(stampOfFile, read, { quietMs: 200, rounds: 10, withinMs: 500 })).toBeUndefined()
    expect(reads).toBe(0)
  })

  test('a time from the future holds nothing up', async () => {
    const newestMs = Date.now() + 3_600_000
    expect(
      await readWhenStable(
        () => Promise.resolve({ text: '1', newestMs }),
        () => Promise.resolve('read'),
        WAIT_FOR_REST,
      ),
    ).toBe('read')
  })

  test.each<[string, () => void, boolean]>([
    ['other content of the same size', () => writeFileSync(file(), zoneOf(1)), true],
    [
      'the same size and time',
      () => {
        utimesSync(file(), 1_700_000_000, 1_700_000_000)
      },
      true,
    ],
    [
      'another file in its place',
      () => {
        copyFileSync(file(), `${file()}.new`)
        renameSync(`${file()}.new`, file())
      },
      true,
    ],
    ['a file gone', () => rmSync(file()), true],
    ['a new file', () => writeFileSync(join(zones, 'new.example.yaml'), ''), true],
    ['a new file in a folder', () => writeFileSync(join(zones, 'services/new.yaml'), ''), true],
    ['octoDNS’s file of an apex', () => writeFileSync(join(zones, 'services/.yaml'), ''), true],
    ['an editor’s own file', () => writeFileSync(join(zones, '.a.example.yaml.swp'), ''), false],
    ['a loop of links', () => symlinkSync('..', join(zones, '.loop')), false],
  ])('%s', async (_what, change, isSeen) => {
    symlinkSync('..', join(zones, 'services/up'))
    const folderStamp = async (): Promise<string> => {
      const stamping = new StampBuilder()
      await stamping.addFolder(zones, () => true)
      return stamping.end().text
    }
    const before = await folderStamp()
    expect(await folderStamp()).toBe(before)
    change()
    expect((await folderStamp()) !== before).toBe(isSeen)
  })

  test('links by which there are millions of ways to one folder, and one to the whole machine, end', async () => {
    for (let i = 0; i < 30; i++) {
      mkdirSync(join(zones, `parts/${i}`), { recursive: true })
      for (const link of ['a', 'b']) symlinkSync(`../${i + 1}`, join(zones, `parts/${i}/${link}`))
    }
    mkdirSync(join(zones, 'parts/30'))
    symlinkSync('/', join(zones, 'disk'))
    const { loaded } = await new Folder(zones).read(() => {})
    expect(loaded.problems.map((one) => [one.file.slice(zones.length + 1), one.code])).toEqual([
      ['disk', 'file-unknown'],
      ['parts', 'file-unknown'],
    ])
  })

  test('of more faults than a call takes arguments the first 1,000 are told, and that there are more', async () => {
    const lines = Array.from({ length: 130_000 }, (_, i) => `n${i}: []\n`)
    writeFileSync(join(zones, 'a.example.yaml'), zoneOf(0) + lines.join(''))
    const built = await makeBuilder({ zones, city: [], asn: [] }).build()
    const errors = built.problems.filter(({ severity }) => severity === 'error')
    expect(errors).toHaveLength(1001)
    expect(errors.map(({ message }) => message)).toContain('there are more than 1,000 errors: the load stopped there')
  })

  test('what is included from elsewhere counts, from the load on that names it', async () => {
    const outside = join(folder, 'list.txt')
    writeFileSync(outside, '1')
    const before = await stampFiles([outside])
    writeFileSync(outside, '22')
    expect((await stampFiles([outside])).text).not.toBe(before.text)
    rmSync(outside)
    expect((await stampFiles([outside])).text).not.toBe(before.text)
  })
})

test('a hidden file that is included counts too', async () => {
  writeFiles(zones, { '.shared/ns.yaml': '[ns1.example.net.]\n' })
  writeFileSync(file(), '"": {type: NS, values: !include .shared/ns.yaml}\n')
  const { model, outside } = await loadFolder(zones)
  expect(model).toBeDefined()
  expect(outside).toEqual([join(zones, '.shared/ns.yaml')])
})

describe('git’s lock', () => {
  test('is waited for; what was checked out meanwhile is what is read, with its revision', async () => {
    makeRepository(folder)
    commit(folder, 1_700_000_000)
    const reader = new Folder(zones, LOCK_WAIT)
    writeFileSync(lock(), '')
    const news: string[] = []
    let head = ''
    const { loaded, problems, revision } = await reader.read((line) => {
      news.push(line)
      // what git does under its lock
      writeFiles(zones, { 'defaults.yaml': 'soa: {serial: 5}\n', 'new.example.yaml': zoneOf(0) })
      rmSync(lock())
      head = commit(folder, 1_700_000_001)
    })
    expect(news).toEqual([expect.stringContaining(`git is at work (${lock()} exists)`)])
    expect(problems).toEqual([])
    expect(loaded.model!.zones).toHaveLength(3)
    expect(serialOf(loaded.model!.zones[0]!.soa)).toBe(5)
    expect(revision).toEqual({ commit: head, dirty: false })
  })

  test('one that is left behind freezes nothing: it is told, and not waited for again; another one is', async () => {
    makeRepository(folder)
    commit(folder, 1_700_000_000)
    const reader = new Folder(zones, { firstMs: 500, ms: 750 })
    writeFileSync(lock(), '')
    const news: string[] = []
    const tell = (line: string) => void news.push(line)
    const first = await reader.read(tell)
    expect(first.loaded.model).toBeDefined()
    expect(first.problems).toMatchObject([
      { code: 'folder-unsettled', severity: 'warning', hint: expect.stringContaining(lock()) },
    ])
    expect(first.problems[0]!.message).toContain('0.5 s')
    const second = await reader.read(tell)
    expect(second.problems).toEqual([])
    expect(news).toHaveLength(1)
    rmSync(lock())
    writeFileSync(`${lock()}.new`, 'another')
    renameSync(`${lock()}.new`, lock())
    const third = await reader.read(tell)
    expect(third.problems[0]!.message).toContain('0.75 s')
    expect(news).toHaveLength(2)
  })

  test('a command that looks once doesn’t wait: it may run in a hook, where git has the lock', async () => {
    makeRepository(folder)
    writeFileSync(lock(), '')
    const { problems, loaded } = await new Folder(zones).read(() => expect.unreachable())
    expect(problems).toEqual([])
    expect(loaded.model).toBeDefined()
  })

  test('a commit that changes no file of the folder changes the revision', async () => {
    makeRepository(folder)
    const first = commit(folder, 1_700_000_000)
    const reader = new Folder(zones, LOCK_WAIT)
    expect((await reader.read(silent)).revision?.commit).toBe(first)
    git(folder, 'checkout', '-q', '-b', 'other')
    const second = commit(folder, 1_700_000_001)
    const again = await reader.read(silent)
    expect(again.revision?.commit).toBe(second)
    expect(again.parsed).toBe(0)
  })
})

test('a folder that never rests is an error; what was loaded before is not lost for it', async () => {
  const reader = new Folder(zones)
  const first = await reader.read(silent)
  expect(first.parsed).toBe(5)
  let n = 0
  let isRestless = true
  ending.push(() => void (isRestless = false))
  // between any two stamps there is a change, and of the size: times alone may be the same within 4 ms
  const change = (): void => {
    if (!isRestless) return
    writeFileSync(join(zones, 'defaults.yaml'), `soa: {serial: 1} ${'#'.repeat(++n)}\n`)
    setImmediate(change)
  }
  change()
  const { loaded, problems } = await reader.read(silent)
  isRestless = false
  expect(problems).toMatchObject([{ code: 'folder-unsettled', severity: 'error', file: zones }])
  expect(loaded.model).toBeUndefined()
  const after = await reader.read(silent)
  expect(after.loaded.model).toBeDefined()
  expect(after.parsed).toBeLessThanOrEqual(1)
})
