import { openRedisStore } from '../../src/health/redis.ts'
import { afterAll, beforeAll } from 'vitest'
import { RedisServer } from './redis-server.ts'
import { storeSuite } from './store.suite.ts'

const LEASE_MS = 300

let server: RedisServer
beforeAll(async () => {
  server = await RedisServer.start()
})
afterAll(() => server.stop())

// oxlint-disable-next-line typescript/require-await
storeSuite('Redis', LEASE_MS, async () => {
  server.cli('flushall')
  const store = openRedisStore(server.url(), { leaseMs: LEASE_MS })
  return { store, board: (prober) => store.board(prober), close: () => store.close() }
})
