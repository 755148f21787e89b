/** The process that the fuzzers throw packets at over sockets (process.ts), as they see it. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Ports, Report } from './process.ts'

/** How long an answer may take that needs some milliseconds of CPU time. */
const PATIENCE_MS = 30_000

/** A server in a process of its own. */
export class Served {
  readonly #child: ChildProcess
  readonly ports: Ports
  /** By name: the files that have the CPU times of the threads with that name. */
  readonly #threads = new Map<string, readonly string[]>()

  private constructor(child: ChildProcess, ports: Ports) {
    this.#child = child
    this.ports = ports
  }

  static async start(): Promise<Served> {
    const child = fork(join(import.meta.dirname, 'process.ts'), { execArgv: ['--expose-gc'] })
    const [ports] = await once(child, 'message')
    return new Served(child, ports)
  }

  async report(): Promise<Report> {
    this.#child.send('report')
    const [report] = await once(this.#child, 'message')
    return report
  }

  /** CPU time that the threads of this name have used, in ms; of one that runs just now, up to its last tick. */
  cpuMs(name: string): number {
    const files = this.#threads.get(name) ?? this.#filesOf(name)
    if (files.length === 0 && !this.#threads.has(name)) throw new Error(`no thread ${name}`)
    this.#threads.set(name, files)
    try {
      return files.reduce((sum, file) => sum + Number(readFileSync(file, 'latin1').split(' ')[0]) / 1e6, 0)
    } catch {
      this.#threads.set(name, this.#filesOf(name)) // it has ended: the report tells of it, and its successor goes on
      return 0
    }
  }

  #filesOf(name: string): readonly string[] {
    const tasks = `/proc/${this.#child.pid}/task`
    const ids = readdirSync(tasks).filter((id) => readFileSync(`${tasks}/${id}/comm`, 'utf8').trim() === name)
    return ids.map((id) => `${tasks}/${id}/schedstat`)
  }

  /**
   * Patience from now on: what it returns tells whether it is at an end. On a machine that is busy with others it is long: it
   * begins again once the process has answered its parent.
   */
  patience(): () => Promise<boolean> {
    let sinceMs = performance.now()
    let hasReported = false
    return async () => {
      if (performance.now() - sinceMs < PATIENCE_MS) return false
      if (hasReported) return true
      await this.report()
      hasReported = true
      sinceMs = performance.now()
      return false
    }
  }

  async stop(): Promise<void> {
    const ended = once(this.#child, 'exit')
    this.#child.disconnect()
    await ended
  }
}
