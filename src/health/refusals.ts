/**
 * What was read from the Store and not taken, by what was wrong with it: counted for the metric
 * meridian_store_refused_total, and told in at most one line a minute for each kind. Whoever can write to Redis can say
 * anything there, so a refusal is no trouble of the Store and changes no verdict.
 */
import { inLine } from '../problem.ts'

/** Each kind of refusal in words, as the log tells it. */
export const REFUSED = {
  oversized: 'a message or value that is too long',
  head: 'a prober’s or node’s entry without a name, boot id or count that can be read',
  vote: 'a vote that can’t be read',
  heartbeat: 'a heartbeat that can’t be read',
  override: 'an override that can’t be read',
  change: 'a change of votes that can’t be read',
  signature: 'what is not signed with the secret of redis.secret',
  forgotten: 'a forgotten prober that can’t be read',
  known: 'a node’s memory of a member that can’t be read',
  unplanned: 'votes on targets that are not in the zones here',
  prober: 'a prober beyond those that there is room for',
  node: 'a node beyond those that there is room for',
  fault: 'what ran into a fault of Meridian itself; please report it',
} as const satisfies Record<string, string>

export type Refused = keyof typeof REFUSED

export const REFUSED_KINDS: readonly Refused[] = Object.keys(REFUSED).filter(isRefused)

function isRefused(key: string): key is Refused {
  return Object.hasOwn(REFUSED, key)
}

/** One line of each kind in this time. */
const TELL_MS = 60_000
/** Of a name that someone else wrote, and of what is said of it. */
const MOST_NAME = 64
const MOST_CHARACTERS = 1000

interface Tally {
  count: number
  /** Since the last line. */
  untold: number
  toldMs: number
}

export class Refusals {
  readonly #tell: (line: string) => void
  readonly #tallies = new Map<Refused, Tally>()

  constructor(tell: (line: string) => void = () => {}) {
    this.#tell = tell
  }

  /** Nothing is taken: undefined. `from`: who sent it, as far as that is known; `why`: more than the kind says. Both may be anybody's text. */
  count(kind: Refused, from = '', why = '', times = 1): undefined {
    if (times === 0) return undefined
    const tally = this.#tallies.get(kind) ?? { count: 0, untold: 0, toldMs: -Infinity }
    this.#tallies.set(kind, tally)
    tally.count += times
    tally.untold += times
    const nowMs = performance.now()
    if (nowMs - tally.toldMs < TELL_MS) return undefined
    const what = tally.untold === 1 ? REFUSED[kind] : `${REFUSED[kind]} (${tally.untold} times)`
    const sender = from === '' ? '' : `, from ${shortLine(from, MOST_NAME)}`
    this.#tell(`refused ${what}${sender}${why === '' ? '' : `: ${shortLine(why)}`}`)
    tally.toldMs = nowMs
    tally.untold = 0
    return undefined
  }

  of(kind: Refused): number {
    return this.#tallies.get(kind)?.count ?? 0
  }

  get counts(): readonly (readonly [Refused, number])[] {
    return REFUSED_KINDS.map((kind) => [kind, this.of(kind)] as const)
  }
}

/** Somebody's text on one line, and not more of it than a line of log should have. */
function shortLine(text: string, most = MOST_CHARACTERS): string {
  const line = inLine(text.slice(0, most))
  return text.length > most ? `${line}…` : line
}
