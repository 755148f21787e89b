import { readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openRedisStore } from '../../../src/store/redis/store.ts'
import { RedisServer } from '../../support/redis-server.ts'
import { storeSuite } from '../store.suite.ts'

const LEASE_MS = 300

let server: RedisServer
beforeAll(async () => {
  server = await RedisServer.start()
})
afterAll(() => server.stop())

// oxlint-disable-next-line typescript/require-await
storeSuite('Redis', LEASE_MS, async () => {
  server.cli('flushall')
  const store = openRedisStore(server.url(), { leaseMs: LEASE_MS, answerMs: 5_000 })
  return { store, writer: (prober) => store.proberWriter(prober), close: () => store.close() }
})

test('one file knows the names of keys', () => {
  const src = resolve(import.meta.dirname, '../../../src')
  const files = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'))
  const having = (text: string) => files.filter((file) => readFileSync(join(src, file), 'utf8').includes(text))
  expect(having("'{meridian}")).toEqual(['store/redis/keys.ts'])
})
