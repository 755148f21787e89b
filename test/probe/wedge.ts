/** A prober's thread that says it is well, votes UP, and then never comes out of its loop again. */
import { workerData } from 'node:worker_threads'
import type { WorkerData } from '../../src/probe/worker.ts'
import { portWriter } from '../../src/store/port.ts'

const { identity, writer: port }: WorkerData = workerData
const writer = portWriter(port, identity)
await writer.replace([{ target: 't1', value: 'up', moving: false, reason: 'connected', rttMs: 1, share: 1000 }])
await writer.heartbeat({ prober: identity, sequence: 1, configHash: '', overdue: 0, overdueAgeMs: 0 })
setTimeout(() => {
  for (;;);
}, 50)
