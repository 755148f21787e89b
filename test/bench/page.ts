/**
 * What viewers of the page cost a node of 10,000 members: its CPU time without any and with ten, in turn, as a share of one
 * core. The node probes as well, which is the share without.
 * `npm run bench -- page [--turns 5] [--seconds 40]`: of each half of a turn.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { buildStalePage } from '../../scripts/page.ts'
import { PageFleet } from '../dashboard/fleet.ts'
import { until } from '../support/until.ts'
import { median } from './median.ts'

const SETTLED_MS = 20_000
const VIEWERS = 10

export async function run(args: string[]): Promise<void> {
  const { values } = parseArgs({
    args,
    options: { seconds: { type: 'string', default: '40' }, turns: { type: 'string', default: '5' } },
  })
  const turnMs = 1_000 * Number(values.seconds)
  await buildStalePage()
  const fleet = PageFleet.ofLarge()
  try {
    await fleet.startLarge()
    await sleep(SETTLED_MS)
    const costs: number[] = []
    for (let turn = 1; turn <= Number(values.turns); turn++) {
      const without = await fleet.loadOfLarge(() => sleep(turnMs))
      const viewers = fleet.startViewers(VIEWERS)
      await until('two boards for each', () => viewers.boards.length >= 2 * VIEWERS)
      const before = viewers.boards.length
      const withThem = await fleet.loadOfLarge(() => sleep(turnMs))
      const boards = (viewers.boards.length - before) / VIEWERS
      viewers.stop()
      costs.push(withThem - without)
      console.log(
        `${percent(without)} of a core without viewers, ${percent(withThem)} with ${VIEWERS}: ${boards} boards`,
      )
    }
    console.log(`${VIEWERS} viewers cost ${percent(median(costs))} of a core (median)`)
  } finally {
    await fleet.close()
  }
}

const percent = (share: number): string => `${(100 * share).toFixed(2)} %`
