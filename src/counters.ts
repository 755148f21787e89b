/**
 * Counters of the answering threads: one Float64Array in shared memory for each thread. The thread adds to its cells
 * with plain +=; /metrics sums the threads. Fixed cells come first, then those of the answers: for each (service, site)
 * that was ever named one cell for each of ANSWER_STAGES.
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
/** The sample of clients that is taken now; 0: none is. Not a counter, as those behind it (answer/client-sample.ts). */
export const C_SAMPLE = C_HEAVIEST + HEAVIEST * HEAVIEST_CELLS
/** The most clients in a sample. */
export const SAMPLE_CLIENTS = 128
/** One sample: its number, how many queries it is of, and the address of each client in two cells. */
export const SAMPLE_CELLS = 2 + 2 * SAMPLE_CLIENTS

/**
 * How the site of a steered answer was found: `nearest`: it is one of the first sites of the client's order; `spill`: a
 * later one, because the first are dead or have no share for the client; then as STAGES of policy/select.ts name it.
 */
export const ANSWER_STAGES = [
  'nearest',
  'spill',
  'weight 0',
  'below minVips',
  'recovered',
  'unproven',
  'drained',
  'last resort',
] as const
/** One of ANSWER_STAGES. */
export type AnswerStage = (typeof ANSWER_STAGES)[number]

/** First cell of the answers, those of pairs beyond ANSWER_PAIRS. */
export const C_ANSWERS = C_SAMPLE + 1 + 2 * SAMPLE_CELLS
/** How many (service, site) pairs have cells of their own. */
export const ANSWER_PAIRS = 16_384
/** Cells of one thread. */
export const COUNTER_CELLS = C_ANSWERS + (1 + ANSWER_PAIRS) * ANSWER_STAGES.length

/** The counters of one thread, all zero. */
export const makeCounters = (): Float64Array =>
  new Float64Array(new SharedArrayBuffer(COUNTER_CELLS * Float64Array.BYTES_PER_ELEMENT))

/** The sum, cell by cell, of all threads' counters; of their first `length` cells only. */
export function sumCounters(threads: readonly Float64Array[], length = COUNTER_CELLS): Float64Array {
  const sum = new Float64Array(length)
  for (const cells of threads) for (let i = 0; i < length; i++) sum[i]! += cells[i]!
  return sum
}

/**
 * Assigns cells to (service, site) pairs. A pair keeps its cells as long as the process lives, so that a counter never
 * goes backwards over reloads. Pairs beyond ANSWER_PAIRS share those at C_ANSWERS.
 */
export class AnswerCells {
  readonly #pairs = new Map<string, AnswerPair>()

  /** The first cell of a pair. `site`: empty for answers that name none, but the service's last resort. */
  cellOf(service: string, site: string): number {
    const key = `${service}\0${site}`
    const known = this.#pairs.get(key)
    if (known !== undefined) return known.cell
    if (this.#pairs.size === ANSWER_PAIRS) return C_ANSWERS
    const cell = this.length
    this.#pairs.set(key, { service, site, cell })
    return cell
  }

  /** How many of a thread's cells are in use. */
  get length(): number {
    return C_ANSWERS + (1 + this.#pairs.size) * ANSWER_STAGES.length
  }

  /** All pairs; that of the pairs without cells of their own is `other`, `other`. */
  *pairs(): Iterable<AnswerPair> {
    yield* this.#pairs.values()
    yield { service: 'other', site: 'other', cell: C_ANSWERS }
  }
}

/** A pair and its first cell. */
export interface AnswerPair {
  readonly service: string
  readonly site: string
  readonly cell: number
}
