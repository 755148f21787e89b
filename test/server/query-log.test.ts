/** The query log of a server: who asked over each transport behind a proxy, also without batches; what is told of drops. */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect as connectHttp2 } from 'node:http2'
import { connect } from 'node:net'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { connect as connectTls } from 'node:tls'
import { expect, test } from 'vitest'
import { PLAIN_PROTOCOL } from '../../src/answer/protocol.ts'
import { parsePrefix } from '../../src/dns/address.ts'
import { encodeQuery } from '../../src/dns/message.ts'
import { RingWriter } from '../../src/querylog/ring.ts'
import { QueryLog, type QueryLogSettings } from '../../src/server/query-log.ts'
import type { Endpoint } from '../../src/units.ts'
import { write } from '../querylog/records.ts'
import { emptyFolder } from '../support/folder.ts'
import { until } from '../support/until.ts'
import { framed } from './client.ts'
import { makeCredentials, makeWorld, start } from './fixture.ts'

const sender = { identity: 'n1', version: 'meridian 1' }
const QUERY = encodeQuery({ name: 'www.example.com.', type: 'A' })

test.each([false, true])(
  'who asks through a proxy is recorded by the client’s address and port; portable: %s',
  async (portable) => {
    const file = join(emptyFolder(), 'queries.log')
    const proxies = [parsePrefix('127.0.0.1')!]
    const { server, logged } = await start({
      world: await makeWorld(1),
      portable,
      tls: [{ address: '127.0.0.1', port: 0 }],
      https: [{ address: '127.0.0.1', port: 0 }],
      credentials: makeCredentials(),
      protocol: { ...PLAIN_PROTOCOL, proxies },
      queryLog: { paths: { file }, sample: 1, sender },
    })
    const { address, port } = server.listen[0]!
    const asking = createSocket('udp4')
    asking.bind(0, '127.0.0.1')
    const signature = Buffer.from('0d0a0d0a000d0a515549540a', 'hex')
    const v4 = Buffer.from('2112000cc6336407c000020112340035', 'hex')
    const v6 = Buffer.concat([
      Buffer.from('21220024', 'hex'),
      Buffer.alloc(15, 0x20),
      Buffer.from([7]),
      Buffer.alloc(16),
      Buffer.from('abcd0035', 'hex'),
    ])
    for (const header of [v4, v6, Buffer.from('20000000', 'hex')]) {
      asking.send([signature, header, QUERY], port, address)
      await once(asking, 'message')
    }
    const own = asking.address().port
    asking.close()
    const stream = ({ port: to }: Endpoint): Duplex => {
      const socket = connect(to, '127.0.0.1')
      socket.write(Buffer.concat([signature, Buffer.from('2111000cc6336407c000020156780035', 'hex')]))
      return socket
    }
    const encrypted = (to: Endpoint, protocol: string): Duplex =>
      connectTls({ socket: stream(to), ALPNProtocols: [protocol], rejectUnauthorized: false })
    for (const socket of [stream(server.listen[0]!), encrypted(server.tls[0]!, 'dot')]) {
      socket.write(framed(QUERY))
      await once(socket, 'data')
      socket.destroy()
    }
    const createConnection = (): Duplex => encrypted(server.https[0]!, 'h2')
    const session = connectHttp2('https://localhost', { createConnection })
    await buffer(session.request({ ':path': `/dns-query?dns=${Buffer.from(QUERY).toString('base64url')}` }))
    session.destroy()
    await server.stop()
    const lines = readFileSync(file, 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(lines.map((line) => [line.client, line.port, line.transport, line.service, line.site])).toEqual([
      ['198.51.100.7', 0x1234, 'udp', 'web', 'fra'],
      ['2020:2020:2020:2020:2020:2020:2020:2007', 0xabcd, 'udp', 'web', 'fra'],
      ['127.0.0.1', own, 'udp', 'web', 'fra'],
      ...['tcp', 'dot', 'doh'].map((transport) => ['198.51.100.7', 0x5678, transport, 'web', 'fra']),
    ])
    expect(logged).toContain(`info query log: every query is recorded to ${file}`)
  },
)

const startLog = (settings: Omit<QueryLogSettings, 'sender'>) => {
  const logged: string[] = []
  return {
    logged,
    queryLog: new QueryLog({ ...settings, sender }, 1, (level, line) => void logged.push(`${level} ${line}`)),
  }
}

test('what was dropped is told and counted, with the reason', async () => {
  const file = join(emptyFolder(), 'none', 'queries.log')
  const { queryLog, logged } = startLog({ paths: { file }, sample: 100 })
  const writer = new RingWriter(queryLog.recording(0).ring)
  for (let i = 0; i < 20_000; i++) write(writer, { query: QUERY, response: QUERY })
  await until('the trouble', () => queryLog.stats()[0]!.trouble !== null && queryLog.stats()[0]!.dropped > 1000)
  const trouble = `queryLog.file: ${file} can't be written: its folder does not exist`
  expect(queryLog.stats()).toMatchObject([{ sink: 'file', written: 0, trouble }])
  queryLog.report()
  queryLog.report() // nothing new
  await queryLog.stop(0)
  expect(logged.slice(0, 3)).toEqual([
    `info query log: about one query in 100, chosen at random, is recorded to ${file}`,
    `warn ${trouble}; answers go on, and records wait: those beyond 1 MB are dropped`,
    expect.stringMatching(/^warn query log: \d+ records dropped, queryLog\.file: /),
  ])
  // what waited at the end is lost too
  expect(logged.slice(3)).toEqual([expect.stringContaining(' records dropped, ')])
  const told = logged.map((line) => Number(/(\d+) records dropped/.exec(line)?.[1] ?? 0)).reduce((a, b) => a + b)
  expect(told).toBe(20_000)
})

test('records that found no room in a ring count as dropped for each sink', async () => {
  const folder = emptyFolder()
  const { queryLog, logged } = startLog({
    paths: { file: join(folder, 'log'), dnstap: join(folder, 'socket') },
    sample: 1,
  })
  const writer = new RingWriter(queryLog.recording(0).ring)
  // the thread has not started yet, so that nobody reads
  for (let i = 0; i < 10_000; i++) write(writer, { query: QUERY, response: new Uint8Array(500) })
  const [file, dnstap] = queryLog.stats()
  expect(file!.dropped).toBeGreaterThan(5000)
  expect(dnstap!.dropped).toBe(file!.dropped)
  await until('the others', () => queryLog.stats()[0]!.written + file!.dropped === 10_000)
  await queryLog.stop(1000)
  expect(logged.at(-2)).toBe(
    `warn query log: ${file!.dropped} records dropped, queryLog.file: they come faster than they are taken; raise queryLog.sample`,
  )
})
