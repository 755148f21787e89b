/**
 * A side of `meridian plan`: a folder, or a revision of the repository that the zones are in, taken out whole into a private
 * temporary folder, which goes when the command ends: well, with an error, or by a signal.
 */
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, relative, resolve } from 'node:path'
import { text as textOf } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import type { Problem } from '../problem.ts'
import { gitEnvironment } from '../zone/git.ts'

/** Where the zones of a side are. */
export interface ZonesAt {
  /** Folder to load. */
  readonly zones: string
  /** As the operator calls it. */
  readonly name: string
  /** The temporary folder, which no text should name. */
  readonly taken?: string
}

/** What can't be taken out is told as a Problem. */
class NotTaken extends Error {}

/** Whether it is there. */
export const isFolder = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isDirectory() === true

/** Temporary folders, which end with this process whatever ends it. */
export class Revisions {
  readonly #folders: string[] = []
  readonly #onSignal = (signal: NodeJS.Signals): void => {
    this.end()
    process.kill(process.pid, signal) // as it would have been without us
  }

  /**
   * `written`: a folder, else REV or REV:PATH. `beside`: folders of zones, there or not: the repository that the first of them
   * is in is meant, and without PATH the revision's zones are where that folder stands in the work tree.
   */
  async take(written: string, beside: readonly string[]): Promise<ZonesAt | Problem> {
    if (isFolder(written)) return { zones: written, name: written }
    try {
      return await this.#takeRevision(written, beside)
    } catch (error) {
      if (!(error instanceof NotTaken)) throw error
      const message = `it is no folder, and no revision either: ${error.message}`
      const hint = 'A side is a folder of zones, or a revision of their repository: main, HEAD~1, v1.2, REV:PATH'
      return { code: 'file-unreadable', severity: 'error', file: written, line: 0, column: 0, message, hint }
    }
  }

  async #takeRevision(written: string, folders: readonly string[]): Promise<ZonesAt> {
    const colon = written.indexOf(':')
    const revision = colon < 0 ? written : written.slice(0, colon)
    const { beside, top } = await repositoryOf(folders)
    const commit = `${revision}^{commit}`
    const hash = (await git(top, 'rev-parse', '--verify', '--end-of-options', commit)).trim()
    const path = colon < 0 ? relative(top, realAsFarAsThere(resolve(beside))) : written.slice(colon + 1)
    if (path.split('/')[0] === '..' || path.startsWith('/')) throw new NotTaken(`${path} is outside of ${top}`)
    const folder = this.#makeFolder()
    await unpack(top, hash, folder)
    mkdirSync(join(folder, '.git')) // includes may reach as far up as they do in the repository, and no further
    return { zones: join(folder, path), name: written, taken: folder }
  }

  #makeFolder(): string {
    const folder = realpathSync(mkdtempSync(join(tmpdir(), 'meridian-plan-'))) // mode 0700
    if (this.#folders.push(folder) === 1) for (const signal of SIGNALS) process.once(signal, this.#onSignal)
    return folder
  }

  end(): void {
    for (const signal of SIGNALS) process.off(signal, this.#onSignal)
    for (const folder of this.#folders.splice(0)) rmSync(folder, { recursive: true, force: true })
  }
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/** Texts of a side name files as `REV:path`, and not where they were taken out to. */
export function asWritten({ name, taken }: ZonesAt, text: string): string {
  if (taken === undefined) return text
  const revision = name.split(':')[0]!
  return text.replaceAll(`${taken}/`, `${revision}:`).replaceAll(taken, revision)
}

/** The first of the folders that is in a repository, and that repository's work tree. */
async function repositoryOf(folders: readonly string[]): Promise<{ readonly beside: string; readonly top: string }> {
  let none: unknown
  for (const beside of folders) {
    try {
      return { beside, top: (await git(nearestFolder(beside), 'rev-parse', '--show-toplevel')).trim() }
    } catch (error) {
      none = error
    }
  }
  throw none
}

function nearestFolder(path: string): string {
  let folder = resolve(path)
  while (!isFolder(folder) && dirname(folder) !== folder) folder = dirname(folder)
  return folder
}

/** git names the work tree without links; a folder that is gone has none itself. */
function realAsFarAsThere(path: string): string {
  if (existsSync(path) || dirname(path) === path) return existsSync(path) ? realpathSync(path) : path
  return join(realAsFarAsThere(dirname(path)), relative(dirname(path), path))
}

async function git(folder: string, ...words: readonly string[]): Promise<string> {
  const child = spawn('git', words, { cwd: folder, env: gitEnvironment(), stdio: ['ignore', 'pipe', 'pipe'] })
  const [code, out, err] = await Promise.all([ended(child), textOf(child.stdout), textOf(child.stderr)])
  if (code !== 0) throw new NotTaken(err.trim().split('\n')[0] || `git ends with ${code}`)
  return out
}

/** git archive REV | tar -x */
async function unpack(top: string, hash: string, folder: string): Promise<void> {
  const archive = spawn('git', ['archive', '--format=tar', hash], {
    cwd: top,
    env: gitEnvironment(),
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const tar = spawn('tar', ['-x', '-f', '-'], { cwd: folder, stdio: ['pipe', 'ignore', 'pipe'] })
  const [packed, unpacked, complaints, others] = await Promise.all([
    ended(archive),
    ended(tar),
    textOf(archive.stderr),
    textOf(tar.stderr),
    // one that ends early breaks the pipe; its code and words say why
    pipeline(archive.stdout, tar.stdin).catch(() => undefined),
  ])
  if (packed === 0 && unpacked === 0) return
  throw new NotTaken(`${complaints}${others}`.trim().split('\n')[0] || 'git archive | tar failed')
}

/** Exit code; a program that is not there has none. */
function ended(child: ReturnType<typeof spawn>): Promise<number> {
  return new Promise((done, failed) => {
    child.once('error', (error) => failed(new NotTaken(error.message)))
    child.once('close', (code) => done(code ?? 1))
  })
}
