/**
 * Sends a command's request to a running node: through its control socket, or to the HTTP address of another node with
 * a token. Used by all commands that talk to a node. What goes wrong is a ControlError, in words for the operator.
 */
import type { IncomingMessage } from 'node:http'
import { join } from 'node:path'
import type { FleetEvent } from '../events/event.ts'
import { codeOf, messageOf } from '../problem.ts'

/** Which node, and how to reach it. */
export interface ControlOptions {
  /** State folder of the node, when it is on this machine. */
  readonly state: string
  /** `address:port`, or a URL of HTTP or HTTPS, of another node; undefined: the node on this machine. */
  readonly at?: string
  /** PEM files of certificate authorities to trust besides those of the machine. */
  readonly authorities?: readonly string[]
  /** A token of the other node. */
  readonly token?: string
}

/** An error that is shown as its message, without a stack. */
export class ControlError extends Error {
  override readonly name = 'ControlError'
}

/** What was asked can't be right: a name that there is not, no address, no duration. Exit code 2. */
export class UsageError extends ControlError {}

/** No node runs: nothing listens on the control socket. */
export class NoNodeError extends ControlError {}

/** Sends a GET for an API path, whose response is a T. Gives up when nothing has come for 5 s. Throws ControlError. */
export const ask = <T>(options: ControlOptions, path: string): Promise<T> => exchange<T>(options, path, undefined)

/** Sends a POST with a JSON body, and gives up after 10 s of silence; else like ask(). A refusal by the node is a ControlError. */
export const post = <T>(options: ControlOptions, path: string, body: object): Promise<T> =>
  exchange<T>(options, path, JSON.stringify(body))

/** How long a node may be silent at a GET, and at a POST: that one waits for a disk, for Redis and for other nodes. */
const ANSWER_MS = 5_000
const DONE_MS = 10_000
const WRONG = 400
const REFUSED = 409
/** 202: done, but not everywhere so far; the response says where not. */
const DONE: readonly number[] = [200, 202]

async function exchange<T>(options: ControlOptions, path: string, posted: string | undefined): Promise<T> {
  const { to, where } = placeOf(options)
  const silence = new Silence(posted === undefined ? ANSWER_MS : DONE_MS)
  try {
    const response = await open(options, { to, path, posted, signal: silence.signal })
    const status = response.statusCode ?? 0
    const body = await textOf(response, silence)
    if (!DONE.includes(status)) throw refusal(status, body, where)
    const answer: T = parse(body, where)
    return answer
  } catch (error) {
    throw await lack(options, error, silence)
  } finally {
    silence.end()
  }
}

/** Aborts a request when nothing has come for `mostMs`, however long all of it takes. */
class Silence {
  readonly mostMs: number
  readonly #controller = new AbortController()
  readonly #timer: NodeJS.Timeout

  constructor(mostMs: number) {
    this.mostMs = mostMs
    this.#timer = setTimeout(() => this.#controller.abort(), mostMs)
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /** Something has come. */
  break(): void {
    this.#timer.refresh()
  }

  end(): void {
    clearTimeout(this.#timer)
  }
}

/**
 * Sends a GET whose response is a stream of events (Server-Sent Events), and calls `onEvent` with each of them.
 * `lastId`: of the last event that is known. Resolves when the node ends the stream; throws ControlError.
 */
export async function follow(
  options: ControlOptions,
  path: string,
  lastId: string | undefined,
  onEvent: (event: FleetEvent) => void,
): Promise<void> {
  const { to, where } = placeOf(options)
  const headers = { accept: STREAM, ...(lastId !== undefined && { 'last-event-id': lastId }) }
  const silence = new Silence(SILENT_MS)
  try {
    const response = await open(options, { to, path, headers, signal: silence.signal })
    if (response.headers['content-type'] !== STREAM)
      throw refusal(response.statusCode ?? 0, await textOf(response, silence), where)
    let text = ''
    response.setEncoding('utf8')
    for await (const part of response) {
      silence.break()
      const frames = (text + String(part)).split('\n\n')
      text = frames.pop()!
      for (const frame of frames) {
        const data = frame.split('\n').find((line) => line.startsWith(DATA))
        if (data !== undefined) onEvent(parse(data.slice(DATA.length), where))
      }
    }
  } catch (error) {
    throw await lack(options, error, silence)
  } finally {
    silence.end()
  }
}

const STREAM = 'text/event-stream'
const DATA = 'data: '
/** A stream has something at least every 5 s. */
const SILENT_MS = 20_000

/** Where a request goes: the address of another node, or the path of the control socket; and its name in messages. */
function placeOf({ at, state }: ControlOptions): { readonly to: URL | string; readonly where: string } {
  if (at !== undefined) {
    const url = urlOf(at)
    return { to: url, where: url.origin }
  }
  const socketPath = join(state, 'control.sock')
  return { to: socketPath, where: socketPath }
}

/** The error for a response that is no success. */
function refusal(status: number, body: string, where: string): ControlError {
  const { detail, hint }: { detail?: string; hint?: string } = parse(body, where)
  const reason = `${detail ?? `HTTP status ${status}`}${hint === undefined ? '' : `\n    ${hint}`}`
  if (status === WRONG) return new UsageError(reason)
  return new ControlError(status === REFUSED ? `refused: ${reason}` : `${where}: ${reason}`)
}

/** The error for a node that does not answer; one that is told already stays. */
async function lack(options: ControlOptions, error: unknown, { signal, mostMs }: Silence): Promise<unknown> {
  if (error instanceof ControlError) return error
  // one that is aborted behind its first byte ends like a connection that was reset
  const code = signal.aborted ? TIMED_OUT : (codeOf(error) ?? messageOf(error))
  const { to, where } = placeOf(options)
  return typeof to === 'string' ? lackHere(options.state, to, code, mostMs) : lackThere(where, code, mostMs)
}

/** Why the control socket on this machine does not answer, and what to do. `code`: of the error. */
async function lackHere(state: string, socketPath: string, code: string, waitedMs: number): Promise<ControlError> {
  const what = `no node answers on ${socketPath}`
  switch (code) {
    case 'ENOENT':
      return new NoNodeError(
        `${what}: there is no such socket\n    Is a node running with this state folder? Another one: --state, or -c with the node's settings file`,
      )
    case 'ECONNREFUSED':
      return new NoNodeError(
        `${what}: the process that made it has ended\n    It was killed or it crashed: its log, or the next start's, says more`,
      )
    case 'EACCES':
    case 'EPERM':
      return new ControlError(
        `${what}: this user may not open it (${code})\n    Use the user that runs the node, or a member of the group that its setting control.group names`,
      )
    case TIMED_OUT: {
      const { runningPid } = await import('../node/last-run.ts')
      const pid = runningPid(state)
      const who = pid === undefined ? 'a process' : `process ${pid}`
      return new ControlError(
        `${what}: ${who} has it, but has said nothing for ${waitedMs / 1000} s\n    Its main thread hangs or is overloaded, though DNS queries may still be answered: see its log, then restart it`,
      )
    }
    default:
      return new ControlError(`${what} (${code})`)
  }
}

const TIMED_OUT = 'ABORT_ERR'
const ROUTELESS = ['EHOSTUNREACH', 'ENETUNREACH', 'EADDRNOTAVAIL']
const NAMELESS = ['ENOTFOUND', 'EAI_AGAIN']

/** The same for another node. */
function lackThere(where: string, code: string, waitedMs: number): ControlError {
  const [why, hint] =
    code === 'ECONNREFUSED'
      ? ['nothing listens there', 'Is a node running there, and is this its http.listen?']
      : code === TIMED_OUT
        ? [`no answer within ${waitedMs / 1000} s`, 'Does a firewall drop it? If not, its main thread hangs']
        : ROUTELESS.includes(code)
          ? [`this machine has no way to it (${code})`, 'Is the address right, and the network up?']
          : NAMELESS.includes(code)
            ? [
                `the name has no address (${code})`,
                'Use the address of its http.listen, which works while DNS does not',
              ]
            : /CERT|SIGNED|UNABLE_TO|ALTNAME/.test(code)
              ? [
                  `its certificate is not to be trusted (${code})`,
                  'Name its authority in the setting tls.ca, and ask by a name that is in the certificate',
                ]
              : [code, 'Is a node running there, and is this its http.listen? With http.certificate it is https://…']
  return new ControlError(`no node answers on ${where}: ${why}\n    ${hint}`)
}

/** Reads `--at`: a URL, or an address and a port. */
function urlOf(at: string): URL {
  const url = URL.parse(at.includes('://') ? at : `http://${at}`)
  if ((url?.protocol === 'http:' || url?.protocol === 'https:') && url.hostname !== '') return url
  throw new ControlError(
    `“${at}” is not the address of a node\n    --at 192.0.2.1:8053, --at [2001:db8::1]:8053, --at https://fra1.example:8053`,
  )
}

interface RequestSettings {
  readonly to: URL | string
  readonly path: string
  /** The body of a POST; undefined: a GET. */
  readonly posted?: string | undefined
  readonly headers?: Readonly<Record<string, string>>
  readonly signal: AbortSignal
}

/** Sends a request; resolves to the response, whose body is to be read. */
async function open(
  { token, authorities = [] }: ControlOptions,
  { to, path, posted, headers: more, signal }: RequestSettings,
): Promise<IncomingMessage> {
  const isSecure = typeof to !== 'string' && to.protocol === 'https:'
  if (isSecure) (await import('../authorities.ts')).trustAuthorities(authorities)
  // a fifth of the start of a command, which may ask nobody
  const { request } = await (isSecure ? import('node:https') : import('node:http'))
  return new Promise((done, failed) => {
    const headers = {
      ...more,
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
      ...(posted !== undefined && { 'content-type': 'application/json', 'content-length': Buffer.byteLength(posted) }),
    }
    const method = posted === undefined ? 'GET' : 'POST'
    // agent: false, for no kept-alive connection: the socket may belong to a successor by now
    const settings = { method, headers, signal, agent: false } as const
    const sent =
      typeof to === 'string' ? request({ socketPath: to, path, ...settings }) : request(new URL(path, to), settings)
    sent.once('error', failed)
    sent.once('response', done)
    sent.end(posted)
  })
}

async function textOf(response: IncomingMessage, silence: Silence): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of response) {
    silence.break()
    chunks.push(Buffer.from(chunk))
  }
  return Buffer.concat(chunks).toString('utf8')
}

function parse(body: string, where: string): ReturnType<typeof JSON.parse> {
  try {
    return JSON.parse(body)
  } catch {
    throw new ControlError(`${where} is not a Meridian node`)
  }
}
