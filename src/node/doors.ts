/**
 * Where a running process is reached: the control socket in its state folder, `http.listen`, and the DNS port of a
 * node. Called by RunningNode and RunningProber. The state folder belongs to one process at a time; only a successor
 * started with `--takeover` may share it, and takes each address over when the predecessor lets go of it.
 */
import { mkdirSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import type { Logger } from 'pino'
import { makeApp, type TcpGuard } from '../api/app.ts'
import { type HttpState, type Node, type ProcessView, REFUSED, type Refused } from '../api/contract.ts'
import {
  type HttpServer,
  isListening,
  listenSocket,
  listenTcp,
  shareSocket,
  type SocketServer,
  type TcpServer,
} from '../api/listen.ts'
import { type Config, listensByDefault } from '../config.ts'
import { familyOf } from '../dns/address.ts'
import { codeOf, messageOf, StartError } from '../problem.ts'
import { ListenError } from '../server/front.ts'
import { removeLeftovers } from '../state.ts'
import { count, formatEndpoint } from '../units.ts'
import { CertificateFiles } from './certificate.ts'
import { gidOf } from './group.ts'
import { Tokens } from './tokens.ts'

/** The path of the control socket: `control.sock` in the state folder. */
export const controlSocketOf = (config: Config): string => join(config.state, 'control.sock')

/**
 * Makes sure that no other process uses the state folder, unless this one takes over, and deletes what dead processes
 * left there. Throws StartError.
 */
export async function claimState(config: Config, takeover: boolean): Promise<void> {
  const socket = controlSocketOf(config)
  if (!takeover && (await isListening(socket))) {
    throw new StartError(
      `a node or prober already runs on ${socket}; stop it, choose another state folder, or let a node take over with --takeover`,
    )
  }
  for (const folder of [config.state, join(config.state, 'cache')]) removeLeftovers(folder)
}

/** What Doors is made with. */
export interface DoorSettings {
  readonly config: Config
  readonly log: Logger
  readonly takeover: boolean
  /** The process that the HTTP routes show. */
  readonly shown: ProcessView | Node
  /** Called when the predecessor's control socket or HTTP port has become this process's. */
  readonly onTaken?: () => void
}

const RETRY_HTTP_MS = 200
const RETRY_CONTROL_MS = 10_000
/** unix(7): sun_path has 108 bytes, the last of them 0. */
const MOST_SOCKET_BYTES = 107

/** Opens the control socket and `http.listen`, and closes them. */
export class Doors {
  readonly #settings: DoorSettings
  readonly #open: HttpServer[] = []
  readonly #tokens: Tokens
  #certificate: CertificateFiles | undefined
  #tcp: TcpServer | undefined
  #control: SocketServer | undefined
  readonly #refusals: Refusals
  #trouble: string | undefined
  #groupTrouble: string | undefined
  #retry: NodeJS.Timeout | undefined
  #stopped = false

  constructor(settings: DoorSettings) {
    this.#settings = settings
    this.#tokens = new Tokens(settings.config, settings.log)
    this.#refusals = new Refusals(settings.log)
  }

  /** Why this process can't be reached as its settings say; empty if it can. */
  get troubles(): readonly string[] {
    const all = [this.#trouble, this.#groupTrouble, this.#tokens.trouble, this.#certificate?.trouble]
    return all.filter((trouble) => trouble !== undefined)
  }

  /** What is known of `http.listen`, for status and metrics. */
  get http(): HttpState {
    return { refused: this.#refusals.counts, certificate: this.#certificate }
  }

  /** Whether a successor has the control socket by now. */
  get isSucceeded(): boolean {
    return this.#control?.isOwner() === false
  }

  /** Reads the files again that the settings name. */
  reload(): void {
    this.#tokens.read()
    this.#certificate?.read((credentials) => this.#tcp?.setCredentials(credentials))
  }

  /**
   * Opens the control socket. If that fails it logs a warning and tries again until it works. Resolves after the first
   * try.
   */
  async listenControl(): Promise<void> {
    const { config, shown, takeover, log, onTaken } = this.#settings
    const socket = controlSocketOf(config)
    try {
      mkdirSync(config.state, { recursive: true })
      const length = Buffer.byteLength(socket)
      if (length > MOST_SOCKET_BYTES) throw new Error(`its path has ${length} bytes, at most ${MOST_SOCKET_BYTES} fit`)
      // another process may have started in this folder while there was no socket
      const isRetry = this.#trouble !== undefined && !takeover
      if (isRetry && (await isListening(socket)))
        throw new Error('another process uses it: give each process its own state folder')
      const open = await listenSocket(makeApp(shown, 'open'), socket)
      if (this.#stopped) return await open.stop()
      this.#open.push(open)
      this.#control = open
      if (this.#trouble !== undefined)
        log.info(`${socket}: the control socket is open: commands reach this process now`)
      this.#trouble = undefined
      this.#share(socket)
      if (takeover) onTaken?.()
    } catch (error) {
      const trouble = `${socket}: the control socket can't be made: ${messageOf(error)}; commands on this machine can't reach this process`
      if (trouble !== this.#trouble) log.warn(trouble)
      this.#trouble = trouble
      if (!this.#stopped) this.#retry = setTimeout(() => void this.listenControl(), RETRY_CONTROL_MS).unref()
    }
  }

  /** Lets `control.group` use the control socket. If that fails it is the owner's alone, with a warning. */
  #share(socket: string): void {
    const { config, log } = this.#settings
    const group = config['control.group']
    if (group === undefined) return
    try {
      const gid = gidOf(group)
      if (gid === undefined) throw new Error('there is no such group')
      shareSocket(socket, gid)
    } catch (error) {
      const hint = codeOf(error) === 'EPERM' ? ': the user that runs this process must be one of its members' : ''
      this.#groupTrouble = `control.group: ${group} can't use ${socket}: ${messageOf(error)}${hint}`
      log.warn(this.#groupTrouble)
    }
  }

  /**
   * Opens `http.listen`. Throws StartError; beside a predecessor that still has the port it tries again until the port
   * is free.
   */
  async listenHttp(): Promise<void> {
    await this.#tokens.watch()
    const { 'http.certificate': certificate, 'http.key': key } = this.#settings.config
    if (certificate !== undefined && key !== undefined) {
      this.#certificate = this.#openCertificate(certificate, key)
      await this.#certificate.watch((credentials) => this.#tcp?.setCredentials(credentials))
    }
    await this.#listenHttp()
  }

  #openCertificate(certificate: string, key: string): CertificateFiles {
    const { log } = this.#settings
    try {
      return new CertificateFiles(certificate, key, (level, message, fields) => log[level](fields ?? {}, message))
    } catch (error) {
      throw new StartError(messageOf(error))
    }
  }

  async #listenHttp(): Promise<void> {
    const { config, shown, takeover, log, onTaken } = this.#settings
    const endpoint = config['http.listen']
    const app = makeApp(shown, this.#guard())
    try {
      const credentials = this.#certificate?.credentials()
      this.#tcp = await listenTcp(app, endpoint.address, endpoint.port, { credentials })
      this.#open.push(this.#tcp)
      if (takeover) onTaken?.()
    } catch (error) {
      const code = codeOf(error)
      if (code === undefined) throw error
      if (!takeover || code !== 'EADDRINUSE') {
        throw new StartError(`${formatEndpoint(endpoint)} (HTTP): ${HTTP_REASONS[code] ?? code}`)
      }
      setTimeout(() => {
        if (!this.#stopped) this.#listenHttp().catch((later: unknown) => log.error(String(later)))
      }, RETRY_HTTP_MS)
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true
    clearTimeout(this.#retry)
    await this.#tokens.stop()
    await this.#certificate?.stop()
    await Promise.all(this.#open.map((http) => http.stop()))
  }

  #guard(): TcpGuard {
    const { config } = this.#settings
    const names = [hostname(), config['node.name'], ...config['http.hosts']].map((name) => name.toLowerCase())
    return {
      names: new Set(names),
      hasTokens: () => this.#tokens.areThere,
      callerOf: (secret) => this.#tokens.callerOf(secret),
      onRefused: (refused, client) => this.#refusals.add(refused, client),
    }
  }
}

const REFUSAL_WORDS: Readonly<Record<Refused, string>> = {
  host: 'by a name that is not in http.hosts',
  origin: 'from a web page of another origin',
  token: 'with an unknown token',
  scope: 'with a token that lacks the scope',
}
const REFUSAL_LOG_MS = 60_000

/** Counts the requests that the guard refuses, and logs them: at most a line a minute for each reason. */
class Refusals {
  readonly counts = new Map<Refused, number>(REFUSED.map((refused) => [refused, 0]))
  readonly #log: Logger
  /** By the reason: when it was logged last, by performance.now(), and how many there were then. */
  readonly #logged = new Map<Refused, { readonly ms: number; readonly times: number }>()

  constructor(log: Logger) {
    this.#log = log
  }

  add(refused: Refused, client = 'an unknown address'): void {
    const times = this.counts.get(refused)! + 1
    this.counts.set(refused, times)
    const last = this.#logged.get(refused)
    const nowMs = performance.now()
    if (last !== undefined && nowMs - last.ms < REFUSAL_LOG_MS) return
    this.#logged.set(refused, { ms: nowMs, times })
    const fresh = times - (last?.times ?? 0)
    const words = `${count(fresh, 'HTTP request')} refused, ${REFUSAL_WORDS[refused]}; the last came from ${client}`
    this.#log.warn({ refused, client, requests: fresh }, words)
  }
}

/**
 * Starts the DNS server on the setting `listen`. With the default addresses on a kernel without IPv6 (`ipv6.disable=1`)
 * it serves IPv4 only, with a warning. Throws StartError.
 */
export async function listenDns<T>(
  config: Config,
  log: Logger,
  start: (listen: Config['listen']) => Promise<T>,
): Promise<T> {
  try {
    return await start(config.listen).catch((error: unknown) => {
      if (!listensByDefault(config) || !(error instanceof ListenError) || error.code !== 'EAFNOSUPPORT') throw error
      const listen = config.listen.filter(({ address }) => familyOf(address) === 4)
      const left = listen.map(formatEndpoint).join(', ')
      log.warn(
        `this kernel has no IPv6: only IPv4 is served, on ${left}; to silence this warning set listen: [${left}]`,
      )
      return start(listen)
    })
  } catch (error) {
    throw error instanceof ListenError ? new StartError(error.message) : error
  }
}

const HTTP_REASONS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'the address is in use: stop what listens there, or choose another http.listen',
  EADDRNOTAVAIL: 'this machine does not have the address',
  EACCES: 'no permission to listen there',
}
