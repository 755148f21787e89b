/** An event in words, without its time and its witnesses: one line. */
import type { Event } from './event.ts'

/** `verdict fra/web/192.0.2.10: up → down: connection refused (3 of 3 say down)` */
export const eventInWords = ({ kind, subject, before, after, why }: Event): string =>
  [subject === kind ? kind : `${kind} ${subject}`, changeInWords(before, after), why]
    .filter((part) => part !== '')
    .join(': ')

function changeInWords(before: string | null, after: string | null): string {
  if (before === null) return after ?? ''
  return after === null ? `no longer ${before}` : `${before} → ${after}`
}
