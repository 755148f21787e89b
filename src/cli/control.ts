/** A command's way to a running node: its control socket, or the HTTP address and token of another one. */
import { request } from 'node:http'
import { join } from 'node:path'

export interface ControlOptions {
  /** State folder of the node, when it is on this machine. */
  readonly state: string
  /** `http://address:port` of another node. */
  readonly at?: string
  readonly token?: string
}

/** What a person has to be told instead of a stack. */
export class ControlError extends Error {
  override readonly name = 'ControlError'
}

/** GET of an API path; throws ControlError. Waits 5 s at most. */
export async function ask(options: ControlOptions, path: string): Promise<unknown> {
  const socketPath = join(options.state, 'control.sock')
  const where = options.at ?? socketPath
  const { status, body } = await get(options, socketPath, path).catch((error: NodeJS.ErrnoException) => {
    throw new ControlError(
      `no node answers on ${where} (${error.code ?? error.message})\n    ${
        options.at === undefined
          ? 'Is one running? It must use this state folder (--state), and belong to the same user'
          : 'Is this its http.listen?'
      }`,
    )
  })
  const answer: unknown = parse(body, where)
  if (status === 200) return answer
  const { error, hint } = { error: `HTTP status ${status}`, hint: undefined, ...asObject(answer) }
  throw new ControlError(`${where}: ${String(error)}${hint === undefined ? '' : `\n    ${String(hint)}`}`)
}

function get(options: ControlOptions, socketPath: string, path: string): Promise<{ status: number; body: string }> {
  return new Promise((done, failed) => {
    const signal = AbortSignal.timeout(5_000)
    const headers = options.token === undefined ? {} : { authorization: `Bearer ${options.token}` }
    const sent =
      options.at === undefined
        ? request({ socketPath, path, headers, signal })
        : request(new URL(path, options.at), { headers, signal })
    sent.once('error', failed)
    sent.once('response', (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.once('error', failed)
      response.once('end', () =>
        done({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString('utf8') }),
      )
    })
    sent.end()
  })
}

function parse(body: string, where: string): unknown {
  try {
    return JSON.parse(body)
  } catch {
    throw new ControlError(`${where} is not a Meridian node`)
  }
}

const asObject = (value: unknown): object => (typeof value === 'object' && value !== null ? value : {})
