/** Small parts that several sections of the page use. */
import type { ComponentChildren } from 'preact'
import { useEffect, useLayoutEffect, useReducer, useRef, useState } from 'preact/hooks'
import type { Wound } from '../src/health/wound.ts'
import { age, SIGNS, time, WOUND_WORDS } from './words.ts'

const clocks = new Set<() => void>()
setInterval(() => {
  if (!document.hidden) for (const tick of clocks) tick()
}, 1000)

/** How long ago something was, kept up to date. */
export function Age({ sinceMs }: { readonly sinceMs: number }) {
  const [, tick] = useReducer((ticks: number) => ticks + 1, 0)
  useEffect(() => {
    const own = (): void => tick(undefined)
    clocks.add(own)
    return () => void clocks.delete(own)
  }, [])
  return (
    <time class="number" dateTime={new Date(sinceMs).toISOString()} title={time(sinceMs)}>
      {age(Date.now() - sinceMs)}
    </time>
  )
}

/** The sign of a state in its colour; its words are for those who hear the page. */
export function Sign({ state }: { readonly state: Wound | 'up' }) {
  return (
    <span class="sign" data-state={state} title={WOUND_WORDS[state]}>
      <span aria-hidden="true">{SIGNS[state]}</span>
      <span class="unseen">{WOUND_WORDS[state]}</span>
    </span>
  )
}

/** A section of the page with its title; `extra` stands beside the title. */
export function Section(props: {
  readonly id: string
  readonly title: string
  readonly extra?: ComponentChildren
  readonly children: ComponentChildren
}) {
  const { id, title, extra, children } = props
  return (
    <section id={id} aria-labelledby={`${id}-title`}>
      <div class="title">
        <h2 id={`${id}-title`}>{title}</h2>
        {extra}
      </div>
      {children}
    </section>
  )
}

/** A bar with a part filled (0–1), and a mark at another part: what is beside what should be. */
export function Bar(props: { readonly filled: number; readonly mark?: number; readonly label: string }) {
  const { filled, mark, label } = props
  return (
    <span class="bar" role="img" aria-label={label} title={label}>
      <span class="fill" style={{ width: `${100 * Math.min(1, filled)}%` }} />
      {mark !== undefined && <span class="mark" style={{ left: `${100 * Math.min(1, mark)}%` }} />}
    </span>
  )
}

/** A modal dialog. Escape and the button close it. */
export function Dialog(props: {
  readonly title: string
  readonly onClose: () => void
  readonly children: ComponentChildren
}) {
  const { title, onClose, children } = props
  const dialog = useRef<HTMLDialogElement>(null)
  useLayoutEffect(() => dialog.current!.showModal(), [])
  return (
    <dialog ref={dialog} onClose={onClose} aria-label={title}>
      <div class="title">
        <h2>{title}</h2>
        <button type="button" class="quiet" onClick={() => dialog.current!.close()} aria-label="Close">
          ✕
        </button>
      </div>
      {children}
    </dialog>
  )
}

const ROW_PX = 30
/** Rows above and below what is seen. */
const SPARE = 12

/**
 * A long table of which only the rows in sight are in the page. All rows are equally high. `render` makes the cells of a
 * row; `head` is above the rows and stays there.
 */
export function LongTable<T>(props: {
  readonly label: string
  readonly head: ComponentChildren
  readonly rows: readonly T[]
  readonly keyOf: (row: T) => string
  readonly render: (row: T) => ComponentChildren
  readonly classOf: (row: T) => string
}) {
  const { label, head, rows, keyOf, render, classOf } = props
  const view = useRef<HTMLDivElement>(null)
  const [first, setFirst] = useState(0)
  const [seen, setSeen] = useState(20)
  useLayoutEffect(() => {
    const observer = new ResizeObserver(() => setSeen(Math.ceil(view.current!.clientHeight / ROW_PX)))
    observer.observe(view.current!)
    return () => observer.disconnect()
  }, [])
  const from = Math.max(0, Math.min(first, rows.length - seen) - SPARE)
  const shown = rows.slice(from, first + seen + SPARE)
  return (
    <div class="long" role="table" aria-label={label} aria-rowcount={rows.length + 1}>
      <div class="head" role="row" aria-rowindex={1}>
        {head}
      </div>
      <div
        class="view"
        ref={view}
        style={{ height: `${rows.length * ROW_PX}px` }}
        tabIndex={0}
        role="rowgroup"
        aria-label={`${label}: rows`}
        onScroll={() => setFirst(Math.floor(view.current!.scrollTop / ROW_PX))}
      >
        <div role="presentation" style={{ height: `${rows.length * ROW_PX}px` }}>
          <div role="presentation" style={{ transform: `translateY(${from * ROW_PX}px)` }}>
            {shown.map((row, i) => (
              <div class={`row ${classOf(row)}`} role="row" key={keyOf(row)} aria-rowindex={from + i + 2}>
                {render(row)}
              </div>
            ))}
          </div>
        </div>
      </div>
    </div>
  )
}
