/**
 * A message: what receivers are told at once, of one problem in one direction. It is made by the node that sends it, and
 * has the id of its first event, under which a receiver knows it however often it comes.
 */
import { hash } from 'node:crypto'
import type { Receiver } from '../../config/receivers.ts'
import { isRecord, isTime } from '../../state.ts'
import { count, someOf } from '../../units.ts'
import type { Event, Severity } from '../event.ts'
import { type Direction, isNoted, type Noted, rankOf } from './problems.ts'

/** What is told at once. */
export interface Message {
  /** Of its first event; unique in the fleet. */
  readonly id: string
  /** The problem's name: Noted.problem. */
  readonly problem: string
  readonly direction: Direction
  /** The node that made it. */
  readonly node: string
  /** Unix time in ms of the first event. */
  readonly atMs: number
  /** In the order in which they came; at least one. */
  readonly items: readonly Noted[]
  /** Subjects for which the problem was still open when the message was made. */
  readonly open: number
}

/** Most events of one message; more go into the next one. */
export const MOST_ITEMS = 1000

/** Whether a receiver is told of an event. */
export const wants = (receiver: Receiver, { event, was }: Noted): boolean =>
  rankOf(was ?? event.severity) >= rankOf(receiver.severity) &&
  among(receiver.kinds, event.kind) &&
  among(receiver.sites, event.site) &&
  among(receiver.services, event.service)

const among = (all: readonly string[], one: string | undefined): boolean =>
  all.length === 0 || (one !== undefined && all.includes(one))

/** The message with the events that a receiver is told of; undefined: none. */
export function partFor(receiver: Receiver, message: Message): Message | undefined {
  const items = message.items.filter((item) => wants(receiver, item))
  return items.length === 0 ? undefined : { ...message, items }
}

/** The id of a message that a node sends without having agreed on it: equal on nodes that saw the same. */
export function idAlone(items: readonly Noted[], togetherMs: number): string {
  const first = items[0]!
  const { kind, subject, after, atMs } = first.event
  const parts = [first.problem, first.direction, kind, subject, after, Math.floor(atMs / togetherMs)]
  return `alone.${hash('sha256', JSON.stringify(parts), 'hex').slice(0, 24)}`
}

/** Whether a value from a file is a Message. */
export const isMessage = (value: unknown): value is Message =>
  isRecord(value) &&
  ['id', 'problem', 'direction', 'node'].every((key) => typeof value[key] === 'string') &&
  isTime(value['atMs']) &&
  isTime(value['open']) &&
  Array.isArray(value['items']) &&
  value['items'].length > 0 &&
  value['items'].every(isNoted)

/** The worst of a message's events: of a recovery that of the problem which is over. */
export const severityOf = ({ items }: Message): Severity =>
  items.reduce<Severity>((worst, { event, was }) => worse(worst, worse(event.severity, was ?? 'info')), 'info')

const worse = (a: Severity, b: Severity): Severity => (rankOf(a) >= rankOf(b) ? a : b)

/** One event in words: `fra/web/192.0.2.1: up → down: connection refused (2 of 3 probers)`. */
export function eventInWords({ subject, before, after, why }: Event): string {
  const change = before === null && after === null ? '' : `: ${before === null ? '' : `${before} → `}${after ?? 'none'}`
  return `${subject}${change}${why === '' ? '' : `: ${why}`}`
}

/** A message in one line: `CRITICAL: fra: 300 members down`. */
export function summaryOf(message: Message): string {
  const { items, direction } = message
  const [first] = items
  const label = direction === 'problem' ? severityOf(message).toUpperCase() : direction === 'recovered' ? 'OK' : 'info'
  const what = items.length === 1 ? `${first!.event.kind}: ${eventInWords(first!.event)}` : manyInWords(message)
  return `${label}: ${what}${direction === 'recovered' ? leftInWords(message) : ''}`
}

/** `; 12 others are not yet`, where some are not. */
const leftInWords = ({ open }: Message): string => (open === 0 ? '' : `; ${count(open, 'other')} not yet`)

function manyInWords({ items }: Message): string {
  const { kind, site } = items[0]!.event
  const nounOf = ({ service }: Event): string => (kind !== 'verdict' ? '' : service === undefined ? 'site' : 'member')
  const states = Map.groupBy(items, ({ event }) => JSON.stringify([nounOf(event), event.after ?? event.before ?? '']))
  const counted = Array.from(states.values(), (alike) => {
    const { event } = alike[0]!
    const noun = nounOf(event)
    const what = noun === '' ? String(alike.length) : count(alike.length, noun)
    return `${what} ${event.after ?? event.before ?? ''}`.trimEnd()
  })
  const subjects = kind === 'verdict' ? '' : ` (${someOf([...new Set(items.map(({ event }) => event.subject))], 5)})`
  const where = site === undefined ? kind : kind === 'verdict' ? site : `${kind} at ${site}`
  return `${where}: ${counted.join(', ')}${subjects}`
}

/** Lines of the events, at most so many, and how many more there are. */
export function linesOf({ items }: Message, most: number): string[] {
  const lines = items.slice(0, most).map(({ event }) => eventInWords(event))
  return items.length > most ? [...lines, `… and ${items.length - most} more`] : lines
}
