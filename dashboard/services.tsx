/**
 * Each service: what is left of it, answers a second by site beside its capacity, beside the same hour before and by stage,
 * spill, brake and shares; and below each site its members. One long table of three kinds of rows, of which only those in sight exist.
 */
import { useEffect, useMemo, useState } from 'preact/hooks'
import type { Board, ServiceRow, ServiceSite } from '../src/api/board.ts'
import type { StageRate } from '../src/api/rates.ts'
import type { MemberStanding } from '../src/health/node-health.ts'
import { woundOf } from '../src/health/wound.ts'
import type { Ask, Seen } from './api.ts'
import { Age, Bar, LongTable, Section, Sign } from './parts.tsx'
import { patientOf } from './status.tsx'
import { count, percent, rate, time, WOUND_WORDS } from './words.ts'

type Row =
  | { readonly kind: 'service'; readonly key: string; readonly row: ServiceRow }
  | { readonly kind: 'site'; readonly key: string; readonly row: ServiceRow; readonly site: ServiceSite }
  | { readonly kind: 'member'; readonly key: string; readonly member: MemberStanding }

/** So few services show their sites unasked. */
const FEW = 12

/** What the table shows. */
interface View {
  readonly text: string
  readonly hurtOnly: boolean
  /** Services whose sites are shown or hidden against the rule. */
  readonly turned: ReadonlySet<string>
  /** SITE/SERVICE, of which members are shown; or all. */
  readonly opened: ReadonlySet<string>
  readonly all: boolean
}

const START: View = { text: '', hurtOnly: false, turned: new Set(), opened: new Set(), all: false }

function rowsOf(board: Board, view: View, members: ReadonlyMap<string, readonly MemberStanding[]>): Row[] {
  const text = view.text.trim().toLowerCase()
  return board.services.flatMap((row): Row[] => {
    const { service } = row
    const patient = patientOf(row)
    const named = text === '' || service.toLowerCase().includes(text)
    const sites = row.sites.filter(
      ({ site, wound, why }) =>
        (named || site.toLowerCase().includes(text) || why.toLowerCase().includes(text)) &&
        (!view.hurtOnly || wound !== null),
    )
    if ((view.hurtOnly && patient === undefined) || (!named && sites.length === 0)) return []
    const own: Row = { kind: 'service', key: service, row }
    const usually = board.services.length <= FEW || text !== '' || view.hurtOnly
    const open = view.all || usually !== view.turned.has(service)
    if (!open) return [own]
    return [
      own,
      ...sites.flatMap((site): Row[] => {
        const key = `${site.site}/${service}`
        const line: Row = { kind: 'site', key, row, site }
        if (!view.all && !view.opened.has(key)) return [line]
        const found = (members.get(key) ?? []).filter((member) => !view.hurtOnly || woundOf(member) !== undefined)
        return [line, ...found.map((member): Row => ({ kind: 'member', key: member.member, member }))]
      }),
    ]
  })
}

export function Services({ seen, ask }: { readonly seen: Seen; readonly ask: Ask }) {
  const { board } = seen
  const [view, setView] = useState(START)
  const members = useMembers(seen, ask, view)
  const rows = useMemo(() => rowsOf(board, view, members.of), [board, view, members])
  return (
    <Section
      id="services"
      title="Services"
      extra={
        <div class="filters">
          <input
            type="search"
            aria-label="Filter by name or reason"
            placeholder="filter"
            value={view.text}
            onInput={(event) => setView({ ...view, text: event.currentTarget.value })}
          />
          <label>
            <input
              type="checkbox"
              checked={view.hurtOnly}
              onChange={(event) => setView({ ...view, hurtOnly: event.currentTarget.checked })}
            />{' '}
            hurt only
          </label>
          <label>
            <input
              type="checkbox"
              checked={view.all}
              onChange={(event) => setView({ ...view, all: event.currentTarget.checked })}
            />{' '}
            all members
          </label>
          <span class="dim">
            {count(board.services.length, 'service')}, {count(board.summary.members, 'member')}
          </span>
        </div>
      }
    >
      <LongTable
        key={`${view.hurtOnly} ${view.text}`} // what was found is read from its begin
        label="Services"
        head={
          <>
            <span role="columnheader">service, site, member</span>
            <span role="columnheader">state</span>
            <span role="columnheader">left, answers of capacity</span>
            <span role="columnheader" class="right">
              answers/s
            </span>
            <span role="columnheader" class="right">
              a day before
            </span>
            <span role="columnheader">by stage, share, brake, why</span>
          </>
        }
        rows={rows}
        keyOf={({ key }) => key}
        classOf={({ kind }) => kind}
        render={(row) =>
          row.kind === 'service' ? (
            <ServiceCells
              row={row.row}
              atMs={seen.atMs}
              onTurn={() => setView({ ...view, turned: turn(view.turned, row.row.service) })}
            />
          ) : row.kind === 'site' ? (
            <SiteCells
              row={row.row}
              site={row.site}
              atMs={seen.atMs}
              open={view.all || view.opened.has(row.key)}
              onTurn={() => setView({ ...view, opened: turn(view.opened, row.key) })}
            />
          ) : (
            <MemberCells member={row.member} atMs={members.atMs} />
          )
        }
      />
      <BeforeNote board={board} />
      {rows.length === 0 && <p class="none">{view.text === '' ? 'Nothing is hurt.' : 'Nothing is named so.'}</p>}
    </Section>
  )
}

/** By SITE/SERVICE, and when they were received. */
interface Members {
  readonly of: ReadonlyMap<string, readonly MemberStanding[]>
  readonly atMs: number
}

/** The set with the key, or without it if it had it. */
const turn = (set: ReadonlySet<string>, key: string): ReadonlySet<string> =>
  new Set(set.has(key) ? [...set].filter((one) => one !== key) : [...set, key])

const NONE: Members = { of: new Map(), atMs: 0 }

/** The members that the view shows. They are asked for again when the board says that something has changed. */
function useMembers({ board }: Seen, ask: Ask, { all, opened }: View): Members {
  const [found, setFound] = useState(NONE)
  const services = all
    ? ''
    : [...new Set(Array.from(opened, (key) => key.slice(key.indexOf('/') + 1)))].toSorted().join('\n')
  const wanted = all || opened.size > 0
  // what a change of a member shows at: its site's numbers
  const mark = useMemo(
    () => JSON.stringify(board.services.map(({ sites }) => sites.map(({ well, wound }) => `${well}${wound}`))),
    [board],
  )
  useEffect(() => {
    if (!wanted) return undefined
    let stale = false
    allMembers(
      ask,
      services.split('\n').filter((name) => name !== ''),
    ).then(
      (members) => {
        const of = Map.groupBy(members, ({ site, service }) => `${site}/${service}`)
        if (!stale) setFound({ of, atMs: Date.now() })
      },
      () => setFound(NONE),
    )
    return () => {
      stale = true
    }
  }, [wanted, services, mark])
  return found
}

/** The members of these services; of all, if none is named. */
async function allMembers(ask: Ask, services: readonly string[]): Promise<readonly MemberStanding[]> {
  const found: MemberStanding[] = []
  let cursor: string | null = ''
  do {
    const query = new URLSearchParams([['limit', '1000'], ...services.map((service) => ['service', service])])
    if (cursor !== '') query.set('cursor', cursor)
    const page: { members: readonly MemberStanding[]; next?: string | null } = await ask(`api/members?${query}`)
    found.push(...page.members)
    cursor = page.next ?? null
  } while (cursor !== null)
  return found
}

/** How a day before is counted, and from when on it is known. */
function BeforeNote({ board }: { readonly board: Board }) {
  const { upSeconds } = board.summary.node
  const beganMs = board.atMs - 1000 * upSeconds
  const knownMs = Math.ceil(beganMs / HOUR_MS) * HOUR_MS + 24 * HOUR_MS
  return (
    <p class="hint">
      Answers of this node over the last seconds, beside the average of the same hour a day before.
      {board.atMs < knownMs &&
        ` It has counted since ${time(beganMs)}: there is a day before from ${time(knownMs)} on; “–” is unknown.`}
    </p>
  )
}

const HOUR_MS = 3_600_000
/** Less than half of the day before wants a look, unless it was little. */
const MUCH_LESS = 0.5
const LITTLE = 1

/** The rate of the same hour before, and how far the rate of now is from it. null: unknown. */
function Before({ now, before }: { readonly now: number; readonly before: number | null }) {
  if (before === null) return <span class="dim">–</span>
  const change = before === 0 ? undefined : Math.round((100 * (now - before)) / before)
  const isOdd = before >= LITTLE && now < MUCH_LESS * before
  return (
    <>
      {rate(before)}{' '}
      {change !== undefined && (
        <span class={isOdd ? 'odd' : 'dim'}>
          {change < 0 ? '−' : '+'}
          {percent(Math.abs(change))}
        </span>
      )}
    </>
  )
}

/** The sum of the sites; null: one of them is unknown. */
const sumBefore = (sites: readonly ServiceSite[], when: 'day' | 'week'): number | null =>
  sites.reduce<number | null>((sum, { before }) => {
    const own = before[when]
    return sum === null || own === null ? null : sum + own
  }, 0)

/** `nearest 61, spill 4.2`: answers a second by the stage that found the site, where not all are of the nearest. */
function stagesInWords(stages: readonly StageRate[]): readonly string[] {
  if (stages.every(({ stage }) => stage === 'nearest')) return []
  return [stages.map(({ stage, answersPerSecond }) => `${stage} ${rate(answersPerSecond)}/s`).join(', ')]
}

/** The stages of all sites, the commonest first. */
const allStages = (sites: readonly ServiceSite[]): StageRate[] =>
  [
    ...Map.groupBy(
      sites.flatMap(({ stages }) => stages),
      ({ stage }) => stage,
    ),
  ]
    .map(([stage, rates]) => ({ stage, answersPerSecond: rates.reduce((sum, one) => sum + one.answersPerSecond, 0) }))
    .toSorted((a, b) => b.answersPerSecond - a.answersPerSecond)

const weekInWords = (before: number | null): readonly string[] =>
  before === null ? [] : [`a week before ${rate(before)}/s`]

function ServiceCells(props: { readonly row: ServiceRow; readonly atMs: number; readonly onTurn: () => void }) {
  const { row, atMs, onTurn } = props
  const { service, leftPercent, keepPercent, largestSitePercent, spill, braked, lastResort, unanswered, sites } = row
  const patient = patientOf(row)
  const answers = sites.reduce((sum, { answersPerSecond }) => sum + answersPerSecond, 0)
  const more = [
    ...(lastResort ? ['LAST RESORT'] : []),
    ...stagesInWords(allStages(sites)),
    ...unanswered.map((type) => `no ${type}`),
    ...(braked > 0 ? [`brake keeps ${braked}`] : []),
    ...(spill > 1 ? [`spills over ${spill}`] : []),
    ...(keepPercent > 0 ? [`keeps ${percent(keepPercent)}`] : []),
    `largest site ${percent(largestSitePercent)}`,
    ...weekInWords(sumBefore(sites, 'week')),
  ]
  return (
    <>
      <span role="rowheader">
        <button type="button" class="name turn" onClick={onTurn}>
          {service}
        </button>
      </span>
      <span role="cell">
        <Sign state={patient?.wound ?? 'up'} />{' '}
        {patient === undefined ? (
          <span class="dim">{count(sites.length, 'site')} up</span>
        ) : (
          <>
            {patient.sites.join(', ')} {patient.wound === undefined ? '' : WOUND_WORDS[patient.wound]}
            {patient.forMs !== undefined && (
              <>
                , <Age sinceMs={atMs - patient.forMs} />
              </>
            )}
          </>
        )}
      </span>
      <span role="cell" class="left">
        <Bar
          filled={leftPercent / 100}
          mark={keepPercent / 100}
          label={`${percent(leftPercent)} of its capacity is left`}
        />
        <span class="number">{percent(leftPercent)}</span>
      </span>
      <span role="cell" class="number right">
        {rate(answers)}
      </span>
      <span role="cell" class="number right">
        <Before now={answers} before={sumBefore(sites, 'day')} />
      </span>
      <span role="cell" class="dim">
        {more.join(' · ')}
      </span>
    </>
  )
}

function SiteCells(props: {
  readonly row: ServiceRow
  readonly site: ServiceSite
  readonly atMs: number
  readonly open: boolean
  readonly onTurn: () => void
}) {
  const { row, site, atMs, open, onTurn } = props
  const answers = row.sites.reduce((sum, { answersPerSecond }) => sum + answersPerSecond, 0)
  const capacity = row.sites.reduce((sum, one) => sum + one.capacity, 0)
  const ofAnswers = answers === 0 ? 0 : site.answersPerSecond / answers
  const ofCapacity = capacity === 0 ? 0 : site.capacity / capacity
  const more = [
    ...stagesInWords(site.stages),
    ...(site.share < 1000 ? [`share ${percent(site.share / 10)}`] : []),
    ...(row.sites.some(({ weight }) => weight !== site.weight) ? [`weight ${site.weight}`] : []),
    site.why,
    ...weekInWords(site.before.week),
  ]
  return (
    <>
      <span role="rowheader">
        <button type="button" class="turn" aria-expanded={open} onClick={onTurn}>
          {site.site}
        </button>
      </span>
      <span role="cell">
        <Sign state={site.wound ?? 'up'} />{' '}
        <span class={site.wound === null ? 'dim' : ''}>
          {site.wound === null
            ? `${count(site.members, 'member')} up`
            : `${site.members - site.well} of ${site.members} ${site.wound}`}
          {site.woundMs !== null && (
            <>
              , <Age sinceMs={atMs - site.woundMs} />
            </>
          )}
        </span>
      </span>
      <span role="cell" class="left">
        <Bar
          filled={ofAnswers}
          mark={ofCapacity}
          label={`${percent(100 * ofAnswers)} of the answers, with ${percent(100 * ofCapacity)} of the capacity (${site.capacity})`}
        />
        <span class="number dim">
          {answers === 0 ? '–' : percent(100 * ofAnswers)} of {percent(100 * ofCapacity)}
        </span>
      </span>
      <span role="cell" class="number right">
        {rate(site.answersPerSecond)}
      </span>
      <span role="cell" class="number right">
        <Before now={site.answersPerSecond} before={site.before.day} />
      </span>
      <span role="cell" class="dim">
        {more.filter((text) => text !== '').join(' · ')}
      </span>
    </>
  )
}

function MemberCells({ member, atMs }: { readonly member: MemberStanding; readonly atMs: number }) {
  const { member: name, why, share, ageMs, dissent } = member
  const wound = woundOf(member)
  return (
    <>
      <span role="rowheader" class="mono">
        {name.slice(name.lastIndexOf('/') + 1)}
      </span>
      <span role="cell">
        <Sign state={wound ?? 'up'} />{' '}
        <span class={wound === undefined ? 'dim' : ''}>{WOUND_WORDS[wound ?? 'up']}, </span>
        <span class="dim">
          <Age sinceMs={atMs - (dissent?.ageMs ?? ageMs)} />
        </span>
      </span>
      <span role="cell" class="dim number">
        {share < 1000 ? `share ${percent(share / 10)}` : ''}
      </span>
      <span role="cell" />
      <span role="cell" />
      <span role="cell" class="dim">
        {why}
      </span>
    </>
  )
}
