/**
 * What the node's settings say about the protocol itself: EDNS options and the like, which belong to no zone. Made by
 * node/protocol.ts; every answering thread has the same one and may be given another between two queries. It is
 * plain data, so that it can be posted to a thread.
 */
import type { Prefix } from '../dns/address.ts'
import type { SipKey } from '../dns/siphash.ts'
import type { TsigKey } from '../dns/tsig.ts'
import type { Limits } from './abuse/limits.ts'
import { PAYLOAD_BYTES } from './response.ts'

/** Settings of the protocol. Nothing in it is replaced: a change is a new Protocol. */
export interface Protocol {
  /** This server's identifier, for clients that ask for it (RFC 5001); empty = none is given. At most 128 bytes. */
  readonly nsid: Uint8Array
  /** Who this server is and which version, for queries of class CH (RFC 4892): TXT RDATA; empty = refused. */
  readonly identity: Uint8Array
  readonly version: Uint8Array
  /** The domain that resolvers report errors to (RFC 9567), in wire form; empty = none. */
  readonly reportChannel: Uint8Array
  /** How long a connection over TCP or TLS may be idle, for clients that ask (RFC 7828); 0 = they are not told. */
  readonly keepaliveMs: number
  /** Keys that queries may be signed with (RFC 8945). */
  readonly tsigKeys: readonly TsigKey[]
  /** The rate limits, which a thread takes from its first Protocol; null = none. */
  readonly limits: Limits | null
  /** The secrets of DNS cookies (RFC 9018): the first makes them, all verify them. Empty = cookies are ignored. */
  readonly cookies: readonly SipKey[]
  /** The largest response over UDP to a client without a valid cookie, in bytes: at least 512. */
  readonly unprovenBytes: number
  /** The networks of proxies that name the client (server/proxy.ts). */
  readonly proxies: readonly Prefix[]
  /** UDP queries with a cookie that is not valid are answered with BADCOOKIE instead of data. */
  readonly badCookie: boolean
}

/** All that a setting can turn on is off. */
export const PLAIN_PROTOCOL: Protocol = {
  nsid: new Uint8Array(0),
  identity: new Uint8Array(0),
  version: new Uint8Array(0),
  reportChannel: new Uint8Array(0),
  keepaliveMs: 0,
  tsigKeys: [],
  limits: null,
  cookies: [],
  unprovenBytes: PAYLOAD_BYTES,
  proxies: [],
  badCookie: false,
}
