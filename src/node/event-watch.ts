/**
 * Looks every second at what has a state, and does not tell when it changes: probers, nodes, Redis, certificates,
 * threads. Each change is an event. Made by RunningNode, which says what there is.
 */
import type { EventKind, NewEvent } from '../events/event.ts'

/** Something that has a state now. */
export interface Fact {
  readonly kind: EventKind
  readonly subject: string
  /** In a word or few. */
  readonly state: string
  /** Whether that is as it should be. */
  readonly isWell: boolean
  readonly why?: string
  /** It comes and goes: that it comes is an event, except at the start. Of others, if all is not well with them. */
  readonly mayCome?: boolean
  /** Its state once it is no more; undefined: its going is no event. */
  readonly gone?: string
}

/** How often the threads of one kind were replaced, in all, and because they stood still. */
export interface ThreadCount {
  readonly what: string
  readonly died: number
  readonly stalled: number
}

/** What EventWatch needs of its node. */
export interface EventWatchSettings {
  /** All facts of now. */
  readonly facts: () => readonly Fact[]
  readonly threads: () => readonly ThreadCount[]
  readonly add: (event: NewEvent) => void
}

const LOOK_MS = 1_000
/** At the start everything comes: that is no news. */
const SETTLED_MS = 10_000

interface Known {
  readonly fact: Fact
  /** Since when, Unix time in ms; null: since before the watch began. */
  readonly sinceMs: number | null
}

/** Turns changes of states into events. */
export class EventWatch {
  readonly #settings: EventWatchSettings
  readonly #known = new Map<string, Known>()
  readonly #threads = new Map<string, ThreadCount>()
  readonly #beganMs = performance.now()
  #timer: NodeJS.Timeout | undefined

  constructor(settings: EventWatchSettings) {
    this.#settings = settings
  }

  start(): void {
    this.#timer = setInterval(() => this.look(performance.now()), LOOK_MS).unref()
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  /** Looks once; called each second. `nowMs`: of performance.now(). */
  look(nowMs: number): void {
    this.#lookAtThreads()
    const facts = this.#settings.facts()
    const isSettled = nowMs - this.#beganMs >= SETTLED_MS
    const now = new Map(facts.map((fact) => [`${fact.kind} ${fact.subject}`, fact]))
    for (const [key, known] of this.#known) {
      if (now.has(key)) continue
      this.#known.delete(key)
      const { kind, subject, state, gone } = known.fact
      if (gone !== undefined) this.#tell({ kind, subject, isWell: true }, state, gone, known.sinceMs)
    }
    for (const [key, fact] of now) {
      const known = this.#known.get(key)
      if (known?.fact.state === fact.state) {
        this.#known.set(key, { fact, sinceMs: known.sinceMs })
        continue
      }
      const isNews = known !== undefined || (fact.mayCome === true ? isSettled : !fact.isWell)
      if (isNews) this.#tell(fact, known?.fact.state ?? null, fact.state, known?.sinceMs ?? null)
      this.#known.set(key, { fact, sinceMs: isNews ? Date.now() : null })
    }
  }

  #lookAtThreads(): void {
    for (const count of this.#settings.threads()) {
      const { what, died, stalled } = count
      const before = this.#threads.get(what)
      this.#threads.set(what, count)
      const more = died - (before?.died ?? 0)
      if (more <= 0) continue
      const hung = stalled > (before?.stalled ?? 0)
      const after = hung ? 'stood still, replaced' : 'died, replaced'
      const why = `it was replaced ${died === 1 ? 'once' : `${died} times`} since the start`
      const details = { replaced: more, died, stalled }
      this.#settings.add({ kind: 'thread', severity: 'warning', subject: what, before: 'running', after, why, details })
    }
  }

  #tell(
    { kind, subject, isWell, why = '' }: Pick<Fact, 'kind' | 'subject' | 'isWell' | 'why'>,
    before: string | null,
    after: string,
    sinceMs: number | null,
  ): void {
    this.#settings.add({ kind, severity: isWell ? 'info' : 'warning', subject, before, after, why, sinceMs })
  }
}
