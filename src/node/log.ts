/**
 * The log: lines of JSON (pino) or of text, each with its time, the node's name and the process id. Used by run.ts and
 * by the demo. One line per change, with what was before, what is now and why; none per query.
 */
import { isatty } from 'node:tty'
import { type Logger, pino } from 'pino'
import type { LogFormat, LogLevel } from '../config.ts'
import { printable } from '../problem.ts'

/** How a log is written. */
export interface LogSettings {
  readonly level: LogLevel
  /** undefined: text on a terminal, JSON elsewhere. */
  readonly format: LogFormat | undefined
  /** The node's name, in each line. */
  readonly node: string
  /** The file descriptor that lines are written to; default: stdout. */
  readonly fd?: number
  /** Writes a line, without its end, in place of the log's own writes to `fd`. */
  readonly write?: (line: string) => void
}

/** Lines that wait while the disk is full or the pipe closed; beyond it they are lost. */
const MOST_WAITING_BYTES = 1 << 20

/** Makes a log. To write a line never throws and is done when the call returns: a line that can't be written waits. */
export function makeLog({ level, format, node, fd = 1, write }: LogSettings): Logger {
  const file = write === undefined ? fileOf(fd) : { write: (line: string) => write(line.trimEnd()) }
  const options = { level, base: { node, pid: process.pid }, timestamp: pino.stdTimeFunctions.isoTime }
  const isText = format === undefined ? isatty(fd) : format === 'text'
  if (!isText) return pino({ ...options, formatters: { level: (label) => ({ level: label }) } }, file)
  return pino(options, { write: (line: string) => file.write(printable(asText(line))) })
}

function fileOf(fd: number) {
  const file = pino.destination({ dest: fd, sync: true, maxLength: MOST_WAITING_BYTES })
  // pino gives up a closed pipe by itself; with no listener, any other error would throw in whoever logs
  file.on('error', () => {})
  return file
}

const NAMES: Readonly<Record<string, string>> = {
  10: 'trace ',
  20: 'debug ',
  30: '',
  40: 'warning ',
  50: 'error ',
  60: 'fatal ',
}

/** `2026-11-25T12:03:04.123Z n1[4711] warning fra/web/192.0.2.1 is down (up before): connection refused` */
function asText(line: string): string {
  const { level, time, node, pid, msg }: Readonly<Record<'level' | 'time' | 'node' | 'pid' | 'msg', unknown>> =
    JSON.parse(line)
  return `${String(time)} ${String(node)}[${String(pid)}] ${NAMES[String(level)] ?? ''}${String(msg)}\n`
}
