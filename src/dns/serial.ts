/** SOA serials: numbers of 32 bits that wrap around (RFC 1982). */

/** Whether a serial is newer than another (RFC 1982 §3.2). Of two that are 2³¹ apart neither is newer. */
export const isNewerSerial = (serial: number, than: number): boolean => ((serial - than) | 0) > 0
