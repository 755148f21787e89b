/**
 * Makes the Protocol of the answering threads from the settings, and again whenever a file changes that has keys or
 * secrets. Used by RunningNode. A file that can't be read any more is shown as trouble; what it had before stays in force.
 */
import { randomBytes } from 'node:crypto'
import type { Logger } from 'pino'
import { ACCOUNTS, type Limits, makeLimits } from '../answer/abuse/limits.ts'
import type { Protocol } from '../answer/protocol.ts'
import { parsePrefix } from '../dns/address.ts'
import type { Config } from '../config.ts'
import { isFault, parseName } from '../dns/name.ts'
import { type SipKey, sipKey } from '../dns/siphash.ts'
import { messageOf } from '../problem.ts'
import { TCP_LIMITS } from '../server/tcp.ts'
import { count } from '../units.ts'
import { type Watcher, watchPaths } from '../world/watch.ts'
import { readCookieSecrets } from './cookie-secrets.ts'
import { TsigKeys } from './tsig-keys.ts'

/** The Protocol as the settings, and the files that they name, say it now. */
export class LiveProtocol {
  readonly #config: Config
  readonly #log: Logger
  readonly #onChange: (protocol: Protocol) => void
  readonly #keys: TsigKeys
  /** The same in every Protocol: they hold what is known of the clients. */
  readonly #limits: Limits
  /** Without a file: one that lives as long as the process. */
  #secrets: readonly SipKey[] = [sipKey(new Uint8Array(randomBytes(16)))]
  #trouble: string | undefined
  #watcher: Watcher | undefined

  /** Reads all files. `onChange` is called, once watch() was, whenever there is another Protocol. */
  constructor(config: Config, log: Logger, onChange: (protocol: Protocol) => void) {
    this.#config = config
    this.#log = log
    this.#onChange = onChange
    this.#keys = new TsigKeys(config['tsig.keys'], {
      onChange: () => onChange(this.protocol),
      log: (level, line) => log[level](line),
    })
    this.#limits = limitsOf(config)
    this.#readSecrets()
  }

  get protocol(): Protocol {
    const config = this.#config
    return {
      nsid: bytesOf(config['node.nsid'] ?? ''),
      identity: textOf(config['chaos.identity']),
      version: textOf(config['chaos.version']),
      reportChannel: nameOf(config['report.channel']),
      keepaliveMs: TCP_LIMITS.idleMs,
      cookies: this.#secrets,
      unprovenBytes: config['cookies.require'],
      badCookie: config['cookies.badcookie'],
      proxies: config['proxy.from'].map((text) => parsePrefix(text)!),
      tsigKeys: this.#keys.keys,
      limits: this.#limits,
    }
  }

  /** Operational trouble as it is now, in words. */
  get troubles(): readonly string[] {
    return this.#trouble === undefined ? this.#keys.troubles : [this.#trouble, ...this.#keys.troubles]
  }

  /** Watches the files until stop(). */
  async watch(): Promise<void> {
    await this.#keys.watch()
    const file = this.#config['cookies.secretFile']
    if (file === undefined) return
    const look = (): void => {
      if (this.#readSecrets()) this.#onChange(this.protocol)
    }
    this.#watcher = await watchPaths([file], {
      onChange: look,
      onPolling: (why) => this.#log.warn(`${file} is looked at every 2 s: ${why}`),
    })
    look() // it may have changed since the start
  }

  async stop(): Promise<void> {
    await this.#keys.stop()
    await this.#watcher?.stop()
  }

  /** Whether the secrets have changed. */
  #readSecrets(): boolean {
    const file = this.#config['cookies.secretFile']
    if (file === undefined) return false
    try {
      const secrets = readCookieSecrets(file)
      this.#trouble = undefined
      if (String(secrets) === String(this.#secrets)) return false
      this.#secrets = secrets
      this.#log.info(`${count(secrets.length, 'cookie secret')} in force, from ${file}`)
      return true
    } catch (error) {
      const trouble = `cookies.secretFile: ${messageOf(error)}; the cookie secrets before stay in force`
      if (trouble !== this.#trouble) this.#log.warn(trouble)
      this.#trouble = trouble
      return false
    }
  }
}

/** The rate limits that the settings ask for, with nobody proven. */
const limitsOf = (config: Config): Limits =>
  makeLimits(
    {
      perSecond: ACCOUNTS.map((account) => config[`limits.${account}`]),
      unproven: config['limits.unproven'],
      slip: config['limits.slip'],
      exempt: config['limits.exempt'],
      threads: config.threads,
    },
    randomBytes(4).readInt32LE(),
  )

/** The RDATA of a TXT record; empty: there is no text. */
const textOf = (text: string | undefined): Uint8Array =>
  text === undefined ? new Uint8Array(0) : Uint8Array.of(text.length, ...Buffer.from(text, 'latin1'))

/** A name in wire form; empty: there is none. */
function nameOf(text: string | undefined): Uint8Array {
  const name = text === undefined ? undefined : parseName(text)
  return name === undefined || isFault(name) ? new Uint8Array(0) : name
}

/** The bytes that a text stands for: of `0x0a0b` its digits', else those of its characters. */
const bytesOf = (text: string): Uint8Array =>
  new Uint8Array(text.startsWith('0x') ? Buffer.from(text.slice(2), 'hex') : Buffer.from(text))
