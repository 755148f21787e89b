/**
 * The command line as data: every command with its arguments, options and examples, read from the parser. Manual pages
 * (`npm run manual`) and completion (completion.ts) are made of it, and docs/commands.md is held to it, so that none of
 * them says what `--help` does not.
 */
import type { Argument, Command, Option } from 'commander'
import { flagOf, SETTING_KEYS, SETTINGS } from '../config.ts'
import { examplesOf, SETTINGS_GROUP } from './options.ts'

/** What a shell offers for a value: these words, names of files, of folders, or nothing. */
export type Values = readonly string[] | 'file' | 'folder' | undefined

/** An argument by its place. */
export interface ArgumentRow {
  /** As the usage has it: `<NAME>`, `[DIR]`, `<PATTERN...>`. */
  readonly form: string
  readonly meaning: string
  readonly repeated: boolean
  readonly values: Values
}

/** An option that the help of its command shows. */
export interface OptionRow {
  /** As the help has it: `-c, --config <FILE>`. */
  readonly form: string
  readonly flags: readonly string[]
  readonly meaning: string
  /** Whether a word follows that is its value: `maybe`, as in `--watch [SECONDS]`, if it is not an option. */
  readonly takesValue: 'always' | 'maybe' | 'never'
  /** What its value is called: `FILE`; `OLD` and `NEW` of `--geo <OLD NEW...>`; empty: it takes none. */
  readonly valueNames: readonly string[]
  readonly values: Values
  /** The value without it; undefined: none, or one that the meaning tells. */
  readonly byDefault: string | undefined
  /** A setting that the command goes by: meridian.yaml(5) says more of it. */
  readonly isSetting: boolean
}

/** A command, or a word that groups commands: `meridian prober`. */
export interface CommandPage {
  /** Behind `meridian`; empty: the program. */
  readonly words: readonly string[]
  readonly usage: string
  readonly summary: string
  readonly description: string
  readonly arguments: readonly ArgumentRow[]
  readonly options: readonly OptionRow[]
  readonly examples: readonly string[]
  /** The next words that lead to commands. */
  readonly commands: readonly string[]
}

/** All pages, the program's first, each group before its commands. */
export function pagesOf(command: Command, before?: readonly string[]): readonly CommandPage[] {
  const words = before === undefined ? [] : [...before, command.name()]
  const help = command.createHelp()
  const page: CommandPage = {
    words,
    usage: ['meridian', ...words, ...command.usage().split(' ')].filter((word) => word !== '').join(' '),
    summary: command.summary(),
    description: command.description() || command.summary(),
    arguments: command.registeredArguments.map(argumentRow),
    options: help.visibleOptions(command).map(optionRow),
    examples: examplesOf(command),
    commands: command.commands.map((sub) => sub.name()),
  }
  return [page, ...command.commands.flatMap((sub) => pagesOf(sub, words))]
}

/** The commands among pages: what can be run. */
export const commandsAmong = (pages: readonly CommandPage[]): readonly CommandPage[] =>
  pages.filter(({ words, commands }) => words.length > 0 && commands.length === 0)

function argumentRow(argument: Argument): ArgumentRow {
  const { description, variadic, required, argChoices } = argument
  const name = `${argument.name()}${variadic ? '...' : ''}`
  return {
    form: required ? `<${name}>` : `[${name}]`,
    meaning: description,
    repeated: variadic,
    values: argChoices ?? (/^(?:DIR|OLD|NEW)$/.test(argument.name()) ? 'folder' : valuesNamed(argument.name())),
  }
}

function optionRow(option: Option): OptionRow {
  const { flags, short, long, description, required, optional, argChoices, defaultValue } = option
  const key = option.helpGroupHeading === SETTINGS_GROUP ? settingOf(long) : undefined
  const isPlain = typeof defaultValue === 'string'
  const placeholder = required || optional ? flags.slice(flags.search(/[<[]/) + 1, -1) : ''
  const valueNames = placeholder.split(/[ .]/).filter((name) => name !== '')
  return {
    form: flags,
    flags: [short, long].filter((flag) => flag !== undefined),
    meaning: description,
    takesValue: required ? 'always' : optional ? 'maybe' : 'never',
    valueNames,
    values: argChoices ?? (key === undefined ? valuesNamed(valueNames[0]) : valuesOfType(SETTINGS[key].type)),
    byDefault: isPlain ? defaultValue : undefined,
    isSetting: key !== undefined,
  }
}

const settingOf = (flag: string | undefined) => SETTING_KEYS.find((key) => flagOf(key) === flag)

/** What the placeholder of a value says of it. */
const valuesNamed = (name: string | undefined): Values =>
  name === 'FILE' || name === 'OLD' || name === 'PATH' ? 'file' : name === 'DIR' ? 'folder' : undefined

/** What the type of a setting says of its values: `a folder`, `a PEM file, or …`; words between backticks, and nothing else. */
function valuesOfType(type: string): Values {
  if (type.startsWith('a folder')) return 'folder'
  if (/^a (?:PEM )?file\b|^a Unix socket/.test(type)) return 'file'
  const words = type.split(/, | or /)
  return words.every((word) => /^`[a-z]+`$/.test(word)) ? words.map((word) => word.slice(1, -1)) : undefined
}
