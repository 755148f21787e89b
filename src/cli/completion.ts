/**
 * `meridian completion SHELL`: what a shell needs to complete the command line. The script has all words in it, so a
 * key press starts no process. It is made of the command line's tree; the Debian package brings all three.
 */
import { VERSION } from '../version.ts'
import type { Shell } from './formats.ts'
import type { CommandPage, OptionRow, Values } from './tree.ts'

/** The script for a shell, to be sourced, or put where the shell looks for it. */
export function completionOf(shell: Shell, pages: readonly CommandPage[]): string {
  const told = `# ${shell} completion of meridian ${VERSION}, written by: meridian completion ${shell}\n`
  switch (shell) {
    case 'bash':
      return told + bash(pages)
    case 'zsh':
      return `#compdef meridian\n${told}${zsh(pages)}`
    case 'fish':
      return told + fish(pages)
    default:
      return shell satisfies never
  }
}

const wayOf = ({ words }: CommandPage): string => words.join(' ')
const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`
const isList = (values: Values): values is readonly string[] => typeof values === 'object'
/**
 * The flags that no value follows, of all commands: a flag means the same wherever it is. All others take one, also those
 * of settings that a help leaves out.
 */
const plainFlags = (pages: readonly CommandPage[]): readonly string[] => [
  ...new Set(
    pages.flatMap(({ options }) =>
      options.filter(({ takesValue }) => takesValue === 'never').flatMap(({ flags }) => flags),
    ),
  ),
]
/** What commands and options are called in a list of the shell: the first sentence, without Markdown. */
const brief = (text: string): string => text.replaceAll('`', '').replace(/[.;:] .*/, '')

/** The values of each argument by its place, and of all behind them; a group's first argument is a command. */
function placesOf({
  arguments: args,
  commands,
}: CommandPage): readonly { readonly place: string; readonly values: Values }[] {
  if (commands.length > 0) return [{ place: '0', values: commands }]
  return args.flatMap(({ values, repeated }, place) => [
    { place: String(place), values },
    ...(repeated ? [{ place: '*', values }] : []),
  ])
}

// bash: the function knows how far the line is (a command, an open option, the number of arguments), and a table of
// cases has the words for it

const bashReply = (values: Exclude<Values, undefined>): string =>
  isList(values) ? `_meridian_words ${quoted(values.join(' '))}` : `_meridian_files ${values === 'file' ? '-f' : '-d'}`

const caseOf = (labels: readonly string[], values: Values): string =>
  values === undefined ? '' : `    ${labels.join(' | ')}) ${bashReply(values)} ;;\n`
const label = (page: CommandPage, flag: string): string => quoted(`${wayOf(page)} ${flag}`)

function bash(pages: readonly CommandPage[]): string {
  const rows = pages.flatMap((page) => [
    ...page.options.map(({ flags, values }) =>
      caseOf(
        flags.map((flag) => label(page, flag)),
        values,
      ),
    ),
    caseOf(
      [label(page, '-')],
      page.options.flatMap(({ flags }) => flags),
    ),
    ...placesOf(page).map(({ place, values }) =>
      caseOf([place === '*' ? `${label(page, '')}*` : label(page, place)], values),
    ),
  ])
  const ways = pages.filter(({ words }) => words.length > 0).map((page) => quoted(` ${wayOf(page)}`))
  return `_meridian_words() {
  mapfile -t COMPREPLY < <(compgen -W "$1" -- "$cur")
}
_meridian_files() {
  mapfile -t COMPREPLY < <(compgen "$1" -- "$cur")
  compopt -o filenames 2>/dev/null
}
# $1: the command and an option whose value is wanted, or "-" for any option, or the number of arguments so far
_meridian_reply() {
  case $1 in
${rows.join('')}  esac
}
_meridian() {
  local cur=\${COMP_WORDS[COMP_CWORD]} way='' place=0 open='' word i
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=\${COMP_WORDS[i]}
    case $word in
      =) continue ;;
      :*) # bash cuts 192.0.2.1:53 into three
        ((i++))
        continue
        ;;
      ${plainFlags(pages).join(' | ')})
        open=''
        continue
        ;;
      -*)
        open="$way $word"
        continue
        ;;
    esac
    if [[ $open ]]; then
      open=''
      continue
    fi
    case "$way $word" in
      ${ways.join(' | ')}) way+=" $word" ;;
      *) ((place++)) ;;
    esac
  done
  way=\${way# }
  [[ $cur == = ]] && cur=''
  if [[ $open && $cur != -* ]]; then
    _meridian_reply "\${open# }"
  elif [[ $cur == -* ]]; then
    _meridian_reply "$way -"
  else
    _meridian_reply "$way $place"
  fi
}
complete -F _meridian meridian
`
}

// zsh: a function for each command, called as its word comes

const zshText = (text: string): string => brief(text).replaceAll(/[[\]:\\]/g, String.raw`\$&`)

function zshAction(values: Values): string {
  if (isList(values)) return `(${values.join(' ')})`
  return values === undefined ? ' ' : values === 'file' ? '_files' : '_files -/'
}

function zshOption({ flags, meaning, takesValue, valueNames, values }: OptionRow): readonly string[] {
  const colons = takesValue === 'maybe' ? '::' : ':'
  const value = valueNames.map((name) => `${colons}${name}:${zshAction(values)}`).join('')
  return flags.map((flag) => {
    const repeats = takesValue === 'never' ? `(${flags.join(' ')})` : '*'
    const joined = takesValue === 'never' ? '' : flag.startsWith('--') ? '=' : '+'
    return quoted(`${repeats}${flag}${joined}[${zshText(meaning)}]${value}`)
  })
}

const functionOf = (words: readonly string[]): string => ['_meridian', ...words].join('_')

function zsh(pages: readonly CommandPage[]): string {
  const summaries = new Map(pages.map((page) => [wayOf(page), page.summary]))
  const functions = pages.map((page) => {
    const { words, commands, options, arguments: args } = page
    const specs = options.flatMap(zshOption)
    if (commands.length === 0) {
      const places = args.map(({ form, values, repeated }, i) => {
        const name = form.replaceAll(/[<>[\].]/g, '')
        return quoted(`${repeated ? '*' : i + 1}:${name}:${zshAction(values)}`)
      })
      return [
        `${functionOf(words)}() {`,
        `  _arguments -s -S \\`,
        ...[...specs, ...places].map((spec) => `    ${spec} \\`),
        '',
        '}',
      ]
    }
    const described = commands.map((word) => quoted(`${word}:${brief(summaries.get([...words, word].join(' '))!)}`))
    return [
      `${functionOf(words)}() {`,
      '  local context state state_descr line',
      '  local -A opt_args',
      '  _arguments -C \\',
      ...specs.map((spec) => `    ${spec} \\`),
      "    '1: :->command' '*:: :->rest'",
      '  case $state in',
      '    command)',
      '      local -a commands=(',
      ...described.map((text) => `        ${text}`),
      '      )',
      "      _describe -t commands 'command' commands",
      '      ;;',
      '    rest)',
      '      case $words[1] in',
      ...commands.map((word) => `        ${word}) ${functionOf([...words, word])} ;;`),
      '      esac',
      '      ;;',
      '  esac',
      '}',
    ]
  })
  return `${functions.flat().join('\n')}
if [[ $funcstack[1] == _meridian ]]; then
  _meridian "$@"
else
  compdef _meridian meridian
fi
`
}

// fish: a line for each option and argument, with the place in the line as its condition

function fishValues(values: Values): string {
  if (isList(values)) return ` -x -a ${fishQuoted(values.join(' '))}`
  if (values === undefined) return ' -x'
  return values === 'file' ? ' -r -F' : " -x -a '(__fish_complete_directories)'"
}

const fishQuoted = (text: string): string => `'${text.replaceAll(/['\\]/g, String.raw`\$&`)}'`

function fish(pages: readonly CommandPage[]): string {
  const lines = pages.flatMap((page) => {
    const at = (place: string): string =>
      `complete -c meridian -n ${fishQuoted(`__meridian_at "${wayOf(page)}"${place}`)}`
    const options = page.options.map(({ flags, meaning, takesValue, values }) => {
      const named = flags.map((flag) => (flag.startsWith('--') ? `-l ${flag.slice(2)}` : `-s ${flag.slice(1)}`))
      const value = takesValue === 'always' ? fishValues(values) : ''
      return `${at('')} ${named.join(' ')}${value} -d ${fishQuoted(brief(meaning))}`
    })
    const args = placesOf(page).flatMap(({ place, values }) => {
      if (values === undefined) return []
      if (page.commands.length === 0)
        return [`${at(place === '*' ? '' : ` ${place}`)}${fishValues(values).replace(' -x', '')}`]
      return page.commands.map((word) => {
        const { summary } = pages.find(({ words }) => words.join(' ') === [...page.words, word].join(' '))!
        return `${at(' 0')} -a ${word} -d ${fishQuoted(brief(summary))}`
      })
    })
    return [...options, ...args]
  })
  const ways = pages.filter(({ words }) => words.length > 0).map((page) => fishQuoted(wayOf(page)))
  return `# whether the line is at this command, and with $argv[2] at its argument of this number, from 0
function __meridian_at
  set -l way
  set -l place 0
  set -l open 0
  for word in (commandline -opc)[2..-1]
    if contains -- $word ${plainFlags(pages).join(' ')}
      set open 0
    else if string match -q -- '-*' $word
      set open (string match -q -- '*=*' $word; and echo 0; or echo 1)
    else if test $open = 1
      set open 0
    else if contains -- (string join ' ' $way $word) ${ways.join(' ')}
      set way (string join ' ' $way $word)
    else
      set place (math $place + 1)
    end
  end
  test "$way" = "$argv[1]"; or return 1
  set -q argv[2]; or return 0
  test $place = $argv[2]
end
complete -c meridian -f
${lines.join('\n')}
`
}
