/**
 * Lists in pages. A page begins behind the key of the last item of the page before, so items that come and go meanwhile
 * neither repeat others nor leave others out. Used by routes.ts.
 */
import { z } from 'zod'
import { one } from './questions.ts'

/** The keys of a list's query. */
export const PAGING = {
  limit: one
    .regex(/^(?:[1-9]\d{0,2}|1000)$/, 'is not a number from 1 to 1000')
    .default('100')
    .transform(Number)
    .describe('most items of a page, 1–1000'),
  cursor: one.optional().describe('`next` of the page before; the first page without it'),
}

/** Which page. */
export interface PageQuery {
  readonly limit: number
  readonly cursor?: string | undefined
}

/** The form of a list's response. `key`: under which its items stand. */
export const pageForm = (key: string, item: z.ZodType) =>
  z.looseObject({
    [key]: z.array(item),
    next: z.string().nullable().describe('`cursor` of the next page; null: this is the last'),
  })

/** A page of items, in the order of their keys, which differ. */
export function pageOf<T>(
  items: readonly T[],
  keyOf: (item: T) => string,
  { limit, cursor }: PageQuery,
): { readonly page: readonly T[]; readonly next: string | null } {
  const after = cursor === undefined ? '' : Buffer.from(cursor, 'base64url').toString()
  const rest = items.filter((item) => keyOf(item) > after).toSorted((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1))
  const page = rest.slice(0, limit)
  const next = rest.length > limit ? Buffer.from(keyOf(page.at(-1)!)).toString('base64url') : null
  return { page, next }
}
