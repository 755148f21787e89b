/**
 * One list of what has changed in the fleet, newest first: dead sites, deploys, databases, overrides in one line of time.
 * What several nodes saw is one line, with its witnesses.
 */
import { useMemo } from 'preact/hooks'
import { type RecentChange, recentChanges } from '../src/api/recent.ts'
import type { EventPage } from '../src/events/list.ts'
import type { Wound } from '../src/health/wound.ts'
import type { Ask, Seen } from './api.ts'
import { useAsked } from './asked.ts'
import { Section, Sign } from './parts.tsx'
import { count, time } from './words.ts'

/** Events that are asked for: a dead site with 300 members is as many of them, and one line. */
const MOST_EVENTS = 1_000
const MOST_LINES = 40

/** A line of the list. */
interface Line {
  readonly key: string
  readonly state: Wound | 'up' | undefined
  /** What kind of change it is, in a word. */
  readonly about: string
  readonly what: string
  readonly why: string
  readonly isGrave: boolean
}

const STATES: Readonly<Record<string, Wound | 'up'>> = {
  up: 'up',
  down: 'down',
  drained: 'drained',
  unproven: 'unproven',
  forced: 'forced',
  recovered: 'recovered',
}

function lineOf(change: RecentChange): Line {
  const { atMs } = change
  if (change.kind === 'event') {
    const { what, about, severity } = change
    const own = what.startsWith(`${about} `) ? what.slice(about.length + 1) : what
    const rest = own.startsWith(`${about}: `) ? own.slice(about.length + 2) : own
    return { key: `${atMs} ${what}`, state: undefined, about, what: rest, why: '', isGrave: severity !== 'info' }
  }
  const { site, before, after, braked, members, member, why } = change
  const whom = members === 1 ? member : `${site}: ${count(members, 'member')}`
  const how = before === after ? (braked ? 'braked' : 'no longer braked') : `${before} → ${after}`
  const state = braked ? 'braked' : STATES[after]
  const key = `${atMs} ${member} ${after} ${braked}`
  return { key, state, about: 'health', what: `${whom} ${how}`, why, isGrave: false }
}

export function Changes({ seen, ask }: { readonly seen: Seen; readonly ask: Ask }) {
  const { events, summary } = seen.board
  const page = useAsked(() => ask<EventPage>(`api/events?limit=${MOST_EVENTS}`), events)
  const changes = useMemo(() => recentChanges(page?.events ?? [], MOST_LINES), [page])
  const live = summary.nodes.filter((node) => node.live).length
  return (
    <Section id="changes" title="Changes" extra={<p class="dim">of all nodes, with those that saw each</p>}>
      {changes.length === 0 ? (
        <p class="none">{page === undefined ? 'Asking the node …' : 'Nothing has changed so far.'}</p>
      ) : (
        <ol class="changes" tabIndex={0} aria-label="Changes, newest first">
          {changes.map((change) => {
            const { key, state, about, what, why, isGrave } = lineOf(change)
            return (
              <li key={key} data-about={about}>
                <time class="number" dateTime={new Date(change.atMs).toISOString()}>
                  {time(change.atMs)}
                </time>
                {state === undefined ? (
                  <span class={`sign ${isGrave ? 'odd' : 'dim'}`} aria-hidden="true">
                    {isGrave ? '!' : '·'}
                  </span>
                ) : (
                  <Sign state={state} />
                )}
                <span>
                  <span class="about">{about}</span> {what}
                  {why !== '' && <span class="dim"> {why}</span>}
                </span>
                <Witnesses names={change.witnesses} live={live} />
              </li>
            )
          })}
        </ol>
      )}
    </Section>
  )
}

/** How many nodes saw it, of those that live; opened: which. */
function Witnesses({ names, live }: { readonly names: readonly string[]; readonly live: number }) {
  return (
    <details class="witnesses">
      <summary>
        {names.length === 1
          ? names[0]
          : names.length < live
            ? `${names.length} of ${live} nodes`
            : `${names.length} nodes`}
      </summary>
      <span>seen by {names.join(', ')}</span>
    </details>
  )
}
