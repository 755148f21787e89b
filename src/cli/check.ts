/**
 * `meridian check [DIR]`: load and compile without serving. The same builder as `serve`, so what passes here loads there;
 * beside its problems the linter's warnings, each steered name's failover budget and, where a server of the parent zones is
 * named, what that one says of the delegations.
 */
import { formatName } from '../dns/name.ts'
import { lint } from '../load/lint.ts'
import { comparePlaces, type Problem, ProblemList, hiddenProblems } from '../problem.ts'
import { count as counted, type Endpoint, formatSeconds, someOf } from '../units.ts'
import { makeBuilder, type WorldBuild } from '../world/build.ts'
import type { ProbeSettings } from '../world/settings-check.ts'
import { failoverBudget, type SteeredNames, steeredNames, steeredOf } from '../zone/budget.ts'
import type { Model } from '../zone/model.ts'
import { Z_OWNER } from '../zone/pack.ts'
import { type Output, restInWords, table } from './output.ts'
import { checkParent } from './parent.ts'
import { GithubWriter, ProblemWriter } from './words/problems.ts'
import { makeProgressBar } from './words/progress.ts'

export const FORMATS = ['text', 'json', 'github'] as const
export type Format = (typeof FORMATS)[number]

export interface CheckOptions {
  readonly zones: string
  readonly city: readonly string[]
  readonly asn: readonly string[]
  readonly cache?: string
  readonly nodeSite?: string
  /** What the zones are checked against beyond themselves: this node's prober. */
  readonly probe?: ProbeSettings
  readonly format: Format
  /** Warnings fail too. */
  readonly strict: boolean
  /** A server of the parent zones. */
  readonly parent?: Endpoint
  /** Of the settings: told with the rest. */
  readonly problems: readonly Problem[]
}

/** Rows of the table of budgets; JSON has all. */
const MAX_ROWS = 20

/** Exit code: 1 when isFailure. */
export async function check(options: CheckOptions, output: Output): Promise<number> {
  const { format, strict, parent, problems: earlier, ...settings } = options
  const bar = output.terminal && makeProgressBar(output.terminal)
  const builder = makeBuilder({ ...settings, ...(bar !== undefined && { onProgress: bar.show }) })
  const result = await builder.build().finally(() => bar?.erase())
  const model = builder.model()
  const made = result.kind === 'made' ? result.made : undefined
  const asked = model === undefined || parent === undefined ? [] : await checkParent(parent, model.zones)
  const warned = new ProblemList()
  for (const warning of model === undefined ? [] : lint(model)) warned.report(warning)
  const hidden = hiddenProblems(warned, settings.zones, false)
  const problems = [...earlier, ...result.problems, ...warned.list, ...hidden, ...asked].toSorted(comparePlaces)
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

/** Where the settings can't be used nothing is loaded, and all there is to tell is why. Exit code: 1. */
export function refuseSettings(problems: readonly Problem[], format: Format, output: Output): number {
  printProblems(problems, { format, folder: '.', settings: problems }, output)
  if (format === 'json') output.out(JSON.stringify({ ok: false, ...counts(problems), problems }))
  return 1
}

/** Whether they fail a run: errors always, warnings where they are taken strictly, notices never. */
export const isFailure = (problems: readonly Problem[], strict: boolean): boolean =>
  problems.some(({ severity }) => severity === 'error' || (strict && severity === 'warning'))

/** Problems in a format; in JSON they are part of the whole. `folder`: that of the zones; `settings`: those of settings. */
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

/** Every steered name with its budget. */
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

/** Worst first; what nobody checks never fails over, and stands behind. */
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
