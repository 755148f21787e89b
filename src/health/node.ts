/**
 * A node's view of health: hears the Store, keeps the roster, turns votes into verdicts, and writes each member's word of
 * the HealthTable. Lives in the main thread; everything it decides is decided by quorum.ts.
 *
 *   Store ─▶ votes by target and prober ─▶ verdict(target) ─▶ verdict(member) ─▶ word ─▶ HealthTable
 *                                 plan (drained), saved state, settle timer ──┘
 *
 * Missing data never changes a verdict. A verdict belongs to the member and outlives its checks, its votes and the process.
 */
import type { HealthTable } from './table.ts'
import type { Store, VoteValue } from './store.ts'
import type { Verdict } from './quorum.ts'
import type { HealthPlan, Target } from './target.ts'

export type MemberState = 'unproven' | 'up' | 'down' | 'drained'

/** One line of log, one step of a metric. */
export interface Change {
  readonly member: string
  readonly site: string
  readonly service: string
  readonly before: MemberState
  readonly after: MemberState
  readonly why: string
}

export interface VoteStatus {
  readonly prober: string
  readonly region: string
  readonly value: VoteValue
  readonly moving: boolean
  readonly reason: string
  readonly rttMs: number
  /** Since this node first heard it. */
  readonly ageMs: number
}

export interface MemberStatus {
  readonly member: string
  readonly site: string
  readonly service: string
  readonly address: string
  readonly state: MemberState
  /** undefined: never seen up. */
  readonly verdict: Verdict | undefined
  /** The votes there are don't decide: the last known good stands. */
  readonly held: boolean
  /** Nothing has moved for the service's `settle`: its answers may take the long TTL. */
  readonly calm: boolean
  readonly why: string
  /** Of the state. */
  readonly ageMs: number
  readonly targets: readonly { readonly target: Target; readonly votes: readonly VoteStatus[] }[]
}

export interface ProberStatus {
  readonly prober: string
  readonly region: string
  /** Heard within its lease. */
  readonly live: boolean
  readonly sequence: number
  readonly configHash: string
  readonly overdue: number
  readonly overdueAgeMs: number
  /** Since it was last heard. */
  readonly ageMs: number
}

export interface HealthSnapshot {
  readonly members: readonly MemberStatus[]
  readonly probers: readonly ProberStatus[]
  /** Operational trouble as it is now: saved state unreadable or unwritable. Empty when all is well. */
  readonly troubles: readonly string[]
}

export interface NodeHealthSettings {
  readonly table: HealthTable
  readonly store: Store
  /** Where the last known good is kept over a restart, e.g. `state/health.json`; undefined = nowhere. */
  readonly file?: string
  /** Called for every change of a member's state, after its word was written. */
  readonly onChange?: (change: Change) => void
  /** Called when trouble begins (once each time). */
  readonly onTrouble?: (trouble: string) => void
}

export class NodeHealth {
  constructor(_settings: NodeHealthSettings) {}

  /** Reads the saved state and begins to listen. Call adopt() after it: then a restart's first World has its verdicts. */
  async start(): Promise<void> {
    throw new Error('being written')
  }

  /**
   * The plan of the World that is about to be published; slots[i] is the word of plan.members[i] (SlotRegistry.assign).
   * All words are written when it returns.
   */
  adopt(_plan: HealthPlan, _slots: Int32Array): void {
    throw new Error('being written')
  }

  /** Saved state was read, or every service's members have a verdict: half of `ready` (DESIGN §6); the rest is time. */
  get decided(): boolean {
    throw new Error('being written')
  }

  /** Everything as it is now, for status, metrics and API. */
  snapshot(): HealthSnapshot {
    throw new Error('being written')
  }

  /** Stops listening and saves what is known. */
  async stop(): Promise<void> {
    throw new Error('being written')
  }
}
