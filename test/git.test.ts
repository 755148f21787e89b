/** What git tells of a folder, on real repositories: revision, last change, where its lock is, and why it refuses. */
import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { findWorkTree, formatRevision, Git, gitFiles, lastChangeOf, lockOf, revisionOf } from '../src/git.ts'
import { commit, git, makeRepository, pathOfStranger, writeFiles } from './support/repository.ts'

let folder: string
beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'meridian-git-')))
})
afterEach(() => {
  vi.unstubAllEnvs()
  rmSync(folder, { recursive: true })
})

/** A repository with the folder `zones` in it, committed. */
function repository(): { readonly top: string; readonly zones: string; readonly head: string } {
  const top = join(folder, 'repository')
  mkdirSync(top)
  makeRepository(top)
  writeFiles(top, { 'zones/example.com.yaml': '1', 'other/file': '1' })
  return { top, zones: join(top, 'zones'), head: commit(top, 1_700_000_000) }
}

const shown = async (zones: string): Promise<string | undefined> => {
  const { revision } = await revisionOf(zones)
  return revision && formatRevision(revision)
}

test('the revision is HEAD, and dirty by what is in the folder alone: changed, staged, deleted, untracked', async () => {
  const { top, zones, head } = repository()
  expect(await revisionOf(zones)).toEqual({ revision: { commit: head, dirty: false } })
  const clean = head.slice(0, 7)
  expect(await shown(zones)).toBe(clean)
  writeFiles(top, { 'other/file': '2', untracked: '1' })
  expect(await shown(zones)).toBe(clean)
  writeFiles(zones, { 'new.example.yaml': '1' })
  expect(await shown(zones)).toBe(`${clean}-dirty`)
  git(top, 'config', 'status.showUntrackedFiles', 'no')
  expect(await shown(zones)).toBe(`${clean}-dirty`)
  git(top, 'add', '--all')
  expect(await shown(zones)).toBe(`${clean}-dirty`)
  const next = commit(top, 1_700_000_100)
  expect(await shown(zones)).toBe(next.slice(0, 7))
  rmSync(join(zones, 'new.example.yaml'))
  expect(await shown(zones)).toBe(`${next.slice(0, 7)}-dirty`)
})

test('the last change is that of the folder, not of what is beside it', async () => {
  const { top, zones } = repository()
  writeFiles(top, { 'other/file': '2' })
  commit(top, 1_700_000_500)
  expect(await lastChangeOf(zones)).toBe(1_700_000_000)
  mkdirSync(join(top, 'empty'))
  expect(await lastChangeOf(join(top, 'empty'))).toEqual({ reason: 'no commit touches it' })
})

test('looking writes nothing: not even the index is refreshed', async () => {
  const { top, zones } = repository()
  const index = join(top, '.git/index')
  // the content is the same and the time is not: a plain `git status` would write that down
  execFileSync('touch', ['-d', '2020-01-01', join(zones, 'example.com.yaml')])
  const before = readFileSync(index)
  expect(await shown(zones)).toMatch(/^[0-9a-f]{7}$/)
  expect(readFileSync(index).equals(before)).toBe(true)
  git(top, 'status')
  expect(readFileSync(index).equals(before)).toBe(false)
})

test('outside of git, before the first commit, and without git there is no revision and no trouble', async () => {
  expect(await revisionOf(folder)).toEqual({})
  expect(findWorkTree(folder)).toBeUndefined()
  expect(await lastChangeOf(folder)).toEqual({ reason: 'it is not in a git repository' })
  makeRepository(folder)
  expect(await revisionOf(folder)).toEqual({})
  vi.stubEnv('PATH', '/nowhere')
  expect(await revisionOf(folder)).toEqual({})
  expect(await lastChangeOf(folder)).toEqual({ reason: 'there is no git here' })
})

test('a repository of another user: git refuses, and what helps is told', async () => {
  const { top, zones } = repository()
  vi.stubEnv('PATH', pathOfStranger(folder))
  const { revision, trouble } = await revisionOf(zones)
  expect(revision).toBeUndefined()
  expect(trouble).toContain(`git config --system --add safe.directory ${top}`)
  expect(await lastChangeOf(zones)).toEqual({ reason: trouble })
})

test('a repository that is broken is told as git tells it', async () => {
  const { top, zones } = repository()
  writeFileSync(join(top, '.git/index'), 'nonsense')
  const { revision, trouble } = await revisionOf(zones)
  expect(revision).toBeUndefined()
  expect(trouble).toContain(`git does not tell of ${zones}: `)
})

test('in a hook, whose variables name another repository, it is the folder’s own that counts', async () => {
  const { zones, head } = repository()
  vi.stubEnv('GIT_DIR', '.git')
  vi.stubEnv('GIT_INDEX_FILE', '.git/nothing')
  vi.stubEnv('GIT_WORK_TREE', '/nowhere')
  expect((await revisionOf(zones)).revision).toEqual({ commit: head, dirty: false })
})

test('nothing that the configuration names is run: hooks, file monitors, filters, signature checks', async () => {
  const { top, zones } = repository()
  const ran = join(folder, 'ran')
  const program = join(folder, 'program')
  writeFileSync(program, `#!/bin/sh\necho "$0 $*" >>${ran}\ncat\n`)
  chmodSync(program, 0o755)
  writeFiles(zones, { '.gitattributes': '* filter=x diff=x\n', 'more.example.yaml': '1' })
  commit(top, 1_700_000_100)
  mkdirSync(join(folder, 'hooks'))
  for (const hook of ['post-index-change', 'fsmonitor-watchman', 'reference-transaction']) {
    cpSync(program, join(folder, 'hooks', hook))
  }
  const settings = {
    'core.fsmonitor': program,
    'core.hooksPath': join(folder, 'hooks'),
    'core.pager': program,
    'diff.external': program,
    'diff.x.command': program,
    'diff.x.textconv': program,
    'filter.x.clean': program,
    'filter.x.smudge': program,
    'filter.a=b.c.process': program,
    'filter.x.required': 'true',
    'gpg.program': program,
    'log.showSignature': 'true',
  }
  for (const [key, value] of Object.entries(settings)) git(top, 'config', key, value)
  writeFiles(zones, { '.gitattributes': '* filter=x diff=x\n# 1\n', 'more.example.yaml': '2' })
  expect(await shown(zones)).toMatch(/-dirty$/)
  writeFiles(zones, { '.gitattributes': '* filter=a=b.c\n# 2\n', 'more.example.yaml': '3' })
  expect(await shown(zones)).toMatch(/-dirty$/)
  expect(await lastChangeOf(zones)).toBe(1_700_000_100)
  expect(existsSync(ran) ? readFileSync(ran, 'utf8') : '').toBe('')
  git(top, 'status') // as anybody runs it: the programs are there
  expect(readFileSync(ran, 'utf8')).toContain(program)
})

test('what is missing in a partial clone is told, and not fetched', async () => {
  const { top } = repository()
  writeFiles(top, { 'zones/example.com.yaml': 'first' })
  commit(top, 1_700_000_100)
  writeFiles(top, { 'zones/example.com.yaml': 'second' })
  commit(top, 1_700_000_200)
  git(top, 'config', 'uploadpack.allowFilter', 'true')
  const clone = join(folder, 'partial')
  git(folder, 'clone', '-q', '--no-local', '--filter=blob:none', `file://${top}`, clone)
  const opened = await Git.at(clone)
  if (!(opened instanceof Git)) throw new Error(opened.refused)
  expect(await shown(join(clone, 'zones'))).toMatch(/^[0-9a-f]{7}$/)
  const told = await opened.run(['cat-file', 'blob', 'HEAD~1:zones/example.com.yaml'])
  expect(told).toMatchObject({ trouble: expect.stringContaining('is a partial clone, and nothing is fetched') })
})

test('a folder that could be a git directory is none where there is no `.git`', async () => {
  const bare = join(folder, 'bare')
  git(folder, 'clone', '-q', '--bare', repository().top, bare)
  mkdirSync(join(bare, 'zones'))
  for (const zones of [bare, join(bare, 'zones')]) {
    expect(await revisionOf(zones)).toEqual({})
    expect(await lastChangeOf(zones)).toEqual({ reason: 'it is not in a git repository' })
  }
})

test('the lock is where git puts it: in a plain repository, a linked work tree and a submodule, through links too', async () => {
  const { top, head } = repository()
  git(top, 'worktree', 'add', '-q', join(folder, 'linked'), head)
  const outer = makeRepository(mkdirAt('outer'))
  git(outer, '-c', 'protocol.file.allow=always', 'submodule', '--quiet', 'add', top, 'inner')
  symlinkSync(join(top, 'zones'), join(folder, 'link'))
  const places = [
    { zones: join(top, 'zones'), root: top },
    { zones: join(folder, 'linked/zones'), root: join(folder, 'linked') },
    { zones: join(outer, 'inner/zones'), root: join(outer, 'inner') },
    { zones: join(folder, 'link'), root: top },
  ]
  for (const { zones, root } of places) {
    const tree = findWorkTree(zones)
    expect(tree?.top).toBe(root)
    // git's own word
    const says = (name: string): string => git(root, 'rev-parse', '--path-format=absolute', '--git-path', name)
    expect(lockOf(tree!)).toBe(says('index.lock'))
    expect(gitFiles(tree!)).toEqual(['HEAD', 'logs/HEAD', 'index'].map(says))
    for (const file of gitFiles(tree!)) expect(existsSync(file), file).toBe(true)
    expect(await shown(zones)).toBe(head.slice(0, 7))
  }
})

test('a `.git` that is none does not hide the one above', async () => {
  const { top, zones } = repository()
  mkdirSync(join(zones, '.git'))
  expect(findWorkTree(zones)?.top).toBe(top)
  writeFileSync(join(top, 'other/.git'), 'gitdir: /nowhere\n')
  expect(findWorkTree(join(top, 'other'))?.top).toBe(top)
})

function mkdirAt(name: string): string {
  mkdirSync(join(folder, name))
  return join(folder, name)
}
