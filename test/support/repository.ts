/** Real git repositories in temporary folders. */
import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, realpathSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

const AUTHOR = ['-c', 'user.name=Kim', '-c', 'user.email=kim@example.com', '-c', 'commit.gpgsign=false']

/** Output without the last newline; throws with what git says. */
export const git = (folder: string, ...args: readonly string[]): string =>
  execFileSync('git', [...AUTHOR, ...args], { cwd: folder, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trim()

export function writeFiles(folder: string, files: Readonly<Record<string, string>>): void {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    writeFileSync(join(folder, name), text)
  }
}

/** Commits all that there is, as of that Unix time; returns the hash. */
export function commit(folder: string, unixSeconds: number, message = 'a change'): string {
  git(folder, 'add', '--all')
  execFileSync('git', [...AUTHOR, 'commit', '--allow-empty', '-q', '-m', message], {
    cwd: folder,
    env: { ...process.env, GIT_COMMITTER_DATE: `${unixSeconds} +0000`, GIT_AUTHOR_DATE: `${unixSeconds} +0000` },
  })
  return git(folder, 'rev-parse', 'HEAD')
}

/** A new repository with a branch `main`; in a new temporary folder unless told where. */
export function makeRepository(folder = realpathSync(mkdtempSync(join(tmpdir(), 'meridian-git-')))): string {
  git(folder, 'init', '-q', '-b', 'main')
  return folder
}

/** A PATH whose git takes every repository for another user's (git's own switch for its tests of this). */
export function pathOfStranger(folder: string): string {
  const real = execFileSync('sh', ['-c', 'command -v git'], { encoding: 'utf8' }).trim()
  const bin = mkdtempSync(join(folder, 'bin-'))
  writeFileSync(join(bin, 'git'), `#!/bin/sh\nGIT_TEST_ASSUME_DIFFERENT_OWNER=1 exec ${real} "$@"\n`)
  chmodSync(join(bin, 'git'), 0o755)
  return `${bin}:${process.env['PATH']}`
}
