/**
 * The SOA of zones: made of `soa` in defaults.yaml and the zone's own names, with one serial for all zones of a folder, in the
 * arithmetic of RFC 1982. Whoever compares two serials of a zone takes a lower one for an older zone: what a node has served
 * it never goes below.
 */
import { formatName, isFault } from '../dns/name.ts'
import { encodeRdata } from '../dns/rdata.ts'
import { TYPE } from '../dns/types.ts'
import type { Reader } from '../yaml/read.ts'
import type { Node } from '../yaml/source.ts'
import type { SoaModel, ZoneModel } from '../zone/pack.ts'
import type { ZoneFile } from './records.ts'

export interface SoaDefaults {
  readonly mname: string | undefined
  readonly rname: string | undefined
  readonly serial: number | undefined
  readonly refresh: number
  readonly retry: number
  readonly expire: number
  readonly minimum: number
}

export const SOA_KEYS = ['mname', 'rname', 'serial', 'refresh', 'retry', 'expire', 'minimum']

/** `soa` of defaults.yaml, with what stands for all that it leaves out. */
export function readSoa(read: Reader | undefined, node: Node | undefined): SoaDefaults {
  const fields = node && read?.fields(node, '“soa”', SOA_KEYS)
  const number = (key: string, missing: number): number => read?.seconds(fields?.get(key), 0, missing) ?? missing
  const soa = {
    mname: read?.text(fields?.get('mname'), undefined),
    rname: read?.text(fields?.get('rname'), undefined),
    serial: read?.integer(fields?.get('serial'), 0, 0xffffffff, undefined),
    refresh: number('refresh', 7200),
    retry: number('retry', 900),
    expire: number('expire', 1_209_600),
    minimum: number('minimum', 60),
  }
  const encoded = encodeSoa(soa, '.', '.', 1)
  if (isFault(encoded) && read && node) {
    read.fault('rdata-invalid', fields?.get(encoded.field ?? '')?.value ?? node, encoded.fault)
    return { ...soa, mname: undefined, rname: undefined }
  }
  return soa
}

function encodeSoa(soa: SoaDefaults, mname: string, rname: string, serial: number): ReturnType<typeof encodeRdata> {
  const { refresh, retry, expire, minimum } = soa
  const numbers = { serial, refresh, retry, expire, minimum }
  const texts = Object.fromEntries(Object.entries(numbers).map(([key, value]) => [key, String(value)]))
  return encodeRdata(TYPE.SOA, { mname: soa.mname ?? mname, rname: soa.rname ?? rname, ...texts })
}

/** Of one zone: without `mname` the first name server that its apex names, without `rname` its hostmaster. */
export function soaOf(zone: ZoneFile, soa: SoaDefaults, ttlSeconds: number, serial: number): SoaModel {
  const apex = formatName(zone.apex)
  const hostmaster = apex.length > 240 ? apex : `hostmaster.${apex}`
  const rdata = encodeSoa(soa, zone.firstServer ?? '.', hostmaster, serial)
  if (isFault(rdata)) throw new Error(`SOA of ${apex}: ${rdata.fault}`)
  return { rdata, ttlSeconds, negativeTtlSeconds: Math.min(ttlSeconds, soa.minimum) }
}

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
