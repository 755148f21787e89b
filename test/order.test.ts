/**
 * The floor plan of src/: imports go leftwards only, files import each other in no circle, each dependency has one room, and
 * an answering thread loads what answers and nothing else. docs/architecture.md says what each room is for.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { basename, dirname, join, relative, resolve } from 'node:path'
import { expect, test } from 'vitest'
import { PROGRAMS } from '../scripts/build.ts'

const ORDER = (
  'problem units text regex hash version state append counters faults authorities git config yaml dns linux geo zone ' + // ground and things
  'health store probe policy answer querylog traffic ' + // what is known, what is answered
  'load import external-dns world explain plan server events api node cli main'
) // what runs
  .split(' ')

/** Packages that one folder or file alone knows. */
const HOMES: Readonly<Record<string, readonly string[]>> = {
  commander: ['cli/'],
  dns2: ['probe/checks/dns.ts'],
  hono: ['api/'],
  '@hono/node-server': ['api/'],
  ioredis: ['store/redis/connect.ts'],
  'js-yaml': ['yaml/'],
  koffi: ['linux/'],
  nodemailer: ['events/notify/mail.ts'],
  'prom-client': ['api/'],
  re2js: ['regex.ts'],
  zod: ['api/', 'load/schema.ts'],
}

/** Entries of threads that answer queries, and the rooms that they load. */
const ANSWERING = ['server/thread.ts', 'server/tcp-thread.ts']
const ANSWERS = ['answer', 'policy', 'zone', 'geo', 'dns', 'linux', 'hash', 'counters', 'problem', 'units']

const src = resolve(import.meta.dirname, '../src')
const files = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'))
const roomOf = (file: string): string => file.split('/')[0]!.replace(/\.ts$/, '')

interface Import {
  readonly from: string
  /** A file of src/, or a package. */
  readonly to: string
  readonly isPackage: boolean
  /** Gone when the program runs. */
  readonly typesOnly: boolean
  /** Loaded when its line is reached, and not before. */
  readonly later: boolean
}

const IMPORT =
  /\b(?:import|export)\s+(type\s+)?(?:\{([^}]*)\}|[\w*][^'{}]*?)\s+from\s+'([^']+)'|\bimport\(\s*'([^']+)'\)/g

const imports: readonly Import[] = files.flatMap((from) =>
  [...readFileSync(join(src, from), 'utf8').matchAll(IMPORT)].map(([, type, names, target, dynamic]): Import => {
    const spec = (target ?? dynamic)!
    const isPackage = !spec.startsWith('.')
    const each = (names ?? '').split(',').filter((name) => name.trim() !== '')
    return {
      from,
      to: isPackage ? spec : relative(src, resolve(src, dirname(from), spec)),
      isPackage,
      later: dynamic !== undefined,
      typesOnly: type !== undefined || (each.length > 0 && each.every((name) => name.trim().startsWith('type '))),
    }
  }),
)

test('what is started as a process or thread is built as a program, each with a name of its own', () => {
  const started = files.flatMap((file) =>
    [...readFileSync(join(src, file), 'utf8').matchAll(/entryBeside\(import\.meta\.url, '([^']+)'\)/g)].map((match) =>
      join(dirname(file), `${match[1]}.ts`),
    ),
  )
  expect(started.length).toBeGreaterThan(5)
  expect(started.toSorted()).toEqual(PROGRAMS.filter((program) => program !== 'main.ts').toSorted())
  const names = PROGRAMS.map((program) => basename(program))
  expect(new Set(names).size).toBe(names.length)
})

test('nothing makes a compressor', () => {
  // a process that ends while a thread makes one may be aborted by Node: SIGABRT in place of its exit code
  const names = files.flatMap((file) =>
    [...readFileSync(join(src, file), 'utf8').matchAll(/import ([^'\n]+) from 'node:zlib'/g)].map((match) => match[1]),
  )
  expect([...new Set(names)]).toEqual(['{ crc32 }'])
})

test('every file is in a room', () => {
  expect(files.length).toBeGreaterThan(200)
  expect(files.filter((file) => !ORDER.includes(roomOf(file)))).toEqual([])
})

test('imports go leftwards only', () => {
  expect(imports.filter(({ isPackage }) => !isPackage).length).toBeGreaterThan(1000)
  const wrong = imports.filter(
    ({ from, to, isPackage }) => !isPackage && ORDER.indexOf(roomOf(to)) > ORDER.indexOf(roomOf(from)),
  )
  expect(wrong.map(({ from, to }) => `${from} imports ${to}`)).toEqual([])
})

test('files import each other in no circle, types included', () => {
  const targets = new Map(files.map((file) => [file, imports.filter(({ from }) => from === file).map(({ to }) => to)]))
  const done = new Set<string>()
  const circles: string[] = []
  const visit = (file: string, way: readonly string[]): void => {
    if (way.includes(file)) return void circles.push([...way.slice(way.indexOf(file)), file].join(' → '))
    if (done.has(file)) return
    for (const to of targets.get(file) ?? []) visit(to, [...way, file])
    done.add(file)
  }
  for (const file of files) visit(file, [])
  expect(circles).toEqual([])
})

test('each dependency has one room', () => {
  const wrong = imports.filter(({ from, to, isPackage }) => {
    const homes = isPackage ? HOMES[to] : undefined
    return homes !== undefined && !homes.some((home) => from.startsWith(home))
  })
  expect(wrong.map(({ from, to }) => `${from} imports ${to}`)).toEqual([])
  // and each home is one
  for (const [name, homes] of Object.entries(HOMES))
    for (const home of homes)
      expect(
        imports.some(({ from, to }) => to === name && from.startsWith(home)),
        `${home} imports ${name}`,
      ).toBe(true)
})

/** The files that are loaded when `entry` is; `andLater`: with those that it loads when it needs them. */
function loadedBy(entry: string, andLater: boolean): readonly string[] {
  const loaded = new Set<string>()
  const visit = (file: string): void => {
    if (loaded.has(file)) return
    loaded.add(file)
    for (const { from, to, isPackage, typesOnly, later } of imports)
      if (from === file && !isPackage && !typesOnly && (andLater || !later)) visit(to)
  }
  visit(entry)
  return [...loaded]
}

test.each(ANSWERING)('%s loads what answers, and nothing else', (entry) => {
  const strange = loadedBy(entry, true).filter(
    (file) =>
      !ANSWERS.includes(roomOf(file)) &&
      roomOf(file) !== 'server' &&
      !['health/table.ts', 'querylog/ring.ts'].includes(file),
  )
  expect(strange).toEqual([])
})

test('a command line is parsed without loading what its commands do', () => {
  const rooms = new Set(loadedBy('main.ts', false).map(roomOf))
  expect([...rooms].toSorted()).toEqual(['cli', 'config', 'main', 'problem', 'text', 'units', 'version'])
  expect(loadedBy('main.ts', true)).toContain('node/node.ts')
  // to ask a node takes no zones, no databases and no server
  const asking = new Set(loadedBy('cli/status.ts', false).map(roomOf))
  for (const room of ['load', 'world', 'plan', 'server', 'node', 'policy']) expect(asking).not.toContain(room)
})

test('docs/architecture.md has the same order and rooms, and names files that there are', () => {
  const text = readFileSync(join(src, '../docs/architecture.md'), 'utf8')
  const order = /## Import order[^]*?\n( {4}problem[^]*?)\n\n/.exec(text)![1]!
  expect(order.match(/[a-z-]+/g)).toEqual(ORDER)
  const rooms = [...text.matchAll(/^\| ((?:`[a-z-]+`(?:, )?)+) \|/gm)].flatMap(([, cell]) => cell!.match(/[a-z-]+/g)!)
  expect([...rooms, 'main'].toSorted()).toEqual(ORDER.toSorted())
  const named = [...text.matchAll(/`((?:[a-z-]+\/)+[a-z-]+\.ts)`/g)].map((match) => match[1]!)
  expect(named.length).toBeGreaterThan(20)
  expect(named.filter((file) => !files.includes(file) && !existsSync(join(src, '..', file)))).toEqual([])
})

test('comments name files that there are', () => {
  const wrong: string[] = []
  for (const file of files) {
    const lines = readFileSync(join(src, file), 'utf8').split('\n')
    for (const [i, line] of lines.entries()) {
      if (!/^\s*(?:\/\*\*|\*|\/\/)/.test(line)) continue
      for (const [, path, name] of line.matchAll(/(?<![\w/.-])((?:[a-z-]+\/)*)([a-z-]+\.ts)\b/g)) {
        const beside = join(dirname(file), name!)
        const isThere = files.includes(`${path}${name}`) || (path === '' && files.includes(beside))
        if (!isThere) wrong.push(`${file}:${i + 1} ${path}${name}`)
      }
    }
  }
  expect(wrong).toEqual([])
})

test('the page takes types of src/, and values only of modules that load nothing else', () => {
  const page = resolve(src, '../dashboard')
  const sources = readdirSync(page).filter((file) => /\.tsx?$/.test(file))
  const taken = sources.flatMap((file) =>
    [...readFileSync(join(page, file), 'utf8').matchAll(IMPORT)].flatMap(([, type, names = '', target = '']) => {
      const each = names.split(',').filter((name) => name.trim() !== '')
      const typesOnly = type !== undefined || (each.length > 0 && each.every((name) => name.trim().startsWith('type ')))
      return typesOnly || !target.startsWith('../src/') ? [] : [{ file, to: relative(src, resolve(page, target)) }]
    }),
  )
  expect(taken.map(({ to }) => to)).toContain('health/wound.ts')
  const isPure = (file: string): boolean =>
    imports.every(({ from, to, isPackage, typesOnly }) => from !== file || typesOnly || (!isPackage && isPure(to)))
  expect(taken.filter(({ to }) => !isPure(to)).map(({ file, to }) => `${file} takes values of ${to}`)).toEqual([])
})

test('only main ends the process', () => {
  const exits = files.filter((file) => /process\.exit\(/.test(readFileSync(join(src, file), 'utf8')))
  expect(exits).toEqual(['main.ts'])
})

test('one file runs git, one the commands of checks, one those that announce, one the demo, one a successor', () => {
  const starters = imports.filter(({ to }) => to === 'node:child_process').map(({ from }) => from)
  expect(starters.toSorted()).toEqual([
    'cli/demo.ts',
    'git.ts',
    'node/announce/forms.ts',
    'node/successor.ts',
    'probe/checks/exec.ts',
  ])
})
