/**
 * Real Redis for tests: servers, sentinels and clusters on loopback addresses of this process's own, without persistence, in
 * a temporary folder. Each is ended by its process, never by name.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { until } from './until.ts'

const PORT = 6400
let made = 0
const nextAddress = (): string => `127.${40 + (process.pid % 200)}.${(process.pid >> 8) % 250}.${(made++ % 250) + 1}`

const running = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

export class RedisServer {
  readonly host: string
  readonly port = PORT
  readonly folder = mkdtempSync(join(tmpdir(), 'meridian-redis-'))
  readonly #program: 'redis-server' | 'redis-sentinel'
  readonly #lines: readonly string[]
  #child: ChildProcess | undefined

  constructor(
    lines: readonly string[] = [],
    program: 'redis-server' | 'redis-sentinel' = 'redis-server',
    host?: string,
  ) {
    this.host = host ?? nextAddress()
    this.#program = program
    this.#lines = lines
  }

  /** With nothing in it; `lines` are of redis.conf. */
  static async start(lines: readonly string[] = []): Promise<RedisServer> {
    const server = new RedisServer(lines)
    await server.start()
    return server
  }

  get address(): string {
    return `${this.host}:${this.port}`
  }

  url(login = '', db = 0): string {
    return `redis://${login === '' ? '' : `${login}@`}${this.address}/${db}`
  }

  async start(): Promise<void> {
    const file = join(this.folder, 'redis.conf')
    const own = [`bind ${this.host}`, `port ${this.port}`, `dir ${this.folder}`, 'protected-mode no', 'daemonize no']
    // Peers are told its address: they would see the loopback's first one.
    const told =
      this.#program === 'redis-server'
        ? ['save ""', 'appendonly no', `replica-announce-ip ${this.host}`, `cluster-announce-ip ${this.host}`]
        : [`sentinel announce-ip ${this.host}`]
    writeFileSync(file, [...own, ...told, ...this.#lines, ''].join('\n'))
    const child = spawn(this.#program, [file], { stdio: 'ignore' })
    this.#child = child
    running.add(child)
    child.once('exit', () => running.delete(child))
    await until(`${this.#program} accepts connections`, () => {
      if (child.exitCode !== null) throw new Error(`${this.#program} ended: ${this.#lines.join(' ')}`)
      return accepts(this.host, this.#tlsPort ?? this.port)
    })
  }

  get #tlsPort(): number | undefined {
    const line = this.#lines.find((each) => each.startsWith('tls-port '))
    return line === undefined ? undefined : Number(line.slice('tls-port '.length))
  }

  freeze(): void {
    this.#child?.kill('SIGSTOP')
  }

  thaw(): void {
    this.#child?.kill('SIGCONT')
  }

  async kill(): Promise<void> {
    const child = this.#child
    this.#child = undefined
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    child.kill('SIGKILL')
    await once(child, 'exit')
  }

  async stop(): Promise<void> {
    await this.kill()
    rmSync(this.folder, { recursive: true, force: true })
  }

  /** What redis-cli prints. */
  cli(...args: string[]): string {
    const text = execFileSync('redis-cli', ['-h', this.host, '-p', String(this.port), ...args], {
      encoding: 'utf8',
      timeout: 60_000,
    })
    return text.trimEnd()
  }
}

function accepts(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port })
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}
