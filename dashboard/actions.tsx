/**
 * What can be done: drain, force, and undo. What it would leave is shown before the button can be pressed, for exactly the
 * members that it will act on; the node checks the same again when it acts.
 */
import { useEffect, useState } from 'preact/hooks'
import type { Board } from '../src/api/board.ts'
import type { FreezeResult, ReturnResult } from '../src/api/controls.ts'
import type { OverrideResult } from '../src/api/override.ts'
import type { Outlook, OverrideStatus } from '../src/health/node-health.ts'
import type { RequestedAction } from '../src/api/bodies.ts'
import { type Ask, Refused, type Seen } from './api.ts'
import { Age, Section, Sign } from './parts.tsx'
import { age, count, percent, some, time } from './words.ts'

/** What POST /api/overrides, /api/return and /api/freeze do. */
type Action = RequestedAction | 'return' | 'freeze' | 'unfreeze'

const ACTIONS: readonly (readonly [action: Action, words: string])[] = [
  ['drain', 'Drain'],
  ['undrain', 'Undrain'],
  ['down', 'Force down'],
  ['up', 'Force up'],
  ['off', 'End the force'],
  ['return', 'Return'],
  ['freeze', 'Freeze'],
  ['unfreeze', 'Unfreeze'],
]
const WORDS: Readonly<Record<string, string>> = Object.fromEntries(ACTIONS)

const DURATIONS: readonly (readonly [duration: string, words: string])[] = [
  ['30m', '30 minutes'],
  ['2h', '2 hours'],
  ['8h', '8 hours'],
  ['1d', '1 day'],
  ['7d', '7 days'],
  ['', 'until it is undone'],
]

/** The share of its clients that a drain leaves a site. */
const SHARES: readonly (readonly [share: string, words: string])[] = [
  ['', 'nothing'],
  ['10%', '10 %'],
  ['30%', '30 %'],
  ['50%', '50 %'],
  ['70%', '70 %'],
  ['90%', '90 %'],
]

/** The time in which a drain, or the way back, is made in steps. */
const TIMES: readonly (readonly [duration: string, words: string])[] = [
  ['', 'at once'],
  ['5m', '5 minutes'],
  ['15m', '15 minutes'],
  ['30m', '30 minutes'],
  ['1h', '1 hour'],
]

const isUndoing = (action: Action): boolean => action === 'undrain' || action === 'off'
const isDraining = (action: Action): boolean => action === 'drain' || action === 'undrain'
/** Of all nodes, and of no site. */
const isFreezing = (action: Action): boolean => action === 'freeze' || action === 'unfreeze'
const lasts = (action: Action): boolean =>
  action === 'drain' || action === 'up' || action === 'down' || action === 'freeze'
/** Those that need a reason. */
const isGrave = lasts
/** A freeze has an end, and lasts a day at most. */
const FREEZES = DURATIONS.filter(([duration]) => duration !== '' && duration !== '7d')

/** What the operator has filled in. */
interface Draft {
  readonly pattern: string
  readonly action: Action
  /** One of SHARES, of a drain. */
  readonly to: string
  /** One of TIMES, of a drain or its end. */
  readonly over: string
  readonly for: string
  readonly who: string
  readonly why: string
  /** Do it even if too little would be left. */
  readonly yes: boolean
}

/** What would come of a draft: of these, and no others. */
interface Preview extends Pick<Draft, 'pattern' | 'action' | 'to'> {
  readonly outlook?: Outlook
  /** What is in force for the pattern now. */
  readonly inForce: InForce | undefined
  /** How many services of the pattern wait to be returned. */
  readonly recovered: number
  /** Why it can't be done. */
  readonly fault?: string
}

const WHO = 'meridian-who'
/** A pause in typing. */
const PAUSE_MS = 250

export function Actions({ seen, ask }: { readonly seen: Seen; readonly ask: Ask }) {
  const { overrides } = seen.board.summary
  const [draft, setDraft] = useState<Draft>({
    pattern: '',
    action: 'drain',
    to: '',
    over: '',
    for: '2h',
    who: localStorage.getItem(WHO) ?? '',
    why: '',
    yes: false,
  })
  const [done, setDone] = useState<{ readonly failed: boolean; readonly text: string }>()
  const [busy, setBusy] = useState(false)
  const preview = usePreview(draft, seen, ask)
  const set = (more: Partial<Draft>): void => {
    const next = { ...draft, ...more }
    const isOther = (['pattern', 'action', 'to'] as const).some((key) => next[key] !== draft[key])
    setDraft(isOther ? { ...next, yes: false } : next)
    setDone(undefined)
  }
  const { pattern, action, to } = draft
  const isShown =
    preview?.pattern === pattern && preview.action === action && preview.to === to && preview.fault === undefined
  const unsafe = isShown && preview.outlook?.safe === false
  const lacks =
    draft.who.trim() === ''
      ? 'who'
      : draft.why.trim() === '' && isGrave(action)
        ? 'why'
        : unsafe && !draft.yes
          ? 'yes'
          : ''
  const act = async (): Promise<void> => {
    setBusy(true)
    localStorage.setItem(WHO, draft.who.trim())
    try {
      const [path, body] = orderOf(draft)
      const result = await ask<Result>(path, body)
      setDone({ failed: result.unreached.length + result.notKept.length > 0, text: resultInWords(result, draft) })
      setDraft({ ...draft, why: '', yes: false })
    } catch (error) {
      const hint = error instanceof Refused && error.hint !== '' ? ` ${error.hint}.` : ''
      setDone({ failed: true, text: `Not done: ${error instanceof Error ? error.message : String(error)}.${hint}` })
    }
    setBusy(false)
  }
  return (
    <Section id="actions" title="What can I do" extra={<p class="dim">{overridesInWords(overrides)}</p>}>
      <form
        class="act"
        onSubmit={(event) => {
          event.preventDefault()
          if (isShown && lacks === '' && !busy) void act()
        }}
      >
        <Choice label="Do" value={action} of={ACTIONS} onChange={(value) => set({ action: actionOf(value) })} />
        {!isFreezing(action) && (
          <label class="field">
            Site, site/service or site/service/VIP
            <input
              list="patterns"
              value={pattern}
              autocomplete="off"
              spellcheck={false}
              onInput={(event) => set({ pattern: event.currentTarget.value.trim() })}
            />
          </label>
        )}
        <datalist id="patterns">
          {patternsOf(seen).map((one) => (
            <option key={one} value={one} />
          ))}
        </datalist>
        {action === 'drain' && (
          <Choice label="Leaving it" value={to} of={SHARES} onChange={(share) => set({ to: share })} />
        )}
        {isDraining(action) && (
          <Choice label="In steps over" value={draft.over} of={TIMES} onChange={(over) => set({ over })} />
        )}
        {lasts(action) && (
          <Choice
            label="For"
            value={draft.for}
            of={action === 'freeze' ? FREEZES : DURATIONS}
            onChange={(duration) => set({ for: duration })}
          />
        )}
        <label class="field">
          Who
          <input
            value={draft.who}
            autocomplete="username"
            maxLength={100}
            onInput={(event) => set({ who: event.currentTarget.value })}
          />
        </label>
        <label class="field wide">
          Why
          <input
            value={draft.why}
            autocomplete="off"
            maxLength={300}
            onInput={(event) => set({ why: event.currentTarget.value })}
          />
        </label>
        <div class="outlook" aria-live="polite">
          {preview === undefined ? (
            <p class="dim">Name a site: what this would leave of each service appears here, before anything is done.</p>
          ) : (
            <PreviewText preview={preview} />
          )}
        </div>
        <div class="buttons">
          {unsafe && (
            <label>
              <input
                type="checkbox"
                checked={draft.yes}
                onChange={(event) => set({ yes: event.currentTarget.checked })}
              />{' '}
              Do it all the same
            </label>
          )}
          <button type="submit" class={`main${unsafe ? ' grave' : ''}`} disabled={!isShown || lacks !== '' || busy}>
            {WORDS[action]} {isFreezing(action) ? 'all nodes' : pattern === '' ? '…' : pattern}
          </button>
          {isShown && lacks !== '' && lacks !== 'yes' && (
            <span class="dim">Say {lacks}, for whoever is on call later</span>
          )}
        </div>
        {done !== undefined && (
          <p class={done.failed ? 'bad' : 'good'} role="alert">
            {done.text}
          </p>
        )}
      </form>
      {overrides.length > 0 && (
        <div class="scroll" tabIndex={0} role="region" aria-label="Overrides in force">
          <table>
            <thead>
              <tr>
                <th scope="col">what</th>
                <th scope="col">who, why</th>
                <th scope="col">since</th>
                <th scope="col">until</th>
                <th scope="col">
                  <span class="unseen">undo</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {overrides.map(({ override, orphaned }) => (
                <tr key={override.pattern} data-pattern={override.pattern}>
                  <th scope="row">
                    <Sign state={stateOf(override)} /> <span class="name">{override.pattern}</span>{' '}
                    {forceInWords(override)}
                    {orphaned && <span class="odd"> matches no member</span>}
                  </th>
                  <td class="wrap">
                    {override.who}: {override.why}
                  </td>
                  <td>
                    <Age sinceMs={override.madeMs} />
                  </td>
                  <td class="number">{override.untilMs === null ? 'undone' : time(override.untilMs)}</td>
                  <td>
                    <button
                      type="button"
                      class="plain"
                      onClick={() =>
                        set({
                          pattern: override.pattern,
                          action: isForced(override) ? 'off' : 'undrain',
                          why: '',
                        })
                      }
                    >
                      Undo …
                    </button>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Section>
  )
}

/** One of a few. */
function Choice(props: {
  readonly label: string
  readonly value: string
  readonly of: readonly (readonly [value: string, words: string])[]
  readonly onChange: (value: string) => void
}) {
  return (
    <label class="field">
      {props.label}
      <select value={props.value} onChange={(event) => props.onChange(event.currentTarget.value)}>
        {props.of.map(([value, words]) => (
          <option key={value} value={value}>
            {words}
          </option>
        ))}
      </select>
    </label>
  )
}

type InForce = OverrideStatus['override']

/** `drained`, `drained to 30 %, at 62 % now`, `forced up`. */
function forceInWords({ action, shift }: Pick<InForce, 'action' | 'shift'>): string {
  if (action === 'up' || action === 'down') return `forced ${action}`
  if (action === 'undone') return 'undone'
  if (shift === undefined) return 'drained'
  const way = shift.to === 1000 ? 'on the way back' : `drained to ${percent(shift.to / 10)}`
  return shift.now === shift.to ? way : `${way}, at ${percent(shift.now / 10)} now`
}

const isForced = ({ action }: InForce): boolean => action === 'up' || action === 'down'

const stateOf = (override: InForce): 'up' | 'forced' | 'drained' =>
  isForced(override) ? (override.action === 'up' ? 'up' : 'forced') : 'drained'

const actionOf = (value: string): Action => ACTIONS.find(([action]) => action === value)![0]

const overridesInWords = (overrides: readonly OverrideStatus[]): string =>
  overrides.length === 0 ? 'no overrides' : `${count(overrides.length, 'override')} in force`

/** Sites, and services at sites: what is drained most. */
function patternsOf({ board }: Seen): string[] {
  const sites = board.summary.sites.map(({ site }) => site)
  const services = board.services.flatMap(({ service, sites: at }) => at.map(({ site }) => `${site}/${service}`))
  return [...sites.toSorted(), ...services].slice(0, 500)
}

/** The preview of what is filled in; undefined: nothing is, or it is on its way. */
function usePreview({ pattern: written, action, to }: Draft, { board }: Seen, ask: Ask) {
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

function PreviewText({ preview }: { readonly preview: Preview }) {
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
        {outlook.safe ? '✓ Safe' : '✕ Not safe'}: takes {preview.to === '' ? '' : 'a part of '}
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

type Result = OverrideResult | ReturnResult | FreezeResult

/** The route of an action, and its body. */
function orderOf({ pattern, action, to, over, for: duration, who, why, yes }: Draft): [path: string, body: object] {
  const lasting = duration !== '' && lasts(action) && { for: duration }
  if (action === 'freeze' || action === 'unfreeze') return ['api/freeze', { action, who, why, ...lasting }]
  if (action === 'return') return ['api/return', { pattern, who, why, yes }]
  const sharing = to !== '' && action === 'drain' && { to }
  const moving = over !== '' && isDraining(action) && { over }
  return ['api/overrides', { pattern, action, who, why, yes, ...lasting, ...sharing, ...moving }]
}

function resultInWords(result: Result, { action }: Draft): string {
  const { reached, unreached, notKept } = result
  const what =
    'done' in result
      ? `${result.done.pattern} is ${forceInWords(result.done)}`
      : 'returned' in result
        ? `returned: ${some(result.returned, 5)}`
        : action === 'freeze'
          ? 'frozen'
          : 'no longer frozen'
  const lacks = [
    ...unreached.map(({ node, why }) => `not at ${node} yet: ${why}`),
    ...notKept.map(({ where, why }) => `not stored ${where === 'disk' ? 'on disk' : 'in Redis'}: ${why}`),
  ]
  return [`${what} at ${some(reached, 6)}`, ...lacks].join('; ')
}
