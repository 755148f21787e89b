/**
 * Counters of the answering threads: one Float64Array a thread in shared memory, added to with plain +=, summed by
 * whoever renders /metrics. Fixed cells first, then one cell for each (service, site) that was ever steered to.
 */

export const TRANSPORTS = ['udp', 'tcp'] as const
/** Types counted apart; all others are the last. */
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
/** `dropped`: nothing was sent. */
export const COUNTED_RCODES = [
  'NOERROR',
  'NXDOMAIN',
  'REFUSED',
  'FORMERR',
  'NOTIMP',
  'BADVERS',
  'SERVFAIL',
  'dropped',
] as const

export const QUERY_CELLS = TRANSPORTS.length * COUNTED_TYPES.length * COUNTED_RCODES.length
/** Cell of a query: all three are indexes into the lists above. */
export const queryCell = (transport: number, type: number, rcode: number): number =>
  (transport * COUNTED_TYPES.length + type) * COUNTED_RCODES.length + rcode

export const C_TRUNCATED = QUERY_CELLS
/** Queries with ECS. */
export const C_ECS = QUERY_CELLS + 1
/** Steered answers by the stated last resort. */
export const C_LAST_RESORT = QUERY_CELLS + 2
/** Replies that were not sent: the kernel refused them (a destination that can't be, a firewall); */
export const C_SEND_REFUSED = QUERY_CELLS + 3
/** Bugs caught by respond(): each one was a SERVFAIL. */
export const C_BUGS = QUERY_CELLS + 4
/** or the socket's send buffer was full; */
export const C_SEND_FULL = QUERY_CELLS + 5
/** or they would have waited for a neighbour that does not answer (server/neighbours.ts). */
export const C_SEND_UNRESOLVED = QUERY_CELLS + 6
/** First cell of the answers by service and site. */
export const C_ANSWERS = QUERY_CELLS + 16
export const ANSWER_CELLS = 16_384
/** Cell for (service, site) pairs beyond ANSWER_CELLS. */
export const C_ANSWERS_OTHER = C_ANSWERS + ANSWER_CELLS
export const COUNTER_CELLS = C_ANSWERS_OTHER + 1

export const makeCounters = (): Float64Array =>
  new Float64Array(new SharedArrayBuffer(COUNTER_CELLS * Float64Array.BYTES_PER_ELEMENT))

/** Cell-wise sum of all threads' counters. */
export function sumCounters(threads: readonly Float64Array[]): Float64Array {
  const sum = new Float64Array(COUNTER_CELLS)
  for (const cells of threads) for (let i = 0; i < COUNTER_CELLS; i++) sum[i]! += cells[i]!
  return sum
}

/**
 * Which cell counts the answers of a (service, site). A pair keeps its cell for the life of the process, so a counter
 * never goes backwards over reloads; pairs beyond ANSWER_CELLS share C_ANSWERS_OTHER.
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

export interface AnswerCell {
  readonly service: string
  readonly site: string
  readonly cell: number
}
