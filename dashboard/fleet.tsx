/** The fleet: what each node serves and how fresh its view is; each prober, and how late its checks are. */
import type { ComponentChildren } from 'preact'
import type { Seen } from './api.ts'
import { Age, Section } from './parts.tsx'
import { age, count } from './words.ts'

/** Nodes take turns in hearing of a change; so long a difference is a disagreement (the metric has the same). */
const DISAGREE_MS = 5_000

const byName = <T,>(those: readonly T[], nameOf: (one: T) => string): T[] =>
  those.toSorted((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1))

const skew = (ms: number | null): string => (ms === null ? '–' : `${ms < 0 ? '−' : '+'}${age(Math.abs(ms))}`)
const ABOUT_SAME_MS = 2_000

export function Fleet({ seen }: { readonly seen: Seen }) {
  const { atMs, board } = seen
  const { nodes, probers, store, node } = board.summary
  return (
    <Section
      id="fleet"
      title="Fleet"
      extra={
        <p class="dim">
          {store.kind === 'memory'
            ? 'one process, no Redis'
            : store.trouble === null
              ? 'Redis works'
              : 'what Redis brings is old'}
        </p>
      }
    >
      <div class="scroll" tabIndex={0} role="region" aria-label="Nodes">
        <table>
          <thead>
            <tr>
              <th scope="col">node</th>
              <th scope="col">heard</th>
              <th scope="col">revision</th>
              <th scope="col">view</th>
              <th scope="col">verdicts</th>
              <th scope="col">clock</th>
              <th scope="col">version</th>
            </tr>
          </thead>
          <tbody>
            {byName(nodes, ({ beat }) => beat.node.name).map(
              ({ beat, live, self, ageMs, viewDiffersMs, verdictsDifferMs, clockSkewMs }) => (
                <tr key={beat.node.name} data-node={beat.node.name} data-silent={live ? undefined : true}>
                  <th scope="row">
                    <span class="name">{beat.node.name}</span> {self && <span class="dim">this node</span>}
                  </th>
                  <td class="number">
                    {self ? (
                      '–'
                    ) : live ? (
                      <Age sinceMs={atMs - ageMs} />
                    ) : (
                      <Bad>
                        <>
                          silent <Age sinceMs={atMs - ageMs} />
                        </>
                      </Bad>
                    )}
                  </td>
                  <td class="mono">{beat.revision ?? '–'}</td>
                  <td class="mono">
                    <Compared hash={beat.view} atMs={atMs} differsMs={viewDiffersMs} />
                  </td>
                  <td class="mono">
                    <Compared hash={beat.verdicts} atMs={atMs} differsMs={verdictsDifferMs} />
                  </td>
                  <td class="number">
                    {self || Math.abs(clockSkewMs ?? 0) < ABOUT_SAME_MS ? '=' : <Bad>{skew(clockSkewMs)}</Bad>}
                  </td>
                  <td>{beat.version}</td>
                </tr>
              ),
            )}
          </tbody>
        </table>
      </div>
      {nodes.length === 0 && <p class="none">{node.name} tells nobody of itself.</p>}
      <div class="scroll" tabIndex={0} role="region" aria-label="Probers">
        <table>
          <thead>
            <tr>
              <th scope="col">prober</th>
              <th scope="col">region</th>
              <th scope="col">heard</th>
              <th scope="col">late checks</th>
              <th scope="col">latest by</th>
            </tr>
          </thead>
          <tbody>
            {byName(probers, ({ prober }) => prober).map(({ prober, region, live, beat, ageMs }) => (
              <tr key={prober} data-silent={live ? undefined : true}>
                <th scope="row" class="name">
                  {prober}
                </th>
                <td>{region}</td>
                <td class="number">
                  {live ? (
                    <Age sinceMs={atMs - ageMs} />
                  ) : (
                    <Bad>
                      <>
                        silent <Age sinceMs={atMs - ageMs} />
                      </>
                    </Bad>
                  )}
                </td>
                <td class="number">
                  {beat === undefined ? '–' : beat.overdue === 0 ? '0' : <Bad>{count(beat.overdue, 'check')}</Bad>}
                </td>
                <td class="number">{beat === undefined || beat.overdue === 0 ? '–' : age(beat.overdueAgeMs)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Section>
  )
}

/** What deserves a look; `isOld`: more than one. */
function Bad(props: { readonly isOld?: boolean; readonly children: ComponentChildren }) {
  return <span class={props.isOld === false ? 'odd' : 'bad'}>{props.children}</span>
}

/** A hash of what a node has, and for how long it has differed from this node's. */
function Compared(props: { readonly hash: string; readonly atMs: number; readonly differsMs: number }) {
  const { hash, atMs, differsMs } = props
  const short = hash.slice(0, 8)
  if (differsMs <= 0) return <>{short}</>
  return (
    <Bad isOld={differsMs > DISAGREE_MS}>
      <>
        ≠ {short} <Age sinceMs={atMs - differsMs} />
      </>
    </Bad>
  )
}
