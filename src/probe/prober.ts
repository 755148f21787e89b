/**
 * The prober: runs the check of every target in turn, updates the target's track, and writes the track's state as a
 * vote. Lives in a thread of its own (worker.ts). The loop that runs checks also sends the heartbeat, so a blocked loop
 * is silent.
 *
 *   schedule ─▶ check ─▶ observation ─▶ void? (lag) ─▶ track ─▶ turning DOWN? (trust) ─▶ held down? ─▶ vote
 *
 * UP and DOWN votes rest only on what the site did. Anything that is, or may be, this prober's own fault is an
 * abstention.
 */
import { familyOf, parseAddress } from '../dns/address.ts'
import { type ProberWriter, HEARTBEAT_MS, type ProberIdentity } from '../health/store.ts'
import { hashTargets, type Target } from '../health/target.ts'
import type { Vote } from '../health/vote.ts'
import { DAY_MS, type Endpoint, formatEndpoint } from '../units.ts'
import { type CheckSettings, runCheck } from './checks/check.ts'
import type { Certificate, Observation } from './checks/observation.ts'
import { LagMeter } from './lag.ts'
import { hasRoute } from './route.ts'
import { type Job, nextTurn, phaseOf, Schedule } from './schedule.ts'
import { advance, heldDownMs, isMoving, isUndecided, NEW_TRACK, release, reportedState, type Track } from './track.ts'
import { networkOf, reachCanary, Trust, UNRELATED, type Witness } from './trust.ts'

/** A new target is checked within its interval and within this, so that long intervals do not delay the first vote. */
const FIRST_MS = 10_000
/** A target without an observation for so many intervals gets an abstention. */
const STALE_INTERVALS = 3
/** Tolerance beyond interval and timeout before a target counts as overdue. */
const OVERDUE_SLACK_MS = 250
/** A vote is written when one of these changes; a new round-trip time alone is no change. */
const REPORTED_FIELDS = ['value', 'moving', 'reason', 'share'] as const
/** Other targets whose route is tested when a network is unreachable. */
const ROUTES_ASKED = 4

/** What a Prober needs of its thread. */
export interface ProberSettings {
  readonly checks?: CheckSettings
  readonly identity: ProberIdentity
  readonly writer: ProberWriter
  readonly canaries: readonly Endpoint[]
  /** Most checks that begin per second; default: no limit. */
  readonly rate?: number
  /** Trouble for the operator: the Store refuses votes, a check is broken, this prober distrusts itself. */
  readonly onTrouble: (trouble: string) => void
  /** A check of a target, by its id, has seen another certificate than the one before. */
  readonly onCertificate?: (target: string, certificate: Certificate) => void
  /** Runs a check; runCheck except in tests. */
  readonly check?: (target: Target, settings: CheckSettings) => Promise<Observation>
  /** Tries a canary; reachCanary except in tests. */
  readonly tryCanary?: (canary: Endpoint) => Promise<void>
}

/** What the checks of a target did last, beside its vote. */
export interface TargetActivity {
  readonly id: string
  /** Time since its last check ended; undefined: none yet. */
  readonly lastRunMs: number | undefined
  readonly heldDownMs: number
}

/** What a prober's thread does, for status. */
export interface Activity {
  /** Checks that began per second between the last two heartbeats. */
  readonly checksPerSecond: number
  readonly targets: readonly TargetActivity[]
}

/** A target with everything that this prober knows of it. */
interface TargetState extends Job, Witness {
  target: Target
  readonly family: 4 | 6
  readonly network: string
  intervalMs: number
  phaseMs: number
  /** Since when it has this interval. */
  pacedMs: number
  track: Track
  /** End of its last check; −Infinity before the first. */
  ranMs: number
  seenMs: number
  failingMs: number | undefined
  /** Start of the first of the failures that count against the track. */
  streakMs: number
  /** Its last failure would turn it DOWN, but trust has not decided yet. */
  waiting: boolean
  /** Its last check was void. */
  voided: boolean
  /** Why the last check could not be run, or before the first result, what the site said in place of its health. */
  unable: string | undefined
  certificate: Certificate | undefined
  reason: string
  rttMs: number
  share: number
  lastVote: Vote | undefined
  /** Ends its hold-down. */
  readonly releasing: Job
}

/** State shared by the targets of one address family. */
interface Family {
  readonly trust: Trust
  targets: readonly TargetState[]
  networks: number
  /** The distrust that was last reported. */
  told: string | undefined
  /** Where the next round of peers begins, and (peersMs) when the last one ran. */
  nextPeer: number
  peersMs: number
}

/** The checks of one thread. */
export class Prober {
  readonly #settings: ProberSettings
  readonly #schedule: Schedule
  readonly #lag = new LagMeter()
  readonly #targets = new Map<string, TargetState>()
  readonly #families: Readonly<Record<4 | 6, Family>>
  readonly #check: (target: Target, settings: CheckSettings) => Promise<Observation>
  readonly #checks: CheckSettings
  readonly #beatJob: Job = { dueMs: Infinity, run: (nowMs) => this.#beat(nowMs) }
  /** By the name of a certificate, when the operator was last warned of its end, as Unix time. */
  readonly #warnedMs = new Map<string, number>()
  #configHash = ''
  #sequence = 0
  #begun = 0
  #beatMs = performance.now()
  #checksPerSecond = 0

  constructor(settings: ProberSettings) {
    this.#settings = settings
    this.#schedule = new Schedule(settings.rate)
    this.#check = settings.check ?? runCheck
    this.#checks = settings.checks ?? {}
    const family = (version: 4 | 6): Family => ({
      trust: new Trust({
        canaries: settings.canaries.filter(({ address }) => familyOf(address) === version),
        tryCanary: settings.tryCanary ?? reachCanary,
        witnesses: () => this.#families[version].targets,
        onNews: () => this.#reconsider(version),
      }),
      targets: [],
      networks: 0,
      told: undefined,
      nextPeer: 0,
      peersMs: -Infinity,
    })
    this.#families = { 4: family(4), 6: family(6) }
  }

  start(): void {
    this.#reportRefusal(this.#settings.writer.replace([]))
    this.#schedule.plan(this.#beatJob, performance.now())
  }

  stop(): void {
    this.#schedule.stop()
    for (const family of [this.#families[4], this.#families[6]]) family.trust.stop()
    this.#targets.clear()
  }

  /** Replaces the targets; known ones keep their state. New ones have their first check within an interval. */
  setTargets(targets: readonly Target[]): void {
    const nowMs = performance.now()
    const wanted = new Set(targets.map((target) => target.id))
    const retired = [...this.#targets.values()].filter(({ target }) => !wanted.has(target.id))
    for (const state of retired) {
      this.#schedule.cancel(state)
      this.#schedule.cancel(state.releasing)
      this.#targets.delete(state.target.id)
    }
    if (retired.length > 0) this.#reportRefusal(this.#settings.writer.retire(retired.map(({ target }) => target.id)))
    for (const target of targets) {
      const known = this.#targets.get(target.id)
      const { intervalMs } = target.check
      const phaseMs = phaseOf(this.#settings.identity.name, target.id, intervalMs)
      if (known === undefined) {
        const state = this.#take(target, phaseMs, nowMs)
        this.#targets.set(target.id, state)
        this.#schedule.plan(state, nextTurn(nowMs, phaseMs, Math.min(intervalMs, FIRST_MS)))
        continue
      }
      const retimed = known.intervalMs !== intervalMs
      Object.assign(known, { target, intervalMs, phaseMs, pacedMs: retimed ? nowMs : known.pacedMs })
      if (retimed && known.dueMs !== Infinity) this.#schedule.plan(known, nextTurn(nowMs, phaseMs, intervalMs))
    }
    for (const version of [4, 6] as const) {
      const family = this.#families[version]
      family.targets = [...this.#targets.values()].filter((state) => state.family === version)
      family.networks = new Set(family.targets.map((state) => state.network)).size
    }
    this.#configHash = hashTargets([...wanted])
  }

  /** The current activity, for status. */
  activity(): Activity {
    const nowMs = performance.now()
    const targets = Array.from(this.#targets.values(), ({ target, ranMs, track }) => ({
      id: target.id,
      lastRunMs: ranMs === -Infinity ? undefined : nowMs - ranMs,
      heldDownMs: heldDownMs(track, nowMs),
    }))
    return { checksPerSecond: this.#checksPerSecond, targets }
  }

  #take(target: Target, phaseMs: number, nowMs: number): TargetState {
    const state: TargetState = {
      target,
      family: familyOf(target.address),
      network: networkOf(target.address),
      intervalMs: target.check.intervalMs,
      phaseMs,
      pacedMs: nowMs,
      track: NEW_TRACK,
      ranMs: -Infinity,
      seenMs: -Infinity,
      failingMs: undefined,
      streakMs: nowMs,
      waiting: false,
      voided: false,
      unable: undefined,
      certificate: undefined,
      reason: '',
      rttMs: 0,
      share: 1000,
      lastVote: undefined,
      dueMs: Infinity,
      paced: true,
      run: () => void this.#probe(state),
      releasing: { dueMs: Infinity, run: (dueMs) => this.#release(state, dueMs) },
    }
    return state
  }

  /** Runs one check, applies its result and plans the next: so at most one is in flight per target. */
  async #probe(state: TargetState): Promise<void> {
    const startMs = performance.now()
    this.#begun++
    this.#lag.begin()
    let observation = await this.#check(state.target, this.#checks).catch((error: unknown) =>
      this.#broken(state, error),
    )
    if (observation.kind === 'unroutable') observation = await this.#blame(state, observation)
    const { worstMs, totalMs } = this.#lag.since(startMs)
    this.#lag.end()
    if (this.#targets.get(state.target.id) !== state) return
    state.ranMs = performance.now()
    const { timeoutMs, fastMs } = state.target.check
    const isVoid = observation.kind === 'timeout' && (worstMs > timeoutMs / 4 || totalMs > timeoutMs / 2)
    if (!isVoid) this.#observe(state, observation, startMs)
    // once only: rechecks of void results would keep an overloaded host overloaded
    const hurry = isVoid ? !state.voided : isUndecided(state.track)
    state.voided = isVoid
    const turnMs = nextTurn(startMs, state.phaseMs, state.intervalMs)
    this.#schedule.plan(state, hurry ? Math.min(startMs + fastMs, startMs + state.intervalMs) : turnMs)
  }

  /** A check that throws must not end the others. */
  #broken({ target }: TargetState, error: unknown): Observation {
    this.#settings.onTrouble(`the check of ${target.address} port ${target.port} can't be made: ${String(error)}`)
    return { kind: 'unable', reason: String(error), rttMs: 0 }
  }

  /** An unreachable network counts as this host's fault while it has no route to any target of the family. */
  async #blame({ target, family }: TargetState, observation: Observation): Promise<Observation> {
    const { targets } = this.#families[family]
    const asked = new Set([target.address, ...targets.slice(0, ROUTES_ASKED).map((other) => other.target.address)])
    const addresses = [...asked].filter((address) => parseAddress(address) !== undefined) // not those that are names
    const routes = await Promise.all(addresses.map(hasRoute))
    if (routes.includes(true)) return { ...observation, kind: 'fail' }
    return { ...observation, kind: 'unable', reason: `this host has no IPv${family} route` }
  }

  #observe(state: TargetState, observation: Observation, startMs: number): void {
    const { kind, reason, rttMs, share = 1000, certificate } = observation
    if (kind === 'unable') {
      state.unable = reason
      return this.#reportVote(state)
    }
    if (certificate !== undefined) this.#noteCertificate(state, certificate)
    if (kind === 'silence') {
      state.seenMs = performance.now()
      state.unable = state.track.state === 'none' ? reason : undefined
      return this.#reportVote(state)
    }
    Object.assign(state, { unable: undefined, reason, rttMs, seenMs: performance.now(), waiting: false })
    if (kind === 'pass') {
      state.share = share // a failure sets no share: it must not restore a drained target to full share
      state.failingMs = undefined
      state.track = advance(state.track, true, state.target.check, state.seenMs)
      if (state.track.held) this.#schedule.plan(state.releasing, state.track.upMs)
    } else {
      state.failingMs ??= startMs
      if (reportedState(state.track) !== 'down' && state.track.against === 0) this.#suspect(state, startMs)
      this.#fail(state)
    }
    this.#reportVote(state)
  }

  /** Tells a new certificate, and the operator of one that ends soon. */
  #noteCertificate(state: TargetState, certificate: Certificate): void {
    const { endMs, warnMs } = state.certificate ?? {}
    state.certificate = certificate
    if (endMs !== certificate.endMs || warnMs !== certificate.warnMs) {
      this.#settings.onCertificate?.(state.target.id, certificate)
    }
    if (Date.now() < certificate.warnMs) return
    const { address, port, check } = state.target
    const name = 'host' in check && check.host !== undefined ? check.host : address
    // once a day: many addresses share one, and a site may show another each time
    if (Date.now() < (this.#warnedMs.get(name) ?? -Infinity) + DAY_MS) return
    this.#warnedMs.set(name, Date.now())
    this.#settings.onTrouble(
      `the certificate of ${name}, at ${formatEndpoint({ address, port })}, ends ${new Date(certificate.endMs).toISOString()}: renew it`,
    )
  }

  /**
   * Applies a failure: it counts while this prober trusts itself; one that would turn the track DOWN only if trust
   * allows.
   */
  #fail(state: TargetState): void {
    const { trust } = this.#families[state.family]
    const next = advance(state.track, false, state.target.check, performance.now())
    const wasDown = reportedState(state.track) === 'down'
    const turns = next.state === 'down' && !wasDown
    const belief = turns ? trust.believe(state.streakMs) : trust.distrust === undefined ? 'yes' : 'no'
    state.waiting = belief === 'wait'
    if (belief === 'yes' || wasDown) state.track = next
    else if (belief === 'no') state.track = { ...state.track, against: 0 }
  }

  /** Ends a hold-down by time: the vote turns UP without waiting for the next check. */
  #release(state: TargetState, nowMs: number): void {
    state.track = release(state.track, nowMs)
    this.#reportVote(state)
  }

  /** On a first failure, tries canaries (or targets elsewhere) now, so that the result is there when it matters. */
  #suspect(state: TargetState, startMs: number): void {
    state.streakMs = startMs
    const family = this.#families[state.family]
    family.trust.suspect(startMs)
    if (family.networks < UNRELATED || family.peersMs >= startMs || this.#hasCanaries(state.family)) return
    family.peersMs = performance.now()
    const networks = new Set([state.network])
    for (let tries = 8 * UNRELATED; tries > 0 && networks.size < UNRELATED; tries--) {
      const peer = family.targets[family.nextPeer++ % family.targets.length]!
      if (networks.has(peer.network) || peer.failingMs !== undefined) continue
      networks.add(peer.network)
      if (peer.dueMs !== Infinity) this.#schedule.plan(peer, family.peersMs)
    }
  }

  #hasCanaries(family: 4 | 6): boolean {
    return this.#settings.canaries.some(({ address }) => familyOf(address) === family)
  }

  /** Trust may have changed: decides waiting failures and reviews every vote. */
  #reconsider(version: 4 | 6): void {
    const family = this.#families[version]
    const { distrust } = family.trust
    if (distrust !== family.told) {
      const news = distrust === undefined ? 'trusts its failures again' : `casts no DOWN votes: ${distrust}`
      this.#settings.onTrouble(`the prober ${news} (IPv${version})`)
    }
    family.told = distrust
    for (const state of family.targets) {
      if (state.waiting) this.#fail(state)
      this.#reportVote(state)
    }
  }

  #beat(nowMs: number): void {
    this.#schedule.plan(this.#beatJob, nowMs + HEARTBEAT_MS)
    this.#checksPerSecond = (this.#begun * 1000) / Math.max(1, nowMs - this.#beatMs)
    this.#begun = 0
    this.#beatMs = nowMs
    for (const version of [4, 6] as const) this.#families[version].trust.review()
    let overdue = 0
    let overdueAgeMs = 0
    for (const state of this.#targets.values()) {
      const { intervalMs, timeoutMs } = state.target.check
      const lateMs = nowMs - Math.max(state.seenMs, state.pacedMs) - intervalMs - timeoutMs
      if (lateMs <= OVERDUE_SLACK_MS) continue
      overdue++
      overdueAgeMs = Math.max(overdueAgeMs, lateMs)
      this.#reportVote(state)
    }
    const { identity: prober, writer } = this.#settings
    const beat = { prober, sequence: ++this.#sequence, configHash: this.#configHash, overdue, overdueAgeMs }
    this.#reportRefusal(writer.heartbeat(beat))
  }

  /** Writes the vote if it has changed. */
  #reportVote(state: TargetState): void {
    const vote = this.#voteOf(state)
    const { lastVote } = state
    if (vote === undefined) return
    if (lastVote !== undefined && REPORTED_FIELDS.every((key) => lastVote[key] === vote[key])) return
    state.lastVote = vote
    this.#reportRefusal(this.#settings.writer.change(vote))
  }

  /** The current vote; undefined: none yet. */
  #voteOf({ target, family, track, waiting, ...state }: TargetState): Vote | undefined {
    const { rttMs, share } = state
    const common = { target: target.id, rttMs, share }
    const abstain = (reason: string): Vote => ({ ...common, value: 'abstain', moving: false, reason })
    if (state.unable !== undefined) return abstain(state.unable)
    const unseenMs = performance.now() - Math.max(state.seenMs, state.pacedMs)
    if (unseenMs > STALE_INTERVALS * state.intervalMs) return abstain(`not probed for ${STALE_INTERVALS} intervals`)
    const { distrust } = this.#families[family].trust
    if (distrust !== undefined && state.failingMs !== undefined) return abstain(distrust)
    const value = reportedState(track)
    if (value === 'none') return undefined
    const reason = track.held ? `${state.reason}, held down: has flapped ${track.flaps} times` : state.reason
    return { ...common, value, moving: waiting || isMoving(track), reason }
  }

  #reportRefusal(written: Promise<void>): void {
    written.catch((error: unknown) => this.#settings.onTrouble(`the store refuses votes: ${String(error)}`))
  }
}
