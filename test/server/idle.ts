/**
 * A process that serves TLS and says what malloc has given out: TLS keeps its state there, and not in the heaps of
 * JavaScript. Started by tls.test.ts, which tells it when to look.
 */
import koffi from 'koffi'
import { DOT } from '../../src/answer/responder.ts'
import { TCP_LIMITS } from '../../src/server/tcp.ts'
import { makeWorld, startTcp } from './fixture.ts'

const FIELDS = 'arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost'.split(' ')
koffi.struct('mallinfo2', Object.fromEntries(FIELDS.map((field) => [field, 'size_t'])))
const mallinfo2 = koffi.load(null).func('mallinfo2 mallinfo2()')

// nobody is closed while the test looks, however slow the machine
const limits = { ...TCP_LIMITS, firstMs: 600_000, idleMs: 600_000 }
const { front, to } = await startTcp({ world: await makeWorld(1), transport: DOT, limits })
process.on('message', () => {
  const { uordblks, hblkhd } = mallinfo2()
  process.send!({ bytes: uordblks + hblkhd, open: front.stats().open })
})
process.send!({ to })
