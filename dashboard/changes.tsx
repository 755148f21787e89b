/** One list of what has changed, newest first. */
import type { RecentChange } from '../src/api/recent.ts'
import type { Wound } from '../src/api/summary.ts'
import type { Seen } from './api.ts'
import { Section, Sign } from './parts.tsx'
import { count, time } from './words.ts'

/** A line of the list. */
interface Line {
  readonly key: string
  readonly atMs: number
  readonly state: Wound | 'up' | undefined
  readonly what: string
  readonly why: string
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
  if (change.kind === 'event')
    return { key: `${atMs} ${change.what}`, atMs, state: undefined, what: change.what, why: '' }
  const { site, before, after, braked, members, member, why } = change
  const whom = members === 1 ? member : `${site}: ${count(members, 'member')}`
  const how = before === after ? (braked ? 'braked' : 'no longer braked') : `${before} → ${after}`
  const state = braked ? 'braked' : STATES[after]
  return { key: `${atMs} ${member} ${after} ${braked}`, atMs, state, what: `${whom} ${how}`, why }
}

export function Changes({ seen }: { readonly seen: Seen }) {
  const lines = seen.board.summary.changes.map(lineOf)
  return (
    <Section id="changes" title="Changes">
      {lines.length === 0 ? (
        <p class="none">
          Nothing has changed since this node began, at {time(seen.atMs - 1000 * seen.board.summary.node.upSeconds)}.
        </p>
      ) : (
        <ol class="changes" tabIndex={0} aria-label="Changes, newest first">
          {lines.map(({ key, atMs, state, what, why }) => (
            <li key={key}>
              <time class="number" dateTime={new Date(atMs).toISOString()}>
                {time(atMs)}
              </time>
              {state === undefined ? (
                <span class="sign dim" aria-hidden="true">
                  ·
                </span>
              ) : (
                <Sign state={state} />
              )}
              <span>
                {what}
                {why !== '' && <span class="dim"> {why}</span>}
              </span>
            </li>
          ))}
        </ol>
      )}
    </Section>
  )
}
