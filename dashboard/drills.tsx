/** The drills of this node: the one that runs, what would end it, until when; and the report of the last one. */
import type { DrillReport } from '../src/node/drill-report.ts'
import type { Ask, Seen } from './api.ts'
import { useAsked } from './asked.ts'
import { Age, Section } from './parts.tsx'
import { age, percent, rate, some, time } from './words.ts'

const OUTCOMES: Readonly<Record<string, string>> = {
  running: 'running',
  complete: 'complete',
  aborted: 'aborted',
  undone: 'undone by an operator',
  lost: 'lost: its node ended; the drain ended in its time',
}

export function Drills({ seen, ask }: { readonly seen: Seen; readonly ask: Ask }) {
  // a running drill has other numbers on each board
  const said = useAsked(() => ask<{ readonly drills: readonly DrillReport[] }>('api/drills'), seen.board.atMs)
  const last = said?.drills[0]
  const isRunning = last?.outcome === 'running'
  return (
    <Section
      id="drills"
      title="Drills"
      extra={<p class="dim">{said === undefined ? '' : isRunning ? 'one is running' : 'none is running'}</p>}
    >
      {last === undefined ? (
        <p class="none">No drill so far. “Drill” beside drains a site for a time, and ends by itself.</p>
      ) : (
        <>
          <Report drill={last} />
          {said!.drills.length > 1 && (
            <details class="earlier">
              <summary>{said!.drills.length - 1} before</summary>
              <ul>
                {said!.drills.slice(1).map((drill) => (
                  <li key={drill.beganMs}>
                    <span class="number dim">{time(drill.beganMs)}</span> <span class="name">{drill.pattern}</span>{' '}
                    {OUTCOMES[drill.outcome]} after {age(drill.lastedMs)}
                    {drill.reason !== '' && <span class="dim">: {drill.reason}</span>}
                  </li>
                ))}
              </ul>
            </details>
          )}
        </>
      )}
    </Section>
  )
}

function Report({ drill }: { readonly drill: DrillReport }) {
  const { pattern, who, why, abortIf, beganMs, forMs, lastedMs, outcome, reason, services, answers, queries, nodes } =
    drill
  const isRunning = outcome === 'running'
  return (
    <div class="drill" data-outcome={outcome}>
      <p>
        <span class="name">{pattern}</span>{' '}
        <strong class={outcome === 'aborted' || outcome === 'lost' ? 'odd' : isRunning ? 'running' : 'good'}>
          {OUTCOMES[outcome]}
        </strong>{' '}
        {isRunning ? (
          <>
            for <Age sinceMs={beganMs} />, until {time(beganMs + forMs)}
          </>
        ) : (
          <>
            after {age(lastedMs)} of {age(forMs)}, begun at {time(beganMs)}
          </>
        )}
        {reason !== '' && <>: {reason}</>}
      </p>
      <p class="dim">
        {who}: {why}. Ends early if {abortIf.join(' or ')}.
      </p>
      <div class="scroll" tabIndex={0} role="region" aria-label="Report of the drill">
        <table>
          <thead>
            <tr>
              <th scope="col">capacity of</th>
              <th scope="col">before</th>
              <th scope="col">least</th>
            </tr>
          </thead>
          <tbody>
            {services.map(({ service, beforePercent, leastPercent }) => (
              <tr key={service}>
                <th scope="row">{service}</th>
                <td class="number">{percent(beforePercent)}</td>
                <td class="number">{percent(leastPercent)}</td>
              </tr>
            ))}
          </tbody>
        </table>
        {answers.length > 0 && (
          <table>
            <thead>
              <tr>
                <th scope="col">answers/s at</th>
                <th scope="col">before</th>
                <th scope="col">least</th>
                <th scope="col">most</th>
                <th scope="col">last</th>
                <th scope="col">left after</th>
              </tr>
            </thead>
            <tbody>
              {answers.map(({ site, before, least, most, last, leftAfterMs }) => (
                <tr key={site}>
                  <th scope="row">{site}</th>
                  <td class="number">{rate(before)}</td>
                  <td class="number">{rate(least)}</td>
                  <td class="number">{rate(most)}</td>
                  <td class="number">{rate(last)}</td>
                  <td class="number">{leftAfterMs === null ? '–' : age(leftAfterMs)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        )}
      </div>
      <p class="dim">
        Queries: {rate(queries.before)}/s before, {rate(queries.most)}/s at most. These and the answers are those of{' '}
        {nodes.counted.length > 0 ? some(nodes.counted, 6) : 'the node that watched it'}.
        {nodes.missing.length > 0 && (
          <span class="odd"> Not counted, or not to the end: {some(nodes.missing, 6)}.</span>
        )}
      </p>
    </div>
  )
}
