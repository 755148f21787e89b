/** What tests want of a build. */
import { formatProblem } from '../../src/problem.ts'
import type { BuildResult } from '../../src/world/build.ts'

/** What it made; throws with its problems where it made nothing. */
export function madeOf<T>(result: BuildResult<T>): T {
  if (result.kind === 'made') return result.made
  throw new Error([result.kind, ...result.problems.map(formatProblem)].join('\n'))
}
