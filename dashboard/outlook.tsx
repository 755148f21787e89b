/** What would come of an action, before it is done: for exactly the members that it will act on. */
import { useEffect, useState } from 'preact/hooks'
import type { Board } from '../src/api/board.ts'
import type { Outlook } from '../src/health/node-health.ts'
import type { Ask, Seen } from './api.ts'
import { type Draft, forceInWords, type InForce, isFreezing, isUndoing } from './draft.ts'
import { age, count, percent } from './words.ts'

/** What would come of a draft: of these, and no others. */
export interface Preview extends Pick<Draft, 'pattern' | 'action' | 'to'> {
  readonly outlook?: Outlook
  /** What is in force for the pattern now. */
  readonly inForce: InForce | undefined
  /** How many services of the pattern wait to be returned. */
  readonly recovered: number
  /** Why it can't be done. */
  readonly fault?: string
}

/** A pause in typing. */
const PAUSE_MS = 250

/** The preview of what is filled in; undefined: nothing is, or it is on its way. */
export function usePreview({ pattern: written, action, to }: Draft, { board }: Seen, ask: Ask) {
  const [preview, setPreview] = useState<Preview>()
  const { overrides, freeze } = board.summary
  const pattern = isFreezing(action) ? '' : written
  const recovered = recoveredAt(board, pattern)
  useEffect(() => {
    let stale = false
    if (pattern === '' && !isFreezing(action)) return setPreview(undefined)
    const inForce = overrides.find(({ override }) => override.pattern === pattern)?.override
    const plain = { pattern: written, action, to, inForce, recovered }
    const told = (fault: string | undefined): void => setPreview({ ...plain, ...(fault !== undefined && { fault }) })
    const timer = setTimeout(() => {
      if (action === 'freeze') return told(undefined)
      if (action === 'unfreeze') return told(freeze === null ? 'Nothing is frozen' : undefined)
      if (isUndoing(action)) return told(inForce === undefined ? `There is no override on ${pattern}` : undefined)
      if (action === 'return') return told(recovered === 0 ? `Nothing of ${pattern} waits to be returned` : undefined)
      const query = new URLSearchParams({ pattern, ...(to !== '' && action === 'drain' && { to }) })
      ask<Outlook>(`api/outlook?${query}`).then(
        (outlook) => {
          // forced up, nothing is taken out
          if (!stale) setPreview({ ...plain, ...(action !== 'up' && { outlook }) })
        },
        (error: unknown) => {
          if (!stale) told(error instanceof Error ? error.message : String(error))
        },
      )
    }, PAUSE_MS)
    return () => {
      stale = true
      clearTimeout(timer)
    }
  }, [written, action, to, overrides.length, freeze === null, recovered])
  return preview
}

/** How many services have failed over from what the pattern matches, and could have it again. */
const recoveredAt = ({ services }: Board, pattern: string): number =>
  services.filter(({ service, sites }) =>
    sites.some(({ site, wound }) => wound === 'recovered' && [site, `${site}/${service}`].includes(pattern)),
  ).length

/** What an action does where nothing is taken out, in words. */
function effectInWords({ pattern, action, recovered }: Preview): string {
  if (action === 'freeze') return 'Verdicts will change no answers on any node meanwhile; drains and forces will.'
  if (action === 'unfreeze') return 'Verdicts will decide again, on all nodes.'
  if (action === 'return') return `${count(recovered, 'service')} will have their clients back at ${pattern}.`
  if (action === 'up') return `The members of ${pattern} will be named whatever probers say.`
  return `The members of ${pattern} will be named again as their votes say.`
}

const MOST_SERVICES = 8

export function PreviewText({ preview }: { readonly preview: Preview }) {
  const { outlook, inForce, fault } = preview
  if (fault !== undefined) return <p class="bad">{fault}</p>
  const now =
    inForce === undefined ? null : (
      <p>
        Now {forceInWords(inForce)} by {inForce.who}: {inForce.why}
        {inForce.leftMs !== null && ` (${age(inForce.leftMs)} left)`}.
      </p>
    )
  if (outlook === undefined) {
    return (
      <>
        {now}
        <p>{effectInWords(preview)}</p>
      </>
    )
  }
  const worst = outlook.services.toSorted(
    (a, b) => Number(a.safe) - Number(b.safe) || a.leftThenPercent - b.leftThenPercent,
  )
  return (
    <>
      {now}
      <p class={outlook.safe ? 'good' : 'bad'}>
        {outlook.safe ? '✓ Safe' : '✕ Not safe'}: takes{' '}
        {preview.action === 'drain' && preview.to !== '' ? 'a part of ' : ''}
        {count(outlook.members.length, 'member')} of {count(outlook.services.length, 'service')} out.
      </p>
      <table>
        <thead>
          <tr>
            <th scope="col">service</th>
            <th scope="col">left now</th>
            <th scope="col">left then</th>
            <th scope="col">keeps</th>
            <th scope="col" />
          </tr>
        </thead>
        <tbody>
          {worst
            .slice(0, MOST_SERVICES)
            .map(({ service, leftNowPercent, leftThenPercent, keepPercent, lost, safe }) => (
              <tr key={service}>
                <th scope="row">{service}</th>
                <td class="number">{percent(leftNowPercent)}</td>
                <td class={`number ${safe ? '' : 'bad'}`}>{percent(leftThenPercent)}</td>
                <td class="number">{percent(keepPercent)}</td>
                <td class="bad">{lost.length > 0 ? `nothing left for ${lost.join(', ')}` : ''}</td>
              </tr>
            ))}
        </tbody>
      </table>
      {worst.length > MOST_SERVICES && <p class="dim">and {count(worst.length - MOST_SERVICES, 'other service')}</p>}
    </>
  )
}
