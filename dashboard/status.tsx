/** The state in one line: all calm, or how many services are hurt, the worst first, since when; and what troubles the node. */
import type { Board, ServiceRow } from '../src/api/board.ts'
import { type Wound, WOUNDS } from '../src/health/wound.ts'
import type { Seen } from './api.ts'
import { Age, Sign } from './parts.tsx'
import { count, HURTS, percent, rate, some, time, WOUND_WORDS } from './words.ts'

/** A service with something wrong. */
export interface Patient {
  readonly row: ServiceRow
  readonly wound: Wound | undefined
  /** Sites with that wound. */
  readonly sites: readonly string[]
  /** For how long, in ms; undefined: unknown. */
  readonly forMs: number | undefined
  readonly why: string
  /** Clients feel it, or would without the brake. */
  readonly hurt: boolean
}

/** What is wrong with a service; undefined: nothing. */
export function patientOf(row: ServiceRow): Patient | undefined {
  const wound = WOUNDS.find((one) => row.sites.some((site) => site.wound === one))
  if (wound === undefined && !row.lastResort) return undefined
  const those = row.sites.filter((site) => site.wound === wound)
  const forMs = wound === undefined ? undefined : Math.max(...those.map(({ woundMs }) => woundMs ?? 0))
  const hurt = row.lastResort || row.unanswered.length > 0 || (wound !== undefined && HURTS.has(wound))
  return { row, wound, sites: those.map(({ site }) => site), forMs, why: those[0]?.why ?? '', hurt }
}

/** The services with something wrong, the worst first. */
export function patientsOf({ services }: Board): Patient[] {
  const found = services.map(patientOf).filter((patient) => patient !== undefined)
  const rank = ({ row, wound, hurt }: Patient): readonly number[] => [
    Number(!hurt),
    Number(!row.lastResort),
    -row.unanswered.length,
    row.leftPercent,
    wound === undefined ? 0 : WOUNDS.indexOf(wound),
  ]
  return found.toSorted((a, b) => {
    const [x, y] = [rank(a), rank(b)]
    return x.map((value, i) => value - y[i]!).find((difference) => difference !== 0) ?? 0
  })
}

/** The first words of the page, and its title. */
export function headlineOf(board: Board): string {
  const patients = patientsOf(board)
  const hurt = patients.filter((patient) => patient.hurt)
  if (hurt.length > 0) return `${hurt.length} of ${count(board.services.length, 'service')} hurt`
  if (patients.length > 0) return `Nobody hurt; ${count(patients.length, 'service')} to look at`
  return troublesOf(board).length > 0 ? 'Nobody hurt; the node has trouble' : 'All calm'
}

/** What troubles the node itself, a line each. */
function troublesOf({ summary, atMs }: Board): string[] {
  const { store, troubles, node, load, nodes, probers, freeze } = summary
  const silent = [
    ...probers.filter(({ live }) => !live).map(({ prober }) => `prober ${prober}`),
    ...nodes.filter(({ live }) => !live).map(({ beat }) => `node ${beat.node.name}`),
  ]
  return [
    ...(store.trouble === null ? [] : [`${store.trouble}; the last known health stays in use`]),
    ...(silent.length > 0 && store.trouble === null ? [`Silent: ${some(silent, 5)}`] : []),
    ...(freeze === null
      ? []
      : [`Frozen by ${freeze.who} until ${time(freeze.untilMs ?? atMs)}: ${freeze.why}; verdicts change no answers`]),
    ...node.reasons.map((reason) => `Not ready: ${reason}`),
    ...node.warnings,
    ...troubles,
    ...(load === null || load.ok
      ? []
      : [`The last load was refused: ${load.failure ?? load.problems[0]?.message ?? load.why}`]),
    ...(node.fault === null ? [] : [`A bug: ${node.fault}`]),
  ]
}

/** In words: `web: fra down, 67 % left`. */
function patientInWords({ row, wound, sites }: Patient): string {
  const parts = [
    ...(row.lastResort ? ['last resort: no member is usable'] : []),
    ...row.unanswered.map((type) => `no address for ${type}`),
    ...(wound === undefined ? [] : [`${some(sites, 3)} ${WOUND_WORDS[wound]}`]),
    `${percent(row.leftPercent)} left`,
  ]
  return parts.join(', ')
}

/** The head of the page. `trouble`: why the node can't be asked. */
export function Status(props: { readonly seen: Seen | undefined; readonly trouble: string | undefined }) {
  const { seen, trouble } = props
  if (seen === undefined) {
    return (
      <header class="status" data-mood={trouble === undefined ? 'waiting' : 'hurt'}>
        <h1>{trouble === undefined ? 'Asking the node …' : 'No data'}</h1>
        {trouble !== undefined && <p role="alert">{trouble}</p>}
      </header>
    )
  }
  const { board, atMs } = seen
  const { summary, unchangedMs } = board
  const patients = patientsOf(board)
  const worst = patients[0]
  const troubles = troublesOf(board)
  const mood = worst?.hurt === true ? 'hurt' : patients.length + troubles.length > 0 ? 'uneasy' : 'calm'
  const headline = headlineOf(board)
  return (
    <header class="status" data-mood={mood} data-stale={trouble !== undefined || undefined}>
      <div class="line">
        <h1>{headline}</h1>
        <p class="worst">
          {worst === undefined ? (
            <>
              {count(board.services.length, 'service')} at {count(summary.sites.length, 'site')}
              {unchangedMs !== null && (
                <>
                  ; nothing has changed for <Age sinceMs={atMs - unchangedMs} />
                </>
              )}
            </>
          ) : (
            <>
              {worst.wound !== undefined && <Sign state={worst.wound} />} <strong>{worst.row.service}</strong>:{' '}
              {patientInWords(worst)}
              {worst.forMs !== undefined && (
                <>
                  , for <Age sinceMs={atMs - worst.forMs} />
                </>
              )}
              {worst.why !== '' && <span class="why">: {worst.why}</span>}
              {patients.length > 1 && (
                <>
                  ; then{' '}
                  {some(
                    patients.slice(1).map(({ row }) => row.service),
                    4,
                  )}
                </>
              )}
            </>
          )}
        </p>
        <p class="node">
          <span class="name">{summary.node.name}</span>
          <span>{summary.world?.revision ?? 'no git'}</span>
          <span>{rate(summary.rates.queriesPerSecond)} queries/s</span>
        </p>
      </div>
      <p class="unseen" role="status">
        {headline}
      </p>
      {trouble !== undefined && (
        <p class="stale" role="alert">
          {trouble}: this is what it said at {time(atMs)}
        </p>
      )}
      {troubles.length > 0 && (
        <ul class="troubles">
          {troubles.slice(0, 8).map((line) => (
            <li key={line}>{line}</li>
          ))}
          {troubles.length > 8 && <li>and {troubles.length - 8} more: meridian status</li>}
        </ul>
      )}
      <ul class="sites" aria-label="Sites">
        {summary.sites.map(({ site, wounds, services }) => (
          <li key={site} data-site={site} data-state={wounds[0]?.wound ?? 'up'}>
            <Sign state={wounds[0]?.wound ?? 'up'} /> <span class="name">{site}</span>{' '}
            <span class="dim">
              {wounds[0] === undefined ? (
                count(services, 'service')
              ) : (
                <>
                  {wounds[0].services} of {services} {wounds[0].wound}, <Age sinceMs={atMs - wounds[0].ageMs} />
                </>
              )}
            </span>
          </li>
        ))}
      </ul>
    </header>
  )
}
