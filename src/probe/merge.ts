/**
 * Merges the threads of a prober into one: each thread has a ProberWriter of its own, and the Store sees one prober. A
 * heartbeat is sent when every thread has sent one since the last, so one blocked thread silences the prober.
 *
 *   thread ─ ProberWriter ─▶ ┌────────┐
 *   thread ─ ProberWriter ─▶ │ merged │ ─ one ProberWriter, one boot id, one sequence ─▶ Store
 *                            └────────┘
 */
import type { ProberWriter, Heartbeat, ProberIdentity } from '../health/store.ts'
import { hashTargets } from '../health/target.ts'
import type { Vote } from '../health/vote.ts'

/** What MergedWriter needs of its prober. */
export interface MergeSettings {
  readonly identity: ProberIdentity
  /** The prober's own writer in the Store. */
  readonly writer: ProberWriter
  readonly threads: number
  /** Called after the merged heartbeat was sent. */
  readonly onBeat: (beat: Heartbeat) => void
  /** Called for each vote that is written; `before`: the thread's vote on the same target before it. */
  readonly onVote?: (vote: Vote, before: Vote | undefined) => void
}

/** The writers of all threads of one prober. */
export class MergedWriter {
  readonly #settings: MergeSettings
  /** Current votes by thread. */
  readonly #votes: readonly Map<string, Vote>[]
  /** Heartbeats of threads since the last merged one. */
  readonly #beats = new Map<number, Heartbeat>()
  #sequence = 0

  constructor(settings: MergeSettings) {
    this.#settings = settings
    this.#votes = Array.from({ length: settings.threads }, () => new Map<string, Vote>())
  }

  /** The writer of a thread. It affects that thread's targets only, replace() too. */
  of(thread: number): ProberWriter {
    const { writer, onVote } = this.#settings
    const current = this.#votes[thread]!
    return {
      replace: async (votes) => {
        const wanted = new Set(votes.map(({ target }) => target))
        await this.#retire(
          thread,
          [...current.keys()].filter((target) => !wanted.has(target)),
        )
        for (const vote of votes) current.set(vote.target, vote)
        await Promise.all(votes.map((vote) => writer.change(vote)))
      },
      change: (vote) => {
        onVote?.(vote, current.get(vote.target))
        current.set(vote.target, vote)
        return writer.change(vote)
      },
      retire: (targets) => this.#retire(thread, targets),
      heartbeat: (beat) => this.#beat(thread, beat),
    }
  }

  /** The current vote of a thread on a target. */
  vote(thread: number, target: string): Vote | undefined {
    return this.#votes[thread]!.get(target)
  }

  /** Retires the votes of a dead thread; nodes keep their verdicts. */
  withdraw(thread: number): Promise<void> {
    this.#beats.delete(thread)
    return this.#retire(thread, [...this.#votes[thread]!.keys()])
  }

  async #retire(thread: number, targets: readonly string[]): Promise<void> {
    for (const target of targets) this.#votes[thread]!.delete(target)
    const withdrawn = targets.filter((target) => this.#votes.every((current) => !current.has(target))) // one may have moved
    if (withdrawn.length > 0) await this.#settings.writer.retire(withdrawn)
  }

  async #beat(thread: number, beat: Heartbeat): Promise<void> {
    const { identity, writer, threads, onBeat } = this.#settings
    this.#beats.set(thread, beat)
    if (this.#beats.size < threads) return
    const beats = [...this.#beats.values()]
    this.#beats.clear()
    const merged: Heartbeat = {
      prober: identity,
      sequence: ++this.#sequence,
      configHash: threads === 1 ? beat.configHash : hashTargets(beats.map(({ configHash }) => configHash)),
      overdue: beats.reduce((sum, { overdue }) => sum + overdue, 0),
      overdueAgeMs: Math.max(...beats.map(({ overdueAgeMs }) => overdueAgeMs)),
    }
    const sent = writer.heartbeat(merged)
    onBeat(merged)
    await sent
  }
}
