/**
 * What probers say, as this node hears it: who they are (the roster: seen in the last 24 h, alive or not), and the votes of
 * each. A vote counts only while its prober lives by this node's clock: since (prober, boot id) was last heard less than a
 * lease ago, or the Store's gone() would have come. Used by node.ts alone, which judges what each call returns as touched.
 *
 * Half a million votes have to fit: one small object each, listed by target, their reasons shared.
 */
import type { Heard } from './member.ts'
import type { Heartbeat, ProberIdentity, Vote, VoteValue } from './store.ts'

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

interface Prober {
  readonly name: string
  readonly region: string
  readonly bootId: string
  live: boolean
  heardMs: number
  beat: Heartbeat | undefined
  readonly targets: Set<string>
}

interface Held extends Heard {
  readonly prober: Prober
  readonly rttMs: number
  /** Whole milliseconds: a small integer needs no object of its own. */
  readonly sinceMs: number
}

/** Reasons are few words from a small set; one that varies without end must not fill the memory. */
const MOST_REASONS = 10_000

const NO_VOTES: readonly Held[] = []

export class Roster {
  readonly #probers = new Map<string, Prober>()
  readonly #votes = new Map<string, Held[]>()
  readonly #reasons = new Map<string, string>()

  /** Probers seen in the last 24 h. */
  get entries(): readonly { readonly region: string }[] {
    return [...this.#probers.values()]
  }

  /** Says the quorums' share of the roster: equal texts, equal quorums. */
  shape(mostProbers: number, mostRegions: number): string {
    const regions = new Set(Array.from(this.#probers.values(), ({ region }) => region)).size
    return `${Math.min(mostProbers, this.#probers.size)} ${Math.min(mostRegions, regions)}`
  }

  /** Votes of live probers on a target. */
  heard(target: string): readonly Heard[] {
    const votes = this.#votes.get(target) ?? NO_VOTES
    return votes.every(({ prober }) => prober.live) ? votes : votes.filter(({ prober }) => prober.live)
  }

  /** Takes votes in; the targets whose votes have changed. */
  take(identity: ProberIdentity, votes: readonly Vote[], whole: boolean, nowMs: number): Set<string> {
    const touched = this.hear(identity, nowMs)
    const prober = this.#probers.get(identity.name)!
    const said = new Set<string>()
    for (const vote of votes) {
      said.add(vote.target)
      if (this.#put(prober, vote)) touched.add(vote.target)
    }
    if (!whole) return touched
    for (const target of prober.targets) {
      if (said.has(target)) continue
      this.#drop(prober, target)
      touched.add(target)
    }
    return touched
  }

  retire(identity: ProberIdentity, targets: readonly string[], nowMs: number): Set<string> {
    const touched = this.hear(identity, nowMs)
    for (const target of targets) {
      this.#drop(this.#probers.get(identity.name)!, target)
      touched.add(target)
    }
    return touched
  }

  beat(beat: Heartbeat, nowMs: number): Set<string> {
    const touched = this.hear(beat.prober, nowMs)
    this.#probers.get(beat.prober.name)!.beat = beat
    return touched
  }

  /** The prober is alive: the targets whose votes begin to count with that, or end with its earlier boot. */
  hear({ name, region, bootId }: ProberIdentity, nowMs: number): Set<string> {
    const known = this.#probers.get(name)
    if (known?.bootId === bootId) {
      const touched = new Set(known.live ? [] : known.targets)
      known.live = true
      known.heardMs = nowMs
      return touched
    }
    const ended = new Set(known?.targets)
    if (known !== undefined) this.#remove(known)
    this.#probers.set(name, { name, region, bootId, live: true, heardMs: nowMs, beat: undefined, targets: new Set() })
    return ended
  }

  /** Silence: its votes stay, and count no more. */
  gone({ name, bootId }: ProberIdentity): Iterable<string> {
    const prober = this.#probers.get(name)
    if (prober === undefined || prober.bootId !== bootId) return []
    prober.live = false
    return prober.targets
  }

  /** Of a saved roster, or of the Store's memory: known, and not heard since. */
  restore(name: string, region: string, heardMs: number): void {
    if (!this.#probers.has(name))
      this.#probers.set(name, { name, region, bootId: '', live: false, heardMs, beat: undefined, targets: new Set() })
  }

  /** undefined: not in the roster. */
  isLive(name: string): boolean | undefined {
    return this.#probers.get(name)?.live
  }

  /** Takes a prober out that isn't heard; false: there is none. */
  forget(name: string): boolean {
    const prober = this.#probers.get(name)
    if (prober === undefined || prober.live) return false
    this.#remove(prober)
    return true
  }

  /** Probers that are silent since before. */
  silentSince(oldestMs: number): string[] {
    return [...this.#probers.values()]
      .filter(({ live, heardMs }) => !live && heardMs < oldestMs)
      .map(({ name }) => name)
  }

  status(nowMs: number): ProberStatus[] {
    return Array.from(this.#probers.values(), ({ name, region, live, beat, heardMs }) => ({
      prober: name,
      region,
      live,
      beat,
      ageMs: nowMs - heardMs,
    }))
  }

  votesOn(target: string, nowMs: number): VoteStatus[] {
    const live = (this.#votes.get(target) ?? NO_VOTES).filter(({ prober }) => prober.live)
    return live.map(({ prober, region, value, moving, reason, rttMs, share, sinceMs }) => {
      return { prober: prober.name, region, value, moving, reason, rttMs, share, ageMs: Math.max(0, nowMs - sinceMs) }
    })
  }

  /** False: it says what it said before. */
  #put(prober: Prober, { target, value, moving, reason, rttMs, share }: Vote): boolean {
    let votes = this.#votes.get(target)
    if (votes === undefined) this.#votes.set(target, (votes = []))
    const index = votes.findIndex((held) => held.prober === prober)
    const before = votes[index]
    const sinceMs = before?.value === value ? before.sinceMs : Math.floor(prober.heardMs)
    const { region } = prober
    const held = { prober, region, value, moving, reason: this.#shared(reason), rttMs, share, sinceMs }
    if (index < 0) votes.push(held)
    else votes[index] = held
    prober.targets.add(target)
    return (
      before?.value !== value || before.moving !== moving || before.share !== share || before.reason !== held.reason
    )
  }

  #drop(prober: Prober, target: string): void {
    if (!prober.targets.delete(target)) return
    const votes = this.#votes.get(target)!.filter((held) => held.prober !== prober)
    if (votes.length === 0) this.#votes.delete(target)
    else this.#votes.set(target, votes)
  }

  #remove(prober: Prober): void {
    for (const target of prober.targets) this.#drop(prober, target)
    this.#probers.delete(prober.name)
  }

  #shared(reason: string): string {
    const known = this.#reasons.get(reason)
    if (known !== undefined) return known
    if (this.#reasons.size >= MOST_REASONS) this.#reasons.clear()
    this.#reasons.set(reason, reason)
    return reason
  }
}
