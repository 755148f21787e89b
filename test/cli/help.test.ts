/** `meridian --help` and the help of each command: what concerns it, an example, and little CPU. */
import { spawnSync } from 'node:child_process'
import { resolve } from 'node:path'
import type { Command } from 'commander'
import { expect, test } from 'vitest'
import { makeProgram } from '../../src/cli/commands.ts'
import { SETTING_KEYS, flagOf } from '../../src/config.ts'

const ROOT = resolve(import.meta.dirname, '../..')

function program(): { readonly program: Command; readonly said: string[] } {
  const said: string[] = []
  const output = { out: (line: string) => void said.push(line), err: (line: string) => void said.push(line) }
  const parser = makeProgram(
    output,
    () => Promise.resolve(),
    () => undefined,
  )
  return { program: parser, said }
}

const leaves = (command: Command, way: readonly string[]): (readonly string[])[] =>
  command.commands.length === 0 ? [way] : command.commands.flatMap((sub) => leaves(sub, [...way, sub.name()]))

const helpOf = (words: readonly string[]): string => {
  const { program: parser, said } = program()
  expect(() => parser.parse([...words, '--help'], { from: 'user' })).toThrow('(outputHelp)')
  return said.join('\n')
}

/** The flags of settings that a help shows. */
const settingsIn = (help: string): string[] =>
  SETTING_KEYS.filter((key) => new RegExp(`^ *${flagOf(key)} <VALUE>`, 'm').test(help))

const COMMANDS = leaves(program().program, [])

test.each(COMMANDS.map((words) => words.join(' ')))('%s: its help ends with examples that it takes', (words) => {
  const [, examples] = helpOf(words.split(' ')).split('\nExamples:\n')
  const lines = examples!.split('\n').map((line) => line.trim())
  for (const line of lines) {
    const [first, ...rest] = [...line.matchAll(/'([^']*)'|\S+/g)].map(([word, quoted]) => quoted ?? word)
    expect(first).toBe('meridian')
    expect(rest.join(' ').startsWith(words)).toBe(true)
    const { program: parser } = program()
    const mute = (command: Command): void => command.action(() => undefined).commands.forEach(mute)
    parser.commands.forEach(mute)
    expect(() => parser.parse(rest, { from: 'user' }), line).not.toThrow()
  }
})

test('a command that asks a node shows the settings that lead to it, and a server all of its own', () => {
  for (const words of [
    'status',
    'drain',
    'undrain',
    'force',
    'prober forget',
    'node forget',
    'geo accept',
    'zones accept',
  ])
    expect(settingsIn(helpOf(words.split(' '))), words).toEqual(['state'])
  expect(settingsIn(helpOf(['explain']))).toEqual(['zones', 'geo.city', 'geo.asn', 'node.site', 'state'])
  expect(settingsIn(helpOf(['check']))).toContain('probe.allow')
  const secrets = ['redis.secret', 'probe.headers', 'notify', 'http.token'] // no flags: `ps` shows those
  expect(settingsIn(helpOf(['serve']))).toEqual(SETTING_KEYS.filter((key) => !secrets.includes(key)))
  expect(settingsIn(helpOf(['probe']))).toContain('probe.region')
  expect(settingsIn(helpOf(['probe']))).not.toContain('listen')
})

test('a help has no links of Markdown: it says where to read on', () => {
  for (const words of COMMANDS) expect(helpOf(words), words.join(' ')).not.toMatch(/\]\(/)
  const serve = helpOf(['serve']).replaceAll(/\s+/g, ' ')
  expect(serve).toContain('See “what checks reach” in docs/settings.md.')
  expect(serve).toContain('(TSIG), see docs/transfers.md.')
})

test('what the help leaves out is taken all the same', () => {
  const { program: parser } = program()
  for (const command of parser.commands) command.action(() => undefined)
  expect(() => parser.parse(['status', '--threads', '2', '--listen', '192.0.2.1:53'], { from: 'user' })).not.toThrow()
})

/** The CPU time of a command line, in seconds: user and system, of the program and of what it starts. */
function cpuOf(...words: readonly string[]): number {
  const env = { ...process.env, NODE_OPTIONS: '', MERIDIAN_STATE: '/nonexistent' }
  const line = `${resolve(ROOT, 'bin/meridian')} ${words.join(' ')} >/dev/null 2>&1; times`
  const { stdout } = spawnSync('sh', ['-c', line], { env, cwd: '/', encoding: 'utf8' })
  const children = stdout.trim().split('\n').at(-1)!
  return [...children.matchAll(/(\d+)m([\d.]+)s/g)].reduce((sum, [, min, s]) => sum + 60 * Number(min) + Number(s), 0)
}

const least = (...words: readonly string[]): number => Math.min(...Array.from({ length: 3 }, () => cpuOf(...words)))

test('a command costs no more than what it needs', () => {
  const all = least('check', '/nonexistent') // loads what commands of zones need: zod, YAML, the maps
  expect(least('--version')).toBeLessThan(0.65 * all)
  expect(least('undrain', '--help')).toBeLessThan(0.7 * all)
  expect(least('status')).toBeLessThan(0.95 * all)
})
