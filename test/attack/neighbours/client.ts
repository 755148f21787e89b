/**
 * `client.ts TARGET PORT RATE SECONDS HONEST`: an honest client. It waits for one answer (a newcomer does not) and says
 * `ready`; from the first line of its input on it asks at a steady rate, and prints what it lost and how long it waited.
 */
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { idOf, load, query, UdpClient } from '../../server/client.ts'
import { until } from '../../support/until.ts'

const [address, port, rate, seconds, honest] = process.argv.slice(2)
const endpoint = { address: address!, port: Number(port) }
const done = new AbortController()
const message = (id: number): Buffer => query(id, 'www.example.com')
const first = await UdpClient.to(endpoint)
const isAnswered = (id: number): Promise<boolean> => {
  first.socket.send(message(id))
  return until('a reply', () => first.replies.some((reply) => idOf(reply) === id), 500).catch(() => false)
}
if (honest !== 'newcomer') for (let id = 1; !(await isAnswered(id)); id++) if (id > 100) throw new Error('no answer')
first.close()
console.log('ready')
await once(process.stdin, 'data')
process.stdin.destroy()
void sleep(Number(seconds) * 1000).then(() => done.abort())
const { sent, lost, latenciesMs } = await load(endpoint, message, {
  perSecond: Number(rate),
  signal: done.signal,
  graceMs: 1000,
})
const sorted = latenciesMs.toSorted((a, b) => a - b)
const at = (q: number): number => sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? 0
console.log(JSON.stringify({ sent, lost, p50Ms: at(0.5), p99Ms: at(0.99), mostMs: at(1) }))
