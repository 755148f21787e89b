/**
 * Drills: members are drained for a time, to see that the others carry their clients, and come back by themselves. One at
 * a time, watched by the node that was asked:
 *
 *   outlook ─ safe ─▶ drain ─▶ watch ─▶ its time is over · an abort rule holds · somebody undid it ─▶ report
 *
 * The drain is an override with an end: it is over on all nodes in time, whatever happens to this node. A process that was
 * killed goes on watching when it is back; a drill of drills.yaml is watched by another node meanwhile (schedule.ts).
 * Reports are kept in `state/drills.json`, the latest first. Used by RunningNode.
 */
import type { Refusal } from '../api/contract.ts'
import type { Acknowledgement, MemberStanding, NodeHealth, SaveResult, ServiceHealth } from '../health/node-health.ts'
import { canonicalPattern, DRILL_WHY, matches, type OverrideRequest, type OverrideView } from '../health/override.ts'
import { damaged, type FileKind, readState, Saver } from '../state.ts'
import { formatAge, formatDuration, formatWholePercent } from '../units.ts'
import { formatAbortRule, readAbortRule } from '../zone/drills.ts'
import {
  beginReport,
  type DrillOutcome,
  type DrillReport,
  type DrillRequest,
  measure,
  OUTCOME_WORDS,
  type OwnRates,
  readReport,
} from './drill-report.ts'

/** What Drills needs of its node. */
export interface DrillsSettings {
  readonly file: string
  readonly node: string
  readonly health: Pick<NodeHealth, 'override' | 'outlook' | 'overview'>
  readonly rates: () => OwnRates
  readonly log: (level: 'info' | 'warn', fields: object, line: string) => void
  /** A drill has begun, or has ended. */
  readonly onChange: (report: DrillReport) => void
  readonly onTrouble: (trouble: string | undefined) => void
}

/** A drill that has begun. `saved`: where its drain is stored, and who has it. */
export interface DrillBegun {
  readonly report: DrillReport
  readonly saved: Promise<SaveResult & Acknowledgement>
}

const FILE: FileKind = { what: 'drills', format: 'meridian drills 1' }
/** Reports that are kept. */
const MOST = 50
/** A drill looks at health at each change of a member, and so often. */
const LOOK_MS = 250

interface Running {
  readonly request: DrillRequest
  /** Of the drain: another override of the pattern ends the drill. */
  version: number
  readonly sinceMs: number
  /** Members that were down before, which abort nothing. */
  readonly downBefore: ReadonlySet<string>
}

/** The drills of one node. */
export class Drills {
  readonly #settings: DrillsSettings
  readonly #saver: Saver
  #reports: readonly DrillReport[] = []
  #running: Running | undefined
  #timer: NodeJS.Timeout | undefined

  constructor(settings: DrillsSettings) {
    this.#settings = settings
    const { file, onTrouble } = settings
    this.#saver = new Saver({ file, kind: FILE, collect: () => ({ reports: this.#reports }), onTrouble })
  }

  /**
   * Reads the reports of earlier processes. A drill that they left behind goes on if its drain is in force; else it is
   * lost. Call it when the overrides are known.
   */
  read(): void {
    const { file, onTrouble } = this.#settings
    const { state, trouble } = readState(file, FILE)
    if (trouble !== undefined) onTrouble(trouble)
    if (state === undefined) return
    const { reports } = state
    const read = Array.isArray(reports) ? reports.map(readReport) : [undefined]
    if (read.includes(undefined)) return onTrouble(damaged(file, FILE.what))
    const reason = 'the node ended meanwhile; the drain ends in its time'
    const all = read.filter((one) => one !== undefined)
    const drain = all[0]?.outcome === 'running' ? this.#drainOf(all[0]) : undefined
    this.#reports = all.map((one, i): DrillReport =>
      one.outcome === 'running' && (i > 0 || drain === undefined) ? { ...one, outcome: 'lost', reason } : one,
    )
    if (drain !== undefined) this.#resume(this.#reports[0]!, drain)
    else if (all[0]?.outcome === 'running') this.#settings.onChange(this.#reports[0]!)
  }

  /** The latest first. */
  get reports(): readonly DrillReport[] {
    return this.#reports
  }

  /** Begins a drill, where nothing speaks against it. `unattended`: nobody watches, so nothing else may be going on. */
  begin(asked: DrillRequest, unattended = false): DrillBegun | Refusal {
    const { health } = this.#settings
    const pattern = canonicalPattern(asked.pattern) ?? asked.pattern
    const request = { ...asked, pattern }
    const refused = (unattended ? this.#unsettled(request) : undefined) ?? this.#refusal(request)
    if (refused !== undefined) return refused
    const before = health.overview()
    const outcome = health.override(drainOf(request))
    if ('refused' in outcome) return outcome
    const drained = new Set(outcome.members[0]!.map((member) => member.split('/')[1]!))
    const report = beginReport(request, drained, { ...before, ...this.#own() })
    const running = this.#watch(request, outcome.done[0]!.version, performance.now(), before.members)
    // raised, where another node has set an override of the pattern at the same time
    void outcome.saved.then(({ current }) => (running.version = current[0]!.version))
    this.#reports = [report, ...this.#reports].slice(0, MOST)
    void this.#saver.save()
    this.#settings.log(
      'info',
      { drill: report },
      `${pattern}: a drill of ${formatDuration(request.forMs)} by ${request.who} begins: ${request.why}`,
    )
    this.#settings.onChange(report)
    return { report, saved: outcome.saved }
  }

  /** Watches a drill that a node began which is gone; false: its drain is not in force, or another drill runs here. */
  adopt(request: DrillRequest): boolean {
    const drain = this.#drainOf(request)
    if (drain === undefined || this.#running !== undefined) return false
    const { services, members, ...rest } = this.#settings.health.overview()
    const names = new Set(members.flatMap((one) => (isIn(request.pattern, one) ? [one.service] : [])))
    const report = beginReport(request, names, { ...rest, services, ...this.#own() })
    this.#reports = [{ ...report, beganMs: drain.madeMs }, ...this.#reports].slice(0, MOST)
    this.#resume(this.#reports[0]!, drain)
    void this.#saver.save()
    return true
  }

  /** Looks whether the drill has to end. Called when a member has changed, too. */
  look(): void {
    if (this.#running === undefined) return
    const { request, version, sinceMs } = this.#running
    const { services, members, overrides, nodes } = this.#settings.health.overview()
    const lastedMs = Math.round(performance.now() - sinceMs)
    this.#report(measure(this.#reports[0]!, { services, nodes, ...this.#own() }, lastedMs))
    const mine = overrides.find(({ override }) => override.pattern === request.pattern)?.override
    if (mine?.version === version) {
      const why = this.#whyAbort(services, members)
      if (why !== undefined) void this.#abort(why)
      return
    }
    if (mine === undefined && performance.now() - sinceMs >= request.forMs)
      return this.#end('complete', 'its time is over')
    this.#end('undone', mine === undefined ? 'its drain was undone' : `another override took its place, of ${mine.who}`)
  }

  /** Ends a drill that runs; its members come back. */
  async stop(): Promise<void> {
    if (this.#running !== undefined) await this.#abort('the node that watches it ends')
    await this.#saver.close()
  }

  #own(): { readonly self: string; readonly rates: OwnRates } {
    return { self: this.#settings.node, rates: this.#settings.rates() }
  }

  #watch(request: DrillRequest, version: number, sinceMs: number, members: readonly MemberStanding[]): Running {
    const downBefore = new Set(members.filter(({ state }) => state === 'down').map(({ member }) => member))
    const running: Running = { request, version, sinceMs, downBefore }
    this.#running = running
    this.#timer = setInterval(() => this.look(), LOOK_MS).unref()
    return running
  }

  /** Goes on with a drill. What is down by now aborts nothing by itself; what is left of services still does. */
  #resume(report: DrillReport, { version, leftMs }: OverrideView): void {
    const { pattern, who, why, forMs } = report
    const abortIf = report.abortIf.map(readAbortRule).filter((rule) => rule !== undefined)
    const sinceMs = performance.now() - (forMs - (leftMs ?? forMs))
    this.#watch({ pattern, who, why, forMs, abortIf }, version, sinceMs, this.#settings.health.overview().members)
    this.#settings.log('info', { drill: report }, `${pattern}: the drill of ${who} goes on, watched by this node`)
  }

  /** The drain of a drill, if it is in force. */
  #drainOf({ pattern, who, why }: Pick<DrillRequest, 'pattern' | 'who' | 'why'>): OverrideView | undefined {
    const all = this.#settings.health.overview().overrides.map(({ override }) => override)
    return all.find((one) => one.pattern === pattern && one.who === who && one.why === DRILL_WHY + why)
  }

  /** Brings the clients back; resolves when other nodes know, or do not for a while. */
  async #abort(why: string): Promise<void> {
    const { request } = this.#running!
    const undo = { ...drainOf(request), action: 'undone', forMs: undefined, why: `drill aborted: ${why}` } as const
    this.#end('aborted', why) // before what it changes is looked at
    const outcome = this.#settings.health.override(undo)
    if ('saved' in outcome) await outcome.saved
  }

  #refusal({ pattern, forMs, abortIf }: DrillRequest): Refusal | undefined {
    const { health } = this.#settings
    if (this.#running !== undefined) {
      const other = this.#running.request.pattern
      return { refused: `a drill of ${other} is running here`, hint: `To end it: meridian undrain ${other}` }
    }
    const outlook = health.outlook([pattern])
    if (typeof outlook === 'string') return { refused: outlook }
    if (!outlook.safe) return { refused: outlook.why, hint: 'A drill begins only where a drain is safe' }
    const { services, overrides } = health.overview()
    const standing = overrides.find(({ override }) => override.pattern === pattern)?.override
    if (standing !== undefined)
      return { refused: `${pattern} has an override of ${standing.who}: ${standing.why}`, hint: 'Undo it first' }
    for (const rule of abortIf) {
      const low = rule.kind === 'left' && outlook.services.find(({ leftThenPercent }) => leftThenPercent < rule.percent)
      if (low !== false && low !== undefined)
        return { refused: `the drill itself leaves ${formatWholePercent(low.leftThenPercent)} of ${low.service}` }
      if (rule.kind === 'down' && !services.some(({ service }) => service === rule.service))
        return {
          refused: `there is no service ${rule.service}`,
          hint: 'abortIf takes left<60%, last-resort and services',
        }
    }
    return forMs > 0 ? undefined : { refused: 'a drill needs a time' }
  }

  /** Why a drill that nobody asked for should not begin now: something is going on already. */
  #unsettled({ pattern, abortIf }: DrillRequest): Refusal | undefined {
    const { overrides, members } = this.#settings.health.overview()
    const other = overrides.find(({ override: { action, shift } }) =>
      shift === undefined ? action === 'drain' || action === 'down' : true,
    )?.override
    if (other !== undefined) return { refused: `${other.pattern} has an override of ${other.who}: ${other.why}` }
    const down = abortIf
      .map((rule) => rule.kind === 'down' && downOutside(pattern, rule.service, members))
      .find(Boolean)
    return down ? { refused: `${down.member} is down: ${down.why}` } : undefined
  }

  /** Why the drill has to end early; undefined: it goes on. */
  #whyAbort(services: readonly ServiceHealth[], members: readonly MemberStanding[]): string | undefined {
    const { request, downBefore } = this.#running!
    const { pattern, abortIf } = request
    const own = new Set(this.#reports[0]!.services.map(({ service }) => service))
    for (const rule of abortIf) {
      if (rule.kind === 'down') {
        const down = downOutside(
          pattern,
          rule.service,
          members.filter(({ member }) => !downBefore.has(member)),
        )
        if (down !== undefined) return `${down.member} is down: ${down.why}`
        continue
      }
      for (const { service, leftPercent, lastResort } of services) {
        if (!own.has(service)) continue
        if (rule.kind === 'last-resort' && (lastResort || leftPercent === 0))
          return `nothing of ${service} is left up: what is drained, or its last resort, answers`
        if (rule.kind === 'left' && leftPercent < rule.percent)
          return `${formatWholePercent(leftPercent)} of ${service} is left (${formatAbortRule(rule)})`
      }
    }
    return undefined
  }

  #end(outcome: Exclude<DrillOutcome, 'running'>, reason: string): void {
    const { request, sinceMs } = this.#running!
    this.#running = undefined
    clearInterval(this.#timer)
    const lastedMs = Math.round(performance.now() - sinceMs)
    this.#report({ outcome, reason, lastedMs })
    void this.#saver.save()
    const line = `${request.pattern}: the drill of ${request.who} is ${OUTCOME_WORDS[outcome]} after ${formatAge(lastedMs)}: ${reason}`
    this.#settings.log(outcome === 'complete' ? 'info' : 'warn', { drill: this.#reports[0] }, line)
    this.#settings.onChange(this.#reports[0]!)
  }

  #report(more: Partial<DrillReport>): void {
    const [report, ...others] = this.#reports
    this.#reports = [{ ...report!, ...more }, ...others]
  }
}

const drainOf = ({ pattern, forMs, who, why }: DrillRequest): OverrideRequest => ({
  pattern,
  action: 'drain',
  forMs,
  who,
  why: DRILL_WHY + why,
  yes: false,
})

/** Whether a pattern matches a member. */
const isIn = (pattern: string, { site, service, member }: MemberStanding): boolean =>
  matches(pattern, { site, service, address: member.split('/')[2] ?? '' })

/** A member of a service that is down, and that a drill does not drain. */
const downOutside = (
  pattern: string,
  service: string,
  members: readonly MemberStanding[],
): MemberStanding | undefined =>
  members.find((one) => one.service === service && one.state === 'down' && !isIn(pattern, one))
