import { createServer, Socket } from 'node:net'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { attempt, printable } from '../../../src/probe/checks/attempt.ts'

test('the first word counts, and what was opened is closed once', async () => {
  let closed = 0
  const seen = await attempt(5000, 'nothing', (self) => {
    queueMicrotask(() => {
      self.pass('up', 300)
      self.fail('down')
      self.error(new Error('late'))
    })
    return () => closed++
  })
  expect(seen).toEqual({ kind: 'pass', reason: 'up', share: 300, rttMs: seen.rttMs })
  expect(closed).toBe(1)
})

test('what ends before it is begun is closed too', async () => {
  let closed = 0
  const { kind } = await attempt(5000, 'nothing', (self) => {
    self.fail('at once')
    return () => closed++
  })
  expect([kind, closed]).toEqual(['fail', 1])
})

test('the timeout tells what is missing by then', async () => {
  let closed = 0
  const seen = await attempt(50, 'nothing', (self) => {
    self.missing = 'no end'
    return () => closed++
  })
  expect(seen).toEqual({ kind: 'timeout', reason: 'no end in 50ms', rttMs: seen.rttMs })
  expect(seen.rttMs).toBeGreaterThan(45)
  expect(closed).toBe(1)
})

test('what has come in time counts, though this thread stood still beyond the timeout', async () => {
  const server = createServer((socket) => void socket.on('error', () => {}))
  await new Promise<void>((resolve) => server.listen(0, '127.77.9.1', resolve))
  const bound = server.address()
  const port = typeof bound === 'object' && bound !== null ? bound.port : 0
  try {
    const seen = await attempt(100, 'no connection', (self) => {
      const socket = new Socket().on('connect', () => self.pass('connected'))
      setImmediate(() => {
        socket.connect(port, '127.77.9.1') // the kernel accepts at once
        for (const endMs = performance.now() + 150; performance.now() < endMs;); // timers come next, then I/O
      })
      return () => socket.destroy()
    })
    expect(seen).toMatchObject({ kind: 'pass', reason: 'connected' })
  } finally {
    server.close()
  }
})

test("what throws is this host's fault", async () => {
  const seen = await attempt(5000, 'nothing', () => {
    throw new TypeError('no such thing')
  })
  expect(seen).toMatchObject({ kind: 'unable', reason: "the check can't be made: no such thing" })
})

test('what a target says is one short, printable line', () => {
  expect(printable('\0 a\r\n\u2028b\u202e  c ')).toBe('a b c')
  fc.assert(
    fc.property(fc.uint16Array({ maxLength: 250 }), (units) => {
      const line = printable(String.fromCharCode(...units))
      expect(line).not.toMatch(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u)
      expect(line.length).toBeLessThanOrEqual(200)
    }),
  )
})
