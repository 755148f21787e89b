/** What checks are tried against: targets of any kind, and TCP peers of all manners. */
import { readdirSync, readFileSync } from 'node:fs'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { expect } from 'vitest'
import type { Target } from '../../src/health/target.ts'
import type { Commands } from '../../src/probe/checks/exec.ts'
import type { CheckKind } from '../../src/zone/model.ts'
import { timing } from '../support/specs.ts'
import { runCheck } from './loopback.ts'

export const ADDRESS = '127.77.1.1'

export const targetOf = (kind: CheckKind, port: number, timeoutMs = 5000, address = ADDRESS): Target => ({
  id: 't',
  check: { ...timing, timeoutMs, port, ...kind },
  address,
  port,
  probers: 1,
})

/** The check passes or fails with exactly these words; its observation. */
export async function sees(target: Target, kind: string, reason: string, commands?: Commands) {
  const seen = await runCheck(target, commands)
  expect({ kind: seen.kind, reason: seen.reason }).toEqual({ kind, reason })
  return seen
}

export interface Peer {
  readonly port: number
  /** Of checks that are open now. */
  readonly connections: () => number
  readonly close: () => void
}

export function portOf(server: { address(): AddressInfo | string | null }): number {
  const bound = server.address()
  return typeof bound === 'object' && bound !== null ? bound.port : 0
}

export async function listen(server: Server, address = ADDRESS): Promise<Peer> {
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => sockets.delete(socket))
  })
  await new Promise<void>((resolve) => server.listen(0, address, resolve))
  const close = () => {
    server.close()
    for (const socket of sockets) socket.destroy()
  }
  return { port: portOf(server), connections: () => sockets.size, close }
}

/** `greet` runs for each connection; what comes in is dropped. */
export const tcpPeer = (greet: (socket: Socket) => void, address = ADDRESS): Promise<Peer> =>
  listen(
    createServer((socket) => {
      socket.resume()
      greet(socket)
    }),
    address,
  )

export const PEERS: Readonly<Record<string, (socket: Socket) => void>> = {
  hanging: () => {},
  dripping: (socket) => {
    const timer = setInterval(() => socket.write('a'), 20)
    socket.on('close', () => clearInterval(timer))
  },
  closing: (socket) => void socket.end(),
  resetting: (socket) => void socket.resetAndDestroy(),
  babbling: (socket) => {
    const more = () => {
      while (!socket.destroyed && socket.write('a'.repeat(65_536)));
    }
    socket.on('drain', more)
    more()
  },
}

/** Of this process. */
export const countDescriptors = (): number => readdirSync('/proc/self/fd').length

/** Whether a process is alive, and no zombie. */
export function runs(pid: string): boolean {
  try {
    return !/^State:\tZ/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}
