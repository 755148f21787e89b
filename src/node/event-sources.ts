/**
 * What a running node makes events of: one function for each source, from what the rooms tell to an event. Pure. Called
 * by RunningNode. undefined: it is no event.
 */
import type { AnnounceReport } from '../api/announcing.ts'
import { orderInWords } from '../api/override.ts'
import type { SiteCertificate } from '../api/probing.ts'
import type { NewEvent } from '../events/event.ts'
import { nameOf } from '../git.ts'
import type { Change, HealthSnapshot, NodeStatus, OverrideChange, Topic, VoteStatus } from '../health/node-health.ts'
import { EVERYTHING, type Override, viewOf } from '../health/override.ts'
import { formatProblem } from '../problem.ts'
import type { ServerStats } from '../server/server.ts'
import { movesInWords, movingInWords } from '../traffic/words.ts'
import { count, DAY_MS, formatDuration, formatEndpoint, formatPercent, formatShare, someOf } from '../units.ts'
import type { WorldBuild } from '../world/build.ts'
import type { ReloadResult } from '../world/reloads.ts'
import type { CertificateFiles } from './certificate.ts'
import { type DrillReport, OUTCOME_WORDS } from './drill-report.ts'
import type { Fact, ThreadCount } from './event-watch.ts'
import type { Unheld } from './schedule.ts'

/** Votes that an event has; a verdict rarely rests on more. */
const MOST_VOTES = 16
/** States that an operator or the zones decide. Their override, or the reload, is the event, and not each member. */
const DECIDED_STATES: readonly string[] = ['drained', 'forced']
const GIVEN_BACK: readonly string[] = [...DECIDED_STATES, 'recovered']
/** But what was told to be wrong is told to be over, also when an operator has ended it. */
const HURT_STATES: readonly string[] = ['down', 'braked']

/** A member changed its state, or the brake caught or released it. */
export function verdictEvent(change: Change, nowMs = Date.now()): NewEvent | undefined {
  const { member, site, service, braked, wasBraked, beforeAgeMs, votes, why } = change
  const before = wasBraked ? 'braked' : change.before
  const after = braked ? 'braked' : change.after
  const isDecided = DECIDED_STATES.includes(after) && !HURT_STATES.includes(before)
  if (isDecided || (GIVEN_BACK.includes(before) && after === 'up')) return undefined
  return {
    kind: 'verdict',
    severity: after === 'down' || braked ? 'warning' : 'info',
    subject: member,
    site,
    service,
    before,
    after,
    why,
    sinceMs: Math.round(nowMs - beforeAgeMs),
    details: {
      braked,
      votes: votes.slice(0, MOST_VOTES).map(voteOf),
      moreVotes: Math.max(0, votes.length - MOST_VOTES),
    },
  }
}

const voteOf = ({ prober, region, value, reason }: VoteStatus) => ({ prober, region, value, reason })

/** A service or a site is told of: brake, last resort, verdicts that are held against all votes. */
export function newsEvent(level: 'info' | 'warn', news: string, topic: Topic | undefined): NewEvent | undefined {
  if (topic === undefined) return undefined
  const begun = topic.kind === 'verdict' ? 'warning' : 'critical'
  return { ...topic, severity: level === 'info' ? 'info' : begun, why: news }
}

/** An override that another node set so long ago is no news: this node was away. */
const YOUNG_MS = 60_000

/** An override began, changed, was undone, ran out, or has moved its share to where it was to go. */
export function overrideEvent(change: OverrideChange): NewEvent | undefined {
  const { pattern, before, now, undone, arrived, members, moved } = change
  const cause = now ?? undone
  const ageMs = cause === undefined ? 0 : performance.now() - cause.setMs - (arrived ? cause.shift!.overMs : 0)
  if (ageMs > YOUNG_MS) return undefined
  const view = cause === undefined ? undefined : viewOf(cause)
  const after = arrived ? `at ${formatShare(now!.shift!.to)}` : now && orderInWords(viewOf(now))
  return {
    kind: 'override',
    severity: now?.action === 'failover' ? 'warning' : 'info',
    ...placeOf(pattern),
    before: before === undefined ? null : orderInWords(viewOf(before)),
    after: after ?? null,
    why: [cause === undefined ? 'its time is over' : causeInWords(cause), ...movedInWords(change)].join('; '),
    sinceMs: before === undefined ? null : viewOf(before).madeMs,
    atMs: Date.now() - ageMs,
    details: {
      who: cause?.who ?? null,
      untilMs: view?.untilMs ?? null,
      members,
      moved: {
        members: moved.length,
        names: moved.slice(0, MOST_NAMES).map(({ name }) => name),
        services: byService(moved),
      },
    },
  }
}

/** Members, and services, that an event names: with more it would go without its details. */
const MOST_NAMES = 10
/** Members that its words name; of more they count those of each service. */
const FEW_NAMES = 3

/** How many members of each service, those of most first. */
function byService(moved: OverrideChange['moved']): Readonly<Record<string, number>> {
  const counts = new Map<string, number>()
  for (const { service } of moved) counts.set(service, (counts.get(service) ?? 0) + 1)
  const most = [...counts].toSorted(([a, m], [b, n]) => n - m || (a < b ? -1 : 1)).slice(0, MOST_NAMES)
  return Object.fromEntries(most)
}

/** `takes out fra/web/192.0.2.1`, `gives back 300 members of 2 services: 200 of web, 100 of api`; nothing of nobody. */
function movedInWords({ before, now, arrived, moved }: OverrideChange): readonly string[] {
  if (moved.length === 0) return []
  const services = new Set(moved.map(({ service }) => service)).size
  const counts = Object.entries(byService(moved)).map(([service, members]) => `${members} of ${service}`)
  const who =
    moved.length <= FEW_NAMES
      ? moved.map(({ name }) => name).join(', ')
      : `${count(moved.length, 'member')} of ${count(services, 'service')}: ${someOf(counts, FEW_NAMES, services)}`
  if (arrived) return [`it has moved ${who}`]
  if (now === undefined) return [`${before?.action === 'up' ? 'no longer holds up' : 'gives back'} ${who}`]
  if (now.action === 'up') return [`holds up ${who}`]
  if (now.shift === undefined) return [`takes out ${who}`]
  return [`${now.shift.to > now.shift.from ? 'gives back a share to' : 'takes a share of'} ${who}`]
}

/** A drill has begun, or is over. */
export function drillEvent(report: DrillReport): NewEvent {
  const { pattern, who, why, outcome, reason, beganMs, forMs } = report
  const about = { kind: 'drill', ...placeOf(pattern), details: { drill: report } } as const
  if (outcome === 'running') {
    const words = `${formatDuration(forMs)} by ${who}: ${why}`
    return { ...about, severity: 'info', after: 'running', why: words, sinceMs: null }
  }
  const severity = outcome === 'aborted' ? 'warning' : 'info'
  const words = `${reason} (by ${who}: ${why})`
  return { ...about, severity, before: 'running', after: OUTCOME_WORDS[outcome], why: words, sinceMs: beganMs }
}

/** A scheduled drill did not begin. */
export function unheldEvent({ drill, occurrence: { fromMs, toMs }, outcome, why }: Unheld): NewEvent {
  return {
    kind: 'drill',
    severity: outcome === 'missed' ? 'warning' : 'info',
    ...placeOf(drill.site),
    after: outcome,
    why: `${drill.name}: ${why}`,
    details: { name: drill.name, fromMs, toMs },
  }
}

function placeOf(pattern: string): Pick<NewEvent, 'subject' | 'site' | 'service'> {
  const [site, service] = pattern === EVERYTHING ? [] : pattern.split('/')
  return { subject: pattern, ...(site !== undefined && { site }), ...(service !== undefined && { service }) }
}

const causeInWords = ({ action, who, why }: Override): string =>
  `${action === 'undone' ? 'undone by' : 'by'} ${who}${why === '' ? '' : `: ${why}`}`

/** What a World is known by: its revision, or outside of git a hash of all that is served. */
const nameOfWorld = (revision: string | null, view: string): string => revision ?? view.slice(0, 8)

/** Zones were loaded and are served. `before`: what was served before. */
export function zonesEvent(made: WorldBuild, load: ReloadResult, before: WorldBuild | undefined): NewEvent {
  const { view, serial, moves, zoneCount, nameCount } = made
  return {
    kind: 'zones',
    severity: 'info',
    subject: 'zones',
    before: before === undefined ? null : nameOfWorld(nameOf(load.before), before.view),
    after: nameOfWorld(nameOf(load.revision), view),
    why: [load.changes ?? load.why, ...(moves === null ? [] : [movingInWords(moves)])].join('; '),
    details: {
      cause: load.why,
      view,
      serial,
      zones: zoneCount,
      names: nameCount,
      moves: moves?.services.slice(0, MOST_SERVICES) ?? null,
      ms: Math.round(load.ms),
    },
  }
}

/** Services whose moves an event has, those with the largest share first. */
const MOST_SERVICES = 5

/** A load was refused, failed, or is held back; undefined: it was neither, or that was told at the load before. */
export function loadEvent(load: ReloadResult, last: ReloadResult | undefined): NewEvent | undefined {
  const { zonesHeld, failure, ok, why } = load
  const before = nameOf(load.before)
  const after = nameOf(load.revision)
  const about = { kind: 'zones', severity: 'warning', subject: 'zones', before } as const
  if (failure !== undefined)
    return { ...about, after: 'failed', why: failure, details: { cause: why, revision: after } }
  if (zonesHeld !== undefined) {
    if (last?.zonesHeld?.build === zonesHeld.build) return undefined
    const moves = zonesHeld.moves.services.slice(0, MOST_SERVICES)
    const held = movingInWords(zonesHeld.moves)
    return { ...about, after: 'held back', why: held, details: { cause: why, revision: after, moves } }
  }
  if (ok) return undefined
  const errors = load.problems.filter(({ severity }) => severity === 'error')
  const first = errors[0] === undefined ? '' : `: ${formatProblem(errors[0]).split('\n')[0]!}`
  const words = `${count(errors.length, 'error')}${first}`
  return { ...about, after: 'refused', why: words, details: { cause: why, revision: after, errors: errors.length } }
}

/** New databases are in use, or are held back. `before`: what was served before. */
export function databasesEvent(made: WorldBuild, before: WorldBuild | undefined): NewEvent | undefined {
  const about = {
    kind: 'databases',
    subject: 'databases',
    before: before === undefined ? null : databasesOf(before),
  } as const
  const { held } = made
  if (held !== null && held.build !== before?.held?.build) {
    const { service, moves } = held
    const why = `they would move ${formatPercent(moves.moved)} of the clients of ${service}: ${movesInWords(moves.moves)}`
    return {
      ...about,
      severity: 'warning',
      after: 'held back',
      why,
      details: { build: held.build, service, moved: moves.moved },
    }
  }
  const after = databasesOf(made)
  if (before === undefined || after === about.before) return undefined
  const why = made.moves === null ? '' : movingInWords(made.moves)
  return {
    ...about,
    severity: 'info',
    after,
    why,
    details: { moves: made.moves?.services.slice(0, MOST_SERVICES) ?? null },
  }
}

/** The databases in use, in words: `GeoLite2-City of 2026-11-01`. */
function databasesOf({ context: { databases, asnDatabases } }: WorldBuild): string {
  const names = [...databases, ...asnDatabases].map(
    ({ type, builtSeconds }) => `${type} of ${new Date(1000 * builtSeconds).toISOString().slice(0, 10)}`,
  )
  return names.length === 0 ? 'none' : names.join(', ')
}

/** How long nodes may differ before that is an event. */
const DIFFERING_MS = 60_000

/** The states of the fleet, as this node sees it. `doubts`: what is wrong with the votes of live probers, in words. */
export function fleetFacts(
  { probers, nodes }: Pick<HealthSnapshot, 'probers' | 'nodes'>,
  doubts: ReadonlyMap<string, string>,
): readonly Fact[] {
  return [
    ...probers.map(({ prober, region, live }): Fact => {
      const doubt = live ? doubts.get(prober) : undefined
      const state = live ? (doubt ?? 'live') : 'silent'
      const why = region === '' ? '' : `of region ${region}`
      return {
        kind: 'prober',
        subject: prober,
        state,
        isWell: live && doubt === undefined,
        why,
        mayCome: true,
        gone: 'removed',
      }
    }),
    ...nodes.filter(({ self }) => !self).map(nodeFact),
  ]
}

function nodeFact({ beat, live, viewDiffersMs, verdictsDifferMs }: NodeStatus): Fact {
  const state = !live
    ? 'silent'
    : viewDiffersMs >= DIFFERING_MS
      ? 'serves something else'
      : verdictsDifferMs >= DIFFERING_MS
        ? 'has other verdicts'
        : 'live'
  const why =
    state === 'serves something else'
      ? `its zones, databases or version differ (${beat.revision ?? beat.view.slice(0, 8)})`
      : ''
  return {
    kind: 'node',
    subject: beat.node.name,
    state,
    isWell: state === 'live',
    why,
    mayCome: true,
    gone: live ? 'ended' : 'removed', // a node that ends in order says so
  }
}

/** Time before its end at which a certificate of this node is told of; the alarm is the same. */
const ENDS_SOON_MS = 14 * DAY_MS

/** A certificate that this node shows itself: its file in the settings, and what is in use; undefined: nothing is. */
export type OwnCertificate = readonly [
  file: string | undefined,
  inUse: Pick<CertificateFiles, 'endsMs' | 'trouble'> | undefined,
]

/** Certificates that this node shows itself. */
export const ownCertificateFacts = (certificates: readonly OwnCertificate[], nowMs = Date.now()): readonly Fact[] =>
  certificates.flatMap(([file, inUse]) =>
    file === undefined || inUse === undefined ? [] : [ownCertificateFact(file, inUse, nowMs)],
  )

/** `trouble`: why the new one is not in use. */
function ownCertificateFact(
  file: string,
  { endsMs, trouble }: Pick<CertificateFiles, 'endsMs' | 'trouble'>,
  nowMs: number,
): Fact {
  const about = { kind: 'certificate', subject: file } as const
  if (trouble !== undefined) return { ...about, state: 'new one refused', isWell: false, why: trouble }
  const why = `it ends ${new Date(endsMs).toISOString()}`
  if (nowMs >= endsMs) return { ...about, state: 'expired', isWell: false, why }
  const isWell = endsMs - nowMs >= ENDS_SOON_MS
  return { ...about, state: isWell ? `valid until ${dayOf(endsMs)}` : 'ends soon', isWell, why }
}

/** Redis; `trouble`: why it can’t be used. */
export const storeFact = (trouble: string | undefined): Fact => ({
  kind: 'store',
  subject: 'Redis',
  state: trouble === undefined ? 'works' : 'in trouble',
  isWell: trouble === undefined,
  why: trouble ?? '',
})

/** Certificates of sites that end sooner than their checks want. */
export const siteCertificateFacts = (ending: readonly SiteCertificate[], nowMs = Date.now()): readonly Fact[] =>
  ending.map(({ name, address, port, endMs }) => ({
    kind: 'certificate',
    subject: name,
    state: nowMs >= endMs ? 'expired' : 'ends soon',
    isWell: false,
    why: `at ${formatEndpoint({ address, port })} it ends ${new Date(endMs).toISOString()}`,
    gone: 'replaced',
  }))

const dayOf = (ms: number): string => new Date(ms).toISOString().slice(0, 10)

type Replaced = Pick<ThreadCount, 'died' | 'stalled'>
type Fronts = { readonly [K in keyof Pick<ServerStats, 'udp' | 'tcp' | 'dot' | 'doh'>]: Replaced }

/** Threads that were replaced, by what they do. */
export function threadCounts(server: Fronts | undefined, proberRestarts: number): readonly ThreadCount[] {
  const fronts =
    server === undefined
      ? []
      : ([
          ['answering threads', server.udp],
          ['thread of TCP', server.tcp],
          ['thread of TLS', server.dot],
          ['thread of HTTPS', server.doh],
        ] as const)
  return [
    ...fronts.flatMap(([what, stats]) =>
      stats === undefined ? [] : [{ what, died: stats.died, stalled: stats.stalled }],
    ),
    { what: 'threads of the prober', died: proberRestarts, stalled: 0 },
  ]
}

/** What is announced has changed. `before`: null at the first report. */
export function announceEvent(node: string, report: AnnounceReport, before: AnnounceReport | null): NewEvent {
  const { state, why, isPlanned, sinceMs } = report
  const severity = state === 'kept' ? 'critical' : state === 'withdrawn' && !isPlanned ? 'warning' : 'info'
  return {
    kind: 'announce',
    severity,
    subject: node,
    before: before?.state ?? null,
    after: state,
    why,
    atMs: sinceMs,
    sinceMs: before?.sinceMs ?? null,
  }
}
