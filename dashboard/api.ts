/**
 * Asks the API of the node that served the page. The token stays in this tab: in sessionStorage, sent as Authorization, so
 * no other page can use it.
 */
import type { Board } from '../src/api/board.ts'

/** Why the API did not do what it was asked. */
export class Refused extends Error {
  readonly status: number
  readonly hint: string

  constructor(status: number, message: string, hint = '') {
    super(message)
    this.status = status
    this.hint = hint
  }

  /** Another token may do it. */
  get wantsToken(): boolean {
    return this.status === 401 || this.status === 403
  }
}

const KEY = 'meridian-token'

/** The token of this tab; empty: none. One in the URL (`#token=…`) is kept, and taken out of the address bar. */
export function storedToken(): string {
  const [, given] = /^#token=(.+)$/.exec(location.hash) ?? []
  if (given !== undefined) {
    keepToken(decodeURIComponent(given))
    history.replaceState(null, '', location.pathname + location.search)
  }
  return sessionStorage.getItem(KEY) ?? ''
}

export const keepToken = (token: string): void => sessionStorage.setItem(KEY, token)

const authorization = (): Record<string, string> => {
  const token = storedToken()
  return token === '' ? {} : { authorization: `Bearer ${token}` }
}

/** Asks a route once. With a body it is a POST. Throws Refused. */
export async function request<T>(path: string, body?: object): Promise<T> {
  const response = await fetch(path, {
    headers: { ...authorization(), ...(body !== undefined && { 'content-type': 'application/json' }) },
    ...(body !== undefined && { method: 'POST', body: JSON.stringify(body) }),
  })
  if (!response.ok) throw await refusalOf(response)
  return response.json()
}

/** Asks routes; where the API wants another token, the operator is asked for it. */
export type Ask = <T>(path: string, body?: object) => Promise<T>

async function refusalOf(response: Response): Promise<Refused> {
  const told: unknown = await response.json().catch(() => undefined)
  const text = (key: string): string | undefined => {
    const value: unknown = typeof told === 'object' && told !== null ? Reflect.get(told, key) : undefined
    return typeof value === 'string' && value !== '' ? value : undefined
  }
  // RFC 9457, and what other servers in between say
  const message = text('detail') ?? text('error') ?? text('title') ?? `${response.status} ${response.statusText}`
  return new Refused(response.status, message, text('hint'))
}

/** A board, and when it was received by the browser's clock. */
export interface Seen {
  readonly board: Board
  readonly atMs: number
}

/** What watchBoard() calls. */
export interface Watcher {
  readonly onBoard: (seen: Seen) => void
  /** The node does not answer, or refuses: why. undefined: it answers again. */
  readonly onTrouble: (why: string | undefined) => void
  /** Asks the operator for another token; false: none was given. */
  readonly onLocked: (refused: Refused) => Promise<boolean>
}

/** A response that takes longer will not come: the node waits 8 s for a change. */
const GIVEN_UP_MS = 15_000
const PAUSE_MS = 2_000

/** Keeps the board up to date until it is stopped; a tab that nobody sees asks nothing. Returns what stops it. */
export function watchBoard({ onBoard, onTrouble, onLocked }: Watcher): () => void {
  const stopped = new AbortController()
  void (async () => {
    let etag: string | undefined
    while (!stopped.signal.aborted) {
      await untilVisible()
      const askedMs = Date.now()
      try {
        const headers = { ...authorization(), prefer: 'wait=8', ...(etag !== undefined && { 'if-none-match': etag }) }
        const signal = AbortSignal.any([stopped.signal, AbortSignal.timeout(GIVEN_UP_MS)])
        const response = await fetch('api/board', { headers, signal })
        if (response.status !== 304) {
          if (!response.ok) throw await refusalOf(response)
          etag = response.headers.get('etag') ?? undefined
          const board: Board = await response.json()
          onBoard({ board, atMs: Date.now() })
        }
        onTrouble(undefined)
        if (response.status === 304 || etag === undefined) await sleep(PAUSE_MS - (Date.now() - askedMs))
      } catch (error) {
        if (stopped.signal.aborted) return
        if (error instanceof Refused) {
          if (error.wantsToken && (await onLocked(error))) continue
          onTrouble([error.message, error.hint].filter((text) => text !== '').join('. '))
        } else onTrouble('the node does not answer')
        await sleep(PAUSE_MS)
      }
    }
  })()
  return () => stopped.abort()
}

const sleep = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms))

const untilVisible = (): Promise<void> =>
  new Promise((done) => {
    if (!document.hidden) return done()
    const look = (): void => {
      if (document.hidden) return
      document.removeEventListener('visibilitychange', look)
      done()
    }
    document.addEventListener('visibilitychange', look)
  })
