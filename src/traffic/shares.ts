/**
 * SHARES OF SITES: how the clients of a class are divided over sites, and which share of them moves from one site to
 * another when that changes. Used by moves.ts; never on the query path.
 *
 * The pool of a class comes from select() itself: it is called once with a trace, and the sites that it scores are the
 * pool, because it scores no site before the group (or the groups of a spill) in which the walk ends. Within a pool the
 * pick is a weighted rendezvous hash. For a random client this is a race: site i arrives after E(i) / w(i), with
 * independent exponential E, and the first one wins. So the share of site i is w(i) / Σ w. When weights change while
 * the E stay the same, racedMoves() computes in closed form which share moves.
 */
import type { HealthTable } from '../health/table.ts'
import { PICK_HASH, PICK_RANDOM, type ClientMap } from '../policy/map.ts'
import { makeSelection, select } from '../policy/select.ts'
import type { SteeredService } from '../policy/service.ts'
import { STEERS_A } from '../zone/pack.ts'

/** In place of a site's number: NODATA; and the addresses of `lastResort: {values: …}`. */
export const NO_SITE = -1
export const RESORT_VALUES = -2

/** The sites that share the clients of a class. */
export interface Pool {
  /** Site numbers, each once; or one of the two numbers above, alone. */
  readonly sites: readonly number[]
  /** The weight of each site, above 0. */
  readonly weights: readonly number[]
  /** The site is picked at random for each query; otherwise a hash of the client's network decides. */
  readonly random: boolean
}

const selection = makeSelection()

/** The pool of a class. `health` must give all VIPs their full share: ramping up is temporary and not counted. */
export function poolOf(service: SteeredService, map: ClientMap, cls: number, health: HealthTable, type: number): Pool {
  const sites: number[] = []
  const weights: number[] = []
  selection.class = cls
  selection.type = service.names === null ? type : STEERS_A // in the tables names count as IPv4
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

/** The shares of a pool's sites, in its order; their sum is 1. */
export function sharesOf({ weights }: Pool): number[] {
  const sum = weights.reduce((total, weight) => total + weight, 0)
  return weights.map((weight) => weight / sum)
}

/** A share of clients that moves from one site to another. */
export interface Move {
  readonly from: number
  readonly to: number
  /** Of all clients of the pools; above 0. */
  readonly share: number
}

/**
 * The moves when one pool becomes another; both must number their sites alike. `sameKeys`: the hashes of the same
 * service decide before and after; otherwise the picks are independent of each other. If both pools pick at random,
 * only the least that must change is counted: half the sum of the differences of shares.
 */
export function movesBetween(before: Pool, after: Pool, sameKeys: boolean): readonly Move[] {
  if (before.random && after.random) return leastMoves(before, after)
  if (sameKeys && !before.random && !after.random) return racedMoves(before, after)
  // different hashes, or a hash and a random pick: the old site says nothing about the new one
  const [p, q] = [sharesOf(before), sharesOf(after)]
  return before.sites.flatMap((from, i) =>
    after.sites.flatMap((to, j) => (from === to ? [] : [{ from, to, share: p[i]! * q[j]! }])),
  )
}

/** The least moves: what some sites lose is divided over the sites that gain, in proportion to their gains. */
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

/** The weights of a site before and after; 0 = it is not in that pool. */
interface Racer {
  readonly site: number
  readonly before: number
  readonly after: number
}

/**
 * P(i before, j after), i ≠ j. With r = E(j) / E(i): i wins before and j after while r lies between before(j) /
 * before(i) and after(j) / after(i), and every other k has E(k) / E(i) above max(before(k) / before(i), r · after(k) /
 * after(j)); so it is ∫ dr / (1 + r + Σ max(…))², the sum of pieces on each of which the denominator is (A + r·B)².
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
  // each max(…) is constant up to a bend, and proportional to r from there on
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
