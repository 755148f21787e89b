import { MessageChannel } from 'node:worker_threads'
import { MemoryStore } from '../../src/store/memory.ts'
import { portWriter, serveWriter } from '../../src/store/port.ts'
import { storeSuite } from './store.suite.ts'

const LEASE_MS = 150

// oxlint-disable-next-line typescript/require-await
storeSuite('memory', LEASE_MS, async () => {
  const store = new MemoryStore(LEASE_MS)
  return { store, writer: (prober) => store.proberWriter(prober), close: () => store.close() }
})

// oxlint-disable-next-line typescript/require-await
storeSuite('memory, through a port', LEASE_MS, async () => {
  const store = new MemoryStore(LEASE_MS)
  return {
    store,
    writer: (prober) => {
      const { port1, port2 } = new MessageChannel()
      serveWriter(port1, store.proberWriter(prober), () => {})
      return portWriter(port2, prober)
    },
    close: () => store.close(),
  }
})
