/**
 * Whether this prober may believe its own failures, for each address family apart: a failed probe path is not a failed
 * site. Asked by the prober when a target's track is about to turn DOWN, and as long as it doesn't trust itself.
 *
 * With canaries (`probe.canaries`) they alone decide: a round of connections to all of them, begun after the target's
 * first failure, has to reach one. Without them the other targets are the canaries: when, of the unrelated networks (/24,
 * /48) that were probed since that first failure, more than half have suddenly begun to fail as well, it is this prober
 * that is cut off. That needs UNRELATED networks to say anything: a smaller fleet (three sites that really die together)
 * is believed, and the service's last resort applies. While some network still passes, the suspicion lasts SUSPICION_MS at
 * most: what goes on failing then is really gone. While nothing passes it lasts as long as that: so looks a cut cable.
 */
import { connect } from 'node:net'
import { familyOf } from '../dns/address.ts'
import { codeOf } from '../problem.ts'
import type { Endpoint } from '../units.ts'

/** Networks that must have been probed before their failing together says something about the prober. */
export const UNRELATED = 8
export const SUSPICION_MS = 60_000
const CANARY_TIMEOUT_MS = 1000
/** Rounds of canaries are at least this far apart, however many targets fail. */
const ROUND_GAP_MS = 200
/** With nothing failing, canaries are tried this often, so that dead ones are noticed before they are needed. */
const ROUND_IDLE_MS = 10_000

/** A survey that found nothing wrong is good for so long: thousands of targets may turn DOWN in one second. */
const SURVEY_MS = 50

/** What of a target matters here. */
export interface Witness {
  readonly network: string
  readonly intervalMs: number
  /** End of the last check that saw anything; −Infinity before the first. */
  readonly seenMs: number
  /** Start of the first failing check since the last pass; undefined while it passes. */
  readonly failingMs: number | undefined
}

/** /24 or /48: what is likely to share its fate. The address is canonical text. */
export function networkOf(address: string): string {
  if (familyOf(address) === 4) return address.split('.', 3).join('.')
  const [head, tail] = address.split('::')
  const groups = head === '' ? [] : head!.split(':')
  const behind = tail === undefined || tail === '' ? 0 : tail.split(':').length
  while (groups.length + behind < 8) groups.push('0')
  return groups.slice(0, 3).join(':')
}

/**
 * Networks that were probed since `sinceMs` and passed, or have suddenly begun to fail; those that have failed for longer
 * say nothing.
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

export interface TrustSettings {
  /** Of one family. */
  readonly canaries: readonly Endpoint[]
  /** Tries one canary. */
  readonly tryCanary: (canary: Endpoint) => Promise<void>
  readonly witnesses: () => Iterable<Witness>
  /** Distrust has begun or ended, or canaries have been tried: whoever waits has to ask again. */
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

  /** Why this prober abstains for the family; undefined while it trusts itself. */
  get distrust(): string | undefined {
    return this.#distrust?.reason
  }

  /** A target has begun to fail, by a check that began at `sinceMs`: gets the canaries going. */
  suspect(sinceMs: number): void {
    if (this.#settings.canaries.length > 0 && this.#startedMs < sinceMs) {
      this.#planRound(Math.max(0, this.#startedMs + ROUND_GAP_MS - performance.now()))
    }
  }

  /** Whether failures that began at `sinceMs` may count now; 'wait' until onNews. */
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

/** Resolves when a canary accepts a connection; a refusal, too, has come from there. */
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
