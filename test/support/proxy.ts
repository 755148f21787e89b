/** What a proxy writes before a datagram or a connection to name the client: PROXY protocol, version 2 (doc/proxy-protocol.txt §2.2). */
import { parseAddress } from '../../src/dns/address.ts'

const SIGNATURE = Buffer.from('0d0a0d0a000d0a515549540a', 'hex')

export interface Header {
  readonly command?: number
  /** Family and transport. */
  readonly family?: number
  readonly addresses?: Uint8Array
  readonly length?: number
  readonly tlvs?: Uint8Array
}

/** A header, right or wrong. */
export function header({
  command = 0x21,
  family = 0,
  addresses = new Uint8Array(0),
  tlvs,
  length,
}: Header = {}): Buffer {
  const body = Buffer.concat([addresses, tlvs ?? new Uint8Array(0)])
  const size = length ?? body.length
  return Buffer.concat([SIGNATURE, Uint8Array.of(command, family, size >> 8, size & 255), body])
}

/** The header for this client; `transport`: 1 stream, 2 datagram. */
export function naming(client: string, transport: 1 | 2, tlvs?: Uint8Array): Buffer {
  const address = parseAddress(client)!
  const addresses = Buffer.concat([address, address, Buffer.from([0x30, 0x39, 0, 53])])
  const family = (address.length === 4 ? 0x10 : 0x20) | transport
  return header({ family, addresses, ...(tlvs !== undefined && { tlvs }) })
}
