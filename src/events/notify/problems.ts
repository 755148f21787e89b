/**
 * What is wrong now, as far as events tell: an event of severity warning or critical opens a problem for its subject, and
 * an event of severity info of the same kind and subject ends it. So a receiver that was told of the one is told of the
 * other too. Problems of a site, or of a kind where there is no site, are one for receivers: 300 dead members of one site
 * are one incident, which is over when the last of them is well.
 */
import { isRecord, isTime } from '../../state.ts'
import { type Event, EVENT_KINDS, isEvent, SEVERITIES, type Severity } from '../event.ts'

/** What an event means for those who were told: something is wrong, is well again, or is just so. */
export type Direction = 'problem' | 'recovered' | 'news'

const DIRECTIONS: readonly Direction[] = ['problem', 'recovered', 'news']

/** An event, and which problem it begins or ends. */
export interface Noted {
  readonly event: Event
  /** The name of the problem: the same on all nodes, and for as long as it lasts. */
  readonly problem: string
  readonly direction: Direction
  /** The severity with which the problem of this subject began; null: none began. */
  readonly was: Severity | null
}

interface Open {
  readonly severity: Severity
  readonly atMs: number
}

/** Subjects that are tracked at once; more are told all the same, but not as an end of anything. */
const MOST_OPEN = 20_000
/** A problem of which nothing is heard for so long is over: its end was missed. */
const LONGEST_MS = 30 * 86_400_000

/** What events are grouped by: `verdict fra`; of a kind that each node has for itself, with its name. */
export function problemOf({ kind, site, node }: Event): string {
  const own = isOwn(kind) ? ` ${node}` : ''
  return `${kind}${own}${site === undefined ? '' : ` ${site}`}`
}

/** Whether only the node itself sees such events, so that no other can tell of them. */
export const isOwn = (kind: Event['kind']): boolean => EVENT_KINDS[kind].togetherMs === 0

/** A number that rises with the severity. */
export const rankOf = (severity: Severity): number => SEVERITIES.indexOf(severity)

/** What an event is about: the same on all nodes, whatever has become of it. */
export const subjectOf = ({ kind, subject, site = '', service = '' }: Event): string =>
  JSON.stringify([kind, subject, site, service])

/** Problems that are open, by name and subject. */
export class Problems {
  readonly #open = new Map<string, Map<string, Open>>()
  #size = 0

  /** Takes an event in. */
  note(event: Event): Noted {
    const problem = problemOf(event)
    const subject = subjectOf(event)
    const subjects = this.#open.get(problem)
    const before = subjects?.get(subject)
    const was = before !== undefined && event.atMs - before.atMs <= LONGEST_MS ? before.severity : null
    if (event.severity === 'info') {
      if (subjects?.delete(subject) === true) this.#size--
      if (subjects?.size === 0) this.#open.delete(problem)
      return { event, problem, direction: was === null ? 'news' : 'recovered', was }
    }
    if (was === null) this.#add(problem, subject, { severity: event.severity, atMs: event.atMs })
    return { event, problem, direction: 'problem', was: was ?? event.severity }
  }

  #add(problem: string, subject: string, open: Open): void {
    if (this.#size >= MOST_OPEN) return
    const subjects = this.#open.get(problem) ?? new Map<string, Open>()
    if (!subjects.has(subject)) this.#size++
    subjects.set(subject, open)
    this.#open.set(problem, subjects)
  }

  /** Subjects for which the problem is open. */
  openOf(problem: string): number {
    return this.#open.get(problem)?.size ?? 0
  }

  /** For read(). */
  saved(): readonly (readonly [problem: string, subject: string, severity: Severity, atMs: number])[] {
    return [...this.#open].flatMap(([problem, subjects]) =>
      Array.from(subjects, ([subject, { severity, atMs }]) => [problem, subject, severity, atMs] as const),
    )
  }

  /** Takes in what saved() gave before a restart; what is malformed or old is left out. */
  read(value: unknown, nowMs: number): void {
    for (const entry of Array.isArray(value) ? value : []) {
      const [problem, subject, severity, atMs]: readonly unknown[] = Array.isArray(entry) ? entry : []
      if (typeof problem !== 'string' || typeof subject !== 'string' || !isSeverity(severity) || !isTime(atMs)) continue
      if (nowMs - atMs <= LONGEST_MS) this.#add(problem, subject, { severity, atMs })
    }
  }
}

const isSeverity = (value: unknown): value is Severity => SEVERITIES.some((severity) => severity === value)

/** Whether a value from a file is a Noted. */
export const isNoted = (value: unknown): value is Noted =>
  isRecord(value) &&
  isEvent(value['event']) &&
  typeof value['problem'] === 'string' &&
  DIRECTIONS.some((direction) => direction === value['direction']) &&
  (value['was'] === null || isSeverity(value['was']))
