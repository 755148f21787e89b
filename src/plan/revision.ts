/**
 * The sides of `meridian plan`: a folder, or a revision of the zones' git repository. Of a revision, what a load reads
 * is unpacked into a private temporary folder, which is removed when the command ends, also with an error or by a
 * signal.
 */
import { existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, relative, resolve } from 'node:path'
import { Git } from '../git.ts'
import type { Problem } from '../problem.ts'
import { UnpackError, unpack } from './unpack.ts'

/** Where the zones of a side are. */
export interface ZonesAt {
  /** The folder to load. */
  readonly zones: string
  /** The side as the operator named it. */
  readonly name: string
  /** The temporary folder, which messages must not name; see asWritten(). */
  readonly taken?: string
}

/** The text names no revision; the message says why. */
class RevisionError extends Error {}

/** Whether a path is an existing folder. */
export const isFolder = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isDirectory() === true

/** Unpacks revisions into temporary folders, and removes them at end() or by a signal. */
export class Revisions {
  readonly #folders: string[] = []
  readonly #onSignal = (signal: NodeJS.Signals): void => {
    this.end()
    process.kill(process.pid, signal) // ends the process as without this handler
  }

  /**
   * The zones of a side. `written`: a folder, else REV or REV:PATH. `beside`: folders of zones, existing or not; the
   * repository is that of the first one that is in any, and without PATH the zones are at that folder's path in the
   * revision.
   */
  async take(written: string, beside: readonly string[]): Promise<ZonesAt | Problem> {
    if (isFolder(written)) return { zones: written, name: written }
    try {
      return await this.#takeRevision(written, beside)
    } catch (error) {
      if (!(error instanceof RevisionError) && !(error instanceof UnpackError)) throw error
      const [what, hint] =
        error instanceof UnpackError
          ? ['its zones cannot be taken out of git', 'Check it out, and give that folder']
          : [
              'it is no folder, and no revision either',
              'A side is a folder of zones, or a revision of their repository: main, HEAD~1, v1.2, REV:PATH',
            ]
      const message = `${what}: ${error.message}`
      return { code: 'file-unreadable', severity: 'error', file: written, line: 0, column: 0, message, hint }
    }
  }

  async #takeRevision(written: string, folders: readonly string[]): Promise<ZonesAt> {
    const colon = written.indexOf(':')
    const revision = colon < 0 ? written : written.slice(0, colon)
    const { beside, git } = await repositoryOf(folders)
    const { top } = git.tree
    const told = await git.run(['rev-parse', '--verify', '--end-of-options', `${revision}^{commit}`])
    if ('refused' in told) throw new RevisionError(told.refused)
    const path = colon < 0 ? relative(top, realAsFarAsThere(resolve(beside))) : written.slice(colon + 1)
    if (path.split('/')[0] === '..' || path.startsWith('/')) throw new RevisionError(`${path} is outside of ${top}`)
    const folder = this.#makeFolder()
    await unpack(git, told.out.toString().trim(), path, folder)
    mkdirSync(join(folder, '.git')) // marks the top of the work tree, beyond which includes may not reach
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

/** A text in which files are named `REV:path` instead of by their path in the temporary folder. */
export function asWritten({ name, taken }: ZonesAt, text: string): string {
  if (taken === undefined) return text
  const revision = name.split(':')[0]!
  return text.replaceAll(`${taken}/`, `${revision}:`).replaceAll(taken, revision)
}

/** The first of the folders that is in a repository, and git for its work tree. */
async function repositoryOf(folders: readonly string[]): Promise<{ readonly beside: string; readonly git: Git }> {
  let why = ''
  for (const beside of folders) {
    const git = await Git.at(nearestFolder(beside))
    if (git instanceof Git) return { beside, git }
    why = git.trouble ?? git.refused
  }
  throw new RevisionError(why)
}

function nearestFolder(path: string): string {
  let folder = resolve(path)
  while (!isFolder(folder) && dirname(folder) !== folder) folder = dirname(folder)
  return folder
}

/** A path with links resolved as far as it exists: git names the work tree without links. */
function realAsFarAsThere(path: string): string {
  if (existsSync(path) || dirname(path) === path) return existsSync(path) ? realpathSync(path) : path
  return join(realAsFarAsThere(dirname(path)), relative(dirname(path), path))
}
