/** /metrics from one snapshot: every series that alarms rest on, and no more series than members and services allow. */
import { expect, test } from 'vitest'
import { METRICS, renderMetrics } from '../../src/api/metrics.ts'
import { renderProberMetrics } from '../../src/api/prober-status.ts'
import { samplesOf } from '../../src/api/samples.ts'
import { served, snapshot } from '../cli/fleet.ts'

const text = await renderMetrics(samplesOf(served()))

test.each([
  'meridian_member_state{service="web",site="iad",vip="192.0.2.2",state="drained"} 1',
  'meridian_member_share{service="web",site="ams",vip="192.0.2.4"} 0.3',
  'meridian_member_changes_total{state="down"} 2',
  'meridian_service_last_resort{service="web"} 0',
  'meridian_service_last_resort{service="api"} 1',
  'meridian_service_type_unanswered{service="web",type="A"} 0',
  'meridian_service_left_ratio{service="web"} 0.504',
  'meridian_service_braked_members{service="web"} 1',
  'meridian_service_held_members{service="web"} 2',
  'meridian_service_dissent_members{service="web",says="down"} 1',
  'meridian_service_dissent_members{service="api",says="up"} 0',
  'meridian_service_unproven_members{service="web"} 1',
  'meridian_service_voteless_members{service="web"} 1',
  'meridian_service_voteless_members{service="api"} 0',
  'meridian_service_ramping_members{service="web"} 1',
  'meridian_service_overridden_members{service="web"} 1',
  'meridian_overrides{what="active"} 1',
  'meridian_overrides{what="orphaned"} 1',
  'meridian_store_up{kind="redis"} 0',
  'meridian_nodes{what="live"} 5',
  'meridian_nodes{what="silent"} 1',
  'meridian_node_clock_skew_seconds{node="n6"} 1800',
  'meridian_nodes_disagreeing{about="view"} 1',
  'meridian_nodes_disagreeing{about="verdicts"} 1',
  'meridian_probers{what="live"} 2',
  'meridian_probers{what="silent"} 1',
  'meridian_prober_overdue_targets{prober="p-eu",region="eu"} 4',
  'meridian_probe_targets{what="assigned"} 12',
  'meridian_probe_targets{what="leaving"} 2',
  'meridian_probe_checks_per_second 6',
  'meridian_probe_wanted_checks_per_second 6.25',
  'meridian_probe_oldest_run_age_seconds 4',
  'meridian_probe_never_run_targets 1',
  'meridian_probe_held_down_targets 1',
  'meridian_prober_restarts_total 1',
  'meridian_limited_responses_total{account="unproven",what="truncated"} 0',
])('%s', (line) => {
  expect(text.split('\n')).toContain(line)
})

test('the last outage of a site has its two moments', async () => {
  const outages = [{ service: 'web', site: 'fra', firstSignAtMs: 1_700_000_000_250, lastAnswerAtMs: 1_700_000_002_500 }]
  const lines = (await renderMetrics(samplesOf({ ...served(), outages }))).split('\n')
  expect(lines).toContain('meridian_outage_start_time_seconds{service="web",site="fra"} 1700000000.25')
  expect(lines).toContain('meridian_outage_last_answer_time_seconds{service="web",site="fra"} 1700000002.5')
})

test('only members have series of their own: two each', () => {
  const series = text.split('\n').filter((line) => line.includes('vip='))
  expect(series).toHaveLength(2 * snapshot.members.length)
})

test('a clock that was not measured has no series, nor has a node that is gone', () => {
  expect(text).not.toMatch(/clock_skew_seconds{node="n[135]"}/)
})

test('a Store without trouble is up', async () => {
  const well = served({ ...snapshot, store: { shared: false, trouble: undefined, refused: [['vote', 3]] } })
  expect(await renderMetrics(samplesOf(well))).toContain('meridian_store_up{kind="memory"} 1\n')
})

test('an abstention is no vote', async () => {
  const members = snapshot.members.map((member) => ({
    ...member,
    targets: member.targets.map(({ target, votes, quorum }) => ({
      target,
      quorum,
      votes: votes.map((vote) => ({ ...vote, value: 'abstain' as const })),
    })),
  }))
  expect(await renderMetrics(samplesOf(served({ ...snapshot, members })))).toContain(
    `meridian_service_voteless_members{service="web"} ${members.length}\n`,
  )
})

test('a prober has no metrics of answering, not even zeros that would alarm', async () => {
  const told = await renderProberMetrics({
    ...served(),
    plan: { hash: 'abcd', zones: 2 },
    store: { shared: true, trouble: undefined, refused: [] },
  })
  const names = [...told.matchAll(/^(meridian_\w+)/gm)].map(([name]) => name)
  for (const name of names) expect(Object.keys(METRICS)).toContain(name)
  expect(names).toEqual(expect.arrayContaining(['meridian_ready', 'meridian_store_up', 'meridian_probe_targets']))
  expect(names.filter((name) => /threads|udp|tcp|queries|world|member|service/.test(name))).toEqual([])
})
