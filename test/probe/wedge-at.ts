/** A prober's thread like any other, until it is given the target `wedge`: then it never comes out of its loop again. */
import { parentPort } from 'node:worker_threads'
// oxlint-disable-next-line import/no-unassigned-import -- it is the thread's program
import '../../src/probe/worker.ts'
import type { ProberCommand } from '../../src/probe/worker.ts'

parentPort!.on('message', (order: ProberCommand) => {
  if (typeof order === 'string' || !order.targets.some(({ id }) => id === 'wedge')) return
  for (;;);
})
