/**
 * Counts what was read from the Store and rejected, by kind, for the metric meridian_store_refused_total, and logs at
 * most one line a minute for each kind. Anyone with write access to Redis can write anything, so a refusal is no
 * trouble of the Store and changes no verdict.
 */
import { inLine } from '../problem.ts'

/** Each kind of refusal in words, for the log. */
export const REFUSAL_TEXTS = {
  oversized: 'a message or value that is too long',
  head: 'a prober’s or node’s entry without a name, boot id or count that can be read',
  vote: 'a vote that can’t be read',
  heartbeat: 'a heartbeat that can’t be read',
  override: 'an override that can’t be read',
  change: 'a change of votes that can’t be read',
  signature: 'data that is not signed with redis.secret',
  event: 'an event that can’t be read, or is not signed with redis.secret',
  forgotten: 'a forgotten prober that can’t be read',
  known: 'a node’s memory of a member that can’t be read',
  unplanned: 'votes on targets that are not in the zones here',
  prober: 'a prober beyond the most that a fleet may have',
  node: 'a node beyond the most that a fleet may have',
  fault: 'data that ran into a fault of Meridian itself; please report it',
} as const satisfies Record<string, string>

/** A label of the metric. */
export type RefusalKind = keyof typeof REFUSAL_TEXTS

/** All kinds, in order. */
export const REFUSAL_KINDS: readonly RefusalKind[] = Object.keys(REFUSAL_TEXTS).filter(isRefusalKind)

function isRefusalKind(key: string): key is RefusalKind {
  return Object.hasOwn(REFUSAL_TEXTS, key)
}

/** One line of each kind in this time. */
const LOG_MS = 60_000
/** Of a name that someone else wrote, and of what is said of it. */
const MOST_NAME = 64
const MOST_CHARACTERS = 1000

interface Tally {
  /**
   * Counts refusals; returns undefined for callers that return it. `from`: the sender, if known; `why`: details. Both
   * may be any text.
   */
  count: number
  /** Since the last line. */
  unlogged: number
  loggedMs: number
}

/** Counters of refusals, and their log lines. */
export class Refusals {
  readonly #log: (line: string) => void
  readonly #tallies = new Map<RefusalKind, Tally>()

  constructor(log: (line: string) => void = () => {}) {
    this.#log = log
  }

  /**
   * Nothing is taken: undefined. `from`: who sent it, as far as that is known; `why`: more than the kind says. Both may
   * be anybody's text.
   */
  count(kind: RefusalKind, from = '', why = '', times = 1): undefined {
    if (times === 0) return undefined
    const tally = this.#tallies.get(kind) ?? { count: 0, unlogged: 0, loggedMs: -Infinity }
    this.#tallies.set(kind, tally)
    tally.count += times
    tally.unlogged += times
    const nowMs = performance.now()
    if (nowMs - tally.loggedMs < LOG_MS) return undefined
    const what = tally.unlogged === 1 ? REFUSAL_TEXTS[kind] : `${REFUSAL_TEXTS[kind]} (${tally.unlogged} times)`
    const sender = from === '' ? '' : `, from ${shortLine(from, MOST_NAME)}`
    this.#log(`refused ${what}${sender}${why === '' ? '' : `: ${shortLine(why)}`}`)
    tally.loggedMs = nowMs
    tally.unlogged = 0
    return undefined
  }

  of(kind: RefusalKind): number {
    return this.#tallies.get(kind)?.count ?? 0
  }

  get counts(): readonly (readonly [RefusalKind, number])[] {
    return REFUSAL_KINDS.map((kind) => [kind, this.of(kind)] as const)
  }
}

/** Untrusted text on one line, cut to the length of a log line. */
function shortLine(text: string, most = MOST_CHARACTERS): string {
  const line = inLine(text.slice(0, most))
  return text.length > most ? `${line}…` : line
}
