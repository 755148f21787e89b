/** Events as lines, for `meridian events`. */
import type { FleetEvent, Severity } from '../../events/event.ts'
import { eventInWords } from '../../events/words.ts'
import { someOf } from '../../units.ts'

const MARKS: Readonly<Record<Severity, string>> = { info: ' ', warning: '!', critical: '!' }
const MOST_WITNESSES = 4

/** `2026-11-30 02:14:05 ! verdict fra/web/192.0.2.10: up → down: connection refused [fra1, iad1, sin1]` */
export function eventLine(event: FleetEvent): string {
  const time = new Date(event.atMs).toISOString().slice(0, 19).replace('T', ' ')
  const witnesses = someOf(event.witnesses, MOST_WITNESSES)
  return `${time} ${MARKS[event.severity]} ${eventInWords(event)} [${witnesses}]`
}
