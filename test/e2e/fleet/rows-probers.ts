/** Rows of docs/partitions.md: probers go wrong, checks change, and Redis fails over to a replica that is empty. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Status } from '../../../src/api/status.ts'
import type { MemberStatus } from '../../../src/health/node-health.ts'
import { until } from '../../support/until.ts'
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

/** The check is again as the other rows have it. */
async function restored(row: Row): Promise<void> {
  row.fleet.write([...PROBERS, ...NODES])
  await shownVotes(row, '/healthz', 'up')
}

const isLive =
  (name: string) =>
  ({ probers }: Status): boolean =>
    probers.some(({ prober, live }) => prober === name && live)

const isUpAt =
  (prober: string) =>
  ({ targets }: Pick<MemberStatus, 'targets'>): boolean =>
    targets.every(({ votes }) => votes.some((vote) => vote.prober === prober && vote.value === 'up'))

export function rowsOfProber(fault: Fault): void {
  fault('Redis fails over to an empty replica', async (row) => {
    row.fleet.replica.command('config', 'set', 'replica-read-only', 'no')
    row.fleet.replica.command('flushall')
    await row.fleet.redis.kill()
    row.dies('fra')
    await row.applied('paris', NODES, 60_000) // the sentinel needs its time
    await row.revives('fra')
  })

  fault("a prober's clock is an hour off", async (row) => {
    const { fleet } = row
    const file = join(fleet.folder, 'clock')
    /** Sets the clock; what p1 tells of its age shows that it has taken. */
    const setClock = async (offMs: number): Promise<void> => {
      writeFileSync(file, String(offMs))
      await until('its clock', async () => {
        const upSeconds = (await fleet.process('p1').status())?.node.upSeconds
        return upSeconds !== undefined && Math.abs(upSeconds - offMs / 1000) < 1_000
      })
    }
    writeFileSync(file, '0')
    await fleet.end('p1')
    await fleet.startProber('p1', { CLOCK_FILE: file, NODE_OPTIONS: `--import=${CLOCK}` }).ready()
    await until('p1 votes', async () => (await fleet.status('n1'))?.services[0]?.members.every(isUpAt('p1')))
    await setClock(HOUR_MS)
    await row.always('p1 goes on', HOLD_MS, isLive('p1'))
    row.dies('iad')
    await row.applied('newYork')
    await shownVote(row, 'iad', 'p1', 'down')
    await setClock(-HOUR_MS)
    await row.always('p1 goes on', HOLD_MS, isLive('p1'))
    await row.revives('iad')
    await row.home('newYork')
    await shownVote(row, 'iad', 'p1', 'up')
    await fleet.end('p1')
    fleet.startProber('p1')
  })

  fault('a prober is starved of CPU', async (row) => {
    const feed = starve(row.fleet, 'p2')
    try {
      await row.always("p2 doesn't blame the sites", 2 * HOLD_MS, ({ services }) =>
        (services[0]?.members ?? []).every(({ targets }) =>
          targets.every(({ votes }) => votes.every((vote) => vote.prober !== 'p2' || vote.value !== 'down')),
        ),
      )
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
    await row.home('newYork')
    await restored(row)
  })

  fault('two generations of zones, the probers first', async (row) => {
    row.fleet.write(PROBERS, '/ready')
    await row.held('jakarta')
    row.dies('sin')
    await row.applied('jakarta') // by the check that the nodes know: the probers go on with it
    row.fleet.write(NODES, '/ready')
    await row.revives('sin')
    await row.home('jakarta')
    await restored(row)
  })

  fault("a check's path is edited", async (row) => {
    row.fleet.write([...PROBERS, ...NODES], '/ready')
    await shownVotes(row, '/ready', 'up')
    row.dies('fra')
    await row.applied('paris')
    await row.revives('fra')
    await row.home('paris')
    await restored(row)
  })

  fault("a check's path is edited, and wrong", async (row) => {
    row.fleet.write([...PROBERS, ...NODES], '/missing')
    await shownVotes(row, '/missing', 'down')
    row.dies('iad')
    await row.applied('newYork')
    await row.shown('the former check decides, the new one never passed', ({ services }) =>
      (services[0]?.members ?? []).every(
        ({ why }) => why.includes('by the former check') && why.includes('never passed'),
      ),
    )
    row.fleet.write([...PROBERS, ...NODES], '/healthz')
    await row.revives('iad')
  })
}
