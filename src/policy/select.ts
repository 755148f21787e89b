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
import { DOWN, DRAINED, FORCED_DOWN, UNPROVEN, UP, type HealthTable } from '../health/table.ts'
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
  /** The first group is dead, and its clients are divided over the next sites. */
  spilling: boolean
  /** Of a stage that found nothing: the next that will, and the first group in which it will, its number and its first int. */
  next: number
  nextNumber: number
  nextAt: number
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
  spilling: false,
  next: 0,
  nextNumber: 0,
  nextAt: 0,
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
  const first = entry + 3
  // `explain` hears of every stage
  const down = trace === null && service.word >= 0 ? health[service.word]! & service.types : 0
  let allDown = down === service.types
  // the other type has something up, and all but fences name every site
  if (!allDown && (down & type) !== 0 && (map.groups[entry + 1]! & FENCE) === 0) return
  let retries = RETRIES
  for (let stage = allDown ? LAST_RESORT : 0, from = first, number = 0; stage < STAGES.length;) {
    let again = false
    if (stage >= LAST_RESORT && !out.lastResort) {
      const usable = allDown ? 0 : usableTypes(service, map, entry, health)
      if (usable !== 0 && (usable & type) === 0) return
      if (usable === 0) {
        out.lastResort = true
        if (service.lastResort === 'nodata') return
        if (service.lastResort === 'values') {
          out.useValues = true
          return
        }
      }
      // no last resort while something is up that was not when it was looked for
      again = usable !== 0
    }
    const site = again ? -1 : walkGroups(service, map, entry, from, number, health, draw, type, stage, out, trace)
    if (site >= 0) {
      out.site = site
      out.stage = stage
      if (stage <= LAST_PROVEN && out.calm) out.ttlSeconds = service.ttlMaxSeconds
      pickVips(service, health, site, type, STAGES[stage]!.states, draw, chance, out)
      if (out.count > 0) return
      again = true // its VIPs changed since
    }
    if (again && retries-- > 0) {
      allDown = out.lastResort = false
      ;[stage, from, number] = [0, first, 0]
      continue
    }
    // a walk over all groups tells which stage will find something, and in which group first; `explain` hears of all stages
    const skips = trace === null && from === first && !again
    const within = skips && out.next < STAGES.length
    from = within ? out.nextAt : first
    number = within ? out.nextNumber : 0
    if (!skips) stage++
    else stage = out.next < STAGES.length ? out.next : Math.max(stage + 1, LAST_RESORT)
  }
}

/** How often a walk is begun again that members' changes have overtaken; there are some a second, a walk takes microseconds. */
const RETRIES = 3

/** One stage over the groups from group `first` on, which is at `from`: the site that it ends in, or −1. */
function walkGroups(
  service: SteeredService,
  map: ClientMap,
  entry: number,
  from: number,
  first: number,
  health: HealthTable,
  draw: number,
  type: number,
  stage: number,
  out: Selection,
  trace: Trace | null,
): number {
  const { groups } = map
  const { slot, firstVip, firstV6, weight, siteKey } = service
  const rules = STAGES[stage]!
  const { states } = rules
  const needed = rules.full ? service.minVips : 1
  const anyWeight = rules.weights === 'any'
  const positive = rules.weights === 'positive'
  const plain = trace === null
  let dead = first === 0 && service.spill > 1 && stage <= LAST_SPILLING
  let spilling = first > 0 && stage <= LAST_SPILLING && out.spilling
  let best = -1
  let bestScore = Infinity
  let eligible = 0
  let told = CALM
  let next = STAGES.length
  let nextAt = from
  let nextNumber = first
  let at = from
  for (let number = first; number < groups[entry + 2]!; number++) {
    const start = at
    const size = groups[at++]!
    const end = at + (size < 0 ? -size : size)
    let lacking = true // nothing of the type in these states
    for (; at < end; at++) {
      const site = groups[at]!
      let usable = 0
      let missing = 0
      let four = 0
      let six = 0
      let vip = firstVip[site]!
      for (const endV4 = firstV6[site]!; vip < endV4; vip++) {
        const word = health[slot[vip]!]!
        const counts = (states >>> (word & 7)) & 1
        told &= word
        usable += counts
        missing += ((word >>> 4) & 1023) * counts
        four |= 1 << (word & 7)
      }
      for (const endV6 = firstVip[site + 1]!; vip < endV6; vip++) {
        const word = health[slot[vip]!]!
        const counts = (states >>> (word & 7)) & 1
        told &= word
        usable += counts
        missing += ((word >>> 4) & 1023) * counts
        six |= 1 << (word & 7)
      }
      const typed = type === STEERS_A ? four : six
      if ((typed & states) !== 0) lacking = false
      const fits = anyWeight || weight[site]! > 0 === positive
      let found = ELIGIBLE
      if (usable < needed) found = UNUSABLE
      else if (!fits) found = WRONG_WEIGHT
      else if ((typed & states) === 0) found = NO_TYPE
      else if (missing > 0 && rules.shares) found = admit(usable, missing, draw, siteKey[site]!)
      if ((found & UNUSABLE) === 0) dead = false
      if ((found & SHARED) !== 0) out.hashed = true
      if (!plain) trace.site(stage, number, site, describe(found, spilling))
      if ((found & ELIGIBLE) === 0) {
        const later = nextStage(found, typed, stage, weight[site]!)
        if (later < next) {
          next = later
          nextAt = start
          nextNumber = number
        }
        continue
      }
      eligible++
      if (end - at === 1 && eligible === 1 && !spilling && plain) {
        best = site // alone in its group: nothing to weigh
        break
      }
      const share = size < 0 || spilling ? service.capacity[site]! : weight[site]!
      const hash = mix(draw ^ siteKey[site]!)
      if (plain && leastScore(hash, share) >= bestScore) continue
      const score = rendezvous(hash, share)
      if (!plain) trace.score(stage, site, score, share)
      if (score < bestScore || best < 0) {
        best = site
        bestScore = score
      }
    }
    at = end
    // `spilling` has the groups behind compete as one, by capacity, until `spill` of their sites are eligible
    if (number === 0) spilling = out.spilling = dead
    if (best >= 0 && (!spilling || eligible >= service.spill)) break
    if (plain && best < 0 && lacking) {
      number = skipGroups(service, groups, at, number + 1, groups[entry + 2]!, health, type, states) - 1
      at = skipped.at
      told &= skipped.told
      if (skipped.next < next) {
        next = skipped.next
        nextAt = skipped.nextAt
        nextNumber = skipped.nextNumber
      }
    }
  }
  if ((told & CALM) === 0) out.calm = false
  if (eligible > 1) out.hashed = true
  out.next = next > stage ? next : stage + 1
  out.nextAt = nextAt
  out.nextNumber = nextNumber
  return best
}

/** What skipGroups() found beside the group it returns. */
const skipped = { at: 0, told: 0, next: 0, nextAt: 0, nextNumber: 0 }

/** A long walk is over sites that are down: the number of the next group, from `first` on, with a VIP of the type in these states. */
function skipGroups(
  service: SteeredService,
  groups: Int32Array,
  from: number,
  first: number,
  end: number,
  health: HealthTable,
  type: number,
  states: number,
): number {
  const { slot, firstVip, firstV6, weight } = service
  const four = type === STEERS_A
  let told = CALM
  let next = STAGES.length
  let nextAt = from
  let nextNumber = first
  let number = first
  let start = from
  for (; number < end; number++) {
    const size = groups[start]!
    const behind = start + 1 + (size < 0 ? -size : size)
    for (let at = start + 1; at < behind; at++) {
      const site = groups[at]!
      const v6 = firstV6[site]!
      const last = firstVip[site + 1]!
      let vip = four ? firstVip[site]! : v6
      let endVip = four ? v6 : last
      let typed = 0
      for (; vip < endVip; vip++) {
        const word = health[slot[vip]!]!
        told &= word
        typed |= 1 << (word & 7)
      }
      if ((typed & states) !== 0) {
        end = -1
        break
      }
      vip = four ? v6 : firstVip[site]!
      endVip = four ? last : v6
      for (; vip < endVip; vip++) told &= health[slot[vip]!]!
      const later = FIRST_STAGE[(typed << 1) | (weight[site]! > 0 ? 1 : 0)]!
      if (later < next) {
        next = later
        nextAt = start
        nextNumber = number
      }
    }
    if (end < 0) break
    start = behind
  }
  skipped.at = start
  skipped.told = told
  skipped.next = next
  skipped.nextAt = nextAt
  skipped.nextNumber = nextNumber
  return number
}

// What a site is at a stage, in bits.
const ELIGIBLE = 1
/** A share below 1000 was consulted. */
const SHARED = 2
/** The table's calm bit. */
const CALM = 8
const NOT_ADMITTED = 16
const NO_TYPE = 32
const WRONG_WEIGHT = 64
const UNUSABLE = 128

/** A site whose usable VIPs together miss some of their 1000 each takes the like of that of the clients' networks. */
function admit(usable: number, missing: number, draw: number, siteKey: number): number {
  if (missing === usable * 1000) return SHARED | NOT_ADMITTED
  const limit = Math.floor((usable * 1000 - missing) / usable)
  const place = (mix(mix(draw ^ ADMISSION_SALT) ^ siteKey) >>> 0) % 1000
  return SHARED | (place < limit ? ELIGIBLE : NOT_ADMITTED)
}

/** The first stage behind `stage` at which a site that is not eligible there may be. `typed`: states of its VIPs of the type, one bit each. */
function nextStage(found: number, typed: number, stage: number, weight: number): number {
  if ((found & NOT_ADMITTED) !== 0) return stage + 1
  // it has enough VIPs up for `minVips`, but no weight
  if ((found & WRONG_WEIGHT) !== 0 && stage < WEIGHT_0 && (typed & USABLE) !== 0) return WEIGHT_0
  return FIRST_STAGE[(typed << 1) | (weight > 0 ? 1 : 0)]!
}

/** The stage of sites without weight that have `minVips`. */
const WEIGHT_0 = 2

/** By the states of a site's VIPs of the type, and whether it has a weight: the first stage at which one VIP is enough. */
const FIRST_STAGE = Uint8Array.from({ length: 2 ** 9 }, (_, i) => {
  const weights = (i & 1) === 1 ? 'positive' : 'zero'
  const stage = STAGES.findIndex(
    (rules) =>
      !rules.full && (rules.weights === 'any' || rules.weights === weights) && (rules.states & (i >>> 1)) !== 0,
  )
  return stage < 0 ? STAGES.length : stage
})

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

/** What rendezvous() is at least, without a logarithm: −ln u > 1 − u. */
function leastScore(hash: number, weight: number): number {
  return (1 - ((hash >>> 0) + 0.5) / 4294967296) / (weight > 0 ? weight : 1)
}

/** Types of which a member of the client's sites is usable. While there is any, a type without one is NODATA, not the last resort. */
function usableTypes(service: SteeredService, map: ClientMap, entry: number, health: HealthTable): number {
  const { groups } = map
  let types = 0
  let at = entry + 3
  for (let left = groups[entry + 2]!; left > 0; left--) {
    const size = groups[at++]!
    for (const end = at + (size < 0 ? -size : size); at < end; at++) {
      const site = groups[at]!
      const v6 = service.firstV6[site]!
      const endVip = service.firstVip[site + 1]!
      for (let vip = service.firstVip[site]!; vip < endVip; vip++) {
        if (((OR_DRAINED >>> (health[service.slot[vip]!]! & 7)) & 1) !== 0) types |= vip < v6 ? STEERS_A : STEERS_AAAA
      }
    }
  }
  return types
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
  const { vipKey, vipWeight } = service
  let kept = 0
  for (let i = 0; i < found; i++) {
    const vip = candidates[i]!
    const hash = mix(draw ^ vipKey[vip]!)
    const most = kept < count ? Infinity : keys[count - 1]!
    // alike, they need no logarithm; the order is that of equal weights, so that a weight that is written moves no more than it must
    if (vipWeight !== null && leastScore(hash, vipWeight[vip]!) >= most) continue
    const key = vipWeight === null ? -(hash >>> 0) : rendezvous(hash, vipWeight[vip]!)
    if (key >= most) continue
    let place = kept < count ? kept++ : count - 1
    for (; place > 0 && keys[place - 1]! > key; place--) {
      keys[place] = keys[place - 1]!
      candidates[place] = candidates[place - 1]!
    }
    keys[place] = key
    candidates[place] = vip
  }
}

/** Whether a class is fenced: its own sites and no others. */
export const isFence = (map: ClientMap, cls: number): boolean => (map.groups[map.classes[cls]! + 1]! & FENCE) !== 0
