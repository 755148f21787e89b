/**
 * The log: JSON lines (pino), or the same lines as text on a terminal. Used by run.ts and by the demo. One line per
 * change, with what was before, what is now and why; none per query.
 */
import { type Logger, pino } from 'pino'
import type { LogLevel } from '../config.ts'
import { printable } from '../problem.ts'

/** Makes the log. `text`: undefined = text on a terminal, JSON elsewhere. */
export function makeLog(level: LogLevel, text = process.stdout.isTTY): Logger {
  const options = { level, base: null, timestamp: pino.stdTimeFunctions.isoTime }
  if (!text) return pino({ ...options, formatters: { level: (label) => ({ level: label }) } })
  return pino(options, { write: (line: string) => process.stdout.write(printable(asText(line))) })
}

const NAMES: Readonly<Record<string, string>> = { 10: 'trace', 20: 'debug', 30: '', 40: 'warning ', 50: 'error ' }

/** `12:03:04 warning fra/web/192.0.2.1 is down (up before): connection refused` */
function asText(line: string): string {
  const { level, time, msg }: Readonly<Record<'level' | 'time' | 'msg', unknown>> = JSON.parse(line)
  return `${String(time).slice(11, 19)} ${NAMES[String(level)] ?? ''}${String(msg)}\n`
}
