/** A real redis-server, and redis-sentinel, on a host of the network: nothing is kept on disk, signals go to its pid. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { until } from '../../support/until.ts'

export const REDIS_PORT = 6379
export const SENTINEL_PORT = 26_379
export const MASTER = 'meridian'

export interface RedisSettings {
  /** Before the command, to run it on its host. */
  readonly via: readonly string[]
  readonly folder: string
  readonly address: string
}

export class Redis {
  readonly #settings: RedisSettings
  readonly #flags: readonly string[]
  #child: ChildProcess | undefined

  constructor(settings: RedisSettings, ...flags: readonly string[]) {
    this.#settings = settings
    this.#flags = flags
    mkdirSync(settings.folder, { recursive: true })
  }

  async start(): Promise<void> {
    const { folder, address } = this.#settings
    const memory = ['--save', '', '--appendonly', 'no', '--protected-mode', 'no', '--repl-diskless-sync-delay', '0']
    const place = ['--dir', folder, '--bind', address, '--port', String(REDIS_PORT)]
    await this.#run(['redis-server', ...place, ...memory, ...this.#flags], 'Ready to accept connections')
  }

  /** Watches a master: one that is silent for a second is replaced by its replica. */
  async startSentinel(master: string): Promise<void> {
    const { folder, address } = this.#settings
    const file = join(folder, 'sentinel.conf')
    const lines = [`port ${SENTINEL_PORT}`, `bind ${address}`, 'protected-mode no', `dir ${folder}`]
    lines.push(`sentinel monitor ${MASTER} ${master} ${REDIS_PORT} 1`)
    lines.push(`sentinel down-after-milliseconds ${MASTER} 1000`, `sentinel failover-timeout ${MASTER} 5000`)
    writeFileSync(file, `${lines.join('\n')}\n`)
    await this.#run(['redis-sentinel', file], '+monitor')
  }

  async #run(words: readonly string[], ready: string): Promise<void> {
    const [command, ...args] = [...this.#settings.via, ...words]
    const child = spawn(command!, args, { stdio: ['ignore', 'pipe', 'pipe'] })
    this.#child = child
    let out = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (data: Buffer) => (out += data.toString()))
    await until(`${words[0]} runs`, () => {
      if (child.exitCode !== null) throw new Error(`${words[0]} ended: ${out}`)
      return out.includes(ready) ? true : undefined
    })
  }

  signal(signal: NodeJS.Signals): void {
    this.#child?.kill(signal)
  }

  get pid(): number | undefined {
    return this.#child?.pid
  }

  get runs(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null
  }

  async kill(): Promise<void> {
    if (!this.runs) return
    const ended = once(this.#child!, 'close')
    this.#child!.kill('SIGKILL')
    await ended
  }

  /** One command, answered. */
  command(...words: readonly string[]): string {
    const { via, address } = this.#settings
    const [command, ...args] = [...via, 'redis-cli', '-h', address, '-p', String(REDIS_PORT), ...words]
    return execFileSync(command!, args, { encoding: 'utf8', timeout: 60_000 }).trim()
  }
}
