/**
 * RDATA of the types that zones may hold: operators' values → wire (encodeRdata), wire → presentation text
 * (formatRdata; any other type by RFC 3597 §5). Values are octoDNS's; every scalar is its source text.
 */
import type { Fault } from './name.ts'

/** A scalar's text, or the texts of a mapping's keys. */
export type RdataValue = string | Readonly<Record<string, string>>

/** Types that zones may hold. */
export const ZONE_TYPES = ['A', 'AAAA', 'CAA', 'CNAME', 'MX', 'NS', 'PTR', 'SOA', 'SRV', 'TXT'] as const

/**
 * Wire RDATA of a value, names in it uncompressed; names must end with a dot.
 *
 *   A AAAA NS CNAME PTR TXT   text                         MX   {preference | priority, exchange | value}
 *   SRV  {priority, weight, port, target}                  CAA  {flags, tag, value}
 *   SOA  {mname, rname, serial, refresh, retry, expire, minimum}
 */
export function encodeRdata(type: number, value: RdataValue): Uint8Array | Fault {
  throw new Error(`not yet: ${type} ${String(value)}`)
}

/**
 * Presentation text of the RDATA at message[at … end); names in it may be compressed within `message`. A fault when it
 * isn't RDATA of that type.
 */
export function formatRdata(type: number, message: Uint8Array, at = 0, end = message.length): string | Fault {
  throw new Error(`not yet: ${type} ${message.length} ${at} ${end}`)
}
