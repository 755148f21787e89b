/** Targets that are names: found in the DNS by every check, from a server that really answers. */
import { createSocket } from 'node:dgram'
import { createServer, type Server } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { makeReach } from '../../../src/health/reach.ts'
import { runCheck } from '../../../src/probe/checks/check.ts'
import { makeResolveTarget, type ResolveTarget } from '../../../src/probe/checks/name.ts'
import type { Observation } from '../../../src/probe/checks/observation.ts'
import { makeNode } from '../../answer/fixture.ts'
import { type Running, start } from '../../server/fixture.ts'
import { tcpCheck } from '../../support/specs.ts'
import { LOOPBACK } from '../loopback.ts'

const ADDRESS = '127.77.8.2'
let site: Server
let dns: Running
let port = 0
let resolveTarget: ResolveTarget

beforeAll(async () => {
  site = createServer((socket) => socket.resume())
  await new Promise<void>((resolve) => site.listen(0, ADDRESS, resolve))
  const bound = site.address()
  port = typeof bound === 'object' && bound !== null ? bound.port : 0
  const { made } = await makeNode({
    'defaults.yaml': 'soa: {serial: 1}\n',
    'example.com.yaml': `
"": {type: NS, value: ns1.example.net.}
up: {type: A, value: ${ADDRESS}}
alias: {type: CNAME, value: up.example.com.}
dead: {type: A, value: 127.77.8.3}
six: {type: AAAA, value: "::1"}
text: {type: TXT, value: x}
`,
  })
  dns = await start({ world: made.world })
  const { address, port: dnsPort } = dns.server.listen[0]!
  resolveTarget = makeResolveTarget([`${address}:${dnsPort}`])
})
afterAll(async () => {
  await dns.server.stop()
  await new Promise((resolve) => site.close(resolve))
})

const check = (name: string, resolver = resolveTarget, timeoutMs = 5000): Promise<Observation> =>
  runCheck(
    { id: 't', check: tcpCheck({ timeoutMs }), address: `${name}.example.com.`, port, probers: 1 },
    { reach: makeReach(LOOPBACK), resolveTarget: resolver },
  )

test('a name is checked at its address, through an alias too', async () => {
  expect(await check('up')).toMatchObject({ kind: 'pass' })
  expect(await check('alias')).toMatchObject({ kind: 'pass' })
  expect(await check('dead')).toMatchObject({ kind: 'fail', reason: 'connection refused' })
})

test('IPv6 is taken where there is no IPv4', async () => {
  expect(await resolveTarget('six.example.com.', 5000)).toBe('::1')
})

test('a name without an address is down; what the resolver did not say is no fault of the site', async () => {
  for (const name of ['text', 'nothing']) {
    // oxlint-disable-next-line no-await-in-loop -- one after the other
    expect(await check(name)).toMatchObject({ kind: 'fail', reason: `${name}.example.com. has no address` })
  }
  const refused = await runCheck(
    { id: 't', check: tcpCheck({ timeoutMs: 5000 }), address: 'www.example.org.', port, probers: 1 },
    { reach: makeReach(LOOPBACK), resolveTarget },
  )
  expect(refused).toMatchObject({
    kind: 'unable',
    reason: expect.stringContaining('www.example.org. was not resolved'),
  })
  const silent = createSocket('udp4')
  await new Promise<void>((resolve) => silent.bind(0, '127.77.8.4', resolve))
  const nobody = makeResolveTarget([`127.77.8.4:${silent.address().port}`])
  const waited = await check('up', nobody, 300)
  expect(waited).toMatchObject({ kind: 'unable', reason: 'up.example.com. was not resolved: no answer in 300ms' })
  expect(waited.rttMs).toBeLessThan(3000)
  silent.close()
})

test('what a prober may not reach is refused by the address that is found', async () => {
  const observation = await runCheck(
    { id: 't', check: tcpCheck({ timeoutMs: 5000 }), address: 'up.example.com.', port, probers: 1 },
    { resolveTarget },
  )
  expect(observation).toMatchObject({ kind: 'unable', reason: expect.stringContaining(`does not probe ${ADDRESS}`) })
})
