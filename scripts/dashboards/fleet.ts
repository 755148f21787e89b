/** The dashboard of the fleet: what is hurt, answers, failovers, operators, nodes. */
import type { Dashboard } from './grafana.ts'
import { rateBy, counted, stat, chart } from './panels.ts'

const ALL_DOWN = `count by (site) (max by (service, site, vip) (meridian_member_state{state="down"}))
  unless on (site) max by (site) (meridian_member_state{state="up"})`

/** The dashboard of the fleet: what is hurt, answers, failovers, operators, nodes. */
export const fleet: Dashboard = {
  uid: 'meridian-fleet',
  title: 'Meridian: fleet',
  description: 'All nodes, sites and probers at a glance.',
  variables: [],
  rows: [
    {
      title: 'What is hurt',
      panels: [
        stat('Alarms', counted('count(ALERTS{alertname=~"Meridian.*", alertstate="firing"})'), { above: 1 }),
        stat('Sites down', counted(`count(${ALL_DOWN})`), { above: 1, alarms: ['MeridianSiteDown'] }),
        stat('Services on the last resort', counted('count(max by (service) (meridian_service_last_resort) == 1)'), {
          above: 1,
          alarms: ['MeridianLastResort'],
        }),
        stat('Processes not ready', counted('count(meridian_ready == 0)'), { above: 1, alarms: ['MeridianNotReady'] }),
        stat('Processes without Redis', counted('count(meridian_store_up == 0)'), {
          above: 1,
          alarms: ['MeridianStoreDown'],
        }),
        stat('Probers silent', ['max(meridian_probers{what="silent"})'], {
          above: 1,
          alarms: ['MeridianProberSilent'],
        }),
        stat('Nodes silent', ['max(meridian_nodes{what="silent"})'], { above: 1, alarms: ['MeridianNodeSilent'] }),
        stat('Views served', ['count(count by (view) (meridian_view_info))'], {
          above: 2,
          alarms: ['MeridianViewsDiffer'],
        }),
        {
          title: 'Alarms that fire',
          type: 'table',
          unit: 'short',
          queries: [
            [
              'sum by (alertname, severity, instance, site, service) (ALERTS{alertname=~"Meridian.*", alertstate="firing"})',
            ],
          ],
          width: 12,
        },
        chart(
          'Capacity that is up, the 5 services with least',
          'percentunit',
          [['bottomk(5, max by (service) (meridian_service_left_ratio))', '{{service}}']],
          { width: 12, alarms: ['MeridianCapacityLow'] },
        ),
      ],
    },
    {
      title: 'Answers',
      panels: [
        chart('Queries by node', 'reqps', [rateBy('instance', 'meridian_queries_total')], { stack: true }),
        chart('Queries by result', 'reqps', [rateBy('rcode', 'meridian_queries_total')], { stack: true }),
        chart('Steered answers by site', 'reqps', [rateBy('site', 'meridian_answers_total')], { stack: true }),
        chart('Answers that are not of the first sites', 'percentunit', [
          [
            'sum by (stage) (rate(meridian_answers_total{stage!="nearest"}[$__rate_interval])) / scalar(sum(rate(meridian_answers_total[$__rate_interval])))',
            '{{stage}}',
          ],
        ]),
        chart('Queries by country', 'reqps', [
          ['topk(10, sum by (country) (rate(meridian_country_queries_total[$__rate_interval])))', '{{country}}'],
        ]),
        chart('Queries by autonomous system', 'reqps', [
          ['topk(10, sum by (asn) (rate(meridian_asn_queries_total[$__rate_interval])))', 'AS{{asn}}'],
        ]),
      ],
    },
    {
      title: 'Failover',
      panels: [
        chart(
          'From death to the last wrong answer, last outage',
          's',
          [['meridian:failover_seconds', '{{service}} {{site}}']],
          {
            description:
              'From the first failed check to the last answer that named the site; resolvers keep it for the TTL.',
          },
        ),
        chart('Answers that name a dead site', 'reqps', [
          ['meridian:dead_site_answers:rate2m', '{{service}} {{site}}'],
        ]),
        chart('Changes of members in an hour', 'short', [
          ['max by (state) (increase(meridian_member_changes_total[1h]))', 'to {{state}}'],
        ]),
      ],
    },
    {
      title: 'Operators',
      panels: [
        chart('Overrides', 'short', [['max by (what) (meridian_overrides)', '{{what}}']], {
          alarms: ['MeridianOverridden', 'MeridianOverrideOrphaned'],
        }),
        stat('A freeze ends', ['1000 * max(meridian_freeze_end_time_seconds)'], {
          unit: 'dateTimeFromNow',
          width: 4,
          height: 8,
          alarms: ['MeridianFrozen'],
        }),
        chart(
          'Members kept against their verdict',
          'short',
          [
            ['sum(max by (service) (meridian_service_braked_members))', 'by the brake'],
            ['sum(max by (service) (meridian_service_frozen_members))', 'by a freeze'],
            ['sum(max by (service) (meridian_service_dissent_members{says="down"}))', 'for lack of votes'],
          ],
          { width: 12, above: 1, alarms: ['MeridianBrake', 'MeridianFrozen', 'MeridianHeldUp'] },
        ),
      ],
    },
    {
      title: 'Nodes',
      panels: [
        {
          title: 'Versions',
          type: 'table',
          unit: 'short',
          queries: [['meridian_build_info']],
        },
        {
          title: 'Zones that are served',
          type: 'table',
          unit: 'short',
          queries: [['meridian_view_info']],
          alarms: ['MeridianViewsDiffer', 'MeridianRevisionsDiffer'],
        },
        chart(
          'SOA serials, behind the newest',
          's',
          [['max(meridian_soa_serial) - on () group_right () meridian_soa_serial', '{{instance}}']],
          { above: 1, alarms: ['MeridianSerialsDiffer'] },
        ),
        {
          title: 'Announced',
          type: 'state-timeline',
          unit: 'short',
          queries: [['meridian_announced', '{{instance}}']],
          words: { 0: ['withdrawn', 'red'], 1: ['announced', 'green'] },
        },
        chart('Clocks', 's', [['max by (node) (abs(meridian_node_clock_skew_seconds))', '{{node}}']], {
          above: 10,
          alarms: ['MeridianClocksDiffer'],
        }),
        chart(
          'Nodes that disagree',
          'short',
          [['max by (about) (meridian_nodes_disagreeing)', 'about the {{about}}']],
          {
            above: 1,
            alarms: ['MeridianVerdictsDiffer', 'MeridianViewsDiffer'],
          },
        ),
      ],
    },
  ],
}
