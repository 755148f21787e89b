/** What GET /api/explain and `meridian explain --json` return. */
import type { Explanation } from '../explain/explain.ts'

/** What /api/explain and `--json` tell. */
export interface ExplainResponse extends Explanation {
  readonly source: ExplainSource
}

/** Who was asked. Of `files` every member is taken for up, but for those that the files drain. */
export type ExplainSource =
  | { readonly kind: 'node'; readonly node: string; readonly generation: number; readonly view: string }
  | { readonly kind: 'files'; readonly zones: string; readonly view: string; readonly drained: number }
