/**
 * A load that keeps a server busy from one core, where dnsperf's own core is full first: `blast.ts PORT QUERIES SECONDS
 * WINDOW` sends the queries (dnsperf's binary form) in batches with at most WINDOW of them outstanding and prints one
 * line of JSON. Started by measure.ts as a process of its own, so that it can be pinned. Linux, 64 bits, little-endian.
 */
import { readFileSync } from 'node:fs'
import koffi from 'koffi'

const BATCH = 64
const REPLY_BYTES = 1600
const HEADER_BYTES = 64
const MSG_DONTWAIT = 0x40
/** A query without a reply for so long is lost. */
const LOST_MS = 200

const libc = koffi.load('libc.so.6')
const calls = {
  socket: libc.func('int socket(int, int, int)') as (domain: number, type: number, protocol: number) => number,
  connect: libc.func('int connect(int, uintptr_t, int)') as (fd: number, address: number, bytes: number) => number,
  option: libc.func('int setsockopt(int, int, int, uintptr_t, int)') as (...args: number[]) => number,
  recvmmsg: libc.func('int recvmmsg(int, uintptr_t, unsigned int, int, uintptr_t)') as (...args: number[]) => number,
  sendmmsg: libc.func('int sendmmsg(int, uintptr_t, unsigned int, int)') as (...args: number[]) => number,
  poll: libc.func('int poll(uintptr_t, unsigned long, int)') as (...args: number[]) => number,
}

const [port, file, seconds, window] = process.argv.slice(2)
const queries = readFileSync(file!)
const starts: number[] = []
for (let at = 0; at < queries.length; at += 2 + queries.readUInt16BE(at)) starts.push(at)

// one arena: the queries, then headers and iovecs of both directions, then the slots of replies
const headersOut = (queries.length + 63) & ~63
const iovecsOut = headersOut + BATCH * HEADER_BYTES
const headersIn = iovecsOut + BATCH * 16
const iovecsIn = headersIn + BATCH * HEADER_BYTES
const slots = iovecsIn + BATCH * 16
const small = slots + BATCH * REPLY_BYTES
const arena = new ArrayBuffer(small + 64)
const bytes = new Uint8Array(arena)
const view = new DataView(arena)
const base = Number(koffi.address(arena))
bytes.set(queries)
const point = (at: number, to: number): void => view.setBigUint64(at, BigInt(base + to), true)
for (let i = 0; i < BATCH; i++) {
  point(headersOut + i * HEADER_BYTES + 16, iovecsOut + i * 16)
  point(headersIn + i * HEADER_BYTES + 16, iovecsIn + i * 16)
  for (const headers of [headersOut, headersIn]) view.setUint32(headers + i * HEADER_BYTES + 24, 1, true)
  point(iovecsIn + i * 16, slots + i * REPLY_BYTES)
  view.setUint32(iovecsIn + i * 16 + 8, REPLY_BYTES, true)
}

const fd = calls.socket(2, 2, 0)
view.setUint32(small, 4 << 20, true)
calls.option(fd, 1, 33, base + small, 4) // SO_RCVBUFFORCE where we may,
calls.option(fd, 1, 8, base + small, 4) //  SO_RCVBUF where not
bytes.set([2, 0, Number(port) >> 8, Number(port) & 255, 127, 0, 0, 1], small)
if (fd < 0 || calls.connect(fd, base + small, 16) < 0) throw new Error('no socket')
view.setInt32(small, fd, true)
view.setInt32(small + 4, 1, true) // POLLIN

/** By message id: when it was sent, 0 = not outstanding. */
const sentAt = new Float64Array(65_536)
/** Replies by latency in microseconds; the last cell holds all longer ones. */
const latencies = new Uint32Array(LOST_MS * 1000 + 1)
let sent = 0
let received = 0
let lost = 0
let next = 0
let id = 0

function send(count: number, nowMs: number): void {
  for (let i = 0; i < count; i++) {
    const at = starts[next]!
    next = next + 1 === starts.length ? 0 : next + 1
    id = (id + 1) & 0xffff
    bytes[at + 2] = id >> 8
    bytes[at + 3] = id & 255
    point(iovecsOut + i * 16, at + 2)
    view.setUint32(iovecsOut + i * 16 + 8, (bytes[at]! << 8) | bytes[at + 1]!, true)
    sentAt[id] = nowMs
  }
  for (let done = 0; done < count;) {
    const k = calls.sendmmsg(fd, base + headersOut + done * HEADER_BYTES, count - done, 0)
    done += Math.max(k, 0)
  }
  sent += count
}

function receive(nowMs: number): number {
  const count = calls.recvmmsg(fd, base + headersIn, BATCH, MSG_DONTWAIT, 0)
  for (let i = 0; i < count; i++) {
    const reply = (bytes[slots + i * REPLY_BYTES]! << 8) | bytes[slots + i * REPLY_BYTES + 1]!
    const began = sentAt[reply]!
    if (began === 0) continue
    sentAt[reply] = 0
    received++
    latencies[Math.min(latencies.length - 1, Math.round((nowMs - began) * 1000))]!++
  }
  return count
}

const beganMs = performance.now()
const endMs = beganMs + Number(seconds) * 1000
let nowMs = beganMs
let heardMs = beganMs
for (;;) {
  const open = sent - received - lost
  const room = nowMs < endMs ? Math.min(BATCH, Number(window) - open) : 0
  if (room > 0) send(room, nowMs)
  const count = receive(performance.now())
  nowMs = performance.now()
  if (count > 0) heardMs = nowMs
  else if (open === 0 && nowMs >= endMs) break
  else if (nowMs - heardMs > LOST_MS) {
    lost = sent - received
    sentAt.fill(0)
  } else if (room <= 0) calls.poll(base + small, 1, 1)
}

const quantile = (q: number): number => {
  let left = q * received
  return latencies.findIndex((count) => (left -= count) < 0) / 1000
}
const took = nowMs - beganMs
console.log(
  JSON.stringify({ sent, received, rate: (received / took) * 1000, p50Ms: quantile(0.5), p999Ms: quantile(0.999) }),
)
