/**
 * What probers say, as this node hears it: who they are (the roster: seen in the last 24 h, alive or not), and the votes of
 * each. A vote counts only while its prober lives by this node's clock: since (prober, boot id) was last heard less than a
 * lease ago, or the Store's gone() would have come. Used by node-health.ts alone, which judges what each call returns as touched.
 *
 * Half a million votes have to fit: one small object each, listed by target, their reasons shared.
 */
import type { LiveVote } from './judgement.ts'
import type { Refusals } from './refusals.ts'
import { type Heartbeat, MOST_PROBERS, type ProberIdentity } from './store.ts'
import type { Vote, VoteValue } from './vote.ts'

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
  /** By target. */
  readonly votes: Map<string, ProberVote>
  /** It said more than was kept: all of it is wanted again when there is another plan. */
  missed: boolean
}

/** Changed in place: a vote that moves costs no look through those of the other probers. */
interface ProberVote extends LiveVote {
  readonly prober: Prober
  value: VoteValue
  moving: boolean
  reason: string
  share: number
  rttMs: number
  /** Whole milliseconds: a small integer needs no object of its own. */
  sinceMs: number
}

/** Reasons are few words from a small set; one that varies without end must not fill the memory. */
const MOST_REASONS = 10_000

/**
 * Votes on targets that are not of the plan are those of the next one, where probers have it first, or of the last one.
 * Before the first plan that is all of them. What is beyond is heard again when there is another plan.
 */
const MOST_EARLY = 1_000_000
const MOST_UNLISTED = 100_000

const NO_VOTES: readonly ProberVote[] = []

export class Roster {
  readonly #refusals: Refusals
  readonly #probers = new Map<string, Prober>()
  readonly #votes = new Map<string, ProberVote[]>()
  readonly #reasons = new Map<string, string>()
  /** How many probers each region has. */
  readonly #regions = new Map<string, number>()
  #entries: readonly Prober[] | undefined
  #isListed: (target: string) => boolean = () => false
  /** Votes that are held on targets that are not planned. */
  #unlisted = 0
  #mostUnlisted = MOST_EARLY

  constructor(refusals: Refusals) {
    this.#refusals = refusals
  }

  /** Probers seen in the last 24 h. */
  get entries(): readonly { readonly region: string }[] {
    return (this.#entries ??= [...this.#probers.values()])
  }

  /** Says the quorums' share of the roster: equal texts, equal quorums. */
  shape(mostProbers: number, mostRegions: number): string {
    return `${Math.min(mostProbers, this.#probers.size)} ${Math.min(mostRegions, this.#regions.size)}`
  }

  /** Which targets decide something from now on; the probers that have said more than was kept. */
  setTargets(isListed: (target: string) => boolean): string[] {
    this.#isListed = isListed
    this.#mostUnlisted = MOST_UNLISTED
    this.#unlisted = 0
    for (const [target, votes] of this.#votes) {
      if (isListed(target)) continue
      if (this.#unlisted + votes.length <= MOST_UNLISTED) this.#unlisted += votes.length
      else {
        for (const { prober } of votes) {
          prober.votes.delete(target)
          prober.missed = true
        }
        this.#votes.delete(target)
      }
    }
    const missed = [...this.#probers.values()].filter((prober) => prober.missed)
    for (const prober of missed) prober.missed = false
    return missed.map(({ name }) => name)
  }

  /** Votes of live probers on a target. */
  liveVotes(target: string): readonly LiveVote[] {
    const votes = this.#votes.get(target) ?? NO_VOTES
    return votes.every(({ prober }) => prober.live) ? votes : votes.filter(({ prober }) => prober.live)
  }

  /** Takes votes in; the targets whose votes have changed. */
  applyVotes(identity: ProberIdentity, votes: readonly Vote[], whole: boolean, nowMs: number): Set<string> {
    const touched = this.markAlive(identity, nowMs)
    const prober = this.#probers.get(identity.name)
    if (prober === undefined) return touched
    const said = new Set<string>()
    let refused = 0
    if (whole) {
      for (const { target } of votes) said.add(target)
      for (const target of prober.votes.keys()) {
        if (said.has(target)) continue
        this.#drop(prober, target)
        touched.add(target)
      }
      prober.missed = false
    }
    for (const vote of votes) {
      const news = this.#put(prober, vote)
      if (news === undefined) refused++
      else if (news) touched.add(vote.target)
    }
    if (refused > 0) prober.missed = true
    this.#refusals.count('unplanned', `prober ${prober.name}`, '', refused)
    return touched
  }

  retire(identity: ProberIdentity, targets: readonly string[], nowMs: number): Set<string> {
    const touched = this.markAlive(identity, nowMs)
    const prober = this.#probers.get(identity.name)
    for (const target of targets) if (prober !== undefined && this.#drop(prober, target)) touched.add(target)
    return touched
  }

  beat(beat: Heartbeat, nowMs: number): Set<string> {
    const touched = this.markAlive(beat.prober, nowMs)
    const prober = this.#probers.get(beat.prober.name)
    if (prober !== undefined) prober.beat = beat
    return touched
  }

  /**
   * The prober is alive: the targets whose votes begin to count with that, or end with its earlier boot. A newcomer that there
   * is no room for is not in the roster then.
   */
  markAlive({ name, region, bootId }: ProberIdentity, nowMs: number): Set<string> {
    const known = this.#probers.get(name)
    if (known?.bootId === bootId) {
      const touched = new Set(known.live ? [] : known.votes.keys())
      known.live = true
      known.heardMs = nowMs
      return touched
    }
    const ended = new Set(known?.votes.keys())
    if (known !== undefined) this.#remove(known)
    else if (!this.#makeRoom()) {
      this.#refusals.count('prober', `prober ${name}`)
      return ended
    }
    this.#add({ name, region, bootId, live: true, heardMs: nowMs })
    return ended
  }

  /** Silence: its votes stay, and count no more. */
  gone({ name, bootId }: ProberIdentity): Iterable<string> {
    const prober = this.#probers.get(name)
    if (prober === undefined || prober.bootId !== bootId) return []
    prober.live = false
    return prober.votes.keys()
  }

  /** Of a saved roster, or of the Store's memory: known, and not heard since. */
  restore(name: string, region: string, heardMs: number): void {
    if (this.#probers.has(name) || this.#probers.size >= MOST_PROBERS) return
    this.#add({ name, region, bootId: '', live: false, heardMs })
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

  /** False: it says what it said before. undefined: there is no room for it. */
  #put(prober: Prober, { target, value, moving, reason, rttMs, share }: Vote): boolean | undefined {
    const previous = prober.votes.get(target)
    const shared = this.#shared(reason)
    if (previous === undefined) {
      if (!this.#isListed(target) && ++this.#unlisted > this.#mostUnlisted) {
        this.#unlisted--
        return undefined
      }
      const sinceMs = Math.floor(prober.heardMs)
      const fresh = { prober, region: prober.region, value, moving, reason: shared, rttMs, share, sinceMs }
      prober.votes.set(target, fresh)
      const votes = this.#votes.get(target)
      if (votes === undefined) this.#votes.set(target, [fresh])
      else votes.push(fresh)
      return true
    }
    const same =
      previous.value === value && previous.moving === moving && previous.share === share && previous.reason === shared
    if (previous.value !== value) previous.sinceMs = Math.floor(prober.heardMs)
    previous.value = value
    previous.moving = moving
    previous.reason = shared
    previous.rttMs = rttMs
    previous.share = share
    return !same
  }

  /** False: it has no vote there. */
  #drop(prober: Prober, target: string): boolean {
    if (!prober.votes.delete(target)) return false
    const votes = this.#votes.get(target)!.filter((previous) => previous.prober !== prober)
    if (votes.length === 0) this.#votes.delete(target)
    else this.#votes.set(target, votes)
    if (!this.#isListed(target)) this.#unlisted--
    return true
  }

  /** For a newcomer; false: everyone is heard. */
  #makeRoom(): boolean {
    if (this.#probers.size < MOST_PROBERS) return true
    let silent: Prober | undefined
    for (const prober of this.#probers.values())
      if (!prober.live && (silent === undefined || prober.heardMs < silent.heardMs)) silent = prober
    if (silent !== undefined) this.#remove(silent)
    return silent !== undefined
  }

  #add(prober: Omit<Prober, 'beat' | 'votes' | 'missed'>): void {
    this.#probers.set(prober.name, { ...prober, beat: undefined, votes: new Map(), missed: false })
    this.#regions.set(prober.region, (this.#regions.get(prober.region) ?? 0) + 1)
    this.#entries = undefined
  }

  #remove(prober: Prober): void {
    for (const target of prober.votes.keys()) this.#drop(prober, target)
    this.#probers.delete(prober.name)
    const left = this.#regions.get(prober.region)! - 1
    if (left === 0) this.#regions.delete(prober.region)
    else this.#regions.set(prober.region, left)
    this.#entries = undefined
  }

  #shared(reason: string): string {
    const known = this.#reasons.get(reason)
    if (known !== undefined) return known
    if (this.#reasons.size >= MOST_REASONS) this.#reasons.clear()
    this.#reasons.set(reason, reason)
    return reason
  }
}
