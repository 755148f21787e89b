/**
 * `meridian explain NAME --client IP`: why a client gets its answer, from the node that gives it. If no node runs, the
 * command loads the files and databases of the settings as `serve` would, and assumes that every member is up.
 */
import type { Question } from '../api/contract.ts'
import type { ExplainResponse, ExplainSource } from '../api/explained.ts'
import { formatProblem } from '../problem.ts'
import { count } from '../units.ts'
import type { BuildSettings } from '../world/build.ts'
import { ask, ControlError, type ControlOptions, NoNodeError, UsageError } from './control.ts'
import type { Output } from './output.ts'
import { explanationInWords } from './words/explanation.ts'

/** What to explain, and how to show it. */
export interface ExplainOptions extends ControlOptions {
  readonly question: Question
  /** Load the files, even if a node runs. */
  readonly offline: boolean
  /** What to load if no node is asked. */
  readonly files: BuildSettings
  readonly json: boolean
  /** Print the bytes of the answer, too. */
  readonly wire: boolean
}

/** Explains an answer; resolves to the exit code, 1 if the files have errors. Throws ControlError. */
export async function explain(options: ExplainOptions, output: Output): Promise<number> {
  const answer = options.offline ? await byFiles(options, output) : await byNode(options, output)
  if (answer === undefined) return 1
  output.out(
    options.json ? JSON.stringify(answer.explained) : explanationInWords(answer.explained, answer.why, options.wire),
  )
  return 0
}

/** `why`: why no node was asked. */
type Answer = { readonly explained: ExplainResponse; readonly why: string } | undefined

async function byNode(options: ExplainOptions, output: Output): Promise<Answer> {
  try {
    const explained = await ask<ExplainResponse>(options, `/api/explain?${queryOf(options.question)}`)
    if ('source' in explained || options.json) return { explained, why: '' }
    throw new ControlError('this node has another version of Meridian; --json prints its reply as it is')
  } catch (error) {
    if (error instanceof NoNodeError) return byFiles(options, output, error)
    throw error
  }
}

function queryOf({ name, client, type, down, drain, resolver, ecs }: Question): string {
  const query = new URLSearchParams({ name, client, type, ecs: ecs ? 'yes' : 'no' })
  for (const pattern of down) query.append('down', pattern)
  for (const pattern of drain) query.append('drain', pattern)
  if (resolver !== undefined) query.set('resolver', resolver)
  return query.toString()
}

/** Explains from the files. `gone`: no node runs, and that is why. */
async function byFiles({ files, question, json }: ExplainOptions, output: Output, gone?: NoNodeError): Promise<Answer> {
  const [{ makeBuilder }, { allUp }, { explain: explainAnswer }] = await Promise.all([
    import('../world/build.ts'),
    import('../policy/service.ts'),
    import('../explain/explain.ts'),
  ])
  const builder = makeBuilder(files)
  const result = await builder.build()
  const { problems } = result
  const model = builder.model()
  if (result.kind !== 'made' || model === undefined) {
    if (json) output.out(JSON.stringify({ problems }))
    for (const problem of json ? [] : problems) output.err(formatProblem(problem))
    if (gone !== undefined) output.err(`meridian: ${gone.message}`)
    return undefined
  }
  if (problems.length > 0) {
    output.err(`meridian: ${count(problems.length, 'warning')} in ${files.zones}; meridian check shows them`)
  }
  const { world, plan, context, view } = result.made
  const answer = explainAnswer(world, allUp(world.services, plan), { ...context, zones: model.zones }, question)
  if (typeof answer === 'string') throw new UsageError(answer)
  const drained = plan.members.filter((member) => member.drained).length
  const source: ExplainSource = { kind: 'files', zones: files.zones, view, drained }
  return { explained: { source, freeze: null, ...answer }, why: gone === undefined ? '--offline' : 'no node' }
}
