/**
 * Entry of an answering thread. It waits, warm, for its assignment, or for null: that there is none. From then on it runs the batch loop and never returns
 * to its event loop: Worlds come by receiveMessageOnPort, orders by a cell, and what it has to say are counters and beats.
 */
import { parentPort, receiveMessageOnPort } from 'node:worker_threads'
import type { Adoption } from '../answer/adoption.ts'
import { respond } from '../answer/answer.ts'
import { makeResponder } from '../answer/responder.ts'
import type { World } from '../answer/world.ts'
import type { HealthTable } from '../health/table.ts'
import { linux } from '../linux/calls.ts'
import { serveBatches } from './batch.ts'
import type { NeighbourTables } from './neighbours.ts'
import type { UdpSocket } from './sockets.ts'

export interface Assignment {
  readonly sockets: readonly UdpSocket[]
  readonly cells: Int32Array
  readonly world: World
  readonly health: HealthTable
  readonly counters: Float64Array
  readonly adoption: Adoption
  readonly neighbours: NeighbourTables
  /** Where in it this thread says what it has adopted. */
  readonly reader: number
  /** First of the chances: not 0. */
  readonly seed: number
}

const port = parentPort!

port.once('message', (assignment: Assignment | null) => {
  if (assignment === null) return port.close()
  const { sockets, cells, world, health, counters, adoption, neighbours, reader, seed } = assignment
  if ('missing' in linux) throw new Error(linux.missing)
  const responder = makeResponder(world, health, counters)
  responder.chance = seed
  const adopt = (): void => {
    for (let next = receiveMessageOnPort(port); next !== undefined; next = receiveMessageOnPort(port)) {
      responder.world = next.message
    }
    Atomics.store(adoption, reader, responder.world.generation)
  }
  Atomics.store(adoption, reader, world.generation)
  serveBatches(linux, sockets, cells, responder, respond, adopt, neighbours)
  port.close()
})
