import { createServer } from 'node:net'
import { getSystemErrorMap } from 'node:util'
import { expect, test } from 'vitest'
import { observeError } from '../../../src/probe/checks/observation.ts'
import { checkTcp } from '../../../src/probe/checks/tcp.ts'
import { hasRoute } from '../../../src/probe/route.ts'
import { tcpCheck } from '../../support/specs.ts'

const ADDRESS = '127.77.1.2'
const check = (port: number) => checkTcp({ address: ADDRESS, port, check: tcpCheck({ timeoutMs: 5000 }) })

test('a listening port passes, a closed one is refused at once', async () => {
  const server = createServer((socket) => socket.resume())
  await new Promise<void>((resolve) => server.listen(0, ADDRESS, resolve))
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  expect(await check(port)).toMatchObject({ kind: 'pass', reason: 'connected' })
  await new Promise((resolve) => server.close(resolve))
  const { kind, reason, rttMs } = await check(port)
  expect({ kind, reason }).toEqual({ kind: 'fail', reason: 'connection refused' })
  expect(rttMs).toBeLessThan(2500)
})

const kindOf = (code: string) => observeError(Object.assign(new Error(code), { code })).kind

test("this host's own faults are no failures of the site", () => {
  const unable = [...getSystemErrorMap().values()].map(([code]) => code).filter((code) => kindOf(code) === 'unable')
  for (const code of [
    'EMFILE',
    'ENFILE',
    'EAGAIN',
    'ENOMEM',
    'ENOBUFS',
    'EADDRNOTAVAIL',
    'EADDRINUSE',
    'EPERM',
    'EINVAL',
  ])
    expect(unable).toContain(code)
  expect(unable.length).toBeGreaterThan(60)
  const site = ['ECONNREFUSED', 'ECONNRESET', 'ECONNABORTED', 'EPIPE', 'EHOSTUNREACH', 'ETIMEDOUT', 'EPROTO', 'EOF']
  expect([...site, 'CERT_HAS_EXPIRED', 'E_WHATEVER'].map(kindOf)).toEqual(Array(10).fill('fail'))
  expect(kindOf('ENETUNREACH')).toBe('unroutable')
})

test('a route is known without sending anything', async () => {
  expect(await hasRoute('127.77.1.3')).toBe(true)
  expect(await hasRoute('::1')).toBe(true)
  expect(await hasRoute('255.255.255.255')).toBe(false) // forbidden without SO_BROADCAST: no way out
})
