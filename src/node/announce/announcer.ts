/**
 * Decides whether the addresses of a node are announced, and has it done in one of the forms (forms.ts). It judges by
 * canary queries alone, and never by the health of sites. It runs outside of the node (`meridian announce`), so that a
 * node which hangs is withdrawn all the same; only the form `http` has it in the node's process.
 *
 *   the node …                     others that are announced, and answer, by the board
 *                                  enough         too few        not known
 *   answers                        announced      announced      announced
 *   answers one canary or none     withdrawn      kept           kept
 *   does not run                   withdrawn      kept           withdrawn
 *   ends in order                  withdrawn      kept           withdrawn
 *
 * `kept` is announced too. A node that is kept tries again each second, and does not count for others.
 */
import type { AnnounceReport, NodeWord } from '../../api/announcing.ts'
import type { Log } from '../../config.ts'
import type { AnnounceBoard } from '../../health/store.ts'
import { within } from '../../health/within.ts'
import { codeOf, messageOf } from '../../problem.ts'
import { count, someOf } from '../../units.ts'
import type { Canary } from './canary.ts'
import type { Form } from './forms.ts'

/** What an Announcer is made with. */
export interface AnnouncerSettings {
  readonly canaries: readonly Canary[]
  readonly form: Form
  /** undefined: there is no Redis, so nobody knows of other nodes. */
  readonly board: AnnounceBoard | undefined
  /** The setting `announce.others`. */
  readonly others: number
  /**
   * Tells the node what is announced. Rejects within TELL_MS; with the code ENOENT or ECONNREFUSED if it does not run.
   */
  readonly tell: (report: AnnounceReport) => Promise<NodeWord>
  readonly log: Log
}

/** A canary may take so long for its answer, and the node for its word. */
export const TELL_MS = 1_000
const ANSWER_MS = 1_000
const TICK_MS = 250
/** A canary is asked, and the node told, each so many ticks. */
const ASK_TICKS = 2
/** The board is told. */
const BOARD_TICKS = 4
/** What could not be done is tried again. */
const AGAIN_MS = 1_000
/** No answer for so long: the node does not answer. With a tick, the board and the form it is less than 3 s. */
const SILENT_MS = 2_000
/** All canaries are answered for so long before the node is announced. */
const STEADY_MS = 1_000
const BOARD_MS = 500
/** A process that only withdraws waits for its first connection to Redis. */
const CONNECT_MS = 3_000

/** The node is told of so many changes that it has missed. */
const MOST_UNTOLD = 10

interface Watched {
  readonly canary: Canary
  /** When it was answered last, by #nowMs. */
  answeredMs: number
  /** Since when all were answered; undefined: the last one was not. */
  steadyMs: number | undefined
  why: string
}

/** Why a node would withdraw. */
interface Fault {
  readonly kind: 'silent' | 'gone' | 'stopping'
  readonly why: string
}

/** As a node takes it: what programs say may be long, and have control characters. */
const plain = (why: string): string => why.replaceAll(/\p{C}+/gu, ' ').slice(0, 500)

/** Order of calls: start, stop. */
export class Announcer {
  readonly #settings: AnnouncerSettings
  readonly #watched: readonly Watched[]
  #report: AnnounceReport = {
    state: 'withdrawn',
    sinceMs: Date.now(),
    why: 'just started',
    isPlanned: true,
    others: null,
  }
  #word: NodeWord | undefined
  #zone = '.'
  /** Why the node has not said how it is. */
  #unheard = ''
  /** A process before this one may have left it announced. */
  #mayBeUp = false
  /** Nothing listens on the node's control socket. */
  #isGone = false
  #isTelling = false
  /** Changes that the node has not been told of, the oldest first. */
  #untold: readonly AnnounceReport[] = []
  /** The change that is under way. */
  #change: Promise<void> | undefined
  /** The form is making sure of what is announced. */
  #again: Promise<unknown> | undefined
  /** Why it could not; empty: it could. */
  #againTrouble = ''
  #timer: NodeJS.Timeout | undefined
  #tick = 0
  #wallMs = performance.now()
  /**
   * Time in which this process ran: after it stood still itself, it must not take that for a silence of the node.
   */
  #nowMs = 0
  /** When a change was tried last. */
  #triedMs = -Infinity
  #isStopping = false

  constructor(settings: AnnouncerSettings) {
    this.#settings = settings
    this.#watched = settings.canaries.map((canary) => ({ canary, answeredMs: 0, steadyMs: undefined, why: '' }))
  }

  /** What is announced now. */
  get report(): AnnounceReport {
    return this.#report
  }

  /** The same in one line. */
  get inWords(): string {
    const { state, why } = this.#report
    return state === 'announced' ? 'announced' : plain(`${state === 'kept' ? 'STAYS ANNOUNCED' : 'withdrawn'}: ${why}`)
  }

  /** How often it has looked at the node. */
  get looks(): number {
    return this.#tick
  }

  /** Goes on from what is announced already. */
  async start(): Promise<void> {
    const isUp = await this.#settings.form.isUp()
    this.#mayBeUp = isUp === undefined
    if (isUp === true) this.#set('announced', '', false)
    this.#wallMs = performance.now()
    this.#timer = setInterval(() => this.#look(), TICK_MS)
    this.#look()
  }

  /** Withdraws, unless too few others are announced. */
  async stop(): Promise<void> {
    this.#isStopping = true
    clearInterval(this.#timer)
    await this.#change
    if (this.#report.state !== 'withdrawn') await this.#withdraw({ kind: 'stopping', why: 'meridian announce ends' })
  }

  /** In place of start(): withdraws what a process before this one has left announced, unless too few others are. */
  async withdrawLeft(): Promise<void> {
    const isUp = await this.#settings.form.isUp()
    this.#mayBeUp = isUp === undefined
    if (isUp === false) return
    // Redis is still being connected
    const patienceMs = this.#settings.board === undefined ? 0 : CONNECT_MS
    for (let ms = 0; ms < patienceMs && (await this.#others()) === null; ms += TICK_MS)
      await new Promise((done) => setTimeout(done, TICK_MS))
    await this.#withdraw({ kind: 'stopping', why: 'meridian announce has ended' })
  }

  #look(): void {
    const wallMs = performance.now()
    this.#nowMs += Math.min(wallMs - this.#wallMs, 2 * TICK_MS)
    this.#wallMs = wallMs
    if (this.#tick % ASK_TICKS === 0) {
      for (const watched of this.#watched) void this.#ask(watched)
      void this.#tell()
    }
    if (this.#tick % BOARD_TICKS === 0) this.#repeat()
    this.#tick++
    this.#judge()
  }

  async #ask(watched: Watched): Promise<void> {
    const why = await watched.canary.ask(this.#zone, ANSWER_MS).catch(messageOf)
    if (why === undefined) {
      watched.answeredMs = this.#nowMs
      watched.steadyMs ??= this.#nowMs
    } else {
      watched.steadyMs = undefined
      watched.why = why
    }
  }

  /** Tells the node what is announced, and first what has changed while it did not listen. */
  async #tell(): Promise<void> {
    if (this.#isTelling) return
    this.#isTelling = true
    try {
      do {
        const report = this.#untold[0] ?? this.#report
        this.#word = await this.#settings.tell({ ...report, why: plain(report.why) })
        if (this.#untold[0] === report) this.#untold = this.#untold.slice(1)
      } while (this.#untold.length > 0)
      this.#zone = this.#word.zone
      this.#isGone = false
    } catch (error) {
      this.#word = undefined
      this.#unheard = messageOf(error)
      this.#isGone = ['ENOENT', 'ECONNREFUSED'].includes(codeOf(error) ?? '')
    }
    this.#isTelling = false
    this.#judge()
  }

  /** Makes sure that what was announced is. */
  #repeat(): void {
    const { form, log } = this.#settings
    if (this.#report.state === 'withdrawn' || this.#change !== undefined) return
    this.#again ??= form
      .again?.()
      .then(() => (this.#againTrouble = ''))
      .catch((error: unknown) => {
        const trouble = messageOf(error)
        if (trouble !== this.#againTrouble) log('warn', `announce: it can’t be made sure of: ${trouble}`)
        this.#againTrouble = trouble
      })
      .finally(() => (this.#again = undefined))
    this.#tellBoard()
  }

  /** Says that this node is announced and answers. */
  #tellBoard(): void {
    const { board } = this.#settings
    if (this.#report.state !== 'announced' || !this.#answers || board === undefined) return
    void within(BOARD_MS, board.announced(), () => null)
      .catch(() => null)
      .then((others) => {
        if (this.#report.state === 'announced') this.#report = { ...this.#report, others }
      })
  }

  #fault(): Fault | undefined {
    if (this.#word?.stopping === true) return { kind: 'stopping', why: 'the node ends' }
    const silent = this.#watched.filter(({ answeredMs }) => this.#nowMs - answeredMs >= SILENT_MS)
    if (silent.length === 0) return undefined
    if (this.#isGone && silent.length === this.#watched.length) return { kind: 'gone', why: 'the node does not run' }
    const where = someOf(
      silent.map(({ canary }) => canary.name),
      2,
    )
    return { kind: 'silent', why: `the node does not answer at ${where}: ${silent[0]!.why || 'no answer so far'}` }
  }

  #judge(): void {
    if (this.#change !== undefined || this.#isStopping) return
    const fault = this.#fault()
    const { state } = this.#report
    const isDue = this.#nowMs - this.#triedMs >= AGAIN_MS
    if (fault === undefined) {
      if (state === 'kept') this.#set('announced', '', false)
      else if (state === 'withdrawn' && this.#isSteady && isDue) this.#begin(this.#announce())
      else if (state === 'withdrawn' && this.#answers && this.#word?.ready !== true) this.#explain()
    } else if (state === 'announced' || (state === 'kept' && isDue)) this.#begin(this.#withdraw(fault))
    else if (state === 'withdrawn') {
      this.#report = { ...this.#report, why: fault.why }
      if (this.#mayBeUp && isDue) this.#begin(this.#withdraw(fault))
    }
  }

  /** Says why a node that answers is not announced. */
  #explain(): void {
    const lack =
      this.#word === undefined ? `says nothing at its control socket: ${this.#unheard || 'not so far'}` : 'is not ready'
    this.#report = { ...this.#report, why: `the node answers, but ${lack}` }
  }

  /** All canaries were answered when they were asked last. */
  get #answers(): boolean {
    return this.#watched.every(({ steadyMs }) => steadyMs !== undefined)
  }

  get #isSteady(): boolean {
    const isReady = this.#word?.ready === true && !this.#word.stopping
    return (
      isReady && this.#watched.every(({ steadyMs }) => steadyMs !== undefined && this.#nowMs - steadyMs >= STEADY_MS)
    )
  }

  #begin(change: Promise<void>): void {
    this.#triedMs = this.#nowMs
    this.#change = change.finally(() => (this.#change = undefined))
  }

  async #announce(): Promise<void> {
    try {
      await this.#settings.form.up()
      this.#mayBeUp = false
      this.#set('announced', '', false)
      this.#tellBoard()
    } catch (error) {
      const why = `it can’t be announced: ${messageOf(error)}`
      if (why !== this.#report.why) this.#settings.log('error', `announce: ${why}`)
      this.#report = { ...this.#report, why }
    }
  }

  /** Leaves the board. Resolves to how many others are on it; null: not known. */
  async #others(): Promise<number | null> {
    const { board } = this.#settings
    return board === undefined ? null : within(BOARD_MS, board.leave(), () => null).catch(() => null)
  }

  async #withdraw({ kind, why }: Fault): Promise<void> {
    const { board, form, others: enough } = this.#settings
    const others = await this.#others()
    const isPlanned = kind === 'stopping'
    const stays = others === null ? kind === 'silent' : others < enough
    if (stays) {
      if (this.#mayBeUp) return // it is tried again; nobody knows that anything stays announced
      const lack =
        others === null
          ? `whether others are announced is not known: ${board === undefined ? 'there is no Redis' : 'Redis is away'}`
          : `${others === 0 ? 'no other node is' : `only ${count(others, 'other node')} of ${enough} ${others === 1 ? 'is' : 'are'}`} announced and answers`
      return this.#set('kept', `${why}; ${lack}`, isPlanned, others)
    }
    try {
      await this.#again // or it would be announced behind its withdrawal
      await form.down()
      this.#mayBeUp = false
      this.#set('withdrawn', why, isPlanned, others)
    } catch (error) {
      this.#set('kept', `${why}; it can’t be withdrawn: ${messageOf(error)}`, isPlanned, others)
    }
  }

  #set(state: AnnounceReport['state'], why: string, isPlanned: boolean, others: number | null = null): void {
    const before = this.#report
    const isNews = before.state !== state
    this.#report = { state, why, isPlanned, others, sinceMs: isNews ? Date.now() : before.sinceMs }
    if (isNews) this.#untold = [...this.#untold, this.#report].slice(-MOST_UNTOLD)
    if (!isNews && before.why === why) return
    const { log } = this.#settings
    const fields = { before: before.state, after: state, others }
    if (state === 'announced') log('info', 'announced: the node answers', fields)
    else if (state === 'withdrawn') log('warn', `withdrawn: ${why}`, fields)
    else log('error', `STAYS ANNOUNCED: ${why}`, fields)
    void this.#tell()
  }
}
