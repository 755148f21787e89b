/**
 * A folder on the way up from the zones that looks like a git directory (HEAD, config, objects, refs: plain files, which git
 * tracks like any) is the work of whoever wrote the zones. None of its programs runs, whichever command reads the zones.
 */
import { execFileSync } from 'node:child_process'
import { appendFileSync, existsSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { run } from '../../src/cli/commands.ts'
import { makeBuilder } from '../../src/world/build.ts'
import { LOCK_WAIT } from '../../src/world/folder.ts'
import { commit, git, makeRepository, writeFiles } from '../support/repository.ts'

const ZONES = {
  'sites.yaml': 'fra: {location: [50.11, 8.68], region: eu}\n',
  'services.yaml': 'web:\n  sites: {fra: {vips: [192.0.2.1]}}\n  check: none\n',
  'example.com.yaml': '"": {type: NS, value: ns1.example.net.}\nwww: {type: GSLB, service: web}\n',
}

let folder: string
/** Made by a program that ran. */
let marker: string
beforeAll(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'meridian-foreign-')))
  marker = join(folder, 'it-ran')
})
afterAll(() => rmSync(folder, { recursive: true }))

/** Each makes `gitDir`, whose work tree is `zones`, a repository that has git run a program. */
const PAYLOADS: Readonly<Record<string, (gitDir: string, zones: string) => void>> = {
  'a promisor remote that `git log` fetches a missing tree from': (gitDir, zones) => {
    const inIt = inRepository(gitDir, zones)
    const text = `tree ${'1'.repeat(40)}\nauthor K <k@example.com> 1 +0000\ncommitter K <k@example.com> 1 +0000\n\nx\n`
    const head = inIt(['hash-object', '-t', 'commit', '-w', '--stdin', '--literally'], text)
    writeFileSync(join(gitDir, 'HEAD'), head)
    writeFileSync(join(gitDir, 'refs/heads/main'), head) // git tracks no empty folder
    const config = `[core]\n\trepositoryformatversion = 1\n[extensions]\n\tpartialClone = there\n[remote "there"]\n\turl = ext::touch ${marker}\n\tpromisor = true\n[protocol "ext"]\n\tallow = always\n`
    appendFileSync(join(gitDir, 'config'), config)
  },
  'a filter that `git archive` smudges with': (gitDir, zones) => {
    const inIt = inRepository(gitDir, zones)
    writeFileSync(join(zones, '.gitattributes'), '* filter=x\n')
    inIt(['add', '.gitattributes', ...Object.keys(ZONES)])
    inIt(['commit', '-q', '-m', 'x'])
    appendFileSync(join(gitDir, 'config'), `[filter "x"]\n\tsmudge = touch ${marker} && cat\n`)
  },
  'a filter that `git status` cleans with': (gitDir, zones) => {
    const inIt = inRepository(gitDir, zones)
    writeFileSync(join(zones, '.gitattributes'), '* filter=x\n')
    inIt(['add', '.gitattributes', ...Object.keys(ZONES)])
    inIt(['commit', '-q', '-m', 'x'])
    appendFileSync(join(gitDir, 'config'), `[filter "x"]\n\tclean = touch ${marker} && cat\n`)
  },
}

function inRepository(gitDir: string, zones: string): (words: readonly string[], input?: string) => string {
  const inIt = (words: readonly string[], input = ''): string =>
    execFileSync('git', ['-c', 'user.name=K', '-c', 'user.email=k@example.com', ...words], {
      cwd: zones,
      env: { ...process.env, GIT_DIR: gitDir, GIT_WORK_TREE: zones },
      encoding: 'utf8',
      input,
    })
  inIt(['init', '-q', '-b', 'main'])
  inIt(['config', 'core.worktree', zones === gitDir ? '.' : 'zones'])
  return inIt
}

/** What reads zones, each as it is called. */
const READERS: Readonly<Record<string, (zones: string) => Promise<unknown>>> = {
  check: (zones) => command('check', zones),
  plan: (zones) => command('plan', 'HEAD', '--zones', zones),
  'explain --offline': (zones) =>
    command('explain', 'www.example.com', '--client', '192.0.2.1', '--offline', '--zones', zones),
  'a node': (zones) => makeBuilder({ zones, city: [], follows: LOCK_WAIT }).build(),
}

const command = (...words: readonly string[]): Promise<number> =>
  run(words, { out: () => {}, err: () => {} }, () => Promise.resolve())

const PLACES = { 'the zones themselves': 'zones', 'the folder above them': 'dns/zones' }

describe.each(Object.entries(PLACES))('%s carry it', (_, place) => {
  describe.each(Object.entries(PAYLOADS))('%s', (_what, make) => {
    let zones: string
    beforeAll(() => {
      const origin = makeRepository(mkdtempSync(join(folder, 'origin-')))
      writeFiles(join(origin, place), ZONES)
      const gitDir = join(origin, place.split('/')[0]!)
      make(gitDir, join(origin, place))
      commit(origin, 1_700_000_000)
      const clone = mkdtempSync(join(folder, 'clone-'))
      git(origin, 'clone', '-q', origin, clone) // as whoever pulls it has it
      expect(existsSync(join(clone, place.split('/')[0]!, 'objects'))).toBe(true)
      zones = join(clone, place)
      rmSync(marker, { force: true })
    })

    test.each(Object.entries(READERS))('runs nothing in %s', async (_name, read) => {
      await read(zones)
      const ran = existsSync(marker)
      rmSync(marker, { force: true })
      expect(ran).toBe(false)
    })
  })
})
