/**
 * Options that commands share: settings as flags, how to reach a node, what to load; and what they are turned into.
 */
import { existsSync } from 'node:fs'
import { join, relative } from 'node:path'
import type { Command } from 'commander'
import type { BuildSettings } from '../answer/build.ts'
import { type Config, flagOf, givenText, SETTING_KEYS, SETTINGS, type SettingKey } from '../config.ts'
import { formatProblem } from '../problem.ts'
import type { Output } from './output.ts'
import { loadSettings, type Role, type Settings } from './settings.ts'

export interface Shared {
  readonly config?: string
  readonly json?: boolean
  readonly at?: string
  readonly token?: string
}

/** Settings were wrong; they have been told. */
export class SettingsError extends Error {}

/** Told the exit code. */
export type Ended = (code: number) => void

export function withSettings(command: Command): Command {
  command.option('-c, --config <FILE>', 'settings file (default: meridian.yaml, if it is there)')
  command.optionsGroup('Settings (docs/settings.md):')
  for (const key of SETTING_KEYS) {
    const { list, meaning } = SETTINGS[key]
    const merge = (value: string, before: string | undefined): string =>
      list && before !== undefined ? `${before},${value}` : value
    command.option(`${flagOf(key)} <VALUE>`, meaning, merge)
  }
  return command.optionsGroup('Options:')
}

/** Tells all problems; throws SettingsError when there is an error among them. */
export function settingsOf(command: Command, output: Output, role?: Role): Config {
  const { config, problems } = readSettings(command, role)
  for (const problem of problems) output.err(formatProblem(problem))
  if (config === undefined) throw new SettingsError()
  return config
}

export function readSettings(command: Command, role?: Role): Settings {
  const options: Readonly<Record<string, string | undefined>> = command.opts()
  const flags = SETTING_KEYS.flatMap((key: SettingKey) => {
    const value = options[camelCase(flagOf(key))]
    return value === undefined ? [] : [givenText(key, value, flagOf(key))]
  })
  return loadSettings({ file: options['config'], env: process.env, flags, role })
}

/** As commander names an option: `--geo-city` → `geoCity`. */
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

/** An option that may be repeated. */
export const collect = (value: string, before: readonly string[]): readonly string[] => [...before, value]

export function asksNode(command: Command): Command {
  return withSettings(command)
    .option('--at <ADDRESS>', 'ask another node, at its http.listen, e.g. 192.0.2.1:8053')
    .option('--token <TOKEN>', 'its http.token; MERIDIAN_HTTP_TOKEN without')
    .option('--json', 'machine-readable')
}

export function controlOf(options: Shared, config: Config) {
  const token = options.token ?? config['http.token']?.reveal()
  return {
    state: config.state,
    ...(options.at !== undefined && { at: options.at }),
    ...(token !== undefined && { token }),
    json: options.json === true,
  }
}
