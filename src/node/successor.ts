/**
 * An upgrade in place: a running node starts the version of Meridian that is installed by now, with its own flags and
 * `--takeover`, and ends when that one is ready. The successor stays in the node's control group and sandbox. Used by
 * run.ts, on SIGUSR2.
 *
 *   node ── starts ─▶ shell ── starts ─▶ successor: loads, binds beside it, serves, is ready
 *     ◀── its pid ─────────────────────────┘      (if it ends before: the node goes on)
 *     └─▶ answers what it has, ends
 *
 * The shell ends at once, so that the successor is a child of process 1. Of a main process that is no child of its own,
 * systemd does not wait for the end: at a stop it would kill the successor without any delay.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Logger } from 'pino'
import { PACKAGE } from '../version.ts'
import { OWN_VARIABLES } from './service-manager.ts'

/** The program as it is installed now: the runtime may be another one, too. */
const PROGRAM = fileURLToPath(new URL('bin/meridian', PACKAGE))
/** Told to a successor whose predecessor was told to end. */
const END = 'end'

/** Starts successors, one at a time. */
export class Succession {
  /** Resolves when a successor is ready. */
  readonly done: Promise<void>
  readonly #log: Logger
  readonly #resolve: () => void
  readonly #program: string
  /** The shell, whose channel the successor has. */
  #shell: ChildProcess | undefined
  #serves = false
  /** A successor was asked for before this process served. */
  #isWanted = false
  /** This process ends. */
  #isEnding = false

  constructor(log: Logger, program = PROGRAM) {
    this.#log = log
    this.#program = program
    const { promise, resolve } = Promise.withResolvers<void>()
    this.done = promise
    this.#resolve = resolve
  }

  /** This process serves: from now on it starts successors, and first the one that was asked for during its own start. */
  serves(): void {
    this.#serves = true
    if (this.#isWanted) this.begin()
  }

  /** Starts a successor, unless one is starting, or this process ends; once it serves. */
  begin(): void {
    if (this.#isEnding) return this.#log.warn('SIGUSR2: this process ends, and starts no successor')
    if (!this.#serves) {
      this.#isWanted = true
      return this.#log.info('SIGUSR2: this process is starting itself; it starts a successor once it serves')
    }
    if (this.#shell !== undefined)
      return this.#log.warn('SIGUSR2: a successor is starting already; its own lines in the log say what it waits for')
    const args = [...process.argv.slice(2).filter((arg) => arg !== '--takeover'), '--takeover']
    const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !OWN_VARIABLES.includes(name)))
    const command = ['-c', '"$@" &', 'sh', this.#program, ...args]
    const shell = spawn('/bin/sh', command, { env, stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    this.#shell = shell
    this.#log.info(`SIGUSR2: starting a successor: ${this.#program}`)
    const fail = (why: string): void => {
      if (this.#shell !== shell) return
      this.#shell = undefined
      this.#log.error(`the successor ${why}: this process goes on`)
    }
    shell.once('error', (error) => fail(`can't be started: ${String(error)}`))
    // the channel closes when nobody has it any more
    shell.once('disconnect', () => fail('ended before it was ready'))
    shell.once('message', (message) => {
      this.#shell = undefined
      const pid = Number(message)
      this.#log.info({ successor: pid }, `the successor is ready: process ${pid}`)
      shell.disconnect()
      this.#resolve()
    })
  }

  /** Ends a successor that is not ready, and starts no other: this process ends. */
  stop(): void {
    this.#isEnding = true
    this.#shell?.send(END, () => {}) // or it has just ended
    this.#shell = undefined
  }
}

/** In a successor: ends it if its predecessor says so. */
export function heedPredecessor(): void {
  if (process.send === undefined) return
  process.once('message', (message) => {
    if (message === END) process.kill(process.pid, 'SIGTERM')
  })
  process.channel?.unref() // it is no reason to go on
}

/** Tells the node that has started this process, if one has, that it is ready. */
export function tellPredecessor(): void {
  process.send?.(process.pid, undefined, undefined, () => {}) // a predecessor that is gone already needs nothing
}
