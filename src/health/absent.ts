/**
 * Histories of members that are not in the served zones: from the saved file, from other nodes, or from before a
 * reload. members.ts takes a member's history out when the member joins, and puts it back when the member leaves.
 */
import type { Judgement, MemberHistory } from './judgement.ts'
import type { PriorCondition, Condition } from './member-state.ts'
import type { SavedHealth, SavedMember } from './saved.ts'
import type { KnownMember } from './store.ts'
import { HEALTH_SLOTS } from './table.ts'
import type { Verdict } from './vote.ts'

interface AbsentMember {
  readonly history: MemberHistory & { readonly verdict: Verdict }
  readonly sinceMs: number
  readonly rampSinceMs: number | undefined
  readonly leftMs: number
}

/** Converts between monotonic and wall clock of this process, in ms. */
type ClockShift = (ms: number) => number

/** Twice as many as a plan can have. */
const MOST_LEARNT = 2 * HEALTH_SLOTS

const NOT_DECIDED: ReadonlyMap<string, Verdict> = new Map()

/** The histories of members that are not served now. */
export class AbsentMembers {
  readonly #absent = new Map<string, AbsentMember>()

  /** Keeps the history of a member that leaves the zones. */
  leave(name: string, history: Judgement, { sinceMs, rampSinceMs }: Condition, leftMs: number): void {
    const { verdict, proven, deciding, decided } = history
    if (verdict === undefined) return
    this.#absent.set(name, { history: { verdict, proven, deciding, decided }, sinceMs, rampSinceMs, leftMs })
  }

  /** Removes and returns the history of a member that joins the zones. */
  take(name: string): { readonly history: MemberHistory; readonly prior: PriorCondition } | undefined {
    const absent = this.#absent.get(name)
    if (absent === undefined) return undefined
    this.#absent.delete(name)
    const { history, sinceMs, rampSinceMs } = absent
    const state = history.verdict
    return { history, prior: { state, braked: false, sinceMs, rampSinceMs, agent: undefined, remembered: true } }
  }

  /** Takes in what the saved file has; `here` converts its times. */
  restore(members: SavedHealth['members'], here: ClockShift): void {
    for (const [name, saved] of Object.entries(members)) {
      const { verdict, proven, deciding = [], sinceMs, plannedMs, rampSinceMs } = saved
      this.#absent.set(name, {
        history: { verdict, proven: new Set(proven), deciding, decided: NOT_DECIDED },
        sinceMs: here(sinceMs),
        rampSinceMs: rampSinceMs === undefined ? undefined : here(rampSinceMs),
        leftMs: here(plannedMs),
      })
    }
  }

  /** Takes in what most other nodes know of members without a history here. */
  learn(tables: readonly ReadonlyMap<string, KnownMember>[], nowMs: number): void {
    for (const [name, { verdict, proven }] of mostKnown(tables)) {
      if (this.#absent.has(name) || this.#absent.size >= MOST_LEARNT) continue
      // these targets proved it up; they go on deciding if this node's zones are newer than what is probed
      const history = { verdict, proven: new Set(proven), deciding: proven, decided: NOT_DECIDED }
      this.#absent.set(name, { history, sinceMs: nowMs, rampSinceMs: undefined, leftMs: nowMs })
    }
  }

  /** All histories as they are saved. */
  collect(wall: ClockShift): [string, SavedMember][] {
    return Array.from(this.#absent, ([name, { history, sinceMs, rampSinceMs, leftMs }]) => [
      name,
      savedMember(history, { sinceMs, rampSinceMs }, leftMs, wall),
    ])
  }

  /** Drops members that left before `oldestMs`. */
  forget(oldestMs: number): void {
    for (const [name, { leftMs }] of this.#absent) if (leftMs < oldestMs) this.#absent.delete(name)
  }
}

/** A member as it is saved. */
export function savedMember(
  { verdict, proven, deciding }: MemberHistory & { readonly verdict: Verdict },
  { sinceMs, rampSinceMs }: Pick<Condition, 'sinceMs' | 'rampSinceMs'>,
  plannedMs: number,
  wall: ClockShift,
): SavedMember {
  return {
    verdict,
    sinceMs: wall(sinceMs),
    plannedMs: wall(plannedMs),
    proven: [...proven],
    deciding,
    ...(rampSinceMs === undefined ? {} : { rampSinceMs: wall(rampSinceMs) }),
  }
}

/**
 * The verdict that most nodes have of each member, with all targets that these have seen up (nodes may run two
 * generations of zones); no entry on a tie.
 */
export function mostKnown(tables: readonly ReadonlyMap<string, KnownMember>[]): Map<string, KnownMember> {
  const most = new Map<string, KnownMember>()
  for (const name of new Set(tables.flatMap((table) => [...table.keys()]))) {
    const known = tables.flatMap((table) => table.get(name) ?? [])
    const ups = known.filter(({ verdict }) => verdict === 'up')
    const downs = known.filter(({ verdict }) => verdict === 'down')
    if (ups.length === downs.length) continue
    const winners = ups.length > downs.length ? ups : downs
    most.set(name, { verdict: winners[0]!.verdict, proven: [...new Set(winners.flatMap(({ proven }) => proven))] })
  }
  return most
}
