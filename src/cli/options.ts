/**
 * Options that commands share: settings as flags, how to reach a node, what to load; and how they become settings, a
 * connection and files. Used by the commands' definitions.
 */
import { existsSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { type Command, Option } from 'commander'
import {
  type Config,
  flagOf,
  settingFromText,
  SETTING_KEYS,
  SETTINGS,
  type SettingKey,
  TOKEN_VARIABLE,
  variableOf,
} from '../config.ts'
import type { Role, Settings } from '../node/settings.ts'
import { formatProblem, type Problem } from '../problem.ts'
import { decodeText, faultInWords } from '../text.ts'
import type { BuildSettings } from '../world/build.ts'
import { ControlError } from './control.ts'
import type { Output } from './output.ts'

/** The flags of commands that talk to a node, as commander gives them. */
export interface SharedFlags {
  readonly config?: string
  readonly json?: boolean
  readonly at?: string
  readonly tokenFile?: string
}

/** The settings have errors, which have been printed. */
export class SettingsError extends Error {}

/** Called with the exit code of a command. */
export type OnExitCode = (code: number) => void

/** The heading of the flags of settings in a help. */
export const SETTINGS_GROUP = 'Settings (docs/settings.md):'

/**
 * Adds -c, and a flag for each setting. `used`: the settings that the command goes by, which its help shows; the others
 * are taken too, so that one set of flags does for all commands.
 */
export function withSettings(command: Command, used: readonly SettingKey[]): Command {
  command.option('-c, --config <FILE>', 'settings file (default: meridian.yaml here, else /etc/meridian/meridian.yaml)')
  command.optionsGroup(SETTINGS_GROUP)
  for (const key of SETTING_KEYS) {
    const { list, meaning } = SETTINGS[key]
    const merge = (value: string, before: string | undefined): string =>
      list && before !== undefined ? `${before},${value}` : value
    const option = new Option(`${flagOf(key)} <VALUE>`, withoutLinks(meaning)).argParser(merge)
    command.addOption(option.hideHelp(!used.includes(key)))
  }
  return command.optionsGroup('Options:')
}

/** The settings that a command goes by when it loads zones as a node does. */
export const LOAD_SETTINGS: readonly SettingKey[] = ['zones', 'geo.city', 'geo.asn', 'node.site', 'state']

const EXAMPLES = new WeakMap<Command, readonly string[]>()

/** Ends the help of a command with examples, each a line as it is typed. */
export function withExamples(command: Command, ...examples: readonly string[]): Command {
  EXAMPLES.set(command, examples)
  return command.addHelpText('after', ['', 'Examples:', ...examples.map((example) => `  ${example}`)].join('\n'))
}

/** The examples of a command. */
export const examplesOf = (command: Command): readonly string[] => EXAMPLES.get(command) ?? []

/** Reads the settings of a command and prints their problems. Throws SettingsError if one is an error. */
export async function settingsOf(command: Command, output: Output): Promise<Config> {
  const { config, problems } = await readSettings(command)
  for (const problem of problems) output.err(formatProblem(problem))
  if (config === undefined) throw new SettingsError()
  return config
}

/** Reads the settings of a command: its flags, variables and file. A secret given as a flag is an error. */
export async function readSettings(command: Command, role?: Role): Promise<Settings> {
  const { loadSettings } = await import('../node/settings.ts')
  const options: Readonly<Record<string, string | undefined>> = command.opts()
  const exposed: Problem[] = []
  const flags = SETTING_KEYS.flatMap((key: SettingKey) => {
    const value = options[camelCase(flagOf(key))]
    if (value === undefined) return []
    if ('secret' in SETTINGS[key] && holdsSecret(value)) exposed.push(exposedFlag(key))
    return [settingFromText(key, value, flagOf(key))]
  })
  const { config, problems, file } = loadSettings({ file: options['config'], env: process.env, flags, role })
  return { config: exposed.length > 0 ? undefined : config, problems: [...problems, ...exposed], file }
}

/** Whether a value holds a secret: a URL does only with a login. */
const holdsSecret = (value: string): boolean => !value.includes('://') || /@|password=/.test(value)

/** The problem of a secret in a flag: every user of a machine can see the arguments of its processes. */
const exposedFlag = (key: SettingKey): Problem => ({
  code: 'setting-invalid',
  severity: 'error',
  file: flagOf(key),
  line: 0,
  column: 0,
  message: 'a secret on a command line can be read by every user of this machine (ps)',
  hint: `Set the variable ${variableOf(key)}, or ${key} in the settings file`,
})

/** The key under which commander stores a flag: `--geo-city` → `geoCity`. */
const camelCase = (flag: string): string =>
  flag.replace(/^--/, '').replaceAll(/-([a-z])/g, (_, letter: string) => letter.toUpperCase())

/** Problems name files as an operator would: short where they are below. */
export function asSeenFromHere(path: string): string {
  const way = relative(process.cwd(), path)
  return way === '' ? '.' : way.startsWith('..') ? path : way
}

/** What a command loads by itself, as the settings name it; `dir` in place of their folder of zones. */
export function filesOf(config: Config, dir?: string) {
  const nodeSite = config['node.site']
  return {
    zones: dir ?? asSeenFromHere(config.zones),
    city: config['geo.city'],
    asn: config['geo.asn'],
    ...(existsSync(config.state) && { cache: join(config.state, 'cache') }),
    ...(nodeSite !== undefined && { nodeSite }),
  } satisfies BuildSettings
}

/** Collects the values of a repeated option. */
export const collect = (value: string, before: readonly string[]): readonly string[] => [...before, value]

/** Adds the settings and the flags of commands that talk to a node. `used`: settings that they go by besides `state`. */
export function withNodeOptions(command: Command, used: readonly SettingKey[] = []): Command {
  return withSettings(command, ['state', ...used])
    .option('--at <ADDRESS>', 'talk to another node, at its http.listen, e.g. 192.0.2.1:8053')
    .option(
      '--token-file <FILE>',
      'file with one of its tokens (default: the variable MERIDIAN_TOKEN, then http.token of these settings)',
    )
    .option('--json', 'print JSON')
}

/** The token of another node, from a file or a variable: arguments are visible to every user. Throws ControlError. */
function tokenOf({ tokenFile }: SharedFlags): string | undefined {
  if (tokenFile === undefined) return process.env[TOKEN_VARIABLE]
  try {
    const { text, fault } = decodeText(readFileSync(tokenFile))
    if (fault !== undefined) throw new Error(faultInWords(fault)[0])
    return text.trim()
  } catch (error) {
    throw new ControlError(`${tokenFile}: the token can't be read: ${String(error)}`)
  }
}

/** How to reach the node, from flags and settings. Throws ControlError. */
export function controlOf(options: SharedFlags, config: Config) {
  const token = tokenOf(options) ?? config['http.token']?.reveal()
  return {
    state: config.state,
    ...(options.at !== undefined && { at: options.at }),
    ...(token !== undefined && { token }),
    authorities: config['tls.ca'],
    json: options.json === true,
  }
}

/** Text for a terminal: of a link in Markdown only its name, and the file if it is another. */
export const withoutLinks = (text: string): string =>
  text.replaceAll(/\[([^[\]]{1,80})\]\(([^()#]{0,80})[^()]{0,80}\)/g, (_, name: string, file: string) =>
    file === '' ? `“${name}” in docs/settings.md` : name === file ? `docs/${file}` : `${name} (docs/${file})`,
  )
