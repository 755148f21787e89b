/**
 * `client.ts TARGET PORT RATE SECONDS SOURCE…`: honest resolvers, one for each SOURCE, an address of this host. They say
 * `ready`; from the first line of the input on they ask in turn at a steady rate over UDP, over TCP where the response is
 * truncated, and print what they lost and how long each waited for its answer.
 */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { answersOf, idOf, isTruncated, query, TcpClient } from '../../server/client.ts'

const [address, portText, rateText, secondsText, ...sources] = process.argv.slice(2)
const endpoint = { address: address!, port: Number(portText) }
const GRACE_MS = 2000

const sentAtMs: number[] = []
const waitedMs = new Map<number, number>()
let overTcp = 0
const answered = (n: number, reply: Uint8Array): void => {
  if (answersOf(reply) > 0 && !waitedMs.has(n)) waitedMs.set(n, performance.now() - sentAtMs[n]!)
}

function askTcp(n: number, source: string): void {
  overTcp++
  const client = new TcpClient(endpoint, source)
  client.socket.on('data', () => {
    const [reply] = client.answers
    if (reply === undefined) return
    answered(n, reply)
    client.socket.destroy()
  })
  client.send(query(n & 0xffff, 'www.example.com'))
}

const sockets = await Promise.all(
  sources.map(async (source, i) => {
    const socket = createSocket('udp4')
    socket.bind(0, source)
    await once(socket, 'listening')
    socket.setRecvBufferSize(1 << 20)
    socket.on('message', (reply) => {
      let n = (sentAtMs.length & ~0xffff) | idOf(reply)
      while (n >= sentAtMs.length || n % sources.length !== i) n -= 0x1_0000
      if (isTruncated(reply)) askTcp(n, source)
      else answered(n, reply)
    })
    return socket
  }),
)
console.log('ready')
await once(process.stdin, 'data')
process.stdin.destroy()
const beganMs = performance.now()
for (let nowMs = beganMs; nowMs < beganMs + Number(secondsText) * 1000; nowMs = performance.now()) {
  const due = Math.min(((nowMs - beganMs) / 1000) * Number(rateText), sentAtMs.length + 64)
  for (let n = sentAtMs.length; n < due; n++) {
    sentAtMs.push(performance.now())
    sockets[n % sockets.length]!.send(query(n & 0xffff, 'www.example.com'), endpoint.port, endpoint.address)
  }
  await sleep(1)
}
for (const endMs = performance.now() + GRACE_MS; waitedMs.size < sentAtMs.length && performance.now() < endMs;)
  await sleep(5)
for (const socket of sockets) socket.close()
const sorted = [...waitedMs.values()].toSorted((a, b) => a - b)
const at = (q: number): number => sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? 0
const sent = sentAtMs.length
console.log(
  JSON.stringify({ sent, lost: sent - sorted.length, overTcp, p50Ms: at(0.5), p99Ms: at(0.99), mostMs: at(1) }),
)
