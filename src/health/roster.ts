/**
 * The probers that a node knows (seen in the last 24 h, live or not) and their votes. A vote counts only while its
 * prober is live by this node's clock. Used by node-health.ts, which judges the targets that each call returns.
 *
 * Half a million votes have to fit into memory: one small object each, listed by target, reasons shared.
 */
import type { LiveVote } from './judgement.ts'
import type { Refusals } from './refusals.ts'
import { type Heartbeat, MOST_PROBERS, type ProberIdentity } from './store.ts'
import type { Vote, VoteValue } from './vote.ts'

/** A vote as status shows it. */
export interface VoteStatus {
  readonly prober: string
  readonly region: string
  readonly value: VoteValue
  readonly moving: boolean
  readonly reason: string
  readonly rttMs: number
  /** Share that its agent asks for, in ‰ (0–1000). */
  readonly share: number
  /** Time since this node first received it. */
  readonly ageMs: number
}

/** How the probers vote on the targets of each site: every vote is counted, and no reasons are. */
export interface VoteTable {
  readonly probers: readonly Pick<ProberStatus, 'prober' | 'region' | 'live'>[]
  readonly sites: readonly {
    readonly site: string
    /** How many targets the site has. */
    readonly targets: number
    /** By prober, in the order above: its votes UP, DOWN and abstaining; of a silent one the last, which do not count. */
    readonly votes: readonly VoteCount[]
  }[]
}

/** Numbers of votes: UP, DOWN, abstaining. */
export type VoteCount = readonly [up: number, down: number, abstain: number]

/** A prober as status shows it. */
export interface ProberStatus {
  readonly prober: string
  readonly region: string
  /** Heard within its lease. */
  readonly live: boolean
  /** Its last heartbeat; undefined before the first since this node started. */
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
  /** When it was heard again after a silence; -Infinity: never. */
  returnedMs: number
  beat: Heartbeat | undefined
  /** By target. */
  readonly votes: Map<string, ProberVote>
  /** Some of its votes were dropped for lack of room; it has to repeat all when the targets change. */
  missed: boolean
}

/** One vote, changed in place: a change does not search the votes of other probers. */
interface ProberVote extends LiveVote {
  readonly prober: Prober
  value: VoteValue
  moving: boolean
  reason: string
  share: number
  rttMs: number
  /** Whole milliseconds: a small integer needs no object of its own. */
  sinceMs: number
  /** It abstains: see Roster.liveVotes(). */
  doubted: boolean
}

/** Reasons are few; one that varies without end must not fill memory. */
const MOST_REASONS = 10_000

/**
 * Most votes kept on targets that are not in the zones: before the first zones are known, and (MOST_UNLISTED)
 * afterwards, when probers may have newer or older zones. Votes beyond are repeated when the targets change.
 */
const MOST_EARLY = 1_000_000
const MOST_UNLISTED = 100_000

const NO_VOTES: readonly ProberVote[] = []
/** In the order of VoteCount. */
const VALUES: readonly VoteValue[] = ['up', 'down', 'abstain']

const order = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

/** Known probers and their votes. */
export class Roster {
  readonly #refusals: Refusals
  readonly #probers = new Map<string, Prober>()
  readonly #votes = new Map<string, ProberVote[]>()
  readonly #reasons = new Map<string, string>()
  /** How many probers each region has. */
  readonly #regions = new Map<string, number>()
  #entries: readonly Prober[] | undefined
  #isListed: (target: string) => boolean = () => false
  #recoveryMs: (target: string) => number = () => 0
  /** Votes that are doubted, and until when. */
  readonly #doubted = new Map<ProberVote, { readonly target: string; readonly untilMs: number }>()
  /** Number of votes kept on targets that are not in the zones. */
  #unlisted = 0
  #mostUnlisted = MOST_EARLY

  constructor(refusals: Refusals) {
    this.#refusals = refusals
  }

  /** Probers seen in the last 24 h. */
  get entries(): readonly { readonly region: string }[] {
    return (this.#entries ??= [...this.#probers.values()])
  }

  /** Whether any prober is live. */
  get hasLive(): boolean {
    for (const { live } of this.#probers.values()) if (live) return true
    return false
  }

  /** The roster as quorums see it: equal texts mean equal quorums. */
  shape(mostProbers: number, mostRegions: number): string {
    return `${Math.min(mostProbers, this.#probers.size)} ${Math.min(mostRegions, this.#regions.size)}`
  }

  /**
   * Sets which targets matter, and how long a prober takes to find one well again. Returns the probers that have to repeat
   * their votes.
   */
  setTargets(isListed: (target: string) => boolean, recoveryMs: (target: string) => number = () => 0): string[] {
    this.#isListed = isListed
    this.#recoveryMs = recoveryMs
    this.#mostUnlisted = MOST_UNLISTED
    this.#unlisted = 0
    for (const [target, votes] of this.#votes) {
      if (isListed(target)) continue
      if (this.#unlisted + votes.length <= MOST_UNLISTED) this.#unlisted += votes.length
      else {
        for (const vote of votes) {
          vote.prober.votes.delete(target)
          vote.prober.missed = true
          this.#doubted.delete(vote)
        }
        this.#votes.delete(target)
      }
    }
    const missed = [...this.#probers.values()].filter((prober) => prober.missed)
    for (const prober of missed) prober.missed = false
    return missed.map(({ name }) => name)
  }

  /**
   * Votes of live probers on a target. A DOWN of a prober that was silent, and has just been heard again, abstains until it
   * has had the time for another look: in the silence it may have been cut off from the site, as this node was from it.
   */
  liveVotes(target: string): readonly LiveVote[] {
    const votes = this.#votes.get(target) ?? NO_VOTES
    if (votes.every(({ prober, doubted }) => prober.live && !doubted)) return votes
    const live = votes.filter(({ prober }) => prober.live)
    return live.map((vote) =>
      vote.doubted ? { ...vote, value: 'abstain', reason: `just heard again: ${vote.reason}` } : vote,
    )
  }

  /** When the next doubt is over, by the clock of the other calls; undefined: there is none. */
  get doubtMs(): number | undefined {
    if (this.#doubted.size === 0) return undefined
    return Math.min(...[...this.#doubted.values()].map(({ untilMs }) => untilMs))
  }

  /** Ends the doubts whose time is over. Returns the targets whose votes begin to count. */
  endDoubts(nowMs: number): Set<string> {
    const over = new Set<string>()
    for (const [vote, { target, untilMs }] of this.#doubted) {
      if (untilMs > nowMs) continue
      this.#trust(vote)
      over.add(target)
    }
    return over
  }

  #trust(vote: ProberVote): void {
    vote.doubted = false
    this.#doubted.delete(vote)
  }

  /** Takes in votes. Returns the targets whose votes have changed. */
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
      const news = this.#put(prober, vote, nowMs)
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
   * Marks a prober as live. Returns the targets whose votes begin to count, or end with an earlier boot. A new prober
   * that there is no room for is not added.
   */
  markAlive({ name, region, bootId }: ProberIdentity, nowMs: number): Set<string> {
    const known = this.#probers.get(name)
    if (known?.bootId === bootId) {
      const touched = new Set(known.live ? [] : known.votes.keys())
      if (!known.live) known.returnedMs = nowMs
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

  /** Marks a prober as silent: its votes are kept but do not count. Returns their targets. */
  gone({ name, bootId }: ProberIdentity): Iterable<string> {
    const prober = this.#probers.get(name)
    if (prober === undefined || prober.bootId !== bootId) return []
    prober.live = false
    return prober.votes.keys()
  }

  /** Adds a prober from saved state or the Store's index; it counts as silent. */
  restore(name: string, region: string, heardMs: number): void {
    if (this.#probers.has(name) || this.#probers.size >= MOST_PROBERS) return
    this.#add({ name, region, bootId: '', live: false, heardMs })
  }

  /** Names of probers that are silent. */
  get silent(): string[] {
    return [...this.#probers.values()].filter(({ live }) => !live).map(({ name }) => name)
  }

  /** undefined: not in the roster. */
  isLive(name: string): boolean | undefined {
    return this.#probers.get(name)?.live
  }

  /** Removes a silent prober; false: there is none. */
  forget(name: string): boolean {
    const prober = this.#probers.get(name)
    if (prober === undefined || prober.live) return false
    this.#remove(prober)
    return true
  }

  /** Probers that have been silent since before `oldestMs`. */
  silentSince(oldestMs: number): string[] {
    return [...this.#probers.values()]
      .filter(({ live, heardMs }) => !live && heardMs < oldestMs)
      .map(({ name }) => name)
  }

  /**
   * Live probers that are alone with at least half of what they say: `disagrees` with all others, or `abstains` where all
   * others can tell. It goes through all votes.
   */
  doubts(): Map<string, 'disagrees' | 'abstains'> {
    const tallies = new Map<string, { compared: number; disagrees: number; abstains: number }>()
    for (const votes of this.#votes.values()) {
      const live = votes.filter(({ prober }) => prober.live)
      if (live.length < 3) continue
      for (const { prober, value } of live) {
        const tally = tallies.get(prober.name) ?? { compared: 0, disagrees: 0, abstains: 0 }
        tallies.set(prober.name, tally)
        tally.compared++
        const [other] = live.filter((vote) => vote.prober !== prober)
        const isAlone =
          other!.value !== value && live.every((vote) => vote.prober === prober || vote.value === other!.value)
        if (!isAlone || other!.value === 'abstain') continue
        tally[value === 'abstain' ? 'abstains' : 'disagrees']++
      }
    }
    const found = new Map<string, 'disagrees' | 'abstains'>()
    for (const [name, { compared, disagrees, abstains }] of tallies) {
      if (2 * (disagrees + abstains) < compared) continue
      found.set(name, abstains > disagrees ? 'abstains' : 'disagrees')
    }
    return found
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

  /** Counts the votes by site and prober. `targets`: ids of the targets of each site. */
  countVotes(targets: ReadonlyMap<string, ReadonlySet<string>>): VoteTable {
    const probers = [...this.#probers.values()].toSorted((a, b) => order(a.region, b.region) || order(a.name, b.name))
    const numbers = new Map(probers.map((prober, number) => [prober, number]))
    const sites = Array.from(targets, ([site, ids]) => {
      const counts = new Int32Array(VALUES.length * probers.length)
      for (const id of ids) {
        for (const { prober, value } of this.#votes.get(id) ?? NO_VOTES)
          counts[VALUES.length * numbers.get(prober)! + VALUES.indexOf(value)]!++
      }
      const countOf = (at: number): VoteCount => [counts[at]!, counts[at + 1]!, counts[at + 2]!]
      return { site, targets: ids.size, votes: probers.map((_, number) => countOf(VALUES.length * number)) }
    })
    return { probers: probers.map(({ name, region, live }) => ({ prober: name, region, live })), sites }
  }

  /** False: nothing has changed. undefined: there is no room for the vote. */
  #put(prober: Prober, { target, value, moving, reason, rttMs, share }: Vote, nowMs: number): boolean | undefined {
    const previous = prober.votes.get(target)
    const shared = this.#shared(reason)
    if (previous === undefined) {
      if (!this.#isListed(target) && ++this.#unlisted > this.#mostUnlisted) {
        this.#unlisted--
        return undefined
      }
      const sinceMs = Math.floor(prober.heardMs)
      const fresh = {
        prober,
        region: prober.region,
        value,
        moving,
        reason: shared,
        rttMs,
        share,
        sinceMs,
        doubted: false,
      }
      this.#doubt(fresh, target, nowMs)
      prober.votes.set(target, fresh)
      const votes = this.#votes.get(target)
      if (votes === undefined) this.#votes.set(target, [fresh])
      else votes.push(fresh)
      return true
    }
    const same =
      previous.value === value && previous.moving === moving && previous.share === share && previous.reason === shared
    if (previous.value !== value) {
      previous.sinceMs = Math.floor(prober.heardMs)
      previous.value = value
      this.#doubt(previous, target, nowMs)
    }
    previous.moving = moving
    previous.reason = shared
    previous.rttMs = rttMs
    previous.share = share
    return !same
  }

  /** A vote that has just been told: doubted or not. */
  #doubt(vote: ProberVote, target: string, nowMs: number): void {
    const untilMs = vote.prober.returnedMs + this.#recoveryMs(target)
    vote.doubted = vote.value === 'down' && nowMs < untilMs
    if (vote.doubted) this.#doubted.set(vote, { target, untilMs })
    else this.#doubted.delete(vote)
  }

  /** False: the prober has no vote on the target. */
  #drop(prober: Prober, target: string): boolean {
    const vote = prober.votes.get(target)
    if (vote === undefined) return false
    prober.votes.delete(target)
    this.#doubted.delete(vote)
    const votes = this.#votes.get(target)!.filter((previous) => previous.prober !== prober)
    if (votes.length === 0) this.#votes.delete(target)
    else this.#votes.set(target, votes)
    if (!this.#isListed(target)) this.#unlisted--
    return true
  }

  /** Makes room for a new prober; false: all places have live probers. */
  #makeRoom(): boolean {
    if (this.#probers.size < MOST_PROBERS) return true
    let silent: Prober | undefined
    for (const prober of this.#probers.values())
      if (!prober.live && (silent === undefined || prober.heardMs < silent.heardMs)) silent = prober
    if (silent !== undefined) this.#remove(silent)
    return silent !== undefined
  }

  #add(prober: Omit<Prober, 'returnedMs' | 'beat' | 'votes' | 'missed'>): void {
    const rest = { returnedMs: -Infinity, beat: undefined, votes: new Map<string, ProberVote>(), missed: false }
    this.#probers.set(prober.name, { ...prober, ...rest })
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
