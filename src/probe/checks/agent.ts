/**
 * The check `agent`: HAProxy's agent-check, so that existing agents work. It connects, sends a line if the check has
 * one, and reads one line: words separated by blanks, commas or tabs, then optionally `#` and a reason.
 *
 * up, ready: passes. drain: passes with share 0. `75%`: passes with share 750; at most 1000. down, fail, failed,
 * stopped, maint: fails. The most severe word decides. Unknown words beside a known one (`maxconn:30`) are ignored.
 * Unlike HAProxy, which keeps what an earlier line said, each line stands alone. One without a known word
 * (`maxconn:30` alone) says nothing of health, and as with HAProxy nothing changes. No line at all is a failure.
 */
import { attempt, printable, type TargetOf } from './attempt.ts'
import { dial } from './dial.ts'
import type { Observation } from './observation.ts'

const LINE_BYTES = 1024

/** Runs the check. Never rejects; ends within the check's timeout. */
export function checkAgent({ address, port, check }: TargetOf<'agent'>): Promise<Observation> {
  return attempt(check.timeoutMs, 'no connection', (self) => {
    const socket = dial(address, port, self)
    let read = Buffer.alloc(0)
    const judge = (line: string) => {
      const { passes, reason, share } = readAgentLine(line)
      if (passes === undefined) self.silence(reason)
      else if (passes) self.pass(reason, share)
      else self.fail(reason)
    }
    socket.on('connect', () => {
      self.missing = 'no line of the agent'
      if (check.send !== undefined) socket.write(`${check.send}\n`)
    })
    socket.on('data', (chunk) => {
      const at = chunk.findIndex((byte) => byte === 0x0a || byte === 0x0d)
      const end = at < 0 ? at : read.length + at
      read = Buffer.concat([read, chunk])
      if (end >= 0 && end <= LINE_BYTES) judge(read.toString('utf8', 0, end))
      else if (read.length > LINE_BYTES) self.fail(`no end of the agent's line within ${LINE_BYTES} bytes`)
    })
    socket.on('end', () => (read.length === 0 ? self.fail('agent says nothing') : judge(read.toString())))
    return () => socket.destroy()
  })
}

/** What an agent's line means. */
export interface AgentReply {
  /** undefined: the line says nothing of health. */
  readonly passes: boolean | undefined
  readonly reason: string
  /** Share in ‰, 0–1000; undefined: the line sets none. */
  readonly share?: number
}

const DOWN_WORDS = ['down', 'fail', 'failed', 'stopped', 'maint']

/** Parses an agent's line (without its line end). */
export function readAgentLine(line: string): AgentReply {
  const at = line.indexOf('#')
  const words = (at < 0 ? line : line.slice(0, at)).toLowerCase().split(/[\s,]+/)
  const because = at < 0 ? '' : printable(line.slice(at + 1))
  const says = (word: string) => `agent says ${word}${because === '' ? '' : `: ${because}`}`
  const down = words.find((word) => DOWN_WORDS.includes(word))
  if (down !== undefined) return { passes: false, reason: says(down) }
  if (words.includes('drain')) return { passes: true, reason: says('drain'), share: 0 }
  const percent = words.find((word) => /^\d{1,9}%$/.test(word))
  if (percent !== undefined) {
    return { passes: true, reason: says(percent), share: Math.min(1000, Number.parseInt(percent, 10) * 10) }
  }
  const up = words.find((word) => word === 'up' || word === 'ready')
  if (up !== undefined) return { passes: true, reason: says(up) }
  const said = printable(line)
  return { passes: undefined, reason: `agent says no word of health${said === '' ? '' : `: ${said}`}` }
}
