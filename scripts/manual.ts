/**
 * `npm run manual [-- FOLDER]`: the manual pages, in man/ of dist/ or FOLDER, and the scripts for completion beside them.
 *
 *   command line ─▶ pages ─┬▶ man/meridian.1, man/meridian-serve.1 …
 *                          └▶ completion/meridian.bash, _meridian, meridian.fish
 *   table of settings ─────▶ man/meridian.yaml.5
 *
 * They are made of what `--help` and docs/settings.md are made of, for each package anew, and are in no repository.
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { Command } from 'commander'
import { makeProgram } from '../src/cli/commands.ts'
import { completionOf } from '../src/cli/completion.ts'
import { SHELLS } from '../src/cli/formats.ts'
import { withoutLinks } from '../src/cli/options.ts'
import { EXIT_CODES, SIGNALS } from '../src/cli/outcomes.ts'
import { type CommandPage, commandsAmong, type OptionRow, pagesOf } from '../src/cli/tree.ts'
import { flagOf, SETTING_ROWS, TOKEN_VARIABLE, variableOf } from '../src/config.ts'
import { SETTINGS_FILES } from '../src/node/settings.ts'
import { VERSION } from '../src/version.ts'

/** Where each shell looks for its script, below the folder. */
export const COMPLETION_FILES = { bash: 'meridian.bash', zsh: '_meridian', fish: 'meridian.fish' } as const

/** The parser of the command line, which runs nothing. */
function parser(): Command {
  const silent = { out: () => undefined, err: () => undefined }
  return makeProgram(
    silent,
    () => Promise.resolve(),
    () => undefined,
  )
}

/** The help of a command, without its examples. */
export const helpOf = (words: readonly string[]): string =>
  words.reduce((at, word) => at.commands.find((sub) => sub.name() === word)!, parser()).helpInformation()

/** The pages of the command line of this version. */
export const commandLine = (): readonly CommandPage[] => pagesOf(parser())

/** All manual pages by the name of their file, in roff (man(7)). `day`: 2026-11-30, for their last line. */
export function manualPages(pages: readonly CommandPage[], day: string): ReadonlyMap<string, string> {
  const commands = commandsAmong(pages)
  const [program] = pages
  return new Map([
    ['meridian.1', programPage(program!, commands, day)],
    ...commands.map((page) => [`${fileOf(page)}.1`, commandPage(page, day)] as const),
    ['meridian.yaml.5', settingsPage(day)],
  ])
}

/** The names of all manual pages' files. */
export const manualFiles = (): readonly string[] => [...manualPages(commandLine(), '').keys()]

const fileOf = ({ words }: CommandPage): string => ['meridian', ...words].join('-')

// roff

/** Plain text in roff: `\`, `-` and a dot at the begin of a line mean something there. */
const escaped = (text: string): string =>
  text
    .replaceAll('\\', String.raw`\e`)
    .replaceAll('-', String.raw`\-`)
    .replaceAll(/^(?=[.'])/gm, String.raw`\&`)

/** Markdown of tables and helps: what is between backticks is bold. */
const styled = (markdown: string): string =>
  withoutLinks(markdown)
    .split('`')
    .map((part, i) => (i % 2 === 0 ? escaped(part) : String.raw`\fB${escaped(part)}\fR`))
    .join('')

/** A flag or usage: literal words are bold, what stands for something is italic. */
const formed = (form: string): string =>
  form
    .split(/([<[][^<>[\]]*[>\]](?:\.\.\.)?)/)
    .map((part) => {
      if (/^\[options\]$/.test(part)) return String.raw`[\fIoptions\fR]`
      const [, open, name] = /^([<[])(.*?)[>\]]$/.exec(part) ?? []
      if (name === undefined) return part.trim() === '' ? part : String.raw`\fB${escaped(part)}\fR`
      const told = String.raw`\fI${escaped(name)}\fR`
      return open === '[' ? `[${told}]` : told
    })
    .join('')

const heading = (title: string, section: number, day: string): string =>
  [
    String.raw`.\" Made of the command line of Meridian ${VERSION}: do not edit`,
    `.TH ${title.toUpperCase().replaceAll('-', String.raw`\-`)} ${section} ${day} "Meridian ${VERSION}" "Meridian"`,
  ].join('\n')

const section = (title: string, ...lines: readonly string[]): string => [`.SH ${title}`, ...lines].join('\n')
const item = (term: string, ...lines: readonly string[]): string => ['.TP', term, ...lines].join('\n')
const verbatim = (lines: readonly string[]): string => ['.EX', ...lines.map((line) => escaped(line)), '.EE'].join('\n')
const sentence = (text: string): string => (/[.!?]$/.test(text) ? text : `${text}.`)
const begun = (text: string): string => sentence(text.charAt(0).toUpperCase() + text.slice(1))
const references = (...names: readonly (readonly [name: string, section: number])[]): string =>
  section(
    'SEE ALSO',
    names.map(([name, number], i) => `.BR ${escaped(name)} (${number})${i < names.length - 1 ? ' ,' : ''}`).join('\n'),
  )

const optionItem = ({ form, meaning, byDefault, values }: OptionRow): string =>
  item(
    formed(form),
    begun(styled(meaning)),
    ...(typeof values === 'object' ? [`One of ${values.map((value) => String.raw`\fB${value}\fR`).join(', ')}.`] : []),
    ...(byDefault === undefined ? [] : [String.raw`Default: \fB${escaped(byDefault)}\fR.`]),
  )

function commandPage(page: CommandPage, day: string): string {
  const { usage, summary, description, arguments: args, options, examples } = page
  const own = options.filter(({ isSetting }) => !isSetting)
  const settings = options.filter(({ isSetting }) => isSetting)
  const takesAll = own.some(({ flags }) => flags.includes('--config'))
  const parts = [
    heading(fileOf(page), 1, day),
    section('NAME', `${escaped(fileOf(page))} \\- ${styled(summary)}`),
    section('SYNOPSIS', formed(usage)),
    section('DESCRIPTION', styled(description)),
    ...(args.length === 0
      ? []
      : [
          section(
            'ARGUMENTS',
            ...args.map(({ form, meaning, values }) =>
              item(
                formed(form),
                begun(styled(meaning)),
                ...(typeof values === 'object'
                  ? [`One of ${values.map((value) => String.raw`\fB${value}\fR`).join(', ')}.`]
                  : []),
              ),
            ),
          ),
        ]),
    section('OPTIONS', ...own.map(optionItem)),
    ...(takesAll
      ? [
          section(
            'SETTINGS',
            'Settings of the file, as flags. The command goes by those below, and takes all others of',
            '.BR meridian.yaml (5)',
            'that are no secrets.',
            ...settings.map(optionItem),
          ),
        ]
      : []),
    section('EXIT STATUS', 'As in', '.BR meridian (1).'),
    section('EXAMPLES', verbatim(examples)),
    references(['meridian', 1], ...(takesAll ? [['meridian.yaml', 5] as const] : [])),
  ]
  return `${parts.join('\n')}\n`
}

function programPage(page: CommandPage, commands: readonly CommandPage[], day: string): string {
  const parts = [
    heading('meridian', 1, day),
    section('NAME', `meridian \\- a global DNS load balancer`),
    section('SYNOPSIS', String.raw`\fBmeridian\fR \fIcommand\fR [\fIoptions\fR]`),
    section(
      'DESCRIPTION',
      `${styled(page.description)}.`,
      'It is authoritative for the zones that are delegated to it. Its zones, sites and services are YAML files, its own settings',
      '.BR meridian.yaml (5).',
      '.PP',
      'Each command has a manual page of its own, such as',
      '.BR meridian\\-serve (1).',
    ),
    section(
      'COMMANDS',
      ...commands.map(({ words, summary }) =>
        item(String.raw`\fBmeridian ${words.join(' ')}\fR`, begun(styled(summary))),
      ),
    ),
    section('OPTIONS', ...page.options.map(optionItem)),
    section(
      'EXIT STATUS',
      ...EXIT_CODES.map(([code, meaning]) => item(String.raw`\fB${code}\fR`, begun(styled(meaning)))),
    ),
    section(
      'SIGNALS',
      'A running node or prober:',
      ...SIGNALS.map(([names, effect]) => item(String.raw`\fB${names}\fR`, begun(styled(effect)))),
    ),
    section(
      'ENVIRONMENT',
      item(String.raw`\fBMERIDIAN_\fR\fISETTING\fR`, 'Any setting: see', '.BR meridian.yaml (5).'),
      item(String.raw`\fB${TOKEN_VARIABLE}\fR`, String.raw`The token for commands with \fB\-\-at\fR.`),
    ),
    section(
      'FILES',
      item(String.raw`\fI${SETTINGS_FILES.at(-1)!}\fR`, 'The settings.'),
      item(
        String.raw`\fI/var/lib/meridian\fR`,
        'The state folder, where the settings name it: saved health, compiled maps, the control socket.',
      ),
    ),
    references(...commands.map((command) => [fileOf(command), 1] as const), ['meridian.yaml', 5]),
  ]
  return `${parts.join('\n')}\n`
}

function settingsPage(day: string): string {
  const rows = SETTING_ROWS.map(([key, { type, default: byDefault, defaultInWords, meaning }]) =>
    item(
      String.raw`\fB${escaped(key)}\fR`,
      begun(styled(meaning)),
      '.br',
      `Type: ${sentence(styled(type))}`,
      ...(defaultInWords !== undefined
        ? [`Default: ${sentence(styled(defaultInWords))}`]
        : byDefault.length > 0
          ? [`Default: ${byDefault.map((value) => String.raw`\fB${escaped(value)}\fR`).join(', ')}.`]
          : []),
    ),
  )
  const parts = [
    heading('meridian.yaml', 5, day),
    section('NAME', 'meridian.yaml \\- settings of Meridian'),
    section(
      'DESCRIPTION',
      'Nodes, probers and commands read their settings from a file, from variables of the environment and from flags; later ones win, and a list replaces a list.',
      String.raw`The file is the one that \fB\-c\fR names, else \fImeridian.yaml\fR in the working directory, else \fI${SETTINGS_FILES.at(-1)!}\fR.`,
      'Paths in it are relative to the file.',
      '.PP',
      String.raw`\fBhttp: {listen: \fR...\fB}\fR and \fBhttp.listen:\fR ... are the same.`,
      String.raw`The variable of \fBhttp.listen\fR is \fB${variableOf('http.listen')}\fR, its flag \fB${escaped(flagOf('http.listen'))}\fR; both take lists with commas.`,
      'Secrets have no flags, because every user of a machine sees the arguments of its processes.',
    ),
    section('SETTINGS', ...rows),
    section(
      'EXAMPLES',
      verbatim([
        'zones: /etc/meridian/zones',
        'state: /var/lib/meridian',
        'geo.city: /var/lib/GeoIP/GeoLite2-City.mmdb',
        'node: {name: fra1, site: fra}',
        'redis: rediss://redis.example.net:6379',
      ]),
    ),
    references(['meridian', 1], ['meridian-serve', 1], ['meridian-check', 1]),
  ]
  return `${parts.join('\n')}\n`
}

/** Writes man/ and completion/ into a folder. */
export function writeManual(folder: string): void {
  const seconds = process.env['SOURCE_DATE_EPOCH']
  const day = (seconds === undefined ? new Date() : new Date(1000 * Number(seconds))).toISOString().slice(0, 10)
  const pages = commandLine()
  for (const name of ['man', 'completion']) {
    rmSync(join(folder, name), { recursive: true, force: true })
    mkdirSync(join(folder, name), { recursive: true })
  }
  for (const [file, text] of manualPages(pages, day)) writeFileSync(join(folder, 'man', file), text)
  for (const shell of SHELLS)
    writeFileSync(join(folder, 'completion', COMPLETION_FILES[shell]), completionOf(shell, pages))
}

if (import.meta.main) writeManual(resolve(process.argv[2] ?? join(import.meta.dirname, '../dist')))
