/**
 * A fault in what an operator wrote (zones, settings, a database named by them): always a value, never thrown, all of a
 * run reported at once. Wire faults are rcodes, operational trouble is a state, and bugs throw; see docs/adr.
 */

/** Every code there is, with what it means. Docs are held to this table by a test. */
export const PROBLEM_CODES = {
  'file-unreadable': 'a file or folder could not be read',
  'setting-unknown': 'a node setting that there is not',
  'setting-invalid': 'a node setting whose value is not of its type or out of bounds',
} as const satisfies Record<string, string>

export type ProblemCode = keyof typeof PROBLEM_CODES

export type Severity = 'error' | 'warning' | 'notice'

export interface Problem {
  readonly code: ProblemCode
  readonly severity: Severity
  /** Path as the operator named it (relative to where the run started, or as given). */
  readonly file: string
  /** 1-based; 0 when the problem is the file as a whole. */
  readonly line: number
  /** 1-based, in characters; 0 when the problem is the file as a whole. */
  readonly column: number
  readonly message: string
  /** What to do about it. */
  readonly hint?: string
}

/** Where code that reads configuration puts what it finds; it never stops at the first. */
export type Report = (problem: Problem) => void

/** `file:line:column code message` and, on its own line, the hint. */
export function formatProblem(problem: Problem): string {
  const place = problem.line > 0 ? `${problem.file}:${problem.line}:${problem.column}` : problem.file
  const mark = problem.severity === 'error' ? '' : ` (${problem.severity})`
  const hint = problem.hint === undefined ? '' : `\n    ${problem.hint}`
  return `${place} ${problem.code}${mark} ${problem.message}${hint}`
}
