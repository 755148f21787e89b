/**
 * Messages in the forms of receivers. Each function gives what is sent as JSON, within the bounds that the receiver
 * publishes; `lost` is how many messages were dropped before this one because too many waited.
 *
 *   slack         https://docs.slack.dev/reference/block-kit (incoming webhooks)
 *   pagerduty     https://developer.pagerduty.com/docs/send-alert-event (Events API v2)
 *   alertmanager  POST /api/v2/alerts of its openapi.yaml
 */
import { eventInWords, linesOf, type Message, severityOf, summaryOf } from './message.ts'
import type { Noted } from './problems.ts'

/** Events in words in a message for people. */
const MOST_LINES = 20
const SLACK_HEADER = 150
const SLACK_SECTION = 3000
const PAGERDUTY_SUMMARY = 1024
const PAGERDUTY_KEY = 255
/** How long Alertmanager holds an alert of which nothing more is heard. */
const ALERT_MS = 7 * 86_400_000
/** The same of what is no problem. */
const NEWS_ALERT_MS = 10 * 60_000

const iso = (ms: number): string => new Date(ms).toISOString()
const cut = (text: string, most: number): string => (text.length <= most ? text : `${text.slice(0, most - 1)}…`)
const lostInWords = (lost: number): readonly string[] =>
  lost === 0 ? [] : [`${lost} earlier messages were dropped: too many waited for this receiver.`]

/** Meridian's own form, with every event. docs/notifications.md has its fields. */
export const webhookBody = (message: Message, lost: number): object => ({
  type: 'meridian.events',
  id: message.id,
  timestamp: iso(message.atMs),
  status: message.direction,
  severity: severityOf(message),
  problem: message.problem,
  summary: summaryOf(message),
  open: message.open,
  lost,
  node: message.node,
  events: message.items.map(({ event }) => event),
})

/** Slack's mrkdwn takes these three for its own. */
const escaped = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')

/** A message of Slack, and of chats that take its form (Mattermost, Rocket.Chat). */
export function slackBody(message: Message, lost: number): object {
  const summary = summaryOf(message)
  const lines = [...linesOf(message, MOST_LINES), ...lostInWords(lost)].map((line) => `• ${escaped(line)}`)
  const context = `${message.node} · ${iso(message.atMs)} · ${message.id}`
  return {
    text: cut(escaped(summary), SLACK_SECTION),
    blocks: [
      { type: 'header', text: { type: 'plain_text', text: cut(summary, SLACK_HEADER) } },
      { type: 'section', text: { type: 'mrkdwn', text: cut(lines.join('\n'), SLACK_SECTION) } },
      { type: 'context', elements: [{ type: 'mrkdwn', text: escaped(context) }] },
    ],
  }
}

/** PagerDuty's key of an incident: that of the problem, so that its end resolves what its begin triggered. */
const dedupKey = ({ direction, problem, id }: Message): string =>
  cut(`meridian ${direction === 'news' ? id : problem}`, PAGERDUTY_KEY)

/** An alert event of PagerDuty. While some are not well yet the incident stays triggered. */
export function pagerdutyBody(message: Message, lost: number, routingKey: string): object {
  const { event } = message.items[0]!
  const isOver = message.direction === 'recovered' && message.open === 0
  return {
    routing_key: routingKey,
    event_action: isOver ? 'resolve' : 'trigger',
    dedup_key: dedupKey(message),
    client: 'Meridian',
    payload: {
      summary: cut(summaryOf(message), PAGERDUTY_SUMMARY),
      source: event.site ?? message.node,
      severity: severityOf(message),
      timestamp: iso(message.atMs),
      component: cut(event.service ?? event.subject, PAGERDUTY_KEY),
      group: event.site ?? event.kind,
      class: event.kind,
      custom_details: {
        id: message.id,
        node: message.node,
        events: linesOf(message, MOST_LINES),
        open: message.open,
        lost,
      },
    },
  }
}

/** Alerts for Alertmanager, one for each event: the labels of a begin and its end are equal, so that the end resolves. */
export const alertmanagerBody = (message: Message, nowMs: number): readonly object[] =>
  message.items.map((item) => alertOf(message, item, nowMs))

function alertOf(message: Message, { event, was, direction }: Noted, nowMs: number): object {
  const { kind, subject, site, service, before, after, why, sinceMs, atMs } = event
  const isOver = direction === 'recovered'
  const words = kind.split('-').map((word) => word[0]!.toUpperCase() + word.slice(1))
  const startsAt = isOver ? sinceMs : atMs
  return {
    labels: {
      alertname: `Meridian${words.join('')}`,
      severity: was ?? event.severity,
      kind,
      subject,
      ...(site !== undefined && { site }),
      ...(service !== undefined && { service }),
    },
    annotations: {
      summary: eventInWords(event),
      description: why,
      before: before ?? '',
      after: after ?? '',
      node: event.node,
      event: event.id,
      message: message.id,
    },
    ...(startsAt !== null && { startsAt: iso(startsAt) }),
    endsAt: iso(isOver ? atMs : nowMs + (direction === 'news' ? NEWS_ALERT_MS : ALERT_MS)),
  }
}

/** A mail's subject and text. */
export const mailText = (message: Message, lost: number): { readonly subject: string; readonly text: string } => ({
  subject: cut(summaryOf(message), 200),
  text: [
    summaryOf(message),
    '',
    ...linesOf(message, 10 * MOST_LINES),
    '',
    ...lostInWords(lost),
    `Severity ${severityOf(message)}, at ${iso(message.atMs)}, told by ${message.node}.`,
    `Message ${message.id}; it may come again under this id.`,
    '',
  ].join('\n'),
})
