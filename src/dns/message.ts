/**
 * Whole messages as plain objects in DNS text, for tests, explain and tools; never on the query path. Decoding never
 * throws, never loops, and its work is bounded by the message's length; what cannot be read is a fault.
 */
import type { Fault } from './name.ts'

export interface Question {
  /** Text with the final dot. */
  readonly name: string
  readonly type: string
  readonly class: string
}

export interface Rr extends Question {
  readonly ttlSeconds: number
  /** Presentation text. */
  readonly rdata: string
}

export interface Ecs {
  readonly family: number
  readonly source: number
  readonly scope: number
  /** Text of the whole address; empty for family 0. */
  readonly address: string
}

export interface EdnsOption {
  readonly code: number
  readonly data: Uint8Array
}

export interface Edns {
  readonly payload: number
  readonly version: number
  readonly dnssecOk: boolean
  readonly options: readonly EdnsOption[]
  readonly ecs?: Ecs
}

export interface Message {
  readonly id: number
  readonly opcode: number
  /** With EDNS's upper bits. */
  readonly rcode: string
  readonly qr: boolean
  readonly aa: boolean
  readonly tc: boolean
  readonly rd: boolean
  readonly ra: boolean
  readonly ad: boolean
  readonly cd: boolean
  readonly question: readonly Question[]
  readonly answer: readonly Rr[]
  readonly authority: readonly Rr[]
  /** Without OPT. */
  readonly additional: readonly Rr[]
  readonly edns?: Edns
}

/** Any bytes → the message, or what is wrong with it (bytes behind the last record are). */
export function decodeMessage(bytes: Uint8Array): Message | Fault {
  throw new Error(`not yet: ${bytes.length}`)
}

/** `www.example.com. 30 IN A 192.0.2.1` */
export const formatRr = (rr: Rr): string => `${rr.name} ${rr.ttlSeconds} ${rr.class} ${rr.type} ${rr.rdata}`

export interface QuerySpec {
  readonly name: string
  /** Mnemonic or TYPEn. */
  readonly type: string
  readonly class?: string
  readonly id?: number
  readonly rd?: boolean
  readonly edns?: {
    /** Default 1232. */
    readonly payload?: number
    readonly do?: boolean
    readonly version?: number
    /** `198.51.100.0/24`; `0/0` = family 0, source 0. */
    readonly ecs?: string
    readonly options?: readonly EdnsOption[]
  }
}

/** A query's bytes. Throws on a spec that cannot be one: it is the caller's own text. */
export function encodeQuery(spec: QuerySpec): Uint8Array {
  throw new Error(`not yet: ${spec.name}`)
}
