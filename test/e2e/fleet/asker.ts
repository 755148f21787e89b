/**
 * Clients that never stop asking, as a process that runs where the clients are: every node is asked for every place. What
 * came back is told in lines of JSON: every change of an answer, every lost query, and how far things are, ten times a second.
 * Argument: Asked as JSON. Ends with its parent. Times are of the machine's monotonic clock, in ms.
 */
import { createSocket } from 'node:dgram'
import { decodeMessage, encodeQuery } from '../../../src/dns/message.ts'
import { isFault } from '../../../src/dns/name.ts'

export interface Asked {
  readonly name: string
  readonly everyMs: number
  /** Addresses by node. */
  readonly nodes: Readonly<Record<string, string>>
  /** Client subnets by place. */
  readonly places: Readonly<Record<string, string>>
}

export type Told =
  /** `answer`: the addresses, or what came in their place. */
  | { readonly kind: 'changed'; readonly line: number; readonly answer: string; readonly atMs: number }
  | { readonly kind: 'lost'; readonly line: number; readonly sentMs: number }
  /** By line: answers so far, and when the last one came. */
  | { readonly kind: 'tick'; readonly counts: readonly number[]; readonly lastMs: readonly number[] }

/** A node and a place: what has one answer at a time. */
export const linesOf = ({ nodes, places }: Asked): { readonly node: string; readonly place: string }[] =>
  Object.keys(nodes).flatMap((node) => Object.keys(places).map((place) => ({ node, place })))

export const nowMs = (): number => Number(process.hrtime.bigint()) / 1e6

const LOST_MS = 1_000
const TICK_MS = 100
const DNS_PORT = 53

const tell = (told: Told): boolean => process.stdout.write(`${JSON.stringify(told)}\n`)

function ask(asked: Asked): void {
  const lines = linesOf(asked)
  const counts = lines.map(() => 0)
  const lastMs = lines.map(() => 0)
  for (const [line, { node, place }] of lines.entries()) {
    const subnet = asked.places[place]!
    const query = Buffer.from(encodeQuery({ name: asked.name, type: 'A', edns: { ecs: subnet } }))
    const waiting = new Map<number, number>()
    let id = 0
    let before: string | undefined
    const socket = createSocket('udp4')
    socket.on('error', () => {}) // what gets no answer is lost, whatever the reason
    socket.on('message', (bytes) => {
      if (!waiting.delete(bytes.readUInt16BE(0))) return
      counts[line]!++
      lastMs[line] = nowMs()
      const answer = read(bytes)
      if (answer === undefined) return
      if (answer !== before) tell({ kind: 'changed', line, answer, atMs: lastMs[line] })
      before = answer
    })
    socket.connect(DNS_PORT, asked.nodes[node], () => {
      setInterval(() => {
        id = (id + 1) & 0xffff
        query.writeUInt16BE(id, 0)
        waiting.set(id, nowMs())
        socket.send(query)
        for (const [old, sentMs] of waiting) {
          if (nowMs() - sentMs < LOST_MS) break
          waiting.delete(old)
          tell({ kind: 'lost', line, sentMs })
        }
      }, asked.everyMs)
    })
  }
  setInterval(() => tell({ kind: 'tick', counts, lastMs }), TICK_MS)
}

/**
 * undefined: truncated, so that a resolver would ask over TCP; a node that has stood still answers all that has waited
 * at once, which is more than one network's rate.
 */
function read(bytes: Uint8Array): string | undefined {
  const message = decodeMessage(bytes)
  if (isFault(message)) return message.fault
  if (message.tc) return undefined
  const addresses = message.answer.filter(({ type }) => type === 'A').map(({ rdata }) => rdata)
  if (message.rcode !== 'NOERROR') return message.rcode
  return addresses.length === 0 ? 'no data' : addresses.toSorted().join(' ')
}

if (import.meta.main) {
  const asked: Asked = JSON.parse(process.argv[2]!)
  process.stdin.resume()
  process.stdin.once('close', () => process.exit(0))
  ask(asked)
}
