/**
 * `flood.ts TARGET PORT FIRST_SOURCE SOURCES RATE SECONDS [STEP NAME TYPE]`: sends RATE queries a second to TARGET for
 * SECONDS, each from the next of SOURCES addresses that follow FIRST_SOURCE, STEP apart, in turn; without a NAME they ask
 * for www.example.com without EDNS. It writes the IP headers itself (raw(7), root only), so the sources need not exist.
 * Prints `{"sent": N}`. Linux, 64 bits, little-endian.
 */
import koffi from 'koffi'
import { parseAddress } from '../../../src/dns/address.ts'
import { makeSockaddr } from '../../../src/linux/calls.ts'
import { query } from '../../server/client.ts'

const AF_INET = 2
const AF_INET6 = 10
const SOCK_RAW = 3
/** The packets bring their own IP headers. */
const IPPROTO_RAW = 255
const UDP = 17
const TTL = 64
const HEADER_BYTES = 64
/** What a late process makes up for. */
const CATCH_UP_MS = 20

const [targetText, portText, firstText, sourcesText, rateText, secondsText, stepText, name, type] =
  process.argv.slice(2)
const port = Number(portText)
const sources = Number(sourcesText)
const rate = Number(rateText)
const seconds = Number(secondsText)
const target = parseAddress(targetText!)!
const first = parseAddress(firstText!)!
const v6 = target.length === 16

/** The n-th source: the last four bytes count. */
function sourceAddress(n: number): Uint8Array {
  const address = Uint8Array.from(first)
  const view = new DataView(address.buffer, address.length - 4)
  view.setUint32(0, view.getUint32(0) + n * Number(stepText ?? 1))
  return address
}

/** An IP packet with a query in it (RFC 791, RFC 8200, RFC 768). The kernel fills in IPv4's identifier and checksum. */
function packet(n: number): Buffer {
  const payload =
    name === undefined ? query(n & 0xffff, 'www.example.com') : query(n & 0xffff, name, Number(type), 1232)
  const udp = Buffer.alloc(8)
  udp.writeUInt16BE(1024 + (n % 60_000), 0)
  udp.writeUInt16BE(port, 2)
  udp.writeUInt16BE(8 + payload.length, 4)
  const datagram = Buffer.concat([udp, payload])
  const ip = Buffer.alloc(v6 ? 40 : 20)
  if (v6) {
    ip[0] = 0x60
    ip.writeUInt16BE(datagram.length, 4)
    ip[6] = UDP
    ip[7] = TTL
    ip.set(sourceAddress(n), 8)
    ip.set(target, 24)
    datagram.writeUInt16BE(checksum(ip.subarray(8), datagram), 6)
  } else {
    ip[0] = 0x45
    ip.writeUInt16BE(ip.length + datagram.length, 2)
    ip[8] = TTL
    ip[9] = UDP
    ip.set(sourceAddress(n), 12)
    ip.set(target, 16)
  }
  return Buffer.concat([ip, datagram])
}

/** Of UDP over IPv6 (RFC 8200 §8.1), where it may not be left out. */
function checksum(addresses: Uint8Array, datagram: Uint8Array): number {
  const bytes = Buffer.concat([
    addresses,
    Buffer.from([0, 0, 0, datagram.length, 0, 0, 0, UDP]),
    datagram,
    Buffer.alloc(1),
  ])
  let sum = 0
  for (let at = 0; at + 1 < bytes.length; at += 2) sum += bytes.readUInt16BE(at)
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16)
  return ~sum & 0xffff || 0xffff
}

// one arena: the target's address, headers, iovecs, packets
const packets = Array.from({ length: sources }, (_, n) => packet(n))
const iovecs = 64 + sources * HEADER_BYTES
const packetsAt = iovecs + sources * 16
const arena = new ArrayBuffer(packetsAt + packets.reduce((sum, { length }) => sum + length, 0))
const view = new DataView(arena)
const base = Number(koffi.address(arena))
const sockaddr = new Uint8Array(makeSockaddr(targetText!, 0))
new Uint8Array(arena).set(sockaddr)
let at = packetsAt
for (const [i, bytes] of packets.entries()) {
  new Uint8Array(arena).set(bytes, at)
  view.setBigUint64(iovecs + i * 16, BigInt(base + at), true)
  view.setUint32(iovecs + i * 16 + 8, bytes.length, true)
  const header = 64 + i * HEADER_BYTES
  view.setBigUint64(header, BigInt(base), true)
  view.setUint32(header + 8, sockaddr.length, true)
  view.setBigUint64(header + 16, BigInt(base + iovecs + i * 16), true)
  view.setUint32(header + 24, 1, true)
  at += bytes.length
}

const libc = koffi.load(null)
const open = libc.func('int socket(int, int, int)') as (family: number, type: number, protocol: number) => number
const sendmmsg = libc.func('int sendmmsg(int, uintptr_t, unsigned int, int)') as (...args: number[]) => number
const fd = open(v6 ? AF_INET6 : AF_INET, SOCK_RAW, IPPROTO_RAW)
if (fd < 0) throw new Error('no raw socket: this needs root')

const tick = new Int32Array(new SharedArrayBuffer(4))
const beganMs = performance.now()
let due = 0
let sent = 0
for (let lastMs = beganMs, nowMs = beganMs; nowMs < beganMs + seconds * 1000; nowMs = performance.now()) {
  due += (Math.min(nowMs - lastMs, CATCH_UP_MS) * rate) / 1000
  lastMs = nowMs
  while (sent < Math.floor(due)) {
    const next = sent % sources
    const count = Math.min(Math.floor(due) - sent, sources - next)
    const done = sendmmsg(fd, base + 64 + next * HEADER_BYTES, count, 0)
    if (done <= 0) throw new Error(`sendmmsg: error ${koffi.errno()}`)
    sent += done
  }
  Atomics.wait(tick, 0, 0, 1)
}
console.log(JSON.stringify({ sent, bytes: view.byteLength })) // the arena must be reachable to the end
