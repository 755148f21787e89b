/** The Protocol's way to every answering thread: at the start, replaced while running, and to a thread that takes over. */
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, describe, expect, test } from 'vitest'
import { PLAIN_PROTOCOL, type Protocol } from '../../src/answer/protocol.ts'
import { makeAsk, tcp, type Transport, udp } from '../support/ask.ts'
import { until } from '../support/until.ts'
import { makeWorld, type Running, start } from './fixture.ts'
import { runInThread } from './inspect.ts'

const NSID = 3
const named = (name: string): Protocol => ({ ...PLAIN_PROTOCOL, nsid: new Uint8Array(Buffer.from(name)) })

async function nsid(transport: Transport): Promise<string> {
  const options = [{ code: NSID, data: new Uint8Array(0) }]
  const { edns } = await makeAsk(transport)({ q: 'a.example.com A', options, rcode: 'NOERROR' })
  return Buffer.from(edns!.options[0]!.data).toString()
}

const world = await makeWorld(1)
let running: Running
afterEach(() => running.server.stop())

const transports = (): Transport[] => {
  const { address, port } = running.server.listen[0]!
  return [udp(address, port), tcp(address, port)]
}

describe.each([
  ['batched', false],
  ['portable', true],
])('%s', (_, portable) => {
  test('every thread has the first one, and answers from its successor as soon as there is one', async () => {
    running = await start({ world, protocol: named('first'), portable, threads: 3 })
    for (const transport of transports()) expect(await nsid(transport)).toBe('first')
    running.server.setProtocol(named('second'))
    for (const transport of transports()) {
      // clients' ports decide which thread answers
      for (let got = 0; got < 20;) got = (await nsid(transport)) === 'second' ? got + 1 : 0
    }
    running.server.publish(await makeWorld(2))
    for (const transport of transports()) expect(await nsid(transport)).toBe('second')
  })
})

test.each([
  ['answering', 'udp', 0],
  ['tcp', 'tcp', 1],
] as const)('a replaced thread (%s) has the Protocol of now', async (name, front, transport) => {
  running = await start({ world, protocol: named('first') })
  running.server.setProtocol(named('second'))
  await sleep(1100) // older than a thread that can't start
  await runInThread(name, 'process.exit(1)')
  await until('replacement', () => running.server.stats()[front].died === 1)
  expect(await nsid(transports()[transport]!)).toBe('second')
})
