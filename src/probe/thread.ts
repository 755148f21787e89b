/**
 * The prober of a process as the main thread sees it: one identity, one writer, `threads` threads that divide its
 * targets by hash, and OwnTargets, which decides which targets are its own.
 *
 *   zones ─ setTargets ─▶ OwnTargets ─ own targets ─▶ thread, thread … ─ votes, heartbeats ─▶ MergedWriter ─▶ Store
 *                             ▲─────────────── heartbeats and votes of other probers and nodes ────────────────┘
 */
import { randomUUID } from 'node:crypto'
import type { ReachSettings } from '../health/reach.ts'
import type { Heartbeat, Store } from '../health/store.ts'
import type { Target } from '../health/target.ts'
import type { Vote } from '../health/vote.ts'
import type { Endpoint } from '../units.ts'
import type { CheckSettings } from './checks/check.ts'
import type { Certificate } from './checks/observation.ts'
import { costOf } from './cost.ts'
import { divide } from './divide.ts'
import { MergedWriter } from './merge.ts'
import { OwnTargets } from './own-targets.ts'
import { SupervisedThread, WORKER } from './supervise.ts'

const REPORT_MS = 800

/** Settings of a prober. */
export interface ProberThreadSettings {
  readonly name: string
  readonly region: string
  readonly store: Store
  /** Default 1. */
  readonly threads?: number
  /** Most checks that begin per second, all threads together; default 5000. */
  readonly rate?: number
  /** What checks may run, send and trust. */
  readonly checks?: Omit<CheckSettings, 'reach'>
  /** PEM files of authorities that checks trust beside the machine's. */
  readonly trusted?: readonly string[]
  /** What checks may reach; by default the built-in list is denied. */
  readonly reach?: ReachSettings
  /** Dialled over TCP: while none of a family answers, the prober abstains for that family. */
  readonly canaries?: readonly Endpoint[]
  /** A thread is being replaced, or other trouble for the operator. */
  readonly onTrouble?: (trouble: string) => void
  /** A vote is written that differs from the one before; undefined: there was none. */
  readonly onVote?: (target: Target, vote: Vote, before: Vote | undefined) => void
  /** The threads' program; worker.ts except in tests. */
  readonly entry?: URL
}

/** A target as status shows it. */
export interface TargetReport {
  readonly target: Target
  /** Time since its last check ended; undefined: none yet. */
  readonly lastRunMs: number | undefined
  /** Its current vote; undefined: none yet. */
  readonly vote: Vote | undefined
  /** How long its UP is still held down after flapping, in ms; 0: it is not. */
  readonly heldDownMs: number
  /** The certificate that its checks saw last; absent: none. */
  readonly certificate?: Certificate
}

/** A target whose site has shown a certificate. */
export type CertifiedTarget = Required<Pick<TargetReport, 'target' | 'certificate'>>

/** What is known of a prober without asking its threads. */
export interface ProberCounts {
  readonly name: string
  readonly region: string
  /**
   * Targets of the zones, (assigned) those assigned to this prober, and (leaving) those kept until a successor has
   * voted.
   */
  readonly planned: number
  readonly assigned: number
  readonly leaving: number
}

/** A prober as status shows it. */
export interface ProberReport extends ProberCounts {
  /** Checks that began in the last second, and (wantedPerSecond) what the targets ask for. */
  readonly checksPerSecond: number
  readonly wantedPerSecond: number
  /** Sorted by id. */
  readonly targets: readonly TargetReport[]
}

/** Handle of a running prober. */
export interface ProberThread {
  /** Replaces the targets of the zones; known ones keep their state. */
  setTargets(targets: readonly Target[]): void
  readonly counts: ProberCounts
  /** What sites have shown, of the targets that are its own. */
  readonly certificates: readonly CertifiedTarget[]
  /** The current state; resolves within a second with what is known, also when a thread hangs. */
  report(): Promise<ProberReport>
  /** The prober's last heartbeat, of all threads; undefined before the first. */
  readonly lastHeartbeat: Heartbeat | undefined
  /** How often a thread was replaced. */
  readonly restarts: number
  stop(): Promise<void>
}

/** Starts a prober. */
export const startProber = (settings: ProberThreadSettings): ProberThread => new ProberProcess(settings)

class ProberProcess implements ProberThread {
  lastHeartbeat: Heartbeat | undefined
  readonly #settings: ProberThreadSettings
  readonly #merged: MergedWriter
  readonly #threads: readonly SupervisedThread[]
  readonly #ownTargets: OwnTargets
  /** By the id of a target: the target, and the number of its thread. */
  readonly #places = new Map<string, { readonly target: Target; readonly thread: number }>()

  /** By target. */
  readonly #certificates = new Map<string, Certificate>()

  constructor(settings: ProberThreadSettings) {
    this.#settings = settings
    const {
      name,
      region,
      store,
      threads = 1,
      rate = 5000,
      checks = {},
      trusted = [],
      canaries = [],
      entry = WORKER,
    } = settings
    const { reach = { allow: [], deny: [], own: [] } } = settings
    const onTrouble = (trouble: string) => settings.onTrouble?.(trouble)
    const identity = { name, region, bootId: randomUUID() }
    const writer = store.proberWriter(identity)
    const reportRefusal = (written: Promise<void>) =>
      void written.catch((error: unknown) => onTrouble(`the store refuses votes: ${String(error)}`))
    reportRefusal(writer.replace([]))
    this.#merged = new MergedWriter({
      identity,
      writer,
      threads,
      onBeat: (beat) => (this.lastHeartbeat = beat),
      onVote: (vote, before) => {
        const target = this.#places.get(vote.target)?.target
        if (target !== undefined) settings.onVote?.(target, vote, before)
      },
    })
    this.#threads = Array.from(
      { length: threads },
      (_, index) =>
        new SupervisedThread({
          identity,
          writer: this.#merged.of(index),
          canaries,
          rate: rate / threads,
          checks,
          reach,
          trusted,
          entry,
          onTrouble,
          onCertificate: (target, certificate) => this.#certificates.set(target, certificate),
          onGone: () => {
            reportRefusal(this.#merged.withdraw(index))
            this.#ownTargets.lose((id) => this.#places.get(id)?.thread === index)
          },
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

  get counts(): ProberCounts {
    const { name, region } = this.#settings
    const { planned, assigned, leaving } = this.#ownTargets
    return { name, region, planned, assigned, leaving }
  }

  get certificates(): readonly CertifiedTarget[] {
    return [...this.#certificates].flatMap(([id, certificate]) => {
      const target = this.#places.get(id)?.target
      return target === undefined ? [] : [{ target, certificate }]
    })
  }

  async report(): Promise<ProberReport> {
    const activities = await Promise.all(this.#threads.map((thread) => thread.activity(REPORT_MS)))
    const { targets } = this.#ownTargets // after the wait, as the counts: a reload may have come in it
    const activityOf = new Map(activities.flatMap((activity) => activity?.targets ?? []).map((one) => [one.id, one]))
    return {
      ...this.counts,
      checksPerSecond: activities.reduce((sum, activity) => sum + (activity?.checksPerSecond ?? 0), 0),
      wantedPerSecond: costOf(targets).checksPerSecond,
      targets: targets
        .toSorted((a, b) => (a.id < b.id ? -1 : 1))
        .map((target) => {
          const { lastRunMs, heldDownMs = 0 } = activityOf.get(target.id) ?? {}
          const certificate = this.#certificates.get(target.id)
          const vote = this.#merged.vote(this.#places.get(target.id)!.thread, target.id)
          return { target, lastRunMs, vote, heldDownMs, ...(certificate !== undefined && { certificate }) }
        }),
    }
  }

  /** Stops the threads. Retires no votes: a restart must not look like a withdrawal. */
  async stop(): Promise<void> {
    this.#ownTargets.stop()
    await Promise.all(this.#threads.map((thread) => thread.stop()))
  }

  #divide(targets: readonly Target[]): void {
    const parts = divide(targets, this.#threads.length)
    this.#places.clear()
    for (const [index, part] of parts.entries()) {
      for (const target of part) this.#places.set(target.id, { target, thread: index })
      this.#threads[index]!.setTargets(part)
    }
    for (const id of this.#certificates.keys()) if (!this.#places.has(id)) this.#certificates.delete(id)
  }
}
