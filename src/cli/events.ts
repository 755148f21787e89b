/**
 * `meridian events`: what happened to answers, as a node knows it, the oldest first. Where no node runs on this machine
 * it reads the file that the node left. With --follow it goes on with each event as it comes, also when the node
 * restarts.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { FleetEvent } from '../events/event.ts'
import { readEvents } from '../events/journal.ts'
import { EventList, type EventPage, type EventQuery } from '../events/list.ts'
import { ask, type ControlOptions, ControlError, follow, NoNodeError, UsageError } from './control.ts'
import type { Output } from './output.ts'
import { eventLine } from './words/events.ts'

/** Which events, and how to reach the node. */
export interface EventsOptions extends ControlOptions {
  /** As GET /api/events takes it. */
  readonly since?: string
  readonly site?: string
  readonly service?: string
  readonly kinds: readonly string[]
  readonly limit: number
  readonly follow: boolean
  readonly json: boolean
}

/** What the file is read with: the most that two files of events have. */
const MOST_SAVED = 100_000
const AGAIN_MS = 2_000

/** Shows events; resolves to the exit code 0. Throws ControlError. */
export async function events(options: EventsOptions, output: Output): Promise<number> {
  const show = (event: FleetEvent): void => output.out(options.json ? JSON.stringify(event) : eventLine(event))
  const shown = await lastEvents(options, output)
  for (const event of shown) show(event)
  if (options.follow) await followEvents(options, shown.at(-1)?.id, show, output)
  return 0
}

/** The last events that match, the oldest first. */
async function lastEvents(options: EventsOptions, output: Output): Promise<readonly FleetEvent[]> {
  try {
    const { events: found } = await ask<EventPage>(options, `/api/events${queryOf(options)}`)
    return found.toReversed()
  } catch (error) {
    if (!(error instanceof NoNodeError) || options.follow) throw error
    return savedEvents(options, error, output)
  }
}

/** Those that the node of this machine saw itself, from its file. */
async function savedEvents(options: EventsOptions, error: NoNodeError, output: Output): Promise<readonly FleetEvent[]> {
  const { EVENTS } = await import('../api/events.ts')
  const { since, site, service, kinds, limit } = options
  const read = EVENTS.safeParse({
    ...(since && { since }),
    ...(site && { site }),
    ...(service && { service }),
    kind: kinds,
    limit: String(limit),
  })
  if (!read.success)
    throw new UsageError(read.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('; '))
  const { events: saved } = await readEvents(options.state, MOST_SAVED)
  if (saved.length === 0) throw error
  output.err(`${error.message.split('\n')[0]}: these are from the file that it left`)
  const list = new EventList(MOST_SAVED)
  for (const event of saved) list.put({ ...event, witnesses: [event.node] })
  const query: EventQuery = read.data
  return list.page(query).events.toReversed()
}

/** Shows what comes after `id`, until a signal ends the command. */
async function followEvents(
  options: EventsOptions,
  id: string | undefined,
  show: (event: FleetEvent) => void,
  output: Output,
): Promise<never> {
  let last = id
  const seen = new Set<string>()
  for (;;) {
    try {
      await follow(options, `/api/events${queryOf({ ...options, since: undefined })}`, last, (event) => {
        last = event.id
        if (seen.has(event.id)) return // another witness
        seen.add(event.id)
        show(event)
      })
      output.err('the node has ended the stream: connecting again')
    } catch (error) {
      if (!(error instanceof ControlError) || error instanceof UsageError) throw error
      output.err(`! ${error.message}`)
    }
    await sleep(AGAIN_MS)
  }
}

function queryOf({
  since,
  site,
  service,
  kinds,
  limit,
}: Pick<EventsOptions, 'site' | 'service' | 'kinds' | 'limit'> & { readonly since?: string | undefined }): string {
  const query = new URLSearchParams({ limit: String(limit) })
  if (since !== undefined) query.set('since', since)
  if (site !== undefined) query.set('site', site)
  if (service !== undefined) query.set('service', service)
  for (const kind of kinds) query.append('kind', kind)
  return `?${query.toString()}`
}
