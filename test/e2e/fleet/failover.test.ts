/** A site dies, and every node hears of it through Redis: within the bound of one process and 10 ms more, however it dies. */
import { expect } from 'vitest'
import { countWaits } from '../../support/cpu.ts'
import { VIPS } from '../../support/scene.ts'
import { until } from '../../support/until.ts'
import { nowMs } from './asker.ts'
import { type Fleet, NODES, PROBERS } from './fleet.ts'
import { useFleet } from './row.ts'

/** interval + (fall − 1) × max(fast, timeout) + timeout + 100 ms, and 10 ms through Redis. */
const BOUND_MS = 1_000 + 500 + 500 + 100 + 10
/** What a machine that does other things too may be late. */
const SLACK_MS = 900

const fault = useFleet()

const KINDS: readonly (readonly [string, (fleet: Fleet) => void, (fleet: Fleet) => Promise<void> | void])[] = [
  ['killed', (fleet) => fleet.signalSite('fra', 'SIGKILL'), (fleet) => fleet.startSite('fra')],
  ['frozen', (fleet) => fleet.signalSite('fra', 'SIGSTOP'), (fleet) => fleet.signalSite('fra', 'SIGCONT')],
  [
    'behind a network that drops its packets',
    ({ network }) => network.cut(['fra'], PROBERS),
    ({ network }) => network.healAll(),
  ],
]

/** Both nodes show the death as one event that both have seen, with the votes. */
async function oneLine(fleet: Fleet): Promise<void> {
  const seen = await until('an event of both nodes', async () => {
    const shown = await Promise.all(NODES.map((node) => fleet.command(node, 'events', '--site', 'fra', '--json')))
    const lines = shown.map(({ out }) => out.trim().split('\n').at(-1) ?? '')
    return lines[0] === lines[1] && lines[0]!.includes('"n1","n2"') ? JSON.parse(lines[0]!) : undefined
  })
  expect(seen).toMatchObject({ kind: 'verdict', before: 'up', after: 'down', witnesses: [...NODES] })
  const votes: readonly { prober: string; value: string }[] = seen.details.votes
  expect(votes.filter(({ value }) => value === 'down').length).toBeGreaterThanOrEqual(2)
}

for (const [kind, dies, revives] of KINDS) {
  fault(`a site that is ${kind} leaves every node's answers in time`, async (row) => {
    const diedMs = nowMs()
    const waits = countWaits(row.fleet.pids)
    row.excuse('fra')
    dies(row.fleet)
    await row.applied('paris')
    await row.only('paris', 'iad', NODES, 300)
    const named = row.fleet.askers.during(diedMs, nowMs()).filter(({ answer }) => answer === VIPS.fra)
    expect(new Set(named.map(({ node }) => node))).toEqual(new Set(NODES))
    for (const { node, untilMs } of named) expect(untilMs - diedMs, node).toBeLessThan(BOUND_MS + SLACK_MS + waits())
    if (kind === 'killed') await oneLine(row.fleet)
    await revives(row.fleet)
  })
}
