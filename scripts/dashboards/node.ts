/** The dashboard of a node: its state, queries, sockets, data, and what it tells others. */
import type { Dashboard } from './grafana.ts'
import { NODE, rateBy, perNode, stat, chart, YES_NO } from './panels.ts'

/** The dashboard of a node: its state, queries, sockets, data, and what it tells others. */
export const node: Dashboard = {
  uid: 'meridian-node',
  title: 'Meridian: node',
  description: 'A node: its queries, sockets, zones and databases.',
  variables: [{ name: 'node', label: 'Node', query: 'label_values(meridian_world_generation, instance)' }],
  rows: [
    {
      title: 'State',
      panels: [
        stat('Ready', perNode('meridian_ready'), { words: YES_NO, below: 1, alarms: ['MeridianNotReady'] }),
        stat('Announced', perNode('meridian_announced'), { words: YES_NO, below: 1 }),
        stat('Announcing is heard', perNode('meridian_announce_heard'), {
          words: YES_NO,
          below: 1,
          alarms: ['MeridianAnnounceSilent'],
        }),
        stat('Stays announced against its will', perNode('meridian_announce_kept'), {
          words: { 0: ['no', 'green'], 1: ['yes', 'red'] },
          above: 1,
          alarms: ['MeridianAnnounceKept'],
        }),
        stat('Redis', perNode('meridian_store_up', '', '{{instance}} {{kind}}'), {
          words: YES_NO,
          below: 1,
          alarms: ['MeridianStoreDown'],
        }),
        stat(
          'Faults of Meridian in a day',
          [
            `sum by (instance) (increase(meridian_bugs_total{${NODE}}[1d]) + increase(meridian_faults_total{${NODE}}[1d]))`,
            '{{instance}}',
          ],
          { above: 1, alarms: ['MeridianBug'] },
        ),
        stat('State folder: troubles', perNode('meridian_state_troubles'), {
          above: 1,
          alarms: ['MeridianStateNotSaved'],
        }),
        stat('Up since', [`1000 * meridian_start_time_seconds{${NODE}}`, '{{instance}}'], { unit: 'dateTimeFromNow' }),
      ],
    },
    {
      title: 'Queries',
      panels: [
        chart('By transport', 'reqps', [rateBy('transport', 'meridian_queries_total', NODE)], { stack: true }),
        chart('By type', 'reqps', [rateBy('type', 'meridian_queries_total', NODE)], { stack: true }),
        chart('By result', 'reqps', [rateBy('rcode', 'meridian_queries_total', NODE)], { stack: true }),
        chart('Client subnets, cookies, truncation', 'reqps', [
          [rateBy('instance', 'meridian_ecs_queries_total', NODE)[0], '{{instance}} with a client subnet'],
          [rateBy('instance, cookie', 'meridian_cookie_queries_total', NODE)[0], '{{instance}} cookie {{cookie}}'],
          [rateBy('instance', 'meridian_truncated_answers_total', NODE)[0], '{{instance}} truncated'],
        ]),
        chart('Last resorts', 'reqps', [rateBy('instance', 'meridian_last_resort_answers_total', NODE)], {
          alarms: ['MeridianLastResort'],
        }),
        chart('Dropped before they were read', 'reqps', [rateBy('instance', 'meridian_receive_drops_total', NODE)], {
          alarms: ['MeridianQueriesDropped'],
        }),
        chart('Replies not sent', 'reqps', [rateBy('instance, reason', 'meridian_send_errors_total', NODE)], {
          alarms: ['MeridianSpoofedNeighbours', 'MeridianSendBufferFull'],
        }),
        chart(
          'Responses limited',
          'reqps',
          [rateBy('instance, account, what', 'meridian_limited_responses_total', NODE)],
          {
            above: 1,
            alarms: ['MeridianLimited'],
          },
        ),
        chart('Malformed: PROXY, HTTPS', 'reqps', [
          [rateBy('instance', 'meridian_proxy_malformed_total', NODE)[0], '{{instance}} PROXY'],
          [rateBy('instance, status', 'meridian_https_bad_requests_total', NODE)[0], '{{instance}} HTTPS {{status}}'],
        ]),
      ],
    },
    {
      title: 'Sockets and threads',
      panels: [
        chart(
          'Threads',
          'short',
          [
            perNode('meridian_threads'),
            [`increase(meridian_threads_replaced_total{${NODE}}[1h])`, '{{instance}} replaced in an hour: {{why}}'],
          ],
          { alarms: ['MeridianBug'] },
        ),
        chart('Buffers of UDP', 'bytes', [
          perNode('meridian_receive_buffer_bytes', '', '{{instance}} receive'),
          perNode('meridian_send_buffer_bytes', '', '{{instance}} send'),
        ]),
        stat('recvmmsg', perNode('meridian_udp_batched'), {
          words: YES_NO,
          below: 1,
          width: 8,
          height: 8,
          alarms: ['MeridianUdpPortable'],
        }),
        chart('Open connections', 'short', [perNode('meridian_tcp_connections', '', '{{instance}} {{transport}}')]),
        chart('Bytes that wait in connections', 'bytes', [
          perNode('meridian_tcp_held_bytes', '', '{{instance}} {{transport}}'),
        ]),
        chart(
          'Connections by what became of them',
          'cps',
          [rateBy('transport, what', 'meridian_tcp_connections_total', NODE)],
          { alarms: ['MeridianTcpFull'] },
        ),
        chart('TLS handshakes', 'cps', [rateBy('transport, result', 'meridian_tls_handshakes_total', NODE)]),
        chart(
          'Certificates end in',
          's',
          [[`meridian_tls_certificate_end_time_seconds{${NODE}} - time()`, '{{instance}} {{setting}}']],
          { below: 14 * 86_400, alarms: ['MeridianTlsCertificateEnds'] },
        ),
        chart(
          'New certificate refused',
          'short',
          [perNode('meridian_tls_certificate_refused', '', '{{instance}} {{setting}}')],
          { above: 1, alarms: ['MeridianTlsCertificateRefused'] },
        ),
        chart('Resident memory', 'bytes', [perNode('meridian_resident_memory_bytes')]),
        chart('Requests over HTTP that were refused', 'reqps', [
          rateBy('instance, reason', 'meridian_http_refused_total', NODE),
        ]),
        chart('Query log', 'cps', [
          [rateBy('instance, to, what', 'meridian_query_log_records_total', NODE)[0], '{{instance}} {{to}} {{what}}'],
          perNode('meridian_query_log_up', '', '{{instance}} {{to}} takes them'),
        ]),
      ],
    },
    {
      title: 'Zones and databases',
      panels: [
        chart('Zones and names', 'short', [
          perNode('meridian_zones', '', '{{instance}} zones'),
          perNode('meridian_names', '', '{{instance}} names'),
        ]),
        chart(
          'Loads in an hour',
          'short',
          [[`increase(meridian_reloads_total{${NODE}}[1h])`, '{{instance}} {{result}}']],
          { alarms: ['MeridianReloadFailing'] },
        ),
        chart(
          'Files that are not used',
          'short',
          [
            perNode('meridian_reload_failing', '', '{{instance}} do not load'),
            perNode('meridian_last_good_served', '', '{{instance}} last good {{what}}'),
            perNode('meridian_zones_held', '', '{{instance}} zones held'),
            perNode('meridian_geo_held', '', '{{instance}} databases held'),
          ],
          {
            above: 1,
            alarms: ['MeridianReloadFailing', 'MeridianLastGoodServed', 'MeridianZonesHeld', 'MeridianDatabaseHeld'],
          },
        ),
        chart('Clients that the last reload moved', 'percentunit', [perNode('meridian_world_moved_ratio')], {
          above: 0.2,
          alarms: ['MeridianClientsMoved'],
        }),
        chart('Generation', 'short', [perNode('meridian_world_generation')]),
        chart('Problems of the last load', 'short', [perNode('meridian_problems', '', '{{instance}} {{severity}}')]),
        chart(
          'Duration of the last load',
          's',
          [perNode('meridian_load_duration_seconds', '', '{{instance}} {{stage}}')],
          {
            stack: true,
          },
        ),
        chart('The load that runs', 's', [perNode('meridian_load_running_seconds')], {
          above: 120,
          alarms: ['MeridianLoadStuck'],
        }),
        chart(
          'Age of databases, and of the last load',
          's',
          [
            [`time() - meridian_geo_build_time_seconds{${NODE}}`, '{{instance}} {{file}}'],
            [`time() - meridian_reload_success_time_seconds{${NODE}}`, '{{instance}} loaded'],
          ],
          { above: 45 * 86_400, alarms: ['MeridianDatabaseOld'] },
        ),
      ],
    },
    {
      title: 'What it tells others',
      panels: [
        chart('Zone transfers', 'cps', [
          [rateBy('instance, what', 'meridian_transfers_total', NODE)[0], '{{instance}} {{what}}'],
          perNode('meridian_transfers_running', '', '{{instance}} running'),
        ]),
        chart('Secondaries told of a serial', 'short', [
          [`increase(meridian_notifies_total{${NODE}}[1h])`, '{{instance}} {{what}} in an hour'],
          perNode('meridian_notifies_pending', '', '{{instance}} pending'),
        ]),
        chart('Notifications in an hour', 'short', [
          [`increase(meridian_notify_messages_total{${NODE}}[1h])`, '{{receiver}} {{what}}'],
        ]),
        chart('Notifications that wait', 'short', [
          perNode('meridian_notify_queued_messages', '', '{{instance}} {{receiver}}'),
        ]),
        chart(
          'The oldest that waits',
          's',
          [perNode('meridian_notify_oldest_seconds', '', '{{instance}} {{receiver}}')],
          {
            above: 300,
            alarms: ['MeridianNotifyWaits'],
          },
        ),
        chart(
          'Refused from Redis in an hour',
          'short',
          [[`increase(meridian_store_refused_total{${NODE}}[1h])`, '{{instance}} {{what}}']],
          { alarms: ['MeridianStoreRefused'] },
        ),
      ],
    },
  ],
}
