/**
 * `meridian plan [OLD] [NEW]`: shows what a change does to clients before it is merged. Both sides are built as `serve`
 * builds them, with one set of places unless databases are compared; plan/plan.ts compares them, and words/ prints the
 * result.
 */
import { unpackCode } from '../geo/codes.ts'
import { allocateShared } from '../geo/memory.ts'
import { readClients, readPopulation } from '../plan/client-weights.ts'
import { makePlan, type Plan, type PlanSide, type ClientWeights } from '../plan/plan.ts'
import { asWritten, isFolder, Revisions, type ZonesAt } from '../plan/revision.ts'
import { didYouMean, formatProblem, type Problem } from '../problem.ts'
import { formatPercent } from '../units.ts'
import { type BuildSettings, makeBuilder } from '../world/build.ts'
import { type GeoState, makeGeoState } from '../world/databases.ts'
import type { PlanFormat } from './formats.ts'
import type { Output } from './output.ts'
import { planInMarkdown, problemsInMarkdown } from './words/plan-markdown.ts'
import { planInText } from './words/plan-text.ts'
import { steeringInWords } from './words/plan.ts'

/** What to compare, and how to show it. */
export interface PlanCommand {
  /** The setting `zones`: the working folder, and the folder of zones inside a revision. */
  readonly zones: string
  /** Folders or revisions; undefined = the working folder. */
  readonly old: string | undefined
  readonly new: string | undefined
  /** City databases of each side; the same on both unless databases are compared. */
  readonly cityOld: readonly string[]
  readonly cityNew: readonly string[]
  readonly asn: readonly string[]
  readonly cache?: string
  readonly nodeSite?: string
  readonly down: readonly string[]
  readonly drain: readonly string[]
  /** CSV files; at most one of them. */
  readonly population?: string
  readonly clients?: string
  /** A share (0–1): exit code 1 if more of any name's clients move. */
  readonly maxMove?: number
  readonly format: PlanFormat
}

/** A problem, and the side that has it; null: neither. */
interface SideProblem extends Problem {
  readonly side: 'old' | 'new' | null
}

/** Compares two sides; resolves to the exit code, 1 with errors or beyond `maxMove`. */
export async function plan(command: PlanCommand, output: Output): Promise<number> {
  const revisions = new Revisions()
  try {
    const problems: SideProblem[] = []
    const made = await buildPlan(command, revisions, problems)
    return printPlan(command, made, problems, output)
  } finally {
    revisions.end()
  }
}

async function buildPlan(
  command: PlanCommand,
  revisions: Revisions,
  problems: SideProblem[],
): Promise<Plan | undefined> {
  const weighing = readWeighing(command, problems)
  const places = await sidesOf(command, revisions, problems)
  if (places === undefined || hasErrors(problems)) return undefined
  const geo = makeGeoState()
  const onSame = command.cityOld.join() === command.cityNew.join()
  const old = await build('old', places.old, command.cityOld, geo, command, problems)
  const now = await build('new', places.new, command.cityNew, onSame ? geo : makeGeoState(), command, problems)
  if (old === undefined || now === undefined) return undefined
  checkSites(command, now, problems)
  checkCountries(command, weighing, [old, now], problems)
  if (hasErrors(problems)) return undefined
  return makePlan(old, now, { weighing, down: command.down, drain: command.drain })
}

async function sidesOf(
  { zones, old, new: now }: PlanCommand,
  revisions: Revisions,
  problems: SideProblem[],
): Promise<{ readonly old: ZonesAt; readonly new: ZonesAt } | undefined> {
  const working: ZonesAt = { zones, name: zones }
  const taken: (ZonesAt | undefined)[] = []
  for (const [side, written, other] of [
    ['old', old, now],
    ['new', now, old],
  ] as const) {
    // if the other side is a folder of its own, the zones of a revision are looked for at its path first
    const beside = other !== undefined && isFolder(other) ? [other, zones] : [zones]
    const found = written === undefined ? working : await revisions.take(written, beside)
    if ('code' in found) problems.push({ side, ...found })
    taken.push('code' in found ? undefined : found)
  }
  const [before, after] = taken
  return before === undefined || after === undefined ? undefined : { old: before, new: after }
}

async function build(
  side: 'old' | 'new',
  at: ZonesAt,
  city: readonly string[],
  geo: GeoState,
  { asn, cache, nodeSite }: PlanCommand,
  problems: SideProblem[],
): Promise<PlanSide | undefined> {
  const settings: BuildSettings = {
    zones: at.zones,
    city,
    asn,
    ...(cache !== undefined && { cache }),
    ...(nodeSite !== undefined && { nodeSite }),
  }
  const builder = makeBuilder(settings, allocateShared, geo)
  const result = await builder.build()
  for (const problem of result.problems) {
    if (problem.code === 'serial-unknown') continue // plans ignore serials
    const { message, hint, file } = problem
    const written = { side, ...problem, file: asWritten(at, file), message: asWritten(at, message) }
    problems.push(hint === undefined ? written : { ...written, hint: asWritten(at, hint) })
  }
  const model = builder.model()
  return result.kind === 'made' && model !== undefined ? { name: at.name, made: result.made, model } : undefined
}

function readWeighing({ population, clients }: PlanCommand, problems: SideProblem[]): ClientWeights {
  const report = (problem: Problem): void => void problems.push({ side: null, ...problem })
  if (population !== undefined) return { by: 'population', weights: readPopulation(population, report) }
  if (clients !== undefined) return { by: 'clients', counts: readClients(clients, report) }
  return { by: 'addresses' }
}

function checkSites({ down, drain }: PlanCommand, { model }: PlanSide, problems: SideProblem[]): void {
  for (const [file, sites] of [
    ['--down', down],
    ['--drain', drain],
  ] as const) {
    for (const site of sites) {
      if (model.sites.has(site)) continue
      const message = `the new side has no site “${site}”`
      const place = { file, line: 0, column: 0 }
      const hint = didYouMean(site, model.sites.keys())
      problems.push({
        side: 'new',
        code: 'site-unknown',
        severity: 'error',
        ...place,
        message,
        ...(hint !== undefined && { hint }),
      })
    }
  }
}

/** Warns of weights for countries that no database knows. */
function checkCountries(
  { population }: PlanCommand,
  weighing: ClientWeights,
  sides: readonly PlanSide[],
  problems: SideProblem[],
): void {
  if (weighing.by !== 'population') return
  const known = new Set<string>()
  for (const { made } of sides) {
    const { codes } = made.context.places
    for (let place = 0; place < codes.length; place += 3) known.add(unpackCode(codes[place + 1]!))
  }
  const strange = [...weighing.weights.keys()].filter((country) => !known.has(country))
  if (strange.length === 0) return
  const message = `the database knows no network of ${strange.join(', ')}: their weight counts nowhere`
  problems.push({
    side: null,
    code: 'value-invalid',
    severity: 'warning',
    file: population!,
    line: 0,
    column: 0,
    message,
  })
}

const hasErrors = (problems: readonly Problem[]): boolean => problems.some(({ severity }) => severity === 'error')

function printPlan(
  { format, maxMove }: PlanCommand,
  made: Plan | undefined,
  problems: readonly SideProblem[],
  output: Output,
): number {
  const beyond = made === undefined || maxMove === undefined ? [] : made.moves.filter(({ moved }) => moved > maxMove)
  if (format === 'json') {
    output.out(JSON.stringify({ ok: made !== undefined, ...made, beyond: beyond.map(steeringInWords), problems }))
  } else {
    for (const problem of eachOnce(problems)) output.err(problemInWords(problem))
    if (made !== undefined) output.out((format === 'text' ? planInText(made) : planInMarkdown(made)).trimEnd())
    else output.err('meridian: there are errors, so there is no plan')
    // a pull request shows no other output than this one
    if (made === undefined && format === 'markdown') output.out(problemsInMarkdown(problems.map(problemInWords)))
  }
  for (const move of beyond) {
    output.err(
      `meridian: ${formatPercent(move.moved)} of the clients of ${steeringInWords(move)} move, more than ${formatPercent(maxMove!)}`,
    )
  }
  return made === undefined || beyond.length > 0 ? 1 : 0
}

const problemInWords = (problem: SideProblem): string =>
  `${problem.side === null ? '' : `${problem.side}: `}${formatProblem(problem)}`

/** Drops a problem that both sides have because they are one folder. */
function eachOnce(problems: readonly SideProblem[]): readonly SideProblem[] {
  const known = new Map(problems.map((problem) => [formatProblem(problem), problem]))
  return problems.filter((problem) => known.get(formatProblem(problem)) === problem)
}
