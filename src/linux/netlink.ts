/**
 * The machine's addresses with their prefixes, and its neighbours (ARP, NDP) with their states, read over rtnetlink(7).
 * Needs no privilege. No call blocks, because the kernel answers within the request. Used by server/neighbours.ts.
 */
import type { Linux } from './calls.ts'
import { errorName } from './libc.ts'
import { AF_INET, AF_INET6, AF_NETLINK, MSG_DONTWAIT, NETLINK_ROUTE, SOCK_CLOEXEC, SOCK_RAW } from './numbers.ts'

/** An address of this machine. */
export interface LinkAddress {
  /** 4 or 16 bytes, the machine's own. */
  readonly address: Uint8Array
  /** Length of its prefix, whose other addresses are on the same link. */
  readonly bits: number
  /** Neighbours on the link have link addresses: it is no loopback, tunnel or point-to-point link. */
  readonly resolves: boolean
}

/**
 * `resolved`: the link address is known, and packets are sent at once. `waiting`: the kernel asks for the link address
 * and keeps packets meanwhile, for up to some 3 s. `failed`: the neighbour did not answer.
 */
export type NeighbourState = 'resolved' | 'waiting' | 'failed'

/** An entry of the kernel's neighbour table: 4 or 16 bytes of address, and its state. */
export interface Neighbour {
  readonly address: Uint8Array
  readonly state: NeighbourState
}

// linux/netlink.h, linux/rtnetlink.h, linux/if_link.h, linux/if_addr.h, linux/neighbour.h, linux/if.h
const NLMSG_ERROR = 2
const NLMSG_DONE = 3
const NLM_F_REQUEST = 1
const NLM_F_DUMP = 0x300
const RTM_NEWLINK = 16
const RTM_GETLINK = 18
const RTM_NEWADDR = 20
const RTM_GETADDR = 22
const RTM_NEWNEIGH = 28
const RTM_GETNEIGH = 30
const IFA_ADDRESS = 1
const IFA_LOCAL = 2
const NDA_DST = 1
const NUD_INCOMPLETE = 0x01
const NUD_RESOLVED = 0x02 | 0x04 | 0x08 | 0x10 | 0x40 | 0x80 // reachable, stale, delay, probe, noarp, permanent
const IFF_UNRESOLVING = 0x08 | 0x10 | 0x80 // loopback, point-to-point, noarp

const HEADER_BYTES = 16
/** The header and the longest fixed part of a message (links). Zeros in it ask for everything. */
const REQUEST_BYTES = HEADER_BYTES + 16
/** The kernel writes 32 KB at a time. */
const BUFFER_BYTES = 1 << 16

/** A netlink socket. */
export class Netlink {
  readonly #calls: Linux
  readonly #fd: number
  readonly #bytes = new Uint8Array(new ArrayBuffer(BUFFER_BYTES))
  readonly #view = new DataView(this.#bytes.buffer)
  #sequence = 0

  /** Throws if the kernel refuses the socket, as in some sandboxes. */
  constructor(calls: Linux) {
    this.#calls = calls
    this.#fd = calls.socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE)
    if (this.#fd < 0) throw new Error(`no netlink socket: ${errorName(calls)}`)
  }

  /** The machine's addresses. Throws when the kernel does not answer. */
  addresses(): LinkAddress[] {
    const flags = new Map<number, number>()
    const view = this.#view
    for (const at of this.#ask(RTM_GETLINK, RTM_NEWLINK))
      flags.set(view.getInt32(at + 4, true), view.getUint32(at + 8, true))
    const addresses: LinkAddress[] = []
    for (const at of this.#ask(RTM_GETADDR, RTM_NEWADDR)) {
      const address = this.#attribute(at, 8, IFA_LOCAL) ?? this.#attribute(at, 8, IFA_ADDRESS)
      if (address === undefined) continue
      const resolves = ((flags.get(view.getInt32(at + 4, true)) ?? 0) & IFF_UNRESOLVING) === 0
      addresses.push({ address, bits: this.#bytes[at + 1]!, resolves })
    }
    return addresses
  }

  /** The machine's neighbours. Throws when the kernel does not answer. */
  neighbours(): Neighbour[] {
    const neighbours: Neighbour[] = []
    for (const at of this.#ask(RTM_GETNEIGH, RTM_NEWNEIGH)) {
      const family = this.#bytes[at]!
      if (family !== AF_INET && family !== AF_INET6) continue
      const address = this.#attribute(at, 12, NDA_DST)
      if (address === undefined) continue
      const bits = this.#view.getUint16(at + 8, true)
      const state = (bits & NUD_RESOLVED) !== 0 ? 'resolved' : bits === NUD_INCOMPLETE ? 'waiting' : 'failed'
      neighbours.push({ address, state })
    }
    return neighbours
  }

  close(): void {
    this.#calls.close(this.#fd)
  }

  /**
   * The offset of the body of each message of the answer; the caller must read each one before it asks for the next.
   */
  *#ask(type: number, answer: number): Generator<number> {
    const view = this.#view
    const calls = this.#calls
    const address = calls.addressOf(this.#bytes.buffer)
    const sequence = ++this.#sequence
    this.#bytes.fill(0, 0, REQUEST_BYTES)
    view.setUint32(0, REQUEST_BYTES, true)
    view.setUint16(4, type, true)
    view.setUint16(6, NLM_F_REQUEST | NLM_F_DUMP, true)
    view.setUint32(8, sequence, true)
    if (calls.send(this.#fd, address, REQUEST_BYTES, MSG_DONTWAIT) < 0) throw new Error(`netlink: ${errorName(calls)}`)
    for (;;) {
      const received = calls.recv(this.#fd, address, BUFFER_BYTES, MSG_DONTWAIT)
      if (received <= 0) throw new Error(`netlink: ${errorName(calls)}`)
      for (let at = 0; at + HEADER_BYTES <= received; at += (view.getUint32(at, true) + 3) & ~3) {
        if (view.getUint32(at + 8, true) !== sequence) continue // from an earlier answer that was not read to its end
        const kind = view.getUint16(at + 4, true)
        if (kind === NLMSG_DONE) return
        if (kind === NLMSG_ERROR) throw new Error(`netlink: error ${-view.getInt32(at + HEADER_BYTES, true)}`)
        this.#end = at + view.getUint32(at, true)
        if (kind === answer) yield at + HEADER_BYTES
      }
    }
  }

  /** Of the message that #ask gave last. */
  #end = 0

  /** A copy of an attribute of the message whose body is at `body` and begins with `fixed` bytes. */
  #attribute(body: number, fixed: number, wanted: number): Uint8Array | undefined {
    const view = this.#view
    for (let at = body + fixed; at + 4 <= this.#end; at += (view.getUint16(at, true) + 3) & ~3) {
      const length = view.getUint16(at, true)
      if (length < 4) return undefined
      if (view.getUint16(at + 2, true) === wanted) return this.#bytes.slice(at + 4, at + length)
    }
    return undefined
  }
}
