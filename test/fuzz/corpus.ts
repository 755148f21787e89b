/**
 * Packets that were findings, or reach what few do: corpus.jsonl, one a line. `rcode`: of the reply, `none` if there must be none;
 * `udp`, `tcp`: where it differs by transport; `real`: where the clock is not EPOCH_SECONDS, at which signatures were made.
 * `header`: the packet comes from a proxy, and begins with this.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { decodeMessage } from '../../src/dns/message.ts'
import { isFault } from '../../src/dns/name.ts'

/** A packet and what comes of it. */
export interface Known {
  readonly name: string
  readonly rcode: string
  readonly udp?: string
  readonly tcp?: string
  readonly real?: string
  readonly header: Uint8Array | undefined
  readonly query: Uint8Array
}

const bytesOf = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex, 'hex'))

/** All of them. */
export const readCorpus = (): readonly Known[] =>
  readFileSync(join(import.meta.dirname, 'corpus.jsonl'), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => {
      const { hex, header, ...rest } = JSON.parse(line)
      return { ...rest, query: bytesOf(hex), header: header === undefined ? undefined : bytesOf(header) }
    })

/** What must come of it. */
export function expected(known: Known, kind: 'udp' | 'tcp', clock: 'epoch' | 'real'): string {
  return (clock === 'real' ? known.real : undefined) ?? known[kind] ?? known.rcode
}

/** The rcode of a reply as the corpus has it. */
export function outcome(reply: Uint8Array | undefined): string {
  if (reply === undefined) return 'none'
  const message = decodeMessage(reply)
  return isFault(message) ? message.fault : message.rcode
}
