/** What a node that serves shows of itself at /api/status, from one picture of its state. Held to plain JSON. */
import { readFileSync } from 'node:fs'
import type { Config } from '../config.ts'
import type { AnswerCells } from '../counters.ts'
import { faults } from '../faults.ts'
import { nameOf, type Revision } from '../git.ts'
import type { HealthSnapshot, MemberStatus, ServiceHealth } from '../health/node-health.ts'
import type { Problem } from '../problem.ts'
import type { ServerStats } from '../server/server.ts'
import { formatEndpoint, formatPercent } from '../units.ts'
import type { WorldBuild } from '../world/build.ts'
import type { ReloadResult } from '../world/reloads.ts'
import type { Readiness } from './contract.ts'
import { type OwnProber, type OwnProberStatus, ownProberStatus } from './probing.ts'

export interface NodeState {
  readonly config: Config
  readonly startedAtMs: number
  readonly readiness: Readiness
  readonly made: WorldBuild | undefined
  readonly loads: {
    readonly ok: number
    readonly failed: number
    readonly unchanged: number
    /** How long the load that runs has taken so far. */
    readonly runningMs: number
    readonly last: ReloadResult | undefined
    readonly revision: Revision | undefined
  }
  /** Changes of members, by the state they came to. */
  readonly changes: ReadonlyMap<string, number>
  readonly health: HealthSnapshot
  /** Beyond those of health. */
  readonly troubles: readonly string[]
  readonly counters: readonly Float64Array[]
  readonly server: ServerStats | undefined
  readonly cells: AnswerCells
  /** undefined where the kernel does not tell. */
  readonly receiveDrops: number | undefined
  /** This node's own prober. */
  readonly probing: OwnProber | undefined
}

/** Of a process, whether it serves or only probes. Times are seconds where no unit is named. */
export interface ProcessStatus {
  readonly name: string
  readonly version: string
  readonly pid: number
  readonly upSeconds: number
  readonly ready: boolean
  readonly reasons: readonly string[]
  /** What is served in place of what is on disk, and why; empty when all is as it is on disk. */
  readonly warnings: readonly string[]
  readonly region: string
  /** The last fault of Meridian itself that nothing caught; null: none since the start. */
  readonly fault: string | null
}

export interface LoadStatus {
  readonly ok: boolean
  readonly why: string
  readonly agoSeconds: number
  /** Of what was read, whether it took or not; null outside of git. */
  readonly revision: string | null
  readonly problems: readonly Problem[]
  /** Why there is no result at all, in words: the compile thread died. */
  readonly failure: string | null
}

export interface StoreStatus {
  readonly kind: StoreKind
  /** null: all is well. */
  readonly trouble: string | null
}

export type StoreKind = 'memory' | 'redis'

/** What `meridian status` shows of a node. */
export interface Status {
  readonly role: 'serve'
  readonly node: ProcessStatus & { readonly listen: readonly string[] }
  readonly world: {
    readonly generation: number
    readonly view: string
    /** `1a2b3c4`, `1a2b3c4-dirty`; null outside of git. */
    readonly revision: string | null
    /** Its whole hash. */
    readonly commit: string | null
    /** SOA serial, as it is answered. */
    readonly serial: number
    readonly plan: string
    readonly zones: number
    readonly names: number
  } | null
  readonly load: LoadStatus | null
  readonly server: ServerStats | null
  readonly store: StoreStatus
  /** Of this node's own prober. */
  readonly probing: OwnProberStatus | null
  readonly services: readonly ServiceStatus[]
  readonly overrides: HealthSnapshot['overrides']
  readonly probers: HealthSnapshot['probers']
  readonly nodes: HealthSnapshot['nodes']
  /** Operational trouble as it is now. */
  readonly troubles: readonly string[]
}

export interface ServiceStatus extends ServiceHealth {
  readonly members: readonly Omit<MemberStatus, 'service'>[]
}

const manifest: { readonly version: string } = JSON.parse(
  readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
)
export const VERSION = manifest.version

export function statusOf(state: NodeState): Status {
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
          },
    load: loadStatus(loads.last),
    server: state.server ?? null,
    store: storeStatus(health.store),
    probing: probing === undefined ? null : ownProberStatus(probing),
    services: servicesOf(health),
    overrides: health.overrides,
    probers: health.probers,
    nodes: health.nodes,
    troubles: [...health.troubles, ...heldTroubles(made), ...state.troubles],
  }
}

const heldTroubles = (made: WorldBuild | undefined): readonly string[] =>
  made === undefined || made.held === null
    ? []
    : [
        `databases HELD BACK: they move ${formatPercent(made.held.moves.moved)} of the clients of ${made.held.service}; to use them: meridian geo accept`,
      ]

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

export const storeStatus = ({ shared, trouble }: HealthSnapshot['store']): StoreStatus => ({
  kind: shared ? 'redis' : 'memory',
  trouble: trouble ?? null,
})

/** Each service with its members, in the plan's order. */
function servicesOf({ services, members }: HealthSnapshot): ServiceStatus[] {
  const byService = Map.groupBy(members, (member) => member.service)
  return services.map((service) => ({ ...service, members: byService.get(service.service) ?? [] }))
}

const seconds = (ms: number): number => Math.round(ms / 100) / 10
