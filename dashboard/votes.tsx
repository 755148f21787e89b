/**
 * Them or us: what every prober says of every site. A red column is a site that is down; a red row is a prober that is cut
 * off, or wrong.
 */
import { useEffect, useState } from 'preact/hooks'
import type { VoteCount } from '../src/health/roster.ts'
import type { Status as NodeStatus } from '../src/api/status.ts'
import type { Ask, Seen } from './api.ts'
import { Age, Dialog, Section, Sign } from './parts.tsx'
import { age, count, SIGNS } from './words.ts'

type Opinion = 'up' | 'some' | 'down' | 'abstain' | 'none'

function opinionOf([up, down, abstain]: VoteCount): Opinion {
  if (down > 0) return up === 0 ? 'down' : 'some'
  if (up > 0) return 'up'
  return abstain > 0 ? 'abstain' : 'none'
}

const OPINION_SIGNS: Readonly<Record<Opinion, string>> = {
  up: SIGNS.up,
  some: SIGNS.braked,
  down: SIGNS.down,
  abstain: '?',
  none: '·',
}

function cellInWords([up, down, abstain]: VoteCount): string {
  const parts = [
    ...(up > 0 ? [`${up} up`] : []),
    ...(down > 0 ? [`${down} down`] : []),
    ...(abstain > 0 ? [`${abstain} abstain`] : []),
  ]
  return parts.length === 0 ? 'no votes' : parts.join(', ')
}

/** The number that a cell shows: of those that are worth a look. */
function numberOf([up, down, abstain]: VoteCount): string {
  if (down > 0) return up + abstain === 0 ? String(down) : `${down}/${up + down + abstain}`
  return up > 0 ? (abstain > 0 ? `${up}/${up + abstain}` : String(up)) : abstain > 0 ? String(abstain) : ''
}

/** How a row or a column is, as a whole. */
function wholeOf(cells: readonly VoteCount[]): Opinion {
  const opinions = cells.map(opinionOf).filter((opinion) => opinion !== 'none')
  if (opinions.length === 0) return 'none'
  const same = opinions.every((opinion) => opinion === opinions[0])
  return same ? opinions[0]! : opinions.some((opinion) => opinion === 'down' || opinion === 'some') ? 'some' : 'up'
}

interface Cell {
  readonly prober: string
  readonly site: string
}

export function Votes({ seen, ask }: { readonly seen: Seen; readonly ask: Ask }) {
  const { votes, summary } = seen.board
  const [open, setOpen] = useState<Cell>()
  const stateOf = new Map(summary.sites.map(({ site, wounds }) => [site, wounds[0]?.wound ?? ('up' as const)]))
  const aged = new Map(summary.probers.map(({ prober, ageMs }) => [prober, ageMs]))
  return (
    <Section id="votes" title="Them or us" extra={<p class="dim">a red column is a site, a red row a prober</p>}>
      {votes.probers.length === 0 ? (
        <p class="none">No prober has been heard: the last known health stands.</p>
      ) : (
        <div class="scroll" tabIndex={0} role="region" aria-label="Votes, sites by probers">
          <table class="votes">
            <thead>
              <tr>
                <th scope="col">prober</th>
                {votes.sites.map(({ site }) => (
                  <th scope="col" key={site} data-state={stateOf.get(site)}>
                    <Sign state={stateOf.get(site) ?? 'up'} /> {site}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {votes.probers.map(({ prober, region, live }, row) => {
                const whole = wholeOf(votes.sites.map((site) => site.votes[row]!))
                return (
                  <tr key={prober} data-prober={prober} data-opinion={whole} data-silent={live ? undefined : true}>
                    <th scope="row">
                      <span class="name">{prober}</span> <span class="dim">{region}</span>
                      {!live && (
                        <span class="silent">
                          {' '}
                          silent <Age sinceMs={seen.atMs - (aged.get(prober) ?? 0)} />
                        </span>
                      )}
                    </th>
                    {votes.sites.map(({ site, votes: cells }) => {
                      const cell = cells[row]!
                      const opinion = opinionOf(cell)
                      const words = `${prober} on ${site}: ${cellInWords(cell)}${live ? '' : ', when it was last heard'}`
                      return (
                        <td key={site} data-opinion={opinion}>
                          <button type="button" title={words} onClick={() => setOpen({ prober, site })}>
                            <span aria-hidden="true">
                              {OPINION_SIGNS[opinion]} {numberOf(cell)}
                            </span>
                            <span class="unseen">{words}</span>
                          </button>
                        </td>
                      )
                    })}
                  </tr>
                )
              })}
            </tbody>
          </table>
        </div>
      )}
      {open !== undefined && <VoteList cell={open} ask={ask} onClose={() => setOpen(undefined)} />}
    </Section>
  )
}

/** A vote of one prober on one target. */
interface OneVote {
  readonly id: string
  readonly target: string
  readonly services: readonly string[]
  readonly value: string
  readonly reason: string
  readonly forMs: number
  readonly rttMs: number
}

const MOST_SHOWN = 500

/** Every vote of a prober on a site, with its reason. */
function VoteList({ cell, ask, onClose }: { readonly cell: Cell; readonly ask: Ask; readonly onClose: () => void }) {
  const { prober, site } = cell
  const [votes, setVotes] = useState<readonly OneVote[] | string>()
  useEffect(() => {
    ask<NodeStatus>(`api/status?site=${encodeURIComponent(site)}`).then(
      (status) => setVotes(votesIn(status, prober)),
      (error: unknown) => setVotes(String(error)),
    )
  }, [prober, site])
  return (
    <Dialog title={`${prober} on ${site}`} onClose={onClose}>
      {votes === undefined && <p>Asking the node …</p>}
      {typeof votes === 'string' && <p role="alert">{votes}</p>}
      {typeof votes === 'object' && votes.length === 0 && (
        <p>It has no vote that counts: it is silent, or other probers check these targets.</p>
      )}
      {typeof votes === 'object' && votes.length > 0 && (
        <div class="scroll" tabIndex={0} role="region" aria-label="Votes">
          <table>
            <thead>
              <tr>
                <th scope="col">vote</th>
                <th scope="col">target</th>
                <th scope="col">services</th>
                <th scope="col">reason</th>
                <th scope="col">for</th>
                <th scope="col">took</th>
              </tr>
            </thead>
            <tbody>
              {votes.slice(0, MOST_SHOWN).map(({ id, target, services, value, reason, forMs, rttMs }) => (
                <tr key={id}>
                  <td data-opinion={value}>{value}</td>
                  <td class="mono">{target}</td>
                  <td>{services.join(', ')}</td>
                  <td>{reason}</td>
                  <td class="number">{age(forMs)}</td>
                  <td class="number">{Math.round(rttMs)} ms</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {typeof votes === 'object' && votes.length > MOST_SHOWN && (
        <p>and {count(votes.length - MOST_SHOWN, 'other vote')}</p>
      )}
    </Dialog>
  )
}

const ORDER = ['down', 'abstain', 'up']

function votesIn({ services }: NodeStatus, prober: string): OneVote[] {
  const found = new Map<string, OneVote>()
  for (const { service, members } of services) {
    for (const { target, votes } of members.flatMap((member) => member.targets)) {
      const own = votes.find((vote) => vote.prober === prober)
      if (own === undefined) continue
      const { check, address, port } = target
      const known = found.get(target.id)
      if (known !== undefined && known.services.includes(service)) continue
      found.set(target.id, {
        id: target.id,
        target: `${check.type} ${address}${port === 0 ? '' : `:${port}`}${'path' in check ? ` ${check.path}` : ''}`,
        services: [...(known?.services ?? []), service],
        value: own.value,
        reason: own.reason,
        forMs: own.ageMs,
        rttMs: own.rttMs,
      })
    }
  }
  return [...found.values()].toSorted((a, b) => ORDER.indexOf(a.value) - ORDER.indexOf(b.value))
}
