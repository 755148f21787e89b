/** The dashboard of a service: its members, its answers, and what keeps members in them. */
import type { Dashboard } from './grafana.ts'
import { SERVICE, rateBy, perService, chart } from './panels.ts'

/** The dashboard of a service: its members, its answers, and what keeps members in them. */
export const service: Dashboard = {
  uid: 'meridian-service',
  title: 'Meridian: service',
  description: 'A service: its members, what is left of it, and which sites are answered.',
  variables: [{ name: 'service', label: 'Service', query: 'label_values(meridian_service_left_ratio, service)' }],
  rows: [
    {
      title: 'Members',
      panels: [
        chart(
          'Capacity that is up',
          'percentunit',
          [
            perService('meridian_service_left_ratio'),
            [
              `1 - max by (service) (meridian_service_largest_site_ratio{${SERVICE}})`,
              '{{service}} without its largest site',
            ],
          ],
          { alarms: ['MeridianCapacityLow'] },
        ),
        chart(
          'Members by state',
          'short',
          [[`count by (state) (max by (service, site, vip, state) (meridian_member_state{${SERVICE}}))`, '{{state}}']],
          { stack: true, alarms: ['MeridianSiteDown', 'MeridianMemberDown'] },
        ),
        {
          title: 'Sites, by the share of their members that is up',
          type: 'state-timeline',
          unit: 'percentunit',
          queries: [
            [
              `(count by (service, site) (max by (service, site, vip) (meridian_member_state{${SERVICE}, state="up"})) or 0 * count by (service, site) (max by (service, site, vip) (meridian_member_state{${SERVICE}})))
  / count by (service, site) (max by (service, site, vip) (meridian_member_state{${SERVICE}}))`,
              '{{service}} {{site}}',
            ],
          ],
          below: 1,
        },
        {
          title: 'Members that are not up',
          type: 'table',
          unit: 'short',
          queries: [[`max by (service, site, vip, state) (meridian_member_state{${SERVICE}, state!="up"})`]],
          width: 12,
        },
        chart(
          'Members that take less than their share',
          'percentunit',
          [[`min by (service, site, vip) (meridian_member_share{${SERVICE}}) < 1`, '{{service}} {{site}} {{vip}}']],
          { width: 12 },
        ),
      ],
    },
    {
      title: 'Answers',
      panels: [
        chart('Answers by site', 'reqps', [rateBy('service, site', 'meridian_answers_total', SERVICE)], {
          stack: true,
        }),
        chart('Answers by stage', 'reqps', [rateBy('service, stage', 'meridian_answers_total', SERVICE)], {
          stack: true,
        }),
        chart('Answers that are not of the first sites', 'percentunit', [
          [
            `sum by (service) (rate(meridian_answers_total{${SERVICE}, stage!="nearest"}[$__rate_interval])) / sum by (service) (rate(meridian_answers_total{${SERVICE}}[$__rate_interval]))`,
            '{{service}}',
          ],
        ]),
        chart('From death to the last wrong answer, last outage', 's', [
          [`meridian:failover_seconds{${SERVICE}}`, '{{service}} {{site}}'],
        ]),
        {
          title: 'The last outage of each site',
          type: 'table',
          unit: 'dateTimeFromNow',
          queries: [
            [`1000 * max by (service, site) (meridian_outage_start_time_seconds{${SERVICE}})`],
            [`1000 * max by (service, site) (meridian_outage_last_answer_time_seconds{${SERVICE}})`],
          ],
        },
        chart('Answers that name a dead site', 'reqps', [
          [`meridian:dead_site_answers:rate2m{${SERVICE}}`, '{{service}} {{site}}'],
        ]),
      ],
    },
    {
      title: 'What keeps members in answers, or out of them',
      panels: [
        chart('On the last resort', 'short', [perService('meridian_service_last_resort')], {
          above: 1,
          alarms: ['MeridianLastResort'],
        }),
        chart(
          'No address of a type',
          'short',
          [[`max by (service, type) (meridian_service_type_unanswered{${SERVICE}})`, '{{service}} {{type}}']],
          { above: 1, alarms: ['MeridianTypeUnanswered'] },
        ),
        chart('Kept by the brake', 'short', [perService('meridian_service_braked_members')], {
          above: 1,
          alarms: ['MeridianBrake'],
        }),
        chart('Kept by a freeze', 'short', [perService('meridian_service_frozen_members')], {
          above: 1,
          alarms: ['MeridianFrozen'],
        }),
        chart(
          'Kept for lack of votes',
          'short',
          [
            [
              `max by (service, says) (meridian_service_dissent_members{${SERVICE}})`,
              '{{service}}, all votes say {{says}}',
            ],
            perService('meridian_service_held_members', '{{service}}, undecided'),
            perService('meridian_service_voteless_members', '{{service}}, no votes'),
          ],
          { above: 1, alarms: ['MeridianHeldUp', 'MeridianUndecided', 'MeridianVoteless'] },
        ),
        chart('Awaiting their return', 'short', [perService('meridian_service_recovered_members')], {
          above: 1,
          alarms: ['MeridianAwaitsReturn'],
        }),
        chart('Never seen up', 'short', [perService('meridian_service_unproven_members')], {
          above: 1,
          alarms: ['MeridianUnproven'],
        }),
        chart('Under an override', 'short', [perService('meridian_service_overridden_members')], {
          above: 1,
          alarms: ['MeridianOverridden'],
        }),
        chart('Ramping up, or asked for less', 'short', [perService('meridian_service_ramping_members')]),
      ],
    },
  ],
}
