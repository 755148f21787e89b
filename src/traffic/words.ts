/** Moves in words: in problems, the log, `status` and `plan`. */
import { count, formatPercent, someOf } from '../units.ts'
import type { MeasuredMoves, SiteMove } from './moves.ts'
import type { ServiceMoves, WorldMoves } from './service-moves.ts'

/** The measures in words. */
const MEASURES = { ipv4: 'IPv4 clients', ipv6: 'IPv6 clients', clients: 'clients' } as const
/** What a measure counts, in words. */
export const measureInWords = ({ clients }: Pick<MeasuredMoves, 'clients'>): string => MEASURES[clients]

/** The most moves in a sentence. */
const MOST_MOVES = 4

/** Moves in words: `2.9 % fra → par, 0.3 % ams → par`. */
export function movesInWords(moves: readonly SiteMove[], most = MOST_MOVES): string {
  const words = moves.slice(0, most).map(({ from, to, share }) => `${formatPercent(share)} ${from} → ${to}`)
  return someOf(words, most, moves.length)
}

/** `48 % of the IPv4 clients of web (30 % fra → sin, 18 % sin → fra)` */
export function serviceMovesInWords({ service, before, clients, moved, moves }: ServiceMoves): string {
  const of = before === service ? service : `names of ${before}, now of ${service}`
  return `${formatPercent(moved)} of the ${measureInWords({ clients })} of ${of} (${movesInWords(moves)})`
}

/** The most services in a sentence. */
const MOST_SERVICES = 3

/** `clients move: 48 % of the IPv4 clients of web (…), 2 % of …`; `no clients move` */
export function movingInWords({ services, uncounted }: WorldMoves): string {
  const words = services.slice(0, MOST_SERVICES).map(serviceMovesInWords)
  const parts = [
    ...(words.length === 0 ? [] : [`clients move: ${someOf(words, MOST_SERVICES, services.length)}`]),
    ...(uncounted === 0 ? [] : [`${count(uncounted, 'other changed service')} not counted, for that takes too long`]),
  ]
  return parts.length === 0 ? 'no clients move' : parts.join('; ')
}
