/**
 * One prober in several threads: each thread has a Board of its own, and the Store hears one prober. A heartbeat goes out
 * when every thread has beaten since the last one, so a thread that stands still makes the whole prober silent.
 *
 *   thread ─ Board ─▶ ┌────────┐
 *   thread ─ Board ─▶ │ merged │ ─ one Board, one boot id, one sequence ─▶ Store
 *                     └────────┘
 */
import type { ProberWriter, Heartbeat, ProberIdentity } from '../health/store.ts'
import { hashTargets } from '../health/target.ts'
import type { Vote } from '../health/vote.ts'

export interface MergeSettings {
  readonly identity: ProberIdentity
  /** The prober's own, in the Store. */
  readonly writer: ProberWriter
  readonly threads: number
  /** After the merged heartbeat was sent. */
  readonly onBeat: (beat: Heartbeat) => void
}

export class MergedWriter {
  readonly #settings: MergeSettings
  /** What each thread says now. */
  readonly #votes: readonly Map<string, Vote>[]
  /** Of the threads that have beaten since the last merged heartbeat. */
  readonly #beats = new Map<number, Heartbeat>()
  #sequence = 0

  constructor(settings: MergeSettings) {
    this.#settings = settings
    this.#votes = Array.from({ length: settings.threads }, () => new Map<string, Vote>())
  }

  /** A thread's own side. Whatever it says is about its targets alone, `replace` too. */
  of(thread: number): ProberWriter {
    const { writer } = this.#settings
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
        current.set(vote.target, vote)
        return writer.change(vote)
      },
      retire: (targets) => this.#retire(thread, targets),
      heartbeat: (beat) => this.#beat(thread, beat),
    }
  }

  vote(thread: number, target: string): Vote | undefined {
    return this.#votes[thread]!.get(target)
  }

  /** Of a thread that is gone: nobody stands for what it said, nodes hold their verdicts. */
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
