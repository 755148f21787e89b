/**
 * A plan as text for terminals: the headline, a sentence for each service, and short tables below it. Called by
 * plan.ts. Long lists are cut, and say by how much; --format json has everything.
 */
import type { NameMoves, Plan } from '../../plan/plan.ts'
import type { MeasuredMoves, PlaceMoves } from '../../traffic/moves.ts'
import { measureInWords } from '../../traffic/words.ts'
import { restInWords, table, wrap } from '../output.ts'
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

const MOST_RECORDS = 20
const MOST_COUNTRIES = 10
const MOST_DETAILS = 20
const MOST_MOVES = 50

/** A plan as text. */
export function planInText(plan: Plan): string {
  if (plan.quiet) return headlineOf(plan)
  const { zones, records, sites, services, drills, moves, budgets, braked, dead } = plan
  const changes = [
    ...zones.added.map((zone) => `+ zone ${zone}`),
    ...zones.removed.map((zone) => `- zone ${zone}`),
    ...[
      ...sites.map((site) => ({ what: 'site', ...site })),
      ...services.map((one) => ({ what: 'service', ...one })),
      ...drills.map((one) => ({ what: 'drill', ...one })),
    ].map(({ what, name, change, details }) =>
      change === 'changed'
        ? `~ ${what} ${name}: ${details.join('; ')}`
        : `${change === 'added' ? '+' : '-'} ${what} ${[name, ...details].join(': ')}`,
    ),
    ...budgets.map((budget) => `~ ${budgetInWords(budget)}`),
    ...dead.map((service) => `! ${deathInWords(service)}`),
    ...braked.map((brake) => `! ${brakeInWords(brake)}`),
  ]
  const listed = records.list.map((one) => [signOf(one), one.name, one.type, changeInWords(one)])
  return [
    wrap(headlineOf(plan)),
    ...some(changes, MOST_DETAILS).map((line) => wrap(line, '  ')),
    ...(listed.length === 0 ? [] : ['', ...someRows(listed, MOST_RECORDS, records.leftOut)]),
    ...some(moves, MOST_MOVES).flatMap((move) => ['', typeof move === 'string' ? move : moveInText(move)]),
    ...(moves.length === 0 ? [] : ['', `(${WEIGHING[plan.weighing]})`]),
  ].join('\n')
}

const some = <T>(lines: readonly T[], most: number): readonly (T | string)[] => [
  ...lines.slice(0, most),
  ...restInWords(lines.length - most),
]

function someRows(rows: readonly (readonly string[])[], most: number, beyond: number): readonly string[] {
  const left = rows.length + beyond - Math.min(rows.length, most)
  return [table(rows.slice(0, most), '  '), ...restInWords(left).map((rest) => `  ${rest}`)]
}

function moveInText(move: NameMoves): string {
  const head = `${steeringInWords(move)} (${namesInWords(move.names, 3)}; ${move.types.join(', ')}): ${sentenceOf(move)}`
  return [wrap(head), ...move.measures.flatMap(measureInText)].join('\n')
}

function placesInText(what: string, places: readonly PlaceMoves[], most: number): readonly string[] {
  if (places.length === 0) return []
  const head = [what, 'clients', 'move', 'from → to']
  const rest = restInWords(places.length - most).map((line) => `    ${line}`)
  return [table([head, ...placeRows(places, most, 3)], '    '), ...rest]
}

function measureInText(measure: MeasuredMoves): readonly string[] {
  const head = ['site', 'load before', 'after', 'capacity', 'load/capacity before', 'after']
  return [
    `  ${measureInWords(measure)}`,
    ...placesInText('continent', measure.continents, measure.continents.length),
    ...placesInText('country', measure.countries, MOST_COUNTRIES),
    table([head, ...siteRows(measure)], '    '),
  ]
}
