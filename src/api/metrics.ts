/**
 * /metrics: the table of all metrics, and their rendering by prom-client. Called by RunningNode and RunningProber at
 * each scrape. docs/metrics.md is held to the table by a test. Counters are summed over the threads' shared memory;
 * nothing here is on the query path.
 */
import { setImmediate } from 'node:timers/promises'
import {
  ANSWER_STAGES,
  type AnswerCells,
  C_BUGS,
  C_COOKIES,
  C_ECS,
  C_LAST_RESORT,
  C_PROXY_MALFORMED,
  C_LIMITED,
  C_SEND_FULL,
  C_SEND_REFUSED,
  C_SEND_UNRESOLVED,
  C_TRUNCATED,
  COUNTED_RCODES,
  COUNTED_TYPES,
  LIMITED_KINDS,
  queryCell,
  TRANSPORTS,
} from '../counters.ts'

interface Metric {
  readonly kind: 'counter' | 'gauge'
  readonly labels: readonly string[]
  readonly help: string
}

const counter = (help: string, ...labels: string[]): Metric => ({ kind: 'counter', labels, help })
const gauge = (help: string, ...labels: string[]): Metric => ({ kind: 'gauge', labels, help })

/** All metrics: their kind, their labels, and the help text that docs/metrics.md repeats. */
export const METRICS = {
  meridian_build_info: gauge('Always 1; the version and the Node it runs on.', 'version', 'node_version'),
  meridian_start_time_seconds: gauge('Unix time at which the process started.'),
  meridian_resident_memory_bytes: gauge('Resident memory of the process.'),
  meridian_ready: gauge('1 while /ready says so.'),
  meridian_announced: gauge(
    'Of a node with `announce.form`: 1 while its addresses are announced, as `meridian announce` says.',
  ),
  meridian_announce_kept: gauge(
    '1 while they stay announced although the node would withdraw them: too few others are announced.',
  ),
  meridian_announce_heard: gauge('1 while `meridian announce` is heard; without it nothing withdraws the node.'),
  meridian_faults_total: counter('Faults of Meridian itself that nothing caught outside of answering; it goes on.'),
  meridian_http_refused_total: counter(
    'Requests at `http.listen` that were refused: by a name that is not in `http.hosts` (`host`), from a web page of another origin (`origin`), with an unknown token (`token`), with one that lacks the scope (`scope`).',
    'reason',
  ),
  meridian_state_troubles: gauge(
    'What is wrong with the state folder now: files that cannot be read or written, no control socket; `status` has the words.',
  ),
  meridian_queries_total: counter(
    'Queries by their result; rcode `dropped`: no reply was sent.',
    'transport',
    'type',
    'rcode',
  ),
  meridian_ecs_queries_total: counter('Queries that carried a client subnet (RFC 7871).'),
  meridian_cookie_queries_total: counter(
    'Queries with a DNS cookie (RFC 7873). `new`: the client has none of this server yet; `bad`: outdated, or made with another secret or for another address.',
    'cookie',
  ),
  meridian_truncated_answers_total: counter('UDP answers sent with TC because they did not fit.'),
  meridian_limited_responses_total: counter(
    'Responses over UDP that the rate limits kept back. `account`: the rate, `unproven` that of networks which have not proven their address; `what`: `truncated` (TC=1 and nothing else) or `dropped`. See docs/abuse.md.',
    'account',
    'what',
  ),
  meridian_send_errors_total: counter(
    'Replies that were not sent. `refused`: by the kernel; `full`: the send buffer was; `unresolved`: the client is on-link, ' +
      'the kernel does not know its link address, and other such replies are waiting.',
    'reason',
  ),
  meridian_proxy_malformed_total: counter(
    'Datagrams and connections from `proxy.from` that were dropped: their PROXY header was missing or malformed.',
  ),
  meridian_query_log_records_total: counter(
    'Records of queries by what became of them: `written`, or `dropped` because they came faster than they were taken. See `queryLog.sample`.',
    'to',
    'what',
  ),
  meridian_query_log_up: gauge(
    '1 while the file, or the collector of dnstap, takes records of queries; 0: `status` says why not.',
    'to',
  ),
  meridian_bugs_total: counter('Faults of our own while answering; each one was a SERVFAIL.'),
  meridian_answers_total: counter(
    'Steered answers by the service, the site that was named (empty: none was, but the last resort), and the stage that found it. `nearest`: one of the first sites of the client’s order; `spill`: a later one, because the first are dead or have no share for the client; `weight 0`, `below minVips`, `recovered`, `unproven`, `drained`, `last resort`: nothing better was left.',
    'service',
    'site',
    'stage',
  ),
  meridian_country_queries_total: counter(
    'Queries by the country of the client, or of its resolver without a client subnet; `unknown`: the database has none. From samples, see below.',
    'country',
  ),
  meridian_asn_queries_total: counter(
    'Queries by the autonomous system of the client, or of its resolver without a client subnet; `unknown`: the database has none. The 100 largest, from samples, see below.',
    'asn',
  ),
  meridian_last_resort_answers_total: counter('Steered answers given by the stated last resort.'),
  meridian_outage_start_time_seconds: gauge(
    'Unix time at which the first failed check was told of the last outage of a site: all its VIPs of the service. Absent: it had none since the start.',
    'service',
    'site',
  ),
  meridian_outage_last_answer_time_seconds: gauge(
    'Unix time by which the last answer had been given that named the site in that outage, to a quarter of a second; at the earliest that of the verdict. A last resort is not counted.',
    'service',
    'site',
  ),
  meridian_threads: gauge('Answering threads of UDP.'),
  meridian_threads_replaced_total: counter('Answering threads that died or stood still, and were replaced.', 'why'),
  meridian_udp_batched: gauge('1 with recvmmsg/sendmmsg; 0 on node:dgram, because koffi or the calls are missing.'),
  meridian_receive_buffer_bytes: gauge('Least receive buffer that the kernel granted to a UDP socket.'),
  meridian_send_buffer_bytes: gauge('Least send buffer that the kernel granted to a UDP socket.'),
  meridian_receive_drops_total: counter('Queries that the kernel dropped because a receive buffer was full.'),
  meridian_tcp_connections: gauge('Open connections of TCP, TLS (`dot`) and HTTPS (`doh`).', 'transport'),
  meridian_tcp_held_bytes: gauge(
    'Bytes that wait in connections: unread answers and incomplete queries. See `tcp.memory`.',
    'transport',
  ),
  meridian_tcp_connections_total: counter(
    'Connections by what became of them; `evicted`: the longest idle, for a newcomer when all places were taken; `unread`: answers waited too long; `over_memory`: the client that held most when `tcp.memory` was full; `unanswerable`: it sent what gets no answer.',
    'transport',
    'what',
  ),
  meridian_transfers_total: counter(
    'Zone transfers to secondaries: sent whole (`axfr`) or as differences (`ixfr`), `refused`, or `broken` off. The log has the reasons.',
    'what',
  ),
  meridian_notifies_total: counter(
    'Secondaries that were told of a new serial (NOTIFY), and `confirmed` it, or `failed`: they refused, or did not reply to six messages.',
    'what',
  ),
  meridian_notifies_pending: gauge('Secondaries that are still to be told of a new serial, or to reply.'),
  meridian_transfers_running: gauge('Zone transfers that are being sent.'),
  meridian_tls_handshakes_total: counter(
    'TLS handshakes: `full`, `resumed` from a ticket, `failed`.',
    'transport',
    'result',
  ),
  meridian_https_bad_requests_total: counter('Requests over HTTPS that were no queries, by their status.', 'status'),
  meridian_tls_certificate_end_time_seconds: gauge(
    'Unix time at which the certificate of a setting ends: `tls.certificate`, that TLS and HTTPS show, or `http.certificate`.',
    'setting',
  ),
  meridian_tls_certificate_refused: gauge(
    '1 while the file of the setting, and that of its key, have a pair that is of no use; the one before is shown.',
    'setting',
  ),
  meridian_world_generation: gauge('Number of the World that is served; one more with every reload that succeeded.'),
  meridian_world_moved_ratio: gauge(
    'The largest share of the clients of any service that the last reload moved to other sites, with all members up; 0 before the first reload.',
  ),
  meridian_geo_build_time_seconds: gauge('Unix time at which a database in use was built.', 'file'),
  meridian_zones_held: gauge(
    '1 while the zones on disk wait to be accepted: they move more clients than zones.maxMove, and the zones before are served.',
  ),
  meridian_geo_held: gauge(
    '1 while new databases wait to be accepted: they move more clients than geo.maxMove, or have lost what the zones need.',
  ),
  meridian_view_info: gauge(
    'Always 1; nodes that serve alike have the same view. The revision is what git says of the zones, empty outside of git.',
    'view',
    'revision',
  ),
  meridian_soa_serial: gauge('SOA serial of all zones, as it is answered.'),
  meridian_zones: gauge('Zones served.'),
  meridian_names: gauge('Owner names served.'),
  meridian_reloads_total: counter(
    'Loads of zones and databases; `failed` left the old World serving, `unchanged` found what was served already, or held it back.',
    'result',
  ),
  meridian_reload_failing: gauge('1 while the files on disk do not load and an older World is served.'),
  meridian_last_good_served: gauge(
    '1 while the zones, or the databases, on disk have errors and the last good ones are served (without any known: no places).',
    'what',
  ),
  meridian_reload_success_time_seconds: gauge('Unix time of the last load that succeeded.'),
  meridian_load_duration_seconds: gauge('How long each stage of the last load took.', 'stage'),
  meridian_load_running_seconds: gauge('How long the load that runs has taken so far; 0 while none does.'),
  meridian_problems: gauge('Problems that the last load found.', 'severity'),
  meridian_member_state: gauge(
    '1 for the state a member is in: up, down, unproven, drained, forced, recovered.',
    'service',
    'site',
    'vip',
    'state',
  ),
  meridian_member_share: gauge(
    'How much of its share of clients a member takes now: 1 unless it ramps up, its agent asks for less, or it is drained in part.',
    'service',
    'site',
    'vip',
  ),
  meridian_member_changes_total: counter('Changes of members to a state.', 'state'),
  meridian_service_last_resort: gauge('1 while no member of the service is usable.', 'service'),
  meridian_service_type_unanswered: gauge(
    '1 while no member of the service has a usable address of the type, and one has of the other type.',
    'service',
    'type',
  ),
  meridian_service_left_ratio: gauge('Share of its capacity that is up and takes clients.', 'service'),
  meridian_service_largest_site_ratio: gauge(
    'Share of its capacity that its largest site has: what is lost when that site alone is down.',
    'service',
  ),
  meridian_service_braked_members: gauge(
    'Members whose DOWN waits: with it, less than `keep` would be left. Above 0 the brake is active.',
    'service',
  ),
  meridian_service_recovered_members: gauge(
    'Members that are up after their site has failed over, and passed over until `meridian return`.',
    'service',
  ),
  meridian_service_frozen_members: gauge('Members that a freeze keeps against their verdict.', 'service'),
  meridian_service_held_members: gauge('Members whose votes do not decide: the last verdict stands.', 'service'),
  meridian_service_dissent_members: gauge(
    'Members whose verdict stands only because votes are too few: all that there are say `says`.',
    'service',
    'says',
  ),
  meridian_service_unproven_members: gauge('Members that were never seen up.', 'service'),
  meridian_service_voteless_members: gauge('Members with a check for which no prober votes up or down.', 'service'),
  meridian_service_ramping_members: gauge('Members that take less than their full share.', 'service'),
  meridian_service_overridden_members: gauge('Members whose state an override decides.', 'service'),
  meridian_overrides: gauge('Overrides in force; `orphaned`: they match no member any more.', 'what'),
  meridian_freeze_end_time_seconds: gauge('Unix time at which the freeze in force ends; absent: there is none.'),
  meridian_notify_messages_total: counter(
    'Messages to a receiver of the setting `notify`: `sent`; `refused` by it for good; `dropped`, because too many waited; and attempts that `failed`, and are repeated.',
    'receiver',
    'what',
  ),
  meridian_notify_queued_messages: gauge('Messages that wait until a receiver has them.', 'receiver'),
  meridian_notify_oldest_seconds: gauge(
    'How long the oldest message to a receiver has waited; 0: none does.',
    'receiver',
  ),
  meridian_store_refused_total: counter('What was read from the Store and refused, by reason.', 'what'),
  meridian_store_up: gauge('1 while the Store is reached; 0: the last known health stays in use.', 'kind'),
  meridian_nodes: gauge(
    'Nodes that this one knows, including itself; `silent`: they ended without a word, stand still or are cut off.',
    'what',
  ),
  meridian_node_clock_skew_seconds: gauge(
    'How far the wall clock of another live node is ahead of this one; below 0: behind. No health depends on it.',
    'node',
  ),
  meridian_nodes_disagreeing: gauge(
    'Live nodes whose view (what they serve) or verdicts have differed from this one for more than 5 s.',
    'about',
  ),
  meridian_probers: gauge('The roster of probers; `silent`: their votes are gone, verdicts stand.', 'what'),
  meridian_prober_heartbeat_age_seconds: gauge('Time since the last heartbeat of a prober.', 'prober', 'region'),
  meridian_prober_overdue_targets: gauge('Targets whose check is late.', 'prober', 'region'),
  meridian_prober_restarts_total: counter(
    "Times that this process's prober thread died or fell silent and was replaced.",
  ),
  meridian_probe_targets: gauge(
    'Targets in all (`planned`), of this prober (`assigned`), and being handed over (`leaving`).',
    'what',
  ),
  meridian_probe_checks_per_second: gauge('Checks that this prober began in the last whole second.'),
  meridian_probe_wanted_checks_per_second: gauge("Checks a second that this prober's targets ask for."),
  meridian_probe_oldest_run_age_seconds: gauge("Of this prober's targets, the longest time since a check ended."),
  meridian_probe_never_run_targets: gauge('Targets of this prober without a check that has ended.'),
  meridian_probe_held_down_targets: gauge('Targets whose UP waits because they flapped.'),
  meridian_probe_certificate_end_time_seconds: gauge(
    'Unix time at which the certificate ends that a site shows to checks of type https, tls and grpc.',
    'address',
    'port',
    'name',
  ),
  meridian_probe_certificates_ending: gauge('Certificates that end sooner than `validFor` of their checks wants.'),
} as const satisfies Record<string, Metric>

/** The name of a metric. */
export type MetricName = keyof typeof METRICS

/** A value and its labels, in the order of the metric's labels. */
export type Sample = readonly [value: number, ...labels: string[]]
/** The samples of some metrics. */
export type Samples = { readonly [name in MetricName]?: readonly Sample[] }

/** The samples of the answering threads. `cells`: their counters, summed. Combinations never counted are left out. */
export function countedSamples(cells: Float64Array, answers: AnswerCells): Samples {
  const queries: Sample[] = []
  TRANSPORTS.forEach((transport, t) =>
    COUNTED_TYPES.forEach((type, y) =>
      COUNTED_RCODES.forEach((rcode, r) => {
        const count = cells[queryCell(t, y, r)]!
        if (count > 0) queries.push([count, transport, type, rcode])
      }),
    ),
  )
  const steered = [...answers.pairs()].flatMap(({ service, site, cell }) =>
    ANSWER_STAGES.flatMap((stage, i): Sample[] =>
      cells[cell + i]! > 0 ? [[cells[cell + i]!, service, site, stage]] : [],
    ),
  )
  return {
    meridian_queries_total: queries,
    meridian_answers_total: steered,
    meridian_ecs_queries_total: [[cells[C_ECS]!]],
    meridian_cookie_queries_total: ['new', 'bad', 'valid'].map((cookie, i) => [cells[C_COOKIES + i]!, cookie]),
    meridian_truncated_answers_total: [[cells[C_TRUNCATED]!]],
    meridian_limited_responses_total: LIMITED_KINDS.flatMap((kind, i) => [
      [cells[C_LIMITED + i]!, kind, 'truncated'] as const,
      [cells[C_LIMITED + LIMITED_KINDS.length + i]!, kind, 'dropped'] as const,
    ]),
    meridian_send_errors_total: [
      [cells[C_SEND_REFUSED]!, 'refused'],
      [cells[C_SEND_FULL]!, 'full'],
      [cells[C_SEND_UNRESOLVED]!, 'unresolved'],
    ],
    meridian_bugs_total: [[cells[C_BUGS]!]],
    meridian_proxy_malformed_total: [[cells[C_PROXY_MALFORMED]!]],
    meridian_last_resort_answers_total: [[cells[C_LAST_RESORT]!]],
  }
}

/** The text of samples as they were rendered last, AT_ONCE of a metric together. */
export type RenderedSamples = Map<string, { readonly samples: readonly Sample[]; readonly text: string }>

/**
 * Renders the Prometheus text format. Metrics without a sample are left out. A registry lives for one piece of text, so
 * counters are absolute. `kept`: what is unchanged since the scrape before is not rendered again; of 10,000 members
 * that is nearly all.
 */
export async function renderMetrics(byName: Samples, kept: RenderedSamples = new Map()): Promise<string> {
  const library = await import('prom-client') // at the first scrape: a start need not wait for its 90 files
  const all: Readonly<Record<string, readonly Sample[] | undefined>> = byName
  const texts: string[] = []
  for (const [name, metric] of Object.entries<Metric>(METRICS)) {
    const samples = all[name] ?? [] // without this a gauge without labels would show 0
    let i = 0
    for (; i < samples.length; i += AT_ONCE) {
      const key = `${name} ${i}`
      const some = samples.slice(i, i + AT_ONCE)
      const before = kept.get(key)
      if (before !== undefined && areSame(before.samples, some)) {
        texts.push(before.text)
        continue
      }
      const rendered = await renderSome(library, name, metric, some)
      const text = i === 0 ? rendered : withoutHead(rendered)
      kept.set(key, { samples: some, text })
      texts.push(text)
      if (samples.length > AT_ONCE) await setImmediate()
    }
    while (kept.delete(`${name} ${i}`)) i += AT_ONCE
  }
  return texts.join('')
}

const areSame = (before: readonly Sample[], now: readonly Sample[]): boolean =>
  before.length === now.length && now.every((sample, i) => sample.every((part, j) => part === before[i]![j]))

/** The text without its leading # HELP and # TYPE lines. */
function withoutHead(text: string): string {
  let at = 0
  while (text[at] === '#') at = text.indexOf('\n', at) + 1
  return text.slice(at)
}

/** Series rendered before other work gets a turn: a fleet of 10,000 members has 20,000 series. */
const AT_ONCE = 500

async function renderSome(
  { Counter, Gauge, Registry }: typeof import('prom-client'),
  name: string,
  { kind, help, labels }: Metric,
  samples: readonly Sample[],
): Promise<string> {
  const options = { name, help, labelNames: labels, registers: [new Registry()] }
  const metric = kind === 'counter' ? new Counter(options) : new Gauge(options)
  for (const [value, ...given] of samples)
    metric.inc(Object.fromEntries(labels.map((label, i) => [label, given[i]!])), value)
  return `${await options.registers[0]!.getSingleMetricAsString(name)}\n`
}
