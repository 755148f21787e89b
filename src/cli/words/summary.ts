/**
 * The summary of a node in words: one screen of `meridian status`. What is hurt comes first, by site; then services,
 * overrides, the last changes and the fleet, each as long as the screen has room for. Lines have at most 100 columns.
 */
import { actionInWords } from '../../api/override.ts'
import type { RecentChange } from '../../api/recent.ts'
import type { ProbingSummary, ServiceSummary, SiteSummary, SiteWound, Summary } from '../../api/summary.ts'
import { remedyInWords } from '../../health/dissent.ts'
import type { Wound } from '../../health/wound.ts'
import { count, DAY_MS, formatAge, formatWholePercent, grouped, someOf } from '../../units.ts'
import { clip, SCREEN_ROWS, sinceInWords, table, untilInWords, wrap } from '../output.ts'
import { announceInWords } from './announce.ts'
import { freezeInWords, nextDrillInWords, silenceInWords, silentNodes, skewedNodes } from './fleet.ts'
import { loadInWords, processInWords, storeInWords } from './process.ts'

const COLUMNS = 100

/** The summary in words. `rows`: of the screen. */
export function summaryInWords(seen: Summary, rows = SCREEN_ROWS): string {
  const { node, sites, load, hurt, changes } = seen
  return fit(
    [
      { least: 2, lines: processInWords(node).flatMap(linesOf), more: 'status --all' },
      { least: 2, lines: announceInWords(seen.announce).flatMap(linesOf), more: 'status --all' },
      { least: 3, lines: causesOf(seen), more: 'status --all' },
      { least: 4, lines: sites.flatMap(siteLines), more: 'status --hurt' },
      { least: 3, lines: attentionOf(seen), more: 'status --all' },
      { least: 2, lines: isQuiet(load) ? [] : loadInWords(load).flatMap(linesOf), more: 'status --all' },
      { least: 2, lines: servedLines(seen), more: 'status --all' },
      {
        least: 2,
        title: servicesTitle(seen),
        lines: serviceLines(seen),
        total: Math.max(1, hurt.services),
        more: 'status --hurt',
      },
      { least: 1, title: 'overrides', lines: overrideLines(seen), more: 'status --all' },
      { least: 1, title: 'last changes', lines: changes.map((change) => changeLine(change)) },
    ],
    rows - 1, // the last row is the prompt's
  )
}

const linesOf = (text: string): string[] => text.split('\n')

/** The last load has nothing to say. */
const isQuiet = (load: Summary['load']): boolean => load === null || (load.ok && load.problems.length === 0)

/** A part of the screen. */
export interface Section {
  /** A line above it, which tells what is left out; undefined: none, and no empty line before it. */
  readonly title?: string
  readonly lines: readonly string[]
  /** How many lines it would have; more than `lines` where not all are known here. */
  readonly total?: number
  /** How many lines it has in any case, if it has so many. */
  readonly least: number
  /** The command with the lines that the screen has no room for; undefined: they need not be told. */
  readonly more?: string
}

/**
 * Lays sections out on a screen: each gets its `least` lines, and the rows that are left go to the first ones. Sections
 * without lines are left out. A screen that is too small for the least lines is exceeded.
 */
export function fit(sections: readonly Section[], rows: number): string {
  const shown = sections.filter(({ lines }) => lines.length > 0)
  const given = shown.map(({ lines, least }) => Math.min(lines.length, least))
  const titles = 2 * shown.filter(({ title }) => title !== undefined).length
  let left = rows - titles - given.reduce((sum, number) => sum + number, 0)
  for (const [i, { lines }] of shown.entries()) {
    const more = Math.max(0, Math.min(left, lines.length - given[i]!))
    given[i]! += more
    left -= more
  }
  return shown
    .flatMap(({ title, lines, total = lines.length, more }, i) => {
      const number = given[i]!
      const part = lines.slice(0, number)
      if (title !== undefined && number < total && more !== undefined)
        return ['', `${title}; ${number} of ${grouped(total)} here, all with meridian ${more}`, ...part]
      if (title !== undefined) return ['', title, ...part]
      if (number >= total || more === undefined) return part
      return [...part.slice(0, -1), `  … and ${grouped(total - number + 1)} more: meridian ${more}`]
    })
    .join('\n')
}

/** `! fra: 102 of 102 services DOWN since 02:14 UTC (2 h): connection refused (2 of 3 say down)`, one for each wound. */
const siteLines = (site: SiteSummary): string[] =>
  site.wounds.map((wound) => clip(`! ${site.site}: ${woundInWords(wound, site)}`, COLUMNS))

function woundInWords({ wound, services, whole, named, ageMs, why, reasons }: SiteWound, site: SiteSummary): string {
  const what = WOUND_WORDS[wound]
  const isAll = whole === services
  const number = `${services} of ${count(site.services, 'service')}`
  const whom = isAll ? `${number} ${what}` : `${number} with a VIP ${what}`
  const names = services === site.services ? '' : ` (${someOf(named, 3, services)})`
  const others = reasons === 1 ? '' : `; ${count(reasons - 1, 'other reason')}`
  return `${whom}${names} since ${sinceInWords(ageMs)}: ${why}${others}`
}

const WOUND_WORDS: Readonly<Record<Wound, string>> = {
  down: 'DOWN',
  dissent: 'HELD UP (all votes say DOWN)',
  forced: 'FORCED down',
  braked: 'BRAKED (voted DOWN, but kept in answers)',
  frozen: 'FROZEN (against its verdict)',
  recovered: 'RECOVERED (awaits meridian return)',
  held: 'HELD (too few votes: the last verdict stands)',
  unproven: 'UNPROVEN (never seen up)',
  drained: 'DRAINED',
}

/** What stands above the sites, a line each: what explains what is said of them, and which services they take along. */
function causesOf({ store, hurt, freeze }: Summary): string[] {
  const resort = hurt.worst.filter(({ lastResort }) => lastResort).map(({ service }) => service)
  const typeless = hurt.worst.flatMap(({ service, unanswered }) => unanswered.map((type) => `${type} of ${service}`))
  const lines = [
    ...(store.trouble === null ? [] : [`${store.trouble}; the last known health stays in use`]),
    ...(freeze === null ? [] : [freezeInWords(freeze)]),
    ...(resort.length > 0 ? [`LAST RESORT: no member is usable of ${someOf(resort, 8, hurt.lastResorts)}`] : []),
    ...(typeless.length > 0 ? [`NO ADDRESS for ${someOf(typeless, 8)}: all members that have one are down`] : []),
  ]
  return lines.flatMap((line) => linesOf(wrap(line, '! ')))
}

/** What else needs an operator's attention, a line each. */
function attentionOf({ store, troubles, overrides, probers, nodes, sites }: Summary): string[] {
  const orphaned = overrides.filter((override) => override.orphaned).map(({ override }) => override.pattern)
  const overlong = overrides.filter((override) => override.overlong).map(({ override }) => override.pattern)
  const silent = probers
    .filter(({ live }) => !live)
    .map(({ prober }) => prober)
    .toSorted()
  const others = nodes.filter(({ live, self }) => live && !self)
  const view = others.filter(({ viewDiffersMs }) => viewDiffersMs > 0).map(({ beat }) => beat.node.name)
  const verdicts = others.filter(({ verdictsDifferMs }) => verdictsDifferMs > 0).map(({ beat }) => beat.node.name)
  const gone = store.trouble === null ? silentNodes(nodes) : [] // without Redis everyone is silent
  const skewed = skewedNodes(nodes)
  const held = sites.flatMap((site) => {
    const wound = site.wounds.find((one) => one.wound === 'dissent')
    if (wound === undefined) return []
    const isWhole = wound.services === site.services && wound.whole === wound.services
    return [{ site: site.site, pattern: isWhole ? site.site : `${site.site}/${wound.named[0]}` }]
  })
  const lines = [
    ...(held.length > 0 ? [heldUpInWords(held, silent, store.trouble !== null)] : []),
    ...troubles,
    ...(orphaned.length > 0 ? [`overrides ORPHANED (they match no member): ${someOf(orphaned, 8)}`] : []),
    ...(overlong.length > 0 ? [`overrides that last LONGER than overrides.maxFor: ${someOf(overlong, 8)}`] : []),
    ...(store.trouble === null && silent.length > 0 ? [silenceInWords('prober', someOf(silent, 8))] : []),
    ...(gone.length > 0 ? [silenceInWords('node', someOf(gone, 4))] : []),
    ...(skewed.length > 0 ? [`nodes whose CLOCK differs from this one's: ${someOf(skewed, 4)}`] : []),
    ...(view.length > 0
      ? [`nodes that serve other zones, databases or versions than this one: ${someOf(view, 6)}`]
      : []),
    ...(verdicts.length > 0 ? [`nodes with other verdicts than this one: ${someOf(verdicts, 6)}`] : []),
  ]
  return lines.flatMap((line) => linesOf(wrap(line, '! ')))
}

const heldUpInWords = (
  held: readonly { readonly site: string; readonly pattern: string }[],
  silent: readonly string[],
  isCutOff: boolean,
): string => {
  const sites = someOf(
    held.map(({ site }) => site),
    8,
  )
  return `HELD UP for lack of votes: ${sites}. ${remedyInWords(silent, held[0]!.pattern, 'down', isCutOff)}`
}

/** What is served, by what health is known, and how much is asked. */
function servedLines({ world, load, store, probing, rates, probers, nodes, nextDrill }: Summary): string[] {
  // without Redis nobody is heard, not even this node itself
  const live = (those: readonly { readonly live: boolean }[]): string =>
    store.trouble === null ? `${those.filter(isLive).length} of ${those.length} live` : `${those.length}, not heard now`
  const fleet = [
    ...(probers.length > 0 ? [`probers ${live(probers)}`] : []),
    ...(nodes.length > 0 ? [`nodes ${live(nodes)}`] : []),
  ]
  const sites = rates.sites.map(({ site, answersPerSecond }) => `${site || 'none'} ${rateInWords(answersPerSecond)}`)
  const stages = rates.stages.filter(({ stage }) => stage !== 'nearest')
  const answers = [
    ...(sites.length === 0 ? [] : [`answers/s by site: ${someOf(sites, 10)}`]),
    ...(stages.length === 0
      ? []
      : [
          `not at the nearest: ${stages.map(({ stage, answersPerSecond }) => `${stage} ${rateInWords(answersPerSecond)}`).join(', ')}`,
        ]),
  ]
  const health = [
    ...(store.trouble === null ? [storeInWords(store)] : []),
    probing === null ? 'not probing itself' : probingInWords(probing),
    ...fleet,
  ]
  const loaded = load === null ? [] : [`loaded ${formatAge(1000 * load.agoSeconds)} ago`]
  const served =
    world === null
      ? []
      : [
          [
            `serving ${count(world.zones, 'zone')}, ${grouped(world.names)} names`,
            ...(world.revision === null ? [] : [`revision ${world.revision}`]),
            `serial ${world.serial}`,
            ...(isQuiet(load) ? loaded : []),
          ].join(', '),
        ]
  return [
    ...served,
    [`${rateInWords(rates.queriesPerSecond)} queries/s`, ...answers].join('; '),
    health.join('; '),
    ...nextDrillInWords(nextDrill),
  ].flatMap((line) => linesOf(wrap(line)))
}

/** `probing 12 of 30 targets, 2 being handed over, 1 OVERDUE` */
const probingInWords = ({ assigned, planned, leaving, overdue }: ProbingSummary): string =>
  [
    `probing ${assigned} of ${count(planned, 'target')}`,
    ...(leaving === 0 ? [] : [`${leaving} being handed over`]),
    ...(overdue === 0 ? [] : [`${overdue} OVERDUE`]),
  ].join(', ')

const isLive = ({ live }: { readonly live: boolean }): boolean => live

const rateInWords = (rate: number): string => (rate < 10 ? String(rate) : grouped(rate))

const servicesTitle = ({ services, members, hurt }: Summary): string => {
  const well = services - hurt.services
  const all = `${count(services, 'service')}, ${count(members, 'member')}`
  return hurt.services === 0 ? `${all}: all well` : `${all}: ${grouped(well)} well, ${grouped(hurt.services)} hurt`
}

function serviceLines({ services, hurt }: Summary): string[] {
  if (services === 0) return []
  if (hurt.services === 0) return ['  details of one: meridian status SERVICE']
  return linesOf(table(hurt.worst.map(serviceRow), '  ')).map((row) => clip(row, COLUMNS))
}

const serviceRow = ({
  service,
  leftPercent,
  keepPercent,
  lastResort,
  unanswered,
  wounds,
}: ServiceSummary): string[] => [
  service,
  `${formatWholePercent(leftPercent)} left`,
  keepPercent === 0 ? 'no brake' : `keep ${formatWholePercent(keepPercent)}`,
  [
    ...(lastResort ? ['LAST RESORT'] : []),
    ...unanswered.map((type) => `NO ADDRESS for ${type}`),
    ...wounds.map(
      ({ wound, sites }) => `${wound === 'dissent' ? 'HELD UP' : wound.toUpperCase()}: ${someOf(sites, 4)}`,
    ),
  ].join('; '),
]

const overrideLines = ({ overrides }: Summary): string[] =>
  overrides.map(({ override, members }) => {
    const { pattern, who, why } = override
    const whom = `(${count(members, 'member')}) by ${who} ${untilInWords(override)}`
    return clip(`  ${pattern} ${actionInWords(override)} ${whom}: ${why}`, COLUMNS)
  })

/** `  02:14:05 fra: 102 members are down (up before): connection refused (2 of 3 say down)` */
function changeLine(change: RecentChange, nowMs = Date.now()): string {
  const at = new Date(change.atMs).toISOString()
  const when = nowMs - change.atMs < DAY_MS ? at.slice(11, 19) : at.slice(0, 16).replace('T', ' ')
  if (change.kind === 'event') return clip(`  ${when} ${change.what}`, COLUMNS)
  const { site, members, member, before, after, braked, why } = change
  const who = members === 1 ? `${member} is` : `${site}: ${members} members are`
  const what = braked ? 'kept by the BRAKE' : after === 'down' ? 'DOWN' : after
  return clip(`  ${when} ${who} ${what} (${before} before): ${why}`, COLUMNS)
}
