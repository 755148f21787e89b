/**
 * WHOM TO NAME: the walk over a class's groups that ends in the VIPs of one answer (DESIGN §7). One function for queries
 * and for `explain`: the trace is the only difference. Pure: health, the client's hash and chance are arguments.
 *
 *   stages     groups     sites of a group        VIPs of the site
 *   ┌ up, admitting ─▶ 1st ─▶ 2nd ─▶ …  eligible? ─▶ rendezvous ─▶ usable of the type, `answers` of them, rotated
 *   ├ up, shares ignored ─▶ …          in both: where nothing of the 1st is usable, the next `spill` sites compete by capacity
 *   ├ weight 0 · below minVips · unproven · drained
 *   └ last resort: NODATA while the other type has something usable, else as the service says
 */
import { DOWN, DRAINED, FORCED_DOWN, shareOf, UNPROVEN, UP, type HealthTable } from '../health/table.ts'
import { mix } from './hash.ts'
import { FENCE, PICK_HASH, PICK_RANDOM, type ClientMap } from './map.ts'
import { STEERS_A, STEERS_AAAA } from '../zone/pack.ts'
import type { SteeredService } from './service.ts'

/** Most addresses of one answer (DESIGN §7). */
export const MAX_ANSWERS = 8

/** What select() found: one reused object. */
export interface Selection {
  /** VIP numbers in the order of the answer. */
  readonly vips: Int32Array
  count: number
  /** Site of the answer; −1 without. */
  site: number
  /** Index into STAGES of the walk that ended it; −1 when none did. */
  stage: number
  /** The service's `values` are the answer. */
  useValues: boolean
  /** The stated last resort decided: everything is down. */
  lastResort: boolean
  ttlSeconds: number
  /** A hash of the client's network was consulted: the answer is good for its /24 or /56 at most. */
  hashed: boolean
  /** Every member consulted so far is calm. */
  calm: boolean
}

export const makeSelection = (): Selection => ({
  vips: new Int32Array(MAX_ANSWERS),
  count: 0,
  site: -1,
  stage: -1,
  useValues: false,
  lastResort: false,
  ttlSeconds: 0,
  hashed: false,
  calm: true,
})

/** What `explain` hears; queries pass null. */
export interface Trace {
  /** One site looked at, in the order of the walk. */
  site(stage: number, group: number, site: number, verdict: string): void
  /** Score of an eligible site in the rendezvous of its group, or of all that a dead group's clients may go to; the least wins. */
  score(stage: number, site: number, score: number, weight: number): void
}

interface Stage {
  readonly name: string
  /** Health states that count, one bit each. */
  readonly states: number
  /** `minVips` must be reached; else one VIP is enough. */
  readonly full: boolean
  readonly weights: 'positive' | 'zero' | 'any'
  readonly shares: boolean
}

const USABLE = 1 << UP
const OR_UNPROVEN = USABLE | (1 << UNPROVEN)
const OR_DRAINED = OR_UNPROVEN | (1 << DRAINED)
const ALL_BUT_FORCED = OR_DRAINED | (1 << DOWN)
const EVERYTHING = ALL_BUT_FORCED | (1 << FORCED_DOWN)

/** In the order of the walk. The last resort begins at LAST_RESORT. */
export const STAGES: readonly Stage[] = [
  { name: 'up', states: USABLE, full: true, weights: 'positive', shares: true },
  { name: 'up, shares ignored', states: USABLE, full: true, weights: 'positive', shares: false },
  { name: 'up, weight 0', states: USABLE, full: true, weights: 'zero', shares: false },
  { name: 'up, below minVips', states: USABLE, full: false, weights: 'positive', shares: false },
  { name: 'up, below minVips, weight 0', states: USABLE, full: false, weights: 'zero', shares: false },
  { name: 'unproven', states: OR_UNPROVEN, full: false, weights: 'positive', shares: false },
  { name: 'unproven, weight 0', states: OR_UNPROVEN, full: false, weights: 'zero', shares: false },
  { name: 'drained', states: OR_DRAINED, full: false, weights: 'positive', shares: false },
  { name: 'drained, weight 0', states: OR_DRAINED, full: false, weights: 'zero', shares: false },
  { name: 'last resort', states: ALL_BUT_FORCED, full: false, weights: 'positive', shares: false },
  { name: 'last resort, weight 0', states: ALL_BUT_FORCED, full: false, weights: 'zero', shares: false },
  { name: 'last resort, forced down', states: EVERYTHING, full: false, weights: 'any', shares: false },
]
const LAST_RESORT = 9
/** The last stage in which the clients of a dead first group are divided over the next sites. */
const LAST_SPILLING = 1
/** The last stage that names only what is known to be up: behind it every TTL is the least. */
export const LAST_PROVEN = 4

const ADMISSION_SALT = 0x5bd1e995

/**
 * Chooses the VIPs that a client of class `cls` is named for `type` (STEERS_A or STEERS_AAAA), into `out`.
 * `network` = networkKey() of the client; `chance` = any 32 bits, new for every query.
 */
export function select(
  service: SteeredService,
  map: ClientMap,
  cls: number,
  health: HealthTable,
  network: number,
  chance: number,
  type: number,
  out: Selection,
  trace: Trace | null,
): void {
  const entry = map.classes[cls]!
  const picks = map.groups[entry + 1]! & (PICK_HASH | PICK_RANDOM)
  const random = picks === 0 ? service.random : picks === PICK_RANDOM
  out.count = 0
  out.site = -1
  out.stage = -1
  out.useValues = false
  out.lastResort = false
  out.hashed = false
  out.calm = true
  out.ttlSeconds = service.ttlMinSeconds
  walkStages(service, map, entry, health, random ? mix(chance) : network, chance, type, out, trace)
  if (random) out.hashed = false
}

/** `draw`: the client's hash, or chance where the pick is random. */
function walkStages(
  service: SteeredService,
  map: ClientMap,
  entry: number,
  health: HealthTable,
  draw: number,
  chance: number,
  type: number,
  out: Selection,
  trace: Trace | null,
): void {
  for (let stage = 0; stage < STAGES.length; stage++) {
    if (stage === LAST_RESORT) {
      if (anyUsable(service, map, entry, health)) return
      out.lastResort = true
      if (service.lastResort === 'nodata') return
      if (service.lastResort === 'values') {
        out.useValues = true
        return
      }
    }
    const site = walkGroups(service, map, entry, health, draw, type, stage, out, trace)
    if (site < 0) continue
    out.site = site
    out.stage = stage
    if (stage <= LAST_PROVEN && out.calm) out.ttlSeconds = service.ttlMaxSeconds
    pickVips(service, health, site, type, STAGES[stage]!.states, draw, chance, out)
    return
  }
}

/** One stage over all groups: the site that it ends in, or −1. */
function walkGroups(
  service: SteeredService,
  map: ClientMap,
  entry: number,
  health: HealthTable,
  draw: number,
  type: number,
  stage: number,
  out: Selection,
  trace: Trace | null,
): number {
  const groups = map.groups
  let dead = service.spill > 1 && stage <= LAST_SPILLING
  let spilling = false
  let best = -1
  let bestScore = Infinity
  let eligible = 0
  let at = entry + 3
  for (let left = groups[entry + 2]!, number = 0; left > 0; left--, number++) {
    const size = groups[at++]!
    const end = at + (size < 0 ? -size : size)
    for (; at < end; at++) {
      const site = groups[at]!
      const found = evaluate(service, health, site, type, stage, draw)
      if ((found & CALM) === 0) out.calm = false
      if ((found & SHARED) !== 0) out.hashed = true
      if ((found & UNUSABLE) === 0) dead = false
      if (trace !== null) trace.site(stage, number, site, describe(found, spilling))
      if ((found & ELIGIBLE) === 0) continue
      eligible++
      if (end - at === 1 && eligible === 1 && !spilling && trace === null) {
        best = site // alone in its group: nothing to weigh
        break
      }
      const weight = size < 0 || spilling ? service.capacity[site]! : service.weight[site]!
      const score = rendezvous(mix(draw ^ service.siteKey[site]!), weight)
      if (trace !== null) trace.score(stage, site, score, weight)
      if (score < bestScore || best < 0) {
        best = site
        bestScore = score
      }
    }
    at = end
    // `spilling` has the groups behind compete as one, by capacity, until `spill` of their sites are eligible
    if (number === 0) spilling = dead
    if (best >= 0 && (!spilling || eligible >= service.spill)) break
  }
  if (eligible > 1) out.hashed = true
  return best
}

// evaluate() answers in bits; bit 3 is the table's calm bit, of all the site's VIPs together.
const ELIGIBLE = 1
const SHARED = 2
const CALM = 8
const NOT_ADMITTED = 16
const NO_TYPE = 32
const WRONG_WEIGHT = 64
const UNUSABLE = 128

/** Whether a site may be named at this stage, and what was consulted to know it. */
function evaluate(
  service: SteeredService,
  health: HealthTable,
  site: number,
  type: number,
  stage: number,
  draw: number,
): number {
  const rules = STAGES[stage]!
  const states = rules.states
  const first = service.firstVip[site]!
  const v6 = service.firstV6[site]!
  const end = service.firstVip[site + 1]!
  let calm = CALM
  let usable = 0
  let ofType = 0
  let share = 0
  for (let vip = first; vip < end; vip++) {
    const word = health[service.slot[vip]!]!
    calm &= word
    if (((states >>> (word & 7)) & 1) === 0) continue
    usable++
    share += shareOf(word)
    if (vip < v6 === (type === STEERS_A)) ofType++
  }
  if (usable < (rules.full ? service.minVips : 1)) return calm | UNUSABLE
  const weight = service.weight[site]!
  if (rules.weights !== 'any' && weight > 0 !== (rules.weights === 'positive')) return calm | WRONG_WEIGHT
  if (ofType === 0) return calm | NO_TYPE
  if (!rules.shares || share === usable * 1000) return calm | ELIGIBLE
  const limit = Math.floor(share / usable)
  const place = (mix(mix(draw ^ ADMISSION_SALT) ^ service.siteKey[site]!) >>> 0) % 1000
  return calm | SHARED | (place < limit ? ELIGIBLE : NOT_ADMITTED)
}

function describe(found: number, spilling: boolean): string {
  if ((found & ELIGIBLE) !== 0) return spilling ? 'eligible for what the dead first group leaves' : 'eligible'
  if ((found & NOT_ADMITTED) !== 0) return 'its share does not admit this client'
  if ((found & NO_TYPE) !== 0) return 'no usable VIP of this type'
  if ((found & WRONG_WEIGHT) !== 0) return 'passed over for its weight'
  return 'not enough usable VIPs'
}

/** Weighted rendezvous: the least wins, each in proportion to its weight (Schindelhauer and Schomaker 2005). */
function rendezvous(hash: number, weight: number): number {
  return -Math.log(((hash >>> 0) + 0.5) / 4294967296) / (weight > 0 ? weight : 1)
}

/** Is any member of the client's sites usable, whatever its type? Then a type without one is NODATA, not the last resort. */
function anyUsable(service: SteeredService, map: ClientMap, entry: number, health: HealthTable): boolean {
  const groups = map.groups
  let at = entry + 3
  for (let g = groups[entry + 2]!; g > 0; g--) {
    const size = groups[at++]!
    for (let left = size < 0 ? -size : size; left > 0; left--, at++) {
      const site = groups[at]!
      for (let vip = service.firstVip[site]!; vip < service.firstVip[site + 1]!; vip++) {
        if (((OR_DRAINED >>> (health[service.slot[vip]!]! & 7)) & 1) !== 0) return true
      }
    }
  }
  return false
}

const candidates = new Int32Array(256)
const keys = new Float64Array(256)

/** The site's usable VIPs of the type: at most `answers`, by hash where some must stay out, rotated by chance. */
function pickVips(
  service: SteeredService,
  health: HealthTable,
  site: number,
  type: number,
  states: number,
  draw: number,
  chance: number,
  out: Selection,
): void {
  const end = type === STEERS_AAAA ? service.firstVip[site + 1]! : service.firstV6[site]!
  let vip = type === STEERS_AAAA ? service.firstV6[site]! : service.firstVip[site]!
  let found = 0
  for (; vip < end && found < candidates.length; vip++) {
    if (((states >>> (health[service.slot[vip]!]! & 7)) & 1) !== 0) candidates[found++] = vip
  }
  if (service.vipWeight !== null) found = withoutWeightless(service.vipWeight, found)
  const count = found < service.answers ? found : service.answers
  if (found > count) {
    keepLeast(service, found, count, draw)
    out.hashed = true
  }
  const turn = count > 1 ? (chance >>> 0) % count : 0
  for (let i = 0; i < count; i++) out.vips[i] = candidates[i + turn < count ? i + turn : i + turn - count]!
  out.count = count
}

/** Moves the candidates with a weight to the front and returns their number; without any, all stay. */
function withoutWeightless(weight: Int32Array, found: number): number {
  let kept = 0
  for (let i = 0; i < found; i++) if (weight[candidates[i]!]! > 0) candidates[kept++] = candidates[i]!
  return kept > 0 ? kept : found
}

/** Moves the `count` candidates with the least keys to the front, in the order of their keys: each by its weight. */
function keepLeast(service: SteeredService, found: number, count: number, draw: number): void {
  for (let i = 0; i < found; i++) {
    const vip = candidates[i]!
    const hash = mix(draw ^ service.vipKey[vip]!)
    // alike, they need no logarithm; the order is that of equal weights, so that a weight that is written moves no more than it must
    keys[i] = service.vipWeight === null ? -(hash >>> 0) : rendezvous(hash, service.vipWeight[vip]!)
  }
  for (let i = 0; i < count; i++) {
    let least = i
    for (let j = i + 1; j < found; j++) if (keys[j]! < keys[least]!) least = j
    const key = keys[i]!
    const vip = candidates[i]!
    keys[i] = keys[least]!
    candidates[i] = candidates[least]!
    keys[least] = key
    candidates[least] = vip
  }
}

/** Whether a class is fenced: its own sites and no others. */
export const isFence = (map: ClientMap, cls: number): boolean => (map.groups[map.classes[cls]! + 1]! & FENCE) !== 0
