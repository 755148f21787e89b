/**
 * Counters of the answering threads: one Float64Array in shared memory for each thread. The thread adds to its cells
 * with plain +=; /metrics sums the threads. Fixed cells come first, then one cell for each (service, site) that was
 * ever named.
 */

/** Transports that queries are counted by; `dot`: over TLS (RFC 7858), `doh`: over HTTPS (RFC 8484). */
export const TRANSPORTS = ['udp', 'tcp', 'dot', 'doh'] as const
/** RR types with a counter of their own; all others are `other`. */
export const COUNTED_TYPES = [
  'A',
  'AAAA',
  'NS',
  'SOA',
  'CNAME',
  'MX',
  'TXT',
  'SRV',
  'CAA',
  'PTR',
  'ANY',
  'other',
] as const
/** Rcodes that queries are counted by; `dropped`: nothing was sent. */
export const COUNTED_RCODES = [
  'NOERROR',
  'NXDOMAIN',
  'REFUSED',
  'FORMERR',
  'NOTIMP',
  'NOTAUTH',
  'BADVERS',
  'YXDOMAIN',
  'BADCOOKIE',
  'SERVFAIL',
  'dropped',
] as const

/** How many cells count queries. */
export const QUERY_CELLS = TRANSPORTS.length * COUNTED_TYPES.length * COUNTED_RCODES.length
/** The cell of a query. All three arguments are indexes into the lists above. */
export const queryCell = (transport: number, type: number, rcode: number): number =>
  (transport * COUNTED_TYPES.length + type) * COUNTED_RCODES.length + rcode

/** Responses that were truncated. */
export const C_TRUNCATED = QUERY_CELLS
/** Queries with ECS. */
export const C_ECS = QUERY_CELLS + 1
/** Steered answers that `lastResort` decided. */
export const C_LAST_RESORT = QUERY_CELLS + 2
/** Replies not sent because the kernel refused them: an impossible destination, a firewall. */
export const C_SEND_REFUSED = QUERY_CELLS + 3
/** Bugs caught by respond(), each answered with SERVFAIL. */
export const C_BUGS = QUERY_CELLS + 4
/** Replies not sent because the socket's send buffer was full. */
export const C_SEND_FULL = QUERY_CELLS + 5
/** Replies not sent because they would have waited for an unresolved neighbour (server/neighbours.ts). */
export const C_SEND_UNRESOLVED = QUERY_CELLS + 6
/** Queries with a cookie, by COOKIE_* of dns/cookie.ts: of the client alone, bad, valid. Three cells. */
export const C_COOKIES = QUERY_CELLS + 7
/** Headers of the PROXY protocol that were missing or malformed (server/proxy.ts). */
export const C_PROXY_MALFORMED = QUERY_CELLS + 10
/** What responses are limited by: the accounts of answer/abuse/limits.ts, and the rate that unproven networks share. */
export const LIMITED_KINDS = ['answers', 'negatives', 'referrals', 'errors', 'unproven'] as const
/** Index into LIMITED_KINDS. */
export const UNPROVEN = 4
/** Limited responses by kind: first those sent truncated, then as many cells for those not sent. */
export const C_LIMITED = QUERY_CELLS + 16
/** The networks that were limited most: HEAVIEST × HEAVIEST_CELLS, not counters (answer/abuse/heaviest.ts). */
export const C_HEAVIEST = C_LIMITED + 2 * LIMITED_KINDS.length
export const HEAVIEST = 16
export const HEAVIEST_CELLS = 4
/** First cell of the answers by service and site. */
export const C_ANSWERS = C_HEAVIEST + HEAVIEST * HEAVIEST_CELLS
/** How many (service, site) pairs have a cell of their own. */
export const ANSWER_CELLS = 16_384
/** The common cell of the pairs beyond ANSWER_CELLS. */
export const C_ANSWERS_OTHER = C_ANSWERS + ANSWER_CELLS
/** Cells of one thread. */
export const COUNTER_CELLS = C_ANSWERS_OTHER + 1

/** The counters of one thread, all zero. */
export const makeCounters = (): Float64Array =>
  new Float64Array(new SharedArrayBuffer(COUNTER_CELLS * Float64Array.BYTES_PER_ELEMENT))

/** The sum, cell by cell, of all threads' counters. */
export function sumCounters(threads: readonly Float64Array[]): Float64Array {
  const sum = new Float64Array(COUNTER_CELLS)
  for (const cells of threads) for (let i = 0; i < COUNTER_CELLS; i++) sum[i]! += cells[i]!
  return sum
}

/**
 * Assigns cells to (service, site) pairs. A pair keeps its cell as long as the process lives, so that a counter never
 * goes backwards over reloads. Pairs beyond ANSWER_CELLS share C_ANSWERS_OTHER.
 */
export class AnswerCells {
  readonly #pairs = new Map<string, AnswerCell>()

  cellOf(service: string, site: string): number {
    const key = `${service}\0${site}`
    const known = this.#pairs.get(key)
    if (known !== undefined) return known.cell
    if (this.#pairs.size === ANSWER_CELLS) return C_ANSWERS_OTHER
    const cell = C_ANSWERS + this.#pairs.size
    this.#pairs.set(key, { service, site, cell })
    return cell
  }

  pairs(): Iterable<AnswerCell> {
    return this.#pairs.values()
  }
}

/** A pair that has a cell of its own. */
export interface AnswerCell {
  readonly service: string
  readonly site: string
  readonly cell: number
}
