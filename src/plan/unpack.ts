/**
 * Unpacks from a commit what a load of its zones reads: the folder of zones, and what its links and `!include`s lead to
 * within the repository. Sizes are summed before anything is written, so that a few packed megabytes that unpack to
 * gigabytes cannot fill the disk. Contents are as committed: no filter, line-end conversion or keyword is applied.
 * Called by revision.ts.
 *
 *   zones ─▶ git ls-tree ─▶ sizes ─▶ git cat-file ─▶ files ─▶ links, includes ─▶ what they lead to ─▶ git ls-tree …
 */
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join, posix } from 'node:path'
import type { Git } from '../git.ts'
import { MOST_FILE_BYTES } from '../load/files.ts'
import { Source } from '../yaml/source.ts'
import { parseYaml } from '../yaml/tree.ts'

/** The commit cannot be unpacked; the message says why. */
export class UnpackError extends Error {}

/** Limits of one revision: all files together. */
const MOST_BYTES = 512 << 20
const MOST_FILES = 200_000
/** Links and includes may lead to others; each round follows them one step. */
const MOST_ROUNDS = 64
/** How much git gives in one call, plus one file. */
const CHUNK_BYTES = 32 << 20
const TIMEOUT_MS = 120_000
/** Characters of the paths in one call, and of one path. */
const CHUNK_PATHS = 100_000
const MOST_PATH = 4096
/** The most folders in a path that a link or include leads to. */
const MOST_STEPS = 256

/** A line of `git ls-tree`. */
interface TreeEntry {
  /** Path from the top of the work tree. */
  readonly path: string
  readonly kind: 'file' | 'link' | 'submodule' | 'folder'
  readonly hash: string
}

/**
 * Unpacks a commit. `zones`: path of the folder of zones from the top; `folder`: an empty target. Rejects with
 * UnpackError.
 */
export async function unpack(git: Git, commit: string, zones: string, folder: string): Promise<void> {
  try {
    await new Unpacker(git, commit, folder).take(zones)
  } catch (error) {
    // a full disk, or a tree with two files of one name, which git itself does not make
    if (error instanceof Error && 'syscall' in error) throw new UnpackError(error.message)
    throw error
  }
}

class Unpacker {
  readonly #git: Git
  readonly #commit: string
  readonly #folder: string
  readonly #taken = new Set<string>()
  readonly #links = new Map<string, string>()
  /** Paths to look for in the next round. */
  #wanted = new Set<string>()
  readonly #sought = new Set<string>()
  #bytes = 0

  constructor(git: Git, commit: string, folder: string) {
    this.#git = git
    this.#commit = commit
    this.#folder = folder
  }

  async take(zones: string): Promise<void> {
    this.#want(zones)
    for (let round = 0; this.#wanted.size > 0; round++) {
      if (round === MOST_ROUNDS)
        throw new UnpackError(`its links and includes lead on for more than ${MOST_ROUNDS} steps`)
      const wanted = [...this.#wanted]
      this.#wanted = new Set()
      const found = await this.#list(wanted, '-r')
      await this.#write(found)
      const there = withFoldersAbove(found.map(({ path }) => path))
      await this.#findLinksTo(wanted.filter((path) => !there.has(path)))
    }
    // links are made last, so that nothing is written through a link, and no link is made through another
    for (const path of this.#links.keys()) {
      if (foldersAbove(dirname(path)).some((folder) => this.#links.has(folder))) throw new UnpackError(strange(path))
    }
    for (const [path, target] of this.#links) {
      mkdirSync(dirname(join(this.#folder, path)), { recursive: true })
      symlinkSync(target, join(this.#folder, path))
    }
  }

  /**
   * Notes a path to look for, to which the file `from` leads. Paths outside of the repository or in `.git` are ignored.
   */
  #want(path: string, from = ''): void {
    if (path.length > MOST_PATH) return
    const clean = posix.normalize(posix.join(posix.dirname(from), path)).replace(/\/$/, '')
    const leadsOut = path.startsWith('/') || clean === '..' || clean.startsWith('../')
    if (clean.split('/').length > MOST_STEPS) return
    if (leadsOut || path.includes('\0') || hasGits(clean) || this.#sought.has(clean)) return
    if (this.#sought.size === MOST_FILES)
      throw new UnpackError(`its links and includes lead to over ${MOST_FILES} files`)
    this.#sought.add(clean)
    this.#wanted.add(clean === '.' ? '' : clean)
  }

  async #list(paths: readonly string[], ...words: readonly string[]): Promise<readonly TreeEntry[]> {
    const entries: TreeEntry[] = []
    const each = paths.includes('') ? [[]] : chunksOf(paths, ({ length }) => length, CHUNK_PATHS)
    for (const chunk of each) {
      const args = ['ls-tree', '-z', '--full-tree', ...words, this.#commit]
      const told = await this.#git.run(chunk.length === 0 ? args : [...args, '--', ...chunk], { timeoutMs: TIMEOUT_MS })
      if ('refused' in told) throw new UnpackError(told.refused)
      for (const line of told.out.toString().split('\0').slice(0, -1)) entries.push(entryOf(line))
    }
    return entries
  }

  /** Looks for links above paths that are not in the tree. */
  async #findLinksTo(missing: readonly string[]): Promise<void> {
    const above = withFoldersAbove(missing)
    above.delete('')
    if (above.size === 0) return
    const entries = await this.#list([...above])
    const links = new Map(entries.filter(({ kind }) => kind === 'link').map((entry) => [entry.path, entry]))
    await this.#write([...links.values()])
    for (const path of missing) {
      const link = foldersAbove(path).find((one) => links.has(one))
      if (link === undefined) continue
      const target = this.#links.get(link)
      if (target !== undefined) this.#want(`${target}${path.slice(link.length)}`, link)
    }
  }

  async #write(entries: readonly TreeEntry[]): Promise<void> {
    const added = entries.filter(({ path, kind }) => kind !== 'folder' && !this.#taken.has(path))
    for (const { path } of added) {
      if (isStrange(path)) throw new UnpackError(strange(path))
      this.#taken.add(path)
    }
    if (this.#taken.size > MOST_FILES)
      throw new UnpackError(`its zones and what they include are over ${MOST_FILES} files`)
    const blobs = added.filter(({ kind }) => kind === 'file' || kind === 'link')
    const sizes = await this.#sizesOf(blobs)
    for (const { hash } of blobs) this.#bytes += sizes.get(hash)!
    if (this.#bytes > MOST_BYTES) {
      throw new UnpackError(
        `its zones and what they include have ${Math.floor(this.#bytes / 2 ** 20)} MiB, more than ${MOST_BYTES >> 20}`,
      )
    }
    for (const { path } of added.filter(({ kind }) => kind === 'submodule')) {
      mkdirSync(join(this.#folder, path), { recursive: true })
    }
    for (const chunk of chunksOf(blobs, ({ hash }) => sizes.get(hash)!, CHUNK_BYTES)) {
      const contents = await this.#read(chunk, sizes)
      for (const [i, entry] of chunk.entries()) this.#put(entry, contents[i]!)
    }
  }

  /** The unpacked size of each blob, in bytes, by hash. */
  async #sizesOf(blobs: readonly TreeEntry[]): Promise<ReadonlyMap<string, number>> {
    const hashes = [...new Set(blobs.map(({ hash }) => hash))]
    const told = await this.#catFile(['--batch-check=%(objectname) %(objectsize)'], hashes, hashes.length * 128)
    const sizes = told.toString().split('\n', hashes.length)
    return new Map(
      sizes.map((line, i) => {
        const [hash, size] = line.split(' ')
        if (hash !== hashes[i] || !/^\d+$/.test(size ?? '')) throw new UnpackError(`git has no ${hashes[i]}`)
        return [hash!, Number(size)]
      }),
    )
  }

  /** https://git-scm.com/docs/git-cat-file#_batch_output: `HASH blob SIZE\n`, the bytes, `\n`. */
  async #read(blobs: readonly TreeEntry[], sizes: ReadonlyMap<string, number>): Promise<readonly Buffer[]> {
    const mostBytes = blobs.reduce((sum, { hash }) => sum + sizes.get(hash)! + 128, 0)
    const hashes = blobs.map(({ hash }) => hash)
    const told = await this.#catFile(['--batch'], hashes, mostBytes)
    let at = 0
    return hashes.map((hash) => {
      const begin = told.indexOf('\n', at) + 1
      const end = begin + sizes.get(hash)!
      if (told.toString('latin1', at, begin) !== `${hash} blob ${end - begin}\n`)
        throw new UnpackError(`git has no ${hash}`)
      at = end + 1
      return told.subarray(begin, end)
    })
  }

  async #catFile(words: readonly string[], hashes: readonly string[], mostBytes: number): Promise<Buffer> {
    if (hashes.length === 0) return Buffer.alloc(0)
    const input = hashes.map((hash) => `${hash}\n`).join('')
    const told = await this.#git.run(['cat-file', ...words], { input, mostBytes, timeoutMs: TIMEOUT_MS })
    if ('refused' in told) throw new UnpackError(told.refused)
    return told.out
  }

  #put({ path, kind }: TreeEntry, content: Buffer): void {
    if (kind === 'link') {
      const target = content.toString()
      this.#links.set(path, target)
      return this.#want(target, path)
    }
    const file = join(this.#folder, path)
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, content)
    if (content.length > MOST_FILE_BYTES || !content.includes('!include')) return
    for (const name of includesIn(content.toString())) this.#want(name, path)
  }
}

/** `MODE TYPE HASH\tPATH`; https://git-scm.com/docs/git-ls-tree#_output_format */
function entryOf(line: string): TreeEntry {
  const tab = line.indexOf('\t')
  const [mode = '', , hash = ''] = line.slice(0, tab).split(' ')
  const kind = mode === '160000' ? 'submodule' : mode === '120000' ? 'link' : mode === '040000' ? 'folder' : 'file'
  return { path: line.slice(tab + 1), kind, hash }
}

const ignore = (): void => {}

/** The names that a file includes, as written; none if it is no YAML. */
function includesIn(text: string): readonly string[] {
  const names: string[] = []
  parseYaml(new Source('', text), ignore, (name) => {
    names.push(name)
    return { code: 'file-unreadable', message: '' }
  })
  return names
}

/** The folders above a path, and the path itself: `a`, `a/b`, `a/b/c`. */
const foldersAbove = (path: string): readonly string[] =>
  path.split('/').map((_, i, steps) => steps.slice(0, i + 1).join('/'))

/** All folders above the paths, and the paths themselves; the top is ''. */
function withFoldersAbove(paths: readonly string[]): Set<string> {
  const all = new Set<string>()
  for (let path of paths) for (; !all.has(path); path = path.slice(0, Math.max(path.lastIndexOf('/'), 0))) all.add(path)
  return all
}

const hasGits = (path: string): boolean => path.split('/').some((step) => step.toLowerCase() === '.git')

const strange = (path: string): string => `it has a file that no checkout makes: ${path}`

/** Whether a path could lead out of the folder: git makes no such names, but a crafted tree may have them. */
const isStrange = (path: string): boolean =>
  hasGits(path) || path.split('/').some((step) => step === '' || step === '.' || step === '..')

/** Splits items into chunks, in order. A chunk ends with the item with which its size reaches `most`. */
function chunksOf<T>(items: readonly T[], sizeOf: (item: T) => number, most: number): T[][] {
  const chunks: T[][] = []
  let size = most
  for (const item of items) {
    if (size >= most) {
      chunks.push([])
      size = 0
    }
    chunks.at(-1)!.push(item)
    size += sizeOf(item) + 1
  }
  return chunks
}
