/**
 * An upgrade in place: a running node starts the version of Meridian that is installed by now, with its own flags and
 * `--takeover`, and ends when that one is ready. Started as its child, the successor stays in the node's control group and
 * sandbox. Used by run.ts, on SIGUSR2.
 *
 *   node ── starts ─▶ successor: loads, binds beside it, serves, is ready
 *     ◀── `ready` ────────┘      (if it ends before: the node goes on)
 *     └─▶ answers what it has, ends
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Logger } from 'pino'
import { PACKAGE } from '../version.ts'
import { OWN_VARIABLES } from './service-manager.ts'

const READY = 'ready'
/** The program as it is installed now: the runtime may be another one, too. */
const PROGRAM = fileURLToPath(new URL('bin/meridian', PACKAGE))

/** Starts successors, one at a time. */
export class Succession {
  /** Resolves when a successor is ready. */
  readonly done: Promise<void>
  readonly #log: Logger
  readonly #resolve: () => void
  readonly #program: string
  #child: ChildProcess | undefined

  constructor(log: Logger, program = PROGRAM) {
    this.#log = log
    this.#program = program
    const { promise, resolve } = Promise.withResolvers<void>()
    this.done = promise
    this.#resolve = resolve
  }

  /** Starts a successor, unless one is starting. */
  begin(): void {
    if (this.#child !== undefined) return this.#log.warn('SIGUSR2: a successor is starting already')
    const args = [...process.argv.slice(2).filter((arg) => arg !== '--takeover'), '--takeover']
    const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !OWN_VARIABLES.includes(name)))
    const child = spawn(this.#program, args, { env, stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    this.#child = child
    this.#log.info({ successor: child.pid }, `SIGUSR2: starting a successor: ${this.#program}`)
    const fail = (why: string): void => {
      if (this.#child !== child) return
      this.#child = undefined
      this.#log.error(`the successor ${why}: this process goes on`)
    }
    child.once('error', (error) => fail(`can't be started: ${String(error)}`))
    child.once('exit', (code, signal) => fail(`ended before it was ready: ${signal ?? `exit code ${code}`}`))
    child.once('message', () => {
      this.#child = undefined
      this.#log.info({ successor: child.pid }, `the successor is ready: process ${child.pid}`)
      child.disconnect()
      child.unref()
      this.#resolve()
    })
  }

  /** Ends a successor that is not ready: this process was told to end. */
  stop(): void {
    this.#child?.kill('SIGTERM')
    this.#child = undefined
  }
}

/** Tells the node that has started this process, if one has, that it is ready. */
export function tellPredecessor(): void {
  process.send?.(READY, undefined, undefined, () => {}) // a predecessor that is gone already needs nothing
}
