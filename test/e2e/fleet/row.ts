/**
 * A row of docs/partitions.md as a test: a fault, what is answered meanwhile on which node, a site that really dies, the
 * end of the fault. It begins and ends with all well, and everything that clients were answered from its begin to its end
 * is looked at: never nothing, never SERVFAIL, never lost, and the nearest site always where that site was healthy.
 */
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Status } from '../../../src/api/status.ts'
import { countWaits } from '../../support/cpu.ts'
import { type SiteName, VIPS } from '../../support/scene.ts'
import { until } from '../../support/until.ts'
import { nowMs } from './asker.ts'
import {
  Fleet,
  type FleetOptions,
  type NodeName,
  NODES,
  type Place,
  PLACE_NAMES,
  type ProberName,
  PROBERS,
  SITES_OF,
} from './fleet.ts'

/** The bound for this check (1 s + 0.5 s + 0.5 s + 0.1 s) and 10 ms, and what a busy machine may be late. */
export const APPLY_MS = 2_110 + 2_500
/** For so long DOWN of a prober that was silent is doubted: 1 s + 0.5 s + 0.5 s + 0.6 s. */
const DOUBT_MS = 2_600
/** Longer than a lease (3 s) and that bound: what would change for lack of data, or by votes that still pass, has changed. */
export const HOLD_MS = 4_500
/** Thirty processes start at once when three fleets do. */
const START_MS = 180_000

/** A time in which something is excused on a node. */
interface Window {
  readonly node: NodeName
  /** Whose clients may be elsewhere; undefined: the node restarts, and queries may be lost. */
  readonly site: SiteName | undefined
  readonly fromMs: number
  untilMs: number
}

export class Row {
  readonly fleet: Fleet
  readonly #windows: Window[]
  readonly #fromMs = nowMs()
  #wasHeld = false

  constructor(fleet: Fleet, windows: Window[]) {
    this.fleet = fleet
    this.#windows = windows
  }

  /** From here to the end of the row, clients whose nearest site this is may get another one. */
  excuse(site: SiteName, nodes: readonly NodeName[] = NODES): void {
    for (const node of nodes) this.#windows.push({ node, site, fromMs: nowMs(), untilMs: Infinity })
  }

  /** The site dies, really. */
  dies(site: SiteName, signal: NodeJS.Signals = 'SIGKILL'): void {
    this.excuse(site)
    this.fleet.signalSite(site, signal)
  }

  /** From here to the end of the row, the node may leave queries without an answer. */
  excuseLost(node: NodeName): void {
    this.#windows.push({ node, site: undefined, fromMs: nowMs(), untilMs: Infinity })
  }

  async revives(site: SiteName): Promise<void> {
    await this.fleet.startSite(site)
  }

  /**
   * The node ends and starts anew; `between`: what happens before the start, `env`: of the new process. Resolves when it
   * answers.
   */
  async restarts(
    node: NodeName,
    between: () => void = () => {},
    env: Readonly<Record<string, string>> = {},
  ): Promise<void> {
    const window: Window = { node, site: undefined, fromMs: nowMs(), untilMs: Infinity }
    this.#windows.push(window)
    await this.fleet.end(node)
    between()
    const startedMs = nowMs()
    this.fleet.startNode(node, env)
    await until(`${node} answers again`, () => this.fleet.askers.lastMs(node) > startedMs)
    window.untilMs = nowMs()
  }

  /** Waits until the nodes send the place to its second site: its first one is known to be dead. */
  async applied(place: Place, nodes: readonly NodeName[] = NODES, withinMs = this.#boundMs): Promise<void> {
    await this.answered(place, SITES_OF[place][1], nodes, withinMs)
  }

  get #boundMs(): number {
    return this.#wasHeld ? APPLY_MS + DOUBT_MS : APPLY_MS
  }

  async home(place: Place, nodes: readonly NodeName[] = NODES, withinMs = APPLY_MS): Promise<void> {
    await this.answered(place, SITES_OF[place][0], nodes, withinMs)
  }

  async answered(place: Place, site: SiteName, nodes: readonly NodeName[], withinMs: number): Promise<void> {
    const waits = countWaits(this.fleet.pids)
    for (const node of nodes)
      await until(
        `${place} on ${site}, as ${node} answers`,
        () => this.answer(node, place) === VIPS[site],
        withinMs,
        waits,
      )
  }

  answer(node: NodeName, place: Place): string | undefined {
    return this.fleet.askers.answer(node, place)
  }

  /** For a while, starting now, nothing but the place's nearest site is answered: also when it is dead. */
  async held(place: Place, nodes: readonly NodeName[] = NODES, forMs = HOLD_MS): Promise<void> {
    this.#wasHeld = true
    await this.only(place, SITES_OF[place][0], nodes, forMs)
  }

  /** For a while, starting now, the nodes answer the place with one site. */
  async only(place: Place, site: SiteName, nodes: readonly NodeName[], forMs: number): Promise<void> {
    const fromMs = nowMs()
    await until('a while', () => this.fleet.askers.untilMs > fromMs + forMs)
    const seen = this.fleet.askers
      .during(fromMs, nowMs())
      .filter((stretch) => stretch.place === place && nodes.some((node) => node === stretch.node))
    expect(new Set(seen.map(({ answer }) => answer)), `${place} on ${nodes.join(', ')}`).toEqual(new Set([VIPS[site]]))
  }

  /** Waits until the nodes' status says so. */
  async shown(what: string, holds: (status: Status) => boolean, nodes: readonly NodeName[] = NODES): Promise<void> {
    for (const node of nodes) {
      await until(`${node} shows: ${what}`, async () => {
        const status = await this.fleet.status(node)
        return status !== undefined && holds(status)
      })
    }
  }

  /** Waits until the nodes' /metrics has the series with this value. */
  async measured(series: string, value: number, nodes: readonly NodeName[] = NODES): Promise<void> {
    for (const node of nodes) {
      await until(`${node} measures ${series} ${value}`, async () =>
        `\n${await this.fleet.metrics(node)}`.includes(`\n${series} ${value}\n`),
      )
    }
  }

  /** For a while, starting now, a node's status says so. */
  async always(what: string, forMs: number, holds: (status: Status) => boolean, node: NodeName = 'n1'): Promise<void> {
    const endMs = nowMs() + forMs
    while (nowMs() < endMs) {
      const status = await this.fleet.status(node)
      if (status !== undefined) expect(holds(status), what).toBe(true)
      await new Promise((done) => setTimeout(done, 100))
    }
  }

  /** Every answer since the row began, looked at. */
  verify(): void {
    const { askers } = this.fleet
    const untilMs = askers.untilMs
    const answers = askers.during(this.#fromMs, untilMs)
    const wrong = PLACE_NAMES.flatMap((place) => {
      const [nearest, next] = SITES_OF[place]
      return answers.filter(
        ({ place: asked, answer, node, ...stretch }) =>
          asked === place &&
          answer !== VIPS[nearest] &&
          (answer !== VIPS[next] || !this.#excused(node, nearest, stretch)),
      )
    })
    expect(wrong, `answers other than the nearest healthy site: ${JSON.stringify(wrong)}`).toEqual([])
    // a second later it is known whether a query was lost; the last ones belong to the next row
    const lost = askers
      .lost(this.#fromMs - 1_000, untilMs)
      .filter(({ node, sentMs }) => !this.#excused(node, undefined, { fromMs: sentMs, untilMs: sentMs }))
    expect(lost, 'lost queries').toEqual([])
  }

  #excused(node: string, site: SiteName | undefined, stretch: { readonly fromMs: number; readonly untilMs: number }) {
    return this.#windows.some(
      (window) =>
        window.node === node &&
        window.site === site &&
        window.fromMs <= stretch.fromMs &&
        window.untilMs >= stretch.untilMs,
    )
  }

  /** The row is over: from here on nobody is excused any more. */
  close(): void {
    const untilMs = nowMs()
    for (const window of this.#windows) window.untilMs = Math.min(window.untilMs, untilMs)
  }
}

/** What is not well; undefined = all is. */
async function unwell(fleet: Fleet): Promise<string | undefined> {
  for (const node of NODES) {
    const status = await fleet.status(node)
    if (status === undefined) return `${node} doesn't answer`
    const fault = unwellNode(status)
    if (fault !== undefined) return `${node}: ${fault}`
    for (const place of PLACE_NAMES) {
      const answer = fleet.askers.answer(node, place)
      if (answer !== VIPS[SITES_OF[place][0]]) return `${node} answers ${place} with ${answer}`
    }
  }
  return undefined
}

function unwellNode({
  node,
  services,
  probers,
  store,
  nodes,
  overrides,
  freeze,
  troubles,
}: Status): string | undefined {
  if (!node.ready) return `not ready: ${node.reasons.join()}`
  if (store.trouble !== null) return store.trouble
  if (troubles.length > 0) return troubles.join()
  const live = probers.filter((prober) => prober.live).length
  if (live !== PROBERS.length) return `${live} probers live`
  const others = nodes.filter((other) => other.live && other.viewDiffersMs === 0 && other.verdictsDifferMs === 0).length
  if (others !== NODES.length) return `${others} nodes agree: ${JSON.stringify(nodes)}`
  if (overrides.length > 0) return 'overrides are in force'
  if (freeze !== null) return 'all is frozen'
  for (const member of services.flatMap((service) => service.members)) {
    const up = member.targets.flatMap(({ votes }) => votes).filter(({ value }) => value === 'up').length
    if (member.state !== 'up' || member.held || up !== PROBERS.length)
      return `${member.member} is ${member.state}, ${up} up: ${member.why}`
  }
  return undefined
}

async function allWell(fleet: Fleet): Promise<void> {
  let fault: string | undefined
  try {
    await until('all well', async () => {
      fault = await unwell(fleet)
      return fault === undefined
    })
  } catch (error) {
    throw new Error(`${String(error)}: ${fault}`, { cause: error })
  }
}

/** Tests a row. */
export type Fault = (title: string, body: (row: Row) => Promise<void>) => void

/** A fleet for the rows of a suite: they run on it one after the other. */
export function useFleet(options: FleetOptions = {}): Fault {
  const windows: Window[] = []
  let starting: Promise<Fleet> | undefined
  beforeAll(async () => {
    starting = Fleet.start(options)
    await allWell(await starting)
  }, START_MS)
  // also when it has not come up in time
  afterAll(async () => (await starting?.catch(() => undefined))?.close(), START_MS)

  return (title, body) =>
    test(title, { concurrent: false, timeout: START_MS }, async () => {
      const running = await starting!
      await allWell(running)
      const row = new Row(running, windows)
      try {
        await body(row)
        await allWell(running)
        row.close()
        row.verify()
      } catch (error) {
        if (error instanceof Error) error.message += `\n${await running.describe()}`
        await running.restore()
        throw error
      } finally {
        row.close()
      }
    })
}

/**
 * Lets a process run for a millisecond of each second, a tenth of what it needs for three targets: its checks begin in one
 * turn and end in a later one, after their timeout. Returns what ends it.
 */
export function starve(fleet: Fleet, prober: ProberName): () => void {
  const { pid } = fleet.process(prober)
  const pulse = (): void => {
    const endMs = nowMs() + 1
    process.kill(pid, 'SIGCONT')
    while (nowMs() < endMs); // a timer would be late, and let it eat
    process.kill(pid, 'SIGSTOP')
  }
  process.kill(pid, 'SIGSTOP')
  const timer = setInterval(pulse, 1_000)
  return () => {
    clearInterval(timer)
    process.kill(pid, 'SIGCONT')
  }
}
