/** Rows of docs/partitions.md: probers go wrong, checks change, and Redis fails over to a replica that is empty. */
import { NODES, PROBERS } from './fleet.ts'
import { type Fault, HOLD_MS, type Row, starve } from './row.ts'

const CLOCK = new URL('clock.ts', import.meta.url).href
const HOUR_MS = 3_600_000

const shownVote = (row: Row, site: string, prober: string, value: string): Promise<void> =>
  row.shown(`${prober} says ${site} is ${value}`, ({ services }) =>
    (services[0]?.members ?? [])
      .filter((member) => member.site === site)
      .every(({ targets }) =>
        targets.some(({ votes }) => votes.some((vote) => vote.prober === prober && vote.value === value)),
      ),
  )

/** All probers say so of all members, by the check of this path. */
const shownVotes = (row: Row, path: string, value: string): Promise<void> =>
  row.shown(`all say ${value}, by ${path}`, ({ services }) =>
    (services[0]?.members ?? []).every(({ targets }) =>
      targets.some(
        ({ target, votes }) =>
          'path' in target.check &&
          target.check.path === path &&
          votes.filter((vote) => vote.value === value).length === PROBERS.length,
      ),
    ),
  )

export function rowsOfProber(fault: Fault): void {
  fault('Redis fails over to an empty replica', async (row) => {
    row.fleet.replica.command('config', 'set', 'replica-read-only', 'no')
    row.fleet.replica.command('flushall')
    await row.fleet.redis.kill()
    row.dies('fra')
    await row.applied('paris', NODES, 15_000) // the sentinel needs its time
    await row.revives('fra')
  })

  fault("a prober's clock is an hour off", async (row) => {
    await row.fleet.end('p1')
    const now = Date.now()
    // right at first, then an hour ahead in full run, then an hour behind
    const CLOCKS = `${now + 4_000}:${HOUR_MS},${now + 10_000}:${-HOUR_MS}`
    row.fleet.startProber('p1', { CLOCK: CLOCKS, NODE_OPTIONS: `--import=${CLOCK}` })
    await row.shown('p1 again', ({ probers }) => probers.some(({ prober, live }) => prober === 'p1' && live))
    await row.held('jakarta', NODES, now + 5_000 - Date.now())
    row.dies('iad')
    await row.applied('newYork')
    await shownVote(row, 'iad', 'p1', 'down')
    await row.held('jakarta', NODES, now + 11_000 - Date.now())
    await row.revives('iad')
    await row.home('newYork')
    await shownVote(row, 'iad', 'p1', 'up')
    await row.fleet.end('p1')
    row.fleet.startProber('p1')
  })

  fault('a prober is starved of CPU', async (row) => {
    const feed = starve(row.fleet, 'p2')
    try {
      await row.held('jakarta')
      row.dies('sin')
      await row.applied('jakarta')
    } finally {
      feed()
    }
    await row.revives('sin')
  })

  fault('a prober is restarted', async (row) => {
    await row.fleet.end('p3')
    row.dies('fra')
    await row.applied('paris')
    row.fleet.startProber('p3')
    await shownVote(row, 'fra', 'p3', 'down')
    await row.revives('fra')
    await row.home('paris')
    await row.fleet.end('p3', 'SIGKILL')
    row.fleet.startProber('p3')
  })

  fault('two generations of zones, the nodes first', async (row) => {
    row.fleet.write(NODES, '/ready')
    await row.held('newYork')
    row.dies('iad')
    await row.applied('newYork') // by the former check: nobody votes on the new one yet
    row.fleet.write(PROBERS, '/ready')
    await row.only('newYork', 'fra', NODES, 2_000)
    await row.revives('iad')
  })

  fault('two generations of zones, the probers first', async (row) => {
    row.fleet.write(PROBERS, '/healthz')
    await row.held('jakarta')
    row.dies('sin')
    await row.applied('jakarta')
    row.fleet.write(NODES, '/healthz')
    await row.revives('sin')
  })

  fault("a check's path is edited", async (row) => {
    row.fleet.write([...PROBERS, ...NODES], '/ready')
    await shownVotes(row, '/ready', 'up')
    row.dies('fra')
    await row.applied('paris')
    await row.revives('fra')
    await row.home('paris')
    row.fleet.write([...PROBERS, ...NODES], '/healthz')
    await shownVotes(row, '/healthz', 'up')
  })

  fault("a check's path is edited, and wrong", async (row) => {
    row.fleet.write([...PROBERS, ...NODES], '/missing')
    await shownVotes(row, '/missing', 'down')
    row.dies('iad')
    await row.held('newYork', NODES, HOLD_MS)
    await row.shown('held, never passed', ({ services }) =>
      (services[0]?.members ?? []).every(({ held, why }) => held && why.includes('never passed')),
    )
    row.fleet.write([...PROBERS, ...NODES], '/healthz')
    await row.applied('newYork')
    await row.revives('iad')
  })
}
