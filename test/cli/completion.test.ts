/**
 * Completion in the shells themselves, and manual pages under the linters of groff and mandoc: both know every command and
 * option, and nothing else.
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { COMPLETION_FILES, commandLine, helpOf, writeManual } from '../../scripts/manual.ts'
import { type Shell, SHELLS } from '../../src/cli/formats.ts'
import { EXIT_CODES, SIGNALS } from '../../src/cli/outcomes.ts'
import { commandsAmong } from '../../src/cli/tree.ts'
import { SETTING_ROWS } from '../../src/config.ts'
import { until } from '../support/until.ts'

const pages = commandLine()
const commands = commandsAmong(pages)
const flags = commands.flatMap(({ words, options }) =>
  options.flatMap(({ flags: names }) => names.map((flag) => ({ words, flag }))),
)
let folder = ''

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'meridian-manual-'))
  writeManual(folder)
})
afterAll(() => rmSync(folder, { recursive: true }))

const script = (shell: Shell): string => join(folder, 'completion', COMPLETION_FILES[shell])

test('a flag takes a value with every command, or with none', () => {
  const all = pages.flatMap(({ options }) => options)
  const plain = new Set(all.filter(({ takesValue }) => takesValue === 'never').flatMap(({ flags: names }) => names))
  const valued = all.filter(({ takesValue }) => takesValue !== 'never').flatMap(({ flags: names }) => names)
  expect(plain).toContain('--json')
  expect(valued.filter((flag) => plain.has(flag))).toEqual([])
})

const rendered = (file: string): string =>
  execFileSync('mandoc', ['-T', 'utf8', '-O', 'width=400', join(folder, 'man', file)], {
    encoding: 'utf8',
  })
    .split('\b') // bold and underlined, as typewriters had it
    .map((part, i, parts) => (i < parts.length - 1 ? part.slice(0, -1) : part))
    .join('')

test('the pages have what each help has', () => {
  for (const { words, options, arguments: args } of commands) {
    const shown = [...helpOf(words).matchAll(/^ {2}((?:-\w, )?--[\w-]+(?: [<[].*?[>\]])?)  /gm)].map(
      ([, form]) => form!,
    )
    expect(shown.toSorted(), words.join(' ')).toEqual(options.map(({ form }) => form).toSorted())
    const usage = /^Usage: .*$/m.exec(helpOf(words))![0]
    expect(usage.endsWith(args.map(({ form }) => ` ${form}`).join('')), usage).toBe(true)
  }
})

describe('manual pages', () => {
  test('there is one for each command, and neither groff nor mandoc has anything to say about any', () => {
    const files = readdirSync(join(folder, 'man')).toSorted()
    const named = commands.map(({ words }) => `meridian-${words.join('-')}.1`)
    expect(files).toEqual([...named, 'meridian.1', 'meridian.yaml.5'].toSorted())
    const paths = files.map((file) => join(folder, 'man', file))
    const mandoc = spawnSync('mandoc', ['-T', 'lint', '-W', 'warning', ...paths], { encoding: 'utf8' })
    expect(mandoc.stdout).toBe('')
    const groff = spawnSync('groff', ['-man', '-Tutf8', '-Kutf8', '-ww', '-z', ...paths], { encoding: 'utf8' })
    expect(groff.stderr).toBe('')
  })

  test.each(commands.map(({ words }) => words.join(' ')))('of %s: what its help has', (way) => {
    const { options, arguments: args, summary, examples } = commands.find(({ words }) => words.join(' ') === way)!
    const text = rendered(`meridian-${way.replaceAll(' ', '-')}.1`)
    for (const { flags: names } of options)
      for (const flag of names) expect(text).toMatch(new RegExp(`^ .*${flag}\\b`, 'm'))
    for (const { form } of args) expect(text).toContain(form.replaceAll(/[<>]/g, ''))
    expect(text).toContain(summary.replaceAll('`', ''))
    for (const example of examples) expect(text).toContain(example)
  })

  test('of the program: commands, exit codes, signals; of the settings: each', () => {
    const program = rendered('meridian.1')
    for (const { words } of commands) expect(program).toMatch(new RegExp(`^ +meridian ${words.join(' ')}$`, 'm'))
    for (const [code] of EXIT_CODES) expect(program).toMatch(new RegExp(`^ +${code} `, 'm'))
    for (const [names] of SIGNALS) expect(program).toMatch(new RegExp(`^ +${names}`, 'm'))
    const settings = rendered('meridian.yaml.5')
    for (const [key] of SETTING_ROWS) expect(settings).toMatch(new RegExp(`^ +${key.replaceAll('.', '\\.')}( |$)`, 'm'))
  })
})

/** What bash's function offers for each line, whose last word is to be completed. */
function bash(lines: readonly (readonly string[])[]): readonly string[][] {
  const calls = lines.map((words) => {
    const all = ['meridian', ...words].map((word) => `'${word}'`)
    return `COMP_WORDS=(${all.join(' ')}); COMP_CWORD=${words.length}; _meridian; echo "\${COMPREPLY[*]}"`
  })
  const stdin = [`source ${script('bash')}`, ...calls].join('\n')
  const told = execFileSync('bash', ['--norc'], { input: stdin, encoding: 'utf8', cwd: folder })
  return told
    .split('\n')
    .slice(0, -1)
    .map((line) => line.split(' ').filter((word) => word !== ''))
}

/** What fish offers for each line. */
function fish(lines: readonly string[]): readonly string[][] {
  const calls = lines.map((line) => `complete -C '${line}' | string split -f 1 \\t; echo ===`)
  const code = [`source ${script('fish')}`, ...calls].join('\n')
  const env = { ...process.env, HOME: folder, LC_ALL: 'C.UTF-8' }
  const told = execFileSync('fish', ['--no-config', '-c', code], { encoding: 'utf8', cwd: folder, env })
  return told
    .split('===\n')
    .slice(0, -1)
    .map((text) => text.split('\n').filter((word) => word !== ''))
}

/** A line as bash cuts it. */
const split = (line: string): string[] => line.replaceAll(':', ' : ').split(' ')

/** Begins a shell on a terminal; `type` sends keys. What the terminal shows is in `shown`. */
function onTerminal(command: string) {
  const child = spawn('script', ['-qfc', command, '/dev/null'], {
    cwd: folder,
    env: { PATH: process.env['PATH'], TERM: 'dumb', LC_ALL: 'C.UTF-8', HOME: folder, PS1: 'ready> ' },
    stdio: ['pipe', 'pipe', 'ignore'],
  })
  const screen = { shown: '', type: (keys: string) => void child.stdin.write(keys), end: () => once(child, 'close') }
  child.stdout.on('data', (data: Buffer) => (screen.shown += data.toString()))
  return screen
}

describe('completion', () => {
  const SYNTAX = { bash: ['-n'], zsh: ['-f', '-n'], fish: ['-n'] } as const
  test.each(SHELLS)('%s takes its script', (shell) => {
    const { status, stderr } = spawnSync(shell, [...SYNTAX[shell], script(shell)], { encoding: 'utf8' })
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  })

  test('bash and fish offer every command, and every option of each', () => {
    const ways = pages.filter((page) => page.commands.length > 0)
    const ofCommands = bash(ways.map(({ words }) => [...words, '']))
    expect(ofCommands).toEqual(ways.map((page) => page.commands))
    expect(fish(ways.map(({ words }) => ['meridian', ...words, ''].join(' ')))).toEqual(
      ways.map((page) => page.commands.toSorted()),
    )
    const ofOptions = bash(commands.map(({ words }) => [...words, '-']))
    expect(ofOptions).toEqual(commands.map(({ options }) => options.flatMap(({ flags: names }) => names)))
    const inFish = fish(commands.map(({ words }) => ['meridian', ...words, '--'].join(' ')))
    const long = commands.map(({ options }) => options.map(({ flags: names }) => names.at(-1)!).toSorted())
    expect(inFish.map((names) => names.toSorted())).toEqual(long)
  })

  test('zsh knows every option', () => {
    const text = readFileSync(script('zsh'), 'utf8')
    for (const { words, flag } of flags) {
      const [, body] = new RegExp(`^_meridian_${words.join('_')}\\(\\) \\{\\n([^]*?)^\\}`, 'm').exec(text)!
      expect(body, words.join(' ')).toMatch(new RegExp(`[*)]${flag}[=+]?\\[`))
    }
  })

  const cases: readonly (readonly [line: string, offered: readonly string[]])[] = [
    ['drai', ['drain']],
    ['prober ', ['forget']],
    ['prober forget --tok', ['--token-file']],
    ['check --format ', ['github', 'json', 'text']],
    ['plan --format m', ['markdown']],
    ['import ', ['bind', 'gdnsd', 'powerdns', 'route53']],
    ['import --origin example.com r', ['route53']],
    ['force fra/web ', ['down', 'off', 'up']],
    ['force ', []],
    ['force --why works fra ', ['down', 'off', 'up']],
    ['status --threads 2 --hur', ['--hurt']],
    ['serve --log-level w', ['warn']],
    ['serve --listen 127.0.0.1:5300 --probe-enabled ', ['false', 'true']],
    ['completion z', ['zsh']],
    ['drain fra --to ', []],
  ]
  test('of values: words, as far as there are', () => {
    const offered = cases.map(([, words]) => words)
    expect(bash(cases.map(([line]) => split(line))).map((words) => words.toSorted())).toEqual(offered)
    expect(fish(cases.map(([line]) => `meridian ${line}`)).map((words) => words.toSorted())).toEqual(offered)
    // bash cuts a line at `=`
    expect(
      bash([
        ['plan', '--format', '=', 'm'],
        ['plan', '--format', '='],
      ]),
    ).toEqual([['markdown'], ['text', 'json', 'markdown']])
    expect(fish(['meridian plan --format=m'])).toEqual([['--format=markdown']])
  })

  test('of files and folders', () => {
    expect(
      bash([
        ['check', 'm'],
        ['check', '-c', 'man/meridian.y'],
        ['import', 'bind', 'man/meridian.y'],
      ]),
    ).toEqual([['man'], ['man/meridian.yaml.5'], ['man/meridian.yaml.5']])
    expect(fish(['meridian check m', 'meridian check -c man/meridian.y'])).toEqual([['man/'], ['man/meridian.yaml.5']])
  })

  test.each([
    ['bash', 'bash --norc --noprofile -i', (file: string) => `source ${file}`],
    ['zsh', 'zsh -f -i', (file: string) => `PS1='ready> '; autoload -U compinit; compinit -u -D; source ${file}`],
  ] as const)('%s completes at a key press', async (shell, command, load) => {
    const screen = onTerminal(command)
    const shown = (text: string): Promise<unknown> =>
      until(
        () => `${text} in ${screen.shown}`,
        () => screen.shown.includes(text),
      )
    screen.type(`${load(script(shell))}; echo loa''ded\n`)
    await shown('loaded')
    screen.type('meridian complet\t')
    await shown('meridian completion')
    screen.type('f\t') // the word and a space are there already
    await shown('fish')
    screen.type('\u0015') // clears the line
    screen.type('meridian prober for\t')
    await shown('forget')
    screen.type('--token-f\t')
    await shown('--token-file')
    screen.type('\u0015exit\n')
    await screen.end()
  })
})
