/** What a node shows of itself: the samples of /metrics and the object of /api/status, from one picture of its state. */
import { readFileSync } from 'node:fs'
import type { Made } from '../answer/build.ts'
import { type Config, formatEndpoint } from '../config.ts'
import type { HealthSnapshot, MemberStatus } from '../health/node.ts'
import { countedSamples, type Samples } from '../http/metrics.ts'
import { type AnswerCells, sumCounters } from '../metrics.ts'
import type { Problem } from '../problem.ts'
import type { ServerStats } from '../server/serve.ts'

export interface Served {
  readonly config: Config
  readonly startedAtMs: number
  readonly readiness: { readonly ready: boolean; readonly reasons: readonly string[] }
  readonly made: Made | undefined
  readonly loads: { readonly ok: number; readonly failed: number; readonly changes: ReadonlyMap<string, number> }
  readonly lastLoad: Load | undefined
  readonly health: HealthSnapshot
  readonly counters: readonly Float64Array[]
  readonly server: ServerStats | undefined
  readonly cells: AnswerCells
  /** undefined where the kernel does not tell. */
  readonly receiveDrops: number | undefined
  readonly proberRestarts: number
}

export interface Load {
  readonly ok: boolean
  /** What set it off. */
  readonly why: string
  readonly problems: readonly Problem[]
  readonly stagesMs: Readonly<Record<string, number>>
  readonly ms: number
  readonly atMs: number
  readonly successAtMs: number | undefined
}

/** What `meridian status` and /api/status show. Times are seconds. */
export interface Status {
  readonly node: {
    readonly name: string
    readonly version: string
    readonly pid: number
    readonly upSeconds: number
    readonly ready: boolean
    readonly reasons: readonly string[]
    readonly listen: readonly string[]
    readonly region: string
  }
  readonly world: {
    readonly generation: number
    readonly view: string
    readonly zones: number
    readonly names: number
  } | null
  readonly load: {
    readonly ok: boolean
    readonly why: string
    readonly agoSeconds: number
    readonly problems: readonly Problem[]
  } | null
  readonly server: ServerStats | null
  readonly services: readonly ServiceStatus[]
  readonly probers: HealthSnapshot['probers']
  /** Operational trouble as it is now. */
  readonly troubles: readonly string[]
}

export interface ServiceStatus {
  readonly service: string
  /** Every member is down: answers are what its `lastResort` says. */
  readonly lastResort: boolean
  readonly members: readonly Omit<MemberStatus, 'service'>[]
}

const manifest: { readonly version: string } = JSON.parse(
  readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
)
export const VERSION = manifest.version

export function statusOf(served: Served): Status {
  const { config, made, lastLoad, health } = served
  return {
    node: {
      name: config['node.name'],
      version: VERSION,
      pid: process.pid,
      upSeconds: seconds(Date.now() - served.startedAtMs),
      ...served.readiness,
      listen: config.listen.map(formatEndpoint),
      region: config['probe.region'],
    },
    world:
      made === undefined
        ? null
        : {
            generation: made.world.generation,
            view: made.view,
            zones: made.zoneCount,
            names: made.nameCount,
          },
    load:
      lastLoad === undefined
        ? null
        : {
            ok: lastLoad.ok,
            why: lastLoad.why,
            agoSeconds: seconds(Date.now() - lastLoad.atMs),
            problems: lastLoad.problems,
          },
    server: served.server ?? null,
    services: byService(health.members).map(([service, members]) => ({
      service,
      lastResort: isLastResort(members),
      members,
    })),
    probers: health.probers,
    troubles: health.troubles,
  }
}

export function samplesOf(served: Served): Samples {
  const { made, lastLoad, health, loads, server } = served
  const count = (severity: string): number =>
    lastLoad?.problems.filter((problem) => problem.severity === severity).length ?? 0
  return {
    ...countedSamples(sumCounters(served.counters), served.cells),
    meridian_build_info: [[1, VERSION, process.version]],
    meridian_start_time_seconds: [[served.startedAtMs / 1000]],
    meridian_resident_memory_bytes: [[process.memoryUsage.rss()]],
    meridian_ready: [[served.readiness.ready ? 1 : 0]],
    meridian_threads: [[server?.udp.threads ?? 0]],
    meridian_threads_replaced_total: [
      [server?.udp.died ?? 0, 'died'],
      [server?.udp.stalled ?? 0, 'stalled'],
    ],
    meridian_udp_batched: [[server?.udp.form === 'batched' ? 1 : 0]],
    meridian_receive_buffer_bytes: [[server?.udp.receiveBuffer ?? 0]],
    meridian_receive_drops_total: served.receiveDrops === undefined ? [] : [[served.receiveDrops]],
    meridian_tcp_connections: [[server?.tcp.open ?? 0]],
    meridian_tcp_connections_total: [
      [server?.tcp.accepted ?? 0, 'accepted'],
      [server?.tcp.refused ?? 0, 'refused'],
      [server?.tcp.timedOut ?? 0, 'timed_out'],
    ],
    meridian_world_generation: [[made?.world.generation ?? 0]],
    meridian_view_info: made === undefined ? [] : [[1, made.view]],
    meridian_zones: [[made?.zoneCount ?? 0]],
    meridian_names: [[made?.nameCount ?? 0]],
    meridian_reloads_total: [
      [loads.ok, 'ok'],
      [loads.failed, 'failed'],
    ],
    meridian_reload_failing: [[lastLoad?.ok === false ? 1 : 0]],
    meridian_reload_success_time_seconds: lastLoad?.successAtMs === undefined ? [] : [[lastLoad.successAtMs / 1000]],
    meridian_load_duration_seconds: Object.entries(lastLoad?.stagesMs ?? {}).map(([stage, ms]) => [ms / 1000, stage]),
    meridian_problems: [
      [count('error'), 'error'],
      [count('warning'), 'warning'],
      [count('notice'), 'notice'],
    ],
    meridian_member_state: health.members.map(({ service, site, address, state }) => [
      1,
      service,
      site,
      address,
      state,
    ]),
    meridian_member_changes_total: [...loads.changes].map(([state, changes]) => [changes, state]),
    meridian_service_last_resort: byService(health.members).map(([service, members]) => [
      isLastResort(members) ? 1 : 0,
      service,
    ]),
    meridian_prober_heartbeat_age_seconds: health.probers.map(({ prober, region, ageMs }) => [
      ageMs / 1000,
      prober,
      region,
    ]),
    meridian_prober_overdue_targets: health.probers.map(({ prober, region, beat }) => [
      beat?.overdue ?? 0,
      prober,
      region,
    ]),
    meridian_prober_restarts_total: [[served.proberRestarts]],
  }
}

const seconds = (ms: number): number => Math.round(ms / 100) / 10

/** What select() does when it finds nobody usable: unproven and drained members still count. */
const isLastResort = (members: readonly MemberStatus[]): boolean => members.every(({ state }) => state === 'down')

function byService(members: readonly MemberStatus[]): [string, MemberStatus[]][] {
  return [...Map.groupBy(members, (member) => member.service)]
}
