/**
 * Begins the drills of drills.yaml in their windows: each by one node of the fleet. Looks every second, at the wall clock.
 *
 *   window opens ─ claim in the Store ─┬─ another node has it ─▶ follow it; when it is gone, take its drill over
 *                                      └─ this node ─┬─ a blocked date, a freeze ──▶ skipped
 *                                                    ├─ refused so far ────────────▶ again, while it fits into the window
 *                                                    ├─ it fits no longer ─────────▶ missed
 *                                                    └─ begun ─────────────────────▶ watched by Drills
 *
 * The claim is that of a message to receivers (SendingBoard): made in one step, and known to all for two days. What this
 * node has settled is in `state/schedule.json` besides, for a Store that forgets, or none. A window that was missed is
 * told, and not made up for. While Redis is away nobody can agree, so nothing begins.
 */
import { hash } from 'node:crypto'
import type { Refusal } from '../api/contract.ts'
import type { Turns } from '../events/notify/turns.ts'
import { LEASE_MS, type SendingBoard } from '../health/store.ts'
import { type FileKind, isRecord, isTime, readState, Saver } from '../state.ts'
import { DAY_MS } from '../units.ts'
import { type DrillModel, type DrillsModel, fits, scheduleInWords } from '../zone/drills.ts'
import { formatDayRange, lastOccurrence, type Occurrence } from '../zone/windows.ts'
import type { Drills } from './drill.ts'
import type { DrillReport, DrillRequest } from './drill-report.ts'

/** What became of a drill that did not begin. */
export interface Unheld {
  readonly drill: DrillModel
  readonly occurrence: Occurrence
  /** `skipped`: it was not to begin; `missed`: it could not. */
  readonly outcome: 'skipped' | 'missed'
  readonly why: string
}

/** What DrillSchedule needs of its node. */
export interface ScheduleSettings {
  readonly file: string
  /** The drills of the zones in use; undefined: none are yet. */
  readonly plan: () => DrillsModel | undefined
  readonly isReady: () => boolean
  readonly drills: Pick<Drills, 'adopt'> & {
    readonly begin: (request: DrillRequest, unattended: boolean) => object | Refusal
    readonly reports: readonly Pick<DrillReport, 'who' | 'why' | 'beganMs'>[]
  }
  readonly turns: Turns
  readonly board: SendingBoard
  /** Who froze the automation, and why; undefined: nobody. */
  readonly freeze: () => string | undefined
  readonly onUnheld: (unheld: Unheld) => void
  readonly log: (level: 'info' | 'warn', fields: object, line: string) => void
  readonly onTrouble: (trouble: string | undefined) => void
}

/** Who requests scheduled drills. */
export const SCHEDULER = 'drills.yaml'
const FILE: FileKind = { what: 'schedule of drills', format: 'meridian schedule 1' }
const TICK_MS = 1_000
/** Times of drills that are not in drills.yaml any more are kept for so long. */
const KEPT_MS = 10 * DAY_MS

/** What this node knows of one drill. Times are Unix ms. */
interface Known {
  /** Of what is written of it. */
  readonly hash: string
  /** Since when; a window that was over before is none of its business. */
  readonly sinceMs: number
  /** Where its last window began that is settled; 0: none is. */
  settledMs: number
}

/** A drill of another node that is going on: which, of which window, and until when at most. */
interface Followed {
  readonly drill: DrillModel
  readonly fromMs: number
  readonly untilMs: number
}

type Settled = 'begun' | Unheld['outcome']

/** Whose a window is: this node's, another one's, or nobody's any more. */
type Claim = 'mine' | 'other' | 'settled'

/** The scheduled drills of one node. Order of calls: start, stop. */
export class DrillSchedule {
  readonly #settings: ScheduleSettings
  readonly #saver: Saver
  readonly #known = new Map<string, Known>()
  /** Why a drill could not begin so far, by name. */
  readonly #refused = new Map<string, string>()
  /** Since when the node that has a claim is gone, by id, of performance.now(). */
  readonly #gone = new Map<string, number>()
  /** Drills of other nodes that are going on, by id. */
  readonly #followed = new Map<string, Followed>()
  #timer: NodeJS.Timeout | undefined
  #ticking: Promise<void> | undefined

  constructor(settings: ScheduleSettings) {
    this.#settings = settings
    const { file, onTrouble } = settings
    const collect = () => ({ drills: Object.fromEntries(this.#known) })
    this.#saver = new Saver({ file, kind: FILE, collect, onTrouble })
  }

  start(): void {
    const { file, onTrouble } = this.#settings
    const { state, trouble } = readState(file, FILE)
    if (trouble !== undefined) onTrouble(trouble)
    const saved = isRecord(state?.['drills']) ? Object.entries(state['drills']) : []
    for (const [name, one] of saved) if (isKnown(one)) this.#known.set(name, one)
    this.#timer = setInterval(() => void this.tick(), TICK_MS).unref()
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer)
    await this.#ticking
    await this.#saver.close()
  }

  /** Looks once; called each second. Never rejects. */
  tick(): Promise<void> {
    this.#ticking ??= this.#look().finally(() => (this.#ticking = undefined))
    return this.#ticking
  }

  async #look(): Promise<void> {
    const { plan, isReady, turns } = this.#settings
    turns.look()
    const all = plan()
    if (all === undefined || !isReady() || turns.trouble !== undefined) return
    const nowMs = Date.now()
    try {
      for (const drill of all.drills) await this.#lookAt(drill, all, nowMs)
      for (const [id, { drill, fromMs, untilMs }] of this.#followed) {
        if (nowMs >= untilMs) this.#followed.delete(id)
        else await this.#ownerOf(id, drill, fromMs)
      }
    } catch {
      // the Store reports its own trouble
    }
    this.#forget(all, nowMs)
  }

  async #lookAt(drill: DrillModel, all: DrillsModel, nowMs: number): Promise<void> {
    const known = this.#knownOf(drill, nowMs)
    const occurrence = lastOccurrence(drill.window, all.blocked, nowMs)
    if (occurrence === undefined || occurrence.fromMs <= known.settledMs) return
    const latestMs = occurrence.toMs - drill.forMs
    const isLate = nowMs > latestMs
    if (isLate && Math.max(occurrence.fromMs, latestMs) < known.sinceMs) return this.#settle(known, occurrence)
    const id = `drill.${drill.name}.${occurrence.fromMs}`
    const claim = await this.#claim(id, drill, occurrence, nowMs)
    if (claim === 'settled') this.#settle(known, occurrence)
    if (claim !== 'mine') return
    const outcome = this.#decide(drill, occurrence, isLate)
    if (outcome === undefined) return
    this.#settle(known, occurrence)
    this.#refused.delete(drill.name)
    await this.#settings.board.done(id, [outcome])
  }

  /** Whose the window is. Rejects when the Store can't be reached. */
  async #claim(id: string, drill: DrillModel, { fromMs }: Occurrence, nowMs: number): Promise<Claim> {
    const { board } = this.#settings
    // since the beginning of time: of one window nobody is told twice
    const sighting = { about: short(`drill ${drill.name}`), state: short(id), ageMs: nowMs - fromMs, sinceAgeMs: nowMs }
    const [told] = await board.claim(id, [sighting])
    return told === id ? this.#ownerOf(id, drill, fromMs) : 'settled'
  }

  async #ownerOf(id: string, drill: DrillModel, fromMs: number): Promise<Claim> {
    const { board, turns, drills } = this.#settings
    const sending = (await board.sendings([id])).get(id)
    const outcome = sending?.done[0]
    if (sending?.node.bootId === turns.self.bootId) return outcome === undefined ? 'mine' : 'settled'
    if (outcome !== undefined && outcome !== 'begun') {
      this.#gone.delete(id)
      return 'settled'
    }
    if (outcome === 'begun' && !this.#followed.has(id))
      this.#followed.set(id, { drill, fromMs, untilMs: Date.now() + drill.forMs })
    const claim = outcome === 'begun' ? 'settled' : 'other'
    if (sending !== undefined && turns.isLive(sending.node)) {
      this.#gone.delete(id)
      return claim
    }
    const goneMs = this.#gone.get(id) ?? performance.now()
    this.#gone.set(id, goneMs)
    // a node that is back takes its own at once
    const isOwn = sending?.node.name === turns.self.name
    if (!isOwn && performance.now() - goneMs < turns.rank(id) * LEASE_MS) return claim
    if (!(await board.take(id, sending))) return claim
    this.#gone.delete(id)
    this.#followed.delete(id)
    // its node may have ended between the begin of the drill and the word of it
    const { who, why } = requestOf(drill)
    const isKnown = drills.reports.some((one) => one.who === who && one.why === why && one.beganMs >= fromMs)
    const hasBegun = isKnown || drills.adopt(requestOf(drill)) || outcome === 'begun'
    if (hasBegun) await board.done(id, ['begun'])
    return hasBegun ? 'settled' : 'mine'
  }

  /** What becomes of a window of this node; undefined: nothing yet. */
  #decide(drill: DrillModel, occurrence: Occurrence, isLate: boolean): Settled | undefined {
    const { freeze, drills, log } = this.#settings
    const unheld = (outcome: Unheld['outcome'], why: string): Settled => {
      this.#settings.onUnheld({ drill, occurrence, outcome, why })
      log(outcome === 'missed' ? 'warn' : 'info', { drill: drill.name }, `drill ${drill.name} is ${outcome}: ${why}`)
      return outcome
    }
    if (occurrence.blocked !== undefined) return unheld('skipped', `${formatDayRange(occurrence.blocked)} is blocked`)
    if (!fits(drill, occurrence)) return unheld('skipped', 'clocks change in its window, which is too short today')
    const before = this.#refused.get(drill.name)
    if (isLate) return unheld('missed', before ?? 'no node was there to begin it in its window')
    const frozen = freeze()
    if (frozen !== undefined) return unheld('skipped', `the automation is frozen ${frozen}`)
    const begun = drills.begin(requestOf(drill), true)
    if (!('refused' in begun)) return 'begun'
    if (begun.refused !== before)
      log('info', { drill: drill.name }, `drill ${drill.name} (${scheduleInWords(drill)}) waits: ${begun.refused}`)
    this.#refused.set(drill.name, begun.refused)
    return undefined
  }

  #knownOf(drill: DrillModel, nowMs: number): Known {
    const written = short(scheduleInWords(drill))
    const known = this.#known.get(drill.name)
    if (known?.hash === written) return known
    const made = { hash: written, sinceMs: nowMs, settledMs: known?.settledMs ?? 0 }
    this.#known.set(drill.name, made)
    this.#saver.touch()
    return made
  }

  #settle(known: Known, { fromMs }: Occurrence): void {
    known.settledMs = fromMs
    void this.#saver.save()
  }

  /** Times of drills that are gone are kept for a while: they may come back in the same window. */
  #forget({ drills }: DrillsModel, nowMs: number): void {
    const names = new Set(drills.map(({ name }) => name))
    for (const name of this.#refused.keys()) if (!names.has(name)) this.#refused.delete(name)
    for (const [name, { sinceMs, settledMs }] of this.#known)
      if (!names.has(name) && nowMs - Math.max(sinceMs, settledMs) > KEPT_MS) this.#known.delete(name)
  }
}

/** The request of a scheduled drill. */
const requestOf = ({ name, site, forMs, abortIf }: DrillModel): DrillRequest => ({
  pattern: site,
  forMs,
  abortIf,
  who: SCHEDULER,
  why: name,
})

const isKnown = (value: unknown): value is Known =>
  isRecord(value) && typeof value['hash'] === 'string' && isTime(value['sinceMs']) && isTime(value['settledMs'])

const short = (text: string): string => hash('sha256', text, 'base64url').slice(0, 16)
