/**
 * What clients were answered, of every node and in every place, without a gap: the asker's record as stretches of time in
 * which a line had one answer.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { type Asked, linesOf, nowMs, type Told } from './asker.ts'

const ASKER = join(import.meta.dirname, 'asker.ts')

export interface Stretch {
  readonly node: string
  readonly place: string
  readonly answer: string
  readonly fromMs: number
  /** Of its last answer so far. */
  readonly untilMs: number
}

export interface Lost {
  readonly node: string
  readonly place: string
  readonly sentMs: number
}

interface Line {
  readonly node: string
  readonly place: string
  readonly changes: { readonly answer: string; readonly atMs: number }[]
  count: number
  lastMs: number
}

export class Askers {
  readonly #child: ChildProcess
  readonly #lines: readonly Line[]
  readonly #lost: Lost[] = []
  #ticked = nowMs()

  /** `via`: before the command, to run it where the clients are. */
  constructor(via: readonly string[], asked: Asked) {
    this.#lines = linesOf(asked).map((line) => ({ ...line, changes: [], count: 0, lastMs: 0 }))
    const [command, ...args] = [...via, process.execPath, ASKER, JSON.stringify(asked)]
    this.#child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] })
    createInterface({ input: this.#child.stdout! }).on('line', (text) => this.#take(JSON.parse(text)))
  }

  #take(told: Told): void {
    if (told.kind === 'tick') {
      this.#ticked = nowMs()
      for (const [i, line] of this.#lines.entries()) {
        line.count = told.counts[i]!
        line.lastMs = told.lastMs[i]!
      }
      return
    }
    const line = this.#lines[told.line]!
    if (told.kind === 'changed') line.changes.push(told)
    else this.#lost.push({ node: line.node, place: line.place, sentMs: told.sentMs })
  }

  /** The record is complete up to here. */
  get untilMs(): number {
    return this.#ticked
  }

  get answered(): number {
    return this.#lines.reduce((sum, { count }) => sum + count, 0)
  }

  /** When each line of the node had an answer last: the oldest of them. */
  lastMs(node: string): number {
    return Math.min(...this.#lines.filter((line) => line.node === node).map((line) => line.lastMs))
  }

  /** The line's answer now; undefined before its first one. */
  answer(node: string, place: string): string | undefined {
    return this.#line(node, place).changes.at(-1)?.answer
  }

  /** What was answered between two times. */
  during(fromMs: number, untilMs: number): Stretch[] {
    return this.#lines.flatMap((line) => stretches(line)).filter((s) => s.untilMs >= fromMs && s.fromMs <= untilMs)
  }

  lost(fromMs: number, untilMs: number): Lost[] {
    return this.#lost.filter(({ sentMs }) => sentMs >= fromMs && sentMs <= untilMs)
  }

  #line(node: string, place: string): Line {
    return this.#lines.find((line) => line.node === node && line.place === place)!
  }

  get pid(): number {
    return this.#child.pid!
  }

  close(): void {
    this.#child.kill('SIGKILL')
  }
}

function stretches({ node, place, changes, lastMs }: Line): Stretch[] {
  return changes.map(({ answer, atMs }, i) => {
    const untilMs = changes[i + 1]?.atMs ?? Math.max(atMs, lastMs)
    return { node, place, answer, fromMs: atMs, untilMs }
  })
}
