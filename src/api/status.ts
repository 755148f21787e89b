/**
 * What a node shows of itself at /api/status, made from its state at one moment. Called by RunningNode;
 * prober-status.ts uses the parts that a prober has too. All of it is plain JSON, with units in the names.
 */
import type { Config } from '../config.ts'
import type { AnswerCells } from '../counters.ts'
import type { DeliveryStats } from '../events/notify/delivery.ts'
import { faults } from '../faults.ts'
import { nameOf, type Revision } from '../git.ts'
import type {
  HealthOverview,
  HealthSnapshot,
  MemberStanding,
  MemberStatus,
  ServiceHealth,
} from '../health/node-health.ts'
import { didYouMean, type Problem } from '../problem.ts'
import type { NotifyStats } from '../server/notify.ts'
import type { ServerStats } from '../server/server.ts'
import type { WorldMoves } from '../traffic/service-moves.ts'
import { formatEndpoint, formatPercent } from '../units.ts'
import { VERSION } from '../version.ts'
import type { WorldBuild } from '../world/build.ts'
import type { ReloadResult } from '../world/reloads.ts'
import { type DrillsModel, nextDrill } from '../zone/drills.ts'
import type { AnnounceStatus } from './announcing.ts'
import type { HttpState, Readiness, StatusFilter } from './contract.ts'
import type { Origins } from './origins.ts'
import { certificateTroubles, type OwnProber, type OwnProberStatus, ownProberStatus } from './probing.ts'
import type { AnswersRate, Rates } from './rates.ts'
import type { OutageAnswers } from './wrong-answers.ts'

/** The state of a node at one moment, from which its status and metrics are made. */
export interface NodeState {
  readonly config: Config
  readonly startedAtMs: number
  readonly readiness: Readiness
  readonly made: WorldBuild | undefined
  readonly loads: {
    readonly ok: number
    readonly failed: number
    readonly unchanged: number
    /** Milliseconds that the running load has taken so far; 0 = none is running. */
    readonly runningMs: number
    readonly last: ReloadResult | undefined
    readonly revision: Revision | undefined
  }
  /** Number of changes of members, by the state they changed to. */
  readonly changes: ReadonlyMap<string, number>
  readonly health: HealthSnapshot
  /** Operational trouble of other parts than health. */
  readonly troubles: readonly string[]
  readonly counters: readonly Float64Array[]
  readonly server: ServerStats | undefined
  /** That of TLS and HTTPS; undefined where neither is served. */
  readonly certificate: { readonly endsMs: number; readonly trouble: string | undefined } | undefined
  readonly cells: AnswerCells
  /** Until when dead sites were named. */
  readonly outages?: readonly OutageAnswers[]
  /** With the autonomous systems that metrics name. */
  readonly origins: () => Origins
  readonly rates: () => Rates
  /** Queries dropped by the kernel; undefined: it does not tell. */
  readonly receiveDrops: number | undefined
  /** How telling each receiver of the setting `notify` goes. */
  readonly notifications?: readonly DeliveryStats[]
  /** What became of the NOTIFY messages to secondaries. */
  readonly notifies?: NotifyStats
  /** This node's own prober. */
  readonly probing: OwnProber | undefined
  readonly http: HttpState
  /** null, and absent: nothing is to be announced. */
  readonly announce?: AnnounceStatus | null
}

/** The key `node` of /api/status, of a node and of a prober. */
export interface ProcessStatus {
  readonly name: string
  readonly version: string
  readonly pid: number
  readonly upSeconds: number
  readonly ready: boolean
  readonly reasons: readonly string[]
  /** What is served instead of the files on disk, and why; empty while the files on disk are in use. */
  readonly warnings: readonly string[]
  readonly region: string
  /** The last bug of Meridian that nothing caught, in words; null: none since the start. */
  readonly fault: string | null
}

/** How the last load went. */
export interface LoadStatus {
  readonly ok: boolean
  readonly why: string
  readonly agoSeconds: number
  /** The git revision that was read, with errors or without; null outside of git. */
  readonly revision: string | null
  readonly problems: readonly Problem[]
  /** Why there is no result at all, in words: the compile thread died, or took too long. null: there is one. */
  readonly failure: string | null
}

/** The Store as this process sees it. */
export interface StoreStatus {
  readonly kind: StoreKind
  /** What is wrong with it, in words; null: nothing. */
  readonly trouble: string | null
}

/** Where health is shared: in this process only, or through Redis. */
export type StoreKind = 'memory' | 'redis'

/** The body of GET /api/status of a node. Plain JSON. */
export interface Status {
  readonly role: 'serve'
  readonly node: ProcessStatus & { readonly listen: readonly string[] }
  readonly world: {
    readonly generation: number
    readonly view: string
    /** `1a2b3c4`, `1a2b3c4-dirty`; null outside of git. */
    readonly revision: string | null
    /** The full hash of the commit; null outside of git. */
    readonly commit: string | null
    /** The SOA serial that is served. */
    readonly serial: number
    readonly plan: string
    readonly zones: number
    readonly names: number
    /** The clients that the last change of it moved; null: none since the start. The MOST_MOVING first services. */
    readonly moves: WorldMoves | null
  } | null
  readonly load: LoadStatus | null
  readonly server: ServerStats | null
  readonly store: StoreStatus
  /** This node's own prober; null: it does not probe. */
  readonly probing: OwnProberStatus | null
  readonly services: readonly ServiceStatus[]
  readonly overrides: HealthSnapshot['overrides']
  /** null: there is none. */
  readonly freeze: HealthSnapshot['freeze']
  /** The next scheduled drill; null: there is none within a year. */
  readonly nextDrill: NextDrill | null
  readonly probers: HealthSnapshot['probers']
  readonly nodes: HealthSnapshot['nodes']
  /** How telling each receiver of the setting `notify` goes. */
  readonly notifications: readonly DeliveryStats[]
  /** null: nothing is to be announced. */
  readonly announce: AnnounceStatus | null
  /** Operational trouble as it is now. */
  readonly troubles: readonly string[]
}

/** A scheduled drill, and its window. */
export interface NextDrill {
  readonly name: string
  readonly site: string
  readonly forMs: number
  /** Unix time in ms. */
  readonly fromMs: number
  readonly toMs: number
}

/** The drill whose window opens first. */
export function nextDrillOf(all: DrillsModel, nowMs: number): NextDrill | null {
  const next = all.drills.flatMap((drill): NextDrill[] => {
    const found = nextDrill(drill, all, nowMs)
    const { name, site, forMs } = drill
    return found === undefined ? [] : [{ name, site, forMs, fromMs: found.fromMs, toMs: found.toMs }]
  })
  return next.toSorted((a, b) => a.fromMs - b.fromMs)[0] ?? null
}

/** A service with its members. */
export interface ServiceStatus extends ServiceHealth {
  /** The steered answers of the last 5 to 10 s. */
  readonly answers: AnswersRate
  readonly members: readonly Omit<MemberStatus, 'service'>[]
}

/** The status of a node. Services without a member are left out where `state.health` has only some of the members. */
export function statusOf(state: NodeState, isPart = false): Status {
  const { config, made, loads, health, probing } = state
  return {
    role: 'serve',
    node: { ...processStatus(config, state), listen: config.listen.map(formatEndpoint) },
    world:
      made === undefined
        ? null
        : {
            generation: made.world.generation,
            view: made.view,
            revision: nameOf(loads.revision),
            commit: loads.revision?.commit ?? null,
            serial: made.serial,
            plan: made.plan.hash,
            zones: made.zoneCount,
            names: made.nameCount,
            moves: made.moves && { ...made.moves, services: made.moves.services.slice(0, MOST_MOVING) },
          },
    load: loadStatus(loads.last),
    server: state.server ?? null,
    store: storeStatus(health.store),
    probing: probing === undefined ? null : ownProberStatus(probing),
    services: servicesOf(state).filter(({ members }) => !isPart || members.length > 0),
    overrides: health.overrides,
    freeze: health.freeze,
    nextDrill: made === undefined ? null : nextDrillOf(made.drills, Date.now()),
    probers: health.probers,
    nodes: health.nodes,
    notifications: state.notifications ?? [],
    announce: state.announce ?? null,
    troubles: [
      ...health.troubles,
      ...heldTroubles(made),
      ...certificateTroubles(probing?.report.targets ?? []),
      ...state.troubles,
    ],
  }
}

/** Whether a filter wants a member. */
export const wantedBy =
  ({ services, sites, hurt }: StatusFilter): ((standing: MemberStanding) => boolean) =>
  (standing) =>
    (services.length === 0 || services.includes(standing.service)) &&
    (sites.length === 0 || sites.includes(standing.site)) &&
    (!hurt || standing.state !== 'up' || standing.braked || standing.held || standing.frozen)

/** What is wrong with a filter: a name that nothing has. undefined: nothing. */
export function filterFault({ services, sites }: StatusFilter, { members }: HealthOverview): string | undefined {
  for (const [what, wanted, has] of [
    ['service', services, new Set(members.map(({ service }) => service))],
    ['site', sites, new Set(members.map(({ site }) => site))],
  ] as const) {
    const unknown = wanted.find((name) => !has.has(name))
    if (unknown === undefined) continue
    return [`there is no ${what} “${unknown}” with members here.`, didYouMean(unknown, has)].join(' ').trim()
  }
  return undefined
}

/** The most services in `world.moves`. */
const MOST_MOVING = 20

const heldTroubles = (made: WorldBuild | undefined): readonly string[] =>
  made === undefined || made.held === null
    ? []
    : [
        `new databases HELD BACK: they would move ${formatPercent(made.held.moves.moved)} of the clients of ${made.held.service}; to use them: meridian geo accept`,
      ]

/** The status of a process, node or prober. */
export const processStatus = (
  config: Config,
  { startedAtMs, readiness }: Pick<NodeState, 'startedAtMs' | 'readiness'>,
): ProcessStatus => ({
  name: config['node.name'],
  version: VERSION,
  pid: process.pid,
  upSeconds: seconds(Date.now() - startedAtMs),
  ...readiness,
  region: config['probe.region'],
  fault: faults.trouble ?? null,
})

/** The status of the last load; null: none has ended yet. */
export const loadStatus = (last: ReloadResult | undefined): LoadStatus | null =>
  last === undefined
    ? null
    : {
        ok: last.ok,
        why: last.why,
        agoSeconds: seconds(Date.now() - last.atMs),
        revision: nameOf(last.revision),
        problems: last.problems,
        failure: last.failure ?? null,
      }

/** The status of the Store. */
export const storeStatus = ({ shared, trouble }: HealthSnapshot['store']): StoreStatus => ({
  kind: shared ? 'redis' : 'memory',
  trouble: trouble ?? null,
})

/** Each service with its members, in the order of the health plan. */
function servicesOf({ health: { services, members }, rates }: NodeState): ServiceStatus[] {
  if (services.length === 0) return []
  const byService = Map.groupBy(members, (member) => member.service)
  const answersOf = new Map(rates().services.map(({ service, ...answers }) => [service, answers]))
  return services.map((service) => ({
    ...service,
    answers: answersOf.get(service.service) ?? NO_ANSWERS,
    members: byService.get(service.service) ?? [],
  }))
}

const NO_ANSWERS: AnswersRate = { answersPerSecond: 0, sites: [] }

const seconds = (ms: number): number => Math.round(ms / 100) / 10
