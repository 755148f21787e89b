/** `meridian explain NAME --client IP`: why a client gets its answer, from the node that gives it. */
import { describeExplanation, type Explanation } from '../answer/explain.ts'
import type { Question } from '../http/app.ts'
import { ask, type ControlOptions } from './control.ts'
import type { Output } from './output.ts'

export interface ExplainOptions extends ControlOptions {
  readonly question: Question
  readonly json: boolean
}

/** Exit code. Throws ControlError. */
export async function explain(options: ExplainOptions, output: Output): Promise<number> {
  const { name, client, type, down } = options.question
  const query = new URLSearchParams({ name, client, type })
  for (const site of down) query.append('down', site)
  const told = await ask<Explanation>(options, `/api/explain?${query.toString()}`)
  output.out(options.json ? JSON.stringify(told) : describeExplanation(told))
  return 0
}
