/** Zone transfers over TCP: what they may take of the thread, of memory, and of a World that is replaced. */
import { afterEach, beforeAll, describe, expect, test } from 'vitest'
import { makeAdoption } from '../../src/answer/adoption.ts'
import { decodeMessage, formatRr } from '../../src/dns/message.ts'
import { isFault } from '../../src/dns/name.ts'
import type { World } from '../../src/answer/world.ts'
import { TCP_LIMITS, type TcpFront } from '../../src/server/tcp.ts'
import { TransferLog } from '../../src/server/transfer-log.ts'
import type { Endpoint } from '../../src/units.ts'
import { Primary, transferQuery } from '../support/transfers.ts'
import { until } from '../support/until.ts'
import { idOf, query, rcodeOf, TcpClient } from './client.ts'
import { startTcp } from './fixture.ts'

const NAMES = 20_000
const zone = (first: string): string =>
  `"": {type: NS, value: ns1.example.net.}\na: {type: A, value: ${first}}\n${Array.from({ length: NAMES }, (_, i) => `name${i}: {type: TXT, value: "${'x'.repeat(200)}"}`).join('\n')}\n`
const files = (serial: number, first: string) => ({
  'defaults.yaml': `soa: {serial: ${serial}}\ntransfer: {allow: [127.0.0.1]}\n`,
  'example.com.yaml': zone(first),
})

let worlds: readonly World[]
beforeAll(async () => {
  const primary = await Primary.start(files(1, '192.0.2.1'))
  const { world } = primary.responder
  await primary.load(files(2, '192.0.2.2'))
  worlds = [
    { ...world, generation: 1 },
    { ...primary.responder.world, generation: 2 },
  ]
})

const ending: (() => Promise<void> | void)[] = []
afterEach(async () => {
  for (const end of ending.splice(0).toReversed()) await end()
})

const logged: string[] = []

async function begin(
  options: Partial<Parameters<typeof startTcp>[0]> = {},
): Promise<{ front: TcpFront; to: Endpoint }> {
  logged.length = 0
  const log = (level: string, message: string): void => void logged.push(`${level} ${message}`)
  const started = await startTcp({ world: worlds[0]!, log, ...options })
  ending.push(() => started.front.stop(0))
  return started
}

function client(to: Endpoint, localAddress?: string): TcpClient {
  const made = new TcpClient(to, localAddress)
  ending.push(() => void made.socket.destroy())
  return made
}

/** All records of the messages. */
function recordsOf(messages: readonly Uint8Array[]): string[] {
  return messages.flatMap((bytes) => {
    const message = decodeMessage(bytes)
    if (isFault(message)) throw new Error(message.fault)
    return message.answer.map(formatRr)
  })
}

const ofTransfer = (answers: readonly Buffer[]): readonly Buffer[] =>
  answers.filter((answer) => idOf(answer) === 0x1234)
const isWhole = ({ answers }: TcpClient): boolean => {
  const last = ofTransfer(answers).at(-1)
  return ofTransfer(answers).length > 1 && last !== undefined && recordsOf([last]).at(-1)!.includes(' SOA ')
}

describe('a transfer', () => {
  test('comes whole, then the queries behind it on the connection are answered', async () => {
    const { to, front } = await begin()
    const tcp = client(to)
    tcp.send(transferQuery({}), query(7, 'a.example.com'))
    await until('all', () => tcp.answers.some((answer) => idOf(answer) === 7))
    expect(tcp.answers.findIndex((answer) => idOf(answer) === 7)).toBe(tcp.answers.length - 1)
    const records = recordsOf(ofTransfer(tcp.answers))
    expect(records).toHaveLength(NAMES + 4)
    expect(new Set(records).size).toBe(NAMES + 3)
    await until('the log', () => logged.length > 0)
    expect(logged).toEqual(['info example.com. was transferred to 127.0.0.1: AXFR, serial 1'])
    expect(front.stats()).toMatchObject({ transfers: { axfr: 1, ixfr: 0, refused: 0, broken: 0 }, transferring: 0 })
  })

  test('leaves other clients their turns: their answers come between its messages', async () => {
    const { to } = await begin()
    const taking = Array.from({ length: 4 }, () => client(to))
    const other = client(to, '127.0.0.2')
    for (const tcp of taking) tcp.send(transferQuery({}))
    let asked = 0
    while (!taking.every(isWhole)) {
      other.send(query(++asked, 'a.example.com'))
      await until('an answer', () => other.answers.length === asked)
    }
    // of 1,200 messages an answer waits for a few
    expect(asked).toBeGreaterThan(10)
  })

  test('that the client does not read ends by the limit for answers that are not taken, and holds one message', async () => {
    const { to, front } = await begin({ limits: { ...TCP_LIMITS, unreadMs: 500 } })
    const tcp = client(to)
    tcp.socket.pause()
    tcp.send(transferQuery({}))
    await until('answers that wait', () => front.stats().held > 0)
    expect(front.stats().held).toBeLessThan(40_000)
    await until('the end', () => front.stats().unread === 1 && front.stats().transferring === 0)
    expect(front.stats()).toMatchObject({ held: 0, transfers: { broken: 1, axfr: 0 } })
    await until('the log', () => logged.length > 0)
    expect(logged).toEqual(['warn the transfer of example.com. to 127.0.0.1 was broken off: the connection was closed'])
  })

  test('is one of 64 at most', async () => {
    const { to, front } = await begin()
    const waiting = Array.from({ length: 64 }, () => client(to))
    for (const tcp of waiting) {
      tcp.socket.pause()
      tcp.send(transferQuery({}))
    }
    await until('64 transfers', () => front.stats().transferring === 64)
    const late = client(to)
    late.send(transferQuery({}), query(7, 'a.example.com'))
    await until('its refusal', () => late.answers.length === 2)
    expect(late.answers.map(rcodeOf)).toEqual([5, 0])
    expect(front.stats().transfers.refused).toBe(1)
    for (const { socket } of waiting) socket.destroy()
    await until('no transfer', () => front.stats().transferring === 0)
    late.send(transferQuery({}))
    await until('the transfer', () => isWhole(late))
  })
})

test('a World that is replaced is kept for the transfers that read it, to their end, and no longer', async () => {
  const adoption = makeAdoption()
  const { to, front } = await begin({ adoption })
  const adopted = (): number => Atomics.load(adoption, 1)
  const tcp = client(to)
  tcp.socket.pause()
  tcp.send(transferQuery({}))
  await until('the transfer', () => front.stats().held > 0)
  front.publish(worlds[1]!)
  const other = client(to)
  other.send(transferQuery({ type: 'IXFR', serial: 1 }))
  await until('the new World', () => other.answers.length === 1)
  expect(recordsOf(other.answers).filter((record) => record.startsWith('a.'))).toEqual([
    'a.example.com. 3600 IN A 192.0.2.1',
    'a.example.com. 3600 IN A 192.0.2.2',
  ])
  expect(adopted()).toBe(1)
  tcp.socket.resume()
  await until('the whole zone', () => isWhole(tcp))
  expect(recordsOf(tcp.answers).filter((record) => record.startsWith('a.'))).toEqual([
    'a.example.com. 3600 IN A 192.0.2.1',
  ])
  await until('the adoption', () => adopted() === 2)
})

const line = (address: string): string =>
  `warn the transfer of example.com. was refused to ${address}: its address is not in \`transfer.allow\``

test('a refusal is told once, with its reason, and a hundred of them in an hour', async () => {
  const { to } = await begin()
  for (const localAddress of ['127.0.0.9', '127.0.0.9', '127.0.0.10']) {
    const tcp = client(to, localAddress)
    tcp.send(transferQuery({}))
    await until('the refusal', () => tcp.answers.length === 1)
    expect(rcodeOf(tcp.answers[0]!)).toBe(5)
  }
  await until('the log', () => logged.length === 2)
  expect(logged).toEqual([line('127.0.0.9'), line('127.0.0.10')])

  const lines: string[] = []
  const log = new TransferLog((_level, message) => void lines.push(message))
  const hourMs = 3_600_001
  for (let i = 0; i < 200; i++) log.add({ zone: 'z.', client: `192.0.2.${i}`, result: { refused: 'no' } }, hourMs)
  expect(lines).toHaveLength(100)
  log.add({ zone: 'z.', client: '192.0.2.1', result: { refused: 'no' } }, 2 * hourMs)
  expect(lines).toHaveLength(101)
})
