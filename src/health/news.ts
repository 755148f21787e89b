/**
 * What is told of services and sites when their state changes: a line for the log, and what it is about, for what is kept
 * of it. Pure; members.ts tells it.
 */
import { formatWholePercent } from '../units.ts'
import { dissentInWords } from './dissent.ts'
import type { AddressType, ServiceSpec } from './target.ts'

/** What news is about, and what changed, in a word or few; null: nothing to name. */
export interface Topic {
  readonly kind: 'brake' | 'last-resort' | 'verdict'
  readonly subject: string
  readonly site?: string
  readonly service?: string
  readonly before: string | null
  readonly after: string | null
}

/** A log line that is not about a change of a single member; without a topic it is about the fleet. */
export type News = (level: 'info' | 'warn', news: string, topic?: Topic) => void

/** What of a service news is about. */
export interface ServiceState {
  /** Sites that the brake keeps in the answers. */
  readonly braked: ReadonlySet<string>
  readonly lastResort: boolean
  readonly unanswered: readonly AddressType[]
}

/** Tells what has changed of a service. */
export function tellService(spec: ServiceSpec, before: ServiceState, now: ServiceState, onNews: News): void {
  const tell = (level: 'info' | 'warn', news: string, topic: Pick<Topic, 'kind' | 'before' | 'after'>): void =>
    onNews(level, `service ${spec.name}: ${news}`, { ...topic, subject: spec.name, service: spec.name })
  const kind = 'last-resort'
  for (const type of now.unanswered) {
    if (before.unanswered.includes(type)) continue
    const news = `no member is usable for ${type}: its answers of this type have no address`
    tell('warn', news, { kind, before: `${type} usable`, after: `no ${type}` })
  }
  for (const type of before.unanswered) {
    if (now.unanswered.includes(type) || now.lastResort) continue
    tell('info', `a member is usable for ${type} again`, { kind, before: `no ${type}`, after: `${type} usable` })
  }
  if (now.lastResort && !before.lastResort)
    tell('warn', 'no member is usable, its last resort answers', { kind, before: 'usable', after: 'last resort' })
  if (before.lastResort && !now.lastResort)
    tell('info', 'its last resort is over', { kind, before: 'last resort', after: 'usable' })
  const [was, sites] = [sitesOf(before), sitesOf(now)]
  if (sites === was) return
  const states = { kind: 'brake', before: brakeInWords(was), after: brakeInWords(sites) } as const
  if (sites === '') return tell('info', 'the brake is released', states)
  const reason = `otherwise less than ${formatWholePercent(spec.keepPercent)} of the capacity would be left (keep)`
  tell('warn', `the brake keeps ${sites} in the answers although DOWN: ${reason}`, states)
}

const sitesOf = ({ braked }: ServiceState): string => [...braked].toSorted().join(', ')
const brakeInWords = (sites: string): string => (sites === '' ? 'released' : `keeps ${sites}`)

/** Tells that dissent at a site has begun; the parameters are those of dissentInWords(). */
export function tellDissent(onNews: News, ...about: Parameters<typeof dissentInWords>): void {
  const [site] = about
  const topic = { kind: 'verdict', subject: site, site, before: null, after: 'held' } as const
  for (const line of dissentInWords(...about)) onNews('warn', line, topic)
}

/** Tells that dissent at a site is over. */
export const tellDissentOver = (onNews: News, site: string): void =>
  onNews('info', `${site}: no verdict is held against all votes any more`, {
    kind: 'verdict',
    subject: site,
    site,
    before: 'held',
    after: null,
  })
