/**
 * WHICH VIPS TO NAME: select() walks over the groups of a class and ends with the VIPs of one answer. Queries and
 * `explain` use the same function; `explain` only adds a trace. It is pure: health, the hash of the client and chance
 * are arguments.
 *
 *   stages     groups     sites of a group        VIPs of the site
 *   ┌ up, admitting ─▶ 1st ─▶ 2nd ─▶ …  eligible? ─▶ rendezvous ─▶ usable of the type, `answers` of them, rotated
 *   ├ up, shares ignored ─▶ …          both: if none of the 1st is usable, the next `spill` sites compete by capacity
 *   ├ weight 0 · below minVips · recovered · unproven · drained
 *   └ last resort: NODATA while the other type has something usable, else as the service says
 *
 * judge() works out from the members' health words at which stages each site may be named (Eligibility). That result is
 * used until the service's own word shows that a member has changed. So a query reads two ints for each site, and
 * visits only stages at which a site may be named.
 */
import { ANSWER_STAGES, type AnswerStage } from '../counters.ts'
import { mix } from '../hash.ts'
import { DOWN, DRAINED, FORCED_DOWN, RECOVERED, UNPROVEN, UNWATCHED, UP, type HealthTable } from '../health/table.ts'
import { STEERS_A, STEERS_AAAA } from '../zone/pack.ts'
import { FENCE, PICK_HASH, PICK_RANDOM, type ClientMap } from './map.ts'
import type { SteeredService } from './service.ts'

/** Most addresses of one answer. */
export const MAX_ANSWERS = 8

/** Input and result of select(): one object for each thread, used again for every query. */
export interface Selection {
  /** Input: the client's class in the map. */
  class: number
  /** Input: networkKey() of the client. */
  network: number
  /** Input: any 32 bits, new for every query. */
  chance: number
  /** Input: STEERS_A or STEERS_AAAA. */
  type: number
  /** Input: null, except for `explain`. */
  trace: Trace | null
  /** What the walk hashes with each site: the network, or, where the pick is random, chance. */
  draw: number
  /** VIP numbers in the order of the answer. */
  readonly vips: Int32Array
  count: number
  /** The site that is named; −1 = none. */
  site: number
  /** Index into STAGES of the stage that found it; −1 = none did. */
  stage: number
  /** Index into ANSWER_STAGES: as what the answer is counted. */
  counted: number
  /** The service's `values` are the answer. */
  useValues: boolean
  /** Nothing is up, and the service's `lastResort` decided. */
  lastResort: boolean
  ttlSeconds: number
  /** A hash of the client's network was used: the answer is valid for its /24 or /56 at most. */
  hashed: boolean
  /** Every member consulted so far is calm: its health has not changed for `ttl.settle`. */
  calm: boolean
  /** The first group is dead, and the next sites share its clients. */
  spilling: boolean
  /** The stages at which any of the consulted sites may be named, as bits. */
  seen: number
}

/** A Selection whose inputs are to be set. */
export const makeSelection = (): Selection => ({
  class: 0,
  network: 0,
  chance: 0,
  type: STEERS_A,
  trace: null,
  draw: 0,
  vips: new Int32Array(MAX_ANSWERS),
  count: 0,
  site: -1,
  stage: -1,
  counted: 0,
  useValues: false,
  lastResort: false,
  ttlSeconds: 0,
  hashed: false,
  calm: true,
  spilling: false,
  seen: 0,
})

/** The callbacks by which `explain` follows the walk; queries pass null. */
export interface Trace {
  /** A site was consulted; called in the order of the walk. */
  site(stage: number, group: number, site: number, verdict: string): void
  /**
   * The score of an eligible site in the rendezvous of its group, or of the sites that share a dead group's clients;
   * the least wins.
   */
  score(stage: number, site: number, score: number, weight: number): void
}

/** The conditions under which a site may be named. */
interface Stage {
  readonly name: string
  /** As what its answers are counted; `nearest` is `spill` if the site is not of the first group. */
  readonly as: AnswerStage
  /** The health states that count as usable, one bit each. */
  readonly states: number
  /** A site needs `minVips` usable VIPs; else one is enough. */
  readonly full: boolean
  readonly weights: 'positive' | 'zero' | 'any'
  readonly shares: boolean
}

const USABLE = 1 << UP
const OR_RECOVERED = USABLE | (1 << RECOVERED)
const OR_UNPROVEN = OR_RECOVERED | (1 << UNPROVEN)
const OR_DRAINED = OR_UNPROVEN | (1 << DRAINED)
const ALL_BUT_FORCED = OR_DRAINED | (1 << DOWN)
const EVERYTHING = ALL_BUT_FORCED | (1 << FORCED_DOWN)

/** The stages, in the order of the walk. The last resort begins at LAST_RESORT. */
export const STAGES: readonly Stage[] = [
  { name: 'up', as: 'nearest', states: USABLE, full: true, weights: 'positive', shares: true },
  { name: 'up, shares ignored', as: 'nearest', states: USABLE, full: true, weights: 'positive', shares: false },
  { name: 'up, weight 0', as: 'weight 0', states: USABLE, full: true, weights: 'zero', shares: false },
  { name: 'up, below minVips', as: 'below minVips', states: USABLE, full: false, weights: 'positive', shares: false },
  {
    name: 'up, below minVips, weight 0',
    as: 'below minVips',
    states: USABLE,
    full: false,
    weights: 'zero',
    shares: false,
  },
  { name: 'recovered', as: 'recovered', states: OR_RECOVERED, full: false, weights: 'positive', shares: false },
  { name: 'recovered, weight 0', as: 'recovered', states: OR_RECOVERED, full: false, weights: 'zero', shares: false },
  { name: 'unproven', as: 'unproven', states: OR_UNPROVEN, full: false, weights: 'positive', shares: false },
  { name: 'unproven, weight 0', as: 'unproven', states: OR_UNPROVEN, full: false, weights: 'zero', shares: false },
  { name: 'drained', as: 'drained', states: OR_DRAINED, full: false, weights: 'positive', shares: false },
  { name: 'drained, weight 0', as: 'drained', states: OR_DRAINED, full: false, weights: 'zero', shares: false },
  { name: 'last resort', as: 'last resort', states: ALL_BUT_FORCED, full: false, weights: 'positive', shares: false },
  {
    name: 'last resort, weight 0',
    as: 'last resort',
    states: ALL_BUT_FORCED,
    full: false,
    weights: 'zero',
    shares: false,
  },
  {
    name: 'last resort, forced down',
    as: 'last resort',
    states: EVERYTHING,
    full: false,
    weights: 'any',
    shares: false,
  },
]
const LAST_RESORT = 11
/** The last stage at which the next sites share the clients of a dead first group. */
const LAST_SPILLING = 1
/** The last stage that names only members known to be up, and not passed over: after it every answer has the TTL `ttl.min`. */
export const LAST_PROVEN = 4

/** By stage: the index in ANSWER_STAGES as which answers are counted that name a site of the first group, and of another. */
const COUNTED = Uint8Array.from(STAGES, ({ as }) => ANSWER_STAGES.indexOf(as))
const COUNTED_LATER = Uint8Array.from(STAGES, ({ as }) => ANSWER_STAGES.indexOf(as === 'nearest' ? 'spill' : as))
const RESORT = ANSWER_STAGES.indexOf('last resort')

/** Mixed into the hash by which a ramping-up site admits only a share of the clients' networks. */
const ADMISSION_SALT = 0x5bd1e995

/**
 * Chooses the VIPs of one answer: reads the inputs of `selection` and writes the results to it. `map`: the service's.
 */
export function select(service: SteeredService, map: ClientMap, health: HealthTable, selection: Selection): void {
  const entry = map.classes[selection.class]!
  const picks = map.groups[entry + 1]! & (PICK_HASH | PICK_RANDOM)
  const random = picks === 0 ? service.random : picks === PICK_RANDOM
  selection.draw = random ? mix(selection.chance) : selection.network
  selection.count = 0
  selection.site = -1
  selection.stage = -1
  selection.counted = RESORT // without a site
  selection.useValues = false
  selection.lastResort = false
  selection.hashed = false
  selection.calm = true
  selection.ttlSeconds = service.ttlMinSeconds
  walkStages(service, map, health, entry, selection)
  if (random) selection.hashed = false
}

function walkStages(service: SteeredService, map: ClientMap, health: HealthTable, entry: number, out: Selection): void {
  const { type } = out
  const { eligibility } = service
  const plain = out.trace === null
  const own = type === STEERS_A ? 0 : FAMILY_SHIFT
  // every class names all sites of the service, unless it is a fence
  const fenced = (map.groups[entry + 1]! & FENCE) !== 0
  if (!plain || !isKept(service, health)) judge(service, health, plain)
  let retries = plain ? RETRIES : 0
  let stage = 0
  out.seen = 0
  if (plain && !fenced) {
    out.seen = eligibility.seen
    stage = nextStage(out.seen >>> own, 0)
    if (stage > 0 && !eligibility.calm) out.calm = false
  }
  while (stage < STAGES.length) {
    let again = false
    if (stage >= LAST_RESORT && !out.lastResort) {
      const usable = usableTypes(out.seen)
      if (usable !== 0) return // a site of the other type is usable: NODATA
      // a member may have come up while the sites were judged: judge again before the last resort answers
      again = !eligibility.whole && retries > 0
      if (!again) {
        out.lastResort = true
        if (service.lastResort === 'nodata') return
        if (service.lastResort === 'values') {
          out.useValues = true
          return
        }
      }
    }
    const site = again ? -1 : walkGroups(service, map, health, entry, stage, out)
    if (site >= 0) {
      out.site = site
      out.stage = stage
      if (stage <= LAST_PROVEN && out.calm) out.ttlSeconds = service.ttlMaxSeconds
      pickVips(service, health, site, STAGES[stage]!.states, out)
      if (out.count > 0) return
      again = true // its VIPs have changed since it was judged
    }
    if (again && retries-- > 0) {
      judge(service, health, plain)
      out.lastResort = false
      out.seen = 0
      stage = 0
    } else stage = plain ? nextStage(out.seen >>> own, stage + 1) : stage + 1 // `explain` visits all stages
  }
}

/**
 * How often a walk starts again because a member changed meanwhile. Members change a few times a second; a walk takes
 * µs.
 */
const RETRIES = 3

/** The first stage, from `first` on, at which any of these sites may be named; LAST_RESORT is never skipped. */
function nextStage(seen: number, first: number): number {
  const later = seen & ((1 << STAGES.length) - 1) & (-1 << first)
  const stage = later === 0 ? STAGES.length : 31 - Math.clz32(later & -later)
  return first <= LAST_RESORT && stage > LAST_RESORT ? LAST_RESORT : stage
}

/**
 * The types (bits STEERS_*) of which any site is usable. While one is, a type without a usable site is answered NODATA.
 */
const usableTypes = (seen: number): number =>
  ((seen & DRAINED_OR_BETTER) !== 0 ? STEERS_A : 0) |
  ((seen & (DRAINED_OR_BETTER << FAMILY_SHIFT)) !== 0 ? STEERS_AAAA : 0)

// The bits of a site: the stages at which it may be named for A; from FAMILY_SHIFT on those for AAAA; then IS_*.
const FAMILY_SHIFT = 14
/** The stages at which a site is named that is drained, or better. */
const DRAINED_OR_BETTER = (1 << 9) | (1 << 10)
/** All its members are calm. */
const IS_CALM = 1 << 28
/** `minVips` of its members are up. */
const IS_FULL = 1 << 29
/** Its members that are up have their full share. */
const IS_WHOLE = 1 << 30

/**
 * A site's stages, by index: bit 0 = it has weight, bit 1 = it has `minVips`, above them the states of its VIPs of a
 * type.
 */
const STAGES_OF = Int32Array.from({ length: 2 ** 8 }, (_, i) => {
  const [weighty, full, states] = [(i & 1) !== 0, (i & 2) !== 0, i >> 2]
  return STAGES.reduce((bits, rules, stage) => {
    const fits = rules.weights === 'any' || (rules.weights === 'positive') === weighty
    return fits && (full || !rules.full) && (rules.states & states) !== 0 ? bits | (1 << stage) : bits
  }, 0)
})

/** Whether the Eligibility is still valid: no member's word has changed since. */
const isKept = ({ eligibility, word }: SteeredService, health: HealthTable): boolean =>
  word >= 0 && eligibility.version === health[word] && eligibility.health === health

/** Computes the Eligibility of a service from its members' health words. `keep`: use it until one of them changes. */
function judge(service: SteeredService, health: HealthTable, keep: boolean): void {
  const { eligibility, slot, firstVip, firstV6, weight, minVips, word: own } = service
  const { sites, limits } = eligibility
  const version = own >= 0 ? health[own]! : 0
  let seen = 0
  let calm = IS_CALM
  let vip = 0
  for (let site = 0; site < sites.length; site++) {
    let told = IS_CALM
    let up = 0
    let missing = 0
    let four = 0
    let six = 0
    for (const end = firstVip[site + 1]!, v6 = firstV6[site]!; vip < end; vip++) {
      const word = health[slot[vip]!]!
      const state = 1 << (word & 7)
      if (vip < v6) four |= state
      else six |= state
      if ((word & CALM) === 0) told = 0
      if (state !== USABLE) continue
      up++
      missing += (word >>> 4) & 1023
    }
    const fits = (weight[site]! > 0 ? 1 : 0) | (up >= minVips ? 2 : 0)
    let stages = STAGES_OF[(four << 2) | fits]! | (STAGES_OF[(six << 2) | fits]! << FAMILY_SHIFT)
    const limit = missing === 0 ? 1000 : Math.floor((up * 1000 - missing) / up)
    // a site that admits no client may only be named at the stage that ignores shares
    if (limit === 0) stages &= ~(1 | (1 << FAMILY_SHIFT))
    sites[site] = stages | told | (up >= minVips ? IS_FULL : 0) | (missing === 0 ? IS_WHOLE : 0)
    limits[site] = limit
    seen |= stages
    calm &= told
  }
  eligibility.seen = seen
  eligibility.calm = calm !== 0
  eligibility.whole = own >= 0 && health[own] === version
  eligibility.version = keep && eligibility.whole && version !== UNWATCHED ? version : NaN
  eligibility.health = health
}

/** Walks over the groups at one stage. Returns the site that is named, or −1. */
function walkGroups(
  service: SteeredService,
  map: ClientMap,
  health: HealthTable,
  entry: number,
  stage: number,
  out: Selection,
): number {
  const { draw, type, trace } = out
  const { groups } = map
  const { eligibility, weight, capacity, siteKey } = service
  const { sites } = eligibility
  const fit = 1 << (type === STEERS_A ? stage : stage + FAMILY_SHIFT)
  const { shares } = STAGES[stage]!
  const plain = trace === null
  let dead = service.spill > 1 && stage <= LAST_SPILLING
  let spilling = false
  let best = -1
  let bestScore = Infinity
  let eligible = 0
  let seen = 0
  let told = IS_CALM
  let admission: number | undefined
  let at = entry + 3
  let number = 0
  for (; number < groups[entry + 2]!; number++) {
    const size = groups[at++]!
    const end = at + (size < 0 ? -size : size)
    for (; at < end; at++) {
      const site = groups[at]!
      const is = sites[site]!
      seen |= is
      told &= is
      if ((is & IS_FULL) !== 0) dead = false
      let admitted = true
      const share = size < 0 || spilling ? capacity[site]! : weight[site]!
      if (shares && (is & IS_WHOLE) === 0 && (is & fit) !== 0) {
        out.hashed = true
        // one that loses anyway need not be asked whether it admits the client; only spilling counts the eligible
        const counts = !plain || dead || spilling
        if (!counts && best >= 0 && leastScore(mix(draw ^ siteKey[site]!), share) >= bestScore) continue
        if (admission === undefined) admission = mix(draw ^ ADMISSION_SALT)
        admitted = (mix(admission ^ siteKey[site]!) >>> 0) % 1000 < eligibility.limits[site]!
      }
      if (!plain) trace.site(stage, number, site, describe(service, site, health, stage, fit, admitted, spilling))
      if ((is & fit) === 0 || !admitted) continue
      eligible++
      if (end - at === 1 && eligible === 1 && !spilling && plain) {
        best = site // the only one in its group: no score needed
        break
      }
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
    // while spilling, the following groups compete as one, by capacity, until `spill` of their sites are eligible
    if (number === 0) spilling = out.spilling = dead
    if (best >= 0 && (!spilling || eligible >= service.spill)) break
  }
  if (told === 0) out.calm = false
  if (eligible > 1) out.hashed = true
  if (best >= 0) out.counted = number === 0 ? COUNTED[stage]! : COUNTED_LATER[stage]!
  out.seen |= seen
  return best
}

/** The calm bit of a health word; see health/table.ts. */
const CALM = 8

/** For the trace: why a site is eligible at a stage or not. `fit`: the stage's bit. */
function describe(
  { slot, firstVip, weight, minVips, eligibility }: SteeredService,
  site: number,
  health: HealthTable,
  stage: number,
  fit: number,
  admitted: boolean,
  spilling: boolean,
): string {
  const is = eligibility.sites[site]!
  const shareless = stage === 0 && (is & fit) === 0 && (is & (fit << 1)) !== 0
  if (!admitted || shareless) return 'its share does not admit this client'
  if ((is & fit) !== 0) return spilling ? 'eligible for what the dead first group leaves' : 'eligible'
  const { states, full, weights } = STAGES[stage]!
  let usable = 0
  for (let vip = firstVip[site]!; vip < firstVip[site + 1]!; vip++) {
    usable += (states >>> (health[slot[vip]!]! & 7)) & 1
  }
  if (usable < (full ? minVips : 1)) return 'not enough usable VIPs'
  const weighs = weights === 'any' || weight[site]! > 0 === (weights === 'positive')
  return weighs ? 'no usable VIP of this type' : 'passed over for its weight'
}

/**
 * Score in a weighted rendezvous hash: the least wins, with a probability proportional to weight (Schindelhauer 2005).
 */
function rendezvous(hash: number, weight: number): number {
  return -Math.log(((hash >>> 0) + 0.5) / 4294967296) / (weight > 0 ? weight : 1)
}

/** A lower bound of rendezvous() that needs no logarithm: −ln u > 1 − u. */
function leastScore(hash: number, weight: number): number {
  return (1 - ((hash >>> 0) + 0.5) / 4294967296) / (weight > 0 ? weight : 1)
}

const candidates = new Int32Array(256)
const keys = new Float64Array(256)

/**
 * Writes the site's usable VIPs of the type: at most `answers`, chosen by hash if there are more, rotated by chance.
 */
function pickVips(service: SteeredService, health: HealthTable, site: number, states: number, out: Selection): void {
  const { draw, type, chance } = out
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

/** Keeps the candidates whose weight is above 0, or all if none has one; returns their number. */
function withoutWeightless(weight: Int32Array, found: number): number {
  let kept = 0
  for (let i = 0; i < found; i++) if (weight[candidates[i]!]! > 0) candidates[kept++] = candidates[i]!
  return kept > 0 ? kept : found
}

/**
 * Moves the `count` candidates with the least keys to the front, sorted by key. Keys are weighted rendezvous scores.
 */
function keepLeast(service: SteeredService, found: number, count: number, draw: number): void {
  const { vipKey, vipWeight } = service
  let kept = 0
  for (let i = 0; i < found; i++) {
    const vip = candidates[i]!
    const hash = mix(draw ^ vipKey[vip]!)
    const most = kept < count ? Infinity : keys[count - 1]!
    // equal weights need no logarithm; both keys order equal weights alike, so that writing a weight moves the fewest
    // clients
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

/** Whether a class is a fence: its clients get its own sites and no others. */
export const isFence = (map: ClientMap, cls: number): boolean => (map.groups[map.classes[cls]! + 1]! & FENCE) !== 0
