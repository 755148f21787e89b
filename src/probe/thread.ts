/**
 * The prober of a process, seen from the main thread: one identity, one board, `threads` threads that divide its targets
 * by hash, and its duty, which says what is its to probe.
 *
 *   zones ─ setTargets ─▶ Duty ─ own targets ─▶ thread, thread … ─ votes, heartbeats ─▶ MergedBoard ─▶ Store
 *                          ▲─────────────── what other probers and nodes say ─────────────────────────┘
 */
import { randomUUID } from 'node:crypto'
import type { ReachSettings } from '../health/reach.ts'
import type { Heartbeat, Store } from '../health/store.ts'
import type { Target } from '../health/target.ts'
import type { Vote } from '../health/vote.ts'
import type { Endpoint } from '../units.ts'
import type { Commands } from './checks/exec.ts'
import { costOf } from './cost.ts'
import { divide } from './divide.ts'
import { MergedWriter } from './merge.ts'
import { OwnTargets } from './own-targets.ts'
import { SupervisedThread, WORKER } from './supervise.ts'

const REPORT_MS = 800

export interface ProberThreadSettings {
  readonly name: string
  readonly region: string
  readonly store: Store
  /** 1 unless said. */
  readonly threads?: number
  /** Most checks that begin in a second, all threads together; 5000 unless said. */
  readonly rate?: number
  /** What checks of type exec may run. */
  readonly commands?: Commands
  /** What checks may reach; without it what is built in is denied. */
  readonly reach?: ReachSettings
  /** Reached over TCP: while none of a family can be, the prober abstains for that family. */
  readonly canaries?: readonly Endpoint[]
  /** A thread died or fell silent and is being replaced, or there is other trouble that an operator should read. */
  readonly onTrouble?: (trouble: string) => void
  /** The threads' program; worker.ts unless a test says otherwise. */
  readonly entry?: URL
}

/** What one target's checks did last. */
export interface TargetReport {
  readonly target: Target
  /** Since its last check ended; undefined = none yet. */
  readonly lastRunMs: number | undefined
  /** Its vote now; undefined = none yet. */
  readonly vote: Vote | undefined
  /** How long its UP is held down for having flapped; 0 = not. */
  readonly heldDownMs: number
}

export interface ProberReport {
  readonly name: string
  readonly region: string
  /** Targets of the plan, those that are this prober's, and of these, those given up once a successor has voted. */
  readonly planned: number
  readonly assigned: number
  readonly leaving: number
  /** Checks that began in the last whole second, and what its targets ask for. */
  readonly checksPerSecond: number
  readonly wantedPerSecond: number
  /** In the order of their ids. */
  readonly targets: readonly TargetReport[]
}

export interface ProberThread {
  /** Replaces what is probed; targets that stay keep their state. */
  setTargets(targets: readonly Target[]): void
  /** As it is now; resolves within a second, with what is known, also when a thread is stuck. */
  report(): Promise<ProberReport>
  /** The prober's last sign of life, of all its threads; undefined before the first. */
  readonly lastHeartbeat: Heartbeat | undefined
  /** How often a thread was replaced. */
  readonly restarts: number
  stop(): Promise<void>
}

export const startProber = (settings: ProberThreadSettings): ProberThread => new ProberProcess(settings)

class ProberProcess implements ProberThread {
  lastHeartbeat: Heartbeat | undefined
  readonly #settings: ProberThreadSettings
  readonly #merged: MergedWriter
  readonly #threads: readonly SupervisedThread[]
  readonly #ownTargets: OwnTargets
  /** By target. */
  readonly #threadOf = new Map<string, number>()

  constructor(settings: ProberThreadSettings) {
    this.#settings = settings
    const { name, region, store, threads = 1, rate = 5000, commands = {}, canaries = [], entry = WORKER } = settings
    const { reach = { allow: [], deny: [], own: [] } } = settings
    const onTrouble = (trouble: string) => settings.onTrouble?.(trouble)
    const identity = { name, region, bootId: randomUUID() }
    const writer = store.proberWriter(identity)
    const reportRefusal = (written: Promise<void>) =>
      void written.catch((error: unknown) => onTrouble(`the store refuses votes: ${String(error)}`))
    reportRefusal(writer.replace([]))
    this.#merged = new MergedWriter({ identity, writer, threads, onBeat: (beat) => (this.lastHeartbeat = beat) })
    this.#threads = Array.from(
      { length: threads },
      (_, index) =>
        new SupervisedThread({
          identity,
          writer: this.#merged.of(index),
          canaries,
          rate: rate / threads,
          commands,
          reach,
          entry,
          onTrouble,
          onGone: () => reportRefusal(this.#merged.withdraw(index)),
        }),
    )
    this.#ownTargets = new OwnTargets({
      identity,
      store,
      capacity: { threads, rate },
      onTargets: (targets) => this.#divide(targets),
      onTrouble,
    })
    this.#ownTargets.start()
  }

  get restarts(): number {
    return this.#threads.reduce((sum, thread) => sum + thread.restarts, 0)
  }

  setTargets(targets: readonly Target[]): void {
    this.#ownTargets.setTargets(targets)
  }

  async report(): Promise<ProberReport> {
    const { name, region } = this.#settings
    const activities = await Promise.all(this.#threads.map((thread) => thread.activity(REPORT_MS)))
    const { planned, assigned, leaving, targets } = this.#ownTargets // after the wait: a reload may have come in it
    const activityOf = new Map(activities.flatMap((activity) => activity?.targets ?? []).map((one) => [one.id, one]))
    return {
      name,
      region,
      planned,
      assigned,
      leaving,
      checksPerSecond: activities.reduce((sum, activity) => sum + (activity?.checksPerSecond ?? 0), 0),
      wantedPerSecond: costOf(targets).checksPerSecond,
      targets: targets
        .toSorted((a, b) => (a.id < b.id ? -1 : 1))
        .map((target) => ({
          target,
          lastRunMs: activityOf.get(target.id)?.lastRunMs,
          vote: this.#merged.vote(this.#threadOf.get(target.id)!, target.id),
          heldDownMs: activityOf.get(target.id)?.heldDownMs ?? 0,
        })),
    }
  }

  /** Nothing is retired: a restart must not look like a withdrawal. */
  async stop(): Promise<void> {
    this.#ownTargets.stop()
    await Promise.all(this.#threads.map((thread) => thread.stop()))
  }

  #divide(targets: readonly Target[]): void {
    const parts = divide(targets, this.#threads.length)
    this.#threadOf.clear()
    for (const [index, part] of parts.entries()) {
      for (const { id } of part) this.#threadOf.set(id, index)
      this.#threads[index]!.setTargets(part)
    }
  }
}
