/** A real HAProxy whose backend has servers of the test, and what it says of them. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { until } from '../support/until.ts'

export const hasHaproxy = spawnSync('haproxy', ['-v']).status === 0

/** Of one server. */
export interface Row {
  readonly status: string
  readonly weight: number
  /** `L7…`, or CHECKED where an agent tells no state; empty before the first result. */
  readonly check: string
  readonly agent: string
}

export class Haproxy {
  readonly #folder = mkdtempSync(join(tmpdir(), 'meridian-haproxy-'))
  readonly #process: ChildProcess

  /** `backend`: its lines. */
  constructor(backend: readonly string[]) {
    const config = `global
  stats socket ${this.#folder}/socket
defaults
  mode http
  timeout connect 1s
  timeout client 1s
  timeout server 1s
  timeout check 10s
backend sites
  ${backend.join('\n  ')}
`
    writeFileSync(join(this.#folder, 'config'), config)
    this.#process = spawn('haproxy', ['-db', '-f', join(this.#folder, 'config')], { stdio: 'ignore' })
  }

  /** What it says of each server, by name, once that is as it shall be. */
  async rows(what: string, are: (rows: ReadonlyMap<string, Row>) => boolean): Promise<ReadonlyMap<string, Row>> {
    let rows: ReadonlyMap<string, Row> = new Map()
    const timer = setInterval(() => void this.#ask().then((read) => (rows = read)), 50)
    try {
      await until(what, () => are(rows))
    } finally {
      clearInterval(timer)
    }
    return rows
  }

  stop(): void {
    this.#process.kill('SIGKILL')
    rmSync(this.#folder, { recursive: true })
  }

  async #ask(): Promise<ReadonlyMap<string, Row>> {
    const socket = connect(join(this.#folder, 'socket'))
    socket.write('show stat\n') // a half-closed one gets no answer
    const [head = '', ...rows] = (await text(socket).catch(() => '')).split('\n')
    const columns = head.replace('# ', '').split(',')
    return new Map(
      rows
        .map((row) => row.split(','))
        .map((row) => {
          const of = (column: string): string => row[columns.indexOf(column)] ?? ''
          const [status, weight, check, agent] = [of('status'), of('weight'), of('check_status'), of('agent_status')]
          return [of('svname'), { status, weight: Number(weight), check, agent }]
        }),
    )
  }
}
