/**
 * Each template against the form that its receiver publishes, written here as a strict schema:
 *
 *   Slack: block kit, docs.slack.dev/reference/block-kit/blocks (header, section, context) and chat.postMessage
 *   PagerDuty: Events API v2, developer.pagerduty.com/docs/send-alert-event
 *   Alertmanager: api/v2/openapi.yaml, postableAlerts
 */
import { expect, test } from 'vitest'
import { z } from 'zod'
import { EVENT_KINDS, type Event, type EventKind, SEVERITIES } from '../../../src/events/event.ts'
import { RECEIVER } from '../../../src/config/receivers.ts'
import { type Message, summaryOf } from '../../../src/events/notify/message.ts'
import { Problems } from '../../../src/events/notify/problems.ts'
import {
  alertmanagerBody,
  mailText,
  pagerdutyBody,
  slackBody,
  webhookBody,
} from '../../../src/events/notify/templates.ts'
import { eventsOf } from './receiver.ts'

const SLACK = z.strictObject({
  text: z.string().min(1).max(4000),
  blocks: z
    .array(
      z.discriminatedUnion('type', [
        z.strictObject({
          type: z.literal('header'),
          text: z.strictObject({ type: z.literal('plain_text'), text: z.string().min(1).max(150) }),
        }),
        z.strictObject({
          type: z.literal('section'),
          text: z.strictObject({ type: z.literal('mrkdwn'), text: z.string().min(1).max(3000) }),
        }),
        z.strictObject({
          type: z.literal('context'),
          elements: z
            .array(z.strictObject({ type: z.literal('mrkdwn'), text: z.string().min(1).max(3000) }))
            .min(1)
            .max(10),
        }),
      ]),
    )
    .max(50),
})

const PAGERDUTY = z.strictObject({
  routing_key: z.string().length(32),
  event_action: z.enum(['trigger', 'acknowledge', 'resolve']),
  dedup_key: z.string().min(1).max(255),
  client: z.string(),
  payload: z.strictObject({
    summary: z.string().min(1).max(1024),
    source: z.string().min(1),
    severity: z.enum(['critical', 'error', 'warning', 'info']),
    timestamp: z.iso.datetime(),
    component: z.string(),
    group: z.string(),
    class: z.string(),
    custom_details: z.record(z.string(), z.unknown()),
  }),
})

/** Names of labels: prometheus.io/docs/concepts/data_model. */
const LABELS = z.record(z.string().regex(/^[a-zA-Z_][a-zA-Z0-9_]*$/), z.string().min(1))
const ALERTMANAGER = z
  .array(
    z.strictObject({
      labels: LABELS,
      annotations: z.record(z.string(), z.string()),
      startsAt: z.iso.datetime().optional(),
      endsAt: z.iso.datetime(),
    }),
  )
  .min(1)

const KEY = 'e93facc04764012d7bfb002500d5d1a6'
const event = eventsOf('n1')

/** What a node would make of these events, which all are of the last one's group. */
function messageOf(...events: readonly Event[]): Message {
  const problems = new Problems()
  const items = events.map((one) => problems.note(one))
  const { problem, direction } = items.at(-1)!
  const own = items.filter((item) => item.direction === direction)
  const { id, atMs } = own[0]!.event
  return { id, problem, direction, node: 'n1', atMs, items: own, open: problems.openOf(problem) }
}

const members = (count: number, more: Partial<Event>): Event[] =>
  Array.from({ length: count }, (_, i) => event({ subject: `fra/s${i}/192.0.2.1`, service: `s${i}`, ...more }))

const LONG = 'x<&>'.repeat(2000)
const CASES: Readonly<Record<string, Message>> = {
  one: messageOf(event({})),
  '300 members': messageOf(...members(300, {})),
  'the end of it': messageOf(...members(300, {}), ...members(300, { after: 'up' })),
  'not the end for all': messageOf(...members(300, {}), ...members(100, { after: 'up' })),
  news: messageOf(event({ kind: 'zones', severity: 'info', before: 'a', after: 'b', subject: 'zones', sinceMs: null })),
  long: messageOf(event({ why: LONG, subject: LONG, site: LONG, after: LONG })),
  'of every kind': messageOf(event({ kind: 'last-resort', severity: 'critical', subject: 'web', before: null })),
}

test.each(Object.entries(CASES))('%s is what each receiver takes', (_, message) => {
  SLACK.parse(slackBody(message, 3))
  PAGERDUTY.parse(pagerdutyBody(message, 3, KEY))
  ALERTMANAGER.parse(alertmanagerBody(message, Date.now()))
  expect(webhookBody(message, 3)).toMatchObject({
    id: message.id,
    lost: 3,
    events: message.items.map((item) => item.event),
  })
  expect(mailText(message, 0).subject).not.toMatch(/[\r\n]/)
  expect(mailText(message, 0).subject.length).toBeLessThanOrEqual(200)
})

test('summaries say what is hurt, how much, and what is left', () => {
  expect(
    Object.fromEntries(Object.entries(CASES).map(([name, message]) => [name, summaryOf(message).slice(0, 90)])),
  ).toEqual({
    one: 'WARNING: verdict: fra/web/192.0.2.1: up → down: connection refused',
    '300 members': 'WARNING: fra: 300 members down',
    'the end of it': 'OK: fra: 300 members up',
    'not the end for all': 'OK: fra: 100 members up; 200 others not yet',
    news: 'info: zones: zones: a → b: connection refused',
    long: expect.stringMatching(/^WARNING: verdict: x<&>/),
    'of every kind': 'CRITICAL: last-resort: web: down: connection refused',
  })
})

const parts = (message: Message): unknown => {
  const { event_action: action, dedup_key: key } = PAGERDUTY.parse(pagerdutyBody(message, 0, KEY))
  return [action, key]
}

test('PagerDuty: an end resolves what its begin triggered, once nothing of it is left', () => {
  expect(parts(CASES['300 members']!)).toEqual(['trigger', 'meridian verdict fra'])
  expect(parts(CASES['not the end for all']!)).toEqual(['trigger', 'meridian verdict fra'])
  expect(parts(CASES['the end of it']!)).toEqual(['resolve', 'meridian verdict fra'])
  expect(parts(CASES['news']!)).toEqual(['trigger', `meridian ${CASES['news']!.id}`])
})

test('Alertmanager: an alert for each event, whose labels are those of its end', () => {
  const nowMs = Date.now()
  const of = (message: Message) => ALERTMANAGER.parse(alertmanagerBody(message, nowMs))
  const [begun, ended] = [of(CASES['300 members']!), of(CASES['the end of it']!)]
  expect(begun).toHaveLength(300)
  expect(ended.map(({ labels }) => labels)).toEqual(begun.map(({ labels }) => labels))
  expect(begun[0]!.labels).toMatchObject({
    alertname: 'MeridianVerdict',
    severity: 'warning',
    site: 'fra',
    service: 's0',
  })
  expect(begun.every(({ endsAt }) => Date.parse(endsAt) > nowMs + 86_400_000)).toBe(true)
  expect(ended.every(({ endsAt }) => Date.parse(endsAt) <= nowMs)).toBe(true)
  expect(of(CASES['of every kind']!)[0]!.labels['alertname']).toBe('MeridianLastResort')
})

test('Slack shows text of others as text', () => {
  const text = JSON.stringify(slackBody(messageOf(event({ why: '<!channel> & <https://evil.example|click>' })), 0))
  expect(text).toContain('&lt;!channel&gt; &amp; &lt;https://evil.example|click&gt;')
  expect(text.replaceAll('plain_text', '')).not.toMatch(/<!channel>(?!.*"type":"section")/)
})

test('settings know the kinds and severities of events', () => {
  const kinds = Object.keys(EVENT_KINDS)
  expect(kinds.map((kind) => RECEIVER.kinds.read(kind, ''))).toEqual(kinds)
  expect(RECEIVER.kinds.type).toBe(kinds.map((kind) => `\`${kind}\``).join(', '))
  expect(SEVERITIES.map((severity) => RECEIVER.severity.read(severity, ''))).toEqual([...SEVERITIES])
  const known: readonly EventKind[] = [
    ...new Set<EventKind>(kinds.filter((kind): kind is EventKind => kind in EVENT_KINDS)),
  ]
  expect(known).toEqual(kinds)
})
