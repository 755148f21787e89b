/**
 * The errors of HTTP, in the form of RFC 9457: `application/problem+json` with `type`, `title`, `status`, `detail`, and
 * `hint` where something can be done. Used by all that answers over HTTP. docs/api.md is held to the table by a test.
 */
import { z } from 'zod'

/** By the last part of `type`: the status, and the title. */
export const PROBLEMS = {
  malformed: [400, 'The request is not as the API describes it'],
  'token-missing': [401, 'The request has no token'],
  'token-unknown': [401, 'The token is not one of this process'],
  'scope-missing': [403, 'The token lacks a scope'],
  'origin-foreign': [403, 'The request comes from a web page of another origin'],
  'no-route': [404, 'There is no such route'],
  'no-tokens': [404, 'This process has no API over TCP, because it has no tokens'],
  'no-queries': [404, 'This process only probes'],
  'wrong-method': [405, 'The route has other methods'],
  refused: [409, 'The request was understood, and refused'],
  'too-long': [413, 'The body is too long'],
  'not-json': [415, 'The body is not declared as JSON'],
  'host-foreign': [421, 'The name in the URL is not one of this process'],
  bug: [500, 'A bug of Meridian'],
  'no-zones': [503, 'No zones are loaded yet'],
  overloaded: [503, 'There are too many connections'],
} as const satisfies Readonly<Record<string, readonly [status: number, title: string]>>

/** A key of PROBLEMS. */
export type ProblemType = keyof typeof PROBLEMS

/** The body of an error. */
export const PROBLEM_BODY = z.object({
  type: z.string().describe('which error: `/problems/` and one of the types of docs/api.md'),
  title: z.string().describe('the type in words'),
  status: z.int().describe('the HTTP status'),
  detail: z.string().describe('what is wrong this time'),
  hint: z.string().optional().describe('what would be right, or what to do instead'),
})

/** The media type of an error. */
export const PROBLEM_MEDIA = 'application/problem+json'

/** The text of an error's body. */
export function problemText(type: ProblemType, detail: string, hint?: string): string {
  const [status, title] = PROBLEMS[type]
  const body: z.output<typeof PROBLEM_BODY> = {
    type: `/problems/${type}`,
    title,
    status,
    detail,
    ...(hint !== undefined && { hint }),
  }
  return JSON.stringify(body)
}

/** The response with an error. `headers`: more of them. */
export const problemDetails = (
  type: ProblemType,
  detail: string,
  hint?: string,
  headers: Readonly<Record<string, string>> = {},
): Response =>
  new Response(problemText(type, detail, hint), {
    status: PROBLEMS[type][0],
    headers: { 'content-type': PROBLEM_MEDIA, 'cache-control': 'no-store', ...headers },
  })
