/**
 * Whether this prober may believe its own failures, for each address family: a failed path is not a failed site. The
 * prober asks when a track is about to turn DOWN, and as long as it distrusts itself.
 *
 * With canaries (`probe.canaries`) only they decide: a round of connections to all of them, begun after the target's
 * first failure, has to reach one. Without canaries the other targets serve: if more than half of the unrelated
 * networks (/24, /48) probed since that first failure have suddenly begun to fail too, this prober is cut off. With
 * fewer than UNRELATED networks that cannot be told: the failures are believed, and the last resort applies. While some
 * network still passes, the suspicion lasts at most SUSPICION_MS: what fails then is really gone. While nothing passes
 * it lasts: that is what a cut cable looks like.
 */
import { connect } from 'node:net'
import { familyOf } from '../dns/address.ts'
import { codeOf } from '../problem.ts'
import type { Endpoint } from '../units.ts'

/** Networks that must have been probed before their common failure says something about the prober. */
export const UNRELATED = 8
/** Longest suspicion without canaries while a network still passes. */
export const SUSPICION_MS = 60_000
const CANARY_TIMEOUT_MS = 1000
/** Rounds of canaries are at least this far apart, however many targets fail. */
const ROUND_GAP_MS = 200
/** Canaries are tried this often while nothing fails, so that dead ones are noticed in time. */
const ROUND_IDLE_MS = 10_000

/** A survey that found nothing wrong is reused for so long: thousands of targets may turn DOWN within a second. */
const SURVEY_MS = 50

/** The part of a target's state that trust needs. */
export interface Witness {
  readonly network: string
  readonly intervalMs: number
  /** End of the last check that observed anything; −Infinity before the first. */
  readonly seenMs: number
  /** Start of the first failing check since the last pass; undefined while it passes. */
  readonly failingMs: number | undefined
}

/** The /24 or /48 of an address in canonical text: addresses that are likely to fail together. */
export function networkOf(address: string): string {
  if (familyOf(address) === 4) return address.split('.', 3).join('.')
  const [head, tail] = address.split('::')
  const groups = head === '' ? [] : head!.split(':')
  const behind = tail === undefined || tail === '' ? 0 : tail.split(':').length
  while (groups.length + behind < 8) groups.push('0')
  return groups.slice(0, 3).join(':')
}

/**
 * Networks that were probed since `sinceMs` and passed, or have suddenly begun to fail; those that have failed for
 * longer do not count.
 */
export function survey(witnesses: Iterable<Witness>, sinceMs: number) {
  const networks = new Map<string, boolean>()
  for (const { network, intervalMs, seenMs, failingMs } of witnesses) {
    if (seenMs < sinceMs) continue
    if (failingMs === undefined) networks.set(network, true)
    else if (failingMs >= sinceMs - intervalMs && !networks.has(network)) networks.set(network, false)
  }
  let failing = 0
  for (const passes of networks.values()) if (!passes) failing++
  return { failing, passing: networks.size - failing }
}

/** What Trust needs of its prober. */
export interface TrustSettings {
  /** Canaries of the family. */
  readonly canaries: readonly Endpoint[]
  /** Tries one canary. */
  readonly tryCanary: (canary: Endpoint) => Promise<void>
  readonly witnesses: () => Iterable<Witness>
  /** Distrust began or ended, or canaries were tried: waiting failures have to ask again. */
  readonly onNews: () => void
}

/** Trust in one address family. */
export class Trust {
  readonly #settings: TrustSettings
  #startedMs = -Infinity
  #surveyedMs = -Infinity
  #round: { readonly startedMs: number; readonly reached: boolean } | undefined
  #timer: NodeJS.Timeout | undefined
  #distrust: { readonly reason: string; readonly sinceMs: number } | undefined
  #stopped = false

  constructor(settings: TrustSettings) {
    this.#settings = settings
    if (settings.canaries.length > 0) this.#planRound(0)
  }

  stop(): void {
    this.#stopped = true
    clearTimeout(this.#timer)
  }

  /** Why this prober abstains for the family; undefined: it trusts itself. */
  get distrust(): string | undefined {
    return this.#distrust?.reason
  }

  /** A check that began at `sinceMs` has failed: tries the canaries soon. */
  suspect(sinceMs: number): void {
    if (this.#settings.canaries.length > 0 && this.#startedMs < sinceMs) {
      this.#planRound(Math.max(0, this.#startedMs + ROUND_GAP_MS - performance.now()))
    }
  }

  /** Whether failures that began at `sinceMs` count now; 'wait': ask again after onNews. */
  believe(sinceMs: number): 'yes' | 'no' | 'wait' {
    if (this.#distrust !== undefined) return 'no'
    if (this.#settings.canaries.length > 0) {
      if (this.#round !== undefined && this.#round.startedMs >= sinceMs) return 'yes'
      this.suspect(sinceMs)
      return 'wait'
    }
    if (performance.now() < this.#surveyedMs + SURVEY_MS) return 'yes'
    const { failing, passing } = survey(this.#settings.witnesses(), sinceMs)
    if (failing + passing < UNRELATED || failing <= passing) {
      this.#surveyedMs = performance.now()
      return 'yes'
    }
    this.#turn(`${failing} of ${failing + passing} unrelated networks began to fail at once`)
    return 'no'
  }

  /** Ends a suspicion without canaries when its time has come. Called every second. */
  review(): void {
    if (this.#distrust === undefined || this.#settings.canaries.length > 0) return
    const { sinceMs } = this.#distrust
    let passing = 0
    let failing = 0
    for (const { seenMs, failingMs } of this.#settings.witnesses()) {
      if (seenMs < sinceMs) continue
      if (failingMs === undefined) passing++
      else failing++
    }
    if (passing === 0) return
    if (passing <= failing && performance.now() < sinceMs + SUSPICION_MS) return
    this.#turn(undefined)
  }

  #turn(reason: string | undefined): void {
    this.#distrust = reason === undefined ? undefined : { reason, sinceMs: performance.now() }
    this.#settings.onNews()
  }

  #planRound(inMs: number): void {
    if (this.#stopped) return
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => void this.#tryCanaries(), inMs)
  }

  async #tryCanaries(): Promise<void> {
    const startedMs = performance.now()
    this.#startedMs = startedMs
    this.#planRound(this.#distrust === undefined ? ROUND_IDLE_MS : CANARY_TIMEOUT_MS)
    const { canaries, tryCanary } = this.#settings
    const reached = await Promise.any(canaries.map(tryCanary)).then(
      () => true,
      () => false,
    )
    if (this.#stopped || (this.#round !== undefined && this.#round.startedMs > startedMs)) return
    this.#round = { startedMs, reached }
    if (!reached) this.#planRound(CANARY_TIMEOUT_MS)
    const list = canaries.length === 1 ? 'the canary' : `all ${canaries.length} canaries`
    this.#turn(reached ? undefined : `${list} of the address family can't be reached`)
  }
}

/** Resolves when a canary accepts or refuses a connection: a refusal has come from there, too. */
export function reachCanary({ address, port }: Endpoint): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: address, port })
    const end = (error?: Error) => {
      clearTimeout(timer)
      socket.destroy()
      if (error === undefined || codeOf(error) === 'ECONNREFUSED') resolve()
      else reject(error)
    }
    const timer = setTimeout(() => end(new Error('timeout')), CANARY_TIMEOUT_MS)
    socket.on('connect', () => end())
    socket.on('error', end)
  })
}
