/**
 * A plan as a comment on a pull request: the headline and a line for each service, with all else folded away. Called by
 * plan.ts. Never longer than GitHub allows; a last line says what is left out. Equal plans give equal texts.
 */
import type { NameMoves, Plan } from '../../plan/plan.ts'
import type { NamedChange } from '../../world/services.ts'
import type { MeasuredMoves, PlaceMoves } from '../../traffic/moves.ts'
import { measureInWords } from '../../traffic/words.ts'
import { grouped } from '../../units.ts'
import { restInWords } from '../output.ts'
import {
  brakeInWords,
  budgetInWords,
  changeInWords,
  deathInWords,
  headlineOf,
  namesInWords,
  placeRows,
  sentenceOf,
  signOf,
  siteRows,
  steeringInWords,
  WEIGHING,
} from './plan.ts'

/** The most characters of a comment on GitHub (GitLab allows more), and below how many stay free for the last line. */
export const MOST_CHARACTERS = 65_536
const RESERVED = 300

const MOST_RECORDS = 200
const MOST_COUNTRIES = 25
const MOST_LINES = 30

/** A plan as Markdown. */
export function planInMarkdown(plan: Plan): string {
  if (plan.quiet) return `**Meridian:** ${headlineOf(plan)}\n`
  const { moves, records, sites, services, drills, zones, budgets, braked, dead } = plan
  const sentences = moves.map(
    (move) => `- **${escape(steeringInWords(move))}** (${move.types.join(', ')}): ${escape(sentenceOf(move))}`,
  )
  const changes = [
    ...zones.added.map((zone) => `- zone ${code(zone)} added`),
    ...zones.removed.map((zone) => `- zone ${code(zone)} removed`),
    ...sites.flatMap((site) => changeLines('site', site)),
    ...services.flatMap((service) => changeLines('service', service)),
    ...drills.flatMap((drill) => changeLines('drill', drill)),
    ...budgets.map((budget) => `- ${escape(budgetInWords(budget))}`),
    ...dead.map((service) => `- ${escape(deathInWords(service))}`),
    ...braked.map((brake) => `- ${escape(brakeInWords(brake))}`),
  ]
  const sections = [
    ...(changes.length === 0
      ? []
      : [details(`What changes (${grouped(changes.length)})`, firstOf(changes, 200).join('\n'))]),
    ...moves.map((move) =>
      details(`Clients of ${escape(steeringInWords(move))} (${move.types.join(', ')})`, moveInMarkdown(move)),
    ),
    ...(records.list.length === 0 ? [] : [details(`Records`, recordsInMarkdown(plan))]),
  ]
  const head = [`**Meridian:** ${escape(headlineOf(plan))}`, '', ...firstOf(sentences, MOST_LINES), ''].join('\n')
  const foot = moves.length === 0 ? '' : `\n<sub>${WEIGHING[plan.weighing]}</sub>\n`
  return fit(head, sections, foot)
}

/** The problems as Markdown, if there is no plan. */
export function problemsInMarkdown(problems: readonly string[]): string {
  const lines = problems.map((problem) => `- ${problem.split('\n').map(escape).join('<br>')}`)
  const listed = firstOf(lines, MOST_LINES).join('\n')
  return `**Meridian:** there are errors, so there is no plan\n\n${listed.slice(0, MOST_CHARACTERS - RESERVED)}`
}

/** Joins the sections that fit, in order, and says how many do not. */
function fit(head: string, sections: readonly string[], foot: string): string {
  let text = head
  let left = 0
  for (const section of sections) {
    if (text.length + section.length + foot.length + RESERVED <= MOST_CHARACTERS) text += section
    else left++
  }
  const missing =
    left === 0
      ? ''
      : `\n${left} more sections are too long for a comment: \`meridian plan --format json\` has them all.\n`
  return `${text}${missing}${foot}`
}

const details = (summary: string, body: string): string =>
  `\n<details><summary>${summary}</summary>\n\n${body}\n\n</details>\n`

function changeLines(what: string, { name, change, details: found }: NamedChange): readonly string[] {
  if (change !== 'changed')
    return [`- ${what} ${code(name)} ${change}${found.map((one) => `: ${escape(one)}`).join('')}`]
  return [`- ${what} ${code(name)}: ${found.map(escape).join('; ')}`]
}

const firstOf = (lines: readonly string[], most: number): readonly string[] => [
  ...lines.slice(0, most),
  ...restInWords(lines.length - most).map((rest) => `- ${rest}`),
]

function moveInMarkdown(move: NameMoves): string {
  return [
    `${grouped(move.names.count)} ${move.names.count === 1 ? 'name' : 'names'}: ${namesInWords(move.names).split(', ').map(escape).join(', ')}`,
    ...move.measures.map(measureInMarkdown),
  ].join('\n\n')
}

function measureInMarkdown(measure: MeasuredMoves): string {
  const places = (what: string, those: readonly PlaceMoves[]): readonly string[] => {
    if (those.length === 0) return []
    const head = [what, 'clients', 'move', 'from → to']
    return [tableOf(head, placeRows(those, MOST_COUNTRIES)), ...restInWords(those.length - MOST_COUNTRIES)]
  }
  return [
    `**${measureInWords(measure)}**`,
    tableOf(['site', 'load before', 'load after', 'capacity', 'load / capacity before', 'after'], siteRows(measure)),
    ...places('continent', measure.continents),
    ...places('country', measure.countries),
  ].join('\n\n')
}

function recordsInMarkdown({ records }: Plan): string {
  const lines = records.list.slice(0, MOST_RECORDS).map((one) => {
    const sign = { '+': 'added', '-': 'removed', '~': 'changed' }[signOf(one)]
    return [sign, code(one.name), one.type, code(changeInWords(one))]
  })
  const left = records.list.length + records.leftOut - lines.length
  return [tableOf(['', 'name', 'type', 'what'], lines, (cell) => cell), ...restInWords(left)].join('\n\n')
}

function tableOf(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  cellOf: (text: string) => string = escape,
): string {
  return [rowOf(head), rowOf(head.map(() => '---')), ...rows.map((row) => rowOf(row.map(cellOf)))].join('\n')
}

const rowOf = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`

/** Escapes text of zone files, so that Markdown and HTML show it as it is. */
const escape = (text: string): string =>
  text.replaceAll(/[\\`*_{}[\]<>&#|~@\p{C}]/gu, (character) => `&#${character.codePointAt(0)};`)

const code = (text: string): string => `<code>${escape(text)}</code>`
