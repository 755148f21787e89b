/**
 * What a node knows of its announcement: takes the reports of the Announcer, says in return how the node is, and lets a
 * node that ends wait until its addresses are withdrawn. Made by RunningNode; it decides nothing.
 */
import type { Announcement, AnnounceReport, AnnounceStatus, NodeWord } from '../../api/announcing.ts'
import type { Config, Log } from '../../config.ts'
import { within } from '../../health/within.ts'
import { formatDuration } from '../../units.ts'
import { announcedPrefixes } from './forms.ts'

/** What AnnounceDesk needs of its node. */
export interface DeskSettings {
  readonly config: Pick<Config, 'announce.form' | 'announce.addresses' | 'announce.wait'>
  readonly log: Log
  readonly isReady: () => boolean
  /** A zone that it serves. */
  readonly zone: () => string
  readonly onReport: (report: AnnounceReport, before: AnnounceReport | null) => void
}

/** Reports come twice a second; whoever sends none for so long is silent. */
const SILENT_MS = 3_000
/** A node that ends waits for so long for its withdrawal. */
const WITHDRAW_MS = 3_000

/** Where reports come in. */
export class AnnounceDesk {
  readonly #settings: DeskSettings
  #report: AnnounceReport | null = null
  #heardMs = -Infinity
  #isStopping = false
  /** Called at each report. */
  #onReport = (): void => {}

  constructor(settings: DeskSettings) {
    this.#settings = settings
  }

  /** Takes a report. */
  take(report: AnnounceReport): NodeWord {
    const before = this.#report
    this.#report = report
    this.#heardMs = performance.now()
    if (before?.state !== report.state) this.#settings.onReport(report, before)
    this.#onReport()
    const { isReady, zone } = this.#settings
    return { ready: isReady(), stopping: this.#isStopping, zone: zone() }
  }

  /** null: nothing is to be announced. */
  get status(): AnnounceStatus | null {
    const { config } = this.#settings
    if (config['announce.form'] === undefined) return null
    return {
      addresses: announcedPrefixes(config['announce.addresses']),
      report: this.#report,
      heard: performance.now() - this.#heardMs < SILENT_MS,
    }
  }

  /** Without fresh reports it goes by what the node itself knows. */
  get announcement(): Announcement {
    const { isReady } = this.#settings
    const { report = null, heard = false } = this.status ?? {}
    if (report !== null && heard) return { announced: report.state !== 'withdrawn', why: report.why }
    return { announced: isReady(), why: isReady() ? '' : 'the node is not ready' }
  }

  /** Resolves when the addresses are withdrawn, and routers have had `announce.wait` to notice. */
  async leave(): Promise<void> {
    const { config, log } = this.#settings
    if (config['announce.form'] === undefined) return
    this.#isStopping = true
    const waitMs = config['announce.wait']
    const goesOn = `answering goes on for ${formatDuration(waitMs)}`
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#onReport = () => {
      if (this.#report?.isPlanned === true || this.#report?.state === 'withdrawn') resolve()
    }
    await within(WITHDRAW_MS, promise, () => {})
    const { report, heard } = this.status!
    if (!heard || report === null)
      log('error', `meridian announce is silent: is the address still announced? ${goesOn}`)
    else if (report.state === 'withdrawn') log('info', `withdrawn; ${goesOn}`)
    else {
      const why = report.why || `meridian announce has not withdrawn it within ${formatDuration(WITHDRAW_MS)}`
      log('error', `the address STAYS ANNOUNCED: ${why}; ${goesOn}, and then nobody answers there`)
    }
    await new Promise((done) => setTimeout(done, waitMs))
  }
}
