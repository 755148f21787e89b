/**
 * A UDP socket that sends from any loopback address, and knows to which of them a reply came (ip(7), IP_PKTINFO): many datagrams
 * in one system call, in their order.
 *
 *   out: mmsghdr ─▶ name of the server, iovec ─▶ bytes, control ─▶ from      in: mmsghdr ─▶ name, iovec ─▶ slot, control ─▶ to
 */
import { linux, type Linux, makeSockaddr } from '../../src/linux/calls.ts'
import { errorName } from '../../src/linux/libc.ts'
import {
  AF_INET,
  EAGAIN,
  EINTR,
  IP_PKTINFO,
  IPPROTO_IP,
  MSG_DONTWAIT,
  SO_RCVBUF,
  SO_RCVBUFFORCE,
  SOCK_CLOEXEC,
  SOCK_DGRAM,
  SOL_SOCKET,
} from '../../src/linux/numbers.ts'

const BATCH = 64
const SLOT_BYTES = 2048
const LARGEST = 65_507
const RECEIVE_BUFFER = 4 << 20
const HEADER = 64
const IOVEC = 16
/** cmsghdr, and an in_pktinfo of 12 bytes: interface, address of this side, destination. */
const CONTROL = 32
const CONTROL_BYTES = 28
const PKTINFO_LOCAL = 20
const NAME = 16

/** Bytes with an address of this machine, 4 bytes: where they come from or go to. */
export interface Addressed {
  readonly local: Uint8Array
  readonly bytes: Uint8Array
}

/** Between this machine's addresses and one server. */
export class Datagrams {
  readonly #calls: Linux
  readonly #fd: number
  readonly #server: Uint8Array
  readonly #arena = new ArrayBuffer(BATCH * (2 * (HEADER + IOVEC + CONTROL) + NAME + SLOT_BYTES + LARGEST) + NAME)
  readonly #bytes = new Uint8Array(this.#arena)
  readonly #view = new DataView(this.#arena)
  readonly #base: number
  // where the parts of the arena begin
  readonly #out = 0
  readonly #in = this.#out + BATCH * HEADER
  readonly #iovecs = this.#in + BATCH * HEADER
  readonly #slotIovecs = this.#iovecs + BATCH * IOVEC
  readonly #controls = this.#slotIovecs + BATCH * IOVEC
  readonly #slotControls = this.#controls + BATCH * CONTROL
  readonly #names = this.#slotControls + BATCH * CONTROL
  readonly #serverName = this.#names + BATCH * NAME
  readonly #slots = this.#serverName + NAME
  readonly #payloads = this.#slots + BATCH * SLOT_BYTES

  /** To 127.0.0.1 and this port. */
  constructor(port: number) {
    if ('missing' in linux) throw new Error(linux.missing)
    this.#calls = linux
    this.#base = linux.addressOf(this.#arena)
    this.#server = new Uint8Array(makeSockaddr('127.0.0.1', port))
    this.#fd = linux.socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)
    const any = makeSockaddr('0.0.0.0', 0)
    if (linux.bind(this.#fd, linux.addressOf(any), any.byteLength) < 0) throw new Error(`bind: ${errorName(linux)}`)
    this.#set(SOL_SOCKET, SO_RCVBUF, RECEIVE_BUFFER)
    this.#set(SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER) // not for everybody
    if (!this.#set(IPPROTO_IP, IP_PKTINFO, 1)) throw new Error(`IP_PKTINFO: ${errorName(linux)}`)
    this.#layOut()
  }

  #set(level: number, name: number, value: number): boolean {
    const cell = new Int32Array([value])
    return this.#calls.setsockopt(this.#fd, level, name, this.#calls.addressOf(cell.buffer), 4) === 0
  }

  #point(at: number, to: number): void {
    this.#view.setBigUint64(at, BigInt(this.#base + to), true)
  }

  #layOut(): void {
    const view = this.#view
    this.#bytes.set(this.#server, this.#serverName)
    for (let i = 0; i < BATCH; i++) {
      const [sent, received] = [this.#out + i * HEADER, this.#in + i * HEADER]
      this.#point(sent, this.#serverName)
      this.#point(received, this.#names + i * NAME)
      this.#point(sent + 16, this.#iovecs + i * IOVEC)
      this.#point(received + 16, this.#slotIovecs + i * IOVEC)
      this.#point(sent + 32, this.#controls + i * CONTROL)
      this.#point(received + 32, this.#slotControls + i * CONTROL)
      for (const header of [sent, received]) {
        view.setUint32(header + 8, NAME, true)
        view.setUint32(header + 24, 1, true)
        view.setUint32(header + 40, CONTROL, true)
      }
      this.#point(this.#slotIovecs + i * IOVEC, this.#slots + i * SLOT_BYTES)
      view.setUint32(this.#slotIovecs + i * IOVEC + 8, SLOT_BYTES, true)
      const control = this.#controls + i * CONTROL
      view.setUint32(control, CONTROL_BYTES, true)
      view.setInt32(control + 8, IPPROTO_IP, true)
      view.setInt32(control + 12, IP_PKTINFO, true)
    }
  }

  /** Sends each from its address. */
  send(datagrams: readonly Addressed[]): void {
    for (let at = 0; at < datagrams.length; at += BATCH) this.#sendBatch(datagrams.slice(at, at + BATCH))
  }

  #sendBatch(datagrams: readonly Addressed[]): void {
    for (const [i, { local, bytes }] of datagrams.entries()) {
      const payload = this.#payloads + i * LARGEST
      this.#bytes.set(bytes, payload)
      this.#bytes.set(local, this.#controls + i * CONTROL + PKTINFO_LOCAL)
      this.#point(this.#iovecs + i * IOVEC, payload)
      this.#view.setUint32(this.#iovecs + i * IOVEC + 8, bytes.length, true)
    }
    for (let done = 0; done < datagrams.length;) {
      const headers = this.#base + this.#out + done * HEADER
      const count = this.#calls.sendmmsg(this.#fd, headers, datagrams.length - done, 0)
      if (count > 0) done += count
      else if (this.#calls.errno() !== EINTR) throw new Error(`sendmmsg: ${errorName(this.#calls)}`)
    }
  }

  /** What has come from the server. Of more than 2,048 bytes these. */
  receive(): Addressed[] {
    const there: Addressed[] = []
    for (let count = BATCH; count === BATCH;) {
      count = this.#calls.recvmmsg(this.#fd, this.#base + this.#in, BATCH, MSG_DONTWAIT, 0)
      if (count < 0 && this.#calls.errno() !== EAGAIN) throw new Error(`recvmmsg: ${errorName(this.#calls)}`)
      for (let i = 0; i < count; i++) {
        const header = this.#in + i * HEADER
        this.#view.setUint32(header + 40, CONTROL, true) // the kernel has written what it used
        if (!this.#isFromServer(this.#names + i * NAME)) continue
        const slot = this.#slots + i * SLOT_BYTES
        const to = this.#slotControls + i * CONTROL + PKTINFO_LOCAL
        const size = this.#view.getUint32(header + 56, true)
        there.push({ local: this.#bytes.slice(to, to + 4), bytes: this.#bytes.slice(slot, slot + size) })
      }
    }
    return there
  }

  #isFromServer(name: number): boolean {
    for (let i = 2; i < 8; i++) if (this.#bytes[name + i] !== this.#server[i]) return false
    return true
  }

  close(): void {
    this.#calls.close(this.#fd)
  }
}
