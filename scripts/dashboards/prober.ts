/** The dashboard of a prober: its checks, the roster, certificates of sites. */
import type { Dashboard } from './grafana.ts'
import { PROBER, stat, chart } from './panels.ts'

/** The dashboard of a prober: its checks, the roster, certificates of sites. */
export const prober: Dashboard = {
  uid: 'meridian-prober',
  title: 'Meridian: prober',
  description: 'A prober, or a node that probes: its targets, and whether it keeps up.',
  variables: [{ name: 'prober', label: 'Prober', query: 'label_values(meridian_probe_targets, instance)' }],
  rows: [
    {
      title: 'Checks',
      panels: [
        chart(
          'Checks a second',
          'cps',
          [
            [`meridian_probe_checks_per_second{${PROBER}}`, '{{instance}}'],
            [`meridian_probe_wanted_checks_per_second{${PROBER}}`, '{{instance}} wanted'],
          ],
          { alarms: ['MeridianProberIdle'] },
        ),
        chart('Targets', 'short', [[`meridian_probe_targets{${PROBER}}`, '{{instance}} {{what}}']]),
        chart(
          'Time since the check longest ago',
          's',
          [[`meridian_probe_oldest_run_age_seconds{${PROBER}}`, '{{instance}}']],
          {
            alarms: ['MeridianProberLate'],
          },
        ),
        chart(
          'Targets whose check is late, as nodes hear',
          'short',
          [['max by (prober, region) (meridian_prober_overdue_targets)', '{{prober}} ({{region}})']],
          { above: 1, alarms: ['MeridianProberLate'] },
        ),
        chart('Targets without a check', 'short', [[`meridian_probe_never_run_targets{${PROBER}}`, '{{instance}}']]),
        chart('Targets held down for flapping', 'short', [
          [`meridian_probe_held_down_targets{${PROBER}}`, '{{instance}}'],
        ]),
      ],
    },
    {
      title: 'Probers',
      panels: [
        chart(
          'Since the last heartbeat, as nodes hear',
          's',
          [['min by (prober, region) (meridian_prober_heartbeat_age_seconds)', '{{prober}} ({{region}})']],
          { alarms: ['MeridianProberSilent'] },
        ),
        chart('The roster', 'short', [['max by (what) (meridian_probers)', '{{what}}']], {
          alarms: ['MeridianProberSilent'],
        }),
        chart('Nodes', 'short', [['max by (what) (meridian_nodes)', '{{what}}']], { alarms: ['MeridianNodeSilent'] }),
        chart(
          'Threads replaced in an hour',
          'short',
          [[`increase(meridian_prober_restarts_total{${PROBER}}[1h])`, '{{instance}}']],
          { alarms: ['MeridianBug'] },
        ),
        chart('Redis', 'short', [[`meridian_store_up{${PROBER}}`, '{{instance}} {{kind}}']], {
          below: 1,
          alarms: ['MeridianStoreDown'],
        }),
        chart('Files that do not load', 'short', [[`meridian_reload_failing{${PROBER}}`, '{{instance}}']], {
          above: 1,
          alarms: ['MeridianReloadFailing'],
        }),
      ],
    },
    {
      title: 'Certificates of sites',
      panels: [
        stat('End sooner than `validFor` wants', [`max(meridian_probe_certificates_ending{${PROBER}})`], {
          above: 1,
          height: 8,
          width: 4,
          alarms: ['MeridianCertificateEnds'],
        }),
        {
          title: 'The 20 that end first',
          type: 'table',
          unit: 's',
          queries: [
            [
              `bottomk(20, min by (address, port, name) (meridian_probe_certificate_end_time_seconds{${PROBER}}) - time())`,
            ],
          ],
          width: 20,
        },
      ],
    },
  ],
}
