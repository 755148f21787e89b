/**
 * Drills: members are drained for a time, to see that the others carry their clients, and come back by themselves. One at
 * a time, watched by the node that was asked:
 *
 *   outlook ─ safe ─▶ drain ─▶ watch ─▶ its time is over · an abort rule holds · somebody undid it ─▶ report
 *
 * The drain is an override with an end: it is over on all nodes in time, whatever happens to this node. Reports are kept in
 * `state/drills.json`, the latest first. Used by RunningNode.
 */
import type { Refusal } from '../api/contract.ts'
import type { Rates } from '../api/rates.ts'
import type { Acknowledgement, MemberStanding, NodeHealth, SaveResult, ServiceHealth } from '../health/node-health.ts'
import { canonicalPattern, matches, type OverrideRequest } from '../health/override.ts'
import { damaged, type FileKind, isRecord, readState, Saver } from '../state.ts'
import { formatAge, formatDuration, formatWholePercent, parsePercent } from '../units.ts'

/**
 * When a drill ends early: less than `percent` is left of a service that it drains of; nothing is; `down`: a member of the
 * service goes down that the drill does not drain.
 */
export type AbortRule =
  | { readonly kind: 'left'; readonly percent: number }
  | { readonly kind: 'last-resort' }
  | { readonly kind: 'down'; readonly service: string }

/** A drill as it is requested. */
export interface DrillRequest {
  readonly pattern: string
  readonly forMs: number
  readonly abortIf: readonly AbortRule[]
  readonly who: string
  readonly why: string
}

/** What became of a drill. `lost`: its node ended meanwhile; the drain ended in its time. */
export type DrillOutcome = 'running' | 'complete' | 'aborted' | 'undone' | 'lost'

/** A drill, running or over. Plain JSON. */
export interface DrillReport {
  readonly pattern: string
  readonly who: string
  readonly why: string
  /** As written: `left<60%`. */
  readonly abortIf: readonly string[]
  /** Unix time in ms by the clock of the node. */
  readonly beganMs: number
  readonly forMs: number
  /** How long it has been going, or went. */
  readonly lastedMs: number
  readonly outcome: DrillOutcome
  /** Why it ended, in words; empty while it runs. */
  readonly reason: string
  /** The capacity of each service that it drains of: before, and the least meanwhile. */
  readonly services: readonly {
    readonly service: string
    readonly beforePercent: number
    readonly leastPercent: number
  }[]
  /** Steered answers of this node a second, by site, over the last 5 to 10 s each: before, the least, the most, the last. */
  readonly answers: readonly {
    readonly site: string
    readonly before: number
    readonly least: number
    readonly most: number
    readonly last: number
    /** When the site first had a tenth of its answers or less; null: never, or it had none before. */
    readonly leftAfterMs: number | null
  }[]
  /** Queries a second of this node: before, and the most meanwhile. */
  readonly queries: { readonly before: number; readonly most: number }
}

/** What Drills needs of its node. */
export interface DrillsSettings {
  readonly file: string
  readonly health: Pick<NodeHealth, 'override' | 'outlook' | 'overview'>
  readonly rates: () => Pick<Rates, 'queriesPerSecond' | 'sites'>
  readonly log: (level: 'info' | 'warn', fields: object, line: string) => void
  readonly onTrouble: (trouble: string | undefined) => void
}

const FILE: FileKind = { what: 'drills', format: 'meridian drills 1' }
/** Reports that are kept. */
const MOST = 50
/** A drill looks at health at each change of a member, and so often. */
const LOOK_MS = 250

/** Reads `left<60%`, `last-resort` or the name of a service; undefined: it is none of these. */
export function readAbortRule(text: string): AbortRule | undefined {
  const left = /^left\s*<(.*)$/.exec(text)?.[1]?.trim()
  if (left !== undefined) {
    const share = parsePercent(left)
    return share === undefined ? undefined : { kind: 'left', percent: 100 * share }
  }
  if (text === 'last-resort') return { kind: 'last-resort' }
  return /^[\w.-]{1,63}$/.test(text) ? { kind: 'down', service: text } : undefined
}

/** An AbortRule as it is written. */
export const formatAbortRule = (rule: AbortRule): string =>
  rule.kind === 'left' ? `left<${rule.percent}%` : rule.kind === 'last-resort' ? 'last-resort' : rule.service

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

  /** Reads the reports of earlier processes; a drill that they left behind is lost. */
  read(): void {
    const { file, onTrouble } = this.#settings
    const { state, trouble } = readState(file, FILE)
    if (trouble !== undefined) onTrouble(trouble)
    if (state === undefined) return
    const { reports } = state
    if (!Array.isArray(reports) || !reports.every(isReport)) return onTrouble(damaged(file, FILE.what))
    const reason = 'the node ended meanwhile; the drain ends in its time'
    this.#reports = reports.map((one) => (one.outcome === 'running' ? { ...one, outcome: 'lost', reason } : one))
  }

  /** The latest first. */
  get reports(): readonly DrillReport[] {
    return this.#reports
  }

  /** Begins a drill, where nothing speaks against it. `saved`: where its drain is stored, and who has it. */
  begin(
    asked: DrillRequest,
  ): { readonly report: DrillReport; readonly saved: Promise<SaveResult & Acknowledgement> } | Refusal {
    const { health, rates } = this.#settings
    const pattern = canonicalPattern(asked.pattern) ?? asked.pattern
    const request = { ...asked, pattern }
    const refused = this.#refusal(request)
    if (refused !== undefined) return refused
    const { services, members } = health.overview()
    const outcome = health.override(drainOf(request))
    if ('refused' in outcome) return outcome
    const drained = new Set(outcome.members[0]!.map((member) => member.split('/')[1]))
    const { queriesPerSecond, sites } = rates()
    const report: DrillReport = {
      pattern,
      who: request.who,
      why: request.why,
      abortIf: request.abortIf.map(formatAbortRule),
      beganMs: Date.now(),
      forMs: request.forMs,
      lastedMs: 0,
      outcome: 'running',
      reason: '',
      services: services
        .filter(({ service }) => drained.has(service))
        .map(({ service, leftPercent }) => ({ service, beforePercent: leftPercent, leastPercent: leftPercent })),
      answers: sites.map(({ site, answersPerSecond: rate }) => {
        return { site, before: rate, least: rate, most: rate, last: rate, leftAfterMs: null }
      }),
      queries: { before: queriesPerSecond, most: queriesPerSecond },
    }
    this.#running = {
      request,
      version: outcome.done[0]!.version,
      sinceMs: performance.now(),
      downBefore: new Set(members.filter(({ state }) => state === 'down').map(({ member }) => member)),
    }
    const running = this.#running
    // raised, where another node has set an override of the pattern at the same time
    void outcome.saved.then(({ current }) => (running.version = current[0]!.version))
    this.#reports = [report, ...this.#reports].slice(0, MOST)
    this.#timer = setInterval(() => this.look(), LOOK_MS).unref()
    void this.#saver.save()
    this.#settings.log(
      'info',
      { drill: report },
      `${pattern}: a drill of ${formatDuration(request.forMs)} by ${request.who} begins: ${request.why}`,
    )
    return { report, saved: outcome.saved }
  }

  /** Looks whether the drill has to end. Called when a member has changed, too. */
  look(): void {
    if (this.#running === undefined) return
    const { request, version, sinceMs } = this.#running
    const { services, members, overrides } = this.#settings.health.overview()
    this.#measure(services)
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

  /** Why the drill has to end early; undefined: it goes on. */
  #whyAbort(services: readonly ServiceHealth[], members: readonly MemberStanding[]): string | undefined {
    const { request, downBefore } = this.#running!
    const { pattern, abortIf } = request
    const own = new Set(this.#reports[0]!.services.map(({ service }) => service))
    for (const rule of abortIf) {
      if (rule.kind === 'down') {
        const down = members.find(
          ({ member, service, site, state }) =>
            service === rule.service &&
            state === 'down' &&
            !downBefore.has(member) &&
            !matches(pattern, { site, service, address: member.split('/')[2] ?? '' }),
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

  /** Takes what there is now into the report. */
  #measure(services: readonly ServiceHealth[]): void {
    const { sinceMs } = this.#running!
    const report = this.#reports[0]!
    const { queriesPerSecond, sites } = this.#settings.rates()
    const lastedMs = Math.round(performance.now() - sinceMs)
    const left = new Map(services.map(({ service, leftPercent }) => [service, leftPercent]))
    const rates = new Map(sites.map(({ site, answersPerSecond }) => [site, answersPerSecond]))
    const before = new Map(report.answers.map((one) => [one.site, one]))
    const names = [...before.keys(), ...[...rates.keys()].filter((site) => !before.has(site))]
    this.#report({
      lastedMs,
      services: report.services.map(({ service, beforePercent, leastPercent }) => {
        return { service, beforePercent, leastPercent: Math.min(leastPercent, left.get(service) ?? leastPercent) }
      }),
      answers: names.map((site) => {
        const none = { site, before: 0, least: 0, most: 0, leftAfterMs: null }
        const { last: _, ...known } = { last: 0, ...(before.get(site) ?? none) }
        const last = rates.get(site) ?? 0
        const isLeft = known.before > 0 && last <= known.before / 10
        return {
          ...known,
          least: Math.min(known.least, last),
          most: Math.max(known.most, last),
          last,
          leftAfterMs: known.leftAfterMs ?? (isLeft ? lastedMs : null),
        }
      }),
      queries: { before: report.queries.before, most: Math.max(report.queries.most, queriesPerSecond) },
    })
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
  }

  #report(more: Partial<DrillReport>): void {
    const [report, ...others] = this.#reports
    this.#reports = [{ ...report!, ...more }, ...others]
  }
}

/** The outcome of a drill in words. */
export const OUTCOME_WORDS: Readonly<Record<DrillOutcome, string>> = {
  running: 'running',
  complete: 'complete',
  aborted: 'ABORTED',
  undone: 'over early',
  lost: 'lost',
}

const drainOf = ({ pattern, forMs, who, why }: DrillRequest): OverrideRequest => ({
  pattern,
  action: 'drain',
  forMs,
  who,
  why: `drill: ${why}`,
  yes: false,
})

/** Whether a value of the file is a report of this version. */
const isReport = (value: unknown): value is DrillReport =>
  isRecord(value) &&
  ['pattern', 'who', 'why', 'outcome', 'reason'].every((key) => typeof value[key] === 'string') &&
  ['beganMs', 'forMs', 'lastedMs'].every((key) => typeof value[key] === 'number') &&
  ['abortIf', 'services', 'answers'].every((key) => Array.isArray(value[key])) &&
  isRecord(value['queries'])
