/**
 * A scene while it is played: what happened when, what is claimed of it, and the table of what clients saw, second by second, in
 * Markdown.
 */
import assert from 'node:assert/strict'
import { countWaits } from '../support/cpu.ts'
import { until } from '../support/until.ts'
import { nowMs, type Way } from './client.ts'
import type { Failed, Part, Seen } from './clients.ts'
import type { Lab } from './lab.ts'
import { type Region, REGIONS, SITE_OF } from './plan.ts'

export interface Scene {
  /** A word, for the command line. */
  readonly name: string
  readonly title: string
  readonly play: (lab: Lab, stage: Stage) => Promise<void>
}

/** Thirty programs have to share what CPU there is. */
export const HANGING_MS = 180_000

/** Seconds before the first thing happens, and behind the last. */
const LEAD_SECONDS = 1

export class Stage {
  readonly #lab: Lab
  readonly #notes: { readonly atMs: number; readonly text: string }[] = []
  /** Of all, and of the regions. */
  readonly #allowance: () => number
  readonly #waits: ReadonlyMap<Region, () => number>
  readonly #fromMs = nowMs()
  readonly #from: number
  readonly claims: string[] = []

  constructor(lab: Lab) {
    this.#lab = lab
    this.#from = lab.clients.second
    this.#allowance = countWaits(lab.pids)
    this.#waits = new Map(REGIONS.map((region) => [region, countWaits(() => lab.pidsOf(region))]))
  }

  /** Puts what happens now into the table; returns when that was, in ms of the monotonic clock. */
  note(text: string): number {
    const atMs = nowMs()
    this.#notes.push({ atMs, text })
    return atMs
  }

  /** Says what has been shown, with its figure. */
  claim(text: string): void {
    this.claims.push(text)
  }

  /**
   * Claims that something took no longer than the product says, and than this machine had no CPU for it: for all, or for what
   * announces a region's node. Times in ms.
   */
  within(what: string, tookMs: number, boundMs: number, region?: Region): void {
    const allowedMs = boundMs + (region === undefined ? this.#allowance() : this.waitedMs(region))
    assert(tookMs <= allowedMs, `${what}: ${tookMs.toFixed(0)} ms, more than ${allowedMs.toFixed(0)} ms`)
    const late = tookMs > boundMs ? ', and what this machine had no CPU for' : ''
    this.claim(`${what}: ${seconds(tookMs)}; at most ${seconds(boundMs)}${late}`)
  }

  /** For how long what announces a region's node had no CPU, since the scene began, in ms of all its threads. */
  waitedMs(region: Region): number {
    return this.#waits.get(region)!()
  }

  /** Whether what happened then may come of a want of CPU. */
  isExcused(atMs: number): boolean {
    return this.#lab.starvation.excuses(atMs)
  }

  /** Waits for a state of the lab. */
  async until(what: string, look: () => unknown): Promise<void> {
    const routes = (): string => REGIONS.map((region) => `${region} to ${this.#lab.routes.to(region)}`).join(', ')
    await until(
      () => `${what}; routes: ${routes()}`,
      async () => Boolean(await look()) || undefined,
      HANGING_MS,
    )
  }

  /** Lets clients ask for some more whole seconds. */
  async pass(count: number): Promise<void> {
    const target = this.#lab.clients.second + count
    await until(`${count} s`, () => this.#lab.clients.second > target)
  }

  /** Waits until, in one whole second that begins after now, what a region's clients saw is so. */
  async untilClients(what: string, region: Region, isSo: (seen: Seen) => boolean): Promise<void> {
    const { clients } = this.#lab
    const from = clients.second + 1
    await until(
      () => `${region}: ${what}; last: ${JSON.stringify(clients.at(region, clients.known))}`,
      async () => clients.known >= from && isSo(await clients.between(clients.known, clients.known)),
      HANGING_MS,
    )
  }

  /** All that clients saw so far. */
  async seen(): Promise<Seen> {
    return this.#lab.clients.between(this.#from, this.#lab.clients.second)
  }

  /** Changes of routes so far. */
  get routes() {
    return this.#lab.routes.since(this.#fromMs)
  }

  /** The table, once all is as ever. */
  async table(): Promise<string> {
    const { clients } = this.#lab
    const to = Math.max(clients.known, this.#from)
    const notes = [...this.#notes, ...this.#routeNotes()].toSorted((a, b) => a.atMs - b.atMs)
    const rows: string[] = []
    for (let second = this.#from; second <= to; second++) {
      const happens = notes.filter(({ atMs }) => clients.secondOf(atMs) === second).map(({ text }) => text)
      const one = await clients.between(second, second)
      const cells = REGIONS.map((region) => cellOf(one, region))
      rows.push(`| ${second - this.#from} | ${cells.join(' | ')} | ${[...new Set(happens)].join('; ')} |`)
    }
    return ['| s | eu | us | ap | what happens |', '|---|---|---|---|---|', ...rows].join('\n')
  }

  #routeNotes(): { atMs: number; text: string }[] {
    return this.routes.map(({ atMs, region, family, to }) => ({
      atMs,
      text: `${region}’s router: ${family} ${to === undefined ? 'goes nowhere' : `to ${to}`}`,
    }))
  }
}

const seconds = (ms: number): string => `${(ms / 1_000).toFixed(1)} s`

/** `fra 30 iad 10 ← eu us, lost 3 bare, 12 ms` */
function cellOf(seen: Seen, region: Region): string {
  const sites = counted(seen.sites({ region }))
  const nodes = Object.keys(seen.nodes({ region })).join(' ')
  const failures = failuresText(seen.failures({ region }))
  const rtt = `${Math.ceil(seen.rttMs({ region }))} ms`
  return [`${sites || 'none'}${nodes === '' ? '' : ` ← ${nodes}`}`, ...failures, rtt].join(', ')
}

const counted = (counts: Readonly<Record<string, number>>): string =>
  Object.entries(counts)
    .map(([key, n]) => `${key} ${n}`)
    .join(' ')

const WAY: Readonly<Record<Way, string>> = { resolver: 'behind the resolver', bare: 'bare' }

/** `lost 3 bare` */
export function failuresText(failures: readonly Failed[]): string[] {
  const counts = new Map<string, number>()
  for (const { why, way } of failures) {
    const key = `${why} # ${WAY[way]}`
    counts.set(key, (counts.get(key) ?? 0) + 1)
  }
  return [...counts].map(([key, n]) => `**${key.replace('#', String(n))}**`)
}

/** The calm before a scene, for its table. */
export const leadIn = (stage: Stage): Promise<void> => stage.pass(LEAD_SECONDS)

/** Claims that no query failed. `part`: of whom, in words. */
export function assertNoneFailed(stage: Stage, seen: Seen, part: Part = {}, whose = 'queries'): void {
  const all = seen.failures(part)
  const failures = all.filter(({ sentMs }) => !stage.isExcused(sentMs))
  assert.deepEqual(failuresText(failures), [], `of ${seen.sent(part)} queries: ${JSON.stringify(failures.slice(0, 5))}`)
  const excused = all.length === 0 ? '' : `; while this machine had no CPU for the lab: ${all.length}`
  stage.claim(`${whose} that failed: 0 of ${seen.sent(part)}${excused}`)
}

/** Claims that each region's clients were sent to their own site, and to no other. */
export function assertNobodyMoved(seen: Seen): void {
  for (const region of REGIONS)
    assert.deepEqual(Object.keys(seen.sites({ region })), [SITE_OF[region]], `clients of ${region} stay`)
}

/** Claims that each router kept to its own node. */
export function assertNoneWithdrawn(stage: Stage): void {
  const gone = stage.routes.filter(({ region, to, atMs }) => to !== region && !stage.isExcused(atMs))
  assert.deepEqual(gone, [], 'no node is withdrawn')
}
