/**
 * The loads of the encrypted bench, each in a process of its own: `load.ts MODE PORT …` prints one line of JSON. Clients
 * are spread over 127.0.0.0/8, because servers limit the connections of one.
 *
 *   handshakes KIND PORT SECONDS   dot or doh: connects in full, asks once, closes; 16 at once
 *   queries KIND PORT SECONDS      8 connections, 8 queries under way on each
 *   idle KIND PORT COUNT           opens connections, each asks now and then; prints when all are open; until it is killed
 *   hellos PORT SECONDS RATE       sends a ClientHello, waits for the server's part, goes away
 *   udp PORT SECONDS RATE          asks at a steady rate; latencies
 */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { connect as connectHttp2 } from 'node:http2'
import { connect, createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import { query } from '../../server/client.ts'

const HANDSHAKES_AT_ONCE = 16
const OPENED_AT_ONCE = 16
const CONNECTIONS = 8
const UNDER_WAY = 8
/** Less than the time after which servers close who is idle: Meridian's are 10 s. */
const ASK_AGAIN_MS = 5000
/** Of what all OpenSSLs here know: without ML-KEM, which those of Debian 12 lack and do not pay for. */
const GROUPS = 'X25519'

const message = query(1, 'www1.example.com')
const framed = Buffer.concat([Buffer.from([0, message.length]), message])
/** One A record, its owner a pointer, and the length. */
const ANSWER_BYTES = framed.length + 16
const path = `/dns-query?dns=${query(0, 'www1.example.com').toString('base64url')}`
/** The address of the client with this number. */
const addressOf = (n: number): string => `127.1.${(n >> 6) & 255}.${1 + (n & 63)}`

function secure(kind: string, port: number, n: number): TLSSocket {
  return connectTls({
    socket: connect({ host: '127.0.0.1', port, localAddress: addressOf(n) }),
    rejectUnauthorized: false,
    ecdhCurve: GROUPS,
    ALPNProtocols: [kind === 'doh' ? 'h2' : 'dot'],
  })
}

/** What asks once on a connection whose handshake is done. */
function asker(kind: string, socket: TLSSocket): () => Promise<void> {
  if (kind === 'dot') {
    return async () => {
      socket.write(framed)
      await once(socket, 'data')
    }
  }
  const session = connectHttp2('https://localhost', { createConnection: () => socket })
  session.on('error', () => {})
  return async () => {
    const stream = session.request({ ':path': path })
    stream.resume()
    await once(stream, 'end')
  }
}

async function handshakes(kind: string, port: number, seconds: number): Promise<object> {
  const endMs = performance.now() + seconds * 1000
  let done = 0
  let failed = 0
  const client = async (n: number): Promise<void> => {
    while (performance.now() < endMs) {
      const socket = secure(kind, port, n)
      try {
        await once(socket, 'secureConnect')
        await asker(kind, socket)()
        done++
      } catch {
        failed++
      }
      socket.destroy()
    }
  }
  await Promise.all(Array.from({ length: HANDSHAKES_AT_ONCE }, (_, n) => client(n)))
  return { done, failed }
}

async function queries(kind: string, port: number, seconds: number): Promise<object> {
  const sockets = Array.from({ length: CONNECTIONS }, (_, n) => secure(kind, port, n))
  await Promise.all(sockets.map((socket) => once(socket, 'secureConnect')))
  const endMs = performance.now() + seconds * 1000
  let done = 0
  const client = async (socket: TLSSocket): Promise<void> => {
    if (kind === 'doh') {
      const ask = asker(kind, socket)
      const line = async (): Promise<void> => {
        for (; performance.now() < endMs; done++) await ask()
      }
      await Promise.all(Array.from({ length: UNDER_WAY }, line))
      return
    }
    let bytes = 0
    socket.write(Buffer.concat(Array.from({ length: UNDER_WAY }, () => framed)))
    for await (const chunk of socket) {
      bytes += chunk.length
      const answers = Math.floor(bytes / ANSWER_BYTES)
      bytes -= answers * ANSWER_BYTES
      done += answers
      if (performance.now() > endMs) return
      if (answers > 0) socket.write(Buffer.concat(Array.from({ length: answers }, () => framed)))
    }
  }
  await Promise.all(sockets.map(client))
  return { done, failed: 0 }
}

async function idle(kind: string, port: number, count: number): Promise<object> {
  const sockets: TLSSocket[] = []
  let next = 0
  const opener = async (): Promise<void> => {
    while (next < count) {
      const socket = secure(kind, port, next++)
      sockets.push(socket)
      await once(socket, 'secureConnect')
      const ask = asker(kind, socket)
      await ask()
      const timer = setInterval(() => void ask().catch(() => {}), ASK_AGAIN_MS)
      socket.once('close', () => clearInterval(timer))
    }
  }
  await Promise.all(Array.from({ length: OPENED_AT_ONCE }, opener))
  await sleep(ASK_AGAIN_MS)
  return { open: sockets.filter((socket) => !socket.destroyed).length }
}

/** A ClientHello, as OpenSSL makes it. */
async function helloOf(): Promise<Buffer> {
  const server = createServer()
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const address = server.address()
  const socket = secure('dot', typeof address === 'object' && address !== null ? address.port : 0, 0)
  socket.on('error', () => {})
  const [peer] = await once(server, 'connection')
  const [hello] = await once(peer, 'data')
  socket.destroy()
  peer.destroy()
  server.close()
  return hello
}

async function hellos(port: number, seconds: number, rate: number): Promise<object> {
  const hello = await helloOf()
  const beganMs = performance.now()
  let sent = 0
  let served = 0
  for (let passedMs = 0; passedMs < seconds * 1000; passedMs = performance.now() - beganMs) {
    for (; sent < (passedMs * rate) / 1000; sent++) {
      const socket = connect({ host: '127.0.0.1', port, localAddress: addressOf(sent) })
      socket.on('error', () => {})
      socket.write(hello)
      socket.once('data', () => {
        served++
        socket.resetAndDestroy()
      })
      setTimeout(() => socket.destroy(), 1000).unref()
    }
    await sleep(1)
  }
  return { sent, served }
}

async function udp(port: number, seconds: number, rate: number): Promise<object> {
  const socket = createSocket('udp4')
  socket.connect(port, '127.0.0.1')
  await once(socket, 'connect')
  const sentMs: number[] = []
  const latencies = new Map<number, number>()
  socket.on('message', (reply) => {
    const n = reply.readUInt16BE(0)
    latencies.set(n, performance.now() - sentMs[n]!)
  })
  const beganMs = performance.now()
  for (let passedMs = 0; passedMs < seconds * 1000; passedMs = performance.now() - beganMs) {
    while (sentMs.length < (passedMs * rate) / 1000) {
      const n = sentMs.push(performance.now()) - 1
      socket.send(query(n, 'www1.example.com'))
    }
    await sleep(1)
  }
  await sleep(500)
  socket.close()
  const sorted = [...latencies.values()].toSorted((a, b) => a - b)
  const at = (part: number): number => sorted[Math.floor(part * (sorted.length - 1))] ?? Number.NaN
  return { sent: sentMs.length, lost: sentMs.length - sorted.length, p50Ms: at(0.5), p99Ms: at(0.99) }
}

const [mode = '', ...args] = process.argv.slice(2)
const numbers = args.map(Number)
if (mode === 'handshakes') console.log(JSON.stringify(await handshakes(args[0]!, numbers[1]!, numbers[2]!)))
else if (mode === 'queries') console.log(JSON.stringify(await queries(args[0]!, numbers[1]!, numbers[2]!)))
else if (mode === 'hellos') console.log(JSON.stringify(await hellos(numbers[0]!, numbers[1]!, numbers[2]!)))
else if (mode === 'udp') console.log(JSON.stringify(await udp(numbers[0]!, numbers[1]!, numbers[2]!)))
else {
  console.log(JSON.stringify(await idle(args[0]!, numbers[1]!, numbers[2]!)))
  await new Promise(() => {}) // the connections keep the process
}
process.exit(0)
