/** Times, numbers and states in words and signs, the same everywhere on the page. */
import type { Wound } from '../src/health/wound.ts'

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 })
const oneDigit = new Intl.NumberFormat('en', { maximumFractionDigits: 1 })
const clock = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' })
const day = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short' })

/** `12 s`, `4 min`, `3 h 20 min`, `9 d`. */
export function age(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000))
  if (seconds < 120) return `${seconds} s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return `${minutes} min`
  const hours = Math.floor(minutes / 60)
  if (hours < 48) return minutes % 60 === 0 ? `${hours} h` : `${hours} h ${minutes % 60} min`
  return `${Math.floor(hours / 24)} d`
}

/** `14:03:22` of today, else `5 Nov 14:03:22`, in the browser's time zone. */
export function time(atMs: number): string {
  const at = new Date(atMs)
  const isToday = at.toDateString() === new Date().toDateString()
  return isToday ? clock.format(at) : `${day.format(at)} ${clock.format(at)}`
}

/** `1 site`, `12 sites`. */
export const count = (number: number, noun: string): string =>
  `${whole.format(number)} ${noun}${number === 1 ? '' : 's'}`

/** `67 %`. Of `percent` percent. */
export const percent = (value: number): string => `${whole.format(value)} %`

/** A rate: `0`, `3.4`, `1,250`. */
export const rate = (perSecond: number): string =>
  perSecond < 100 ? oneDigit.format(perSecond) : whole.format(perSecond)

/** `fra, iad and 3 more`. */
export const some = (names: readonly string[], most: number): string =>
  names.length <= most + 1
    ? names.join(', ')
    : `${names.slice(0, most).join(', ')} and ${whole.format(names.length - most)} more`

/** Those that hurt clients, or would without the brake. */
export const HURTS: ReadonlySet<Wound> = new Set(['down', 'dissent', 'forced', 'braked'])

/** States have a sign of their own, because not everybody sees their colours. */
export const SIGNS: Readonly<Record<Wound | 'up', string>> = {
  up: '●',
  down: '▼',
  dissent: '◆',
  forced: '■',
  braked: '◆',
  frozen: '◆',
  held: '◇',
  recovered: '◐',
  unproven: '○',
  drained: '◐',
}

export const WOUND_WORDS: Readonly<Record<Wound | 'up', string>> = {
  up: 'up',
  down: 'down',
  dissent: 'held up: all votes say down',
  forced: 'forced down',
  braked: 'braked: voted down, kept in answers',
  frozen: 'frozen against its verdict',
  held: 'held: too few votes',
  recovered: 'well again, awaits its return',
  unproven: 'never seen up',
  drained: 'drained',
}
