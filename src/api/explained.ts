/**
 * The form of GET /api/explain and of `meridian explain --json`: an explanation, and who gave it. The node makes it
 * from its own state, the command from the files if no node runs.
 */
import type { Explanation } from '../explain/explain.ts'
import type { FreezeStatus } from '../health/node-health.ts'

/** The body of GET /api/explain. */
export interface ExplainResponse extends Explanation {
  readonly source: ExplainSource
  /** The freeze in force at the node; null: none, or no node. */
  readonly freeze: FreezeStatus | null
}

/** Who was asked. From files, every member counts as up, except the `drained` ones (a number) that the files drain. */
export type ExplainSource =
  | { readonly kind: 'node'; readonly node: string; readonly generation: number; readonly view: string }
  | { readonly kind: 'files'; readonly zones: string; readonly view: string; readonly drained: number }
