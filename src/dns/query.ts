/**
 * A query, as the answering path reads it: one reused object of numbers and two scratch arrays; nothing is allocated.
 * Work is bounded by the packet's length; bytes behind `length` are never read; nothing throws.
 */

/** What is wrong with a packet: DROP = answer nothing; the others are the rcode to answer with. */
export const Q_OK = 0
export const Q_DROP = -1
export const Q_FORMERR = 1
export const Q_NOTIMP = 4
export const Q_BADVERS = 16

export const MAX_LABELS = 127

export interface Query {
  id: number
  /** Second word of the header as it came. */
  flags: number
  /** First byte behind the question, from the start of the packet: 12 + qname + 4. 0 when the question is unreadable. */
  questionEnd: number
  /** Query name in lower-case wire form, at the start of this scratch (255 bytes). */
  readonly name: Uint8Array
  nameBytes: number
  /** Labels without the root. */
  labels: number
  /** Per label, leftmost first: where it starts in `name`; labelAt[labels] is the root's. */
  readonly labelAt: Uint8Array
  /** Per label: hash of the suffix that starts there (hash of the root at [labels]); see hashName(). */
  readonly hashes: Int32Array
  type: number
  class: number
  edns: boolean
  /** Payload size the client takes; 512 without EDNS, never below. */
  payload: number
  /** DO bit. */
  dnssecOk: boolean
  /** ECS present: family 1 or 2 (0 with source 0), source prefix length, and the address, zero behind its bytes. */
  ecs: boolean
  ecsFamily: number
  ecsSource: number
  /** 16 bytes. */
  readonly ecsAddress: Uint8Array
}

export const makeQuery = (): Query => ({
  id: 0,
  flags: 0,
  questionEnd: 0,
  name: new Uint8Array(256),
  nameBytes: 0,
  labels: 0,
  labelAt: new Uint8Array(MAX_LABELS + 1),
  hashes: new Int32Array(MAX_LABELS + 1),
  type: 0,
  class: 0,
  edns: false,
  payload: 512,
  dnssecOk: false,
  ecs: false,
  ecsFamily: 0,
  ecsSource: 0,
  ecsAddress: new Uint8Array(16),
})

/**
 * Reads the query at packet[at … at + length) into `q` and returns Q_*. See the rules above. On anything but Q_DROP `q`
 * holds what was readable (id, flags, questionEnd and the question, EDNS), so that the reply can echo it.
 */
export function parseQuery(packet: Uint8Array, at: number, length: number, q: Query): number {
  throw new Error(`not yet: ${packet.length} ${at} ${length} ${q.id}`)
}
