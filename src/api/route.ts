/**
 * What a route is, and the one way to add one: a row of ROUTES (routes.ts), made by processGet(), nodeGet() or
 * nodePost() from a path, scopes, the zod schema of what is asked, and a function that answers. The schema validates
 * what callers send, and openapi.ts and docs/api.md describe the route by it. Nothing else has to be written but a case
 * in test/api/routes.test.ts, which calls every route.
 *
 *   app.ts: host, origin, token, length ─▶ Route.answer(): schema, scopes, who ─▶ the row's answer() ─▶ Response
 */
import type { z } from 'zod'
import { type Scope, SCOPES } from '../config.ts'
import type { Node, ProcessView, Refusal } from './contract.ts'
import { problemDetails, type ProblemType } from './problem-details.ts'

/** Who calls, and what they may do. */
export interface Caller {
  /** The name of the token; undefined: whoever may open the control socket, or has none. */
  readonly token?: string
  readonly scopes: readonly Scope[]
}

/** A caller on the control socket, which its file mode guards. */
export const CONTROL: Caller = { scopes: SCOPES }

/**
 * What a row answers. An object is the JSON body. A string says what is wrong with the request (400), a Refusal why it
 * is not done (409). A Response is sent as it is: text, a stream, or problemDetails().
 */
export type Answer = object | string | Refusal | Response

/** A request with what app.ts has read of it. */
export interface Asked {
  readonly caller: Caller
  /** The query's keys; those that are repeated have a list. */
  readonly query: Readonly<Record<string, string | readonly string[]>>
  /** The JSON of the body; undefined without one. */
  readonly body: unknown
  /** For headers and `signal`, which aborts when the caller is gone. */
  readonly request: Request
}

/** A route, as app.ts and openapi.ts use it. */
export interface Route {
  readonly method: 'GET' | 'POST'
  readonly path: string
  /** Whether a process that only probes has it, too. */
  readonly of: 'process' | 'node'
  /** The caller needs one of these; empty: anybody may ask. */
  readonly scopes: readonly Scope[]
  /** A sentence for the docs. */
  readonly meaning: string
  readonly query?: z.ZodType
  readonly body?: z.ZodType
  /** The most bytes of a body that are read. */
  readonly bodyBytes: number
  /** What is in a response, and its media type: JSON of this form, or other text. */
  readonly response: z.ZodType | string
  /** The statuses of success: 202 is done, but not everywhere so far. */
  readonly statuses: readonly number[]
  /** Errors that it can answer with, besides those of the guard. */
  readonly problems: readonly ProblemType[]
  /** Its response has an ETag, because it is the same for a long time. */
  readonly isStable: boolean
  answer(shown: ProcessView | Node, asked: Asked): Promise<Response>
}

/** What a row of a GET route says. `S`: the process behind it, `Q`: its query once it was read. */
export interface GetRow<S, Q> {
  readonly path: string
  /** `open`: anybody may ask. */
  readonly scope: Scope | 'open'
  readonly meaning: string
  /** A strict object: a key that it does not have is refused. NO_QUERY: none is taken. */
  readonly query: z.ZodType<Q>
  readonly response: z.ZodType | string
  readonly problems?: readonly ProblemType[]
  readonly isStable?: boolean
  readonly answer: (shown: S, query: Q, request: Request) => Answer | Promise<Answer>
}

/** What a row of a POST route says. `B`: its body once it was read. */
export interface PostRow<B> {
  readonly path: string
  /** The caller needs one of these to be heard. */
  readonly scopes: readonly Scope[]
  /** All that the caller needs for this body; default: `scopes`. */
  readonly scopesOf?: (body: B) => readonly Scope[]
  readonly meaning: string
  /** A strict object with `who`: whom the token's name is added to, wherever it stands. */
  readonly body: z.ZodType<B>
  /** Default: BODY_BYTES. */
  readonly bodyBytes?: number
  readonly response: z.ZodType
  /** 202 besides 200: the result has `notKept` or `unreached`. */
  readonly isSpread?: boolean
  /** Only the control socket has it: what is said is believed, and no person says it. */
  readonly isLocal?: boolean
  readonly answer: (node: Node, body: B) => Promise<Answer>
}

/** The most bytes of a body that are read, unless a row says otherwise. */
export const BODY_BYTES = 4096

/** A GET route of nodes and of probers. */
export const processGet = <Q>(row: GetRow<ProcessView, Q>): Route => getRoute(row, 'process', (shown) => shown)

/** A GET route of nodes alone. */
export const nodeGet = <Q>(row: GetRow<Node, Q>): Route => getRoute(row, 'node', nodeOf)

/** A POST route, which nodes alone have. */
export function nodePost<B>(row: PostRow<B>): Route {
  const { path, scopes, scopesOf = () => scopes, meaning, body: form, bodyBytes = BODY_BYTES, response } = row
  return {
    method: 'POST',
    path,
    of: 'node',
    scopes,
    meaning,
    body: form,
    bodyBytes,
    response,
    statuses: row.isSpread === true ? [200, 202] : [200],
    problems: ['malformed', 'refused', 'too-long', 'not-json'],
    isStable: false,
    async answer(shown, { body, caller }) {
      const node = nodeOf(shown)
      if (node === undefined) return noNode()
      const read = form.safeParse(body)
      if (!read.success) return problemDetails('malformed', faultsInWords(read.error))
      const lacks = scopesOf(read.data).filter((scope) => !caller.scopes.includes(scope))
      if (lacks.length > 0) return scopeMissing(caller, lacks, 'and')
      if (row.isLocal === true && caller !== CONTROL)
        return problemDetails('refused', `${path} is for processes of this machine`, 'Use the control socket')
      if (caller.token !== undefined) sign(read.data, caller.token)
      return responseOf(await row.answer(node, read.data))
    },
  }
}

function getRoute<S, Q>(row: GetRow<S, Q>, of: Route['of'], see: (shown: ProcessView | Node) => S | undefined): Route {
  const { path, scope, meaning, query: form, response, problems = [], isStable = false } = row
  return {
    method: 'GET',
    path,
    of,
    scopes: scope === 'open' ? [] : [scope],
    meaning,
    query: form,
    bodyBytes: 0,
    response,
    statuses: [200],
    problems: ['malformed', ...problems],
    isStable,
    async answer(shown, { query, request }) {
      const seen = see(shown)
      if (seen === undefined) return noNode()
      const read = form.safeParse(query)
      if (!read.success) return problemDetails('malformed', faultsInWords(read.error))
      return responseOf(await row.answer(seen, read.data, request))
    },
  }
}

const nodeOf = (shown: ProcessView | Node): Node | undefined => ('explain' in shown ? shown : undefined)
const noNode = (): Response =>
  problemDetails('no-queries', 'this process is a prober, which answers no queries', 'Ask a node: meridian serve')

/** The error of a caller who may not do it: RFC 6750 §3.1. */
export function scopeMissing({ token }: Caller, lacks: readonly Scope[], word: 'and' | 'or'): Response {
  const detail = `the token ${token ?? ''} does not have the scope ${lacks.join(` ${word} `)}`
  const hint = 'Use a token with it, or add it to this one in the file of http.tokens'
  return problemDetails('scope-missing', detail, hint, {
    'www-authenticate': `Bearer error="insufficient_scope", scope="${lacks.join(' ')}"`,
  })
}

function responseOf(answer: Answer): Response {
  if (answer instanceof Response) return answer
  if (typeof answer === 'string') return problemDetails('malformed', answer)
  if (isRefusal(answer)) return problemDetails('refused', answer.refused, answer.hint)
  const headers = { 'content-type': 'application/json' }
  return new Response(JSON.stringify(answer), { status: isWhole(answer) ? 200 : 202, headers })
}

const isRefusal = (answer: object): answer is Refusal => 'refused' in answer

/** Whether a result is stored and acknowledged everywhere: neither `notKept` nor `unreached` lists anything. */
const isWhole = (done: object): boolean =>
  ['notKept', 'unreached'].every((key) => {
    const lacks: unknown = Reflect.get(done, key)
    return !Array.isArray(lacks) || lacks.length === 0
  })

/** Adds the token's name to each `who`: a caller may say who they are, but not that they have another token. */
function sign(value: unknown, token: string): void {
  if (typeof value !== 'object' || value === null) return
  for (const [key, inner] of Object.entries(value)) {
    if (key === 'who' && typeof inner === 'string') Reflect.set(value, key, `${inner} (token ${token})`)
    else sign(inner, token)
  }
}

/** What zod finds wrong, in words: `why: must give a reason; for: …`. */
const faultsInWords = (error: z.ZodError): string =>
  error.issues
    .flatMap(ofOneForm)
    .map(({ path, message }) => (path.length === 0 ? message : `${path.join('.')}: ${message}`))
    .join('; ')

const isOther = ([first]: readonly z.core.$ZodIssue[]): boolean =>
  first?.code === 'invalid_type' && first.path.length === 0

/** Where a value may have one of several forms: what is wrong with it as the one that it was to be, by its kind. */
function ofOneForm(issue: z.core.$ZodIssue): readonly z.core.$ZodIssue[] {
  if (issue.code !== 'invalid_union' || issue.errors.length === 0) return [issue]
  const meant = issue.errors.find((faults) => !isOther(faults)) ?? issue.errors[0]!
  return meant.map((fault) => ({ ...fault, path: [...issue.path, ...fault.path] }))
}
