/**
 * WHO GETS WHAT SHARE: how the clients of a class are divided over sites, and how many of them a change moves from which
 * site to which. For `plan` and the hold of a new database; queries never come here.
 *
 * Whom a class is divided over is select()'s own word: it is asked once with a trace, and what it weighs is the pool, for
 * it weighs nothing before the group, or the groups of a spill, that the walk ends in. Within a pool the pick is a weighted
 * rendezvous hash, which for a client drawn at random is a race: site i arrives after E(i) / w(i), the E independent and
 * exponential, and the first one wins. So shares are w(i) / Σ w, and a change of weights, with the same E before and after,
 * moves what racedMoves() integrates in closed form.
 */
import type { HealthTable } from '../health/table.ts'
import { PICK_HASH, PICK_RANDOM, type ClientMap } from '../policy/map.ts'
import { makeSelection, select } from '../policy/select.ts'
import type { SteeredService } from '../policy/service.ts'

/** In place of a site's number: NODATA, and the service's `lastResort: {values: …}`. */
export const NO_SITE = -1
export const RESORT_VALUES = -2

/** Whom the clients of a class are divided over. */
export interface Pool {
  /** Site numbers, each once; or one of the two above, alone. */
  readonly sites: readonly number[]
  /** Per site, above 0. */
  readonly weights: readonly number[]
  /** Each query draws anew, where otherwise a hash of the client's network decides. */
  readonly random: boolean
}

const selection = makeSelection()

/** The pool of a class. All VIPs of `health` have their full share: what a ramp does passes. */
export function poolOf(service: SteeredService, map: ClientMap, cls: number, health: HealthTable, type: number): Pool {
  const sites: number[] = []
  const weights: number[] = []
  selection.class = cls
  selection.type = type
  selection.trace = {
    site: () => {},
    score(_stage, site, _score, weight) {
      sites.push(site)
      weights.push(weight > 0 ? weight : 1) // as the rendezvous has it
    },
  }
  select(service, map, health, selection)
  const flags = map.groups[map.classes[cls]! + 1]! & (PICK_HASH | PICK_RANDOM)
  const random = flags === 0 ? service.random : flags === PICK_RANDOM
  if (selection.site < 0) {
    return { sites: [selection.useValues ? RESORT_VALUES : NO_SITE], weights: [1], random: false }
  }
  return { sites, weights, random }
}

/** Shares of a pool's sites, in its order: their sum is 1. */
export function sharesOf({ weights }: Pool): number[] {
  const sum = weights.reduce((total, weight) => total + weight, 0)
  return weights.map((weight) => weight / sum)
}

export interface Move {
  readonly from: number
  readonly to: number
  /** Of the clients of both pools; above 0. */
  readonly share: number
}

/**
 * Which share of the clients goes from which site to which other one when the first pool becomes the second. Sites of both
 * are numbered alike. `sameKeys`: the same service's hashes decide before and after; else the picks have nothing to do
 * with each other. Of random draws on both sides only what must change counts: half the sum of the shares' differences.
 */
export function movesBetween(before: Pool, after: Pool, sameKeys: boolean): readonly Move[] {
  if (before.random && after.random) return leastMoves(before, after)
  if (sameKeys && !before.random && !after.random) return racedMoves(before, after)
  // a client of one hash under another, or under a draw: its old site says nothing of the new one
  const [p, q] = [sharesOf(before), sharesOf(after)]
  return before.sites.flatMap((from, i) =>
    after.sites.flatMap((to, j) => (from === to ? [] : [{ from, to, share: p[i]! * q[j]! }])),
  )
}

/** The surplus of those that lose goes to those that gain, in proportion. */
function leastMoves(before: Pool, after: Pool): readonly Move[] {
  const [p, q] = [sharesOf(before), sharesOf(after)]
  const gain = new Map(after.sites.map((site, j) => [site, q[j]!]))
  for (const [i, site] of before.sites.entries()) gain.set(site, (gain.get(site) ?? 0) - p[i]!)
  const winners = [...gain].filter(([, by]) => by > EPSILON)
  const total = winners.reduce((sum, [, by]) => sum + by, 0)
  return [...gain].flatMap(([from, by]) =>
    by >= -EPSILON ? [] : winners.map(([to, won]) => ({ from, to, share: (-by * won) / total })),
  )
}

/** Less than this is rounding. */
const EPSILON = 1e-12

/** Weights before and after of one site among those of either pool; 0 = not in it. */
interface Racer {
  readonly site: number
  readonly before: number
  readonly after: number
}

/**
 * P(i before, j after), i ≠ j. With r = E(j) / E(i): i wins before and j after while r lies between before(j) / before(i) and
 * after(j) / after(i), and every other k has E(k) / E(i) above max(before(k) / before(i), r · after(k) / after(j)); so it is
 * ∫ dr / (1 + r + Σ max(…))², the sum of pieces on each of which the denominator is (A + r·B)².
 */
function racedMoves(before: Pool, after: Pool): readonly Move[] {
  const racers: Racer[] = before.sites.map((site, i) => {
    const j = after.sites.indexOf(site)
    return { site, before: before.weights[i]!, after: j < 0 ? 0 : after.weights[j]! }
  })
  for (const [j, site] of after.sites.entries()) {
    if (!before.sites.includes(site)) racers.push({ site, before: 0, after: after.weights[j]! })
  }
  return racers.flatMap((i) =>
    racers.flatMap((j) => {
      if (i === j || i.before === 0 || j.after === 0) return []
      const share = overtaken(i, j, racers)
      return share > EPSILON ? [{ from: i.site, to: j.site, share }] : []
    }),
  )
}

function overtaken(i: Racer, j: Racer, racers: readonly Racer[]): number {
  const from = j.before / i.before
  const to = i.after === 0 ? Infinity : j.after / i.after
  if (from >= to) return 0
  // each other's line: flat up to where its after-weight begins to matter, then rising with r
  const others = racers.filter((k) => k !== i && k !== j)
  const bends = others.map((k) => (k.after === 0 ? Infinity : (k.before / i.before) * (j.after / k.after)))
  const ends = [...new Set(bends.filter((bend) => bend > from && bend < to)), to].toSorted((a, b) => a - b)
  let share = 0
  let start = from
  for (const end of ends) {
    let flat = 1
    let slope = 1
    for (const [n, k] of others.entries()) {
      if (bends[n]! <= start) slope += k.after / j.after
      else flat += k.before / i.before
    }
    const low = flat + start * slope
    share += end === Infinity ? 1 / (slope * low) : (end - start) / (low * (flat + end * slope))
    start = end
  }
  return share
}
