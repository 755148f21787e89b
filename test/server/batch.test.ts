/** The batch loop on a kernel made of arrays: what it asks of it, and what becomes of replies that it does not take. */
import { beforeEach, describe, expect, test } from 'vitest'
import { respond } from '../../src/answer/answer.ts'
import { makeResponder } from '../../src/answer/responder.ts'
import { C_SEND_FULL, C_SEND_REFUSED, C_SEND_UNRESOLVED, makeCounters } from '../../src/counters.ts'
import { makeHealthTable } from '../../src/health/table.ts'
import { type Linux, makeSockaddr } from '../../src/linux/calls.ts'
import { EAGAIN, EPOLL_DATA_AT, MSG_DONTWAIT } from '../../src/linux/numbers.ts'
import { serveBatches, SIGNAL, STOP, THREAD_CELLS } from '../../src/server/batch.ts'
import { makeNeighbourTables, type NeighbourTables, writeNeighbours } from '../../src/server/neighbours.ts'
import type { UdpSocket } from '../../src/server/sockets.ts'
import { query } from './client.ts'
import { makeWorld } from './fixture.ts'

const EINVAL = 22
const HEADER_BYTES = 64
const world = await makeWorld(1)

/** Memory by address, as the kernel sees it: each buffer at a multiple of 2^32. */
class Memory {
  readonly #buffers: ArrayBuffer[] = []

  addressOf(buffer: ArrayBuffer): number {
    const known = this.#buffers.indexOf(buffer)
    return ((known < 0 ? this.#buffers.push(buffer) - 1 : known) + 1) * 2 ** 32
  }

  at(address: number): DataView {
    return new DataView(this.#buffers[Math.floor(address / 2 ** 32) - 1]!, address % 2 ** 32)
  }

  pointerAt(address: number): number {
    return Number(this.at(address).getBigUint64(0, true))
  }
}

/** Gives the queries of `clients` in one batch, then says STOP. */
class FakeKernel {
  readonly memory = new Memory()
  readonly cells = new Int32Array(new SharedArrayBuffer(THREAD_CELLS * 4))
  /** Names of the calls; with the flags of those that have any. */
  readonly called: [name: string, flags?: number][] = []
  /** Ids of the replies that were taken. */
  readonly sent: number[] = []
  /** What the send buffer holds, for SIOCOUTQ. */
  queued = 0
  /** Error of a reply by its id; undefined: it is taken. */
  refuse: (id: number) => number | undefined = () => undefined
  #errno = 0

  readonly #clients: readonly string[]

  constructor(clients: readonly string[]) {
    this.#clients = clients
  }

  calls(): Linux {
    const other = (name: string) => (): number => this.called.push([name])
    return {
      addressOf: (buffer) => this.memory.addressOf(buffer),
      errno: () => this.#errno,
      recvmmsg: (_fd, messages, _count, flags) => this.#receive(messages, flags),
      sendmmsg: (_fd, messages, count, flags) => this.#send(messages, count, flags),
      epollWait: (_epoll, events) => {
        this.called.push(['epollWait'])
        this.memory.at(events).setInt32(EPOLL_DATA_AT, 0, true)
        return 1
      },
      ioctl: (_fd, _request, argument) => {
        this.called.push(['ioctl'])
        this.memory.at(argument).setInt32(0, this.queued, true)
        return 0
      },
      socket: other('socket'),
      setsockopt: other('setsockopt'),
      getsockopt: other('getsockopt'),
      bind: other('bind'),
      connect: other('connect'),
      getsockname: other('getsockname'),
      close: other('close'),
      epollCreate: other('epollCreate'),
      epollCtl: other('epollCtl'),
      send: other('send'),
      recv: other('recv'),
      listen: other('listen'),
      duplicate: other('duplicate'),
    }
  }

  #receive(messages: number, flags: number): number {
    this.called.push(['recvmmsg', flags])
    const { memory } = this
    for (const [id, client] of this.#clients.entries()) {
      const header = messages + id * HEADER_BYTES
      const packet = query(id, 'a.example.com')
      const slot = memory.at(memory.pointerAt(memory.pointerAt(header + 16)))
      for (const [i, byte] of packet.entries()) slot.setUint8(i, byte)
      const name = memory.at(memory.pointerAt(header))
      for (const [i, byte] of new Uint8Array(makeSockaddr(client, 5353)).entries()) name.setUint8(i, byte)
      memory.at(header).setUint32(56, packet.length, true)
    }
    Atomics.store(this.cells, SIGNAL, STOP)
    return this.#clients.length
  }

  #send(messages: number, count: number, flags: number): number {
    this.called.push(['sendmmsg', flags])
    const { memory } = this
    for (let i = 0; i < count; i++) {
      const slot = memory.at(memory.pointerAt(memory.pointerAt(messages + i * HEADER_BYTES + 16)))
      const id = slot.getUint16(0)
      const refused = this.refuse(id)
      if (refused === undefined) this.sent.push(id)
      else if (i > 0) return i
      else {
        this.#errno = refused
        return -1
      }
    }
    return count
  }
}

const counters = makeCounters()
beforeEach(() => void counters.fill(0))

interface ServeOptions {
  readonly family?: 4 | 6
  /** Sockets; the packets come in on the first. */
  readonly listening?: number
  readonly neighbours?: NeighbourTables
}

function serve(
  kernel: FakeKernel,
  { family = 4, listening = 1, neighbours = makeNeighbourTables() }: ServeOptions = {},
): void {
  kernel.cells[SIGNAL] = 1
  const responder = makeResponder(world, makeHealthTable(), counters)
  const sockets = Array.from({ length: listening }, (_, i): UdpSocket => ({ fd: 3 + i, family, wildcard: false }))
  serveBatches(kernel.calls(), sockets, kernel.cells, responder, respond, () => {}, neighbours)
}

/** On 10.0.0.0/8 and fd00::/8, where 10.0.0.1 and fd00::1 have been resolved. */
function tables(room: number): NeighbourTables {
  const made = makeNeighbourTables()
  const v4 = new Uint8Array([10, 0, 0, 9])
  const v6 = new Uint8Array(new Uint8Array(makeSockaddr('fd00::9', 0)).subarray(8, 24))
  const addresses = [
    { address: v4, bits: 8, resolves: true },
    { address: v6, bits: 8, resolves: true },
  ]
  const neighbours = [v4.with(3, 1), v6.with(15, 1)].map((address) => ({ address, state: 'resolved' }) as const)
  for (const family of [4, 6] as const) writeNeighbours(made, family, { addresses, neighbours, room })
  return made
}

const ROUTED = '192.0.2.1'

const names = (called: FakeKernel['called']): string[] => [...new Set(called.map(([name]) => name))]

describe('no call blocks but the wait for packets', () => {
  test.each([
    { listening: 1, waits: ['recvmmsg'], calls: ['recvmmsg', 'ioctl', 'sendmmsg'] },
    { listening: 2, waits: ['epollWait'], calls: ['epollWait', 'recvmmsg', 'ioctl', 'sendmmsg'] },
  ])('$listening listen addresses: $waits', ({ listening, waits, calls }) => {
    const kernel = new FakeKernel([ROUTED, '10.0.0.7'])
    serve(kernel, { listening, neighbours: tables(1e6) })
    expect(kernel.sent).toEqual([0, 1])
    const called = kernel.called.filter(([name]) => !['epollCreate', 'epollCtl', 'close'].includes(name))
    expect(names(called)).toEqual(calls)
    const mayWait = called.filter(([name, flags = 0]) => name !== 'ioctl' && (flags & MSG_DONTWAIT) === 0)
    expect(names(mayWait)).toEqual(waits)
  })
})

describe('replies that the kernel does not take', () => {
  test('the buffer is full: the rest of the batch is dropped and counted, and not tried again', () => {
    const kernel = new FakeKernel(Array.from({ length: 20 }, () => ROUTED))
    kernel.refuse = (id) => (id >= 7 ? EAGAIN : undefined)
    serve(kernel)
    expect(kernel.sent).toEqual([0, 1, 2, 3, 4, 5, 6])
    expect(counters[C_SEND_FULL]).toBe(13)
    expect(kernel.called.filter(([name]) => name === 'sendmmsg')).toHaveLength(2)
  })

  test('one is refused: the others leave', () => {
    const kernel = new FakeKernel(Array.from({ length: 20 }, () => ROUTED))
    kernel.refuse = (id) => (id === 7 ? EINVAL : undefined)
    serve(kernel)
    expect(kernel.sent).toHaveLength(19)
    expect([counters[C_SEND_REFUSED], counters[C_SEND_FULL]]).toEqual([1, 0])
  })
})

describe('unresolved neighbours', () => {
  const mixed = Array.from({ length: 60 }, (_, i) => ['10.0.0.1', `10.0.1.${i}`, ROUTED][i % 3]!)
  const others = mixed.flatMap((_, id) => (id % 3 === 1 ? [] : [id]))

  test('leave while the send buffer has room for them', () => {
    const kernel = new FakeKernel(mixed)
    serve(kernel, { neighbours: tables(20_000) })
    expect(kernel.sent).toHaveLength(60)
    expect(kernel.called.filter(([name]) => name === 'ioctl')).toHaveLength(1)
  })

  test('are dropped and counted when it has not, and nobody else is', () => {
    const kernel = new FakeKernel(mixed)
    kernel.queued = 20_000
    serve(kernel, { neighbours: tables(20_000) })
    expect(kernel.sent).toEqual(others)
    expect(counters[C_SEND_UNRESOLVED]).toBe(20)
  })

  test('of one batch count together', () => {
    const kernel = new FakeKernel(mixed)
    serve(kernel, { neighbours: tables(5_000) })
    expect(counters[C_SEND_UNRESOLVED]).toBeGreaterThan(10)
    expect(counters[C_SEND_UNRESOLVED]).toBeLessThan(20)
    expect(kernel.sent.filter((id) => id % 3 !== 1)).toEqual(others)
  })

  test('of IPv6 likewise', () => {
    const kernel = new FakeKernel(['fd00::1', 'fd00::2', '2001:db8::1'])
    serve(kernel, { family: 6, neighbours: tables(0) })
    expect(kernel.sent).toEqual([0, 2])
    expect(counters[C_SEND_UNRESOLVED]).toBe(1)
  })

  test('a batch without any asks nothing of the kernel', () => {
    const kernel = new FakeKernel([ROUTED, '10.0.0.1'])
    serve(kernel, { neighbours: tables(0) })
    expect(kernel.called.map(([name]) => name)).toEqual(['recvmmsg', 'sendmmsg'])
  })
})
