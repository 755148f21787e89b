/**
 * The SOA of zones: made from `soa` in defaults.yaml and the zone's own names, with one serial for all zones of a
 * folder. Serials are compared in dns/serial.ts. A lower serial looks like an older zone, so a node never serves a serial
 * below one that it has served (node/serial.ts).
 */
import { formatName, isFault } from '../dns/name.ts'
import { encodeRdata } from '../dns/rdata.ts'
import { TYPE } from '../dns/types.ts'
import type { Reader } from '../yaml/read.ts'
import type { Node } from '../yaml/source.ts'
import type { SoaModel, ZoneModel } from '../zone/pack.ts'
import { readRows, type Rows, type Values, withDefaults, type Written } from './forms.ts'
import { SOA } from './keys.ts'
import type { ZoneFile } from './records.ts'

/** The fields of an SOA but its serial; times in seconds. */
export type SoaFields = Omit<Values<typeof SOA>, 'serial'>

/**
 * Reads `soa` of defaults.yaml, or of one zone in it. `rows`: the keys that it may have there; what is not written is
 * taken from `like`.
 */
export function readSoa(
  read: Reader,
  node: Node,
  rows: Rows = SOA,
  like: Written<typeof SOA> = {},
): Written<typeof SOA> {
  const fields = read.fields(node, '“soa”', Object.keys(rows))
  if (fields === undefined) return like
  const soa = readRows(read, fields, SOA, like)
  const encoded = encodeSoa(withDefaults(SOA, soa), '.', '.', 1)
  if (!isFault(encoded)) return soa
  const hint = 'Full names, with the last dot: ns1.example.com. and hostmaster.example.com.'
  read.fault('rdata-invalid', fields.get(encoded.field ?? '')?.value ?? node, encoded.fault, hint)
  const { mname: _mname, rname: _rname, ...others } = soa
  return others
}

function encodeSoa(soa: SoaFields, mname: string, rname: string, serial: number): ReturnType<typeof encodeRdata> {
  const { refresh, retry, expire, minimum } = soa
  const numbers = { serial, refresh, retry, expire, minimum }
  const texts = Object.fromEntries(Object.entries(numbers).map(([key, value]) => [key, String(value)]))
  return encodeRdata(TYPE.SOA, { mname: soa.mname ?? mname, rname: soa.rname ?? rname, ...texts })
}

/** The SOA of one zone. Without `mname` it names the first NS of the apex, without `rname` hostmaster.ZONE. */
export function soaOf(zone: ZoneFile, soa: SoaFields, ttlSeconds: number, serial: number): SoaModel {
  const apex = formatName(zone.apex)
  const hostmaster = apex.length > 240 ? apex : `hostmaster.${apex}`
  const rdata = encodeSoa(soa, zone.firstServer ?? '.', hostmaster, serial)
  if (isFault(rdata)) throw new Error(`SOA of ${apex}: ${rdata.fault}`)
  return { rdata, ttlSeconds, negativeTtlSeconds: Math.min(ttlSeconds, soa.minimum) }
}

/** The serial's distance from the end of the RDATA, where five 32-bit numbers are (RFC 1035 §3.3.13). */
const FROM_END = 20

/** The serial of an SOA. */
export const serialOf = ({ rdata }: SoaModel): number => viewOf(rdata).getUint32(rdata.length - FROM_END)

/** The same zones with another serial: copies of their SOA, all else shared. */
export const withSerial = (zones: readonly ZoneModel[], serial: number): readonly ZoneModel[] =>
  zones.map((zone) => {
    const rdata = Uint8Array.from(zone.soa.rdata)
    viewOf(rdata).setUint32(rdata.length - FROM_END, serial)
    return { ...zone, soa: { ...zone.soa, rdata } }
  })

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
