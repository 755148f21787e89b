/**
 * What can be done: drain, drill, force, return, freeze, and undo. What it would leave is shown before the button can be
 * pressed; the node checks the same again when it acts.
 */
import { useState } from 'preact/hooks'
import type { OverrideStatus } from '../src/health/node-health.ts'
import { type Ask, Refused, type Seen } from './api.ts'
import {
  ACTION_WORDS,
  actionOf,
  ACTIONS,
  type Draft,
  durationsOf,
  emptyDraft,
  isDraining,
  isFreezing,
  isGrave,
  lasts,
  orderOf,
  type Result,
  resultInWords,
  SHARES,
  TIMES,
} from './draft.ts'
import { PreviewText, usePreview } from './outlook.tsx'
import { Overrides } from './overrides.tsx'
import { Section } from './parts.tsx'
import { count } from './words.ts'

const WHO = 'meridian-who'

export function Actions({ seen, ask }: { readonly seen: Seen; readonly ask: Ask }) {
  const { overrides } = seen.board.summary
  const [draft, setDraft] = useState<Draft>(emptyDraft(localStorage.getItem(WHO) ?? ''))
  const [done, setDone] = useState<{ readonly failed: boolean; readonly text: string }>()
  const [busy, setBusy] = useState(false)
  const preview = usePreview(draft, seen, ask)
  const set = (more: Partial<Draft>): void => {
    const next = { ...draft, ...more }
    const isOther = (['pattern', 'action', 'to'] as const).some((key) => next[key] !== draft[key])
    const isPossible = durationsOf(next.action).some(([duration]) => duration === next.for)
    setDraft({ ...next, yes: !isOther && next.yes, for: isPossible ? next.for : '30m' })
    setDone(undefined)
  }
  const { pattern, action, to } = draft
  const isShown =
    preview?.pattern === pattern && preview.action === action && preview.to === to && preview.fault === undefined
  const unsafe = isShown && preview.outlook?.safe === false
  const isRefused = unsafe && action === 'drill' // a drill hurts nobody on purpose
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
      setDone({ failed: result.unreached.length + result.notKept.length > 0, text: resultInWords(result, action) })
      // what was filled in meanwhile stays
      setDraft((now) => (now === draft ? { ...draft, why: '', yes: false } : now))
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
          if (isShown && !isRefused && lacks === '' && !busy) void act()
        }}
      >
        <Choice label="Do" value={action} of={ACTIONS} onChange={(value) => set({ action: actionOf(value) })} />
        {!isFreezing(action) && (
          <Text
            label="Site, site/service or site/service/VIP"
            value={pattern}
            list="patterns"
            onInput={(value) => set({ pattern: value.trim() })}
          />
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
            of={durationsOf(action)}
            onChange={(duration) => set({ for: duration })}
          />
        )}
        {action === 'drill' && (
          <Text
            label="Abort if"
            value={draft.abortIf}
            title="left<60%, last-resort, the name of a service: between commas"
            onInput={(abortIf) => set({ abortIf })}
          />
        )}
        <div class="wide reason">
          <Text label="Who" value={draft.who} autocomplete="username" maxLength={100} onInput={(who) => set({ who })} />
          <Text label="Why" value={draft.why} maxLength={300} isProse onInput={(why) => set({ why })} />
        </div>
        <div class="outlook" aria-live="polite">
          {preview === undefined ? (
            <p class="dim">Name a site: what this would leave of each service appears here, before anything is done.</p>
          ) : (
            <PreviewText preview={preview} />
          )}
        </div>
        <div class="buttons">
          {unsafe && !isRefused && (
            <label>
              <input
                type="checkbox"
                checked={draft.yes}
                onChange={(event) => set({ yes: event.currentTarget.checked })}
              />{' '}
              Do it all the same
            </label>
          )}
          <button
            type="submit"
            class={`main${unsafe ? ' grave' : ''}`}
            disabled={!isShown || isRefused || lacks !== '' || busy}
          >
            {ACTION_WORDS[action]} {isFreezing(action) ? 'all nodes' : pattern === '' ? '…' : pattern}
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
      {overrides.length > 0 && <Overrides overrides={overrides} onUndo={set} />}
    </Section>
  )
}

/** A line of text. `list`: the id of a datalist with what may be meant. */
function Text(props: {
  readonly label: string
  readonly value: string
  readonly onInput: (value: string) => void
  readonly list?: string
  readonly title?: string
  readonly autocomplete?: 'username'
  readonly maxLength?: number
  readonly isProse?: boolean
}) {
  const { label, onInput, autocomplete = 'off', isProse = false, ...input } = props
  return (
    <label class="field">
      {label}
      <input
        type="text"
        {...input}
        autocomplete={autocomplete}
        spellcheck={isProse}
        onInput={(event) => onInput(event.currentTarget.value)}
      />
    </label>
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

const overridesInWords = (overrides: readonly OverrideStatus[]): string =>
  overrides.length === 0 ? 'no overrides' : `${count(overrides.length, 'override')} in force`

/** Sites, and services at sites: what is drained most. */
function patternsOf({ board }: Seen): string[] {
  const sites = board.summary.sites.map(({ site }) => site)
  const services = board.services.flatMap(({ service, sites: at }) => at.map(({ site }) => `${site}/${service}`))
  return [...sites.toSorted(), ...services].slice(0, 500)
}
