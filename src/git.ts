/**
 * The only runner of git. It gives the revision of a folder of zones, the time of its last change, whether git works
 * there at the moment, and the contents of other revisions. Used by the loader (serial, bounds of includes), by world/
 * and by `plan`. git is optional: without git, outside of a repository, or when git refuses, nothing fails; a refusal
 * that an operator can do something about is returned in words.
 *
 * Authors of zones are not trusted, and they write files that git obeys. git's own discovery would take any folder on
 * the way up that looks like a git directory; so git is told which repository is meant: the nearest `.git`, which git
 * never tracks. And it runs no program: no hook, filter, remote helper, file monitor, pager or signature check.
 */
import { execFile } from 'node:child_process'
import { closeSync, existsSync, openSync, readSync, realpathSync, statSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { codeOf } from './problem.ts'

/** The revision that is checked out. */
export interface Revision {
  /** The full hash of HEAD. */
  readonly commit: string
  /** The folder differs from that commit; untracked files count. */
  readonly dirty: boolean
}

/** A revision as text: `1a2b3c4`, `1a2b3c4-dirty`. */
export const formatRevision = ({ commit, dirty }: Revision): string => `${commit.slice(0, 7)}${dirty ? '-dirty' : ''}`

/** A git work tree. */
export interface WorkTree {
  /** The folder that has `.git`. */
  readonly top: string
  /** The git directory: `.git`, or for linked work trees and submodules what it points to. */
  readonly gitDir: string
}

/** The work tree that a folder is in, by the nearest `.git` above its real path; undefined: none. */
export const findWorkTree = (folder: string): WorkTree | undefined =>
  nearest(folder, (top) => {
    const gitDir = gitDirAt(join(top, '.git'))
    return gitDir === undefined ? undefined : { top, gitDir }
  })

/** The top of the work tree, even if git cannot use it: in a work tree that is mounted alone, `.git` points nowhere. */
export const findTop = (folder: string): string | undefined =>
  nearest(folder, (top) => (existsSync(join(top, '.git')) ? top : undefined))

/** The first result of `find` on the way up from the folder's real path. */
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
  const pointed = found.isFile() ? pathIn(path) : '.git'
  const gitDir = pointed === undefined ? undefined : resolve(dirname(path), pointed)
  return gitDir !== undefined && existsSync(join(gitDir, 'HEAD')) ? gitDir : undefined
}

const MOST_PATH_BYTES = 4096
const POINTER = 'gitdir: '

function pathIn(file: string): string | undefined {
  const bytes = Buffer.alloc(POINTER.length + MOST_PATH_BYTES)
  const descriptor = openSync(file, 'r')
  try {
    const text = bytes.toString('utf8', 0, readSync(descriptor, bytes))
    return text.startsWith(POINTER) ? text.slice(POINTER.length).trimEnd() : undefined
  } finally {
    closeSync(descriptor)
  }
}

/**
 * Files that change with every commit or checkout, even if no file of the folder does: HEAD, its log, and the index,
 * which a checkout writes last.
 */
export const gitFiles = ({ gitDir }: WorkTree): string[] =>
  ['HEAD', 'logs/HEAD', 'index'].map((file) => join(gitDir, file))

/** The lock file that exists while git changes the work tree: checkout, merge, rebase, reset, stash. */
export const lockOf = ({ gitDir }: WorkTree): string => join(gitDir, 'index.lock')

/**
 * The revision of a folder; undefined: no git, no repository, no commit, or git refuses. `trouble`: why, in words, if
 * an operator can do something about it.
 */
export async function revisionOf(folder: string): Promise<{ readonly revision?: Revision; readonly trouble?: string }> {
  const git = await Git.at(folder)
  // https://git-scm.com/docs/git-status#_branch_headers; changes inside of a submodule are not seen
  const told = git instanceof Git ? await git.run(STATUS.split(' '), { folder }) : git
  if ('refused' in told) return 'trouble' in told ? { trouble: told.trouble } : {}
  const out = told.out.toString()
  const commit = /^# branch\.oid ([0-9a-f]{40,64})$/m.exec(out)?.[1]
  return commit === undefined ? {} : { revision: { commit, dirty: /^[^#]/m.test(out) } }
}

const STATUS =
  'status --porcelain=v2 --branch --no-ahead-behind --no-renames --untracked-files=normal --ignore-submodules=dirty -- .'

/** Unix time, in seconds, of the last commit that touched the folder, or the reason why there is none. */
export async function lastChangeOf(folder: string): Promise<number | { readonly reason: string }> {
  const git = await Git.at(folder)
  const told =
    git instanceof Git ? await git.run(['rev-list', '-1', '--timestamp', 'HEAD', '--', '.'], { folder }) : git
  if ('refused' in told) return { reason: told.trouble ?? told.refused }
  const time = /^(\d{1,10}) /.exec(told.out.toString())?.[1]
  return time === undefined ? { reason: 'no commit touches it' } : Number(time)
}

/** Why git gives no result. `trouble`: the same in words, if an operator can do something about it. */
export interface Refusal {
  readonly refused: string
  readonly trouble?: string
}

/** How to run git. */
export interface RunOptions {
  /** The working directory, within the work tree; its top unless given. */
  readonly folder?: string
  readonly input?: string
  /** The most output; more is a refusal. */
  readonly mostBytes?: number
  readonly timeoutMs?: number
}

const TIMEOUT_MS = 10_000
const MOST_BYTES = 64 << 20

/**
 * Settings that override git's configuration files, so that none of them can start a program. They have command scope,
 * which wins (https://git-scm.com/docs/git-config#SCOPES); by environment variables, since git 2.31.
 */
const CONFIG: readonly (readonly [key: string, value: string])[] = [
  ['protocol.allow', 'never'],
  ['safe.bareRepository', 'explicit'],
  ['core.hooksPath', '/dev/null'],
  ['core.fsmonitor', 'false'],
  ['core.pager', 'cat'],
  ['core.askPass', 'false'],
  ['core.sshCommand', 'false'],
  ['credential.helper', ''],
  ['gpg.program', 'false'],
  ['log.showSignature', 'false'],
]

/** The hash of the empty tree, which every repository has (`git hash-object -t tree /dev/null`), by object format. */
const EMPTY_TREES: Readonly<Record<string, string>> = {
  sha1: '4b825dc642cb6eb9a060e54bf8d69288fbee4904',
  sha256: '6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321',
}

/** Runs git on one work tree. */
export class Git {
  readonly tree: WorkTree
  readonly #environment: NodeJS.ProcessEnv

  private constructor(tree: WorkTree, environment: NodeJS.ProcessEnv) {
    this.tree = tree
    this.#environment = environment
  }

  /** git for the work tree that a folder is in. Refused if the work tree belongs to a user whom git does not trust. */
  static async at(folder: string): Promise<Git | Refusal> {
    const tree = findWorkTree(folder)
    if (tree === undefined) return { refused: 'it is not in a git repository' }
    // with an explicit repository git would not check its owner, so first git must discover it, at the top and nowhere
    // else
    const finding = { ...environmentOf(CONFIG), GIT_CEILING_DIRECTORIES: dirname(tree.top) }
    const found = await execute(['rev-parse', '--absolute-git-dir'], finding, tree.top)
    if ('refused' in found) return found
    const gitDir = found.out.toString().replace(/\n$/, '')
    if (!isSame(gitDir, tree.gitDir)) return { refused: `git takes ${gitDir} for the repository` }
    const set = { GIT_DIR: tree.gitDir, GIT_WORK_TREE: tree.top }
    const listed = await execute(['config', '--null', '--list'], { ...environmentOf(CONFIG), ...set }, tree.top)
    if ('refused' in listed) return listed
    const settings = listed.out
      .toString()
      .split('\0')
      .map((line) => line.split('\n', 2))
    const objects = settings.findLast(([key]) => key === 'extensions.objectformat')?.[1] ?? 'sha1'
    const attributes = EMPTY_TREES[objects]
    return new Git(tree, {
      ...environmentOf([...CONFIG, ...withoutFilters(settings.map(([key = '']) => key))]),
      ...set,
      ...(attributes !== undefined && { GIT_ATTR_SOURCE: attributes }), // since git 2.41: ignores .gitattributes files
    })
  }

  run(words: readonly string[], options: RunOptions = {}): Promise<GitResult> {
    return execute(words, this.#environment, options.folder ?? this.tree.top, options)
  }
}

function isSame(path: string, other: string): boolean {
  const [one, two] = [path, other].map((each) => statSync(each, { bigint: true, throwIfNoEntry: false }))
  return one !== undefined && one.dev === two?.dev && one.ino === two.ino
}

/** Settings that disable all configured filters (git-lfs, for example): attributes of any file could name them. */
const withoutFilters = (keys: readonly string[]): readonly (readonly [key: string, value: string])[] =>
  [
    ...new Set(keys.filter((key) => key.startsWith('filter.')).map((key) => key.slice(0, key.lastIndexOf('.')))),
  ].flatMap((filter): (readonly [string, string])[] => [
    [`${filter}.clean`, ''],
    [`${filter}.smudge`, ''],
    [`${filter}.process`, ''],
    [`${filter}.required`, 'false'],
  ])

/**
 * The environment of git. No GIT_* variable is inherited: in a hook they name another repository. The operator's own
 * git configuration still says whom git trusts.
 */
function environmentOf(config: readonly (readonly [key: string, value: string])[]): NodeJS.ProcessEnv {
  const { PATH, HOME, XDG_CONFIG_HOME } = process.env
  const pairs = config.flatMap(([key, value], i) => [
    [`GIT_CONFIG_KEY_${i}`, key],
    [`GIT_CONFIG_VALUE_${i}`, value],
  ])
  return {
    PATH,
    HOME,
    XDG_CONFIG_HOME,
    LC_ALL: 'C',
    GIT_ALLOW_PROTOCOL: 'none', // a list of allowed protocols; it wins over protocol.*.allow
    GIT_NO_LAZY_FETCH: '1',
    GIT_OPTIONAL_LOCKS: '0', // reading must not write
    GIT_LITERAL_PATHSPECS: '1',
    GIT_TERMINAL_PROMPT: '0',
    GIT_CONFIG_COUNT: String(config.length),
    ...Object.fromEntries(pairs),
  }
}

/** The output of git, or why there is none. */
export type GitResult = { readonly out: Buffer } | Refusal

async function execute(
  words: readonly string[],
  env: NodeJS.ProcessEnv,
  folder: string,
  { input = '', mostBytes = MOST_BYTES, timeoutMs = TIMEOUT_MS }: RunOptions = {},
): Promise<GitResult> {
  const running = promisify(execFile)('git', words, {
    cwd: folder,
    env,
    timeout: timeoutMs,
    killSignal: 'SIGKILL',
    maxBuffer: mostBytes,
    encoding: 'buffer',
  })
  running.child.stdin?.on('error', () => {}).end(input) // if git exits early, its own error is reported
  try {
    return { out: (await running).stdout }
  } catch (error) {
    return refusalOf(folder, error, { mostBytes, timeoutMs })
  }
}

function refusalOf(
  folder: string,
  error: unknown,
  { mostBytes, timeoutMs }: { readonly mostBytes: number; readonly timeoutMs: number },
): Refusal {
  if (!(error instanceof Error)) throw error
  const stderr = 'stderr' in error ? String(error.stderr) : ''
  if (codeOf(error) === 'ENOENT') return { refused: 'there is no git here' }
  const line = stderr.split('\n').find((one) => one !== '' && !one.startsWith('warning: ')) ?? error.message
  if (stderr.includes('lazy fetching disabled') || stderr.includes('promisor remote')) {
    const trouble = `${folder} is a partial clone, and nothing is fetched: git fetch --refetch --no-filter completes it`
    return { refused: trouble, trouble }
  }
  if (line.includes('not a git repository') || line.includes("bad revision 'HEAD'")) return { refused: line }
  // https://git-scm.com/docs/git-config#Documentation/git-config.txt-safedirectory
  const [, top] = line.split("dubious ownership in repository at '")
  if (top !== undefined) {
    const trouble = `git refuses to read the repository of another user: git config --system --add safe.directory ${top.replace(/'$/, '')}`
    return { refused: line, trouble }
  }
  const isKilled = 'killed' in error && error.killed === true
  const why =
    codeOf(error) === 'ERR_CHILD_PROCESS_STDIO_MAXBUFFER'
      ? `it prints more than ${mostBytes >> 20} MiB`
      : isKilled
        ? `it took longer than ${timeoutMs / 1000} s`
        : line
  return { refused: why, trouble: `git does not tell of ${folder}: ${why}` }
}

/** A revision as JSON has it: text, or null outside of git. */
export const nameOf = (revision: Revision | undefined): string | null =>
  revision === undefined ? null : formatRevision(revision)
