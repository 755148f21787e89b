/** What a process logs of a Redis that comes and goes. */
import { afterEach, expect, test } from 'vitest'
import { makeLog } from '../../src/node/log.ts'
import { makeStore } from '../../src/node/wiring.ts'
import { configOf } from '../cli/fleet.ts'
import { RedisServer } from '../support/redis-server.ts'
import { until } from '../support/until.ts'

const ending: (() => void | Promise<void>)[] = []
afterEach(async () => {
  for (const end of ending.splice(0).toReversed()) await end()
})

// with how often: test/store/trouble-log.test.ts, by a clock of its own
test('connections that are cut three times a second are one line', async () => {
  const server = await RedisServer.start()
  ending.push(() => server.stop())
  const lines: string[] = []
  const log = makeLog({ level: 'info', format: 'text', node: 'n1', write: (line) => void lines.push(line) })
  const store = makeStore(configOf({ 'node.name': 'n1', redis: server.url() }), 'node', log)
  ending.push(() => store.close())
  await until('Redis', () => store.trouble === undefined)
  let cuts = 0
  const cutting = setInterval(() => {
    server.cli('client', 'kill', 'type', 'normal')
    cuts++
  }, 330)
  ending.push(() => clearInterval(cutting))
  await until('many cuts', () => cuts >= 12)
  expect(lines).toEqual([
    expect.stringMatching(/has closed the connection: [^;]*?(?: \(it came and went \d+ times\))?; the last known/),
  ])
})
