/**
 * The alarms of deploy/prometheus, evaluated by promtool over the series of a fleet: what fires when something is wrong,
 * and nothing beside it. docs/metrics.md is held to the rules.
 */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { expect, test } from 'vitest'
import { METRICS } from '../../src/api/metrics.ts'
import { ALARMS, ALARMS_TEXT, runPromtool } from '../support/alarms.ts'

/** Values by series; a number is a constant, text is promtool's notation, undefined removes the series. */
type Series = Readonly<Record<string, number | string | undefined>>
const INTERVAL_S = 30
/** The same in scenarios of hours: promtool takes its time for each interval. */
const LONG_INTERVAL_S = 600
/** When a scenario is looked at, unless it says otherwise. */
const AT_MINUTES = 12

const NODES = ['n1:8053', 'n2:8053']
const PROBERS = ['p1:8053', 'p2:8053', 'p3:8053']
const SITES = ['fra', 'iad', 'sin']
const SERVICES = 4

const onNodes = (metric: string, labels: string, value: number | string | undefined): Series =>
  Object.fromEntries(NODES.map((node) => [`${metric}{instance="${node}"${labels === '' ? '' : `,${labels}`}}`, value]))
const onAll = (metric: string, value: number | string): Series =>
  Object.fromEntries([...NODES, ...PROBERS].map((instance) => [`${metric}{instance="${instance}"}`, value]))
const ofServices = (metric: string, value: number): Series =>
  Object.assign({}, ...Array.from({ length: SERVICES }, (_, i) => onNodes(metric, `service="s${i}"`, value)))

/** The members of a site: in all services, or in the first `services` of them. */
const members = (site: string, state: string, value: number | string | undefined, services = SERVICES): Series =>
  Object.assign(
    {},
    ...Array.from({ length: services }, (_, i) =>
      onNodes('meridian_member_state', `service="s${i}",site="${site}",vip="192.0.2.${i}",state="${state}"`, value),
    ),
  )
const isDown = (site: string, services = SERVICES): Series => ({
  ...members(site, 'up', undefined, services),
  ...members(site, 'down', 1, services),
})

/** A fleet in which all is well. */
const well: Series = {
  ...onAll('up', 1),
  ...onAll('meridian_ready', 1),
  ...onAll('meridian_store_up', 1),
  ...Object.assign({}, ...SITES.map((site) => members(site, 'up', 1))),
  ...ofServices('meridian_service_last_resort', 0),
  ...ofServices('meridian_service_left_ratio', 1),
  ...ofServices('meridian_service_largest_site_ratio', 0.34),
  ...ofServices('meridian_service_braked_members', 0),
  ...ofServices('meridian_service_frozen_members', 0),
  ...ofServices('meridian_service_recovered_members', 0),
  ...ofServices('meridian_service_held_members', 0),
  ...ofServices('meridian_service_voteless_members', 0),
  ...ofServices('meridian_service_unproven_members', 0),
  ...ofServices('meridian_service_overridden_members', 0),
  ...onNodes('meridian_overrides', 'what="orphaned"', 0),
  ...onNodes('meridian_nodes', 'what="silent"', 0),
  ...onNodes('meridian_nodes_disagreeing', 'about="verdicts"', 0),
  ...onNodes('meridian_node_clock_skew_seconds', 'node="n2"', 0.2),
  ...onNodes('meridian_probers', 'what="silent"', 0),
  ...onNodes('meridian_prober_overdue_targets', 'prober="p1",region="eu"', 0),
  ...Object.fromEntries(PROBERS.map((p) => [`meridian_probe_targets{instance="${p}",what="assigned"}`, 300])),
  ...Object.fromEntries(PROBERS.map((p) => [`meridian_probe_checks_per_second{instance="${p}"}`, 60])),
  ...Object.fromEntries(PROBERS.map((p) => [`meridian_probe_certificates_ending{instance="${p}"}`, 0])),
  ...onNodes('meridian_store_refused_total', 'what="vote"', 0),
  ...onNodes('meridian_view_info', 'view="aa",revision="r1"', 1),
  ...onAll('meridian_reload_failing', 0),
  ...onNodes('meridian_last_good_served', 'what="zones"', 0),
  ...onAll('meridian_load_running_seconds', 0),
  ...onNodes('meridian_geo_held', '', 0),
  ...onNodes('meridian_zones_held', '', 0),
  ...onNodes('meridian_geo_build_time_seconds', 'file="city.mmdb"', -44 * 86400),
  ...onAll('meridian_state_troubles', 0),
  ...onNodes('meridian_soa_serial', '', 7),
  ...onNodes('meridian_bugs_total', '', 0),
  ...onAll('meridian_faults_total', 0),
  ...onNodes('meridian_threads_replaced_total', 'why="died"', 0),
  ...onNodes('meridian_receive_drops_total', '', 0),
  ...onNodes('meridian_send_errors_total', 'reason="unresolved"', 0),
  ...onNodes('meridian_send_errors_total', 'reason="full"', 0),
  ...onNodes('meridian_tcp_connections_total', 'what="evicted"', 0),
  ...onNodes('meridian_limited_responses_total', 'account="answers",what="truncated"', 0),
  ...onNodes('meridian_tls_certificate_end_time_seconds', 'setting="tls.certificate"', 15 * 86400),
  ...onNodes('meridian_tls_certificate_refused', 'setting="tls.certificate"', 0),
  ...onNodes('meridian_notify_oldest_seconds', 'receiver="ops"', 40),
  ...onNodes('meridian_udp_batched', '', 1),
}

const at = (instance: string, metric: string, labels = ''): string =>
  `${metric}{instance="${instance}"${labels === '' ? '' : `,${labels}`}}`
const one = (metric: string, labels: string, value: number | string): Series => ({
  [at('n1:8053', metric, labels)]: value,
})
/** Counts up by `step` at each interval from minute 10 on. */
const grows = (step: number): string => `0x6 ${step}+${step}x40`
/** Is `value` in the last minute, and `otherwise` before. */
const justNow = (value: number | string, otherwise: number | string): string => `${otherwise}x21 ${value}x2`
const anyService = (metric: string, value: number | string): Series => one(metric, 'service="s3"', value)

interface Scenario {
  readonly name: string
  readonly series: Series
  /** Alarm → how many of it fire; the rest of the alarms do not. */
  readonly fires: Readonly<Record<string, number>>
  readonly minutes?: number
}

const scenarios: readonly Scenario[] = [
  { name: 'all is well', series: {}, fires: {} },
  {
    name: 'one dead site with all its services is one page',
    series: { ...isDown('fra'), ...ofServices('meridian_service_left_ratio', 0.67) },
    fires: { MeridianSiteDown: 1 },
  },
  {
    name: 'a site of a third that dies is no lack of capacity where there are two sites',
    series: {
      ...isDown('fra'),
      ...ofServices('meridian_service_left_ratio', 0.5),
      ...ofServices('meridian_service_largest_site_ratio', 0.5),
    },
    fires: { MeridianSiteDown: 1 },
  },
  {
    name: 'two dead sites of three',
    series: { ...isDown('fra'), ...isDown('iad'), ...ofServices('meridian_service_left_ratio', 0.34) },
    fires: { MeridianSiteDown: 2, MeridianCapacityLow: 1 },
  },
  {
    name: 'some members of a site',
    series: isDown('fra', 3),
    fires: { MeridianMemberDown: 1 },
  },
  {
    name: 'a member that is down for a minute only',
    series: {
      ...one('meridian_member_state', 'service="s0",site="fra",vip="192.0.2.0",state="down"', justNow(1, '_')),
    },
    fires: {},
  },
  {
    name: 'everything is down',
    series: {
      ...Object.assign({}, ...SITES.map((site) => isDown(site))),
      ...ofServices('meridian_service_left_ratio', 0),
      ...ofServices('meridian_service_last_resort', 1),
    },
    fires: { MeridianSiteDown: 3, MeridianLastResort: 1 },
  },
  {
    name: 'all IPv4 members of services are down, their IPv6 members are up',
    series: {
      ...isDown('fra', 1),
      ...onNodes('meridian_service_type_unanswered', 'service="s0",type="A"', 1),
      ...onNodes('meridian_service_type_unanswered', 'service="s0",type="AAAA"', 0),
    },
    fires: { MeridianMemberDown: 1, MeridianTypeUnanswered: 1 },
  },
  {
    name: 'Redis frozen: no prober, node or vote is called missing',
    series: {
      ...onAll('meridian_store_up', 0),
      ...onNodes('meridian_probers', 'what="silent"', 3),
      ...onNodes('meridian_nodes', 'what="silent"', 1),
      ...onNodes('meridian_nodes_disagreeing', 'about="verdicts"', 1),
      ...ofServices('meridian_service_held_members', 3),
      ...ofServices('meridian_service_voteless_members', 3),
    },
    fires: { MeridianStoreDown: 1 },
  },
  {
    name: 'Redis out of reach of one node',
    series: {
      ...one('meridian_store_up', '', 0),
      ...one('meridian_probers', 'what="silent"', 3),
      ...one('meridian_nodes_disagreeing', 'about="verdicts"', 1),
    },
    fires: { MeridianStoreDown: 1 },
  },
  { name: 'a short break of Redis', series: one('meridian_store_up', '', '1x22 0 1x2'), fires: {} },
  {
    name: 'a prober is gone',
    series: onNodes('meridian_probers', 'what="silent"', 1),
    fires: { MeridianProberSilent: 1 },
  },
  {
    name: 'a node is dead: its peer says so too, and that is one page',
    series: {
      [at('n2:8053', 'up')]: 0,
      ...Object.fromEntries(
        Object.keys(well)
          .filter((series) => series.includes('n2:8053') && !series.startsWith('up'))
          .map((series) => [series, undefined]),
      ),
      ...one('meridian_nodes', 'what="silent"', 1),
    },
    fires: { MeridianUnreachable: 1 },
  },
  {
    name: 'a node is silent that Prometheus reaches',
    series: one('meridian_nodes', 'what="silent"', 1),
    fires: { MeridianNodeSilent: 1 },
  },
  {
    name: 'a clock that is half an hour behind, as each node sees the other',
    series: {
      [at('n1:8053', 'meridian_node_clock_skew_seconds', 'node="n2"')]: -1800,
      [at('n2:8053', 'meridian_node_clock_skew_seconds', 'node="n1"')]: 1800,
    },
    fires: { MeridianClocksDiffer: 1 },
  },
  { name: 'a restart', series: { [at('n2:8053', 'up')]: '1x22 0 1x2' }, fires: {} },
  { name: 'not ready', series: one('meridian_ready', '', 0), fires: { MeridianNotReady: 1 } },
  {
    name: 'the last node stays announced',
    series: one('meridian_announce_kept', '', 1),
    fires: { MeridianAnnounceKept: 1 },
  },
  {
    name: 'nobody watches a node',
    series: one('meridian_announce_heard', '', 0),
    fires: { MeridianAnnounceSilent: 1 },
  },
  { name: 'the brake', series: anyService('meridian_service_braked_members', 1), fires: { MeridianBrake: 1 } },
  {
    name: 'a freeze against verdicts',
    series: anyService('meridian_service_frozen_members', 1),
    fires: { MeridianFrozen: 1 },
  },
  {
    name: 'a site that awaits its return',
    series: anyService('meridian_service_recovered_members', 1),
    minutes: 70,
    fires: { MeridianAwaitsReturn: 1 },
  },
  {
    name: 'a dead site that is held up for lack of votes is one page, and no ticket beside it',
    series: {
      ...onNodes('meridian_probers', 'what="silent"', 2),
      ...ofServices('meridian_service_held_members', 3),
      ...Object.fromEntries(
        Object.keys(ofServices('meridian_service_dissent_members', 1)).map((series) => [
          series.replace('}', ',says="down"}'),
          1,
        ]),
      ),
    },
    fires: { MeridianHeldUp: 1, MeridianProberSilent: 1 },
  },
  {
    name: 'Redis frozen just then',
    series: {
      ...onAll('meridian_store_up', 0),
      ...onNodes('meridian_service_dissent_members', 'service="s3",says="down"', 1),
    },
    fires: { MeridianStoreDown: 1 },
  },
  { name: 'undecided', series: anyService('meridian_service_held_members', 1), fires: { MeridianUndecided: 1 } },
  { name: 'undecided for a while', series: anyService('meridian_service_held_members', justNow(1, 0)), fires: {} },
  { name: 'no votes', series: anyService('meridian_service_voteless_members', 1), fires: { MeridianVoteless: 1 } },
  { name: 'unproven', series: anyService('meridian_service_unproven_members', 1), fires: { MeridianUnproven: 1 } },
  {
    name: 'certificates that end soon',
    series: {
      [at('p1:8053', 'meridian_probe_certificates_ending')]: 2,
      [at('p2:8053', 'meridian_probe_certificates_ending')]: 1,
    },
    fires: { MeridianCertificateEnds: 1 },
  },
  { name: 'a drain', series: anyService('meridian_service_overridden_members', 1), fires: {} },
  {
    name: 'a drain of yesterday',
    series: anyService('meridian_service_overridden_members', 1),
    minutes: 1450,
    fires: { MeridianOverridden: 1 },
  },
  {
    name: 'an orphan',
    series: one('meridian_overrides', 'what="orphaned"', 1),
    fires: { MeridianOverrideOrphaned: 1 },
  },
  {
    name: 'no checks',
    series: { [at('p2:8053', 'meridian_probe_checks_per_second')]: 0 },
    fires: { MeridianProberIdle: 1 },
  },
  {
    name: 'no checks, and nothing to check',
    series: {
      [at('p2:8053', 'meridian_probe_checks_per_second')]: 0,
      [at('p2:8053', 'meridian_probe_targets', 'what="assigned"')]: 0,
    },
    fires: {},
  },
  {
    name: 'late checks',
    series: onNodes('meridian_prober_overdue_targets', 'prober="p1",region="eu"', 4),
    fires: { MeridianProberLate: 1 },
  },
  {
    name: 'strange data in Redis',
    series: onNodes('meridian_store_refused_total', 'what="vote"', grows(1)),
    fires: { MeridianStoreRefused: 1 },
  },
  {
    name: 'a node behind',
    series: {
      [at('n2:8053', 'meridian_view_info', 'view="aa",revision="r1"')]: undefined,
      [at('n2:8053', 'meridian_view_info', 'view="bb",revision="r0"')]: 1,
      [at('n2:8053', 'meridian_soa_serial')]: 6,
    },
    minutes: 20,
    fires: { MeridianViewsDiffer: 1, MeridianRevisionsDiffer: 1, MeridianSerialsDiffer: 1 },
  },
  {
    name: 'other verdicts',
    series: one('meridian_nodes_disagreeing', 'about="verdicts"', 1),
    fires: { MeridianVerdictsDiffer: 1 },
  },
  {
    name: 'a wrong commit at all nodes',
    series: onAll('meridian_reload_failing', 1),
    fires: { MeridianReloadFailing: 5 },
  },
  {
    name: 'a wrong commit that is corrected at once',
    series: onAll('meridian_reload_failing', '0x22 1 0x2'),
    fires: {},
  },
  {
    name: 'the last good zones',
    series: onNodes('meridian_last_good_served', 'what="zones"', 1),
    fires: { MeridianLastGoodServed: 1 },
  },
  { name: 'a long load', series: one('meridian_load_running_seconds', '', 300), fires: { MeridianLoadStuck: 1 } },
  {
    name: 'a commit that moves a continent',
    series: {
      ...onNodes('meridian_world_moved_ratio', '', 0.4),
      ...onNodes('meridian_world_generation', '', '1x10 2x40'),
    },
    fires: { MeridianClientsMoved: 1 },
  },
  {
    name: 'one of long ago, and files that were looked at since',
    series: {
      ...onNodes('meridian_world_moved_ratio', '', 0.4),
      ...onNodes('meridian_world_generation', '', 2),
      ...onNodes('meridian_reload_success_time_seconds', '', 300),
    },
    fires: {},
  },
  { name: 'a held commit', series: onNodes('meridian_zones_held', '', 1), fires: { MeridianZonesHeld: 1 } },
  { name: 'a held database', series: onNodes('meridian_geo_held', '', 1), fires: { MeridianDatabaseHeld: 1 } },
  {
    name: 'an old database',
    series: onNodes('meridian_geo_build_time_seconds', 'file="city.mmdb"', -46 * 86400),
    minutes: 80,
    fires: { MeridianDatabaseOld: 1 },
  },
  { name: 'a full disk', series: one('meridian_state_troubles', '', 1), fires: { MeridianStateNotSaved: 1 } },
  { name: 'a bug', series: one('meridian_bugs_total', '', grows(1)), fires: { MeridianBug: 1 } },
  {
    name: 'a thread replaced',
    series: one('meridian_threads_replaced_total', 'why="died"', grows(1)),
    fires: { MeridianBug: 1 },
  },
  { name: 'overload', series: one('meridian_receive_drops_total', '', grows(1)), fires: { MeridianQueriesDropped: 1 } },
  {
    name: 'a flood',
    series: one('meridian_send_errors_total', 'reason="unresolved"', grows(1000)),
    fires: { MeridianSpoofedNeighbours: 1 },
  },
  {
    name: 'few lost replies',
    series: one('meridian_send_errors_total', 'reason="unresolved"', grows(150)),
    fires: {},
  },
  {
    name: 'a full link',
    series: one('meridian_send_errors_total', 'reason="full"', grows(1)),
    fires: { MeridianSendBufferFull: 1 },
  },
  {
    name: 'TCP is full',
    series: one('meridian_tcp_connections_total', 'what="evicted"', grows(1)),
    fires: { MeridianTcpFull: 1 },
  },
  {
    name: 'rate limits for a while',
    series: one('meridian_limited_responses_total', 'account="answers",what="truncated"', grows(60)),
    fires: {},
  },
  {
    name: 'rate limits for long',
    series: one('meridian_limited_responses_total', 'account="answers",what="truncated"', grows(60)),
    minutes: 21,
    fires: { MeridianLimited: 1 },
  },
  {
    name: 'the certificate of TLS ends',
    series: one('meridian_tls_certificate_end_time_seconds', 'setting="http.certificate"', 13 * 86400),
    fires: { MeridianTlsCertificateEnds: 1 },
  },
  {
    name: 'a certificate that is of no use',
    series: one('meridian_tls_certificate_refused', 'setting="tls.certificate"', 1),
    fires: { MeridianTlsCertificateRefused: 1 },
  },
  {
    name: 'a receiver that takes no messages',
    series: one('meridian_notify_oldest_seconds', 'receiver="ops"', 400),
    fires: { MeridianNotifyWaits: 1 },
  },
  { name: 'without koffi', series: one('meridian_udp_batched', '', 0), fires: { MeridianUdpPortable: 1 } },
]

/** A test of promtool: exactly these alarms fire. */
const testOf = ({ name, series, fires, minutes = AT_MINUTES }: Scenario, intervalS: number): object => ({
  name,
  interval: `${intervalS}s`,
  input_series: Object.entries({ ...well, ...series }).flatMap(([key, value]) => {
    if (value === undefined) return []
    const values = typeof value === 'number' ? `${value}x${(minutes * 60) / intervalS + 1}` : value
    return [{ series: key.replace('{', '{job="meridian",'), values }]
  }),
  promql_expr_test: [
    {
      expr: 'count by (alertname) (ALERTS{alertstate="firing"})',
      eval_time: `${minutes}m`,
      exp_samples: Object.entries(fires).map(([alertname, value]) => ({ labels: `{alertname="${alertname}"}`, value })),
    },
  ],
})

test.each([
  ['within minutes', INTERVAL_S, (minutes: number) => minutes <= 60],
  ['after hours', LONG_INTERVAL_S, (minutes: number) => minutes > 60],
] as const)('each fault fires its alarm and no other, %s', (_, intervalS, isMeant) => {
  const meant = scenarios.filter(({ minutes = AT_MINUTES }) => isMeant(minutes))
  expect(meant.length).toBeGreaterThan(1)
  expect(
    runPromtool(
      meant.map((scenario) => testOf(scenario, intervalS)),
      intervalS,
    ),
  ).toBeUndefined()
})

test('each alarm has a scenario in which it fires', () => {
  const fired = new Set(scenarios.flatMap(({ fires }) => Object.keys(fires)))
  expect([...fired].toSorted()).toEqual(ALARMS.map(({ alert }) => alert).toSorted())
})

test('alarms rest on metrics that exist', () => {
  for (const [, name] of ALARMS_TEXT.matchAll(/\b(meridian_[a-z_]+)\b/g)) expect(Object.keys(METRICS)).toContain(name)
})

test('docs/metrics.md tells every alarm, and no other', () => {
  const docs = readFileSync(resolve(import.meta.dirname, '../../docs/metrics.md'), 'utf8')
  const rows = [...docs.matchAll(/^\| `(Meridian\w+)` \| (\w+) \| (\S+) \| (.*?) \|$/gm)].map(([, ...row]) => row)
  expect(rows).toEqual(
    ALARMS.map((rule) => [rule.alert, rule.labels.severity, rule.for ?? '-', rule.annotations.description]),
  )
})
