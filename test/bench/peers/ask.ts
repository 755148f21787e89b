/** Asks a server many questions over UDP, a few at a time, and gives the replies in the order of the questions. */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { decodeReply, type Reply } from './scene.ts'

const WINDOW = 64
const RETRY_MS = 300

/** Throws when a question stays without a reply for `deadlineMs`. At most 65,536 questions. */
export async function ask(port: number, questions: readonly Buffer[], deadlineMs = 5000): Promise<Reply[]> {
  const socket = createSocket('udp4')
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  const replies = Array.from<Reply>({ length: questions.length })
  const open = new Map<number, number>()
  let next = 0
  let done = 0
  let lastMs = performance.now()
  const send = (id: number): void => {
    open.set(id, performance.now())
    const packet = Buffer.from(questions[id]!)
    packet.writeUInt16BE(id, 0)
    socket.send(packet, port, '127.0.0.1')
  }
  await new Promise<void>((finish, fail) => {
    const timer = setInterval(() => {
      const now = performance.now()
      if (now - lastMs > deadlineMs) fail(new Error(`127.0.0.1:${port} has not answered for ${deadlineMs} ms`))
      for (const [id, sentMs] of open) if (now - sentMs > RETRY_MS) send(id)
    }, 50)
    socket.on('error', () => {})
    socket.on('message', (packet) => {
      const id = packet.readUInt16BE(0)
      if (!open.delete(id)) return
      replies[id] = decodeReply(packet)
      lastMs = performance.now()
      done += 1
      if (next < questions.length) send(next++)
      if (done === questions.length) finish()
    })
    while (next < Math.min(WINDOW, questions.length)) send(next++)
    socket.once('close', () => clearInterval(timer))
  }).finally(() => socket.close())
  return replies
}
