/**
 * The ways into a running process, whether it serves or only probes: its state folder, which belongs to one process at a
 * time, the control socket in it, and http.listen. Beside a predecessor (`--takeover`) both are taken over in their turn.
 */
import { mkdirSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import type { Logger } from 'pino'
import { type Config, formatEndpoint } from '../config.ts'
import { makeApp, type Node, type Shown, type TcpGuard } from '../http/app.ts'
import { type HttpServer, isAnswered, listenSocket, listenTcp } from '../http/listen.ts'
import type { Problem } from '../problem.ts'
import { removeLeftovers } from '../state.ts'

/** Why a process can't start: told as it is, without a stack. */
export class StartError extends Error {
  readonly problems: readonly Problem[]
  constructor(message: string, problems: readonly Problem[] = []) {
    super(message)
    this.name = 'StartError'
    this.problems = problems
  }
}

export const controlSocketOf = (config: Config): string => join(config.state, 'control.sock')

/** The state folder is there, and no other process uses it unless this one takes over. Throws StartError. */
export async function claimState(config: Config, takeover: boolean): Promise<void> {
  try {
    mkdirSync(config.state, { recursive: true })
  } catch (error) {
    throw new StartError(`${config.state}: the state folder can't be made: ${String(error)}`)
  }
  const socket = controlSocketOf(config)
  if (!takeover && (await isAnswered(socket))) {
    throw new StartError(
      `a node or prober already runs on ${socket}; stop it, choose another state folder, or let a node take over with --takeover`,
    )
  }
  for (const folder of [config.state, join(config.state, 'cache')]) removeLeftovers(folder)
}

export interface DoorSettings {
  readonly config: Config
  readonly log: Logger
  readonly takeover: boolean
  /** What is shown. */
  readonly shown: Shown | Node
  /** A door is a predecessor's no more: what it was told there comes here from now on. */
  readonly onTaken?: () => void
}

const RETRY_HTTP_MS = 200

export class Doors {
  readonly #settings: DoorSettings
  readonly #open: HttpServer[] = []
  #stopped = false

  constructor(settings: DoorSettings) {
    this.#settings = settings
  }

  /** Throws StartError. */
  async listenControl(): Promise<void> {
    const { config, shown, takeover, onTaken } = this.#settings
    const socket = controlSocketOf(config)
    try {
      this.#open.push(await listenSocket(makeApp(shown, 'open'), socket))
      if (takeover) onTaken?.()
    } catch (error) {
      throw new StartError(`${socket}: the control socket can't be made: ${String(error)}`)
    }
  }

  /**
   * Throws StartError. Beside a predecessor the port is still its own: then this goes on trying until the predecessor has
   * left.
   */
  async listenHttp(): Promise<void> {
    const { config, shown, takeover, log, onTaken } = this.#settings
    const endpoint = config['http.listen']
    const app = makeApp(shown, guardOf(config))
    try {
      this.#open.push(await listenTcp(app, endpoint.address, endpoint.port))
      if (takeover) onTaken?.()
    } catch (error) {
      if (!isSystemError(error)) throw error
      if (!takeover || error.code !== 'EADDRINUSE') {
        throw new StartError(`${formatEndpoint(endpoint)} (HTTP): ${HTTP_REASONS[error.code] ?? error.code}`)
      }
      setTimeout(() => {
        if (!this.#stopped) this.listenHttp().catch((later: unknown) => log.error(String(later)))
      }, RETRY_HTTP_MS)
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await Promise.all(this.#open.map((http) => http.stop()))
  }
}

function guardOf(config: Config): TcpGuard {
  const token = config['http.token']
  const names = [hostname(), config['node.name'], ...config['http.hosts']].map((name) => name.toLowerCase())
  return { names: new Set(names), ...(token !== undefined && { token: token.reveal() }) }
}

const HTTP_REASONS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'the address is in use: stop what listens there, or choose another http.listen',
  EADDRNOTAVAIL: 'this machine does not have the address',
  EACCES: 'no permission to listen there',
}

const isSystemError = (error: unknown): error is Error & { readonly code: string } =>
  error instanceof Error && 'code' in error && typeof error.code === 'string'
