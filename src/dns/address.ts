/** IP addresses and prefixes: text ⇄ bytes in network order. */

export interface Prefix {
  readonly family: 4 | 6
  /** 4 or 16 bytes, zero behind `bits`. */
  readonly bytes: Uint8Array
  readonly bits: number
}
