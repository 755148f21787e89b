/**
 * The SOA serial: one for all zones of a folder, in the arithmetic of RFC 1982. Whoever compares two serials of a zone takes a
 * lower one for an older zone: what a node has served it never goes below.
 */
import type { SoaModel, ZoneModel } from './pack.ts'

/** RFC 1982 §3.2. Numbers that are 2³¹ apart have no order: neither is newer. */
export const isNewerSerial = (serial: number, than: number): boolean => ((serial - than) | 0) > 0

/** RFC 1035 §3.3.13: five numbers of 32 bits at the end, the serial first. */
const FROM_END = 20

export const serialOf = ({ rdata }: SoaModel): number => viewOf(rdata).getUint32(rdata.length - FROM_END)

/** The same zones with another serial. */
export const withSerial = (zones: readonly ZoneModel[], serial: number): readonly ZoneModel[] =>
  zones.map((zone) => {
    const rdata = Uint8Array.from(zone.soa.rdata)
    viewOf(rdata).setUint32(rdata.length - FROM_END, serial)
    return { ...zone, soa: { ...zone.soa, rdata } }
  })

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
