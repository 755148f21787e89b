/** Rows of docs/partitions.md: Redis itself goes. */
import { expect } from 'vitest'
import { VIPS } from '../../support/scene.ts'
import { NODES } from './fleet.ts'
import { type Fault, HOLD_MS, type Row } from './row.ts'

const inTrouble = async (row: Row): Promise<void> =>
  row.shown('trouble on the way to Redis', ({ store }) => store.trouble !== null)

export function rowsOfRedis(fault: Fault): void {
  fault('Redis is killed', async (row) => {
    await row.fleet.redis.kill()
    row.dies('fra')
    await inTrouble(row)
    await row.held('paris')
    await row.measured('meridian_store_up{kind="redis"}', 0)
    await row.fleet.redis.start()
    await row.applied('paris')
    await row.revives('fra')
  })

  fault('Redis is frozen', async (row) => {
    row.fleet.redis.signal('SIGSTOP')
    row.dies('iad')
    await inTrouble(row)
    await row.held('newYork')
    await row.measured('meridian_store_up{kind="redis"}', 0)
    row.fleet.redis.signal('SIGCONT')
    await row.applied('newYork')
    await row.revives('iad')
  })

  fault('Redis is flushed', async (row) => {
    row.fleet.redis.command('flushall')
    row.dies('sin')
    await row.applied('jakarta')
    await row.revives('sin')
  })

  fault('Redis is restarted empty', async (row) => {
    await row.fleet.redis.kill()
    await row.fleet.redis.start()
    row.dies('fra')
    await row.applied('paris')
    await row.revives('fra')
  })

  fault('a serving node is restarted while Redis is away, with saved state', async (row) => {
    row.dies('iad')
    await row.applied('newYork')
    await row.shown(
      'the verdict',
      ({ services }) => services[0]?.members.some(({ state }) => state === 'down') === true,
    )
    await row.fleet.redis.kill()
    await row.restarts('n1')
    await row.only('newYork', 'fra', NODES, HOLD_MS) // it knows that iad was dead
    await row.fleet.redis.start()
    await row.revives('iad')
  })

  fault('a serving node is restarted while Redis is away, without saved state', async (row) => {
    row.dies('sin')
    await row.applied('jakarta')
    await row.fleet.redis.kill()
    await row.restarts('n1', () => row.fleet.forgetState('n1'))
    // all as if up, the dead one too: it knows nothing; its neighbour does
    expect(row.answer('n1', 'jakarta')).toBe(VIPS.sin)
    expect(row.answer('n2', 'jakarta')).toBe(VIPS.fra)
    await row.shown(
      'nothing proven',
      ({ services }) => services[0]?.members.every(({ state }) => state === 'unproven') === true,
      ['n1'],
    )
    await row.measured('meridian_service_unproven_members{service="web"}', 3, ['n1'])
    await row.held('jakarta', ['n1'])
    await row.fleet.redis.start()
    await row.applied('jakarta')
    await row.revives('sin')
  })
}
