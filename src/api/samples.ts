/**
 * The samples of /metrics: of any process and its loads, and of a node's threads and health. Made from the same state
 * as /api/status. Called by RunningNode and, for a prober, by prober-status.ts.
 */
import { sumCounters } from '../counters.ts'
import type { DeliveryStats } from '../events/notify/delivery.ts'
import { faults } from '../faults.ts'
import { nameOf } from '../git.ts'
import type { HealthSnapshot, MemberStatus } from '../health/node-health.ts'
import type { ServerStats } from '../server/server.ts'
import type { TcpStats } from '../server/tcp.ts'
import { VERSION } from '../version.ts'
import { mostMoved } from '../traffic/service-moves.ts'
import type { AnnounceStatus } from './announcing.ts'
import type { HttpState } from './contract.ts'
import { countedSamples, type Sample, type Samples } from './metrics.ts'
import type { Origins } from './origins.ts'
import { ownProberSamples } from './probing.ts'
import { type NodeState, storeStatus } from './status.ts'
import type { OutageAnswers } from './wrong-answers.ts'

/** Nodes may disagree for this long, while changes are on their way; longer is counted. */
const DISAGREEING_MS = 5_000

/** The samples of a node. */
export function samplesOf(state: NodeState): Samples {
  const { made, server, certificate, health, changes, probing, http } = state
  const fronts = [server?.udp, server?.tcp, server?.dot, server?.doh]
  return {
    ...countedSamples(sumCounters(state.counters, state.cells.length), state.cells),
    ...originSamples(state.origins()),
    ...outageSamples(state.outages ?? []),
    ...processSamples(state),
    ...refusedSamples(http),
    ...announceSamples(state.announce ?? null),
    ...healthSamples(health),
    ...(probing === undefined ? {} : ownProberSamples(probing)),
    meridian_state_troubles: [[health.troubles.length + state.troubles.length]],
    meridian_threads: [[server?.udp.threads ?? 0]],
    meridian_threads_replaced_total: [
      [sum(fronts, ({ died }) => died), 'died'],
      [sum(fronts, ({ stalled }) => stalled), 'stalled'],
    ],
    meridian_udp_batched: [[server?.udp.form === 'batched' ? 1 : 0]],
    meridian_receive_buffer_bytes: [[server?.udp.receiveBuffer ?? 0]],
    meridian_send_buffer_bytes: [[server?.udp.sendBuffer ?? 0]],
    meridian_receive_drops_total: state.receiveDrops === undefined ? [] : [[state.receiveDrops]],
    ...streamSamples(server),
    meridian_query_log_records_total: (server?.queryLog ?? []).flatMap(({ sink, written, dropped }): Sample[] => [
      [written, sink, 'written'],
      [dropped, sink, 'dropped'],
    ]),
    meridian_query_log_up: (server?.queryLog ?? []).map(({ sink, trouble }) => [trouble === null ? 1 : 0, sink]),
    ...certificateSamples({ 'tls.certificate': certificate, 'http.certificate': http.certificate }),
    ...notifySamples(state.notifications ?? []),
    meridian_notifies_total: [
      [state.notifies?.confirmed ?? 0, 'confirmed'],
      [state.notifies?.failed ?? 0, 'failed'],
    ],
    meridian_notifies_pending: [[state.notifies?.pending ?? 0]],
    meridian_world_generation: [[made?.world.generation ?? 0]],
    meridian_world_moved_ratio: [[mostMoved(made?.moves ?? null)]],
    meridian_geo_build_time_seconds: [...(made?.context.databases ?? []), ...(made?.context.asnDatabases ?? [])]
      .filter(({ builtSeconds }) => builtSeconds > 0)
      .map(({ path, builtSeconds }) => [builtSeconds, path]),
    meridian_zones_held: [[state.loads.last?.zonesHeld === undefined ? 0 : 1]],
    meridian_geo_held: [[made === undefined || made.held === null ? 0 : 1]],
    meridian_view_info: made === undefined ? [] : [[1, made.view, nameOf(state.loads.revision) ?? '']],
    meridian_soa_serial: made === undefined ? [] : [[made.serial]],
    meridian_zones: [[made?.zoneCount ?? 0]],
    meridian_names: [[made?.nameCount ?? 0]],
    meridian_member_changes_total: [...changes].map(([to, times]) => [times, to]),
  }
}

/** The samples of the last outages. */
const outageSamples = (outages: readonly OutageAnswers[]): Samples => ({
  meridian_outage_start_time_seconds: outages.map(({ service, site, firstSignAtMs }) => [
    firstSignAtMs / 1000,
    service,
    site,
  ]),
  meridian_outage_last_answer_time_seconds: outages.map(({ service, site, lastAnswerAtMs }) => [
    lastAnswerAtMs / 1000,
    service,
    site,
  ]),
})

/** The samples of what is announced; none where nothing is to be. */
const announceSamples = (announce: AnnounceStatus | null): Samples => {
  if (announce === null) return {}
  const { report, heard } = announce
  return {
    meridian_announced: report === null ? [] : [[report.state === 'withdrawn' ? 0 : 1]],
    meridian_announce_kept: report === null ? [] : [[report.state === 'kept' ? 1 : 0]],
    meridian_announce_heard: [[heard ? 1 : 0]],
  }
}

/** The samples of where queries come from. */
const originSamples = ({ countries, systems }: Origins): Samples => ({
  meridian_country_queries_total: [...countries].map(([country, queries]) => [Math.round(queries), country || UNKNOWN]),
  meridian_asn_queries_total: [...systems].map(([asn, queries]) => [
    Math.round(queries),
    asn === 0 ? UNKNOWN : `${asn}`,
  ]),
})

const UNKNOWN = 'unknown'

function notifySamples(all: readonly DeliveryStats[]): Samples {
  const results = ['sent', 'failed', 'refused', 'dropped'] as const
  return {
    meridian_notify_messages_total: all.flatMap((one) =>
      results.map((what): Sample => [one[what], one.receiver, what]),
    ),
    meridian_notify_queued_messages: all.map(({ receiver, queued }) => [queued, receiver]),
    meridian_notify_oldest_seconds: all.map(({ receiver, oldestSeconds }) => [oldestSeconds, receiver]),
  }
}

/** The sum over front ends, of those that there are. */
const sum = <T>(fronts: readonly (T | undefined)[], of: (front: T) => number): number =>
  fronts.reduce((total, front) => total + (front === undefined ? 0 : of(front)), 0)

/** The transports that are served, with their numbers. */
const served = (streams: Readonly<Record<string, TcpStats | undefined>>) =>
  Object.entries(streams).flatMap(([transport, stats]) => (stats === undefined ? [] : [[transport, stats] as const]))

/** The samples of connections, by transport. */
function streamSamples(server: ServerStats | undefined): Samples {
  const { tcp, dot, doh } = server ?? {}
  const all = served({ tcp, dot, doh })
  const secure = served({ dot, doh })
  return {
    meridian_tcp_connections: all.map(([transport, { open }]) => [open, transport]),
    meridian_tcp_held_bytes: all.map(([transport, { held }]) => [held, transport]),
    meridian_tcp_connections_total: all.flatMap(([transport, stats]): Sample[] => [
      [stats.accepted, transport, 'accepted'],
      [stats.refused, transport, 'refused'],
      [stats.evicted, transport, 'evicted'],
      [stats.timedOut, transport, 'timed_out'],
      [stats.unread, transport, 'unread'],
      [stats.overMemory, transport, 'over_memory'],
      [stats.unanswerable, transport, 'unanswerable'],
    ]),
    meridian_transfers_total: (['axfr', 'ixfr', 'refused', 'broken'] as const).map((what) => [
      sum([tcp, dot], (stats) => stats.transfers[what]),
      what,
    ]),
    meridian_transfers_running: [[sum([tcp, dot], (stats) => stats.transferring)]],
    meridian_tls_handshakes_total: secure.flatMap(([transport, stats]): Sample[] => [
      [stats.handshakes, transport, 'full'],
      [stats.resumed, transport, 'resumed'],
      [stats.handshakesFailed, transport, 'failed'],
    ]),
    meridian_https_bad_requests_total: doh?.badRequests.map(([status, times]) => [times, String(status)]) ?? [],
  }
}

/** The samples of any process: what it is, whether it is ready, and how its loads went. */
export function processSamples({
  startedAtMs,
  readiness,
  loads,
}: Pick<NodeState, 'startedAtMs' | 'readiness' | 'loads'>): Samples {
  const { last } = loads
  const found = (severity: string): number =>
    last?.problems.filter((problem) => problem.severity === severity).length ?? 0
  return {
    meridian_build_info: [[1, VERSION, process.version]],
    meridian_start_time_seconds: [[startedAtMs / 1000]],
    meridian_resident_memory_bytes: [[process.memoryUsage.rss()]],
    meridian_ready: [[readiness.ready ? 1 : 0]],
    meridian_faults_total: [[faults.count]],
    meridian_reloads_total: [
      [loads.ok, 'ok'],
      [loads.failed, 'failed'],
      [loads.unchanged, 'unchanged'],
    ],
    meridian_reload_failing: [[last?.ok === false ? 1 : 0]],
    meridian_last_good_served: [
      [last?.fallback.zones === undefined ? 0 : 1, 'zones'],
      [last?.fallback.databases === undefined ? 0 : 1, 'databases'],
    ],
    meridian_reload_success_time_seconds: last?.successAtMs === undefined ? [] : [[last.successAtMs / 1000]],
    meridian_load_duration_seconds: Object.entries(last?.stagesMs ?? {}).map(([stage, ms]) => [ms / 1000, stage]),
    meridian_load_running_seconds: [[loads.runningMs / 1000]],
    meridian_problems: ['error', 'warning', 'notice'].map((severity) => [found(severity), severity]),
  }
}

/** The samples of `http.listen`, but for those of its certificate. */
export const refusedSamples = ({ refused }: HttpState): Samples => ({
  meridian_http_refused_total: [...refused].map(([reason, times]) => [times, reason]),
})

/** The samples of certificates, by the setting that names them. */
export function certificateSamples(certificates: Readonly<Record<string, HttpState['certificate']>>): Samples {
  const shown = Object.entries(certificates).flatMap(([setting, one]) =>
    one === undefined ? [] : [[setting, one] as const],
  )
  return {
    meridian_tls_certificate_end_time_seconds: shown.map(([setting, { endsMs }]) => [endsMs / 1000, setting]),
    meridian_tls_certificate_refused: shown.map(([setting, { trouble }]) => [trouble === undefined ? 0 : 1, setting]),
  }
}

/** The samples of the Store. */
export function storeSamples(store: HealthSnapshot['store']): Samples {
  const { kind, trouble } = storeStatus(store)
  return {
    meridian_store_up: [[trouble === null ? 1 : 0, kind]],
    meridian_store_refused_total: store.refused.map(([what, times]) => [times, what]),
  }
}

/** The samples of a node's health: members, services, overrides, probers and nodes. */
export function healthSamples({
  members,
  services,
  probers,
  nodes,
  overrides,
  freeze,
  store,
}: HealthSnapshot): Samples {
  const live = probers.filter((prober) => prober.live).length
  const others = nodes.filter((node) => node.live && !node.self)
  const orphaned = overrides.filter((override) => override.orphaned).length
  return {
    ...storeSamples(store),
    meridian_member_state: members.map(({ service, site, address, state }) => [1, service, site, address, state]),
    meridian_member_share: members.map(({ service, site, address, share }) => [share / 1000, service, site, address]),
    ...memberCounts(services, members),
    meridian_service_last_resort: services.map(({ service, lastResort }) => [lastResort ? 1 : 0, service]),
    meridian_service_type_unanswered: services.flatMap(({ service, unanswered }) =>
      (['A', 'AAAA'] as const).map((type) => [unanswered.includes(type) ? 1 : 0, service, type] as const),
    ),
    meridian_service_left_ratio: services.map(({ service, leftPercent }) => [leftPercent / 100, service]),
    meridian_service_largest_site_ratio: services.map(({ service, largestSitePercent }) => [
      largestSitePercent / 100,
      service,
    ]),
    meridian_service_braked_members: services.map(({ service, braked }) => [braked.length, service]),
    meridian_overrides: [
      [overrides.length - orphaned, 'active'],
      [orphaned, 'orphaned'],
    ],
    meridian_freeze_end_time_seconds: freeze === null ? [] : [[(freeze.untilMs ?? 0) / 1000]],
    meridian_probers: [
      [live, 'live'],
      [probers.length - live, 'silent'],
    ],
    meridian_prober_heartbeat_age_seconds: probers.map(({ prober, region, ageMs }) => [ageMs / 1000, prober, region]),
    meridian_prober_overdue_targets: probers.map(({ prober, region, beat }) => [beat?.overdue ?? 0, prober, region]),
    meridian_nodes: [
      [nodes.filter((node) => node.live).length, 'live'],
      [nodes.filter((node) => !node.live).length, 'silent'],
    ],
    meridian_node_clock_skew_seconds: others.flatMap(({ beat, clockSkewMs }) =>
      clockSkewMs === null ? [] : [[clockSkewMs / 1000, beat.node.name] as const],
    ),
    meridian_nodes_disagreeing: [
      [others.filter(({ viewDiffersMs }) => viewDiffersMs > DISAGREEING_MS).length, 'view'],
      [others.filter(({ verdictsDifferMs }) => verdictsDifferMs > DISAGREEING_MS).length, 'verdicts'],
    ],
  }
}

/** Numbers of members in a condition, by service: a series for each member and condition would be too many. */
function memberCounts(services: HealthSnapshot['services'], members: readonly MemberStatus[]): Samples {
  const byService = Map.groupBy(members, (member) => member.service)
  const counted = (holds: (member: MemberStatus) => boolean): Sample[] =>
    services.map(({ service }) => [byService.get(service)?.filter(holds).length ?? 0, service])
  const dissenting = (says: string): Sample[] =>
    counted(({ dissent }) => dissent?.says === says).map(([number, service]) => [number, service!, says])
  return {
    meridian_service_dissent_members: [...dissenting('down'), ...dissenting('up')],
    meridian_service_recovered_members: counted(({ state }) => state === 'recovered'),
    meridian_service_frozen_members: counted(({ frozen }) => frozen),
    meridian_service_held_members: counted(({ held }) => held),
    meridian_service_unproven_members: counted(({ state }) => state === 'unproven'),
    meridian_service_voteless_members: counted(isVoteless),
    meridian_service_ramping_members: counted(({ share }) => share < 1000),
    meridian_service_overridden_members: counted(({ override }) => override !== undefined),
  }
}

/** Whether a member has a check for which no prober votes UP or DOWN. */
export const isVoteless = ({ targets }: Pick<MemberStatus, 'targets'>): boolean =>
  targets.some(({ votes }) => !votes.some(({ value }) => value !== 'abstain'))
