/**
 * Extended DNS errors (RFC 8914): what the OPT record of a response says about it, in a code and words. Set by the files
 * that make an answer, as Response.ede; written by options.ts where there is EDNS and room.
 */

/** Nothing to say. */
export const EDE_NONE = 0
/** No member of the service is usable. */
export const EDE_LAST_RESORT = 1
/** The node hears no prober: the last known health decides. */
export const EDE_STALE = 2
/** The node has just started, and does not know yet who is up. */
export const EDE_NOT_READY = 3
/** The name is in no zone that is served here. */
export const EDE_NOT_AUTHORITATIVE = 4
/** A class or a type of query that is not served. */
export const EDE_NOT_SUPPORTED = 5
/** A type of query that cannot be. */
export const EDE_INVALID_TYPE = 6
/** The client may not have it: a zone transfer. */
export const EDE_PROHIBITED = 7

const data = (code: number, text = ''): Uint8Array => Uint8Array.of(code >>> 8, code & 255, ...Buffer.from(text))

/** By EDE_*, the option's data: INFO-CODE and EXTRA-TEXT (RFC 8914 §2, §4). */
export const EDE_DATA: readonly Uint8Array[] = [
  new Uint8Array(0),
  data(0, 'last resort: no site is usable'), // Other
  data(3, 'no prober is heard: last known health'), // Stale Answer
  data(14, 'health is not known yet'), // Not Ready
  data(20), // Not Authoritative
  data(21), // Not Supported
  data(30), // Invalid Query Type (RFC 9824)
  data(18), // Prohibited
]
