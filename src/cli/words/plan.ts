/**
 * The sentences and numbers of a plan, the same in text and in Markdown. Used by plan-text.ts, plan-markdown.ts and
 * plan.ts.
 */
import type { Names } from '../../plan/names.ts'
import type { BudgetChange, NameMoves, Plan, RecordChange, RecordChanges } from '../../plan/plan.ts'
import type { SetInWords } from '../../plan/records.ts'
import type { MeasuredMoves, PlaceMoves } from '../../traffic/moves.ts'
import { measureInWords, movesInWords } from '../../traffic/words.ts'
import { formatDuration, formatPercent, grouped, someOf } from '../../units.ts'
import { clip } from '../output.ts'

/** The headline of a plan without any change. */
export const QUIET = 'no record and no client changes'

/** The services that steer a name, before and after: `web`, `web → api`, `(static) → web`. */
export function steeringInWords({ before, after }: NameMoves): string {
  if (before === after) return before!
  return `${before ?? '(static)'} → ${after ?? '(static)'}`
}

/** Some names, and how many more: `www.example.com., api.example.com. and 12 more`. */
export const namesInWords = ({ count, some }: Names, most = some.length): string => someOf(some, most, count)

/** Which clients move: `3.2 % of IPv4 clients move: 2.9 % fra → par; 2.1 % of IPv6 clients move: …`. */
export function sentenceOf(move: NameMoves): string {
  const verb = move.random ? 'draw another site' : 'move'
  const moving = move.measures.filter(({ moved }) => moved > 0)
  const listed = moving.map(
    (measure) =>
      `${formatPercent(measure.moved)} of ${measureInWords(measure)} ${verb}: ${movesInWords(measure.moves)}`,
  )
  const unplaced = move.measures.flatMap(({ unplaced: apart, clients }) =>
    apart === null || apart.moved === 0
      ? []
      : [`of those without a place ${clients === 'ipv6' ? '(IPv6)' : '(IPv4)'}: ${movesInWords(apart.moves)}`],
  )
  const all = [...listed, ...unplaced]
  return all.length > 0 ? all.join('; ') : 'no client moves, but capacities change'
}

/** The numbers of changed records: `records: 3 added, 1 changed`; undefined if there are none. */
export function recordsInWords({ added, removed, changed }: RecordChanges): string | undefined {
  const parts = [
    ...(added > 0 ? [`${grouped(added)} added`] : []),
    ...(removed > 0 ? [`${grouped(removed)} removed`] : []),
    ...(changed > 0 ? [`${grouped(changed)} changed`] : []),
  ]
  return parts.length === 0 ? undefined : `records: ${parts.join(', ')}`
}

/** The headline: what changes most. */
export function headlineOf(plan: Plan): string {
  return `${whatIf(plan)}${plan.quiet ? QUIET : changeOf(plan)}`
}

/** `with fra down: `, so that no comment reports an assumption as a fact. */
function whatIf({ down, drain }: Plan): string {
  const supposed = [
    ...(down.length === 0 ? [] : [`${down.join(', ')} down`]),
    ...(drain.length === 0 ? [] : [`${drain.join(', ')} drained`]),
  ]
  return supposed.length === 0 ? '' : `with ${supposed.join(' and ')}: `
}

function changeOf(plan: Plan): string {
  return [mostInWords(plan), recordsInWords(plan.records)].filter((part) => part !== undefined).join('; ')
}

/** The name whose clients move the most, and how many move. */
function mostInWords({ moves, most }: Plan): string {
  const [first] = moves
  const measure = first?.measures.find(({ moved }) => moved === most)
  if (first === undefined || measure === undefined || most === 0) return 'no client moves'
  const whose = `${formatPercent(most)} of the ${measureInWords(measure)} of ${steeringInWords(first)} (${first.types.join(', ')}) move`
  return moves.length > 1 ? `${whose}, the most of ${moves.length} such changes` : whose
}

/** The sign of a changed record: added, removed or changed. */
export function signOf({ before, after }: RecordChange): '+' | '-' | '~' {
  return before === null ? '+' : after === null ? '-' : '~'
}

const MOST_VALUES = 4
/** The most characters of one value. */
const MOST_VALUE = 80

/** An RRset in words: TTL and values, `300 192.0.2.80 192.0.2.81`; for a steered name its service. */
export function setInWords(set: SetInWords, most = MOST_VALUES): string {
  if (set.service !== undefined) {
    return `steered by ${set.service}${set.ttlSeconds > 0 ? `, TTL at most ${set.ttlSeconds}` : ''}`
  }
  const listed = set.values.slice(0, most).map((value) => clip(value, MOST_VALUE))
  const more = set.values.length > most ? ` and ${grouped(set.values.length - most)} more` : ''
  return `${set.ttlSeconds} ${listed.join(' ')}${more}`
}

/** A changed record in words: `300 192.0.2.80 → 60 192.0.2.80`. */
export const changeInWords = ({ before, after }: RecordChange): string =>
  [before, after].flatMap((set) => (set === null ? [] : [setInWords(set)])).join(' → ')

/** A changed failover budget in words. */
export function budgetInWords(plan: BudgetChange): string {
  const [before, after] = [timeInWords(plan.beforeMs), timeInWords(plan.afterMs)]
  return `failover of ${plan.service} (${namesInWords(plan.names, 3)}): at worst ${before} → ${after}`
}

/** A service without a member that is up, in words. */
export const deathInWords = (service: string): string => `no member of ${service} is up: its last resort answers`

/** A service whose brake is active, in words. */
export const brakeInWords = ({ service, sites }: Plan['braked'][number]): string =>
  `the brake of ${service} (keep) leaves ${sites.join(', ')} in answers although down: too little capacity would be left`

/** A row for each site: its name, its share of clients before and after, capacity, and utilisation before and after. */
export const siteRows = ({ sites }: MeasuredMoves): readonly (readonly string[])[] =>
  sites.map(({ site, before, after, capacityBefore, capacityAfter }) => [
    site,
    formatPercent(before),
    formatPercent(after),
    capacityAfter === null ? '-' : formatPercent(capacityAfter),
    utilisation(before, capacityBefore),
    utilisation(after, capacityAfter),
  ])

/**
 * A row for each of the first `most` continents or countries: its code, its share of clients, how many move, and where.
 */
export const placeRows = (
  places: readonly PlaceMoves[],
  most: number,
  mostMoves?: number,
): readonly (readonly string[])[] =>
  places
    .slice(0, most)
    .map(({ place, clients, moved, moves }) => [
      place === '' ? '?' : place,
      formatPercent(clients),
      formatPercent(moved),
      movesInWords(moves, mostMoves),
    ])

const timeInWords = (ms: number | null): string => (ms === null ? 'never (there is no check)' : formatDuration(ms))

/** Share of clients against share of capacity: 1.00 = as much as its part. */
const utilisation = (share: number, capacity: number | null): string =>
  capacity === null || capacity === 0 ? '-' : (share / capacity).toFixed(2)

/** How clients were counted, in words. */
export const WEIGHING: Readonly<Record<Plan['weighing'], string>> = {
  addresses: 'clients are counted by the database: IPv4 by address, IPv6 by network, each as one /48 at most',
  population: 'clients are weighed by country (--population), within a country by address space',
  clients: 'clients are counted by --clients',
}
