/** A thread that writes records as fast as it can: record i has its number in the query, and as many bytes as chance has it. */
import { parentPort, workerData } from 'node:worker_threads'
import { RingWriter } from '../../src/querylog/ring.ts'
import { write } from './records.ts'

const { ring, count }: { readonly ring: SharedArrayBuffer; readonly count: number } = workerData
const writer = new RingWriter(ring)
for (let i = 0; i < count; i++) {
  const query = new Uint8Array(4 + ((i * 7919) % 300)).fill(i)
  new DataView(query.buffer).setUint32(0, i)
  write(writer, { query, response: new Uint8Array((i * 104_729) % 500).fill(i + 1) })
}
parentPort!.close()
