/**
 * A node's view of health: hears the Store, keeps the roster, turns votes into verdicts (quorum.ts, member.ts), and writes
 * each member's word of the HealthTable. Lives in the main thread, one a process.
 *
 *   Store ─▶ votes by prober and target ─▶ judge(member) ─▶ word ─▶ HealthTable
 *                   plan, memory (saved.ts), settle timer ──┘
 *
 * Missing data never changes a verdict. All times inside are this process's monotonic clock.
 */
import {
  type Heard,
  judge,
  type Judgement,
  type MemberState,
  NOTHING_REMEMBERED,
  type Remembered,
  STATE_BITS,
} from './member.ts'
import type { Verdict } from './quorum.ts'
import { MEMORY_MS, readSaved, type SavedHealth, type SavedMember, Saver } from './saved.ts'
import type { Override, OverrideRequest } from './override.ts'
import type { Audience, Heartbeat, NodeBeat, ProberIdentity, Store, Vote, VoteValue } from './store.ts'
import { type HealthTable, healthWord } from './table.ts'
import type { HealthPlan, MemberPlan, Target } from './target.ts'

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
  /** What its agent asks for, 0–1000. */
  readonly share: number
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
  /** How much of what falls to it this member takes now, 0–1000; and why less than all, in words. */
  readonly share: number
  readonly shareWhy: string
  /** Its DOWN waits: with it, less than `keep` of the service would be left. */
  readonly braked: boolean
  /** The override that decides its state now. */
  readonly override: Override | undefined
  /** Of the state. */
  readonly ageMs: number
  readonly targets: readonly { readonly target: Target; readonly votes: readonly VoteStatus[] }[]
}

export interface ProberStatus {
  readonly prober: string
  readonly region: string
  /** Heard within its lease. */
  readonly live: boolean
  /** Of its last heartbeat; undefined before the first since this node started. */
  readonly beat: Heartbeat | undefined
  /** Since it was last heard. */
  readonly ageMs: number
}

/** Another node, or this one, as it says of itself. */
export interface NodeStatus {
  readonly beat: NodeBeat
  readonly live: boolean
  readonly self: boolean
  /** Since it was last heard. */
  readonly ageMs: number
  /** How long its view, or its verdicts, have been other than this node's; 0 = they agree. */
  readonly viewDiffersMs: number
  readonly verdictsDifferMs: number
}

export interface OverrideStatus {
  readonly override: Override
  /** How many members it matches now; none: it is orphaned by a change of the zones. */
  readonly members: number
  readonly orphaned: boolean
}

export interface ServiceHealth {
  readonly service: string
  /** Percent of the service's capacity that is up and takes clients. */
  readonly leftPercent: number
  readonly keepPercent: number
  /** Members whose DOWN waits. */
  readonly braked: readonly string[]
  /** Nobody is usable: answers are what its `lastResort` says. */
  readonly lastResort: boolean
}

/** What taking members out would do: the answer to "is it safe to drain X?". */
export interface Outlook {
  readonly pattern: string
  readonly members: readonly string[]
  readonly services: readonly {
    readonly service: string
    /** Of its capacity, up and taking clients, now and then. */
    readonly leftNowPercent: number
    readonly leftThenPercent: number
    readonly keepPercent: number
    readonly safe: boolean
  }[]
  readonly safe: boolean
  /** In words; what speaks against it first. */
  readonly why: string
}

export type Overridden =
  | { readonly done: Override; readonly members: readonly string[] }
  /** Why not, and what to do instead. */
  | { readonly refused: string; readonly hint?: string }

export interface HealthSnapshot {
  readonly members: readonly MemberStatus[]
  readonly services: readonly ServiceHealth[]
  readonly probers: readonly ProberStatus[]
  readonly nodes: readonly NodeStatus[]
  /** Those in force, tombstones and expired ones left out. */
  readonly overrides: readonly OverrideStatus[]
  /** Of this node's view: `trouble` in words while what it hears may be old. */
  readonly store: { readonly shared: boolean; readonly trouble: string | undefined }
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

interface Member {
  readonly plan: MemberPlan
  readonly slot: number
  readonly judgement: Judgement
  /** Of the judgement's state. */
  readonly sinceMs: number
  readonly calm: boolean
}

interface Prober {
  readonly identity: ProberIdentity
  live: boolean
  heardMs: number
  beat: Heartbeat | undefined
  readonly votes: Map<string, { readonly vote: Vote; readonly sinceMs: number }>
}

/** Memory of a member that is not in the plan: of the saved file, or of an earlier plan. */
interface Absent extends Remembered {
  readonly sinceMs: number
  readonly leftMs: number
}

/** Members whose settle time ends within this are turned calm together. */
const CALM_STEP_MS = 250

const LONGEST_TIMER_MS = 2 ** 31 - 1

export class NodeHealth {
  readonly #settings: NodeHealthSettings
  readonly #members = new Map<string, Member>()
  readonly #absent = new Map<string, Absent>()
  readonly #probers = new Map<string, Prober>()
  readonly #dependents = new Map<string, string[]>()
  readonly #targets = new Map<string, Target>()
  readonly #troubles = new Map<'read' | 'save', string>()
  readonly #listening = new AbortController()
  #saver: Saver | undefined
  #forgetTimer: NodeJS.Timeout | undefined
  #restored = false
  #calmTimer: NodeJS.Timeout | undefined
  #calmAtMs = Infinity

  constructor(settings: NodeHealthSettings) {
    this.#settings = settings
  }

  /** Reads the saved state and begins to listen. Call adopt() after it: then a restart's first World has its verdicts. */
  async start(): Promise<void> {
    const { file, store } = this.#settings
    if (file !== undefined) {
      this.#restore(file)
      this.#saver = new Saver({
        file,
        collect: () => this.#collect(),
        onTrouble: (trouble) => this.#trouble('save', trouble),
      })
      this.#saver.start()
    }
    this.#forgetTimer = setInterval(() => this.#forget(), 60_000).unref()
    await store.listen(this.#audience, this.#listening.signal)
  }

  /**
   * The plan of the World that is about to be published; slots[i] is the word of plan.members[i] (SlotRegistry.assign).
   * All words are written when it returns.
   */
  adopt(plan: HealthPlan, slots: Int32Array): void {
    this.#targets.clear()
    for (const target of plan.targets) this.#targets.set(target.id, target)
    this.#dependents.clear()
    const names = new Set(plan.members.map((member) => member.name))
    const nowMs = performance.now()
    for (const [name, { judgement, sinceMs }] of this.#members) {
      if (names.has(name)) continue
      this.#members.delete(name)
      if (judgement.verdict !== undefined) this.#absent.set(name, { ...judgement, sinceMs, leftMs: nowMs })
    }
    for (const [index, member] of plan.members.entries()) {
      for (const target of member.targets) {
        const dependents = this.#dependents.get(target)
        if (dependents === undefined) this.#dependents.set(target, [member.name])
        else dependents.push(member.name)
      }
      this.#judge(member, slots[index]!)
    }
    this.#saver?.touch()
  }

  /** Saved state was read, or every member has a verdict: half of `ready` (DESIGN §6); the other half is time. */
  get decided(): boolean {
    if (this.#restored) return true
    for (const { plan, judgement } of this.#members.values())
      if (judgement.decided.size < plan.targets.length) return false
    return true
  }

  /** Everything as it is now, for status, metrics and API. */
  snapshot(): HealthSnapshot {
    const nowMs = performance.now()
    return {
      members: [...this.#members.values()].map((member) => this.#memberStatus(member, nowMs)),
      probers: [...this.#probers.values()].map(({ identity, live, beat, heardMs }) => ({
        prober: identity.name,
        region: identity.region,
        live,
        beat,
        ageMs: nowMs - heardMs,
      })),
      services: [],
      nodes: [],
      overrides: [],
      store: { shared: this.#settings.store.shared, trouble: this.#settings.store.trouble },
      troubles: [...this.#troubles.values()],
    }
  }

  /** Sets or undoes an override here, on all nodes through the Store, and in the local file. */
  override(request: OverrideRequest): Overridden {
    return { refused: `${request.action} is not there yet` }
  }

  /** What draining the members of a pattern would leave; a string says what is wrong with the pattern. */
  outlook(pattern: string): Outlook | string {
    return `nothing is named ${pattern}`
  }

  /** Takes a prober that is gone for good from the roster, here and on all nodes; a string says why not. */
  forget(prober: string): string | undefined {
    return `${prober} is not there`
  }

  /** Stops listening and saves what is known. */
  async stop(): Promise<void> {
    this.#listening.abort()
    clearTimeout(this.#calmTimer)
    clearInterval(this.#forgetTimer)
    await this.#saver?.stop()
  }

  readonly #audience: Audience = {
    votes: (identity, votes, whole) => {
      const { prober, anew } = this.#hear(identity)
      const touched = new Set(votes.map((vote) => vote.target))
      if (whole) {
        for (const target of prober.votes.keys()) {
          if (!touched.has(target)) prober.votes.delete(target)
          touched.add(target)
        }
      }
      for (const vote of votes) {
        const known = prober.votes.get(vote.target)
        const sinceMs = known?.vote.value === vote.value ? known.sinceMs : prober.heardMs
        prober.votes.set(vote.target, { vote, sinceMs })
      }
      this.#judgeTargets(anew ? undefined : touched)
    },
    retired: (identity, targets) => {
      const { prober, anew } = this.#hear(identity)
      for (const target of targets) prober.votes.delete(target)
      this.#judgeTargets(anew ? undefined : targets)
    },
    heartbeat: (beat) => {
      const { prober, anew } = this.#hear(beat.prober)
      prober.beat = beat
      if (anew) this.#judgeTargets(undefined)
    },
    gone: (identity) => {
      const prober = this.#probers.get(identity.name)
      if (prober === undefined || prober.identity.bootId !== identity.bootId) return
      prober.live = false
      this.#judgeTargets(prober.votes.keys())
    },
  }

  /** The prober's entry, now heard; `anew`: the roster has changed with it, which may change every quorum. */
  #hear(identity: ProberIdentity): { readonly prober: Prober; readonly anew: boolean } {
    const heardMs = performance.now()
    const known = this.#probers.get(identity.name)
    if (known?.identity.bootId === identity.bootId) {
      const anew = !known.live
      known.live = true
      known.heardMs = heardMs
      return { prober: known, anew }
    }
    const prober: Prober = { identity, live: true, heardMs, beat: undefined, votes: new Map() }
    this.#probers.set(identity.name, prober)
    this.#saver?.touch()
    return { prober, anew: true }
  }

  /** Judges the members that depend on the targets; undefined = all members. */
  #judgeTargets(targets: Iterable<string> | undefined): void {
    const names = new Set<string>()
    if (targets === undefined) for (const name of this.#members.keys()) names.add(name)
    else for (const target of targets) for (const name of this.#dependents.get(target) ?? []) names.add(name)
    for (const name of names) {
      const { plan, slot } = this.#members.get(name)!
      this.#judge(plan, slot)
    }
  }

  /** The one place that decides a member's word, writes it, and tells of its change. */
  #judge(plan: MemberPlan, slot: number): void {
    const nowMs = performance.now()
    const before = this.#members.get(plan.name)
    const absent = this.#absent.get(plan.name)
    const remembered: Remembered = before?.judgement ?? absent ?? NOTHING_REMEMBERED
    const judgement = judge(plan, remembered, this.#heardOf, this.#roster())
    const same = before?.judgement.state === judgement.state
    const kept = before === undefined ? absent?.verdict === judgement.verdict && absent : same && before
    const sinceMs = kept ? kept.sinceMs : nowMs
    const still = !judgement.moving && !judgement.held && (judgement.state === 'up' || judgement.state === 'down')
    const calmAtMs = plan.targets.length === 0 ? nowMs : sinceMs + plan.settleMs
    const calm = still && calmAtMs <= nowMs
    if (still && !calm) this.#calmBy(calmAtMs, nowMs)
    Atomics.store(this.#settings.table, slot, healthWord(STATE_BITS[judgement.state], 1000, calm))
    this.#members.set(plan.name, { plan, slot, judgement, sinceMs, calm })
    this.#absent.delete(plan.name)
    if (before === undefined) return
    if (before.judgement.verdict !== judgement.verdict) this.#saver?.touch()
    if (same) return
    const { name: member, site, service } = plan
    const { state: after, why } = judgement
    this.#settings.onChange?.({ member, site, service, before: before.judgement.state, after, why })
  }

  readonly #heardOf = (target: string): readonly Heard[] => {
    const heard: Heard[] = []
    for (const { identity, live, votes } of this.#probers.values()) {
      const vote = live ? votes.get(target)?.vote : undefined
      if (vote !== undefined) heard.push({ region: identity.region, vote })
    }
    return heard
  }

  #roster(): readonly ProberIdentity[] {
    return Array.from(this.#probers.values(), (prober) => prober.identity)
  }

  #calmBy(atMs: number, nowMs: number): void {
    const stepMs = Math.ceil(atMs / CALM_STEP_MS) * CALM_STEP_MS
    if (stepMs >= this.#calmAtMs) return
    clearTimeout(this.#calmTimer)
    this.#calmAtMs = stepMs
    this.#calmTimer = setTimeout(
      () => {
        this.#calmAtMs = Infinity
        for (const { plan, slot, calm } of this.#members.values()) if (!calm) this.#judge(plan, slot)
      },
      Math.min(stepMs - nowMs, LONGEST_TIMER_MS),
    ).unref()
  }

  #memberStatus({ plan, judgement, sinceMs, calm }: Member, nowMs: number): MemberStatus {
    const { name: member, site, service, address } = plan
    const { state, verdict, held, why } = judgement
    const targets = plan.targets.flatMap((id) => {
      const target = this.#targets.get(id)
      return target === undefined ? [] : [{ target, votes: this.#voteStatus(id, nowMs) }]
    })
    const more = { share: 1000, shareWhy: '', braked: false, override: undefined }
    return { member, site, service, address, state, verdict, held, calm, why, ...more, ageMs: nowMs - sinceMs, targets }
  }

  #voteStatus(target: string, nowMs: number): VoteStatus[] {
    const status: VoteStatus[] = []
    for (const { identity, live, votes } of this.#probers.values()) {
      const known = live ? votes.get(target) : undefined
      if (known === undefined) continue
      const { value, moving, reason, rttMs, share } = known.vote
      const { name: prober, region } = identity
      status.push({ prober, region, value, moving, reason, rttMs, share, ageMs: nowMs - known.sinceMs })
    }
    return status
  }

  #restore(file: string): void {
    const wallMs = Date.now()
    const nowMs = performance.now()
    const { saved, trouble } = readSaved(file, wallMs)
    this.#trouble('read', trouble)
    if (saved === undefined) return
    this.#restored = true
    const here = (thenMs: number) => nowMs - Math.max(0, wallMs - thenMs)
    for (const [name, { verdict, proven, sinceMs, plannedMs }] of Object.entries(saved.members)) {
      const remembered = { verdict, proven: new Set(proven), decided: new Map() }
      this.#absent.set(name, { ...remembered, sinceMs: here(sinceMs), leftMs: here(plannedMs) })
    }
    if (!this.#settings.store.shared) return
    for (const [name, { region, heardMs }] of Object.entries(saved.roster)) {
      const identity = { name, region, bootId: '' }
      this.#probers.set(name, { identity, live: false, heardMs: here(heardMs), beat: undefined, votes: new Map() })
    }
  }

  #collect(): SavedHealth {
    const savedMs = Date.now()
    const nowMs = performance.now()
    const wall = (thenMs: number) => savedMs - (nowMs - thenMs)
    const members: Record<string, SavedMember> = {}
    const keep = (name: string, { verdict, proven }: Remembered, sinceMs: number, leftMs: number) => {
      if (verdict === undefined) return
      members[name] = { verdict, sinceMs: wall(sinceMs), plannedMs: wall(leftMs), proven: [...proven] }
    }
    for (const [name, absent] of this.#absent) keep(name, absent, absent.sinceMs, absent.leftMs)
    for (const [name, { judgement, sinceMs }] of this.#members) keep(name, judgement, sinceMs, nowMs)
    const roster = [...this.#probers.values()].map(
      ({ identity, heardMs }) => [identity.name, { region: identity.region, heardMs: wall(heardMs) }] as const,
    )
    return { savedMs, roster: Object.fromEntries(roster), members }
  }

  /** What has been silent or gone for too long leaves the roster and the memory. */
  #forget(): void {
    const oldestMs = performance.now() - MEMORY_MS
    for (const [name, { leftMs }] of this.#absent) if (leftMs < oldestMs) this.#absent.delete(name)
    let anew = false
    for (const [name, { live, heardMs }] of this.#probers)
      if (!live && heardMs < oldestMs) anew = this.#probers.delete(name)
    if (anew) this.#judgeTargets(undefined)
  }

  #trouble(kind: 'read' | 'save', trouble: string | undefined): void {
    if (trouble === undefined) this.#troubles.delete(kind)
    else {
      this.#troubles.set(kind, trouble)
      this.#settings.onTrouble?.(trouble)
    }
  }
}
