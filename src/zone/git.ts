/**
 * What git tells of a folder of zones: its revision, when it last changed, and whether git is at work there just now. Asked
 * by the loader (serial, what may be included) and by what follows the folder (answer/follow.ts). git is a help and never a need: without it, in no
 * repository, or where it refuses, nothing fails; what can be done about a refusal is told in words.
 */
import { execFile } from 'node:child_process'
import { existsSync, readFileSync, realpathSync, statSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { promisify } from 'node:util'

/** What is checked out. */
export interface Revision {
  /** The full hash of HEAD. */
  readonly commit: string
  /** Something in the folder is not as that commit has it; untracked files count. */
  readonly dirty: boolean
}

/** `1a2b3c4`, `1a2b3c4-dirty`. */
export const formatRevision = ({ commit, dirty }: Revision): string => `${commit.slice(0, 7)}${dirty ? '-dirty' : ''}`

export interface WorkTree {
  /** Where `.git` is. */
  readonly top: string
  /** What `.git` is, or for linked work trees and submodules what it points to. */
  readonly gitDir: string
}

/** The work tree that the folder is in: the nearest `.git` above its real path. undefined: none. */
export const findWorkTree = (folder: string): WorkTree | undefined =>
  nearest(folder, (top) => {
    const gitDir = gitDirAt(join(top, '.git'))
    return gitDir === undefined ? undefined : { top, gitDir }
  })

/** Its top, also where git itself could not use it: of a work tree that is mounted alone, its `.git` leads nowhere. */
export const findTop = (folder: string): string | undefined =>
  nearest(folder, (top) => (existsSync(join(top, '.git')) ? top : undefined))

/** What is found first on the way up from the folder's real path. */
function nearest<T>(folder: string, find: (path: string) => T | undefined): T | undefined {
  try {
    for (let path = realpathSync(folder); ; path = dirname(path)) {
      const found = find(path)
      if (found !== undefined) return found
      if (path === dirname(path)) return undefined
    }
  } catch {
    return undefined // there is no such folder
  }
}

/** gitrepository-layout(5): a directory with a HEAD, or a file `gitdir: PATH`. */
function gitDirAt(path: string): string | undefined {
  const found = statSync(path, { throwIfNoEntry: false })
  if (found === undefined) return undefined
  const pointed = found.isFile() ? /^gitdir: (.+?)\s*$/.exec(readFileSync(path, 'utf8'))?.[1] : '.git'
  const gitDir = pointed === undefined ? undefined : resolve(dirname(path), pointed)
  return gitDir !== undefined && existsSync(join(gitDir, 'HEAD')) ? gitDir : undefined
}

/**
 * What tells of a commit or checkout that changes no file of the folder: where HEAD points, what it pointed to in turn, and
 * the index, the last that a checkout writes.
 */
export const gitFiles = ({ gitDir }: WorkTree): string[] =>
  ['HEAD', 'logs/HEAD', 'index'].map((file) => join(gitDir, file))

/** Stands while git changes the work tree: checkout, merge, rebase, reset, stash. */
export const lockOf = ({ gitDir }: WorkTree): string => join(gitDir, 'index.lock')

/** undefined: no git, no repository, no commit, or git refuses; `trouble`: why, in words, where something can be done. */
export async function revisionOf(folder: string): Promise<{ readonly revision?: Revision; readonly trouble?: string }> {
  // https://git-scm.com/docs/git-status#_branch_headers
  const told = await git(folder, 'status', '--porcelain=v2', '--branch', '--untracked-files=normal', '--', '.')
  if ('refused' in told) return 'trouble' in told ? { trouble: told.trouble } : {}
  const commit = /^# branch\.oid ([0-9a-f]{40,64})$/m.exec(told.out)?.[1]
  return commit === undefined ? {} : { revision: { commit, dirty: /^[^#]/m.test(told.out) } }
}

/** Unix time of the last commit that touched the folder, or why there is none. */
export async function lastChangeOf(folder: string): Promise<number | { readonly reason: string }> {
  const told = await git(folder, 'log', '-1', '--format=%ct', '--', '.')
  if ('refused' in told) return { reason: told.trouble ?? told.refused }
  return /^\d{1,10}\n$/.test(told.out) ? Number(told.out) : { reason: 'no commit touches it' }
}

type Told = { readonly out: string } | { readonly refused: string; readonly trouble?: string }

const TIMEOUT_MS = 10_000
const MOST_BYTES = 64 << 20

async function git(folder: string, ...args: readonly string[]): Promise<Told> {
  // no lock for a mere look, and nothing run that a repository's settings name
  const words = ['--no-optional-locks', '-c', 'core.fsmonitor=false', '-c', 'log.showSignature=false', ...args]
  try {
    const { stdout } = await promisify(execFile)('git', words, {
      cwd: folder,
      timeout: TIMEOUT_MS,
      killSignal: 'SIGKILL',
      maxBuffer: MOST_BYTES,
      env: { ...gitEnvironment(), LC_ALL: 'C' },
    })
    return { out: stdout }
  } catch (error) {
    return refusalOf(folder, error)
  }
}

/** In a hook git says where its own repository is; the folder that is asked about says where it is itself. */
export const gitEnvironment = (): NodeJS.ProcessEnv => ({
  ...process.env,
  GIT_DIR: undefined,
  GIT_WORK_TREE: undefined,
  GIT_INDEX_FILE: undefined,
  GIT_PREFIX: undefined,
})

function refusalOf(folder: string, error: unknown): Told {
  if (!(error instanceof Error)) throw error
  const stderr = 'stderr' in error ? String(error.stderr) : ''
  if ('code' in error && error.code === 'ENOENT') return { refused: 'there is no git here' }
  const line = stderr.trim().split('\n')[0] || error.message
  if (line.includes('not a git repository')) return { refused: line }
  // https://git-scm.com/docs/git-config#Documentation/git-config.txt-safedirectory
  const top = /dubious ownership in repository at '(.+)'/.exec(line)?.[1]
  if (top !== undefined) {
    const trouble = `git refuses to read the repository of another user: git config --system --add safe.directory ${top}`
    return { refused: line, trouble }
  }
  const why = 'killed' in error && error.killed === true ? `it took longer than ${TIMEOUT_MS / 1000} s` : line
  return { refused: why, trouble: `git does not tell of ${folder}: ${why}` }
}
