/**
 * Entry of an answering thread of UDP. It loads its code and waits for its assignment; null tells it to exit. With an
 * assignment it runs the batch loop (batch.ts) and never returns to its event loop: Worlds and Protocols come by
 * receiveMessageOnPort(), signals by a shared cell; the main thread (threads.ts) reads its counters and its beat.
 */
import { parentPort, receiveMessageOnPort } from 'node:worker_threads'
import type { Adoption } from '../answer/adoption.ts'
import type { Protocol } from '../answer/protocol.ts'
import { makeResponder, replace } from '../answer/responder.ts'
import type { World } from '../answer/world.ts'
import type { HealthTable } from '../health/table.ts'
import { linux } from '../linux/calls.ts'
import { serveBatches } from './batch.ts'
import { type Recording, respondWith } from '../querylog/ring.ts'
import type { NeighbourTables } from './neighbours.ts'
import type { UdpSocket } from './sockets.ts'

/** What an answering thread is to do. */
export interface Assignment {
  readonly sockets: readonly UdpSocket[]
  readonly cells: Int32Array
  readonly world: World
  readonly protocol: Protocol
  readonly health: HealthTable
  readonly counters: Float64Array
  readonly adoption: Adoption
  readonly neighbours: NeighbourTables
  /** This thread's cell in `adoption`. */
  readonly reader: number
  /** Seed of the random numbers (Responder.chance): not 0. */
  readonly seed: number
  /** Undefined: queries are not recorded. */
  readonly recording: Recording | undefined
}

const port = parentPort!

port.once('message', (assignment: Assignment | null) => {
  if (assignment === null) return port.close()
  const { sockets, cells, world, protocol, health, counters, adoption, neighbours, reader, seed, recording } =
    assignment
  if ('missing' in linux) throw new Error(linux.missing)
  const responder = makeResponder(world, health, counters, protocol)
  responder.chance = seed
  const adopt = (): void => {
    for (let next = receiveMessageOnPort(port); next !== undefined; next = receiveMessageOnPort(port)) {
      replace(responder, next.message)
    }
    Atomics.store(adoption, reader, responder.world.generation)
  }
  Atomics.store(adoption, reader, world.generation)
  serveBatches(linux, sockets, cells, responder, respondWith(recording), adopt, neighbours)
  port.close()
})
