/**
 * `meridian check [DIR]`: loads and compiles zones without serving them, through the builder that `serve` uses, so what
 * passes here loads there. It reports the builder's problems, the linter's warnings, the failover budget of each
 * steered name and, with --parent, what a server of the parent zones says of the delegations.
 */
import { formatName } from '../dns/name.ts'
import { lint } from '../load/lint.ts'
import { compareProblems, type Problem, ProblemList, hiddenProblems } from '../problem.ts'
import { count as counted, type Endpoint, formatSeconds, someOf } from '../units.ts'
import { makeBuilder, type WorldBuild } from '../world/build.ts'
import type { ProbeSettings } from '../world/settings-check.ts'
import { failoverBudget, type SteeredNames, steeredNames, steeredOf } from '../zone/budget.ts'
import type { Model } from '../zone/model.ts'
import { Z_OWNER } from '../zone/pack.ts'
import type { Format } from './formats.ts'
import { type Output, restInWords, table } from './output.ts'
import { checkParent } from './parent.ts'
import { GithubWriter, ProblemWriter } from './words/problems.ts'
import { makeProgressBar } from './words/progress.ts'

/** What to check, and how to report it. */
export interface CheckOptions {
  readonly zones: string
  readonly city: readonly string[]
  readonly asn: readonly string[]
  readonly cache?: string
  readonly nodeSite?: string
  /** Address families that queries come from; empty: the zones are checked by themselves. */
  readonly listens: readonly (4 | 6)[]
  /** This node's prober, to check the zones against; undefined: they are checked without one. */
  readonly probe?: ProbeSettings
  /** Names of this node's TSIG keys; undefined: the zones are checked without them. */
  readonly tsigKeys?: readonly string[]
  /** The setting `overrides.maxFor` of this node, in ms. */
  readonly maxForMs?: number | undefined
  readonly format: Format
  /** Warnings fail the check too. */
  readonly strict: boolean
  /** A server of the parent zones, to compare the delegations with. */
  readonly parent?: Endpoint
  /** The regions that have probers; undefined: not known. */
  readonly regions?: readonly string[]
  /** Problems of the settings, reported with the others. */
  readonly problems: readonly Problem[]
}

/** The most rows in the table of budgets; JSON has all. */
const MAX_ROWS = 20

/** Checks a folder of zones; resolves to the exit code, 1 if isFailure(). */
export async function check(options: CheckOptions, output: Output): Promise<number> {
  const { format, strict, parent, regions, problems: earlier, ...settings } = options
  const bar = output.terminal && makeProgressBar(output.terminal)
  const builder = makeBuilder({ ...settings, ...(bar !== undefined && { onProgress: bar.show }) })
  const result = await builder.build().finally(() => bar?.erase())
  const model = builder.model()
  const made = result.kind === 'made' ? result.made : undefined
  const parentProblems = model === undefined || parent === undefined ? [] : await checkParent(parent, model.zones)
  const warned = new ProblemList()
  for (const warning of model === undefined ? [] : lint(model, regions && new Set(regions))) warned.report(warning)
  const hidden = hiddenProblems(warned, settings.zones, false)
  const problems = [...earlier, ...result.problems, ...warned.list, ...hidden, ...parentProblems].toSorted(
    compareProblems,
  )
  printProblems(problems, { format, folder: settings.zones, settings: earlier }, output)
  const failed = isFailure(problems, strict)
  if (format === 'json')
    output.out(JSON.stringify({ ok: !failed, ...summary(made, problems), ...inFull(model), problems }))
  else {
    if (format === 'text' && made !== undefined && model !== undefined) printBudgets(model, output)
    output.out(inWords(made, problems, settings.zones))
  }
  return failed ? 1 : 0
}

/** Reports settings that can't be used; then nothing is loaded. Returns the exit code, 1. */
export function refuseSettings(problems: readonly Problem[], format: Format, output: Output): number {
  printProblems(problems, { format, folder: '.', settings: problems }, output)
  if (format === 'json') output.out(JSON.stringify({ ok: false, ...counts(problems), problems }))
  return 1
}

/** Whether the problems fail a check: errors always, warnings if `strict`, notices never. */
export const isFailure = (problems: readonly Problem[], strict: boolean): boolean =>
  problems.some(({ severity }) => severity === 'error' || (strict && severity === 'warning'))

/**
 * Prints problems, except in JSON, which has them with all else. `folder`: of the zones. `settings`: the settings'
 * problems.
 */
function printProblems(
  problems: readonly Problem[],
  { format, folder, settings }: { format: Format; folder: string; settings: readonly Problem[] },
  output: Output,
): void {
  if (format === 'json' || problems.length === 0) return
  if (format === 'github') {
    const writer = new GithubWriter(folder)
    for (const problem of problems) output.out(writer.format(problem))
    return
  }
  const { terminal } = output
  const writer = new ProblemWriter(terminal?.colours === true, new Set(settings.map(({ file }) => file)))
  for (const problem of problems) {
    const text = writer.format(problem)
    if (terminal === undefined) output.err(text)
    else terminal.write(`${text}\n`)
  }
}

const count = (problems: readonly Problem[], wanted: string): number =>
  problems.filter(({ severity }) => severity === wanted).length

const counts = (problems: readonly Problem[]): object => ({
  errors: count(problems, 'error'),
  warnings: count(problems, 'warning'),
  notices: count(problems, 'notice'),
})

function summary(made: WorldBuild | undefined, problems: readonly Problem[]): object {
  const sizes = made === undefined ? {} : { zones: made.zoneCount, names: made.nameCount, view: made.view }
  return { ...sizes, ...counts(problems) }
}

function inWords(made: WorldBuild | undefined, problems: readonly Problem[], zones: string): string {
  const found = ['error', 'warning'].map((severity) => counted(count(problems, severity), severity)).join(', ')
  if (made === undefined) return `${zones}: ${found}`
  const { zoneCount, nameCount, plan, view, world } = made
  const loaded = [
    counted(zoneCount, 'zone'),
    counted(nameCount, 'name'),
    counted(world.services.length, 'service'),
    counted(plan.members.length, 'member'),
  ]
  return `${zones}: ${loaded.join(', ')}; ${found}; view ${view}`
}

/** The key `budgets` of the JSON form: every steered name with its failover budget. */
function inFull(model: Model | undefined): object {
  if (model === undefined) return {}
  const services = new Map(model.services.map((service) => [service.name, service]))
  const budgets = model.zones.flatMap((zone) =>
    Array.from(steeredOf(zone), ({ service: name, capSeconds, set }) => {
      const service = services.get(name)!
      const limit = service.budgetMs === undefined ? {} : { budgetMs: service.budgetMs }
      const owner = formatName(zone.bytes, zone.sets[set + Z_OWNER])
      return { name: owner, service: name, ...failoverBudget(service, capSeconds), ...limit }
    }),
  )
  return { budgets }
}

/** Prints the failover budgets, the longest first; services without a check, which never fail over, come last. */
function printBudgets({ zones, services }: Model, output: Output): void {
  const rows = steeredNames(zones, services).toSorted((a, b) => (b.budget.totalMs ?? -1) - (a.budget.totalMs ?? -1))
  if (rows.length === 0) return
  const head = ['failover of', 'service', 'detection', 'spread', 'TTL', 'worst case', 'budget']
  output.out(table([head, ...rows.slice(0, MAX_ROWS).map(budgetRow)]))
  for (const rest of restInWords(rows.length - MAX_ROWS)) output.out(rest)
  output.out('')
}

function budgetRow({ service, budget, names, first }: SteeredNames): readonly string[] {
  const { detectMs, spreadMs, ttlMs, totalMs } = budget
  return [
    someOf([first], 1, names),
    service.name,
    detectMs === null ? 'not checked' : formatSeconds(detectMs),
    formatSeconds(spreadMs),
    formatSeconds(ttlMs),
    totalMs === null ? 'never' : formatSeconds(totalMs),
    service.budgetMs === undefined ? '-' : formatSeconds(service.budgetMs),
  ]
}
